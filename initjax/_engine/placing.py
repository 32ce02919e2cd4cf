"""Decide where every output lives, as `jax.jit` would for the whole function."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from itertools import chain
from typing import Any

import jax
from jax.core import Tracer
from jax.sharding import (
    AxisType,
    Mesh,
    NamedSharding,
    PartitionSpec,
    Sharding,
    SingleDeviceSharding,
)

from .._errors import Refused
from .hostkeys import HostKeys
from .jaxprs import every
from .keys import is_key
from .outline import Piece
from .trace import Atom, Graph, Input, Node

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
    use name, unless a sharding can reach it: the compiler spreads what it is computed
    from, or with.

    Args:
        graph: The whole function.
        pieces: What it is cut into.
        host: What the host reads of the arguments.
        wanted: The sharding that is asked for each output.
        given: The sharding that each argument is bound to.
    """
    _check_arguments(graph, pieces, host, wanted, given)
    imposed = [[s for n in piece.nodes for s in _constraints(n)] for piece in pieces]
    home = _home([*wanted, *_read(pieces, host, given), *chain(*imposed)])
    order = [
        sharding or _of_type(atom.aval, home)
        for sharding, atom in zip(wanted, graph.outputs, strict=True)
    ]
    tokens = _shared(pieces, host)
    seeds = {
        i
        for i, piece in enumerate(pieces)
        if imposed[i] or any(_is_spread(order[place]) for place in piece.places)
    }
    reached = _reached(seeds, tokens)
    for i, piece in enumerate(pieces):
        for spot in piece.places:
            if order[spot] is None and i not in reached:
                order[spot] = home
            elif order[spot] is None and tokens[i]:
                raise Undecided("outputs without a sharding share data with others")
    return tuple(order)


def _check_arguments(
    graph: Graph,
    pieces: Sequence[Piece],
    host: HostKeys,
    wanted: Order,
    given: Order,
) -> None:
    """Raise where arguments are placed so that the compiler must see them together."""
    for _, index in host.inputs:
        if not _is_readable(given[index]):
            raise Undecided("the keys are spread over several processes")
    in_use = not jax.sharding.get_abstract_mesh().empty
    if not in_use and any(_is_explicit(atom.aval) for atom in graph.inputs):
        # JAX 0.10 rounds otherwise where types carry a mesh
        raise Undecided("an argument's type has a mesh that is not in use")
    if not any(map(_is_spread, _read(pieces, host, given))):
        return
    typed = any(_is_typed(atom.aval) for atom in graph.inputs)
    if typed or None in wanted:
        raise Undecided("an argument is spread over several devices")


def _read(pieces: Sequence[Piece], host: HostKeys, given: Order) -> Order:
    """Return where the arguments are that the pieces or the host read."""
    read = [index for _, index in host.inputs]
    read += [a.index for p in pieces for a in p.leaves if isinstance(a, Input)]
    return tuple(given[index] for index in read)


def _home(named: Iterable[Sharding | None]) -> Sharding | None:
    """Return the sharding that keeps a whole copy on every device that is named."""
    known = [s for s in (*named, _mesh_in_use()) if s]
    meshes = {s.mesh for s in known if isinstance(s, NamedSharding)}
    if len({frozenset(s.device_set) for s in known}) > 1 or len(meshes) > 1:
        raise Undecided("outputs and arguments name different devices")
    known.sort(key=lambda s: not isinstance(s, NamedSharding))
    return _replicated(known[0]) if known else None


def _shared(pieces: Sequence[Piece], host: HostKeys) -> list[set[Hashable]]:
    """Return what of each piece a sharding can come through: arrays, not numbers.

    Key arrays are derived from each other, so all of them are one.
    """

    def token(atom: Atom) -> Hashable:
        shape = atom.aval.shape
        if atom not in host.leaves:
            return atom if shape else None
        members = shape if is_key(atom.aval) else shape[:-1]
        return "keys" if members else None

    taken = [{token(a) for a in piece.leaves} - {None} for piece in pieces]
    everything: set[Hashable] = set().union(*taken)
    return [
        found | (everything & set(piece.results))
        for found, piece in zip(taken, pieces, strict=True)
    ]


def _reached(seeds: set[int], tokens: Sequence[set[Hashable]]) -> set[int]:
    """Return the pieces that share something with the seeds, or with such pieces."""
    reached: set[int] = set()
    more = seeds
    while more:
        reached |= more
        touched: set[Hashable] = set().union(*(tokens[i] for i in more))
        more = {i for i, t in enumerate(tokens) if t & touched} - reached
    return reached


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
    try:
        whole = _mesh_in_use()
    except (RuntimeError, Undecided):  # what there is depends on the version of JAX
        whole = None
    if not isinstance(whole, NamedSharding):
        raise Refused(
            "the mesh in use has no devices; use one that has, by jax.set_mesh(mesh)."
        )
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


# the parameters of primitives that say where their results live
_PLACES = frozenset(
    {"sharding", "dst_sharding", "in_shardings", "out_shardings", "devices"}
)


def _constraints(node: Node) -> list[Sharding]:
    """Return the shardings that a node imposes on its results, at any depth."""
    found: list[Sharding] = []
    for equation in every([node.equation]):
        for name in _PLACES.intersection(equation.params):
            values = equation.params[name]
            for value in values if isinstance(values, (tuple, list)) else (values,):
                if isinstance(value, Sharding) and asked(value):
                    found.append(value)
    return found


def _is_spread(sharding: Sharding | None) -> bool:
    return sharding is not None and not sharding.is_fully_replicated


def _is_typed(aval: Any) -> bool:
    """Tell whether a value's type says along which axes of a mesh it is spread."""
    return any(axes is not None for axes in aval.sharding.spec)


def _is_explicit(aval: Any) -> bool:
    """Tell whether a value's type names a mesh whose axes are explicit."""
    return AxisType.Explicit in aval.sharding.mesh.axis_types


def _of_type(aval: Any, home: Sharding | None) -> Sharding | None:
    """Return the sharding that a value's type asks for, on the devices of `home`."""
    if not _is_typed(aval):
        return None
    if not isinstance(home, NamedSharding):
        raise Undecided("types are spread over a mesh that no argument names")
    return NamedSharding(home.mesh, aval.sharding.spec)


def _replicated(sharding: Sharding) -> Sharding:
    """Return the sharding that keeps a whole copy on each of the same devices."""
    if isinstance(sharding, NamedSharding):
        return NamedSharding(sharding.mesh, PartitionSpec())
    if len(sharding.device_set) == 1:
        return SingleDeviceSharding(next(iter(sharding.device_set)))
    raise Undecided(f"an argument is placed by {type(sharding).__name__}")
