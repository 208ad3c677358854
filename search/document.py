"""What all pages share: one HTML file that needs nothing else, no script, no network."""

import base64
import html
from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def document(title: str, style: str, *parts: str) -> str:
    """A whole page of parts that are HTML already; empty parts are left out."""
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f"<title>{text(title)}</title>",
            f"<style>{style}</style>",
            "</head>",
            "<body>",
            "<main>",
            *(part for part in parts if part),
            "</main>",
            "</body>",
            "</html>",
            "",
        ]
    )


def text(value: Any) -> str:
    """Escaped: names and rules may hold anything."""
    return html.escape(str(value))


def header(kind: str, title: str, facts: Sequence[str], tiles: Iterable[tuple[str, str]]) -> str:
    """The head of a page: what it is, facts (HTML), and the numbers (HTML) that matter most."""
    shown = "".join(f"<div><dd>{value}</dd><dt>{text(name)}</dt></div>" for value, name in tiles)
    return (
        f'<header><p class="kind">{text(kind)}</p><h1>{text(title)}</h1>'
        f'<p class="facts">{" · ".join(facts)}</p><dl class="tiles">{shown}</dl></header>'
    )


def section(title: str, *parts: str) -> str:
    """A part of the page under a title of its own."""
    name = title.lower().replace(" ", "-")
    return "\n".join([f'<section id="{name}">', f"<h2>{text(title)}</h2>", *parts, "</section>"])


def picture(figures: Mapping[str, bytes], name: str, meaning: str, caption: str) -> str:
    """A figure inside the page, light or dark as the reader's system is.

    Args:
      figures: PNG files by name; there are `name`.png and `name`-dark.png.
      name: the figure's.
      meaning: what stands in for it where it cannot be seen.
      caption: HTML.
    """

    def data(suffix: str) -> str:
        png = base64.b64encode(figures[f"{name}{suffix}.png"]).decode("ascii")
        return f"data:image/png;base64,{png}"

    return (
        f'<figure><picture><source media="(prefers-color-scheme: dark)" srcset="{data("-dark")}">'
        f'<img src="{data("")}" alt="{text(meaning)}"></picture>'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def table(head: Sequence[str], rows: Iterable[Sequence[str] | str], numbers: Sequence[int]) -> str:
    """A table of cells that are HTML already; the columns `numbers` are aligned as such.

    A row may also be a string, the whole row's HTML.
    """

    def cells(tag: str, row: Sequence[str]) -> str:
        return "".join(
            f"<{tag}{' class=n' if i in numbers else ''}>{cell}</{tag}>"
            for i, cell in enumerate(row)
        )

    body = "\n".join(
        row if isinstance(row, str) else f"<tr>{cells('td', row)}</tr>" for row in rows
    )
    return (
        f'<div class="wide"><table><thead><tr>{cells("th", head)}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )
