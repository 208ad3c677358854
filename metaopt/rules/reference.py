"""The numpy reading of a rule: slow, and as obviously right as the definition of the language."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from metaopt.rules.ops import OPS, Op, Reduces
from metaopt.rules.program import GRADIENT, PARAMETERS, RATE, STEP, Program

Tensors = list[np.ndarray]
"""A variable of a rule: one array for each parameter tensor."""


def run(
    program: Program,
    w: Sequence[Any],
    g: Sequence[Any],
    states: Mapping[str, Sequence[Any]],
    lr: float,
    t: float,
    hyperparameters: Mapping[str, float] | None = None,
    dtype: Any = np.float64,
    rounding: Callable[[np.ndarray], np.ndarray] | None = None,
) -> tuple[Tensors, dict[str, Tensors]]:
    """One step of a rule.

    Every variable is a list of full arrays, one for each tensor of the parameters; a scalar is such
    a list with one value everywhere.

    Args:
      program: the rule.
      w: parameters, a list of arrays.
      g: gradient, shaped like `w`.
      states: for each state of the program, arrays shaped like `w`.
      lr: the learning rate of this step.
      t: the number of the step, counted from 1.
      hyperparameters: values other than the program's defaults.
      dtype: a numpy floating-point type; all is computed in it.
      rounding: applied to the result of each statement. Tests use it to see how far a result hangs
        on rounding.

    Returns:
      The update and the new states.
    """
    values = dict(program.hyperparameters) | dict(hyperparameters or {})
    shapes = [np.shape(x) for x in w]

    def tensors(value: Any) -> Tensors:
        arrays = (np.asarray(x, dtype) for x in value)
        return [np.broadcast_to(x, shape) for x, shape in zip(arrays, shapes, strict=True)]

    def scalar(value: float) -> Tensors:
        return tensors([value] * len(shapes))

    variables = {PARAMETERS: tensors(w), GRADIENT: tensors(g), RATE: scalar(lr), STEP: scalar(t)}
    variables |= {name: tensors(states[name]) for name in program.states}
    variables |= {name: scalar(value) for name, value in values.items()}
    with np.errstate(all="ignore"):
        for statement in program.body:
            args = [variables[a] if isinstance(a, str) else scalar(a) for a in statement.args]
            result = tensors(apply(OPS[statement.op], args, len(shapes)))
            if rounding is not None:
                result = [np.asarray(rounding(x), dtype) for x in result]
            variables[statement.target] = result
    update, *new = (variables[name] for name in program.outputs)
    return update, dict(zip(program.states, new, strict=True))


def apply(op: Op, args: Sequence[Tensors], count: int) -> list[Any]:
    """The result of one operation, for each of `count` tensors an array that broadcasts to it."""
    each = [tuple(arg[i] for arg in args) for i in range(count)]
    if op.reduces is Reduces.NOTHING:
        return [op.numpy(*tensor_args) for tensor_args in each]
    if op.reduces is Reduces.EACH_TENSOR:
        return [op.numpy(np.sum, *tensor_args) for tensor_args in each]
    # Over the model: all tensors are laid end to end.
    if not count:
        return []
    whole = op.numpy(np.sum, *(np.concatenate([x.ravel() for x in arg]) for arg in args))
    if op.reduces is Reduces.MODEL:
        return [whole] * count
    ends = np.cumsum([x.size for x in args[0]])[:-1]
    parts = np.split(whole, ends)
    return [part.reshape(x.shape) for part, x in zip(parts, args[0], strict=True)]
