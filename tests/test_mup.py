"""muP holds what its paper promises, and the factors of depth those of theirs."""

import dataclasses
import json
import math
import pickle
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from cases import CASES
from tools import assert_moments, assert_refused, assert_same_bits, public, root

import initjax as ij
from initjax import Fan, Rules, Spec


def struct(*shape, dtype="float32"):
    return jax.ShapeDtypeStruct(shape, jnp.dtype(dtype))


# -- the base width is the standard parametrization ------------------------------------

HEADS = Fan.einsum("btd,dhk->bthk")
BASES = {
    # a law, the shape at the base, that of a wider model
    "lecun": (ij.LecunNormal(), (16, 16), (64, 16)),
    "glorot": (ij.GlorotUniform(), (16, 8), (64, 8)),
    "fan_out": (ij.VarianceScaling(3.0, "fan_out", seed="x"), (16, 16), (64, 16)),
    "fan_geo_avg": (ij.VarianceScaling(2.0, "fan_geo_avg"), (16, 8), (64, 8)),
    "normal": (ij.RandomNormal(0.5, 0.02), (16, 16), (64, 64)),
    "uniform": (ij.RandomUniform(-0.1, 0.3), (16, 16), (64, 64)),
    "truncated": (ij.TruncatedNormal(lower=-1, upper=3), (16, 16), (64, 64)),
    "orthogonal": (ij.Orthogonal(0.7), (16, 16), (64, 16)),
    "scaled": (ij.depth_scaled(ij.HeNormal(), 12), (16, 16), (64, 16)),
    "heads": (ij.HeNormal(fan=HEADS), (16, 2, 8), (64, 2, 8)),
    "fused": (ij.HeNormal(fan=Fan.fused(3)), (16, 48), (64, 48)),
    "out, in": (ij.LecunNormal(fan=Fan.layout("oi")), (8, 16), (8, 64)),
    "embedding": (ij.LecunNormal(fan=Fan.embedding()), (50, 16), (50, 64)),
    "conv": (ij.HeNormal(fan="conv"), (3, 3, 8, 8), (3, 3, 32, 8)),
    "stacked": (
        ij.per_layer(ij.Orthogonal(fan=Fan.stacked(0)), [1, 0.5]),
        (2, 8, 8),
        (2, 32, 8),
    ),
    "vector": (ij.LecunNormal(), (16,), (64,)),
    "zeros": (ij.Zeros(), (16, 16), (64, 64)),
    "constant": (ij.Constant(0.3), (16, 16), (64, 64)),
}
STILL = ("embedding", "zeros", "constant")  # no width changes their law


@pytest.mark.parametrize("name", BASES)
def test_at_the_base_width_the_weights_are_those_of_the_rules(name):
    """To the bit; at another width they are of another law."""
    law, shape, wider = BASES[name]
    rules = Rules([("*", law)])
    base = {dtype: struct(*shape, dtype=dtype) for dtype in ("float32", "bfloat16")}
    mup = ij.mup_rules(rules, base)
    weights, expected = (ij.init_tree(r, base, root()) for r in (mup, rules))
    for dtype in base:
        assert_same_bits(weights[dtype], expected[dtype], dtype)
    there = mup.rules[0].spec.law.law(wider)
    assert (there == law.law(wider)) == (name in STILL)


# -- the table of the paper ------------------------------------------------------------


def network(width, dtype="float32"):
    """One weight of every row of the table, 16 inputs and 16 outputs."""
    return {
        "input": {
            "kernel": struct(16, width, dtype=dtype),
            "bias": struct(width, dtype=dtype),
        },
        "hidden": {"kernel": struct(width, width, dtype=dtype)},
        "output": {"kernel": struct(width, 16, dtype=dtype)},
    }


@dataclasses.dataclass(frozen=True)
class Fair(ij.Initializer):
    """A law of one's own that scales with its fans."""

    def _sample(self, key, shape, dtype):
        return ij.LecunNormal(fan=self.fan)(key, shape, dtype)

    def _law(self, shape, dtype):
        return ij.LecunNormal(fan=self.fan).law(shape, dtype)


