"""Paths, keys and clones: independent by construction, stable, frozen at 0.1."""

import json
import os
import subprocess
import sys
from hashlib import blake2s

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tools import root

import initjax as ij
from initjax._core import streams as _streams


def words(key):
    return np.asarray(jax.random.key_data(key))


def bits64(keys):
    """Threefry key data as one uint64 a key."""
    data = np.asarray(keys).astype(np.uint64).reshape(-1, 2)
    return (data[:, 0] << np.uint64(32)) | data[:, 1]


# -- paths ------------------------------------------------------------------------

DIFFERENT = [
    ("ab", "c"), ("a", "bc"), ("abc",), ("a", "b", "c"), ("a/b",), ("a", "b"),
    ("b", "a"), ("a",), ("a", ""), ("", "a"), ("",), ("a", 1), ("a", "1"), (1,), ("1",),
    (0,), (-1,), (2**70,), ("0",), ("a'",), ('a"',), ("a\\",), ("a, 1",), ("('a', 1)",),
    ("é",), ("e\u0301",), ("\\xe9",), ("\ud800",), ("\x00",), ("a", "b", 0),
]  # fmt: skip


def test_different_paths_have_different_keys():
    data = {words(ij.fold_in_path(root(), *path)).tobytes() for path in DIFFERENT}
    assert len(data) == len(DIFFERENT)


def test_the_digest_is_what_the_docstring_says():
    """Blake2s of the tag and Python's ascii literal, top bit set."""
    text = b"initjax/1('encoder', 3, 'kernel')"
    value = int.from_bytes(blake2s(text).digest()[:8], "big") | 1 << 63
    hi, lo = _streams.digest_words(("encoder", 3, "kernel"))
    assert (int(hi) << 32) + int(lo) == value


GOLDEN = {  # frozen at 0.1: a change here changes every model
    ("threefry2x32", ("encoder", 3, "kernel")): [2946858997, 3548929369],
    ("threefry2x32", ("é", -1)): [4258835442, 3458474499],
    ("rbg", ("encoder", 3, "kernel")): [2946858997, 3548929369] * 2,
    ("unsafe_rbg", ("a",)): [4271022834, 3824299950] * 2,
}


@pytest.mark.parametrize(("impl", "path"), GOLDEN)
def test_golden_keys(impl, path):
    folded = ij.fold_in_path(jax.random.key(0, impl=impl), *path)
    assert words(folded).tolist() == GOLDEN[impl, path]


def test_the_digest_does_not_depend_on_the_process():
    """Another interpreter, another hash seed: the same key."""
    code = (
        "import jax, initjax as ij;"
        "k = ij.fold_in_path(jax.random.key(5), 'encoder', 3, 'kernel');"
        "print(jax.random.key_data(k).tolist())"
    )
    env = os.environ | {"PYTHONHASHSEED": "12345", "XLA_FLAGS": ""}
    out = subprocess.run(
        [sys.executable, "-c", code],
        env=env,
        capture_output=True,
        text=True,
        check=True,
    )
    assert (
        json.loads(out.stdout)
        == words(ij.fold_in_path(root(), "encoder", 3, "kernel")).tolist()
    )


@pytest.mark.parametrize("impl", ["threefry2x32", "rbg", "unsafe_rbg"])
@pytest.mark.parametrize("raw", [False, True])
def test_many_paths_on_the_host_are_the_keys_of_one_each(impl, raw):
    key = jax.random.key(3, impl=impl)
    paths = [*DIFFERENT, ["list", np.int64(3)], ("layer", 7)] * 40
    with jax.default_prng_impl(impl):
        root_key = words(key) if raw else key
        many = ij.fold_in_paths(root_key, paths)
        assert _streams.is_typed(many) != raw
        many = np.asarray(many) if raw else words(many)
        for row, path in zip(many[:40], paths, strict=False):
            one = ij.fold_in_path(root_key, *path)
            np.testing.assert_array_equal(row, one if raw else words(one))


def test_no_keys_of_many_paths():
    assert ij.fold_in_paths(root(), []).shape == (0,)


@pytest.fixture(scope="module")
def million():
    """The key data of 10^6 random paths, of one to four parts."""
    random = np.random.default_rng(0)
    numbers = random.integers(0, 2**62, size=(1_000_000, 3)).tolist()
    names = ["encoder", "layers", "kernel", "bias", "experts", "query"]
    paths = [
        (*(names[a % 6], a % 97, hex(b), names[c % 6])[: 2 + c % 3], c)
        for a, b, c in numbers
    ]
    assert len(set(paths)) == len(paths)
    return bits64(words(ij.fold_in_paths(root(), paths)))


def test_a_million_paths_have_a_million_keys(million):
    assert np.unique(million).size == 1_000_000


@pytest.mark.parametrize("partitionable", [True, False])
def test_no_derived_key_is_a_split_or_fold_of_the_root(million, partitionable):
    with jax.threefry_partitionable(partitionable):
        split = bits64(words(jax.random.split(root(), 4096)))
        fold_in = jax.vmap(jax.random.fold_in, (None, 0))
        folded = bits64(words(fold_in(root(), jnp.arange(4096))))
    assert np.unique(folded).size == 4096
    assert not np.isin(million, np.concatenate([split, folded])).any()


def test_no_derived_key_can_be_one_of_split_or_fold_in():
    """Threefry maps blocks to keys one to one; theirs have high word 0, ours never."""
    assert all(_streams.digest_words(path)[0] >> 31 == 1 for path in DIFFERENT)


# -- clones -----------------------------------------------------------------------


