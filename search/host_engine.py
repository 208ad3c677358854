"""Trainings on a CPU: XLA computes the gradients of many slots at once, numpy applies the rules.

Slots work like the continuous batching of inference servers: a training that ends, early or not,
leaves its slot to the next one, so a candidate that diverges costs only the steps it took. The
slots form two groups; while XLA computes the gradients of one, numpy updates the other.
"""

from dataclasses import dataclass
from functools import cache

import jax
import numpy as np

import tasks
from metaopt.rules.genome import take
from metaopt.rules.host import Step, compile_step
from search.problem import problem
from search.training import DIVERGED_AT, Order, Outcomes, Status, schedule


@cache
def _compiled(task: str, split: tasks.Split) -> tuple:
    """The problem, and its init, gradient and evaluation over a leading dimension of slots."""
    p = problem(task)
    return (
        p,
        jax.jit(p.init),
        jax.jit(jax.vmap(p.gradient)),
        jax.jit(jax.vmap(lambda params: p.evaluate(params, split))),
    )


def train(order: Order) -> Outcomes:
    """Run the trainings."""
    work = _Work(order)
    with np.errstate(all="ignore"):
        groups = [_Slots(work) for _ in range(2)]
        while any(group.running for group in groups):
            for group in groups:
                group.advance()
        work.evaluate_finished()
    return work.outcomes


@dataclass
class _Training:
    """One training under way."""

    job: int
    step: Step
    states: np.ndarray
    rates: np.ndarray


class _Work:
    """The trainings still to start, and the outcomes of those that ended."""

    def __init__(self, order: Order):
        self.problem, init, self.gradient, self._evaluate = _compiled(order.task, order.split)
        self.genomes, self.layout, self.jobs = order.genomes, order.layout, order.jobs
        self.steps, self.patience = order.steps, order.patience_steps
        self.width = width = max(1, order.width // 2)
        self.course = schedule(order.course, order.steps)
        jobs = order.jobs
        self.starts = {int(seed): np.asarray(init(seed)) for seed in np.unique(jobs.seed)}
        self._queue = iter(range(len(jobs.program)))
        self._finished: list[int] = []
        self._params = np.zeros((width, self.problem.num_parameters), np.float32)
        self.outcomes = Outcomes(
            np.full(len(jobs.program), np.inf),
            np.full(len(jobs.program), Status.FINISHED),
            np.zeros(len(jobs.program), np.int64),
        )

    def next(self) -> _Training | None:
        """Start the next training, if any is left."""
        job = next(self._queue, None)
        if job is None:
            return None
        genome = take(self.genomes, int(self.jobs.program[job]))
        states = np.zeros((len(self.layout.states), self.problem.num_parameters), np.float32)
        step = compile_step(genome, self.layout, self.problem.sizes)
        return _Training(job, step, states, self.course * np.float32(self.jobs.rate[job]))

    def finish(self, job: int, params: np.ndarray) -> None:
        """Record a training that ran to its end; its loss is measured together with others."""
        self._params[len(self._finished)] = params
        self._finished.append(job)
        if len(self._finished) == self.width:
            self.evaluate_finished()

    def evaluate_finished(self) -> None:
        """Measure the held-out loss of all that finished since the last call."""
        losses = np.asarray(self._evaluate(self._params))[: len(self._finished)]
        finite = np.isfinite(losses)
        self.outcomes.loss[self._finished] = np.where(finite, losses, np.inf)
        self.outcomes.status[self._finished] = np.where(finite, Status.FINISHED, Status.DIVERGED)
        self._finished.clear()


class _Slots:
    """Trainings whose gradients are one XLA call."""

    def __init__(self, work: _Work):
        self._work = work
        width = work.width
        self._params = np.zeros((width, work.problem.num_parameters), np.float32)
        self._seeds = np.zeros(width, np.int32)
        self._done = np.zeros(width, np.int32)
        self._loss_sums = np.zeros(width, np.float32)
        self._trainings: list[_Training | None] = [None] * width
        for i in range(width):
            self._refill(i)
        self._launch()

    @property
    def running(self) -> bool:
        """Whether any training is under way."""
        return any(self._trainings)

    def _launch(self) -> None:
        if self.running:
            self._pending = self._work.gradient(self._params, self._seeds, self._done)

    def _refill(self, i: int) -> None:
        training = self._trainings[i] = self._work.next()
        self._done[i], self._loss_sums[i] = 0, 0.0
        if training:
            self._seeds[i] = self._work.jobs.seed[training.job]
            self._params[i] = self._work.starts[int(self._seeds[i])]

    def advance(self) -> None:
        """Wait for the gradients, step every training, start new ones where some ended."""
        if not self.running:
            return
        losses, gradients = (np.asarray(x) for x in self._pending)
        work, patience = self._work, self._work.patience
        trivial = work.problem.trivial_loss
        self._loss_sums += np.where(2 * self._done >= patience, losses, 0.0)
        for i, training in enumerate(self._trainings):
            if training is None:
                continue
            done = self._done[i]
            if not losses[i] <= DIVERGED_AT * trivial:  # also when it is NaN
                self._end(i, Status.DIVERGED)
            elif done == patience and self._loss_sums[i] > trivial * (done - (done + 1) // 2 + 1):
                self._end(i, Status.STOPPED)
            else:
                params = self._params[i]
                rate, t = np.float32(training.rates[done]), np.float32(done + 1)
                params -= training.step(params, gradients[i], training.states, rate, t)
                self._done[i] = done + 1
                if done + 1 == work.steps:
                    finished = params.copy()
                    self._end(i, Status.FINISHED)
                    work.finish(training.job, finished)
        self._launch()

    def _end(self, i: int, status: Status) -> None:
        training = self._trainings[i]
        assert training is not None
        self._work.outcomes.status[training.job] = status
        self._work.outcomes.steps[training.job] = self._done[i]
        self._refill(i)
