"""Which parameters are matrices, and how a method for matrices is run on a network.

Methods such as Muon or Shampoo are written for matrices of shape (rows, columns) = (outputs,
inputs), as papers write W x. `on_matrices` brings a network's parameters into that form: kernels of
convolutions and of attention become matrices, stacked layers become several, and what is no matrix
goes to another optimizer.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import optax
from optax import MaskedNode

from metaopt.baselines.shared.roles import MATRICES, Params, names_of, role_of
from metaopt.baselines.shared.trees import on_leaves


class MatrixAxes(NamedTuple):
    """Which axes of an array make up a matrix.

    Attributes:
      rows: axes of the outputs, fan-out: the first axis of a PyTorch weight, the last of flax's.
      columns: axes of the inputs, fan-in.

    Axes in neither count matrices: an array of shape (layers, inputs, outputs) with rows (2,) and
    columns (1,) is as many matrices as it has layers.
    """

    rows: tuple[int, ...]
    columns: tuple[int, ...]


AxesOf = Callable[[Params], Any]
"""parameters -> a tree of the same structure with a `MatrixAxes`, or None for what is no matrix."""

_PROJECTIONS = {"query", "key", "value"}


def flax_axes(params: Params) -> Any:
    """Matrices in flax's parameters, by the names that flax gives them.

    The last axis of a kernel is the outputs, all others are the inputs; attention's `query`, `key`
    and `value` have outputs (heads, size), and its `out` has inputs (heads, size). Embeddings,
    heads, vectors, scalars and empty arrays are no matrices (`shared.roles` tells them apart).
    """

    def axes(path: tuple[Any, ...], leaf: Any) -> MatrixAxes | None:
        if role_of(path, leaf) not in MATRICES:
            return None
        last = leaf.ndim - 1
        if leaf.ndim == 3 and _PROJECTIONS.intersection(names_of(path)):
            return MatrixAxes((1, 2), (0,))
        return MatrixAxes((last,), tuple(range(last)))

    return jax.tree_util.tree_map_with_path(axes, params)


def torch_axes(params: Params) -> Any:
    """Matrices in parameters laid out as PyTorch does: outputs first, all other axes inputs.

    Every array of two axes or more that is not empty is one.
    """

    def axes(leaf: Any) -> MatrixAxes | None:
        if leaf.ndim < 2 or leaf.size == 0:
            return None
        return MatrixAxes((0,), tuple(range(1, leaf.ndim)))

    return jax.tree.map(axes, params)


class MatricesState(NamedTuple):
    """State of `on_matrices`.

    Attributes:
      matrices: the matrix method's state, over a tuple of matrices.
      rest: the fallback's state, over a tree of everything else.
    """

    matrices: optax.OptState
    rest: optax.OptState


def on_matrices(
    method: optax.GradientTransformation,
    fallback: optax.GradientTransformation,
    matrix_axes: AxesOf = flax_axes,
) -> optax.GradientTransformationExtraArgs:
    """Run one method on a network's matrices and another on everything else.

    Args:
      method: sees a tuple of arrays of shape (rows, columns), the matrices in the order of the
        parameters, those of a stack one after another.
      fallback: sees the others as they are, and `optax.MaskedNode()` for matrices.
      matrix_axes: parameters -> which axes of each are rows and columns, None for the fallback.

    Raises:
      ValueError: a parameter's axes overlap, repeat or do not exist.
    """
    method = on_leaves(method)
    fallback = optax.with_extra_args_support(fallback)

    def init(params: Params) -> MatricesState:
        layout = _Layout(matrix_axes, params)
        return MatricesState(
            method.init(layout.matrices(params)), fallback.init(layout.rest(params))
        )

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, optax.OptState]:
        layout = _Layout(matrix_axes, updates if params is None else params)
        ours = None if params is None else layout.matrices(params)
        theirs = None if params is None else layout.rest(params)
        # Gradients may be narrower than what is trained, whose dtype states have.
        like = updates if params is None else params
        gradients = layout.matrices(optax.tree.cast_like(updates, like))
        matrices, ours = method.update(gradients, state.matrices, ours, **extra_args)
        rest, theirs = fallback.update(layout.rest(updates), state.rest, theirs, **extra_args)
        return layout.joined(matrices, rest, like), MatricesState(ours, theirs)

    return optax.GradientTransformationExtraArgs(init, update)


def matrix_optimizer(
    learning_rate: optax.ScalarOrSchedule,
    direction: optax.GradientTransformation,
    *,
    weight_decay: float = 0.0,
    fallback: optax.GradientTransformation | None = None,
    matrix_axes: AxesOf = flax_axes,
) -> optax.GradientTransformationExtraArgs:
    """An optimizer of a method for matrices: W <- W - learning_rate (direction + weight_decay W).

    Args:
      learning_rate: a number, a scalar array or a schedule.
      direction: the method, without its learning rate, on tuples of matrices as in `on_matrices`.
      weight_decay: decoupled, multiplied by the learning rate; of matrices.
      fallback: the optimizer of everything else, with its own learning rate; default: AdamW at
        `learning_rate`, with `weight_decay`.
      matrix_axes: see `on_matrices`.
    """
    if fallback is None:
        fallback = optax.adamw(learning_rate, weight_decay=weight_decay)
    method = optax.chain(
        direction,
        optax.add_decayed_weights(weight_decay),
        optax.scale_by_learning_rate(learning_rate),
    )
    return on_matrices(method, fallback, matrix_axes)


class _Layout:
    """Where a tree's matrices are."""

    def __init__(self, matrix_axes: AxesOf, params: Params):
        self._treedef = jax.tree.structure(params)
        axes = self._treedef.flatten_up_to(matrix_axes(params))
        shapes = [leaf.shape for leaf in jax.tree.leaves(params)]
        self._forms = [
            None if a is None else _Form.of(a, s) for a, s in zip(axes, shapes, strict=True)
        ]

    def matrices(self, tree: Any) -> Any:
        return self._map(
            lambda form, leaf: MaskedNode() if form is None else form.apart(leaf), tree
        )

    def rest(self, tree: Any) -> Any:
        return self._map(lambda form, leaf: leaf if form is None else MaskedNode(), tree)

    def joined(self, matrices: Any, rest: Any, like: Any) -> Any:
        """One tree of both, with the dtypes of `like`."""
        matrices, rest, like = map(self._treedef.flatten_up_to, (matrices, rest, like))
        leaves = [
            other if form is None else form.together(matrix).astype(leaf.dtype)
            for form, matrix, other, leaf in zip(self._forms, matrices, rest, like, strict=True)
        ]
        return jax.tree.unflatten(self._treedef, leaves)

    def _map(self, function: Callable[[Any, Any], Any], tree: Any) -> Any:
        leaves = self._treedef.flatten_up_to(tree)
        pairs = zip(self._forms, leaves, strict=True)
        return jax.tree.unflatten(self._treedef, [function(*pair) for pair in pairs])


