"""I1, I2: the bits depend on config, key, shape and dtype, and on nothing else."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import CASES, ELEMENTWISE, RANDOM, is_rare
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P
from tools import COLLECTIVES, COMPLEX, FLOATS, assert_same_bits, root, wide

import initjax as ij
from initjax import Fan
from initjax._core.compile import prepare

SHAPES = {0: (), 1: (16,), 2: (8, 16), 3: (2, 8, 16), 4: (3, 3, 8, 8)}
SKIPPED = {"constant_column", "complex", "complex_row", "uniform_int"}  # other shapes
LAWS = [case for case in ELEMENTWISE if case.random and case.name not in SKIPPED]


def shape_of(case):
    """A shape of the law's rank whose last two axes eight devices divide."""
    if case.bound:
        return case.shape
    return SHAPES[len(case.shape)]


def accepted(dtype):
    """The laws that draw this dtype: those without a mean or a cut, if complex."""
    if dtype == "float32":
        return LAWS
    if dtype == "bfloat16":  # of the rarer laws, one dtype will do
        return [case for case in LAWS if not is_rare(case.init)]
    if dtype not in COMPLEX:  # of laws of laws, and of parts, two
        return [case for case in LAWS if is_plain(case.init)]
    kinds = ("normal", "scaling", "glorot", "he", "lecun", "experts")
    plain = [case for case in LAWS if is_plain(case.init)]
    named = [case for case in plain if case.name.startswith(kinds)]
    return [case for case in named if not getattr(case.init, "mean", 0)]


def is_plain(init):
    made_up = init.fan is not None or hasattr(init, "initializer")
    return not (made_up or is_rare(init))


def families(dtype):
    """One law for each executable: the others differ in what is passed to it."""
    shared = {}
    for case in accepted(dtype):
        prepared = prepare(case.init, shape_of(case), jnp.dtype(dtype), None)
        shared.setdefault(prepared.run, case)
    return [*shared.values()]


def draw(cases, dtype):
    """One function of a key that draws every law."""
    return lambda key: [
        case.init(jax.random.clone(key), shape_of(case), dtype) for case in cases
    ]


def check(cases, actual, expected, where):
    for case, a, b in zip(cases, actual, expected, strict=True):
        assert_same_bits(a, b, f"{case.name} {where}")


SPECS = [("a", "b"), (("b", "a"), None), (None, ("a", "b"))]
# not every narrow one: all go through float32
DTYPES = [dtype for dtype in FLOATS[:5] if dtype != "float16"] + [COMPLEX[0]]


def shardings_of(dtype):
    """Two for one dtype; the others take turns, a compilation each."""
    if dtype == "float32":
        return SPECS[:2]
    return [SPECS[DTYPES.index(dtype) % len(SPECS)]]


@pytest.mark.parametrize("dtype", DTYPES)
def test_eager_jit_vmap_and_sharded_bits_are_equal(dtype):
    """Bit for bit, for every elementwise law, over 8 devices."""
    with wide(dtype):
        cases = families(dtype)
    mesh = jax.make_mesh((4, 2), ("a", "b"), axis_types=(AxisType.Auto,) * 2)
    with wide(dtype):
        eager = draw(cases, dtype)(root())
        check(cases, jax.jit(draw(cases, dtype))(root()), eager, "in jit")
        keys = jax.vmap(jax.random.key)(jnp.array([1, 5, 2]))
        rows = [x[1] for x in jax.jit(jax.vmap(draw(cases, dtype)))(keys)]
        check(cases, rows, eager, "in a row of vmap")
        for spec in shardings_of(dtype):
            if spec != shardings_of(dtype)[0]:
                common = [not is_rare(case.init) for case in cases]
                cases = [*itertools.compress(cases, common)]
                eager = [*itertools.compress(eager, common)]
            shardings = [
                NamedSharding(mesh, placed(spec, len(shape_of(case)))) for case in cases
            ]
            jitted = jax.jit(draw(cases, dtype), out_shardings=shardings)
            program = jitted.lower(root()).compile()
            assert not COLLECTIVES.search(program.as_text())
            arrays = program(root())
            check(cases, arrays, eager, f"sharded as {spec}")
            for array, sharding in zip(arrays, shardings, strict=True):
                assert array.sharding.is_equivalent_to(sharding, array.ndim)


def placed(spec, rank):
    """A spec for the last two axes as one for a weight of any rank."""
    return P(*[None] * (rank - 2), *(spec[2 - rank :] if rank < 2 else spec))


