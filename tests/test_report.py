"""`report` says what weights are, finds what is wrong, and is silent otherwise."""

import builtins
import dataclasses
import functools
import json
import math
import re
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from tools import COLLECTIVES, assert_refused, root

import initjax as ij
from initjax._report import chance, passes, stats
from initjax._report.spots import spots

WIDE, TALL = (64, 192), (192, 64)
RULES = ij.Rules(
    [
        ("**/{q,k,v}", "glorot_uniform"),
        ("**/{up,gate}", ij.LecunNormal()),
        ("**/down", ij.VarianceScaling(1.0, "fan_in", "untruncated_normal")),
        ("**/turn", "orthogonal"),
        ("**/bias", "zeros"),
        ("**/scale", "ones"),
    ]
)
LAYER = {
    **dict.fromkeys(("q", "k", "v", "up", "gate"), WIDE),
    **{"down": TALL, "turn": TALL, "bias": (192,), "scale": (192,)},
}


def shapes(dtype="float32", layers=1):
    return {
        str(i): {name: jax.ShapeDtypeStruct(s, dtype) for name, s in LAYER.items()}
        for i in range(layers)
    }


@functools.cache
def model():
    """A plan and its weights, in the host's memory, where all sizes are one program."""
    weights = ij.init_tree(RULES, shapes(), root(3))["0"]
    return ij.plan(RULES, shapes()), jax.tree.map(np.asarray, weights)


def found(**changed):
    """What is found of the model with some weights changed: kinds by name."""
    plan, weights = model()
    weights = {name: w for name, w in (weights | changed).items() if w is not None}
    report = ij.report({"0": weights}, plan)
    return {
        row.path.removeprefix("0/"): [(f.kind, f.text) for f in row.findings]
        for row in report.rows
        if row.findings
    }


def kinds(**changed):
    return {name: [kind for kind, _ in some] for name, some in found(**changed).items()}


def normal(seed, shape=WIDE):
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


def narrow(scale):
    """What JAX draws in bfloat16, cast up."""
    x = jax.random.normal(root(1), TALL, jnp.bfloat16)
    return np.asarray(x).astype(np.float32) * np.float32(scale)


def drawn(law, shape, seed=8):
    return np.asarray(law(root(seed), shape))


def with_(x, index, value):
    x = x.copy()
    x[index] = value
    return x


# -- what a weight is ------------------------------------------------------------------


def observed(*arrays):
    with ThreadPoolExecutor(2) as threads:
        return stats.finish([stats.start(x, threads) for x in arrays])


def mesh():
    return jax.make_mesh((2, 4), ("a", "b"), axis_types=(AxisType.Auto,) * 2)


def test_moments_are_exact_where_they_cancel_and_among_nans():
    w = normal(0, (300, 40)) * np.float32(1e-3) + 1
    w[0, 0], w[1, 1], w[2] = np.nan, np.inf, 0.0
    w[-1, -1], w[-1, -2] = -np.inf, np.nan  # after the last whole row
    w = jnp.asarray(w)
    (seen,) = observed(w)
    x = np.asarray(w, np.float64)
    x = x[np.isfinite(x)]
    assert (seen.finite, seen.nans, seen.infs, seen.zeros) == (11_996, 2, 2, 40)
    np.testing.assert_allclose(seen.mean, x.mean(), rtol=1e-7)
    np.testing.assert_allclose(seen.variance, x.var(), rtol=1e-5)
    assert (seen.low, seen.high) == (0.0, x.max())
    (one,) = observed(w[3:-1])
    x = np.asarray(w[3:-1], np.float64)
    np.testing.assert_allclose(one.variance, x.var(), rtol=1e-5)
    np.testing.assert_allclose(one.fourth, ((x - x.mean()) ** 4).mean(), rtol=0.05)


