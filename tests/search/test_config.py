"""Configurations that cannot be run are refused before anything is begun."""

import json
from pathlib import Path

import pytest

from search import config_file
from search.cli import main
from search.config import FunnelStage, SearchConfig, VerdictConfig, from_json
from search.errors import UserError
from search.evaluate import TrainingConfig
from search.evolve import start_program


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: VerdictConfig(seeds=0), "seeds must be at least 1, got 0"),
        (lambda: VerdictConfig(tuning_seeds=0), "tuning_seeds must be at least 1, got 0"),
        (lambda: VerdictConfig(steps=-1), "steps must be at least 0, got -1"),
        (lambda: VerdictConfig(rates=()), "rates must hold at least one learning rate"),
        (lambda: VerdictConfig(rates=(1.0, -0.5)), r"rates must be positive numbers, got -0\.5"),
        (lambda: TrainingConfig(rates=(float("nan"),)), "rates must be positive numbers, got nan"),
        (lambda: TrainingConfig(rates=(-1.0,)), r"rates must be positive numbers, got -1\.0"),
        (lambda: TrainingConfig(first_seed=-1), "first_seed must be at least 0, got -1"),
        (lambda: TrainingConfig(num_seeds=0), "num_seeds must be at least 1, got 0"),
        (lambda: FunnelStage(TrainingConfig(), 0), "candidates must be at least 1, got 0"),
        (lambda: SearchConfig(seed=-1), "seed must be at least 0, got -1"),
        (lambda: SearchConfig(spares=-1), "spares must be at least 0, got -1"),
        (lambda: SearchConfig(rounds="2"), r"SearchConfig\.rounds must be int, got '2'"),
        (lambda: SearchConfig(training={}), r"SearchConfig\.training must be TrainingConfig, got"),
        (
            lambda: SearchConfig(funnel=(3,)),
            r"SearchConfig\.funnel\[0\] must be FunnelStage",
        ),
        (lambda: TrainingConfig(rates=1.0), r"TrainingConfig\.rates must be a tuple, got 1\.0"),
        (lambda: TrainingConfig(steps=True), r"TrainingConfig\.steps must be int, got True"),
    ],
)
def test_what_cannot_be_run_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_integers_and_lists_do():
    config = TrainingConfig(rates=[1, 0.5])  # type: ignore[arg-type]
    assert from_json(TrainingConfig, json.dumps({"rates": config.rates})).rates == (1.0, 0.5)


def written(folder: Path, arguments: str) -> Path:
    path = folder / "campaign.py"
    path.write_text(f"from search.config import *\nCONFIG = SearchConfig({arguments})\n")
    return path


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("rounds='2'", "campaign.py:2: SearchConfig.rounds must be int, got '2'"),
        (
            "training=dict(steps=3)",
            "SearchConfig.training must be TrainingConfig, got {",
        ),
        ("capacity=3", "capacity must be at least 9, the number of statements of the start"),
    ],
)
def test_a_file_says_what_is_wrong(tmp_path, arguments, message):
    with pytest.raises(UserError) as raised:
        config_file.load(written(tmp_path, arguments))
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--seed", "-1"], "--seed must be at least 0, got -1"),
        (["--workers", "-1"], "--workers must be at least 0, got -1"),
        (["--timeout", "0"], "--timeout must be a positive number of seconds, got 0"),
        (["--timeout", "nan"], "--timeout must be a positive number of seconds, got nan"),
        (["--address", "nowhere"], "--address must be `auto`, HOST:PORT or ray://HOST:PORT"),
        (["--address", "host:99999"], "--address must be"),
    ],
)
def test_a_wrong_option_makes_no_folder(tmp_path, capsys, options, message):
    folder = tmp_path / "new"
    assert main(["search", "run", str(written(tmp_path, "")), "-o", str(folder), *options]) == 2
    assert message in capsys.readouterr().err
    assert not folder.exists()


def test_a_released_rule_may_be_the_start():
    assert start_program(SearchConfig(start="normalized_sgd")).body
    with pytest.raises(KeyError, match="did you mean normalized_sgd"):
        start_program(SearchConfig(start="normalised_sgd"))
