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
from collections.abc import Callable, Container, Hashable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Sharding

from .rounding import ENDS_ROUND_ALIKE
from .shards import Shape, have_long_runs, joined, shards_of
from .transfer import no_mesh, put

Host = np.ndarray[Any, Any]

WIDTH = 256  # entries of a row: what an array wastes is less
_ALIGNED = 64  # bytes: XLA takes the host's memory as it is where it begins so


def serve(sharding: Sharding | None, shape: Shape) -> bool:
    """Tell whether an array that lives so is drawn in blocks.

    Other backends keep a program per shape: their memory is not the host's.
    """
    if not ENDS_ROUND_ALIKE or not is_on_cpu(sharding):
        return False
    if sharding is None or is_whole(sharding):
        return True
    return have_long_runs(sharding, shape)


def is_on_cpu(sharding: Sharding | None) -> bool:
    """Tell whether an array lives in memory that is this process's own."""
    if sharding is not None:
        on_cpu = all(device.platform == "cpu" for device in sharding.device_set)
        return on_cpu and sharding.is_fully_addressable
    device = jax.config.jax_default_device or jax.default_backend()  # pyright: ignore[reportAttributeAccessIssue]  # flags are set at run time
    return getattr(device, "platform", device) == "cpu"


def is_whole(sharding: Sharding | None) -> bool:
    """Tell whether an array is on one device."""
    return sharding is None or len(sharding.device_set) == 1


class Target(NamedTuple):
    """An array to draw, of one key or of several side by side along its first axis.

    Attributes:
        shape: Its shape.
        dtype: Its dtype.
        leaves: For each key what all its rows take: its words, and numbers. One key
            where it is spread.
        sharding: Where it lives.
    """

    shape: tuple[int, ...]
    dtype: Any
    leaves: Sequence[tuple[Any, ...]]
    sharding: Sharding | None = None

    def homes(self) -> list[Host]:
        """Return the memory of the array, or of each of its shards."""
        if is_whole(self.sharding):
            return [memory(self.shape, self.dtype)]
        shards = shards_of(self.sharding, self.shape)
        return [memory(shard.shape, self.dtype) for shard in shards]

    def entries(self, homes: Sequence[Host]) -> Iterator[Entries]:
        """Yield what there is to draw: runs of the flat index."""
        if is_whole(self.sharding):
            parts = homes[0].reshape(len(self.leaves), -1)
            for flat, leaves in zip(parts, self.leaves, strict=True):
                yield Entries(flat, leaves, 0)
            return
        (leaves,) = self.leaves
        shards = shards_of(self.sharding, self.shape)
        for home, shard in zip(homes, shards, strict=True):
            runs = home.reshape(-1, shard.run)
            for flat, start in zip(runs, shard.starts, strict=True):
                yield Entries(flat, leaves, start)


class Entries(NamedTuple):
    """The memory of a run of entries, what its rows take, and where it starts."""

    flat: Host
    leaves: tuple[Any, ...]
    start: int


def memory(shape: tuple[int, ...], dtype: Any) -> Host:
    """Return memory that becomes an array of JAX without a copy."""
    dtype = np.dtype(dtype)
    size = math.prod(shape) * dtype.itemsize
    raw = np.empty(size + _ALIGNED, np.uint8)
    start = -raw.ctypes.data % _ALIGNED
    return raw[start : start + size].view(dtype).reshape(shape)


def full(shape: Shape, value: Any, sharding: Sharding | None) -> list[Host]:
    """Return the memory of an array of one number, or of each of its shards."""
    homes = Target(shape, value.dtype, (), sharding).homes()
    for home in homes:
        home[...] = value
    return homes


def placed(
    homes: Sequence[Sequence[Host]], wanted: Sequence[tuple[Shape, Sharding | None]]
) -> list[jax.Array]:
    """Return memories as arrays where they are wanted; on the CPU none is copied.

    Args:
        homes: Of each array its memory, or those of its shards.
        wanted: Its shape and where it lives.
    """
    groups: dict[Sharding | None, list[int]] = {}
    arrays: list[Any] = [None] * len(homes)
    for i, (shape, sharding) in enumerate(wanted):
        if sharding is None or homes[i][0].shape == shape:
            groups.setdefault(sharding, []).append(i)
        else:
            arrays[i] = joined(shape, sharding, homes[i])
    for sharding, places in groups.items():
        # all at once: one by one takes three times as long
        together = jax.device_put([homes[i][0] for i in places], sharding)
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
) -> list[list[Host]]:
    """Return the memories of arrays, drawn in blocks that the cores share."""
    homes = [one.homes() for one in targets]
    pairs = zip(targets, homes, strict=True)
    table = _Table([run for one, of in pairs for run in one.entries(of)], rows)
    wide = jax.config.jax_enable_x64  # pyright: ignore[reportAttributeAccessIssue]  # flags are set at run time

    def run(block: int) -> None:
        with jax.enable_x64(wide):  # of this thread: a thread has flags of its own
            table.run(executable, block)

    if table.blocks == 1:
        table.run(executable, 0)
    else:
        list(threads.map(run, range(table.blocks)))
    return homes


def stretch(
    executable: Any, rows: int, leaves: Sequence[Any], start: int, size: int
) -> Host:
    """Return entries of one array from a flat index on, at most those of one block.

    Args:
        executable: Of the array's kernel.
        rows: Those of a block.
        leaves: What all rows take: the words of the array's key, and numbers.
        start: The first index.
        size: How many entries.
    """
    index = _words(start + np.arange(rows, dtype=np.int64) * WIDTH)
    columns = [np.broadcast_to(x, (rows, *np.shape(x))) for x in leaves]
    drawn = executable(*put(executable, (index, *columns)))
    return jax.device_get(drawn).reshape(-1)[:size]


def cores() -> ThreadPoolExecutor:
    """Return threads, one a core."""
    return ThreadPoolExecutor(os.cpu_count(), "initjax-blocks")


class _Table:
    """The rows of all runs, one run after the other."""

    def __init__(self, arrays: Sequence[Entries], rows: int) -> None:
        counts = [-(-one.flat.size // WIDTH) for one in arrays]
        self._arrays, self._rows = arrays, rows
        self._ends = np.cumsum(counts)
        self._begins = self._ends - counts
        self._starts = np.array([one.start for one in arrays], np.int64)
        columns = zip(*(one.leaves for one in arrays), strict=True)
        self._columns = [np.stack(column) for column in columns]
        self.blocks = -(-int(self._ends[-1]) // rows)

    def run(self, executable: Any, block: int) -> None:
        """Draw one block, and copy its rows to where they belong."""
        first = block * self._rows
        row = np.arange(first, first + self._rows)
        which = np.searchsorted(self._ends, row, side="right")
        which = np.minimum(which, len(self._arrays) - 1)  # behind the last row
        index: Any = self._starts[which] + (row - self._begins[which]) * WIDTH
        columns = (column[which] for column in self._columns)
        given = put(executable, (_words(index), *columns))
        drawn = jax.device_get(executable(*given)).reshape(-1)
        for i in range(which[0], which[-1] + 1):
            begin, end = self._begins[i], self._ends[i]
            low, high = max(begin, first), min(end, first + self._rows)
            flat = self._arrays[i].flat[(low - begin) * WIDTH : (high - begin) * WIDTH]
            source = (low - first) * WIDTH
            flat[...] = drawn[source : source + flat.size]


def _words(index: Any) -> Host:
    """Return indices as kernels take them, each in two words."""
    return np.stack([index >> 32, index & 0xFFFFFFFF], axis=1).astype(np.uint32)
