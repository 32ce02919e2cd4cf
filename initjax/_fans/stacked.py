"""Separate weights along one axis: scanned layers, experts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .declaration import (
    Declaration,
    Parts,
    Shape,
    as_declaration,
    clean_axis,
    fans_of,
    kind,
)
from .fans import Axes, Fans, resolve_axes


@kind
@dataclass(frozen=True, slots=True, repr=False)
class Stacked(Declaration):
    """Separate weights along one axis; see `Fan.stacked` and `Fan.experts`.

    Args:
        axis: The axis that counts them.
        of: The declaration of one, of the shape without the axis; None is Keras's rule.
    """

    axis: int = 0
    of: Any = None

    def _fans(self, shape: Shape) -> Fans:
        return fans_of(self.of, self._inner(shape)[1])

    def blocks(self, shape: Shape) -> Axes:
        """Return the axis, and those of the declaration within."""
        axis, inner = self._inner(shape)
        within = () if self.of is None else self.of.blocks(inner)
        return tuple(sorted((axis, *(a + (a >= axis) for a in within))))

    def block(self, shape: Shape) -> Declaration | None:
        """Return the declaration of one weight."""
        _, inner = self._inner(shape)
        return None if self.of is None else self.of.block(inner)

    def parts(self, shape: Shape) -> Parts | None:
        """Return the parts of all layers together."""
        axis, inner = self._inner(shape)
        parts = None if self.of is None else self.of.parts(inner)
        if parts is None:
            return None
        outer = parts.axis + (parts.axis >= axis)
        return parts._replace(axis=outer, of=Stacked(axis, parts.of))

    def guesses(self, shape: Shape) -> bool:
        """Tell whether a layer is left to Keras's rule."""
        _, inner = self._inner(shape)
        return len(inner) > 2 if self.of is None else self.of.guesses(inner)

    def _inner(self, shape: Shape) -> tuple[int, Shape]:
        (axis,) = resolve_axes(shape, {"axis": (self.axis,)})["axis"]
        return axis, (*shape[:axis], *shape[axis + 1 :])

    def _clean(self) -> None:
        self._keep(axis=clean_axis(self.axis), of=as_declaration(self.of))
