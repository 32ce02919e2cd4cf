"""Equality of traced code: a hashable value, equal only for equal structure."""

from __future__ import annotations

import weakref
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

from .._core.own import Itself

_TOKENS: dict[Hashable, int] = {}
_JAXPRS: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()
# what most parameters are; to ask whether they are arrays takes longer
_PLAIN = frozenset({bool, int, str, type(None)})


def canonical(value: Any) -> Hashable:
    """Return a parameter as a value that compares by type and bits: 1 is not 1.0."""
    if type(value) in _PLAIN:
        return (type(value), value)
    if isinstance(value, (float, complex, np.generic, np.ndarray, jax.Array)):
        return _number(value)
    if isinstance(value, ClosedJaxpr):
        return ("closed", token(value.jaxpr), tuple(map(canonical, value.consts)))
    if isinstance(value, Jaxpr):
        return ("jaxpr", token(value))
    if isinstance(value, (tuple, list)):
        return (type(value), tuple(map(canonical, value)))
    if isinstance(value, Mapping):
        items = sorted(value.items(), key=lambda item: repr(item[0]))
        return (type(value), tuple((canonical(k), canonical(v)) for k, v in items))
    try:
        hash(value)
    except TypeError:
        return Itself(value)
    return (type(value), value)


def _number(value: Any) -> Hashable:
    if isinstance(value, jax.Array) and jnp.issubdtype(
        value.dtype, jax.dtypes.prng_key
    ):
        return Itself(value)
    if getattr(value, "nbytes", 0) > 1 << 16:
        return Itself(value)
    array = np.asarray(value)
    return (type(value), array.dtype, array.shape, array.tobytes())


def equation_key(equation: Any) -> Hashable:
    """Return what an equation computes, whatever it is applied to."""
    params, ctx = equation.params, equation.ctx
    context = (ctx.compute_type, ctx.threefry_partitionable, ctx.cur_abstract_mesh)
    return (
        equation.primitive,
        tuple(
            (name, canonical(params[name])) for name in sorted(params) if name != "name"
        ),
        context,
        canonical(ctx.xla_metadata),
        tuple(v.aval for v in equation.outvars),
    )


def token(jaxpr: Jaxpr) -> int:
    """Return a number that equal functions, and no others, have in common."""
    if jaxpr not in _JAXPRS:
        _JAXPRS[jaxpr] = _TOKENS.setdefault(_structure(jaxpr), len(_TOKENS))
    return _JAXPRS[jaxpr]


def _structure(jaxpr: Jaxpr) -> Hashable:
    names: dict[Any, int] = {}

    def refer(atoms: Sequence[Any]) -> Hashable:
        return tuple(
            ("literal", canonical(a.val), a.aval)
            if isinstance(a, Literal)
            else names.setdefault(a, len(names))
            for a in atoms
        )

    heads = (*jaxpr.constvars, *jaxpr.invars)
    lines: list[Hashable] = [(refer(heads), tuple(v.aval for v in heads))]
    for e in jaxpr.eqns:
        lines.append((equation_key(e), refer(e.invars), refer(e.outvars)))
    return (tuple(lines), refer(jaxpr.outvars))
