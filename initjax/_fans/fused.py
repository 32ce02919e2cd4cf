"""Several weights side by side: query, key and value; gate and up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from .._errors import Refused
from .declaration import (
    Declaration,
    Name,
    Parts,
    Shape,
    as_declaration,
    clean_axes,
    count,
    kind,
)
from .fans import Fans, resolve_axes


@kind
@dataclass(frozen=True, slots=True, repr=False)
class Fused(Declaration):
    """Weights side by side along one axis; see `Fan.fused`.

    Args:
        names: Lengths, names, a dict of both, or a number of equal parts.
        axis: Where they lie side by side.
        of: The declaration of each part; None is Keras's rule.
    """

    names: Any = 2
    axis: int = -1
    of: Any = None

    def _fans(self, shape: Shape) -> Fans:
        first, *others = self.each(shape)
        if others:
            raise Refused(
                f"the parts of {self!r} have different fans: "
                f"{', '.join(str(tuple(f)) for f in (first, *others))}; ask each part."
            )
        return first

    def parts(self, shape: Shape) -> Parts:
        """Return the parts, or refuse lengths that do not add up."""
        (axis,) = resolve_axes(shape, {"axis": (self.axis,)})["axis"]
        names = tuple(name for name, _ in self.names)
        sizes = tuple(size for _, size in self.names)
        whole = shape[axis]
        if None in sizes:
            if whole % len(sizes):
                raise Refused(
                    f"axis {axis} of {whole} does not split into {len(sizes)} equal "
                    "parts; give their lengths."
                )
            sizes = (whole // len(sizes),) * len(sizes)
        if sum(sizes) != whole:
            raise Refused(
                f"the parts have {' + '.join(map(str, sizes))} = {sum(sizes)} along "
                f"axis {axis}, the shape {whole}; give lengths that add up."
            )
        return Parts(axis, names, sizes, self.of)

    def guesses(self, shape: Shape) -> bool:
        """Tell whether a part is left to Keras's rule."""
        return len(shape) > 2 if self.of is None else self.of.guesses(shape)

    def _clean(self) -> None:
        (axis,) = clean_axes("axis", self.axis)
        self._keep(names=_part_names(self.names), axis=axis, of=as_declaration(self.of))


def _part_names(value: Any) -> tuple[tuple[Name, int | None], ...]:
    """Return names and lengths; None is an equal share."""
    if isinstance(value, int) and not isinstance(value, bool):
        return tuple((i, None) for i in range(count("parts", value)))
    if isinstance(value, Mapping):
        value = tuple(cast("Mapping[Any, Any]", value).items())
    if not isinstance(value, (tuple, list)) or not value:
        raise Refused(
            "parts must be lengths, names, a dict of both, or how many they are, got "
            f"{value!r}.",
            TypeError,
        )
    items = cast("list[Any]", value)
    pairs = [
        (str(x), None) if isinstance(x, str)
        else (x[0], x[1] if x[1] is None else count("parts", x[1], least=0))
        if isinstance(x, (tuple, list))
        else (i, count("parts", x, least=0))
        for i, x in enumerate(items)
    ]  # fmt: skip
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        raise Refused(f"parts have one name each, got {names}.")
    return tuple(pairs)