def test_a_weight_is_the_same_in_shards_in_numpy_and_in_parts(monkeypatch):
    w = jnp.asarray(normal(0, (96, 128)))
    place = NamedSharding(mesh(), PartitionSpec("b", "a"))
    monkeypatch.setattr(stats, "_PART", 5000)
    whole, spread, parts = observed(w, jax.device_put(w, place), np.asarray(w))
    assert w.size > stats._FEW  # whole, by its pass
    for other in (spread, parts):
        np.testing.assert_allclose(other[:3], whole[:3], rtol=1e-5, atol=1e-9)
        np.testing.assert_allclose(other.fourth, whole.fourth, rtol=0.02)
        assert other[4:6] == whole[4:6]
        assert other[6:9] == whole[6:9]
        jax.tree.map(np.testing.assert_array_equal, other[9:], whole[9:])
    one, two = (ij.report({"w": x}).rows[0] for x in (w, np.asarray(w)))
    assert dataclasses.replace(one, mean=two.mean, std=two.std) == two
    shards = jax.device_put(w, place).addressable_shards
    blocks, over = passes.side_by_side([shard.data for shard in shards])
    lowered = passes.look_on_mesh.lower(
        blocks, mesh=over, whole=(96, 128), careful=False, loops=True
    )
    assert not COLLECTIVES.findall(lowered.compile().as_text())


def test_accelerators_add_up_the_same():
    w = jnp.asarray(with_(normal(1, (96, 128)), np.s_[0, 0], np.nan))
    a, b = (passes.look(w, careful=True, loops=loops) for loops in (True, False))
    close = functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-5)
    jax.tree.map(close, a, b)


@pytest.mark.parametrize("dtype", ["bfloat16", "float8_e5m2", "int8", "complex64"])
def test_every_dtype_is_read_as_numpy_reads_it(dtype):
    w = np.asarray(normal(1, (96, 128)) * 3).astype(jnp.dtype(dtype))
    (row,) = ij.report({"w": jnp.asarray(w)}).rows
    wide = w.astype(np.complex128 if w.dtype.kind == "c" else np.float64)
    np.testing.assert_allclose(row.mean, abs(wide.mean()) * np.sign(row.mean), 1e-4)
    np.testing.assert_allclose(row.std, wide.std(), rtol=1e-5)
    size = np.abs(wide) if w.dtype.kind == "c" else wide
    np.testing.assert_allclose((row.low, row.high), (size.min(), size.max()), 1e-6)
    assert (row.zeros, row.nans) == ((wide == 0).sum(), 0)
    assert (row.dtype, sum(row.histogram)) == (dtype, row.sampled)


def test_spots_are_in_place_and_different():
    where = spots((300, 7, 40))
    assert len({*where.sample.tolist()}) == len(where.sample) > 4000
    index = np.unravel_index(where.slices[2], (300, 7, 40))
    assert (index[2] == index[2][:, :1]).all()  # a row a slice
    assert (index[0] == index[0][:1]).all()


def test_the_largest_singular_value():
    plan, weights = model()
    report = ij.report({"0": weights}, plan, singular=True)
    for row in report.rows:
        w = np.asarray(weights[row.path[2:]])
        if w.ndim == 1:
            assert row.singular is None
        else:
            most = np.linalg.norm(w, 2)
            assert most * 0.99 < row.singular < most * (1 + 1e-5)


# -- what is wrong ---------------------------------------------------------------------


def test_nothing_is_wrong():
    plan, weights = model()
    report = ij.report({"0": weights}, plan)
    assert report.ok
    assert report.findings == ()
    by_path = {row.path: row for row in report.rows}
    q = by_path["0/q"]
    limit = math.sqrt(6 / 256)
    assert q.promised == pytest.approx((0.0, limit / math.sqrt(3), -limit, limit))
    assert abs(q.z_mean) < 4
    assert abs(q.z_std) < 4
    assert (q.law, q.zeros) == ("GlorotUniform()", 0)
    assert 4080 < q.distinct <= q.sampled == 4096
    assert (by_path["0/bias"].z_std, by_path["0/turn"].z_std) == (0.0, 0.0)


