"""Strict JAX for every test of tasks: no rank is promoted unasked."""

import jax

jax.config.update("jax_numpy_rank_promotion", "raise")
