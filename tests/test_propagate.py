"""The scale of activations and gradients through depth, held to plain computations."""

import dataclasses
import functools
import json
import math

import equinox as eqx
import flax.linen as nn
import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from tools import assert_refused, root

import initjax as ij
from initjax import propagate
from initjax._report.propagation import PropagationRow

pytestmark = pytest.mark.usefixtures("as_frameworks_expect")
WIDTH, LAYERS = 32, 4


def normal(*shape, seed=1, std=1.0):
    """On the host: nothing is compiled."""
    draw = np.random.default_rng(seed).standard_normal(shape)
    return (std * draw).astype(np.float32)


def rms(x):
    return math.sqrt(np.mean(np.abs(np.asarray(x, np.complex128)) ** 2))


X = normal(64, WIDTH)
SHAPES = {f"w{i}": jax.ShapeDtypeStruct((WIDTH, WIDTH), "float32") for i in range(4)}


def chain(params, x):
    for i in range(LAYERS):
        x = x @ params[f"w{i}"]
    return x


def weights(law):
    return ij.init_tree(ij.Rules([("**", law)]), SHAPES, root())


# -- scale -----------------------------------------------------------------------------


def test_lecuns_scale_is_1_at_every_layer_and_twice_as_much_doubles():
    """|x W|^2 has the relative variance 2 sum s^4 / (n (sum s^2)^2), s of x."""
    params = weights(ij.LecunNormal())
    found = propagate(chain, params, X)
    x = X.astype(np.float64)
    assert [row.path for row in found.rows] == [*SHAPES]
    for depth, row in enumerate(found.rows, 1):
        y = x @ np.asarray(params[row.path], np.float64)
        square = np.linalg.svd(x, compute_uv=False) ** 2
        error = math.sqrt(2 * (square**2).sum() / WIDTH) / square.sum()
        assert abs((y**2).sum() / (x**2).sum() - 1) < 5 * error
        assert (row.depth, row.by, row.shape) == (depth, "dot_general", y.shape)
        assert row.rms == pytest.approx(rms(y), rel=1e-5)
        assert row.mean == pytest.approx(y.mean(), abs=1e-5)
        assert (row.nans, row.infs, row.zeros) == (0, 0, 0)
        x = y
    assert found.growth == pytest.approx(1, abs=0.1)
    double = propagate(chain, {k: 2 * np.asarray(w) for k, w in params.items()}, X)
    for depth, (row, other) in enumerate(zip(found.rows, double.rows, strict=True), 1):
        assert other.rms == pytest.approx(2**depth * row.rms, rel=1e-5)
    assert double.growth == pytest.approx(2 * found.growth, rel=1e-5)
    assert double.gradient_growth == pytest.approx(2 * found.gradient_growth, rel=1e-5)


def test_activations_are_counted_at_0_and_at_their_ends():
    uniform = np.linspace(-1, 1, 4000, dtype=np.float32).reshape(-1, 4)
    params = {"a": np.eye(4, dtype=np.float32), "b": np.eye(4, dtype=np.float32)}

    def model(params, x):
        x = jnp.maximum(x @ params["a"], 0)
        return jnp.where(x > 0.5, 1.0, x) @ params["b"]

    first, second = propagate(model, params, uniform).rows
    assert first.saturated == pytest.approx(0.02, abs=1e-3)
    assert second.zeros == pytest.approx(0.5, abs=1e-3)
    # 0.25 at 1, and what is below 0.01
    assert second.saturated == pytest.approx(0.255, abs=1e-3)


