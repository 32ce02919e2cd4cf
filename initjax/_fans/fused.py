"""Several weights side by side: query, key and value; gate and up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from .._errors import Refused, shown
from .declaration import (
    Declaration,
    Name,
    Parts,
    Shape,
    as_declaration,
    clean_axis,
    count,
    kind,
)
from .fans import Fans, index_of, is_list, items_of, resolve_axes


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
                f"the parts of {shown(self)} have different fans: "
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
        self._keep(
            names=tuple(_parts(self.names)),
            axis=clean_axis(self.axis),
            of=as_declaration(self.of),
        )
        names = [name for name, _ in self.names]
        if len(set(names)) < len(names):
            raise Refused(f"parts have one name each, got {shown(names)}.")


_MOST = 1 << 16  # parts: each has a stream and a draw of its own


def _parts(value: Any) -> Iterable[tuple[Name, int | None]]:
    """Return names and lengths; None is an equal share."""
    if isinstance(value, int):
        return [(i, None) for i in range(count("parts", value, most=_MOST))]
    if isinstance(value, Mapping):
        value = tuple(cast("Mapping[Any, Any]", value).items())
    items = items_of(value)
    if items is None or not 0 < len(items) <= _MOST:
        raise Refused(
            "parts must be lengths, names, a dict of both, or how many they are, got "
            f"{shown(value)}.",
            TypeError,
        )
    return [_part(i, item) for i, item in enumerate(items)]


def _part(i: int, item: Any) -> tuple[Name, int | None]:
    """Return the name and the length that an item gives."""
    if isinstance(item, str):
        return _name(item), None
    if not is_list(item):
        return i, count("parts", item, least=0)
    if len(item) != 2:
        raise Refused(f"a part is a name and a length, got {shown(item)}.", TypeError)
    name, length = item
    size = None if length is None else count("parts", length, least=0)
    return _name(name), size


def _name(value: Any) -> Name:
    if isinstance(value, str):
        return str.__str__(value)
    try:
        return index_of(value)
    except TypeError:
        raise Refused(
            f"the name of a part is a str or an int, got {shown(value)}.", TypeError
        ) from None
