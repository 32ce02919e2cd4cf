"""Leaves that say how their layer uses them, and laws that do not."""

from __future__ import annotations

import dataclasses
from typing import Any, cast

from .._core.initializer import Initializer
from .paths import Leaf


class Told:
    """The laws of leaves with the fans that the leaves know; one object for equals."""

    def __init__(self) -> None:
        """Begin with none."""
        self._made: dict[Any, Any] = {}

    def law(self, law: Any, leaf: Leaf) -> Any:
        """Return the law of a leaf that knows its fans, unless the law declares its."""
        if not isinstance(law, Initializer) or declares(law):
            return law
        key = (id(law), leaf.fan)
        if key not in self._made:
            self._made[key] = dataclasses.replace(law, fan=leaf.fan)
        return self._made[key]


def declares(law: Any) -> bool:
    """Tell whether a law, or one that it is made of, says itself which fans it has."""
    if isinstance(law, tuple):
        return any(map(declares, cast("tuple[Any, ...]", law)))
    if not isinstance(law, Initializer):
        return False
    if law.fan is not None or getattr(law, "in_axis", None) is not None:
        return True
    return any(declares(getattr(law, f.name)) for f in dataclasses.fields(law))
