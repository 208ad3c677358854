"""The compiled reading of a rule: a `Program` as an Optax transformation."""

import difflib
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from metaopt.rules.check import input_extents, result_extent, without_dead_code
from metaopt.rules.ops import OPS, Extent, Op, Reduces
from metaopt.rules.program import GRADIENT, PARAMETERS, RATE, STEP, Program

NO_PARAMS = (
    "the rule {name!r} reads the parameters, and `update` was called without them: call "
    "`update(updates, state, params)`"
)


class RuleState(NamedTuple):
    """The state of a compiled rule.

    Attributes:
      count: int32 scalar, the steps taken; None for a rule that needs no count.
      states: for each live state of the rule, a tree shaped and typed like the parameters.
    """

    count: Any
    states: dict[str, optax.Updates]


def transform(
    program: Program, learning_rate: optax.ScalarOrSchedule, **hyperparameters: Any
) -> optax.GradientTransformationExtraArgs:
    r"""Compile a rule.

    The result computes what the rule's live statements say, leaf by leaf; what is one number stays
    one number. States have the dtype of their parameters.

    Args:
      program: the rule.
      learning_rate: a number, a scalar array, or a schedule, which is called with the number of
        steps taken so far.
      **hyperparameters: values, numbers or scalar arrays, for the rule's own hyperparameters.

    Returns:
      The transformation. Its `update` returns minus the rule's update, ready for
      `optax.apply_updates`; it takes and ignores extra arguments.

    Raises:
      TypeError: the rule has no such hyperparameter.

    Example:
      >>> from metaopt import rules
      >>> sgd = rules.parse("def sgd(w, g, lr):\n  u = lr * g\n  return u")
      >>> optimizer = rules.transform(sgd, 0.5)
      >>> updates, _ = optimizer.update({"x": 3.0}, optimizer.init({"x": 1.0}))
      >>> float(updates["x"])
      -1.5
    """
    return _compile(program, learning_rate, ungathered(hyperparameters))


def ungathered(hyperparameters: Mapping[str, Any]) -> dict[str, Any]:
    """What a function gathered by `**hyperparameters`, as its caller meant it.

    `optax.inject_hyperparams` hands back what `**` gathered as one argument of that name.
    """
    given = dict(hyperparameters)
    gathered = given.pop("hyperparameters", {})
    values = gathered if isinstance(gathered, Mapping) else {"hyperparameters": gathered}
    return {**values, **given}


