"""Weights by data: every layer, or every channel, has the variance it is to have."""

import functools
import math

import equinox as eqx
import flax.linen as nn
import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.sharding import NamedSharding, PartitionSpec
from tools import assert_refused, root, wide

import initjax as ij
from initjax import data_dependent, lsuv
from initjax._rules.paths import read_tree
from initjax._rules.patterns import choose

pytestmark = pytest.mark.usefixtures("as_frameworks_expect")


def normal(*shape, seed=1, dtype="float32"):
    """On the host: nothing is compiled."""
    return np.random.default_rng(seed).standard_normal(shape).astype(jnp.dtype(dtype))


def same(a, b):
    """The same objects at the leaves."""
    return all(x is y for x, y in zip(*map(jax.tree.leaves, (a, b)), strict=True))


RULES = ij.Rules([("**", ij.RandomNormal(0, 0.3))])


def made_for(init, *args):
    """Parameters of a model, drawn without compiling it."""
    return ij.init_tree(RULES, eqx.filter_eval_shape(init, *args), root())


# -- 20 layers of every framework ------------------------------------------------------


class Net(nn.Module):
    """Ten convolutions and ten dense layers, without biases in what is captured."""

    @nn.compact
    def __call__(self, x):
        for i in range(20):
            if i < 10:
                x = nn.Conv(4, (3, 3), name=f"layer{i}", use_bias=False)(x)
            else:
                x = x.reshape(len(x), -1)
                x = nn.Dense(16, name=f"layer{i}", use_bias=False)(x)
            bias = self.param(f"bias{i}", nn.initializers.normal(), x.shape[-1:])
            x = nn.gelu(x + bias)
        return x


def linen():
    """A model, its parameters, a batch; and what its products are on the batch."""
    net, x = Net(), normal(16, 6, 6, 3)

    def outputs(params):
        _, seen = net.apply(params, x, capture_intermediates=True)
        layers = seen["intermediates"]
        return [layers[name]["__call__"][0] for name in layers if name != "__call__"]

    return net.apply, made_for(net.init, root(), x), x, jax.jit(outputs)


def equinox():
    def make(key):
        layers = [eqx.nn.Linear(12, 12, key=key) for _ in range(20)]
        return eqx.nn.Sequential([f for layer in layers for f in (layer, TANH)])

    model, x = made_for(make, root()), normal(64, 12)

    def outputs(model):
        y, seen = x, []
        for layer in model.layers:
            if isinstance(layer, eqx.nn.Linear):
                seen.append(y @ layer.weight.T)
            y = jax.vmap(layer)(y)
        return seen

    return lambda model, x: jax.vmap(model)(x), model, x, outputs


TANH = eqx.nn.Lambda(jnp.tanh)


def haiku():
    def forward(x):
        for _ in range(20):
            x = jax.nn.silu(hk.Linear(12)(x))
        return x

    model, x = hk.without_apply_rng(hk.transform(forward)), normal(64, 8)

    def outputs(params):
        y, seen = x, []
        for i in range(20):
            layer = params[f"linear_{i}" if i else "linear"]
            seen.append(y @ layer["w"])
            y = jax.nn.silu(seen[-1] + layer["b"])
        return seen

    return model.apply, made_for(model.init, root(), x), x, jax.jit(outputs)


@pytest.mark.parametrize("framework", [linen, equinox, haiku])
def test_lsuv_brings_every_layer_of_20_to_unit_variance(framework):
    apply, params, x, outputs = framework()
    before = outputs(params)
    after = outputs(made := lsuv(apply, params, x))
    assert len(after) == 20
    assert max(abs(y.std() - 1) for y in before) > 0.2
    assert max(abs(y.std() - 1) for y in after) < 1e-4
    assert jax.tree.structure(made) == jax.tree.structure(params)
    pairs = list(zip(*map(jax.tree.leaves, (params, made)), strict=True))
    for old, new in pairs:
        assert new is old or (new.shape, new.dtype) == (old.shape, old.dtype)
    assert sum(new is not old for old, new in pairs) == 20  # the biases stay


