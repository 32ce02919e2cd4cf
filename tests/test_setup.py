"""The rooms of `jit_init`, one by one: host keys, trace, outline, canonical form."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from tools import wide

from initjax._engine.canonical import canonical
from initjax._engine.hostkeys import host_keys
from initjax._engine.hostops import operation
from initjax._engine.keys import hash_blocks, is_key
from initjax._engine.outline import outline
from initjax._engine.trace import read


@pytest.fixture(autouse=True)
def _without_the_checker():
    """The rooms work on keys whose use JAX's checker cannot follow."""
    with jax.debug_key_reuse(False), jax.numpy_dtype_promotion("standard"):
        yield


def graph(fun, *args):
    return read(jax.jit(fun).trace(*args).jaxpr)


def words(x):
    return np.asarray(jax.random.key_data(x) if is_key(x) else x)


# -- host keys: each primitive next to JAX ---------------------------------------------

RNG = np.random.default_rng(2)
with jax.debug_key_reuse(False):
    KEYS = jax.random.split(jax.random.key(1), 24).reshape(2, 3, 4)
    KEY, ROW = KEYS[0, 1, 2], KEYS[0, 0]
    WORDS = words(KEYS)
INTS = {
    kind: [
        RNG.integers(np.iinfo(kind).min, np.iinfo(kind).max, (4, 5), kind, True)
        for _ in range(2)
    ]
    for kind in ("int8", "uint8", "int32", "uint32")
}
for first, second in INTS.values():
    info = np.iinfo(first.dtype)
    first[0] = [info.max, info.min, 0, 1, info.max]
    second[0] = [info.max, 0, 0, info.max, 1]  # divisions by 0 among them
SMALL = np.arange(4, dtype=np.int32)

ARITHMETIC = (
    *("add", "sub", "mul", "div", "rem", "max", "min", "bitwise_and", "bitwise_or"),
    *("bitwise_xor", "eq", "ne", "lt", "le", "gt", "ge"),
    *("shift_left", "shift_right_logical", "shift_right_arithmetic"),
)
UNARY = ("neg", "sign", "bitwise_not", "abs", "population_count", "clz")

