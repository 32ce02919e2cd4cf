"""Cut a graph into one small program per output, and find the programs that are equal.

Outputs that share real computation stay together; constants are copied. Two programs
are one if they differ in nothing but the keys and arrays that they take.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Container, Hashable, Sequence
from typing import Any, NamedTuple

from .canonical import canonical
from .jaxprs import every, is_law
from .keys import is_key, kind_of
from .rounding import unstable
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
    `places` by its first place. A piece may take outputs of others, those of `settled`:
    such others take none themselves.
    """
    first: dict[Atom, int] = {}
    for place, atom in enumerate(graph.outputs):
        first.setdefault(atom, place)
    ties = _Ties(graph, host, settled(graph, host))
    groups: dict[Any, list[Atom]] = {}
    for atom in first:
        root = ties.root(atom)
        groups.setdefault(atom if root is None else root, []).append(atom)
    carried = _carried(graph)

    def is_leaf(atom: Atom, root: Any) -> bool:
        if isinstance(atom, Input) or atom in host or atom in carried:
            return True
        return atom in ties.settled and ties.root(atom) is not root

    return [
        _cut(
            atoms,
            tuple(first[a] for a in atoms),
            functools.partial(is_leaf, root=root),
            host,
        )
        for root, atoms in groups.items()
    ]


def settled(graph: Graph, host: Container[Atom]) -> set[Atom]:
    """Return the outputs that a program may take as they are: sampled weights.

    A weight that convolves or multiplies data is an array in memory first, whoever
    compiles it, so the data's program need not sample it again.
    """
    wanted = {a for a in graph.outputs if isinstance(a, Result) and a not in host}
    wanted &= {a for node in graph.nodes if node.name in _READERS for a in node.inputs}
    return {atom for atom in wanted if _is_sampled(atom, host)}


_READERS = {"conv_general_dilated", "dot_general"}


def _is_sampled(atom: Atom, host: Container[Atom]) -> bool:
    """Tell whether an atom is made from keys and numbers by what no loop changes."""
    behind: list[Atom] = [atom]
    seen: set[Node] = set()
    while behind:
        atom = behind.pop()
        if atom in host or isinstance(atom, Constant):
            continue
        if isinstance(atom, Input):
            return False
        if atom.node not in seen:
            seen.add(atom.node)
            behind.extend(atom.node.inputs)
    return not unstable(every(node.equation for node in seen))


class _Ties:
    """Which nodes belong together: those that share computation worth sharing."""

    def __init__(self, graph: Graph, host: Container[Atom], free: set[Atom]) -> None:
        """Tie each node to what it is computed from, but not to the `free` atoms."""
        self.settled, self._host = free, host
        self._parent: dict[Node, Node] = {}
        cheap: set[Node] = set()
        readers: list[tuple[Result, Node]] = []
        for node in graph.nodes:
            if all(result in host for result in node.results):
                continue
            if _is_cheap(node, cheap):
                cheap.add(node)
                continue
            self._parent[node] = node
            for atom in node.inputs:
                if not isinstance(atom, Result) or atom.node not in self._parent:
                    continue
                if atom in free and node.name in _READERS:
                    readers.append((atom, node))
                elif atom not in host:
                    self._tie(atom.node, node)
        self._tie_back(readers)

    def root(self, atom: Atom) -> Node | None:
        """Return the node that stands for all that an atom's node is tied to."""
        if not isinstance(atom, Result) or atom in self._host:
            return None
        return self._find(atom.node) if atom.node in self._parent else None

    def _tie_back(self, readers: Sequence[tuple[Result, Node]]) -> None:
        """Untie weights from their readers only where nothing else reads data."""
        reading = {self._find(node) for _, node in readers}
        changed = True
        while changed:
            changed = False
            for atom, node in readers:
                weight, reader = self._find(atom.node), self._find(node)
                if weight is not reader and weight in reading:
                    self._tie(weight, reader)
                    reading.add(self._find(node))
                    changed = True

    def _tie(self, one: Node, other: Node) -> None:
        self._parent[self._find(one)] = self._find(other)

    def _find(self, node: Node) -> Node:
        parent = self._parent
        while parent[node] is not node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node


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
    used = computed(graph)
    numbers: set[Atom] = set()
    elsewhere: set[Atom] = set(graph.outputs)
    for node in graph.nodes:
        (numbers if is_law(node.equation) else elsewhere).update(node.inputs)
    return {
        atom
        for atom in numbers | elsewhere
        if isinstance(atom, Constant)
        and (atom not in elsewhere if not atom.aval.shape else _is_moved(atom, used))
    }


def _is_moved(atom: Constant, used: Container[Atom]) -> bool:
    return getattr(atom.value, "nbytes", 0) > _LARGE and atom not in used


def computed(graph: Graph) -> set[Atom]:
    """Return the atoms that numbers are computed of: the others are moved at most."""
    found: set[Atom] = set()
    for node in reversed(graph.nodes):
        if node.name not in _MOVES or any(r in found for r in node.results):
            found.update(node.inputs)
    return found


def _cut(
    results: Sequence[Atom],
    places: tuple[int, ...],
    is_leaf: Callable[[Atom], bool],
    host: Container[Atom],
) -> Piece:
    leaves: dict[Atom, int] = {}
    order: dict[Node, int] = {}
    lines: list[Hashable] = []

    def refer(atom: Atom) -> Hashable:
        if is_leaf(atom):
            return ("leaf", leaves.setdefault(atom, len(leaves)))
        if isinstance(atom, Result):
            return (order[atom.node], atom.index)
        assert isinstance(atom, Constant)
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
        lines.append((node.key, tuple(map(refer, node.inputs))))
        todo.pop()
    returns = tuple(map(refer, results))
    takes = tuple(_kind(atom, atom in host) for atom in leaves)
    signature = (tuple(lines), takes, returns)
    return Piece(tuple(order), tuple(leaves), tuple(results), places, signature)


def _kind(atom: Atom, host: bool) -> Hashable:
    """Return what a program must know of an argument."""
    generator = kind_of(atom.aval.dtype) if is_key(atom.aval) else None
    return (host, atom.aval.shape, atom.aval.dtype, generator)
