"""`plan`: who gets which law, before anything is allocated."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import hashlib
import json
import math
import re
from typing import Any, NamedTuple

import numpy as np

from .._core.config import to_plain
from .._core.initializer import Initializer
from .._core.promise import Law
from .._engine.table import human_bytes, table
from .._errors import Refused
from .._fans.declaration import Declaration
from .._fans.fans import Fans
from .._registry import serialize
from .assign import Assigned, rule_name
from .fill import Job
from .init_tree import Order, ordered
from .paths import read_tree
from .patterns import choose
from .rules import Rules


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


@dataclasses.dataclass(frozen=True, repr=False)
class TreePlan:
    """What `init_tree` will make of a tree; `print` shows it as a table.

    Attributes:
        rows: One for each leaf, in the order of the tree.
    """

    rows: tuple[PlanRow, ...]

    @property
    def bytes(self) -> int:
        """The bytes of all arrays."""
        return sum(row.bytes for row in self.rows)

    @property
    def parameters(self) -> int:
        """The number of entries of all arrays."""
        return sum(math.prod(row.shape) for row in self.rows)

    @functools.cached_property
    def fingerprint(self) -> str:
        """A digest of what decides the weights under a key: same plan, same weights.

        Paths, shapes, dtypes, laws and streams count; order, rules and shardings do
        not. A function counts by its name.
        """
        rows = sorted(
            json.dumps([r.path, r.shape, r.dtype, _law_data(r.law), r.stream])
            for r in self.rows
        )
        return hashlib.blake2s("\n".join(rows).encode()).hexdigest()

    def explain(self, path: str) -> str:
        """Say what the leaf of this path gets, and why.

        Raises:
            KeyError: No such path.
        """
        name = path.replace(".", "/")
        row = next((row for row in self.rows if row.path == name), None)
        if row is None:
            near = difflib.get_close_matches(name, [r.path for r in self.rows], n=1)
            hint = f"; nearest is {near[0]!r}" if near else ""
            raise KeyError(f"TreePlan.explain({path!r}): no such leaf{hint}.")
        fans = " + ".join(_fans_text(f) for f in row.fans)
        lines = [
            f"{row.path}: {row.dtype}{list(row.shape)}, {human_bytes(row.bytes)}, "
            f"in {row.shards} shard{'s' * (row.shards > 1)}",
            f"  rule    {row.rule}",
            f"  law     {_law_text(row.law)}",
            f"  fans    {f'{fans} (in, out), by ' * bool(fans)}{row.fans_from}",
            f"  entries mean {_number(row.mean)}, std {_number(row.std)}",
            f"  stream  fold_in_path(key, {', '.join(map(repr, row.stream))})",
        ]
        return "\n".join(lines)

    def to_json(self) -> str:
        """Return the plan as JSON: totals, fingerprint, one object a leaf."""
        rows = [
            dataclasses.asdict(dataclasses.replace(row, law=None))
            | {"law": _law_data(row.law), "mean": to_plain(row.mean)}
            for row in self.rows
        ]
        return json.dumps(
            {
                "fingerprint": self.fingerprint,
                "parameters": self.parameters,
                "bytes": self.bytes,
                "leaves": rows,
            }
        )

    def __repr__(self) -> str:
        """Show the totals."""
        return (
            f"<TreePlan of {len(self.rows)} leaves, {self.parameters:,} parameters, "
            f"fingerprint {self.fingerprint[:16]}>"
        )

    def __str__(self) -> str:
        """Return the table, leaves that differ in numerals alone on one line."""
        groups: dict[Any, list[PlanRow]] = {}
        for row in self.rows:
            alike = (re.sub(r"\b\d+\b", "*", row.path), row.shape, row.dtype, row.rule)
            groups.setdefault((*alike, _law_text(row.law)), []).append(row)
        head = ("leaves", "path", "shape", "dtype", "law", "fan_in", "fan_out", "std")
        lines = [
            (
                str(len(rows)),
                key[0] if len(rows) > 1 else rows[0].path,
                "x".join(map(str, rows[0].shape)) or "-",
                rows[0].dtype,
                _law_text(rows[0].law),
                "+".join(_short(f.fan_in) for f in rows[0].fans) or "-",
                "+".join(_short(f.fan_out) for f in rows[0].fans) or "-",
                _number(rows[0].std),
            )
            for key, rows in groups.items()
        ]
        rules: dict[str, list[PlanRow]] = {}
        for row in self.rows:
            rules.setdefault(row.rule, []).append(row)
        totals = [
            (
                str(len(rows)),
                rule,
                f"{sum(math.prod(r.shape) for r in rows):,}",
                human_bytes(sum(r.bytes for r in rows)),
            )
            for rule, rows in rules.items()
        ]
        return "\n".join(
            [
                *table(head, lines, right=(0, 5, 6, 7)),
                "",
                *table(
                    ("leaves", "rule", "parameters", "bytes"), totals, right=(0, 2, 3)
                ),
                f"{len(self.rows)} leaves, {self.parameters:,} parameters, "
                f"{human_bytes(self.bytes)}, fingerprint {self.fingerprint[:16]}",
            ]
        )


def plan(
    rules: Rules, abstract_tree: Any, *, shardings: Any = None, only: Any = None
) -> TreePlan:
    """Return what `init_tree` will make, without allocating or compiling anything.

    Args:
        rules: Which initializer fills which path.
        abstract_tree: As of `init_tree`.
        shardings: As of `init_tree`.
        only: As of `init_tree`.

    Returns:
        A row for each leaf: its rule, law, fans, promised mean and standard deviation,
        bytes, shards and stream.

    Raises:
        ValueError: What `init_tree` would raise.
        TypeError: What `init_tree` would raise.
    """
    try:
        tree = read_tree(abstract_tree, shardings)
        order = ordered(rules, tree, choose(tree.leaves, only))
        return plan_of_order(rules, order)
    except Refused as refused:
        raise refused.at("plan") from None


def plan_of_order(rules: Rules, order: Order) -> TreePlan:
    """Return the plan of what is ordered."""
    promises = _Promises()
    pairs = zip(order.rows, order.jobs, strict=True)
    return TreePlan(tuple(_row(rules, row, job, promises) for row, job in pairs))


class Promise(NamedTuple):
    """What a law says about a shape."""

    law: Law | None
    fans: tuple[Fans, ...]
    fans_from: str


class _Promises(dict[Any, Promise]):
    """Promises by law, shape and dtype, each asked for once."""

    def __missing__(self, key: Any) -> Promise:
        self[key] = promise = _promise(*key)
        return promise


def _promise(law: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Promise:
    if not isinstance(law, Initializer):
        return Promise(None, (), "a function")
    law._make(shape, dtype)  # refuses what the call would
    try:
        promised = law._promise(shape, dtype)
    except Refused:  # a user's law need not promise anything
        promised = None
    fan: Declaration | None = law.fan
    if fan is not None:
        return Promise(promised, fan.each(shape), repr(fan))
    if promised is None or promised.fans is None:
        return Promise(promised, (), "none: the law does not scale with them")
    axes = getattr(law, "in_axis", None)
    by = "Keras's rule" if axes is None else f"in_axis={axes}, out_axis={law.out_axis}"  # type: ignore[attr-defined]
    return Promise(promised, (promised.fans,), by)


def _row(rules: Rules, row: Assigned, job: Job, promises: _Promises) -> PlanRow:
    try:
        promise = promises[job.law, job.shape, job.dtype]
    except Refused as refused:
        message = f"{job.where}: {job.law!r}(key, shape={job.shape}): {refused}"
        raise Refused(message, refused.kind) from None
    return PlanRow(
        row.leaf.name,
        job.shape,
        job.dtype.name,
        rule_name(rules, row.rule),
        job.law,
        promise.fans,
        promise.fans_from,
        None if promise.law is None else promise.law.mean,
        None if promise.law is None else promise.law.std,
        math.prod(job.shape) * job.dtype.itemsize,
        _pieces(job),
        row.stream,
    )


def _pieces(job: Job) -> int:
    if job.sharding is None or 0 in job.shape:
        return 1
    return math.prod(job.shape) // math.prod(job.sharding.shard_shape(job.shape))


def _law_data(law: Any) -> Any:
    if not isinstance(law, Initializer):
        name = getattr(law, "__qualname__", type(law).__qualname__)
        return f"{getattr(law, '__module__', '')}.{name}"
    return serialize(law)


def _law_text(law: Any) -> str:
    if not isinstance(law, Initializer):
        return getattr(law, "__qualname__", repr(law))
    inner = getattr(law, "initializer", None)
    if inner is not None:
        by = {"Scaled": "by", "PerLayer": "scales", "MuP": "base_fan"}
        field = by.get(type(law).__name__, "seed")
        return (
            f"{type(law).__name__}({_law_text(inner)}, {_brief(getattr(law, field))})"
        )
    return repr(dataclasses.replace(law, fan=None))


def _brief(x: Any) -> str:
    if isinstance(x, float):
        return f"{x:.4g}"
    return f"{len(x)} scales" if isinstance(x, tuple) and len(x) > 2 else str(x)


def _fans_text(fans: Fans) -> str:
    return f"({_short(fans.fan_in)}, {_short(fans.fan_out)})"


def _short(fan: float) -> str:
    return str(fan) if isinstance(fan, int) else f"{fan:.4g}"


def _number(x: complex | None) -> str:
    if x is None:
        return "?"
    return f"{x:.4g}"
