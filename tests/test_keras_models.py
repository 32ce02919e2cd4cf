"""The adapter for Keras 3: its initializers, what its layers got, whole models."""

import functools
import json
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
from keras import layers
from tools import assert_moments, assert_refused, assert_same_bits, root, written

import initjax as ij
from initjax import Fan
from initjax.adapters import keras as adapter
from initjax.adapters.keras import abstract, from_keras, init_model, laws_of, to_keras

pytestmark = pytest.mark.usefixtures("as_frameworks_expect")

# Keras's own arrays, under NumPy 2
KERAS_COPIES = pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")
HE = ij.HeNormal()


@pytest.fixture
def put_off():
    """Build a model whose values Keras has yet to make, and forgets in the end."""

    def put_off(build):
        with keras.StatelessScope(initialize_variables=False):
            return build()

    yield put_off
    keras.utils.clear_session()


def transformer():
    """One block of attention, a recurrent layer both ways, convolutions, a head."""
    tokens = keras.Input((12,), dtype="int32")
    x = layers.Embedding(16, 32, name="embed")(tokens)
    x = layers.LayerNormalization(name="norm")(x)
    x = layers.MultiHeadAttention(4, 8, name="attention")(x, x)
    x = layers.Conv1D(16, 3, groups=2, name="conv")(x)
    x = layers.Conv1DTranspose(8, 4, strides=2, name="up")(x)
    x = layers.SeparableConv1D(6, 3, depth_multiplier=2, name="separable")(x)
    x = layers.Bidirectional(layers.LSTM(5, name="lstm"), name="both")(x)
    return keras.Model(tokens, layers.Dense(3, name="head")(x), name="transformer")


def others():
    """The layers that the transformer has no use for."""
    video = keras.Input((4, 12, 6))
    x = layers.ConvLSTM1D(8, 3, name="conv_lstm")(video)
    x = layers.DepthwiseConv1D(3, depth_multiplier=2, name="depthwise")(x)
    x = layers.LayerNormalization(name="norm")(x)
    x = layers.GRU(5, name="gru", return_sequences=True)(x)
    x = layers.EinsumDense("...x,xy->...y", 7, name="ellipsis")(x)
    tokens = keras.Input((4, 7))  # an expert a place
    experts = layers.EinsumDense("abc,bcd->abd", (4, 9), name="experts")
    return keras.Model([video, tokens], [x, experts(tokens)], name="others")


def classifier():
    """Attention with laws of ours, statistics that do not train, a stream of seeds."""
    inputs = keras.Input((6, 32))
    attention = layers.MultiHeadAttention(
        4, 8, name="attention", kernel_initializer=to_keras(HE)
    )
    x = layers.BatchNormalization(name="batch_norm")(attention(inputs, inputs))
    x = layers.Dropout(0.1, seed=1)(layers.GlobalAveragePooling1D()(x))
    head = layers.Dense(
        3,
        name="head",
        kernel_initializer=to_keras(ij.RandomNormal(stddev=0.01), seed=2),
        bias_initializer=to_keras(ij.Zeros()),
    )
    return keras.Model(inputs, head(x), name="classifier")


@functools.cache
def born():
    """A model, and the values that Keras gave it."""
    model = classifier()
    return model, values(model)


def built():
    return born()[0]


RULES = ij.Rules(
    [
        ("**/{bias,beta}", "zeros"),
        ("**/gamma", "ones"),
        ("**/kernel", HE),
    ]
)


def values(model):
    return {v.path: np.array(v.value) for v in model.weights}


# -- a law as an initializer of Keras ----------------------------------------------


@pytest.mark.parametrize(
    ("law", "dtype"),
    [
        (HE, "float32"),
        (HE, "bfloat16"),
        (ij.Orthogonal(0.5), None),
        (ij.Zeros(), "int32"),
        (0.5 * ij.GlorotUniform(), "float32"),
        (ij.clone_initializer(HE, "query"), "float32"),
    ],
    ids=str,
)
def test_it_draws_what_its_law_draws(law, dtype):
    ours = to_keras(law, seed=5)(shape=(8, 4), dtype=dtype)
    assert_same_bits(ours, law(root(5), (8, 4), dtype or "float32"))


