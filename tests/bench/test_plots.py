"""The figures of a benchmark."""

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from summaries import SETTINGS, results, summarize, untuned

from search import figures
from search.bench import plots, plots_curves
from search.figures import DARK, LIGHT

DRAW = (plots.ranks, plots.profiles, plots.speedups, plots.sensitivity, plots.suite_curves)


@pytest.fixture(scope="module")
def small():
    return summarize(results(count=4, points=8, rates=5))


def opened(png):
    return Image.open(io.BytesIO(png)).convert("RGB")


@pytest.mark.parametrize("draw", DRAW)
def test_a_single_task_is_drawn(draw):
    alone = summarize(results(count=1, points=8, rates=5, settings=SETTINGS[:1]))
    assert opened(draw(LIGHT, alone, SETTINGS[0])).width == int(figures.WIDTH * figures.DPI)


@pytest.mark.parametrize("draw", DRAW)
def test_figures_are_as_wide_as_a_page_on_its_colour(small, draw):
    light, dark = (opened(draw(theme, small, SETTINGS[0])) for theme in (LIGHT, DARK))
    assert light.size == dark.size
    assert light.width == int(figures.WIDTH * figures.DPI)
    for image, page in ((light, LIGHT.page), (dark, DARK.page)):
        colours = image.getcolors(image.width * image.height)
        assert "#{:02x}{:02x}{:02x}".format(*max(colours)[1]) == page


@pytest.mark.parametrize("draw", DRAW)
def test_the_same_benchmark_gives_the_same_bytes(small, draw):
    again = summarize(results(count=4, points=8, rates=5))
    assert draw(LIGHT, small, SETTINGS[1]) == draw(LIGHT, again, SETTINGS[1])


def test_all_figures_by_name(monkeypatch, small):
    for draw in DRAW:
        monkeypatch.setattr(plots, draw.__name__, lambda theme, *_: theme.page.encode())
    drawn = plots.figures(small)
    assert len(drawn) == len(DRAW) * 2 * 2
    assert drawn["curves_0.3x_constant-dark.png"] == DARK.page.encode()
    assert drawn["ranks_1x_cosine.png"] == LIGHT.page.encode()


@pytest.mark.parametrize("count", [1, 10])
def test_one_and_ten_optimizers(count):
    names = tuple(f"optimizer_{i}" for i in range(count))
    summary = summarize(
        results(count=2, points=6, rates=4, optimizers=names, settings=SETTINGS[:1])
    )
    for draw in DRAW:
        draw(LIGHT, summary, SETTINGS[0])


@pytest.mark.parametrize("names", [("lion",), ("lion", "sgd", "adamw", "momentum", "discovered")])
def test_the_untuned_are_drawn(names):
    summary = summarize(untuned(results(count=2, points=6, settings=SETTINGS[:1]), *names))
    for draw in DRAW:
        draw(LIGHT, summary, SETTINGS[0])


def test_curves_of_one_optimizer_show_its_other_trials(small):
    every = plots.suite_curves(LIGHT, small, SETTINGS[0])
    one = plots.suite_curves(LIGHT, small, SETTINGS[0], ["adamw"])
    assert opened(one).size == opened(every).size
    assert one != every


def test_what_diverged_everywhere_and_what_was_not_trained():
    whole = results(count=3, points=6, rates=4, settings=SETTINGS[:1])
    trials = dict(whole.trials)
    first, second, _ = whole.tasks
    for task in whole.tasks:
        key = (task, SETTINGS[0], "sgd")
        trials[key] = trials[key]._replace(
            validation=np.full_like(trials[key].validation, np.nan),
            test=np.full_like(trials[key].test, np.inf),
        )
    # A task where nobody gets anywhere, and one that an optimizer lacks.
    for name in whole.optimizers:
        trials[first, SETTINGS[0], name] = trials[first, SETTINGS[0], "sgd"]
    del trials[second, SETTINGS[0], "lion"]
    summary = summarize(replace(whole, trials=trials))
    for draw in DRAW:
        draw(LIGHT, summary, SETTINGS[0])


def test_rates_drawn_with_other_hyperparameters_are_taken_together():
    trials = next(iter(results(count=1, rates=6).trials.values()))
    rates = np.array([1e-3, 1.1e-3, 1.2e-3, 0.011, 0.012, 0.5])
    drawn = trials._replace(hyperparameters={"learning_rate": rates, "weight_decay": rates})
    middles, scores = plots_curves._valley(drawn, 1.0)
    np.testing.assert_allclose(np.log10(middles), [-2.75, -1.75, -0.25])
    assert scores.shape == (3,)
    alone = trials._replace(hyperparameters={"learning_rate": rates[::-1]})
    np.testing.assert_array_equal(plots_curves._valley(alone, 1.0)[0], rates)


def test_bars_join_whom_the_tests_do_not_tell_apart(small):
    names = ["a", "b", "c", "d"]
    claim = small.claims[SETTINGS[0]][0]
    claims = tuple(
        claim._replace(first=x, second=y, p_adjusted=p)
        for x, y, p in (
            ("a", "b", 0.5), ("b", "c", 0.5), ("c", "a", 0.01),
            ("a", "d", 0.01), ("b", "d", 0.01), ("c", "d", 0.01),
        )
    )  # fmt: skip
    summary = replace(small, claims={SETTINGS[0]: claims})
    assert plots._joined(summary, SETTINGS[0], names) == [(0, 1), (1, 2)]


@pytest.mark.parametrize("upward", [False, True])
def test_labels_keep_apart_and_in_order(upward):
    places = np.array([0.1, 0.5, 0.5, 0.51, 0.9])
    moved = figures._apart(places, 0.06, upward)
    assert (np.diff(moved) > 0.0599).all()
    assert moved[0] == pytest.approx(0.1)
    assert moved[-1] == pytest.approx(0.9)
    if not upward:
        assert moved[1] < 0.5


def test_more_optimizers_than_colours_differ():
    for theme in (LIGHT, DARK):
        assert len({theme.stroke(i) for i in range(21)}) == 21


def test_names_fit_in_two_lines():
    assert plots_curves.shortened("mlp") == "mlp"
    long = plots_curves.shortened("quadratic_12x8_4_cond10000_noise0.1_seed12_delay4_label_noise")
    assert long == "quadratic_12x8_4_cond10000_\nnoise0.1_seed12_delay4_…"
    assert max(map(len, plots_curves.shortened("x" * 99).split("\n"))) <= 27


@pytest.mark.parametrize("low", [1e-7, 0.002, 0.3, 0.7, 0.94, 0.99])
def test_axes_have_a_few_round_ticks(low):
    ticks = plots_curves._ticks(low, 1.1)
    assert 2 <= len(ticks) <= 4
    assert all(low <= tick <= 1.1 for tick in ticks)
    assert all(len(f"{tick:g}") <= 5 for tick in ticks)
