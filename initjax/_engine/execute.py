"""Compile each distinct program once, several at a time; run one for every piece."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
from collections.abc import Callable, Hashable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import (
    NamedSharding,
    PartitionSpec,
    Sharding,
    SingleDeviceSharding,
)

from .hostkeys import HostKeys
from .keys import is_key, kind_of, size_of
from .outline import Piece
from .placing import Order
from .program import factorizes, function_of, fuses, primitives, samples
from .trace import Atom, Constant, Graph, Input, Result

SMALL = 1 << 20  # bytes

Report = Callable[[int, int], None]


@dataclasses.dataclass(frozen=True, eq=False)
class Program:
    """A distinct program: the first piece that needs it, what it takes, what it gives.

    Attributes:
        piece: A piece that the program computes; the others differ in their leaves.
        takes: Shapes, dtypes and shardings of the leaves.
        order: The shardings of the results.
    """

    piece: Piece
    takes: tuple[jax.ShapeDtypeStruct, ...]
    order: Order

    @functools.cached_property
    def primitives(self) -> frozenset[str]:
        """The names of what it computes with."""
        return primitives(self.piece)

    @functools.cached_property
    def fuses(self) -> bool:
        """Whether its random bits fuse with what is computed of them."""
        return fuses(self.piece)

    @property
    def spread(self) -> bool:
        """Whether it runs on several devices."""
        placed = (*self.order, *(take.sharding for take in self.takes))
        return any(s is not None and len(s.device_set) > 1 for s in placed)

    @property
    def moves(self) -> bool:
        """Whether it is computed once and its results are placed afterwards.

        The factors of a matrix must not depend on the mesh, and factorizations on
        several simulated CPU devices at once can wait for each other for ever. A small
        array whose loops XLA may split otherwise for each mesh goes the same way.
        """
        anywhere = None not in self.order and not any(t.sharding for t in self.takes)
        if not self.spread or self.fuses or not anywhere:
            return False
        return factorizes(self.primitives) or (
            samples(self.primitives)
            and sum(size_of(atom.aval) for atom in self.piece.results) <= SMALL
        )

    @property
    def alone(self) -> bool:
        """Whether it needs several devices at once, so that nothing may overlap it."""
        return self.spread and not self.fuses

    @functools.cached_property
    def lowered(self) -> Any:
        """The program, ready to compile."""
        if not self.moves:
            return self._lowered(self.order if any(self.order) else None)
        home: Any = self.order[0]
        if _is_typed(self.piece):  # by the mesh in use, so all its devices take part
            return self._lowered(NamedSharding(home.mesh, PartitionSpec()))
        device = min(home.addressable_devices, key=lambda device: device.id)
        with no_mesh():
            return self._lowered(SingleDeviceSharding(device))

    def _lowered(self, order: Any) -> Any:
        run = function_of(self.piece, self.fuses)
        jitted = jax.jit(run, out_shardings=order, keep_unused=True)
        return jitted.lower(*self.takes)


def _is_typed(piece: Piece) -> bool:
    """Tell whether arrays carry the explicit axes of a mesh in their types."""
    return any(not atom.aval.sharding.mesh.empty for atom in piece.results)


def no_mesh() -> contextlib.AbstractContextManager[Any]:
    """Put the mesh in use aside: one device does the work."""
    if jax.sharding.get_abstract_mesh().empty:
        return contextlib.nullcontext()
    return jax.set_mesh(None)


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
    ) -> None:
        """Find the distinct programs of the pieces; nothing is compiled yet."""
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
                self.programs.append(Program(piece, takes, goes))
            runs.append(Run(piece, known[key]))
        # outputs that other pieces take are there before them
        self.runs = sorted(
            runs, key=lambda r: (self._takes_outputs(r.piece), r.program)
        )
        self._again = _repeats(graph, order)

    @functools.cached_property
    def compiled(self) -> list[Future[Any]]:
        """The executables: as many are compiled at a time as there are cores."""
        long_first = sorted(self.programs, key=lambda p: p.fuses)
        futures = dict(
            zip(long_first, compiling(p.lowered for p in long_first), strict=True)
        )
        return [futures[program] for program in self.programs]

    def run(self, arguments: Sequence[Any], report: Report | None = None) -> list[Any]:
        """Return the function's outputs for arguments of the kinds it was made for."""
        compiled = self.compiled
        known = self.host.run(arguments)
        outputs: list[Any] = [None] * len(self.graph.outputs)
        for piece, number in self.runs:
            leaves = [self._value(a, known, arguments, outputs) for a in piece.leaves]
            program, executable = self.programs[number], compiled[number].result()
            results = executable(*put(executable, leaves))
            if program.moves:
                results = tuple(map(moved, results, program.order))
            if report is not None or program.alone:
                jax.block_until_ready(results)
            for place, result in zip(piece.places, results, strict=True):
                outputs[place] = result
            if report is not None:
                report(len(results), sum(result.nbytes for result in results))
        for place, first, copy in self._again:
            outputs[place] = copy(outputs[first])
            if report is not None:
                report(1, outputs[place].nbytes)
        return outputs

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


def moved(x: Any, sharding: Sharding | None) -> jax.Array:
    """Place an array that every process has computed for itself."""
    if sharding is None or sharding.is_fully_addressable:
        return jax.device_put(x, sharding)
    whole = np.asarray(jax.device_get(x))
    with jax.transfer_guard_host_to_device("allow"):  # explicit, but not to the guard
        return jax.make_array_from_callback(
            whole.shape, sharding, lambda index: whole[index]
        )


def put(executable: Any, leaves: Sequence[Any]) -> Sequence[Any]:
    """Return what a program takes: under a guard of transfers, on its devices."""
    # a program takes the host's arrays in a tenth of the time of an explicit transfer
    guard = jax.config.jax_transfer_guard_host_to_device  # pyright: ignore[reportAttributeAccessIssue]  # flags are set at run time
    if guard in (None, "allow"):
        return leaves
    return [
        leaf if isinstance(leaf, jax.Array) else moved(leaf, sharding)
        for leaf, sharding in zip(leaves, executable.input_shardings[0], strict=True)
    ]


def _repeats(graph: Graph, order: Order) -> list[tuple[int, int, Callable[[Any], Any]]]:
    """Return the outputs that repeat an earlier one: copies, never the same buffer."""
    first: dict[Atom, int] = {}
    repeats: list[tuple[int, int, Callable[[Any], Any]]] = []
    for place, atom in enumerate(graph.outputs):
        if first.setdefault(atom, place) != place:
            copy = jax.jit(jnp.copy, out_shardings=order[place])
            repeats.append((place, first[atom], copy))
    return repeats
