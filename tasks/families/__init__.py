"""The families of tasks: a file each, with its configuration and its network or objective."""

from collections.abc import Mapping

from tasks.base import TaskConfig
from tasks.families.conv import ConvNet
from tasks.families.mlp import MLP
from tasks.families.quadratic import Quadratic
from tasks.families.text_mlp import TextMLP
from tasks.families.transformer import TextTransformer

FAMILIES: Mapping[str, type[TaskConfig]] = {
    "quadratic": Quadratic,
    "mlp": MLP,
    "conv": ConvNet,
    "text_mlp": TextMLP,
    "transformer": TextTransformer,
}
"""Family by name -> the class of its configurations."""
