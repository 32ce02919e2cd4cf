"""A law with rows of their own: padding, special tokens."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from .._core.compile import Draw
from .._core.composed import folded, law_of, sample
from .._core.fields import checked, integer, needed
from .._core.initializer import Initializer
from .._core.promise import Law, is_alike, mixture_law
from .._core.samplers import fill
from .._errors import Refused, shown
from .._fans.declaration import Declaration, part_shapes
from .._fans.fans import items_of
from .._registry import named
from .constant import Constant
from .scaled import Scaled
from .wrapper import Wrapper, as_law, axis_of, fixed_law, on_stream, one_dtype

Shape = tuple[int, ...]
Runs = tuple[tuple[int, int], ...]

_SLICE = re.compile(r"(-?\d+)?:(-?\d+)?")


def _index(value: Any) -> Any:
    """Accept a row, a sequence of them, or a slice, which is kept as "start:stop"."""
    if isinstance(value, slice):
        if value.step not in (None, 1):
            raise Refused("takes slices without a step; list the rows.")
        ends = (value.start, value.stop)
        value = ":".join("" if end is None else str(integer(end)) for end in ends)
    if isinstance(value, str):
        if not _SLICE.fullmatch(value):
            raise Refused("a slice reads 'start:stop', such as '10:' or ':-2'.")
        return value
    rows = items_of(value)
    return tuple(map(integer, rows)) if rows else integer(value)


def _value(value: Any) -> Any:
    """Accept what Constant does, a law, or an identifier of one."""
    if not (isinstance(value, (str, Mapping)) or callable(value)):
        return Constant(value).value
    return one_dtype(as_law(value))


@named()
@dataclass(frozen=True, slots=True, repr=False)
class WithRow(Wrapper):
    """A law whose rows `index` along `axis` have a number or a law of their own.

    All other entries are those of the law itself, bit for bit. The rows are drawn
    together, in their order along the axis, as a weight of their shape, on the stream
    of the clone "row", or ("row", n) around n laws with rows of their own. Mean and
    standard deviation are those of the mixture. Rows are counted in the whole array,
    also where `fan` declares parts or layers.

    Any shape that has the rows; dtypes that both the law and the value take.

    Args:
        initializer: A law, or an identifier of one.
        index: A row, a sequence of rows, or a slice (kept as text: "10:"); negative
            ones count from the end.
        value: A number, or a law, or an identifier of one, with a `fan` of its own.
        axis: The axis that counts the rows.
        seed: Stream tag: None, an int, a str, or a path of them.
        dtype: What `dtype=None` means in a call.
        fan: How the array is made up, such as `Fan.embedding()`.

    Raises:
        ValueError: At the call, an axis or a row out of range, a row listed twice, a
            slice without rows.
        TypeError: No law, no index, a value that is neither number nor law.

    References:
        PyTorch, `padding_idx` of `torch.nn.Embedding`, whose row is zero.
    """

    index: Any = needed(_index)
    value: Any = checked(0.0, _value)
    axis: int = checked(0, integer)

    def _times(self, by: Any) -> Initializer:
        law, value = Scaled(self.initializer, by), Scaled(self._own(), by)
        return dataclasses.replace(self, initializer=law, value=value)

    def _is_small(self) -> bool:
        return self.initializer._is_small() and self._own()._is_small()

    def _is_whole(self) -> bool:
        return True

    def _draw(self, shape: Shape, dtype: np.dtype[Any]) -> Draw:
        axis, runs = self._runs(shape)
        inner, rows = self._inner(), self._rows()
        draw = inner._make(shape, dtype)
        other = rows._make(_rows_shape(shape, axis, runs), dtype)
        if other.random:  # two streams of one key
            draw, other = folded(inner, draw), folded(rows, other)
        options = (
            *(("draw", draw._replace(numbers=())), ("count", len(draw.numbers))),
            *(("rows", other._replace(numbers=())), ("axis", axis), ("runs", runs)),
        )
        return draw._replace(
            sampler=overlaid,
            numbers=(*draw.numbers, *other.numbers),
            options=options,
            random=draw.random or other.random,
            elementwise=draw.elementwise and other.elementwise,
            folded=draw.folded or other.random,
        )

    def _law(self, shape: Shape, dtype: np.dtype[Any]) -> Law:
        axis, runs = self._runs(shape)
        own = _rows_shape(shape, axis, runs)
        rest = self._rest(shape, dtype, axis, runs)
        if not all(is_alike(law) for law, _ in rest):
            if fixed := fixed_law(self, shape, dtype):
                return fixed
            if any(law.alike is False for law, _ in rest):
                raise Refused(
                    "promises nothing: the law differs from entry to entry, and its "
                    "average does not tell what the rows leave; ask the law itself.",
                    TypeError,
                )
        laws, weights = zip(*rest, strict=True)
        law = self._rows()._promise(own, dtype)
        mixture = mixture_law((*laws, law), (*weights, own[axis]))
        return dataclasses.replace(
            mixture, fans=self._inner()._promise(shape, dtype).fans
        )

    def _rest(
        self, shape: Shape, dtype: np.dtype[Any], axis: int, runs: Runs
    ) -> list[tuple[Law, float]]:
        """Return the law of every part, and how many rows of it are the law's own."""
        inner, left = self._inner(), _rows_left(shape[axis], runs)
        fan: Declaration | None = None if inner._is_whole() else self.fan
        parts = None if fan is None else fan.parts(shape)
        if parts is None:
            return [(inner._promise(shape, dtype), left.sum())]
        pairs = zip(inner._divided(parts), part_shapes(shape, parts), strict=True)
        laws = [law_of(part, part_shape, dtype) for part, part_shape in pairs]
        counts = [left.sum() * size / (shape[parts.axis] or 1) for size in parts.sizes]
        if parts.axis == axis:
            ends = np.cumsum(parts.sizes)[:-1]
            counts = [part.sum() for part in np.split(left, ends)]
        return [*zip(laws, counts, strict=True)]

    def _needs_fan(self, shape: Shape) -> bool:
        return self._inner()._needs_fan(shape) or self._rows()._needs_fan(shape)

    def _own(self) -> Initializer:
        value = self.value
        return value if isinstance(value, Initializer) else Constant(value)

    def _rows(self) -> Initializer:
        """Return the law of the rows, on a stream of its own."""
        within, depth = self.initializer, 0
        while isinstance(within, Wrapper):  # whose rows may have a stream of the name
            depth += isinstance(within, WithRow)
            within = within.initializer
        return on_stream(self._own(), self.seed, ("row", depth) if depth else "row")

    def _runs(self, shape: Shape) -> tuple[int, Runs]:
        """Return the axis, and the rows as first and last of each run, in order."""
        axis = axis_of(self.axis, shape, "rows")
        return axis, _runs_of(self.index, shape[axis])


