"""The random bits are those of jax.random, in a form that fuses."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tools import root, wide

from initjax._core import bits as _bits

SHAPES = [(), (1,), (5,), (3, 7), (2, 1, 4, 5), (0, 3), (129, 65)]


@functools.partial(jax.jit, static_argnums=(1, 2))
def ours(key, shape, width):
    return _bits.random_bits(key, shape, width)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("width", [32, 64])
def test_bits_are_those_of_jax_random(shape, width):
    dtype = f"uint{width}"
    with wide(dtype):
        expected = jax.random.bits(root(), shape, dtype)
        np.testing.assert_array_equal(ours(root(), shape, width), expected)


@pytest.mark.parametrize("impl", ["rbg", "unsafe_rbg", "threefry2x32"])
@pytest.mark.parametrize("partitionable", [True, False])
def test_other_generators_and_modes_go_through_jax_random(impl, partitionable):
    with jax.threefry_partitionable(partitionable):
        expected = jax.random.bits(jax.random.key(3, impl=impl), (33, 5), "uint32")
        actual = ours(jax.random.key(3, impl=impl), (33, 5), 32)
    np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize(
    "shape", [(3, 2**20, 2**13), (2**17, 2**17, 5), (2**30 + 1, 9), (2, 2**31)]
)
def test_counters_go_on_beyond_32_bits(shape):
    """The last elements of an array of 2^32 and more, which is never built."""

    @jax.jit
    def tail(key):
        bits = _bits.random_bits(key, shape, 32)
        return bits[(-1,) * (len(shape) - 1)][-4:]

    size = int(np.prod(shape, dtype=np.uint64))
    index = np.arange(size - 4, size, dtype=np.uint64)
    k0, k1 = np.asarray(jax.random.key_data(root()))[:, None]
    hi, lo = (index >> np.uint64(32)).astype(np.uint32), index.astype(np.uint32)
    b0, b1 = _bits.threefry2x32(k0, k1, hi, lo)
    np.testing.assert_array_equal(tail(root()), b0 ^ b1)


def test_counters_of_a_block_are_those_of_the_whole():
    whole, start = (2**17, 2**17, 5), (2**17 - 2, 2**16 + 3, 1)
    hi, lo = _bits.counters((2, 3, 4), whole, jnp.uint32(start))
    for at in np.ndindex(2, 3, 4):
        a, b, c = (x + i for x, i in zip(start, at, strict=True))
        index = (a * whole[1] + b) * whole[2] + c
        assert (int(hi[at]) << 32) + int(lo[at]) == index, at


@pytest.mark.parametrize("partitionable", [True, False])
@pytest.mark.parametrize("impl", ["threefry2x32", "rbg"])
def test_split_in_two_is_split(impl, partitionable):
    with jax.threefry_partitionable(partitionable):
        expected = jax.random.key_data(jax.random.split(jax.random.key(3, impl=impl)))
        pair = jax.jit(_bits.split_in_two)(jax.random.key(3, impl=impl))
    np.testing.assert_array_equal(
        jnp.stack([*map(jax.random.key_data, pair)]), expected
    )


@pytest.mark.parametrize("impl", ["threefry2x32", "rbg"])
def test_a_block_with_high_word_zero_is_fold_in(impl):
    key = jax.random.key(3, impl=impl)
    folded = _bits.fold_in_block(key, jnp.uint32(0), jnp.uint32(17))
    expected = jax.random.key_data(jax.random.fold_in(key, 17))
    np.testing.assert_array_equal(jax.random.key_data(folded), expected)


def test_threefry_has_the_published_test_vectors():
    """Known answers of Random123 for threefry2x32 with 20 rounds."""
    u = functools.partial(np.asarray, dtype=np.uint32)
    vectors = [
        ((0, 0, 0, 0), (0x6B200159, 0x99BA4EFE)),
        ((0xFFFFFFFF,) * 4, (0x1CB996FC, 0xBB002BE7)),
        (
            (0x13198A2E, 0x03707344, 0x243F6A88, 0x85A308D3),
            (0xC4923A9C, 0x483DF7A0),
        ),
    ]
    for block, answer in vectors:
        out = _bits.threefry2x32(*(u([word]) for word in block))
        assert tuple(int(word[0]) for word in out) == answer
