"""Every dtype that JAX has: each law is right in it, or refuses it by name."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import HOLDING
from scipy import stats
from tools import (
    FLOAT8_ROUNDED_ONCE,
    VERSION,
    assert_moments,
    assert_refused,
    assert_same_bits,
    hook,
    root,
    wide,
)

import initjax as ij
from initjax._core import compile as programs
from initjax.laws.wrapper import Wrapper

KINDS = {  # as the catalogue calls them
    "bool": ["bool"],
    "integers": [f"{u}int{n}" for u in ("", "u") for n in (2, 4, 8, 16, 32, 64)],
    "floats": """
        float4_e2m1fn float8_e3m4 float8_e4m3 float8_e4m3b11fnuz float8_e4m3fn
        float8_e4m3fnuz float8_e5m2 float8_e5m2fnuz bfloat16 float16 float32 float64
    """.split(),
    "float8_e8m0fnu": ["float8_e8m0fnu"],
    "complex": ["complex64", "complex128"],
}
NOT_IN_JAX = """
    float6_e2m3fn float6_e3m2fn int1 uint1 longdouble clongdouble
    >f4 >i2 >c8 >u8
""".split()
ROUNDED_TWICE = (  # by old XLA
    *("float4_e2m1fn", "float8_e4m3fn", "float8_e5m2", "float8_e4m3b11fnuz"),
)

OF_SCALE_ALONE = {"Ones", "Constant"}  # float8_e8m0fnu has neither sign nor zero
FEW = """
    bool int32 bfloat16 float64 float8_e8m0fnu complex64
