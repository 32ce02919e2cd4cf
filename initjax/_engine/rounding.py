"""Where XLA rounds alike in every loop, so that a program may be compiled otherwise."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp

# log, exp and their kin depend, in the last bit, on how XLA vectorizes a loop
_STABLE = frozenset(
    """
    abs add and bitcast_convert_type broadcast_in_dim ceil clamp concatenate
    convert_element_type div eq erf_inv expand_dims floor ge gt iota le lt max min
    mul ne neg nextafter not optimization_barrier or population_count random_bits
    random_clone random_unwrap random_wrap reduce_precision rem reshape rev round
    select_n sharding_constraint shift_left shift_right_arithmetic
    shift_right_logical sign slice sqrt square squeeze stop_gradient sub transpose xor
    """.split()
)
_CONTROL = frozenset({"scan", "while", "cond"})
_SHORTEST = 8  # entries of a minor axis that XLA loops over as it does over long ones


_VERSION = tuple(map(int, jax.__version__.split(".")[:2]))
# before 0.9 XLA's log differs in the last bit between a vector loop and its remainder
ENDS_ROUND_ALIKE = _VERSION >= (0, 9)
# XLA of 0.12 loops over rows of 3 to 5 entries eight at a time, and rounds erf_inv in
# the rows that are left otherwise; that of 0.10 nowhere does, 0.11 is not known
_UNEVEN = range(3, 6) if _VERSION >= (0, 11) else range(0)


def is_stable(equation: Any, in_blocks: bool = False) -> bool:
    """Tell whether an equation's results do not depend on the loop around it.

    Integers and keys are exact. Floats are, if every element is computed by itself, by
    arithmetic alone, in loops that are long enough; single numbers XLA computes as it
    compiles. A block's loop is a long one, as JAX's own is over a short axis; what is
    broadcast in it is a number.
    """
    name = equation.primitive.name
    if name in _CONTROL:
        return False
    avals = [v.aval for v in equation.outvars]
    shapes = [a.shape for a in avals if math.prod(a.shape) > 1 and _rounds(a.dtype)]
    if name == "broadcast_in_dim" and shapes and not in_blocks:
        source = equation.invars[0].aval.shape
        return math.prod(source) in (1, math.prod(shapes[0]))
    short = any(s[-1] < _SHORTEST for s in shapes)
    if short and in_blocks:
        short = name == "erf_inv" and any(s[-1] in _UNEVEN for s in shapes)
    return not shapes or (name in _STABLE and not short)


def is_number(aval: Any) -> bool:
    """Tell whether a value is a single float."""
    return math.prod(aval.shape) == 1 and _rounds(aval.dtype)


def _rounds(dtype: Any) -> bool:
    return jnp.issubdtype(dtype, jnp.inexact)


def unstable(equations: Any, in_blocks: bool = False) -> list[str]:
    """Return the names of the equations whose results depend on the loop."""
    return sorted({e.primitive.name for e in equations if not is_stable(e, in_blocks)})
