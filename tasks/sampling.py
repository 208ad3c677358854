"""Draws for sampling configurations, in terms of uniform numbers alone.

NumPy keeps `Generator.random` the same from release to release but not every other method; a suite
that is sampled again must come out the same.
"""

import math
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")


def uniform(generator: np.random.Generator, low: float, high: float) -> float:
    """A number in [low, high)."""
    return low + (high - low) * float(generator.random())


def log_uniform(generator: np.random.Generator, low: float, high: float) -> float:
    """A number in [low, high), to three digits, its logarithm uniform."""
    return float(f"{math.exp(uniform(generator, math.log(low), math.log(high))):.3g}")


def log_uniform_int(generator: np.random.Generator, low: int, high: int) -> int:
    """An integer in [low, high], its logarithm about uniform."""
    return min(high, int(math.exp(uniform(generator, math.log(low), math.log(high + 1)))))


def choice(generator: np.random.Generator, options: Sequence[T]) -> T:
    """One of the options, each as likely."""
    return options[int(generator.random() * len(options))]


def chance(generator: np.random.Generator, probability: float) -> bool:
    """True with that probability."""
    return float(generator.random()) < probability
