"""What `jit_init` will do, before it is done."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from jax.sharding import Sharding

from .._core.tables import Table, human_bytes, paragraph
from .execute import Engine
from .keys import size_of
from .program import Program, hindrance

_IN_LOOP = "a loop's, drawn for all turns side by side"
_OF_ONE_PROGRAM = frozenset(
    "compile as_text compiler_ir cost_analysis memory_analysis in_tree out_info".split()
)


@dataclasses.dataclass(frozen=True)
class ProgramRow:
    """One distinct program of a plan.

    Attributes:
        computes: The functions it applies, outermost last.
        results: The types of what it returns.
        runs: How often it runs.
        size: Bytes that one run returns, on average.
        shards: Over how many devices its first result is spread.
        hindrance: Why its samples do not fuse, or None.
        way: "program" of its own shape, "blocks" of a program for all shapes, or
            "host" without a program.
    """

    computes: str
    results: str
    runs: int
    size: int
    shards: int
    hindrance: str | None
    way: str = "program"


@dataclasses.dataclass(frozen=True)
class SetupPlan:
    """What `jit_init` will compile and run; `print` shows it as a table.

    Attributes:
        programs: The distinct programs, and what the host makes without one.
        outputs: How many arrays the function returns.
        size: Their bytes, over all devices together.
        peak: Estimated largest memory of one device, in bytes.
        fallbacks: The outputs that are computed as `jax.jit` would, and why.
        whole: Why the whole function is compiled by `jax.jit`, or None.
        inexact: The outputs whose last bits may not be those of `jax.jit`, and why;
            none but with `exact=False`.
    """

    programs: tuple[ProgramRow, ...]
    outputs: int
    size: int
    peak: int
    fallbacks: dict[str, str]
    whole: str | None = None
    inexact: dict[str, str] = dataclasses.field(default_factory=dict)

    @property
    def compiled(self) -> int:
        """How many programs are compiled."""
        return sum(row.way != "host" for row in self.programs)

    def explain(self) -> str:
        """Say which outputs are not sampled by fused programs, and why."""
        if self.whole is not None:
            return f"all {self.outputs} outputs: {self.whole}"
        return "\n".join(f"{path}: {why}" for path, why in self.fallbacks.items())

    def __getattr__(self, name: str) -> Any:
        """Refuse what a lowered function has and a plan has not."""
        if name in _OF_ONE_PROGRAM:
            raise AttributeError(
                f"SetupPlan.{name}: a plan is of several programs; "
                f"use jax.jit(fun).lower(...).{name} for the function as one."
            )
        raise AttributeError(f"SetupPlan has no attribute {name!r}")

    def __str__(self) -> str:
        """Return the table of programs, the totals and the fallbacks."""
        return "\n".join([*self._table().lines(), *self._notes()])

    def _repr_html_(self) -> str:
        """Return the same for a notebook."""
        return self._table().html() + paragraph("\n".join(self._notes()))

    def _table(self) -> Table:
        head = ("runs", "each", "shards", "way", "returns", "computes")
        rows = [
            (
                *(str(r.runs), human_bytes(r.size), str(r.shards)),
                *(r.way, r.results, r.computes),
            )
            for r in self.programs
        ]
        return Table(head, rows, right=(0, 1, 2))

    def _notes(self) -> list[str]:
        lines = [
            f"{self.compiled} program{'s' * (self.compiled != 1)}, "
            f"{self.outputs} array{'s' * (self.outputs != 1)}, "
            f"{human_bytes(self.size)}; at most about {human_bytes(self.peak)} a device"
        ]
        if self.fallbacks or self.whole:
            lines.append("as jax.jit would:")
            lines.extend(f"  {line}" for line in self.explain().splitlines())
        if self.inexact:
            lines.append("but for the last bits:")
            lines.extend(f"  {path}: {why}" for path, why in self.inexact.items())
        return lines


def plan_of(engine: Engine, paths: Sequence[str]) -> SetupPlan:
    """Return the plan of an engine; `paths` name the function's outputs."""
    runs = Counter(run.program for run in engine.runs)
    apart = [hindrance(p.piece, p.primitives) for p in engine.programs]
    why = [
        reason if i in engine.own and not engine.programs[i].is_loose else None
        for i, reason in enumerate(apart)
    ]
    ways: dict[Any, list[int]] = {}
    for i in range(len(engine.programs)):
        ways.setdefault(engine.way_of(i), []).append(i)
    rows = tuple(_row(engine, same, runs, why[same[0]]) for same in ways.values())
    fallbacks = {
        paths[place]: reason
        for piece, number in engine.runs
        for place in piece.places
        if (reason := why[number]) is not None
    }
    inexact = {paths[place]: _IN_LOOP for place in sorted(engine.opened)}
    for piece, number in engine.runs:
        if engine.programs[number].is_loose:
            inexact |= {paths[place]: str(apart[number]) for place in piece.places}
    avals = [atom.aval for atom in engine.graph.outputs]
    held = sum(map(_held, avals, engine.order))
    scratch = max((_scratch(engine.programs[i]) for i in engine.own), default=0)
    size = sum(map(size_of, avals))
    return SetupPlan(rows, len(avals), size, held + scratch, fallbacks, inexact=inexact)


def _row(
    engine: Engine, same: Sequence[int], runs: Mapping[int, int], why: str | None
) -> ProgramRow:
    """Return the row of programs that are made in one way: alone, or by one kernel."""
    first = engine.programs[same[0]]
    types = [[_type(a.aval) for a in engine.programs[i].piece.results] for i in same]
    number = sum(runs[i] for i in same)
    total = sum(
        runs[i] * sum(size_of(a.aval) for a in engine.programs[i].piece.results)
        for i in same
    )
    way = engine.way_of(same[0])
    path = "host" if way == "host" else "program" if way == same[0] else "blocks"
    return ProgramRow(
        "a number" if path == "host" else _computes(first),
        ", ".join(types[0]) if len(same) == 1 else f"{len(same)} types",
        number,
        total // number,
        len(first.order[0].device_set) if first.order[0] else 1,
        why,
        path,
    )


def plan_of_whole(avals: Sequence[Any], reason: str) -> SetupPlan:
    """Return the plan of a function that `jax.jit` compiles as one program."""
    size = sum(map(size_of, avals))
    row = ProgramRow("the whole function", f"{len(avals)} arrays", 1, size, 1, reason)
    return SetupPlan((row,), len(avals), size, 4 * size, {}, reason)


def _computes(program: Program) -> str:
    """Return the names of what a program applies, each once, in order."""
    names = [
        str(node.params.get("name", node.name)).strip("_")
        for node in program.piece.nodes
    ]
    return " ".join(dict.fromkeys(names)) or "copy"


def _type(aval: Any) -> str:
    return f"{aval.dtype}[{','.join(map(str, aval.shape))}]"


def _held(aval: Any, sharding: Sharding | None) -> int:
    """Return the bytes of a value on one of its devices."""
    if sharding is None or not math.prod(aval.shape):
        return size_of(aval)
    shard = math.prod(sharding.shard_shape(aval.shape))
    return size_of(aval) * shard // math.prod(aval.shape)


def _scratch(program: Program) -> int:
    """Return an upper bound of what a program holds besides its results."""
    if program.fuses:
        return 0
    share = (
        1
        if program.moves
        else max(len(s.device_set) if s else 1 for s in program.order)
    )
    held = sum(size_of(r.aval) for node in program.piece.nodes for r in node.results)
    return held // share
