"""Residual networks, vision Transformers and Mixers: their parts are what the papers say."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tasks.attention import Block
from tasks.families.mixer import Mixer, MixerNet
from tasks.families.resnet import ResidualNet, ResNet
from tasks.families.vit import VisionTransformer, ViT, patch_shape, tokens

# Everything here runs once: optimizing the programs would take longer than running them.
quick_jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})

SMALL = (
    ResNet("mnist1d", channels=(4, 6), batch_size=4, norm="rms"),
    ViT("mnist1d", patch=4, width=8, heads=2, batch_size=4),
    Mixer("china_8_color", patch=4, layers=1, width=8, batch_size=4),
)
FAMILIES = (ResNet, ViT, Mixer)


def images(*shape):
    return jnp.asarray(np.random.default_rng(0).normal(size=shape), jnp.float32)


@pytest.mark.parametrize("config", SMALL, ids=lambda config: config.name)
def test_gradients_reach_every_parameter(config):
    task = config.build()

    @quick_jit
    def gradient(key):
        return jax.grad(task.loss)(task.init(key), task.batch(key))

    for path, leaf in jax.tree_util.tree_leaves_with_path(gradient(jax.random.key(0))):
        assert leaf.dtype == jnp.float32
        assert (leaf != 0).any(), f"no gradient reaches {jax.tree_util.keystr(path)}"


@pytest.mark.parametrize("family", FAMILIES)
def test_sampled_configurations_are_small_and_named_apart(family):
    generator = np.random.default_rng(0)
    configs = [family.sample(generator) for _ in range(200)]
    assert len({config.name for config in configs}) == len(set(configs))
    assert {config.dataset for config in configs} == {"digits", "china_8"}
    task = configs[0].build()
    shapes = jax.eval_shape(task.init, jax.random.key(0))
    assert 100 < sum(leaf.size for leaf in jax.tree.leaves(shapes)) < 30_000


def test_a_residual_net_of_plain_flax():
    net = ResidualNet((3, 4), 1, 5, "relu")
    inputs = images(2, 6, 6, 1)
    params = quick_jit(net.init)(jax.random.key(0), inputs)["params"]
    norms = iter(range(5))

    def conv(hidden, index, stride=1):
        kernel = params[f"Conv_{index}"]["kernel"]
        module = nn.Conv(kernel.shape[-1], kernel.shape[:2], (stride, stride))
        return module.apply({"params": params[f"Conv_{index}"]}, hidden)

    def activated(hidden):
        return nn.relu(nn.LayerNorm().apply({"params": params[f"LayerNorm_{next(norms)}"]}, hidden))

    hidden = conv(inputs, 0)
    hidden = hidden + conv(activated(conv(activated(hidden), 1)), 2)
    before = activated(hidden)
    hidden = conv(before, 3, 2) + conv(activated(conv(before, 4, 2)), 5)
    assert hidden.shape == (2, 3, 3, 4)
    pooled = activated(hidden).mean(axis=(1, 2))
    logits = nn.Dense(5).apply({"params": params["Dense_0"]}, pooled)
    np.testing.assert_allclose(net.apply({"params": params}, inputs), logits, rtol=1e-4, atol=1e-5)


def test_an_image_one_pixel_wide_has_flat_kernels_and_patches():
    shapes = jax.eval_shape(ResNet("mnist1d").build().init, jax.random.key(0))
    assert shapes["Conv_0"]["kernel"].shape == (3, 1, 1, 8)
    assert patch_shape(4, (9, 40, 1, 1)) == (4, 1)
    assert patch_shape(2, (9, 8, 8, 1)) == (2, 2)


def test_tokens_are_the_patches_row_by_row():
    pictures = images(2, 4, 6, 3)
    expected = [
        pictures[:, row : row + 2, column : column + 2].reshape((2, -1))
        for row in (0, 2)
        for column in (0, 2, 4)
    ]
    np.testing.assert_array_equal(tokens(pictures, (2, 2)), np.stack(expected, axis=1))


def test_attention_is_causal_or_ignores_the_order():
    stream = images(2, 5, 8)
    params = quick_jit(Block(2).init)(jax.random.key(0), stream)
    changed = stream.at[:, 3].add(1.0)

    def difference(causal):
        apply = quick_jit(Block(2, causal).apply)
        return np.abs(apply(params, changed) - apply(params, stream)).max(axis=(0, 2))

    assert (difference(causal=True)[:3] == 0).all()
    assert (difference(causal=True)[3:] > 0).all()
    assert (difference(causal=False) > 0).all()
    order, block = np.array([4, 2, 0, 1, 3]), Block(2, causal=False)
    np.testing.assert_allclose(
        block.apply(params, stream[:, order]), block.apply(params, stream)[:, order], atol=1e-5
    )


@pytest.mark.parametrize(
    "net", [VisionTransformer((2, 2), 1, 8, 2, 3), MixerNet((2, 2), 1, 8, 4, 8, 3)], ids=type
)
def test_the_place_of_a_patch_matters(net):
    inputs = images(1, 4, 4, 1)
    moved = jnp.roll(inputs, 2, axis=1)
    params = quick_jit(net.init)(jax.random.key(0), inputs)
    apply = quick_jit(net.apply)
    assert np.abs(apply(params, inputs) - apply(params, moved)).max() > 1e-6


@pytest.mark.parametrize(
    ("family", "wrong"),
    [
        (ResNet, {"dataset": "wine"}),
        (ResNet, {"channels": ()}),
        (ResNet, {"blocks": 0}),
        (ResNet, {"norm": "batch"}),
        (ViT, {"dataset": "wine"}),
        (ViT, {"heads": 5}),
        (Mixer, {"dataset": "wine"}),
    ],
)
def test_wrong_configurations_are_errors(family, wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong.values()))}".replace("()", r"\(\)")):
        family(**wrong)


@pytest.mark.parametrize("family", [ViT, Mixer])
@pytest.mark.parametrize("patch", [0, 3, 16])
def test_patches_must_fill_the_image(family, patch):
    with pytest.raises(ValueError, match="8x8 pixels"):
        family(patch=patch).build()
