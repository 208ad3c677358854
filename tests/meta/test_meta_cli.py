"""`metaopt meta-train`, through real processes on one small meta-training."""

import json
import os
import re
import shutil
import signal
from contextlib import closing

import jax
import numpy as np
import pytest
from metas import outcome, same
from shell import Shell

from metaopt.learned import adafac_mlp, checkpoint
from search.cli import main
from search.meta.config import MetaConfig
from search.meta.store import FILENAME, MetaStore
from search.meta.train import begun_from

# One process runs all of these: they share what was run first, and only one may have Ray.
pytestmark = pytest.mark.xdist_group("ray")

HEAD = "from search.meta.config import *\n"
CONFIG = f"""{HEAD}
CONFIG = MetaConfig(
    network=NetworkConfig("adafac_mlp", layers=1),
    estimator=EstimatorConfig("pes", truncation=3),
    curriculum=CurriculumConfig(shortest=6, longest=12),
    tasks=TasksConfig(names=("rosenbrock_d32_noise0.00211",)),
    groups=2,
    particles=2,
    keep=4,
    steps=30,
)
"""


@pytest.fixture(scope="module")
def metaopt(tmp_path_factory):
    shell = Shell(tmp_path_factory.mktemp("meta"))
    shell.config = shell.folder / "config.py"
    shell.config.write_text(CONFIG)
    return shell


@pytest.fixture(scope="module")
def whole(metaopt):
    """The folder of a meta-training that ran undisturbed, and what the command printed."""
    done = metaopt("meta-train", "run", metaopt.config, "--out", "whole")
    assert done.returncode == 0, done.stderr
    return metaopt.folder / "whole", done.stdout


def found(folder):
    with closing(MetaStore.open(folder)) as store:
        return outcome(store)


def test_a_run_prints_plain_lines_and_ends_with_what_to_do(whole):
    folder, out = whole
    assert "\x1b" not in out
    for number in (1, 30):
        assert re.search(rf"^meta-update {number} of 30  meta-loss \d\.\d{{4}} \(best ", out, re.M)
    for text in ("meta-updates/s", "inner steps/s", "% broken", "at the end", "at first"):
        assert text in out
    assert "metaopt meta-train report whole" in out
    assert "metaopt meta-train export whole -o" in out
    assert json.loads((folder / "config.json").read_text())["steps"] == 30


def test_status(whole, capsys):
    assert main(["meta-train", "status", str(whole[0])]) == 0
    out = capsys.readouterr().out
    for text in ("meta-update 30 of 30", "finished", "rosenbrock_d32", "meta-train export"):
        assert text in out


def test_resuming_a_finished_one_only_says_what_it_came_to(metaopt, whole):
    before = found(whole[0])
    done = metaopt("meta-train", "resume", "whole")
    assert done.returncode == 0, done.stderr
    assert "at the end" in done.stdout
    same(found(whole[0]), before)


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_interrupted_then_resumed_is_as_if_never_interrupted(metaopt, whole, number):
    name = f"interrupted_{number.name}"
    # More steps, since it must not end before the signal comes; the same up to there.
    process = metaopt.start("meta-train", "run", metaopt.config, "--out", name, "--steps", 100_000)
    for line in process.stdout:
        if line.startswith("meta-update"):
            break
    if number is signal.SIGINT:
        os.kill(process.pid, signal.SIGSTOP)
        status = metaopt("meta-train", "status", name)
        message = metaopt.fails("meta-train", "resume", name)
        os.kill(process.pid, signal.SIGCONT)
        assert "running" in status.stdout
        assert "is running in another process" in message
    process.send_signal(number)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 130, out + err
    assert "Traceback" not in err
    assert "stopping after this meta-update" in err
    assert f"go on with `metaopt meta-train resume {name}`" in err
    with closing(MetaStore.open(metaopt.folder / name)) as store:
        count = len(store.records())
        with closing(MetaStore.open(whole[0])) as other:
            both = list(zip(store.records(), other.records(), strict=False))
    assert count > 0
    # A constant learning rate: the number of steps changes nothing.
    assert [a._replace(seconds=0) for a, _ in both] == [b._replace(seconds=0) for _, b in both]


def test_killed_then_resumed_is_as_if_never_killed(metaopt, whole):
    process = metaopt.start("meta-train", "run", metaopt.config, "--out", "killed")
    while not (metaopt.folder / "killed" / FILENAME).is_file():
        assert process.poll() is None, process.communicate()
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    done = metaopt("meta-train", "resume", "killed")
    assert done.returncode == 0, done.stderr
    same(found(metaopt.folder / "killed"), found(whole[0]))


@pytest.mark.slow
def test_workers_change_nothing(metaopt, whole):
    done = metaopt("meta-train", "run", metaopt.config, "--out", "ray", "--workers", 2)
    assert done.returncode == 0, done.stderr
    same(found(metaopt.folder / "ray"), found(whole[0]))


