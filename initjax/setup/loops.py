"""Scans that carry nothing are maps: stacked layers, sampled all at once."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from .jaxprs import bind, evaluate, every, needed, opened
from .rounding import is_stable


def as_map(equation: Any, live: Sequence[bool]) -> Any | None:
    """Return a scan's live outputs as a traced function of its inputs, with no loop.

    Only for a scan whose live outputs depend on no carried value, as those of stacked
    layers do, and are rounded alike in a loop and at once; None for every other.
    """
    if equation.primitive.name != "scan":
        return None
    body, _ = opened(equation.params["jaxpr"])
    carried = _unstacked(equation.outvars, body.outvars)
    consts = _unstacked(equation.invars, body.invars) - carried
    if any(live[:carried]):
        return None
    equations, names = needed(body, live)
    if any(v in names for v in body.invars[consts : consts + carried]):
        return None
    if not all(map(is_stable, every(equations))):
        return None
    avals = [v.aval for v in equation.invars]
    given = [jax.ShapeDtypeStruct(a.shape, a.dtype) for a in avals]
    run = functools.partial(_at_once, equation, tuple(live))
    with equation.ctx.manager:
        return jax.make_jaxpr(run)(*given)


def _unstacked(outside: Sequence[Any], inside: Sequence[Any]) -> int:
    """Return how many values the loop's body sees whole; they precede the others."""
    pairs = zip(outside, inside, strict=True)
    return sum(len(o.aval.shape) == len(i.aval.shape) for o, i in pairs)


def _at_once(equation: Any, live: tuple[bool, ...], *inputs: Any) -> Any:
    first = _unstacked(equation.invars, opened(equation.params["jaxpr"])[0].invars)
    fixed, slices = inputs[:first], inputs[first:]

    def one(index: Any, *own: Any) -> list[Any]:
        del index  # gives the length where there is nothing to slice
        return evaluate(equation.params["jaxpr"], (*fixed, *own), bind, live)

    return jax.vmap(one)(jnp.arange(equation.params["length"]), *slices)
