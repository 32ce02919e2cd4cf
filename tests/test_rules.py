"""Rules and paths: which leaf gets what, in every framework's tree."""

import dataclasses
import json
import pickle
import re

import equinox as eqx
import flax.linen as nn
import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from flax.core import FrozenDict
from tools import assert_same_bits, public, root

import initjax as ij
from initjax import Fan, Rules, Spec
from initjax._rules.paths import read_tree
from initjax._rules.patterns import exactly, glob_regex

SHAPE = jax.ShapeDtypeStruct((4, 6), jnp.float32)

# -- globs -----------------------------------------------------------------------

GLOBS = {
    "kernel": (["kernel"], ["a/kernel", "kernels"]),
    "**/kernel": (["kernel", "a/kernel", "a/b/kernel"], ["a/kernelx", "kernel/a"]),
    "layers_*/attn/{q,k,v}/*": (
        ["layers_0/attn/q/kernel", "layers_12/attn/v/b"],
        ["layers_0/attn/o/kernel", "layers_0/x/attn/q/k", "layers_0/attn/q"],
    ),
    "a/**": (["a", "a/b", "a/b/c"], ["ab", "b/a"]),
    "a/**/c": (["a/c", "a/b/c", "a/b/d/c"], ["ac", "a/bc"]),
    "**": (["a", "a/b"], []),
    "**/a/**": (["a", "x/a", "a/x", "x/a/y"], ["xa", "ax/b"]),
    "h.*.ln_1.weight": (["h/0/ln_1/weight"], ["h/0/1/ln_1/weight"]),
    "l[0-9]/x": (["l3/x"], ["la/x", "l/x"]),
    "l[!0-9]/x": (["la/x"], ["l3/x", "l//x"]),
    "a[*]b[]]": (["a*b]"], ["axb]"]),
    "{a,b/c}/d": (["a/d", "b/c/d"], ["b/d"]),
    "x{/y,}": (["x", "x/y"], ["x/", "xy"]),
    "w?": (["w1"], ["w", "w12", "w/"]),
    "a+b(c)": (["a+b(c)"], ["aab(c)"]),
    "a,b": (["a,b"], ["a"]),
}


@pytest.mark.parametrize("glob", GLOBS)
def test_a_glob_matches_whole_paths(glob):
    matches, others = GLOBS[glob]
    assert all(glob_regex(glob).fullmatch(path) for path in matches)
    assert not any(glob_regex(glob).fullmatch(path) for path in others)


@pytest.mark.parametrize("name", ["a/b", "a*/[b]/{c,d}?", "mlp/~/linear_1/w", "x,y]"])
def test_a_path_has_a_glob_of_its_own(name):
    assert glob_regex(exactly(name)).fullmatch(name)
    assert not glob_regex(exactly(name)).fullmatch(name.replace("b", "bb") + "z")


# -- paths -----------------------------------------------------------------------


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class Dense:
    kernel: object
    bias: object


class Linen(nn.Module):
    @nn.compact
    def __call__(self, x):
        make = nn.with_partitioning(nn.initializers.lecun_normal(), ("a", "b"))
        return nn.Dense(6, kernel_init=make, name="layers_0")(x)


class Nnx(nnx.Module):
    def __init__(self):
        rngs = nnx.Rngs(0)
        self.first = nnx.Linear(4, 6, rngs=rngs)
        self.drop = nnx.Dropout(0.5, rngs=rngs)


class Equinox(eqx.Module):
    layers: list
    activation: object

    def __init__(self):
        self.layers = [eqx.nn.Linear(4, 6, key=jax.random.key(0))]
        self.activation = jax.nn.relu


def haiku_params():
    def forward(x):
        return hk.nets.MLP([6])(x)

    init = hk.transform(forward).init
    return jax.eval_shape(init, jax.random.key(0), jnp.ones((1, 4)))


def nnx_state():
    return nnx.state(nnx.eval_shape(Nnx), nnx.Param)


def linen_params():
    init = Linen().init
    return jax.eval_shape(init, jax.random.key(0), jnp.ones((1, 4)))["params"]


LAYER = {"kernel": SHAPE, "bias": SHAPE}
KERNEL = ("layers", 0, "kernel")
TREES = {
    "nested dicts": ({"layers": {"0": LAYER}}, KERNEL),
    "integer keys": ({"layers": {0: LAYER}}, KERNEL),
    "a list": ({"layers": [LAYER]}, KERNEL),
    "a tuple": ({"layers": (LAYER,)}, KERNEL),
    "a dataclass": ({"layers": [Dense(SHAPE, SHAPE)]}, KERNEL),
    "a frozen dict": (FrozenDict({"layers": {"0": LAYER}}), KERNEL),
    "a flat state dict": ({"layers.0.kernel": SHAPE, "layers.0.bias": SHAPE}, KERNEL),
    "slashes": ({"layers/0": LAYER}, KERNEL),
    "a manifest": (
        {
            "parameters": [
                {"path": "layers.0.kernel", "shape": [4, 6], "dtype": "float32"}
            ]
        },
        KERNEL,
    ),
    "Linen with boxes": (linen_params, ("layers_0", "kernel")),
    "an NNX state": (nnx_state, ("first", "kernel")),
    "an Equinox module": (
        lambda: eqx.filter_eval_shape(Equinox),
        ("layers", 0, "weight"),
    ),
    "Haiku's two levels": (haiku_params, ("mlp", "~", "linear_0", "w")),
}