def test_one_config_under_one_key_makes_equal_weights_and_clones_do_not():
    init, shape = ij.HeNormal(), (64, 32)
    raw = words(root())  # raw keys may be used twice
    np.testing.assert_array_equal(init(raw, shape), init(raw, shape))
    query, value = (ij.clone_initializer(init, name) for name in ("query", "value"))
    assert not np.isin(query(raw, shape), value(raw, shape)).all()


def test_a_thousand_clones_are_pairwise_uncorrelated():
    n = 10_000
    clones = ij.clone_initializer(ij.HeNormal(), num=1000)
    x = np.stack([clone(root(), (n // 100, 100)).ravel() for clone in clones])
    x = (x - x.mean(1, keepdims=True)) / x.std(1, keepdims=True)
    correlation = np.abs(x @ x.T / n)
    np.fill_diagonal(correlation, 0)
    assert correlation.max() < 5 / np.sqrt(n)  # the largest of 499 500 pairs


def test_clones_repeat_by_name_whatever_the_order():
    init = ij.LecunNormal()
    first = {name: ij.clone_initializer(init, name) for name in "abc"}
    again = {name: ij.clone_initializer(init, name) for name in "cab"}
    assert first == again
    assert ij.clone_initializer(init, "a")(root(), (3,)).tolist() == (
        first["a"](root(), (3,)).tolist()
    )


def test_clones_of_clones_extend_the_path():
    once = ij.clone_initializer(ij.HeNormal(seed=7), "encoder")
    twice = ij.clone_initializer(once, ("dense", 0))
    assert twice == ij.HeNormal(seed=(7, "encoder", "dense", 0))
    np.testing.assert_array_equal(
        twice(root(), (4, 4)),
        ij.HeNormal()(ij.fold_in_path(root(), 7, "encoder", "dense", 0), (4, 4)),
    )


def test_seed_zero_and_an_empty_name_are_streams():
    draws = [ij.HeNormal(seed=seed)(root(), (9,)) for seed in (None, 0, "", "0")]
    assert len({np.asarray(x).tobytes() for x in draws}) == 4


def test_split_clones_are_no_named_and_no_anonymous_clones():
    init = ij.HeNormal()
    clones = [
        *ij.clone_initializer(init, num=2),
        *(ij.clone_initializer(init, name) for name in (0, 1, "split", ("split", 0))),
        *(ij.clone_initializer(init) for _ in range(2)),
        *ij.clone_initializer(init, "heads", num=2),
    ]
    assert len({np.asarray(c(root(), (9,))).tobytes() for c in clones}) == len(clones)


@pytest.mark.parametrize(
    "identifier", ["he_normal", {"class_name": "Zeros"}, None, 3.5]
)
def test_what_get_would_read_comes_back_unchanged(identifier):
    assert ij.clone_initializer(identifier) is identifier
    assert ij.clone_initializer(identifier, "name", num=2)[1] is identifier


def test_laws_that_draw_nothing_give_equal_copies():
    zeros = ij.Constant(2.0)
    clone = ij.clone_initializer(zeros, "bias")
    assert clone == zeros
    assert clone is not zeros


def test_a_class_is_cloned_as_its_default():
    assert ij.clone_initializer(ij.HeNormal, "a") == ij.HeNormal(seed="a")


def test_plain_callables_get_streams_of_their_own():
    def init(key, shape, dtype=jnp.float32):
        return jax.random.normal(key, shape, dtype)

    a, b = (ij.clone_initializer(init, name) for name in ("a", "b"))
    nested = ij.clone_initializer(a, "c")
    expected = init(ij.fold_in_path(root(), "a", "c"), (9,), jnp.bfloat16)
    np.testing.assert_array_equal(nested(root(), (9,), jnp.bfloat16), expected)
    assert a(root(), (9,)).tolist() != b(root(), (9,)).tolist()
    assert a == ij.clone_initializer(init, "a")
    raw = a(words(root()), (9,))  # raw keys stay raw for the function
    np.testing.assert_array_equal(raw, a(root(), (9,)))


def test_bind_calls_as_keras_does():
    bound = ij.HeNormal().bind(root())
    np.testing.assert_array_equal(bound((3, 4)), ij.HeNormal()(root(), (3, 4)))
    assert ij.HeNormal().bind(root())((3, 4), "bfloat16").dtype == jnp.bfloat16


# -- key reuse --------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "complex64"])
def test_a_real_reuse_of_a_key_raises(dtype):
    key = root()
    ij.HeNormal()(key, (3, 3), dtype)
    with pytest.raises(jax.errors.KeyReuseError):
        ij.HeNormal()(key, (3, 3), dtype)
    with pytest.raises(jax.errors.KeyReuseError):
        jax.random.normal(key)


def test_a_reuse_inside_jit_raises():
    def twice(key):
        return ij.HeNormal()(key, (3, 3)) + ij.RandomNormal()(key, (3, 3))

    with pytest.raises(jax.errors.KeyReuseError):
        jax.jit(twice)(root())


def test_clones_under_one_key_are_no_reuse():
    key = root()
    for clone in ij.clone_initializer(ij.HeNormal(), num=3):
        clone(key, (3, 3))
    ij.fold_in_path(key, "a")
    ij.Zeros()(key, (3,))
    jax.random.normal(key)  # none of these used the root up


def test_edits_stay_local():
    """Adding, removing and reordering weights leaves the others' bits unchanged."""

    def init(names):
        clones = {name: ij.clone_initializer(ij.HeNormal(), name) for name in names}
        return {name: clone(root(), (4, 4)) for name, clone in clones.items()}

    before, after = init(["a", "b", "c"]), init(["new", "c", "a"])
    for name in ("a", "c"):
        np.testing.assert_array_equal(before[name], after[name])
