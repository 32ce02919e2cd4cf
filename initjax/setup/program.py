"""Turn a piece into a function that JAX compiles, with random bits that fuse."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr, Literal

from .._bits import fused_bits, is_fusible
from .hostops import is_key, kind_of
from .outline import Piece
from .trace import Atom, Constant, called, functions

_POINTWISE = frozenset(
    """
    abs acos acosh add and asin asinh atan atan2 atanh bitcast_convert_type
    broadcast_in_dim cbrt ceil clamp clz complex concatenate conj convert_element_type
    copy copy_p cos cosh div eq erf erf_inv erfc exp exp2 expand_dims expm1 floor ge gt
    imag integer_pow iota is_finite le log log1p logistic lt max min mul ne neg nextafter
    not optimization_barrier or pow population_count random_bits random_clone
    random_unwrap random_wrap real reduce_precision rem reshape rev round rsqrt select_n
    sharding_constraint shift_left shift_right_arithmetic shift_right_logical sign sin
    sinh slice sqrt square squeeze stop_gradient sub tan tanh transpose xor
    """.split()
)
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
_MOST_RESULTS = 4  # that share one hash: XLA may compute it once for each


def primitives(piece: Piece) -> frozenset[str]:
    """Return the names of all primitives of a piece, at any depth."""
    return frozenset(_names(node.equation for node in piece.nodes))


def _names(equations: Iterable[Any]) -> Iterator[str]:
    for equation in equations:
        inner = called(equation)
        if inner is None:
            yield equation.primitive.name
        for function in functions(equation.params.values()):
            yield from _names(getattr(function, "jaxpr", function).eqns)


def fuses(piece: Piece, used: frozenset[str]) -> bool:
    """Tell whether every element is computed by itself, so that its bits may fuse."""
    return used <= _POINTWISE and len(piece.results) <= _MOST_RESULTS


def factorizes(used: frozenset[str]) -> bool:
    """Tell whether a matrix is factorized."""
    return bool(used & _FACTORS)


def hindrance(piece: Piece, used: frozenset[str]) -> str | None:
    """Return why a piece that samples is compiled as `jax.jit` would, or None."""
    if not used & {"random_bits", "threefry2x32"} or fuses(piece, used):
        return None
    for what, which in _HINDRANCES:
        if found := sorted(used & which):
            return f"{what} ({', '.join(found)})"
    if used <= _POINTWISE:
        return f"{len(piece.results)} outputs share one sample"
    return f"not elementwise ({', '.join(sorted(used - _POINTWISE)[:3])})"


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
        return tuple(map(read, piece.results))

    return initialize


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
