"""Variations of a task: the same problem in other units, noisier, staler, coarser.

An optimizer meta-trained on a few data sets overfits to how their networks happen to be scaled;
VeLO varied its tasks in these ways. Each function takes a task and gives a task; numbers may be
traced, so that `jax.vmap` over them trains a batch of variations in one program. `Augmented` is the
configuration that a suite names.

Reference: Metz et al., "VeLO: training versatile learned optimizers by scaling up", 2022
(arXiv 2211.09760), appendix on task augmentation.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np
import optax

from tasks.base import Batch, Params, Split, Task, TaskConfig
from tasks.sampling import chance, choice, log_uniform, log_uniform_int

Level = Literal["none", "global", "tensor", "parameter"]
LossTransform = Literal["none", "log", "half", "double"]

TRANSFORMS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "log": jnp.log1p,
    "half": lambda loss: 0.5 * loss,
    "double": lambda loss: 2.0 * loss,
}
"""Increasing functions that a training loss may pass; held-out losses never do."""


def reparametrized(task: Task, scales: Params) -> Task:
    """The task in other units: parameters v stand for w = s v, and start at w0 / s.

    A gradient is s times as large and a step of the same size moves w s times as far, which no
    adaptive method without a learning rate for each tensor undoes altogether.

    Args:
      task: any task.
      scales: s > 0, a tree like the parameters, of arrays of the parameters' shapes or scalars.
    """

    def original(params: Params) -> Params:
        return jax.tree.map(lambda v, s: v * jnp.broadcast_to(s, v.shape), params, scales)

    def init(key: jax.Array) -> Params:
        return jax.tree.map(lambda w, s: w / jnp.broadcast_to(s, w.shape), task.init(key), scales)

    return replace(_seen_through(task, original), init=init)


def random_scales(key: jax.Array, task: Task, level: Level, spread: jax.Array | float) -> Params:
    """Scales for `reparametrized`, log-uniform in [1 / spread, spread].

    One for all (`global`), one for each tensor, or one for each parameter.
    """
    shapes = jax.eval_shape(task.init, jax.random.key(0))
    leaves, tree = jax.tree.flatten(shapes)
    exponents = {
        "none": lambda: [jnp.float32(0.0)] * len(leaves),
        "global": lambda: [_symmetric(key, ())] * len(leaves),
        "tensor": lambda: list(_symmetric(key, (len(leaves),))),
        "parameter": lambda: [
            _symmetric(jax.random.fold_in(key, i), leaf.shape) for i, leaf in enumerate(leaves)
        ],
    }[level]()
    return jax.tree.unflatten(tree, [jnp.exp(e * jnp.log(spread)) for e in exponents])


def _symmetric(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    return jax.random.uniform(key, shape, jnp.float32, -1.0, 1.0)


class _Noisy(NamedTuple):
    """A batch, and what the noise of its gradient is drawn from: the data of a key."""

    batch: Batch
    noise: jax.Array


def noisy(task: Task, deviation: jax.Array | float) -> Task:
    """The task with Gaussian noise on every gradient.

    The loss gains the term e . (w - stop_gradient(w)), e ~ N(0, deviation^2), which is 0 and has
    the gradient e.
    """

    def batch(key: jax.Array) -> Batch:
        return _Noisy(task.batch(key), jax.random.key_data(jax.random.fold_in(key, 1)))

    def loss(params: Params, batch: Batch) -> jax.Array:
        key = jax.random.wrap_key_data(batch.noise)
        leaves = jax.tree.leaves(params)
        terms = [
            jnp.sum(
                jax.random.normal(jax.random.fold_in(key, i), w.shape, w.dtype) * (w - _fixed(w))
            )
            for i, w in enumerate(leaves)
        ]
        return task.loss(params, batch.batch) + deviation * sum(terms)

    return replace(task, batch=batch, loss=loss)


_fixed = jax.lax.stop_gradient


def coarse(task: Task) -> Task:
    """The task with parameters and inputs rounded to bfloat16 where the training loss meets them.

    Products of such numbers are then bfloat16 as well; the loss and its gradient come out as
    float32. Held-out losses are computed as before.
    """

    def loss(params: Params, batch: Batch) -> jax.Array:
        return task.loss(_rounded(params), _rounded(batch)).astype(jnp.float32)

    return replace(task, loss=loss)


def _rounded(tree: Any) -> Any:
    return jax.tree.map(lambda x: x.astype(jnp.bfloat16) if x.dtype == jnp.float32 else x, tree)


def on_spheres(task: Task) -> Task:
    """The task with the norm of every matrix fixed: w = sqrt(outputs) v / |v|.

    The norm is the one that a matrix with N(0, 1 / inputs) entries has on average; vectors and
    scalars stay free. Gradients are tangent to the sphere, and the scale of v changes nothing
    but the size of a step (Salimans and Kingma, "Weight normalization", arXiv 1602.07868, without
    its gains).
    """

    def projected(v: jax.Array) -> jax.Array:
        if v.ndim < 2:
            return v
        return v * (math.sqrt(v.shape[-1]) * jax.lax.rsqrt(jnp.sum(v * v) + 1e-12))

    return _seen_through(task, lambda params: jax.tree.map(projected, params))


def with_loss(task: Task, transform: LossTransform) -> Task:
    """The task whose training loss passes an increasing function of `TRANSFORMS`."""
    function = TRANSFORMS[transform]
    return replace(task, loss=lambda params, batch: function(task.loss(params, batch)))


def _seen_through(task: Task, original: Callable[[Params], Params]) -> Task:
    """The task of parameters that `original` maps to those of `task`."""

    def evaluate(params: Params, split: Split) -> jax.Array:
        return task.evaluate(original(params), split)

    def accuracy(params: Params, split: Split) -> jax.Array:
        assert task.accuracy is not None
        return task.accuracy(original(params), split)

    return replace(
        task,
        loss=lambda params, batch: task.loss(original(params), batch),
        evaluate=evaluate,
        accuracy=None if task.accuracy is None else accuracy,
    )


# ---------------------------------------------------------------- late gradients


class DelayedState(NamedTuple):
    """Gradients that are on their way: leaves (steps, *shape), and the number of those seen."""

    queue: Any
    seen: jax.Array


def delayed(steps: int) -> optax.GradientTransformation:
    """Gradients that arrive some steps late, zeros before the first, as in asynchronous training.

    Whoever trains a task puts it before the optimizer: `optax.chain(delayed(task.delay), ...)`.
    """

    def init(params: Params) -> DelayedState:
        queue = jax.tree.map(lambda w: jnp.zeros((steps, *w.shape), w.dtype), params)
        return DelayedState(queue, jnp.zeros((), jnp.int32))

    def update(updates: Params, state: Any, params: Params = None) -> tuple[Params, Any]:
        del params
        place = state.seen % max(1, steps)
        due = jax.tree.map(lambda q: q[place], state.queue) if steps else updates
        queue = jax.tree.map(lambda q, g: q.at[place].set(g) if steps else q, state.queue, updates)
        return due, DelayedState(queue, state.seen + 1)

    return optax.GradientTransformation(init, update)


# ---------------------------------------------------------------- the configuration


@dataclass(frozen=True)
class Augmented:
    """A variation of a configured task; what is left at its default changes nothing.

    Attributes:
      base: the configuration of the task itself.
      level: what has a scale of its own in `reparametrized`: nothing, all parameters together, each
        tensor, each parameter.
      spread: scales are log-uniform in [1 / spread, spread].
      seed: fixes the scales.
      noise: deviation of the noise on gradients.
      delay: steps by which gradients are late.
      bfloat16: whether the training loss is computed in bfloat16.
      spheres: whether matrices have a fixed norm.
      transform: what the training loss passes.

    Raises:
      ValueError: for a value without meaning.
    """

    base: TaskConfig
    level: Level = "none"
    spread: float = 1.0
    seed: int = 0
    noise: float = 0.0
    delay: int = 0
    bfloat16: bool = False
    spheres: bool = False
    transform: LossTransform = "none"

    def __post_init__(self) -> None:
        for field, kind in (("level", Level), ("transform", LossTransform)):
            if getattr(self, field) not in get_args(kind):
                choices = ", ".join(get_args(kind))
                raise ValueError(f"Augmented: {field} {getattr(self, field)!r}; one of {choices}")
        if self.delay < 0 or self.seed < 0:
            raise ValueError("Augmented: delay and seed must not be negative")
        if not (1 <= self.spread < math.inf and 0 <= self.noise < math.inf):
            raise ValueError(
                f"Augmented: spread {self.spread} must be at least 1, and noise {self.noise} at "
                "least 0; both finite"
            )

    @property
    def name(self) -> str:
        parts = [
            f"{self.level}{self.spread:g}s{self.seed}" if self.level != "none" else "",
            f"noise{self.noise:g}" if self.noise else "",
            f"delay{self.delay}" if self.delay else "",
            "bfloat16" if self.bfloat16 else "",
            "spheres" if self.spheres else "",
            f"{self.transform}loss" if self.transform != "none" else "",
        ]
        return "__".join([self.base.name, *filter(None, parts)])

    @property
    def is_one(self) -> bool:
        """Whether anything is varied."""
        return self != Augmented(self.base)

    def build(self) -> Task:
        task = self.base.build()
        if self.bfloat16:
            task = coarse(task)
        if self.spheres:
            task = on_spheres(task)
        if self.transform != "none":
            task = with_loss(task, self.transform)
        if self.level != "none":
            scales = random_scales(jax.random.key(self.seed), task, self.level, self.spread)
            task = reparametrized(task, scales)
        if self.noise:
            task = noisy(task, self.noise)
        return replace(task, name=self.name, delay=self.delay)


def varied(generator: np.random.Generator, base: TaskConfig) -> Augmented:
    """A random variation of a configuration, at rates near those of VeLO."""
    level: Level = choice(generator, ("none", "none", "global", "tensor", "tensor", "parameter"))
    if chance(generator, 0.2) and any(field.name == "batch_size" for field in fields(base)):  # type: ignore[arg-type]
        size = log_uniform_int(generator, 1, base.batch_size)  # type: ignore[attr-defined]
        base = replace(base, batch_size=size)  # type: ignore[type-var]
    return Augmented(
        base,
        level=level,
        spread=1.0 if level == "none" else choice(generator, (10.0, 100.0, 1000.0)),
        seed=log_uniform_int(generator, 1, 10_000) if level != "none" else 0,
        noise=log_uniform(generator, 1e-3, 0.1) if chance(generator, 0.1) else 0.0,
        delay=log_uniform_int(generator, 1, 8) if chance(generator, 0.05) else 0,
        bfloat16=chance(generator, 0.1),
        spheres=chance(generator, 0.05),
        transform=choice(generator, ("log", "half", "double"))
        if chance(generator, 0.1)
        else "none",
    )
