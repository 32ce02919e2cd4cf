"""Arrays born where they belong: `out_sharding` for every law."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from ._errors import Refused


def resolve(out_sharding: Any, shape: tuple[int, ...]) -> NamedSharding:
    """Return a NamedSharding that fits the shape, or refuse."""
    if isinstance(out_sharding, PartitionSpec):
        mesh = jax.sharding.get_abstract_mesh()
        if mesh.empty:
            raise Refused(
                f"out_sharding={out_sharding} has no mesh; call under jax.set_mesh(mesh), "
                "or give NamedSharding(mesh, spec)."
            )
        out_sharding = NamedSharding(mesh, out_sharding)
    if not isinstance(out_sharding, NamedSharding):
        raise Refused(
            "out_sharding must be a NamedSharding, a PartitionSpec or None, got "
            f"{type(out_sharding).__name__}.",
            TypeError,
        )
    if len(out_sharding.spec) > len(shape):
        raise Refused(
            f"out_sharding={out_sharding.spec} names {len(out_sharding.spec)} axes; "
            f"give at most {len(shape)}."
        )
    return out_sharding


def place(
    run: Callable[..., jax.Array], sharding: NamedSharding, elementwise: bool
) -> Callable[..., jax.Array]:
    """Return `run` with its array placed.

    An elementwise law is computed in its shards. A law that factorizes a matrix is
    computed once and then placed: the factors must not depend on the mesh, and
    factorizations on several simulated CPU devices at once can wait for each other.
    """
    mesh = sharding.mesh
    explicit = {
        name
        for name, kind in zip(mesh.axis_names, mesh.axis_types, strict=True)
        if kind == AxisType.Explicit
    }
    if not elementwise:
        compute = jax.jit(run)
        return lambda *args: _move(compute(*args), sharding)
    if explicit:
        return jax.jit(
            jax.sharding.auto_axes(run, axes=explicit, out_sharding=sharding)
        )

    def constrained(*args: Any) -> jax.Array:
        return jax.lax.with_sharding_constraint(run(*args), sharding)

    constrained.__name__ = constrained.__qualname__ = run.__name__
    return jax.jit(constrained)


def _move(x: jax.Array, sharding: NamedSharding) -> jax.Array:
    if isinstance(x, jax.core.Tracer):
        return jax.lax.with_sharding_constraint(x, sharding)
    return jax.device_put(x, sharding)
