"""Weights of learned optimizers as files: NAME.safetensors, and its card NAME.json.

The weights are float32 tensors named by their place in theta, `mlp/0/w`. The card names the
contract, the network and its sizes, and holds what is known of the weights: where they came from,
how they score. Both are data: nothing in them is executed, and everything is checked against what
the network expects.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from metaopt.learned.networks import NETWORKS, network
from metaopt.learned.optimizer import LearnedOptimizer, Theta

SUFFIX = ".safetensors"

_MOST_LAYERS, _WIDEST = 64, 2**15
"""A card from a stranger must not ask for more memory than there is."""


class CheckpointError(Exception):
    """Weights that cannot be read or do not fit; the message says what to do."""


def write(
    path: str | Path, learned: LearnedOptimizer, theta: Theta, card: Mapping[str, Any]
) -> None:
    """Write weights and their card.

    Args:
      path: file of the weights, `*.safetensors`; the card goes beside it.
      learned: the network that they belong to.
      theta: the weights.
      card: what is known of them, JSON; contract and sizes are added.

    Raises:
      CheckpointError: a weight is not finite.
    """
    from safetensors.numpy import save

    path = _weights(path)
    named = {name: np.asarray(leaf, np.float32) for name, leaf in _named(theta).items()}
    for name, leaf in named.items():
        if not np.isfinite(leaf).all():
            raise CheckpointError(f"{name} holds values that are not finite")
    whole = {**card, "contract": learned.contract, "sizes": dict(learned.sizes)}
    text = json.dumps(whole, indent=2) + "\n"  # before anything is written: it may fail
    _replace(path, save(named, {"contract": learned.contract}))
    _replace(path.with_suffix(".json"), text.encode())


def _replace(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(path.name + ".part")
    scratch.write_bytes(content)
    scratch.replace(path)


def read_card(path: str | Path) -> dict[str, Any]:
    """The card of a checkpoint, with a network that there is.

    Raises:
      FileNotFoundError: there is none.
      CheckpointError: it is no card, or of a network that this version lacks.
    """
    file = _weights(path).with_suffix(".json")
    if not file.is_file():
        raise FileNotFoundError(f"there is no card {file}: weights travel with their .json file")
    try:
        card = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{file} is not JSON: {error}") from None
    if not isinstance(card, dict) or not isinstance(card.get("contract"), str):
        raise CheckpointError(f"{file} names no contract, so its weights cannot be used")
    if not isinstance(card.get("sizes"), dict):
        raise CheckpointError(f"{file} gives no sizes of the network")
    return card


def described(path: str | Path) -> LearnedOptimizer:
    """The network that a card describes, without its weights.

    Raises:
      FileNotFoundError: there is no card.
      CheckpointError: it names a network, a version or sizes that there are not.
    """
    card = read_card(path)
    contract, sizes = card["contract"], card["sizes"]
    name, _, version = contract.partition("/")
    if name not in NETWORKS:
        known = ", ".join(NETWORKS)
        raise CheckpointError(f"{path}: unknown network {name!r}; this version has {known}")
    if not all(isinstance(size, int) and not isinstance(size, bool) for size in sizes.values()):
        raise CheckpointError(f"{path}: sizes must be whole numbers, got {sizes}")
    if any(size > (_MOST_LAYERS if key == "layers" else _WIDEST) for key, size in sizes.items()):
        raise CheckpointError(
            f"{path}: a network of sizes {sizes} is refused: at most {_MOST_LAYERS} layers and "
            f"{_WIDEST:,} units"
        )
    try:
        found = network(name, **sizes)
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}") from None
    if found.contract != contract:
        raise CheckpointError(
            f"{path} was trained under the contract {contract!r}, this version has "
            f"{found.contract!r}: use the version of metaopt that wrote it (features of version "
            f"{version} are not those of today)"
        )
    return found


def read(path: str | Path, learned: LearnedOptimizer) -> Theta:
    """The weights of a network, float32.

    Raises:
      FileNotFoundError: there is no such file.
      CheckpointError: the file is damaged, or its tensors are not those of the network.
    """
    from safetensors import SafetensorError, safe_open
    from safetensors.numpy import load

    path = _weights(path)
    if not path.is_file():
        raise FileNotFoundError(f"there are no weights {path}")
    try:
        found = load(path.read_bytes())
        with safe_open(path, "numpy") as file:
            contract = (file.metadata() or {}).get("contract", learned.contract)
    except (SafetensorError, ValueError, KeyError, OverflowError) as error:
        raise CheckpointError(f"{path} is damaged or no safetensors file: {error}") from None
    if contract != learned.contract:
        raise CheckpointError(
            f"{path} says that it holds weights of {contract!r}, not of {learned.contract!r}"
        )
    expected = _named(jax.eval_shape(learned.init, jax.random.key(0)))
    missing, extra = sorted(expected.keys() - found), sorted(found.keys() - expected)
    if missing or extra:
        raise CheckpointError(
            f"{path} does not hold the weights of {learned.contract} with sizes "
            f"{dict(learned.sizes)}: missing {missing or 'none'}, unknown {extra or 'none'}"
        )
    for name, leaf in expected.items():
        tensor = found[name]
        if tensor.shape != leaf.shape or tensor.dtype != np.float32:
            raise CheckpointError(
                f"{path}: {name} is {tensor.dtype} {tensor.shape}, the network's is float32 "
                f"{leaf.shape}"
            )
        if not np.isfinite(tensor).all():
            raise CheckpointError(f"{path}: {name} holds values that are not finite")
    structure = jax.tree.structure(jax.eval_shape(learned.init, jax.random.key(0)))
    return jax.tree.unflatten(structure, [jnp.asarray(found[name]) for name in expected])


def _weights(path: str | Path) -> Path:
    path = Path(path)
    return path if path.suffix == SUFFIX else path.with_name(path.name + SUFFIX)


def _named(theta: Theta) -> dict[str, Any]:
    """Leaves by their place, in the order of the tree."""
    leaves, _ = jax.tree.flatten_with_path(theta)
    return {
        "/".join(str(getattr(key, "key", getattr(key, "idx", key))) for key in path): leaf
        for path, leaf in leaves
    }
