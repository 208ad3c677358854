"""Autoencoders, variational autoencoders, diffusion: known optima, and independent formulas."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats

from tasks import data
from tasks.families import autoencoder, diffusion, vae
from tasks.families.autoencoder import Autoencoder
from tasks.families.diffusion import Diffusion
from tasks.families.vae import VAE
from tasks.unlabelled import flattened, intensities, mean_logits

# Everything here runs once: optimizing the programs would take longer than running them.
quick_jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})

SMALL = (
    Autoencoder(),
    Autoencoder("mnist1d", (8,), 2, loss="bernoulli", masked=0.3, batch_size=4),
    VAE(),
    VAE("flower_8", (8,), 2, likelihood="gaussian", batch_size=4),
    Diffusion(),
    Diffusion("spiral", (8, 8), batch_size=4, schedule="linear"),
)
FAMILIES = (Autoencoder, VAE, Diffusion)


def digits():
    return flattened(data.labelled("digits"))


@pytest.mark.parametrize("config", SMALL[1::2], ids=lambda config: config.name)
def test_gradients_reach_every_tensor(config):
    task = config.build()

    @quick_jit
    def gradient(key):
        return jax.grad(task.loss)(task.init(key), task.batch(key))

    for leaf in jax.tree.leaves(gradient(jax.random.key(0))):
        assert leaf.dtype == jnp.float32
        assert (leaf != 0).any()


@pytest.mark.parametrize("config", SMALL, ids=lambda config: config.name)
def test_saying_the_trivial_thing_costs_the_trivial_loss(config):
    task = config.build()
    shapes = jax.eval_shape(task.init, jax.random.key(0))
    params = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    if not isinstance(config, Diffusion):
        vectors = flattened(data.labelled(config.dataset))
        if isinstance(config, VAE) and config.likelihood == "bernoulli":
            trivial = mean_logits(vectors.train > vectors.train.mean())
        elif isinstance(config, Autoencoder) and config.loss == "bernoulli":
            trivial = mean_logits(intensities(vectors).train)
        else:
            trivial = vectors.train.mean(axis=0)
        decoder = params["decoder"]
        decoder[max(decoder)]["bias"] = jnp.asarray(trivial, jnp.float32)
    loss = quick_jit(lambda params: task.evaluate(params, "validation"))(params)
    assert float(loss) == pytest.approx(task.trivial_loss, rel=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_sampled_configurations_are_small_and_named_apart(family):
    generator = np.random.default_rng(0)
    configs = [family.sample(generator) for _ in range(200)]
    assert len({config.name for config in configs}) == len(set(configs))
    assert {"mnist1d", "flower_8", "spiral"}.isdisjoint(config.dataset for config in configs)
    task = configs[0].build()
    shapes = jax.eval_shape(task.init, jax.random.key(0))
    assert 100 < sum(leaf.size for leaf in jax.tree.leaves(shapes)) < 30_000


# ---------------------------------------------------------------- autoencoders


def test_a_linear_autoencoder_at_the_principal_components():
    """On the training data no linear code is better than that of the leading components."""
    train, validation, _ = digits()
    mean = train.mean(axis=0)
    components = np.linalg.svd(train - mean, full_matrices=False)[2][:5].T
    params = {
        "encoder": {"Dense_0": {"kernel": components, "bias": -mean @ components}},
        "decoder": {"Dense_0": {"kernel": components.T, "bias": mean}},
    }
    rest = (validation - mean) - (validation - mean) @ components @ components.T
    task = Autoencoder(widths=(), code=5).build()
    assert float(task.evaluate(params, "validation")) == pytest.approx((rest**2).mean(), rel=1e-4)
    batch = autoencoder.Examples(jnp.asarray(train), jnp.asarray(train))
    gradient = quick_jit(jax.grad(task.loss))(params, batch)
    assert max(np.abs(leaf).max() for leaf in jax.tree.leaves(gradient)) < 1e-5


def test_the_log_loss_is_a_divergence():
    generator = np.random.default_rng(0)
    targets = generator.random((6, 3)).astype(np.float32)
    targets[0] = [0.0, 1.0, 0.5]
    outputs = generator.normal(size=(6, 3)).astype(np.float32)
    p = scipy.special.expit(outputs.astype(np.float64))
    expected = scipy.special.rel_entr(targets, p) + scipy.special.rel_entr(1 - targets, 1 - p)
    loss = autoencoder.reconstruction_loss(jnp.asarray(outputs), jnp.asarray(targets), "bernoulli")
    assert float(loss) == pytest.approx(expected.mean(), rel=1e-5)
    perfect = scipy.special.logit(np.clip(targets, 1e-7, 1 - 1e-6))
    loss = autoencoder.reconstruction_loss(jnp.asarray(perfect), jnp.asarray(targets), "bernoulli")
    assert float(loss) == pytest.approx(0, abs=1e-6)


def test_masked_pixels_are_missing_from_the_input_only():
    batch = Autoencoder(batch_size=512, masked=0.3).build().batch(jax.random.key(0))
    missing = np.asarray(batch.inputs != batch.labels)
    assert (np.asarray(batch.inputs)[missing] == 0).all()
    assert missing.mean() == pytest.approx(0.3, abs=0.02)
    train = {row.tobytes() for row in digits().train}
    assert all(row.tobytes() in train for row in np.asarray(batch.labels))


def test_intensities():
    train, validation, test = intensities(digits())
    assert (train.min(), train.max()) == (0, 1)
    assert 0 <= min(validation.min(), test.min()) <= max(validation.max(), test.max()) <= 1
    np.testing.assert_allclose(train * 16, np.rint(train * 16), atol=1e-4)


# ---------------------------------------------------------------- variational autoencoders


def test_the_divergence_of_codes_by_integration():
    mean, log_variance = np.array([0.7, -0.2]), np.array([-1.0, 0.4])
    z = np.linspace(-12, 12, 200_001)[:, None]
    q = scipy.stats.norm(mean, np.exp(log_variance / 2))
    kl = np.trapezoid(q.pdf(z) * (q.logpdf(z) - scipy.stats.norm.logpdf(z)), z, axis=0).sum()
    ours = vae.divergence(jnp.asarray(mean, jnp.float32), jnp.asarray(log_variance, jnp.float32))
    assert float(ours) == pytest.approx(kl, rel=1e-5)


def test_the_likelihoods_are_densities_that_never_exceed_one():
    outputs, images = np.array([0.3, -1.0], np.float32), np.array([1.0, 0.0], np.float32)
    gaussian = -scipy.stats.norm.logpdf(images, outputs, (2 * np.pi) ** -0.5)
    bernoulli = -scipy.stats.bernoulli.logpmf(images, scipy.special.expit(outputs))
    for name, expected in (("gaussian", gaussian), ("bernoulli", bernoulli)):
        nats = vae.pixel_nats(jnp.asarray(outputs), jnp.asarray(images), name)
        np.testing.assert_allclose(nats, expected, rtol=1e-5)


def test_the_bound_by_hand():
    task = VAE(widths=(), code=2, likelihood="gaussian", batch_size=3).build()
    params = quick_jit(task.init)(jax.random.key(0))
    batch = task.batch(jax.random.key(1))
    encoder, decoder = (params[part]["Dense_0"] for part in ("encoder", "decoder"))
    coded = batch.images @ encoder["kernel"]
    mean, log_variance = coded[:, :2], coded[:, 2:]
    outputs = (mean + np.exp(log_variance / 2) * batch.noise) @ decoder["kernel"]
    kl = 0.5 * (np.exp(log_variance) + mean**2 - 1 - log_variance).sum(axis=1)
    nats = np.pi * ((outputs - batch.images) ** 2).sum(axis=1)
    assert float(task.loss(params, batch)) == pytest.approx(
        float((nats + kl).mean()) / 64, rel=1e-4
    )


def test_bernoulli_images_are_black_and_white():
    batch = VAE().build().batch(jax.random.key(0))
    assert set(np.unique(batch.images)) == {0.0, 1.0}


# ---------------------------------------------------------------- diffusion


@pytest.mark.parametrize("schedule", diffusion.SCHEDULES)
def test_schedules_go_from_signal_to_noise(schedule):
    share = np.asarray(diffusion.SCHEDULES[schedule](jnp.linspace(0, 1, 50)))
    assert share[0] == 1
    assert share[-1] == pytest.approx(0, abs=1e-4)
    assert (np.diff(share) < 0).all()


def test_the_linear_schedule_is_the_limit_of_its_steps():
    variances = np.linspace(1e-4, 0.02, 1000)
    share = np.cumprod(1 - variances)
    times = jnp.arange(1, 1001, dtype=jnp.float32) / 1000
    np.testing.assert_allclose(diffusion.SCHEDULES["linear"](times), share, atol=2e-3)


def test_the_network_is_given_the_noisy_example():
    """With a linear network that returns its noisy input, the loss is known."""
    task = Diffusion("moons", widths=(), batch_size=256).build()
    kernel = np.zeros((2 + 8, 2), np.float32)
    kernel[:2] = np.eye(2)
    params = {"Perceptron_0": {"Dense_0": {"kernel": kernel, "bias": np.zeros(2, np.float32)}}}
    examples, times, noise = (np.asarray(x, np.float64) for x in task.batch(jax.random.key(0)))
    angle = np.pi * times / 2
    noisy = np.cos(angle) * examples + np.sin(angle) * noise
    loss = task.loss(params, task.batch(jax.random.key(0)))
    assert float(loss) == pytest.approx(np.mean((noisy - noise) ** 2), rel=1e-4)


@pytest.mark.parametrize("name", diffusion.POINTS)
def test_points(name):
    train, validation, test = diffusion.points(name)
    assert [part.shape for part in (train, validation, test)] == [(2048, 2), (512, 2), (512, 2)]
    assert train.dtype == np.float32
    np.testing.assert_allclose(train.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(train.std(axis=0), 1, atol=1e-5)
    # Not one Gaussian: its fourth moments would be 3.
    assert (train**4).mean() < 2.6


@pytest.mark.parametrize(
    ("family", "wrong"),
    [
        (Autoencoder, {"dataset": "wine"}),
        (Autoencoder, {"loss": "absolute"}),
        (Autoencoder, {"code": 0}),
        (Autoencoder, {"masked": 1.5}),
        (VAE, {"code": 0}),
        (VAE, {"likelihood": "laplace"}),
        (Diffusion, {"dataset": "wine"}),
        (Diffusion, {"schedule": "quadratic"}),
    ],
)
def test_wrong_configurations_are_errors(family, wrong):
    with pytest.raises(ValueError, match=str(next(iter(wrong.values())))):
        family(**wrong)
