"""One kernel for all shapes: drawn in blocks, an array has the bits it has alone."""

import functools
import os
import subprocess
import sys
import textwrap

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from recipe_models import manifest
from setup_models import KEY, TOKENS, Linen
from tools import VERSION, assert_same_bits, count_compilations, root, wide

import initjax as ij
from initjax._core.bits import Stretch, fused_bits
from initjax._engine import blocks, cost
from initjax._engine.cost import FEW, LARGE, MANY, ROWS, Choice, in_blocks
from initjax._engine.keys import KeyKind, hash_blocks
from initjax._rules import ways
from initjax._rules.init_tree import ordered
from initjax._rules.paths import read_tree
from initjax._rules.recipe import Job, fillings_of
from initjax.recipes import gpt2

THREEFRY = KeyKind("threefry2x32", (2,))

pytestmark = [
    pytest.mark.usefixtures("as_frameworks_expect"),
    pytest.mark.skipif(
        VERSION < (0, 9), reason="its XLA rounds the ends of loops otherwise: no blocks"
    ),
]


# -- jit_init ------------------------------------------------------------------------

SHAPES = [(16, 8), (3, 9), (2, 3, 17)]
SHORT = [(7, 2), (64, 4)]
normal, uniform = jax.random.normal, jax.random.uniform
bf16 = functools.partial(jnp.asarray, dtype="bfloat16")
DRAWS = {  # of a key, a shape and a number
    "normal": lambda k, s, c: normal(k, s),
    "times": lambda k, s, c: normal(k, s) * c,
    "times_of_numbers": lambda k, s, c: normal(k, s) * (jnp.sqrt(c) / 0.8796),
    "times_twice": lambda k, s, c: normal(k, s) * c * 0.3,
    "times_plus": lambda k, s, c: normal(k, s) * c + c,
    "plus_zero": lambda k, s, c: uniform(k, s, minval=-c, maxval=c) * 0.3 + 0.0,
    "plus_plus": lambda k, s, c: normal(k, s) + c + 0.7,
    "over": lambda k, s, c: normal(k, s) / c,
    "negative": lambda k, s, c: -(normal(k, s) * c),
    "square": lambda k, s, c: (normal(k, s) * c) ** 2,
    "uniform": lambda k, s, c: uniform(k, s, minval=-c, maxval=c),
    "truncated": lambda k, s, c: jax.random.truncated_normal(k, -2, 2, s) * c,
    "cut_by": lambda k, s, c: jax.random.truncated_normal(k, -c, 2, s),
    "clipped": lambda k, s, c: jnp.clip(normal(k, s), -c, c),
    "chosen": lambda k, s, c: jnp.where(uniform(k, s) < c, c, 0.0),
    "integers": lambda k, s, c: jax.random.randint(k, s, -9, 1000),
    "coins": lambda k, s, c: jax.random.bernoulli(k, 0.3, s),
    "bfloat16": lambda k, s, c: normal(k, s, "bfloat16") * bf16(c),
    "float16": lambda k, s, c: uniform(k, s, "float16") * jnp.asarray(c, "float16"),
    "cast": lambda k, s, c: (normal(k, s) * c).astype("bfloat16"),
    "ours": lambda k, s, c: ij.RandomNormal(c, 0.3)(k, s),
    "our_constant": lambda k, s, c: ij.Constant(c)(k, s),
    "ours_on_a_path": lambda k, s, c: ij.HeNormal(seed="w")(k, s, "bfloat16"),
    "members": lambda k, s, c: jax.vmap(lambda k: normal(k, s) * c)(
        jax.random.split(k, 3)
    ),
}


COMPUTED_WITH = (
    *("times_twice", "plus_plus", "over", "negative", "square"),
    *("cut_by", "clipped", "chosen"),
)


