"""Compile each distinct program once, several at a time; run one for every piece."""

from __future__ import annotations

import functools
import itertools
import math
import os
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence, Set
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Sharding

from .blocks import Host, Kernel, Target, compiled, cores, draw, full, placed, ready
from .cost import Choice, in_blocks
from .hostkeys import HostKeys, to_host
from .kernels import kernels_of
from .keys import is_key, kind_of
from .lifted import statics_of, values_of
from .outline import Piece
from .placing import Order
from .program import Program
from .tape import Static, keys_of
from .trace import Atom, Constant, Graph, Input, Result
from .transfer import moved, put

Report = Callable[[int, int], None]


def compiling(lowered: Iterable[Any]) -> list[Future[Any]]:
    """Compile programs, as many at a time as there are cores."""
    with_cores = ThreadPoolExecutor(os.cpu_count(), "initjax-compile")
    futures = [with_cores.submit(program.compile) for program in lowered]
    with_cores.shutdown(wait=False)
    return futures


class Run(NamedTuple):
    """A piece, and the number of the program that computes it."""

    piece: Piece
    program: int


class Engine:
    """A function cut into pieces: compile it once, run it as often as wanted."""

    def __init__(
        self,
        graph: Graph,
        host: HostKeys,
        pieces: Sequence[Piece],
        order: Order,
        given: Order,
        exact: bool,
        opened: Set[int],
    ) -> None:
        """Find the distinct programs of the pieces; nothing is compiled yet."""
        self.opened = opened
        self.graph, self.host, self.order = graph, host, order
        self._place = {
            a: i
            for piece in pieces
            for a, i in zip(piece.results, piece.places, strict=True)
        }
        self.programs: list[Program] = []
        runs: list[Run] = []
        known: dict[Hashable, int] = {}
        for piece in pieces:
            takes = tuple(self._argument(atom, given) for atom in piece.leaves)
            goes = tuple(order[place] for place in piece.places)
            key = (piece.signature, goes, tuple(t.sharding for t in takes))
            if key not in known:
                known[key] = len(known)
                self.programs.append(Program(piece, takes, goes, exact))
            runs.append(Run(piece, known[key]))
        # outputs that other pieces take are there before them
        self.runs = sorted(
            runs, key=lambda r: (self._takes_outputs(r.piece), r.program)
        )
        self._again = _repeats(graph, order)
        tapes = {i: p.tape for i, p in enumerate(self.programs) if p.tape is not None}
        self.constants = {
            i: tape.result
            for i, tape in tapes.items()
            if isinstance(tape.result, Static)
        }
        sizes: dict[int, list[int]] = {}
        for piece, number in self.runs:
            size = math.prod(piece.results[0].aval.shape)
            sizes.setdefault(number, []).append(size)
        could = kernels_of({i: t for i, t in tapes.items() if i not in self.constants})
        choices = {
            i: Choice(one.kernel.key, sizes[i], self.programs[i].fuses)
            for i, one in could.items()
        }
        # decided here, so that a plan says what a later call does
        rows = in_blocks(choices, kernels=ready())
        self.drawn = {i: could[i] for i in rows}
        self.rows = {could[i].kernel: height for i, height in rows.items()}

    def way_of(self, number: int) -> Any:
        """Return what makes a program's arrays: the host, a kernel, or itself."""
        if number in self.constants:
            return "host"
        return self.drawn[number].kernel if number in self.drawn else number

    @functools.cached_property
    def own(self) -> list[int]:
        """The programs that are compiled as they are."""
        return [i for i in range(len(self.programs)) if self.way_of(i) == i]

    @functools.cached_property
    def _numbers(self) -> dict[int, tuple[Any, ...]]:
        """What is known as the function is traced, of each program without its own."""
        numbers = [*self.constants.values()]
        for one in self.drawn.values():
            numbers.extend(statics_of(one.tape, one.places))
        values = values_of(numbers)
        found = {i: (values[x.signature],) for i, x in self.constants.items()}
        return found | {i: one.numbers(values) for i, one in self.drawn.items()}

    @functools.cached_property
    def compiled(self) -> dict[int, Future[Any]]:
        """The executables: as many are compiled at a time as there are cores."""
        # those that take longest first
        own = sorted(self.own, key=lambda i: self.programs[i].fuses)
        futures = compiling(self.programs[i].lowered for i in own)
        return dict(zip(own, futures, strict=True))

    def run(self, arguments: Sequence[Any], report: Report | None = None) -> list[Any]:
        """Return the function's outputs for arguments of the kinds it was made for."""
        outputs: list[Any] = [None] * len(self.graph.outputs)

        def done(places: Sequence[int], results: Sequence[Any]) -> None:
            for place, result in zip(places, results, strict=True):
                outputs[place] = result
            if report is not None:
                jax.block_until_ready(results)
                report(len(results), sum(result.nbytes for result in results))

        known = self.host.run(arguments)
        with cores() as threads:
            kernels = {
                kernel: compiled(kernel, rows, threads)
                for kernel, rows in self.rows.items()
            }
            programs = self.compiled
            made = self._constant() + self._drawn(kernels, known, arguments, threads)
        arrays = placed(
            [homes for _, homes in made],
            [(self._shape(run), self._home(run)) for run, _ in made],
        )
        for (run, _), x in zip(made, arrays, strict=True):
            done(run.piece.places, [x])
        for piece, number in self.runs:
            if number not in programs:
                continue
            leaves = [self._value(a, known, arguments, outputs) for a in piece.leaves]
            program, executable = self.programs[number], programs[number].result()
            results = executable(*put(executable, leaves))
            if program.moves:
                results = tuple(map(moved, results, program.order))
            if program.alone:
                jax.block_until_ready(results)
            done(piece.places, results)
        for place, first, copy in self._again:
            done((place,), [copy(outputs[first])])
        return outputs

    def _constant(self) -> list[tuple[Run, list[Host]]]:
        """Return the memory of every array of one number."""
        made: list[tuple[Run, list[Host]]] = []
        for run in self.runs:
            if run.program in self.constants:
                (value,) = self._numbers[run.program]
                made.append((run, full(self._shape(run), value, self._home(run))))
        return made

    def _shape(self, run: Run) -> tuple[int, ...]:
        return run.piece.results[0].aval.shape

    def _home(self, run: Run) -> Sharding | None:
        return self.programs[run.program].order[0]

    def _drawn(
        self,
        kernels: Mapping[Kernel, Future[Any]],
        known: Sequence[Any],
        arguments: Sequence[Any],
        threads: Executor,
    ) -> list[tuple[Run, list[Host]]]:
        """Return the memories of every array that a kernel draws."""
        groups: dict[Kernel, list[Run]] = {}
        for run in self.runs:
            if run.program in self.drawn:
                kernel = self.drawn[run.program].kernel
                groups.setdefault(kernel, []).append(run)
        made: list[tuple[Run, list[Host]]] = []
        for kernel, runs in groups.items():
            targets = [self._target(run, known, arguments) for run in runs]
            executable, rows = kernels[kernel].result(), self.rows[kernel]
            homes = draw(executable, rows, targets, threads)
            made.extend(zip(runs, homes, strict=True))
        return made

    def _target(
        self, run: Run, known: Sequence[Any], arguments: Sequence[Any]
    ) -> Target:
        """Return what a kernel draws in place of a run."""
        (aval,) = (atom.aval for atom in run.piece.results)
        leaves = [self._value(a, known, arguments, ()) for a in run.piece.leaves]
        order = list(self.drawn[run.program].tape.order)
        columns = [
            to_host(x).reshape(-1, 2)[order] if keys_of(a.aval) else [x]
            for x, a in zip(leaves, run.piece.leaves, strict=True)
        ]
        rows = max(map(len, columns))
        columns += [[x] for x in self._numbers[run.program]]
        alike = (itertools.islice(itertools.cycle(c), rows) for c in columns)
        rows_of_keys = list(zip(*alike, strict=True))
        return Target(aval.shape, aval.dtype, rows_of_keys, self._home(run))

    def _takes_outputs(self, piece: Piece) -> bool:
        return any(self._is_output(atom) for atom in piece.leaves)

    def _is_output(self, leaf: Atom) -> bool:
        return isinstance(leaf, Result) and leaf not in self.host.leaves

    def _argument(self, leaf: Atom, given: Order) -> jax.ShapeDtypeStruct:
        """Return what a program is compiled to take for a leaf."""
        aval, sharding = leaf.aval, None
        if is_key(aval):
            words = kind_of(aval.dtype).words
            return jax.ShapeDtypeStruct((*aval.shape, *words), np.uint32)
        if isinstance(leaf, Input):
            sharding = given[leaf.index]
        elif self._is_output(leaf):
            sharding = self.order[self._place[leaf]]
        return jax.ShapeDtypeStruct(
            aval.shape, aval.dtype, sharding=sharding, weak_type=aval.weak_type
        )

    def _value(
        self,
        leaf: Atom,
        known: Sequence[Any],
        arguments: Sequence[Any],
        outputs: Sequence[Any],
    ) -> Any:
        """Return what a run takes for a leaf."""
        if leaf in self.host.leaves:
            return known[self.host.leaves[leaf]]
        if isinstance(leaf, Input):
            given = arguments[leaf.index]
            return jax.random.key_data(given) if is_key(leaf.aval) else given
        return leaf.value if isinstance(leaf, Constant) else outputs[self._place[leaf]]


def _repeats(graph: Graph, order: Order) -> list[tuple[int, int, Callable[[Any], Any]]]:
    """Return the outputs that repeat an earlier one: copies, never the same buffer."""
    first: dict[Atom, int] = {}
    repeats: list[tuple[int, int, Callable[[Any], Any]]] = []
    for place, atom in enumerate(graph.outputs):
        if first.setdefault(atom, place) != place:
            copy = jax.jit(jnp.copy, out_shardings=order[place])
            repeats.append((place, first[atom], copy))
    return repeats
