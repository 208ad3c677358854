"""`metaopt bench`, through real processes on one small benchmark."""

import json
import os
import re
import shutil
import signal
import time
from pathlib import Path

import jax
import numpy as np
import pytest
from shell import Shell

from metaopt.learned import checkpoint, learnable_sgdm
from metaopt.rules import library, to_source
from search.bench import store
from search.cli import main

# One process runs all of these: they share what was run first, and only one may have Ray.
pytestmark = pytest.mark.xdist_group("ray")

TASKS = ("quadratic_12x8_4_cond10_noise0_seed0", "quadratic_12x8_4_cond1000_noise0.1_seed1")
OPTIONS = (
    "--suite", "proxy", "--optimizers", "adamw,./mine.py,plain.rule", "--trials", 2, "--seeds", 2,
    "--tasks", ",".join(TASKS), "--lengths", "0.1,0.2", "--schedules", "cosine,wsd",
)  # fmt: skip


@pytest.fixture(scope="module")
def metaopt(tmp_path_factory):
    shell = Shell(tmp_path_factory.mktemp("bench"))
    source = to_source(library.get("lion"), name="mine", learning_rate=1e-2)
    (shell.folder / "mine.py").write_text(source)
    (shell.folder / "plain.rule").write_text(str(library.get("sgd")))
    return shell


@pytest.fixture(scope="module")
def whole(metaopt):
    """The folder of a benchmark that ran undisturbed, and what the command printed."""
    done = metaopt("bench", "run", *OPTIONS, "--out", "whole")
    assert done.returncode == 0, done.stderr
    return metaopt.folder / "whole", done.stdout


def losses(folder):
    """Everything that was measured, by task."""
    config = store.plan(folder)
    return {
        (task, *key): trials
        for task in store.done(folder, config)
        for key, trials in store.read(folder, task, config)[1].items()
    }