def test_a_law_with_a_stream_is_fixed():
    law = ij.clone_initializer(HE, "query")
    assert_same_bits(to_keras(law)((8, 4)), law(root(0), (8, 4)))


def test_seeds_are_chosen_as_those_of_keras():
    def two():
        keras.utils.set_random_seed(3)
        return [np.asarray(to_keras(HE)((8, 4))) for _ in range(2)]

    first, again = two(), two()
    assert_same_bits(first[0], again[0])
    assert_same_bits(first[1], again[1])
    assert not np.array_equal(*first)
    one = to_keras(HE)
    assert_same_bits(one((8, 4)), one((8, 4)))
    assert not np.array_equal(one((8, 4)), one.clone()((8, 4)))


def test_a_seed_generator_gives_other_numbers_at_every_call():
    one = to_keras(HE, seed=keras.random.SeedGenerator(1))
    first, second = one((8, 4)), one((8, 4))
    assert not np.array_equal(first, second)
    assert_same_bits(one.clone()((8, 4)), first)  # a copy begins anew, as Keras's do


@pytest.mark.parametrize(
    "law", [HE, 0.5 * HE, ij.Orthogonal(seed=("a", 1)), ij.HeNormal(fan="conv")]
)
def test_there_and_back(law):
    theirs = to_keras(law, seed=3)
    assert from_keras(theirs) == law
    config = json.loads(json.dumps(keras.initializers.serialize(theirs)))
    assert from_keras(config) == law
    assert keras.initializers.get(config).get_config() == theirs.get_config()


@pytest.mark.parametrize(
    ("theirs", "law"),
    [
        (keras.initializers.GlorotUniform(), ij.GlorotUniform()),
        (keras.initializers.GlorotUniform, ij.GlorotUniform()),
        (keras.initializers.HeNormal(seed=4), ij.HeNormal(seed=4)),
        (keras.initializers.Constant(np.float32([1, 2])), ij.Constant([1.0, 2.0])),
        ("he_normal", HE),
        ({"class_name": "Orthogonal", "config": {"gain": 2.0}}, ij.Orthogonal(2.0)),
    ],
    ids=written,
)
def test_keras_initializers_are_laws(theirs, law):
    assert from_keras(theirs) == law


# -- what the weights of a model really got ----------------------------------------


def test_laws_of_a_model_promise_what_its_weights_were_drawn_from():
    model, drawn = born()
    laws = laws_of(model)
    assert laws.keys() == drawn.keys()
    for path, value in drawn.items():
        law = laws[path].law(value.shape)
        if law.std:
            assert_moments(value, law.mean, law.std, path)
        else:
            assert (value == law.mean).all(), path


def test_the_bias_of_an_lstm_has_the_ones_of_its_forget_gate():
    layer = layers.LSTM(5)
    layer.build((None, 2, 3))
    (path,) = (v.path for v in layer.weights if v.name == "bias")
    law = laws_of(layer)[path]
    np.testing.assert_array_equal(law(root(), (20,)), np.repeat([0, 1, 0, 0], 5))
    np.testing.assert_array_equal(values(layer)[path], law(root(), (20,)))


@pytest.mark.skipif(
    not adapter._TELLS, reason="EinsumDense of this Keras tells no fans"
)
def test_a_query_kernel_has_the_fans_of_its_equation():
    """Its own config does not: with it the standard deviation would be half."""
    model, drawn = born()
    attention = model.get_layer("attention")
    theirs = layers.EinsumDense(
        "abc,cde->abde", (None, 4, 8), kernel_initializer=keras.initializers.HeNormal()
    )
    theirs.build((None, 6, 32))
    for layer, kernel in (
        (attention, drawn["attention/query/kernel"]),
        (theirs, np.asarray(theirs.kernel)),
    ):
        assert kernel.shape == (32, 4, 8)
        law = next(law for path, law in laws_of(layer).items() if "kernel" in path)
        assert law == ij.HeNormal(fan=Fan((0,), (1, 2)))
        assert_moments(kernel, 0, law.law(kernel.shape).std)
        saved = from_keras(layer.get_config()["kernel_initializer"])
        assert saved.law(kernel.shape).std == law.law(kernel.shape).std / 2