# what is changed, and all that is found
FAULTS = {
    "heads": (lambda w: {"q": w["q"] * math.sqrt(8)}, {"q": ["bounds", "std"]}),
    "heads_of_normal": (
        lambda w: {"down": w["down"] * math.sqrt(8)},
        {"down": ["std"]},
    ),
    "mean": (lambda w: {"down": w["down"] + 0.01}, {"down": ["mean"]}),
    "cast_up": (
        lambda w: {"down": narrow(192**-0.5)},
        {"down": ["coarse"]},
    ),
    "zero": (lambda w: {"up": np.zeros(WIDE, np.float32)}, {"up": ["zeros"]}),
    "half_zero": (
        lambda w: {"up": with_(w["up"], np.s_[:32], 0)},
        {"up": ["zeros", "std"]},
    ),
    "dead": (lambda w: {"up": np.full(WIDE, 0.5, np.float32)}, {"up": ["dead"]}),
    "no_ones": (lambda w: {"scale": np.zeros(192, np.float32)}, {"scale": ["law"]}),
    "nan": (lambda w: {"k": with_(w["k"], np.s_[3, 3], np.nan)}, {"k": ["nan"]}),
    "inf": (lambda w: {"k": with_(w["k"], np.s_[3, 3], -np.inf)}, {"k": ["inf"]}),
    "outside": (lambda w: {"k": with_(w["k"], np.s_[3, 3], 0.2)}, {"k": ["bounds"]}),
    "below": (lambda w: {"k": with_(w["k"], np.s_[3, 3], -0.2)}, {"k": ["bounds"]}),
    "far_out": (
        lambda w: {"down": with_(w["down"], np.s_[3, 3], 0.6)},
        {"down": ["law"]},
    ),
    "uncut": (
        lambda w: {"down": drawn(ij.LecunNormal(), TALL)},
        {"down": ["law"]},
    ),
    "rounded": (
        lambda w: {"down": np.sign(w["down"]) / math.sqrt(192)},
        {"down": ["coarse"]},
    ),
    "norm": (lambda w: {"turn": w["turn"] * 1.01}, {"turn": ["std"]}),
    "copy": (
        lambda w: {"k": w["q"]},
        {"k": ["identical"], "q": ["identical"]},
    ),
    "copy_turned": (
        lambda w: {"gate": w["up"].reshape(TALL).T},
        {"gate": ["identical"], "up": ["identical"]},
    ),
    "one_key": (
        lambda w: {
            "up": drawn(ij.LecunNormal(), WIDE),
            "q": drawn(ij.GlorotUniform(), WIDE),
        },
        {"up": ["correlated"], "q": ["correlated"]},
    ),
    "one_key_two_shapes": (
        lambda w: {
            "up": drawn(ij.LecunNormal(), WIDE),
            "down": drawn(ij.RandomNormal(stddev=192**-0.5), TALL),
        },
        {"up": ["correlated"], "down": ["correlated"]},
    ),
    "rows": (lambda w: {"q": with_(w["q"], np.s_[32:], w["q"][:32])}, {"q": ["rows"]}),
    "thirds": (
        lambda w: {"q": np.concatenate([w["q"][:, :64]] * 3, 1)},
        {"q": ["columns"]},
    ),
    "missing": (lambda w: {"up": None}, {"up": ["missing"]}),
    "unplanned": (lambda w: {"extra": normal(1)}, {"extra": ["unplanned"]}),
    "shape": (lambda w: {"up": normal(1, TALL)}, {"up": ["shape"]}),
    "dtype": (lambda w: {"q": w["q"].astype(jnp.bfloat16)}, {"q": ["dtype"]}),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found_and_nothing_else(name):
    change, expected = FAULTS[name]
    assert kinds(**change(model()[1])) == expected


def test_findings_say_what_it_looks_like():
    w = model()[1]
    plain = functools.partial(ij.VarianceScaling, 1.0)
    swapped = plain("fan_out", "untruncated_normal")(root(8), TALL)
    said = found(
        down=swapped,
        up=w["up"] * 2**0.5,
        gate=w["up"],
        k=with_(w["k"], np.s_[0], np.nan),
    )
    assert re.fullmatch(
        r"std 0\.12\d*, promised 0\.07217: 1\.7\d* times, as with fan_in and fan_out "
        "exchanged",
        dict(said["down"])["std"],
    )
    assert dict(said["up"])["std"].endswith(" times (√2)")
    assert said["k"] == [("nan", "192 entries are NaN")]


def test_a_law_may_promise_few_values():
    weights = {"w": drawn(ij.Cast(ij.HeNormal(), "bfloat16"), WIDE)}
    for law, kinds in (
        (ij.Cast(ij.HeNormal(), "bfloat16"), []),
        (ij.HeNormal(), ["coarse"]),
    ):
        plan = ij.plan(ij.Rules([("w", law)]), weights)
        assert [f.kind for _, f in ij.report(weights, plan).findings] == kinds


@pytest.mark.parametrize("seed", range(3))
def test_correct_models_raise_no_alarm(seed):
    """In shards, and in bfloat16, which may seem coarse."""
    spread = NamedSharding(mesh(), PartitionSpec(("a", "b")))
    tree = shapes("bfloat16", layers=2)
    weights = ij.init_tree(RULES, tree, root(seed), shardings=spread)
    assert ij.report(weights, ij.plan(RULES, tree)).findings == ()
    assert ij.report(weights).findings == ()


def test_false_alarms_are_rarer_than_one_in_a_hundred():
    """A threshold for all tests together, on the scale of the normal law."""
    least = chance.threshold(5000)
    assert 5000 * math.erfc(least / math.sqrt(2)) == pytest.approx(0.002)
    for p in (1e-3, 1e-8, 1e-40, 1e-200):
        z = chance.sigmas(math.log(p))
        assert math.erfc(z / math.sqrt(2)) == pytest.approx(p, rel=1e-2)


# -- without a plan --------------------------------------------------------------------

LIKE = {
    "zeros": (ij.Zeros(), WIDE, "zeros"),
    "ones": (ij.Ones(), WIDE[:1], "ones"),
    "constant": (ij.Constant(0.1), WIDE[:1], "constant 0.1"),
    "he": (
        ij.HeNormal(),
        WIDE,
        "normal cut at 2, std 0.17* (He, fan_in 64, (in, out))",
    ),
    "lecun_out": (
        ij.VarianceScaling(1.0, "fan_out", "untruncated_normal"),
        WIDE,
        "normal, std 0.07* (LeCun, fan_in 192, (out, in))",
    ),
    "glorot": (
        ij.GlorotUniform(),
        WIDE,
        "uniform, std 0.08* (Glorot, 64 + 192)",
    ),
    "torch": (
        ij.VarianceScaling(1 / 3, "fan_out", "uniform"),
        WIDE,
        "uniform, std 0.0* (PyTorch's layers, fan_in 192, (out, in))",
    ),
    "number": (ij.RandomNormal(stddev=0.02), WIDE, "normal, std 0.0*"),
    "mean": (ij.RandomUniform(0.0, 1.0), WIDE, "uniform, mean 0.*, std 0.2*"),
    "orthogonal": (ij.Orthogonal(), TALL, "orthogonal"),
    "rounded": (ij.Orthogonal(dtype="bfloat16"), TALL, "orthogonal"),
    "gain": (ij.Orthogonal(2.0), WIDE, "orthogonal, gain 2"),
    "none": (ij.Cauchy(), WIDE, None),
}


@pytest.mark.parametrize("name", LIKE)
def test_a_weight_without_a_plan_is_like_a_law(name):
    law, shape, text = LIKE[name]
    (row,) = ij.report({"w": drawn(law, shape, 2)}).rows
    assert row.promised is None
    assert row.z_std is None
    if text is None:
        assert row.law is None
    else:
        pattern = re.escape(text).replace(r"\*", ".*")
        assert re.fullmatch(pattern, row.law), row.law
    assert row.findings == ()


def test_a_convolution_has_either_layout():
    w = normal(0, (64, 32, 3, 3)) * np.float32(math.sqrt(2 / 288))
    (row,) = ij.report({"w": w}).rows
    assert row.law.endswith(" (He, fan_in 288, (out, in, ...))")


def test_faults_are_found_without_a_plan():
    coarse = narrow(0.02)
    report = ij.report(
        {"a": coarse, "b": np.full(WIDE, 0.5, np.float32), "c": normal(1)}
    )
    assert [(path, f.kind) for path, f in report.findings] == [
        ("b", "dead"),
        ("a", "coarse"),
    ]


# -- how it is shown -------------------------------------------------------------------


def test_the_table_has_the_worst_first_and_a_verdict_last():
    plan, weights = model()
    text = str(ij.report({"0": weights}, plan))
    assert text.splitlines()[-1] == "9 weights, 86,400 parameters: nothing is wrong"
    wrong = weights | {"q": with_(weights["q"], np.s_[0, 0], np.nan), "down": None}
    del wrong["down"]
    report = ij.report({"0": wrong}, plan)
    lines = str(report).splitlines()
    assert lines[0].split() == (
        "weights path shape dtype law promised std z low high finding".split()
    )
    assert lines[1].endswith("nan: 1 entry is NaN")
    assert lines[2].endswith("missing: the weights lack it")
    assert lines[-1] == "2 of 9 weights are wrong: nan 1, missing 1"
    assert "nan: 1 entry" in report._repr_html_()
    assert repr(report) == f"<Report: {lines[-1]}>"


def test_layers_alike_are_one_line():
    tree = shapes(layers=3)
    report = ij.report(ij.init_tree(RULES, tree, root(0)), ij.plan(RULES, tree))
    lines = str(report).splitlines()
    assert len(lines) == 1 + len(LAYER) + 1
    assert lines[1].split()[:2] == ["3", "*/bias"]


def test_json_has_words_for_what_it_lacks():
    plan, weights = model()
    wrong = weights | {"q": weights["k"], "scale": weights["bias"]}
    read = json.loads(ij.report({"0": wrong}, plan).to_json())
    assert read["ok"] is False
    rows = {row["path"]: row for row in read["rows"]}
    assert rows["0/down"]["promised"][2:] == ["-Infinity", "Infinity"]
    assert rows["0/q"]["findings"][0]["certainty"] > 100
    assert float(rows["0/scale"]["findings"][0]["certainty"]) == math.inf
    assert rows["0/q"]["shape"] == [64, 192]


def test_show_needs_rich(capsys, monkeypatch):
    report = ij.report({"w": normal(0)})
    monkeypatch.setenv("COLUMNS", "200")
    report.show()
    shown = capsys.readouterr().out
    assert "normal, std" in shown
    assert "1 weight, 12,288 parameters: nothing is wrong" in shown
    real = builtins.__import__

    def without(name, *args):
        if name.startswith("rich"):
            raise ImportError(name)
        return real(name, *args)

    monkeypatch.setattr(builtins, "__import__", without)
    said = "Report.show draws its table with rich; pip install 'initjax[report]'"
    assert_refused(report.show, ImportError, said)


# -- plans as files --------------------------------------------------------------------


def test_a_plan_comes_back_from_its_json():
    plan, weights = model()
    read = ij.TreePlan.from_json(plan.to_json())
    assert read == plan
    assert ij.report({"0": weights}, read) == ij.report({"0": weights}, plan)


def changed(**fields):
    return lambda: ij.TreePlan.from_json(
        json.dumps(json.loads(model()[0].to_json()) | fields)
    )


def leaf(**fields):
    first = json.loads(model()[0].to_json())["leaves"][0]
    return changed(leaves=[first | fields])


def of_function():
    shape = {"w": jax.ShapeDtypeStruct(WIDE, "float32")}
    rules = ij.Rules([("w", jax.nn.initializers.lecun_normal())])
    return ij.TreePlan.from_json(ij.plan(rules, shape).to_json())


def deleted():
    x = jnp.ones(3)
    x.delete()
    return ij.report({"w": x})


def without_leaves():
    given = json.loads(model()[0].to_json())
    del given["leaves"]
    return ij.TreePlan.from_json(json.dumps(given))


FILE = "TreePlan.from_json: "
REFUSED = {
    "no_arrays": (
        lambda: ij.report({"step": 3}),
        ValueError,
        "report: the tree has no arrays; give a tree of weights.",
    ),
    "shape": (
        lambda: ij.report({"w": jax.ShapeDtypeStruct((3,), "float32")}),
        ValueError,
        "report: 'w' is only a shape; give arrays.",
    ),
    "traced": (
        lambda: jax.jit(lambda x: ij.report({"w": x}))(jnp.ones(3)),
        ValueError,
        "report: runs outside of jax.jit, on arrays.",
    ),
    "deleted": (
        deleted,
        ValueError,
        "report: 'w' has been deleted or donated; give arrays.",
    ),
    "text": (
        lambda: ij.report({"w": np.array(["a"])}),
        ValueError,
        "report: 'w' has the dtype <U1, no numbers; leave it out.",
    ),
    "bare": (
        lambda: ij.report(jnp.ones(3)),
        ValueError,
        "report: a bare array has no path; give a tree: {'name': array}.",
    ),
    "rules": (
        lambda: ij.report({"w": jnp.ones(3)}, RULES),
        TypeError,
        "report: rules are no plan; give ij.plan(rules, params).",
    ),
    "no_plan": (
        lambda: ij.report({"w": jnp.ones(3)}, "plan.json"),
        TypeError,
        "report: plan must be what ij.plan returns, got str.",
    ),
    "singular": (
        lambda: ij.report({"w": jnp.ones(3)}, singular=1),
        TypeError,
        "report: singular is True or False, got 1.",
    ),
    "paths": (
        lambda: ij.report({"w": jnp.ones(3)}, model()[0]),
        ValueError,
        "report: the plan is of other paths: it has '0/bias', the tree 'w'; plan this "
        "tree, or rename one side's.",
    ),
    "no_text": (
        lambda: ij.TreePlan.from_json({}),
        TypeError,
        FILE + "needs the text that to_json returns, got dict.",
    ),
    "no_json": (
        lambda: ij.TreePlan.from_json("{"),
        ValueError,
        FILE + "is no JSON: Expecting property name enclosed in double quotes: line 1 "
        "column 2 (char 1).",
    ),
    "too_deep": (
        lambda: ij.TreePlan.from_json("[" * 200_000),
        ValueError,
        FILE + "is no JSON: nested too deep.",
    ),
    "list": (
        lambda: ij.TreePlan.from_json("[]"),
        ValueError,
        FILE + "the plan must be an object, got [].",
    ),
    "lacks": (
        without_leaves,
        ValueError,
        FILE + "the plan lacks 'leaves'; give what TreePlan.to_json wrote.",
    ),
    "more": (
        changed(more=1),
        ValueError,
        FILE + "the plan has an unknown field 'more'.",
    ),
    "function": (
        of_function,
        TypeError,
        FILE + "'w': is made by the function "
        "'jax._src.nn.initializers.variance_scaling.<locals>.init', which no file "
        "holds; plan with a law in its place.",
    ),
    "unknown_law": (
        leaf(law={"class_name": "os.system", "config": {}}),
        ValueError,
        re.compile(re.escape(FILE) + r"'0/bias': deserialize\(.*os\.system.*"),
    ),
    "dtype": (
        leaf(dtype="object"),
        ValueError,
        FILE + "'0/bias': no dtype of numbers: 'object'.",
    ),
    "bytes": (
        leaf(bytes=-1),
        ValueError,
        FILE + "'0/bias': 'bytes' must be a number of things, got -1.",
    ),
    "changed": (
        changed(fingerprint="0"),
        ValueError,
        re.compile(
            re.escape(FILE) + "the fingerprint '0' is not that of the leaves, "
            "'[0-9a-f]{64}': the file was changed; plan again."
        ),
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_wrong_use_says_what_to_do(name):
    assert_refused(*REFUSED[name])
