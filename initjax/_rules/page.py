"""A plan as a page of HTML."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .._core.page import (
    Column,
    Page,
    code_cell,
    number_cell,
    order_cell,
    path_cell,
    shape_cell,
    word_cell,
)
from .._core.tables import human_bytes
from .table import PlanRow, explained, law_text, number_text, short


def plan_page(rows: Sequence[PlanRow], totals: dict[str, str]) -> Page:
    """Return the page of a plan's rows, in the order of the tree."""
    return Page(
        "initjax plan",
        None,
        totals,
        "What will be made, and what it promises. A leaf opens to say why.",
        [Column("#", "order"), *(column for column, _ in _TABLE)],
        "#",
        [
            [order_cell(i), *(cell(row) for _, cell in _TABLE)]
            for i, row in enumerate(rows, 1)
        ],
    )


def _fans(fans: Sequence[float]) -> str:
    """Return the cell of one side's fans, of each part."""
    return number_cell("+".join(map(short, fans)) or "-", sum(fans) if fans else None)


def _moment(x: complex | None) -> str:
    return number_cell(number_text(x), None if x is None else abs(x))


_TABLE: list[tuple[Column, Callable[[PlanRow], str]]] = [
    (Column("path", "path"), lambda row: path_cell(row.path, explained(row))),
    (Column("law", "code"), lambda row: code_cell(law_text(row.law))),
    (Column("shape", "number"), lambda row: shape_cell(row.shape)),
    (Column("dtype", "word"), lambda row: word_cell(row.dtype)),
    (Column("fan_in", "number"), lambda row: _fans([f.fan_in for f in row.fans])),
    (Column("fan_out", "number"), lambda row: _fans([f.fan_out for f in row.fans])),
    (Column("mean", "number"), lambda row: _moment(row.mean)),
    (Column("std", "number"), lambda row: _moment(row.std)),
    (
        Column("bytes", "number"),
        lambda row: number_cell(human_bytes(row.bytes), row.bytes),
    ),
    (Column("shards", "number"), lambda row: number_cell(str(row.shards), row.shards)),
    (Column("rule", "code"), lambda row: code_cell(row.rule)),
    (Column("way", "word"), lambda row: word_cell(row.way)),
]
