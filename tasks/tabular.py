"""Tables of measurements, to classify: scikit-learn's wine and breast-cancer sets."""

from dataclasses import dataclass

from tasks import data
from tasks.base import Task
from tasks.supervised import MLP, check_activation, classification_task


@dataclass(frozen=True)
class TabularMLP:
    """A multilayer perceptron, features -> widths -> classes.

    Attributes:
      dataset: `"wine"` (13 features, 3 classes) or `"breast_cancer"` (30 features, 2 classes).
      widths: units of each hidden layer.
      activation: a name in `tasks.supervised.ACTIVATIONS`.
      batch_size: examples a batch; a batch is `Examples` of float32 (batch_size, features) and
        int32 (batch_size,).

    Raises:
      ValueError: for an unknown activation, or (by `build`) data set.
    """

    dataset: data.TabularDataset
    widths: tuple[int, ...] = (24, 24)
    activation: str = "tanh"
    batch_size: int = 16

    def __post_init__(self) -> None:
        check_activation(self.activation)

    @property
    def name(self) -> str:
        widths = "x".join(map(str, self.widths))
        return f"{self.dataset}_mlp_{widths}_{self.activation}_b{self.batch_size}"

    def build(self) -> Task:
        dataset = data.tabular(self.dataset)
        network = MLP(self.widths, dataset.classes, self.activation)
        return classification_task(self.name, network, dataset, self.batch_size)