def test_a_law_that_declares_its_fans_keeps_them():
    law = ij.HeNormal(fan=100)
    layer = layers.EinsumDense(
        "abc,cd->abd", (None, 8), kernel_initializer=to_keras(law)
    )
    layer.build((None, 6, 32))
    assert laws_of(layer)[f"{layer.path}/kernel"] == law


def test_what_a_layer_does_not_say_is_none():
    layer = layers.Dense(2, kernel_initializer=lambda shape, dtype: jnp.ones(shape))
    layer.build((None, 3))
    assert [*laws_of(layer).values()] == [None, ij.Zeros()]


# -- whole models ------------------------------------------------------------------


def test_a_model_has_the_values_of_init_tree_by_path():
    model = built()
    before = values(model)
    init_model(model, RULES, root())
    made = ij.init_tree(RULES, abstract(model), root())
    kept = before.keys() - made.keys()
    assert kept == {f"batch_norm/moving_{x}" for x in ("mean", "variance")}
    for path, value in values(model).items():
        assert_same_bits(value, before[path] if path in kept else made[path], path)
    row = ij.fold_in_path(root(), "attention", "query", "kernel")
    law = ij.HeNormal(fan=Fan.dense_general(1, 2))
    assert_same_bits(values(model)["attention/query/kernel"], law(row, (32, 4, 8)))


def test_only_some_weights():
    model = built()
    before = values(model)
    init_model(model, RULES, root(1), only="attention/**")
    changed = {p for p, x in values(model).items() if not np.array_equal(x, before[p])}
    assert changed == {
        f"attention/{part}/kernel"
        for part in ("query", "key", "value", "attention_output")
    }


def half_frozen():
    frozen = layers.Dense(2, name="a", trainable=False)
    batch_norm = layers.BatchNormalization(name="b")
    return keras.Sequential([keras.Input((4,)), frozen, batch_norm], name="s")


NAMED = ij.Rules([("**/a/kernel", HE), ("**/moving_mean", "ones")], default="zeros")


@pytest.mark.parametrize("late", [False, True])
def test_a_rule_may_name_what_does_not_train(late, put_off):
    """All else keeps its value, if Keras has yet to make it too."""
    model = put_off(half_frozen) if late else half_frozen()
    assert [*abstract(model)] == ["s/b/gamma", "s/b/beta"]
    named = abstract(model, NAMED)
    assert {*named} - {*abstract(model)} == {"s/a/kernel", "s/b/moving_mean"}
    init_model(model, NAMED, root())
    made = values(model)
    assert_same_bits(
        made["s/a/kernel"], HE(ij.fold_in_path(root(), "s", "a", "kernel"), (4, 2))
    )
    assert made["s/b/moving_mean"].tolist() == [1, 1]
    assert made["s/b/moving_variance"].tolist() == [1, 1]  # kept, whatever the default
    assert made["s/b/gamma"].tolist() == [0, 0]
    assert model(np.ones((1, 4))).shape == (1, 2)