def factory(program: Program) -> Callable[..., optax.GradientTransformationExtraArgs]:
    """`transform` for one rule, with a signature that names the rule's hyperparameters.

    This is what `optax.inject_hyperparams` wants when hyperparameters other than the learning rate
    are to be injected.

    Example:
      >>> from metaopt import rules
      >>> lion = rules.factory(rules.library.get("lion"))
      >>> optimizer = optax.inject_hyperparams(lion)(learning_rate=1e-3, b1=0.95)
    """

    def make(learning_rate: optax.ScalarOrSchedule, **hyperparameters: Any) -> Any:
        return _compile(program, learning_rate, hyperparameters)

    keyword = inspect.Parameter.KEYWORD_ONLY
    rate = inspect.Parameter("learning_rate", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    named = [inspect.Parameter(n, keyword, default=v) for n, v in program.hyperparameters]
    make.__signature__ = inspect.Signature([rate, *named])  # type: ignore[attr-defined]
    make.__name__ = make.__qualname__ = program.name
    make.__doc__ = program.doc
    return make


def _compile(
    program: Program, learning_rate: Any, hyperparameters: Mapping[str, Any]
) -> optax.GradientTransformationExtraArgs:
    values = _hyperparameter_values(program, hyperparameters)
    program = without_dead_code(program)
    scheduled = callable(learning_rate)
    counts = scheduled or program.uses_step
    reads_parameters = program.reads(PARAMETERS)

    def init(params: optax.Params) -> Any:
        count = jnp.zeros([], jnp.int32) if counts else None
        return RuleState(count, {name: optax.tree.zeros_like(params) for name in program.states})

    def update(
        updates: optax.Updates, state: Any, params: optax.Params | None = None, **extra_args: Any
    ) -> tuple[optax.Updates, Any]:
        del extra_args
        if reads_parameters and params is None:
            raise ValueError(NO_PARAMS.format(name=program.name))
        # As in Optax, a None among the gradients is a parameter without one: it passes through.
        leaves, treedef = jax.tree.flatten(updates, is_leaf=lambda x: x is None)
        active = [i for i, leaf in enumerate(leaves) if leaf is not None]

        def pick(tree: Any) -> "_Leaves":
            flat = treedef.flatten_up_to(tree)
            return _Leaves([jnp.asarray(flat[i]) for i in active])

        def put(tree: Any, new: Sequence[jax.Array]) -> Any:
            flat = treedef.flatten_up_to(tree)
            for i, leaf in zip(active, new, strict=True):
                flat[i] = leaf
            return treedef.unflatten(flat)

        gradient = pick(updates)
        environment: dict[str, Any] = {GRADIENT: gradient, **values}
        if reads_parameters:
            environment[PARAMETERS] = pick(params)
        old = {name: pick(state.states[name]) for name in program.states}
        rate = learning_rate(state.count) if scheduled else learning_rate
        environment |= old | {RATE: _number(rate)}
        if program.uses_step and state.count is not None:
            environment[STEP] = _number(jnp.asarray(state.count) + 1)

        step, *new = _evaluate(program, environment, gradient)
        states = {
            name: put(
                state.states[name],
                [x.astype(was.dtype) for x, was in zip(full.leaves, old[name].leaves, strict=True)],
            )
            for name, full in zip(program.states, new, strict=True)
        }
        count = None if state.count is None else optax.safe_increment(state.count)
        return put(updates, [-x for x in step.leaves]), RuleState(count, states)

    return optax.GradientTransformationExtraArgs(init, update)


def _hyperparameter_values(program: Program, given: Mapping[str, Any]) -> dict[str, Any]:
    defaults = dict(program.hyperparameters)
    for name in given:
        if name not in defaults:
            near = difflib.get_close_matches(name, defaults, n=3)
            hint = f"did you mean {' or '.join(near)}?" if near else f"it has {list(defaults)}"
            raise TypeError(f"rule {program.name!r} has no hyperparameter {name!r}; {hint}")
    return {name: _number(value) for name, value in (defaults | dict(given)).items()}


def _number(value: Any) -> float | jax.Array:
    """A scalar: a float where its value is known, so that constants fold in double precision."""
    if isinstance(value, int | float | np.floating | np.integer):
        return float(value)
    return jnp.asarray(value, jnp.result_type(float))


class _Leaves:
    """One value for each leaf, as something that the reducing operations of the table can take."""

    def __init__(self, leaves: Sequence[jax.Array]):
        self.leaves = list(leaves)

    def __mul__(self, other: Any) -> "_Leaves":
        if isinstance(other, _Leaves):
            return _Leaves([x * y for x, y in zip(self.leaves, other.leaves, strict=True)])
        return _Leaves([x * _as_leaf(other, x) for x in self.leaves])

    __rmul__ = __mul__

    def filled(self, shapes: "_Leaves") -> "_Leaves":
        """Each value broadcast to its tensor."""
        pairs = zip(self.leaves, shapes.leaves, strict=True)
        return _Leaves([jnp.broadcast_to(x, like.shape) for x, like in pairs])


def _as_leaf(value: Any, like: jax.Array) -> Any:
    # A known number takes any dtype; an array would promote a bfloat16 leaf.
    return value.astype(like.dtype) if isinstance(value, jax.Array) else value


def _total(product: _Leaves) -> jax.Array:
    wide = jnp.result_type(float)
    sums = [jnp.sum(x, dtype=jnp.promote_types(x.dtype, wide)) for x in product.leaves]
    return sum(sums, start=jnp.zeros([], wide))


def _evaluate(program: Program, environment: dict[str, Any], gradient: _Leaves) -> list[_Leaves]:
    """The program's outputs; variables are floats, scalar arrays, or `_Leaves`."""
    environment = dict(environment)
    extents = input_extents(program)
    for statement in program.body:
        args = [environment[a] if isinstance(a, str) else a for a in statement.args]
        extent = result_extent(statement, extents)
        environment[statement.target] = _apply(OPS[statement.op], args, extent, gradient)
        extents[statement.target] = extent
    return [_spread(environment[name], gradient).filled(gradient) for name in program.outputs]


def _spread(value: Any, gradient: _Leaves) -> _Leaves:
    if isinstance(value, _Leaves):
        return value
    return _Leaves([jnp.asarray(value, x.dtype) for x in gradient.leaves])


def _apply(op: Op, args: list[Any], extent: Extent, gradient: _Leaves) -> Any:
    if op.reduces is Reduces.NOTHING:
        if extent is not Extent.SCALAR:
            return _leafwise(op.jax, args)
        if all(isinstance(a, float) for a in args):
            with np.errstate(all="ignore"):
                return float(op.numpy(*(np.float64(a) for a in args)))
        return op.jax(*args)
    wide = [_spread(a, gradient).filled(gradient) for a in args]
    if op.reduces is Reduces.EACH_TENSOR:
        return _leafwise(lambda *xs: op.jax(jnp.sum, *xs), wide)
    if op.reduces is Reduces.MODEL:
        return op.jax(_total, *wide)
    # The sum is over full tensors; what it rescales stays as narrow as it was.
    return op.jax(lambda _: _total(wide[0] * wide[0]), *args)


def _leafwise(function: Callable[..., Any], args: list[Any]) -> _Leaves:
    leaves = [a.leaves for a in args if isinstance(a, _Leaves)]
    results = []
    for i, like in enumerate(leaves[0]):
        results.append(
            function(*(a.leaves[i] if isinstance(a, _Leaves) else _as_leaf(a, like) for a in args))
        )
    return _Leaves(results)
