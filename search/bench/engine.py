"""All trials of a task in one compiled program: every optimizer, learning rate and seed at once.

Trainings of one task differ only in numbers, so they are one batched program: trials on the first
axis, seeds on the second. Trials share their seeds' initial parameters and batches, so comparisons
are paired, and batches are drawn once a seed. The program runs a few steps and measures; the total
length is an argument, so that every length of training shares it.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from metaopt.baselines.memory import tree_bytes
from search.bench.contenders import Contender
from search.bench.results import Trials
from search.bench.unfinished import Unfinished
from search.machine import gpu_options
from search.training import COURSES, initial_key, step_key
from tasks import SPLITS, Params, Split, Task
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
    unfinished: Path | None = None,
) -> Trained:
    """Train every trial with every seed.

    Args:
      task: what to train.
      groups: the trials.
      seeds: each fixes initial parameters and batches.
      interval: steps between measurements.
      points: lengths of training, in intervals.
      stop: asked between intervals whether to give up.
      unfinished: a folder that keeps trainings under way, and from which they are gone on with.

    Raises:
      Stopped: `stop` said so.
    """
    parts = _parts(task, groups, len(seeds))
    found = [
        _train(
            task,
            list(part.values()),
            seeds=seeds,
            interval=interval,
            points=points,
            stop=stop,
            unfinished=unfinished and unfinished / f"part_{number}",
        )
        for number, part in enumerate(parts)
    ]
    joined = []
    for lengths in zip(*(trained.lengths for trained in found), strict=True):
        pieces: list[list[Trials]] = [[] for _ in groups]
        for part, trials in zip(parts, lengths, strict=True):
            for place, own in zip(part, trials, strict=True):
                pieces[place].append(own)
        joined.append([_joined(own) for own in pieces])
    return Trained(found[0].initial_loss, joined)


def _train(
    task: Task,
    groups: Sequence[Group],
    *,
    seeds: Sequence[int],
    interval: int,
    points: Sequence[int],
    stop: Callable[[], bool],
    unfinished: Path | None,
) -> Trained:
    timed = any(group.contender.timed == "int" for group in groups)
    programs = cache(partial(Program, task, tuple(groups), interval))
    initial_loss, found = np.nan, []
    for length in points:
        # One for all lengths, unless an optimizer has to know how long it trains.
        program = programs(length * interval if timed else None)
        file = Unfinished(unfinished and unfinished / f"length_{length}.npz")
        course = _run(program, seeds, length, file, stop)
        validation = np.stack(course.validation, axis=-1)
        initial_loss = float(np.mean(validation[..., 0]))
        test = np.asarray(program.test(course.state[0]))
        measured = (np.stack(course.training, axis=-1), validation[..., 1:], test)
        steps = interval * np.arange(1, length + 1, dtype=np.int32)
        found.append(
            [
                Trials(group.hyperparameters, steps, *(losses[at] for losses in measured))
                for group, at in zip(groups, _places(groups), strict=True)
            ]
        )
    return Trained(initial_loss, found)


class _Course(NamedTuple):
    """How far the trainings of one length are.

    Attributes:
      state: the program's.
      done: int (), intervals trained.
      training: mean training loss in each interval, (R, S); NaN in those to come.
      validation: validation loss before each interval and at the end, likewise.
    """

    state: Any
    done: np.ndarray
    training: list[Any]
    validation: list[Any]


def _run(
    program: "Program",
    seeds: Sequence[int],
    length: int,
    file: Unfinished,
    stop: Callable[[], bool],
) -> _Course:
    """Train for some intervals, from where the file says that the trainings are."""
    which, total = jnp.asarray(seeds, jnp.int32), jnp.float32(length * program.interval)
    state = program.start(which, total)
    unknown = np.full((program.size, len(seeds)), np.nan, np.float32)
    validation = [program.validation(state[0])] + [unknown] * length
    course = file.load(_Course(state, np.array(0), [unknown] * length, validation))
    begun = int(course.done)
    for k in range(begun, length):
        stopped = stop()
        if k > begun and (stopped or file.due()):
            file.keep(course)
        if stopped:
            raise Stopped
        state, course.training[k] = program.advance(course.state, which, k, total)
        course.validation[k + 1] = program.validation(state[0])
        course = course._replace(state=state, done=np.array(k + 1))
    return course


class Program:
    """The compiled functions for one task and some groups of R trials in all, on S seeds.

    State is parameters with two leading axes (R, S), and for each group its optimizer's states.
    """

    def __init__(
        self, task: Task, groups: tuple[Group, ...], interval: int, num_steps: int | None = None
    ):
        self._task, self._groups, self._num_steps = task, groups, num_steps
        self._scalars = [group.scalars() for group in groups]
        self.interval, self.size = interval, sum(group.size for group in groups)
        self._host = jax.local_devices(backend="cpu")[0]
        # LLVM's further levels take a quarter longer, and the programs are no faster.
        options: dict[str, Any] = {"xla_backend_optimization_level": 1}
        if jax.default_backend() != "cpu":
            options = gpu_options()
        # Initializing runs once: optimizing that program would take longer than running it, and
        # compiling it for a GPU several times as long as for a CPU.
        quick: dict[str, Any] = {"xla_backend_optimization_level": 0}
        self._started = jax.jit(_exact(self._begin), compiler_options=quick)
        self._advanced = jax.jit(_exact(self._advance), compiler_options=options, donate_argnums=0)
        self.validation, self.test = (
            jax.jit(_exact(partial(self._evaluate, split)), compiler_options=options)
            for split in SPLITS
        )

    def start(self, seeds: jax.Array, total: jax.Array) -> tuple:
        """The state before any step of trainings of `total` steps."""
        state = self._started(*jax.device_put((self._scalars, seeds, total), self._host))
        return jax.device_put(state, jax.devices()[0])

    def advance(
        self, state: tuple, seeds: jax.Array, number: int, total: jax.Array
    ) -> tuple[tuple, jax.Array]:
        """The state after one more interval, from 0, and the mean training loss in it, (R, S)."""
        first = jnp.int32(number * self.interval)
        return self._advanced(state, self._scalars, seeds, first, total)

    def _begin(self, scalars: list[Scalars], seeds: jax.Array, total: jax.Array) -> tuple:
        initial = jax.vmap(lambda seed: self._task.init(initial_key(seed)))(seeds)
        params = jax.tree.map(
            lambda leaf: jnp.broadcast_to(leaf[None], (self.size, *leaf.shape)), initial
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
    ) -> tuple[tuple, jax.Array]:
        body = partial(self._step, scalars, seeds, total)
        counts = first + jnp.arange(self.interval, dtype=jnp.int32)
        state, losses = jax.lax.scan(body, state, counts)
        return state, jnp.mean(losses, axis=0)

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

    def _evaluate(self, split: Split, params: Params) -> jax.Array:
        """The loss on held-out data, (R, S)."""
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
        num_steps = self._num_steps if group.contender.timed == "int" else total
        optimizer = group.contender.optimizer(
            lambda count: rate * course(count / total), num_steps, **others
        )
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


def _parts(task: Task, groups: Sequence[Group], seeds: int) -> list[dict[int, Group]]:
    """The groups by their place, cut into as few parts as fit in memory.

    The first part has trials of each group, the others of those that have enough of them.
    """
    size = tree_bytes(jax.eval_shape(task.init, jax.random.key(0)))
    total = sum(group.size for group in groups)
    needed = max(1, -(-total * seeds * size * 12 // int(_MEMORY)))
    count = min(needed, max(group.size for group in groups))
    parts: list[dict[int, Group]] = [{} for _ in range(count)]
    for place, group in enumerate(groups):
        for part, own in zip(parts, np.array_split(np.arange(group.size), count), strict=True):
            if len(own):
                few = {name: values[own] for name, values in group.hyperparameters.items()}
                part[place] = group._replace(hyperparameters=few)
    return parts


def _joined(parts: Sequence[Trials]) -> Trials:
    """Trials that were cut into parts, together again."""
    names = parts[0].hyperparameters
    return Trials(
        {name: np.concatenate([part.hyperparameters[name] for part in parts]) for name in names},
        parts[0].steps,
        *(np.concatenate(arrays) for arrays in zip(*(part[2:] for part in parts), strict=True)),
    )
