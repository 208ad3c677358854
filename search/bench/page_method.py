"""The parts of a benchmark's page that say how it was made."""

import numpy as np

from search.bench.measures import NEAR
from search.bench.results import Summary
from search.bench.statistics import SAMPLES
from search.bench.summary import SOLVED
from search.bench.tables import plural
from search.document import section, table, text


def method(summary: Summary) -> str:
    """How it was measured, and what to hold against it."""
    results = summary.results
    reference = text(summary.reference)
    points = {len(trials.steps) for trials in results.trials.values()}
    often = f"{min(points)} to {max(points)} times" if len(points) > 1 else "a few times"
    if len(points) == 1:
        often = plural(points.pop(), "time")
    items = (
        (
            "Budget",
            "On every task and in every setting each optimizer gets the same number of trials, "
            "each a choice of its hyperparameters, and of seeds. A learned optimizer has nothing "
            "to choose, not even a learning rate: it gets a single trial. A seed is the same "
            "initial parameters and the same batches for everyone, so comparisons are paired. "
            "Steps are compared, not seconds.",
        ),
        (
            "Selection and report",
            "The best trial is the one whose mean loss over seeds at the end of training is lowest "
            "on the <i>validation</i> split. Its loss on the <i>test</i> split is what is "
            "reported; test data choose nothing. The seeds that choose are also those that are "
            "reported: part of a chosen trial’s luck stays in its numbers, for every optimizer "
            "alike.",
        ),
        (
            "Score",
            "Test loss over the loss of the trivial predictor, which learns nothing. A training "
            "that diverged (NaN or infinite in any loss) or ended above it counts with 1, and is "
            "never left out. The rank on a task is by mean score over seeds; ties share it.",
        ),
        (
            "Confidence intervals",
            f"95 %, from {SAMPLES:,} bootstrap samples of tasks, and of seeds within tasks where "
            "the quantity is by seed. They say what other tasks like these might have given; "
            "tasks of one family resemble each other more than that assumes. A single task has "
            "none.",
        ),
        (
            "Tests",
            "Wilcoxon’s signed-rank test, two-sided, over the tasks’ differences in score; Holm’s "
            "correction for all pairs of a setting. What is not decided is not equal: there may "
            "be too few tasks to tell.",
        ),
        (
            "Speed-up",
            f"Steps of the training over the steps to {reference}’s lowest validation loss. "
            "Where an optimizer never gets there, that number does not exist; instead the "
            f"steps that {reference} needs to get as low as it did are divided by the steps of the "
            f"training, which is below 1. Losses were measured {often} a training; between, they "
            "are taken as linear, and before the first as unknown: no speed-up exceeds the "
            "number of measurements. The mean over tasks is geometric.",
        ),
        (
            "VeLO’s speed-up",
            f"Steps that the best of all {reference} trials of all lengths with the same schedule "
            "need to reach the optimizer’s final training loss, over its own steps. With ≥, none "
            "got there, and it is a lower bound. It favours no one for validation luck, but rests "
            f"on how well {reference} was tuned.",
        ),
        (
            "Solved, in the profiles",
            f"Within {100 * SOLVED:.0f} % of the way from the lowest validation loss of any "
            "optimizer’s best trial back to the initial (or the trivial, if that is lower). It "
            "depends on who takes part.",
        ),
        (
            "Tolerance",
            f"Decades of learning rate over which the mean score is within {NEAR:g} of the "
            "optimizer’s own best. It is never more than the decades tried, and unknown where no "
            "trial gets below the trivial loss.",
        ),
    )
    shown = "".join(f"<dt>{title}</dt><dd>{words}</dd>" for title, words in items)
    return section("How it was measured", f"<dl class=method>{shown}</dl>")


def configuration(summary: Summary) -> str:
    """What was tried, and on what."""
    results = summary.results
    spaces: dict[str, dict[str, tuple[float, float]]] = {name: {} for name in results.optimizers}
    for (_, _, name), trials in results.trials.items():
        space = spaces[name]
        for key, values in trials.hyperparameters.items():
            if np.isnan(values).all():
                continue
            low, high = space.get(key, (float("inf"), float("-inf")))
            space[key] = min(low, float(values.min())), max(high, float(values.max()))
    rows = [
        (text(name), f"<code>{text(key)}</code>", f"{low:.3g}", f"{high:.3g}")
        for name, space in spaces.items()
        for key, (low, high) in space.items()
    ]
    rows += [(text(name), "none", "", "") for name, space in spaces.items() if not space]
    facts = [(text(key), text(value)) for key, value in results.provenance.items()]
    return section(
        "Configuration",
        table(("optimizer", "hyperparameter", "lowest tried", "highest tried"), rows, (2, 3)),
        table(("key", "value"), facts, ()) if facts else "",
    )
