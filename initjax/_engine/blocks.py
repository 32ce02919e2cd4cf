"""Draw arrays of every shape by one kernel: in rows of their flat index, by blocks.

An entry of an elementwise law depends on its key, its row-major index and the law's
numbers, never on the shape. So a kernel draws rows of `WIDTH` entries, each with a key,
a start and numbers of its own; a block of rows is one run of it, and several arrays
may share a block. Compiled once, it serves all shapes.
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Callable, Container, Hashable, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Sharding

from .rounding import ENDS_ROUND_ALIKE
from .transfer import no_mesh, put

Host = np.ndarray[Any, Any]

WIDTH = 256  # entries of a row: what an array wastes is less
_ALIGNED = 64  # bytes: XLA takes the host's memory as it is where it begins so


def serve(sharding: Sharding | None) -> bool:
    """Tell whether arrays that live so are drawn in blocks: on one CPU device.

    Other backends keep a program per shape: their memory is not the host's.
    """
    if not ENDS_ROUND_ALIKE:
        return False
    if sharding is not None:
        (device, *others) = sharding.device_set
        return device.platform == "cpu" and not others
    device = jax.config.jax_default_device or jax.default_backend()  # pyright: ignore[reportAttributeAccessIssue]  # flags are set at run time
    return getattr(device, "platform", device) == "cpu"


class Target(NamedTuple):
    """An array to draw, of one key or of several side by side along its first axis.

    Attributes:
        shape: Its shape.
        dtype: Its dtype.
        leaves: For each key what all its rows take: its words, and numbers.
    """

    shape: tuple[int, ...]
    dtype: Any
    leaves: Sequence[tuple[Any, ...]]


def memory(shape: tuple[int, ...], dtype: Any) -> Host:
    """Return memory that becomes an array of JAX without a copy."""
    dtype = np.dtype(dtype)
    size = math.prod(shape) * dtype.itemsize
    raw = np.empty(size + _ALIGNED, np.uint8)
    start = -raw.ctypes.data % _ALIGNED
    return raw[start : start + size].view(dtype).reshape(shape)


def full(shape: tuple[int, ...], value: Any) -> Host:
    """Return memory that holds one number."""
    home = memory(shape, value.dtype)
    home[...] = value
    return home


def placed(homes: Sequence[Host], wanted: Sequence[Sharding | None]) -> list[jax.Array]:
    """Return memories as arrays where they are wanted; on the CPU none is copied."""
    groups: dict[Sharding | None, list[int]] = {}
    for i, sharding in enumerate(wanted):
        groups.setdefault(sharding, []).append(i)
    arrays: list[Any] = [None] * len(homes)
    for sharding, places in groups.items():
        # all at once: one by one takes three times as long
        together = jax.device_put([homes[i] for i in places], sharding)
        for i, x in zip(places, together, strict=True):
            arrays[i] = x
    return arrays


@dataclasses.dataclass(frozen=True)
class Kernel:
    """What draws rows of arrays.

    Attributes:
        key: Equal for equal kernels.
        row: `(start, *leaves)` to the entries of one row, a start being two words.
        leaves: The types of what a row takes.
    """

    key: Hashable
    row: Callable[..., Any] = dataclasses.field(compare=False)
    leaves: tuple[jax.ShapeDtypeStruct, ...] = dataclasses.field(compare=False)

    def lowered(self, rows: int) -> Any:
        """Return the program of a block, ready to compile."""
        start = jax.ShapeDtypeStruct((2,), np.uint32)
        types = [
            jax.ShapeDtypeStruct((rows, *x.shape), x.dtype)
            for x in (start, *self.leaves)
        ]
        with no_mesh():
            return jax.jit(jax.vmap(self.row)).lower(*types)


_COMPILED: dict[tuple[Hashable, int], Future[Any]] = {}
_MOST = 4096  # kernels that are kept


def ready() -> Container[tuple[Hashable, int]]:
    """Return the keys and rows of the kernels that are compiled already."""
    return _COMPILED


def compiled(kernel: Kernel, rows: int, threads: Executor) -> Future[Any]:
    """Return the executable of a kernel, as of now or as soon as it is compiled."""
    if len(_COMPILED) > _MOST:
        _COMPILED.clear()
    key = kernel.key, rows
    if key not in _COMPILED:
        _COMPILED[key] = threads.submit(kernel.lowered(rows).compile)
    return _COMPILED[key]


def draw(
    executable: Any, rows: int, targets: Sequence[Target], threads: Executor
) -> list[Host]:
    """Return the memories of arrays, drawn in blocks that the cores share."""
    homes = [memory(one.shape, one.dtype) for one in targets]
    entries = [
        _Entries(flat, leaves)
        for home, one in zip(homes, targets, strict=True)
        for flat, leaves in zip(
            home.reshape(len(one.leaves), -1), one.leaves, strict=True
        )
    ]
    table = _Table(entries, rows)
    wide = jax.config.jax_enable_x64  # pyright: ignore[reportAttributeAccessIssue]  # flags are set at run time

    def run(block: int) -> None:
        with jax.enable_x64(wide):  # of this thread: a thread has flags of its own
            table.run(executable, block)

    if table.blocks == 1:
        table.run(executable, 0)
    else:
        list(threads.map(run, range(table.blocks)))
    return homes


def cores() -> ThreadPoolExecutor:
    """Return threads, one a core."""
    return ThreadPoolExecutor(os.cpu_count(), "initjax-blocks")


class _Entries(NamedTuple):
    """The memory of what is drawn of one key, and what every row of it takes."""

    flat: Host
    leaves: tuple[Any, ...]


class _Table:
    """The rows of all arrays, one array after the other."""

    def __init__(self, arrays: Sequence[_Entries], rows: int) -> None:
        counts = [-(-one.flat.size // WIDTH) for one in arrays]
        self._arrays, self._rows = arrays, rows
        self._ends = np.cumsum(counts)
        self._begins = self._ends - counts
        columns = zip(*(one.leaves for one in arrays), strict=True)
        self._columns = [np.stack(column) for column in columns]
        self.blocks = -(-int(self._ends[-1]) // rows)

    def run(self, executable: Any, block: int) -> None:
        """Draw one block, and copy its rows to where they belong."""
        first = block * self._rows
        row = np.arange(first, first + self._rows)
        which = np.searchsorted(self._ends, row, side="right")
        which = np.minimum(which, len(self._arrays) - 1)  # behind the last row
        index: Any = (row - self._begins[which]) * WIDTH
        start = np.stack([index >> 32, index & 0xFFFFFFFF], axis=1).astype(np.uint32)
        given = put(executable, (start, *(column[which] for column in self._columns)))
        drawn = np.asarray(executable(*given)).reshape(-1)
        for i in range(which[0], which[-1] + 1):
            begin, end = self._begins[i], self._ends[i]
            low, high = max(begin, first), min(end, first + self._rows)
            flat = self._arrays[i].flat[(low - begin) * WIDTH : (high - begin) * WIDTH]
            source = (low - first) * WIDTH
            flat[...] = drawn[source : source + flat.size]
