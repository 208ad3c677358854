"""`metaopt meta-train run`, `resume` and `status`: a meta-training from the outside."""

import contextlib
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import jax
from rich.console import Console

import tasks
from metaopt.learned.checkpoint import CheckpointError
from search import config_file
from search.cli import INTERRUPTED
from search.cluster import Executor, InProcess, executor
from search.config import from_json, to_json
from search.drive import CONFIG, Where
from search.errors import UserError, write_whole
from search.machine import cores, keep_compiled, provenance
from search.meta import campaign, summary
from search.meta.ahead import compiling
from search.meta.config import MetaConfig
from search.meta.live import Snapshot, View, panel, view
from search.meta.store import BEGUN_FROM, PROVENANCE, MetaStore
from search.meta.train import begun_from, first_weights
from search.meta.work import built
from search.stop import Stop
from search.views import duration
from tasks.data import cache


def run(config: Path, out: Path, where: Where, *, seed: int | None, steps: int | None) -> int:
    """Start a meta-training; the exit code."""
    loaded = config_file.taken(config, MetaConfig, "meta-training")
    loaded = checked(config_file.changed(loaded, seed=seed, steps=steps), str(config))
    with closing(MetaStore.create(out, loaded)) as store:
        write_whole(out / CONFIG, to_json(loaded) + "\n")
        return _drive(store, where)


def resume(folder: Path, where: Where) -> int:
    """Go on with a meta-training; the exit code."""
    with closing(MetaStore.open(folder)) as store:
        return _drive(store, where)


def status(folder: Path) -> int:
    """Print where a meta-training is; the exit code."""
    with closing(MetaStore.open(folder)) as store:
        shot = Snapshot.of(store)
        Console().print(panel(shot))
        if shot.state == "finished":
            _conclude(store)
    return 0


def checked(config: MetaConfig, where: str) -> MetaConfig:
    """A configuration that can be run, its suite with its version, its lists turned into tuples.

    Raises:
      UserError: a value of the wrong type, or a name that there is none of.
    """
    try:
        config = from_json(MetaConfig, to_json(config))
        built(config.network)
        for name in config.tasks.names:
            if name not in tasks.TASKS:
                tasks.get(name)  # raises, with near matches
        if config.tasks.suite:
            suite = tasks.resolve_suite(config.tasks.suite)
            config = replace(config, tasks=replace(config.tasks, suite=suite))
        if config.start:
            first_weights(config)
            begun_from(config)
    except (KeyError, ValueError, TypeError) as error:
        raise UserError(f"{where}: {config_file.message(error)}") from None
    except (CheckpointError, FileNotFoundError) as error:
        raise UserError(f"{where}: start: {error}") from None
    return config


def _drive(store: MetaStore, where: Where) -> int:
    try:
        with store.locked(), view(store) as shown, Stop(shown.stopping) as stop:
            complete = _advance(store, where, shown, stop)
    except KeyboardInterrupt:
        complete = False
    if not complete:
        print(
            f"stopped after {len(store.records())} of {store.config().steps} meta-updates; go on "
            f"with `metaopt meta-train resume {store.folder}`",
            file=sys.stderr,
        )
        return INTERRUPTED
    _conclude(store)
    return 0


def _advance(store: MetaStore, where: Where, shown: View, stop: Stop) -> bool:
    machines = store.note(PROVENANCE) or []
    if provenance() not in machines:
        store.set_note(PROVENANCE, [*machines, provenance()])
    config, step = store.config(), len(store.records())
    if not step:
        store.set_note(BEGUN_FROM, begun_from(config))
    here = not (where.workers or where.address)
    ahead = compiling(config, step) if here else contextlib.nullcontext()
    with stop.patiently(), _workers(config, where, shown) as workers, ahead:
        return campaign.advance(store, workers, shown, stop.asked)


def _workers(
    config: MetaConfig, where: Where, shown: View
) -> contextlib.AbstractContextManager[Executor]:
    """Where groups run."""
    on_gpu = jax.default_backend() != "cpu"
    if where.workers or where.address:
        return executor(**where.options(), gpus=float(on_gpu), report=shown.say)
    keep_compiled(cache.directory() / "compiled")
    at_once = jax.local_device_count() if on_gpu else cores()
    return contextlib.nullcontext(InProcess(min(config.groups, at_once)))


def _conclude(store: MetaStore) -> None:
    """Print what was come to, and what to do next."""
    records, folder = store.records(), store.folder
    seconds = sum(record.seconds for record in records)
    print(
        f"\nmeta-loss {summary.at_last(records):.4f} at the end, {summary.at_first(records):.4f} "
        f"at first; {summary.inner_steps(records):,} inner steps in {duration(seconds)}"
    )
    best = min(store.validations(), key=lambda found: found.score, default=None)
    if best is not None:
        print(f"lowest validation {best.score:.4f}, after {best.step} meta-updates")
    print(f"\nthe whole story:  metaopt meta-train report {folder}")
    print(f"its weights:      metaopt meta-train export {folder} -o my_optimizer.safetensors")
