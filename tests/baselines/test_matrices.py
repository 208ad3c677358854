"""Which parameters are matrices, what each parameter is, and methods for matrices on networks."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn

from metaopt.baselines.shared.matrices import (
    MatrixAxes,
    flax_axes,
    matrix_optimizer,
    on_matrices,
    torch_axes,
)
from metaopt.baselines.shared.roles import flax_roles, role_of


class Network(nn.Module):
    """A small network with everything that flax names."""

    @nn.compact
    def __call__(self, tokens, image):
        x = nn.Embed(7, 8)(tokens) + self.param("positions", nn.initializers.ones, (5, 8))
        x = nn.LayerNorm()(nn.MultiHeadDotProductAttention(2)(x, x))
        image = nn.Conv(8, (3, 3))(image).mean((1, 2))
        return nn.Dense(4, name="head")(nn.relu(nn.Dense(6)(x.mean(1) + image)))


@pytest.fixture(scope="module")
def params():
    tokens, image = jnp.zeros((2, 5), jnp.int32), jnp.zeros((2, 4, 4, 3))
    with jax.numpy_rank_promotion("allow"):  # flax's own LayerNorm broadcasts
        variables = jax.eval_shape(Network().init, jax.random.key(0), tokens, image)
    draw = np.random.default_rng(0)
    return jax.tree.map(lambda leaf: jnp.asarray(draw.normal(size=leaf.shape)), variables)["params"]


def test_roles_of_a_flax_network(params):
    roles = flax_roles(params)
    assert roles["Embed_0"]["embedding"] == roles["positions"] == "embedding"
    attention = roles["MultiHeadDotProductAttention_0"]
    assert {m: attention[m]["kernel"] for m in attention} == {
        "query": "query_key",
        "key": "query_key",
        "value": "value_output",
        "out": "value_output",
    }
    assert attention["query"]["bias"] == "vector"
    assert roles["LayerNorm_0"] == {"scale": "norm", "bias": "norm"}
    assert roles["Conv_0"] == roles["Dense_0"] == {"kernel": "hidden", "bias": "vector"}
    assert roles["head"] == {"kernel": "head", "bias": "vector"}


@pytest.mark.parametrize(
    ("path", "shape", "role"),
    [
        ("attention_heads/query/kernel", (8, 2, 4), "query_key"),
        ("multi_head_attention/out/kernel", (2, 4, 8), "value_output"),
        ("overhead_proj/kernel", (8, 8), "hidden"),
        ("header/kernel", (8, 8), "hidden"),
        ("lm_head/kernel", (8, 5), "head"),
        ("LMHead_0/kernel", (8, 5), "head"),
        ("pos_embedding", (1, 5, 8), "embedding"),
        ("cls", (1, 1, 8), "embedding"),
        ("rel_pos_bias", (3, 3, 2), "embedding"),
        ("tok_embeddings/weight", (7, 8), "embedding"),
        ("time_embed/kernel", (8, 8), "hidden"),
        ("LayerNorm_0/scale", (1, 1, 8), "norm"),
        ("PreNorm_0/Dense_0/kernel", (8, 8), "hidden"),
    ],
)
def test_roles_go_by_whole_words(path, shape, role):
    names = tuple(jax.tree_util.DictKey(name) for name in path.split("/"))
    leaf = jax.ShapeDtypeStruct(shape, jnp.float32)
    assert role_of(names, leaf) == role
    # As `nnx.Optimizer` shows parameters to `init`.
    assert role_of((*names, jax.tree_util.GetAttrKey("value")), leaf) == role


def test_matrices_of_a_flax_network(params):
    axes = flax_axes(params)
    attention = axes["MultiHeadDotProductAttention_0"]
    assert attention["query"]["kernel"] == MatrixAxes((1, 2), (0,))
    assert attention["out"]["kernel"] == MatrixAxes((2,), (0, 1))
    assert axes["Conv_0"]["kernel"] == MatrixAxes((3,), (0, 1, 2))
    assert axes["Dense_0"]["kernel"] == MatrixAxes((1,), (0,))
    assert axes["positions"] is axes["head"]["kernel"] is axes["Dense_0"]["bias"] is None


def _seen(shapes):
    """A transformation that notes the shapes it is given, and triples the updates."""

    def update(updates, state, params=None):
        del params
        shapes.append(jax.tree.map(lambda leaf: leaf.shape, updates))
        return jax.tree.map(lambda leaf: 3 * leaf, updates), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


def test_a_method_sees_matrices_and_the_fallback_everything_else(params):
    ours, theirs = [], []
    optimizer = on_matrices(_seen(ours), _seen(theirs))
    updates, _ = optimizer.update(params, optimizer.init(params), params)
    for a, b in zip(jax.tree.leaves(updates), jax.tree.leaves(params), strict=True):
        np.testing.assert_array_equal(a, 3 * b)
    (ours,), (theirs,) = ours, theirs
    # In the order of names: Conv_0, as (outputs, inputs), Dense_0, then attention's four.
    assert ours == ((8, 27), (6, 8), *[(8, 8)] * 4)
    assert theirs["head"]["kernel"] == (6, 4)
    assert theirs["Conv_0"] == {"kernel": optax.MaskedNode(), "bias": (8,)}


def _transposing():
    """Turns each matrix's rows around, so that a wrong layout shows."""
    return optax.stateless(lambda updates, _: jax.tree.map(lambda x: x[::-1], updates))


