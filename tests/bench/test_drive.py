"""In which order a benchmark's tasks begin."""

import tasks
from search.bench.drive import longest_first


def test_tasks_that_take_long_begin_first_and_none_is_lost():
    suite = tasks.resolve_suite("held_out")
    names = list(tasks.steps(suite))
    order = longest_first(suite, names)
    assert sorted(order) == sorted(names)
    families = [tasks.family(tasks.SUITES[suite][name].config) for name in order]
    assert families[0] == "transformer"
    assert families.index("rnn") < families.index("quadratic")
    short = [name for name in names if name.startswith(("quadratic", "rosenbrock", "beale"))]
    assert [name for name in order if name in short] == short