@pytest.mark.parametrize("kind", [AxisType.Auto, AxisType.Explicit])
@pytest.mark.parametrize("case", CASES[::9], ids=str)
def test_out_sharding_places_and_changes_no_bit(case, kind):
    mesh = jax.make_mesh((4, 2), ("a", "b"), axis_types=(kind,) * 2)
    shape = case.shape
    last = ["b"] if shape and shape[-1] % 2 == 0 else []  # else replicated
    sharding = NamedSharding(mesh, P(*[None] * (len(shape) - 1) * len(last), *last))
    plain = case.init(root(), shape)
    placed = case.init(root(), shape, out_sharding=sharding)
    assert_same_bits(placed, plain)
    assert placed.sharding.is_equivalent_to(sharding, placed.ndim)


def set_mesh(mesh):
    return (getattr(jax, "set_mesh", None) or jax.sharding.use_mesh)(mesh)


@pytest.mark.parametrize("name", ["he_normal", "orthogonal_conv"])
@pytest.mark.parametrize("kind", [AxisType.Auto, AxisType.Explicit])
def test_a_partition_spec_takes_the_mesh_of_the_context(name, kind):
    init = next(case.init for case in CASES if case.name == name)
    mesh = jax.make_mesh((4, 2), ("a", "b"), axis_types=(kind,) * 2)
    spec = P(None, None, "b", "a")
    plain = init(root(), (3, 3, 4, 8))
    # the checker of jax 0.7 takes the cast of a key to another mesh for a use of it
    with set_mesh(mesh), jax.debug_key_reuse(False):
        eager = init(root(), (3, 3, 4, 8), out_sharding=spec)
        jitted = jax.jit(lambda key: init(key, (3, 3, 4, 8), out_sharding=spec))(root())
    for placed in (eager, jitted):
        assert placed.sharding.is_equivalent_to(NamedSharding(mesh, spec), 4)
    assert_same_bits(eager, plain)
    if name == "he_normal":  # a factorization under jit may move its last bits
        assert_same_bits(jitted, plain)


def distinct(cases):
    """One law for each class and rank: others differ in numbers."""
    return {(type(c.init), len(c.shape), c.init.fan): c for c in cases}.values()


@pytest.mark.parametrize(
    "case", distinct(c for c in RANDOM if not c.elementwise), ids=str
)
def test_factorizations_are_equal_eagerly_in_jit_and_in_vmap(case):
    eager = case.init(root(), case.shape)
    assert_same_bits(jax.jit(lambda k: case.init(k, case.shape))(root()), eager)
    keys = jax.vmap(jax.random.key)(jnp.array([1, 5]))
    rows = jax.vmap(lambda k: case.init(k, case.shape))(keys)
    assert_same_bits(rows[1], eager)


@pytest.mark.parametrize("case", RANDOM[::3], ids=str)
def test_raw_and_typed_keys_give_the_same_array(case):
    raw = jax.random.PRNGKey(5)
    assert_same_bits(case.init(raw, case.shape), case.init(root(5), case.shape))


@pytest.mark.parametrize("impl", ["rbg", "unsafe_rbg"])
@pytest.mark.parametrize(
    "name", ["normal", "he_normal", "truncated_tail", "orthogonal"]
)
def test_other_generators_are_pure_too(name, impl):
    case = next(case for case in CASES if case.name == name)
    first, again = (
        case.init(jax.random.key(1, impl=impl), case.shape, "float32") for _ in range(2)
    )
    assert_same_bits(again, first)
    assert np.isfinite(first).all()


def test_small_minor_axes_do_not_change_the_bits():
    """The loop that XLA makes depends on the shape; the numbers must not."""
    init = next(case.init for case in CASES if case.name == "normal")
    flat = np.asarray(init(root(), (30_000,)))
    for shape in [(10_000, 3), (3_000, 10), (300, 100), (1, 30_000), (30_000, 1)]:
        assert_same_bits(np.ravel(init(root(), shape)), flat, str(shape))


