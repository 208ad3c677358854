"""Adaptive methods that Optax has as their publications say."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import optax
import optax.contrib
from optax import adabelief as adabelief
from optax import adam as adam
from optax import adamax as adamax
from optax.contrib import adopt as adopt

from metaopt.baselines.baseline import Baseline, tuned


@functools.wraps(optax.contrib.madgrad)
def madgrad(*args: Any, **kwargs: Any) -> optax.GradientTransformationExtraArgs:
    """Optax's MADGRAD, but its state holds a copy of the parameters."""
    inner = optax.with_extra_args_support(optax.contrib.madgrad(*args, **kwargs))
    return optax.GradientTransformationExtraArgs(
        lambda params: jax.tree.map(jnp.copy, inner.init(params)), inner.update
    )


def amsgrad(
    learning_rate: optax.ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
) -> optax.GradientTransformationExtraArgs:
    """AMSGrad: Adam whose denominator never shrinks. Optax's, without its bias corrections.

        m <- b1 m + (1 - b1) g
        v <- b2 v + (1 - b2) g^2
        v_max <- max(v_max, v)
        w <- w - lr m / (sqrt(v_max) + eps)

    Args:
      learning_rate: a number, a scalar array or a schedule.
      b1: decay of the gradient's average.
      b2: decay of the squares' average.
      eps: added to the denominator.

    Returns:
      The transformation.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = amsgrad(1e-3)
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> updates, state = optimizer.update(params, optimizer.init(params))

    Reference:
      Reddi, Kale, Kumar, "On the Convergence of Adam and Beyond", 2018, arXiv:1904.09237.

    Deviations:
      eps keeps the denominator from zero; the paper has none.
    """
    return optax.amsgrad(
        learning_rate, b1, b2, eps, bias_correction_mu=False, bias_correction_nu=False
    )


def rmsprop(
    learning_rate: optax.ScalarOrSchedule, decay: float = 0.9, eps: float = 1e-8
) -> optax.GradientTransformationExtraArgs:
    """RMSProp: each coordinate over the root of its mean square. Optax's, with eps outside.

        v <- decay v + (1 - decay) g^2
        w <- w - lr g / (sqrt(v) + eps)

    Args:
      learning_rate: a number, a scalar array or a schedule.
      decay: of the squares' average.
      eps: added to the denominator.

    Returns:
      The transformation.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = rmsprop(1e-3)
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> updates, state = optimizer.update(params, optimizer.init(params))

    Reference:
      Tieleman, Hinton, "Lecture 6.5: rmsprop, divide the gradient by a running average of its
      recent magnitude", 2012, Coursera: Neural Networks for Machine Learning.

    Deviations:
      eps keeps the denominator from zero; the lecture has none.
    """
    return optax.rmsprop(learning_rate, decay, eps, eps_in_sqrt=False)


def adadelta(
    learning_rate: optax.ScalarOrSchedule = 1.0, rho: float = 0.95, eps: float = 1e-6
) -> optax.GradientTransformationExtraArgs:
    """AdaDelta, whose updates have the units of the parameters. Optax's, without weight decay.

        v <- rho v + (1 - rho) g^2
        d <- sqrt(u + eps) / sqrt(v + eps) g
        u <- rho u + (1 - rho) d^2
        w <- w - lr d

    Args:
      learning_rate: a number, a scalar array or a schedule; the paper has none, which is 1.
      rho: decay of both averages.
      eps: added to both averages.

    Returns:
      The transformation.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = adadelta()
      >>> params = {"kernel": jnp.ones((2, 3))}
      >>> updates, state = optimizer.update(params, optimizer.init(params))

    Reference:
      Zeiler, "ADADELTA: An Adaptive Learning Rate Method", 2012, arXiv:1212.5701.
    """
    return optax.chain(
        optax.scale_by_adadelta(rho, eps), optax.scale_by_learning_rate(learning_rate)
    )


