"""How a configuration's name tells what differs from the default."""

import dataclasses
from typing import Any


def variant(config: Any, *fields: str) -> str:
    """What those fields add to a name: nothing for a default, else `_value` or `_fieldvalue`.

    A string stands for itself with its field's name where that is needed to tell fields apart:
    `"_he_normal"`, `"_norm_layer"`, `"_label_noise0.1"`.
    """
    defaults = {field.name: field.default for field in dataclasses.fields(config)}
    parts = []
    for field in fields:
        value = getattr(config, field)
        if value == defaults[field]:
            continue
        if isinstance(value, bool):
            parts.append(field if value else f"no_{field}")
        elif isinstance(value, str):
            parts.append(f"{field}_{value}" if field == "norm" else value)
        else:
            parts.append(f"{field}{value:g}")
    return "".join(f"_{part}" for part in parts)
