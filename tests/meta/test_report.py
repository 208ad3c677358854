"""What is shown of a meta-training: the page, the live panel, the lines."""

import shutil
from contextlib import closing

import numpy as np
import pytest
from metas import TASKS, tiny
from pages import Page
from rich.console import Console

import tasks
from search.meta import live, report, summary, train
from search.meta.config import CurriculumConfig, EstimatorConfig, MetaConfig, TasksConfig
from search.meta.estimators import Metrics
from search.meta.live import LivePanel, PlainLines, Snapshot, panel, plain_line
from search.meta.store import MetaStore, Validation
from search.meta.train import Record

CONFIG = tiny(
    steps=300,
    curriculum=CurriculumConfig(6, 12, last_shortest=20, last_longest=90, small=0.5, steps=200),
    tasks=TasksConfig(names=TASKS),
    keep=30,
)
DIGITS = TasksConfig(names=("digits_mlp_32_relu_b128",))
TRIVIAL = tasks.get(*DIGITS.names).trivial_loss


def records(count: int, names: tuple[str, ...] = TASKS, broken: float = 0.25) -> list[Record]:
    """Made-up meta-updates, of falling losses, some of which are broken."""
    draw = np.random.default_rng(0)
    found = []
    for step in range(count):
        loss = 2.5 * 0.99**step * draw.uniform(0.9, 1.1, len(names))
        metrics = tuple(
            Metrics(float(x), 0.1, broken if step % 50 == 7 else 0.0, 1.0, 12.0)  # type: ignore
            for x in loss
        )
        norm = float("nan") if step == 9 else 2.0 + draw.uniform()
        found.append(Record(step, 0.02 if step > 1 else 3.0, norm, names, metrics))
    return found


def made(folder, config: MetaConfig, found: list[Record]) -> MetaStore:
    """A meta-training that never ran."""
    store = MetaStore.create(folder, config)
    state = train.begin(config)
    store.commit(state, found)
    store.set_note("provenance", [{"device": "a <b>", "date": "2026-01-01", "software": "jax 1"}])
    for step, score in ((0, 1.5), (100, 0.75), (200, 0.8)):
        if step <= len(found):
            losses = {"levy_d8_noise0.0244": score - 0.1, TASKS[0]: score + 0.1}
            store.add_validation(Validation(step, 2.0, score, losses), state.theta)
    return store


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    # A name that would be markup if it were not escaped.
    folder = tmp_path_factory.mktemp("report") / "a<b>&c"
    store = made(folder, CONFIG, records(250))
    yield store
    store.close()


@pytest.fixture(scope="module")
def page(store):
    return Page(report.write(store.folder).read_text())


def test_the_page_holds_the_whole_story(store, page):
    for text in (
        "metaopt meta-training", "250 of 300 meta-updates so far", "meta-parameters", "seed 0",
        "Meta-loss", "Validation", "Tasks", "Gradient", "Curriculum", "Broken losses",
        "Throughput", "Configuration", "Provenance", "curriculum.last_longest", "a <b>",
        "0.7500", "best, at 100", "last, at 200", "rosenbrock_d32", "landscape",
    ):  # fmt: skip
        assert text in page.text
    assert f"{summary.at_last(store.records()):.4f}" in page.text
    assert "0.5 % of all losses, in 5 of 250 meta-updates" in page.text


def test_the_page_needs_nothing_else_and_is_always_the_same(store, page, tmp_path):
    page.assert_needs_nothing_else()
    assert "a<b>" not in page.source
    assert "a&lt;b&gt;&amp;c" in page.source
    assert report.write(store.folder, tmp_path / "again.html").read_text() == page.source


def test_the_figures_lie_beside_the_page(store, page):
    kinds = ("loss", "families", "gradient", "curriculum", "broken", "throughput", "validation")
    names = {f"{kind}{suffix}.png" for kind in kinds for suffix in ("", "-dark")}
    folder = store.folder / "report"
    assert {path.name for path in folder.iterdir()} == {"index.html", *names}
    assert all((folder / name).read_bytes().startswith(b"\x89PNG") for name in names)