def drawn(name, shapes, raw=False):
    """A function that draws every shape, each of a key and with a number of its own."""

    def fun(key):
        keys = jax.random.split(key, len(shapes))
        numbers = [0.25 + 0.37 * i for i in range(len(shapes))]
        return list(map(DRAWS[name], keys, shapes, numbers))

    key = jax.random.PRNGKey(3) if raw else KEY
    return fun, key


def engine_of(fun, *args, **options):
    return ij.jit_init(fun, **options)._trace(args, {}).engine


@pytest.mark.parametrize("name", DRAWS)
def test_blocks_have_the_bits_of_jit(name):
    shapes = SHAPES[:2] if name in COMPUTED_WITH else SHAPES + SHORT
    fun, key = drawn(name, shapes, raw=name == "times")
    for x, y in zip(ij.jit_init(fun)(key), jax.jit(fun)(key), strict=True):
        assert (x.weak_type, x.committed) == (y.weak_type, y.committed)
        assert np.asarray(x).tobytes() == np.asarray(y).tobytes(), x.shape


@pytest.mark.parametrize("name", DRAWS)
def test_one_kernel_serves_all_shapes(name):
    """But where XLA computes with the numbers, which differ here."""
    fun, key = drawn(name, SHAPES)
    engine = engine_of(fun, key)
    if name in COMPUTED_WITH:
        assert not engine.drawn
    elif name != "bfloat16":  # whose products depend on the version of JAX
        assert len(engine.drawn) == len(SHAPES)
        assert len(engine.rows) == 1


@pytest.mark.parametrize("guard", ["allow", "disallow"])
def test_blocks_are_drawn_in_threads_under_the_flags_of_the_caller(guard):
    """64-bit mode is a thread's own, and explicit transfers are all there are."""
    law = ij.RandomNormal(0.5, 0.3)
    with wide("float64"):
        tree = {f"w{n}": jax.ShapeDtypeStruct((n, 500), "float64") for n in (700, 900)}
        alone = {
            n: law(ij.fold_in_path(KEY, n), x.shape, x.dtype) for n, x in tree.items()
        }
        with jax.transfer_guard(guard):
            out = ij.init_tree(ij.Rules([("*", law)]), tree, KEY)
        for name, x in out.items():
            assert_same_bits(x, alone[name])


def test_what_is_drawn_twice_is_drawn_once():
    """As XLA finds out too, and so rounds it where it is an array in memory."""

    def fun(key):
        shapes = [(16, n) for n in (9, 10, 12)]
        a = [normal(key, s) * 0.1 + 0.2 for s in shapes]
        return a, [normal(key, s) / 0.3 for s in shapes]

    ours, theirs = (jax.tree.leaves(f(KEY)) for f in (ij.jit_init(fun), jax.jit(fun)))
    for x, y in zip(ours, theirs, strict=True):
        assert np.asarray(x).tobytes() == np.asarray(y).tobytes(), x.shape


TWO = [(16, 8), (8, 24)]
# random chains: what XLA does to a number depends on what is around it
STEPS = {
    "times": lambda x, c: x * c,
    "plus": lambda x, c: x + c,
    "minus": lambda x, c: x - c,
    "from": lambda x, c: c - x,
    "over": lambda x, c: x / c,
    "under": lambda x, c: c / (1 + abs(x)),
    "most": lambda x, c: jnp.minimum(x, c),
    "least": lambda x, c: jnp.maximum(x, c),
    "negative": lambda x, c: -x,
    "root": lambda x, c: jnp.sqrt(abs(x)),
    "square": lambda x, c: jnp.square(x),
    "below": lambda x, c: jnp.where(x < c, x, c),
    "called": lambda x, c: jax.jit(lambda x, c: x * c / 0.3 + c)(x, c),
    "cast": lambda x, c: x.astype("bfloat16").astype("float32"),
    "itself": lambda x, c: x + x * c,
}
BASES = ("normal", "uniform", "truncated", "times_of_numbers", "ours", "bfloat16")
NUMBERS = (0.0, -0.0, 1.0, -1.0, 2.0, 0.3, 0.7, 1e-3, 3.3)
FEW_SHAPES = st.sampled_from([*SHAPES, *SHORT, (300,), (5,)])


