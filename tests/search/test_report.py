"""The report of a small campaign."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from pages import Page

from metaopt.rules import library
from search import finish, report, report_math
from search.campaign import advance
from search.cluster import InProcess
from search.config import EvolutionConfig, FunnelStage, SearchConfig, VerdictConfig
from search.errors import UserError, write_whole
from search.evaluate import TrainingConfig
from search.live import PlainLines, Snapshot, duration, panel, plain_line, sparkline
from search.report_code import highlighted
from search.store import Store

TRAINING = TrainingConfig(tasks=("quadratic_12x8_4_cond10_noise0_seed0",), steps=20)
CONFIG = SearchConfig(
    rounds=3,
    capacity=12,
    spares=2,
    training=TRAINING,
    evolution=EvolutionConfig(population=24, children=16, evaluations=6, cycles=1, migrants=2),
    funnel=(FunnelStage(TRAINING, 3),),
    verdict=VerdictConfig(rates=(0.5, 1.0), tuning_seeds=1, seeds=2),
)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    # A name that would be markup if it were not escaped.
    store = Store.create(tmp_path_factory.mktemp("report") / "a<b>&c", CONFIG)
    finish.begin(store, print)
    stop = iter([False, False, True])
    with store.locked():
        assert not advance(store, InProcess(), stop=lambda: next(stop))
    return store


@pytest.fixture(scope="module")
def early(store):
    """The page of the campaign before its last round."""
    return report.write(store.folder, store.folder.parent / "early" / "page.html").read_text()


@pytest.fixture(scope="module")
def final(store, early):
    """The page of the finished campaign."""
    with store.locked():
        assert advance(store, InProcess())
        finish.finish(store, print)
    return report.write(store.folder).read_text()


def test_a_campaign_in_progress_has_a_report_without_the_missing_parts(early):
    page = Page(early)
    assert "2 of 3 rounds so far" in page.text
    assert "Best rule so far" in page.text
    assert "Verdict" not in page.text
    assert "Funnel" not in page.text


def test_the_page_holds_the_whole_story(store, final):
    page = Page(final)
    winner = store.note("winner")
    assert winner["rule"].strip() in page.text
    assert "<math" in final
    for text in ("Verdict", "Funnel", "Hall of fame", "Where candidates were lost", "Throughput"):
        assert text in page.text
    for row in store.note("verdict")["rows"]:
        assert f"{row['loss']:.4f}" in page.text
    assert f"{store.best(1)[0].fitness:.4f}" in page.text
    assert "def discovered(" in page.text
    assert "training.steps" in page.text


def test_the_page_needs_nothing_else(final):
    Page(final).assert_needs_nothing_else()


def test_text_from_files_is_escaped(final):
    assert "a<b>" not in final
    assert "a&lt;b&gt;&amp;c" in final


def test_the_figures_lie_beside_the_page(store, final):
    names = {path.name for path in (store.folder / "report").iterdir()}
    figures = {f"{n}{s}.png" for n in ("search", "fates", "throughput") for s in ("", "-dark")}
    assert names == {"index.html", *figures}
    for name in figures:
        assert (store.folder / "report" / name).read_bytes().startswith(b"\x89PNG")


def test_the_same_campaign_gives_the_same_page(store, final):
    again = report.write(store.folder, store.folder.parent / "again.html")
    assert again.read_text() == final


def test_a_campaign_that_has_not_begun_has_a_report(tmp_path):
    Store.create(tmp_path / "new", CONFIG).close()
    page = Page(report.write(tmp_path / "new").read_text())
    assert "0 of 3 rounds so far" in page.text


def test_a_report_that_cannot_be_written(store, final, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        report.write(store.folder, tmp_path / "file" / "page.html")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_a_clear_error_and_leaves_the_old_file(tmp_path):
    path = tmp_path / "page.html"
    path.write_text("old")
    (tmp_path / "page.html.new").symlink_to("/dev/full")
    with pytest.raises(UserError, match=r"cannot write .*page.html: No space left on device"):
        write_whole(path, "new")
    assert path.read_text() == "old"


@pytest.mark.parametrize("name", library.names())
def test_equations_are_well_formed(name):
    lines = report_math.equations(library.get(name).inlined())
    assert lines
    for line in lines:
        assert ElementTree.fromstring(line).tag.endswith("math")


def test_lion_in_equations():
    lines = report_math.equations(library.get("lion").inlined())
    texts = ["".join(ElementTree.fromstring(line).itertext()) for line in lines]
    assert texts[0] == "mt=0.99mt−1+0.01gt"
    assert "sign\u2061(0.9mt−1+0.1gt)" in texts[-1]
    assert texts[-1].startswith("wt+1=wt−")


def test_highlighting_changes_no_character():
    code = 'def f(x):\n    """<b>."""\n    return x + 1.5  # & so on\n'
    page = Page(highlighted(code))
    assert page.text == code
    broken = "def f(:\n   '"
    assert Page(highlighted(broken)).text == broken


def test_lines_and_panel(store, final, capsys):
    from rich.console import Console

    shot = Snapshot.of(store)
    assert shot.state == "finished"
    assert plain_line(shot).startswith("round 3 of 3  best ")
    console = Console(width=80, record=True)
    console.print(panel(shot))
    text = console.export_text()
    assert "def rule(" in text
    assert all(len(line) <= 80 for line in text.splitlines())
    PlainLines(store).say("hello")
    assert capsys.readouterr().out.endswith("hello\n")


def test_small_things():
    assert duration(42) == "0:42"
    assert duration(12_345) == "3:25:45"
    assert sparkline([], 5) == ""
    assert sparkline([1.0, 1.0], 5) == "▁▁"
    assert sparkline([0.0, 1.0], 5) == "▁█"
    assert len(sparkline(list(range(1000)), 48)) == 48
