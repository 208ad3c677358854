"""One island: regularized evolution of update rules, as a pure function of a round."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from metaopt import loading
from metaopt.rules.analysis import facts, live
from metaopt.rules.check import live_statements
from metaopt.rules.fingerprint import fingerprint
from metaopt.rules.genome import (
    Genome,
    Layout,
    decode,
    encode,
    stack,
    take,
    without_dead_code,
)
from metaopt.rules.mutate import MutationWeights, mutate
from metaopt.rules.parse import parse
from metaopt.rules.program import Program
from search.config import SearchConfig
from search.evaluate import Evaluation, evaluate
from search.population import Individuals, Island, enter, new_island, tournament
from search.training import Status

ROOT = 0
"""The parent of the start program, which has none."""


class Candidates(NamedTuple):
    """Every program that was trained, in order: what the search found out.

    Attributes:
      prints: int64 fingerprints.
      parents: int64, fingerprint of the program it was mutated from, `ROOT` for the start.
      kinds: int64, the kind of the mutation, an index of `mutate.KINDS`.
      fitness: float64.
      rates: float64, the best learning rate.
      status: int64, a `Status`.
      rules: the programs without dead code, as text.
    """

    prints: np.ndarray
    parents: np.ndarray
    kinds: np.ndarray
    fitness: np.ndarray
    rates: np.ndarray
    status: np.ndarray
    rules: tuple[str, ...]


class Counts(NamedTuple):
    """What happened to the mutants of a round, and what it cost."""

    generated: int = 0
    illegal: int = 0
    duplicates: int = 0
    evaluated: int = 0
    stopped: int = 0
    diverged: int = 0
    trainings: int = 0
    steps: int = 0
    restarts: int = 0

    def __add__(self, other: "Counts") -> "Counts":  # type: ignore[override]
        """The sums."""
        return Counts(*(a + b for a, b in zip(self, other, strict=True)))


class Round(NamedTuple):
    """One round of one island, ready to be run anywhere: all that `island_round` reads.

    Attributes:
      config: the campaign's.
      island: which island.
      number: which round, from 1.
      state: the island before the round.
      arrivals: migrants from another island.
      champion: the best individual of the campaign, as a stack of one.
      known_prints: int64 `(K,)`, fingerprints of all that has been trained.
      known_fitness: float64 `(K,)`.
    """

    config: SearchConfig
    island: int
    number: int
    state: Island
    arrivals: Individuals
    champion: Individuals
    known_prints: np.ndarray
    known_fitness: np.ndarray


class RoundResult(NamedTuple):
    """What a round comes to."""

    state: Island
    candidates: Candidates
    counts: Counts


def start_program(config: SearchConfig) -> Program:
    """The program that the campaign starts from, its hyperparameters written in as constants."""
    text = config.start
    program = parse(text, "<start>") if "\n" in text else loading.named(text)[0]
    return replace(program.inlined(), name="rule", doc="")


@cache
def layout_of(config: SearchConfig) -> Layout:
    """The layout that all programs of a campaign share."""
    return Layout.of(start_program(config), capacity=config.capacity, spares=config.spares)


def first_candidate(config: SearchConfig) -> tuple[Individuals, Candidates, Counts]:
    """The start program, trained: individual, record, and cost."""
    layout = layout_of(config)
    genomes = stack([encode(start_program(config), layout)])
    lean, prints = _lean_and_prints(genomes, layout)
    found = evaluate(lean, layout, config.training)
    candidates = _record(lean, layout, prints, np.array([ROOT]), np.array([-1]), found)
    counts = Counts(1, 0, 0, 1, 0, 0, found.trainings, found.steps)
    return Individuals(genomes, found.fitness, prints), candidates, counts


def individual(rule: str, fitness: float, fingerprint: int, config: SearchConfig) -> Individuals:
    """A recorded candidate as a stack of one individual."""
    genome = stack([encode(parse(rule), layout_of(config))])
    return Individuals(genome, np.array([fitness]), np.array([fingerprint]))


def island_round(task: Round) -> RoundResult:
    """Run one round of one island: a pure function, so it may be done again anywhere."""
    config, island = task.config, task.state
    evolution = config.evolution
    rng = np.random.default_rng([config.seed, task.island, task.number])
    fitness_of = dict(zip(task.known_prints.tolist(), task.known_fitness.tolist(), strict=True))

    total = Counts()
    if island.stale >= evolution.patience:
        fresh = island.restarts < evolution.fresh_starts
        first = _recalled_start(config, fitness_of) if fresh else task.champion
        island = new_island(first, evolution.population, int(island.restarts) + 1)
        total += Counts(restarts=1)
    island = enter(island, task.arrivals)

    records, best = [], -np.inf
    for _ in range(evolution.cycles):
        newcomers, record, counts = _cycle(config, island, rng, fitness_of)
        island = enter(island, newcomers)
        records.append(record)
        total += counts
        # Of all that are born: a climb over rules known from another island is no standstill.
        best = newcomers.fitness.max(initial=best)

    island = island._replace(
        best=np.maximum(island.best, best),
        stale=np.int64(0) if best > island.best else island.stale + 1,
    )
    return RoundResult(island, joined(records), total)


def _cycle(
    config: SearchConfig, island: Island, rng: np.random.Generator, fitness_of: dict[int, float]
) -> tuple[Individuals, Candidates, Counts]:
    """Draw mutants and train those not seen before, of which `fitness_of` learns; all are born."""
    evolution, layout = config.evolution, layout_of(config)
    chosen = tournament(rng, island.fitness, evolution.tournament, evolution.children)
    parents, ancestors = take(island.genomes, chosen), island.prints[chosen]
    if evolution.method == "random":
        parents = stack([encode(start_program(config), layout)] * evolution.children)
        ancestors = np.full(evolution.children, _start_print(config))
    key = jax.random.key(rng.integers(2**31))
    children, kinds, alive, valid = _mutants(layout, evolution.mutation, evolution.method)(
        key, parents
    )
    lean = without_dead_code(children, alive)
    prints = fingerprint(lean, layout)

    novel, born = _novel(prints, valid, fitness_of, evolution.evaluations)
    illegal, num_born = int(np.sum(~valid)), int(born.sum())
    counts = Counts(num_born + illegal, illegal, num_born - len(novel), len(novel))
    record = joined([])
    if len(novel):
        trained = take(lean, novel)
        found = evaluate(trained, layout, config.training)
        record = _record(trained, layout, prints[novel], ancestors[novel], kinds[novel], found)
        fitness_of.update(zip(record.prints.tolist(), record.fitness.tolist(), strict=True))
        counts += Counts(
            stopped=int(np.sum(found.status == Status.STOPPED)),
            diverged=int(np.sum(found.status == Status.DIVERGED)),
            trainings=found.trainings,
            steps=found.steps,
        )
    index = np.flatnonzero(born)
    fitness = np.array([fitness_of[p] for p in prints[index].tolist()])
    return Individuals(take(children, index), fitness, prints[index]), record, counts


def _recalled_start(config: SearchConfig, fitness_of: dict[int, float]) -> Individuals:
    """The start program, with the fitness that it had when it was first trained."""
    print_ = _start_print(config)
    genomes = stack([encode(start_program(config), layout_of(config))])
    return Individuals(genomes, np.array([fitness_of[print_]]), np.array([print_]))


@cache
def _start_print(config: SearchConfig) -> int:
    layout = layout_of(config)
    _, prints = _lean_and_prints(stack([encode(start_program(config), layout)]), layout)
    return int(prints[0])


def _lean_and_prints(genomes: Genome, layout: Layout) -> tuple[Genome, np.ndarray]:
    alive = np.zeros(genomes.ops.shape, np.bool_)
    for i in range(len(alive)):  # not by `live`: a restart must compile nothing
        statements, _ = live_statements(decode(take(genomes, i), layout))
        alive[i, : len(statements)] = statements
    lean = without_dead_code(genomes, alive)
    return lean, fingerprint(lean, layout)


@cache
def _mutants(layout: Layout, weights: MutationWeights, method: str) -> Callable[..., tuple]:
    """Compiled: key, stacked parents -> children, kinds, live statements, validity; as numpy."""
    if method == "hyperparameters":
        weights = MutationWeights(insert=0, delete=0, modify=0, scale=1)
    one = partial(mutate, layout=layout, weights=weights)

    def mutants(key: jax.Array, parents: Genome) -> tuple:
        count = parents.ops.shape[0]
        if method == "random":
            depth_key, key = jax.random.split(key)
            depths = jax.random.randint(depth_key, (count,), 1, 17)

            def deeper(i: jax.Array, carry: tuple) -> tuple:
                genomes, kinds = carry
                keys = jax.random.split(jax.random.fold_in(key, i), count)
                new, new_kinds = jax.vmap(one)(keys, genomes)

                def chosen(a: jax.Array, b: jax.Array) -> jax.Array:
                    return jnp.where((i < depths).reshape((-1,) + (1,) * (a.ndim - 1)), a, b)

                return jax.tree.map(chosen, (new, new_kinds), (genomes, kinds))

            children, kinds = jax.lax.fori_loop(
                0, 16, deeper, (parents, jnp.zeros(count, jnp.int32))
            )
        else:
            children, kinds = jax.vmap(one)(jax.random.split(key, count), parents)
        alive = jax.vmap(partial(live, layout=layout))(children)
        valid = jax.vmap(lambda genome: facts(genome, layout).valid)(children)
        return children, kinds, alive, valid

    compiled = jax.jit(mutants)
    return lambda key, parents: jax.tree.map(np.asarray, compiled(key, parents))


def _novel(
    prints: np.ndarray, valid: np.ndarray, fitness_of: dict[int, float], limit: int
) -> tuple[np.ndarray, np.ndarray]:
    """Which mutants to train, at most `limit`, and which are born.

    Those after the last that is trained are not born: their number must not depend on how many
    are drawn at once.
    """
    seen: set[int] = set()
    novel: list[int] = []
    end = len(prints)
    for i, (fingerprint_, legal) in enumerate(zip(prints.tolist(), valid.tolist(), strict=True)):
        if not legal or fingerprint_ in fitness_of or fingerprint_ in seen:
            continue
        if len(novel) == limit:
            end = i
            break
        seen.add(fingerprint_)
        novel.append(i)
    born = np.logical_and(valid, np.arange(len(prints)) < end)
    return np.array(novel, np.int64), born


def _record(
    lean: Genome,
    layout: Layout,
    prints: np.ndarray,
    parents: np.ndarray,
    kinds: np.ndarray,
    found: Evaluation,
) -> Candidates:
    """What the store keeps of candidates that were trained."""
    return Candidates(
        np.asarray(prints, np.int64),
        np.asarray(parents, np.int64),
        np.asarray(kinds, np.int64),
        found.fitness,
        found.rate,
        np.asarray(found.status, np.int64),
        tuple(str(decode(take(lean, i), layout)) for i in range(len(prints))),
    )


def joined(records: Sequence[Candidates]) -> Candidates:
    """Records one after the other."""
    if not records:
        empty = np.zeros(0, np.int64)
        return Candidates(empty, empty, empty, np.zeros(0), np.zeros(0), empty, ())
    columns = list(zip(*records, strict=True))
    arrays = [np.concatenate(column) for column in columns[:-1]]
    return Candidates(*arrays, rules=tuple(rule for rules in columns[-1] for rule in rules))
