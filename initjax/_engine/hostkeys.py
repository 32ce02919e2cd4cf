"""Derive keys on the host: what only splits, folds and indexes keys, in NumPy.

Every weight's key is a chain of splits and folds of the caller's key. Compiled, the
chain makes each program long and unlike all others; evaluated here, all that a program
needs of it is two words.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from .hostops import Operation, hashed_alike, operation
from .keys import Host, is_key
from .trace import Atom, Constant, Graph, Input, Node, Result, reachable

_LARGEST = 1 << 16  # elements of a host value; more is data, not keys


class Step(NamedTuple):
    """One node of the host, or several alike that wait for none of each other.

    Attributes:
        run: What they do; of several, on their arguments stacked.
        arguments: Where those of each stand.
        results: Where those of each go.
        dtypes: Of the results.
    """

    run: Operation
    arguments: tuple[tuple[int, ...], ...]
    results: tuple[tuple[int, ...], ...]
    dtypes: tuple[Any, ...]

    def apply(self, env: list[Any]) -> None:
        """Compute the results and put them where they go."""
        if len(self.arguments) > 1:
            columns = zip(*self.arguments, strict=True)
            out = self.run(*(np.stack([env[i] for i in column]) for column in columns))
            outs = [(x,) for x in out]
        else:
            out = self.run(*(env[slot] for one in self.arguments for slot in one))
            outs = [out if type(out) is tuple else (out,)]
        for slots, values in zip(self.results, outs, strict=True):
            for slot, x, dtype in zip(slots, values, self.dtypes, strict=True):
                env[slot] = np.asarray(x, dtype)


class HostKeys(NamedTuple):
    """How to compute, from the function's arguments, what its programs need of keys.

    Attributes:
        leaves: The values that programs take, each with its place in the results.
        inputs: Which arguments are read, and where their values stand.
        constants: Values known beforehand, and where they stand.
        steps: What to compute, in order.
    """

    leaves: Mapping[Atom, int]
    inputs: tuple[tuple[int, int], ...]
    constants: tuple[tuple[int, Any], ...]
    steps: tuple[Step, ...]
    slots: int

    def run(self, arguments: Sequence[Any]) -> list[Host]:
        """Return every value that is known on the host, by its place."""
        env: list[Any] = [None] * self.slots
        for slot, value in self.constants:
            env[slot] = value
        for slot, index in self.inputs:
            env[slot] = to_host(arguments[index])
        for step in self.steps:
            step.apply(env)
        return env


def to_host(x: Any) -> Host:
    """Return an argument as a NumPy array, keys as their words."""
    if isinstance(x, jax.Array):
        if not x.is_fully_addressable:  # replicated over the processes
            x = x.addressable_data(0)
        if is_key(x):
            x = jax.random.key_data(x)
        x = jax.device_get(x)
    return np.asarray(x)


def host_keys(graph: Graph) -> HostKeys:
    """Return what of a graph is computed on the host, and how."""
    known = known_nodes(graph.nodes)
    keyed = _keyed(known)

    def is_leaf(atom: Atom) -> bool:
        if isinstance(atom, Result):
            return atom.node in keyed
        return is_key(atom.aval) and is_small(atom.aval)

    used = (a for node in graph.nodes if node not in keyed for a in node.inputs)
    leaves = {atom: None for atom in (*used, *graph.outputs) if is_leaf(atom)}
    behind = reachable(leaves)
    return _compile(leaves, {n: run for n, run in known.items() if n in behind})


def known_nodes(nodes: Iterable[Node]) -> dict[Node, Operation]:
    """Return the nodes that the host can compute: small integers and keys only."""
    known: dict[Node, Operation] = {}

    def is_known(atom: Atom) -> bool:
        return atom.node in known if isinstance(atom, Result) else is_small(atom.aval)

    for node in nodes:
        small = all(is_small(result.aval) for result in node.results)
        if not small or not all(map(is_known, node.inputs)):
            continue
        if (run := operation(node)) is not None:
            known[node] = run
    return known


def _keyed(known: Iterable[Node]) -> set[Node]:
    """Return the nodes that make keys or come from keys."""
    keyed: set[Node] = set()
    for node in known:
        from_keys = (
            a.node in keyed if isinstance(a, Result) else is_key(a.aval)
            for a in node.inputs
        )
        if any(is_key(result.aval) for result in node.results) or any(from_keys):
            keyed.add(node)
    return keyed


def is_small(aval: Any) -> bool:
    """Tell whether a value is a few integers, booleans or keys."""
    if math.prod(aval.shape) > _LARGEST:
        return False
    return is_key(aval) or np.dtype(aval.dtype).kind in "iub"


def _compile(leaves: Iterable[Atom], nodes: Mapping[Node, Operation]) -> HostKeys:
    """Give every value a slot and every node a step."""
    slots: dict[Atom, int] = {}
    inputs: list[tuple[int, int]] = []
    constants: list[tuple[int, Any]] = []

    def slot(atom: Atom) -> int:
        if atom not in slots:
            slots[atom] = len(slots)
            if isinstance(atom, Input):
                inputs.append((slots[atom], atom.index))
            if isinstance(atom, Constant):
                constants.append((slots[atom], to_host(atom.value)))
        return slots[atom]

    steps = tuple(
        Step(
            nodes[same[0]],
            tuple(tuple(slot(a) for a in node.inputs) for node in same),
            tuple(tuple(slot(r) for r in node.results) for node in same),
            tuple(
                np.uint32 if is_key(r.aval) else r.aval.dtype for r in same[0].results
            ),
        )
        for same in _side_by_side(nodes)
    )
    places = {atom: slot(atom) for atom in leaves}
    return HostKeys(places, tuple(inputs), tuple(constants), steps, len(slots))


def _side_by_side(nodes: Iterable[Node]) -> list[list[Node]]:
    """Return the nodes in an order to compute them, those hashed at once together."""
    depths: dict[Node, int] = {}
    groups: dict[Hashable, list[Node]] = {}
    for node in nodes:
        before = (a.node for a in node.inputs if isinstance(a, Result))
        depths[node] = 1 + max((depths.get(n, 0) for n in before), default=0)
        alike = hashed_alike(node) or node.order
        groups.setdefault((depths[node], alike), []).append(node)
    return sorted(groups.values(), key=lambda same: depths[same[0]])