def test_lsuv_of_nnx():
    def make():
        first, last = (nnx.Linear(8, n, rngs=nnx.Rngs(0)) for n in (8, 4))
        return nnx.Sequential(first, nnx.relu, last)

    graph, shapes = nnx.split(nnx.eval_shape(make))
    state = ij.init_tree(RULES, shapes, root())
    x = normal(64, 8)
    made = nnx.merge(graph, lsuv(lambda s, x: nnx.merge(graph, s)(x), state, x))
    for y in (made(x) - made.layers[2].bias, made.layers[0](x) - made.layers[0].bias):
        assert y.std() == pytest.approx(1, abs=1e-5)


# -- which leaf, how often, how exact --------------------------------------------------

X = normal(64, 6, seed=2)
ROUTED = np.array([40, 24], "int32")
WEIGHTS = {
    # (a leaf, the product that it is in)
    "plain": (normal(6, 5), lambda w, x: x @ w),
    "transposed": (normal(5, 6), lambda w, x: (w @ x.T).T),
    "heads": (normal(6, 2, 3), lambda w, x: jnp.einsum("bi,ihd->bhd", x, w)),
    "flat": (normal(30), lambda w, x: x @ w.reshape(6, 5)),
    "squeezed": (normal(1, 6, 5), lambda w, x: x @ w.squeeze(0)),
    "frozen": (normal(6, 5), lambda w, x: x @ jax.lax.stop_gradient(w)),
    "narrow": (normal(6, 5), lambda w, x: x @ w.astype(jnp.bfloat16)),
    "bfloat16": (normal(6, 64, dtype="bfloat16"), lambda w, x: x @ w),
    "complex": (normal(6, 5, dtype="complex64"), lambda w, x: x @ w),
    "multiplied": (normal(6, 5), lambda w, x: x @ (-w * 0.1 / math.sqrt(6))),
    "masked": (normal(6, 5), lambda w, x: x @ (w * np.tri(6, 5, dtype="float32"))),
    "positive": (normal(6, 5), lambda w, x: x @ jnp.exp(w.T).T),
    "jitted": (normal(6, 5), jax.jit(lambda w, x: x @ w)),
    "remat": (normal(6, 5), jax.checkpoint(lambda w, x: x @ w)),
    "custom_jvp": (normal(6, 5), jax.custom_jvp(lambda w, x: x @ w)),
    "custom_vjp": (normal(6, 5), jax.custom_vjp(lambda w, x: x @ w)),
    "vmapped": (normal(6, 5), lambda w, x: jax.vmap(lambda x: x @ w)(x)),
    "experts": (
        normal(2, 6, 5),
        lambda w, x: jnp.einsum("ebi,eio->ebo", jnp.stack([x, 3 * x]), w),
    ),
    "ragged": (normal(2, 6, 5), lambda w, x: jax.lax.ragged_dot(x, w, ROUTED)),
    "convolution": (
        normal(2, 1, 3),
        lambda w, x: jax.lax.conv_general_dilated(
            x[..., None], w, (1,), "SAME", dimension_numbers=("NWC", "WIO", "NWC")
        ),
    ),
    "flipped": (
        normal(2, 1, 3),
        lambda w, x: jax.lax.conv_transpose(
            x[..., None], w, (2,), "SAME", dimension_numbers=("NWC", "WIO", "NWC")
        ),
    ),
}
for _wrapped in ("custom_jvp", "custom_vjp"):
    _f = WEIGHTS[_wrapped][1]
    getattr(_f, "defjvp", lambda _: None)(lambda p, t: (p[1] @ p[0], p[1] @ p[0]))
    getattr(_f, "defvjp", lambda *_: None)(
        lambda w, x: (x @ w, None), lambda r, g: (g, g)
    )


@functools.cache
def found():
    """All of them in one model: what `lsuv` makes of it, and its products then."""
    products = [product for _, product in WEIGHTS.values()]
    params = [{"w": w, "b": np.ones((), "f4")} for w, _ in WEIGHTS.values()]

    def apply(params, x):
        pairs = zip(products, params, strict=True)
        return [product(p["w"], x) + p["b"] for product, p in pairs]

    made = lsuv(apply, params, X, std=0.5)
    outputs = jax.jit(apply)(made, X)
    return dict(zip(WEIGHTS, zip(params, made, outputs, strict=True), strict=True))


