"""Calls as other frameworks make them: the message says whose form, and what to write.

Each row is a call and the rest of its message, which begins with the call itself.
"""

import flax.linen as nn
import haiku as hk
import jax
import jax.numpy as jnp
import keras
import pytest
from flax import nnx
from tools import assert_refused, public

import initjax as ij

KEY = jax.random.key(0)
RAW = repr(KEY)
ORDER = "call it as (key, shape, dtype)"
LATER = "call it first, as in HeNormal()(key, shape), or give HeNormal() in its place."


def of_layers(law):
    """What is said where layers call a law without a key."""
    return (
        "(shape, dtype) is the call of Keras and Haiku. Give Keras "
        f"initjax.adapters.keras.to_keras({law}), Haiku "
        f"initjax.adapters.haiku.w_init({law}), others {law}.bind(key)."
    )


def bound_form(shape):
    """What a call (shape, dtype) is told."""
    return f"got {shape} as the key: {of_layers('law')}"


he, ones = ij.HeNormal(), jnp.ones((3, 4))
SHAPE_IS_KEY = "the shape is a key; a bound law has its key: call it as (shape, dtype)."

CALLS = {
    # (shape, dtype): Keras, Haiku
    "(key)": (lambda: he((3, 4)), bound_form("(3, 4)")),
    "(key, shape=dtype('float32'))": (
        lambda: he([3, 4], jnp.dtype("float32")),
        bound_form("[3, 4]"),
    ),
    "(key, dtype=float32)": (
        lambda: he((3, 4), dtype="float32", layout=None),
        bound_form("(3, 4)"),
    ),
    # something is missing, or in another order
    "(key) ": (lambda: he(), f"needs a key and a shape; {ORDER}."),
    "(key)  ": (lambda: he(KEY), f"needs a key and a shape; {ORDER}."),
    "(key)   ": (
        lambda: he.bind(KEY)(),
        f"needs a key and a shape; {ORDER}.",
    ),
    "(key, shape=(3, 4))": (
        lambda: he(shape=(3, 4)),
        f"needs a key before the shape; {ORDER}.",
    ),
    f"(key, shape={RAW})": (
        lambda: he((3, 4), KEY),
        f"the key comes before the shape; {ORDER}, (3, 4) second.",
    ),
    f"(key, shape={RAW}) ": (lambda: he(KEY, KEY), SHAPE_IS_KEY),
    f"(key, shape={RAW}, dtype=(3, 4))": (
        lambda: he.bind(KEY)(KEY, (3, 4)),
        SHAPE_IS_KEY,
    ),
    "(key, shape='float32', dtype=(3, 4))": (
        lambda: he(KEY, "float32", (3, 4)),
        f"the dtype comes after the shape; {ORDER}.",
    ),
    # sizes one by one: NumPy's rand, torch.randn
    "(key, shape=3, dtype=4)": (
        lambda: he(KEY, 3, 4),
        "sizes are one tuple, not an argument each; give (3, 4).",
    ),
    "(key, shape=4)": (
        lambda: he(3, 4),
        "sizes are one tuple, after a key; give (key, (3, 4)).",
    ),
    # an array to be filled: torch.nn.init
    "(key)    ": (
        lambda: he(ones),
        "got an array of (3, 4): torch.nn.init fills arrays in place, a law returns a "
        f"new one; {ORDER}, with the array's shape.",
    ),
    f"(key, shape={ones!r})": (
        lambda: he(KEY, ones),
        "the shape is an array of (3, 4); give array.shape.",
    ),
    # what else a key is taken from
    "(key, shape=(3, 4)) ": (
        lambda: he({"params": KEY}, (3, 4)),
        f"needs a PRNG key, got key={{'params': {RAW}}} of type dict; "
        "give one of its keys, rngs['params'].",
    ),
    # keywords of others
    "(key, shape=(3, 4))  ": (
        lambda: he(KEY, (3, 4), seed=0),
        "takes no seed; it is a field of the law, such as HeNormal(seed=...).",
    ),
    "(key, shape=(3, 4))   ": (
        lambda: he(KEY, (3, 4), sharding=None),
        "takes no sharding; give out_sharding.",
    ),
    "(key, shape=(3, 4))    ": (
        lambda: he(KEY, (3, 4), partition_info=None),
        "takes no partition_info; for Keras wrap the law, "
        "initjax.adapters.keras.to_keras(law).",
    ),
    "(key, shape=(3, 4))     ": (
        lambda: he(KEY, (3, 4), other=None),
        f"takes no other; {ORDER}.",
    ),
    f".law(shape={RAW})": (lambda: he.law(KEY), "takes no key; give the shape alone."),
}