STACK = (2, 4, 8)
DECLARED = [  # what an array of STACK may be: one weight, or several of them
    None,
    Fan(1, (0, 2)),
    Fan.conv(groups=2),
    (8, 2.5),
    Fan.experts(0),
    Fan.fused(2, axis=-1),
    Fan.fused([2, 6], axis=-1),
    Fan.stacked(0, of=Fan.fused(2, axis=0)),
]
# fmt: off
TRACED = {  # laws of a traced number
    "normal": lambda s: ij.RandomNormal(stddev=s),
    "normal mean": lambda s: ij.RandomNormal(s, 0.5),
    "uniform": lambda s: ij.RandomUniform(-0.5, s),
    "truncated": lambda s: ij.TruncatedNormal(s, 0.5),
    "exact": lambda s: ij.TruncatedNormal(stddev=s, exact_stddev=True),
    "scaling": lambda s: ij.VarianceScaling(s),
    "constant": lambda s: ij.Constant(s),
    "identity": lambda s: ij.Identity(s),
    "orthogonal": lambda s: ij.Orthogonal(s),
    "delta": lambda s: ij.DeltaOrthogonal(s),
    "scaled": lambda s: ij.Scaled(ij.HeNormal(), s),
    "scaled layers": lambda s: ij.Scaled(ij.PerLayer(ij.HeNormal(), [s, 1]), s),
    "layers": lambda s: ij.PerLayer(ij.HeUniform(), [s, 0.5]),
    "layers of an array": lambda s: ij.PerLayer("he_normal", jnp.stack([1, s])),
    "layers of uniform": lambda s: ij.PerLayer(ij.RandomUniform(0.0, s), [1, 0.5]),
    "layers of truncated": lambda s: ij.PerLayer(ij.TruncatedNormal(s), [1, 0.5]),
    "layers of symmetric": lambda s: ij.PerLayer(
        ij.VarianceScaling(s, distribution="uniform"), [1, 0.5]),
    "mup": lambda s: ij.MuP(ij.VarianceScaling(s), (2, 4)),
    "mup of uniform": lambda s: ij.MuP(ij.RandomUniform(-s, s), (2, 4)),
    "mup of scaled": lambda s: ij.MuP(ij.Scaled(ij.Orthogonal(), s), (2, 4)),
    "row": lambda s: ij.WithRow(ij.RandomNormal(stddev=s), 1, s),
    "row of a law": lambda s: ij.WithRow("ones", 1, ij.RandomNormal(s)),
    "part": lambda s: ij.PerPart(ij.RandomNormal(s), {1: ij.Constant(s)}),
    "pixels": lambda s: ij.ICNR(ij.RandomNormal(stddev=s), 2),
}
# fmt: on
ROUNDED = ("scal", "exact", "mup", "layers of symmetric")  # their docstrings say so


def fits(init):
    try:
        init(None if isinstance(init, ij.Constant) else root(), STACK)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("name", TRACED)
def test_traced_numbers_draw_what_numbers_do(name):
    """In jit and vmap, however the array is made up."""
    law = TRACED[name]
    fans = [fan for fan in DECLARED if fits(dataclasses.replace(law(0.3), fan=fan))]
    assert fans  # some fit stacked parts alone
    if len(fans) > 4:  # laws take turns
        fans = fans[[*TRACED].index(name) % 4 :: 4]
    dtype = "bfloat16" if " of " in name else "float32"

    def draw(s):
        laws = [dataclasses.replace(law(s), fan=fan) for fan in fans]
        return [init(root(), STACK, dtype) for init in laws]

    rows = jax.jit(jax.vmap(draw))(jnp.array([0.5, 0.3]))
    for fan, row, x in zip(fans, rows, draw(0.3), strict=True):
        if name.startswith(ROUNDED):
            eps = float(jnp.finfo(dtype).eps)
            a, b = np.float64(row[1]), np.float64(x)
            np.testing.assert_allclose(a, b, rtol=4 * eps, err_msg=str(fan))
        else:
            assert_same_bits(row[1], x, str(fan))


@pytest.mark.parametrize("name", ["normal", "layers", "mup of uniform", "part"])
def test_derivatives_pass_through_parts_and_layers(name):
    fan = Fan.stacked(0, of=Fan.fused(2, axis=0))

    def total(s):
        init = dataclasses.replace(TRACED[name](s), fan=fan)
        return jnp.abs(init(root(), STACK)).sum()

    slope = (total(0.3 + 2**-8) - total(0.3 - 2**-8)) * 2**7
    np.testing.assert_allclose(jax.grad(total)(0.3), slope, rtol=1e-3)


def test_trees_are_made_of_traced_numbers_too():
    shapes = {"w": jax.ShapeDtypeStruct(STACK, "float32")}

    def draw(s):
        law = ij.PerLayer(ij.RandomNormal(stddev=s), [s, 1])
        rules = ij.Rules([("w", ij.Spec(law, fan=Fan.fused(2, axis=-1)))])
        return ij.init_tree(rules, shapes, root())["w"]

    assert_same_bits(jax.jit(draw)(0.3), draw(0.3))