def rows(forth, back):
    """Products with these root mean squares, NaN ones not finite, and gradients."""
    cells = zip(forth, back, strict=True)
    return tuple(
        PropagationRow(
            *(f"w{i}", i, "dot_general", (2,), "float32", x, 0.0, 0.0, 0.0),
            *(int(math.isnan(x)), 0, gradient, 1.0),
        )
        for i, (x, gradient) in enumerate(cells, 1)
    )


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ((2, 3, 1), "2 at depth 1, 1 at 3; steady"),
        ((2, 1999, 3), "2 at depth 1, 3 at 3; steady"),
        ((2, 2001, 3), "2 at depth 1, 3 at 3; explode at 'w2' (depth 2)"),
        ((2, 0.0021, 3), "2 at depth 1, 3 at 3; steady"),
        ((2, 0.0019, 3), "2 at depth 1, 3 at 3; vanish at 'w2' (depth 2)"),
        ((2, 3, 0.0), "2 at depth 1, 3 at 2; 0 at 'w3' (depth 3)"),
        (
            (2, 3e9, math.nan),
            "2 at depth 1, 3e+09 at 2; explode at 'w2' (depth 2), not finite at 'w3' "
            "(depth 3)",
        ),
        ((math.nan,) * 3, "not finite at 'w1' (depth 1)"),
        ((0.0, 0.0, 0.0), "0 at 'w1' (depth 1)"),
    ],
)
def test_the_verdict_says_where(values, said):
    found = ij.Propagation(rows(values, (1.0, 1.0, 1.0)), {})
    forth, back = found.verdict.splitlines()
    rate = f"x{found.growth:.3g} per product; " if found.growth else ""
    assert forth == f"activations: {rate}{said}"
    assert back == "gradients: x1 per product; 1 at depth 3, 1 at 1; steady"


def test_gradients_are_judged_from_the_last_product_on():
    gradients = dict(zip("abcde", (0.0, 0.0, 1.0, 0.0, 0.0), strict=True))
    found = ij.Propagation(rows((1.0,) * 3, (1e7, 1e4, 10.0)), gradients)
    assert found.growth == pytest.approx(1)
    assert found.gradient_growth == pytest.approx(1000)
    assert found.verdict.splitlines()[1:] == [
        "gradients: x1e+03 per product; 10 at depth 3, 1e+07 at 1; explode at 'w1' "
        "(depth 1)",
        "no gradient: 'a', 'b', 'd' and 1 more",
    ]


def test_what_is_too_large_for_its_dtype_is_not_finite_and_other_squares_are():
    tiny, huge = (np.float32(x) * np.eye(WIDTH, dtype="f4") for x in (1e-30, 1e30))
    params = {"w0": tiny, "w1": huge, "w2": huge, "w3": huge}
    found = propagate(chain, params, X)
    first, _, third, last = found.rows
    assert first.rms == pytest.approx(1e-30 * rms(X), rel=1e-5)
    assert third.rms == pytest.approx(1e30 * rms(X), rel=1e-5)
    assert (last.infs, last.nans, math.isnan(last.rms)) == (X.size, 0, True)
    data = json.loads(found.to_json(), parse_constant=pytest.fail)
    assert data["rows"][3]["rms"] is None


# -- gradients -------------------------------------------------------------------------


@jax.custom_vjp
def through(x):
    """Rounds, and lets gradients through as if it did not, seven times over."""
    return jnp.round(x)


through.defvjp(lambda x: (jnp.round(x), None), lambda _, g: (7 * g,))


def mixed(params, x):
    x = jax.nn.relu(x @ params["a"] + params["bias"]) + params["zero"]
    x = through(3 * x) * params["scale"]
    return jax.nn.relu(x @ params["a"]) @ params["b"]


def test_gradients_are_those_of_jax():
    params = {
        **{"a": normal(8, 8, std=0.5), "b": normal(8, 3, seed=2)},
        **{"bias": np.zeros(8, "f4"), "zero": np.zeros(8, "f4")},
        **{"scale": normal(8, seed=3), "unused": normal(2, 2), "steps": np.int32(3)},
    }
    x = normal(16, 8)
    x[0] = 0  # where the gradient of relu is a matter of definition

    def loss(y):
        return (y**2).mean()

    def of_products(zeros):
        """The model with something added to each product."""
        y = x @ params["a"] + zeros[0]
        y = jax.nn.relu(y + params["bias"]) + params["zero"]
        y = through(3 * y) * params["scale"]
        y = jax.nn.relu(y @ params["a"] + zeros[1]) @ params["b"] + zeros[2]
        return loss(y)

    found = propagate(mixed, params, x, loss=loss)
    floats = {k: v for k, v in params.items() if k != "steps"}
    expected = jax.grad(lambda p: loss(mixed(p, x)))(floats)
    assert found.gradients == pytest.approx({k: rms(g) for k, g in expected.items()})
    assert found.gradients["unused"] == 0
    zeros = [np.zeros((16, n), "f4") for n in (8, 8, 3)]
    of_each = [rms(g) for g in jax.grad(of_products)(zeros)]
    assert [row.gradient for row in found.rows] == pytest.approx(of_each)
    # a weight used twice has a gradient at each use, the sum of which is its own
    assert [row.path for row in found.rows] == ["a", "a", "b"]
    assert found.rows[2].weight_gradient == pytest.approx(found.gradients["b"])
    assert found.rows[0].weight_gradient != pytest.approx(found.gradients["a"])


def test_without_a_loss_the_output_has_random_signs():
    """So its gradient is 1, and a weight's mean square that of the Jacobian."""
    params, x = {"w": normal(8, 4)}, 1 + normal(2000, 8)
    (row,) = propagate(lambda p, x: {"y": x @ p["w"], "n": 3}, params, x).rows
    assert row.gradient == 1
    # each entry is a sum of 2000 of x with random signs; without, it would be near 2000
    assert row.weight_gradient == pytest.approx(rms(x) * math.sqrt(2000), rel=0.5)


# -- which products --------------------------------------------------------------------

TABLE, W, V = normal(10, 4), normal(4, 4, seed=2), normal(4, 4, seed=3)
TOKENS = np.arange(6, dtype=np.int32) % 5


@jax.custom_jvp
def held(w, x):
    return x @ w


held.defjvp(lambda primals, tangents: (held(*primals), 0 * held(*primals)))


def recurrent(p, x):
    def step(h, x):
        h = jnp.tanh(x + h @ p["v"])
        return h, h

    return jax.lax.scan(step, jnp.zeros_like(x[0]), x)[1]


SMALL, ZERO = normal(5, 4, seed=4), np.zeros((), "f4")
FOUND = {
    # what is computed, of which data, (weight, depth, how) of each product
    "tied table": (
        lambda p, t: p["table"][t] @ p["table"].T,
        TOKENS,
        [("table", 1, "gather"), ("table", 2, "dot_general")],
    ),
    "side by side, then on": (
        lambda p, x: (x @ p["w"] + x @ p["v"]) @ p["w"],
        SMALL,
        [("w", 1, "dot_general"), ("v", 1, "dot_general"), ("w", 2, "dot_general")],
    ),
    "a residual": (
        lambda p, x: (x + x @ p["w"]) @ p["v"] + x,
        SMALL,
        [("w", 1, "dot_general"), ("v", 2, "dot_general")],
    ),
    "of two weights, the larger": (
        lambda p, x: x @ (p["w"] * jnp.exp(p["g"]) / jnp.linalg.norm(p["w"])),
        SMALL,
        [("w", 1, "dot_general")],
    ),
    "of weights alone, not": (
        lambda p, x: x @ (p["w"] @ p["v"]).T,
        SMALL,
        [("v", 1, "dot_general")],
    ),
    "of data alone, not": (
        lambda p, x: (x @ p["w"]) @ x.T,
        SMALL,
        [("w", 1, "dot_general")],
    ),
    "compiled, kept, rematerialized": (
        lambda p, x: jax.checkpoint(jax.jit(lambda w, x: x @ w))(p["w"], x),
        SMALL,
        [("w", 1, "dot_general")],
    ),
    "with a gradient of its own": (
        lambda p, x: held(p["w"], x),
        SMALL,
        [("w", 1, "custom_jvp_call")],
    ),
    "a recurrent layer as a whole": (recurrent, SMALL, [("v", 1, "scan")]),
    "complex": (
        lambda p, x: (x + 1j * x) @ jax.lax.complex(p["w"], p["v"]),
        SMALL,
        [("v", 1, "dot_general")],
    ),
}


def by_first_part(rows):
    """Rows by the first part of their path."""
    found = {}
    for row in rows:
        found.setdefault(row.path.partition("/")[0], []).append(row)
    return found


