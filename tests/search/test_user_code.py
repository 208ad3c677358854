"""Files of the user's own code."""

import sys

import pytest

from search.errors import UserError
from search.user_code import run_file


def test_a_file_may_import_those_beside_it_and_nothing_of_it_stays(tmp_path):
    (tmp_path / "beside_user_code.py").write_text("VALUE = 3\n")
    (tmp_path / "mine.py").write_text("from beside_user_code import VALUE\nCONFIG = VALUE + 1\n")
    before = list(sys.path)
    try:
        assert run_file(tmp_path / "mine.py").CONFIG == 4
    finally:
        sys.modules.pop("beside_user_code", None)
    assert sys.path == before
    assert not (tmp_path / "__pycache__").exists()


def test_what_a_file_raises_comes_through_and_leaves_no_trace(tmp_path):
    (tmp_path / "mine.py").write_text("raise KeyError('mine')\n")
    before = list(sys.path), sys.dont_write_bytecode
    with pytest.raises(KeyError, match="mine"):
        run_file(tmp_path / "mine.py")
    assert (list(sys.path), sys.dont_write_bytecode) == before


def test_other_files_are_refused(tmp_path):
    (tmp_path / "mine.txt").write_text("CONFIG = 1\n")
    with pytest.raises(UserError, match=r"its name must end in \.py"):
        run_file(tmp_path / "mine.txt")
