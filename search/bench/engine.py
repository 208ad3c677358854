"""All trials of a task in one compiled program: every optimizer, learning rate and seed at once.

Trainings of one task differ only in numbers, so they are one batched program: trials on the first
axis, seeds on the second. Trials share their seeds' initial parameters and batches, so comparisons
are paired, and batches are drawn once a seed. The program runs a few steps and measures; the total
length is an argument, so that every length of training shares it.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from operator import itemgetter
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from search.bench.contenders import Contender
from search.bench.results import Trials
from search.training import COURSES, initial_key, step_key
from tasks import Params, Task
from tasks.augment import delayed

Scalars = Mapping[str, jax.Array]

_MEMORY = 4e9
"""Bytes that parameters, states and what lies between are meant to fit in."""


class Group(NamedTuple):
    """Trials of one optimizer.

    Attributes:
      contender: the optimizer.
      schedule: name of the learning rate's course.
      hyperparameters: name -> float64 (T,), the trials.
    """

    contender: Contender
    schedule: str
    hyperparameters: Mapping[str, np.ndarray]

    @property
    def size(self) -> int:
        """T."""
        return len(self.hyperparameters["learning_rate"])

    def scalars(self) -> Scalars:
        """The trials as the program takes them: name -> float32 (T,)."""
        return {k: jnp.asarray(v, jnp.float32) for k, v in self.hyperparameters.items()}


class Trained(NamedTuple):
    """What came of all trainings of a task.

    Attributes:
      initial_loss: validation loss before any step, mean over seeds.
      lengths: for each length of training, the trials of each group.
    """

    initial_loss: float
    lengths: list[list[Trials]]


class Stopped(Exception):
    """Whoever asked for the trainings wants them no more."""


def train(
    task: Task,
    groups: Sequence[Group],
    *,
    seeds: Sequence[int],
    interval: int,
    points: Sequence[int],
    stop: Callable[[], bool] = lambda: False,
) -> Trained:
    """Train every trial with every seed.

    Args:
      task: what to train.
      groups: the trials.
      seeds: each fixes initial parameters and batches.
      interval: steps between measurements.
      points: lengths of training, in intervals.
      stop: asked between intervals whether to give up.

    Raises:
      Stopped: `stop` said so.
    """
    found = [
        _train(task, part, seeds=seeds, interval=interval, points=points, stop=stop)
        for part in _parts(task, groups, len(seeds))
    ]
    joined = [
        [_joined(parts) for parts in zip(*lengths, strict=True)]
        for lengths in zip(*(part.lengths for part in found), strict=True)
    ]
    return Trained(found[0].initial_loss, joined)


def _train(
    task: Task,
    groups: Sequence[Group],
    *,
    seeds: Sequence[int],
    interval: int,
    points: Sequence[int],
    stop: Callable[[], bool],
) -> Trained:
    program = Program(task, tuple(groups), interval)
    which = jnp.asarray(seeds, jnp.int32)
    scalars = [group.scalars() for group in groups]
    initial_loss, found = np.nan, []
    for length in points:
        total = jnp.float32(length * interval)
        state = program.start(scalars, which, total)
        before, training = [], []
        for k in range(length):
            if stop():
                raise Stopped
            first = jnp.int32(k * interval)
            state, *losses = program.advance(state, scalars, which, first, total)
            for kept, loss in zip((before, training), losses, strict=True):
                kept.append(loss)
        last, test = program.finish(state[0])
        initial_loss = float(np.mean(before[0][0]))
        measured = (
            np.stack(training, axis=-1),
            np.stack([*before[1:], last], axis=-1),
            np.asarray(test),
        )
        steps = interval * np.arange(1, length + 1, dtype=np.int32)
        found.append(
            [
                Trials(group.hyperparameters, steps, *(losses[at] for losses in measured))
                for group, at in zip(groups, _places(groups), strict=True)
            ]
        )
    return Trained(initial_loss, found)


class Program:
    """The compiled functions for one task and some groups of R trials in all, on S seeds.

    State is parameters with two leading axes (R, S), and for each group its optimizer's states.
    """

    def __init__(self, task: Task, groups: tuple[Group, ...], interval: int):
        self._task, self._groups, self._interval = task, groups, interval
        options: dict[str, Any] = {}
        # Initializing runs once: optimizing that program would take longer than running it.
        quick: dict[str, Any] = {"xla_backend_optimization_level": 0}
        if jax.default_backend() != "cpu":
            # Trying out kernels takes longer than these trainings, and may choose others each time.
            options = quick = {"xla_gpu_autotune_level": 0, "xla_gpu_deterministic_ops": True}
        self.start = jax.jit(_exact(self._start), compiler_options=quick)
        self.advance = jax.jit(_exact(self._advance), compiler_options=options, donate_argnums=0)
        self.finish = jax.jit(_exact(self._finish), compiler_options=options)

    def _start(self, scalars: list[Scalars], seeds: jax.Array, total: jax.Array) -> tuple:
        initial = jax.vmap(lambda seed: self._task.init(initial_key(seed)))(seeds)
        count = sum(group.size for group in self._groups)
        params = jax.tree.map(
            lambda leaf: jnp.broadcast_to(leaf[None], (count, *leaf.shape)), initial
        )
        states = []
        for group, own, ours in zip(self._groups, scalars, self._split(params), strict=True):

            def begin(scalars: Scalars, params: Params, group: Group = group) -> Any:
                return self._optimizer(group, scalars, total).init(params)

            states.append(jax.vmap(jax.vmap(begin, (None, 0)))(own, ours))
        return params, states

    def _advance(
        self,
        state: tuple,
        scalars: list[Scalars],
        seeds: jax.Array,
        first: jax.Array,
        total: jax.Array,
    ) -> tuple[tuple, jax.Array, jax.Array]:
        """Some steps; the validation loss before and the mean training loss in them, (R, S)."""
        before = self._evaluate(state[0], split="validation")
        body = partial(self._step, scalars, seeds, total)
        counts = first + jnp.arange(self._interval, dtype=jnp.int32)
        state, losses = jax.lax.scan(body, state, counts)
        return state, before, jnp.mean(losses, axis=0)

    def _finish(self, params: Params) -> tuple[jax.Array, jax.Array]:
        """The final validation and test losses, (R, S)."""
        return self._evaluate(params, split="validation"), self._evaluate(params, split="test")

    def _step(
        self,
        scalars: list[Scalars],
        seeds: jax.Array,
        total: jax.Array,
        state: tuple,
        count: jax.Array,
    ) -> tuple[tuple, jax.Array]:
        params, states = state
        batches = jax.vmap(lambda seed: self._task.batch(step_key(seed, count)))(seeds)
        gradient = jax.vmap(jax.value_and_grad(self._task.loss))
        losses, gradients = _over_trials(lambda params: gradient(params, batches), params)
        parts = []
        for group, *args in zip(
            self._groups,
            scalars,
            *map(self._split, (params, gradients, losses)),
            states,
            strict=True,
        ):

            def update(
                scalars: Scalars,
                params: Params,
                gradient: Params,
                loss: jax.Array,
                state: Any,
                group: Group = group,
            ) -> tuple[Params, Any]:
                optimizer = self._optimizer(group, scalars, total)
                updates, state = optimizer.update(gradient, state, params, value=loss)
                return optax.apply_updates(params, updates), state

            parts.append(jax.vmap(jax.vmap(update, (None, 0, 0, 0, 0)))(*args))
        params = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *(new for new, _ in parts))
        return (params, [state for _, state in parts]), losses

    def _evaluate(self, params: Params, split: Any) -> jax.Array:
        return _over_trials(jax.vmap(lambda params: self._task.evaluate(params, split)), params)

    def _split(self, tree: Any) -> list[Any]:
        """The groups' parts of a tree whose leaves have the trials as first axis."""
        return [jax.tree.map(itemgetter(part), tree) for part in _places(self._groups)]

    def _optimizer(
        self, group: Group, scalars: Scalars, total: jax.Array
    ) -> optax.GradientTransformationExtraArgs:
        course = COURSES[group.schedule]
        rate = scalars["learning_rate"]
        others = {name: value for name, value in scalars.items() if name != "learning_rate"}
        optimizer = group.contender.build(lambda count: rate * course(count / total), **others)
        if self._task.delay:
            optimizer = optax.chain(delayed(self._task.delay), optimizer)
        return optax.with_extra_args_support(optimizer)