@settings(
    max_examples=int(os.environ.get("INITJAX_EXAMPLES", "5")),
    deadline=None,
    derandomize=True,
    suppress_health_check=[*HealthCheck],
)
@given(st.data())
def test_random_chains_have_the_bits_of_jit(data):
    base = data.draw(st.sampled_from(BASES))
    steps = data.draw(st.lists(st.sampled_from(sorted(STEPS)), max_size=4))
    shapes = data.draw(st.lists(FEW_SHAPES, min_size=3, max_size=3, unique=True))
    number = st.sampled_from(NUMBERS)
    numbers = [[data.draw(number) for _ in steps] for _ in shapes]
    own = [data.draw(st.sampled_from(NUMBERS[5:])) for _ in shapes]

    def fun(key):
        out = []
        for k, s, c, cs in zip(
            jax.random.split(key, 3), shapes, own, numbers, strict=True
        ):
            x = DRAWS[base](k, s, c)
            for step, n in zip(steps, cs, strict=True):
                x = STEPS[step](x, n)
            out.append(x)
        return out

    for x, y in zip(ij.jit_init(fun)(KEY), jax.jit(fun)(KEY), strict=True):
        assert np.asarray(x).tobytes() == np.asarray(y).tobytes(), (x.shape, fun)


def test_a_product_that_xla_leaves_out_is_not_merged():
    """With 1 and -1, where the sum would round once and not twice."""

    def fun(key):
        draws = [
            normal(k, s) for k, s in zip(jax.random.split(key, 3), SHAPES, strict=True)
        ]
        return [x + x * c for x, c in zip(draws, (-1.0, 0.3, 1.0), strict=True)]

    for x, y in zip(ij.jit_init(fun)(KEY), jax.jit(fun)(KEY), strict=True):
        assert np.asarray(x).tobytes() == np.asarray(y).tobytes()


def test_sums_that_meet_over_a_range_of_width_one_are_not_given_it():
    """XLA leaves out the product with 1, and joins the sums around it."""
    ranges = ((-0.3, 0.7), (-0.3, 0.8), (0.1, 1.1), (0.2, 0.7))

    def fun(key):
        keys = jax.random.split(key, 4)
        shapes = [*SHAPES, (30, 9)]
        return [
            uniform(k, s, minval=a, maxval=b)
            for k, s, (a, b) in zip(keys, shapes, ranges, strict=True)
        ]

    assert engine_of(fun, KEY).drawn  # the others share a kernel
    for x, y in zip(ij.jit_init(fun)(KEY), jax.jit(fun)(KEY), strict=True):
        assert np.asarray(x).tobytes() == np.asarray(y).tobytes(), x.shape


MESH = Mesh(np.array(jax.devices()).reshape(4, 2), ("data", "model"))
SPREAD = {  # an array and a sharding; whether devices hold enough of it in a row
    "rows": ((64, 24), P("data"), True),
    "columns": ((8, 4096), P(None, "data"), True),
    "short columns": ((8, 512), P(None, "data"), False),
    "a middle axis": ((3, 8, 512), P(None, "data"), True),
    "two axes": ((8, 4096), P("data", "model"), True),
    "one axis over both": ((64, 24), P(("data", "model")), True),
    "narrow parts": ((1, 16), P(None, "data"), False),
    "copies": ((5, 24), P(), True),
    "a vector": ((4096,), P("model"), True),
}


