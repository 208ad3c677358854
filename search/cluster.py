"""Where rounds run: in this process, or on Ray. The only file that imports ray.

A round is a pure call, so a worker that dies or hangs is replaced and its round is done again.
"""

import contextlib
import logging
import os
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

from search.evolve import Round, RoundResult, island_round

_log = logging.getLogger(__name__)


class Executor(Protocol):
    """Runs rounds, whichever way; the results come in the order of the rounds."""

    def run(self, rounds: Sequence[Round]) -> list[RoundResult]:
        """Run all rounds and wait for them."""
        ...


class InProcess:
    """Rounds one after the other in this process."""

    def run(self, rounds: Sequence[Round]) -> list[RoundResult]:
        """Run all rounds."""
        return [island_round(task) for task in rounds]


class WorkerError(RuntimeError):
    """A round that failed on every attempt."""


class _Attempt(NamedTuple):
    """A round that a worker is at: which round, the how-manieth try, which worker, until when."""

    island: int
    number: int
    worker: int
    deadline: float


class RayWorkers:
    """Rounds on Ray actors, one round a worker at a time.

    Args:
      count: number of workers.
      timeout: seconds after which a round counts as hanging and its worker is replaced.
      gpus: GPUs that each worker asks for.
      attempts: how often a round is tried before the campaign gives up.
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

    def run(self, rounds: Sequence[Round]) -> list[RoundResult]:
        """Run all rounds.

        Raises:
          WorkerError: a round failed too often; the message holds the last failure.
        """
        import ray

        results: dict[int, RoundResult] = {}
        waiting = [(i, 1) for i in range(len(rounds))]
        idle = list(range(len(self._workers)))
        running: dict[Any, _Attempt] = {}
        while waiting or running:
            while waiting and idle:
                (index, number), worker = waiting.pop(0), idle.pop(0)
                future = self._workers[worker].run.remote(rounds[index])
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
                    waiting.insert(0, (attempt.island, attempt.number + 1))
                else:
                    results[attempt.island] = result
        return [results[i] for i in range(len(rounds))]

    def _result(self, future: Any, attempt: _Attempt) -> RoundResult | None:
        """What a round came to; None if its worker had to be replaced."""
        import ray
        from ray import exceptions

        try:
            return ray.get(future, timeout=0)
        except exceptions.RayTaskError as error:
            raise WorkerError(f"a round failed on a worker:\n{error}") from error
        except exceptions.GetTimeoutError:
            what = f"hung for {self._timeout:g} s"
        except (exceptions.RayActorError, exceptions.ObjectLostError) as error:
            what = f"died ({type(error).__name__})"
        if attempt.number == self._attempts:
            raise WorkerError(
                f"the round of island {attempt.island} failed {attempt.number} times; the last "
                f"worker {what}. Nothing that was committed is lost"
            )
        self._report(f"a worker {what}; it is replaced and its round is done again")
        ray.kill(self._workers[attempt.worker], no_restart=True)
        self._workers[attempt.worker] = _new_worker(self._gpus)
        return None

    def process_ids(self) -> list[int]:
        """The workers' process ids, on the machines where they run."""
        import ray

        return ray.get([worker.process_id.remote() for worker in self._workers])


class _Worker:
    """What runs on a worker."""

    def run(self, task: Round) -> RoundResult:
        return island_round(task)

    def process_id(self) -> int:
        return os.getpid()


def _new_worker(gpus: float) -> Any:
    import ray

    # Actors are for the state that JAX keeps: what a worker has compiled serves later rounds.
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
    """Where to run rounds.

    Args:
      workers: 0 runs in this process, unless an address is given; otherwise that many Ray workers.
      address: a Ray cluster to join, such as `auto`; none starts Ray here, on the loopback
        address.
      timeout: seconds for one round on a worker.
      dashboard: whether a Ray that is started here has its dashboard.
      gpus: GPUs that each worker asks for.
      report: told when a worker is replaced.

    Raises:
      ConnectionError: there is no cluster at the address.
    """
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
            "num_cpus": workers,
            "include_dashboard": dashboard,
            "_node_ip_address": "127.0.0.1",
        }
    import ray

    ray.init(**options)
    try:
        count = workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
        yield RayWorkers(count, timeout, gpus, report=report)
    finally:
        ray.shutdown()


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
