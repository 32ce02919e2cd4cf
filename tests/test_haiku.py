"""initjax in Haiku: laws as its initializers, and whole models by rule."""

import functools
import pickle

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from recipe_models import CLASSES, TOKENS, bert_of_haiku
from tools import assert_refused, assert_same_bits, root

import initjax as ij
from initjax import Fan, Spec
from initjax.adapters.haiku import abstract, init_model, w_init

pytestmark = pytest.mark.usefixtures("as_frameworks_expect")

X = jnp.ones((2, 4))
HE = ij.HeNormal()
RULES = ij.Rules(
    [
        ("**/{b,offset}", "zeros"),
        ("**/scale", Spec("ones", optional=True)),
        ("**/embeddings", Spec(ij.RandomNormal(0.0, 0.02), optional=True)),
        ("**", HE),
    ]
)


def mlp(x, init=None):
    return hk.nets.MLP([5, 3, 3], w_init=init, name="net")(x)


def assert_equal_trees(actual, expected):
    assert jax.tree.structure(actual) == jax.tree.structure(expected)
    for (path, x), y in zip(
        jax.tree_util.tree_leaves_with_path(actual),
        jax.tree.leaves(expected),
        strict=True,
    ):
        assert_same_bits(x, y, path)


@functools.cache
def by_rule():
    """The weights of `mlp` by their paths."""
    model = hk.transform(mlp)
    return ij.init_tree(RULES, jax.eval_shape(model.init, root(), X), root())


# -- laws as initializers --------------------------------------------------------------


def test_a_law_takes_the_next_key():
    def weight(init):
        def f():
            hk.get_parameter("zero", [2], init=w_init("zeros"))  # takes none
            return hk.get_parameter("w", [4, 3], init=init)

        return hk.transform(f).init(root())["~"]["w"]

    own = hk.initializers.RandomNormal(0.5)
    assert_same_bits(
        weight(w_init(ij.RandomNormal(stddev=0.5))),
        ij.RandomNormal(stddev=0.5)(hk.PRNGSequence(root()).next(), (4, 3)),
    )
    # the key that Haiku's own initializers get there
    key = hk.PRNGSequence(root()).next()
    assert_same_bits(weight(own), 0.5 * jax.random.normal(key, (4, 3)))
    law = w_init(jax.nn.initializers.normal(0.5))
    assert_same_bits(weight(law), jax.nn.initializers.normal(0.5)(key, (4, 3)))


def test_a_named_law_is_of_its_path():
    model = hk.transform(lambda x: mlp(x, w_init(HE, "w")))
    assert_equal_trees(model.init(root(), X), by_rule())
    assert_equal_trees(ij.jit_init(model.init)(root(), X), by_rule())


def test_a_named_law_does_not_depend_on_other_parameters():
    def f(x):
        hk.Linear(7, w_init=w_init("lecun_normal", "w"), name="new")(x)
        hk.get_parameter("top", [3], init=w_init(HE, "top"))
        return mlp(x, w_init(HE, "w"))

    params = hk.transform(f).init(root(), X)
    for name, module in by_rule().items():
        assert_equal_trees(params[name], module)
    key = ij.fold_in_path(root(), "~", "top")
    assert_same_bits(params["~"]["top"], HE(key, (3,)))


@pytest.mark.parametrize("name", [None, "w"])
def test_layers_and_members_differ_in_stacks_and_lifts(name):
    def f(x):
        layer = functools.partial(hk.Linear, w_init=w_init(HE, name))
        x = hk.layer_stack(3)(lambda x: layer(4)(x))(x)
        inner = hk.transform(lambda x: layer(2)(x))
        keys = jax.random.split(hk.next_rng_key(), 3)
        hk.lift(jax.vmap(inner.init, (0, None)), name="members")(keys, x)
        return hk.vmap(lambda x: layer(3, name="mapped")(x), split_rng=False)(x)

    model = hk.transform(f)
    params = ij.jit_init(model.init)(root(), X)
    weights = [np.asarray(module["w"]) for module in params.values()]
    assert sorted(w.shape for w in weights) == [(3, 4, 2), (3, 4, 4), (4, 3)]
    rows = [row.ravel() for w in weights if w.ndim == 3 for row in w]
    assert len({row.tobytes() for row in rows}) == 6
    assert_equal_trees(params, jax.jit(model.init)(root(), X))


