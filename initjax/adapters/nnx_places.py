"""Where the variables of an NNX model live: by their own partitioning, on a mesh."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any, cast

import jax
from flax import nnx
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec, Sharding

from .._engine.placing import bound
from .._errors import Refused, shown
from .._rules.paths import clean_path
from .._rules.roots import whole

Path = tuple[Any, ...]


def given(mesh: Any) -> Mesh | None:
    """Return the mesh that is given, or else in use."""
    if mesh is None or isinstance(mesh, Mesh):
        return mesh or _current()
    raise Refused(
        f"mesh must be a jax.sharding.Mesh, got {shown(mesh)}; give "
        "jax.make_mesh(shape, names).",
        TypeError,
    )


def named(model: Any) -> Mesh | None:
    """Return the mesh that a variable of a model names."""
    return next(filter(None, map(_mesh_named, _variables(model))), None)


def calm(mesh: Mesh | None, model: Any) -> Mesh | None:
    """Return the mesh to build a model under, so that arrays are born in shards.

    What is computed under a mesh of explicit axes has a type that is whole until it is
    resharded, and so it is whole on every device. Models that ask for such types need
    the mesh as it is; variables that name a mesh need none in use.
    """
    if any(map(_mesh_named, _variables(model))):
        return None
    is_explicit = mesh is not None and AxisType.Explicit in mesh.axis_types
    if mesh is None or not is_explicit or _asks_types(model):
        return mesh
    return Mesh(mesh.devices, mesh.axis_names, (AxisType.Auto,) * mesh.devices.ndim)


def in_use(mesh: Mesh | None) -> Any:
    """Put a mesh in use, for models that ask for it; older JAX has no way to."""
    enter = getattr(jax, "set_mesh", None)
    if enter is None or mesh is None or mesh == _current():
        return contextlib.nullcontext()
    return enter(mesh)


def _current() -> Mesh | None:
    sharding = whole()
    return cast("Mesh", sharding.mesh) if isinstance(sharding, NamedSharding) else None


def _variables(model: Any) -> list[Any]:
    return jax.tree.leaves(nnx.state(model), is_leaf=_is_variable)


def _is_variable(x: Any) -> bool:
    return isinstance(x, nnx.Variable)


def _mesh_named(variable: Any) -> Mesh | None:
    asked = _partitioning(variable)
    if isinstance(asked, NamedSharding):
        return cast("Mesh", asked.mesh)
    return _metadata(variable).get("mesh")


def _asks_types(model: Any) -> bool:
    return any(any(_typed(x)) for x in jax.tree.leaves(nnx.state(model)))


def _typed(x: Any) -> PartitionSpec:
    """Return how the type of an array says that it is spread."""
    sharding = getattr(x, "sharding", None)
    return sharding.spec if isinstance(sharding, NamedSharding) else PartitionSpec()


def _metadata(variable: Any) -> Mapping[str, Any]:
    """Return what a variable says of itself; a bare array says nothing."""
    return variable.get_metadata() if _is_variable(variable) else {}


def _partitioning(variable: Any) -> Any:
    """Return the partitioning of a variable, as newer or older Flax calls it."""
    metadata = _metadata(variable)
    return metadata.get("out_sharding", metadata.get("sharding_names"))


def places(state: Any, home: Mesh | None) -> list[Sharding | None]:
    """Return where the leaves of a state go."""
    rows = jax.tree_util.tree_flatten_with_path(state, is_leaf=_is_variable)[0]
    return [
        place(clean_path(path), variable, x, home)
        for path, variable in rows
        for x in jax.tree.leaves(variable)
    ]


def place(path: Path, variable: Any, x: Any, home: Mesh | None) -> Sharding | None:
    """Return where an array of a variable goes, or lives."""
    if isinstance(x, jax.Array):
        return bound(x)
    asked = _asked(variable, x)
    if isinstance(asked, Sharding):
        return asked
    if home is None:
        return bound(x)
    for axis in jax.tree.leaves(tuple(asked)):
        if axis not in home.axis_names:
            raise Refused(
                f"{'/'.join(map(str, path))!r} is partitioned over {axis!r}, and the "
                f"mesh has {home.axis_names}; give a mesh that has it, or say by "
                "nnx.logical_axis_rules which of its axes it is."
            )
    return NamedSharding(home, asked)


def _asked(variable: Any, x: Any) -> PartitionSpec | Sharding:
    """Return the partitioning that a variable, or the type of its array, asks for."""
    asked = _partitioning(variable)
    if isinstance(asked, Sharding):
        return asked
    if asked:
        return jax.tree.leaves(nnx.get_partition_spec(variable))[0]
    return _typed(x)


def check_whole(model: Any) -> None:
    """Refuse a model that is partitioned where there is no mesh."""
    for path, variable in nnx.to_flat_state(nnx.state(model)):
        asked = _partitioning(variable)
        if asked:
            raise Refused(
                f"{'/'.join(map(str, path))!r} is partitioned by {asked}, and there is "
                "no mesh; give mesh=, or call under jax.set_mesh(mesh)."
            )