BASE, WIDE = network(64), network(256)
BIAS = ("**/bias", ij.RandomNormal(stddev=0.02))
STDS = {
    # the law of the kernels, and their standard deviation at width 64 and at 256
    ij.LecunNormal(): {
        "input": (0.25, 0.25),  # 1 / sqrt(16)
        "hidden": (0.125, 0.0625),
        "output": (0.125, 0.03125),
    },
    2 * Fair(): {
        "input": (0.5, 0.5),
        "hidden": (0.25, 0.125),
        "output": (0.25, 0.0625),
    },
    ij.GlorotNormal(): {
        "input": (0.158113883, 0.158113883),  # sqrt(2 / 80)
        "hidden": (0.125, 0.0625),
        "output": (0.158113883, 0.0395284708),
    },
    ij.RandomNormal(stddev=0.02): {
        "input": (0.02, 0.02),
        "hidden": (0.02, 0.01),
        "output": (0.02, 0.005),
    },
    ij.Orthogonal(): {
        "input": (0.125, 0.125),  # 1 / sqrt(64), the longer side
        "hidden": (0.125, 0.0625),
        "output": (0.125, 0.03125),
    },
}
FACTORS = {
    "adam": {
        "input": {"kernel": 1.0, "bias": 1.0},
        "hidden": {"kernel": 0.25},
        "output": {"kernel": 0.25},
    },
    "sgd": {
        "input": {"kernel": 4.0, "bias": 4.0},
        "hidden": {"kernel": 1.0},
        "output": {"kernel": 0.25},
    },
}
each_law = pytest.mark.parametrize("law", STDS, ids=repr)


@each_law
@pytest.mark.parametrize("wide", [False, True], ids=["64", "256"])
def test_standard_deviations_are_those_of_table_3(law, wide, key):
    """Yang et al., "Tensor Programs V": what the laws promise, and what is drawn."""
    mup = ij.mup_rules(Rules([BIAS, ("**/kernel", law)]), BASE)
    weights = ij.init_tree(mup, WIDE if wide else BASE, key)
    for layer, stds in STDS[law].items():
        kernel, std = weights[layer]["kernel"], stds[wide]
        assert_moments(kernel, 0.0, std, layer)
        base = tuple(BASE[layer]["kernel"].shape)
        promised = ij.mup(law, base).law(kernel.shape)
        assert promised.std == pytest.approx(std, rel=1e-6)
    assert_moments(weights["input"]["bias"], 0.0, 0.02, "bias")


@pytest.mark.parametrize(
    ("law", "std"),
    [(ij.LecunNormal(), 0.125), (ij.GlorotNormal(), 0.125), (BIAS[1], 0.02)],
    ids=repr,
)
def test_a_bias_keeps_its_standard_deviation(law, std):
    """As a vector of 64 is 64 to 64, 0.125 is 1 / sqrt(64)."""
    mup = ij.mup(law, (1, 64))
    for width in (64, 256):
        assert mup.law((width,)).std == pytest.approx(std)


@each_law
@pytest.mark.parametrize("optimizer", FACTORS)
def test_learning_rates_are_those_of_table_3(law, optimizer):
    """The same by the rules of the base model and by those of muP; 1 at the base."""
    rules = Rules([BIAS, ("**/kernel", law)])
    for given in (rules, ij.mup_rules(rules, BASE)):
        found = ij.mup_learning_rates(given, WIDE, BASE, optimizer)
        assert found == FACTORS[optimizer]
        ones = ij.mup_learning_rates(given, BASE, BASE, optimizer)
        assert set(jax.tree.leaves(ones)) == {1.0}


DECLARED = {
    # a declaration, the shapes at the base and wider, std ratio, Adam, SGD
    "embedding": (Fan.embedding(), (50, 8), (50, 32), 1, 1, 4),
    "readout": (Fan.embedding("readout"), (50, 8), (50, 32), 1 / 4, 1 / 4, 1 / 4),
    "out, in": (Fan.layout("oi"), (10, 8), (10, 32), 1 / 4, 1 / 4, 1 / 4),
    "more heads": (HEADS, (8, 2, 4), (32, 8, 4), 1 / 2, 1 / 4, 1),
    "larger heads": (HEADS, (8, 2, 4), (32, 2, 16), 1 / 2, 1 / 4, 1),
    "heads together": (Fan.dense_general(2, 1), (2, 4, 8), (8, 4, 32), 1 / 2, 1 / 4, 1),
    "query, key, value": (Fan.fused(3), (8, 24), (32, 96), 1 / 2, 1 / 4, 1),
    "stacked": (Fan.stacked(0), (3, 8, 8), (3, 32, 32), 1 / 2, 1 / 4, 1),
    "experts, input": (Fan.experts(0), (4, 6, 8), (4, 6, 32), 1, 1, 4),
    "conv": ("conv", (3, 3, 8, 8), (3, 3, 32, 32), 1 / 2, 1 / 4, 1),
    "wide twice, in": (Fan.layout("io"), (8, 8), (16, 64), 0.5**0.5, 1 / 2, 1),
    "fixed": (Fan.layout("io"), (8, 8), (8, 8), 1, 1, 1),
}