# what each weight that scales is made of: (fan_in, fan_out), by hand
TRANSFORMER = {
    "embed/embeddings": (1, 32),
    "attention/{query,key,value}/kernel": (32, 32),
    "attention/attention_output/kernel": (32, 32),
    "conv/kernel": (3 * 16, 3 * 8),
    "up/kernel": (4 * 16 / 2, 4 * 8),
    "separable/depthwise_kernel": (3, 3 * 2),
    "separable/pointwise_kernel": (16, 6),
    "both/{forward,backward}_lstm/lstm_cell/kernel": (6, 5),
    "both/{forward,backward}_lstm/lstm_cell/recurrent_kernel": (5, 5),
    "head/kernel": (10, 3),
}
OTHERS = {
    "conv_lstm/conv_lstm_cell/kernel": (3 * 6, 3 * 8),
    "conv_lstm/conv_lstm_cell/recurrent_kernel": (3 * 8, 3 * 8),
    "depthwise/kernel": (3, 3 * 2),
    "gru/gru_cell/kernel": (16, 5),
    "gru/gru_cell/recurrent_kernel": (5, 5),
    "ellipsis/kernel": (5, 7),
    "experts/kernel": (7, 9),
}
RESNET = {
    "conv1_conv/kernel": (7 * 7 * 3, 7 * 7 * 64),
    "conv2_block1_0_conv/kernel": (64, 256),
    "conv4_block3_2_conv/kernel": (9 * 256, 9 * 256),
    "predictions/kernel": (2048, 1000),
}
MOBILE_NET = {
    "Conv1/kernel": (9 * 3, 9 * 32),
    "expanded_conv_depthwise/kernel": (9, 9),
    "block_5_depthwise/kernel": (9, 9),
    "block_5_project/kernel": (192, 32),
}
BERT = {
    "token_embedding/embeddings": (1, 16),
    "position_embedding/embeddings": (1, 16),
    "transformer_layer_1/self_attention_layer/query/kernel": (16, 16),
    "transformer_layer_1/self_attention_layer/attention_output/kernel": (16, 16),
    "transformer_layer_0/feedforward_intermediate_dense/kernel": (16, 32),
    "pooled_dense/kernel": (16, 16),
}


def bert():
    hub = pytest.importorskip("keras_hub")
    return hub.models.BertBackbone(
        vocabulary_size=50, num_layers=2, num_heads=2, hidden_dim=16,
        intermediate_dim=32, max_sequence_length=12,
    )  # fmt: skip


def application(name):
    return lambda: getattr(keras.applications, name)(weights=None)


@pytest.mark.parametrize(
    ("build", "weights", "fans"),
    [
        (transformer, 26, TRANSFORMER),
        (others, 12, OTHERS),
        (application("ResNet50"), 214, RESNET),
        (application("MobileNetV2"), 158, MOBILE_NET),
        (bert, 39, BERT),
    ],
    ids=["transformer", "others", "ResNet50", "MobileNetV2", "BertBackbone"],
)
def test_fans_of_real_models(build, weights, fans, put_off):
    model = put_off(build)
    rules = ij.Rules(RULES.rules, default="glorot_normal")
    tree = abstract(model)
    plan = ij.plan(rules, tree)
    assert len(plan.rows) == weights
    for pattern, pair in fans.items():
        choose = ij.plan(rules, tree, only=pattern).rows
        assert {row.fans for row in choose} == {(pair,)}, pattern


# -- saved and trained -------------------------------------------------------------

LOADED = """
import json, sys
import keras
import initjax.adapters.keras
model = keras.saving.load_model(sys.argv[1])
configs = [layer.get_config() for layer in model.layers[1:]]
print(json.dumps(configs, sort_keys=True))
print(float(sum(abs(w.numpy()).sum() for w in model.weights)))
"""


def as_json(model):
    """The configs of all layers but the first, which `clone_model` renames."""
    configs = [layer.get_config() for layer in model.layers[1:]]
    return json.dumps(configs, sort_keys=True)


