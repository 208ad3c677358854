"""Errors for what a method needs and was not given."""

from typing import Any


def require_params(params: Any, method: str) -> Any:
    """The parameters.

    Raises:
      ValueError: they are None.
    """
    if params is None:
        raise ValueError(
            f"{method} needs the parameters: call update(gradients, state, params), not "
            "update(gradients, state)"
        )
    return params


def require_value(value: Any, method: str) -> Any:
    """The loss.

    Raises:
      ValueError: it is None.
    """
    if value is None:
        raise ValueError(
            f"{method} needs the loss: call update(gradients, state, params, value=loss)"
        )
    return value
