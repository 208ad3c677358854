"""Where work runs: in this process, in others, or on Ray. The only file that imports ray.

A job is a pure call, so a worker that dies or hangs is replaced and its job is done again.
"""

import concurrent.futures
import contextlib
import logging
import multiprocessing
import os
import re
import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from typing import Any, NamedTuple, Protocol, TypeVar

from search.errors import UserError

_log = logging.getLogger(__name__)

Job = TypeVar("Job")
Result = TypeVar("Result")


def _ignore(number: int, result: Any) -> None:
    """Nobody is told."""


class Executor(Protocol):
    """Runs pure calls, whichever way; the results come in the order of the jobs."""

    def run(
        self,
        call: Callable[[Job], Result],
        jobs: Sequence[Job],
        done: Callable[[int, Result], None] = _ignore,
    ) -> list[Result]:
        """Run a call on every job and wait for all.

        Args:
          call: a function of a module, not a closure: it may travel to another process.
          jobs: its arguments.
          done: told the number of a job and its result as soon as it is there.
        """
        ...


class InProcess:
    """Jobs in this process, one after the other, or several at a time in threads.

    Args:
      threads: how many at a time; jobs that spend their time in XLA do not hold each other up.
    """

    def __init__(self, threads: int = 1):
        self._threads = threads

    def run(
        self,
        call: Callable[[Job], Result],
        jobs: Sequence[Job],
        done: Callable[[int, Result], None] = _ignore,
    ) -> list[Result]:
        """Run all jobs; if one fails, those not begun are not begun."""
        if self._threads == 1:  # here, where an interrupt stops it at once
            results = []
            for number, job in enumerate(jobs):
                results.append(call(job))
                done(number, results[-1])
            return results
        with ThreadPoolExecutor(self._threads) as pool:
            return _gathered(pool, call, jobs, done)


class Processes:
    """Jobs in processes of their own on this machine, one at a time in each.

    Threads take turns at Python, whose part of a job is most of it where a GPU does the rest.

    Args:
      count: how many at a time.
      prepare: called in each process before its first job; it travels there, as jobs do.
    """

    def __init__(self, count: int, prepare: Callable[[], None]):
        self._count, self._prepare = count, prepare

    def run(
        self,
        call: Callable[[Job], Result],
        jobs: Sequence[Job],
        done: Callable[[int, Result], None] = _ignore,
    ) -> list[Result]:
        """Run all jobs; if one fails, or `done` does, those under way are ended."""
        others = set(multiprocessing.active_children())
        with ProcessPoolExecutor(
            min(self._count, len(jobs)),
            mp_context=multiprocessing.get_context("spawn"),  # JAX does not survive a fork
            initializer=_in_new_process,
            initargs=(self._prepare,),
        ) as pool:
            try:
                return _gathered(pool, call, jobs, done)
            except BaseException:
                for process in set(multiprocessing.active_children()) - others:
                    process.terminate()
                raise


def _in_new_process(prepare: Callable[[], None]) -> None:
    # Ctrl-C reaches every process of a terminal; whoever started this one decides what ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    prepare()


def _gathered(
    pool: concurrent.futures.Executor,
    call: Callable[[Job], Result],
    jobs: Sequence[Job],
    done: Callable[[int, Result], None],
) -> list[Result]:
    results: dict[int, Result] = {}
    numbers = {pool.submit(call, job): number for number, job in enumerate(jobs)}
    try:
        for future in as_completed(numbers):
            results[numbers[future]] = future.result()
            done(numbers[future], results[numbers[future]])
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    return [results[number] for number in range(len(jobs))]


class WorkerError(RuntimeError):
    """A job that failed on every attempt."""


class _Attempt(NamedTuple):
    """A job that a worker is at: which job, the how-manieth try, which worker, until when."""

    job: int
    number: int
    worker: int
    deadline: float


class RayWorkers:
    """Jobs on Ray actors, one a worker at a time.

    Args:
      count: number of workers.
      timeout: seconds after which a job counts as hanging and its worker is replaced.
      gpus: GPUs that each worker asks for.
      attempts: how often a job is tried before giving up.
      report: told what happened when a worker was replaced.
    """

    def __init__(
        self,
        count: int,
        timeout: float,
        gpus: float = 0.0,
        attempts: int = 3,
        report: Callable[[str], None] = _log.warning,
    ):
        self._timeout, self._gpus = timeout, gpus
        self._attempts, self._report = attempts, report
        self._workers = [_new_worker(gpus) for _ in range(count)]

    def run(
        self,
        call: Callable[[Job], Result],
        jobs: Sequence[Job],
        done: Callable[[int, Result], None] = _ignore,
    ) -> list[Result]:
        """Run all jobs.

        Raises:
          WorkerError: a job failed too often; the message holds the last failure.
        """
        import ray

        results: dict[int, Result] = {}
        waiting = [(i, 1) for i in range(len(jobs))]
        idle = list(range(len(self._workers)))
        running: dict[Any, _Attempt] = {}
        while waiting or running:
            while waiting and idle:
                (index, number), worker = waiting.pop(0), idle.pop(0)
                future = self._workers[worker].run.remote(call, jobs[index])
                deadline = time.monotonic() + self._timeout
                running[future] = _Attempt(index, number, worker, deadline)
            soonest = min(attempt.deadline for attempt in running.values())
            patience = max(0.0, soonest - time.monotonic())
            ready, _ = ray.wait(list(running), num_returns=1, timeout=patience)
            late = [f for f, attempt in running.items() if attempt.deadline <= time.monotonic()]
            for future in ready or late:
                attempt = running.pop(future)
                idle.append(attempt.worker)
                result = self._result(future, attempt)
                if result is None:
                    waiting.insert(0, (attempt.job, attempt.number + 1))
                else:
                    results[attempt.job] = result[0]
                    done(attempt.job, result[0])
        return [results[i] for i in range(len(jobs))]

    def _result(self, future: Any, attempt: _Attempt) -> tuple[Any] | None:
        """What a job came to; None if its worker had to be replaced."""
        import ray
        from ray import exceptions

        try:
            return (ray.get(future, timeout=0),)
        except exceptions.RayTaskError as error:
            raise WorkerError(f"a job failed on a worker:\n{error}") from error
        except exceptions.GetTimeoutError:
            what = f"hung for {self._timeout:g} s"
        except (exceptions.RayActorError, exceptions.ObjectLostError) as error:
            what = f"died ({type(error).__name__})"
        if attempt.number == self._attempts:
            raise WorkerError(
                f"job {attempt.job} failed {attempt.number} times; the last "
                f"worker {what}. Nothing that was committed is lost"
            )
        self._report(f"a worker {what}; it is replaced and its job is done again")
        ray.kill(self._workers[attempt.worker], no_restart=True)
        self._workers[attempt.worker] = _new_worker(self._gpus)
        return None

    def process_ids(self) -> list[int]:
        """The workers' process ids, on the machines where they run."""
        import ray

        return ray.get([worker.process_id.remote() for worker in self._workers])


