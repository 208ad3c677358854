"""`metaopt search report`: a campaign as one web page, and its figures as PNG.

Every number comes from the store; a campaign in progress has a report as well, without the parts
that are not there yet.
"""

from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from metaopt.rules import parse, simplify, to_source
from search import report_math, report_page
from search import report_plots as plots
from search.config import SearchConfig
from search.errors import write_whole
from search.export import Winner, describe
from search.figures import THEMES
from search.store import Candidate, RoundRecord, Store

PAGE = Path("report") / "index.html"
FAME = 20


@dataclass(frozen=True)
class Report:
    """All that the page shows.

    Attributes:
      title: the campaign's folder, by name.
      config: its configuration.
      records: the committed rounds.
      fitness: float64, of everything trained, in order.
      winner: the winner, or the best rule so far; None before anything was trained.
      ancestry: the winner and its ancestors, the start program first.
      fame: the fittest candidates.
      equations: the winner's, as MathML.
      source: the winner as Optax code.
      baselines, funnel, verdict: the store's notes; empty where there are none yet.
      hidden: how many candidates lie below what the search curve shows.
      figures: PNG files by name.
    """

    title: str
    config: SearchConfig
    records: tuple[RoundRecord, ...]
    fitness: np.ndarray
    winner: Winner | None
    ancestry: tuple[Candidate, ...]
    fame: tuple[Candidate, ...]
    equations: tuple[str, ...]
    source: str
    baselines: tuple[dict[str, Any], ...]
    funnel: tuple[dict[str, Any], ...]
    verdict: dict[str, Any]
    hidden: int
    figures: dict[str, bytes]

    @property
    def lines(self) -> list[tuple[str, float]]:
        """What the best fitness is held against: the start program and the baselines."""
        start = [("start", float(self.fitness[0]))] if len(self.fitness) else []
        return [*start, *((row["name"], row["fitness"]) for row in self.baselines)]


def write(folder: Path, out: Path | None = None) -> Path:
    """Write the report of a campaign.

    Args:
      folder: the campaign's folder.
      out: the page's file; its figures are written beside it.

    Returns:
      The page's file.

    Raises:
      CampaignError: the campaign cannot be read.
      UserError: the report cannot be written.
    """
    with closing(Store.open(folder)) as store:
        report = gather(store)
    path = out or folder / PAGE
    for name, png in report.figures.items():
        write_whole(path.parent / name, png)
    write_whole(path, report_page.page(report))
    return path


def gather(store: Store) -> Report:
    """Read a campaign and draw its figures."""
    config = store.config()
    records = tuple(store.rounds())
    _, fitness = store.known()
    winner = Winner.of(store)
    equations: list[str] = []
    source = ""
    if winner is not None:
        program = simplify(parse(winner.rule))
        equations = report_math.equations(program)
        source = to_source(
            program,
            name="discovered",
            provenance=describe(store, config, winner),
            learning_rate=winner.rate,
        )
    report = Report(
        title=store.folder.resolve().name,
        config=config,
        records=records,
        fitness=fitness,
        winner=winner,
        ancestry=tuple(store.ancestry(winner.print)) if winner else (),
        fame=tuple(store.best(FAME)),
        equations=tuple(equations),
        source=source,
        baselines=tuple(store.note("baselines") or ()),
        funnel=tuple(store.note("funnel") or ()),
        verdict=store.note("verdict") or {},
        hidden=0,
        figures={},
    )
    hidden = plots.hidden_below(fitness, report.lines) if len(fitness) else 0
    return replace(report, hidden=hidden, figures=_figures(report))


def _figures(report: Report) -> dict[str, bytes]:
    figures: dict[str, bytes] = {}
    for suffix, theme in THEMES.items():
        if len(report.fitness):
            cost = report.config.training.trainings_per_candidate
            curve = plots.search_curve(theme, report.fitness, cost, report.lines)
            figures[f"search{suffix}.png"] = curve
        if any(record.number > 0 for record in report.records):
            figures[f"fates{suffix}.png"] = plots.fates(theme, report.records)
            figures[f"throughput{suffix}.png"] = plots.throughput(theme, report.records)
    return figures