@functools.cache
def every_product():
    """All of them in one model: the rows of each."""
    names = ("table", "w", "v", "g")
    params = {
        name: dict(zip(names, (TABLE, W, V, ZERO), strict=True)) for name in FOUND
    }

    def model(params, xs):
        return {name: FOUND[name][0](params[name], xs[name]) for name in FOUND}

    xs = {name: x for name, (_, x, _) in FOUND.items()}
    found = propagate(model, params, xs).rows
    return {
        name: [row for row in found if row.path.startswith(f"{name}/")]
        for name in FOUND
    }


@pytest.mark.parametrize("name", FOUND)
def test_products_are_found(name):
    model, x, expected = FOUND[name]
    found = every_product()[name]
    seen = [(row.path.rpartition("/")[2], row.depth, row.by) for row in found]
    assert seen == expected
    assert (found[0].zeros is None) == (name in ("tied table", "complex"))
    if len(found) == 1 and "alone" not in name:
        y = model({"w": W, "v": V, "g": ZERO}, x)
        assert found[0].rms == pytest.approx(rms(y), rel=1e-5)
        assert found[0].gradient == 1


def test_a_loop_over_stacked_layers_is_gone_through():
    stacked = {"w": normal(3, 4, 4), "b": normal(3, 4, seed=5)}

    def layer(x, p):
        x = jnp.tanh(x @ p["w"] + p["b"])
        return x, {"sum": x.sum(), "w": p["w"]}

    def looped(p, x, reverse):
        y, each = jax.lax.scan(jax.checkpoint(layer), x, p, reverse=reverse)
        return y, each["sum"] * jnp.arange(3.0), y @ each["w"][0]

    def unrolled(p, x, reverse):
        sums = [None] * 3
        y = x
        for i in (2, 1, 0) if reverse else (0, 1, 2):
            y, each = layer(y, jax.tree.map(lambda w, i=i: w[i], p))
            sums[i] = each["sum"]
        return y, jnp.stack(sums) * jnp.arange(3.0), y @ p["w"][0]

    ways = {"loop": (looped, False), "back": (looped, True)}
    ways |= {"line": (unrolled, False), "line_back": (unrolled, True)}

    def model(params, x):
        return sum(z.sum() for k, (f, r) in ways.items() for z in f(params[k], x, r))

    found = propagate(model, dict.fromkeys(ways, stacked), SMALL, loss=lambda y: y)
    of = by_first_part(found.rows)
    assert [r.path for r in of["loop"]] == [f"loop/w[{i}]" for i in (0, 1, 2, 0)]
    assert [r.path for r in of["back"]][:3] == [f"back/w[{i}]" for i in (2, 1, 0)]
    for way, other in (("loop", "line"), ("back", "line_back")):
        for row, same in zip(of[way], of[other], strict=True):
            assert row.depth == same.depth
            for name in ("rms", "mean", "gradient", "weight_gradient", "saturated"):
                expected = pytest.approx(getattr(same, name), rel=1e-4, abs=1e-5)
                assert getattr(row, name) == expected
        for name in "wb":
            expected = pytest.approx(found.gradients[f"{other}/{name}"], rel=1e-4)
            assert found.gradients[f"{way}/{name}"] == expected


def linen():
    model = nn.Sequential([nn.Dense(4), nn.relu, nn.Dense(2)])
    names = [f"params/layers_{i}/kernel" for i in (0, 2)]
    return model.apply, jax.eval_shape(model.init, root(), SMALL), names


def of_nnx():
    def make():
        rngs = nnx.Rngs(0)
        return nnx.Sequential(nnx.Linear(4, 4, rngs=rngs), nnx.Linear(4, 2, rngs=rngs))

    graph, state = nnx.split(nnx.eval_shape(make))
    names = [f"layers/{i}/kernel" for i in (0, 1)]
    return lambda state, x: nnx.merge(graph, state)(x), state, names


def equinox():
    def make(key):
        sizes = {"in_size": 4, "out_size": 2, "width_size": 4, "depth": 1}
        return eqx.nn.MLP(**sizes, key=key)

    model = eqx.filter_eval_shape(make, root())
    return lambda f, x: jax.vmap(f)(x), model, [f"layers/{i}/weight" for i in (0, 1)]