@pytest.mark.parametrize("name", DECLARED)
def test_declared_axes_decide_the_row_of_the_table(name):
    fan, shape, wider, ratio, adam, sgd = DECLARED[name]
    rules = Rules([("w", Spec(ij.LecunNormal(), fan=fan))])
    base, tree = {"w": struct(*shape)}, {"w": struct(*wider)}
    (row,) = ij.mup_rules(rules, base).rules
    stds = [row.spec.law.law(x).std for x in (shape, wider)]
    assert stds[1] / stds[0] == pytest.approx(ratio)
    for optimizer, factor in (("adam", adam), ("sgd", sgd)):
        assert ij.mup_learning_rates(rules, tree, base, optimizer) == {"w": factor}


# -- with real optax -------------------------------------------------------------------

OPTIMIZERS = {"adam": optax.adam(1e-2), "sgd": optax.sgd(1e-2)}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_factors_multiply_the_updates_of_optax(name, key):
    """In jitted steps, chained as the docstring says; the optimizer sees none of it."""
    rules = Rules([BIAS, ("**/kernel", ij.LecunNormal())])
    weights, target = ij.fold_in_path(key, "weights"), ij.fold_in_path(key, "target")
    params = ij.init_tree(ij.mup_rules(rules, BASE), WIDE, weights)
    factors = ij.mup_learning_rates(rules, WIDE, BASE, name)
    scale = optax.stateless(
        lambda updates, _: jax.tree.map(lambda u, f: u * f, updates, factors)
    )
    plain = OPTIMIZERS[name]
    chain = optax.chain(plain, scale)
    wanted = ij.init_tree(rules, WIDE, target)

    def loss(params):
        errors = jax.tree.map(lambda a, b: jnp.sum((a - b) ** 2), params, wanted)
        return sum(jax.tree.leaves(errors))

    @jax.jit
    def step(params, states):
        gradients = jax.grad(loss)(params)
        updates, state = chain.update(gradients, states[0], params)
        alone, other = plain.update(gradients, states[1], params)
        return optax.apply_updates(params, updates), (state, other), (updates, alone)

    states, before = (chain.init(params), plain.init(params)), float(loss(params))
    for _ in range(3):
        with jax.numpy_dtype_promotion("standard"):  # of Adam's count with its decay
            params, states, (updates, alone) = step(params, states)
        expected = jax.tree.map(lambda u, f: u * f, alone, FACTORS[name])
        jax.tree.map(np.testing.assert_array_equal, updates, expected)
    assert all(jax.tree.leaves(jax.tree.map(jnp.any, updates)))
    assert float(loss(params)) < before


# -- factors of depth ------------------------------------------------------------------

LAW = ij.GlorotNormal()
BY = [
    # the call, and the factor of the paper worked out by hand
    (lambda: ij.scaled(LAW, 0.3), 0.3),
    (lambda: ij.depth_scaled(LAW, 12), 0.2041241452),  # 1 / sqrt(24)
    (lambda: ij.depth_scaled(LAW, 9, k=1), 0.3333333333),
    (lambda: ij.deepnorm(LAW, 12), 0.3194715521),  # 96^(-1/4)
    (lambda: ij.deepnorm(LAW, decoder=18), 0.2886751346),  # 144^(-1/4)
    (lambda: ij.deepnorm(LAW, 12, 6, "encoder"), 0.4179164710),  # .87 (12^4 6)^(-1/16)
    (lambda: ij.deepnorm(LAW, 12, 6, "decoder"), 0.3432945240),  # 72^(-1/4)
    (lambda: ij.fixup(LAW, 25), 0.2),  # 25^(-1/2)
    (lambda: ij.fixup(LAW, 16, weights=3), 0.5),  # 16^(-1/4)
    (lambda: ij.t_fixup(LAW, 6), 0.4280918798),  # 0.67 6^(-1/4)
    (lambda: ij.t_fixup(LAW, 6, "decoder"), 0.3688939732),  # 54^(-1/4)
]


@pytest.mark.parametrize(("call", "by"), BY)
def test_a_factor_is_that_of_its_paper(call, by):
    init = call()
    assert type(init) is ij.Scaled
    assert init.by == pytest.approx(by, rel=1e-9)


