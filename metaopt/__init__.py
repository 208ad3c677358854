"""metaopt: optimizers that were discovered, learned, or taken from the literature.

Everything a user trains with is an `optax.GradientTransformationExtraArgs`:

    optimizer = metaopt.load("lion", learning_rate=1e-4)
"""

from metaopt import baselines as baselines
from metaopt.loading import find as find
from metaopt.loading import load as load
from metaopt.loading import names as names
from metaopt.loading import rule_names as rule_names

__version__ = "0.1.0"