def _runs_of(index: Any, size: int) -> Runs:
    """Return the runs of neighbouring rows that an index means, in order."""
    if size >= 2**31:
        raise Refused(f"rows are counted in 32 bits, got {size}; give fewer.")
    if isinstance(index, str):
        start, stop = (int(end) if end else None for end in index.split(":"))
        ends = (0 if start is None else start, size if stop is None else stop)
        _check_range(index, ends, size, size)
        start, stop = (end + size if end < 0 else end for end in ends)
        if start >= stop:
            raise Refused(
                f"the slice {shown(index)} of {size} rows is empty; give rows."
            )
        return ((start, stop),)
    rows = index if isinstance(index, tuple) else (index,)
    _check_range(index, rows, size, size - 1)
    order = sorted(row % size for row in rows)
    if len(known := {*order}) < len(order):
        raise Refused(
            f"index={shown(index)} lists a row of {size} twice; list it once."
        )
    starts = [row for row in order if row - 1 not in known]
    stops = [row + 1 for row in order if row + 1 not in known]
    return tuple(zip(starts, stops, strict=True))


def _check_range(index: Any, rows: Sequence[int], size: int, last: int) -> None:
    if not all(-size <= row <= last for row in rows):
        raise Refused(
            f"index={shown(index)} is out of range, the axis has {size} rows; "
            f"give rows in [{-size}, {size})."
        )


def _rows_left(size: int, runs: Runs) -> Any:
    """Return whether each row is none of the runs."""
    left = np.ones(size, bool)
    for start, stop in runs:
        left[start:stop] = False
    return left


def _rows_shape(shape: Shape, axis: int, runs: Runs) -> Shape:
    count = sum(stop - start for start, stop in runs)
    return (*shape[:axis], count, *shape[axis + 1 :])


def overlaid(
    key: Any,
    shape: Shape,
    dtype: Any,
    *numbers: Any,
    draw: Draw,
    count: int,
    rows: Draw,
    axis: int,
    runs: Runs,
) -> jax.Array:
    """Draw an array and its rows, and choose by position, so in shards too."""
    x = sample(draw, key, shape, dtype, numbers[:count])
    position = lax.iota(jnp.int32, shape[axis])
    chosen, slot, first = jnp.zeros(position.shape, bool), position, 0
    for start, stop in runs:
        inside = (position >= start) & (position < stop)
        chosen, slot = (
            chosen | inside,
            jnp.where(inside, position - start + first, slot),
        )
        first += stop - start
    one_for_all = rows.sampler is fill and all(np.ndim(n) == 0 for n in numbers[count:])
    part = (*shape[:axis], 1 if one_for_all else first, *shape[axis + 1 :])
    own = sample(rows, key, part, dtype, numbers[count:])
    if part[axis] > 1:  # a scatter, or a padding, would need every device's rows
        own = jnp.take(own, slot, axis, mode="clip")
    chosen = lax.broadcast_in_dim(chosen, shape, (axis,))
    return jnp.where(chosen, jnp.broadcast_to(own, shape), x)


def with_row(initializer: Any, index: Any, value: Any = 0.0, axis: int = 0) -> WithRow:
    """Return a law whose rows `index` are a number or of another law; see `WithRow`.

    Args:
        initializer: A law, or an identifier of one.
        index: A row, a sequence of rows, or a slice.
        value: A number, a law, or an identifier of one.
        axis: The axis that counts the rows.
    """
    return WithRow(initializer, index, value, axis=axis)