# -- laws made of laws keep their promise ----------------------------------------------


@dataclasses.dataclass(frozen=True)
class Unit(ij.Initializer):
    """A law of one's own: uniform on [0, 1)."""

    def _sample(self, key, shape, dtype):
        return jax.random.uniform(key, shape, dtype)

    def _law(self, shape, dtype):
        return ij.Law(0.5, math.sqrt(1 / 12), 0.0, 1.0)


@pytest.fixture(autouse=True)
def _registered(registry):
    """A law of one's own is saved by its name, and nothing stays registered."""
    ij.register(Unit)


SHAPE = (4, 64, 160)
STACK = Fan.stacked(0)
PROMISES = {
    # a law of a stack of 4 x 64 x 160; mean and standard deviation by hand
    "he": (ij.HeNormal(fan=STACK), 0.0, 0.1767766953),  # sqrt(2 / 64)
    "uniform": (ij.RandomUniform(-0.1, 0.3), 0.1, 0.1154700538),  # 0.4 / sqrt(12)
    "normal": (ij.RandomNormal(0.5, 0.25), 0.5, 0.25),
    "truncated": (ij.TruncatedNormal(stddev=0.5), 0.0, 0.4398128305),  # cut at 2
    "orthogonal": (ij.Orthogonal(2.0, fan=STACK), 0.0, 0.1581138830),  # 2 / sqrt(160)
    "own": (Unit(), 0.5, 0.2886751346),  # 1 / sqrt(12),
}
SCALES = (0.0, 0.5, 1.0, 3.0)
BYS = {
    # the combinator, the factor of every layer
    "scaled": (lambda law: ij.scaled(law, 0.3), (0.3,) * 4),
    "both": (
        lambda law: ij.scaled(ij.per_layer(law, SCALES), 0.3),
        (0, 0.15, 0.3, 0.9),
    ),
}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("by", BYS)
@pytest.mark.parametrize("name", PROMISES)
def test_mean_and_standard_deviation_are_multiplied(name, by, dtype, key):
    """In the promise exactly, in each layer that is drawn to 5 standard errors."""
    law, mean, std = PROMISES[name]
    combine, scales = BYS[by]
    init = combine(law)
    x = np.asarray(init(key, SHAPE, dtype))
    promised, squares = init.law(SHAPE, dtype), np.square(scales).mean()
    assert promised.mean == pytest.approx(np.mean(scales) * mean)
    second = squares * (std**2 + mean**2)
    assert promised.std**2 + promised.mean**2 == pytest.approx(second)
    low, high = np.array([promised.low, promised.high]).astype(x.dtype)
    assert low <= x.min()
    assert x.max() <= high
    for layer, scale in zip(x, scales, strict=True):
        if scale:
            assert_moments(layer, scale * mean, scale * std)
        else:
            assert not layer.any()


@pytest.mark.parametrize(("axis", "dtype"), [(0, "float32"), (-2, "bfloat16")])
@pytest.mark.parametrize("name", PROMISES)
def test_a_layer_is_its_scale_times_that_of_the_law(name, axis, dtype):
    """Multiplied in float32 and rounded once."""
    law, _, _ = PROMISES[name]
    shape = (4, 6, 7) if axis == 0 else (6, 4, 7)
    wide = np.asarray(law(root(), shape, "float32"))
    x = np.asarray(ij.per_layer(law, SCALES, axis)(root(), shape, dtype))
    for i, scale in enumerate(SCALES):
        layer = np.take(wide, i, axis) * np.float32(scale)
        assert_same_bits(np.take(x, i, axis), layer.astype(x.dtype))


@pytest.mark.parametrize("case", CASES[::5], ids=str)
def test_scaled_by_1_is_the_law(case):
    """Its bits, and its promise."""
    init, shape = case.init, case.shape
    once = ij.scaled(init, 1.0)
    assert_same_bits(once(root(), shape), init(root(), shape))
    assert once.law(shape) == init.law(shape)


@pytest.mark.parametrize("law", [ij.HeNormal(), ij.Constant(2.0), Unit()])
def test_scaled_by_0_is_zero(law, key):
    init = ij.scaled(law, 0)
    assert not init(key, (4, 6)).any()
    promised = init.law((4, 6))
    assert {promised.mean, promised.std, promised.low, promised.high} == {0.0}


# -- and are values --------------------------------------------------------------------

