"""Read a traced function as one flat graph: calls inlined, dead code dropped."""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Iterable, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Literal

from .canonical import canonical, equation_key
from .jaxprs import called, is_fold, makes_keys, needed, opened


@dataclasses.dataclass(frozen=True, eq=False, slots=True)
class Input:
    """An argument of the function, by its place among the leaves."""

    index: int
    aval: Any


@dataclasses.dataclass(frozen=True, eq=False, slots=True)
class Constant:
    """A literal, or an array that the function closes over."""

    value: Any
    aval: Any


@dataclasses.dataclass(frozen=True, eq=False, slots=True)
class Result:
    """One result of a node."""

    node: Node
    index: int
    aval: Any


Atom = Input | Constant | Result


@dataclasses.dataclass(frozen=True, eq=False, slots=True)
class Node:
    """One primitive applied to atoms.

    Attributes:
        equation: The primitive and its parameters.
        inputs: What it is applied to.
        results: What it gives.
        order: Its place in the trace.
        key: Equal for nodes that compute the same, whatever they are applied to.
    """

    equation: Any
    inputs: tuple[Atom, ...]
    results: list[Result]
    order: int
    key: Hashable

    @property
    def name(self) -> str:
        """The primitive's name."""
        return self.equation.primitive.name

    @property
    def params(self) -> dict[str, Any]:
        """The primitive's parameters."""
        return self.equation.params


def _is_alias(equation: Any) -> bool:
    """Tell whether an equation only copies: every output has its own buffer anyway."""
    if equation.primitive.name == "device_put":
        return not any(equation.params["devices"])
    return equation.primitive.name in ("copy", "copy_p")


class Graph(NamedTuple):
    """The live nodes of a function in the order of its trace."""

    inputs: tuple[Input, ...]
    nodes: tuple[Node, ...]
    outputs: tuple[Atom, ...]


def read(closed: ClosedJaxpr) -> Graph:
    """Return the graph of a traced function."""
    jaxpr = closed.jaxpr
    inputs = tuple(Input(i, v.aval) for i, v in enumerate(jaxpr.invars))
    reader = Reader()
    walked = reader.walk(closed, inputs, [True] * len(jaxpr.outvars))
    outputs = (atom for atom in walked if atom is not None)
    return graph_of(inputs, reader.nodes, outputs)


def graph_of(
    inputs: tuple[Input, ...], nodes: Iterable[Node], outputs: Iterable[Atom]
) -> Graph:
    """Return a graph of the nodes that its outputs need."""
    outputs = tuple(outputs)
    live = reachable(outputs)
    return Graph(inputs, tuple(n for n in nodes if n in live), outputs)


def reachable(atoms: Iterable[Atom]) -> set[Node]:
    """Return every node that the atoms are computed from."""
    found: set[Node] = set()
    todo = [atom.node for atom in atoms if isinstance(atom, Result)]
    while todo:
        node = todo.pop()
        if node not in found:
            found.add(node)
            todo.extend(a.node for a in node.inputs if isinstance(a, Result))
    return found


def _same(atom: Atom) -> Hashable:
    """Return what equal atoms have in common."""
    if isinstance(atom, Constant):
        return canonical(atom.value), atom.aval
    return (atom.node, atom.index) if isinstance(atom, Result) else atom.index


class Reader:
    """Gathers the nodes of functions that are walked into one graph."""

    def __init__(self) -> None:
        """Start without nodes."""
        self.nodes: list[Node] = []
        self._depending: set[Node] = set()  # on arguments
        self._known: dict[Hashable, Node] = {}

    def walk(
        self, function: Any, inputs: Sequence[Atom], wanted: Sequence[bool]
    ) -> list[Atom | None]:
        """Add the nodes that the wanted outputs need; return those outputs' atoms."""
        jaxpr, consts = opened(function)
        env: dict[Any, Atom] = dict(zip(jaxpr.invars, inputs, strict=True))
        for var, value in zip(jaxpr.constvars, consts, strict=True):
            env[var] = Constant(value, var.aval)

        def atom(var: Any) -> Atom:
            if isinstance(var, Literal):
                return Constant(var.val, var.aval)
            return env[var]

        equations, names = needed(jaxpr, wanted)
        for equation in equations:
            arguments = [atom(v) for v in equation.invars]
            live = [v in names for v in equation.outvars]
            results = self._open(equation, arguments, live)
            for var, result in zip(equation.outvars, results, strict=True):
                if result is not None:
                    env[var] = result
        pairs = zip(jaxpr.outvars, wanted, strict=True)
        return [atom(v) if want else None for v, want in pairs]

    def _open(
        self, equation: Any, arguments: Sequence[Atom], live: Sequence[bool]
    ) -> Sequence[Atom | None]:
        """Return an equation's results: of a node, or of the nodes of what it calls."""
        if _is_alias(equation):
            return arguments
        inner = called(equation)
        if inner is not None and not self._is_step(equation, inner):
            return self.walk(inner, arguments, live)
        return self.add(equation, arguments)

    def _depends(self, atom: Atom) -> bool:
        """Tell whether an atom depends on an argument."""
        if isinstance(atom, Result):
            return atom.node in self._depending
        return isinstance(atom, Input)

    def _is_step(self, equation: Any, inner: Any) -> bool:
        """Tell whether a call is one step: one array of floats, no keys of its own."""
        avals = [v.aval for v in equation.outvars]
        floats = len(avals) == 1 and jnp.issubdtype(avals[0].dtype, jnp.inexact)
        return is_fold(equation) or (floats and not makes_keys(inner))

    def add(self, equation: Any, inputs: Sequence[Atom]) -> list[Result]:
        """Add a node, unless it is one that is there: XLA computes equal ones once."""
        key = equation_key(equation)
        node = Node(equation, tuple(inputs), [], len(self.nodes), key)
        if any(map(self._depends, inputs)):
            same = self._known.setdefault((key, tuple(map(_same, inputs))), node)
            if same is not node:
                return same.results
            self._depending.add(node)
        avals = [v.aval for v in equation.outvars]
        node.results.extend(Result(node, i, a) for i, a in enumerate(avals))
        self.nodes.append(node)
        return node.results