@pytest.mark.parametrize("name", WEIGHTS)
def test_a_weight_is_found_where_it_is(name):
    old, new, y = found()[name]
    near = 4e-3 if name in ("narrow", "bfloat16") else 1e-5
    assert np.std(np.asarray(y).astype(np.complex128)) == pytest.approx(0.5, rel=near)
    assert (new["w"].shape, new["w"].dtype) == (old["w"].shape, old["w"].dtype)
    assert new["b"] is old["b"]


def test_in_float64_it_is_exact_to_float64():
    with wide("float64"):
        w, x = (normal(*shape, dtype="float64") for shape in ((6, 5), (64, 6)))
        made = lsuv(lambda p, x: x @ p["w"], {"w": w}, x)
        assert (x @ made["w"]).std() == pytest.approx(1, abs=1e-14)


def test_a_weight_used_twice_is_set_once_and_seen_twice():
    params = {"w": normal(6, 6), "v": normal(6, 6, seed=3)}

    def apply(p, x):
        y = jnp.tanh(x @ p["w"])
        z = jnp.tanh(y @ p["w"])  # as the first product has made it
        return z @ p["v"]

    made = lsuv(apply, params, X)
    assert (X @ made["w"]).std() == pytest.approx(1, abs=1e-5)
    assert apply(made, X).std() == pytest.approx(1, abs=1e-5)


def test_what_is_no_weight_of_a_product_stays():
    """Tables that are looked up, scales, weights that are normalized."""
    params = {
        "table": normal(9, 6),
        "scale": normal(6),
        "normalized": normal(6, 6),
        "steps": np.arange(3, dtype="i4"),
        "head": normal(6, 4),
    }

    def apply(p, batch):
        tokens, is_tied = batch
        x = jnp.asarray(p["table"])[tokens] * p["scale"]
        x = x @ (p["normalized"] / jnp.linalg.norm(p["normalized"]))
        return x @ p["head"], x @ p["table"].T if is_tied else None

    made = lsuv(apply, params, (jnp.arange(9), True))
    assert apply(made, (jnp.arange(9), True))[0].std() == pytest.approx(1, abs=1e-5)
    made.pop("head"), params.pop("head")
    assert same(made, params)


def test_only_and_skip_choose():
    def apply(p, x):
        return x @ p["a"]["kernel"] @ p["b"]["kernel"]

    params = {"a": {"kernel": normal(6, 6)}, "b": {"kernel": normal(6, 6)}}
    only, skip = lsuv(apply, params, X, only="a/*"), lsuv(apply, params, X, skip="a/*")
    assert same(only["b"], params["b"])
    assert (X @ only["a"]["kernel"]).std() == pytest.approx(1, abs=1e-5)
    assert same(skip["a"], params["a"])
    assert apply(skip, X).std() == pytest.approx(1, abs=1e-5)


def test_of_weight_normalization_the_gain_is_set():
    """In Equinox's order too, where g meets v before its norm."""
    for direction in (lambda v: v / jnp.linalg.norm(v), lambda v: v):
        params = {"g": normal(5), "v": normal(6, 5, seed=4)}

        def apply(p, x, direction=direction):
            return x @ (direction(p["v"]) * p["g"] / jnp.linalg.norm(p["v"]))

        made = lsuv(apply, params, X)
        assert made["v"] is params["v"]
        assert apply(made, X).std() == pytest.approx(1, abs=1e-5)


def test_weights_stay_where_they_are():
    mesh = jax.make_mesh((8,), ("x",))
    sharding = NamedSharding(mesh, PartitionSpec(None, "x"))
    params = {"w": jax.device_put(normal(6, 16), sharding)}
    made = lsuv(lambda p, x: x @ p["w"], params, X)
    assert made["w"].sharding.is_equivalent_to(sharding, 2)
    assert (X @ made["w"]).std() == pytest.approx(1, abs=1e-5)


# -- per channel -----------------------------------------------------------------------


class ActNorm(nn.Module):
    """Of Glow."""

    @nn.compact
    def __call__(self, x):
        scale = self.param("scale", nn.initializers.ones, (x.shape[-1],))
        bias = self.param("bias", nn.initializers.zeros, (x.shape[-1],))
        return (x + bias) * scale


class Flow(nn.Module):
    """Convolutions and ActNorms."""

    @nn.compact
    def __call__(self, x):
        for i in range(3):
            x = ActNorm(name=f"act{i}")(nn.Conv(4, (3, 3))(x))
        return x


