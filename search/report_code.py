"""Rules and source on the page of a report."""

import difflib
import io
import keyword
import tokenize
from html import escape


def highlighted(code: str) -> str:
    """Python as HTML, its keywords, strings, numbers and comments marked."""
    lines = code.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    shown, at = [], 0
    try:
        for token in tokenize.generate_tokens(io.StringIO(code).readline):
            mark = _mark(token)
            if not mark:
                continue
            start = starts[token.start[0] - 1] + token.start[1]
            end = starts[token.end[0] - 1] + token.end[1]
            shown.append(escape(code[at:start]))
            shown.append(f"<span class={mark}>{escape(code[start:end])}</span>")
            at = end
    except (tokenize.TokenError, SyntaxError):
        pass  # the rest stays plain
    return "".join(shown) + escape(code[at:])


def _mark(token: tokenize.TokenInfo) -> str:
    if token.type == tokenize.NAME and keyword.iskeyword(token.string):
        return "k"
    kinds = {tokenize.STRING: "s", tokenize.NUMBER: "d", tokenize.COMMENT: "c"}
    return kinds.get(token.type, "")


def difference(before: str, after: str) -> str:
    """The lines that went and came from one rule to another, with one line of context."""
    old, new = before.rstrip().splitlines(), after.rstrip().splitlines()
    lines = list(difflib.unified_diff(old, new, lineterm="", n=1))[2:]
    kinds = {"+": ("ins", "+"), "-": ("del", "−"), " ": ("span", " ")}
    shown = []
    for line in lines:
        if line.startswith("@@"):
            if shown:
                shown.append("<span class=faint>  ⋯</span>")
            continue
        tag, sign = kinds[line[0]]
        shown.append(f"<{tag}>{sign} {escape(line[1:])}</{tag}>")
    # Each line is a block of its own, so no line breaks go between them.
    return f"<pre class=diff><code>{''.join(shown)}</code></pre>" if shown else ""