VALUES = [
    ij.scaled("he_normal", 0.5),
    ij.scaled(ij.RandomNormal(0.1, 0.2, seed=("a", 1), dtype="bfloat16"), 3),
    ij.scaled(ij.scaled(ij.Orthogonal(seed="a"), 0.1), 0.2),
    ij.scaled(ij.Constant([[1.0, 2.0]]), 0.5),
    ij.scaled(Unit(), 2),
    ij.Scaled(ij.HeNormal(seed="a"), 0.5, seed="b", fan=Fan.layout("oi")),
    ij.per_layer(ij.HeUniform(fan=STACK), np.linspace(0.5, 1, 4), axis=-3),
    ij.per_layer("zeros", jnp.arange(3.0)),
    ij.mup(ij.GlorotNormal(seed="x"), (64, 32)),
    ij.mup(ij.LecunNormal(fan=HEADS), (64, 22.5)),
    ij.mup(ij.depth_scaled("he_normal", 12), [8, 8]),
    ij.deepnorm("glorot_normal", 12, 6, "decoder"),
    ij.t_fixup(ij.TruncatedNormal(lower=-math.inf), 6),
]
each_value = pytest.mark.parametrize("init", VALUES, ids=repr)


@each_value
@pytest.mark.parametrize("form", ["keras2", "keras3"])
def test_a_law_of_a_law_is_saved_and_read(init, form):
    assert ij.deserialize(json.loads(json.dumps(ij.serialize(init, form)))) == init


@each_value
def test_a_law_of_a_law_is_a_value(init):
    names = {**public(), "Unit": Unit}
    for other in (eval(repr(init), names), pickle.loads(pickle.dumps(init))):
        assert other == init
        assert hash(other) == hash(init)
    assert init not in [other for other in VALUES if other is not init]


@pytest.mark.parametrize(
    "combine",
    [
        lambda law: ij.scaled(law, 0.5),
        lambda law: ij.per_layer(law, SCALES),
        lambda law: ij.mup(law, (8, 8)),
    ],
    ids=["scaled", "per_layer", "mup"],
)
def test_clones_are_independent(combine):
    """A combinator of a clone is the clone of it; the wrapped seed is its own."""
    law = ij.HeNormal(fan=STACK, seed="s", dtype="bfloat16")
    init = combine(law)
    assert (init.seed, init.fan, init.dtype) == ("s", STACK, "bfloat16")
    assert init.initializer == ij.HeNormal()
    clones = [init, *(ij.clone_initializer(init, name) for name in "ab")]
    assert clones[1] == combine(ij.clone_initializer(law, "a"))
    drawn = [np.asarray(c(root(), SHAPE), np.float64)[1:].ravel() for c in clones]
    off = np.abs(np.corrcoef(drawn) - np.eye(3)).max()
    assert off * math.sqrt(drawn[0].size) < 5


# -- wrong uses ------------------------------------------------------------------------


def function(key, shape, dtype):
    return jnp.zeros(shape, dtype)