@pytest.mark.slow
def test_devices_of_one_machine_change_nothing(metaopt, whole, tmp_path, monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=2")
    done = Shell(tmp_path)("meta-train", "run", metaopt.config, "--out", "devices")
    assert done.returncode == 0, done.stderr
    same(found(tmp_path / "devices"), found(whole[0]))


def test_another_seed_is_another_training(metaopt, whole):
    done = metaopt("meta-train", "run", metaopt.config, "-o", "seed", "--seed", 1, "--steps", 2)
    assert done.returncode == 0, done.stderr
    with closing(MetaStore.open(metaopt.folder / "seed")) as store:
        assert (store.config().seed, store.config().steps) == (1, 2)
        losses = [record.loss for record in store.records()]
    with closing(MetaStore.open(whole[0])) as store:
        assert losses != [record.loss for record in store.records()[:2]]


def test_export(metaopt, whole, monkeypatch, capsys):
    folder, _ = whole
    path = metaopt.folder / "out" / "mine.safetensors"
    assert main(["meta-train", "export", str(folder), "-o", str(path)]) == 0
    assert "meta-parameters, after 30 meta-updates" in capsys.readouterr().err
    network = checkpoint.described(path)
    assert network.contract == adafac_mlp(layers=1).contract
    with closing(MetaStore.open(folder)) as store:
        state, records = store.state(), store.records()
    theta = checkpoint.read(path, network)
    for a, b in zip(jax.tree.leaves(theta), jax.tree.leaves(state.theta), strict=True):
        np.testing.assert_array_equal(a, b)
    card = checkpoint.read_card(path)
    assert card["name"] == "mine"
    assert card["meta_parameters"] == sum(leaf.size for leaf in jax.tree.leaves(theta))
    assert card["meta_updates"] == 30
    assert card["inner_steps"] == 30 * 2 * 2 * 2 * 3
    assert card["trained_on"] == {
        "suite": "", "tasks": 1, "met": 1, "families": ["landscape"],
    }  # fmt: skip
    assert card["horizon"]["longest"] == 12
    assert card["meta_loss"]["at_last"] == pytest.approx(np.mean([r.loss for r in records[-2:]]))
    assert card["begun_from"] == []
    assert card["config"]["steps"] == 30
    assert "jax" in card["made_on"][0]["software"]


def test_weights_can_be_gone_on_from(metaopt, whole, tmp_path):
    path = tmp_path / "first.safetensors"
    assert main(["meta-train", "export", str(whole[0]), "-o", str(path)]) == 0
    text = CONFIG.replace("steps=30,", f"steps=1, start={str(path)!r},")
    (metaopt.folder / "more.py").write_text(text)
    done = metaopt("meta-train", "run", "more.py", "--out", "more")
    assert done.returncode == 0, done.stderr
    # The cards add up: no weights are younger than they look.
    second = tmp_path / "second.safetensors"
    assert main(["meta-train", "export", str(metaopt.folder / "more"), "-o", str(second)]) == 0
    first = {"name": "first", "meta_updates": 30, "inner_steps": 30 * 2 * 2 * 2 * 3}
    assert checkpoint.read_card(second)["begun_from"] == [first]
    config = MetaConfig(start=str(second))
    assert [card["name"] for card in begun_from(config)] == ["first", "second"]
    card = second.with_suffix(".json")
    card.write_text(json.dumps(json.loads(card.read_text()) | {"begun_from": 3}))
    with pytest.raises(checkpoint.CheckpointError, match="begun_from 3: it must be a list"):
        begun_from(config)


def test_report(metaopt, whole):
    assert main(["meta-train", "report", str(whole[0])]) == 0
    assert (whole[0] / "report" / "index.html").read_text().startswith("<!doctype html>")


# -------------------------------------------------------------------------- mistakes


@pytest.fixture
def fails(metaopt, monkeypatch, capsys):
    """The one-line message of a command that must fail."""
    monkeypatch.chdir(metaopt.folder)

    def run(*arguments):
        assert main(["meta-train", *map(str, arguments)]) == 2
        message = capsys.readouterr().err.strip()
        assert message.startswith("metaopt: ")
        assert "\n" not in message
        return message

    return run


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (HEAD, "has no CONFIG; it must say CONFIG = MetaConfig(...)"),
        (HEAD + "CONFG = MetaConfig()\n", "has no CONFIG (but 'CONFG')"),
        (HEAD + "CONFIG = OuterConfig()\n", "is a OuterConfig; it must be a MetaConfig"),
        (HEAD + "\nCONFIG = MetaConfig(step=3)\n", "bad.py:3: MetaConfig has no key 'step'; "
         "did you mean 'steps'?"),
        (HEAD + "CONFIG = MetaConfig(\n    curriculum=CurriculumConfig(longst=3))\n", "bad.py:3: "
         "CurriculumConfig has no key 'longst'; did you mean 'longest'?"),
        (HEAD + "CONFIG = MetaConfig(groups=0)\n", "bad.py:2: groups must be at least 1, got 0"),
        (HEAD + "CONFIG = MetaConfig(steps='3')\n", "MetaConfig.steps must be int, got '3'"),
        (HEAD + "CONFIG = MetaConfig(seed='one')\n", "MetaConfig.seed must be int, got 'one'"),
        (HEAD + "CONFIG = MetaConfig(estimator=EstimatorConfig('pse'))\n", "method must be one of"),
        (HEAD + "CONFIG = MetaConfig(network=NetworkConfig('adafac'))\n", "no network 'adafac'"),
        (HEAD + "CONFIG = MetaConfig(network=NetworkConfig('adafac_mlp', bank=3))\n",
         "adafac_mlp has no size 'bank'"),
        (HEAD + "CONFIG = MetaConfig(tasks=TasksConfig(suite='meta_trian'))\n",
         "did you mean meta_train"),
        (HEAD + "CONFIG = MetaConfig(tasks=TasksConfig(names=('digits_mlp_32_relu_b129',)))\n",
         "did you mean digits_mlp_32_relu_b128"),
        (HEAD + "CONFIG = MetaConfig(tasks=TasksConfig(names=('mnist1d_mlp_64_relu_b32',)))\n",
         "is held out, or for validation"),
        (HEAD + "CONFIG = MetaConfig(start='celo')\n", "start: 'celo' is neither a file "
         "*.safetensors nor a released optimizer's name: those are adafac_mlp_v2"),
        (HEAD + "CONFIG = MetaConfig(start='no.safetensors')\n", "start: there are no weights no"),
        (HEAD + "CONFIG = MetaConfig(start='celo_v4')\n", "celo_v4.safetensors holds a network "
         "celo/3 of sizes"),
        (HEAD + "CONFIG = MetaConfig(seed=-1)\n", "seed must be at least 0, got -1"),
        (HEAD + "CONFIG = MetaConfig(outer=OuterConfig(float('nan')))\n", "learning_rate must be"),
        (HEAD + "CONFIG = MetaConfig(outer=OuterConfig(clip=-1))\n", "clip must be at least 0"),
        (HEAD + "CONFIG = MetaConfig(tasks=TasksConfig(suite='proxy', per_family=-1))\n",
         "per_family must be at least 0"),
        (HEAD + "CONFIG = MetaConfig(tasks=TasksConfig())\n", "give a suite, or names"),
        (HEAD + "CONFIG = MetaConfig(curriculum=CurriculumConfig(9, 20, last_shortest=50))\n",
         "at the end they have 50 and 20 steps"),
        (HEAD + "CONFIG = MetaConfig(curriculum=CurriculumConfig(20, 90))\n",
         "lengths are multiples of the truncation, 50 steps"),
        (HEAD + "CONFIG = MetaConfig(curriculum=CurriculumConfig(100, 9000))\n",
         "trainings of 9000 steps would never end, since a group keeps its task for 2500: set keep "
         "to at least 180"),
        ("import no_such_module\n", "bad.py:1: ModuleNotFoundError"),
    ],
)  # fmt: skip
def test_a_bad_configuration_starts_nothing(metaopt, fails, text, expected):
    (metaopt.folder / "bad.py").write_text(text)
    assert expected in fails("run", "bad.py", "--out", "bad")
    assert not (metaopt.folder / "bad").exists()


