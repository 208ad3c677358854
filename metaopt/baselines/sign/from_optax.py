"""Sign descent, with and without momentum, and Lion, which Optax has."""

from optax import lion as lion
from optax import sign_sgd as sign_gd
from optax import signum as sign_sgd

from metaopt.baselines.baseline import Baseline, tuned

ROWS = (
    Baseline(
        id="sign_gd",
        name="Sign descent",
        factory=sign_gd,
        group="sign",
        title="On the Optimization and Generalization of Two-layer Transformers with Sign Gradient "
        "Descent",
        authors="Li et al.",
        year=2024,
        arxiv="2410.04870",
        tuning=tuned(0.1),
        equations="w <- w - lr sign(g)",
        checked=("pytorch_optimizer 4.1.0",),
    ),
    Baseline(
        id="sign_sgd",
        name="Signum",
        factory=sign_sgd,
        group="sign",
        title="signSGD: Compressed Optimisation for Non-Convex Problems",
        authors="Bernstein et al.",
        year=2018,
        arxiv="1802.04434",
        tuning=tuned(0.1),
        equations="""
            m <- beta m + (1 - beta) g
            w <- w - lr sign(m)
        """,
        checked=("pytorch_optimizer 4.1.0",),
    ),
    Baseline(
        id="lion",
        name="Lion",
        factory=lion,
        group="sign",
        title="Symbolic Discovery of Optimization Algorithms",
        authors="Chen et al.",
        year=2023,
        arxiv="2302.06675",
        needs=("params",),
        tuning=tuned(0.1, weight_decay=(1e-3, 10.0)),
        equations="""
            w <- w - lr (sign(b1 m + (1 - b1) g) + weight_decay w)
            m <- b2 m + (1 - b2) g
        """,
        checked=("lion_pytorch 0.2.5", "pytorch_optimizer 4.1.0", "timm 1.0.31"),
    ),
)