""".split()
EVERY = {  # laws of their own samplers, to which the dtypes of all others go
    *("Zeros", "Constant", "RandomNormal", "RandomUniform", "TruncatedNormal"),
}


FILLS = {  # the kinds of dtypes that each law fills, as its page says
    name: {*hook().fills(law)}
    for name, law in hook().law_classes().items()
    if not issubclass(law, Wrapper)
}
CELLS = [
    (
        name,
        dtype,
        name in OF_SCALE_ALONE if dtype == "float8_e8m0fnu" else kind in FILLS[name],
    )
    for name, kind in itertools.product(FILLS, KINDS)
    for dtype in KINDS[kind]
    if dtype in FEW or name in EVERY
]


def test_the_tables_have_every_law_and_every_dtype_of_jax():
    assert {*FILLS} <= {*HOLDING}
    of_jax = {
        jnp.dtype(x).name for x in vars(jnp).values() if type(x) is type(jnp.int8)
    }
    known = {dtype for kind in KINDS.values() for dtype in kind}
    assert of_jax - known <= {*NOT_IN_JAX}
    assert known <= of_jax


@pytest.mark.parametrize(
    ("name", "dtype"), [(name, dtype) for name, dtype, fills in CELLS if not fills]
)
def test_a_law_refuses_other_dtypes_by_name(name, dtype):
    init, shape = HOLDING[name]
    with wide(dtype), pytest.raises((TypeError, ValueError)) as caught:
        init(root(), shape, dtype)
    where = f"{init!r}(key, shape={shape}, dtype={dtype}): "
    assert str(caught.value).startswith(where)
    assert dtype in str(caught.value)[len(where) :]


def rounded_once(x, dtype, low, high, is_half_open):
    """Float32 numbers to the nearest of a narrow dtype, inside the bounds."""
    largest = float(jnp.finfo(dtype).max)
    bits = jnp.finfo(dtype).bits
    if dtype.name in ROUNDED_TWICE and not FLOAT8_ROUNDED_ONCE:
        x = x.astype(np.float16)
    unsigned = np.uint16 if bits == 16 else np.uint8
    with np.errstate(invalid="ignore"):  # NaN is among them
        grid = np.arange(2**bits).astype(unsigned).view(dtype).astype(np.float64)
    below = grid < high if is_half_open else grid <= high
    inside = grid[(grid >= low) & below & np.isfinite(grid)]
    near = np.clip(x, -largest, largest).astype(dtype).astype(np.float64)
    return np.clip(near, inside.min(), inside.max())


@pytest.mark.parametrize(
    ("name", "dtype"), [(name, dtype) for name, dtype, fills in CELLS if fills]
)
def test_a_law_is_right_in_its_dtypes(name, dtype):
    """Narrow floats are the float32 draw rounded once; moments hold in the wide."""
    init, shape = HOLDING[name]
    with wide(dtype):
        x = np.asarray(init(root(), shape, dtype))
        law = init.law(shape, dtype)
        assert (x.shape, x.dtype) == (shape, jnp.dtype(dtype))
    kind = next(kind for kind in KINDS if dtype in KINDS[kind])
    if kind == "floats" and jnp.finfo(dtype).bits < 32:
        exact, half_open = (
            np.asarray(init(root(), shape)),
            "uniform" in repr(init).lower(),
        )
        expected = rounded_once(exact, x.dtype, law.low, law.high, half_open)
        np.testing.assert_array_equal(x.astype(np.float64), expected)
        return
    x = x.astype(np.complex128 if kind == "complex" else np.float64)
    size = np.abs(x) if kind == "complex" else x
    assert law.low - 1e-6 <= size.min()
    assert size.max() <= law.high + 1e-6
    if x.size == 4096 and kind != "integers":
        assert_moments(x, law.mean, law.std)


ENDS = [(0, dtype) for dtype in KINDS["integers"]]
ENDS += [(1, dtype) for dtype in ("uint8", "int32", "uint32", "int64", "uint64")]


@pytest.mark.parametrize(("least", "dtype"), ENDS)
def test_integers_reach_the_whole_range(least, dtype):
    """The bound that ends the range is one too large to be held."""
    info = jnp.iinfo(dtype)
    low, end = int(info.min) + least, int(info.max) + 1
    with wide(dtype):
        x = np.asarray(ij.RandomUniform(low, end)(root(), (64, 1024), dtype))
        law = ij.RandomUniform(low, end).law((3,), dtype)
    assert (law.low, law.high) == (low, end - 1)
    offsets = [int(v) - low for v in x.ravel()[:4096]]
    assert min(offsets) >= 0
    values = end - low
    if values <= 256:
        counts = np.bincount(x.ravel().astype(np.int64) - low, minlength=values)
        assert stats.chisquare(counts).pvalue > 1e-3
    else:
        unit = np.array([offset / values for offset in offsets])
        assert stats.kstest(unit, stats.uniform.cdf).pvalue > 1e-3
    if info.bits in (8, 16) and VERSION >= (0, 10):  # JAX has room in int32
        theirs = jax.random.randint(root(), x.shape, low, end, dtype)
        assert_same_bits(x, theirs)


SPELLINGS = [
    ("float32", [np.float32, jnp.float32, np.dtype("f4"), "f4", "<f4", float, None]),
    ("float16", [np.float16, jnp.float16, np.half, "half", "e"]),
    ("int32", [np.int32, jnp.int32, int, "i4"]),
    ("bool", [np.bool_, jnp.bool_, bool, "?"]),
    ("complex64", [np.complex64, jnp.complex64, complex, "c8"]),
    ("bfloat16", [jnp.bfloat16, jnp.dtype("bfloat16")]),
]


@pytest.mark.parametrize(("dtype", "spellings"), SPELLINGS)
def test_a_dtype_has_many_spellings(dtype, spellings):
    for spelling in spellings:
        assert ij.Ones()(None, (2,), spelling).dtype == dtype
        assert ij.Ones(dtype=spelling)(None, (2,)).dtype == dtype


NO_DTYPES = [
    *(np.float32(1), np.float16(1), jnp.bfloat16(1), np.True_, True, 1, 1.0, 0.0),
    *(float("nan"), np.zeros(2, "f4"), np.array(1.0), np.dtype("V4"), ("f4", 2)),
    *(jax.ShapeDtypeStruct((2,), np.float32), object, str, bytes, "M8[s]", "m8[s]"),
    *(np.dtype([("a", "f4")]), "f4,f4", "f4,(", "", "float99", np.floating),
    *(jax.dtypes.float0, jax.dtypes.prng_key, jax.random.key(0).dtype, ["f4"], {}),
]


@pytest.mark.parametrize("given", NO_DTYPES, ids=repr)
@pytest.mark.parametrize("init", [ij.Ones(), ij.RandomNormal()], ids=repr)
def test_what_is_no_dtype_is_refused(init, given):
    """Also a number: equal ones, 1 and True and float32(1), would share a cache."""
    for first in (jnp.float32, 1, 1.0):  # what a cache by == would have kept
        if isinstance(first, type):
            init(root(), (1,), first)
        where = f"{init!r}(key, shape=(1,), dtype={given!r})"
        rule = f"dtype={given!r} is not a numeric dtype; give one, such as jnp.float32."
        assert_refused(lambda: init(root(), (1,), given), TypeError, f"{where}: {rule}")


@pytest.mark.parametrize("given", NOT_IN_JAX)
def test_numbers_that_jax_has_no_arrays_of_are_refused(given):
    try:
        dtype = jnp.dtype(getattr(jnp, given, None) or given)
    except TypeError:
        pytest.skip("not known to this NumPy")
    if not jnp.issubdtype(dtype, jnp.number):
        pytest.skip("no number to this JAX, so refused as such")
    shown = given if given.startswith(">") else dtype.name
    rule = f"JAX has no arrays of dtype {shown}; give one that it has, such as float32."
    for init in (ij.Zeros(), ij.HeNormal()):
        where = f"{init!r}(key, shape=(1,), dtype={dtype!r})"
        assert_refused(
            lambda: init(root(), (1,), dtype),  # noqa: B023
            TypeError,
            f"{where}: {rule}",
        )
    assert_refused(
        lambda: ij.Ones(dtype=dtype), TypeError, f"Ones(dtype={dtype!r}): {rule}"
    )


ALIKE = [  # equal or nearly so, and not always of the same bits
    (ij.RandomNormal(stddev=1), ij.RandomNormal(stddev=1.0)),
    (ij.RandomNormal(mean=0), ij.RandomNormal(mean=-0.0)),
    (ij.RandomUniform(0, 2**24), ij.RandomUniform(0.0, 2.0**24)),
    (ij.TruncatedNormal(lower=0), ij.TruncatedNormal(lower=-0.0)),
    (ij.TruncatedNormal(low=0), ij.TruncatedNormal(low=-0.0)),
    (ij.Constant(0.0), ij.Constant(-0.0)),
    (ij.Constant(1), ij.Constant(True)),
    (ij.Constant(1.0), ij.Constant(1 + 0j)),
    (ij.Constant([0.0, 1.0]), ij.Constant([-0.0, 1.0])),
    (ij.Scaled(ij.Ones(), 1), ij.Scaled(ij.Ones(), True + 0)),
    (ij.PerLayer(ij.Ones(), [0.0, 1.0]), ij.PerLayer(ij.Ones(), [-0.0, 1])),
    (ij.STFT(window=[0.0, 1.0]), ij.STFT(window=[-0.0, 1.0])),
]


@pytest.mark.parametrize(("one", "other"), ALIKE, ids=repr)
def test_no_cache_takes_one_law_for_another(one, other):
    """Draws are those of a process that never saw the law that looks like it."""
    shape = (2, 1, 2) if isinstance(one, ij.STFT) else (2,)
    tree = {"one": jax.ShapeDtypeStruct(shape, "float32")}
    alone = []

    def drawn(init):
        return init(ij.fold_in_path(root(), "one"), shape)

    for init in (one, other):
        programs._prepare_known.cache_clear()
        programs._compiled.cache_clear()
        alone.append(drawn(init))
    for init, expected in zip((one, other, one), (*alone, alone[0]), strict=True):
        assert_same_bits(drawn(init), expected)
        made = ij.init_tree(ij.Rules([("**", init)]), tree, root())
        assert_same_bits(made["one"], expected)


def test_jit_init_takes_no_literal_for_another():
    """Programs that differ in the type or the sign of a number are compiled apart."""
    factors = [0.0, -0.0, 1, 1.0, True, np.float32(1), np.int32(1), float("nan")]

    def fun(key):
        names = itertools.count()
        return {
            f"{next(names)}": jnp.full((2,), factor) * jnp.full((2,), factor)
            for factor in factors
        } | {"w": jax.random.normal(key, (2,))}

    expected = jax.jit(fun)(root())
    for name, x in ij.jit_init(fun)(root()).items():
        assert_same_bits(x, expected[name], name)