def haiku():
    model = hk.without_apply_rng(hk.transform(lambda x: hk.nets.MLP([4, 2])(x)))
    names = [f"mlp/~/linear_{i}/w" for i in (0, 1)]
    return model.apply, jax.eval_shape(model.init, root(), SMALL), names


def test_any_framework():
    """Four of them side by side in one tree."""

    def made(x):
        return normal(*x.shape) if hasattr(x, "shape") else x

    models = {f.__name__: f() for f in (linen, of_nnx, equinox, haiku)}
    params = {k: jax.tree.map(made, shapes) for k, (_, shapes, _) in models.items()}

    def whole(params, x):
        return [models[k][0](params[k], x) for k in models]

    found = propagate(whole, params, SMALL)
    of = by_first_part(found.rows)
    assert len(found.gradients) == 4 * 4
    for k, (_, _, names) in models.items():
        seen = [(row.path, row.depth) for row in of[k]]
        assert seen == [(f"{k}/{names[0]}", 1), (f"{k}/{names[1]}", 2)]
        assert of[k][1].gradient == 1


# -- how it is shown -------------------------------------------------------------------


def test_it_shows_itself():
    found = ij.Propagation(rows((1.0, 2.0, 4.0), (1.0, 2.0, math.nan)), {"w1": 3.0})
    assert repr(found) == "<Propagation of 3 products, depth 3>"
    lines = str(found).splitlines()
    assert lines[0].split()[:4] == ["depth", "weight", "product", "rms"]
    assert lines[1].split()[:3] == ["1", "w1", "float32[2]"]
    assert lines[-2:] == found.verdict.splitlines()
    html = found._repr_html_()
    assert html.count("<tr>") == 4
    assert "steady" in html
    data = json.loads(found.to_json())
    assert data["growth"] == found.growth == pytest.approx(2)
    assert [row["rms"] for row in data["rows"]] == [1, 2, 4]
    assert [row["gradient"] for row in data["rows"]] == [1, 2, None]
    assert data["gradients"] == found.gradients
    long = dataclasses.replace(found, rows=found.rows * 40)
    assert len(str(long).splitlines()) == 1 + 61 + 1 + 2
    assert "60 more" in str(long)


# -- wrong uses ------------------------------------------------------------------------

P = {"w": W}
WRONG = {
    "no function": (
        lambda: propagate(3, P, SMALL),
        TypeError,
        "propagate: apply is called as apply(params, batch), got 3; give a function.",
    ),
    "shapes": (
        lambda: propagate(chain, SHAPES, X),
        TypeError,
        "propagate: measures arrays, got shapes; initialize first.",
    ),
    "traced": (
        lambda: jax.jit(lambda p: propagate(lambda p, x: x @ p["w"], p, SMALL).growth)(
            P
        ),
        TypeError,
        "propagate: measures arrays, got a traced one; call it outside.",
    ),
    "no product": (
        lambda: propagate(lambda p, x: x * p["w"].sum(), P, SMALL),
        ValueError,
        "propagate: none of 1 leaves is the weight of a product with the data; give "
        "the weights in params, and the data in x.",
    ),
    "no output": (
        lambda: propagate(lambda p, x: (x @ p["w"]).argmax(), P, SMALL),
        ValueError,
        "propagate: the output has no float numbers; give a loss of it.",
    ),
    "a loss that is none": (
        lambda: propagate(lambda p, x: x @ p["w"], P, SMALL, loss="mse"),
        TypeError,
        "propagate: loss is called as loss(output), got 'mse'; give a function.",
    ),
    "a loss of many numbers": (
        lambda: propagate(lambda p, x: x @ p["w"], P, SMALL, loss=jnp.square),
        ValueError,
        "propagate: loss(output) is float32[5x4]; return one real number.",
    ),
    "a loss of no array": (
        lambda: propagate(lambda p, x: x @ p["w"], P, SMALL, loss=lambda y: None),
        ValueError,
        "propagate: loss(output) is NoneType; return one real number.",
    ),
    "a bare array": (
        lambda: propagate(lambda p, x: x @ p, W, SMALL),
        ValueError,
        "propagate: a bare array has no path; give a tree: {'name': array}.",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_use_is_refused(name):
    assert_refused(*WRONG[name])
