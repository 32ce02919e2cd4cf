"""Decide where every output lives, as `jax.jit` would for the whole function."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
from jax.core import Tracer
from jax.sharding import (
    Mesh,
    NamedSharding,
    PartitionSpec,
    Sharding,
    SingleDeviceSharding,
)

from .hostkeys import HostKeys
from .outline import Piece
from .trace import Graph, Input, Node

Order = tuple[Sharding | None, ...]


class Undecided(Exception):
    """The placement is for `jax.jit` to decide, or to refuse; the message says why."""


def asked(sharding: Sharding | None) -> Sharding | None:
    """Return a sharding if it names devices, not only the axes of a type."""
    if isinstance(sharding, NamedSharding) and not isinstance(sharding.mesh, Mesh):
        return None
    return sharding


def place(
    graph: Graph,
    pieces: Sequence[Piece],
    host: HostKeys,
    wanted: Order,
    given: Order,
) -> Order:
    """Return the sharding of every output; None leaves it to the compiler.

    All outputs of one jitted function live on one set of devices. One that asks for
    nothing is replicated over the devices that the others, the arguments or the mesh in
    use name; one that is computed from placed arguments follows them.

    Args:
        graph: The whole function.
        pieces: What it is cut into.
        host: What the host reads of the arguments.
        wanted: The sharding that is asked for each output.
        given: The sharding that each argument is bound to.
    """
    for _, index in host.inputs:
        if not _is_readable(given[index]):
            raise Undecided("the keys are spread over several processes")
    read = [index for _, index in host.inputs]
    read += [a.index for p in pieces for a in p.leaves if isinstance(a, Input)]
    known = [s for s in (*wanted, *(given[i] for i in read), _mesh_in_use()) if s]
    known += [s for node in graph.nodes for s in _constraint(node)]
    if len({frozenset(s.device_set) for s in known}) > 1:
        raise Undecided("outputs and arguments name different devices")
    home = _replicated(known[0]) if known else None
    order = list(wanted)
    for piece in pieces:
        follows = any(isinstance(a, Input) and given[a.index] for a in piece.leaves)
        follows = follows or any(map(_constraint, piece.nodes))
        for spot in piece.places:
            if order[spot] is None and not follows:
                order[spot] = home
    return tuple(order)


def bound(argument: Any) -> Sharding | None:
    """Return the sharding that an argument, or its description, is bound to.

    That of a traced array is for the compiler to decide.
    """
    if isinstance(argument, jax.ShapeDtypeStruct):
        return asked(argument.sharding)
    if isinstance(argument, Tracer) or not getattr(argument, "committed", False):
        return None
    return argument.sharding


def on_devices(sharding: NamedSharding) -> NamedSharding:
    """Return a sharding on the devices of the mesh in use, if it names only axes."""
    if isinstance(sharding.mesh, Mesh):
        return sharding
    whole: Any = _mesh_in_use()
    return NamedSharding(whole.mesh, sharding.spec)


def _is_readable(sharding: Sharding | None) -> bool:
    return (
        sharding is None
        or sharding.is_fully_addressable
        or sharding.is_fully_replicated
    )


def _mesh_in_use() -> Sharding | None:
    """Return the whole of the mesh that `jax.set_mesh` has put in use."""
    if jax.sharding.get_abstract_mesh().empty:
        return None
    if not hasattr(jax, "set_mesh"):
        raise Undecided("a mesh is in use, which this JAX cannot put aside")
    traced = jax.jit(lambda: 0, out_shardings=PartitionSpec()).trace()
    return asked(traced.out_info.sharding)


def _constraint(node: Node) -> list[Sharding]:
    """Return the sharding that a node imposes on its result, if any."""
    if node.name != "sharding_constraint":
        return []
    sharding = asked(node.params.get("sharding"))
    return [] if sharding is None else [sharding]


def _replicated(sharding: Sharding) -> Sharding:
    """Return the sharding that keeps a whole copy on each of the same devices."""
    if len(sharding.device_set) == 1:
        return SingleDeviceSharding(next(iter(sharding.device_set)))
    if isinstance(sharding, NamedSharding):
        return NamedSharding(sharding.mesh, PartitionSpec())
    raise Undecided(f"an argument is placed by {type(sharding).__name__}")
