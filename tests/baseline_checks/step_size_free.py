"""Checks of the methods that find their own step size."""

from baseline_checks.trajectories import Case, Reading

from metaopt import baselines

_DOG = Case(lambda: baselines.dog(reps_rel=0.01))
_LDOG = Case(lambda: baselines.ldog(reps_rel=0.01))

REFERENCES: dict[str, Case] = {
    "dadapt_sgd__dadaptation": Case(lambda: baselines.dadapt_sgd(1.0, 0.9, d0=0.01)),
    # The package's norm of the first gradient is float32.
    "dadapt_sgd__po": Case(lambda: baselines.dadapt_sgd(1.0, 0.9, d0=0.01), atol=1e-9),
    "dadapt_adagrad__dadaptation": Case(lambda: baselines.dadapt_adagrad(d0=0.01)),
    # The package's eps is 0 by default.
    "dadapt_adagrad__po": Case(lambda: baselines.dadapt_adagrad(d0=0.01, eps=0.0)),
    "dadapt_adam__dadaptation": Case(lambda: baselines.dadapt_adam(d0=0.01)),
    "dadapt_adam__po": Case(lambda: baselines.dadapt_adam(d0=0.01)),
    "dadapt_lion__dadaptation": Case(lambda: baselines.dadapt_lion(d0=0.01)),
    "dadapt_lion__po": Case(lambda: baselines.dadapt_lion(d0=0.01)),
    "prodigy__po": Case(lambda: baselines.prodigy(d0=0.01)),
    "prodigy__prodigyopt": Case(lambda: baselines.prodigy(d0=0.01)),
    "dog__dog": _DOG,
    "dog__zij": _DOG,
    "ldog__dog": _LDOG,
    "ldog__zij": _LDOG,
}

READINGS: dict[str, Reading] = {}