class Normed(nn.Module):
    """Dense layers with weight normalization."""

    @nn.compact
    def __call__(self, x):
        for i in range(3):
            x = nn.tanh(nn.WeightNorm(nn.Dense(5), name=f"norm{i}")(x))
        return x


def assert_normal(y, std=1.0):
    """Mean 0 and a standard deviation, in every channel."""
    channels = np.asarray(y, np.float64).reshape(-1, y.shape[-1])
    np.testing.assert_allclose(channels.mean(0), 0, atol=2e-6)
    np.testing.assert_allclose(channels.std(0), std, rtol=1e-5)


@pytest.mark.parametrize(
    ("model", "only", "kind", "std"),
    [
        (Flow(), "**/act*/*", "act", 1.0),
        (Normed(), ["**/scale", "**/bias"], "norm", 0.5),
    ],
)
def test_models_of_flax_become_normal_in_every_channel(model, only, kind, std):
    x = normal(*((16, 4, 4, 3) if kind == "act" else (64, 6)))
    params = made_for(model.init, root(), x)
    made = data_dependent(model.apply, params, x, only=only, std=std)

    @jax.jit
    def outputs(params):
        _, seen = model.apply(params, x, capture_intermediates=True)
        layers = seen["intermediates"]
        return [layers[name]["__call__"][0] for name in layers if kind in name]

    assert len(outputs(made)) == 3
    for y in outputs(made):
        assert_normal(y, std)
    chosen = {row.place for row in choose(read_tree(params).leaves, only)}
    pairs = zip(*map(jax.tree.leaves, (params, made)), strict=True)
    assert {i for i, (old, new) in enumerate(pairs) if new is not old} == chosen


def act(change):
    """ActNorm, written in a way of its own."""
    return {
        "s": -np.arange(1, 7, dtype="float32") / 5,
        "b": normal(6),
    }, lambda p, x: change(x, **p)


SHIFTED = 3 * X + np.arange(6, dtype="float32")
LAYERS = {
    # the leaves, and what is made of them
    "x s + b": act(lambda x, s, b: x * s + b),
    "(x + b) s": act(lambda x, s, b: (x + b) * s),
    "(x - b) / s": act(lambda x, s, b: (x - b) / s),
    "(b + x) exp(s)": act(lambda x, s, b: (b + x) * jnp.exp(s)),
    "s exp(-s)": act(lambda x, s, b: (b + x) / jnp.exp(s)),
    "s[None] (b' - x)": act(lambda x, s, b: s[None] * (b.reshape(1, 6) - x)),
    "g v / |v|": (
        {"g": normal(5), "v": normal(6, 5, seed=3), "b": normal(5)},
        lambda p, x: x @ (p["g"] * p["v"] / jnp.linalg.norm(p["v"], axis=0)) + p["b"],
    ),
    "g (v x) / |v|": (
        {"g": normal(5), "v": normal(6, 5, seed=3), "b": normal(5)},
        lambda p, x: p["g"] * (x @ p["v"] / jnp.linalg.norm(p["v"])) + p["b"],
    ),
    "out, in": (
        {"g": normal(5, 1), "v": normal(5, 6, seed=3), "b": normal(5, 1)},
        lambda p, x: (p["g"] * jax.nn.standardize(p["v"], 1) @ x.T + p["b"]).T,
    ),
    "dense": (
        {"w": normal(6, 5), "b": normal(5)},
        lambda p, x: x @ p["w"] + p["b"],
    ),
    "dense, out, in": (
        {"w": normal(5, 6), "b": normal(5)},
        lambda p, x: jax.vmap(lambda x: p["w"] @ x + p["b"])(x),
    ),
    "heads": (
        {"w": normal(6, 2, 3), "b": normal(2, 3)},
        lambda p, x: (jnp.einsum("bi,ihd->bhd", x, p["w"]) + p["b"]).reshape(-1, 6),
    ),
    "heads first": (
        {"w": normal(3, 6, 2), "b": normal(2, 3)},
        lambda p, x: (jnp.einsum("bi,dih->bhd", x, p["w"]) + p["b"]).reshape(-1, 6),
    ),
    "experts": (
        {"w": normal(2, 6, 5), "b": normal(2, 1, 5)},
        lambda p, x: jnp.stack([*(jnp.stack([x, 3 * x]) @ p["w"] + p["b"])], 1).reshape(
            -1, 10
        ),
    ),
    "convolution": (
        {"w": normal(2, 1, 5), "b": normal(5)},
        lambda p, x: (
            jax.lax.conv_general_dilated(
                *(x[..., None], p["w"], (1,), "VALID"),
                dimension_numbers=("NWC", "WIO", "NWC"),
            )
            + p["b"]
        ),
    ),
    "channels first": (
        {"w": normal(5, 1, 2), "b": normal(5, 1)},
        lambda p, x: (jax.lax.conv(x[:, None], p["w"], (1,), "SAME") + p["b"]).swapaxes(
            1, 2
        ),
    ),
    "bfloat16 bias": (
        {"w": normal(6, 5), "b": normal(5, dtype="bfloat16")},
        lambda p, x: x @ p["w"] + p["b"].astype("float32"),
    ),
}


