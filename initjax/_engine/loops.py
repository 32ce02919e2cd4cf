"""Open loops that sample: what every turn draws is drawn for all turns side by side.

A loop stores what a turn returns before anything reads it, so what a turn draws from
its keys is the same alone. Keys that turns hand on are derived turn by turn, on the
host with all other keys.
"""

from __future__ import annotations

import itertools
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr

from .._core.bits import THREEFRY
from .hostkeys import host_keys, is_small, known_nodes
from .jaxprs import bind, evaluate
from .keys import is_key, kind_of
from .lifted import is_given_in_loops
from .outline import Piece, computed, outline
from .program import fuses, is_straight, is_typed
from .tape import NotByEntry, Static, tape_of
from .trace import (
    Atom,
    Constant,
    Graph,
    Input,
    Node,
    Reader,
    Result,
    graph_of,
    reachable,
    read,
)

_LONGEST = 1 << 12  # turns


def open_loops(graph: Graph, exact: bool = True) -> Graph:
    """Return a graph in which loops draw nothing that their turns could draw alone.

    An output of a loop is opened if a turn computes it from keys alone, by equations
    that no loop changes, and if the function returns it as it is or moved: where
    numbers are computed of it XLA would join a product in the loop with a sum outside,
    which it never does across a loop's end. Without `exact`, if it is from keys alone.
    """
    used = {*graph.outputs, *(a for node in graph.nodes for a in node.inputs)}
    kept = used - computed(graph) if exact else used
    loops = [Loop.of(node, exact) for node in graph.nodes if node.name == "scan"]
    opened = {loop.node: found for loop in loops if (found := loop.opened(used, kept))}
    if not opened:
        return graph
    reader = Reader()
    new: dict[Atom, Atom] = {atom: atom for atom in graph.inputs}

    def renewed(atom: Atom) -> Atom:
        return atom if isinstance(atom, Constant) else new[atom]

    for node in graph.nodes:
        inputs = [renewed(atom) for atom in node.inputs]
        new.update(zip(node.results, reader.add(node.equation, inputs), strict=True))
        if node in opened:
            places, function = opened[node]
            walked = reader.walk(function, inputs, [True] * len(places))
            for place, atom in zip(places, walked, strict=True):
                assert atom is not None
                new[node.results[place]] = atom
    outputs = map(renewed, graph.outputs)
    # a loop in an opened one is a loop of its own now
    return open_loops(graph_of(graph.inputs, reader.nodes, outputs), exact)


def opened_outputs(before: Graph, after: Graph) -> set[int]:
    """Return the outputs whose loops were opened between two graphs."""
    pairs = zip(before.outputs, after.outputs, strict=True)
    return {i for i, (a, b) in enumerate(pairs) if _loops(a) > _loops(b)}


def _loops(atom: Atom) -> int:
    return sum(node.name == "scan" for node in reachable([atom]))


