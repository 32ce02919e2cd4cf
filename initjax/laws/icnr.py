"""Initialization to convolution and nearest-neighbour resize, for sub-pixel layers."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from .._core.compile import Draw
from .._core.composed import sample
from .._core.fields import checked, choice, integer, needed
from .._core.initializer import Initializer
from .._core.promise import Law
from .._errors import Refused
from .._registry import named
from .scaled import Scaled
from .wrapper import Wrapper, axis_of

Shape = tuple[int, ...]


def _factor(value: Any) -> int:
    if (factor := integer(value)) < 1:
        raise Refused("must be a whole number >= 1; give that of the upsampling.")
    return factor


@named()
@dataclass(frozen=True, slots=True, repr=False)
class ICNR(Wrapper):
    """A law for convolutions before a pixel shuffle, without checkerboards.

    The factor^n outputs (n window axes) that become one channel of the shuffle are
    equal: the layer begins as a convolution and a nearest-neighbour upsampling. The
    law draws the smaller kernel, at its own fans, and repeats every output: mean and
    standard deviation are those of the smaller kernel. Which outputs belong together
    depends on the shuffle; k counts the pixels of a block, C is the number of channels:

    - "torch": output c factor^n + k is channel c (`torch.nn.PixelShuffle`);
    - "tensorflow": output k C + c is channel c (`tf.nn.depth_to_space`).

    Kernels with a window and outputs that factor^n divides; dtypes are the law's. With
    factor 1 it is the law, bit for bit.

    Args:
        initializer: A law, or an identifier of one.
        factor: How many pixels a pixel becomes along each axis, >= 1.
        order: The order of the outputs, "torch" or "tensorflow".
        axis: The axis of the outputs; None is the one that `fan` declares, else the
            last.
        seed: Stream tag: None, an int, a str, or a path of them.
        dtype: What `dtype=None` means in a call.
        fan: How the array is made up, such as `Fan.conv(layout="OIHW")`.

    Raises:
        ValueError: A factor below 1; at the call, outputs that it does not divide.
        TypeError: No law, no whole number.

    References:
        Aitken et al., "Checkerboard artifact free sub-pixel convolution", 2017.
    """

    factor: int = needed(_factor)
    order: str = checked("torch", choice("torch", "tensorflow"))
    axis: int | None = checked(None, lambda x: None if x is None else integer(x))

    def _times(self, by: Any) -> Initializer:
        return dataclasses.replace(self, initializer=Scaled(self.initializer, by))

    def _draw(self, shape: Shape, dtype: np.dtype[Any]) -> Draw:
        axis, copies = self._copies(shape)
        draw = self._inner()._make(_smaller(shape, axis, copies), dtype)
        options = (
            *(("draw", draw._replace(numbers=())), ("axis", axis), ("copies", copies)),
            ("order", self.order),
        )
        return draw._replace(sampler=repeated, options=options)

    def _law(self, shape: Shape, dtype: np.dtype[Any]) -> Law:
        return self._inner()._promise(_smaller(shape, *self._copies(shape)), dtype)

    def _copies(self, shape: Shape) -> tuple[int, int]:
        """Return the axis of the outputs, and how many of them are equal."""
        blocks = () if self.fan is None else self.fan.blocks(shape)
        kept = [axis for axis in range(len(shape)) if axis not in blocks]
        axis = self._axis(shape, kept)
        copies = self.factor ** max(len(kept) - 2, 0)
        if len(kept) < 3:
            raise Refused(
                f"a shape {shape} has no window axes to upsample; give the kernel of a "
                "convolution."
            )
        if shape[axis] % copies:
            raise Refused(
                f"axis {axis} has {shape[axis]} outputs, which {copies} equal ones of "
                f"factor={self.factor} do not divide; give a multiple of {copies}."
            )
        return axis, copies

    def _axis(self, shape: Shape, kept: list[int]) -> int:
        """Return the given axis, or that of one weight's declared outputs."""
        axis = -1 if self.axis is None else self.axis
        block = None if self.fan is None else self.fan.block(shape)
        if self.axis is None and block is not None:
            matrix = block.matrix(tuple(shape[axis] for axis in kept))
            outputs = (len(kept) - 1,) if matrix is None else matrix.columns
            if len(outputs) != 1:
                raise Refused(f"{self.fan!r} has several output axes; give axis=.")
            axis = kept[outputs[0]]
        return axis_of(axis, shape, "outputs")


def _smaller(shape: Shape, axis: int, copies: int) -> Shape:
    return (*shape[:axis], shape[axis] // copies, *shape[axis + 1 :])


def repeated(
    key: Any,
    shape: Shape,
    dtype: Any,
    *numbers: Any,
    draw: Draw,
    axis: int,
    copies: int,
    order: str,
) -> jax.Array:
    """Draw the smaller kernel and repeat its outputs."""
    small = _smaller(shape, axis, copies)
    x = sample(draw, key, small, dtype, numbers)
    if copies == 1 or 0 in shape:
        return x
    # one index an element fuses with the draw; rows taken or repeated would not
    index = [lax.broadcasted_iota(jnp.int32, shape, i) for i in range(len(shape))]
    output = index[axis]
    index[axis] = output // copies if order == "torch" else output % small[axis]
    return x.at[tuple(index)].get(mode="promise_in_bounds")


def icnr(
    initializer: Any,
    factor: int,
    order: Literal["torch", "tensorflow"] = "torch",
    axis: int | None = None,
) -> ICNR:
    """Return a law for a convolution before a pixel shuffle; see `ICNR`.

    Args:
        initializer: A law, or an identifier of one.
        factor: How many pixels a pixel becomes along each axis, >= 1.
        order: The order of the outputs: that of the shuffle.
        axis: The axis of the outputs.
    """
    return ICNR(initializer, factor, order=order, axis=axis)
