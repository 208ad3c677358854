"""Training problems to run an optimizer on.

>>> import jax, tasks
>>> task = tasks.get("digits_mlp_32_relu_b32")
>>> params = task.init(jax.random.key(0))
>>> gradients = jax.grad(task.loss)(params, task.batch(jax.random.key(1)))
>>> bool(task.evaluate(params, "validation") > 0)
True
"""

from tasks.base import SPLITS, Batch, Params, Split, Task, parameter_count
from tasks.digits import DigitsConv, DigitsMLP
from tasks.quadratic import Quadratic
from tasks.table import (
    SUITES,
    TASKS,
    TaskConfig,
    UnknownNameError,
    get,
    names,
    resolve_suite,
    suite,
)
from tasks.tabular import TabularMLP
from tasks.text import TextMLP, TextTransformer

__all__ = [
    "SPLITS",
    "SUITES",
    "TASKS",
    "Batch",
    "DigitsConv",
    "DigitsMLP",
    "Params",
    "Quadratic",
    "Split",
    "TabularMLP",
    "Task",
    "TaskConfig",
    "TextMLP",
    "TextTransformer",
    "UnknownNameError",
    "get",
    "names",
    "parameter_count",
    "resolve_suite",
    "suite",
]
