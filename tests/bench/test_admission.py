"""What cannot be trained with is refused before a benchmark begins."""

import sys

import pytest

from search.bench.admission import admit
from search.errors import UserError

GOOD = """
import jax, optax

def opt(learning_rate, decay=0.9):
    return optax.chain(optax.trace(decay), optax.scale_by_learning_rate(learning_rate))
"""
AS_A_NUMBER = """
import optax

def opt(learning_rate):
    return optax.scale(-learning_rate)
"""
AS_A_SCHEDULE = """
import optax

def opt(learning_rate):
    return optax.scale_by_schedule(lambda count: -learning_rate(count))
"""
BROKEN = """
import optax

def opt(learning_rate):
    def update(updates, state, params=None):
        raise KeyError("momentum")
    return optax.GradientTransformation(lambda params: (), update)
"""
GROWING = """
import optax

def opt(learning_rate):
    def update(updates, state, params=None):
        return updates, (*state, 1.0)
    return optax.GradientTransformation(lambda params: (), update)
"""


@pytest.fixture
def written(tmp_path):
    """(content) -> the path of a file of it."""

    def write(content):
        path = tmp_path / "opt.py"
        path.write_text(content)
        return str(path)

    return write


@pytest.mark.parametrize("tuning", ["grid", "random"])
@pytest.mark.parametrize("name", ["adamw", "lion", "muon", "wsd", "celo_v4"])
def test_what_works_is_admitted(name, tuning):
    admit(name, tuning)


def test_a_file_that_works_is_admitted(written):
    admit(written(GOOD), "grid")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (AS_A_NUMBER, r"opt\.py cannot be trained with: TypeError.*may also be a schedule"),
        (AS_A_SCHEDULE, r"opt\.py cannot be trained with: TypeError"),
        (BROKEN, r"opt\.py cannot be trained with: KeyError: 'momentum'$"),
        (GROWING, r"opt\.py cannot be trained with: TypeError"),
    ],
)
def test_what_cannot_be_trained_with_is_named(written, content, message):
    with pytest.raises(UserError, match=message) as error:
        admit(written(content), "grid")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("place", ["", "    "])
def test_a_file_that_imports_one_beside_it_is_refused(written, tmp_path, monkeypatch, place):
    name = f"neighbour_{len(place)}"
    (tmp_path / f"{name}.py").write_text("x = 1")
    path = written(f"{GOOD}{place}import {name}\n" if place else f"import {name}\n{GOOD}")
    # Also where it was started in that folder, as the next time it may not be.
    for start in ("elsewhere", str(tmp_path)):
        monkeypatch.setattr(sys, "path", [start, *sys.path])
        with pytest.raises(UserError, match=rf"opt\.py imports {name} from its folder"):
            admit(path, "grid")
        monkeypatch.undo()


def test_what_is_installed_may_have_a_namesake_beside(written, tmp_path):
    (tmp_path / "optax.py").write_text("")
    (tmp_path / "jax").mkdir()
    admit(written(GOOD), "grid")
