"""The compiled pass over a block of a weight: sums, counts, some entries."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from .spots import spots

Shape = tuple[int, ...]
View = Callable[[Any], Any]

LANES = 1024  # sums side by side, so that each is of few entries, and fast
_BLOCK = "block"


class Looked(NamedTuple):
    """What a pass gives, a row for each block.

    Attributes:
        middle: For each view of the entries: the number they are measured from, and the
            unit.
        sums: For each view sums of 1st, 2nd and 4th powers, the least and the greatest:
            of every lane, the entries at one distance from each other.
        counts: Zeros, and if careful NaNs and infinities, of every lane.
        rest: The entries after the last whole row of lanes.
        picks: The entries at the spots of the weight, some value where a block has not
            the spot.
    """

    middle: Any
    sums: Any
    counts: Any
    rest: Any
    picks: Any


def _views(dtype: Any) -> Sequence[View]:
    """Return real numbers of the entries: themselves, or both parts and the modulus."""
    if jnp.issubdtype(dtype, jnp.complexfloating):
        return jnp.real, jnp.imag, jnp.abs
    is_wide = jnp.finfo(dtype).bits > 32 if jnp.issubdtype(dtype, jnp.floating) else 0
    return (lambda x: x.astype(jnp.float64 if is_wide else jnp.float32),)


@functools.partial(jax.jit, static_argnames=("careful", "loops"))
def look(x: jax.Array, *, careful: bool, loops: bool) -> Looked:
    """Look at a whole array; what is not finite is found, and counted if careful."""
    index = np.unravel_index(spots(x.shape or (1,)).every, x.shape or (1,))
    picks = _at(x.reshape(x.shape or (1,)), index)
    middle = _middle(picks)
    sums = _sums(x, middle, careful=careful, loops=loops)
    return Looked(*(y[None] for y in (middle, *sums, picks)))


def side_by_side(blocks: Sequence[jax.Array]) -> tuple[jax.Array, Mesh]:
    """Return blocks on devices of their own as one array, each where it is."""
    devices = [next(iter(block.devices())) for block in blocks]
    mesh = Mesh(devices, (_BLOCK,))
    first, *rest = blocks[0].shape
    shape, spec = (len(blocks) * first, *rest), PartitionSpec(_BLOCK)
    place = NamedSharding(mesh, spec)
    return jax.make_array_from_single_device_arrays(shape, place, [*blocks]), mesh


@functools.partial(jax.jit, static_argnames=("mesh", "whole", "careful", "loops"))
def look_on_mesh(
    blocks: jax.Array,
    *,
    mesh: Mesh,
    whole: Shape,
    careful: bool,
    loops: bool,
) -> Looked:
    """Look at blocks of an array of the shape `whole`, each on its device."""
    index = np.stack(np.unravel_index(spots(whole).every, whole)).astype(np.int32)

    def of_one(block: Any) -> Looked:
        sizes = np.array(block.shape, np.int32)[:, None]
        picks = _at(block, tuple(index % sizes))
        middle = _middle(picks)
        sums = _sums(block, middle, careful=careful, loops=loops)
        return Looked(*(y[None] for y in (middle, *sums, picks)))

    spec = PartitionSpec(_BLOCK)
    run = jax.shard_map(of_one, mesh=mesh, in_specs=spec, out_specs=spec)
    return run(blocks)


@functools.partial(jax.jit, static_argnames="careful")
def look_at_part(x: Any, middle: Any, *, careful: bool) -> tuple[Any, Any, Any]:
    """Return sums, counts and rest of a part of an array of NumPy."""
    return _sums(jnp.asarray(x), middle, careful=careful, loops=True)


def _at(x: jax.Array, index: Any) -> jax.Array:
    return x.at[tuple(jnp.asarray(i, jnp.int32) for i in index)].get(
        mode="promise_in_bounds"
    )


def _middle(picks: jax.Array) -> jax.Array:
    """Return about the mean and the spread of each view of entries."""
    rows: list[jax.Array] = []
    for view in _views(picks.dtype):
        x = view(picks)
        ok = jnp.isfinite(x)
        n = jnp.maximum(ok.sum(), 1).astype(x.dtype)
        mean = jnp.where(ok, x, 0).sum() / n
        spread = jnp.where(ok, jnp.abs(x - mean), 0).sum() / n
        rows.append(jnp.stack([mean, jnp.where(spread > 1e-30, spread, 1)]))
    return jnp.stack(rows)


middle_of = jax.jit(_middle)


def _sums(
    x: jax.Array, middle: Any, *, careful: bool, loops: bool
) -> tuple[jax.Array, jax.Array, jax.Array]:
    flat = x.reshape(-1)
    rows = flat.size // LANES
    rest = flat[rows * LANES :]
    views = _views(x.dtype)
    counts = 3 if careful else 1
    if not rows:
        none = jnp.zeros((len(views), 5, 0), middle.dtype)
        return none, jnp.zeros((counts, 0), jnp.uint32), rest
    sums: list[jax.Array] = []
    for view, (shift, unit) in zip(views, middle, strict=True):
        terms = functools.partial(_terms, view, shift, 1 / unit, careful)
        total = _total(flat, rows, terms, loops)
        sums.append(jnp.stack(total[:5]))
    return jnp.stack(sums), jnp.stack(total[5:]), rest  # pyright: ignore[reportPossiblyUnboundVariable]  # there is a view


def _terms(view: View, shift: Any, rate: Any, careful: bool, x: Any) -> Any:
    """Return what is added up, or the least and greatest of, for each entry."""
    x = view(x)
    low = high = x
    counts = [x == 0]
    if careful:
        ok = jnp.isfinite(x)
        low, high = jnp.where(ok, x, jnp.inf), jnp.where(ok, x, -jnp.inf)
        nan = jnp.isnan(x)
        counts += [nan, ~ok & ~nan]
        x = jnp.where(ok, x, shift)
    d = (x - shift) * rate
    return (
        d,
        d * d,
        (d * d) * (d * d),
        low,
        high,
        *(c.astype(jnp.uint32) for c in counts),
    )


def _joined(a: Any, b: Any) -> Any:
    sums = (x + y for x, y in zip(a[:3], b[:3], strict=True))
    # unlike min and max these let NaN go by; the sums have it
    low, high = jnp.where(b[3] < a[3], b[3], a[3]), jnp.where(b[4] > a[4], b[4], a[4])
    counts = (x + y for x, y in zip(a[5:], b[5:], strict=True))
    return (*sums, low, high, *counts)


def _total(flat: jax.Array, rows: int, terms: Callable[[Any], Any], loops: bool) -> Any:
    """Add up the terms of rows of lanes."""
    if not loops:
        each = terms(flat[: rows * LANES].reshape(rows, LANES))
        ends = [0, 0, 0, np.inf, -np.inf, *(0,) * (len(each) - 5)]
        start = [np.asarray(end, x.dtype) for end, x in zip(ends, each, strict=True)]
        return lax.reduce(each, tuple(start), _joined, (0,))

    def row(i: Any) -> Any:  # on the CPU: one pass that stays in the cache
        return terms(lax.dynamic_slice(flat, (i * np.uint32(LANES),), (LANES,)))

    def join(i: Any, total: Any) -> Any:
        return _joined(total, row(i))

    return lax.fori_loop(np.uint32(1), np.uint32(rows), join, row(np.uint32(0)))
