"""The population of an island: who lives there, who becomes a parent, who leaves."""

from typing import NamedTuple

import numpy as np

from metaopt.rules.genome import Genome, take


class Individuals(NamedTuple):
    """Individuals on their way to an island: genomes, fitness and fingerprints of each."""

    genomes: Genome
    fitness: np.ndarray
    prints: np.ndarray


class Island(NamedTuple):
    """A population of N, as a ring in which the oldest individual is replaced next.

    Attributes:
      genomes: a stack of N.
      fitness: float64 `(N,)`.
      prints: int64 `(N,)`, fingerprints.
      oldest: int64, index of the oldest individual.
      best: float64, best fitness since the last restart.
      stale: int64, rounds since that last rose.
      restarts: int64, how often the island started anew.
    """

    genomes: Genome
    fitness: np.ndarray
    prints: np.ndarray
    oldest: np.int64
    best: np.float64
    stale: np.int64
    restarts: np.int64


def new_island(first: Individuals, size: int, restarts: int = 0) -> Island:
    """An island of `size` individuals, all the same."""
    where = np.zeros(size, np.int64)
    return Island(
        take(first.genomes, where),
        first.fitness[where],
        first.prints[where],
        np.int64(0),
        first.fitness.max(),
        np.int64(0),
        np.int64(restarts),
    )


def emigrants(island: Island, count: int) -> Individuals:
    """The `count` fittest different individuals, fittest first; fewer if there are fewer."""
    order = np.lexsort((island.prints, -island.fitness))
    _, first = np.unique(island.prints[order], return_index=True)
    chosen = order[np.sort(first)][:count]
    return Individuals(take(island.genomes, chosen), island.fitness[chosen], island.prints[chosen])


def tournament(rng: np.random.Generator, fitness: np.ndarray, size: int, count: int) -> np.ndarray:
    """Indices of `count` winners of tournaments among `size` individuals each."""
    entrants = rng.integers(len(fitness), size=(count, size))
    winners = np.argmax(fitness[entrants], axis=1)
    return entrants[np.arange(count), winners]


def enter(island: Island, new: Individuals) -> Island:
    """Individuals join, and as many of the oldest leave."""
    size, count = len(island.fitness), len(new.fitness)
    if not count:
        return island
    where = (int(island.oldest) + np.arange(count)) % size

    def replaced(old: np.ndarray, value: np.ndarray) -> np.ndarray:
        copy = np.array(old)
        copy[where] = value
        return copy

    return island._replace(
        genomes=Genome(*map(replaced, island.genomes, new.genomes)),
        fitness=replaced(island.fitness, new.fitness),
        prints=replaced(island.prints, new.prints),
        oldest=np.int64((int(island.oldest) + count) % size),
    )
