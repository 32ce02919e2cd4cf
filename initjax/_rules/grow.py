"""Arrays that have become longer along an axis: the old entries, and new ones."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jax.sharding import NamedSharding, PartitionSpec, Sharding

from .._engine.placing import bound
from .._errors import Refused, shown
from ..laws.haar import matmul
from ..laws.random import RandomNormal
from .init_tree import Order, make, placed_at
from .paths import Leaf
from .recipe import placed_run
from .roots import root_of

Shape = tuple[int, ...]
Grow = Literal["rows", "mean"] | None

SPREAD = 1e-9  # of the covariance of new rows to that of the old ones


def check_grow(grow: Any) -> None:
    """Refuse what is no way to grow."""
    if grow is not None and (not isinstance(grow, str) or grow not in ("rows", "mean")):
        raise Refused(f"grow must be 'rows', 'mean' or None, got {shown(grow)}.")


def grown_axis(old: Shape, new: Shape) -> int | None:
    """Return the axis along which a shape is longer and else alike, if any is so."""
    if len(old) != len(new):
        return None
    axes = [i for i, (a, b) in enumerate(zip(old, new, strict=True)) if a != b]
    return axes[0] if len(axes) == 1 and old[axes[0]] < new[axes[0]] else None


def at_home(leaf: Leaf, old: Any) -> Leaf:
    """Return a leaf that lives where the old array does, if nothing else says."""
    sharding = bound(old)
    if leaf.sharding is not None or sharding is None:
        return leaf
    if isinstance(sharding, NamedSharding):
        try:
            return leaf._replace(sharding=placed_at(sharding, leaf))
        except Refused:  # it does not divide the new length
            sharding = NamedSharding(sharding.mesh, PartitionSpec())
    return leaf._replace(sharding=sharding)


def make_grown(
    order: Order, key: Any, grow: Grow, olds: Mapping[int, Any]
) -> dict[int, Any]:
    """Return the arrays of an order by their place, those of `olds` grown."""
    pairs = list(zip(order.rows, order.jobs, strict=True))
    means = [(row, job) for row, job in pairs if row.leaf.place in olds]
    if grow == "rows" or not means:
        made = make(order, key, None, "missing")
        return made | {place: _joined(made[place], old) for place, old in olds.items()}
    new = [(row, job) for row, job in pairs if row.leaf.place not in olds]
    new_order = Order(order.tree, [row for row, _ in new], [job for _, job in new])
    root = root_of(key)
    keys = root.keys([row.stream for row, _ in means])
    made = make(new_order, key, None, "missing")
    for (row, job), mine in zip(means, keys, strict=True):
        old, home = olds[row.leaf.place], job.sharding or root.home
        made[row.leaf.place] = _extended(row.leaf, mine, old, home)
    return made


def _joined(fresh: Any, old: Any) -> Any:
    """Return a fresh array with the old one at its beginning."""
    placed = not isinstance(fresh, Tracer) and fresh.committed
    home = fresh.sharding if placed else None
    return _joiner(home)(fresh, _beside(old, home))


@functools.cache
def _joiner(home: Sharding | None) -> Callable[..., jax.Array]:
    def join(fresh: Any, old: Any) -> jax.Array:
        return jax.lax.dynamic_update_slice(fresh, old, (0,) * fresh.ndim)

    return placed_run(join, home)


def _extended(leaf: Leaf, key: Any, old: Any, home: Sharding | None) -> Any:
    """Return an old array and new rows like the old ones, alike on every mesh."""
    axis = grown_axis(old.shape, leaf.shape)
    assert axis is not None  # as the caller has asked
    if not jnp.issubdtype(leaf.dtype, jnp.floating) or 0 in old.shape:
        raise Refused(
            f"{leaf.name!r}, {leaf.dtype}{list(old.shape)} in the checkpoint, has no "
            "mean to draw about; say grow='rows'."
        )
    whole = _whole(home)
    dtype = jnp.promote_types(old.dtype, jnp.float32)
    shape = (leaf.shape[axis] - old.shape[axis], old.shape[axis])
    with jax.disable_jit(False):
        weights = _beside(_normals(key, shape, dtype), whole)
        new = _mixer(whole, axis)(weights, _beside(old, whole))
    return _appender(home, axis)(_beside(old, home), new)


@functools.partial(jax.jit, static_argnums=(1, 2))
def _normals(key: Any, shape: Shape, dtype: Any) -> jax.Array:
    return RandomNormal(stddev=1.0)(key, shape, dtype)


@functools.cache
def _mixer(whole: Sharding | None, axis: int) -> Callable[..., jax.Array]:
    """Return what makes new rows, of normal weights of the old ones."""

    def mix(weights: Any, old: Any) -> jax.Array:
        first = jnp.moveaxis(old, axis, 0)
        rows = first.reshape(len(first), -1).astype(weights.dtype)
        mean = rows.mean(0, keepdims=True)
        mixed = matmul(weights, rows - mean)
        spread = (SPREAD / len(rows)) ** 0.5 * mixed
        new = (mean + spread).astype(old.dtype).reshape(-1, *first.shape[1:])
        return jnp.moveaxis(new, 0, axis)

    return placed_run(mix, whole)


@functools.cache
def _appender(home: Sharding | None, axis: int) -> Callable[..., jax.Array]:
    return placed_run(lambda old, new: jnp.concatenate([old, new], axis), home)


def _whole(home: Sharding | None) -> Sharding | None:
    if isinstance(home, NamedSharding):
        return NamedSharding(home.mesh, PartitionSpec())
    return home


def _beside(x: Any, home: Sharding | None) -> Any:
    """Return an array on the devices of a sharding; whole, if it is elsewhere."""
    if isinstance(x, jax.Array):
        if isinstance(x, Tracer) or home is None:
            return x
        if home != _whole(home) and x.sharding.device_set == home.device_set:
            return x
    return jax.device_put(x, _whole(home))
