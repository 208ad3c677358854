"""Files of the user's own code, which are run: campaigns, and optimizers to compare."""

import hashlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from search.errors import UserError


def run_file(path: Path) -> ModuleType:
    """Run a Python file and give its module; what it raises comes through.

    It may import files beside it, as a script may.

    Raises:
      UserError: it is not a Python file.
    """
    # A name of its own: two files may have the same stem.
    name = f"_user_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UserError(f"{path} is not a Python file: its name must end in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    folder = str(path.resolve().parent)
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    beside = [] if folder in sys.path else [folder]
    sys.path.extend(beside)  # last, so that it hides nothing that is installed
    try:
        spec.loader.exec_module(module)
    finally:
        for entry in beside:
            sys.path.remove(entry)
        sys.dont_write_bytecode = before
    return module
