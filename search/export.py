"""`metaopt export`: a rule, or a campaign's winner, as Optax source."""

import keyword
import re
import sys
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from metaopt.loading import is_name, no_campaign
from metaopt.rules import parse, simplify, to_source
from metaopt.rules.program import Program
from metaopt.rules.source import exported_name
from search.catalogue import rule
from search.config import SearchConfig
from search.errors import UserError, assert_file_name, write_whole
from search.store import FILENAME, CampaignError, Store


class Winner(NamedTuple):
    """The rule that a campaign has come to.

    Attributes:
      rule: its text.
      print: its fingerprint.
      fitness: in the search, like that of the start.
      rate: the learning rate that it was found with.
      final: whether the campaign is over and has named it.
    """

    rule: str
    print: int
    fitness: float
    rate: float
    final: bool

    @classmethod
    def of(cls, store: Store) -> "Winner | None":
        """A campaign's winner, or its best rule so far; None if nothing was trained yet."""
        noted = store.note("winner")
        if noted is None:
            best = store.best(1)
            fields = (best[0].rule, best[0].print, best[0].fitness, best[0].rate) if best else ()
            return cls(*fields, final=False) if fields else None
        line = store.ancestry(noted["print"])
        fitness = line[-1].fitness if line else noted["fitness"]
        # Older campaigns noted no rate: their verdict and their folder take it for 1.
        return cls(noted["rule"], noted["print"], fitness, noted.get("rate", 1.0), True)


def export(source: str, output: Path | None, *, name: str | None, distilled: bool) -> int:
    """Write the source of a rule; the exit code.

    Raises:
      UserError: there is no such rule, a name is no identifier, or the file cannot be written.
      CampaignError: the campaign cannot be read.
    """
    if name is not None and not _usable(name):
        raise UserError(f"{name!r} cannot be the name of a Python function; choose another --name")
    if output is not None:
        _assert_output(output)
    rate: float | None = None
    provenance = ""
    if Path(source).is_dir() and not is_name(source):
        if no_campaign(source):
            raise UserError(no_campaign(source))
        with closing(Store.open(source)) as store:
            winner, config = Winner.of(store), store.config()
            if winner is None:
                raise CampaignError(
                    f"the campaign in {source} has trained nothing yet; "
                    f"go on with `metaopt search resume {source}`"
                )
            provenance = describe(store, config, winner)
        program, rate = parse(winner.rule), winner.rate
        before = len(program.body)
        program = _distilled(program, config) if distilled else simplify(program)
        _say(f"{before} statements became {len(program.body)}")
        name = name or _name_from(output, Path(source).resolve())
    else:
        if source == FILENAME or source.endswith("/" + FILENAME):
            raise UserError(f"{source} is a campaign's file; give its folder")
        program, rate = rule(source)
        program = simplify(program)
        name = name or program.name
    asked, name = name, exported_name(name)
    if name != asked:
        _say(f"the module needs the name {asked} itself, so the optimizer is called {name}")
    text = to_source(program, name=name, provenance=provenance, learning_rate=rate)
    if output is None:
        print(text, end="")
        return 0
    write_whole(output, text)
    advice = f"use it with `from {output.stem} import {name}`"
    _say(f"wrote {output}; {advice if _usable(output.stem) else f'it defines {name}'}")
    return 0


def _assert_output(output: Path) -> None:
    """Refuse, before anything long is done, a file that could not be written or not be imported."""
    assert_file_name(output)
    if output.stem in _IMPORTED:
        raise UserError(
            f"{output} would hide the package {output.stem} that it imports; choose another name"
        )


_IMPORTED = frozenset({"jax", "optax", "typing"})
"""What exported modules import."""


def describe(store: Store, config: SearchConfig, winner: Winner) -> str:
    """Where a rule comes from, for its docstring."""
    rounds = store.rounds()
    trained = sum(record.counts.evaluated for record in rounds)
    title = "The winner" if winner.final else "The best rule so far"
    return (
        f"{title} of a metaopt campaign ({config.evolution.method}, seed {config.seed}, "
        f"{rounds[-1].number} rounds, {trained:,} candidates trained) that started from "
        f"{_start(config)}; fitness {winner.fitness:.4f} on {', '.join(config.training.tasks)}, "
        f"where the start has {rounds[0].best:.4f}. Fingerprint {winner.print & (2**64 - 1):016x}."
    )


def _distilled(program: Program, config: SearchConfig) -> Program:
    from search.distill import distill

    _say("distilling: what can be left out or rounded without costing fitness")
    found = distill(program, config.training, lambda line: _say(f"  {line}"))
    if not found.changes:
        _say("  nothing can be left out")
    return found.program


def _start(config: SearchConfig) -> str:
    return "a rule of its own" if "\n" in config.start else config.start


def _usable(name: str) -> bool:
    return name.isidentifier() and not keyword.iskeyword(name)


def _name_from(output: Path | None, folder: Path) -> str:
    for text in (output.stem if output else "", folder.name):
        name = re.sub(r"\W+", "_", text).strip("_").lower()
        if _usable(name):
            return name
    return "discovered"


def _say(line: str) -> None:
    print(line, file=sys.stderr)
