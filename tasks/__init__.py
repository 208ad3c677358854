"""Training problems to run an optimizer on.

>>> import jax, tasks
>>> task = tasks.get("digits_mlp_32_relu_b32")
>>> params = task.init(jax.random.key(0))
>>> gradients = jax.grad(task.loss)(params, task.batch(jax.random.key(1)))
>>> bool(task.evaluate(params, "validation") > 0)
True
"""

from tasks.base import (
    SPLITS,
    Batch,
    Params,
    Split,
    Task,
    TaskConfig,
    initial_loss,
    parameter_count,
    step_flops,
)
from tasks.families import family
from tasks.published import Curve, curves
from tasks.suites import (
    SUITES,
    TASKS,
    Entry,
    UnknownNameError,
    families,
    get,
    is_held_out,
    names,
    resolve_suite,
    steps,
    suite,
)

__all__ = [
    "SPLITS",
    "SUITES",
    "TASKS",
    "Batch",
    "Curve",
    "Entry",
    "Params",
    "Split",
    "Task",
    "TaskConfig",
    "UnknownNameError",
    "curves",
    "families",
    "family",
    "get",
    "initial_loss",
    "is_held_out",
    "names",
    "parameter_count",
    "resolve_suite",
    "step_flops",
    "steps",
    "suite",
]