@KERAS_COPIES
def test_a_model_is_trained_saved_and_loaded_in_a_fresh_process(tmp_path):
    model = built()
    model.compile("sgd", "mse")
    before = values(model)
    model.fit(np.ones((2, 6, 32)), np.ones((2, 3)), verbose=0)
    assert not np.array_equal(before["head/kernel"], values(model)["head/kernel"])
    file = tmp_path / "model.keras"
    model.save(file)
    done = subprocess.run(
        [sys.executable, "-c", LOADED, str(file)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    config, total = done.stdout.splitlines()
    assert config == as_json(model)
    whole = float(sum(abs(x).sum() for x in values(model).values()))
    assert float(total) == pytest.approx(whole, rel=1e-5)


@KERAS_COPIES
def test_other_copies_of_a_model(tmp_path):
    model = built()
    assert as_json(keras.models.clone_model(model)) == as_json(model)
    assert as_json(keras.models.model_from_json(model.to_json())) == as_json(model)
    model.save(tmp_path / "model.h5")
    assert as_json(
        keras.models.load_model(tmp_path / "model.h5", compile=False)
    ) == as_json(model)


# -- distributed -------------------------------------------------------------------


@pytest.fixture
def distribution():
    if not hasattr(jax, "set_mesh"):
        pytest.skip("Keras needs a newer JAX to distribute")
    of = keras.distribution
    mesh = of.DeviceMesh((2, 4), ("batch", "model"), of.list_devices())
    layouts = of.LayoutMap(mesh)
    layouts[".*kernel"] = (None, "model")
    of.set_distribution(of.ModelParallel(layout_map=layouts, batch_dim_name="batch"))
    yield
    of.set_distribution(None)


def two_layers(own=to_keras):
    return keras.Sequential(
        [
            keras.Input((8,)),
            layers.Dense(8, name="a", kernel_initializer=own(HE, seed=1)),
            layers.Dense(4, name="b", kernel_initializer=own(ij.Orthogonal(), seed=2)),
        ],
        name="two",
    )


def test_weights_are_born_in_the_layout_of_keras(distribution):
    model = two_layers()
    a, b = (layer.kernel.value for layer in model.layers)
    assert_same_bits(a, HE(root(1), (8, 8)))
    np.testing.assert_allclose(b, ij.Orthogonal()(root(2), (8, 4)), atol=1e-6)
    places = [v.value.sharding for v in model.weights]
    assert [x.shard_shape((8, 8)) for x in (a.sharding, b.sharding)] == [(8, 2)] * 2

    rules = ij.Rules([("**/kernel", HE), ("**/bias", "zeros")])
    leaves = abstract(model)
    assert leaves["two/a/kernel"].sharding.is_equivalent_to(a.sharding, 2)
    init_model(model, rules, root())
    for variable, place in zip(model.weights, places, strict=True):
        value = variable.value
        assert value.sharding.is_equivalent_to(place, value.ndim), variable.path
    made = ij.init_tree(rules, leaves, root())
    assert_same_bits(model.layers[0].kernel.value, made["two/a/kernel"])


# -- the commonest mistakes --------------------------------------------------------

BOUND = (
    "HeNormal().bind(key) holds a key and has no config, so Keras can neither save nor "
    "copy it; give it initjax.adapters.keras.to_keras(HeNormal())."
)


def with_bound(layer, **arguments):
    return layer(kernel_initializer=HE.bind(root()), **arguments)


def small(layer):
    return keras.Sequential([keras.Input((3,)), layer])


@pytest.mark.parametrize(
    "call",
    [
        lambda file: small(with_bound(layers.Dense, units=2)).to_json(),
        lambda file: small(with_bound(layers.Dense, units=2)).save(f"{file}.keras"),
        lambda file: small(with_bound(layers.Dense, units=2)).save(f"{file}.h5"),
        lambda file: keras.models.clone_model(small(with_bound(layers.Dense, units=2))),
        lambda file: with_bound(
            layers.MultiHeadAttention, num_heads=1, key_dim=2
        ).build((None, 2, 3), (None, 2, 3)),
        lambda file: layers.Bidirectional(with_bound(layers.LSTM, units=2)),
    ],
    ids=["to_json", "keras", "h5", "clone_model", "attention", "bidirectional"],
)
def test_what_copies_a_bound_law_says_to_use_to_keras(call, tmp_path):
    with pytest.raises(TypeError) as caught:
        call(tmp_path / "model")
    assert str(caught.value) == BOUND


class Twins(keras.Model):
    def __init__(self):
        super().__init__(name="twins")
        self.one = layers.Dense(3, name="a")
        self.two = layers.Dense(3, name="a")

    def call(self, x):
        return self.two(self.one(x))


def twins():
    model = Twins()
    model(np.ones((1, 3)))
    return model


def quantized():
    model = two_layers()
    model.layers[0].quantize("int8")
    return model


ALL = ij.Rules([("**/kernel", HE), ("**/bias", "zeros")])
WHERE = "adapters.keras"


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (
            lambda: init_model(layers.Dense(2, name="x"), ALL, root()),
            ValueError,
            f"{WHERE}.init_model: the layer 'x' is not built, so its weights are not "
            "there yet; call the model on an input, or model.build(shape).",
        ),
        (
            lambda: init_model(built(), [("**", "zeros")], root()),
            TypeError,
            f"{WHERE}.init_model: rules must be Rules([...]), got list.",
        ),
        (
            lambda: init_model(values(built()), RULES, root()),
            TypeError,
            f"{WHERE}.init_model: needs a model or layer of Keras, got dict.",
        ),
        (
            lambda: init_model(built(), RULES, None),
            TypeError,
            "init_tree: needs a PRNG key, got key=None of type NoneType; "
            "give jax.random.key(seed).",
        ),
        (
            lambda: init_model(two_layers(), ij.Rules([("**/kernel", HE)]), root()),
            ValueError,
            "init_tree: 2 of 4 leaves match no rule:\n  two/a/bias (8,)\n  "
            "two/b/bias (4,)\nadd a rule or default=.",
        ),
        (
            lambda: abstract(twins()),
            ValueError,
            f"{WHERE}.abstract: 2 weights have the path 'twins/a/kernel'; "
            "give layers side by side different names.",
        ),
        (
            lambda: init_model(quantized(), ALL, root()),
            ValueError,
            f"{WHERE}.init_model: 'two/a/kernel' is int8, its layer is quantized; "
            "initialize the model before model.quantize(...).",
        ),
        (
            lambda: to_keras(ij.HeNormal),
            TypeError,
            f"{WHERE}.to_keras: needs a law, got the class HeNormal; give an instance, "
            "HeNormal().",
        ),
        (
            lambda: to_keras("he_normal"),
            TypeError,
            f"{WHERE}.to_keras: needs a law, got 'he_normal'; give "
            "initjax.get('he_normal'), or 'he_normal' to Keras itself.",
        ),
        (
            lambda: to_keras(keras.initializers.HeNormal()),
            TypeError,
            f"{WHERE}.to_keras: needs a law, got Keras's HeNormal, which Keras takes "
            "as it is.",
        ),
        (
            lambda: to_keras(HE, seed="query"),
            TypeError,
            f"{WHERE}.to_keras: seed must be None, an int or a "
            "keras.random.SeedGenerator, got 'query'.",
        ),
        (
            lambda: from_keras(max),
            TypeError,
            f"{WHERE}.from_keras(<built-in function max>): needs an initializer of "
            "Keras, its name or its config.",
        ),
        (
            lambda: from_keras("he_nrmal"),
            ValueError,
            f"{WHERE}.from_keras('he_nrmal'): unknown initializer 'he_nrmal'; did you "
            "mean 'he_normal' or 'he_normalV2' or 'normal'? A law of your own needs "
            "initjax.register, or custom_objects.",
        ),
        (
            lambda: from_keras(layers.Dense(2, name="x")),
            TypeError,
            f"{WHERE}.from_keras(<Dense name=x, built=False>): is a layer; "
            "laws_of(layer) reads its weights.",
        ),
    ],
    ids=lambda x: "" if callable(x) else str(x)[:40],
)
@KERAS_COPIES
def test_a_mistake_is_refused(call, kind, message):
    assert_refused(call, kind, message)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: to_keras(HE), "to_keras"),
        (lambda: abstract(built()), "abstract"),
        (lambda: init_model(built(), RULES, root()), "init_model"),
    ],
    ids=["to_keras", "abstract", "init_model"],
)
def test_another_backend_is_refused(call, name, monkeypatch):
    built()
    monkeypatch.setattr(keras.config, "backend", lambda: "torch")
    assert_refused(
        call,
        RuntimeError,
        f"{WHERE}.{name}: Keras runs on torch; set KERAS_BACKEND=jax before the first "
        "import of keras.",
    )


def test_keras_without_a_backend_says_which_to_set():
    code = "import sys; sys.modules['tensorflow'] = None; import initjax.adapters.keras"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "KERAS_BACKEND": "tensorflow"},
        capture_output=True,
        text=True,
    )
    assert done.stderr.splitlines()[-1] == (
        "ImportError: initjax.adapters.keras needs Keras on JAX, and it runs on "
        "tensorflow; set KERAS_BACKEND=jax before the first import of keras"
    )
