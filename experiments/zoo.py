"""`docs/zoo.md`: every baseline with its equations, from the table and the docstrings.

    python -m experiments.zoo [--check]

`--check` only says whether the page is what this writes.
"""

import argparse
import inspect
import sys
from pathlib import Path

from metaopt.baselines import BASELINES, Baseline
from metaopt.baselines.baseline import arguments_of, equations_of
from metaopt.baselines.memory import relative_memory
from metaopt.baselines.table import GROUPS

PAGE = Path(__file__).parents[1] / "docs" / "zoo.md"

HEAD = """\
# The zoo

{count} optimizers, wrappers and schedules of the literature, as `python -m experiments.zoo` lists
them. Each is `metaopt.baselines.<id>`: a transform takes the learning rate first and is an
`optax.GradientTransformationExtraArgs`; a wrapper takes an optimizer first; a schedule is a
function of the step.

In the equations `w` are the parameters, `g` the gradient, `lr` the learning rate, `t` the step
counted from 1; `x_hat` is the moving average `x` divided by 1 - decay^t; products, powers, roots
and quotients of arrays are elementwise, `@` is the product of matrices.

Parameters may be bfloat16; where a method keeps its averages in the dtype of the parameters, as
Optax does, those with a decay close to 1 then hardly move, so keep a float32 copy of the
parameters for long trainings. Complex parameters are right only where Optax's own functions are.

State is its size over that of the float32 parameters, on a small network; a wrapper's includes
that of Adam inside. "Checked against" names the implementations that tests follow step by step in
float64; `equations` is a separate reading of the publication in numpy.
"""


def entry(row: Baseline) -> str:
    """A baseline's part of the page."""
    memory = relative_memory(row)
    where = f"[{row.source}]({address(row)})"
    lines = [
        f"### {row.name}",
        f"`{row.id}{arguments_of(row)}`",
        f"{row.authors}, *{row.title}*, {row.year}, {where}.",
        f"```\n{equations_of(row)}\n```",
    ]
    facts = {
        "Needs": ", ".join(row.needs),
        "State": "" if memory is None else f"{memory:.2f}",
        "Checked against": ", ".join(row.checked),
    }
    lines.append(". ".join(f"{title}: {value}" for title, value in facts.items() if value) + ".")
    if row.deviations:
        lines.append(f"Deviations: {row.deviations}")
    return "\n\n".join(lines)


def address(row: Baseline) -> str:
    """Where the publication is on the web."""
    if row.arxiv:
        return f"https://arxiv.org/abs/{row.arxiv}"
    return f"https://doi.org/{row.link}" if row.link.startswith("10.") else f"https://{row.link}"


def page() -> str:
    """The whole page."""
    parts = [HEAD.format(count=len(BASELINES))]
    for group in GROUPS:
        parts.append(f"## {inspect.getdoc(group).rstrip('.')}")
        parts += [entry(row) for row in group.ROWS]
    return "\n\n".join(part.rstrip() for part in parts) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    text = page()
    if parser.parse_args().check:
        same = PAGE.exists() and PAGE.read_text() == text
        sys.exit(0 if same else "docs/zoo.md differs: run python -m experiments.zoo")
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(text)
    print(f"wrote {PAGE}: {len(BASELINES)} baselines")


if __name__ == "__main__":
    main()
