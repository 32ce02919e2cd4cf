"""How a weight reads as a kernel: its window, its inputs, its outputs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from .._errors import Refused
from .._fans.declaration import Declaration
from .._fans.fan import Fan
from .._fans.fans import Axes
from .._fans.roles import roles_of
from .table import Array, Table

Shape = tuple[int, ...]


class Kernel(NamedTuple):
    """The axes of a kernel by their role, and the groups that its channels are in."""

    window: Axes
    inputs: Axes
    outputs: Axes
    in_groups: int = 1
    groups: int = 1

    def sides(self, shape: Shape) -> tuple[int, int, int]:
        """Return taps, inputs and outputs of one group."""
        taps, inputs, outputs = (
            math.prod(shape[axis] for axis in axes) for axes in self[:3]
        )
        return taps, inputs // self.in_groups, outputs // self.groups

    def indices(self, shape: Shape) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Return every entry's tap, and its input and output within its group."""
        tap, row, column = (_index(shape, axes) for axes in self[:3])
        _, inputs, outputs = self.sides(shape)
        row = row % jnp.uint32(max(inputs, 1)) if self.in_groups > 1 else row
        column = column % jnp.uint32(max(outputs, 1)) if self.groups > 1 else column
        return tap, row, column


def kernel_of(fan: Declaration | None, shape: Shape) -> Kernel:
    """Return the roles that a declaration gives, else a window, inputs, outputs."""
    if len(shape) < 2 and not isinstance(fan, Fan):
        raise Refused(
            f"a kernel has rank >= 2, got rank {len(shape)}; give (in, out), after the "
            "window of a convolution."
        )
    groups = (fan.in_groups, fan.groups) if isinstance(fan, Fan) else ()
    kernel = Kernel(*roles_of(fan, shape), *groups)
    rows, columns = (
        math.prod(shape[axis] for axis in axes)
        for axes in (kernel.window + kernel.inputs, kernel.outputs)
    )
    if max(rows, columns) > 2**32:
        raise Refused(
            f"rows and columns are counted in 32 bits, got {rows} and {columns}; "
            "give shorter axes."
        )
    return kernel


def _index(shape: Shape, axes: Axes) -> jax.Array:
    """Return every entry's row-major index over some of the axes."""
    index, stride = jnp.zeros(shape, jnp.uint32), 1
    for axis in reversed(axes):
        step = lax.broadcasted_iota(jnp.uint32, shape, axis)
        index = index + (step * jnp.uint32(stride) if stride > 1 else step)
        stride *= max(shape[axis], 1)
    return index


@dataclass(frozen=True, slots=True, repr=False)
class KernelTable(Table):
    """The base of tables of filters: a bank of them, whatever the order of the axes.

    A law says in `_bank` what one group of channels holds; `fan` may name other axes,
    as `Fan.layout("oihw")` does, and groups, which are equal.
    """

    def _bank(self, window: Shape, inputs: int, outputs: int) -> Array:
        """Return filters of shape (*window, 1, outputs), the same for every input."""
        raise NotImplementedError  # every bank says what; this base is none

    def _values(self, shape: Shape) -> Array:
        kernel = kernel_of(self.fan, shape)
        _, inputs, outputs = kernel.sides(shape)
        window = tuple(shape[axis] for axis in kernel.window)
        bank = self._bank(window, inputs, outputs)
        bank = np.tile(bank, (inputs * kernel.in_groups, kernel.groups))
        order = kernel.window + kernel.inputs + kernel.outputs
        return bank.reshape([shape[axis] for axis in order]).transpose(
            np.argsort(order)
        )
