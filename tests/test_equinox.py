"""Equinox: the fans of its layers, modules by rule, modules as constructed."""

import functools
import re
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from equinox import nn
from jax.sharding import NamedSharding, PartitionSpec
from recipe_models import VitOfEquinox
from tools import assert_refused, assert_same_bits, root

import initjax as ij
from initjax import Fan, Rules, Spec
from initjax.adapters.equinox import abstract, filter_jit_init, init_module

pytestmark = pytest.mark.usefixtures("as_frameworks_expect")

DEPTH, HEADS, WIDTH, VOCABULARY = 12, 12, 768, 50257

# -- models ------------------------------------------------------------------------


class Small(eqx.Module):
    """A layer, a state, and all kinds of leaves that are no weights."""

    linear: nn.Linear
    norm: nn.BatchNorm
    activation: Callable
    name: str
    marks: jax.Array

    def __init__(self, key, *, name="small"):
        a, b = jax.random.split(key)
        self.linear = nn.Linear(4, 3, key=a)
        self.norm = nn.BatchNorm(3, "batch", mode="batch")
        self.activation, self.name = jax.nn.relu, name
        self.marks = jax.random.bits(b, (2,))

    def __call__(self, x, state):
        y, state = self.norm(self.linear(x), state)
        return self.activation(y), state


class Unet(eqx.Module):
    """Strided, grouped and transposed convolutions, and a state."""

    down: nn.Conv2d
    norm: nn.BatchNorm
    middle: nn.Conv2d
    up: nn.ConvTranspose2d
    out: nn.Conv2d

    def __init__(self, key):
        a, b, c, d = jax.random.split(key, 4)
        self.down = nn.Conv2d(3, 16, 3, 2, 1, key=a)
        self.norm = nn.BatchNorm(16, "batch", mode="batch")
        self.middle = nn.Conv2d(16, 16, 3, padding=1, groups=4, key=b)
        self.up = nn.ConvTranspose2d(16, 8, 4, 2, padding=1, key=c)
        self.out = nn.Conv2d(8, 3, 1, key=d)


class Tagger(eqx.Module):
    """Recurrent cells over embedded words."""

    words: nn.Embedding
    cells: list
    head: nn.Linear

    def __init__(self, key):
        a, b, c, d = jax.random.split(key, 4)
        self.words = nn.Embedding(61, 12, key=a)
        self.cells = [nn.GRUCell(12, 8, key=b), nn.LSTMCell(8, 6, key=c)]
        self.head = nn.Linear(6, "scalar", key=d)


class Block(eqx.Module):
    """A block of GPT-2."""

    norms: tuple
    attention: nn.MultiheadAttention
    mlp: nn.MLP

    def __init__(self, key):
        a, b = jax.random.split(key)
        self.norms = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.attention = nn.MultiheadAttention(
            HEADS, WIDTH, **{f"use_{x}_bias": True for x in PROJECTIONS}, key=a
        )
        self.mlp = nn.MLP(WIDTH, WIDTH, 4 * WIDTH, 1, jax.nn.gelu, key=b)


class Gpt2(eqx.Module):
    """GPT-2 small, its head the table of its words."""

    words: nn.Shared
    positions: nn.Embedding
    blocks: list
    norm: nn.LayerNorm

    def __init__(self, key):
        a, b, c, *keys = jax.random.split(key, 3 + DEPTH)
        words = nn.Embedding(VOCABULARY, WIDTH, key=a)
        head = nn.Linear(WIDTH, VOCABULARY, use_bias=False, key=b)
        self.words = nn.Shared(
            (words, head), lambda pair: pair[1].weight, lambda pair: pair[0].weight
        )
        self.positions = nn.Embedding(1024, WIDTH, key=c)
        self.blocks = [Block(key) for key in keys]
        self.norm = nn.LayerNorm(WIDTH)


PROJECTIONS = ("query", "key", "value", "output")

# -- fans, counted by hand ---------------------------------------------------------


def named(tree):
    """The leaves of a module by path."""
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): x
        for path, x in jax.tree.leaves_with_path(tree)
    }


