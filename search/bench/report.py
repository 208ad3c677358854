"""`metaopt bench report`: a benchmark's conclusions as a page, tables and figures."""

import json
from pathlib import Path

from search.bench import page, plots, store, tables
from search.bench.results import Summary
from search.bench.summary import summarize, to_json
from search.errors import UserError, write_whole

FOLDER = "report"


def conclude(folder: Path, reference: str | None = None) -> Summary:
    """What the benchmark in a folder comes to.

    Args:
      folder: the benchmark's folder; it may be unfinished.
      reference: optimizer that speed-ups are measured against; None for adamw, or the first where
        adamw is not among the optimizers.

    Raises:
      UserError: the benchmark cannot be read, or the reference is not among its optimizers.
    """
    results = store.results(folder)
    if reference is None:
        return summarize(results)
    if reference not in results.optimizers:
        raise UserError(
            f"{reference} is not among the optimizers of {folder}: choose the reference from "
            f"{', '.join(results.optimizers)}"
        )
    return summarize(results, reference)


def write(folder: Path, summary: Summary) -> Path:
    """Write `summary.json`, `table.md`, and the page with its figures into a benchmark's folder.

    Returns:
      The page's file.

    Raises:
      UserError: a file cannot be written.
    """
    figures = plots.figures(summary)
    for name, png in figures.items():
        write_whole(folder / FOLDER / name, png)
    write_whole(folder / FOLDER / "summary.json", json.dumps(to_json(summary), indent=1) + "\n")
    write_whole(folder / FOLDER / "table.md", tables.markdown(summary))
    path = folder / FOLDER / "index.html"
    write_whole(path, page.page(summary, figures))
    return path