def _over_trials(function: Callable[[Params], Any], params: Params) -> Any:
    """A function of every trial's parameters.

    A GPU does all at once; on a CPU one trial after the other, with all its seeds, stays in cache.
    """
    if jax.default_backend() == "cpu":
        return jax.lax.map(function, params)
    return jax.vmap(function)(params)


def _places(groups: Sequence[Group]) -> list[slice]:
    """Where each group's trials are among all."""
    ends = np.cumsum([group.size for group in groups]).tolist()
    return [slice(end - group.size, end) for group, end in zip(groups, ends, strict=True)]


def _exact(function: Callable) -> Callable:
    """Products in full float32, so that a GPU gives a CPU's numbers."""

    def traced(*args: Any) -> Any:
        with jax.default_matmul_precision("float32"):
            return function(*args)

    return traced


def _parts(task: Task, groups: Sequence[Group], seeds: int) -> list[list[Group]]:
    """The groups, cut into as few parts as fit in memory; every part has trials of each."""
    size = tree_bytes(jax.eval_shape(task.init, jax.random.key(0)))
    count = sum(group.size for group in groups)
    needed = max(1, -(-count * seeds * size * 12 // int(_MEMORY)))
    parts = min(needed, min(group.size for group in groups))
    cut = [
        [
            dict(zip(group.hyperparameters, columns, strict=True))
            for columns in zip(
                *(np.array_split(v, parts) for v in group.hyperparameters.values()), strict=True
            )
        ]
        for group in groups
    ]
    return [
        [group._replace(hyperparameters=own[i]) for group, own in zip(groups, cut, strict=True)]
        for i in range(parts)
    ]


def _joined(parts: Sequence[Trials]) -> Trials:
    """Trials that were cut into parts, together again."""
    names = parts[0].hyperparameters
    return Trials(
        {name: np.concatenate([part.hyperparameters[name] for part in parts]) for name in names},
        parts[0].steps,
        *(np.concatenate(arrays) for arrays in zip(*(part[2:] for part in parts), strict=True)),
    )


def tree_bytes(tree: Any) -> int:
    """Bytes of a tree's arrays, or of arrays of such shapes."""
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))
