"""What a plan prints: a row for leaves alike, totals of rules, one leaf explained."""

from __future__ import annotations

import dataclasses
import itertools
import math
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from .._core.initializer import Initializer
from .._core.tables import Table, human_bytes
from .._core.values import ArrayValue
from .._fans.fans import Fans
from ..laws.wrapper import Wrapper

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class PlanRow:
    """What one leaf gets.

    Attributes:
        path: The leaf's path, "layers/0/kernel".
        shape: Its shape.
        dtype: The dtype it is made in.
        rule: The pattern of the rule that matched, or "default".
        law: The initializer.
        fans: (fan_in, fan_out) of each part, or of the whole; () if no law or
            declaration says.
        fans_from: How they were found: the declaration, or the rule of the law.
        mean: The promised mean of an entry; None for a function.
        std: The promised standard deviation; None for a function.
        bytes: Of the whole array.
        shards: In how many pieces it is spread over devices; 1 if each has the whole.
        stream: The path that its key comes from.
        way: "program" of its own shape, "blocks" of a program for all shapes, or "host"
            without a program, as `ProgramRow.way`.
    """

    path: str
    shape: tuple[int, ...]
    dtype: str
    rule: str
    law: Any
    fans: tuple[Fans, ...]
    fans_from: str
    mean: complex | None
    std: float | None
    bytes: int
    shards: int
    stream: tuple[str | int, ...]
    way: str


def rows_table(rows: Sequence[PlanRow]) -> Table:
    """Return a line for each leaf, one for those that differ in numerals alone."""
    head = (
        *("leaves", "path", "shape", "dtype", "law"),
        *("fan_in", "fan_out", "std", "way"),
    )
    groups = grouped(
        rows, lambda r: (starred(r.path), r.shape, r.dtype, r.rule, _law(r), r.way)
    )
    lines = [
        (
            str(len(alike)),
            shared([row.path for row in alike]),
            "x".join(map(str, alike[0].shape)) or "-",
            alike[0].dtype,
            _law(alike[0]),
            "+".join(short(f.fan_in) for f in alike[0].fans) or "-",
            "+".join(short(f.fan_out) for f in alike[0].fans) or "-",
            number_text(alike[0].std),
            alike[0].way,
        )
        for alike in groups
    ]
    return Table(head, lines, right=(0, 5, 6, 7))


def rules_table(rows: Sequence[PlanRow]) -> Table:
    """Return the totals of each rule."""
    totals = [
        (
            str(len(ruled)),
            ruled[0].rule,
            f"{sum(math.prod(row.shape) for row in ruled):,}",
            human_bytes(sum(row.bytes for row in ruled)),
        )
        for ruled in grouped(rows, lambda row: row.rule)
    ]
    return Table(("leaves", "rule", "parameters", "bytes"), totals, right=(0, 2, 3))


def explained(row: PlanRow) -> str:
    """Return what a leaf gets, and why."""
    fans = " + ".join(f"({short(f.fan_in)}, {short(f.fan_out)})" for f in row.fans)
    lines = [
        f"{row.path}: {row.dtype}{list(row.shape)}, {human_bytes(row.bytes)}, "
        f"in {row.shards} shard{'s' * (row.shards > 1)}",
        f"  rule    {row.rule}",
        f"  law     {_law(row)}",
        f"  fans    {f'{fans} (in, out), by ' * bool(fans)}{row.fans_from}",
        f"  entries mean {number_text(row.mean)}, std {number_text(row.std)}",
        f"  stream  fold_in_path(key, {', '.join(map(repr, row.stream))})",
        f"  way     {row.way}",
    ]
    return "\n".join(lines)


def grouped(rows: Iterable[T], key: Callable[[T], Any]) -> list[list[T]]:
    """Return rows of equal keys together, in the order of the first of each."""
    groups: dict[Any, list[T]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return list(groups.values())


def starred(path: str) -> str:
    """Return a path with a star for each numeral: "layers/0" and "Dense_0" have one."""
    return _NUMERAL.sub("*", path)


def shared(paths: Sequence[str]) -> str:
    """Return one path for some that differ in numerals, with stars where they do."""
    texts = _NUMERAL.split(paths[0])
    columns = zip(*map(_NUMERAL.findall, paths), strict=True)
    names = [column[0] if len(set(column)) == 1 else "*" for column in columns]
    return "".join(itertools.chain(*zip(texts, [*names, ""], strict=True)))


_NUMERAL = re.compile(r"(?<![A-Za-z0-9])\d+(?![A-Za-z0-9])")


def _law(row: PlanRow) -> str:
    return law_text(row.law)


def law_text(law: Any) -> str:
    """Return a law as text, without its fans; of a law of laws what tells it apart."""
    if not isinstance(law, Initializer):
        return getattr(law, "__qualname__", repr(law))
    if not isinstance(law, Wrapper):
        return repr(dataclasses.replace(law, fan=None))
    name = type(law).__qualname__
    fields = [_brief(getattr(law, f)) for f in _SHOWN.get(name, "seed").split()]
    return f"{name}({', '.join([law_text(law.initializer), *fields])})"


_SHOWN = {  # what tells a law of laws from others, besides the law
    **{"Scaled": "by", "PerLayer": "scales", "MuP": "base_fan"},
    **{"WithRow": "index", "PerPart": "parts", "ICNR": "factor"},
    **{"Clipped": "low high", "Cast": "through", "Masked": "mask"},
    **{"Transposed": "axes", "BlockDiagonal": "blocks"},
}


def _brief(x: Any) -> str:
    if isinstance(x, float):
        return f"{x:.4g}"
    if isinstance(x, ArrayValue):
        return f"array of {x.shape}"
    return f"{len(x)} scales" if isinstance(x, tuple) and len(x) > 2 else str(x)


def short(fan: float) -> str:
    """Return a fan as text."""
    return str(fan) if isinstance(fan, int) else f"{fan:.4g}"


def number_text(x: complex | None) -> str:
    """Return a promised number as text."""
    return "?" if x is None else f"{x:.4g}"
