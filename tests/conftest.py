import os

# Before the first `import jax`. Inherited by the workers that a test starts; a person with an
# accelerator can still ask for it: `JAX_PLATFORMS=cuda make test`.
os.environ.setdefault("JAX_PLATFORMS", "cpu")

# Most of what tests compile runs once, so compiling must be quick and its result need not be: this
# halves the time of the whole suite. Whoever sets the variable, if only to "", has it their way.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_backend_optimization_level=0"
    " --xla_cpu_use_fusion_emitters=false"
    " --xla_cpu_parallel_codegen_split_count=1",
)

import hypothesis
import jax

# A silent broadcast between ranks is the commonest way for an update rule to be wrong.
jax.config.update("jax_numpy_rank_promotion", "raise")

# Compiling makes an example's first run slow, so time is no sign of a fault. In CI the examples are
# the same every time: a change fails for what it did, not for what another one left behind.
hypothesis.settings.register_profile("dev", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "dev")
