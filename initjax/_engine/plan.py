"""What `jit_init` will do, before it is done."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from jax.sharding import Sharding

from .execute import Engine, Program
from .keys import size_of
from .program import hindrance
from .table import human_bytes, table

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
        size: Bytes that one run returns.
        shards: Over how many devices its first result is spread.
        hindrance: Why its samples do not fuse, or None.
    """

    computes: str
    results: str
    runs: int
    size: int
    shards: int
    hindrance: str | None


@dataclasses.dataclass(frozen=True)
class SetupPlan:
    """What `jit_init` will compile and run; `print` shows it as a table.

    Attributes:
        programs: The distinct programs, in the order of their first run.
        outputs: How many arrays the function returns.
        size: Their bytes, over all devices together.
        peak: Estimated largest memory of one device, in bytes.
        fallbacks: The outputs that are computed as `jax.jit` would, and why.
        whole: Why the whole function is compiled by `jax.jit`, or None.
    """

    programs: tuple[ProgramRow, ...]
    outputs: int
    size: int
    peak: int
    fallbacks: dict[str, str]
    whole: str | None = None

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
        head = ("runs", "each", "shards", "returns", "computes")
        rows = [
            (str(r.runs), human_bytes(r.size), str(r.shards), r.results, r.computes)
            for r in self.programs
        ]
        lines = table(head, rows, right=(0, 1, 2))
        lines.append(
            f"{len(self.programs)} programs, {self.outputs} arrays, "
            f"{human_bytes(self.size)}; at most about {human_bytes(self.peak)} a device"
        )
        if self.fallbacks or self.whole:
            lines.append("as jax.jit would:")
            lines.extend(f"  {line}" for line in self.explain().splitlines())
        return "\n".join(lines)


def plan_of(engine: Engine, paths: Sequence[str]) -> SetupPlan:
    """Return the plan of an engine; `paths` name the function's outputs."""
    runs = [run.program for run in engine.runs]
    why = [hindrance(p.piece, p.primitives) for p in engine.programs]
    rows = tuple(
        ProgramRow(
            _computes(program),
            ", ".join(_type(atom.aval) for atom in program.piece.results),
            runs.count(number),
            sum(size_of(atom.aval) for atom in program.piece.results),
            len(program.order[0].device_set) if program.order[0] else 1,
            why[number],
        )
        for number, program in enumerate(engine.programs)
    )
    fallbacks = {
        paths[place]: reason
        for piece, number in engine.runs
        for place in piece.places
        if (reason := why[number]) is not None
    }
    avals = [atom.aval for atom in engine.graph.outputs]
    held = sum(map(_held, avals, engine.order))
    scratch = max(map(_scratch, engine.programs), default=0)
    size = sum(map(size_of, avals))
    return SetupPlan(rows, len(avals), size, held + scratch, fallbacks)


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
