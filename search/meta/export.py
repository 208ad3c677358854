"""`metaopt meta-train export`: the weights of a meta-training as a checkpoint with its card."""

import dataclasses
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import metaopt
import tasks
from metaopt.learned import checkpoint, count
from search.errors import UserError
from search.meta import summary, validate
from search.meta.config import MetaConfig
from search.meta.store import BEGUN_FROM, PROVENANCE, MetaStore, Weights
from search.meta.train import Record
from search.meta.work import built


def export(folder: Path, output: Path) -> int:
    """Write the weights with the best validation; if there was none, those come to.

    Returns:
      The exit code.

    Raises:
      UserError: nothing was trained yet, or the files cannot be written.
    """
    if output.suffix != checkpoint.SUFFIX:
        raise UserError(f"{output}: a file of weights must end in {checkpoint.SUFFIX}")
    with closing(MetaStore.open(folder)) as store:
        weights = store.best()
        if weights is None or not store.records():
            raise UserError(
                f"the meta-training in {folder} has made no meta-update yet; go on with "
                f"`metaopt meta-train resume {folder}`"
            )
        about = card(store, weights, output.stem)
        network = built(store.config().network)
    try:
        checkpoint.write(output, network, weights.theta, about)
    except checkpoint.CheckpointError as error:
        raise UserError(f"{output} is not written: {error}") from None
    except OSError as error:
        raise UserError(f"cannot write {output}: {error.strerror}") from None
    print(
        f"wrote {output} and its card: {about['meta_parameters']:,} meta-parameters, after "
        f"{weights.step:,} meta-updates",
        file=sys.stderr,
    )
    return 0


def card(store: MetaStore, weights: Weights, name: str) -> dict[str, Any]:
    """What is known of weights, JSON."""
    config, records = store.config(), store.records()[: weights.step]
    date = time.strftime("%Y-%m-%d", time.gmtime(store.committed_at()))
    return {
        "name": name,
        "network": config.network.name,
        "meta_parameters": count(weights.theta),
        "meta_updates": weights.step,
        "inner_steps": summary.inner_steps(records),
        "begun_from": store.note(BEGUN_FROM) or [],
        "trained_on": _tasks(config, records),
        "horizon": _horizon(config),
        "meta_loss": {
            "at_first": summary.at_first(records) if records else None,
            "at_last": summary.at_last(records) if records else None,
            "normalization": config.estimator.normalization,
        },
        "validation": _validation(weights),
        "seed": config.seed,
        "metaopt": metaopt.__version__,
        "date": date,
        "made_on": store.note(PROVENANCE) or [],
        "config": dataclasses.asdict(config),
    }


def _tasks(config: MetaConfig, records: Sequence[Record]) -> dict[str, Any]:
    """What could be met, and how many were."""
    of = config.tasks
    names = {*(tasks.steps(of.suite) if of.suite else ()), *of.names}
    sizes = Counter(tasks.family(tasks.TASKS[name]) for name in names)
    return {
        "suite": of.suite,
        "tasks": sum(min(size, of.per_family or size) for size in sizes.values()),
        "met": len({name for record in records for name in record.tasks}),
        "families": sorted(sizes),
    }


def _horizon(config: MetaConfig) -> dict[str, int]:
    """Lengths of trainings, at first and at the end of the curriculum."""
    lengths = config.curriculum
    return {
        "shortest": lengths.shortest,
        "longest": lengths.longest,
        "last_shortest": lengths.last[0],
        "last_longest": lengths.last[1],
    }


def _validation(weights: Weights) -> dict[str, Any] | None:
    found = weights.validation
    if found is None:
        return None
    return {
        "suite": validate.SUITE,
        "tasks": len(found.losses),
        "steps": validate.STEPS,
        "seeds": validate.SEEDS,
        "score": found.score,
        "losses": dict(found.losses),
    }
