"""Published curves: what tuned, well-known optimizers do on the tasks of a suite.

`python -m experiments.held_out DIR` writes them from a benchmark.
"""

import functools
import json
from collections.abc import Mapping
from importlib import resources
from typing import NamedTuple

from tasks.suites import resolve_suite

FOLDER = "curves"


class Curve(NamedTuple):
    """The best trial of a tuned optimizer on a task, mean over seeds.

    Attributes:
      learning_rate: the peak of its learning rate.
      steps: steps after which the loss was measured.
      validation: validation loss there.
      spread: standard deviation over seeds there.
    """

    learning_rate: float
    steps: tuple[int, ...]
    validation: tuple[float, ...]
    spread: tuple[float, ...]


@functools.cache
def curves(suite: str) -> Mapping[str, Mapping[str, Curve]]:
    """The published curves of a suite: task -> optimizer -> curve; none where none are published.

    Raises:
      UnknownNameError: a KeyError that names near matches.
    """
    path = resources.files("tasks") / FOLDER / f"{resolve_suite(suite)}.json"
    if not path.is_file():
        return {}
    return {
        task: {
            optimizer: Curve(
                curve["learning_rate"], tuple(steps), *(tuple(curve[k]) for k in Curve._fields[2:])
            )
            for optimizer, curve in entry["optimizers"].items()
            for steps in [entry["steps"]]
        }
        for task, entry in json.loads(path.read_text(encoding="utf-8"))["tasks"].items()
    }
