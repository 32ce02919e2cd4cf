"""Rounding to narrow floats, in a way that XLA keeps: GPUs leave casts out."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import CASES
from tools import root

from initjax._core.rounding import _inward, narrowed

NARROW = """
    float4_e2m1fn float8_e3m4 float8_e4m3 float8_e4m3b11fnuz float8_e4m3fn
    float8_e4m3fnuz float8_e5m2 float8_e5m2fnuz bfloat16 float16
""".split()
DIRECTIONS = {"low": (True, False), "high": (False, False), "open high": (False, True)}


def grid(dtype):
    """The values of a dtype; XLA flushes what is subnormal in float32."""
    info = jnp.finfo(dtype)
    unsigned = np.uint16 if info.bits == 16 else np.uint8
    with np.errstate(invalid="ignore"):  # NaN is among them
        values = np.arange(2**info.bits).astype(unsigned).view(jnp.dtype(dtype))
        values = values.astype(np.float32)
    tiny = float(np.finfo(np.float32).tiny)
    values = values[np.isfinite(values) & ((abs(values) >= tiny) | (values == 0))]
    return np.unique(values)


def numbers(values):
    """Grid values, numbers beside and between them, inside the range."""
    some = values[:: max(1, len(values) // 200)]
    many = np.concatenate(
        [some, values[abs(values) < 3 * abs(values[values != 0]).min()]]
    )
    beside = [np.nextafter(many, np.float32(end)) for end in (-np.inf, np.inf)]
    between = np.random.default_rng(0).uniform(values[1], values[-2], 200)
    x = np.concatenate([many, *beside, between.astype(np.float32)])
    tiny = np.finfo(np.float32).tiny
    return x[(x > values[1]) & (x < values[-2]) & ((abs(x) >= tiny) | (x == 0))]


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("dtype", NARROW)
def test_a_bound_moves_to_the_next_value_inside(dtype, direction):
    up, strict = DIRECTIONS[direction]
    values = grid(dtype)
    x = numbers(values)
    moved = jax.jit(functools.partial(_inward, dtype=dtype, up=up, strict=strict))(x)
    if up:
        expected = values[np.searchsorted(values, x)]
    else:
        expected = values[np.searchsorted(values, x, "left" if strict else "right") - 1]
    np.testing.assert_array_equal(moved, expected)


@pytest.mark.parametrize("dtype", NARROW)
def test_numbers_are_narrowed_as_a_cast_does(dtype):
    x = numbers(grid(dtype))
    expected = x.astype(jnp.dtype(dtype)).astype(np.float32)
    np.testing.assert_array_equal(
        jax.jit(narrowed, static_argnums=1)(x, dtype), expected
    )


def casts(jaxpr):
    """The pairs of dtypes between which a program casts."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == "convert_element_type":
            yield equation.invars[0].aval.dtype.name, equation.params["new_dtype"].name
        for inner in jax.tree.leaves([*equation.params.values()]):
            if hasattr(inner, "eqns") or hasattr(inner, "jaxpr"):
                yield from casts(getattr(inner, "jaxpr", inner))


COMPLEX = {"complex", "complex_row", "s4d"}  # no real dtype holds them
# `Cast` draws in a narrow dtype, and rounds to it again by arithmetic
REAL = [c for c in CASES if c.name not in COMPLEX and "through" not in repr(c.init)]


@pytest.mark.parametrize("case", REAL, ids=str)
def test_nothing_that_a_law_computes_is_narrow(case):
    """So that no program needs a cast to bfloat16 and back: XLA may leave it out."""
    program = jax.make_jaxpr(lambda key: case.init(key, case.shape, "bfloat16"))
    assert ("bfloat16", "float32") not in {*casts(program(root()).jaxpr)}


def test_a_cast_from_a_narrow_dtype_would_be_seen():
    program = jax.make_jaxpr(jax.jit(lambda x: x.astype("bfloat16").astype("float32")))
    assert ("bfloat16", "float32") in {*casts(program(np.float32(1)).jaxpr)}
