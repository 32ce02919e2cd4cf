"""Arrays that are spread over CPU devices: what of the flat index each device holds."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Sharding

Shape = tuple[int, ...]

# entries of the flat index that lie together: fewer cost more to copy than to draw
_SHORTEST_RUN = 1024
_SHORTEST_AXIS = 8  # that is looped over as a long one is


class Shard(NamedTuple):
    """What some devices hold of an array: runs of its row-major index, one by one.

    Attributes:
        shape: Of the part.
        starts: Where its runs begin in the whole array.
        run: The entries of each.
        devices: All that hold it.
    """

    shape: Shape
    starts: tuple[int, ...]
    run: int
    devices: Sequence[Any]


@functools.lru_cache(maxsize=1024)
def shards_of(sharding: Sharding, shape: Shape) -> tuple[Shard, ...]:
    """Return the parts that devices hold, equal ones once."""
    holders: dict[Any, list[Any]] = {}
    for device, index in sharding.devices_indices_map(shape).items():
        bounds = tuple(
            part.indices(size)[:2] for part, size in zip(index, shape, strict=True)
        )
        holders.setdefault(bounds, []).append(device)
    return tuple(_shard(shape, *one) for one in holders.items())


def _shard(
    shape: Shape, bounds: Sequence[tuple[int, int]], devices: Sequence[Any]
) -> Shard:
    part = tuple(high - low for low, high in bounds)
    cut = max((i for i, n in enumerate(shape) if part[i] != n), default=0)
    starts = np.zeros(1, np.int64)
    for axis, (low, high) in enumerate(bounds[: cut + 1]):
        steps = np.arange(low, high if axis < cut else low + 1)
        starts = np.add.outer(starts, steps * math.prod(shape[axis + 1 :])).ravel()
    return Shard(part, tuple(starts.tolist()), math.prod(part[cut:]), devices)


def have_long_runs(sharding: Sharding, shape: Shape) -> bool:
    """Tell whether devices hold enough in a row for blocks."""
    try:
        shards = shards_of(sharding, shape)
    except ValueError:  # it does not fit, which JAX says when it is lowered
        return False
    return all(
        shard.shape[-1:] >= (_SHORTEST_AXIS,)
        and (shard.run >= _SHORTEST_RUN or len(shard.starts) == 1)
        for shard in shards
    )


def joined(
    shape: Shape, sharding: Sharding, parts: Sequence[np.ndarray[Any, Any]]
) -> jax.Array:
    """Return an array of what its devices hold; each has a buffer of its own."""
    arrays: list[Any] = []
    for shard, part in zip(shards_of(sharding, shape), parts, strict=True):
        first, *others = shard.devices
        arrays.append(jax.device_put(part, first))
        arrays += [jax.device_put(part.copy(), device) for device in others]
    return jax.make_array_from_single_device_arrays(shape, sharding, arrays)
