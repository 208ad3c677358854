"""Ray: the same campaign on any number of workers, however they die."""

import math
import os
import signal
import time
import warnings
from contextlib import closing

import psutil
import pytest
from campaigns import outcome, same, tiny

from search.campaign import advance
from search.cluster import InProcess, Processes, RayWorkers, WorkerError, executor
from search.evolve import Round, island_round
from search.store import Store

pytestmark = [
    pytest.mark.xdist_group("ray"),
    pytest.mark.filterwarnings("ignore"),  # Ray's own, of several kinds
]
CONFIG = tiny(rounds=5)


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """The campaign in this process."""
    with closing(Store.create(tmp_path_factory.mktemp("here"), CONFIG)) as store:
        assert advance(store, InProcess())
        return outcome(store)


def run(folder, workers, observe=lambda _: None):
    with closing(Store.create(folder, CONFIG)) as store:
        assert advance(store, workers, observe)
        return outcome(store)


@pytest.fixture
def local():
    """Ray here with two workers, and what they reported."""
    with executor(workers=2, timeout=120) as workers:
        workers.messages = []
        workers._report = workers.messages.append
        yield workers


@pytest.mark.parametrize("count", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_any_number_of_workers_gives_the_same_campaign(tmp_path, expected, count):
    with executor(workers=count) as workers:
        import ray

        assert isinstance(workers, RayWorkers)
        assert len(set(workers.process_ids())) == count
        assert os.getpid() not in workers.process_ids()
        assert {n["NodeManagerAddress"] for n in ray.nodes()} == {"127.0.0.1"}
        assert all(c.laddr.ip in ("127.0.0.1", "::1", "::ffff:127.0.0.1") for c in listening()), (
            listening()
        )
        same(run(tmp_path, workers), expected)
    assert not ray.is_initialized()


def listening():
    """Sockets on which this process and those it started listen."""
    found = []
    for process in [psutil.Process(), *psutil.Process().children(recursive=True)]:
        try:
            found += [c for c in process.net_connections("tcp") if c.status == psutil.CONN_LISTEN]
        except psutil.Error:
            continue
    return found


@pytest.mark.slow
def test_killed_workers_are_replaced(tmp_path, expected, local):
    """One dies idle between rounds, one in the middle of a round."""
    first = local.process_ids()

    def observe(progress):
        if progress.record.number == 1:
            os.kill(local.process_ids()[0], signal.SIGKILL)
        if progress.record.number == 3:
            victim = psutil.Process(local.process_ids()[1])
            killer = os.fork()  # kills while this process waits for the round
            if not killer:
                time.sleep(0.03)
                os.kill(victim.pid, signal.SIGKILL)
                os._exit(0)
            os.waitpid(killer, os.WNOHANG)

    same(run(tmp_path, local, observe), expected)
    assert set(local.process_ids()).isdisjoint(first[:1])
    assert any("died" in m and "done again" in m for m in local.messages)


@pytest.mark.slow
def test_a_hanging_worker_is_replaced(tmp_path, expected, local):
    stopped = []

    def observe(progress):
        if progress.record.number == 2:
            pid = local.process_ids()[0]
            os.kill(pid, signal.SIGSTOP)
            stopped.append(pid)
            local._timeout = 8.0
        if progress.record.number == 3:
            local._timeout = 120.0

    same(run(tmp_path, local, observe), expected)
    assert stopped[0] not in local.process_ids()
    assert any("hung for 8 s" in m for m in local.messages)
    assert not psutil.pid_exists(stopped[0]) or (
        psutil.Process(stopped[0]).status() == psutil.STATUS_ZOMBIE
    )


def test_a_round_that_cannot_be_run_says_why(local):
    broken = Round(CONFIG, 0, 1, None, None, None, None, None)
    with pytest.raises(WorkerError, match="NoneType"):
        local.run(island_round, [broken])


@pytest.mark.slow
def test_two_nodes(tmp_path, expected):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import ray
        from ray.cluster_utils import Cluster
    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "node_ip_address": "127.0.0.1"}
    )
    try:
        cluster.add_node(num_cpus=1)
        cluster.wait_for_nodes()
        with executor(address=cluster.address) as workers:
            assert sum(node["Alive"] for node in ray.nodes()) == 2
            # Each node has a parent process of its own for its workers.
            parents = {psutil.Process(pid).ppid() for pid in workers.process_ids()}
            assert len(parents) == len(workers.process_ids()) == 2
            same(run(tmp_path, workers), expected)
    finally:
        cluster.shutdown()


def test_no_cluster_at_the_address():
    with (
        pytest.raises(ConnectionError, match="no Ray cluster at 127"),
        executor(address="127.0.0.1:1"),
    ):
        pass


@pytest.mark.parametrize("threads", [1, 3])
def test_jobs_in_this_process_come_in_order_and_are_told(threads):
    told = {}
    found = InProcess(threads).run(lambda job: job * job, range(8), told.__setitem__)
    assert found == [job * job for job in range(8)]
    assert told == dict(enumerate(found))


@pytest.mark.parametrize("threads", [1, 2])
def test_jobs_after_one_that_fails_are_not_begun(threads):
    begun = []

    def call(job):
        begun.append(job)
        time.sleep(0.02)
        return 1 // (job - 3)

    with pytest.raises(ZeroDivisionError):
        InProcess(threads).run(call, range(50))
    assert len(begun) < 50


def test_jobs_in_other_processes_come_in_order_and_are_told(tmp_path):
    told, prepared = {}, tmp_path / "prepared"
    found = Processes(2, prepared.touch).run(math.factorial, range(6), told.__setitem__)
    assert found == [math.factorial(job) for job in range(6)]
    assert told == dict(enumerate(found))
    assert prepared.exists()


def test_a_job_that_fails_ends_the_other_processes(tmp_path):
    with pytest.raises(ValueError, match="non-negative"):
        Processes(2, tmp_path.touch).run(time.sleep, [3600, -1])