def same(left, right):
    assert left.keys() == right.keys()
    for key in left:
        for a, b in zip(left[key][1:], right[key][1:], strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_run_ends_with_its_table(whole):
    folder, out = whole
    assert "\x1b" not in out
    assert re.search(r"^ +\d of 2  quadratic_", out, re.M)
    for text in ("adamw", "mine", "plain", "rank", "index.html"):
        assert text in out
    assert len(losses(folder)) == 2 * 2 * 2 * 3


def test_the_report_is_there(whole):
    folder, _ = whole
    page = (folder / "report" / "index.html").read_text()
    assert page.startswith("<!doctype html>")
    assert "http://" not in page.replace("http://www.w3.org", "")
    summary = json.loads((folder / "report" / "summary.json").read_text())
    assert summary["optimizers"] == ["adamw", "mine", "plain"]
    assert summary["costs"]["adamw"]["state"] == pytest.approx(2, rel=0.01)
    assert summary["costs"]["plain"]["state"] < 0.01
    assert "| adamw" in (folder / "report" / "table.md").read_text()


def test_a_learned_optimizer_takes_part_untuned(metaopt, monkeypatch, capsys):
    monkeypatch.chdir(metaopt.folder)
    learned = learnable_sgdm()  # what compiles soonest
    theta = learned.init(jax.random.key(0))
    checkpoint.write("mlo.safetensors", learned, theta, {"name": "mlo"})
    options = ("--suite", "proxy", "--tasks", TASKS[0], "--optimizers", "adam,./mlo.safetensors")
    options += ("--trials", 3, "--seeds", 2, "--lengths", 0.2, "--out", "learned")
    done = metaopt("bench", "run", *options)
    assert done.returncode == 0, done.stderr
    Path("mlo.safetensors").unlink()  # what takes part is kept, its card too
    Path("mlo.json").unlink()
    shutil.move("learned", "elsewhere")
    folder = metaopt.folder / "elsewhere"
    assert {path.name for path in (folder / "optimizers").iterdir()} == {
        "mlo.json",
        "mlo.safetensors",
    }
    assert {key[2]: trials.test.shape for key, trials in losses(folder).items()} == {
        "adam": (3, 2),
        "mlo": (1, 2),
    }
    assert main(["bench", "report", "elsewhere", "--reference", "adam"]) == 0
    page = (folder / "report" / "index.html").read_text()
    assert "1 trial × 2 seeds or 3 trials × 2 seeds on every task" in page
    summary = json.loads((folder / "report" / "summary.json").read_text())
    assert summary["reference"] == "adam"
    (setting,) = summary["settings"]
    found = setting["outcomes"][TASKS[0]]["mlo"]
    assert found["hyperparameters"] == {"learning_rate": None}
    assert found["tolerance"] is setting["standings"]["mlo"]["tolerance"] is None
    assert found["velo_speedup"] > 0
    assert not found["at_edge"]
    capsys.readouterr()


def test_status(whole, capsys):
    assert main(["bench", "status", str(whole[0])]) == 0
    assert "2 of 2 tasks are measured" in capsys.readouterr().out


def test_files_among_the_optimizers_are_kept(metaopt, whole):
    folder, _ = whole
    (metaopt.folder / "mine.py").write_text("broken")
    try:
        assert main(["bench", "report", str(folder)]) == 0
    finally:
        (metaopt.folder / "mine.py").write_text((folder / "optimizers" / "mine.py").read_text())


def test_the_folder_can_be_moved(whole, tmp_path):
    shutil.copytree(whole[0], tmp_path / "moved")
    assert main(["bench", "report", str(tmp_path / "moved")]) == 0
    for name in store.plan(tmp_path / "moved").optimizers[1:]:
        assert Path(name).is_relative_to(tmp_path)


def test_killed_then_resumed_is_as_if_never_killed(metaopt, whole):
    process = metaopt.start("bench", "run", *OPTIONS, "--out", "killed")
    folder = metaopt.folder / "killed" / "tasks"
    while not (folder.is_dir() and any(folder.glob("*.npz"))):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    done = metaopt("bench", "resume", "killed")
    assert done.returncode == 0, done.stderr
    same(losses(metaopt.folder / "killed"), losses(whole[0]))


@pytest.mark.slow
def test_interrupted_between_measurements(metaopt, whole):
    process = metaopt.start("bench", "run", *OPTIONS, "--out", "interrupted")
    while not (metaopt.folder / "interrupted" / "costs.json").is_file():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "go on with `metaopt bench resume interrupted`" in err
    assert "Traceback" not in err
    assert metaopt("bench", "resume", "interrupted").returncode == 0
    same(losses(metaopt.folder / "interrupted"), losses(whole[0]))


@pytest.mark.slow
def test_workers_change_nothing(metaopt, whole):
    done = metaopt("bench", "run", *OPTIONS, "--out", "ray", "--workers", 2)
    assert done.returncode == 0, done.stderr
    same(losses(metaopt.folder / "ray"), losses(whole[0]))


@pytest.fixture
def fails(metaopt, monkeypatch, capsys):
    """The one-line message of a command that must fail."""
    monkeypatch.chdir(metaopt.folder)

    def run(*arguments):
        assert main([str(argument) for argument in arguments]) == 2
        message = capsys.readouterr().err.strip()
        assert message.startswith("metaopt: ")
        assert "\n" not in message
        return message

    return run


def test_errors_are_one_line(fails, whole):
    run = ("bench", "run", "--out")
    assert "holds a benchmark already" in fails(*run, "whole", "--optimizers", "adam")
    assert "did you mean" in fails(*run, "x", "--optimizers", "adam", "--suite", "held_ou")
    assert "no optimizer 'adm'" in fails(*run, "x", "--optimizers", "adm")
    assert "given twice" in fails(*run, "x", "--optimizers", "adam,adam")
    assert "unknown schedule" in fails(*run, "x", "--optimizers", "adam", "--schedules", "step")
    for length in ("inf", "nan"):
        assert "must be finite" in fails(*run, "x", "--optimizers", "adam", "--lengths", length)
    assert "no whole multiple" in fails(*run, "x", "--optimizers", "adam", "--lengths", 0.33)
    assert "is a file" in fails(*run, "mine.py", "--optimizers", "adam")
    assert "nosuch is not among" in fails("bench", "report", "whole", "--reference", "nosuch")
    assert "nothing to merge" in fails("bench", "merge", "--out", "x")
    twice = ("--optimizers", "adamw,adamw")
    assert "given twice" in fails("bench", "merge", "whole", "--out", "x", *twice)
    assert "there is no benchmark in nowhere" in fails("bench", "resume", "nowhere")
    assert not (whole[0].parent / "x").exists()


def test_a_damaged_file_is_named(fails, whole):
    path = whole[0] / "tasks" / f"{TASKS[0]}.npz"
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    try:
        message = fails("bench", "report", "whole")
        assert TASKS[0] in message
        assert "is damaged" in message
    finally:
        path.write_bytes(content)
