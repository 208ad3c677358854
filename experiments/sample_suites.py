"""Draw the suites `meta_train` and `validation`, and write their files in `tasks/drawn/`.

    python -m experiments.sample_suites [--check]

A published version never changes: to draw anew, name new versions here and in `tasks/suites.py`.
`--check` writes nothing and fails where a file is not what is drawn.
"""

import argparse
import json
import sys
from pathlib import Path

import tasks
from tasks import held_out, sampled

VERSIONS = {"meta_train_v1": (384, 1), "validation_v1": (32, 2)}
"""Suite -> number of tasks, seed."""

FOLDER = Path(sampled.__file__).parent / sampled.FOLDER


def draw() -> dict[str, str]:
    """The files' contents by suite, one task a line."""
    families = [name for name in tasks.families() if name not in held_out.FAMILIES]
    taken = frozenset(config.name for config, _ in held_out.V1)
    found = {}
    for suite, (count, seed) in VERSIONS.items():
        drawn = list(sampled.draw(families, count, seed, taken))
        taken |= {config.name for config, _ in drawn}
        rows = ",\n".join(json.dumps(sampled.row(*each)) for each in drawn)
        found[suite] = f"[\n{rows}\n]\n"
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="only compare")
    check = parser.parse_args().check
    for suite, content in draw().items():
        path = FOLDER / f"{suite}.json"
        if check:
            if path.read_text(encoding="utf-8") != content:
                sys.exit(f"{path} is not what is drawn")
        else:
            path.parent.mkdir(exist_ok=True)
            path.write_text(content, encoding="utf-8")
        print(f"{suite}: {content.count('family')} tasks")


if __name__ == "__main__":
    main()
