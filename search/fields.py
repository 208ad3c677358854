"""Checks of fields that configurations share; each says what is wrong with which field."""

import dataclasses
import math
import types
import typing
from collections.abc import Sequence
from functools import cache
from typing import Any


def assert_types(config: Any) -> None:
    """Check that every field of a dataclass holds what its annotation says.

    A list stands for a tuple, and an integer for a float.

    Raises:
      ValueError: one does not; the message names it and the type.
    """
    where = type(config).__name__
    for name, kind in _kinds(type(config)).items():
        _assert_type(kind, getattr(config, name), f"{where}.{name}")


def fits(kind: Any, value: Any) -> bool:
    """Whether a value is of a plain type; anything is of a type that is not plain."""
    if not isinstance(kind, type) or isinstance(kind, types.GenericAlias):
        return True
    if isinstance(value, bool) and kind in (int, float):
        return False
    return isinstance(value, (int, float) if kind is float else kind)


def assert_at_least(least: int, config: Any, *names: str) -> None:
    """Check numbers.

    Raises:
      ValueError: one is smaller.
    """
    for name in names:
        if getattr(config, name) < least:
            raise ValueError(f"{name} must be at least {least}, got {getattr(config, name)}")


def assert_rates(rates: Sequence[float]) -> None:
    """Check learning rates, or factors of them.

    Raises:
      ValueError: there are none, or one is not a positive number.
    """
    if not rates:
        raise ValueError("rates must hold at least one learning rate; (1.0,) leaves it as it is")
    for rate in rates:
        if not 0 < rate < math.inf:
            raise ValueError(f"rates must be positive numbers, got {rate}")


@cache
def _kinds(config: type) -> dict[str, Any]:
    hints = typing.get_type_hints(config)
    return {field.name: hints[field.name] for field in dataclasses.fields(config)}


def _assert_type(kind: Any, value: Any, where: str) -> None:
    if typing.get_origin(kind) is tuple:
        if not isinstance(value, tuple | list):
            raise ValueError(f"{where} must be a tuple, got {value!r}")
        for i, item in enumerate(value):
            _assert_type(typing.get_args(kind)[0], item, f"{where}[{i}]")
    elif not fits(kind, value):
        raise ValueError(f"{where} must be {kind.__name__}, got {value!r}")
