"""Leaves that take the fans of a leaf beside them."""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from .._core.initializer import Initializer
from .._errors import Refused
from .._fans.beside import Beside
from .._fans.fans import Fans
from .._fans.given import Given
from .paths import Leaf, Path
from .patterns import glob_regex


class Neighbours:
    """The leaves of a tree by where they lie, and the law of each."""

    def __init__(self, leaves: Sequence[Leaf], laws: Mapping[int, Any]) -> None:
        """Keep the leaves; laws are by the leaf's place in the tree."""
        self._laws = laws
        self._by_parent: dict[Path, list[Leaf]] = {}
        self._made: dict[Hashable, Any] = {}  # one object for equal laws of a rule
        for leaf in leaves:
            self._by_parent.setdefault(leaf.path[:-1], []).append(leaf)

    def law(self, leaf: Leaf) -> Any:
        """Return the law of a leaf, its fans those of its neighbour if it says so."""
        law = self._laws[leaf.place]
        fan = getattr(law, "fan", None)
        if not isinstance(fan, Beside):
            return law
        given = Given(*self._fans(leaf, fan))
        return self._made.setdefault(
            (id(law), given), dataclasses.replace(law, fan=given)
        )

    def _fans(self, leaf: Leaf, fan: Beside) -> Fans:
        name = glob_regex(fan.weight)
        beside = [
            other
            for other in self._by_parent[leaf.path[:-1]]
            if other is not leaf and name.fullmatch(str(other.path[-1]))
        ]
        laws = [self._laws[other.place] for other in beside]
        known = [law for law in laws if isinstance(law, Initializer)]
        fans = {
            law._declared_fans(other.shape)
            for other, law in zip(beside, laws, strict=True)
            if law in known
        }
        if len(fans) != 1 or len(known) < len(laws):
            names = ", ".join(repr(other.name) for other in beside) or "none"
            raise Refused(
                f"fan={fan!r} needs a leaf beside it that a law fills, or several of "
                f"the same fans, got {names}; name it, or give the fan_in as a number."
            )
        return fans.pop()