@pytest.mark.parametrize(
    ("axes", "expected"),
    [
        (MatrixAxes((2,), (0, 1)), lambda x: x[..., ::-1]),
        (MatrixAxes((0,), (1, 2)), lambda x: x[::-1]),
        (MatrixAxes((1, 2), (0,)), lambda x: x[:, ::-1, ::-1]),
        (MatrixAxes((-1,), (1,)), lambda x: x[..., ::-1]),  # a stack along axis 0
        (MatrixAxes((1,), (0,)), lambda x: x[:, ::-1]),  # a stack along axis 2
    ],
)
def test_arrays_come_back_as_they_were_laid_out(axes, expected):
    x = jnp.arange(24.0).reshape(2, 3, 4)
    optimizer = on_matrices(_transposing(), optax.identity(), lambda params: {"x": axes})
    found, _ = optimizer.update({"x": x}, optimizer.init({"x": x}))
    np.testing.assert_array_equal(found["x"], expected(x))


def test_a_stack_is_as_many_matrices():
    shapes = []
    axes = {"x": MatrixAxes((2,), (1,))}
    optimizer = on_matrices(_seen(shapes), optax.identity(), lambda params: axes)
    x = {"x": jnp.ones((3, 4, 5))}
    optimizer.update(x, optimizer.init(x))
    assert shapes == [((5, 4),) * 3]


@pytest.mark.parametrize("axes", [((0,), (0,)), ((0, 0), (1,)), ((2,), (0,)), ((0,), (-3,))])
def test_axes_that_do_not_fit_are_refused(axes):
    optimizer = on_matrices(
        optax.identity(), optax.identity(), lambda params: {"x": MatrixAxes(*axes)}
    )
    with pytest.raises(ValueError, match=r"do not fit an array of shape \(2, 3\)"):
        optimizer.init({"x": jnp.ones((2, 3))})


def test_torch_lays_outputs_first():
    shapes = {"w": jnp.ones((2, 3)), "c": jnp.ones((4, 3, 2, 2)), "b": jnp.ones(2)}
    axes = torch_axes(shapes)
    assert axes == {"w": MatrixAxes((0,), (1,)), "c": MatrixAxes((0,), (1, 2, 3)), "b": None}


def test_the_default_fallback_is_adamw_at_the_same_rate():
    params = {"w": jnp.ones((2, 3)), "b": jnp.ones(2)}
    optimizer = matrix_optimizer(0.1, optax.identity(), weight_decay=0.5)
    updates, _ = optimizer.update(params, optimizer.init(params), params)
    adamw = optax.adamw(0.1, weight_decay=0.5)
    expected, _ = adamw.update(params, adamw.init(params), params)
    np.testing.assert_allclose(updates["b"], expected["b"])
    np.testing.assert_allclose(updates["w"], -0.1 * 1.5, rtol=1e-6)
