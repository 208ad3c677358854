"""TTUR: the players of a game learn at rates of their own."""

from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
import optax

from metaopt.baselines.baseline import Baseline, tuned
from metaopt.baselines.shared.roles import Params, names_of

Player = Literal["generator", "discriminator"]
"""Whose a parameter is."""

PlayersOf = Callable[[Params], Any]
"""parameters -> a tree of the same structure with the `Player` of each."""


def named_players(params: Params) -> Any:
    """The player of each parameter, by names: a module generator, discriminator or critic.

    Raises:
      ValueError: a parameter is in no such module.
    """
    return jax.tree_util.tree_map_with_path(_named_player, params)


def _named_player(path: tuple[Any, ...], leaf: Any) -> Player:
    del leaf
    for name in names_of(path):
        if "generator" in name.lower():
            return "generator"
        if "discriminator" in name.lower() or "critic" in name.lower():
            return "discriminator"
    raise ValueError(
        f"whose is the parameter {jax.tree_util.keystr(path) or '()'}? Name its module generator, "
        "discriminator or critic, or pass players=, which says whose each parameter is"
    )


def ttur(
    inner: optax.GradientTransformation,
    ratio: float = 3.0,
    *,
    players: PlayersOf = named_players,
) -> optax.GradientTransformationExtraArgs:
    """TTUR, the two time-scale update rule: a discriminator that learns faster than the generator.

    With u the step of the inner optimizer, which is proportional to its learning rate:

        w <- w + u          if w is the generator's
        w <- w + ratio u    if w is the discriminator's

    Args:
      inner: the optimizer of both, with the generator's learning rate; Adam in the paper.
      ratio: the discriminator's learning rate over the generator's.
      players: parameters -> a tree like them of "generator" and "discriminator".

    Returns:
      The transformation.

    Raises:
      ValueError: a parameter is of neither player.

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = ttur(optax.adam(1e-4, b1=0.5))
      >>> params = {"generator": jnp.ones((2, 3)), "discriminator": jnp.ones((3, 1))}
      >>> state = optimizer.init(params)
      >>> updates, state = optimizer.update(params, state)

    Reference:
      Heusel et al., "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash
      Equilibrium", 2017, arXiv:1706.08500; bioinf-jku/TTUR.

    Deviations:
      The players' optimizers differ in nothing else; the default ratio is that of one of the
      paper's experiments.
    """

    def scale(updates: optax.Updates, params: Any) -> optax.Updates:
        del params
        return jax.tree.map(_scaled, updates, players(updates))

    def _scaled(u: jax.Array, player: str) -> jax.Array:
        if player not in ("generator", "discriminator"):
            raise ValueError(f"no player {player!r}: players= says generator or discriminator")
        return jnp.asarray(ratio * u, u.dtype) if player == "discriminator" else u

    return optax.chain(optax.with_extra_args_support(inner), optax.stateless(scale))


def _by_turns(params: Params) -> Any:
    """Players of a network that is no game: its parameters in turn."""
    leaves, treedef = jax.tree.flatten(params)
    turns = ["discriminator" if i % 2 else "generator" for i in range(len(leaves))]
    return jax.tree.unflatten(treedef, turns)


ROWS = (
    Baseline(
        id="ttur",
        name="TTUR",
        factory=ttur,
        kind="wrapper",
        group="games",
        title="GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium",
        authors="Heusel et al.",
        year=2017,
        arxiv="1706.08500",
        bench={"players": _by_turns},
        tuning=tuned(0.3, ratio=(0.1, 10.0)),
        deviations="The players' optimizers differ in nothing else; the default ratio is that of "
        "one of the paper's experiments.",
        checked=("equations",),
    ),
)
