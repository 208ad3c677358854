"""The command line, through real processes on one small campaign."""

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time

import pytest
from shell import ROOT, Shell

from search.cli import main
from search.store import FILENAME, Store

ROUNDS = 5
CONFIG = f"""
from search.config import EvolutionConfig, SearchConfig, VerdictConfig
from search.evaluate import TrainingConfig

CONFIG = SearchConfig(
    rounds={ROUNDS},
    capacity=12,
    spares=2,
    training=TrainingConfig(tasks=("quadratic_12x8_4_cond10_noise0_seed0",), steps=20),
    evolution=EvolutionConfig(
        population=24, children=16, evaluations=6, cycles=1, migrants=2, patience=2
    ),
    verdict=VerdictConfig(rates=(0.5, 1.0), tuning_seeds=1, seeds=2),
)
"""


@pytest.fixture(scope="module")
def metaopt(tmp_path_factory):
    shell = Shell(tmp_path_factory.mktemp("cli"))
    shell.config = shell.folder / "campaign.py"
    shell.config.write_text(CONFIG)
    return shell


@pytest.fixture(scope="module")
def campaign(metaopt):
    """The folder of a campaign that ran undisturbed, and what the command printed."""
    done = metaopt("search", "run", metaopt.config, "--out", "whole")
    assert done.returncode == 0, done.stderr
    return metaopt.folder / "whole", done.stdout


def hall_of_fame(folder):
    store = Store.open(folder)
    try:
        return [(row.rule, row.fitness, row.round, row.island) for row in store.best(50)]
    finally:
        store.close()


def test_a_run_prints_plain_lines_and_ends_with_the_verdict(campaign):
    _, out = campaign
    assert "\x1b" not in out
    for number in (0, ROUNDS):
        assert re.search(rf"^round {number} of {ROUNDS}  best \d\.\d{{4}} \(start ", out, re.M)
    for text in ("programs/s", "trainings/s", "duplicates", "winner", "AdamW", "Lion"):
        assert text in out
    assert "metaopt search report whole" in out
    assert "metaopt export whole -o my_rule.py" in out


def test_status_of_a_finished_campaign(metaopt, campaign):
    folder, _ = campaign
    done = metaopt("search", "status", folder)
    assert done.returncode == 0, done.stderr
    assert f"round {ROUNDS} of {ROUNDS}" in done.stdout
    assert "finished" in done.stdout
    assert "def rule(" in done.stdout
    assert all(len(line) <= 100 for line in done.stdout.splitlines())


def test_resuming_a_finished_campaign_says_so(metaopt, campaign):
    folder, _ = campaign
    done = metaopt("search", "resume", folder)
    assert done.returncode == 0
    assert "is finished" in done.stdout


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_interrupted_then_resumed_is_as_if_never_interrupted(metaopt, campaign, number):
    folder, _ = campaign
    name = f"interrupted_{number.name}"
    process = metaopt.start("search", "run", metaopt.config, "--out", name)
    seen = ""
    for line in process.stdout:
        seen += line
        if line.startswith("round 0"):
            break
    # It runs: others may look at it, but not drive it.
    if number is signal.SIGINT:
        os.kill(process.pid, signal.SIGSTOP)
        status = metaopt("search", "status", name)
        message = metaopt.fails("search", "resume", name)
        os.kill(process.pid, signal.SIGCONT)
        assert status.returncode == 0
        assert "running" in status.stdout
        assert "is running in another process" in message
    process.send_signal(number)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 130, seen + out + err
    assert "Traceback" not in err
    assert "stopping after this round" in err
    assert f"go on with `metaopt search resume {name}`" in err

    done = metaopt("search", "resume", name)
    assert done.returncode == 0, done.stderr
    assert hall_of_fame(metaopt.folder / name) == hall_of_fame(folder)


def test_a_second_interrupt_stops_at_once_and_loses_nothing(metaopt, campaign):
    process = metaopt.start("search", "run", metaopt.config, "--out", "twice", "--rounds", 100_000)
    for line in process.stdout:
        if line.startswith("round 0"):
            break
    while process.poll() is None:
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
    _, err = process.communicate(timeout=300)
    assert process.returncode in (130, -signal.SIGINT), err
    assert "Traceback" not in err
    status = metaopt("search", "status", "twice")
    assert "stopped" in status.stdout


def test_export_of_a_campaign_and_of_a_known_rule(metaopt, campaign):
    folder, _ = campaign
    done = metaopt("export", folder, "-o", "out/my_rule.py", "--no-distill")
    assert done.returncode == 0, done.stderr
    source = (metaopt.folder / "out" / "my_rule.py").read_text()
    compile(source, "my_rule.py", "exec")
    assert "def my_rule(" in source
    assert "adamw_no_bias_correction" in source  # where it came from
    known = metaopt("export", "lion", "--name", "my_lion")
    assert known.returncode == 0, known.stderr
    assert "def my_lion(" in known.stdout


def test_distilling_says_what_each_change_cost(metaopt, campaign):
    folder, _ = campaign
    done = metaopt("export", folder, "-o", "distilled.py")
    assert done.returncode == 0, done.stderr
    assert "fitness" in done.stderr or "nothing can be left out" in done.stderr
    compile((metaopt.folder / "distilled.py").read_text(), "distilled.py", "exec")


