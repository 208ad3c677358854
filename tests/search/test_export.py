"""`metaopt export`: names that can be imported, files that can be written."""

import importlib.util
import inspect

import pytest

from search.cli import main
from search.cluster import worker_count
from search.errors import UserError, write_whole

RULE = "def {}(w, g, lr):\n    u = lr * g\n    return u\n"


@pytest.mark.parametrize("name", ["update", "jax", "callable", "print", "mine"])
def test_what_is_advised_can_be_imported(tmp_path, capsys, name):
    out = tmp_path / "exported.py"
    assert main(["export", "lion", "--name", name, "-o", str(out)]) == 0
    final = capsys.readouterr().err.split("import ")[1].strip().strip("`")
    assert final == (name if name == "mine" else f"{name}_")
    spec = importlib.util.spec_from_file_location("exported", out)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert next(iter(inspect.signature(getattr(module, final)).parameters)) == "learning_rate"


def test_a_rules_own_name_is_changed_as_well(tmp_path, capsys):
    (tmp_path / "my.rule").write_text(RULE.format("update"))
    assert main(["export", str(tmp_path / "my.rule")]) == 0
    shown = capsys.readouterr()
    assert "def update_(" in shown.out
    assert "is called update_" in shown.err


@pytest.mark.parametrize("place", [".", "/", "", ".."])
def test_a_folder_is_no_file(place, capsys):
    assert main(["export", "lion", "-o", place]) == 2
    assert "it is a folder; give the name of a file" in capsys.readouterr().err
    with pytest.raises(UserError, match="it is a folder"):
        write_whole(place, "text")


def test_a_file_that_hides_what_it_imports_is_refused(tmp_path, capsys):
    assert main(["export", "lion", "-o", str(tmp_path / "jax.py")]) == 2
    assert "would hide the package jax" in capsys.readouterr().err
    assert main(["export", "lion", "-o", str(tmp_path / "my-lion.py")]) == 0
    assert "it defines lion" in capsys.readouterr().err


def test_a_known_rule_comes_before_a_folder(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lion").mkdir()
    assert main(["export", "lion"]) == 0
    assert "def lion(" in capsys.readouterr().out
    assert main(["rules", "show", "lion"]) == 0
    assert main(["export", "./lion"]) == 2


def test_a_meta_training_is_no_campaign(tmp_path, capsys):
    (tmp_path / "meta.sqlite").touch()
    assert main(["export", str(tmp_path)]) == 2
    assert f"metaopt meta-train export {tmp_path} -o" in capsys.readouterr().err


def test_workers_of_a_cluster_are_counted_by_what_they_need():
    assert worker_count(0, 0.0, {"CPU": 8.0, "GPU": 2.0}) == 8
    assert worker_count(0, 1.0, {"CPU": 8.0, "GPU": 2.0}) == 2
    assert worker_count(3, 1.0, {"CPU": 8.0, "GPU": 2.0}) == 3
    assert worker_count(0, 0.0, {}) == 1
    for workers in (0, 2):
        with pytest.raises(UserError, match="needs 1 GPU, and the Ray cluster has 0"):
            worker_count(workers, 1.0, {"CPU": 8.0})