@pytest.mark.parametrize("name", SPREAD)
def test_shards_are_drawn_where_they_live(name):
    shape, spec, in_blocks = SPREAD[name]
    place = NamedSharding(MESH, spec)

    def fun(key):
        one, two = jax.random.split(key)
        return normal(one, shape) * 0.3, normal(two, (shape[0] * 2, *shape[1:])) * 0.7

    assert (len(engine_of(fun, KEY, out_shardings=place).drawn) == 2) is in_blocks
    both = (jit(fun, out_shardings=place)(KEY) for jit in (ij.jit_init, jax.jit))
    for x, y in zip(*both, strict=True):
        assert (x.sharding, x.committed) == (y.sharding, y.committed)
        for a, b in zip(x.addressable_shards, y.addressable_shards, strict=True):
            assert (a.device, a.index) == (b.device, b.index)
            assert np.asarray(a.data).tobytes() == np.asarray(b.data).tobytes()


@pytest.mark.parametrize("spec", [P("data"), P(None, "model"), P()])
def test_a_spread_constant_needs_no_program(spec):
    place = NamedSharding(MESH, spec)
    init = ij.jit_init(lambda k: jnp.full((8, 4), 0.3, "float32"), out_shardings=place)
    assert init.lower(KEY).compiled == 0
    x = init(KEY)
    assert x.sharding == place
    assert (np.asarray(x) == np.float32(0.3)).all()
    for shard in x.addressable_shards:
        assert shard.data.shape == place.shard_shape(x.shape)


NOT_BY_ENTRY = {
    "a number": lambda k, s: jnp.ones(s) * 0.3 + 0.1,
    "axes": lambda k, s: normal(k, s) * jnp.cumsum(jnp.full((1,), 2.0)),
    "iota": lambda k, s: normal(k, s) + jnp.arange(s[-1], dtype="float32"),
    "transpose": lambda k, s: normal(k, s[::-1]).T,
    "reshape": lambda k, s: jax.lax.reshape(normal(k, s), s[::-1], (1, 0)),
    "part": lambda k, s: normal(k, (s[0] + 1, *s[1:]))[1:],
    "sum": lambda k, s: normal(k, s) - normal(k, s).sum(),
    "rows": lambda k, s: normal(k, s) * normal(jax.random.split(k)[0], s[-1:]),
    "side_by_side": lambda k, s: jnp.concatenate([normal(k, s), jnp.ones(s)]),
    "exponential": lambda k, s: jax.random.exponential(k, s),
    "parts": lambda k, s: ij.HeNormal(fan=ij.Fan.fused(2))(k, (s[0], 2 * s[1])),
    "rbg": lambda k, s: normal(
        jax.random.wrap_key_data(jnp.zeros(4, "uint32"), impl="rbg"), s
    ),
}


@pytest.mark.parametrize("name", NOT_BY_ENTRY)
def test_what_depends_on_more_than_the_index_has_its_program(name):
    def fun(key):
        keys = jax.random.split(key)
        return [NOT_BY_ENTRY[name](k, s) for k, s in zip(keys, TWO, strict=True)]

    assert not engine_of(fun, KEY).drawn
    for x, y in zip(ij.jit_init(fun)(KEY), jax.jit(fun)(KEY), strict=True):
        assert np.asarray(x).tobytes() == np.asarray(y).tobytes()


def test_constants_need_no_program():
    def fun(key):
        return (
            jnp.zeros((3, 4)),
            jnp.full((2,), 0.3, "float32"),
            jnp.ones(()),
            jnp.sqrt(jnp.full((), 2.0, "float32")),
        )

    plan = ij.jit_init(fun).lower(KEY)
    assert ([row.way for row in plan.programs], plan.compiled) == (["host"], 0)
    for x, y in zip(ij.jit_init(fun)(KEY), jax.jit(fun)(KEY), strict=True):
        assert (x.weak_type, x.shape) == (y.weak_type, y.shape)
        assert np.asarray(x).tobytes() == np.asarray(y).tobytes()