@pytest.mark.parametrize("name", TREES)
def test_a_weight_has_one_path_in_every_tree(name):
    tree, path = TREES[name]
    tree = tree() if callable(tree) else tree
    assert path in [leaf.path for leaf in read_tree(tree).leaves]


@pytest.mark.parametrize("name", TREES)
def test_any_tree_is_filled_in_its_own_structure(name):
    """The leaf of a path is the same weight, whatever tree it is in."""
    tree, path = TREES[name]
    tree = tree() if callable(tree) else tree
    rules, key = Rules([("**", ij.RandomNormal())]), jax.random.key(3)
    filled = ij.init_tree(rules, tree, key)
    if name != "a manifest":
        assert jax.tree.structure(filled) == jax.tree.structure(tree)
    read = read_tree(filled)
    (leaf,) = [leaf for leaf in read.leaves if leaf.path == path]
    wanted = ij.RandomNormal()(ij.fold_in_path(key, *path), leaf.shape)
    assert (read.values[leaf.place] == wanted).all()


def test_what_is_no_array_comes_back_the_same_object():
    tree = {"w": SHAPE, "activation": jax.nn.relu, "rate": 0.5, "none": None}
    filled = ij.init_tree(Rules([("w", "ones")]), tree, jax.random.key(0))
    assert filled["activation"] is jax.nn.relu
    assert (filled["rate"], filled["none"]) == (0.5, None)


def test_generators_are_no_weights():
    """Keys and counters come back the same objects, without a rule."""
    state = nnx.state(Nnx())
    tree = {"nnx": state, "key": jax.random.key(7)}
    rules, key = Rules([("**/{kernel,bias}", "zeros")]), jax.random.key(0)
    assert len(ij.plan(rules, tree).rows) == len(ij.mup_rules(rules, tree).rules) == 2
    ours = ij.init_tree(rules, tree, key), ij.init_ensemble(rules, tree, key, 2)
    again = ij.reinit(tree, rules, key, only="**"), ij.missing(tree, tree, rules, key)
    rates = ij.mup_learning_rates(rules, tree, tree)
    for filled in (*ours, *again, rates):
        assert filled["key"] is tree["key"]
        new, old = map(jax.tree.leaves, (filled["nnx"]["drop"], state["drop"]))
        assert [a is b for a, b in zip(new, old, strict=True)] == [True, True]
    assert not any(x.any() for x in jax.tree.leaves(again[0]["nnx"]["first"]))


# -- rules -----------------------------------------------------------------------

RULES = Rules(
    [
        ("**/attn/{q,k}/kernel", Spec("he_normal", fan=Fan.dense_general(1, 2))),
        (re.compile(r"bias$"), "zeros"),
        (re.compile(r"Norm", re.IGNORECASE), ij.Ones()),
        ("old", Spec("glorot_uniform", dtype="bfloat16", stream="name/of/0/old")),
        ("**/kernel", ij.depth_scaled(ij.RandomNormal(stddev=0.02), 12)),
    ],
    default=ij.TruncatedNormal(stddev=0.02),
    strict=False,
)


def test_rules_are_values():
    again = eval(repr(RULES), public() | {"re": re})
    assert again == RULES
    assert hash(again) == hash(RULES)
    assert pickle.loads(pickle.dumps(RULES)) == RULES
    assert Rules.from_config(json.loads(json.dumps(RULES.get_config()))) == RULES
    assert Rules(list(RULES.rules)[:-1], RULES.default, False) != RULES


def test_the_first_rule_that_matches_wins():
    tree = {"a": {"kernel": SHAPE, "bias": SHAPE}, "b": {"kernel": SHAPE}}
    rules = Rules(
        [("a/kernel", "ones"), ("**/kernel", "zeros")], default=ij.Constant(2)
    )
    filled = ij.init_tree(rules, tree, jax.random.key(0))
    assert [x.max() for x in jax.tree.leaves(filled)] == [2, 1, 0]


def test_a_predicate_sees_path_shape_and_dtype():
    seen = []

    def wide(path, shape, dtype):
        seen.append((path, shape, jnp.dtype(dtype).name))
        return shape[-1] == 6

    tree = {"a": SHAPE, "b": jax.ShapeDtypeStruct((3,), jnp.bfloat16)}
    rules = Rules([(wide, "ones")], default="zeros")
    filled = ij.init_tree(rules, tree, jax.random.key(0))
    assert [float(x.max()) for x in jax.tree.leaves(filled)] == [1, 0]
    assert seen == [("a", (4, 6), "float32"), ("b", (3,), "bfloat16")]


