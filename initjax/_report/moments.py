"""The numbers of compiled passes put together: of blocks, of processes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Self

import numpy as np
from jax.experimental import multihost_utils

from .passes import Looked
from .spots import Array, Spots


class Pending(NamedTuple):
    """A weight that is being looked at.

    Attributes:
        where: The places of the values that are picked.
        sizes: How many entries each block has that this process holds.
        mine: Which values each block has.
        first: Waits for what is known of the blocks, in groups of equal size.
        again: Looks at them once more, entry by entry finite or not.
        is_whole: Whether other processes have no blocks.
        dtype: That of the entries.
    """

    where: Spots
    sizes: list[int]
    mine: Array
    first: Callable[[], list[Looked]]
    again: Callable[[], list[Looked]]
    is_whole: bool
    dtype: Any


class Known(NamedTuple):
    """What some blocks of a weight say together; sums of blocks are exact enough here.

    Attributes:
        moments: For each view of the entries: how many are finite, their mean, the
            means of the 2nd and 4th powers of the distance to it, the least, the
            greatest.
        counts: Zeros, NaNs, infinities.
        picks: The entries at the spots, 0 at those of other blocks.
        mine: Which spots these blocks have.
    """

    moments: Array
    counts: Array
    picks: Array
    mine: Array

    @classmethod
    def nothing(cls, one: Pending) -> Self:
        """Return what a process knows that has no block."""
        views = 3 if np.dtype(one.dtype).kind == "c" else 1
        moments = np.zeros((views, 6))
        moments[:, 4:] = math.inf, -math.inf
        mine = np.zeros(one.mine.shape[1], bool)
        return cls(moments, np.zeros(3, np.int64), mine.astype(one.dtype), mine)


def known_of(one: Pending) -> Known:
    """Return what the blocks of this process say, once they are looked at."""
    looked = [Looked(*map(np.asarray, some)) for some in one.first()]
    if not all(np.isfinite(some.sums[:, :, :3]).all() for some in looked):
        looked = [Looked(*map(np.asarray, some)) for some in one.again()]
    blocks = [Looked(*row) for some in looked for row in zip(*some, strict=True)]
    if not blocks:
        return Known.nothing(one)
    counts = np.stack([_counts(block) for block in blocks])
    finite = np.array(one.sizes) - counts[:, 1:].sum(1)
    pairs = zip(blocks, finite.tolist(), strict=True)
    moments = _pooled(np.stack([_moments(*pair) for pair in pairs]))
    picks, mine = blocks[0].picks, one.mine[0]
    if len(blocks) > 1:
        every = np.stack([block.picks for block in blocks])
        picks = every[one.mine.argmax(0), np.arange(every.shape[1])]
        mine = np.asarray(one.mine.any(0))
    return Known(moments, counts.sum(0), picks, mine)


def _views(x: Array) -> list[Array]:
    """Return real numbers of entries, as the compiled pass does."""
    if x.dtype.kind == "c":
        wide = x.astype(np.complex128)
        return [wide.real, wide.imag, np.abs(wide)]
    return [x.astype(np.float64)]


def _counts(block: Looked) -> Array:
    """Return how many entries of a block are 0, NaN, infinite."""
    x = _views(block.rest)[-1]
    some = np.array([(x == 0).sum(), np.isnan(x).sum(), np.isinf(x).sum()])
    some[: len(block.counts)] += block.counts.sum(1, dtype=np.int64)
    return some


def _moments(block: Looked, count: int) -> Array:
    """Return the moments of a block, a row for each view of its entries."""
    rest = _views(block.rest)
    ok = np.isfinite(rest[-1])
    n = max(count, 1)
    rows: list[Any] = []
    for x, lanes, (shift, unit) in zip(rest, block.sums, block.middle, strict=True):
        shift, unit, x = float(shift), float(unit), x[ok]
        d = (x - shift) / unit
        powers = d, d**2, d**4
        off, s2, s4 = (
            (lane.sum(dtype=np.float64) + power.sum()) / n
            for lane, power in zip(lanes, powers, strict=False)
        )
        second = max(s2 - off**2, 0.0)
        fourth = max(s4 - 6 * off**2 * second - off**4, 0.0)  # if symmetric
        low = min(lanes[3].min(initial=np.inf), x.min(initial=np.inf))
        high = max(lanes[4].max(initial=-np.inf), x.max(initial=-np.inf))
        scaled = shift + unit * off, unit**2 * second, unit**4 * fourth
        rows.append([count, *scaled, low, high])
    return np.array(rows, np.float64)


def _pooled(rows: Array) -> Array:
    """Return the moments of blocks as those of one."""
    if len(rows) == 1:
        return rows[0]
    n, mean, second, fourth, low, high = np.moveaxis(rows, -1, 0)
    total = np.maximum(n.sum(0), 1)
    whole = (n * mean).sum(0) / total
    off = np.where(n > 0, mean - whole, 0)
    return np.stack(
        [
            n.sum(0),
            whole,
            (n * (second + off**2)).sum(0) / total,
            (n * (fourth + 6 * off**2 * second + off**4)).sum(0) / total,
            low.min(0, initial=math.inf),
            high.max(0, initial=-math.inf),
        ],
        -1,
    )


def together(rows: Sequence[Known]) -> Known:
    """Return what several processes know of one weight."""
    moments, counts, picks, mine = (
        np.stack(column) for column in zip(*rows, strict=True)
    )
    chosen = picks[mine.argmax(0), np.arange(mine.shape[1])]
    return Known(_pooled(moments), counts.sum(0), chosen, np.asarray(mine.any(0)))


def of_all_processes(known: Sequence[Known]) -> list[list[Known]]:
    """Return what each process knows, for each weight."""
    flat = [x for one in known for x in one]
    own = np.concatenate([np.frombuffer(x.tobytes(), np.uint8) for x in flat])
    every: list[list[Known]] = [[] for _ in known]
    for row in np.asarray(multihost_utils.process_allgather(own)):
        cuts = np.split(row, np.cumsum([x.nbytes for x in flat])[:-1])
        arrays = [
            np.frombuffer(cut.tobytes(), x.dtype).reshape(x.shape)
            for cut, x in zip(cuts, flat, strict=True)
        ]
        for i, rows in enumerate(every):
            rows.append(Known(*arrays[4 * i : 4 * i + 4]))
    return every
