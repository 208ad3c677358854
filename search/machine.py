"""The machine that a program runs on: what it has, and what it keeps."""

import os
import platform
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import jax

_CACHE_BYTES = 2**30
"""What is kept of compiled programs; the least recently used make room."""


def gpu_options() -> dict[str, Any]:
    """What XLA is told on a GPU: use the same kernels every time.

    Trying out kernels takes longer than it saves where trainings are short, and may choose others.
    """
    return {"xla_gpu_autotune_level": 0, "xla_gpu_deterministic_ops": True}


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0))


def keep_compiled(folder: Path) -> None:
    """Keep what is compiled in a folder, for the next program that compiles the same.

    Where JAX was told to keep it elsewhere, as by `JAX_COMPILATION_CACHE_DIR`, it stays there.
    """
    if jax.config.values["jax_compilation_cache_dir"]:
        return
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_compilation_cache_max_size", _CACHE_BYTES)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)


def provenance() -> dict[str, str]:
    """On what machine, and with which software."""
    device = jax.devices()[0]
    kind = device.device_kind if device.platform != "cpu" else platform.machine()
    packages = ("jax", "flax", "optax", "numpy")
    return {
        "device": f"{kind}, {cores()} CPU cores",
        "date": time.strftime("%Y-%m-%d"),
        "software": ", ".join(f"{name} {metadata.version(name)}" for name in packages),
    }
