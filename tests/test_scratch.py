"""What is compiled: one fused pass, one executable for all numbers, one hash in use."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import ELEMENTWISE, is_rare
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P
from tools import VERSION, count_compilations, root

import initjax as ij
from initjax.laws.table import Table

MIB = 2**20
# one row a compiled family: laws that only differ in their numbers share an executable
LAWS = [
    ij.Zeros(),
    ij.Constant(0.5),
    ij.Identity(),
    ij.RandomNormal(),
    ij.RandomNormal(1.0, 2.0),
    ij.RandomNormal(seed=("layer", 3)),
    ij.RandomUniform(),
    ij.TruncatedNormal(),
    ij.TruncatedNormal(1.0),
    ij.TruncatedNormal(lower=5, upper=np.inf),
    ij.TruncatedNormal(lower=-100, upper=100),
    ij.TruncatedNormal(low=-0.01, high=2),
    ij.GlorotUniform(),
    ij.HeNormal(),
    ij.VarianceScaling(distribution="untruncated_normal"),
    ij.HeNormal(fan=ij.Fan.fused(4, axis=1)),
    ij.HeNormal(fan=ij.Fan.fused([2048, 1024, 1024], axis=1)),
    ij.Scaled(ij.HeNormal(), 0.5),
    ij.PerLayer(ij.HeNormal(), np.linspace(0.5, 1, 4096), axis=1),
    ij.MuP(ij.HeNormal(), (8, 8)),
    ij.WithRow(ij.HeNormal(), 0),
    ij.WithRow(ij.HeNormal(seed="x"), "-2:", "normal"),
    ij.PerPart(ij.HeNormal(fan=ij.Fan.fused(4, axis=1)), {1: "ones"}),
    ij.ICNR(ij.HeNormal(), 2),
    # other distributions
    ij.Rademacher(),
    ij.Categorical((-1, 2, 0)),
    ij.Laplace(),
    ij.LogUniform(1e-3, 0.1),
    ij.Cauchy(),
    ij.StudentT(3.0),
    ij.MambaDt(),
    ij.Ring(part="nu_log"),
    # peers' laws
    ij.Identity(shift=3),
    ij.Dirac(),
    ij.Siren(),
    # structures: filters, tables, state spaces
    ij.ZerO(),
    ij.IDInit(),
    ij.Toeplitz(ij.HeNormal()),
    # combinators
    # factorizations
    ij.Spectral(distribution="normal"),
    ij.Sum([ij.HeNormal(), ij.RandomUniform(), 0.5]),
    ij.Clipped(ij.HeNormal(), -0.1, 0.2),
    ij.Cast(ij.HeNormal(), "float16"),
    ij.Masked(ij.HeNormal(), "lower"),
    ij.Masked(ij.HeNormal(), [[True, False] * 2048]),
    ij.Transposed(ij.HeNormal()),
    ij.BlockDiagonal(ij.HeNormal(), 4),
]


def sized(init, *shape):
    """The shape, of a kernel with a window where the law wants one."""
    return (1, *shape) if isinstance(init, (ij.ICNR, ij.Dirac)) else shape


def compiled(init, shape, dtype, **jit):
    return jax.jit(lambda key: init(key, shape, dtype), **jit).lower(root()).compile()


def test_the_table_has_every_elementwise_law():
    tested = {type(init) for init in LAWS}
    families = {type(case.init) for case in ELEMENTWISE}
    shared = {  # executables of HeNormal, GlorotUniform and Constant
        *(ij.Ones, ij.GlorotNormal, ij.LecunNormal, ij.HeUniform, ij.LecunUniform),
        ij.Circulant,  # as Toeplitz, of square matrices alone
        ij.STFT,  # never large: window length times frequencies
    }
    tables = {law for law in families if issubclass(law, Table)}  # computed on the host
    assert families - tested - tables == shared


OF_TWO_KEYS = (ij.StudentT, ij.Ring)


def scalars(init):
    """Scratch that is not of the array: the words of a clone's key, or of several."""
    of_several = (ij.WithRow, ij.Sum, ij.BlockDiagonal, *OF_TWO_KEYS)
    if init.fan is not None or isinstance(init, of_several):
        return 136
    return 8 if getattr(init, "seed", None) else 0


@pytest.mark.parametrize(
    ("init", "dtype"),
    [(init, "float32") for init in LAWS] + [(init, "bfloat16") for init in LAWS[::4]],
    ids=repr,
)
def test_no_scratch_memory_at_64_mib(init, dtype):
    rows = 64 * MIB // jnp.dtype(dtype).itemsize // 4096
    analysis = compiled(init, sized(init, rows, 4096), dtype).memory_analysis()
    assert analysis.output_size_in_bytes == 64 * MIB
    assert analysis.temp_size_in_bytes <= scalars(init)


