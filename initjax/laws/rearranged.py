"""A law whose array is transposed, or lies in blocks along a diagonal."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from .._core.compile import Draw
from .._core.composed import clones_of, sample
from .._core.fields import axes, checked, integer, needed
from .._core.initializer import Initializer
from .._core.promise import Law, mixture_law
from .._core.values import held
from .._errors import Refused
from .._fans.declaration import Parts, vector_fans
from .._fans.fan import Fan
from .._fans.fans import Fans
from .._registry import named
from .scaled import Scaled
from .wrapper import Wrapper

Shape = tuple[int, ...]


def _order(value: Any) -> Any:
    order = axes(value)
    if order is not None:
        rank = len(order)
        if sorted(axis % rank if rank else axis for axis in order) != [*range(rank)]:
            raise Refused(f"must name each of {rank} axes once, or be None.")
        order = tuple(axis % rank for axis in order)
    return order


@named()
@dataclass(frozen=True, slots=True, repr=False)
class Transposed(Wrapper):
    """A law drawn in another order of the axes, such as (in, out), and transposed.

    `Transposed(law, axes)(key, shape)` is `jnp.transpose(law(key, drawn), axes)`, with
    `drawn` the shape that gives the asked one: laws that are written for (in, out) fill
    arrays of (out, in). Mean and standard deviation are those of the law, at the fans
    of what is drawn. A `fan` in the law is in the order in which it draws; one given
    here, in place of it, is in that of the array.

    Shapes of as many axes; dtypes are the law's.

    Args:
        initializer: A law, or an identifier of one.
        axes: Which axis of what is drawn becomes each axis of the array; None reverses
            them.
        seed: Stream tag: None, an int, a str, or a path of them.
        dtype: What `dtype=None` means in a call.
        fan: How the array is made up.

    Raises:
        ValueError: Axes that are not all axes, once each; at the call, a shape of
            another rank.
        TypeError: No law; an axis that is no int.
    """

    axes: Any = checked(None, _order)

    _MOVED: ClassVar[tuple[str, ...]] = ("seed", "dtype")

    def _times(self, by: Any) -> Initializer:
        return dataclasses.replace(self, initializer=Scaled(self.initializer, by))

    def _is_blockwise(self) -> bool:
        return True

    def _divided(self, parts: Parts) -> Sequence[Initializer]:
        return clones_of(self, parts)

    def _draw(self, shape: Shape, dtype: np.dtype[Any]) -> Draw:
        order, drawn = self._drawn(shape)
        draw = self._within(shape)._make(drawn, dtype)
        options = (
            *(("draw", draw._replace(numbers=())), ("drawn", drawn)),
            ("order", order),
        )
        return draw._replace(sampler=transposed, options=options)

    def _law(self, shape: Shape, dtype: np.dtype[Any]) -> Law:
        return self._within(shape)._promise(self._drawn(shape)[1], dtype)

    def _needs_fan(self, shape: Shape) -> bool:
        if self.fan is None:
            return self.initializer._needs_fan(self._drawn(shape)[1])
        return dataclasses.replace(self.initializer, fan=self.fan)._needs_fan(shape)

    def _declared_fans(self, shape: Shape) -> Fans:
        if self.fan is None:
            return self.initializer._declared_fans(self._drawn(shape)[1])
        return vector_fans(self.fan, shape)

    def _std_at(self, shape: Shape, dtype: np.dtype[Any], fans: Fans) -> float:
        if self.fan is not None and (blocks := self.fan.blocks(shape)):
            block = dataclasses.replace(self, fan=self.fan.block(shape))
            one = tuple(n for i, n in enumerate(shape) if i not in blocks)
            return block._std_at(one, dtype, fans)
        return self._within(shape)._std_at(self._drawn(shape)[1], dtype, fans)

    def _drawn(self, shape: Shape) -> tuple[tuple[int, ...], Shape]:
        """Return the order of the axes, and the shape that is drawn."""
        rank = len(shape)
        order = tuple(range(rank))[::-1] if self.axes is None else self.axes
        if len(order) != rank:
            raise Refused(
                f"axes={self.axes} are {len(order)}, the shape has {rank}; give one "
                "for each."
            )
        return order, tuple(shape[order.index(axis)] for axis in range(rank))

    def _within(self, shape: Shape) -> Initializer:
        """Return the law that is drawn: on the stream, and by the fan, of the whole."""
        given: dict[str, Any] = {}
        if self.fan is not None:
            given["fan"] = _turned(self.fan, self._drawn(shape)[0], shape)
        if hasattr(self.initializer, "seed"):
            given["seed"] = self.seed
        return dataclasses.replace(self.initializer, **given)


def _turned(fan: Any, order: tuple[int, ...], shape: Shape) -> Any:
    """Return the declaration of one weight in the order in which it is drawn."""
    if not isinstance(fan, Fan):
        return fan
    names = ("in_axes", "out_axes", "batch_axes")
    given = fan._axes(shape)
    turned = {name: tuple(order[axis] for axis in given[name]) for name in names}
    return dataclasses.replace(fan, **turned)


def transposed(
    key: Any,
    shape: Shape,
    dtype: Any,
    *numbers: Any,
    draw: Draw,
    drawn: Shape,
    order: tuple[int, ...],
) -> jax.Array:
    """Draw a shape, and put its axes in another order."""
    x = sample(draw, key, drawn, dtype, numbers)
    if not draw.elementwise or 0 in shape:
        return jnp.transpose(x, order)
    # one index an element fuses with the draw; from jaxlib 0.12 on a transpose does not
    places = map(order.index, range(len(shape)))
    index = tuple(lax.broadcasted_iota(jnp.int32, shape, axis) for axis in places)
    return x.at[index].get(mode="promise_in_bounds")


def _count(value: Any) -> int:
    if (count := integer(value)) < 1:
        raise Refused("must be a whole number >= 1; give that of the blocks.")
    return count


@named()
@dataclass(frozen=True, slots=True, repr=False)
class BlockDiagonal(Wrapper):
    """A matrix of equal blocks of a law along the diagonal, 0 elsewhere.

    Block i is drawn as the clone of the law by i, at the fans of a block: as many
    layers side by side, as those of heads or groups are. Mean and standard deviation
    are those of the mixture with 0. It costs what a full matrix costs.

    Rank 2, with sides that `blocks` divides; `fan` declares a block, or stacks of such
    matrices; dtypes are the law's.

    Args:
        initializer: A law, or an identifier of one.
        blocks: How many blocks, >= 1.
        seed: Stream tag: None, an int, a str, or a path of them.
        dtype: What `dtype=None` means in a call.
        fan: How a block is made up.

    Raises:
        ValueError: No block; at the call, another rank, or a side that they do not
            divide.
        TypeError: No law, no whole number.
    """

    blocks: int = needed(_count)

    def _times(self, by: Any) -> Initializer:
        return dataclasses.replace(self, initializer=Scaled(self.initializer, by))

    def _is_blockwise(self) -> bool:
        return True

    def _draw(self, shape: Shape, dtype: np.dtype[Any]) -> Draw:
        held(np.zeros(()), dtype)  # float8_e8m0fnu has no 0
        draw = self._rows()._make(self._column(shape), dtype)
        options = (("draw", draw._replace(numbers=())), ("blocks", self.blocks))
        return draw._replace(sampler=spread, options=options)

    def _law(self, shape: Shape, dtype: np.dtype[Any]) -> Law:
        law = self._rows()._promise(self._column(shape), dtype)
        weights = (1.0, self.blocks - 1.0)
        mixture = mixture_law((law, Law(0.0, 0.0, 0.0, 0.0)), weights)
        return dataclasses.replace(mixture, fans=law.fans)

    def _needs_fan(self, shape: Shape) -> bool:
        return False  # a block has an axis of inputs and one of outputs

    def _declared_fans(self, shape: Shape) -> Fans:
        return self._inner()._declared_fans(self._block(shape))

    def _std_at(self, shape: Shape, dtype: np.dtype[Any], fans: Fans) -> float:
        return self._inner()._std_at(self._block(shape), dtype, fans)

    def _rows(self) -> Initializer:
        """Return the law of all blocks one below the other."""
        return dataclasses.replace(
            self._inner(), fan=Fan.fused(self.blocks, 0, self.fan)
        )

    def _block(self, shape: Shape) -> Shape:
        """Return the shape of a block, or refuse that of the whole."""
        if len(shape) != 2:
            raise Refused(
                f"a matrix of blocks has rank 2, got rank {len(shape)}; give (rows, "
                "columns), and stack such matrices by fan=Fan.stacked(0)."
            )
        if any(side % self.blocks for side in shape):
            raise Refused(
                f"{self.blocks} blocks do not divide the sides of {shape}; give a "
                "shape whose sides they divide."
            )
        return shape[0] // self.blocks, shape[1] // self.blocks

    def _column(self, shape: Shape) -> Shape:
        return shape[0], self._block(shape)[1]


def spread(
    key: Any, shape: Shape, dtype: Any, *numbers: Any, draw: Draw, blocks: int
) -> jax.Array:
    """Draw blocks one below the other, and move each to the diagonal."""
    rows, columns = (side // blocks for side in shape)
    x = sample(draw, key, (shape[0], columns), dtype, numbers)
    if blocks == 1 or 0 in shape:
        return x.reshape(shape)
    row, column = (lax.broadcasted_iota(jnp.int32, shape, axis) for axis in (0, 1))
    # one index an element fuses with the draw; columns repeated would not
    x = x.at[row, column % columns].get(mode="promise_in_bounds")
    return jnp.where(row // rows == column // columns, x, jnp.zeros_like(x))
