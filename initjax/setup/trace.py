"""Read a traced function as one flat graph: calls inlined, dead code dropped."""

from __future__ import annotations

import dataclasses
import weakref
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal


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
    """One primitive applied to atoms; `order` is its place in the trace."""

    equation: Any
    inputs: tuple[Atom, ...]
    results: list[Result]
    order: int

    @property
    def name(self) -> str:
        """The primitive's name."""
        return self.equation.primitive.name

    @property
    def params(self) -> dict[str, Any]:
        """The primitive's parameters."""
        return self.equation.params


_ALIASES = {"copy", "copy_p"}  # every output has a buffer of its own anyway


class Graph(NamedTuple):
    """The live nodes of a function in the order of its trace."""

    inputs: tuple[Input, ...]
    nodes: tuple[Node, ...]
    outputs: tuple[Atom, ...]


# primitives that only wrap a function: what they hold, none of which changes a value
_CALLS = {
    "jit": "jaxpr",
    "pjit": "jaxpr",
    "closed_call": "call_jaxpr",
    "core_call": "call_jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
    "custom_vjp_call_jaxpr": "fun_jaxpr",
    "checkpoint": "jaxpr",
    "remat": "jaxpr",
    "remat2": "jaxpr",
}


def read(closed: ClosedJaxpr) -> Graph:
    """Return the graph of a traced function."""
    jaxpr = closed.jaxpr
    inputs = tuple(Input(i, v.aval) for i, v in enumerate(jaxpr.invars))
    reader = _Reader()
    walked = reader.walk(closed, inputs, [True] * len(jaxpr.outvars))
    outputs = tuple(atom for atom in walked if atom is not None)
    live = reachable(outputs)
    return Graph(inputs, tuple(n for n in reader.nodes if n in live), outputs)


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


def called(equation: Any) -> Any | None:
    """Return the function that an equation only wraps, or None."""
    field = _CALLS.get(equation.primitive.name)
    if field is None or field not in equation.params:
        return None
    return None if _places(equation.params) else equation.params[field]


def makes_keys(jaxpr: Any) -> bool:
    """Tell whether a function makes keys of keys or of numbers, at any depth."""
    jaxpr = getattr(jaxpr, "jaxpr", jaxpr)
    if jaxpr not in _MAKES_KEYS:
        _MAKES_KEYS[jaxpr] = any(
            equation.primitive.name in _KEY_MAKERS
            or any(makes_keys(inner) for inner in functions(equation.params.values()))
            for equation in jaxpr.eqns
        )
    return _MAKES_KEYS[jaxpr]


_KEY_MAKERS = {"random_split", "random_fold_in", "random_seed", "random_wrap"}
_MAKES_KEYS: weakref.WeakKeyDictionary[Any, bool] = weakref.WeakKeyDictionary()


def functions(values: Iterable[Any]) -> Iterator[Any]:
    """Yield the traced functions among an equation's parameters."""
    for value in values:
        if isinstance(value, (ClosedJaxpr, Jaxpr)):
            yield value
        elif isinstance(value, (tuple, list)):
            yield from functions(value)


def _places(params: dict[str, Any]) -> bool:
    """Tell whether a nested jit decides where its results live, or how to compile."""
    shardings = (*params.get("in_shardings", ()), *params.get("out_shardings", ()))
    layouts = (*params.get("in_layouts", ()), *params.get("out_layouts", ()))
    return (
        any(isinstance(s, jax.sharding.Sharding) for s in shardings)
        or any(layout is not None for layout in layouts)
        or bool(params.get("compiler_options_kvs"))
    )


class _Reader:
    def __init__(self) -> None:
        self.nodes: list[Node] = []

    def walk(
        self, jaxpr: ClosedJaxpr | Jaxpr, inputs: Sequence[Atom], wanted: Sequence[bool]
    ) -> list[Atom | None]:
        """Add the nodes that the wanted outputs need; return those outputs' atoms."""
        consts: Sequence[Any] = ()
        if isinstance(jaxpr, ClosedJaxpr):
            jaxpr, consts = jaxpr.jaxpr, jaxpr.consts
        env: dict[Any, Atom] = dict(zip(jaxpr.invars, inputs, strict=True))
        for var, value in zip(jaxpr.constvars, consts, strict=True):
            env[var] = Constant(value, var.aval)

        def atom(var: Any) -> Atom:
            if isinstance(var, Literal):
                return Constant(var.val, var.aval)
            return env[var]

        equations, live = _needed(jaxpr, wanted)
        for equation in equations:
            arguments = tuple(atom(v) for v in equation.invars)
            inner = called(equation)
            if equation.primitive.name in _ALIASES:
                results: Sequence[Atom | None] = arguments
            elif inner is None or (len(equation.outvars) == 1 and not makes_keys(inner)):
                results = self._add(equation, arguments)
            else:
                results = self.walk(
                    inner, arguments, [v in live for v in equation.outvars]
                )
            for var, result in zip(equation.outvars, results, strict=True):
                if result is not None:
                    env[var] = result
        pairs = zip(jaxpr.outvars, wanted, strict=True)
        return [atom(v) if want else None for v, want in pairs]

    def _add(self, equation: Any, inputs: tuple[Atom, ...]) -> list[Result]:
        node = Node(equation, inputs, [], len(self.nodes))
        avals = [v.aval for v in equation.outvars]
        node.results.extend(Result(node, i, a) for i, a in enumerate(avals))
        self.nodes.append(node)
        return node.results


def _needed(jaxpr: Jaxpr, wanted: Sequence[bool]) -> tuple[list[Any], set[Any]]:
    """Return the equations that the wanted outputs need, in order, and their vars."""
    pairs = zip(jaxpr.outvars, wanted, strict=True)
    live = {v for v, want in pairs if want and not isinstance(v, Literal)}
    equations: list[Any] = []
    for equation in reversed(jaxpr.eqns):
        if any(v in live for v in equation.outvars):
            equations.append(equation)
            live.update(v for v in equation.invars if not isinstance(v, Literal))
    return equations[::-1], live