def test_a_sum_of_rules_asks_the_first_first():
    base = Rules([("**/kernel", "zeros")], default="ones")
    both = Rules([("a/kernel", ij.Constant(2))]) + base
    filled = ij.init_tree(
        both,
        {"a": {"kernel": SHAPE}, "b": {"kernel": SHAPE, "c": SHAPE}},
        jax.random.key(0),
    )
    assert [x.max() for x in jax.tree.leaves(filled)] == [2, 1, 0]


def test_a_sum_may_override_a_whole_rule():
    """What the second rules have in vain is no mistake of the first."""
    rules = Rules([("**/norm*/scale", "zeros")]) + ij.recipes.llama()
    tree = {"norm": {"scale": SHAPE}, "embed": {"embedding": SHAPE}, "w": SHAPE}
    filled = ij.init_tree(rules, tree | {"w": {"kernel": SHAPE}}, jax.random.key(0))
    assert not filled["norm"]["scale"].any()
    assert eval(repr(rules), public()) == rules


def test_a_dead_rule_is_a_warning_if_not_strict():
    rules = Rules([("w", "ones"), ("**/kernel", "ones")], strict=False)
    with pytest.warns(UserWarning, match=r"rules without a leaf: '\*\*/kernel'"):
        ij.init_tree(rules, {"w": SHAPE}, jax.random.key(0))


@pytest.mark.parametrize(
    "initializer", ["he_normal", ij.HeNormal, ij.HeNormal(), {"class_name": "HeNormal"}]
)
def test_a_rule_takes_what_get_takes(initializer):
    assert Rules([("a", initializer)]) == Rules([("a", ij.HeNormal())])


def test_a_renamed_leaf_keeps_its_numbers_by_its_old_stream():
    key, rules = jax.random.key(0), Rules([("**", ij.RandomNormal())])
    old = ij.init_tree(rules, {"old": {"0": SHAPE}}, key)["old"]["0"]
    renamed = Rules([("new", Spec(ij.RandomNormal(), stream="old/0"))])
    assert (ij.init_tree(renamed, {"new": SHAPE}, key)["new"] == old).all()


def test_a_dtype_of_the_rule_is_what_the_leaf_is_made_in():
    rules = Rules([("w", Spec("he_normal", dtype="bfloat16"))])
    w = ij.init_tree(rules, {"w": SHAPE}, jax.random.key(0))["w"]
    key = ij.fold_in_path(jax.random.key(0), "w")
    np.testing.assert_array_equal(w, ij.HeNormal()(key, (4, 6), jnp.bfloat16))


def test_an_optional_rule_may_have_no_leaf():
    rules = Rules([("**/bias", Spec("zeros", optional=True)), ("w", "ones")])
    assert ij.init_tree(rules, {"w": SHAPE}, jax.random.key(0))["w"].all()
    assert eval(repr(rules), public()) == rules
    assert Rules.from_config(json.loads(json.dumps(rules.get_config()))) == rules


SCALED = ij.VarianceScaling(1.0, "fan_in", "uniform")
BESIDE = Rules(
    [
        ("**/bias", Spec(SCALED, fan=Fan.beside("{kernel,weight}"))),
        ("**/{kernel,weight}", Spec(SCALED, fan=Fan(-2, -1))),
        ("**/b_*", Spec(SCALED, fan=Fan.beside("w_*"))),
        ("**/w_*", SCALED),
    ]
)


def test_a_bias_has_the_fans_of_the_kernel_beside_it():
    """As the kernel's own rule declares them; of several alike, too."""
    shapes = {
        "conv": {"kernel": (3, 3, 8, 4), "bias": (4,)},
        "dense": {"weight": (6, 5), "bias": (5,)},
        "rnn": {"w_0": (7, 2), "w_1": (7, 2), "b_0": (2,), "b_1": (2,)},
    }
    shapes = jax.tree.map(
        lambda s: jax.ShapeDtypeStruct(s, "float32"), shapes, is_leaf=is_shape
    )
    rules = Rules.from_config(json.loads(json.dumps(BESIDE.get_config())))
    assert rules == BESIDE
    fans = {row.path: row.fans[0] for row in ij.plan(rules, shapes).rows}
    assert fans["conv/bias"] == fans["conv/kernel"] == (72, 36)
    assert fans["dense/bias"] == (6, 5)
    assert fans["rnn/b_0"] == fans["rnn/b_1"] == (7, 2)
    params = ij.init_tree(rules, shapes, root())
    alone = dataclasses.replace(SCALED, fan=(72, 36))
    key = ij.fold_in_path(root(), "conv", "bias")
    assert_same_bits(params["conv"]["bias"], alone(key, (4,)))


def is_shape(x):
    return isinstance(x, tuple)
