"""The checks of all groups, by name."""

from baseline_checks import (
    adaptive,
)
from baseline_checks.trajectories import Case, Reading

_GROUPS = (adaptive,)

REFERENCES: dict[str, Case] = {k: v for group in _GROUPS for k, v in group.REFERENCES.items()}
READINGS: dict[str, Reading] = {k: v for group in _GROUPS for k, v in group.READINGS.items()}
