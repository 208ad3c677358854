"""The families of tasks: a file each, with its configuration and its network or objective."""

from collections.abc import Mapping

from tasks.augment import Augmented
from tasks.base import FamilyConfig, TaskConfig
from tasks.families.autoencoder import Autoencoder
from tasks.families.classes import ZipfBigram
from tasks.families.conv import ConvNet
from tasks.families.diffusion import Diffusion
from tasks.families.drifting import DriftingQuadratic
from tasks.families.factorization import DeepLinear, Factorization
from tasks.families.functions import Landscape
from tasks.families.games import GAN, Bilinear
from tasks.families.mixer import Mixer
from tasks.families.mlp import MLP
from tasks.families.physics import PINN
from tasks.families.quadratic import Quadratic
from tasks.families.regression import LeastSquares, LinearModel
from tasks.families.resnet import ResNet
from tasks.families.rnn import TextRNN
from tasks.families.skip_gram import SkipGram
from tasks.families.text_mlp import TextMLP
from tasks.families.transformer import TextTransformer
from tasks.families.vae import VAE
from tasks.families.vit import ViT

FAMILIES: Mapping[str, type[FamilyConfig]] = {
    "quadratic": Quadratic,
    "drifting_quadratic": DriftingQuadratic,
    "landscape": Landscape,
    "least_squares": LeastSquares,
    "linear_model": LinearModel,
    "factorization": Factorization,
    "deep_linear": DeepLinear,
    "mlp": MLP,
    "conv": ConvNet,
    "resnet": ResNet,
    "vit": ViT,
    "mixer": Mixer,
    "autoencoder": Autoencoder,
    "vae": VAE,
    "diffusion": Diffusion,
    "text_mlp": TextMLP,
    "rnn": TextRNN,
    "transformer": TextTransformer,
    "skip_gram": SkipGram,
    "zipf_bigram": ZipfBigram,
    "pinn": PINN,
    "bilinear": Bilinear,
    "gan": GAN,
}
"""Family by name -> the class of its configurations."""


def family(config: TaskConfig) -> str:
    """The name of a configuration's family; a variation has that of what it varies."""
    base = config.base if isinstance(config, Augmented) else config
    return next(name for name, kind in FAMILIES.items() if type(base) is kind)
