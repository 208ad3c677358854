"""`metaopt meta-train report`: a meta-training as one web page, and its figures as PNG.

Every number comes from the store; a meta-training in progress has a report as well.
"""

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import jax

from metaopt.learned import count
from search.errors import write_whole
from search.figures import THEMES
from search.meta import page, plots, summary
from search.meta.config import MetaConfig
from search.meta.store import PROVENANCE, MetaStore, Validation
from search.meta.train import Record
from search.meta.work import built
from search.report import PAGE


@dataclass(frozen=True)
class Report:
    """All that the page shows.

    Attributes:
      title: the meta-training's folder, by name.
      config: its configuration.
      parameters: number of meta-parameters.
      records: the meta-updates.
      validations: the validations.
      committed_at: when the last meta-update was committed, in seconds since 1970.
      machines: where it ran.
      levels: meta-losses that the curve is held against, by name.
      figures: PNG files by name.
    """

    title: str
    config: MetaConfig
    parameters: int
    records: Sequence[Record]
    validations: Sequence[Validation]
    committed_at: float | None
    machines: Sequence[Mapping[str, str]]
    levels: Mapping[str, float]
    figures: Mapping[str, bytes]


def write(folder: Path, out: Path | None = None) -> Path:
    """Write the report of a meta-training.

    Args:
      folder: its folder.
      out: the page's file; its figures are written beside it.

    Returns:
      The page's file.

    Raises:
      UserError: the meta-training cannot be read, or the report cannot be written.
    """
    with closing(MetaStore.open(folder)) as store:
        report = gather(store)
    path = out or folder / PAGE
    for name, png in report.figures.items():
        write_whole(path.parent / name, png)
    write_whole(path, page.page(report))
    return path


def gather(store: MetaStore) -> Report:
    """Read a meta-training and draw its figures."""
    config, records = store.config(), store.records()
    theta = jax.eval_shape(built(config.network).init, jax.random.key(0))
    report = Report(
        title=store.folder.resolve().name,
        config=config,
        parameters=count(theta),
        records=records,
        validations=store.validations(),
        committed_at=store.committed_at(),
        machines=store.note(PROVENANCE) or (),
        levels=_levels(config, records),
        figures={},
    )
    return replace(report, figures=_figures(report))


def _levels(config: MetaConfig, records: Sequence[Record]) -> dict[str, float]:
    if not records:
        return {}
    levels = {"untrained": summary.at_first(records)}
    names = {name for record in records for name in record.tasks}
    trivial = summary.trivial_level(config, sorted(names))
    return levels if trivial is None else levels | {page.TRIVIAL: trivial}


def _figures(report: Report) -> dict[str, bytes]:
    config, records = report.config, report.records
    figures: dict[str, bytes] = {}
    for suffix, theme in THEMES.items():
        drawn: dict[str, bytes] = {}
        if records:
            drawn["loss"] = plots.loss(theme, records, report.levels)
            drawn["gradient"] = plots.gradient(theme, records)
            drawn["throughput"] = plots.throughput(theme, records)
            if any(summary.broken(records) > 0):
                drawn["broken"] = plots.broken(theme, records)
            if config.curriculum.last_longest or config.curriculum.small < 1:
                drawn["curriculum"] = plots.curriculum(theme, config, len(records))
            if len(summary.family_losses(records)) > 1:
                level = report.levels.get(page.TRIVIAL)
                drawn["families"] = plots.families(theme, records, level)
        if report.validations:
            drawn["validation"] = plots.validation(theme, report.validations, len(records))
        figures |= {f"{name}{suffix}.png": content for name, content in drawn.items()}
    return figures