class Loop(NamedTuple):
    """A loop over turns: what they share, what they hand on, what each takes.

    Attributes:
        node: The loop.
        shared: How many arguments all turns take.
        carried: How many a turn hands on to the next, its first outputs.
        exact: Whether what is opened keeps its bits.
    """

    node: Node
    shared: int
    carried: int
    exact: bool

    @staticmethod
    def of(node: Node, exact: bool) -> Loop:
        """Return a node as a loop; what is stacked has an axis more outside."""
        body = node.params["jaxpr"]
        taken = zip(node.inputs, body.in_avals, strict=True)
        given = zip(node.results, body.out_avals, strict=True)
        carried = sum(a.aval.shape == inner.shape for a, inner in given)
        whole = sum(a.aval.shape == inner.shape for a, inner in taken)
        return Loop(node, whole - carried, carried, exact)

    def opened(
        self, used: Container[Atom], kept: Container[Atom]
    ) -> tuple[list[int], ClosedJaxpr] | None:
        """Return which outputs are opened, and what gives them of the arguments."""
        if not 0 < self.node.params["length"] <= _LONGEST:
            return None
        whole = read(self.node.params["jaxpr"])
        live = self._live(whole, used)
        outputs = (whole.outputs[i] for i in live)
        body = graph_of(whole.inputs, whole.nodes, outputs)
        body = open_loops(body, self.exact)
        given = dict(zip(live, body.outputs, strict=True))
        steady = self._steady(body, given)
        alone = self._alone(body, steady)
        places = [
            i
            for i, atom in given.items()
            if i >= self.carried and self.node.results[i] in kept and atom in alone
        ]
        if not places:
            return None
        derived = _inputs(given[i] for i in steady)
        return places, self._side_by_side(places, steady, derived)

    def _live(self, body: Graph, used: Container[Atom]) -> list[int]:
        """Return the outputs that are used, here or in later turns."""
        live = {i for i, result in enumerate(self.node.results) if result in used}
        while more := self._handed_on(body.outputs[i] for i in live) - live:
            live |= more
        return sorted(live)

    def _handed_on(self, atoms: Iterable[Atom]) -> set[int]:
        """Return which of what turns hand on the atoms are computed from."""
        behind = _inputs(atoms)
        return {i for i in range(self.carried) if self.shared + i in behind}

    def _steady(self, body: Graph, outputs: Mapping[int, Atom]) -> set[int]:
        """Return what turns hand on that the host derives: keys and counters."""
        known = known_nodes(body.nodes)
        steady = {
            i
            for i, atom in outputs.items()
            if i < self.carried
            and (
                atom.node in known if isinstance(atom, Result) else is_small(atom.aval)
            )
        }
        while not self._handed_on(outputs[i] for i in steady) <= steady:
            steady = {i for i in steady if self._handed_on([outputs[i]]) <= steady}
        return steady

    def _alone(self, body: Graph, steady: set[int]) -> set[Atom]:
        """Return the outputs of a turn that it could draw alone."""
        host = host_keys(body)
        return {
            atom
            for piece in outline(body, host.leaves)
            if self._handed_on(piece.leaves) <= steady
            and all(a in host.leaves or self._is_given(a) for a in piece.leaves)
            and (_is_as_alone(piece) if self.exact else _is_alone(piece))
            for atom in piece.results
        }

    def _is_given(self, leaf: Atom) -> bool:
        """Tell whether what turns draw may depend on an atom that the host has not."""
        known = isinstance(leaf, Constant) or is_key(leaf.aval)
        return known or (isinstance(leaf, Input) and not self.exact)

    def _side_by_side(
        self, places: Sequence[int], steady: set[int], derived: set[int]
    ) -> ClosedJaxpr:
        """Return what gives some outputs of all turns, of the loop's arguments.

        The values in `steady` are derived turn by turn, from the arguments `derived`.
        """
        body, length = self.node.params["jaxpr"], self.node.params["length"]
        turns = range(length)[:: -1 if self.node.params["reverse"] else 1]
        first = self.shared + self.carried

        def turn(given: Sequence[Any], wanted: Container[int]) -> list[Any]:
            which = [i in wanted for i in range(len(self.node.results))]
            return evaluate(body, given, bind, which)

        def run(*given: Any) -> list[Any]:
            handed = {turns[0]: list(given[self.shared : first])}
            for now, then in itertools.pairwise(turns) if steady else ():
                taken = [
                    x[now] if j in derived else x
                    for j, x in enumerate(given[first:], first)
                ]
                shared = given[: self.shared]
                out = turn((*shared, *handed[now], *taken), steady)
                handed[then] = handed[now].copy()
                for i, x in zip(sorted(steady), out, strict=True):
                    handed[then][i] = x
            carried = {
                i: jnp.stack([handed[t][i] for t in sorted(turns)]) for i in steady
            }

            def alone(number: Any, carried: Any, stacked: Any) -> list[Any]:
                del number  # there is always something to map over
                mine = [carried.get(i) for i in range(self.carried)]
                return turn((*given[: self.shared], *mine, *stacked), places)

            return jax.vmap(alone)(jnp.arange(length), carried, given[first:])

        return jax.make_jaxpr(run)(*(atom.aval for atom in self.node.inputs))


def _inputs(atoms: Iterable[Atom]) -> set[int]:
    """Return which arguments atoms are computed from."""
    atoms = list(atoms)
    behind = [a for node in reachable(atoms) for a in node.inputs]
    return {a.index for a in (*atoms, *behind) if isinstance(a, Input)}


def _is_as_alone(piece: Piece) -> bool:
    """Tell whether a loop computes a piece as a program of its own does."""
    if len(piece.results) > 1 or is_typed(piece):
        return False
    try:
        tape = tape_of(piece)
    except NotByEntry:
        return False
    known = isinstance(tape.result, Static)
    return known or (fuses(piece, in_blocks=True) and is_given_in_loops(tape))


def _is_alone(piece: Piece) -> bool:
    """Tell whether a piece draws the same in a loop, but for the last bits."""
    atoms = [*piece.leaves, *(r for node in piece.nodes for r in node.results)]
    keys = {kind_of(atom.aval.dtype).impl for atom in atoms if is_key(atom.aval)}
    # other generators draw other numbers for many keys at once
    return keys <= {THREEFRY} and is_straight(piece) and not is_typed(piece)
