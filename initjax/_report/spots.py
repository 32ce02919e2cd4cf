"""Which entries of a weight are looked at one by one."""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import numpy as np

Shape = tuple[int, ...]
Array = np.ndarray[Any, Any]

PREFIX = 1024  # first entries, by which weights are compared with each other
SAMPLE = 4096  # entries spread over the weight
SPREAD = 96  # slices of an axis at even distances, so that halves and thirds meet
NEXT = 32  # and the first ones, so that neighbours do
ENTRIES = 64  # that are compared of a slice
FEWEST = 8  # entries of a slice that are worth a comparison


class Spots(NamedTuple):
    """Places in a weight, as flat indices in row-major order.

    Attributes:
        prefix: The first entries.
        sample: Entries spread over all of it, in order.
        slices: By axis, a row of entries of each of some slices along it: the rows of
            a matrix for axis 0, its columns for axis 1.
    """

    prefix: Array
    sample: Array
    slices: dict[int, Array]

    @property
    def every(self) -> Array:
        """All of them in one."""
        return np.concatenate(
            [self.prefix, self.sample, *(x.ravel() for x in self.slices.values())]
        )

    def divided(self, values: Array) -> tuple[Array, Array, dict[int, Array]]:
        """Return the values at `every` as prefix, sample and slices."""
        cut = len(self.prefix), len(self.prefix) + len(self.sample)
        prefix, sample, rest = values[: cut[0]], values[slice(*cut)], values[cut[1] :]
        rows: dict[int, Array] = {}
        for axis, like in self.slices.items():
            rows[axis] = rest[: like.size].reshape(like.shape)
            rest = rest[like.size :]
        return prefix, sample, rows


@functools.lru_cache(maxsize=512)
def spots(shape: Shape) -> Spots:
    """Return the places of a shape that is not empty, always the same."""
    n = math.prod(shape)
    axes = [a for a, size in enumerate(shape) if size > 1 and n // size >= FEWEST]
    return Spots(
        np.arange(min(n, PREFIX)),
        _spread(n, SAMPLE),
        {axis: _slices(shape, axis) for axis in axes},
    )


def _spread(n: int, most: int) -> Array:
    """Return places at uneven distances, so that no period of an array meets them."""
    if n <= most:
        return np.arange(n)
    offset = np.random.default_rng(0).random(most)
    return np.unique(((np.arange(most) + offset) * (n / most)).astype(np.int64))


def _slices(shape: Shape, axis: int) -> Array:
    size = shape[axis]
    if size <= NEXT + SPREAD:
        chosen = np.arange(size)
    else:
        even = np.arange(SPREAD) * size // SPREAD
        chosen = np.unique(np.concatenate([np.arange(NEXT), even]))
    others = (*shape[:axis], *shape[axis + 1 :])
    entry = np.unravel_index(_spread(math.prod(others), ENTRIES), others)
    index = [*(i[None, :] for i in entry)]
    index.insert(axis, chosen[:, None])
    return np.ravel_multi_index(np.broadcast_arrays(*index), shape)
