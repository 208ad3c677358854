"""Trainings on an accelerator: a whole batch of them is one compiled scan over the steps.

Genomes are data, so one program compiled for a batch size serves every candidate of a campaign.
"""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np

import tasks
from metaopt.rules.genome import CONSTANT, NOTHING, Genome, Layout, take
from metaopt.rules.interpreter import step
from search.problem import problem
from search.training import DIVERGED_AT, Order, Outcomes, Status, schedule


def train(order: Order) -> Outcomes:
    """Run the trainings.

    A training that is not better than the trivial predictor after the patience counts as stopped,
    though it saves no time here.
    """
    steps, width, jobs = order.steps, order.width, order.jobs
    patience = order.patience_steps
    run = _compiled(order.task, order.layout, steps, order.course, patience, order.split)
    genomes = _padded(order.genomes, order.layout)
    count = len(jobs.program)
    parts = []
    for start in range(0, count, width):
        index = np.minimum(np.arange(start, start + width), count - 1)
        chunk = take(genomes, jobs.program[index])
        longest = np.int32(np.max(np.sum(chunk.ops != NOTHING, axis=1), initial=0))
        result = run(chunk, jobs.seed[index], jobs.rate[index], longest)
        parts.append([np.asarray(column) for column in result])
    columns = (np.concatenate(column)[:count] for column in zip(*parts, strict=True))
    loss, diverged_at, hopeless = columns
    diverged = (diverged_at < steps) | ~np.isfinite(loss)
    status = np.where(diverged, Status.DIVERGED, Status.FINISHED)
    # What happened first counts, as on the host.
    status = np.where(hopeless & (diverged_at > patience), Status.STOPPED, status)
    loss = np.where(status == Status.FINISHED, loss, np.inf).astype(np.float64)
    return Outcomes(loss, status, np.minimum(diverged_at, steps).astype(np.int64))


def _padded(genomes: Genome, layout: Layout) -> Genome:
    """Genomes with room for as many statements as the layout has, so that shapes never change."""
    missing = layout.capacity - genomes.ops.shape[1]

    def pad(column: np.ndarray, empty: float) -> np.ndarray:
        widths = [(0, 0), (0, missing)] + [(0, 0)] * (column.ndim - 2)
        return np.pad(column, widths, constant_values=empty)

    return genomes._replace(
        ops=pad(genomes.ops, NOTHING),
        targets=pad(genomes.targets, 0),
        args=pad(genomes.args, CONSTANT),
        constants=pad(genomes.constants, 0.0),
    )


@cache
def _compiled(
    task: str, layout: Layout, steps: int, course: str, patience: int, split: tasks.Split
) -> jax.stages.Wrapped:
    p = problem(task)
    courses = jnp.asarray(schedule(course, steps))
    limit = DIVERGED_AT * p.trivial_loss

    # Sums by atomic operations would differ from run to run.
    exact = {"xla_gpu_deterministic_ops": True} if jax.default_backend() == "gpu" else None

    @partial(jax.jit, compiler_options=exact)
    def run(
        genomes: Genome, seeds: jax.Array, rates: jax.Array, longest: jax.Array
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        machine = jax.vmap(
            partial(step, layout=layout, sizes=p.sizes, limit=longest),
            in_axes=(0, 0, 0, 0, 0, None),
        )

        def one_step(carry: tuple, k: jax.Array) -> tuple:
            params, states, loss_sum, diverged_at = carry
            losses, gradients = jax.vmap(p.gradient, in_axes=(0, 0, None))(params, seeds, k)
            updates, states = machine(genomes, params, gradients, states, rates * courses[k], k + 1)
            alive = (losses <= limit) & (diverged_at == steps)
            loss_sum += jnp.where((2 * k >= patience) & (k <= patience), losses, 0.0)
            diverged_at = jnp.where(alive, diverged_at, jnp.minimum(diverged_at, k))
            return (params - updates, states, loss_sum, diverged_at), None

        count = seeds.shape[0]
        params = jax.vmap(p.init)(seeds)
        states = jnp.zeros((count, len(layout.states), p.num_parameters))
        carry = (params, states, jnp.zeros(count), jnp.full(count, steps))
        (params, _, loss_sum, diverged_at), _ = jax.lax.scan(one_step, carry, jnp.arange(steps))
        counted = patience - (patience + 1) // 2 + 1
        hopeless = (patience < steps) & (loss_sum > p.trivial_loss * counted)
        return jax.vmap(lambda flat: p.evaluate(flat, split))(params), diverged_at, hopeless

    return run