class _Worker:
    """What runs on a worker."""

    def run(self, call: Callable[[Any], Any], job: Any) -> Any:
        return call(job)

    def process_id(self) -> int:
        return os.getpid()


def _new_worker(gpus: float) -> Any:
    import ray

    # Actors are for the state that JAX keeps: what a worker has compiled serves later jobs.
    return ray.remote(num_cpus=1, num_gpus=gpus, max_restarts=0)(_Worker).remote()


@contextlib.contextmanager
def executor(
    *,
    workers: int = 0,
    address: str = "",
    timeout: float = 3600.0,
    dashboard: bool = False,
    gpus: float = 0.0,
    report: Callable[[str], None] = _log.warning,
) -> Iterator[Executor]:
    """Where to run jobs.

    Args:
      workers: 0 runs in this process, unless an address is given; otherwise that many Ray workers.
      address: a Ray cluster to join, such as `auto`; none starts Ray here, on the loopback
        address.
      timeout: seconds for one job on a worker.
      dashboard: whether a Ray that is started here has its dashboard.
      gpus: GPUs that each worker asks for.
      report: told when a worker is replaced.

    Raises:
      ConnectionError: there is no cluster at the address.
      UserError: nothing can run so.
    """
    assert_usable(workers, address, timeout)
    if not workers and not address:
        yield InProcess()
        return
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
    if address:
        _assert_reachable(address)
        options["address"] = address
    else:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        # Ray replaces a loopback address by that of the machine unless it believes that it cannot
        # form clusters here. It reads this when it is first imported.
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
        options |= {
            "address": "local",  # never some other Ray that runs on this machine
            "num_cpus": workers,
            "include_dashboard": dashboard,
            "_node_ip_address": "127.0.0.1",
        }
    import ray

    try:
        ray.init(**options)
    except ValueError as error:
        raise UserError(f"Ray cannot be used at {address or 'this machine'}: {error}") from None
    try:
        count = worker_count(workers, gpus, ray.cluster_resources())
        yield RayWorkers(count, timeout, gpus, report=report)
    finally:
        ray.shutdown()


_ADDRESS = re.compile(r"(ray://)?([\w.-]+|\[[0-9a-fA-F:.]+\]):(\d{1,5})")


def assert_usable(workers: int, address: str, timeout: float) -> None:
    """Check where jobs are to run, before anything is begun.

    Raises:
      UserError: no jobs can run there.
    """
    if workers < 0:
        raise UserError(f"--workers must be at least 0, got {workers}; 0 runs in this process")
    if not timeout > 0:
        raise UserError(f"--timeout must be a positive number of seconds, got {timeout:g}")
    if address in ("", "auto", "local"):
        return
    found = _ADDRESS.fullmatch(address)
    if not found or not 1 <= int(found[3]) <= 65535:
        raise UserError(f"--address must be `auto`, HOST:PORT or ray://HOST:PORT, got {address!r}")


def worker_count(workers: int, gpus: float, resources: Mapping[str, float]) -> int:
    """How many workers a cluster gets: as many as were asked for, else one for each CPU or GPU.

    Args:
      workers: as many as were asked for; 0: as many as there is room for.
      gpus: GPUs that each of them asks for.
      resources: what the cluster has, as Ray says it.

    Raises:
      UserError: there is room for none.
    """
    room = int(resources.get("GPU", 0) / gpus) if gpus else max(1, int(resources.get("CPU", 1)))
    if not room:
        raise UserError(
            f"each worker needs {gpus:g} GPU, and the Ray cluster has {resources.get('GPU', 0):g}; "
            "join one that has GPUs, or leave --workers and --address away to run in this process"
        )
    return workers or room


def _assert_reachable(address: str) -> None:
    """Fail at once where nothing listens; Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if "/" in host or not port.isdigit():  # a scheme, or a word such as `auto`
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except OSError as error:
        raise ConnectionError(
            f"there is no Ray cluster at {address}: {error.strerror or error}"
        ) from None