def test_damaged_weights_to_start_from(metaopt, fails):
    (metaopt.folder / "torn.safetensors").write_bytes(b"torn")
    card = {"contract": "adafac_mlp/1", "sizes": {}}
    (metaopt.folder / "torn.json").write_text(json.dumps(card))
    text = HEAD + "CONFIG = MetaConfig(start='torn.safetensors')\n"
    (metaopt.folder / "bad.py").write_text(text)
    assert "bad.py: start: torn.safetensors is damaged" in fails("run", "bad.py", "--out", "bad")


def test_other_mistakes(metaopt, fails, whole):
    config = metaopt.config
    assert "no meta-training file nowhere.py" in fails("run", "nowhere.py", "--out", "new")
    assert "holds a meta-training already" in fails("run", config, "--out", "whole")
    assert "--steps must be" in fails("run", config, "--out", "new", "--steps", 0)
    for command in (("resume",), ("status",), ("report",), ("export", "-o", "x.safetensors")):
        message = fails(command[0], "nowhere", *command[1:])
        assert "there is no meta-training in nowhere" in message
    assert "cannot write" in fails("report", "whole", "--out", config / "page.html")
    assert "cannot write" in fails("export", "whole", "-o", config / "mine.safetensors")
    assert "must end in .safetensors" in fails("export", "whole", "-o", "mine.npz")
    assert not (metaopt.folder / "new").exists()


def test_nothing_to_export_yet(metaopt, fails, whole):
    with closing(MetaStore.open(whole[0])) as store:
        MetaStore.create(metaopt.folder / "early", store.config()).close()
    assert "has made no meta-update yet" in fails("export", "early", "-o", "x.safetensors")
    assert main(["meta-train", "status", str(metaopt.folder / "early")]) == 0
    assert main(["meta-train", "report", str(metaopt.folder / "early")]) == 0


def test_a_damaged_store(metaopt, fails, whole):
    torn = metaopt.folder / "torn"
    shutil.copytree(whole[0], torn)
    data = bytearray((torn / FILENAME).read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)
    (torn / FILENAME).write_bytes(data)
    assert "damaged" in fails("report", "torn")
