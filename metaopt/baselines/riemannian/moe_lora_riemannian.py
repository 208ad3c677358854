"""Riemannian preconditioners of low-rank adapters, and of mixtures of them."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared.needs import require_params
from metaopt.baselines.shared.orthogonalization import widened

PairsOf = Callable[[optax.Params], Sequence[tuple[int, int]]]
"""parameters -> the pairs (X, Y) that make up X Y, each as its index among the tree's leaves."""


def lora_pairs(params: optax.Params) -> Sequence[tuple[int, int]]:
    """Pairs of adapters by their names: whatever differs in `lora_a` and `lora_b` alone, X and Y.

    As in flax, `lora_a` is (inputs, rank) and `lora_b` (rank, outputs); case does not matter.
    """
    leaves, _ = jax.tree_util.tree_flatten_with_path(params)
    places = {jax.tree_util.keystr(path).lower(): i for i, (path, _) in enumerate(leaves)}
    return [
        (i, places[name.replace("lora_a", "lora_b")])
        for name, i in places.items()
        if "lora_a" in name and name.replace("lora_a", "lora_b") in places
    ]


def scale_by_pairs(
    ridge: float = 1e-6, pairs: PairsOf = lora_pairs
) -> optax.GradientTransformationExtraArgs:
    """Gradients of low-rank factors as `moe_lora_riemannian` scales them; others as they are."""

    def scaled(updates: optax.Updates, params: optax.Params | None) -> optax.Updates:
        factors = require_params(params, "moe_lora_riemannian")
        gradients, treedef = jax.tree.flatten(updates)
        weights = jax.tree.leaves(factors)
        for i, j in pairs(factors):
            x, y = widened(weights[i]), widened(weights[j])
            g_x, g_y = widened(gradients[i]), widened(gradients[j])
            damping = ridge * jnp.eye(x.shape[-1], dtype=x.dtype)
            damping = jnp.broadcast_to(damping, (*x.shape[:-2], *damping.shape))
            g_x = jnp.linalg.solve(y @ y.mT + damping, g_x.mT).mT
            g_y = jnp.linalg.solve(x.mT @ x + damping, g_y)
            gradients[i] = g_x.astype(gradients[i].dtype)
            gradients[j] = g_y.astype(gradients[j].dtype)
        return jax.tree.unflatten(treedef, gradients)

    return optax.with_extra_args_support(optax.stateless(scaled))


def moe_lora_riemannian(
    learning_rate: optax.ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-6,
    *,
    weight_decay: float = 0.0,
    ridge: float = 1e-6,
    pairs: PairsOf = lora_pairs,
    base: optax.GradientTransformation | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Scaled AdamW for mixtures of low-rank adapters: steps do not depend on how W is factored.

    Of every pair of factors W = X Y, of shapes (inputs, rank) and (rank, outputs), one for each
    expert:

        G_X <- G_X (Y Y^T + ridge I)^{-1}
        G_Y <- (X^T X + ridge I)^{-1} G_Y

    and with these, and the other parameters' gradients as they are, a step of AdamW or of another
    method. The mixture's part is in the model: where an expert's output is weighted by its gate,
    use `gated`, by which gradients of experts are scaled by sqrt(gate) in place of the gate.

    Args:
      learning_rate: a number, a scalar array or a schedule.
      b1: AdamW's decay of the gradient's average.
      b2: AdamW's decay of the average of squares.
      eps: added to AdamW's denominator.
      weight_decay: AdamW's, decoupled.
      ridge: damping of the inverses.
      pairs: parameters -> the pairs of factors. They may be stacked, (experts, inputs, rank).
      base: takes the step; default: AdamW of the arguments above. `optax.sgd(learning_rate)` makes
        the paper's scaled gradient descent.

    Returns:
      The transformation. Its update needs the parameters.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = moe_lora_riemannian(1e-3)
      >>> params = {"lora_a": jnp.ones((4, 2)), "lora_b": jnp.zeros((2, 3))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state, params)

    Reference:
      Sun et al., "A Stronger Mixture of Low-Rank Experts for Fine-Tuning Foundation Models", 2025,
      arXiv:2502.15828; THUDM/MoELoRA_Riemannian.

    Deviations: both factors' gradients are scaled with the factors before the step, as in the
      paper; the authors' AdamW scales the second one's with the first after its step. AdamW
      debiases its averages, which theirs does not. The gates' part is no part of the update:
      `gated`, in the same module, has it for the model.
    """
    if base is None:
        base = optax.adamw(learning_rate, b1, b2, eps, weight_decay=weight_decay)
    return optax.with_extra_args_support(optax.chain(scale_by_pairs(ridge, pairs), base))


def gated(gate: jax.Array, output: jax.Array) -> jax.Array:
    """An expert's output times its gate, with the derivative by the output rescaled.

        value                gate * output
        d / d gate           output
        d / d output         sqrt(gate), which is gate without the paper's preconditioner

    Args:
      gate: the expert's weight, such as of a softmax, for each token; it broadcasts to the output.
      output: what the expert makes of the tokens.
    """
    root = jax.lax.stop_gradient(jnp.sqrt(gate))
    return root * output + (gate - root) * jax.lax.stop_gradient(output)


ROWS = (
    Baseline(
        id="moe_lora_riemannian",
        name="MoE-LoRA Riemannian",
        factory=moe_lora_riemannian,
        group="riemannian",
        title="A Stronger Mixture of Low-Rank Experts for Fine-Tuning Foundation Models",
        authors="Sun et al.",
        year=2025,
        arxiv="2502.15828",
        needs=("params",),
        test={"ridge": 0.1},
        test_rate=0.1,
        tuning=tuned(0.3, weight_decay=(1e-4, 1.0)),
        deviations=(
            "Both factors' gradients are scaled with the factors before the step, as in the paper; "
            "the authors' AdamW scales the second one's with the first after its step. AdamW "
            "debiases its averages, which theirs does not. The gates' part is no part of the "
            "update: gated, in the same module, has it for the model."
        ),
        checked=("equations",),
    ),
)