def test_laws_of_one_number_fill_their_arrays():
    def fun(key):
        laws = ij.Zeros(), ij.Ones(), ij.Constant(0.3), ij.Zeros()
        return [law(key, (2, 150 * i)) for i, law in enumerate(laws, 1)]

    assert paths(ij.jit_init(fun)) == ["blocks"]
    for x, y in zip(ij.jit_init(fun)(KEY), jax.jit(fun)(KEY), strict=True):
        assert_same_bits(x, y)


def test_models_compile_few_programs():
    """Flax's transformer draws by two kernels: that of Dense and that of Embed."""
    for layers in (2, 12):
        init = Linen(layers, head=jax.nn.initializers.lecun_normal()).init
        assert ij.jit_init(init).lower(KEY, TOKENS).compiled <= 3


def paths(init):
    return [row.way for row in init.lower(KEY).programs]


def test_a_plan_is_decided_once(monkeypatch):
    """A kernel that is there serves who comes later, not who has decided."""
    monkeypatch.setattr(blocks, "_COMPILED", {})
    early, late = (ij.jit_init(lambda k: normal(k, (16, 9)) * 0.77) for _ in range(2))
    both = ij.jit_init(
        lambda k: list(map(lambda j, s: normal(j, s) * 0.77, jax.random.split(k), TWO))
    )
    assert (paths(early), paths(both)) == (["program"], ["blocks"])
    both(KEY)
    assert (paths(early), paths(late)) == (["program"], ["blocks"])
    assert [count_compilations(lambda f=f: f(KEY)) for f in (early, late)] == [1, 0]
    assert_same_bits(early(KEY), late(KEY))


def test_what_a_function_draws_much_of_has_its_program(monkeypatch):
    monkeypatch.setattr(cost, "LARGE", 1000)
    sizes = (500, 20, 500, 30)

    def init(key):
        keys = jax.random.split(key, len(sizes))
        return [normal(k, (n,)) for k, n in zip(keys, sizes, strict=True)]

    assert sorted(paths(ij.jit_init(init))) == ["blocks", "program"]


# -- the cost model ------------------------------------------------------------------

