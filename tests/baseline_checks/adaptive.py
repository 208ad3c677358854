"""Checks of the adaptive methods."""

from baseline_checks.trajectories import Case, Reading

from metaopt import baselines

REFERENCES: dict[str, Case] = {
    f"adan__{library}": Case(lambda: baselines.adan(0.01, weight_decay=0.02))
    for library in ("optimi", "po", "timm")
}

READINGS: dict[str, Reading] = {}
