"""The page of a benchmark."""

from collections import defaultdict
from dataclasses import replace

import pytest
from pages import Page
from summaries import SETTINGS, results, summarize, summary, untuned

from search.bench import tables
from search.bench.page import page


def drawn():
    """Figures of any name."""
    return defaultdict(lambda: b"\x89PNG")


@pytest.fixture(scope="module")
def whole():
    return Page(page(summary(), drawn()))


def test_the_head_says_what_was_compared(whole):
    for text in (
        "metaopt benchmark", "made_up_v1", "5 optimizers", "10 trials × 3 seeds on every task",
        "NVIDIA H100 <80 GB>", "tasks of 15 families", "13,500", "lowest mean rank",
    ):  # fmt: skip
        assert text in whole.text


def test_every_number_of_the_tables_is_there(whole):
    for setting in SETTINGS:
        for make in (tables.standings, tables.claims, tables.scores, tables.losses):
            for row in make(summary(), setting).rows:
                for cell in row:
                    assert cell.text in whole.text
                    assert cell.note in whole.text
    for task in summary().results.tasks:
        assert whole.text.count(task) >= 3 * len(SETTINGS)


def test_a_single_task_has_no_intervals():
    found = Page(page(summarize(results(count=1, settings=SETTINGS[:1])), drawn()))
    assert "nan" not in found.text.replace("dominance", "")
    assert "On 1 task" in found.text


def test_claims_are_said_in_words(whole):
    for setting in SETTINGS:
        first = tables.ranked(summary(), setting)[0]
        for claim in map(tables.forward, summary().claims[setting]):
            if first not in (claim.first, claim.second):
                continue
            said = f"{claim.first} has a lower loss than {claim.second} on {claim.better} of 45"
            assert said in whole.text
            p = tables.probability(claim.p_adjusted)
            assert f"p {p}" in whole.text or f"p = {p}" in whole.text
    assert "Not decided: discovered has a lower loss than adamw" in whole.text
    assert "The tests do not tell it apart from discovered." in whole.text


def test_what_went_wrong_is_said(whole):
    assert "3 of 3 diverged" in whole.text
    assert "What diverged" in whole.text
    at_edge = [
        task
        for task in summary().results.tasks
        if summary().outcomes[task, SETTINGS[0], "adamw"].at_edge
    ]
    assert f"adamw on {len(at_edge)} of 45 tasks: {at_edge[0]}" in whole.text
    assert "The best learning rate of adamw is at the edge of those tried." in whole.text


def test_how_it_was_measured(whole):
    for text in (
        "lowest on the validation split", "test data choose nothing", "Wilcoxon", "Holm",
        "never gets there", "20 times a training", "lowest tried", "0.10.2",
    ):  # fmt: skip
        assert text in whole.text


def test_later_settings_are_folded(whole):
    assert "Settings" in whole.text
    assert whole.attributes.count(("class", "setting")) == 1
    alone = Page(page(summarize(results(count=3, settings=SETTINGS[:1])), drawn()))
    assert ("id", "settings") not in alone.attributes
    assert ("class", "setting") not in alone.attributes


def test_every_figure_is_shown_once_in_both_themes():
    figures = drawn()
    text = page(summary(), figures)
    kinds = ("ranks", "profiles", "speedups", "sensitivity", "curves")
    slugs = ("1x_cosine", "0.3x_constant")
    assert set(figures) == {f"{k}_{s}{t}.png" for k in kinds for s in slugs for t in ("", "-dark")}
    assert text.count("<figure>") == 10


def test_the_page_needs_nothing_else(whole):
    whole.assert_needs_nothing_else()
    assert whole.source == page(summary(), drawn())


def test_names_are_escaped():
    names = ("adamw", "a<b>&c")
    text = page(summarize(results(count=3, optimizers=names)), drawn())
    assert "a<b>" not in text
    assert "a<b>&c" in Page(text).text


def test_one_optimizer_has_no_one_to_compare_with():
    text = Page(page(summarize(results(count=3, optimizers=("adamw",))), drawn())).text
    assert "there is nothing to compare it with" in text
    assert "Who is better" not in text


def test_the_untuned_have_no_learning_rate():
    some = untuned(results(count=2, settings=SETTINGS[:1]), "sgd")
    text = Page(page(summarize(some), drawn())).text
    assert "1 trial × 3 seeds or 10 trials × 3 seeds on every task" in text
    assert "A learned optimizer has nothing to choose" in text
    assert "sgdnone" in text  # in the table of what was tried
    assert "nan" not in text


def test_unfinished_benchmarks_have_a_page():
    some = results(count=3, settings=SETTINGS[:1])
    first = next(iter(some.tasks))
    trials = {key: value for key, value in some.trials.items() if key[::2] != (first, "sgd")}
    text = Page(page(summarize(replace(some, trials=trials)), drawn())).text
    assert "On 2 tasks" in text
    assert "Left out: 1 task that not all were trained on." in text
    none = {key: value for key, value in trials.items() if key[2] != "sgd"}
    figures = drawn()
    text = Page(page(summarize(replace(some, trials=none)), figures)).text
    assert "No task is finished by every optimizer yet." in text
    assert not figures