def test_rules_and_tasks_are_listed(metaopt, capsys):
    assert main(["rules", "list"]) == main(["tasks", "list"]) == 0
    out = capsys.readouterr().out
    assert "lion" in out
    assert re.search(r"^held_out_v1 +49 ", out, re.M)
    assert main(["tasks", "list", "proxy"]) == 0
    assert re.search(r"^digits_mlp_32_relu_b32 +200 +mlp$", capsys.readouterr().out, re.M)
    assert main(["rules", "show", "lion"]) == 0
    assert capsys.readouterr().out.startswith("def lion(w, g, m, lr")
    assert metaopt("--version").stdout.startswith("metaopt ")


def test_a_task_is_shown(capsys):
    assert main(["tasks", "show", "mnist1d_mlp_64_relu_b32"]) == 0
    out = capsys.readouterr().out
    for text in ("held_out_v1", "800 steps", "3,274", "tuned adamw", "loss at initialization"):
        assert text in out


@pytest.mark.slow
def test_published_curves_are_drawn(tmp_path, capsys):
    assert main(["tasks", "plot", "held_out", "-o", str(tmp_path / "curves.png")]) == 0
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert main(["tasks", "plot", "proxy", "-o", str(tmp_path / "none.png")]) == 2
    assert "has no published curves" in capsys.readouterr().err


def test_wrong_tasks_and_data_are_explained(capsys, monkeypatch, tmp_path):
    assert main(["tasks", "plot", "held_out", "-o", str(tmp_path / "curves.xyz")]) == 2
    assert "must end in .png" in capsys.readouterr().err
    monkeypatch.setenv("METAOPT_DATA", str(tmp_path))
    for arguments, message in (
        (["show", "mnist1d_mlp_65_relu_b32"], "did you mean mnist1d_mlp_64_relu_b32"),
        (["list", "held"], "did you mean held_out"),
        (["fetch", "fashion"], "fashion_mnist"),
    ):
        assert main(["tasks", *arguments]) == 2
        assert message in capsys.readouterr().err


def test_help_imports_nothing_heavy():
    code = (
        "import sys, search.cli\n"
        "try: search.cli.main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'jax', 'ray', 'matplotlib', 'numpy', 'sympy', 'sklearn'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


HEAD = "from search.config import *\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (HEAD, "has no CONFIG; it must say"),
        (HEAD + "CONFG = SearchConfig()\n", "has no CONFIG (but 'CONFG')"),
        ("CONFIG = 3\n", "is a int; it must be a SearchConfig"),
        (HEAD + "\nCONFIG = SearchConfig(round=3)\n", "bad.py:3: SearchConfig has no key 'round'; "
         "did you mean 'rounds'?"),
        (HEAD + "CONFIG = SearchConfig(\n", "bad.py:2: not valid Python"),
        (HEAD + "CONFIG = SearchConfig(rounds=0)\n", "bad.py:2: rounds must be at least 1, got 0"),
        (HEAD + "CONFIG = SearchConfig(seed='one')\n", "SearchConfig.seed must be int, got 'one'"),
        (HEAD + "CONFIG = SearchConfig(start='adamv')\n", "did you mean"),
        (HEAD + "import no_such_module\n", "bad.py:2: ModuleNotFoundError: No module named"),
        (
            HEAD + "CONFIG = SearchConfig(verdict=VerdictConfig(tasks=('digit',)))\n",
            "unknown task 'digit'",
        ),
    ],
)  # fmt: skip
def test_a_bad_campaign_file(tmp_path, text, expected):
    from search import config_file
    from search.errors import UserError

    path = tmp_path / "bad.py"
    path.write_text(text)
    with pytest.raises(UserError) as raised:
        config_file.load(path)
    assert expected in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_wrong_key_starts_nothing(metaopt):
    (metaopt.folder / "typo.py").write_text(HEAD + "CONFIG = SearchConfig(sed=3)\n")
    assert "did you mean 'seed'?" in metaopt.fails("search", "run", "typo.py", "--out", "new")
    assert not (metaopt.folder / "new").exists()


def test_errors_are_one_line(metaopt, campaign, capsys):
    folder, _ = campaign
    cases = {
        ("search", "run", "nowhere.py", "--out", "new"): "no campaign file nowhere.py",
        ("search", "run", metaopt.config, "--out", folder): "holds a campaign already",
        ("search", "run", metaopt.config, "--out", "new", "--rounds", "0"): "rounds must be",
        ("search", "resume", "nowhere"): "there is no campaign in nowhere",
        ("search", "status", "nowhere"): "there is no campaign in nowhere",
        ("search", "report", folder, "--out", metaopt.config / "page.html"): "cannot write",
        ("export", folder, "--no-distill", "-o", metaopt.config / "rule.py"): "cannot write",
        ("export", "loin"): "did you mean lion",
        ("export", "no/such.rule"): "there is no rule file no/such.rule",
        ("export", metaopt.config): f"{metaopt.config}:2:",
        ("export", "lion", "--name", "not a name"): "--name",
        ("rules", "show", "adamv"): "did you mean adam",
    }
    for arguments, expected in cases.items():
        assert main([str(argument) for argument in arguments]) == 2
        message = capsys.readouterr().err.strip().splitlines()[-1]
        assert message.startswith("metaopt: ")
        assert expected in message


def test_a_damaged_store(metaopt, campaign):
    folder, _ = campaign
    bad = metaopt.folder / "damaged"
    bad.mkdir()
    (bad / FILENAME).write_bytes(b"not a database at all" * 500)
    assert "damaged" in metaopt.fails("search", "status", bad)

    torn = metaopt.folder / "torn"
    shutil.copytree(folder, torn)
    with sqlite3.connect(torn / FILENAME) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    data = bytearray((torn / FILENAME).read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)
    (torn / FILENAME).write_bytes(data)
    assert "damaged" in metaopt.fails("search", "report", torn)
