"""Small campaigns for tests: what they are, and what it means that two ended the same."""

from dataclasses import replace

import numpy as np

from search.config import EvolutionConfig, SearchConfig
from search.evaluate import TrainingConfig
from search.store import Store

TASK = "quadratic_12x8_4_cond10_noise0_seed0"


def tiny(**changes) -> SearchConfig:
    """Two islands of a few dozen rules on a quadratic; changes by field, at any level."""
    config = SearchConfig(
        training=TrainingConfig(tasks=(TASK,), steps=10, patience=0.5, engine="host", width=8),
        evolution=EvolutionConfig(
            population=30, children=20, evaluations=6, cycles=1, migrants=3, patience=3
        ),
        islands=2,
        rounds=4,
        capacity=12,
        spares=2,
    )
    for part in ("evolution", "training"):  # both have a `patience`: the islands' is meant
        names = set(type(getattr(config, part)).__dataclass_fields__) & set(changes)
        inner = {name: changes.pop(name) for name in names}
        config = replace(config, **{part: replace(getattr(config, part), **inner)})
    return replace(config, **changes)


def same(a, b) -> None:
    """Assert that two nests of tuples of arrays are equal, bit by bit."""
    if isinstance(a, tuple):
        assert type(a) is type(b)
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            same(x, y)
    elif isinstance(a, str):
        assert a == b
    else:
        a, b = np.asarray(a), np.asarray(b)
        assert a.dtype == b.dtype
        assert a.shape == b.shape
        assert a.tobytes() == b.tobytes()


def outcome(store: Store) -> tuple:
    """All that a campaign came to, but for the times."""
    rounds = tuple((r.number, r.best, tuple(r.counts)) for r in store.rounds())
    return (
        tuple(map(tuple, store.best(50))),
        tuple(tuple(map(np.asarray, jax_leaves(island))) for island in store.islands()),
        rounds,
        store.known(),
        tuple(map(tuple, store.improvements())),
    )


def jax_leaves(island):
    """The arrays of an island, in order."""
    return (*island.genomes, *island[1:])
