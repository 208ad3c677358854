"""SGD that leaves the embedding layer as it was pretrained."""

import jax
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared.roles import Params, RolesOf, flax_roles


def sgd_freeze_embed(
    learning_rate: optax.ScalarOrSchedule,
    momentum: float = 0.9,
    *,
    roles: RolesOf = flax_roles,
) -> optax.GradientTransformationExtraArgs:
    """SGD (freeze-embed): fine-tunes everything but the embedding layer, whose gradients are large.

        m <- momentum m + g
        w <- w - lr m    if w's role is not embedding

    Args:
      learning_rate: a number, a scalar array or a schedule.
      momentum: decay of the sum of gradients; the frozen parameters have none.
      roles: parameters -> the role of each. What has the role `embedding` is frozen: in the paper
        a vision transformer's patch, position and class embeddings, and a ConvNeXt's stem.

    Returns:
      The transformation.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = sgd_freeze_embed(0.1)
      >>> params = {"embed": {"embedding": jnp.ones((4, 2))}, "head": {"kernel": jnp.ones((2, 3))}}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state)

    Reference:
      Kumar et al., "How to Fine-Tune Vision Models with SGD", 2022, arXiv:2211.09359.

    Deviations:
      By flax's names, an embedding's bias is no embedding; the paper freezes it too.
    """

    def labels(params: Params) -> Params:
        return jax.tree.map(
            lambda role: "frozen" if role == "embedding" else "trained", roles(params)
        )

    return optax.partition(
        {"frozen": optax.set_to_zero(), "trained": optax.sgd(learning_rate, momentum)}, labels
    )


ROWS = (
    Baseline(
        id="sgd_freeze_embed",
        name="SGD (freeze-embed)",
        factory=sgd_freeze_embed,
        group="first_order",
        title="How to Fine-Tune Vision Models with SGD",
        authors="Kumar et al.",
        year=2022,
        arxiv="2211.09359",
        needs=("roles",),
        tuning=tuned(3.0),
        deviations="By flax's names, an embedding's bias is no embedding; the paper freezes it "
        "too.",
        checked=("equations",),
    ),
)