def test_an_initializer_is_a_value():
    init = w_init(ij.HeNormal(seed=1), "w")
    assert init == w_init(ij.HeNormal(seed=1), "w") != w_init(ij.HeNormal(seed=1))
    assert eval(repr(init), vars(ij) | {"w_init": w_init}) == init
    assert repr(w_init("zeros")) == "w_init(Zeros())"
    assert pickle.loads(pickle.dumps(init)) == init
    assert hash(init) == hash(pickle.loads(pickle.dumps(init)))
    assert w_init(ij.HeNormal) == w_init("he_normal") == w_init(HE)


def test_a_bound_law_is_called_as_haiku_does():
    key = ij.fold_in_path(root(), "linear", "w")
    model = hk.transform(lambda x: hk.Linear(3, w_init=HE.bind(key))(x))
    assert_same_bits(model.init(None, X)["linear"]["w"], HE(key, (4, 3)))


# -- models by rule --------------------------------------------------------------------


def test_a_model_is_made_by_paths():
    model = hk.transform(mlp)
    assert_equal_trees(init_model(model, RULES, root(), X), by_rule())
    shape = jax.ShapeDtypeStruct(X.shape, X.dtype)
    assert_equal_trees(init_model(model, RULES, root(), x=shape), by_rule())


def with_state(x, is_training, name="norm"):
    x = hk.BatchNorm(True, True, 0.9, name=name)(x, is_training)
    hk.get_state("noise", [3], init=hk.initializers.RandomNormal())
    return hk.Linear(3)(x)


def test_state_is_as_the_model_makes_it():
    model = hk.transform_with_state(with_state)
    params, state = init_model(model, RULES, root(), X, is_training=True, name="bn")
    own, own_state = jax.jit(lambda key: model.init(key, X, True, "bn"))(root())
    assert_equal_trees(state, own_state)
    assert jax.tree.structure(params) == jax.tree.structure(own)
    key = ij.fold_in_path(root(), "linear", "w")
    assert_same_bits(params["linear"]["w"], HE(key, (4, 3)))
    assert_equal_trees(init_model(model, None, root(), X, True, name="bn")[0], own)


def test_several_functions_of_one_model():
    def f():
        encoder, decoder = hk.Linear(3, name="encoder"), hk.Linear(4, name="decoder")
        return (lambda x: decoder(encoder(x))), (encoder, decoder)

    params = init_model(hk.multi_transform(f), RULES, root(), X)
    key = ij.fold_in_path(root(), "decoder", "w")
    assert_same_bits(params["decoder"]["w"], HE(key, (3, 4)))


# -- fans ------------------------------------------------------------------------------


def layers():
    x, image = jnp.ones((2, 5)), jnp.ones((2, 4, 4, 6))
    hk.Conv1D(8, 3, name="conv1")(image[0])
    hk.Conv2D(8, (3, 2), feature_group_count=2, name="grouped")(image)
    hk.Conv3D(8, 2, name="conv3")(image[None])
    hk.Conv1DTranspose(8, 4, 2, name="up1")(image[0])
    hk.Conv2DTranspose(8, 4, 2, name="up2")(image)
    hk.DepthwiseConv2D(2, 3, name="deep")(image)
    hk.SeparableDepthwiseConv2D(2, 3, name="separable")(image)
    lstm, gru, conv = hk.LSTM(8), hk.GRU(8), hk.Conv2DLSTM((4, 4), 8, 3)
    lstm(x, lstm.initial_state(2))
    gru(x, gru.initial_state(2))
    conv(image, conv.initial_state(2))
    hk.Embed(7, 8)(jnp.array([1]))
    hk.nets.VectorQuantizer(5, 9, 0.1, name="codes")(x, True)
    hk.MultiHeadAttention(2, 3, w_init=jnp.zeros, name="mha")(x, x, x)
    hk.layer_stack(3)(lambda x: hk.Conv1D(6, 3, name="stacked")(x))(image[0])


