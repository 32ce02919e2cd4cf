"""Pages of HTML that need nothing else: a summary, and a table to sort and search."""

from __future__ import annotations

import base64
import functools
import hashlib
import importlib.resources
import itertools
import math
import os
import re
from collections.abc import Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any, NamedTuple

from .._errors import Refused, shown


class Column(NamedTuple):
    """The head of a column.

    Attributes:
        head: Its name.
        kind: What its cells are: "order", "path", "code", "word", "number", "found" or
            "picture". Numbers and findings sort from the largest, the others from the
            first; paths, code, words and findings are searched.
        below: What the second line of its cells is.
    """

    head: str
    kind: str
    below: str = ""


class Page(NamedTuple):
    """What a page shows.

    Attributes:
        title: Its title and heading.
        verdict: The first line, and whether it is good news; None without one.
        totals: Numbers of the whole by name.
        legend: How to read the table.
        columns: Of the table.
        by: The head of the column that the rows are sorted by.
        rows: Cells for each column, made by the functions below.
    """

    title: str
    verdict: tuple[str, bool] | None
    totals: dict[str, str]
    legend: str
    columns: Sequence[Column]
    by: str
    rows: Sequence[Sequence[str]]

    def html(self) -> str:
        """Return it as HTML that runs its own script and style and fetches nothing."""
        labels = "\n".join(map(_label, itertools.count(1), self.columns))
        template = Template(_template()).safe_substitute(labels=labels)
        return Template(template).substitute(
            policy=_policy(template),
            title=escape(self.title),
            summary=self._summary(),
            sought=escape(", ".join(c.head for c in self.columns if c.kind in _SOUGHT)),
            switch=_SWITCH * (self.verdict is not None and not self.verdict[1]),
            heads="\n".join(map(self._head, self.columns)),
            rows="\n".join(f"<tr>{''.join(row)}</tr>" for row in self.rows),
        )

    def _summary(self) -> str:
        lines: list[str] = []
        if self.verdict is not None:
            text, is_good = self.verdict
            mood = "good" if is_good else "bad"
            lines.append(f'<p class="verdict {mood}">{escape(text)}</p>')
        totals = (
            f"<div><dt>{escape(name)}</dt><dd>{escape(total)}</dd></div>"
            for name, total in self.totals.items()
        )
        legend = f'<p class="quiet">{escape(self.legend)}</p>'
        return "\n".join([*lines, "<dl>", *totals, "</dl>", legend])

    def _head(self, column: Column) -> str:
        name, below = escape(column.head), _below(column.below)
        if column.kind != "picture":
            name = f'<button type="button">{name}</button>'
        way = "descending" if column.kind in ("number", "found") else "ascending"
        sort = f' aria-sort="{way}"' * (column.head == self.by)
        return f'<th scope="col" class="{column.kind}"{sort}>{name}{below}</th>'


_SOUGHT = ("path", "code", "word", "found")
_SWITCH = '<label><input type="checkbox">only findings</label>'


def order_cell(i: int) -> str:
    """Return the cell of a row's place in the tree."""
    return f'<td class="order" data-key="{i}">{i:,}</td>'


def path_cell(path: str, details: str) -> str:
    """Return the cell of a path, which opens to show details."""
    inside = f"<summary>{_wrapped(path)}</summary><pre>{escape(details)}</pre>"
    return f'<td class="path"><details>{inside}</details></td>'


def word_cell(text: str) -> str:
    """Return the cell of a word, which stays on one line."""
    return f'<td class="word">{escape(text)}</td>'


def code_cell(text: str) -> str:
    """Return the cell of a law or a pattern, as it is written."""
    return (
        f'<td class="code"><span>{_wrapped(text)}</span></td>' if text else "<td></td>"
    )


def number_cell(text: str, key: float | None, below: str = "") -> str:
    """Return the cell of a number, sorted by a key; without one it is always last."""
    if not text:
        return "<td></td>"
    return f'<td class="number"{_key(key)}>{escape(text)}{_below(below)}</td>'


def shape_cell(shape: Sequence[int]) -> str:
    """Return the cell of a shape, sorted by its size."""
    return number_cell("x".join(map(str, shape)) or "-", math.prod(shape))


def found_cell(findings: Sequence[tuple[str, str]], key: float) -> str:
    """Return the cell of findings, each a word and a line; those of 0 are last."""
    lines = (f"<p><b>{escape(kind)}</b>{_wrapped(text)}</p>" for kind, text in findings)
    return f'<td class="found"{_key(key)}>{"".join(lines)}</td>'


def bars_cell(counts: Sequence[int], says: str) -> str:
    """Return the cell of a histogram, a bar for each count; empty if all are 0."""
    if not any(counts):
        return "<td></td>"
    steps = "".join(f"V{_TALL - _height(n / max(counts)):g}h1" for n in counts)
    return (
        f'<td class="picture"><svg viewBox="0 0 {len(counts)} {_TALL}" '
        f'preserveAspectRatio="none" role="img" aria-label="{escape(says)}">'
        f'<path d="M0 {_TALL}{steps}V{_TALL}z"/></svg></td>'
    )


_TALL = 28  # of a histogram


def _below(text: str) -> str:
    return f"<small>{escape(text)}</small>" if text else ""


def _wrapped(text: str) -> str:
    """Return text as HTML that breaks where paths and laws have their parts."""
    return re.sub("[/(]", r"\g<0><wbr>", escape(text))


def _height(share: float) -> float:
    """Return the height of a bar; one that counts anything is seen."""
    return max(1.0, round(_TALL * share, 1)) if share else 0.0


def _key(key: float | None) -> str:
    """Return what a cell is sorted by, as JavaScript reads numbers."""
    if key is None or math.isnan(key):
        return ""
    text = f"{float(key):.12g}".replace("inf", "Infinity")
    return f' data-key="{text}"'


def _label(i: int, column: Column) -> str:
    """Return the style that names a cell where a row is a card."""
    head = f"{column.head}, {column.below}" if column.below else column.head
    return f'td:nth-child({i}) {{ --head: "{head}"; }}'


def _policy(page: str) -> str:
    """Return what the page may do: run its own script and style, by their digests."""
    allowed = ["default-src 'none'", "img-src data:", "base-uri 'none'"]
    for tag in ("style", "script"):
        (text,) = re.findall(f"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        allowed.append(f"{tag}-src 'sha256-{digest}'")
    return "; ".join([*allowed, "form-action 'none'"])


@functools.cache
def _template() -> str:
    file = importlib.resources.files(__package__ or "").joinpath("page.html")
    return file.read_text(encoding="utf-8")


def write(page: str, path: Any) -> str:
    """Return a page, and write it where a path is given.

    Raises:
        Refused: No path, or one that cannot be written.
    """
    if path is None:
        return page
    if not isinstance(path, (str, os.PathLike)):
        raise Refused(
            f"path must be a str or a Path, got {shown(path)}; leave it out to get "
            "the page as text.",
            TypeError,
        )
    file = Path(os.fsdecode(path))
    try:
        # a surrogate, which no encoding of text has, as what browsers show for it
        file.write_bytes(page.encode("utf-8", "xmlcharrefreplace"))
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise Refused(
            f"cannot write {shown(str(file))}: {why}; give a file in a folder that is "
            "there and yours to write.",
            type(error) if isinstance(error, OSError) else ValueError,
        ) from None
    return page
