"""The tasks that final comparisons are made on, and nothing else.

No search, tuning of ours or meta-training may use them: `search.config` refuses them, and tests
look for whoever names this file or shares its data.

How new it is to an optimizer that `meta_train` or `proxy` has shaped:

- No task here is in another suite, nor is any data set or corpus (`DATA`), nor are some families
  (`FAMILIES`). Of all other families the suites that select have tasks, too.
- The landscapes are well-known functions, and `meta_train` draws others of all four, `beale`
  included: they differ in dimension, rotation and noise only.
- `web` and `web_words` are the World English Bible: another translation of the text that `proxy`
  and `meta_train` train on, the King James Bible (`kjv`). Its wording and spelling are new; its
  subjects, names and order are not.
"""

from tasks.augment import Augmented
from tasks.base import TaskConfig
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

FAMILIES = ("mixer", "pinn", "gan")
"""Families that no other suite has."""

DATA = (
    "mnist1d", "flower_8", "flower_8_color", "flower_8_middle", "flower_8_color_middle", "spiral",
    "web", "web_words",
)  # fmt: skip
"""Data that no other suite has; all the data here is of these."""

V1: tuple[tuple[TaskConfig, int], ...] = (
    # Objectives
    (Quadratic(((8, 6), (6,)), condition_number=100.0, noise=0.1, seed=101), 400),
    (Quadratic(((16, 8), (8,)), condition_number=10_000.0, seed=102), 800),
    (Quadratic(((8, 8), (8,)), condition_number=1_000.0, noise=1.0, seed=103), 400),
    (DriftingQuadratic(dimension=24, condition_number=30.0, pace=0.05, seed=104), 400),
    (Landscape("rosenbrock", 4, rotation=105), 800),
    (Landscape("rastrigin", 6, rotation=106, noise=0.3), 400),
    (Landscape("styblinski_tang", 8, rotation=107, noise=0.1), 400),
    (Landscape("beale", 2), 400),
    (LeastSquares(24, 4, condition_number=1_000.0, label_noise=0.1, seed=108), 400),
    (LinearModel("mnist1d", "fourier"), 400),
    (LinearModel("mnist1d", "linear", "squared_hinge", condition_number=100.0), 400),
    (Factorization(16, 12, rank=3, width=4, condition_number=30.0, seed=109), 800),
    (DeepLinear((12, 12, 12, 12, 8), rank=4, seed=110), 400),
    # Perceptrons and images
    (MLP("mnist1d", (64,)), 800),
    (MLP("mnist1d", (32, 32, 32), "tanh", 32, "orthogonal"), 800),
    (MLP("mnist1d", (96,), "gelu", 64, label_noise=0.2), 400),
    (MLP("mnist1d", (32, 32), "sigmoid", 32, loss="brier"), 800),
    (MLP("flower_8_color_middle", (48, 48), "silu", 32, norm="layer"), 400),
    (ConvNet("mnist1d", (8, 16, 32), "relu", 32), 400),
    (ConvNet("flower_8_color_middle", (12, 24), "gelu", 16, "he_normal", "layer"), 400),
    (ResNet("mnist1d", (8, 16), 1, batch_size=16), 400),
    (ResNet("flower_8_middle", (6, 12), 1, batch_size=8), 320),
    (ViT("mnist1d", 4, 2, 16, 2, 16), 400),
    (ViT("flower_8_color_middle", 2, 1, 16, 2, 16), 320),
    (Mixer("mnist1d", 4, 2, 16, 16, 32, 16), 400),
    (Mixer("flower_8_middle", 2, 1, 24, 16, 48, 16), 400),
    # Generative models
    (Autoencoder("flower_8_color", (64, 32), 8, "relu", 32, masked=0.3), 800),
    (Autoencoder("flower_8", (32,), 4, "tanh", 32, "bernoulli"), 400),
    (Autoencoder("mnist1d", (48,), 8, "gelu", 32), 800),
    (VAE("flower_8", (48,), 8, "relu", 32), 800),
    (VAE("mnist1d", (64,), 8, "gelu", 32, "gaussian"), 800),
    (Diffusion("flower_8", (64, 64), "silu", 32), 800),
    (Diffusion("spiral", (48, 48, 48), "silu", 64, "linear"), 1000),
    # Language
    (TextMLP("web", 8, 16, 64, 32), 400),
    (TextMLP("web_words", 3, 16, 32, 16), 400),
    (TextRNN("web", "lstm", 16, 32, 16, 8), 400),
    (TextRNN("web", "gru", 12, 24, 24, 8, "orthogonal"), 400),
    (TextRNN("web", "vanilla", 16, 32, 16, 16), 400),
    (TextTransformer("web", 1, 32, 2, 16, 16), 400),
    (TextTransformer("web", 2, 24, 2, 16, 8), 400),
    (TextTransformer("web_words", 1, 32, 2, 16, 8), 320),
    (SkipGram("web", width=16), 400),
    (ZipfBigram(128, 1.2, 1.5, seed=111), 200),
    # Equations and games
    (PINN("advection", 2.0, (16, 16, 16)), 800),
    (PINN("burgers", 0.05, (20, 20)), 800),
    (Bilinear(16, 10.0, regularization=0.5, noise=0.1, seed=112), 400),
    (GAN((24, 24), modes=6, adversary="hinge", activation="leaky_relu"), 600),
    # Variations
    (Augmented(MLP("mnist1d", (48,), "tanh", 32), "tensor", spread=10.0, seed=113), 400),
    (Augmented(ConvNet("mnist1d", (8, 16), "relu", 32), delay=4, noise=0.01), 400),
)
"""Version 1: configuration and length of the standard training, in steps."""