FANS = {  # by hand: what feeds an entry of the output, and what an input feeds
    "conv1": (3 * 6, 3 * 8),
    "grouped": (3 * 2 * 3, 3 * 2 * 4),  # 3 inputs and 4 outputs a group
    "conv3": (2**3 * 6, 2**3 * 8),
    "up1": (4 // 2 * 6, 4 * 8),  # an output sees every second tap
    "up2": (4 * 4 // 4 * 6, 4 * 4 * 8),
    "deep": (9, 9 * 2),
    "separable/~/depthwise_conv2_d": (3, 3 * 2),
    "separable/~/depthwise_conv2_d_1": (3, 3),
    "lstm/linear": (5 + 8, 8),  # of each gate
    "gru/w_i": (5, 8),
    "gru/w_h": (8, 8),
    "conv2_dlstm/input_to_hidden": (9 * 6, 9 * 8),
    "conv2_dlstm/hidden_to_hidden": (9 * 8, 9 * 8),
    "embed/embeddings": (1, 8),
    "codes/embeddings": (1, 5),
    "mha/query": (5, 6),
    "mha/linear": (6, 6),
    "__layer_stack_no_per_layer/stacked": (3 * 6, 3 * 6),  # of each layer
}


@functools.cache
def fans_of(f, *inputs):
    """The fans of a function's weights, by path."""
    shapes = abstract(hk.transform_with_state(f), *inputs)
    kernels = ij.Rules([("**/{w,w_i,w_h,embeddings}", HE)], "zeros")
    return {
        row.path.removesuffix("/w"): row.fans
        for row in ij.plan(kernels, shapes).rows
        if isinstance(row.law, ij.HeNormal)
    }


@pytest.mark.parametrize(("path", "fans"), FANS.items())
def test_fans_of_layers(path, fans):
    assert fans_of(layers)[path] == (fans,)


def test_gates_are_parts():
    shapes = abstract(hk.transform(layers))
    forget = ij.per_part("zeros", {"f": "ones"})
    rules = ij.Rules([("lstm/**/b", forget)], "zeros")
    bias = ij.init_tree(rules, shapes, root())["lstm/linear"]["b"]
    assert_same_bits(bias, jnp.repeat(jnp.array([0.0, 0, 1, 0]), 8))
    assert shapes["gru"]["b"].fan == Fan.fused(("z", "r", "a"))


def resnet50(images):
    return hk.nets.ResNet50(CLASSES)(images, is_training=True)


def mobilenet(images):
    return hk.nets.MobileNetV1(num_classes=CLASSES)(images, is_training=True)


RESNET = "res_net50/~/"
MOBILE = "mobile_net_v1/"
NETS = {  # weights, parameters, and the fans of some
    resnet50: (
        161,
        23_528_522,
        {
            f"{RESNET}initial_conv": (7 * 7 * 3, 7 * 7 * 64),
            f"{RESNET}block_group_0/~/block_0/~/conv_1": (9 * 64, 9 * 64),
            f"{RESNET}block_group_1/~/block_0/~/shortcut_conv": (256, 512),
            f"{RESNET}block_group_3/~/block_2/~/conv_2": (512, 2048),
            f"{RESNET}logits": (2048, CLASSES),
        },
    ),
    mobilenet: (
        83,
        3_217_226,
        {
            f"{MOBILE}conv2_d": (9 * 3, 9 * 32),
            f"{MOBILE}mobile_net_v1_block/depthwise_conv": (9, 9),
            f"{MOBILE}mobile_net_v1_block/pointwise_conv": (32, 64),
            f"{MOBILE}mobile_net_v1_block_12/depthwise_conv": (9, 9),
        },
    ),
}


@pytest.mark.parametrize("net", NETS, ids=lambda net: net.__name__)
def test_plans_of_published_nets(net):
    weights, parameters, fans = NETS[net]
    images = jax.ShapeDtypeStruct((1, 64, 64, 3), jnp.float32)
    plan = ij.plan(RULES, abstract(hk.transform_with_state(net), images))
    assert (len(plan.rows), plan.parameters) == (weights, parameters)
    found = {row.path.removesuffix("/w"): row.fans for row in plan.rows}
    assert {path: found[path] for path in fans} == {p: (f,) for p, f in fans.items()}


def test_a_transformer_is_made_by_paths():
    model = hk.transform(bert_of_haiku)
    params = init_model(model, RULES, root(), TOKENS)
    shapes = jax.eval_shape(model.init, root(), TOKENS)
    assert_equal_trees(params, ij.init_tree(RULES, shapes, root()))


# -- the commonest mistakes ------------------------------------------------------------


def call(f, *inputs, key=None):
    return hk.transform(f).init(key, *inputs)


MODEL = hk.transform(mlp)
MISTAKES = {
    "outside of a transform": (
        lambda: w_init(HE, "w")((3, 4), jnp.float32),
        ValueError,
        "w_init(HeNormal(), 'w')(shape=(3, 4), dtype=float32): draws a key of Haiku's, "
        "and no hk.transform is around it; call the law itself, with a key: "
        "law(key, shape, dtype).",
    ),
    "no rng": (
        lambda: call(lambda: hk.Linear(2, w_init=w_init(HE))(X)),
        "MissingRNGError",
        "You must pass a non-None PRNGKey to init and/or apply if you make use of "
        "random numbers.",
    ),
    "no rng, by name": (
        lambda: call(lambda: hk.Linear(2, w_init=w_init(HE, "w"))(X)),
        "MissingRNGError",
        "You must pass a non-None PRNGKey to init and/or apply if you make use of "
        "random numbers.",
    ),
    "a bound law": (
        lambda: w_init(HE.bind(root())),
        TypeError,
        "adapters.haiku.w_init(HeNormal().bind(key)): a bound law has a key, and draws "
        "the same for every leaf; give the law itself.",
    ),
    "a key for a name": (
        lambda: w_init(HE, 3),
        TypeError,
        "adapters.haiku.w_init(HeNormal()): name is the parameter's name in its "
        "module, got 3; give a str, such as 'w'.",
    ),
    "an empty name": (
        lambda: w_init(HE, ""),
        ValueError,
        "adapters.haiku.w_init(HeNormal()): name='' names nothing; give 'w', say.",
    ),
    "an int law on float": (
        lambda: w_init(ij.Rademacher())((3,), jnp.int32),
        TypeError,
        "w_init(Rademacher())(shape=(3,), dtype=int32): draws float arrays, got dtype "
        "int32; give a float dtype, such as float32.",
    ),
    "an untransformed function": (
        lambda: init_model(mlp, RULES, root(), X),
        TypeError,
        "adapters.haiku.init_model: needs a transformed function, got mlp; give "
        "hk.transform(f), or hk.transform_with_state(f).",
    ),
    "an untransformed function, abstract": (
        lambda: abstract(mlp, X),
        TypeError,
        "adapters.haiku.abstract: needs a transformed function, got mlp; give "
        "hk.transform(f), or hk.transform_with_state(f).",
    ),
    "the key forgotten": (
        lambda: init_model(MODEL, RULES, X),
        TypeError,
        "adapters.haiku.init_model: needs a PRNG key, got an array of float32; give "
        "jax.random.key(seed).",
    ),
    "None for a key": (
        lambda: init_model(MODEL, RULES, None, X),
        TypeError,
        "adapters.haiku.init_model: needs a PRNG key, got key=None of type NoneType; "
        "give jax.random.key(seed).",
    ),
    "rules as a list": (
        lambda: init_model(MODEL, [("**", "zeros")], root(), X),
        TypeError,
        "adapters.haiku.init_model: rules must be Rules([...]), got list.",
    ),
    "an uncovered leaf": (
        lambda: init_model(MODEL, ij.Rules([("**/w", "zeros")]), root(), X),
        ValueError,
        "init_tree: 3 of 6 leaves match no rule:\n  net/~/linear_0/b (5,)\n"
        "  net/~/linear_*/b (3,), 2 leaves\nadd a rule or default=.",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes(mistake):
    wrong, kind, message = MISTAKES[mistake]
    if isinstance(kind, str):  # Haiku's own, which is not public
        with pytest.raises(ValueError, match=message) as caught:
            wrong()
        assert type(caught.value).__name__ == kind
    else:
        assert_refused(wrong, kind, message)
