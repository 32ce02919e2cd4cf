"""Arrays one after the other, in pieces: the memory of a few makes a tree of any size.

What a kernel draws comes in blocks of its flat index, a constant in as many entries;
only what has a program of its own is made whole. Pieces are made ahead by all cores
while the caller works on one.
"""

from __future__ import annotations

import contextlib
import functools
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Executor, Future
from typing import Any, NamedTuple

import jax
import numpy as np

from .._core.widths import width
from .._engine import blocks
from .._engine.blocks import WIDTH, Host, Kernel
from .._engine.cost import MANY, rows_of
from .fill import executables, run_program, target_of
from .recipe import Filling
from .ways import Way, is_constant, kernel_of, program_of

ROOM = 1 << 25  # bytes of the pieces that are there at a time, or one that is larger

Make = Callable[[int, int], Host]  # of a flat index and a number of entries


class Maker(NamedTuple):
    """What makes an array, and in how many entries at a time."""

    make: Make
    step: int


class Part(NamedTuple):
    """A piece to be made.

    Attributes:
        make: Makes it.
        size: Its bytes.
        is_last: Whether its array ends with it.
    """

    make: Callable[[], Host]
    size: int
    is_last: bool


class Piece(NamedTuple):
    """Entries of an array in row-major order, and whether it ends with them."""

    entries: Host
    is_last: bool


@contextlib.contextmanager
def in_pieces(
    fillings: Sequence[Filling], words: Sequence[Any]
) -> Generator[Iterator[Piece]]:
    """Give the pieces of arrays, each of its key's words, with the bits of `fill`.

    The caller lets go of a piece before it asks for the next.
    """
    with blocks.cores() as threads:
        with jax.disable_jit(False):
            makers = _makers(fillings, words, threads)
        yield _ahead(_parts(fillings, makers), threads)


def _makers(
    fillings: Sequence[Filling], words: Sequence[Any], threads: Executor
) -> list[Maker]:
    """Return what makes each array; all programs are compiled from now on."""
    kernels = [None if is_constant(one) else kernel_of(one) for one in fillings]
    sizes: dict[Kernel, list[int]] = {}
    for one, kernel in zip(fillings, kernels, strict=True):
        if kernel is not None:
            sizes.setdefault(kernel, []).append(one.entries)
    rows = {kernel: rows_of(entries) for kernel, entries in sizes.items()}
    drawing = {k: blocks.compiled(k, n, threads) for k, n in rows.items()}
    pairs = [*zip(fillings, kernels, strict=True)]
    own = {
        Way(program_of(one)): one
        for one, kernel in pairs
        if kernel is None and not is_constant(one)
    }
    programs = executables(own)
    makers: list[Maker] = []
    for (one, kernel), key in zip(pairs, words, strict=True):
        if is_constant(one):
            makers.append(Maker(functools.partial(_constant, one), MANY * WIDTH))
        elif kernel is not None:
            (leaves,) = target_of(one, key).leaves
            draw = functools.partial(_drawn, drawing[kernel], rows[kernel], leaves)
            makers.append(Maker(draw, rows[kernel] * WIDTH))
        else:
            run = functools.partial(_whole, programs[Way(program_of(one))], one, key)
            makers.append(Maker(run, max(one.entries, 1)))
    return makers


def _constant(one: Filling, start: int, size: int) -> Host:
    del start
    return np.full(size, np.asarray(one.numbers[0]).astype(one.recipe.dtype))


def _drawn(
    executable: Future[Any], rows: int, leaves: Any, start: int, size: int
) -> Host:
    return blocks.stretch(executable.result(), rows, leaves, start, size)


def _whole(
    executable: Future[Any], one: Filling, words: Any, start: int, size: int
) -> Host:
    del start, size
    return jax.device_get(run_program(executable.result(), one, words)).reshape(-1)


def _parts(fillings: Sequence[Filling], makers: Sequence[Maker]) -> Iterator[Part]:
    for one, (make, step) in zip(fillings, makers, strict=True):
        for start in range(0, max(one.entries, 1), step):  # an empty array is a piece
            size = min(step, one.entries - start)
            yield Part(
                functools.partial(make, start, size),
                size * one.recipe.dtype.itemsize,
                start + size == one.entries,
            )


def _ahead(parts: Iterator[Part], threads: Executor) -> Iterator[Piece]:
    """Yield pieces in order, as many being made as have room."""
    wide = jax.config.jax_enable_x64  # pyright: ignore[reportAttributeAccessIssue]  # flags are set at run time
    waiting: deque[tuple[Future[Host], Part]] = deque()
    held = 0
    for part in parts:
        while waiting and held + part.size > ROOM:
            held -= waiting[0][1].size
            yield _first(waiting)
        waiting.append((threads.submit(_made, wide, part.make), part))
        held += part.size
    while waiting:
        yield _first(waiting)


def _first(waiting: deque[tuple[Future[Host], Part]]) -> Piece:
    # a function of its own: nothing here holds the piece after it is handed over
    future, part = waiting.popleft()
    return Piece(future.result(), part.is_last)


def _made(wide: bool, make: Callable[[], Host]) -> Host:
    with width(wide):
        return make()