class _Form(NamedTuple):
    """How an array becomes matrices and back."""

    order: tuple[int, ...]
    shape: tuple[int, ...]
    stacked: int | None
    matrix: tuple[int, int]

    @classmethod
    def of(cls, axes: MatrixAxes, shape: tuple[int, ...]) -> "_Form":
        count = len(shape)
        rows, columns = (tuple(a % count for a in part) for part in axes)
        named = rows + columns
        if len(set(named)) < len(named) or any(not -count <= a < count for a in sum(axes, ())):
            raise ValueError(
                f"matrix axes {axes} do not fit an array of shape {shape}: each of its axes may "
                "be named once, in rows or in columns"
            )
        stack = tuple(a for a in range(count) if a not in named)
        order = stack + named
        sizes = [math.prod(shape[a] for a in part) for part in (stack, rows, columns)]
        return cls(
            order,
            tuple(shape[a] for a in order),
            sizes[0] if stack else None,
            (sizes[1], sizes[2]),
        )

    def apart(self, leaf: jax.Array) -> Any:
        moved = leaf.transpose(self.order)
        if self.stacked is None:
            return moved.reshape(self.matrix)
        return list(moved.reshape(self.stacked, *self.matrix))

    def together(self, matrix: Any) -> jax.Array:
        if self.stacked is not None:
            matrix = jax.numpy.stack(matrix)
        inverse = sorted(range(len(self.order)), key=self.order.__getitem__)
        return matrix.reshape(self.shape).transpose(inverse)