@functools.cache
def settled():
    """All of them in one model: what `data_dependent` makes of it, and its outputs."""
    layers, params = [f for _, f in LAYERS.values()], [p for p, _ in LAYERS.values()]

    def apply(params, x):
        return [layer(p, x) for layer, p in zip(layers, params, strict=True)]

    made = data_dependent(apply, params, SHIFTED, only="*/{w,g,s,b}")
    outputs = jax.jit(apply)(made, SHIFTED)
    return dict(zip(LAYERS, zip(params, made, outputs, strict=True), strict=True))


@pytest.mark.parametrize("name", LAYERS)
def test_scales_weights_and_biases_are_set_by_channel(name):
    old, new, y = settled()[name]
    if "s" in new and "exp" not in name:  # it keeps its sign
        assert (new["s"] < 0).all()
    if name == "bfloat16 bias":
        assert new["b"].dtype == jnp.bfloat16
        assert np.abs(y.mean(0)).max() < 2e-2
    else:
        assert_normal(y)
    assert "v" not in old or new["v"] is old["v"]


def test_a_bias_alone_is_minus_the_mean():
    params = {"w": normal(6, 5), "b": normal(5)}
    made = data_dependent(lambda p, x: x @ p["w"] + p["b"], params, X, only="b")
    np.testing.assert_allclose(made["b"], -(X @ params["w"]).mean(0), atol=1e-6)


# -- refused ---------------------------------------------------------------------------


def scanned(p, x):
    return jax.lax.scan(lambda x, w: (jnp.tanh(x @ w), None), x, p["w"])[0]


def branched(p, x):
    return jax.lax.cond(x.sum() > 0, lambda: x @ p["w"], lambda: x)


def repeated(p, x):
    return jax.lax.while_loop(lambda x: x.sum() > 99, lambda x: x @ p["w"], x)


def dense(p, x):
    return x @ p["w"]


def inside(kind):
    return (
        f"'w' is used inside {kind!r}, where its product is not seen by itself; say "
        "skip='w'."
    )