A, B, C = ("k", [160]), ("k", [64]), ("k", [5, 5])
FULL = 256 * (FEW - 1)  # entries of all rows of a block but one
DECIDED = {
    # kernel and sizes of each program; programs and kernels that are there; rows
    "shapes share a kernel": ({"a": A, "b": B}, "", (), {"a": FEW, "b": FEW}),
    "one shape shares none": ({"a": A}, "", (), {}),
    "nor does one drawn often": ({"c": C}, "", (), {}),
    "nor do two of two laws": ({"a": A, "b": ("l", [64])}, "", (), {}),
    "but of a kernel there is": ({"a": A}, "", {("k", FEW)}, {"a": FEW}),
    "not of other blocks": ({"a": A}, "", {("k", ROWS)}, {}),
    "a program there is serves": ({"a": A, "b": B}, "a", (), {}),
    "before a kernel": ({"a": A}, "a", {("k", FEW)}, {}),
    "and others share": ({"a": A, "b": B, "c": C}, "a", (), {"b": FEW, "c": FEW}),
    "a large one pays": ({"a": ("k", [LARGE]), "b": B}, "", (), {}),
    "or many together": ({"a": ("k", [LARGE // 2] * 2), "b": B}, "", (), {}),
    "a smaller one does not": (
        {"a": ("k", [LARGE - 1]), "b": B}, "", (), {"a": MANY, "b": MANY}
    ),
    "a kernel there is or not": (
        {"a": ("k", [LARGE]), "b": B}, "", {("k", FEW)}, {"b": FEW}
    ),
    "rows that fill a block": (
        {"a": ("k", [FULL]), "b": ("k", [1])}, "", (), {"a": FEW, "b": FEW}
    ),
    "and one row more": (
        {"a": ("k", [FULL + 1]), "b": ("k", [1])}, "", (), {"a": ROWS, "b": ROWS}
    ),
    "rows of many blocks": (
        {"a": ("k", [1024 * MANY]), "b": ("k", [1])}, "", (), {"a": MANY, "b": MANY}
    ),
    "bits that do not fuse": ({"a": (*A, False)}, "", (), {"a": FEW}),
    "however large": ({"a": ("k", [LARGE], False)}, "", (), {"a": MANY}),
    "nothing has no rows": (
        {"a": ("k", [FULL]), "b": ("k", [0] * 9)}, "", (), {"a": FEW, "b": FEW}
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", DECIDED)
def test_the_cost_model(case):
    choices, programs, kernels, chosen = DECIDED[case]
    choices = {name: Choice(*one) for name, one in choices.items()}
    assert in_blocks(choices, programs, kernels) == chosen


# -- init_tree -----------------------------------------------------------------------


@pytest.mark.parametrize(("large", "programs"), [(LARGE, 6), (1 << 30, 2)])
def test_gpt2_by_rule_compiles_few_programs(monkeypatch, large, programs):
    """Its 148 arrays are of two laws, zeros and ones; four shapes are large."""
    monkeypatch.setattr(cost, "LARGE", large)
    tree = read_tree(manifest("gpt2-small"), None)
    ones = fillings_of(ordered(gpt2(12), tree, tree.leaves).jobs, THREEFRY)
    made = ways.ways_of(ones)
    assert len(made) == 148
    assert len({way for way in made if not way.constant}) <= programs


LAWS = {
    "normal": ij.RandomNormal(0.5, 2.0),
    "on_a_path": ij.RandomNormal(seed=("a", 3)),
    "uniform": ij.RandomUniform(-1, 3),
    "symmetric": ij.GlorotUniform(fan=16),
    "truncated": ij.HeNormal(fan=16),
    "cut_at": ij.TruncatedNormal(low=-0.01, high=2),
    "scaled": ij.Scaled(ij.HeNormal(fan=16), 0.3),
}
CASES = [(name, "float32") for name in LAWS]
CASES += [("normal", "float16"), ("symmetric", "bfloat16"), ("cut_at", "bfloat16")]


@pytest.mark.parametrize(("name", "dtype"), CASES)
def test_a_leaf_drawn_in_blocks_is_the_law(name, dtype):
    law = LAWS[name]
    tree = {str(s): jax.ShapeDtypeStruct(s, dtype) for s in SHAPES + SHORT}
    out = ij.init_tree(ij.Rules([("*", law)]), tree, root())
    for path, x in out.items():
        alone = law(ij.fold_in_path(root(), path), x.shape, dtype)
        assert_same_bits(x, alone, path)
        assert (x.sharding, x.committed) == (alone.sharding, alone.committed)


def fillings(law, *shapes, dtype="float32", sharding=None, kind=THREEFRY):
    jobs = [Job("w", law, s, np.dtype(dtype), sharding) for s in shapes]
    return fillings_of(jobs, kind)


def names(ones, programs=(), kernels=()):
    return [way.name for way in ways.ways_of(ones, programs, kernels)]


def test_leaves_go_by_the_cost_model(monkeypatch):
    """As programs and kernels are told apart, and found again."""
    law, other = ij.RandomNormal(0.125, 0.5), ij.RandomNormal(-3, 2)
    alike = [*fillings(law, (8, 8)), *fillings(other, (8, 8))]
    assert names(alike) == ["program", "program"]
    assert names(fillings(ij.Zeros(), (8, 8), (9,))) == ["host", "host"]
    three = [*fillings(law, (40, 4)), *alike]
    assert names(three) == ["blocks"] * 3
    assert names(three, ways.ways_of(alike)) == ["program"] * 3
    kernels = {(ways.kernel_of(three[0]).key, FEW)}
    assert names(alike, kernels=kernels) == ["blocks", "blocks"]
    monkeypatch.setattr(cost, "LARGE", 128)
    assert names(alike, kernels=kernels) == ["program", "program"]


@pytest.mark.parametrize(
    "ones",
    [
        fillings(ij.Orthogonal(), (8, 8), (9, 9)),
        fillings(ij.TruncatedNormal(lower=6, upper=np.inf), (8, 8), (9, 9)),
        fillings(ij.HeNormal(fan=ij.Fan.fused(2)), (8, 8), (9, 8)),
        fillings(ij.RandomNormal(), (8, 8), (9, 9), dtype="complex64"),
        fillings(ij.RandomNormal(), (8, 8), (9, 9), dtype="float8_e5m2"),
        fillings(ij.RandomNormal(), (8, 8), (9, 9), kind=KeyKind("rbg", (4,))),
        fillings(
            ij.RandomNormal(),
            *((8, 8), (16, 8)),
            sharding=NamedSharding(MESH, P(None, "model")),
        ),
    ],
    ids="factors tail parts complex narrow rbg short_runs".split(),
)
def test_other_arrays_have_programs(ones):
    assert names(ones) == ["program", "program"]


def test_another_backend_has_programs(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert not blocks.serve(None, (8, 8))


# -- the mechanism -------------------------------------------------------------------


def test_a_stretch_begins_at_64_bits():
    """Where the low word overflows, the high one goes up."""
    words, start = np.array([7, 9], np.uint32), 2**40 + 2**32 - 3
    index = start + np.arange(8)
    expected = hash_blocks(words, *(np.uint32(x) for x in np.divmod(index, 2**32)))
    hi, lo = (np.uint32(x) for x in divmod(start, 2**32))
    bits = fused_bits(jnp.asarray(words), Stretch.of(8, hi, lo), 32)
    assert_same_bits(bits, expected[:, 0] ^ expected[:, 1])


def test_arrays_of_all_sizes_share_blocks():
    """None ends where another begins, and none is copied on its way."""
    block = blocks.WIDTH * ROWS
    sizes = [0, 1, 255, 256, 257, 0, block - 1, 3, block + 700]
    tree = {f"w{i}": jax.ShapeDtypeStruct((n,), "float32") for i, n in enumerate(sizes)}
    law = ij.RandomUniform(-0.25, 2)
    out = ij.init_tree(ij.Rules([("*", law)]), tree, root())
    for path, x in out.items():
        assert_same_bits(x, law(ij.fold_in_path(root(), path), x.shape), path)


@pytest.mark.parametrize("shape", [(), (3,), (1000, 7)])
def test_an_array_takes_the_memory_it_was_drawn_in(shape):
    home = blocks.memory(shape, "float32")
    home[...] = 1
    x = jax.device_put(home)
    assert x.unsafe_buffer_pointer() == home.ctypes.data
    doubled = jax.jit(lambda x: x * 2, donate_argnums=0)(x)
    assert (np.asarray(doubled) == 2).all()


def test_with_the_persistent_cache_a_second_process_compiles_nothing(tmp_path):
    program = """
        import collections, jax
        import initjax as ij

        found = collections.Counter()
        jax.monitoring.register_event_listener(lambda name, **_: found.update([name]))
        tree = {n: jax.ShapeDtypeStruct((4, n), "float32") for n in (3, 4)}
        ij.init_tree(ij.Rules([("*", "normal")]), tree, jax.random.key(0))
        normal = jax.random.normal
        ij.jit_init(lambda k: [normal(k, (n, 8)) * (n / 3) for n in (3, 4)])(
            jax.random.key(0)
        )
        kinds = ("compile_requests_use_cache", "cache_hits")
        print(*(found[f"/jax/compilation_cache/{kind}"] for kind in kinds))
    """
    environment = {
        **os.environ,
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    command = [sys.executable, "-c", textwrap.dedent(program)]
    for warm in (False, True):
        done = subprocess.run(command, env=environment, capture_output=True, check=True)
        asked, hits = map(int, done.stdout.split())
        assert asked > 1
        assert (hits == asked) == warm
