"""`kill -9` at any moment, then resume; and workers elsewhere: the same weights, to the bit."""

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from metas import Watch, outcome, same, tiny

from search.cluster import InProcess, executor
from search.config import to_json
from search.meta import campaign
from search.meta.store import FILENAME, MetaStore

# One process runs both: they share what is compiled, and only one may have Ray.
pytestmark = pytest.mark.xdist_group("ray")

ROOT = Path(__file__).parents[2]
CONFIG = tiny(steps=400)

DRIVER = """
import sys
sys.path.insert(0, "tests")
from metas import Watch
from search.cluster import InProcess
from search.config import from_json
from search.errors import UserError
from search.meta import campaign
from search.meta.config import MetaConfig
from search.meta.store import MetaStore

class Print(Watch):
    def updated(self, record):
        print("update", record.step, flush=True)

print("started", flush=True)
try:
    store = MetaStore.open(sys.argv[1])
except UserError:
    store = MetaStore.create(sys.argv[1], from_json(MetaConfig, sys.argv[2]))
with store.locked():
    campaign.advance(store, InProcess(2), Print(), seconds=0.01)
store.close()
print("complete", flush=True)
"""


def come_to(folder, config, workers):
    """What a meta-training comes to."""
    with closing(MetaStore.create(folder, config)) as store:
        assert campaign.advance(store, workers, Watch())
        return outcome(store)


def drive(folder, cache, kill=None):
    """Run a driver and, unless it completes, kill it: (wait for a line, seconds after it).

    Returns the last line that it printed, and how it ended.
    """
    environment = os.environ | {
        "JAX_COMPILATION_CACHE_DIR": str(cache),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
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


@pytest.mark.slow
@pytest.mark.parametrize("kills", [4, 16])
def test_killed_at_random_moments(tmp_path, kills):
    draw = random.Random(20)
    cache, folder = tmp_path / "cache", tmp_path / "killed"
    killed, last = [], []
    for i in range(kills):
        lines = 1 if i == 1 else draw.choice([2, 3, 5, 9, 17])
        seconds = draw.uniform(0.2, 3.0) if lines == 1 else draw.uniform(0.0, 0.06)
        line, code = drive(folder, cache, (lines, seconds))
        assert line != "complete", f"it is too short: it ended after {i} kills"
        assert code == -signal.SIGKILL
        killed.append(line)
        if (folder / FILENAME).exists():
            with closing(MetaStore.open(folder)) as store:
                last.append(len(store.records()))
    print("killed after", killed, "committed", last)
    assert last == sorted(last)
    assert 0 < last[-1] < CONFIG.steps
    assert drive(folder, cache) == ("complete", 0)
    with closing(MetaStore.open(folder)) as store:
        same(outcome(store), come_to(tmp_path / "whole", CONFIG, InProcess()))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Ray's own, of several kinds
def test_workers_change_nothing(tmp_path):
    with executor(workers=2, timeout=120) as workers:
        found = come_to(tmp_path / "ray", tiny(), workers)
    same(found, come_to(tmp_path / "here", tiny(), InProcess()))