ROWS = (
    Baseline(
        id="adam",
        name="Adam",
        factory=adam,
        group="adaptive",
        title="Adam: A Method for Stochastic Optimization",
        authors="Kingma, Ba",
        year=2014,
        arxiv="1412.6980",
        tuning=tuned(0.3),
        equations="""
            m <- b1 m + (1 - b1) g
            v <- b2 v + (1 - b2) g^2
            m_hat = m / (1 - b1^t),  v_hat = v / (1 - b2^t)
            w <- w - lr m_hat / (sqrt(v_hat) + eps)
        """,
        checked=("torch 2.13.0",),
    ),
    Baseline(
        id="adamax",
        name="AdaMax",
        factory=adamax,
        group="adaptive",
        title="Adam: A Method for Stochastic Optimization",
        authors="Kingma, Ba",
        year=2014,
        arxiv="1412.6980",
        tuning=tuned(0.3),
        equations="""
            m <- b1 m + (1 - b1) g
            u <- max(b2 u, |g| + eps)
            w <- w - lr / (1 - b1^t) m / u
        """,
        deviations="eps keeps u from zero; the paper has none.",
        checked=("pytorch_optimizer 4.1.0", "torch 2.13.0"),
    ),
    Baseline(
        id="amsgrad",
        name="AMSGrad",
        factory=amsgrad,
        group="adaptive",
        title="On the Convergence of Adam and Beyond",
        authors="Reddi, Kale, Kumar",
        year=2018,
        arxiv="1904.09237",
        tuning=tuned(0.3),
        deviations="eps keeps the denominator from zero; the paper has none.",
        checked=("equations",),
    ),
    Baseline(
        id="rmsprop",
        name="RMSProp",
        factory=rmsprop,
        group="adaptive",
        title=(
            "Lecture 6.5: rmsprop, divide the gradient by a running average of its recent magnitude"
        ),
        authors="Tieleman, Hinton",
        year=2012,
        link="www.cs.toronto.edu/~tijmen/csc321/slides/lecture_slides_lec6.pdf",
        tuning=tuned(0.1),
        deviations="eps keeps the denominator from zero; the lecture has none.",
        checked=("torch 2.13.0",),
    ),
    Baseline(
        id="adadelta",
        name="AdaDelta",
        factory=adadelta,
        group="adaptive",
        title="ADADELTA: An Adaptive Learning Rate Method",
        authors="Zeiler",
        year=2012,
        arxiv="1212.5701",
        test_rate=10.0,
        tuning=tuned(100.0),
        checked=("equations",),
    ),
    Baseline(
        id="adabelief",
        name="AdaBelief",
        factory=adabelief,
        group="adaptive",
        title="AdaBelief Optimizer: Adapting Stepsizes by the Belief in Observed Gradients",
        authors="Zhuang et al.",
        year=2020,
        arxiv="2010.07468",
        tuning=tuned(0.3),
        equations="""
            m <- b1 m + (1 - b1) g
            s <- b2 s + (1 - b2) (g - m)^2 + eps
            m_hat = m / (1 - b1^t),  s_hat = s / (1 - b2^t)
            w <- w - lr m_hat / (sqrt(s_hat) + eps)
        """,
        deviations=(
            "Without the rectification of RAdam that the authors' package turns on by default."
        ),
        checked=("equations",),
    ),
    Baseline(
        id="adopt",
        name="ADOPT",
        factory=adopt,
        group="adaptive",
        title="ADOPT: Modified Adam Can Converge with Any beta_2 with the Optimal Rate",
        authors="Taniguchi et al.",
        year=2024,
        arxiv="2411.02853",
        tuning=tuned(0.3),
        equations="""
            At the first step, t = 0: v = g^2, and w stays; from then on:
            m <- b1 m + (1 - b1) clip(g / max(sqrt(v), eps), -t^(1/4), t^(1/4))
            w <- w - lr m
            v <- b2 v + (1 - b2) g^2
        """,
        checked=("torch_adopt 0.1.0",),
    ),
    Baseline(
        id="madgrad",
        name="MADGRAD",
        factory=madgrad,
        group="adaptive",
        title=(
            "Adaptivity without Compromise: A Momentumized, Adaptive, Dual Averaged Gradient "
            "Method for Stochastic Optimization"
        ),
        authors="Defazio, Jelassi",
        year=2021,
        arxiv="2101.11075",
        needs=("params",),
        test={"weight_decay": 0.001},
        tuning=tuned(0.3),
        equations="""
            g <- g + weight_decay w
            l = (lr + eps) sqrt(t)
            s <- s + l g
            v <- v + l g^2
            z = w_0 - s / (cbrt(v) + eps)
            w <- momentum w + (1 - momentum) z
        """,
        checked=("madgrad 1.3", "pytorch_optimizer 4.1.0", "timm 1.0.31"),
    ),
)
