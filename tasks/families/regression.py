"""Linear models: convex problems, ill-conditioned by their features.

What multilayer perceptrons lack: features that are fixed and badly scaled, penalties, the losses of
support vector machines and least squares, and (`LeastSquares`) a solution that is known.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, Self, get_args

import jax
import jax.numpy as jnp
import numpy as np

from tasks import data, supervised
from tasks.base import Batch, Params, Split, Task, check_split, dataset_task
from tasks.data import Array, Examples
from tasks.families.quadratic import random_rotation, random_spectrum
from tasks.layers import check_choice
from tasks.naming import variant
from tasks.sampling import chance, choice, log_uniform, log_uniform_int
from tasks.supervised import Criterion, frequency_brier

Features = Literal["linear", "polynomial", "fourier"]

_INIT_SCALE = 0.01
_FEATURE_SEED = 1


def _one_hot(scores: jax.Array, labels: jax.Array) -> jax.Array:
    return jax.nn.one_hot(labels, scores.shape[-1], dtype=scores.dtype)


def squared_hinge(scores: jax.Array, labels: jax.Array) -> jax.Array:
    """sum_k max(0, 1 - y_k s_k)^2, mean over examples, y_k = 1 for the label and -1 for others."""
    signs = 2.0 * _one_hot(scores, labels) - 1.0
    return jnp.mean(jnp.sum(jax.nn.relu(1.0 - signs * scores) ** 2, axis=-1))


def one_hot_squared(scores: jax.Array, labels: jax.Array) -> jax.Array:
    """Squared distance of scores to one-hot labels, mean over examples."""
    return jnp.mean(jnp.sum((scores - _one_hot(scores, labels)) ** 2, axis=-1))


def _squared_hinge_trivial(train_labels: Array, labels: Array, classes: int) -> float:
    """Its best constant scores are 2 p - 1, of frequencies p: a loss of 4 (p_k - y_k)^2 a class."""
    return 4.0 * frequency_brier(train_labels, labels, classes)


LOSSES: Mapping[str, Criterion] = {
    "cross_entropy": supervised.LOSSES["cross_entropy"],
    "squared_hinge": Criterion(squared_hinge, _squared_hinge_trivial),
    "one_hot_squared": Criterion(one_hot_squared, frequency_brier),
    "squared": supervised.LOSSES["squared"],
}
"""The convex losses a configuration may name, for classes; the last is for real targets."""


@dataclass(frozen=True)
class LinearModel:
    """Scores W^T phi(x) + b on labelled data, with fixed features phi and a convex loss.

    The features of standardized inputs x (d,) are

        linear:      x
        polynomial:  x_i and x_i x_j / sqrt(2), i <= j
        fourier:     sqrt(2) cos(omega_k^T x + beta_k), k = 1..256, omega ~ N(0, I / d),
                     beta ~ U[0, 2 pi]: a Gaussian kernel, approximately

    each multiplied by a scale of its own, evenly from condition_number^(-1/2) to 1 on a logarithmic
    axis in random order, as if it were in units of its own. Training adds penalty / 2 |W|^2 to the
    loss; held-out losses are without it.

    Reference: Rahimi, Recht, "Random features for large-scale kernel machines", NeurIPS 2007; Tang,
    "Deep learning using linear support vector machines", 2013 (arXiv 1306.0239), for the squared
    hinge.

    Attributes:
      dataset: a name in `tasks.data.LABELLED`; its inputs are flattened.
      features: `"linear"`, `"polynomial"` or `"fourier"`.
      loss: a name in `LOSSES`.
      penalty: the L2 penalty on W.
      condition_number: by what the scales of features multiply that of the Hessian, about.
      batch_size: examples a batch, drawn with replacement; a batch is `Examples` as in `MLP`.

    Raises:
      ValueError: for a name that there is none of, or a number out of range; and from `build` for a
        loss that does not suit the data set's labels.
    """

    dataset: str = "breast_cancer"
    features: Features = "polynomial"
    loss: str = "cross_entropy"
    penalty: float = 0.0
    condition_number: float = 1.0
    batch_size: int = 32

    def __post_init__(self) -> None:
        data.check_dataset(self.dataset)
        check_choice("loss", self.loss, LOSSES)
        if self.features not in get_args(Features):
            known = ", ".join(get_args(Features))
            raise ValueError(f"LinearModel: unknown features {self.features!r}: one of {known}")
        if self.penalty < 0 or self.condition_number < 1 or self.batch_size < 1:
            raise ValueError(
                f"LinearModel: penalty {self.penalty} must be at least 0, condition_number "
                f"{self.condition_number} and batch_size {self.batch_size} at least 1"
            )

    @property
    def name(self) -> str:
        base = f"{self.dataset}_{self.features}_model_b{self.batch_size}"
        return base + variant(self, "loss", "penalty", "condition_number")

    def build(self) -> Task:
        dataset = data.labelled(self.dataset)
        if (self.loss == "squared") != (dataset.classes == 0):
            raise ValueError(
                f"LinearModel: loss {self.loss!r} does not suit {self.dataset!r}, which has "
                f"{dataset.classes or 'no'} classes; 'squared' is for real targets alone"
            )
        train, outputs = dataset.train, dataset.classes or 1
        features = _FEATURES[self.features](int(np.prod(train.inputs.shape[1:])))
        loss_of = LOSSES[self.loss]
        exponents = np.linspace(-0.5, 0.0, features.number)
        exponents = _generator(_FEATURE_SEED + 1).permutation(exponents)

        def scores(params: Params, inputs: jax.Array) -> jax.Array:
            scales = jnp.power(self.condition_number, jnp.asarray(exponents, jnp.float32))
            scaled = features.of(inputs.reshape((inputs.shape[0], -1))) * scales[None]
            return scaled @ params["weights"] + params["bias"][None]

        def init(key: jax.Array) -> Params:
            shape = (features.number, outputs)
            weights = _INIT_SCALE * jax.random.normal(key, shape, jnp.float32)
            return {"weights": weights, "bias": jnp.zeros((outputs,), jnp.float32)}

        def batch(key: jax.Array) -> Batch:
            chosen = jax.random.randint(key, (self.batch_size,), 0, len(train.labels), jnp.int32)
            return Examples(jnp.asarray(train.inputs)[chosen], jnp.asarray(train.labels)[chosen])

        def held_out_loss(params: Params, batch: Batch) -> jax.Array:
            return loss_of.loss(scores(params, batch.inputs), batch.labels)

        def loss(params: Params, batch: Batch) -> jax.Array:
            square = jnp.sum(params["weights"] ** 2)
            return held_out_loss(params, batch) + 0.5 * self.penalty * square

        def accuracy(params: Params, batch: Batch) -> jax.Array:
            predicted = jnp.argmax(scores(params, batch.inputs), axis=-1)
            return jnp.mean(predicted == batch.labels, dtype=jnp.float32)

        trivial = loss_of.trivial(train.labels, dataset.validation.labels, dataset.classes)
        held_out: dict[Split, Examples[Array]] = {
            "validation": dataset.validation,
            "test": dataset.test,
        }
        counted = accuracy if dataset.classes else None
        task = dataset_task(self.name, init, batch, held_out_loss, held_out, trivial, counted)
        return replace(task, loss=loss)

    @classmethod
    def sample(cls, generator: np.random.Generator) -> Self:
        return cls(
            dataset=choice(generator, ("digits", "wine", "breast_cancer")),
            features=choice(generator, get_args(Features)),
            loss=choice(generator, ("cross_entropy", "squared_hinge", "one_hot_squared")),
            penalty=log_uniform(generator, 1e-4, 1e-1) if chance(generator, 0.5) else 0.0,
            condition_number=log_uniform(generator, 1.0, 1e4) if chance(generator, 0.5) else 1.0,
            batch_size=log_uniform_int(generator, 8, 128),
        )


class _FixedFeatures(NamedTuple):
    """How many features there are, and what they are: inputs (n, d) -> (n, number)."""

    number: int
    of: Callable[[jax.Array], jax.Array]


def _generator(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


def _polynomial(dimension: int) -> _FixedFeatures:
    rows, columns = np.triu_indices(dimension)

    def of(inputs: jax.Array) -> jax.Array:
        products = inputs[:, rows] * inputs[:, columns] * 2**-0.5
        return jnp.concatenate([inputs, products], axis=-1)

    return _FixedFeatures(dimension + len(rows), of)


def _fourier(dimension: int, count: int = 256) -> _FixedFeatures:
    generator = _generator(_FEATURE_SEED)
    frequencies = generator.standard_normal((dimension, count)) * dimension**-0.5
    phases = generator.uniform(0.0, 2.0 * np.pi, count)

    def of(inputs: jax.Array) -> jax.Array:
        angles = inputs @ jnp.asarray(frequencies, jnp.float32)
        return 2**0.5 * jnp.cos(angles + jnp.asarray(phases, jnp.float32)[None])

    return _FixedFeatures(count, of)


_FEATURES: Mapping[str, Callable[[int], _FixedFeatures]] = {
    "linear": lambda dimension: _FixedFeatures(dimension, lambda inputs: inputs),
    "polynomial": _polynomial,
    "fourier": _fourier,
}


# ---------------------------------------------------------------- least squares


@dataclass(frozen=True)
class LeastSquares:
    """Least squares on a stream of Gaussian data, with a known solution.

    Inputs are x ~ N(0, H), H = Q diag(s) Q^T with Q a random rotation and s log-uniform in
    [1 / condition_number, 1]; targets are y = W*^T x + b* + label_noise * N(0, I). The loss of a
    batch is the mean of 1/2 |W^T x + b - y|^2. `evaluate` is the excess risk, exactly, on both
    splits:

        1/2 tr((W - W*)^T H (W - W*)) + 1/2 |b - b*|^2.

    Its minimum is 0, and W*, b* are scaled so that the zero predictor's, the trivial loss, is 1.
    Unlike a `Quadratic`'s, the gradient noise dies out as the fit improves, to what label noise
    leaves.

    Reference: Bach, Moulines, "Non-strongly-convex smooth stochastic approximation with convergence
    rate O(1/n)", NeurIPS 2013 (arXiv 1306.2119).

    Attributes:
      dimension: inputs; parameters are {"weights": (dimension, outputs), "bias": (outputs,)}, at
        the start near 0.
      outputs: targets of an example.
      condition_number: largest eigenvalue of H over smallest; the largest is 1.
      label_noise: standard deviation of each target's noise.
      batch_size: examples a batch; a batch is `Examples` of float32 (batch_size, dimension) and
        (batch_size, outputs).
      seed: fixes H and the solution.

    Raises:
      ValueError: for a size or condition number below 1, or negative noise.
    """

    dimension: int = 32
    outputs: int = 4
    condition_number: float = 100.0
    label_noise: float = 0.0
    batch_size: int = 32
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.dimension, self.outputs, self.batch_size, self.condition_number) < 1:
            raise ValueError(
                f"LeastSquares: dimension {self.dimension}, outputs {self.outputs}, batch_size "
                f"{self.batch_size} and condition_number {self.condition_number} must be at least 1"
            )
        if self.label_noise < 0:
            raise ValueError(f"LeastSquares: label_noise {self.label_noise} must be at least 0")

    @property
    def name(self) -> str:
        sizes = f"{self.dimension}x{self.outputs}_cond{self.condition_number:g}"
        base = f"least_squares_{sizes}_b{self.batch_size}"
        return base + variant(self, "label_noise", "seed")

    def build(self) -> Task:
        root, weights, bias = (array.astype(np.float32) for array in linear_truth(self))
        exact = jax.lax.Precision.HIGHEST

        def init(key: jax.Array) -> Params:
            shape = (self.dimension, self.outputs)
            return {
                "weights": _INIT_SCALE * jax.random.normal(key, shape, jnp.float32),
                "bias": jnp.zeros((self.outputs,), jnp.float32),
            }

        def predicted(params: Params, inputs: jax.Array) -> jax.Array:
            product = jnp.matmul(inputs, params["weights"], precision=exact)
            return product + params["bias"][None]

        def batch(key: jax.Array) -> Batch:
            first, second = jax.random.split(key)
            whitened = jax.random.normal(first, (self.batch_size, self.dimension), jnp.float32)
            inputs = jnp.matmul(whitened, jnp.asarray(root), precision=exact)
            truth = {"weights": jnp.asarray(weights), "bias": jnp.asarray(bias)}
            noise = jax.random.normal(second, (self.batch_size, self.outputs), jnp.float32)
            return Examples(inputs, predicted(truth, inputs) + self.label_noise * noise)

        def loss(params: Params, batch: Batch) -> jax.Array:
            errors = predicted(params, batch.inputs) - batch.labels
            return 0.5 * jnp.mean(jnp.sum(errors**2, axis=-1))

        def evaluate(params: Params, split: Split) -> jax.Array:
            check_split(split)
            difference = params["weights"] - jnp.asarray(weights)
            slopes = jnp.matmul(jnp.asarray(root), difference, precision=exact)
            offsets = params["bias"] - jnp.asarray(bias)
            return 0.5 * (jnp.sum(slopes**2) + jnp.sum(offsets**2))

        return Task(self.name, init, batch, loss, evaluate, trivial_loss=1.0)

    @classmethod
    def sample(cls, generator: np.random.Generator) -> Self:
        return cls(
            dimension=log_uniform_int(generator, 4, 128),
            outputs=log_uniform_int(generator, 1, 16),
            condition_number=log_uniform(generator, 1.0, 1e4),
            label_noise=log_uniform(generator, 0.01, 1.0) if chance(generator, 0.5) else 0.0,
            batch_size=log_uniform_int(generator, 4, 128),
            seed=log_uniform_int(generator, 1, 1000),
        )


def linear_truth(config: LeastSquares) -> tuple[Array, Array, Array]:
    """Draw a problem from its seed.

    Returns:
      In float64: diag(s)^(1/2) Q^T (d, d), which white noise (n, d) is multiplied with; the
      solution W* (d, outputs) and b* (outputs,).
    """
    generator = _generator(config.seed)
    spectrum = random_spectrum(generator, config.dimension, config.condition_number)
    root = np.sqrt(spectrum)[:, None] * random_rotation(generator, config.dimension).T
    weights = generator.standard_normal((config.dimension, config.outputs))
    bias = generator.standard_normal(config.outputs) * config.dimension**-0.5
    risk = 0.5 * (np.sum((root @ weights) ** 2) + np.sum(bias**2))
    return root, weights / np.sqrt(risk), bias / np.sqrt(risk)
