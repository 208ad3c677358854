"""The table of architectures."""

import inspect
from collections.abc import Callable, Mapping

from metaopt.learned.adafac_mlp import adafac_mlp
from metaopt.learned.celo import celo
from metaopt.learned.learnable import learnable_adam, learnable_sgdm
from metaopt.learned.nn_adam import nn_adam
from metaopt.learned.optimizer import LearnedOptimizer
from metaopt.learned.per_parameter_mlp import per_parameter_mlp
from metaopt.learned.velo import velo

NETWORKS: Mapping[str, Callable[..., LearnedOptimizer]] = {
    "adafac_mlp": adafac_mlp,
    "celo": celo,
    "learnable_adam": learnable_adam,
    "learnable_sgdm": learnable_sgdm,
    "nn_adam": nn_adam,
    "per_parameter_mlp": per_parameter_mlp,
    "velo": velo,
}
"""Name -> factory, whose arguments are the sizes of the network."""


def network(name: str, **sizes: int) -> LearnedOptimizer:
    """A network by its name.

    Raises:
      KeyError: there is none of that name.
      ValueError: it has no such size, or the size is not positive.
    """
    if name not in NETWORKS:
        raise KeyError(f"no network {name!r}; there are {', '.join(NETWORKS)}")
    known = tuple(inspect.signature(NETWORKS[name]).parameters)
    for size, value in sizes.items():
        if size not in known:
            raise ValueError(f"{name} has no size {size!r}; it has {', '.join(known) or 'none'}")
        if value < 1:
            raise ValueError(f"{name}: {size} must be at least 1, got {value}")
    return NETWORKS[name](**sizes)