def fans(module):
    """The known fans of a module's weights of two axes and more, but for biases."""
    weights = {
        re.sub(r"^blocks/\d+", "blocks/*", path): x
        for path, x in named(abstract(module)).items()
        if isinstance(x, ij.Weight) and len(x.shape) > 1 and "bias" not in path
    }
    each = {path: x.fan and x.fan.each(x.shape) for path, x in weights.items()}
    assert all(found is None or len(found) == 1 for found in each.values())
    return {path: found and tuple(found[0]) for path, found in each.items()}


TAGGER = {
    "words/weight": (1, 12), "head/weight": (6, 1),
    "cells/0/weight_ih": (12, 8), "cells/0/weight_hh": (8, 8),
    "cells/1/weight_ih": (8, 6), "cells/1/weight_hh": (6, 6),
}  # fmt: skip
MODELS = {
    "unet with states": (nn.make_with_state(Unet), {
        "0/down/weight": (27, 144), "0/middle/weight": (36, 36),
        "0/up/weight": (64, 128), "0/out/weight": (8, 3),
    }),
    "tagger": (Tagger, TAGGER),
    "five taggers": (
        lambda key: eqx.filter_vmap(Tagger)(jax.random.split(key, 5)), TAGGER),
    "vit": (VitOfEquinox, {
        "patch_embed/proj/weight": (48, 512), "head/weight": (32, 10),
        **{f"blocks/*/attn/{x}_proj/weight": (32, 32) for x in PROJECTIONS},
        "blocks/*/mlp/fc1/weight": (32, 96), "blocks/*/mlp/fc2/weight": (96, 32),
        "cls_token": None, "pos_embed": None,
    }),
    "gpt-2": (Gpt2, {
        "words/pytree/0/weight": (1, 768), "positions/weight": (1, 768),
        **{f"blocks/*/attention/{x}_proj/weight": (768, 768) for x in PROJECTIONS},
        "blocks/*/mlp/layers/0/weight": (768, 3072),
        "blocks/*/mlp/layers/1/weight": (3072, 768),
    }),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_a_models_fans_are_those_counted_by_hand(name):
    model, expected = MODELS[name]
    assert fans(model) == expected


def test_gpt2_is_planned_without_an_array():
    plan = ij.plan(ij.Rules([], default="lecun_normal"), abstract(Gpt2))
    assert plan.parameters == 124_439_808
    stds = {row.path: row.std for row in plan.rows}
    assert stds["blocks/11/mlp/layers/1/weight"] == pytest.approx(3072**-0.5)


class Case(eqx.Module):
    """A layer of Equinox: what constructs it, its fans, a batchless input of it."""

    make: Callable
    fans: dict
    input: tuple | None = None


def case(make, *pair, x=None):
    return Case(make, {"weight": pair}, x)


A = dict.fromkeys(["weight_ih", "weight_hh"], (6, 6))
CASES = {
    "Linear": case(lambda key: nn.Linear(32, 4096, key=key), 32, 4096, x=(32,)),
    "Conv": case(lambda key: nn.Conv(4, 2, 3, 2, key=key), 32, 48),
    "Conv1d": case(lambda key: nn.Conv1d(4, 2048, 3, groups=2, key=key), 6, 3072,
                   x=(4, 5)),
    "Conv2d": case(lambda key: nn.Conv2d(6, 1200, (2, 3), 2, groups=3, key=key), 12,
                   2400, x=(6, 4, 5)),
    "Conv3d": case(lambda key: nn.Conv3d(2, 3, 2, dilation=2, key=key), 16, 24),
    "ConvTranspose": case(lambda key: nn.ConvTranspose(4, 2, 3, 2, key=key), 32, 48),
    "ConvTranspose1d": case(
        lambda key: nn.ConvTranspose1d(4, 1200, 5, 2, padding="SAME", groups=2,
                                       padding_mode="CIRCULAR", key=key),
        5, 3000, x=(4, 4)),
    "ConvTranspose2d": case(
        lambda key: nn.ConvTranspose2d(4, 400, (3, 4), (2, 1), padding="SAME",
                                       padding_mode="CIRCULAR", key=key),
        24, 4800, x=(4, 4, 4)),
    "ConvTranspose3d": case(lambda key: nn.ConvTranspose3d(2, 3, 2, 2, key=key), 2, 24),
    "Embedding": case(lambda key: nn.Embedding(3, 4096, key=key), 1, 4096, x=()),
    "LSTMCell": Case(lambda key: nn.LSTMCell(6, 6, key=key), A),
    "GRUCell": Case(lambda key: nn.GRUCell(6, 6, key=key), A),
    "MLP": Case(lambda key: nn.MLP(2, "scalar", 8, 1, key=key),
                {"layers/0/weight": (2, 8), "layers/1/weight": (8, 1)}),
    "MultiheadAttention": Case(
        lambda key: nn.MultiheadAttention(2, 8, 6, 5, 7, qk_size=3, vo_size=9, key=key),
        {"query_proj/weight": (8, 6), "key_proj/weight": (6, 6),
         "value_proj/weight": (5, 18), "output_proj/weight": (18, 7)}),
    "WeightNorm": Case(lambda key: nn.WeightNorm(nn.Linear(4, 3, key=key)),
                       {"layer/weight": (4, 3), "g": None}),
    "SpectralNorm": Case(
        lambda key: nn.SpectralNorm(nn.Linear(4, 3, key=key), "weight", key=key),
        {"layer/weight": (4, 3)}),
    "BatchNorm": Case(lambda: nn.BatchNorm(4, "b", mode="batch"), {}),
    "GroupNorm": Case(lambda: nn.GroupNorm(2, 4), {}),
    "LayerNorm": Case(lambda: nn.LayerNorm(4), {}),
    "RMSNorm": Case(lambda: nn.RMSNorm(4), {}),
    "PReLU": Case(nn.PReLU, {}),
}  # fmt: skip
POOLS = [f"{kind}{n}d" for n in (1, 2, 3) for kind in (
    "AvgPool", "MaxPool", "AdaptiveAvgPool", "AdaptiveMaxPool")]  # fmt: skip
WITHOUT_WEIGHTS = {
    *("AdaptivePool", "Dropout", "Identity", "Lambda", "Pool", *POOLS),
    *("RotaryPositionalEmbedding", "Sequential", "Shared", "State", "StateIndex"),
    "StatefulLayer",
}


def test_every_class_of_equinox_is_known():
    """A new one joins CASES, and the table of the adapter if it has a weight."""
    public = {x for x, kind in vars(nn).items() if isinstance(kind, type)}
    assert public - WITHOUT_WEIGHTS == {*CASES}


@pytest.mark.parametrize("name", CASES)
def test_a_layers_fans_are_those_counted_by_hand(name):
    assert fans(CASES[name].make) == CASES[name].fans


LECUN = Rules([("**/weight*", "lecun_normal")], default="zeros")


@pytest.mark.parametrize("name", [n for n in CASES if CASES[n].input is not None])
def test_a_weight_scaled_by_fan_in_keeps_the_variance(name):
    """Of inputs of 1 and -1; known to 2 % and less at one standard error."""
    layer = init_module(CASES[name].make, LECUN, root())
    x = np.random.default_rng(0).choice(np.float32([-1, 1]), CASES[name].input)
    y = layer(jnp.int32(2) if name == "Embedding" else jnp.asarray(x))
    assert np.square(y).mean() == pytest.approx(1, rel=0.1)


def test_layers_within_layers_and_stacks_of_stacks():
    class Lora(nn.Linear):
        low: nn.Linear
        scale: jax.Array

        def __init__(self, key):
            super().__init__(8, 4, key=key)
            self.low = nn.Linear(8, 2, key=key)
            self.scale = jnp.ones((4, 1))

    expected = {"weight": (8, 4), "low/weight": (8, 2), "scale": None}
    keys = jax.random.split(root(), (2, 3))
    twice = eqx.filter_vmap(eqx.filter_vmap(Lora))
    assert fans(eqx.filter_eval_shape(twice, keys)) == expected
    nested = fans(lambda key: {"a": [Lora(key)]})
    assert nested == {f"a/0/{path}": each for path, each in expected.items()}


# -- modules by rule ---------------------------------------------------------------

OI, OIHW = Fan.layout("oi"), Fan.conv(layout="OIHW")
GATES = [Fan.fused(tuple(names), axis=0, of=OI) for names in ("rzn", "ifgo")]


def lecun(fan):
    return Spec("lecun_normal", fan=fan)


# the same rules with every fan declared by hand
DECLARED = {
    "unet": (Unet, [
        ("middle/weight", lecun(Fan.conv(4, layout="OIHW"))),
        ("up/weight", lecun(Fan.conv(transpose=True, layout="OIHW", strides=2))),
        ("{down,out}/weight", lecun(OIHW)),
        ("norm/weight", "lecun_normal"),
    ]),
    "tagger": (Tagger, [
        ("words/weight", lecun(Fan.embedding())),
        *((f"cells/{n}/weight_*", lecun(fan)) for n, fan in enumerate(GATES)),
        ("head/weight", lecun(OI)),
    ]),
    "vit": (VitOfEquinox, [
        ("patch_embed/proj/weight", lecun(OIHW)),
        ("**/norm*/weight", "lecun_normal"),
        ("**/weight", lecun(OI)),
    ]),
}  # fmt: skip


def is_weight(path, x):
    floats = hasattr(x, "shape") and jnp.issubdtype(x.dtype, jnp.floating)
    return floats and "init/" not in path  # of a StateIndex


@pytest.mark.parametrize("name", DECLARED)
def test_weights_are_those_of_init_tree_with_declared_fans(name):
    model, rules = DECLARED[name]
    whole = named(eqx.filter_eval_shape(model, root()))
    shapes = {path: x for path, x in whole.items() if is_weight(path, x)}
    expected = ij.init_tree(Rules(rules, default="zeros"), shapes, root())
    ours = named(init_module(model, LECUN, root()))
    for path, x in expected.items():
        assert_same_bits(ours[path], x, path)


@functools.cache
def made():
    return init_module(Small, LECUN, root())


@functools.cache
def constructed():
    return eqx.filter_jit(Small)(root())


def test_a_weight_is_the_direct_call_with_the_key_of_its_path():
    key = ij.fold_in_path(root(), "linear", "weight")
    expected = ij.LecunNormal(fan=OI)(key, (3, 4))
    assert_same_bits(made().linear.weight, expected)


def test_a_constructor_makes_what_no_rule_does():
    ours, theirs = made(), constructed()
    assert_same_bits(ours.marks, theirs.marks)
    assert (ours.activation, ours.name) == (jax.nn.relu, "small")
    states = (model.norm.batch_state_index.init for model in (ours, theirs))
    for x, y in zip(*states, strict=True):
        assert_same_bits(x, y)
    assert nn.State(ours).get(ours.norm.batch_counter) == 0


def test_a_model_and_its_state():
    model, state = init_module(nn.make_with_state(Small), LECUN, root())
    key = ij.fold_in_path(root(), 0, "linear", "weight")
    assert_same_bits(model.linear.weight, ij.LecunNormal(fan=OI)(key, (3, 4)))
    run = jax.jit(jax.vmap(model, (0, None), (0, None), axis_name="batch"))
    y, state = run(jnp.ones((2, 4)), state)
    assert y.shape == (2, 3)
    assert state.get(model.norm.batch_counter) == 1


def test_a_modules_others_are_the_same_objects():
    again = init_module(made(), LECUN, jax.random.key(9), only=["linear/weight"])
    old, new = named(made()), named(again)
    assert {path for path in old if new[path] is not old[path]} == {"linear/weight"}
    whole = init_module(Small, LECUN, jax.random.key(9))
    assert_same_bits(again.linear.weight, whole.linear.weight)


def test_only_leaves_the_others_to_the_constructor():
    model = init_module(Small, LECUN, root(), only="linear/weight")
    assert_same_bits(model.linear.weight, made().linear.weight)
    assert_same_bits(model.linear.bias, constructed().linear.bias)
    assert_same_bits(model.norm.weight, np.ones(3, np.float32))


def test_dtypes_are_the_modules():
    make = functools.partial(nn.Linear, 8, 4, dtype=jnp.bfloat16)
    model = init_module(make, LECUN, root())
    assert {x.dtype for x in jax.tree.leaves(model)} == {jnp.dtype(jnp.bfloat16)}


@pytest.mark.parametrize(
    "constructor",
    [
        functools.partial(nn.Linear, 8, 4),
        lambda key: nn.Linear(8, 4, key=key),
        lambda k: nn.Linear(8, 4, key=k),
        lambda: nn.Linear(8, 4, key=root()),
    ],
    ids=["partial", "of key", "of k", "of nothing"],
)
def test_what_constructs_a_module(constructor):
    model = init_module(constructor, LECUN, root())
    key = ij.fold_in_path(root(), "weight")
    assert_same_bits(model.weight, ij.LecunNormal(fan=OI)(key, (4, 8)))


def test_members_of_an_ensemble_are_those_of_their_keys():
    keys = jax.random.split(root(), 3)

    def member(key):
        return init_module(Small, LECUN, key)

    together = eqx.filter_jit(eqx.filter_vmap(member))(keys)
    alone = member(keys[1])
    for path, x in named(eqx.filter(alone, eqx.is_array)).items():
        assert_same_bits(named(together)[path][1], x, path)
    assert together.activation is jax.nn.relu


@eqx.filter_jit  # of a function that stays: jaxlib 0.7 ends badly without it
def anew(model, key):
    return init_module(model, LECUN, key)


def test_a_module_of_arrays_within_jit():
    model = anew(made(), jax.random.key(9))
    whole = init_module(Small, LECUN, jax.random.key(9))
    assert_same_bits(model.linear.weight, whole.linear.weight)
    assert_same_bits(model.marks, made().marks)


def test_a_module_is_born_in_shards_and_stays_there():
    mesh = jax.make_mesh((8,), ("d",))
    spread = NamedSharding(mesh, PartitionSpec("d"))
    make = functools.partial(nn.MLP, 8, 8, 8, 1)
    model = init_module(make, LECUN, root(), shardings=spread)
    again = init_module(model, LECUN, root(), only="layers/0/*")
    plain = init_module(make, LECUN, root())
    for x, y, z in zip(*map(arrays, (model, again, plain)), strict=True):
        assert x.sharding == y.sharding == spread
        assert_same_bits(x, z)
        assert_same_bits(y, z)


def arrays(module):
    return jax.tree.leaves(eqx.filter(module, eqx.is_array))


# -- modules as their constructors make them ---------------------------------------


@functools.cache
def jitted():
    """`filter_jit_init` of a function of all kinds of arguments, and its traces."""
    traced = []

    def make(key, model, *, name, scale=1):
        traced.append(scale)
        state = nn.make_with_state(Small)(key, name=name)
        return {"new": state, "old": model, "scale": jnp.ones(2) * scale, "n": scale}

    return filter_jit_init(make), make, traced


def test_the_bits_of_filter_jit_and_no_second_trace():
    ours, make, traced = jitted()
    args = (root(), constructed())
    expected = eqx.filter_jit(make)(*args, name="a")
    traced.clear()
    found = ours(*args, name="a")
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for path, x in named(expected).items():
        if eqx.is_array(x):
            assert_same_bits(named(found)[path], x, path)
        else:
            assert named(found)[path] == x, path
    assert found["new"][0].name == "a"
    ours(jax.random.key(1), args[1], name="a")
    assert traced == [1]
    ones = [ours(*args, name="a", scale=one)["n"] for one in (1, 1.0, True)]
    assert [*map(type, ones)] == [int, float, bool]


def test_a_plan_names_the_functions_outputs():
    ours, *_ = jitted()
    shapes = eqx.filter_eval_shape(Small, root())
    plan = ours.lower(jax.eval_shape(root), shapes, name="a")
    assert plan.outputs == len(arrays(ours(root(), constructed(), name="a")))
    loop = filter_jit_init(lambda key: {"a": looped(key)}, exact=False)
    assert [*loop.lower(root()).inexact] == ["['a']"]


def looped(key):
    return jax.lax.map(jax.random.normal, jax.random.split(key, 3)) * 0.3


def test_outputs_live_where_they_are_asked():
    mesh = jax.make_mesh((8,), ("d",))
    spread, whole = (
        NamedSharding(mesh, spec) for spec in (PartitionSpec("d"), PartitionSpec())
    )

    @filter_jit_init(out_shardings=(spread, whole))
    def make(key):
        return nn.MLP(8, 8, 8, 1, key=key), nn.MLP(8, 8, 8, 1, key=key)

    for model, place in zip(make(root()), (spread, whole), strict=True):
        assert {x.sharding for x in arrays(model)} == {place}
        assert model.activation.__name__ == "relu"


# -- mistakes ----------------------------------------------------------------------


def linear():
    return nn.Linear(2, 2, key=root())


HERE = "adapters.equinox"
MISTAKES = {
    "a class": (
        lambda: init_module(nn.MLP, LECUN, root()),
        TypeError,
        f"{HERE}.init_module: MLP is called with a key alone and needs in_size, "
        "out_size, width_size, depth, key; give a function of the key: "
        "lambda key: MLP(...).",
    ),
    "a class, planned": (
        lambda: abstract(nn.LayerNorm),
        TypeError,
        f"{HERE}.abstract: LayerNorm is called with a key alone and needs shape; "
        "give a function of the key: lambda key: LayerNorm(...).",
    ),
    "the order of init_tree": (
        lambda: init_module(LECUN, linear(), root()),
        TypeError,
        f"{HERE}.init_module: takes (module, rules, key), "
        "got (Rules, Linear, PRNGKeyArray).",
    ),
    "key and rules swapped": (
        lambda: init_module(linear(), root(), LECUN),
        TypeError,
        f"{HERE}.init_module: takes (module, rules, key), "
        "got (Linear, PRNGKeyArray, Rules).",
    ),
    "a list of rules": (
        lambda: init_module(linear(), [("**", "zeros")], root()),
        TypeError,
        f"{HERE}.init_module: rules must be Rules([...]), got list.",
    ),
    "a seed for a key": (
        lambda: init_module(linear, LECUN, 0),
        TypeError,
        f"{HERE}.init_module: needs a PRNG key, got key=0 of type int; "
        "give jax.random.key(0).",
    ),
    "an ensemble without vmap": (
        lambda: init_module(Tagger, LECUN, jax.random.split(root(), 3)),
        ValueError,
        f"{HERE}.init_module: needs one PRNG key, got a batch of keys of shape (3,); "
        "use jax.vmap over the keys, or pick one.",
    ),
    "a leaf without a rule, a rule without a leaf": (
        lambda: init_module(linear(), Rules([("**/kernel", "he_normal")]), root()),
        ValueError,
        f"{HERE}.init_module: 2 of 2 leaves match no rule:\n"
        "  weight (2, 2)\n  bias (2,)\n1 of 1 rules have no leaf:\n"
        "  '**/kernel': matches nothing\nadd a rule or default=.",
    ),
    "a module without weights": (
        lambda: init_module({"a": jnp.arange(3)}, LECUN, root()),
        ValueError,
        f"{HERE}.init_module: {{'a': Array([0, 1, 2], dtype=int32)}} has no arrays of "
        "floats; give a module that has, or its constructor: "
        "lambda key: Model(..., key=key).",
    ),
    "shapes of what no rule makes": (
        lambda: init_module(eqx.filter_eval_shape(Small, root()), LECUN, root()),
        ValueError,
        f"{HERE}.init_module: 'norm/batch_counter/init' is only a shape, and no rule "
        "makes it; give the module with its arrays, or its constructor.",
    ),
    "no function": (
        lambda: filter_jit_init(3),
        TypeError,
        f"{HERE}.filter_jit_init(3): fun must be a function, got int; "
        "give lambda key: Model(..., key=key).",
    ),
    "an argument without a hash": (
        lambda: filter_jit_init(lambda key, names: linear())(root(), {"a"}),
        TypeError,
        f"{HERE}.filter_jit_init: the argument {{'a'}} is no array, so it is static "
        "and needs a hash; give arrays, or values that have one.",
    ),
    "jit_init of a module": (
        lambda: ij.jit_init(lambda key: nn.MLP(2, 2, 2, 1, key=key))(root()),
        TypeError,
        "jit_init(<lambda>): the output 'activation' is relu, no array; return arrays "
        "alone, or use adapters.equinox.filter_jit_init, which keeps what else "
        "Equinox's modules hold.",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_says_what_to_write(name):
    assert_refused(*MISTAKES[name])
