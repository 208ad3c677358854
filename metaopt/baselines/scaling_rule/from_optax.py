"""Scaling rules that Optax has right."""

from optax import lamb as lamb

from metaopt.baselines.baseline import Baseline, tuned

ROWS = (
    Baseline(
        id="lamb",
        name="LAMB",
        factory=lamb,
        group="scaling_rule",
        title="Large Batch Optimization for Deep Learning: Training BERT in 76 minutes",
        authors="You et al.",
        year=2019,
        arxiv="1904.00962",
        needs=("params",),
        test={"weight_decay": 0.01},
        test_rate=0.03,
        tuning=tuned(0.1, weight_decay=(1e-4, 1.0)),
        equations="""
            m <- b1 m + (1 - b1) g
            v <- b2 v + (1 - b2) g^2
            m_hat = m / (1 - b1^t);  v_hat = v / (1 - b2^t)
            u <- m_hat / (sqrt(v_hat) + eps) + weight_decay w
            w <- w - lr |w| / |u| u      of each array; |w| / |u| is 1 if either is 0
        """,
        deviations=(
            "phi, which bounds |w| in the paper's experiments, is the identity. Optax's default "
            "weight_decay is 0, the paper's 0.01."
        ),
        checked=("equations",),
    ),
)
