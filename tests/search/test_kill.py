"""`kill -9` of the driver at any moment, then resume: the campaign that never stopped."""

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from campaigns import outcome, same, tiny

from search.campaign import advance
from search.cluster import InProcess
from search.config import to_json
from search.store import Store

ROOT = Path(__file__).parents[2]
CONFIG = tiny(rounds=250, patience=4, capacity=8, spares=1, children=16, population=24)

DRIVER = """
import sys
from pathlib import Path
from search.campaign import advance
from search.cluster import InProcess
from search.config import SearchConfig, from_json
from search.store import CampaignError, Store

config = from_json(SearchConfig, sys.argv[2])
print("started", flush=True)
try:
    store = Store.open(sys.argv[1])
except CampaignError:
    store = Store.create(sys.argv[1], config)
with store.locked():
    advance(store, InProcess(), lambda p: print("round", p.record.number, flush=True))
store.close()
print("complete", flush=True)
"""


def drive(folder, cache, kill=None):
    """Run a driver and, unless it completes, kill it: (wait for a line, seconds after it).

    Returns the last line that it printed, and how it ended.
    """
    # What one driver compiled the next one loads: it saves time and changes nothing.
    environment = os.environ | {
        "JAX_COMPILATION_CACHE_DIR": str(cache),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    command = [sys.executable, "-c", DRIVER, str(folder), to_json(CONFIG)]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    ) as driver:
        assert driver.stdout is not None
        line = ""
        if kill is not None:
            lines, seconds = kill
            for _ in range(lines):
                line = driver.stdout.readline().strip() or line
            time.sleep(seconds)
            driver.send_signal(signal.SIGKILL)
        line = [line, *driver.stdout.read().split("\n")[:-1]][-1]
    return line, driver.returncode


@pytest.mark.parametrize("kills", [4, pytest.param(20, marks=pytest.mark.slow)])
def test_killed_at_random_moments(tmp_path, kills):
    draw = random.Random(20)
    cache, folder = tmp_path / "cache", tmp_path / "killed"
    killed, last = [], []
    for i in range(kills):
        # Some in the start, before anything is committed in this run; most among the rounds.
        lines = 0 if i == 0 else draw.choice([1, 2, 3, 4, 5])
        seconds = draw.uniform(0.2, 3.0) if lines < 2 else draw.uniform(0.0, 0.12)
        line, code = drive(folder, cache, (lines, seconds))
        assert line != "complete", f"the campaign is too short: it ended after {i} kills"
        assert code == -signal.SIGKILL
        killed.append(line)
        if (folder / "campaign.sqlite").exists():
            with closing(Store.open(folder)) as store:
                last.append(store.rounds()[-1].number if store.rounds() else -1)
    print("killed after", killed, "rounds", last)
    assert last == sorted(last)
    assert len(set(last)) > kills // 4  # there was progress between the kills
    assert last[-1] < CONFIG.rounds
    assert drive(folder, cache) == ("complete", 0)

    with closing(Store.create(tmp_path / "whole", CONFIG)) as whole:
        assert advance(whole, InProcess())
        with closing(Store.open(folder)) as killed_:
            same(outcome(killed_), outcome(whole))
            assert len(killed_.best(50)) == 50
            assert len(killed_.rounds()) == CONFIG.rounds + 1
