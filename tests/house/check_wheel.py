"""Examine the installed wheel: `make wheel-check` runs this with a clean environment's Python.

It imports nothing of the checkout, and refuses to run where the packages come from one.
"""

import json
import re
import subprocess
import sys
import sysconfig
import tempfile
import zipfile
from importlib import metadata
from pathlib import Path, PurePosixPath

PACKAGES = {"metaopt", "search", "tasks"}

# All that `import metaopt` may need, and what it must leave alone even where it is installed.
LIBRARIES = ["jax", "flax", "optax", "numpy", "sympy"]
NOT_LOADED = ["ray", "search", "tasks", "rich", "tyro", "sklearn", "matplotlib"]

# Run before `import metaopt`: hides every distribution that LIBRARIES do not bring themselves, so
# that an import sees what it would see where only they are installed.
HIDE_THE_REST = """
import re, sys
from importlib import metadata

def name(requirement):
    return re.match(r"[\\w.-]+", requirement)[0].lower().replace("_", "-").replace(".", "-")

keep, todo = {"metaopt"}, LIBRARIES
while todo:
    dist = name(todo.pop())
    if dist not in keep:
        keep.add(dist)
        try:
            requires = metadata.requires(dist) or []
        except metadata.PackageNotFoundError:
            continue  # asked for on another platform only
        todo += [r for r in requires if "extra ==" not in r]

hidden = {
    module
    for module, dists in metadata.packages_distributions().items()
    if keep.isdisjoint(map(name, dists))
} | {"search", "tasks"}

class Hide:
    def find_spec(self, module, path=None, target=None):
        if module.partition(".")[0] in hidden:
            raise ModuleNotFoundError(f"{module} is hidden by this check", name=module)

sys.meta_path.insert(0, Hide())
assert {"ray", "tyro", "sklearn", "matplotlib"} <= hidden, sorted(hidden)
"""


def run(*command: str) -> str:
    """Run a command far from any checkout and return what it prints."""
    with tempfile.TemporaryDirectory() as elsewhere:
        done = subprocess.run(command, cwd=elsewhere, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"failed: {' '.join(command)}\n{done.stdout}{done.stderr}")
    return done.stdout


def python(code: str) -> str:
    """Run Python code in a new interpreter, away from this script's folder and variables."""
    return run(sys.executable, "-I", "-c", code)


def check_contents(wheel: Path) -> str:
    """The wheel's top-level names, its data files and its metadata."""
    with zipfile.ZipFile(wheel) as archive:
        names = [PurePosixPath(n) for n in archive.namelist() if not n.endswith("/")]
        (info,) = {n.parts[0] for n in names if n.parts[0].endswith(".dist-info")}
        meta = archive.read(f"{info}/METADATA").decode()
        record = archive.read(f"{info}/RECORD").decode().splitlines()
        cards = {
            n: json.loads(archive.read(str(n)))
            for n in names
            if n.match("metaopt/checkpoints/rules/*.json")
        }
    top = {line.split("/")[0] for line in record if line} - {info}
    assert top == PACKAGES, f"top-level names {sorted(top)}, expected {sorted(PACKAGES)}"
    assert "Classifier: Private :: Do Not Upload" in meta, "the upload guard is gone"

    library = [n for n in names if n.match("metaopt/rules/library/*.rule")]
    assert library, "no known rule in metaopt/rules/library/"
    released = [n for n in names if n.match("metaopt/checkpoints/rules/*.rule")]
    assert released, "no released rule in metaopt/checkpoints/rules/"
    alone = {n.with_suffix("") for n in released} ^ {n.with_suffix("") for n in cards}
    assert not alone, f"rule without card, or card without rule: {sorted(map(str, alone))}"
    return f"{len(names)} files, {len(library)} known rules, {len(released)} released rules"


def check_import() -> str:
    """`import metaopt`, with everything installed and with only its five libraries."""
    print_loaded = f"import sys; print(*(m for m in {NOT_LOADED} if m in sys.modules))"
    loaded = set(python(f"import metaopt; {print_loaded}").split())
    # flax itself loads rich; that is not ours to answer for.
    loaded -= set(python(f"import {', '.join(LIBRARIES)}; {print_loaded}").split())
    assert not loaded, f"`import metaopt` also imports {sorted(loaded)}"

    where = python("import metaopt; print(metaopt.__file__)").strip()
    site = sysconfig.get_path("purelib")
    assert Path(where).is_relative_to(site), f"metaopt comes from {where}, not from {site}"

    python(f"LIBRARIES = {LIBRARIES}{HIDE_THE_REST}\nimport metaopt")
    return f"`import metaopt` needs {', '.join(LIBRARIES)} only"


def check_tasks() -> str:
    """The suites' files came along."""
    code = "import tasks; print(len(tasks.suite('validation')), len(tasks.curves('held_out')))"
    drawn, published = map(int, python(code).split())
    assert drawn >= 32, f"{drawn} validation tasks"
    assert published >= 40, f"{published} published curves"
    return f"{drawn} validation tasks, published curves of {published}"


def check_command() -> str:
    """The console script is there and answers."""
    script = Path(sysconfig.get_path("scripts")) / "metaopt"
    text = run(str(script), "--help")
    assert re.search(r"\bsearch\b", text), f"`metaopt --help` does not name `search`:\n{text}"
    points = metadata.entry_points(group="console_scripts")
    ours = {p.name: p.value for p in points if p.dist is not None and p.dist.name == "metaopt"}
    assert ours == {"metaopt": "search.cli:main"}, ours
    return "`metaopt --help` answers"


def main() -> None:
    """Run every check; the first that fails ends the run."""
    (wheel,) = map(Path, sys.argv[1:])
    for line in check_contents(wheel), check_import(), check_tasks(), check_command():
        print(f"wheel-check: {line}")


if __name__ == "__main__":
    main()
