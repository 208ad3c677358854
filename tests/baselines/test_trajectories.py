"""Every baseline against independent implementations, or a numpy reading of its publication."""

from collections import defaultdict

import numpy as np
import pytest
from baseline_checks.groups import READINGS, REFERENCES
from baseline_checks.trajectories import (
    FOLDER,
    STEPS,
    follow,
    quadratic,
    read,
    steps_of,
)

from metaopt.baselines import BASELINES

PACKAGES = {"po": "pytorch_optimizer", "torch_optimizer": "torch-optimizer"}
"""Names of packages, where the references abbreviate them."""


def _implementation(name):
    meta = read(name).meta
    return f"{PACKAGES.get(meta['lib'], meta['lib'])} {meta['version'].split('+')[0]}"


def test_every_file_has_its_case():
    assert set(REFERENCES) == {path.stem for path in FOLDER.glob("*.npz")}


def test_every_baseline_is_checked_as_its_row_says():
    followed = defaultdict(list)
    for name, case in REFERENCES.items():
        if not case.departs and not case.inconclusive:
            followed[name.split("__")[0]].append(_implementation(name))
    for row in BASELINES.values():
        expected = tuple(sorted(followed[row.id])) or ("equations",)
        assert row.checked == expected, row.id
        assert (row.id in READINGS) == (expected == ("equations",)), row.id


def _close(actual, expected, case):
    return np.allclose(actual, expected, rtol=case.rtol, atol=case.atol)


@pytest.mark.parametrize("name", REFERENCES)
def test_it_follows_the_reference(name):
    case, reference = REFERENCES[name], read(name)
    if reference.rates is not None:
        schedule = case.build()
        rates = np.array([schedule(t) for t in range(STEPS)])
        np.testing.assert_allclose(rates, reference.rates, rtol=case.rtol, atol=case.atol)
        return
    keep = case.parts
    quad = reference.meta["mode"] == "quad"
    found = follow(
        case.build(),
        {k: reference.start[k] for k in keep},
        {k: reference.gradients[k] for k in keep},
        gradient_at=quadratic(reference) if quad else None,
    )
    for k in keep:
        before, expected = found[k], reference.after[k]
        if case.departs:
            assert not _close(before[case.at - 1], expected[case.at - 1], case) or k != "w"
            before, expected = before[: case.at - 1], expected[: case.at - 1]
        np.testing.assert_allclose(before, expected, rtol=case.rtol, atol=case.atol)


@pytest.mark.parametrize("name", READINGS)
def test_it_follows_the_equations(name):
    reading, given = READINGS[name], read("sgd__torch")
    if BASELINES[name].kind == "schedule":
        schedule = reading.build()
        values = np.array([schedule(t) for t in range(STEPS)])
        expected = reading.trajectory(STEPS)
        np.testing.assert_allclose(values, expected, rtol=reading.rtol, atol=reading.atol)
        return
    start = given.start if reading.start is None else reading.start
    gradients = given.gradients if reading.gradients is None else reading.gradients
    args = [start, steps_of(gradients)]
    if reading.extra:
        args.append(steps_of(reading.extra))
    expected = reading.trajectory(*args)
    found = follow(reading.build(), start, gradients, reading.extra)
    for t, want in enumerate(expected):
        for k in want:
            np.testing.assert_allclose(
                found[k][t], want[k], rtol=reading.rtol, atol=reading.atol, err_msg=f"{k}, {t + 1}"
            )
