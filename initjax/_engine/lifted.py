"""Take numbers out of a tape: what differs from weight to weight, such as a gain.

XLA computes with constants as it compiles: it multiplies two of them that follow each
other, and leaves out a sum with zero. A number is taken out only where nothing of that
can happen, or where what happens is known and done here too.
"""

from __future__ import annotations

import functools
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .tape import Line, Static, Tape, Value

# XLA rewrites chains of one family that hold constants
_PRODUCTS = frozenset({"mul", "div", "neg", "sqrt", "square"})
_SUMS = frozenset({"add", "sub", "neg"})
_BOUNDS = frozenset({"max", "min", "clamp"})
_FAMILIES = {"mul": _PRODUCTS, "add": _SUMS, "max": _BOUNDS, "min": _BOUNDS}


class Place(NamedTuple):
    """A known operand of a tape that can be given instead.

    Attributes:
        line: The number of the line.
        operand: Which operand of it.
        before: The line before, where that is a product with a constant too.
    """

    line: int
    operand: int
    before: int | None = None

    def number(self, tape: Tape) -> Static:
        """Return the operand that stands there."""
        found: Any = tape.lines[self.line].operands[self.operand]
        return found


def places_of(tape: Tape) -> tuple[Place, ...]:
    """Return the numbers of a tape that can be given."""
    made = _made(tape)
    found: list[Place] = []
    for i, line in enumerate(tape.lines):
        family = _FAMILIES.get(_name(line))
        if not line.wide or family is None:
            continue
        for j, number in enumerate(line.operands):
            other = line.operands[1 - j]
            if not isinstance(number, Static) or not isinstance(other, Value):
                continue
            if not other.wide or _vanishes(number, line) or _joins(tape, i, family):
                continue
            before = made.get(other.place)
            if before is None or not _holds(tape.lines[before], family):
                found.append(Place(i, j))
            elif _is_product_of(tape, before, made) and not (
                _is_summed(tape, i) and _may_be_one(number)
            ):
                found.append(Place(i, j, before))
    return tuple(found)


def _name(line: Line) -> str:
    return "" if line.width else line.equation.primitive.name


def _made(tape: Tape) -> dict[int, int]:
    """Return which line makes the value of each place; leaves come first."""
    return {len(tape.leaves) + i: i for i in range(len(tape.lines))}


def _vanishes(number: Static, line: Line) -> bool:
    """Tell whether XLA may leave out a sum, as it does with zero."""
    if _name(line) != "add":
        return False
    dtypes = [line.equation.outvars[0].aval.dtype]
    while number.is_argument or _converts(number):
        (number,) = number.inputs
    value = _literal(number)
    return value is None or not value.astype(*dtypes).any()


def _converts(number: Static) -> bool:
    equation = number.equation
    return equation is not None and equation.primitive.name == "convert_element_type"


def _literal(number: Static) -> Any:
    """Return a number that is written as such, else None."""
    while number.is_argument:
        (number,) = number.inputs
    return None if number.equation is not None else np.asarray(number.value)


def _holds(line: Line, family: frozenset[str]) -> bool:
    """Tell whether a line is of a family, with a constant or of one operand."""
    static = any(isinstance(x, Static) for x in line.operands)
    return _name(line) in family and (static or len(line.operands) == 1)


def _joins(tape: Tape, i: int, family: frozenset[str]) -> bool:
    """Tell whether a later line takes this one and is of the family."""
    place = len(tape.leaves) + i
    return any(
        _holds(line, family)
        for line in tape.lines
        if any(isinstance(x, Value) and x.place == place for x in line.operands)
    )


def _is_summed(tape: Tape, i: int) -> bool:
    """Tell whether a later line adds to this one, in one step with it."""
    place = len(tape.leaves) + i
    return any(
        _name(line) in ("add", "sub")
        and any(isinstance(x, Value) and x.place == place for x in line.operands)
        for line in tape.lines
    )


def _may_be_one(number: Static) -> bool:
    """Tell whether XLA may leave out a product, as it does with 1 and -1."""
    value = _literal(number)
    return value is None or bool(np.abs(value) == 1)


def _is_product_of(tape: Tape, i: int, made: Mapping[int, int]) -> bool:
    """Tell whether a line is a product with a constant, of no such product."""
    line = tape.lines[i]
    if _name(line) != "mul" or line.equation.outvars[0].aval.dtype not in (
        jnp.float32,
        jnp.float64,
    ):
        return False
    (factor,) = (x for x in line.operands if isinstance(x, Value))
    before = made.get(factor.place)
    return before is None or not _holds(tape.lines[before], _PRODUCTS)


def constant_of(line: Line) -> Static:
    """Return the one number of a line that is known."""
    (number,) = (x for x in line.operands if isinstance(x, Static))
    return number


def statics_of(tape: Tape, places: Iterable[Place]) -> list[Static]:
    """Return the numbers that the values of places depend on."""
    found: list[Static] = []
    for place in places:
        found.append(place.number(tape))
        if place.before is not None:
            found.append(constant_of(tape.lines[place.before]))
    return found


def value_at(tape: Tape, place: Place, values: Mapping[Hashable, Any]) -> Any:
    """Return what is given at a place, of the values of the known numbers."""
    value = values[place.number(tape).signature]
    if place.before is None or not joins_products():
        return value
    return values[constant_of(tape.lines[place.before]).signature] * value


_VALUES: dict[Hashable, Any] = {}
_MOST = 1 << 16  # values that are kept


def values_of(numbers: Sequence[Static]) -> Mapping[Hashable, Any]:
    """Return the value of every number by its signature, as XLA computes it."""
    if len(_VALUES) > _MOST:
        _VALUES.clear()
    new = {x.signature: x for x in numbers if x.signature not in _VALUES}
    plain = {s: y[()] for s, x in new.items() if (y := _literal(x)) is not None}
    others = {s: x for s, x in new.items() if s not in plain}
    if others:
        compute = jax.jit(lambda: [x.computed() for x in others.values()])
        results = jax.device_get(compute.lower().compile()())
        plain |= {s: x[()] for s, x in zip(others, results, strict=True)}
    _VALUES.update(plain)
    return _VALUES


@functools.cache
def joins_products() -> bool:
    """Tell whether this XLA computes (x a) b as x (a b) where a and b are constants."""
    a, b = np.float32(1.1), np.float32(1.3)
    x = np.linspace(0.1, 1, 64, dtype=np.float32)
    program = jax.jit(lambda x: (x * a) * b).lower(x).compile()
    return bool((np.asarray(program(x)) == x * (a * b)).all())
