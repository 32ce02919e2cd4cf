"""The axes of one weight by their role: window, inputs, outputs."""

from __future__ import annotations

import math
from typing import NamedTuple

from .declaration import Declaration, Shape
from .fan import Fan
from .fans import Axes


class Roles(NamedTuple):
    """The axes of a weight; those that count separate weights are in none."""

    window: Axes
    inputs: Axes
    outputs: Axes


def roles_of(of: Declaration | None, shape: Shape) -> Roles:
    """Return the roles that a declaration gives the axes, else (window, in, out)."""
    if of is not None and (axes := of.blocks(shape)):
        kept = [a for a in range(len(shape)) if a not in axes]
        one = roles_of(of.block(shape), tuple(shape[a] for a in kept))
        return Roles(*(tuple(kept[a] for a in role) for role in one))
    every = range(len(shape))
    if isinstance(of, Fan):
        axes = of._axes(shape)
        inputs, outputs = axes["in_axes"], axes["out_axes"]
    else:
        inputs, outputs = tuple(every[-2:-1]), tuple(every[-1:])
    window = tuple(a for a in every if a not in (*inputs, *outputs))
    return Roles(window, inputs, outputs)


def kernel_shape(shape: Shape, roles: Roles) -> Shape:
    """Return the shape of a weight as (window..., in, out)."""
    window, *rest = (tuple(shape[axis] for axis in axes) for axes in roles)
    return (*window, *map(math.prod, rest))
