"""Turn a piece into a function that JAX compiles, with random bits that fuse."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Literal

from .._bits import fused_bits, is_fusible
from .hostops import is_key, kind_of
from .outline import Piece
from .trace import Atom, Constant, called, functions

# XLA computes these alike in every loop; log, exp and their kin depend, in the last bit,
# on how a loop is vectorized, so their programs keep the loops that `jax.jit` makes
_STABLE = frozenset(
    """
    abs add and bitcast_convert_type broadcast_in_dim ceil clamp concatenate
    convert_element_type div eq erf_inv expand_dims floor ge gt iota le lt max min mul ne
    neg nextafter not optimization_barrier or population_count random_bits random_clone
    random_unwrap random_wrap reduce_precision rem reshape rev round select_n
    sharding_constraint shift_left shift_right_arithmetic shift_right_logical sign slice
    sqrt square squeeze stop_gradient sub transpose xor
    """.split()
)
_SHORTEST = 16  # entries of a minor axis that XLA loops over as it does over long ones
_FACTORS = frozenset(
    """
    cholesky eig eigh geqp3 geqrf hessenberg householder_product lu
    orgqr qr schur svd triangular_solve tridiagonal tridiagonal_solve
    """.split()
)
_HINDRANCES = (
    ("a host callback", frozenset({"pure_callback", "io_callback"})),
    ("samples inside control flow", frozenset({"scan", "while", "cond"})),
    ("factorizes a matrix", _FACTORS),
)


def primitives(piece: Piece) -> frozenset[str]:
    """Return the names of all primitives of a piece, at any depth."""
    return frozenset(e.primitive.name for e in _equations(piece))


def _equations(piece: Piece) -> Iterator[Any]:
    """Yield all equations of a piece, at any depth, but not those that only wrap."""

    def walk(equations: Iterable[Any]) -> Iterator[Any]:
        for equation in equations:
            if called(equation) is None:
                yield equation
            for function in functions(equation.params.values()):
                yield from walk(getattr(function, "jaxpr", function).eqns)

    return walk(node.equation for node in piece.nodes)


def fuses(piece: Piece) -> bool:
    """Tell whether random bits may fuse with what is computed of them.

    The bits are the same either way; but the floats computed of them are rounded as
    `jax.jit` does only where XLA cannot choose: every element by itself, from keys and
    numbers alone, for one result, in loops that are long enough.
    """
    return len(piece.results) == 1 and all(is_key(a.aval) for a in piece.leaves) and all(
        map(_is_stable, _equations(piece))
    )


def _is_stable(equation: Any) -> bool:
    shapes = [v.aval.shape for v in equation.outvars if math.prod(v.aval.shape) > 1]
    if equation.primitive.name == "broadcast_in_dim" and shapes:
        source = equation.invars[0].aval.shape
        return math.prod(source) in (1, math.prod(shapes[0]))
    if not shapes:  # numbers, which XLA computes as it compiles
        return equation.primitive.name not in ("scan", "while", "cond")
    return equation.primitive.name in _STABLE and all(s[-1] >= _SHORTEST for s in shapes)


def samples(used: frozenset[str]) -> bool:
    """Tell whether random bits are drawn."""
    return bool(used & {"random_bits", "threefry2x32"})


def factorizes(used: frozenset[str]) -> bool:
    """Tell whether a matrix is factorized."""
    return bool(used & _FACTORS)


def hindrance(piece: Piece, used: frozenset[str]) -> str | None:
    """Return why a piece that samples is compiled as `jax.jit` would, or None."""
    if not samples(used) or fuses(piece):
        return None
    for what, which in _HINDRANCES:
        if found := sorted(used & which):
            return f"{what} ({', '.join(found)})"
    if len(piece.results) > 1:
        return f"{len(piece.results)} outputs share what they are computed from"
    if not all(is_key(atom.aval) for atom in piece.leaves):
        return "computed from an argument"
    if found := sorted(used - _STABLE):
        return f"not arithmetic on its own sample ({', '.join(found[:4])})"
    return "a short or broadcast axis"


def function_of(piece: Piece, fuse: bool) -> Callable[..., tuple[Any, ...]]:
    """Return a piece as a function of its leaves, keys as their words."""

    def initialize(*leaves: Any) -> tuple[Any, ...]:
        env: dict[Atom, Any] = {}
        for atom, leaf in zip(piece.leaves, leaves, strict=True):
            env[atom] = leaf
            if is_key(atom.aval):
                impl = kind_of(atom.aval.dtype).impl
                env[atom] = jax.random.wrap_key_data(leaf, impl=impl)

        def read(atom: Atom) -> Any:
            return (
                atom.value
                if isinstance(atom, Constant) and atom not in env
                else env[atom]
            )

        for node in piece.nodes:
            out = _apply(node.equation, [read(a) for a in node.inputs], fuse)
            env.update(zip(node.results, out, strict=True))
        return tuple(
            _copy(env[atom]) if atom in piece.leaves else read(atom)
            for atom in piece.results
        )

    return initialize


def _copy(x: Any) -> Any:
    """Return the same values in a buffer of their own: never the argument's."""
    if not is_key(x):
        return jnp.copy(x)
    words = jnp.copy(jax.random.key_data(x))
    return jax.random.wrap_key_data(words, impl=kind_of(x.dtype).impl)


def _apply(equation: Any, inputs: Sequence[Any], fuse: bool) -> Sequence[Any]:
    """Compute one equation; functions it only wraps are computed in place."""
    inner = called(equation)
    if inner is not None:
        return _evaluate(inner, inputs, fuse)
    with equation.ctx.manager:
        if fuse and equation.primitive.name == "random_bits" and is_fusible(inputs[0]):
            words = jax.random.key_data(inputs[0])
            params = equation.params
            return [fused_bits(words, params["shape"], params["bit_width"])]
        params = equation.primitive.get_bind_params(equation.params)
        held: Sequence[Any] = ()
        if isinstance(params, tuple):  # jax < 0.10 gives inner functions apart
            held, params = params
        out = equation.primitive.bind(*held, *inputs, **params)
    return out if equation.primitive.multiple_results else [out]


def _evaluate(closed: Any, inputs: Sequence[Any], fuse: bool) -> list[Any]:
    consts = closed.consts if isinstance(closed, ClosedJaxpr) else ()
    jaxpr = getattr(closed, "jaxpr", closed)
    env = dict(zip((*jaxpr.constvars, *jaxpr.invars), (*consts, *inputs), strict=True))

    def read(var: Any) -> Any:
        return var.val if isinstance(var, Literal) else env[var]

    for equation in jaxpr.eqns:
        out = _apply(equation, [read(v) for v in equation.invars], fuse)
        env.update(zip(equation.outvars, out, strict=True))
    return [read(v) for v in jaxpr.outvars]
