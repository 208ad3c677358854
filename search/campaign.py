"""A campaign: rounds of islands with migration between them, committed one by one."""

import time
from collections.abc import Callable
from typing import NamedTuple

from search.cluster import Executor
from search.config import SearchConfig
from search.evolve import Counts, Round, first_candidate, individual, island_round, joined
from search.population import Island, emigrants, new_island
from search.store import RoundRecord, Store


class Progress(NamedTuple):
    """What an observer of a campaign is told after each committed round."""

    config: SearchConfig
    record: RoundRecord
    total: Counts


def advance(
    store: Store,
    executor: Executor,
    observe: Callable[[Progress], None] = lambda _: None,
    stop: Callable[[], bool] = lambda: False,
) -> bool:
    """Run a campaign from wherever it is to its last round.

    Args:
      store: the campaign, held by this process (`Store.locked`).
      executor: where rounds run; it makes no difference to what they come to.
      observe: called after each committed round, and once at the start.
      stop: asked before each round whether to stop there.

    Returns:
      Whether the campaign is complete.
    """
    config = store.config()
    records = store.rounds()
    if not records:
        began = time.perf_counter()
        first, candidates, counts = first_candidate(config)
        islands = [new_island(first, config.evolution.population) for _ in range(config.islands)]
        found = [candidates, *([joined([])] * (config.islands - 1))]
        records = [store.commit(0, islands, found, counts, time.perf_counter() - began)]
    total = sum((record.counts for record in records), Counts())
    observe(Progress(config, records[-1], total))

    islands = store.islands()
    for number in range(records[-1].number + 1, config.rounds + 1):
        if stop():
            return False
        began = time.perf_counter()
        results = executor.run(island_round, _round_tasks(store, config, islands, number))
        islands = [result.state for result in results]
        counts = sum((result.counts for result in results), Counts())
        found = [result.candidates for result in results]
        record = store.commit(number, islands, found, counts, time.perf_counter() - began)
        total += counts
        observe(Progress(config, record, total))
    return True


def _round_tasks(
    store: Store, config: SearchConfig, islands: list[Island], number: int
) -> list[Round]:
    """The round's calls: each island receives from the one before it, round a ring."""
    prints, fitness = store.known()
    champion = store.best(1)[0]
    best = individual(champion.rule, champion.fitness, champion.print, config)
    leaving = [emigrants(island, config.evolution.migrants) for island in islands]
    alone = config.islands == 1 or not config.evolution.migrants or number == 1
    return [
        Round(
            config=config,
            island=i,
            number=number,
            state=island,
            arrivals=emigrants(island, 0) if alone else leaving[i - 1],
            champion=best,
            known_prints=prints,
            known_fitness=fitness,
        )
        for i, island in enumerate(islands)
    ]
