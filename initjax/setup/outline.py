"""Cut a graph into one small program per output, and find the programs that are equal.

Outputs that share real computation stay together; constants are copied. Two programs
are one if they differ in nothing but the keys and arrays that they take.
"""

from __future__ import annotations

import math
from collections.abc import Container, Hashable, Iterable, Sequence
from typing import Any, NamedTuple

from .canonical import canonical, equation_key
from .jaxprs import is_law
from .keys import is_key, kind_of
from .trace import Atom, Constant, Graph, Input, Node, Result

_LARGE = 1 << 16  # bytes of a closed-over array that is passed, not compiled in


class Piece(NamedTuple):
    """A program cut out for some outputs of the function.

    Attributes:
        nodes: What it computes, in order.
        leaves: What it takes: keys and their words, arguments, large constants.
        results: What it returns.
        places: Which outputs of the function these are.
        signature: Equal for pieces that are one program.
    """

    nodes: tuple[Node, ...]
    leaves: tuple[Atom, ...]
    results: tuple[Atom, ...]
    places: tuple[int, ...]
    signature: Hashable


def outline(graph: Graph, host: Container[Atom]) -> list[Piece]:
    """Return the pieces of a graph; `host` are the atoms that the host computes.

    An atom that is an output twice is a result of its piece once, and stands in
    `places` by its first place.
    """
    first: dict[Atom, int] = {}
    for place, atom in enumerate(graph.outputs):
        first.setdefault(atom, place)
    groups: dict[Any, list[Atom]] = {}
    together = _together(graph.nodes, host)
    for atom in first:
        root = None
        if isinstance(atom, Result) and atom not in host:
            root = together.get(atom.node)
        groups.setdefault(root if root is not None else atom, []).append(atom)
    carried = _carried(graph)
    return [
        _cut(atoms, tuple(first[a] for a in atoms), host, carried)
        for atoms in groups.values()
    ]


def _together(nodes: Iterable[Node], host: Container[Atom]) -> dict[Node, Node]:
    """Return, for every node worth sharing, a representative of all it is tied to."""
    parent: dict[Node, Node] = {}
    cheap: set[Node] = set()

    def find(node: Node) -> Node:
        while parent[node] is not node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for node in nodes:
        if all(result in host for result in node.results):
            continue
        if _is_cheap(node, cheap):
            cheap.add(node)
            continue
        parent[node] = node
        for atom in node.inputs:
            if isinstance(atom, Result) and atom not in host and atom.node in parent:
                parent[find(atom.node)] = find(node)
    return {node: find(node) for node in parent}


_FILLS = {"broadcast_in_dim", "iota", "reshape", "convert_element_type", "squeeze"}


def _is_cheap(node: Node, cheap: Container[Node]) -> bool:
    """Tell whether a node is a constant that costs less to make again than to share."""
    static = all(
        isinstance(a, Constant) or (isinstance(a, Result) and a.node in cheap)
        for a in node.inputs
    )
    scalar = all(math.prod(result.aval.shape) <= 1 for result in node.results)
    return static and (scalar or node.name in _FILLS)


# what moves or repeats numbers and never computes with them
_MOVES = _FILLS | {
    "copy",
    "copy_p",
    "slice",
    "dynamic_slice",
    "transpose",
    "rev",
    "concatenate",
    "select_n",
}


def _carried(graph: Graph) -> set[Constant]:
    """Return the constants that a program may take as arguments.

    XLA computes with a constant at compile time, rounding otherwise than at run time.
    So these are large constants that are moved and nothing else, and the numbers of
    initjax's own laws, which are rounded alike either way.
    """
    computed: set[Atom] = set()
    numbers: set[Atom] = set()
    elsewhere: set[Atom] = set(graph.outputs)
    for node in reversed(graph.nodes):
        (numbers if is_law(node.equation) else elsewhere).update(node.inputs)
        if node.name not in _MOVES or any(r in computed for r in node.results):
            computed.update(node.inputs)
    return {
        atom
        for atom in numbers | elsewhere
        if isinstance(atom, Constant)
        and (
            atom not in elsewhere if not atom.aval.shape else _is_moved(atom, computed)
        )
    }


def _is_moved(atom: Constant, computed: Container[Atom]) -> bool:
    return getattr(atom.value, "nbytes", 0) > _LARGE and atom not in computed


def _cut(
    results: Sequence[Atom],
    places: tuple[int, ...],
    host: Container[Atom],
    carried: Container[Atom],
) -> Piece:
    leaves: dict[Atom, int] = {}
    order: dict[Node, int] = {}
    lines: list[Hashable] = []

    def is_leaf(atom: Atom) -> bool:
        return isinstance(atom, Input) or atom in host or atom in carried

    def refer(atom: Atom) -> Hashable:
        if isinstance(atom, Input) or atom in host or atom in carried:
            return ("leaf", leaves.setdefault(atom, len(leaves)))
        if isinstance(atom, Result):
            return (order[atom.node], atom.index)
        return ("constant", canonical(atom.value), atom.aval)

    todo = [
        a.node for a in reversed(results) if isinstance(a, Result) and not is_leaf(a)
    ]
    while todo:  # arguments before the nodes that take them
        node = todo[-1]
        if node in order:
            todo.pop()
            continue
        waiting = [
            a.node
            for a in reversed(node.inputs)
            if isinstance(a, Result) and not is_leaf(a) and a.node not in order
        ]
        if waiting:
            todo.extend(waiting)
            continue
        order[node] = len(order)
        lines.append((equation_key(node.equation), tuple(map(refer, node.inputs))))
        todo.pop()
    returns = tuple(map(refer, results))
    takes = tuple(_kind(atom, atom in host) for atom in leaves)
    signature = (tuple(lines), takes, returns)
    return Piece(tuple(order), tuple(leaves), tuple(results), places, signature)


def _kind(atom: Atom, host: bool) -> Hashable:
    """Return what a program must know of an argument."""
    generator = kind_of(atom.aval.dtype) if is_key(atom.aval) else None
    return (host, atom.aval.shape, atom.aval.dtype, generator)
