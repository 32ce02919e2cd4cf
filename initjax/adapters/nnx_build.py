"""NNX models built of shapes, and of arrays that are born where they belong."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.sharding import Mesh, NamedSharding

from .._engine.jit_init import jit_init
from .._rules.roots import root_of
from .nnx_places import given, in_use, named

Maker = Callable[[jax.Array], Any]  # of a key, to the model


def shapes_of(maker: Maker, mesh: Any) -> tuple[Any, Mesh | None]:
    """Return the model with shapes in place of arrays, and the mesh that it is for."""
    quiet = getattr(nnx, "use_eager_sharding", None)  # of Flax from 0.12 on
    home = given(mesh)
    with in_use(home), contextlib.nullcontext() if quiet is None else quiet(False):
        parts = jax.eval_shape(lambda: nnx.split(maker(jax.random.key(0))))
        shapes = nnx.merge(*parts)
    return shapes, home or named(shapes)


def built(
    maker: Maker,
    key: jax.Array,
    mesh: Mesh | None,
    homes: list[Any],
    made: Mapping[int, Any],
) -> Any:
    """Return the model: the arrays that are made already, and those of its own.

    Args:
        maker: What builds the model.
        key: Its key.
        mesh: What it is built under; its devices are those of the homes.
        homes: Where its arrays go, the weights first.
        made: What is made of them, by place.
    """
    own = [place for place in range(len(homes)) if place not in made]
    kept: list[Any] = []

    def leaves(key: jax.Array) -> list[Any]:
        graphdef, *states = nnx.split(maker(key), nnx.Param, ...)
        values, structure = jax.tree.flatten(states)
        kept[:] = graphdef, structure
        return [values[place] for place in own]

    wanted = [homes[place] for place in own]
    born = [NamedSharding(mesh, home.spec) for home in wanted] if mesh else wanted
    with in_use(mesh):
        arrays = jit_init(leaves, out_shardings=born)(_key_under(mesh, key))
    if born != wanted:
        arrays = list(map(_relabelled, arrays, wanted))
    graphdef, structure = kept
    values = {**made, **dict(zip(own, arrays, strict=True))}
    states = jax.tree.unflatten(structure, [values[i] for i in range(len(homes))])
    return nnx.merge(graphdef, *states)


def _key_under(mesh: Mesh | None, key: jax.Array) -> jax.Array:
    """Return a key whose type has the mesh in use, not the one it was made under."""
    root = root_of(key)
    if mesh is None or root.words is None:
        return key
    return jax.random.wrap_key_data(jnp.asarray(root.words), impl=root.kind.impl)


def _relabelled(x: jax.Array, sharding: NamedSharding) -> jax.Array:
    """Return an array by another mesh of its devices; nothing is copied."""
    shards = [shard.data for shard in x.addressable_shards]
    return jax.make_array_from_single_device_arrays(x.shape, sharding, shards)
