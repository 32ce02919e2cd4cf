"""Arrays born where they belong: `out_sharding` for every law."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from .._errors import Refused


class Placement(NamedTuple):
    """A sharding, and the axes of the current mesh that are explicit in types."""

    sharding: NamedSharding
    explicit: tuple[str, ...]


def resolve(
    out_sharding: Any, shape: tuple[int, ...], name: str = "out_sharding"
) -> Placement:
    """Return where the array goes, or refuse what does not fit the shape."""
    mesh = jax.sharding.get_abstract_mesh()
    if isinstance(out_sharding, PartitionSpec):
        if mesh.empty:
            raise Refused(
                f"{name}={out_sharding} has no mesh; call under "
                "jax.set_mesh(mesh), or give NamedSharding(mesh, spec)."
            )
        out_sharding = NamedSharding(mesh, out_sharding)
    if not isinstance(out_sharding, NamedSharding):
        raise Refused(
            f"{name} must be a NamedSharding, a PartitionSpec or None, got "
            f"{type(out_sharding).__name__}; give one of them.",
            TypeError,
        )
    if len(out_sharding.spec) > len(shape):
        raise Refused(
            f"{name}={out_sharding.spec} names {len(out_sharding.spec)} axes; "
            f"give at most {len(shape)}."
        )
    try:
        out_sharding.shard_shape(shape)
    except ValueError as error:
        raise Refused(
            f"{name}={out_sharding.spec} does not divide the shape "
            f"({error}); give a spec that does."
        ) from None
    kinds = () if mesh.empty else zip(mesh.axis_names, mesh.axis_types, strict=True)
    explicit = tuple(name for name, kind in kinds if kind == AxisType.Explicit)
    return Placement(out_sharding, explicit)


def place(
    run: Callable[..., jax.Array], placement: Placement, elementwise: bool
) -> Callable[..., jax.Array]:
    """Return `run` compiled, with its array placed.

    An elementwise law is computed in its shards. A law that factorizes a matrix is
    computed once and then placed: the factors must not depend on the mesh, and
    factorizations on several simulated CPU devices at once can wait for each other.
    """
    sharding, explicit = placement
    if not elementwise:
        compute, move = jax.jit(run), _mover(placement)
        return lambda *args: move(compute(*args))
    if explicit:
        return jax.jit(
            jax.sharding.auto_axes(run, axes=explicit, out_sharding=sharding)
        )
    return jax.jit(run, out_shardings=sharding)


def placed(x: jax.Array, sharding: Any) -> jax.Array:
    """Return an array where it belongs, traced or not."""
    return _mover(resolve(sharding, x.shape))(x)


def _mover(placement: Placement) -> Callable[[jax.Array], jax.Array]:
    if placement.explicit:
        return functools.partial(jax.sharding.reshard, out_shardings=placement.sharding)
    return jax.jit(_identity, out_shardings=placement.sharding)


def _identity(x: jax.Array) -> jax.Array:
    return x