COUNT = "needs whole numbers >= 1; count the layers."
PAIR = "must be a pair (fan_in, fan_out) of the base model."
NUMBERS = "must be a sequence of numbers, one per layer."
WRONG = [
    # the call, its error, and its whole message
    (lambda: ij.scaled("he_normal", -math.inf), ValueError,
     "Scaled(by=-inf): must be a finite number."),
    (lambda: ij.scaled("he_normal", math.nan), ValueError,
     "Scaled(by=nan): must be a finite number."),
    (lambda: ij.scaled("he_normal", "2"), TypeError,
     "Scaled(by='2'): must be a finite number, got str."),
    (lambda: ij.scaled(function, 2), TypeError,
     re.compile(r"Scaled\(initializer=<function function at .*>\): must be a law or an "
                r"identifier of one, got function; a function has no law: subclass "
                r"Initializer\.")),
    (lambda: ij.scaled("he_norml", 2), ValueError,
     "get('he_norml'): unknown initializer 'he_norml'; did you mean 'he_normal' or "
     "'he_normalV2' or 'he_uniform'? A law of your own needs initjax.register, or "
     "custom_objects."),
    (lambda: ij.per_layer("he_normal", []), TypeError,
     f"PerLayer(scales=[]): {NUMBERS}"),
    (lambda: ij.per_layer("he_normal", 0.5), TypeError,
     f"PerLayer(scales=0.5): {NUMBERS}"),
    (lambda: ij.per_layer("he_normal", [1, -1]), ValueError,
     "PerLayer(scales=[1, -1]): must be a finite number >= 0."),
    (lambda: ij.per_layer("ones", [1, 2])(root(), (3, 4)), ValueError,
     "PerLayer(initializer=Ones(), scales=(1.0, 2.0))(key, shape=(3, 4)): has 2 "
     "scales, the shape 3 layers along axis 0; give one scale per layer."),
    (lambda: ij.per_layer("ones", [2], axis=2).law((1, 4)), ValueError,
     "PerLayer(initializer=Ones(), scales=(2.0,), axis=2).law(shape=(1, 4)): axis=2 is "
     "out of range for a shape of rank 2; give the axis of the layers."),
    (lambda: ij.mup("he_normal", 64), TypeError, f"MuP(base_fan=64): {PAIR}"),
    (lambda: ij.mup("he_normal", (64,)), TypeError, f"MuP(base_fan=(64,)): {PAIR}"),
    (lambda: ij.mup("he_normal", (0, 64)), ValueError,
     "MuP(base_fan=(0, 64)): must be a finite number > 0."),
    (lambda: ij.depth_scaled("he_normal", 0), ValueError,
     f"depth_scaled(layers=0, k=2): {COUNT}"),
    (lambda: ij.depth_scaled("he_normal", 1.5), TypeError,
     "depth_scaled(layers=1.5, k=2): must be an int, got float."),
    (lambda: ij.deepnorm("he_normal"), ValueError,
     f"deepnorm(encoder=0, decoder=0, part=None): {COUNT}"),
    (lambda: ij.deepnorm("he_normal", 12, 12), ValueError,
     "deepnorm(encoder=12, decoder=12, part=None): part must be one of "
     "('encoder', 'decoder')."),
    (lambda: ij.fixup("he_normal", 8, 1), ValueError,
     "fixup(branches=8, weights=1): needs whole numbers >= 2; count the layers."),
    (lambda: ij.t_fixup("he_normal", 6, "both"), ValueError,
     "t_fixup(layers=6, part='both'): part must be one of ('encoder', 'decoder')."),
    (lambda: ij.mup_rules(Rules([("**", ij.HeNormal(fan=Fan.fused((1, 3))))]),
                          {"w": struct(4, 4)}), ValueError,
     "mup_rules: 'w': the parts of Fused(names=((0, 1), (1, 3))) have different fans: "
     "(4, 1), (4, 3); ask each part."),
    (lambda: ij.mup_learning_rates(Rules([("**", "ones")]), {"w": struct(4)},
                                   {"v": struct(4), "w": struct(2)}), ValueError,
     "mup_learning_rates: 'v' of the base model is no leaf of the model."),
]  # fmt: skip


@pytest.mark.parametrize(("call", "kind", "message"), WRONG)
def test_wrong_use_is_refused(call, kind, message):
    assert_refused(call, kind, message)


def test_layers_of_a_scanned_model_grow_as_one_layer():
    stacked = ij.per_layer(ij.LecunNormal(fan=Fan.stacked(0)), [0.5, 1.0])
    wide = ij.mup(stacked, (64, 64)).law((2, 256, 256))
    assert wide.std == pytest.approx(stacked.law((2, 64, 64)).std / 2)


CONVOLUTIONS = {
    "output": ((3, 3, 256, 128), (9 * 64, 9 * 128), (3, 3, 64, 128), 1 / 4),
    "input": ((3, 3, 32, 256), (9 * 32, 9 * 64), (3, 3, 32, 64), 1.0),
    "hidden": ((3, 3, 256, 256), (9 * 64, 9 * 64), (3, 3, 64, 64), 1 / 2),
}


@pytest.mark.parametrize("role", CONVOLUTIONS)
def test_an_orthogonal_convolution_grows_as_its_matrix(role):
    shape, base_fan, base_shape, ratio = CONVOLUTIONS[role]
    init = ij.Orthogonal(fan="conv")
    wide, base = ij.mup(init, base_fan).law(shape), init.law(base_shape)
    assert wide.std / base.std == pytest.approx(ratio)


@pytest.mark.parametrize("init", [ij.HeNormal(), ij.RandomUniform(-0.1, 0.3)])
def test_a_scaled_layer_keeps_its_bounds_in_bfloat16(init):
    law = ij.per_layer(init, [0, 0.5, 1, 3])
    x = np.asarray(law(root(), (4, 100, 250), jnp.bfloat16), np.float64)
    assert law.law(x.shape).low <= x.min()
    assert x.max() <= law.law(x.shape).high
