"""Learned optimizers: small networks that read gradients and write steps.

A `LearnedOptimizer` has weights, which `init` draws and meta-training finds; `bind` makes an Optax
transformation of them. `NETWORKS` is the table of architectures.
"""

from metaopt.learned.adafac_mlp import adafac_mlp
from metaopt.learned.celo import celo
from metaopt.learned.learnable import learnable_adam, learnable_sgdm
from metaopt.learned.networks import NETWORKS, network
from metaopt.learned.nn_adam import nn_adam
from metaopt.learned.optimizer import LearnedOptimizer, count
from metaopt.learned.per_parameter_mlp import per_parameter_mlp
from metaopt.learned.velo import velo

__all__ = [
    "NETWORKS",
    "LearnedOptimizer",
    "adafac_mlp",
    "celo",
    "count",
    "learnable_adam",
    "learnable_sgdm",
    "network",
    "nn_adam",
    "per_parameter_mlp",
    "velo",
]