UNEQUAL = ij.HeNormal(fan=ij.Fan.fused([2048, 1024, 1024], axis=1))
PLACED = [(init, P("d")) for init in LAWS] + [
    (init, P(None, "d")) for init in LAWS[::2] if not is_rare(init)
]
# each device would hold all of an axis on which parts of several lengths or laws lie
PLACED = [
    (init, spec)
    for init, spec in PLACED
    if (init != UNEQUAL and not isinstance(init, ij.PerPart)) or spec == P("d")
]


@pytest.mark.parametrize(("init", "spec"), PLACED, ids=repr)
def test_no_scratch_memory_on_any_of_eight_devices(init, spec):
    mesh = jax.make_mesh((8,), ("d",), axis_types=(AxisType.Auto,))
    shape = sized(init, 4096, 4096)
    sharding = NamedSharding(mesh, P(*[None] * (len(shape) - 2), *spec))
    program = compiled(init, shape, "float32", out_shardings=sharding)
    analysis = program.memory_analysis()
    assert analysis.output_size_in_bytes == 64 * MIB // 8
    # a word of scratch tells a device where its shard begins
    assert analysis.temp_size_in_bytes <= (64 + scalars(init) if scalars(init) else 4)
    if isinstance(init, ij.Transposed):
        return  # the fusion that indexes the whole names it, and holds none of it
    assert (
        f"f32[{','.join(map(str, shape))}]" not in program.as_text()
    )  # nobody holds the whole


@pytest.mark.parametrize(
    "law",
    [
        lambda s: ij.RandomNormal(stddev=s),
        lambda s: ij.RandomUniform(-s, s),
        lambda s: ij.TruncatedNormal(stddev=s),
        lambda s: ij.TruncatedNormal(stddev=s, low=-50, high=50 + s),
        lambda s: ij.VarianceScaling(s),
        lambda s: ij.Constant(s),
        lambda s: ij.Orthogonal(s),
        lambda s: ij.RandomNormal(seed=("layer", int(1e6 * s))),
    ],
    ids="normal uniform cut cut_at scaling constant orthogonal clones".split(),
)
def test_one_executable_serves_a_hundred_numbers(law):
    keys = [jax.random.key(i) for i in range(101)]
    law(0.5)(keys[100], (17, 5))

    def hundred():
        for i in range(100):
            law(0.01 * (i + 1))(keys[i], (17, 5))

    assert count_compilations(hundred) == 0


def test_the_counter_of_compilations_counts():
    assert count_compilations(lambda: ij.RandomNormal()(root(), (19, 23))) == 1


def test_equal_configs_cause_one_trace():
    traces = []

    def init(key, config):
        traces.append(config)
        return config(key, (3,))

    jitted = jax.jit(init, static_argnums=1)
    jitted(root(1), ij.HeNormal(seed=("a", 1)))
    jitted(root(2), ij.HeNormal(seed=["a", np.int32(1)]))
    assert len(traces) == 1


def reductions(x, w):
    return x @ w, w.sum(0), jnp.tanh(w).mean(), (w * 2).max(1)


def elementwise(x, w):
    return w * 2, jnp.tanh(w), w.sum(0), w.T + x[0, 0]


@pytest.mark.parametrize("uses", [reductions, elementwise])
def test_inside_a_larger_function_the_hash_is_computed_once(uses):
    """Four uses of one weight: XLA would copy the hash into each without a barrier.

    XLA keeps the barrier while it fuses from jaxlib 0.12 on; before, it still computes
    the weight once for uses that are reductions and products, from jaxlib 0.9 on.
    """

    def step(key, x):
        return uses(x, ij.nn.normal(0.02)(key, (256, 256), "float32"))

    with jax.debug_key_reuse(False):
        text = jax.jit(step).lower(root(), jnp.ones((8, 256))).compile().as_text()
    hashes = text.count(str(0x1BD11BDA))  # threefry's key schedule holds it once a hash
    once = VERSION >= (0, 12) or (uses is reductions and VERSION >= (0, 9))
    assert hashes == 1 if once else 1 <= hashes <= 5


def test_the_law_is_named_in_profiles():
    lowered = jax.jit(lambda key: ij.HeNormal()(key, (4, 4))).lower(root())
    assert "truncated_normal" in lowered.as_text()