@pytest.mark.parametrize("where", CALLS, ids=str.strip)
def test_a_call_of_another_form(where):
    call, rule = CALLS[where]
    where = where.strip()
    place = f"HeNormal(){where}"
    assert_refused(call, TypeError, f"{place}: {rule}")


def test_nnx_rngs_are_no_key():
    with pytest.raises(
        TypeError, match=r"give a key that it makes, rngs\.params\(\)\."
    ):
        he(nnx.Rngs(0), (3, 4))


FIELDS = {
    "RandomNormal(std=0.1)": "did you mean 'stddev'?",
    "RandomUniform(a=-1)": "did you mean 'minval'?",
    "TruncatedNormal(sdtdev=1)": "did you mean 'stddev'?",
    "HeNormal(rngs=0)": "it goes to the call, HeNormal(...)(key, shape, dtype).",
    "Zeros(what=0)": "known: ['dtype', 'fan'].",
}


@pytest.mark.parametrize("source", FIELDS)
def test_a_field_that_is_none(source):
    """In the words of peers too."""
    name = source.partition("(")[2].partition("=")[0]
    message = f"{source}: has no field {name!r}; {FIELDS[source]}"
    assert_refused(lambda: eval(source, public()), TypeError, message)


NAMES = {
    "he_normal": "HeNormal or nn.he_normal",
    "xavier_uniform_": "GlorotUniform or nn.xavier_uniform",
    "dirac_": "Dirac",
    "trunc_normal_tf_": "presets.timm.trunc_normal_tf",
    "jitinit": "jit_init",
    "zzz": None,
}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_initjax_does_not_have(name):
    hint = f"; did you mean {NAMES[name]}?" if NAMES[name] else ""
    message = f"module 'initjax' has no attribute {name!r}{hint}"
    assert_refused(lambda: getattr(ij, name), AttributeError, message)


def dense(**options):
    return nn.Dense(4, **options).init(KEY, jnp.ones((1, 8)))


def of_haiku(init):
    linear = hk.transform(lambda x: hk.Linear(4, w_init=init)(x))
    return linear.init(KEY, jnp.ones((1, 8)))


def of_keras(init):
    keras.layers.Dense(4, kernel_initializer=init).build((1, 8))


IN_LAYERS = {
    "a class in Linen": (lambda: dense(kernel_init=ij.HeNormal), LATER),
    "a class in NNX": (
        lambda: nnx.Linear(8, 4, kernel_init=ij.HeNormal, rngs=nnx.Rngs(0)),
        LATER,
    ),
    "a class in Haiku": (
        lambda: of_haiku(ij.HeNormal),
        f"call it first. {of_layers('HeNormal()')}",
    ),
    "a law in Haiku": (lambda: of_haiku(he), bound_form("[8, 4]")),
    "a law in Keras": (lambda: of_keras(he), bound_form("(8, 4)")),
}


@pytest.mark.parametrize("name", IN_LAYERS)
def test_a_layer_that_calls_another_form(name, as_frameworks_expect):
    call, end = IN_LAYERS[name]
    with pytest.raises(TypeError) as caught:
        call()
    assert end in str(caught.value)


MODELS = {
    "a module": (nn.Dense(4), "Dense"),
    "a transformed": (hk.transform(lambda x: x), "Transformed"),
}


@pytest.mark.parametrize("name", MODELS)
def test_jit_init_takes_the_function_not_the_model(name):
    model, kind = MODELS[name]
    with pytest.raises(TypeError) as caught:
        ij.jit_init(model)
    assert str(caught.value).endswith(
        f": fun must be a function, got {kind}; give the one that makes the "
        "parameters, jit_init(model.init)."
    )
