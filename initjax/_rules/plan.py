"""`plan`: who gets which law, before anything is allocated."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import hashlib
import itertools
import json
import math
from typing import Any, NamedTuple, Self

import jax
import numpy as np
from jax.sharding import Sharding

from .._core.config import to_plain
from .._core.initializer import Initializer
from .._core.page import write
from .._core.promise import Law
from .._core.tables import human_bytes, paragraph
from .._errors import Refused, shown
from .._fans.declaration import Declaration
from .._fans.fans import Fans
from .assign import Assigned, rule_name
from .init_tree import Order, ordered
from .page import plan_page
from .paths import read_tree
from .patterns import choose
from .plan_file import read_plan
from .recipe import Job, fillings_of
from .roots import usual_kind, whole
from .rules import Rules
from .saved import law_data
from .table import PlanRow as PlanRow
from .table import explained, rows_table, rules_table
from .ways import Way, ways_of


@dataclasses.dataclass(frozen=True, repr=False)
class TreePlan:
    """What `init_tree` will make of a tree; `print` shows it as a table.

    Attributes:
        rows: One for each leaf, in the order of the tree.
        compiled: How many programs `init_tree` compiles in a fresh process.
    """

    rows: tuple[PlanRow, ...]
    compiled: int

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
            json.dumps([r.path, r.shape, r.dtype, law_data(r.law), r.stream])
            for r in self.rows
        )
        return hashlib.blake2s("\n".join(rows).encode()).hexdigest()

    def explain(self, path: str) -> str:
        """Say what the leaf of this path gets, and why.

        Raises:
            KeyError: No such path.
            TypeError: No str.
        """
        if not isinstance(path, str):  # pyright: ignore[reportUnnecessaryIsInstance]  # users pass anything
            kind = type(path).__name__
            raise TypeError(f"TreePlan.explain: the path must be a str, got {kind}.")
        name = path.replace(".", "/")
        row = next((row for row in self.rows if row.path == name), None)
        if row is None:
            near = difflib.get_close_matches(name, [r.path for r in self.rows], n=1)
            hint = f"nearest is {near[0]!r}" if near else "plan.rows lists them"
            raise KeyError(f"TreePlan.explain({path!r}): no such leaf; {hint}.")
        return explained(row)

    def to_json(self) -> str:
        """Return the plan as JSON: totals, fingerprint, one object a leaf."""
        rows = [
            dataclasses.asdict(dataclasses.replace(row, law=None))
            | {"law": law_data(row.law), "mean": to_plain(row.mean)}
            for row in self.rows
        ]
        return json.dumps(
            {
                "fingerprint": self.fingerprint,
                "parameters": self.parameters,
                "bytes": self.bytes,
                "compiled": self.compiled,
                "leaves": rows,
            }
        )

    def to_html(self, path: Any = None) -> str:
        """Return the plan as a page of HTML that needs nothing else.

        A row for each leaf; a click on a head sorts, a leaf opens to say why.

        Args:
            path: Where to write it too; None writes nothing.

        Raises:
            OSError: The file cannot be written.
            TypeError: The path is none.
        """
        try:
            return write(plan_page(self.rows, self._totals).html(), path)
        except Refused as refused:
            raise refused.at("TreePlan.to_html") from None

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the plan that `to_json` wrote; nothing in it is evaluated.

        Laws are read as by `deserialize`, so classes of one's own are registered first.

        Raises:
            ValueError: No JSON of a plan, a law that `deserialize` refuses, another
                fingerprint than that of the leaves.
            TypeError: No text; a leaf that a function makes, named by its path.
        """
        try:
            rows, compiled, fingerprint = read_plan(text)
            read = cls(rows, compiled)
            if read.fingerprint != fingerprint:
                raise Refused(
                    f"the fingerprint {shown(fingerprint)} is not that of the leaves, "
                    f"{read.fingerprint!r}: the file was changed; plan again."
                )
        except Refused as refused:
            raise refused.at("TreePlan.from_json") from None
        return read

    def __repr__(self) -> str:
        """Show the totals."""
        return (
            f"<TreePlan of {len(self.rows)} leaves, {self.parameters:,} parameters, "
            f"fingerprint {self.fingerprint[:16]}>"
        )

    def __str__(self) -> str:
        """Return the table, leaves that differ in numerals alone on one line."""
        tables = rows_table(self.rows).lines(), rules_table(self.rows).lines()
        return "\n".join([*tables[0], "", *tables[1], self._sum])

    def _repr_html_(self) -> str:
        """Return the same for a notebook."""
        tables = rows_table(self.rows).html(), rules_table(self.rows).html()
        return "".join([*tables, paragraph(self._sum)])

    @property
    def _totals(self) -> dict[str, str]:
        return {
            "leaves": f"{len(self.rows):,}",
            "parameters": f"{self.parameters:,}",
            "bytes": human_bytes(self.bytes),
            "programs": str(self.compiled),
            "fingerprint": self.fingerprint,
        }

    @property
    def _sum(self) -> str:
        programs = f"{self.compiled} program{'s' * (self.compiled != 1)}"
        return (
            f"{len(self.rows)} leaves, {self.parameters:,} parameters, "
            f"{human_bytes(self.bytes)}, {programs}, "
            f"fingerprint {self.fingerprint[:16]}"
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
        bytes, shards, stream, and whether a program makes it; the last as in a fresh
        process, of a key of the default kind that is committed nowhere.

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
    promised = [_promised(job, promises) for job in order.jobs]
    ways = ways_of(fillings_of(order.jobs, usual_kind(), _home()))
    columns = zip(order.rows, order.jobs, promised, ways, strict=True)
    rows = tuple(itertools.starmap(functools.partial(_row, rules), columns))
    return TreePlan(rows, len({way for way in ways if not way.constant}))


def _home() -> Sharding | None:
    """Return where an array lives that nothing places, as far as is known."""
    try:
        return whole()
    except Refused:  # a mesh whose devices are yet to come
        return None


class Promise(NamedTuple):
    """What a law says about a shape."""

    law: Law | None
    fans: tuple[Fans, ...]
    fans_from: str


_TRACED = (jax.errors.ConcretizationTypeError, jax.errors.TracerArrayConversionError)


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
    except _TRACED:
        raise Refused("holds a traced number; plan outside of jax.jit.") from None
    fan: Declaration | None = law.fan
    known = () if promised is None or promised.fans is None else (promised.fans,)
    if fan is not None:  # a law that draws a smaller weight knows its fans
        return Promise(promised, known or fan.each(shape), repr(fan))
    if not known:
        return Promise(promised, (), "none: the law does not scale with them")
    axes = getattr(law, "in_axis", None)
    by = "Keras's rule" if axes is None else f"in_axis={axes}, out_axis={law.out_axis}"  # type: ignore[attr-defined]
    return Promise(promised, known, by)


def _promised(job: Job, promises: _Promises) -> Promise:
    try:
        return promises[job.law, job.shape, job.dtype]
    except Refused as refused:
        message = f"{job.where}: {job.law!r}(key, shape={job.shape}): {refused}"
        raise Refused(message, refused.kind) from None


def _row(rules: Rules, row: Assigned, job: Job, promise: Promise, way: Way) -> PlanRow:
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
        way.name,
    )


def _pieces(job: Job) -> int:
    if job.sharding is None or 0 in job.shape:
        return 1
    return math.prod(job.shape) // math.prod(job.sharding.shard_shape(job.shape))