CONSTANT = (
    "the output of 'w' is constant on the batch, and no factor changes that; give "
    "other weights or a larger batch, or leave the leaf out."
)
INFINITE = (
    "the output of 'w' is not finite on the batch; look at the batch, and at the "
    "weights before."
)
STRUCT = jax.ShapeDtypeStruct((6, 6), jnp.float32)
W = {"w": normal(6, 6)}
WRONG = {
    # (what is called, the exception, its message)
    "scan": (lambda: lsuv(scanned, {"w": normal(2, 6, 6)}, X), inside("scan")),
    "scan of two": (
        lambda: lsuv(
            lambda p, x: jax.lax.scan(
                lambda x, w: (x @ w["k"] + w["b"], None), x, p["w"]
            )[0],
            *({"w": {"b": normal(2, 6), "k": normal(2, 6, 6)}}, X),
        ),
        "'w/k' (with 1 more) is used inside 'scan', where its product is not seen by "
        "itself; say skip='w/k'.",
    ),
    "cond": (lambda: lsuv(branched, W, X), inside("cond")),
    "while": (lambda: lsuv(repeated, W, X), inside("while")),
    "parts": (
        lambda: lsuv(lambda p, x: x @ p["w"][:, :2], W, X),
        "'w' is used in parts, and has one factor alone; say skip='w'.",
    ),
    "two": (
        lambda: lsuv(lambda p, x: x @ (p["a"] @ p["b"]), {"a": X.T, "b": X}, X),
        "'a' and 'b' meet in one product, and either could be its weight; say "
        "skip='a', or the other.",
    ),
    "zero": (lambda: lsuv(dense, {"w": np.zeros((6, 6), "f4")}, X), CONSTANT),
    "one value": (lambda: lsuv(dense, {"w": np.ones((6, 6), "f4")}, X[:1]), CONSTANT),
    "nan": (lambda: lsuv(dense, W, X * math.nan), INFINITE),
    "none": (
        lambda: lsuv(lambda p, x: x * p["w"][0, 0], W, X),
        "none of 1 leaves is the weight of a matrix product or convolution as it is; "
        "there is nothing to scale.",
    ),
    "only": (
        lambda: lsuv(dense, W, X, only="v"),
        "only='v' matches none of 1 leaves, such as 'w'; give another.",
    ),
    "skip": (
        lambda: lsuv(dense, W, X, skip="v"),
        "skip='v' matches none of 1 leaves, such as 'w'; give another.",
    ),
    "std": (lambda: lsuv(dense, W, X, std=0), "std must be a finite number > 0."),
    "gather": (
        lambda: data_dependent(lambda p, x: p["w"][jnp.argmax(x, 1)], W, X, only="w"),
        "'w' is first used in 'gather', so it is no scale, bias or weight of a "
        "channel; leave it out of only.",
    ),
    "unused": (
        lambda: data_dependent(lambda p, x: x, W, X, only="w"),
        "'w' is not used, so it is no scale, bias or weight of a channel; leave it out "
        "of only.",
    ),
    "channel": (
        lambda: data_dependent(dense, {"w": np.eye(6, 5, 1, "f4")}, X, only="w"),
        CONSTANT,
    ),
    "inputs": (
        lambda: data_dependent(
            *(lambda p, x: x @ (p["s"] * normal(6, 5)), {"s": normal(6, 1)}, X),
            only="s",
        ),
        "'s' does not scale each output channel by itself; leave it out.",
    ),
    "integers": (
        lambda: data_dependent(dense, {"w": np.arange(3, dtype="i4")}, X, only="w"),
        "'w' is int32; leave it out of only.",
    ),
}
KINDS = {
    "function": (
        lambda: lsuv(3, W, X),
        "apply is called as apply(params, batch), got 3; give a function.",
    ),
    "traced": (
        lambda: jax.jit(lambda p: lsuv(dense, p, X))(W),
        "measures arrays, got a traced one; call it outside.",
    ),
    "shapes": (
        lambda: lsuv(dense, {"w": STRUCT}, X),
        "measures arrays, got shapes; initialize first.",
    ),
    "std": (
        lambda: lsuv(dense, W, X, std="1"),
        "std must be a finite number > 0, got str.",
    ),
    "only": (
        lambda: data_dependent(dense, W, X, only=None),
        "only says what to set; give a pattern.",
    ),
}


@pytest.mark.parametrize("name", [*WRONG, *(f"{name}: kind" for name in KINDS)])
def test_what_no_data_can_set_is_refused(name):
    kind = TypeError if ": kind" in name else ValueError
    call, rule = KINDS[name[:-6]] if kind is TypeError else WRONG[name]
    where = "data_dependent" if "data_dependent" in call.__code__.co_names else "lsuv"
    assert_refused(call, kind, f"{where}: {rule}")


def test_the_error_of_a_model_is_its_own():
    with pytest.raises(KeyError, match="absent"):
        lsuv(lambda p, x: p["absent"], W, X)


@pytest.mark.parametrize("name", ["scan", "parts", "two"])
def test_the_way_out_is_a_way_out(name):
    models = {
        "scan": (lambda p, x: scanned(p, x) @ p["v"], {"w": normal(2, 6, 6)}, "w"),
        "parts": (lambda p, x: x @ p["w"][:, :6] @ p["v"], {"w": normal(6, 9)}, "w"),
        "two": (lambda p, x: x @ (p["v"] @ p["w"]), {"w": normal(6, 6)}, "w"),
    }
    apply, params, skip = models[name]
    params["v"] = normal(6, 6, seed=7)
    made = lsuv(apply, params, X, skip=skip)
    assert made["w"] is params["w"]
    assert made["v"] is not params["v"]
