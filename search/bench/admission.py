"""What an optimizer must be able to do before a benchmark begins.

A plan is fixed once it is written: what could not be trained with would leave a folder that nobody
can go on with.
"""

import ast
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import optax

from search.bench.contenders import Contender, find, trials
from search.errors import UserError

Rate = Callable[[jax.Array], optax.ScalarOrSchedule]
"""From a trial's learning rate, which is traced, to what its optimizer is built with."""

_STEPS = 100
_SHAPES = {"matrix": (4, 3), "vector": (3,)}


def admit(text: str, tuning: str) -> None:
    """Refuse an optimizer that a benchmark could not train with.

    Args:
      text: as `contenders.find` takes it.
      tuning: as `contenders.trials` takes it.

    Raises:
      UserError: there is no such optimizer, its file imports files that are not copied with it, or
        no training program can be made of it.
    """
    contender = find(text)
    if text.endswith(".py"):
        _check_alone(Path(text))
    failure = _failure(contender, tuning, _schedule)
    if failure and not _failure(contender, tuning, _number):
        failure += (
            "; it works where learning_rate is a number, but it may also be a schedule, a function "
            "from the step to the rate: optax.scale_by_learning_rate(learning_rate) takes both"
        )
    failure = failure or _failure(contender, tuning, lambda _: 0.1)  # as it is timed
    if failure:
        raise UserError(f"{text} cannot be trained with: {failure}")


# ---------------------------------------------------------------- training


def _schedule(rate: jax.Array) -> optax.Schedule:
    return lambda count: rate * (1 - count / _STEPS)


def _number(rate: jax.Array) -> jax.Array:
    return rate


def _failure(contender: Contender, tuning: str, learning_rate: Rate) -> str:
    """What goes wrong where a training of the optimizer is traced as the engine does; or nothing.

    Nothing is computed.
    """
    scalars = {
        name: jax.ShapeDtypeStruct(values.shape, jnp.float32)
        for name, values in trials(contender, 1, tuning).items()
    }
    params = {name: jax.ShapeDtypeStruct(shape, jnp.float32) for name, shape in _SHAPES.items()}

    def train(scalars: dict[str, Any], params: Any, total: jax.Array) -> Any:
        others = {name: value for name, value in scalars.items() if name != "learning_rate"}
        steps = _STEPS if contender.timed == "int" else total
        optimizer = contender.optimizer(learning_rate(scalars["learning_rate"]), steps, **others)

        def step(carry: Any, _: None) -> tuple[Any, None]:
            params, state = carry
            updates, state = optimizer.update(params, state, params, value=jnp.float32(1.0))
            return (optax.apply_updates(params, updates), state), None

        return jax.lax.scan(step, (params, optimizer.init(params)), None, length=2)

    try:
        over_trials = jax.vmap(train, (0, None, None))
        jax.eval_shape(over_trials, scalars, params, jax.ShapeDtypeStruct((), jnp.float32))
    except Exception as error:  # it is the user's code that ran
        return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
    return ""


# ---------------------------------------------------------------- files


def _check_alone(path: Path) -> None:
    """Refuse a file that needs others: the benchmark keeps a copy of it alone.

    Raises:
      UserError: it imports a file beside it.
    """
    needed = [name for name in _imported(path) if _is_beside(path, name)]
    if needed:
        raise UserError(
            f"{path} imports {', '.join(needed)} from its folder, but a benchmark keeps a copy of "
            f"{path.name} alone, to be gone on with anywhere; put what it needs into that file, or "
            "install it as a package"
        )


def _imported(path: Path) -> list[str]:
    """Names of the modules and packages that a file imports anywhere in it, without their parts."""
    names = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
    return sorted({name.partition(".")[0] for name in names})


def _is_beside(path: Path, name: str) -> bool:
    """Whether a module lies in a file's folder and is not found without it."""
    if not ((path.parent / f"{name}.py").is_file() or (path.parent / name).is_dir()):
        return False
    if name in sys.stdlib_module_names:
        return False
    before = sys.path[:]
    del sys.path[:1]  # where Python was started, or the command lies: another time elsewhere
    try:
        return not any(finder.find_spec(name, None) for finder in sys.meta_path)
    finally:
        sys.path[:] = before
