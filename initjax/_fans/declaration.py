"""The base of declared fans: which axes of a weight are inputs, outputs, or neither.

A declaration says how an array is made up, and is checked against its shape: `Fan`
names axes, `Stacked` is many weights along an axis, `Fused` several weights side by
side, `Given` the numbers themselves. Declarations are values, as configs are.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self, TypeVar

from .._errors import Refused, shown
from .fans import Axes, Fans, clean_shape, compute_fans, index_of, items_of

Shape = tuple[int, ...]
Name = str | int


class Parts(NamedTuple):
    """Weights side by side in one array: where, their names, lengths, declaration."""

    axis: int
    names: tuple[Name, ...]
    sizes: tuple[int, ...]
    of: Declaration | None


class Matrix(NamedTuple):
    """A weight read as a matrix: the axes of its rows and those of its columns."""

    rows: Axes
    columns: Axes


@dataclass(frozen=True, slots=True, repr=False)
class Declaration:
    """The base of all declarations; each answers for a shape, or refuses it."""

    def __post_init__(self) -> None:
        """Check the fields and keep their plain values."""
        try:
            self._clean()
        except Refused as refused:
            raise refused.at(shown(self)) from None

    def fans(self, shape: Sequence[int]) -> Fans:
        """Return the fans of a weight of this shape.

        Raises:
            ValueError: A shape that the declaration does not fit.
        """
        try:
            return self._fans(clean_shape(shape))
        except Refused as refused:
            raise refused.at(f"{shown(self)}.fans(shape={shown(shape)})") from None

    def _fans(self, shape: Shape) -> Fans:
        raise NotImplementedError  # every kind says how; this base is none

    def each(self, shape: Shape) -> tuple[Fans, ...]:
        """Return the fans of every part, once if the parts agree."""
        parts = self.parts(shape)
        if parts is None:
            return (self._fans(shape),)
        fans = [fans_of(parts.of, s) for s in part_shapes(shape, parts)]
        return tuple(fans) if len({*fans}) > 1 else (fans[0],)

    def blocks(self, shape: Shape) -> Axes:
        """Return the axes that index separate weights, counted from the front."""
        del shape
        return ()

    def block(self, shape: Shape) -> Declaration | None:
        """Return the declaration of one of the separate weights."""
        del shape
        return self

    def parts(self, shape: Shape) -> Parts | None:
        """Return the weights that lie side by side, or None."""
        del shape
        return None

    def matrix(self, shape: Shape) -> Matrix | None:
        """Return how one weight reads as a matrix; None leaves it to the law."""
        del shape
        return None

    def guesses(self, shape: Shape) -> bool:
        """Tell whether the roles of three axes and more are left to Keras's rule."""
        del shape
        return False

    @classmethod
    def read(cls, value: Any) -> Self | None:
        """Return the declaration that a short form of this kind means, or None."""
        del value
        return None

    def __repr__(self) -> str:
        """Show the arguments that differ from their defaults; `eval` gives an equal."""
        shown = [
            f"{field.name}={value!r}"
            for field in dataclasses.fields(self)
            if (value := getattr(self, field.name)) != field.default
        ]
        return f"{type(self).__name__}({', '.join(shown)})"

    def _clean(self) -> None:
        raise Refused("is the base class; use Fan, Stacked, Fused or Given.", TypeError)

    def _keep(self, **values: Any) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)


KINDS: dict[str, type[Declaration]] = {}

T = TypeVar("T", bound=type[Declaration])


def kind(cls: T) -> T:
    """Let a kind of declaration be read from configs and from its short forms."""
    KINDS[cls.__name__] = cls
    return cls


def as_declaration(value: Any) -> Declaration | None:
    """Return a declaration: one, None, "conv", a number, or a pair of numbers."""
    if value is None or isinstance(value, Declaration):
        return value
    for one in KINDS.values():
        if (found := one.read(value)) is not None:
            return found
    is_text = isinstance(value, str)
    hint = f"; did you mean Fan.layout({shown(value)})?" if is_text else "."
    if is_text and value.startswith("fan_"):
        hint = f"; that is VarianceScaling(mode={value!r})."
    raise Refused(
        "must be None, a declaration such as Fan.layout('oi'), 'conv', a number or a "
        f"pair of numbers, got {shown(value)}{hint}",
        ValueError if is_text else TypeError,
    )


def fans_of(of: Declaration | None, shape: Shape) -> Fans:
    """Return the fans by a declaration, or by Keras's rule."""
    return compute_fans(shape) if of is None else of._fans(shape)


def vector_fans(fan: Declaration | None, shape: Shape) -> Fans:
    """Return the fans of a weight; a vector without a declaration has fan_in 1."""
    if fan is None and len(shape) < 2:
        return Fans(1, math.prod(shape))
    return fans_of(fan, shape)


def part_shapes(shape: Shape, parts: Parts) -> list[Shape]:
    """Return the shape of every part."""
    before, after = shape[: parts.axis], shape[parts.axis + 1 :]
    return [(*before, size, *after) for size in parts.sizes]


def clean_axes(name: str, value: Any) -> Axes:
    """Return an axis, or a sequence of them, as a tuple."""
    items = items_of(value)
    try:
        return tuple(map(index_of, (value,) if items is None else items))
    except TypeError:
        raise Refused(
            f"{name} must be an int or a sequence of them, got {shown(value)}.",
            TypeError,
        ) from None


def clean_axis(value: Any) -> int:
    """Return the one axis along which weights lie."""
    try:
        return index_of(value)
    except TypeError:
        raise Refused(f"axis must be an int, got {shown(value)}.", TypeError) from None


def count(name: str, value: Any, least: int = 1, most: int | None = None) -> int:
    """Return a whole number that is neither too small nor too large."""
    try:
        number = index_of(value)
    except TypeError:
        kind = type(value).__name__
        raise Refused(f"{name} must be an int, got {kind}.", TypeError) from None
    if number < least:
        raise Refused(f"{name} must be >= {least}, got {number}.")
    if most is not None and number > most:
        raise Refused(f"{name} must be <= {most}, got {shown(number)}.")
    return number
