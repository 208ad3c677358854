"""Memory-efficient optimizers that Optax has, as they are."""

from optax import adafactor as adafactor

from metaopt.baselines.baseline import Baseline, tuned

ROWS = (
    Baseline(
        id="adafactor",
        name="Adafactor",
        factory=adafactor,
        group="memory_efficient",
        title="Adafactor: Adaptive Learning Rates with Sublinear Memory Cost",
        authors="Shazeer, Stern",
        year=2018,
        arxiv="1804.04235",
        needs=("params",),
        test={"min_dim_size_to_factor": 1},
        test_rate=0.05,
        tuning=tuned(1.0),
        matrix_bytes=lambda m, n: 4 * (m + n),
        equations="""
            For a matrix, with b2_t = 1 - t^(-0.8):

              R <- b2_t R + (1 - b2_t) mean over columns of (g^2 + eps)
              C <- b2_t C + (1 - b2_t) mean over rows of (g^2 + eps)
              u = g / sqrt(R C^T / mean(R))
              u = u / max(1, rms(u) / clipping_threshold)
              w <- w - lr max(1e-3, rms(w)) u
        """,
        deviations=(
            "Arrays whose second largest axis has fewer than min_dim_size_to_factor = 128 entries "
            "are not factored, and of arrays of more than two axes the two largest are. The "
            "paper's rates, min(1e-2, 1 / sqrt(t)), are a schedule to be passed as learning_rate."
        ),
        checked=("timm 1.0.31", "torch 2.13.0"),
    ),
)