OPERATIONS = {
    **{
        f"{n}_{kind}": (getattr(lax, n), x)
        for n in ARITHMETIC
        for kind, x in INTS.items()
    },
    **{
        f"{n}_{kind}": (getattr(lax, n), x[:1])
        for n in UNARY
        for kind, x in INTS.items()
        if not (n in ("neg", "abs") and kind.startswith("u"))
    },
    "shift_too_far": (
        lax.shift_left,
        (INTS["uint32"][0], np.full((4, 5), 32, np.uint32)),
    ),
    "shift_by_bits": (
        lax.shift_right_arithmetic,
        (INTS["int32"][0], np.tile(np.int32([0, 1, 31, 32, 33]), (4, 1))),
    ),
    "and_bool": (lax.bitwise_and, (np.array([True, False]), np.array([True, True]))),
    "not_bool": (lax.bitwise_not, (np.array([True, False]),)),
    "clamp": (lambda x: lax.clamp(np.int32(-5), x, np.int32(9)), INTS["int32"][:1]),
    **{
        f"convert_{a}_{b}": (lambda x, b=b: lax.convert_element_type(x, b), x[:1])
        for a, x in INTS.items()
        for b in ("int8", "uint32", "int32", "bool")
    },
    "iota": (lambda: lax.broadcasted_iota(np.uint32, (3, 4), 1), ()),
    "slice": (lambda x: lax.slice(x, (1, 0), (4, 5), (2, 3)), INTS["int32"][:1]),
    "slice_keys": (lambda k: k[1, ::2], (KEYS,)),
    "unpacked_keys": (lambda k: tuple(k[0, 0]), (KEYS,)),
    "dynamic_slice": (
        lambda k, i: lax.dynamic_slice(k, (i, 2, i), (1, 1, 2)),
        (KEYS, 9),
    ),
    "index_by_a_number": (lambda k, i: k[1, 0][i], (KEYS, -1)),
    "index_by_numbers": (lambda k, i: k[1, 0, i], (KEYS, SMALL[::-1])),
    "reshape_keys": (lambda k: k.reshape(6, 4), (KEYS,)),
    "expand_keys": (lambda k: jnp.expand_dims(k, 1), (KEYS,)),
    "broadcast_keys": (lambda k: jnp.broadcast_to(k, (2, *k.shape)), (KEYS,)),
    "broadcast_scalar": (lambda x: jnp.broadcast_to(x, (2, 3)), (np.int32(7),)),
    "transpose_keys": (lambda k: k.transpose(2, 0, 1), (KEYS,)),
    "reverse_keys": (lambda k: lax.rev(k, (1,)), (KEYS,)),
    "concatenate_keys": (lambda k: jnp.concatenate([k, k[:, :1]], 1), (KEYS,)),
    "stack_keys": (lambda k: jnp.stack([k, k]), (KEYS,)),
    "split": (lambda x: jnp.split(x, [1, 3]), INTS["uint8"][:1]),
    "select_keys": (lambda k, i: jnp.where(i > 2, k[0], k[1]), (KEYS, np.int32(3))),
    "select_each_key": (
        lambda k, i: lax.select(i % 2 == 0, k[0, 0], k[1, 1]),
        (KEYS, SMALL),
    ),
    "update": (lambda x: x.at[1].set(7), (SMALL,)),
    "cumulate": (lambda x: jnp.cumsum(x), (SMALL,)),
    "sum": (lambda x: jnp.sum(x, dtype=np.int32), (SMALL,)),
    "power": (lambda x: lax.integer_pow(x, 3), (SMALL,)),
    "pad": (lambda x: jnp.pad(x, 2), (SMALL,)),
    "barrier": (lambda x, y: lax.optimization_barrier((x, y)), (SMALL, KEY)),
    "key_data": (jax.random.key_data, (KEYS,)),
    "wrap": (jax.random.wrap_key_data, (WORDS,)),
    "clone": (jax.random.clone, (KEYS,)),
    "split_keys": (
        lambda k: jax.vmap(lambda k: jax.random.split(k, 3))(k),
        (ROW,),
    ),
    "split_key": (lambda k: jax.random.split(k, (3, 7)), (KEY,)),
    "fold_in": (jax.random.fold_in, (KEY, np.int32(-3))),
    "fold_in_each": (jax.vmap(jax.random.fold_in), (ROW, SMALL)),
    "fold_in_many": (jax.vmap(jax.random.fold_in, (None, 0)), (KEY, np.arange(40))),
    "seed": (jax.random.key, (np.int32(-2),)),
    "seed_uint": (jax.random.key, (np.uint32(2**32 - 1),)),
    "seed_int8": (jax.random.key, (np.int8(-2),)),
    "seeds": (jax.vmap(jax.random.key), (SMALL,)),
    "rbg": (lambda k: jax.random.split(k)[1], (jax.random.key(3, impl="rbg"),)),
    "rbg_fold": (jax.random.fold_in, (jax.random.key(3, impl="rbg"), np.int32(5))),
    "unsafe_rbg": (
        lambda k: jax.random.split(k, 3),
        (jax.random.key(3, impl="unsafe_rbg"),),
    ),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_of_the_host_is_that_of_jax(name):
    """Each node is known to the host, and the chain of them gives JAX's bits."""
    fun, args = OPERATIONS[name]
    traced = graph(fun, *args)
    env = {
        atom: words(jnp.asarray(x)) for atom, x in zip(traced.inputs, args, strict=True)
    }
    for node in traced.nodes:
        run = operation(node)
        assert run is not None, node.name
        given = [env[a] if a in env else np.asarray(a.value) for a in node.inputs]
        out = run(*given)
        for result, x in zip(
            node.results, out if isinstance(out, tuple) else (out,), strict=True
        ):
            dtype = np.uint32 if is_key(result.aval) else result.aval.dtype
            env[result] = np.asarray(x, dtype)
    expected = jax.tree.leaves(jax.jit(fun)(*args))
    for atom, want in zip(traced.outputs, expected, strict=True):
        np.testing.assert_array_equal(env[atom], words(want), strict=True)


def test_a_seed_of_64_bits():
    with wide("int64"):
        for seed in (np.int64(-(2**40)), np.uint64(2**63 + 5)):
            (node,) = [
                n for n in graph(jax.random.key, seed).nodes if n.name == "random_seed"
            ]
            np.testing.assert_array_equal(
                operation(node)(np.asarray(seed)), words(jax.random.key(seed))
            )


def test_the_older_mode_of_threefry_splits_otherwise():
    with jax.threefry_partitionable(False):
        (node,) = graph(lambda k: jax.random.split(k, (3, 5)), KEY).nodes
        expected = words(jax.random.split(KEY, (3, 5)))
    np.testing.assert_array_equal(operation(node)(words(KEY)), expected)


@pytest.mark.parametrize("count", [1, 12, 13, 100])
def test_few_blocks_and_many_have_one_hash(count):
    """Python's integers for a few, NumPy's arrays for more."""
    at_once = hash_blocks(words(KEY), np.uint32(0), np.arange(100, dtype=np.uint32))
    some = hash_blocks(words(KEY), np.uint32(0), np.arange(count, dtype=np.uint32))
    np.testing.assert_array_equal(some, at_once[:count])


def test_the_host_computes_keys_and_what_they_come_from_alone():
    def fun(key, n, x):
        key = jax.random.fold_in(key, n * 2 + 1)
        return jax.random.normal(key, (8,)), n * 3, x + jnp.arange(8) * n

    args = (KEY, np.int32(5), np.ones(8, np.float32))
    traced = graph(fun, *args)
    host = host_keys(traced)
    assert len(host.leaves) == 1
    assert {traced.inputs[index].index for _, index in host.inputs} == {0, 1}
    (place,) = host.leaves.values()
    expected = jax.random.fold_in(KEY, 11)
    np.testing.assert_array_equal(host.run(args)[place], words(expected))


# -- trace -----------------------------------------------------------------------------


def names(traced):
    return [node.name for node in traced.nodes]


def test_calls_are_opened_and_dead_code_is_dropped():
    @jax.custom_jvp
    def twice(x):
        return x + x

    twice.defjvp(lambda primals, tangents: (twice(*primals), tangents[0]))

    def fun(n):
        dead = jnp.exp(n * 1.0) @ jnp.ones(3)
        jax.jit(jnp.tanh)(dead)
        opened, _ = jax.jit(lambda n: (twice(n), n - dead))(n)
        return opened, jax.checkpoint(lambda n: n * n)(n)

    assert names(graph(fun, np.arange(3))) == ["add", "mul"]


def test_a_call_that_makes_one_array_and_no_keys_is_one_step():
    sampled = graph(lambda key: jax.random.normal(key, (8,)), KEY)
    assert names(sampled) in (["jit"], ["pjit"])
    with_keys = graph(lambda key: jax.random.randint(key, (8,), 0, 3), KEY)
    assert "random_split" in names(with_keys)


def test_a_call_inside_which_sharding_is_decided_stays_closed():
    device = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    inner = jax.jit(lambda x: (x + 1, x * 2), out_shardings=device)
    assert names(graph(lambda x: inner(x), np.ones(3))) in (["jit"], ["pjit"])


# -- outline ---------------------------------------------------------------------------


def pieces(fun, *args):
    traced = graph(fun, *args)
    return outline(traced, host_keys(traced).leaves)


def test_outputs_that_share_a_sample_stay_together_and_constants_are_copied():
    def fun(key):
        a, b = jax.random.split(key)
        w, one = jax.random.normal(a, (8,)), jnp.ones(8)
        total = w + one
        return total, w * 2, one, jax.random.normal(b, (8,)) + one, total

    assert [piece.places for piece in pieces(fun, KEY)] == [(0, 1), (2,), (3,)]


def test_a_weight_that_meets_data_is_sampled_on_its_own():
    """Only if nothing else of its piece reads data: pieces never wait in a circle."""

    def fun(key, x):
        w, v = (jax.random.normal(k, (8, 8)) for k in jax.random.split(key))
        return w, v, (x @ w).mean(), (x @ v).mean()

    found = pieces(fun, KEY, np.ones((2, 8), np.float32))
    assert [piece.places for piece in found] == [(0,), (1,), (2,), (3,)]

    def circle(key, x):
        w, v = (jax.random.normal(k, (8, 8)) for k in jax.random.split(key))
        return w, v, w.sum() + x @ v, v.sum() + x @ w

    found = pieces(circle, KEY, np.ones((2, 8), np.float32))
    assert [piece.places for piece in found] == [(0, 1, 2, 3)]


def signatures(fun, *args):
    return [piece.signature for piece in pieces(fun, *args)]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (lambda k: k * 2.0, lambda k: k * 3.0),
        (lambda k: k * 0.0, lambda k: k * -0.0),
        (lambda k: k.reshape(2, 4), lambda k: k.reshape(4, 2)),
        (lambda k: k.astype(jnp.bfloat16), lambda k: k.astype(jnp.float16)),
        (lambda k: jnp.where(k > 0, k, 1), lambda k: jnp.where(k > 0, 1, k)),
        (lambda k: k - k[::-1], lambda k: k[::-1] - k),
        (
            lambda k: lax.fori_loop(0, 3, lambda i, x: x + 1, k),
            lambda k: lax.fori_loop(0, 3, lambda i, x: x - 1, k),
        ),
        (
            lambda k: k + np.arange(8, dtype=np.float32),
            lambda k: k + np.arange(8, dtype=np.float32)[::-1],
        ),
    ],
)
def test_programs_are_one_only_if_they_are_equal(one, other):
    def fun(key):
        a, b, c = (jax.random.normal(k, (8,)) for k in jax.random.split(key, 3))
        return one(a), one(b), other(c)

    first, second, third = signatures(fun, KEY)
    assert first == second
    assert hash(first) == hash(second)
    assert first != third


def test_the_canonical_form_tells_apart_what_python_calls_equal():
    values = [0, 0.0, -0.0, False, np.float32(0), np.int8(0), (0,), [0], None, "0"]
    values += [np.zeros(2), np.zeros(2, np.float32), np.zeros((2, 1)), {0: 0}, {0: 0.0}]
    forms = [canonical(value) for value in values]
    assert len(set(forms)) == len(values)
    assert forms == [canonical(value) for value in values]
    assert canonical(float("nan")) == canonical(float("nan"))