def test_what_is_not_there_is_not_shown(tmp_path):
    estimator = EstimatorConfig(truncation=3, normalization="clipped")
    config = tiny(steps=40, estimator=estimator, tasks=DIGITS)
    found = records(40, DIGITS.names * 2, broken=0.0)
    with closing(made(tmp_path / "plain", config, found)) as store:
        # Without validation.
        store._connection.execute("DELETE FROM validations")
        text = Page(report.write(store.folder).read_text()).text
        gathered = report.gather(store)
    assert "finished" in text
    assert "Validation" not in text
    assert "Every loss was finite." in text
    assert "from 6 to 12 steps" in text
    names = {name.removesuffix(".png").removesuffix("-dark") for name in gathered.figures}
    assert names == {"loss", "gradient", "throughput"}
    assert gathered.levels["trivial predictor"] == TRIVIAL
    assert gathered.levels["untrained"] == summary.at_first(found)


def test_one_that_has_not_begun_has_a_report(tmp_path):
    MetaStore.create(tmp_path / "new", CONFIG).close()
    page = Page(report.write(tmp_path / "new").read_text())
    assert "0 of 300 meta-updates so far" in page.text


def test_levels_of_the_trivial_predictor():
    level = summary.trivial_level
    assert level(tiny(), TASKS) == 1.0
    log = tiny(estimator=EstimatorConfig(truncation=3, normalization="log"))
    assert level(log, TASKS) == pytest.approx(np.log(1.01))
    clipped = tiny(estimator=EstimatorConfig(truncation=3, normalization="clipped"))
    assert level(clipped, DIGITS.names) == TRIVIAL
    assert level(clipped, TASKS) is None


def test_smoothing():
    np.testing.assert_allclose(summary.smooth([1, 2, 3, 4, 5], 2), [1, 1.5, 2.5, 3.5, 4.5])
    np.testing.assert_allclose(summary.smooth([1, 2, 3], 10), [1, 1.5, 2])
    assert summary.smooth([], 3).shape == (0,)


# ---------------------------------------------------------------------- while it runs


def test_the_panel_fits_eighty_columns(store):
    shot = Snapshot.of(store)
    assert shot.state == "stopped"
    console = Console(width=80, record=True)
    console.print(panel(shot))
    text = console.export_text()
    for part in (
        "meta-update 250 of 300", "meta-loss", "best", "at first", "meta-updates", "50/s",
        "inner steps", "1,200/s", "broken losses", "rosenbrock", "best 0.7500 at meta-update 100",
        "0:01 left", "stopped",
    ):  # fmt: skip
        assert part in text
    assert all(len(line) <= 80 for line in text.splitlines())
    line = plain_line(shot)
    assert line.startswith("meta-update 250 of 300  meta-loss 0.2")
    assert "50 meta-updates/s  1,200 inner steps/s" in line
    assert line.endswith("0:01 left")
    with store.locked():
        assert Snapshot.of(store).state == "running"


def test_before_the_first_meta_update(tmp_path):
    with closing(MetaStore.create(tmp_path, CONFIG)) as store:
        shot = Snapshot.of(store)
        assert plain_line(shot) == "meta-update 0 of 300"
        Console(width=80, record=True).print(panel(shot))


def test_lines_come_now_and_then(store, capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(live.time, "monotonic", lambda: now[0])
    shown = PlainLines(store)
    template = store.records()[-1]
    for step in range(250, 300):
        now[0] += 1.0
        shown.updated(template._replace(step=step))
    shown.validating(1, 2)
    shown.validated(Validation(300, 1.0, 0.5, {}))
    shown.validated(Validation(301, 1.0, 0.6, {}))
    out = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in out[:-2]] == ["251", "261", "271", "281", "291", "300"]
    assert out[-2] == "validation after 300 meta-updates: 0.5000 (the best so far)"
    assert out[-1] == "validation after 301 meta-updates: 0.6000 (best 0.5000)"


def test_the_panel_is_redrawn(store):
    console = Console(width=80, record=True, force_terminal=True)
    with LivePanel(store, console) as shown:
        shown.say("a line above")
        shown.updated(store.records()[-1]._replace(step=299))
        shown.validating(3, 30)
        shown._live.refresh()
        shown.validated(Validation(300, 1.0, 0.5, {}))
    text = console.export_text()
    for part in ("a line above", "validating: 3 of 30 tasks", "finished", "meta-update 251 of 300"):
        assert part in text
    with LivePanel(store, console) as shown:
        shown.stopping()
        shown._live.refresh()
    assert "stopping after this meta-update" in console.export_text()


def test_a_copy_of_the_folder_has_the_same_report(store, page, tmp_path):
    store._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copytree(store.folder, tmp_path / store.folder.name)
    again = report.write(tmp_path / store.folder.name)
    assert again.read_text() == page.source
