"""What is wrong with a program, how far its values reach, and which statements matter."""

from dataclasses import dataclass, replace

from metaopt.rules.ops import OPS, Extent
from metaopt.rules.program import Assign, Program


@dataclass(frozen=True)
class Problem:
    """A reason why a program cannot run: the index of the statement (the return: -1) and why."""

    statement: int
    message: str


def check(program: Program) -> Problem | None:
    """The first problem of a program: a name used before it is defined, or a wrong type."""
    extents = input_extents(program)
    for i, statement in enumerate(program.body):
        op = OPS[statement.op]
        for position, argument in enumerate(statement.args):
            if isinstance(argument, str) and argument not in extents:
                return Problem(i, f"{argument!r} is used before it is defined")
            if position in op.scalar_args and _extent(argument, extents) != Extent.SCALAR:
                message = (
                    f"argument {position + 1} of {op.name} must be a scalar, and {argument!r} is "
                    f"{_DESCRIPTION[_extent(argument, extents)]}"
                )
                return Problem(i, message)
        extents[statement.target] = result_extent(statement, extents)
    for name in program.outputs:
        if name not in extents:
            return Problem(-1, f"{name!r} is returned but never defined")
    return None


_DESCRIPTION = {
    Extent.SCALAR: "a scalar",
    Extent.PER_TENSOR: "one number for each tensor",
    Extent.TENSOR: "a tensor",
}


def input_extents(program: Program) -> dict[str, Extent]:
    """The extents of a program's inputs: `w`, `g` and the states are tensors, the rest scalars."""
    tensors = {*program.inputs[:2], *program.states}
    return {n: Extent.TENSOR if n in tensors else Extent.SCALAR for n in program.inputs}


def result_extent(statement: Assign, extents: dict[str, Extent]) -> Extent:
    """The extent of what a statement assigns, given those of the variables before it."""
    return OPS[statement.op].result(tuple(_extent(a, extents) for a in statement.args))


def _extent(argument: str | float, extents: dict[str, Extent]) -> Extent:
    return extents[argument] if isinstance(argument, str) else Extent.SCALAR


def live_statements(program: Program) -> tuple[list[bool], set[str]]:
    """Which statements, and which states, can reach an update of this step or of a later one.

    A state whose new value is computed but never reaches an update is dead, and so is all that
    only it needs: this is liveness across iterations, the least set closed under "a live output
    makes its inputs live".
    """
    live_states: set[str] = set()
    while True:
        wanted = {program.outputs[0]}
        for state, output in zip(program.states, program.outputs[1:], strict=True):
            if state in live_states:
                wanted.add(output)
        live = []
        for statement in reversed(program.body):
            live.append(statement.target in wanted)
            if live[-1]:
                wanted.discard(statement.target)
                wanted.update(statement.variables)
        reached = live_states | wanted.intersection(program.states)
        if reached == live_states:
            return live[::-1], live_states
        live_states = reached


def without_dead_code(program: Program) -> Program:
    """The program without statements and states that reach no update."""
    live, live_states = live_statements(program)
    kept = [
        (state, output)
        for state, output in zip(program.states, program.outputs[1:], strict=True)
        if state in live_states
    ]
    body = tuple(s for s, alive in zip(program.body, live, strict=True) if alive)
    used = {v for s in body for v in s.variables} | set(program.outputs)
    return replace(
        program,
        states=tuple(state for state, _ in kept),
        body=body,
        outputs=(program.outputs[0], *(output for _, output in kept)),
        hyperparameters=tuple(h for h in program.hyperparameters if h[0] in used),
    )
