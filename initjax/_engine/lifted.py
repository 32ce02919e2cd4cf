"""Take numbers out of a tape: what differs from weight to weight, such as a gain.

XLA computes with constants as it compiles: it multiplies two of them that follow each
other, and leaves out a sum with zero. A number is taken out only where nothing of that
can happen, or where what happens is known and done here too.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
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
            if not other.wide or _joins(tape, i, family):
                continue
            before = made.get(other.place)
            if before is None or not _holds(tape.lines[before], family):
                if not _vanishes(number, line):
                    found.append(Place(i, j))
            elif _is_product_of(tape, before, made) and not (
                _is_summed(tape, i) and _cancels(number, tape.lines[before])
            ):
                found.append(Place(i, j, before))
    return tuple(found)


def _name(line: Line) -> str:
    return "" if line.width else line.equation.primitive.name


def _made(tape: Tape) -> dict[int, int]:
    """Return which line makes the value of each place; leaves come first."""
    return {len(tape.leaves) + i: i for i in range(len(tape.lines))}


def _vanishes(number: Static, line: Line) -> bool:
    """Tell whether XLA may leave a line out: it does with x + 0, x * 1 and x * -1.

    What was apart then meets: the sums of (x + a) * 1 + b become one.
    """
    neutral = {"add": (0,), "mul": _UNITS}.get(_name(line), ())
    return _may_be(roughly(number), neutral)


def _cancels(number: Static, before: Line) -> bool:
    """Tell whether XLA may leave out a product, or two that it joins."""
    value, other = roughly(number), roughly(constant_of(before))
    both = None if value is None or other is None else value * other
    return _may_be(value, _UNITS) or _may_be(both, _UNITS)


_UNITS = (1, -1)


def _may_be(value: float | None, numbers: Sequence[float]) -> bool:
    """Tell whether what is about a value may be one of some numbers."""
    near = 1e-6  # more than what rounding makes of it
    return bool(numbers) and (
        value is None or any(abs(value - number) < near for number in numbers)
    )


_ROUGHLY: dict[str, Callable[..., Any]] = {
    "add": operator.add,
    "convert_element_type": float,
    "div": operator.truediv,
    "erf": math.erf,
    "exp": math.exp,
    "log": math.log,
    "max": max,
    "min": min,
    "mul": operator.mul,
    "neg": operator.neg,
    "nextafter": lambda x, _: x,
    "pow": math.pow,
    "rsqrt": lambda x: x**-0.5,
    "sqrt": math.sqrt,
    "square": lambda x: x * x,
    "sub": operator.sub,
}


def roughly(number: Static) -> float | None:
    """Return about what a number is, or None where that is not clear."""
    while number.is_argument:
        (number,) = number.inputs
    if number.equation is None:
        value = np.asarray(number.value)
        return None if value.dtype.kind == "c" else float(value)
    inputs = [roughly(x) for x in number.inputs]
    compute = _ROUGHLY.get(number.equation.primitive.name)
    if compute is None or None in inputs:
        return None
    try:
        return float(compute(*inputs))
    except (ArithmeticError, ValueError):
        return None


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


def is_given_in_loops(tape: Tape) -> bool:
    """Tell whether a loop computes what the tape does alone.

    XLA computes a number with axes before a loop, and the loop takes it as given.
    """
    fixed = {place[:2] for place in places_of(tape) if place.before is None}
    return all(
        (i, j) in fixed
        for i, line in enumerate(tape.lines)
        for j, x in enumerate(line.operands)
        if isinstance(x, Static) and _has_axes(x)
    )


def _has_axes(number: Static) -> bool:
    """Tell whether a number is computed in an array."""
    equation = number.equation
    ranked = equation is not None and any(v.aval.shape for v in equation.outvars)
    return ranked or any(map(_has_axes, number.inputs))


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
