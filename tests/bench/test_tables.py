"""The tables of a benchmark."""

import re

import numpy as np
import pytest
from rich.console import Console
from summaries import SETTINGS, results, summarize, summary, untuned

from search.bench import tables
from search.bench.results import Claim, Interval
from search.bench.tables import Cell, Sheet


@pytest.fixture(scope="module")
def setting():
    return summary().results.settings[0]


def test_the_main_table_is_in_the_order_of_ranks(setting):
    sheet = tables.standings(summary(), setting)
    names = [row[0].text for row in sheet.rows]
    ranks = [summary().standings[setting, name].rank.value for name in names]
    assert ranks == sorted(ranks)
    assert set(names) == set(summary().results.optimizers)
    assert sheet.rows[0][1].best
    assert sum(row[1].best for row in sheet.rows) == 1
    by_name = {row[0].text: row for row in sheet.rows}
    assert by_name["adamw"][3] == Cell("1.00", "reference", by_name["adamw"][3].best)
    # Costs are optional: `discovered` has none.
    assert [cell.text for cell in by_name["discovered"][-2:]] == ["", ""]


def test_nothing_is_said_of_how_forgiving_the_untuned_are():
    small = results(count=3, settings=SETTINGS[:1])
    for names in (("discovered",), small.optimizers):
        sheet = tables.standings(summarize(untuned(small, *names)), SETTINGS[0])
        cells = {row[0].text: row[sheet.head.index("tolerance")] for row in sheet.rows}
        assert {cells[name] for name in names} == {Cell("–")}
        others = [cell for name, cell in cells.items() if name not in names]
        assert sum(cell.best for cell in others) == min(1, len(others))


def test_a_single_task_has_estimates_without_intervals():
    alone = summarize(results(count=1, settings=SETTINGS[:1]))
    assert "nan" not in tables.markdown(alone)
    for make, columns in ((tables.standings, (1, 2)), (tables.claims, (2,))):
        for row in make(alone, SETTINGS[0]).rows:
            assert all(row[column].text and not row[column].note for column in columns)


def test_markdown_has_every_column_in_every_row(setting):
    for make in (tables.standings, tables.claims, tables.scores, tables.losses):
        sheet = make(summary(), setting)
        lines = sheet.markdown().splitlines()
        assert len(lines) == 2 + len(sheet.rows)
        assert {line.count("|") for line in lines} == {len(sheet.head) + 1}
    assert Sheet(("a",), ((Cell("x|y", "n", True),),)).markdown().endswith("| **x\\|y** (n) |\n")


def test_the_whole_document(setting):
    text = tables.markdown(summary())
    assert text.startswith("# made_up_v1\n")
    for where in summary().results.settings:
        assert f"## {tables.describe(where)}\n" in text
    assert tables.scores(summary(), setting).markdown() in text


def test_the_terminal_shows_every_setting_in_100_columns():
    console = Console(width=100)
    with console.capture() as capture:
        console.print(tables.terminal(summary()))
    text = capture.get()
    for where in summary().results.settings:
        assert tables.describe(where) in text
    for name in summary().results.optimizers:
        assert text.count(f"\n{name} ") == 2
    assert "…" not in text
    alone = summarize(results(count=4, settings=summary().results.settings[:1]))
    assert len(tables.terminal(alone).rows) == 5


def test_tasks_mark_the_best_and_what_diverged(setting):
    scores = tables.scores(summary(), setting)
    assert [row[0].text for row in scores.rows] == list(summary().results.tasks)
    assert {sum(cell.best for cell in row) for row in scores.rows} == {1}
    lost = [
        (row[0].text, name)
        for row in tables.losses(summary(), setting).rows
        for name, cell in zip(scores.head[1:], row[1:], strict=True)
        if cell == Cell("–", "3 of 3 diverged")
    ]
    assert lost
    for task, name in lost:
        assert np.isnan(summary().outcomes[task, setting, name].test)


def test_claims_come_surest_first_and_say_who_is_ahead(setting):
    sheet = tables.claims(summary(), setting)
    assert len(sheet.rows) == 10
    for row in sheet.rows:
        ahead, behind = map(int, row[1].text.split(" : "))
        assert ahead >= behind
    p = sorted(claim.p for claim in summary().claims[setting])
    assert [row[3].text for row in sheet.rows] == list(map(tables.probability, p))


def test_a_claim_turned_around():
    claim = Claim("a", "b", 2, 5, Interval(-0.1, -0.3, 0.1), 0.01, 0.02)
    turned = tables.forward(claim)
    assert turned == Claim("b", "a", 5, 2, Interval(0.1, -0.1, 0.3), 0.01, 0.02)
    assert tables.forward(turned) == turned
    equal = claim._replace(better=3, worse=3)
    assert tables.forward(equal).first == "b"


def test_numbers_as_words():
    assert [*map(tables.probability, (0.68, 0.1, 0.012, 0.00042, 1e-5))] == [
        "0.68", "0.10", "0.012", "0.00042", "< 0.0001",
    ]  # fmt: skip
    assert tables.percent(0, 10) == "0 %"
    assert tables.percent(1, 10_000) == "< 0.1 %"
    assert tables.percent(1, 3) == "33.3 %"
    assert tables.plural(1, "task") == "1 task"
    assert tables.plural(1200, "task") == "1,200 tasks"
    assert re.fullmatch(r"1× length, cosine", tables.describe(summary().results.settings[0]))
