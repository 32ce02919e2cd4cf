"""Read a piece as a tape: what is done to each entry, whatever the array's shape.

A piece whose result is computed entry by entry, from keys, numbers and random bits, is
the same code for all shapes. The tape holds that code; the numbers that differ from
weight to weight, such as a standard deviation, are taken out of it where XLA does not
compute with a constant otherwise than with an argument.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Container, Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .._core.bits import BITS, THREEFRY
from .canonical import canonical
from .jaxprs import bind, called, evaluate
from .keys import is_key, kind_of
from .outline import Piece
from .trace import Atom, Constant


class NotByEntry(Exception):
    """An entry depends on more than its index, keys and numbers."""


class Value(NamedTuple):
    """What a line gives: by its place, and whether it is of each entry or of a row."""

    place: int
    wide: bool


@dataclasses.dataclass(frozen=True, eq=False)
class Static:
    """A single number that is known as the function is traced; itself alone its equal.

    Attributes:
        equation: What computes it; None for `value`, or for an argument of a call.
        inputs: Of what; the number that is the argument.
        value: The number itself.
    """

    equation: Any
    inputs: tuple[Static, ...] = ()
    value: Any = None

    @property
    def is_argument(self) -> bool:
        """Whether it is an argument of the call that it is used in."""
        return self.equation is None and bool(self.inputs)

    @property
    def signature(self) -> Hashable:
        """Equal for numbers that are computed alike."""
        if self.is_argument:
            return "argument", self.inputs[0].signature
        if self.equation is None:
            return canonical(np.asarray(self.value))
        return (*_does(self.equation), tuple(x.signature for x in self.inputs))

    def computed(self) -> Any:
        """Return the number, computed as the function says, in calls as there.

        XLA divides an argument otherwise than a constant.
        """
        if self.is_argument:
            return self.inputs[0].computed()
        if self.equation is None:
            return self.value
        given: dict[Static, Any] = {}
        self._find(given)
        if not given:
            return self._within(given)
        outer = [x.computed() for x in given]
        inner = jax.jit(lambda *xs: self._within(dict(zip(given, xs, strict=True))))
        return inner(*outer)

    def _find(self, given: dict[Static, Any]) -> None:
        """Collect the arguments of the call that it is computed from."""
        if self.is_argument:
            given[self] = None
        elif self.equation is not None:
            for x in self.inputs:
                x._find(given)

    def _within(self, given: Mapping[Static, Any]) -> Any:
        """Return the number in the call."""
        if self in given:
            return given[self]
        if self.equation is None:
            return self.value
        (out,) = bind(self.equation, [x._within(given) for x in self.inputs])
        return out


Operand = Value | Static


class Line(NamedTuple):
    """One step: an equation, or the random bits of a key (`width`)."""

    equation: Any
    operands: tuple[Operand, ...]
    wide: bool
    width: int = 0

    def signature(self, without: Container[int] = ()) -> Hashable:
        """Equal for steps that do the same, whatever some of the operands are."""
        refers = tuple(
            "given" if i in without else x if isinstance(x, Value) else x.signature
            for i, x in enumerate(self.operands)
        )
        return self.width or _does(self.equation), self.wide, refers


def _does(equation: Any) -> tuple[Hashable, ...]:
    """Return what an equation does to each entry."""
    dtypes = tuple(v.aval.dtype for v in equation.outvars)
    return equation.primitive, canonical(dict(equation.params)), dtypes


class Tape(NamedTuple):
    """The code of a piece, and what it is applied to.

    Attributes:
        leaves: What a row takes: keys and numbers, by the piece's leaves.
        lines: What is done, in order.
        result: What it gives; a `Static` is a constant array.
        order: Which of several keys the parts of the array are of, one after the other.
    """

    leaves: tuple[Atom, ...]
    lines: tuple[Line, ...]
    result: Operand
    order: tuple[int, ...]

    def signature(self, without: Container[tuple[int, int]] = ()) -> Hashable:
        """Equal for tapes of one code, whatever the operands of some places are."""
        lines = tuple(
            line.signature([j for j in range(len(line.operands)) if (i, j) in without])
            for i, line in enumerate(self.lines)
        )
        result = self.result
        if isinstance(result, Static):
            result = result.signature
        return tuple(_kind(a.aval) for a in self.leaves), lines, result


# entry by entry, of the entries at the same index
_ENTRYWISE = frozenset(
    """
    abs add and bitcast_convert_type ceil clamp convert_element_type div eq erf_inv
    floor ge gt le lt max min mul ne neg nextafter not or population_count
    reduce_precision rem round select_n shift_left shift_right_arithmetic
    shift_right_logical sign sqrt square sub xor
    """.split()
)
# these too, but for the last bit, which depends on the loop
_ENTRYWISE_LOOSELY = _ENTRYWISE | frozenset(
    """
    acos acosh asin asinh atan atan2 atanh cbrt cos cosh erf erfc exp exp2 expm1
    integer_pow is_finite log log1p logistic pow rsqrt sin sinh tan tanh
    """.split()
)
# the same entries in the same order
_SAME = frozenset(
    """
    broadcast_in_dim copy copy_p expand_dims optimization_barrier reshape squeeze
    stop_gradient
    """.split()
)
_OF_KEYS = frozenset({"random_wrap", "random_unwrap", "random_clone"})


def tape_of(piece: Piece, exact: bool = True) -> Tape:
    """Return the tape of a piece of one result, or raise `NotByEntry`.

    Without `exact`, the last bits may be other ones than in an array of its shape.
    """
    (result,) = piece.results
    found = (keys_of(atom.aval) for atom in piece.leaves)
    counts = {count for count in found if count is not None}
    if len(counts) > 1:
        raise NotByEntry
    entrywise = _ENTRYWISE if exact else _ENTRYWISE_LOOSELY
    writer = _Writer(math.prod(result.aval.shape), entrywise, *counts)
    env: dict[Atom, Operand] = {}
    for atom in piece.leaves:
        env[atom] = writer.leaf(atom.aval)

    def read(atom: Atom) -> Operand:
        if atom in env:
            return env[atom]
        if isinstance(atom, Constant):
            return writer.static(atom.value)
        raise NotByEntry

    for node in piece.nodes:
        out = writer.apply(node.equation, [read(a) for a in node.inputs])
        env.update(zip(node.results, out, strict=True))
    return Tape(piece.leaves, tuple(writer.lines), read(result), writer.order)


class _Writer:
    """Writes the lines of equations that are applied to operands."""

    def __init__(self, size: int, entrywise: frozenset[str], keys: int = 1) -> None:
        self._size, self._keys, self._count = size, keys, 0
        self._entrywise = entrywise
        self.order = tuple(range(keys))
        self.lines: list[Line] = []

    def leaf(self, aval: Any) -> Value:
        """Return what a row takes: a key, its words, or a number."""
        if keys_of(aval) is None and aval.shape != ():
            raise NotByEntry
        if is_key(aval) and not _is_threefry(aval):
            raise NotByEntry
        return self._next(wide=False)

    def static(self, value: Any) -> Static:
        """Return a number that is known."""
        aval = jax.typeof(value)
        if is_key(aval) or math.prod(aval.shape) != 1:
            raise NotByEntry
        return Static(None, (), np.asarray(value, aval.dtype).reshape(()))

    def _next(self, *, wide: bool) -> Value:
        self._count += 1
        return Value(self._count - 1, wide)

    def _write(self, line: Line) -> list[Operand]:
        if line.wide and list(self.order) != sorted(self.order):
            raise NotByEntry  # not of the entries at the same index
        self.lines.append(line)
        return [self._next(wide=line.wide)]

    def apply(self, equation: Any, inputs: Sequence[Any]) -> list[Operand]:
        """Write what an equation does; literals come as they are."""
        operands = [
            x if isinstance(x, (Value, Static)) else self.static(x) for x in inputs
        ]
        if _is_bits(equation):
            return self._bits(equation, operands)
        inner = called(equation)
        if inner is not None:
            arguments = [
                Static(None, (x,)) if isinstance(x, Static) else x for x in operands
            ]
            return evaluate(inner, arguments, self.apply)
        name, avals = equation.primitive.name, [v.aval for v in equation.outvars]
        if len(avals) != 1:
            raise NotByEntry
        size = math.prod(avals[0].shape)
        if name in _OF_KEYS:
            return self._write(Line(equation, tuple(operands), wide=False))
        moves = name == "reshape" and equation.params["dimensions"] is not None
        if name in _SAME and len(operands) == 1 and not moves:
            before = equation.invars[0].aval
            if _is_number(operands[0], before):
                return operands
            if size in (math.prod(before.shape), self._size):
                return operands
            raise NotByEntry
        if name == "transpose" and len(operands) == 1:
            self._reorder(equation, operands[0])
            return operands
        if all(isinstance(x, Static) for x in operands) and size == 1:
            shapes = [v.aval.shape for v in (*equation.invars, *equation.outvars)]
            if is_key(avals[0]) or (any(shapes) and name not in self._entrywise):
                raise NotByEntry
            return [Static(equation, tuple(operands))]  # type: ignore[arg-type]
        if self._size == self._keys:  # one entry a key, not to be told from numbers
            raise NotByEntry
        wide = size != 1
        if name not in self._entrywise or (wide and size != self._size):
            raise NotByEntry
        if all(isinstance(x, Static) for x in operands):
            raise NotByEntry  # an array of one number, which XLA computes as it likes
        return self._write(Line(equation, tuple(operands), wide))

    def _reorder(self, equation: Any, operand: Operand) -> None:
        """Move whole parts of an array, each of a key of its own."""
        shape, moves = equation.invars[0].aval.shape, equation.params["permutation"]
        if _is_number(operand, equation.invars[0].aval):
            return
        moved = max((i + 1 for i, m in enumerate(moves) if i != m), default=0)
        leading = moved
        while math.prod(shape[:leading]) < self._keys:
            leading += 1
        if moved and math.prod(shape[:leading]) != self._keys:
            raise NotByEntry
        parts = np.array(self.order).reshape(shape[:leading])
        self.order = tuple(parts.transpose(moves[:leading]).ravel().tolist())

    def _bits(self, equation: Any, operands: Sequence[Operand]) -> list[Operand]:
        (aval,) = (v.aval for v in equation.outvars)
        key = equation.invars[0].aval
        fusible = equation.ctx.threefry_partitionable
        if is_key(key):
            fusible = fusible and _is_threefry(key)
        if not fusible or keys_of(key) != self._keys:
            raise NotByEntry
        if math.prod(aval.shape) != self._size:
            raise NotByEntry
        width = aval.dtype.itemsize * 8
        return self._write(Line(None, tuple(operands), wide=True, width=width))


def _is_number(operand: Operand, aval: Any) -> bool:
    """Tell whether an operand is the same number in every entry of its array."""
    return isinstance(operand, Static) or not (
        operand.wide or is_key(aval) or keys_of(aval)
    )


def keys_of(aval: Any) -> int | None:
    """Return how many keys a value is, typed or as words; None if it is none."""
    if is_key(aval):
        return math.prod(aval.shape)
    raw = aval.dtype == jnp.uint32 and aval.shape[-1:] == (2,)
    return math.prod(aval.shape[:-1]) if raw else None


def _kind(aval: Any) -> Hashable:
    return aval.dtype, keys_of(aval) is None


def _is_threefry(aval: Any) -> bool:
    return kind_of(aval.dtype).impl == THREEFRY


def _is_bits(equation: Any) -> bool:
    name = equation.primitive.name
    return name == "random_bits" or equation.params.get("name") == BITS
