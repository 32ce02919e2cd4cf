"""Wrong rules, declarations and trees are refused before anything is allocated."""

import dataclasses
import re
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P
from tools import assert_refused, public

import initjax as ij
from initjax import Fan, Rules, Spec


def struct(*shape, dtype="float32"):
    return jax.ShapeDtypeStruct(shape, jnp.dtype(dtype))


TREE = {
    "a": {"kernel": struct(4, 6), "bias": struct(6)},
    "b": {"kernel": struct(4, 2, 3)},
}
HE = ij.HeNormal()
ONES = Rules([("**", "ones")])
ZEROS = Rules([("**/bias", "zeros")])


@dataclasses.dataclass(frozen=True)
class Own(ij.Initializer):
    inner: object = HE

    def _sample(self, key, shape, dtype):
        return self.inner(key, shape, dtype)


def init(rules, tree=TREE, key=None, **kwargs):
    key = jax.random.key(0) if key is None else key
    return ij.init_tree(rules, tree, key, **kwargs)


# each: the call, the exception, the whole message
RULES = [
    (
        lambda: init(Rules([("**/bias", "zeros")])),
        "init_tree: 2 of 3 leaves match no rule:\n"
        "  a/kernel (4, 6)\n"
        "  b/kernel (4, 2, 3)\n"
        "add a rule or default=.",
    ),
    (
        lambda: init(ZEROS, {"l": [{"w": struct(4)}] * 3, "x": struct(2)}),
        "init_tree: 4 of 4 leaves match no rule:\n"
        "  l/*/w (4,), 3 leaves\n"
        "  x (2,)\n"
        "1 of 1 rules have no leaf:\n"
        "  '**/bias': matches nothing\n"
        "add a rule or default=.",
    ),
    (
        lambda: init(Rules([("**/kernl", "ones"), ("**", "ones")])),
        "init_tree: 1 of 2 rules have no leaf:\n"
        "  '**/kernl': matches nothing; nearest is 'b/kernel'\n"
        "correct or drop the rule, or say Rules(..., strict=False).",
    ),
    (
        lambda: init(Rules([("**", "ones"), ("**/bias", "zeros")])),
        "init_tree: 1 of 2 rules have no leaf:\n"
        "  '**/bias': earlier rules take all 1 leaves that it matches\n"
        "correct or drop the rule, or say Rules(..., strict=False).",
    ),
    (
        lambda: init(Rules([("**/bias", "zeros"), ("c/*", "ones")])),
        "init_tree: 2 of 3 leaves match no rule:\n"
        "  a/kernel (4, 6)\n"
        "  b/kernel (4, 2, 3)\n"
        "1 of 2 rules have no leaf:\n"
        "  'c/*': matches nothing\n"
        "add a rule or default=.",
    ),
    (
        lambda: ij.plan(
            Rules([("**/bias", "zeros")]), {f"w{i}": struct(1) for i in range(12)}
        ),
        re.compile(
            r"plan: 12 of 12 leaves match no rule:\n(  w\d+ \(1,\)\n){10}  and 2 "
            r"more\n.*",
            re.DOTALL,
        ),
    ),
    (
        lambda: init(Rules([("**/kernel", HE), ("**", "zeros")])),
        "init_tree: 'b/kernel' by rule '**/kernel': HeNormal() scales with fans, and a "
        "shape (4, 2, 3) of rank 3 does not say which axes are inputs; declare them: "
        "Spec(law, fan=Fan.dense_general(1, 2)), Fan.dense_general(2, 1), "
        "Fan.experts(0), Fan.stacked(0), 'conv', or the fan_in as a number.",
    ),
    (
        lambda: init(
            Rules([("**", ij.scaled("glorot_normal", 0.5))]), {"w": struct(3, 3, 4, 8)}
        ),
        "init_tree: 'w' by rule '**': Scaled(initializer=GlorotNormal(), by=0.5) "
        "scales "
        "with fans, and a shape (3, 3, 4, 8) of rank 4 does not say which axes are "
        "inputs; declare them: Spec(law, fan='conv'), Fan.conv(layout='OIHW'), "
        "Fan.stacked(0, of=...), Fan(in_axes, out_axes), or the fan_in as a number.",
    ),
    (
        lambda: init(
            Rules([("**", Spec(HE, fan=Fan.stacked(0)))]), {"w": struct(3, 3, 4, 8)}
        ),
        "init_tree: 'w' by rule '**': HeNormal(fan=Stacked()) scales with fans, and a "
        "shape (3, 3, 4, 8) of rank 4 does not say which axes are inputs; declare "
        "them: "
        "Spec(law, fan='conv'), Fan.conv(layout='OIHW'), Fan.stacked(0, of=...), "
        "Fan(in_axes, out_axes), or the fan_in as a number.",
    ),
    (
        lambda: init(Rules([("**", Spec(HE, fan=Fan.layout("oi")))])),
        "init_tree: 'a/bias' by rule '**': HeNormal(fan=Fan(in_axes=(1,), "
        "out_axes=(0,), "
        "rank=2))(key, shape=(6,)): fan=Fan(in_axes=(1,), out_axes=(0,), rank=2) "
        "declares 2 axes, the shape has 1; declare the axes it has.",
    ),
    (
        lambda: ij.plan(
            Rules([("**", Spec(HE, fan=Fan.fused(4, axis=1)))]), {"w": struct(4, 6)}
        ),
        "plan: 'w' by rule '**': HeNormal(fan=Fused(names=((0, None), (1, None), "
        "(2, None), (3, None)), axis=1))(key, shape=(4, 6)): axis 1 of 6 does not "
        "split "
        "into 4 equal parts; give their lengths.",
    ),
    (
        lambda: init(Rules([("**", "orthogonal")]), {"w": struct(5)}),
        "init_tree: 'w' by rule '**': Orthogonal()(key, shape=(5,)): needs a shape of "
        "rank >= 2, got rank 1; for a vector use RandomNormal(stddev=n ** -0.5).",
    ),
    (
        lambda: init(
            Rules([("**", Spec("ones", stream="x"))]), {"v": struct(1), "w": struct(1)}
        ),
        "init_tree: 'v' and 'w' would share the stream 'x'; give each its own.",
    ),
    (
        lambda: init(ONES, only="c/**"),
        "init_tree: only='c/**' matches none of 3 leaves, such as 'a/bias', "
        "'a/kernel', "
        "'b/kernel'; give another.",
    ),
    (
        lambda: ij.reinit(TREE, ONES, jax.random.key(0), only=["x", "y/*"]),
        "reinit: only=['x', 'y/*'] matches none of 3 leaves, such as 'a/bias', "
        "'a/kernel', 'b/kernel'; give another.",
    ),
    (
        lambda: init(ONES, {"a.b": struct(1), "a": {"b": struct(1)}}),
        "init_tree: two leaves have the path 'a/b': slashes and dots separate parts; "
        "rename one.",
    ),
    (
        lambda: init(ONES, struct(1)),
        "init_tree: a bare array has no path; give a tree: {'name': array}.",
    ),
    (
        lambda: init(ONES, {"k": jax.eval_shape(lambda: jax.random.key(0))}),
        "init_tree: the tree has no leaf with a shape and a dtype; give shapes, such "
        "as jax.eval_shape(model.init, key, x) returns.",
    ),
    (
        lambda: init(
            ONES, {"parameters": [{"path": "a", "shape": [1], "dtype": "float"}] * 2}
        ),
        "init_tree: the manifest lists 'a' twice.",
    ),
    (
        lambda: init(
            ONES, {"parameters": [{"path": "a", "shape": [1], "dtype": "f99"}]}
        ),
        "init_tree: 'a' has no numeric dtype: 'f99'.",
    ),
    (
        lambda: init(ONES, {"parameters": [{"path": "a"}]}),
        "init_tree: a manifest lists parameters as {path, shape, dtype}, got "
        "{'path': 'a'}.",
    ),
    (
        lambda: init(
            ONES, shardings=NamedSharding(jax.make_mesh((8,), ("x",)), P("x"))
        ),
        re.compile(
            r"init_tree: 'a/bias' by rule '\*\*': sharding=.* does not divide the "
            r"shape .*"
        ),
    ),
    (
        lambda: init(ONES, shardings=P("x")),
        "init_tree: 'a/bias' by rule '**': sharding=P('x') has no mesh; call under "
        "jax.set_mesh(mesh), or give NamedSharding(mesh, spec).".replace(
            "P('x')", str(P("x"))
        ),
    ),
    (
        lambda: init(ONES, shardings={"a": None}),
        re.compile(
            r"init_tree: shardings must be one sharding, or a tree of them that is a "
            r"prefix of the tree \(.*\)\."
        ),
    ),
    (
        lambda: init(Rules([("**", Spec("ones", dtype="float64"))])),
        "init_tree: 'a/bias' by rule '**': dtype float64 needs 64-bit mode; set "
        "jax.config.update('jax_enable_x64', True), or ask for float32.",
    ),
    (
        lambda: init(ONES, key=jax.random.split(jax.random.key(0), 2)),
        "init_tree: needs one PRNG key, got a batch of keys of shape (2,); use "
        "jax.vmap "
        "over the keys, or pick one.",
    ),
    (
        lambda: ij.missing({"c": jnp.ones(1)}, TREE, ONES, jax.random.key(0)),
        "missing: the checkpoint has 'c', and none of 3 leaves is called so in the "
        "tree; drop it, or rename it.",
    ),
    (
        lambda: ij.missing(TREE, ij.init_tree(ONES, TREE, jax.random.key(0)), ONES, 1),
        "missing: the checkpoint is shapes and the tree arrays; the order is "
        "missing(checkpoint, abstract_tree, rules, key).",
    ),
    (
        lambda: ij.missing({"a": {"bias": jnp.ones(5)}}, TREE, ONES, jax.random.key(0)),
        "missing: 'a/bias' is float32[5] in the checkpoint, float32[6] in the tree; "
        "convert it first, or say grow='rows'.",
    ),
    *(
        (
            lambda old=old: ij.missing(
                {"a": {"kernel": old}}, TREE, ONES, jax.random.key(0), grow="rows"
            ),
            f"missing: 'a/kernel' is {kind} in the checkpoint, float32[4, 6] in the "
            "tree; convert it first.",
        )
        for kind, old in {
            "float32[5, 6]": jnp.ones((5, 6)),
            "float32[3, 5]": jnp.ones((3, 5)),
            "float32[6]": jnp.ones(6),
            "bfloat16[3, 6]": jnp.ones((3, 6), "bfloat16"),
        }.items()
    ),
    (
        lambda: ij.missing(
            {"a": {"kernel": jnp.ones((0, 6))}},
            TREE,
            ONES,
            jax.random.key(0),
            grow="mean",
        ),
        "missing: 'a/kernel', float32[0, 6] in the checkpoint, has no mean to draw "
        "about; say grow='rows'.",
    ),
    (
        lambda: ij.missing({}, TREE, ONES, jax.random.key(0), grow="columns"),
        "missing: grow must be 'rows', 'mean' or None, got 'columns'.",
    ),
    (
        lambda: init(Rules([(lambda path, shape, dtype: shape[9], "ones")])),
        re.compile(
            r"init_tree: the predicate .*<lambda> raised IndexError\(.*\) for "
            r"'a/bias'; it is called as \(path, shape, dtype\)\."
        ),
    ),
    (
        lambda: init(ONES, {"a": struct(1), 3: struct(1)}),
        re.compile(r"init_tree: JAX cannot take the tree apart: ValueError\(.*\)\."),
    ),
    (
        lambda: init(
            ONES, {"parameters": [{"path": ["a"], "shape": [1], "dtype": "float32"}]}
        ),
        "init_tree: a manifest lists parameters as {path, shape, dtype}, got {'path': "
        "['a'], 'shape': [1], 'dtype': 'float32'}.",
    ),
    (
        lambda: jax.jit(
            lambda x: ij.plan(Rules([("**", ij.RandomNormal(stddev=x))]), TREE)
        )(1.0),
        re.compile(
            r"plan: 'a/bias' by rule '\*\*': RandomNormal\(.*\): holds a traced "
            r"number; plan outside of jax\.jit\."
        ),
    ),
    (
        lambda: ij.fingerprint({"a": np.array(["x"])}),
        "fingerprint: 'a' has the dtype <U1, no numbers; leave it out.",
    ),
    (
        lambda: ij.fingerprint({"a": deleted()}),
        "fingerprint: 'a' has been deleted or donated; give arrays.",
    ),
    (
        lambda: ij.mup_rules(Rules([("w", "he_normal")]), {"w": struct(0, 4)}),
        "mup_rules: 'w' has no entries in the base model, so it has no scale.",
    ),
    (
        lambda: ij.mup_learning_rates(
            Rules([("w", HE)]), {"w": struct(4, 4)}, {"w": struct(0, 4)}
        ),
        "mup_learning_rates: 'w' has no entries in the base model, so it has no scale.",
    ),
    (
        lambda: ij.missing({"a": {"bias": [1.0, 2.0]}}, TREE, ONES, jax.random.key(0)),
        "missing: the checkpoint's 'a/bias/0' is no array; convert it first, with "
        "numpy.asarray.",
    ),
    (
        lambda: ij.init_tree(ONES, {"a": (4, 4)}, jax.random.key(0)),
        "init_tree: the tree has no leaf with a shape and a dtype; give shapes, such "
        "as jax.eval_shape(model.init, key, x) returns.",
    ),
    (
        lambda: ij.fingerprint(TREE),
        "fingerprint: 'a/bias' is only a shape; give arrays.",
    ),
    (
        lambda: jax.jit(lambda x: ij.fingerprint({"x": x}))(jnp.ones(3)),
        "fingerprint: runs outside of jax.jit, on arrays.",
    ),
    (
        lambda: jax.grad(lambda x: ij.fingerprint({"x": x}))(1.0),
        "fingerprint: 'x' is traced; give arrays.",
    ),
    (
        lambda: ij.mup_rules(Rules([("**", ij.RandomNormal())]), TREE),
        re.compile(
            r"mup_rules: 'b/kernel' by rule 'b/kernel': MuP\(.*\) scales with fans, "
            r"and a shape \(4, 2, 3\) .*"
        ),
    ),
    (
        lambda: ij.mup_learning_rates(ONES, {"w": struct(1)}, {"v": struct(1)}),
        "mup_learning_rates: 'w' is no leaf of the base model; give one of the same "
        "depth.",
    ),
    (
        lambda: ij.mup_learning_rates(ONES, {"w": struct(1)}, {"w": struct(1)}, "lion"),
        "mup_learning_rates: optimizer must be 'adam' or 'sgd', got 'lion'.",
    ),
]


def deleted():
    x = jnp.ones(3)
    x.delete()
    return x


def tensor(**fields):
    """What another framework calls an array."""
    return type("Tensor", (), {"shape": (1,), "dtype": "float32"} | fields)()


GLOBS = {
    "": "has an empty part; give 'encoder/*/kernel', say",
    "/a": "has an empty part; give 'encoder/*/kernel', say",
    "a//b": "has an empty part; give 'encoder/*/kernel', say",
    "a/": "has an empty part; give 'encoder/*/kernel', say",
    "a**/b": "has '**' beside other text; it is a whole part",
    "{a,b": "has unbalanced or nested braces",
    "a}": "has unbalanced or nested braces",
    "{a,{b,c}}": "has unbalanced or nested braces",
    "[abc": "has a bracket without its other one",
}

BESIDE = Rules(
    [
        ("**/bias", ij.Spec(HE, fan=ij.Fan.beside("w*"))),
        ("**/w", HE),
        ("**/w_own", ij.Spec(HE, fan=3)),
        ("**/w_fn", jax.nn.initializers.zeros),
    ],
    strict=False,
)
NEEDED = (
    "init_tree: 'bias' by rule '**/bias': fan=Beside(weight='w*') needs a leaf beside "
    "it that a law fills, or several of the same fans, got {}; name it, or give the "
    "fan_in as a number."
)


@pytest.mark.filterwarnings("ignore:rules without a leaf")
@pytest.mark.parametrize(
    ("others", "got"),
    [
        ({}, "none"),
        ({"w": struct(2, 3), "w_own": struct(4)}, "'w', 'w_own'"),
        ({"w_fn": struct(2, 3)}, "'w_fn'"),
    ],
)
def test_fans_of_a_neighbour_are_refused_where_they_are_not_one(others, got):
    assert_refused(
        lambda: init(BESIDE, {"bias": struct(3), **others}),
        ValueError,
        NEEDED.format(got),
    )


KINDS = [
    (
        lambda: init([("**", "ones")]),
        "init_tree: rules must be Rules([...]), got list.",
    ),
    (
        lambda: Rules([(ij.HeNormal(), "**/kernel")]),
        "Rules: rule 0: is (initializer, pattern); a rule is a pair (pattern, "
        "initializer), ('**/kernel', HeNormal()).",
    ),
    (
        lambda: Rules([("ones", "**/kernel")]),
        "Rules: rule 0: is (initializer, pattern); a rule is a pair (pattern, "
        "initializer), ('**/kernel', 'ones').",
    ),
    (
        lambda: Rules({"a": "ones"}),
        "Rules: needs a list of (pattern, initializer), got dict; order decides, so "
        "give "
        "pairs.",
    ),
    (
        lambda: Rules(["ab"]),
        "Rules: rule 0: must be a pair (pattern, initializer), got 'ab'.",
    ),
    (
        lambda: Rules([(3, "ones")]),
        "Rules: rule 0: a pattern is a glob, a compiled regex, a predicate of (path, "
        "shape, dtype), or a class of Flax's variables, got 3.",
    ),
    (
        lambda: Rules([(ij.HeNormal, "ones")]),
        "Rules: rule 0: a pattern is a glob, a compiled regex, a predicate of (path, "
        "shape, dtype), or a class of Flax's variables, got "
        "<class 'initjax.laws.scaling.HeNormal'>.",
    ),
    (
        lambda: Rules([("a", None)]),
        "Rules: rule 0: Spec(None): needs an initializer, got None; give one.",
    ),
    (
        lambda: Rules({("a", "ones")}),
        "Rules: needs a list of (pattern, initializer), got set; order decides, so "
        "give pairs.",
    ),
    (
        lambda: Rules([(re.compile(b"a"), "ones")]),
        "Rules: rule 0: a pattern is a glob, a compiled regex, a predicate of (path, "
        "shape, dtype), or a class of Flax's variables, got re.compile(b'a').",
    ),
    (
        lambda: Rules([("a", "ones"), ("b", jax.nn.initializers.he_normal)]),
        "Rules: rule 1: Spec(he_normal): an initializer is called as (key, shape, "
        "dtype), and he_normal takes (in_axis, out_axis, batch_axis, dtype); if it "
        "makes initializers, call it: he_normal().",
    ),
    (
        lambda: Rules([("a", ij.nn.normal)]),
        "Rules: rule 0: Spec(normal): an initializer is called as (key, shape, dtype), "
        "and normal takes (stddev, dtype); if it makes initializers, call it: "
        "normal().",
    ),
    (
        lambda: Rules([], default=lambda shape, dtype: None),
        re.compile(
            r"Rules: default: Spec\(.*<lambda>\): an initializer is called as \(key, "
            r"shape, dtype\), and <lambda> takes \(shape, dtype\); if .*"
        ),
    ),
    (
        lambda: init(Rules([("**", lambda key, shape, dtype: jnp.ones)])),
        re.compile(
            r"init_tree: 'a/kernel' by rule '\*\*': <function .*> returned a function, "
            r"so it makes initializers; call it in the rule\."
        ),
    ),
    (
        lambda: Rules([("a", HE.bind(jax.random.key(0)))]),
        "Rules: rule 0: Spec(HeNormal().bind(key)): a bound law has a key, and draws "
        "the same for every leaf; give the law itself.",
    ),
    (
        lambda: init(Rules([(lambda path, shape, dtype: None, "ones")])),
        re.compile(
            r"init_tree: the predicate .*<lambda> returned None for 'a/bias'; return "
            r"True or False\."
        ),
    ),
    (
        lambda: Spec("ones", stream=(("a", 1), 2)),
        "Spec('ones'): a path is made of str and int, got ('a', 1) of type tuple; give "
        "a name or an index.",
    ),
    (
        lambda: init(ONES, {"a": tensor(dtype="torch.float32")}),
        "init_tree: 'a' has the shape (1,) and the dtype 'torch.float32', which are "
        "none of JAX's; convert it first, with numpy.asarray.",
    ),
    (
        lambda: init(ONES, {"a": tensor(shape=None)}),
        "init_tree: 'a' has the shape None and the dtype 'float32', which are none of "
        "JAX's; convert it first, with numpy.asarray.",
    ),
    (
        lambda: ij.plan(ONES, TREE).explain(3),
        "TreePlan.explain: the path must be a str, got int.",
    ),
    (
        lambda: ij.member({"a": jnp.ones((2, 3))}, 1.0),
        "member(tree, 1.0): must be an int, got float.",
    ),
    (
        lambda: Rules([("a", Own())]).get_config(),
        "Rules.get_config: rule 0: serialize(Own()): the class Own is not "
        "registered; decorate it with @initjax.register.",
    ),
    (lambda: Rules([], strict="no"), "Rules: strict must be True or False, got 'no'."),
    (
        lambda: Spec(jax.nn.initializers.ones, fan="conv"),
        "Spec(ones): fan=Fan(in_axes=(-2,), out_axes=(-1,)) needs a law, got function; "
        "give a law, such as HeNormal().",
    ),
    (
        lambda: init(ONES, only=3),
        re.compile(r"init_tree: a pattern is a glob, .*, got 3\."),
    ),
    (
        lambda: init(ONES, progress="yes"),
        "init_tree: progress is True, False or None, got 'yes'.",
    ),
    (
        lambda: ij.reinit(TREE, ONES, jax.random.key(0), only=None),
        "reinit: only says what to make anew; give a pattern.",
    ),
    (
        lambda: init(ONES, key=3),
        "init_tree: needs a PRNG key, got key=3 of type int; give jax.random.key(3).",
    ),
    (
        lambda: init(Rules([("**", lambda key, shape, dtype: None)])),
        re.compile(
            r"init_tree: 'a/kernel' by rule '\*\*': <function .*> returned None, not "
            r"an array of \(4, 6\)\."
        ),
    ),
    (
        lambda: init(Rules([("**", lambda key, shape, dtype: jnp.ones(3))])),
        re.compile(
            r"init_tree: 'a/kernel' by rule '\*\*': <function .*> returned shape "
            r"\(3,\) and dtype float32, not the asked \(4, 6\) and float32; return "
            r"what was asked\."
        ),
    ),
    (
        lambda: Rules([(len, "ones")]).get_config(),
        "Rules.get_config: rule 0: the predicate len is no data; give a glob or a "
        "regex.",
    ),
    (
        lambda: ij.mup_rules(
            Rules([("**", jax.nn.initializers.ones)]), {"w": struct(1)}
        ),
        "mup_rules: 'w': a function has no law to scale; give one of initjax.nn in "
        "place "
        "of jax.nn.initializers.",
    ),
    (
        lambda: ij.init_ensemble("ones", TREE, jax.random.key(0), 2),
        "init_ensemble: needs Rules or a function of a key, got str.",
    ),
    (
        lambda: ij.init_ensemble(ONES, TREE, jax.random.key(0), 2.0),
        "init_ensemble: n must be an int, got float.",
    ),
]

ENSEMBLES = [
    (
        lambda: ij.init_ensemble(ONES, TREE, jax.random.split(jax.random.key(0), 3), 3),
        "init_ensemble: needs one PRNG key, got a batch of keys of shape (3,); give "
        "one, and n: member i has member_key(key, i).",
    ),
    (
        lambda: ij.init_ensemble(ONES, TREE, np.zeros((3, 2), np.uint32), 3),
        "init_ensemble: needs one PRNG key, got a batch of keys of shape (3,); give "
        "one, and n: member i has member_key(key, i).",
    ),
    (
        lambda: ij.init_ensemble(ONES, TREE, jax.random.key(0), 0),
        "init_ensemble: needs one member or more, got n=0.",
    ),
    (
        lambda: ij.init_ensemble(ONES, TREE, jax.random.key(0, impl="rbg"), 2),
        "init_ensemble: rbg keys draw other numbers under jax.vmap than one by one, so "
        "no member could be made again alone; use a threefry key: "
        "jax.random.key(seed, impl='threefry2x32').",
    ),
    (
        lambda: jax.jit(lambda key: ij.init_ensemble(ONES, TREE, key, 2))(
            jax.random.key(0)
        ),
        "init_ensemble: runs outside jax.jit; inside, vmap over member keys.",
    ),
    (
        lambda: ij.init_ensemble(
            lambda key: {"w": jnp.ones(3)}, {"w": struct(4)}, jax.random.key(0), 2
        ),
        "init_ensemble: the function's tree differs from abstract_tree in 1 leaves: "
        "'w' "
        "is ((3,), 'float32'), not ((4,), 'float32').",
    ),
    (
        lambda: ij.member_key(jax.random.key(0), -1),
        "member_key(key, -1): members are counted from 0.",
    ),
    (
        lambda: ij.member({"a": jnp.ones((2, 3)), "b": jnp.ones(4)}, 0),
        "member(tree, 0): every leaf needs the members along its first axis, found "
        "leading axes [(2,), (4,)]; give what init_ensemble returns.",
    ),
    (
        lambda: ij.member({"a": struct(2, 3)}, 0),
        "member(tree, 0): a leaf is only a shape; give arrays.",
    ),
]

# each: a saved form, and what it is refused with
PAIR = "must be a pair [pattern, initializer], got "
SAVED = {
    "none": (None, "needs a dict, as get_config returns, got NoneType."),
    "empty": ({}, "needs 'rules', a list of pairs [pattern, initializer], got None."),
    "a key": (
        {"rules": [], "x": 1},
        "has no field 'x'; known: rules, default, strict.",
    ),
    "a row": ([3], f"rule 0: {PAIR}3."),
    "a short row": (["ab", ["a"]], f"rule 0: {PAIR}'ab'."),
    "a regex": (
        [[{"regex": "("}, "ones"]],
        "rule 0: the regex '(' is malformed: missing ), unterminated subpattern at "
        "position 0.",
    ),
    "no regex": (
        [["a", "ones"], [{"regex": 3}, "ones"]],
        "rule 1: a regex is saved as {'regex': a str, 'flags': an int}, got {'regex': "
        "3}.",
    ),
    "flags": (
        [[{"regex": "a", "flags": 128}, "ones"]],
        "rule 0: 128 are no flags of a regex of paths.",
    ),
    "a field": (
        [["a", {"initializer": "ones", "x": 1}]],
        "rule 0: has no field 'x'; known: initializer, fan, dtype, stream, optional, "
        "fallback.",
    ),
    "a fan": (
        [["a", {"initializer": "ones", "fan": {"class_name": "Fan", "config": 3}}]],
        "rule 0: cannot read the nested object {'class_name': 'Fan', 'config': 3}: it "
        "has no config.",
    ),
    "a stream": (
        [["a", {"initializer": "ones", "stream": []}]],
        "rule 0: Spec('ones'): needs at least one part; give a name, such as "
        "'encoder'.",
    ),
    "a law": (
        [["a", {"class_name": "RandomNormal", "config": {"stddev": -1}}]],
        "rule 0: RandomNormal(stddev=-1): must be a finite number >= 0.",
    ),
    "a default": (
        {"rules": [], "default": {"initializer": None}},
        "default: Spec(None): needs an initializer, got None; give one.",
    ),
}

FANS = {
    "Fan.einsum('btd->bt', kernel=1)": (
        "needs two operands and '->', such as 'btd,dhk->bthk'."
    ),
    "Fan.einsum('btd,dh', kernel=1)": (
        "needs two operands and '->', such as 'btd,dhk->bthk'."
    ),
    "Fan.einsum('bd,dd->bd', kernel=1)": (
        "the kernel has 'd' twice; give each axis a label."
    ),
    "Fan.einsum('bd,dk->bdz', kernel=1)": "the output has 'z', which no operand has.",
    "Fan.einsum('bd,dk->bd', kernel=1)": "the kernel's 'k' is in no other term.",
    "Fan.einsum('bd,...k->bk', kernel=1)": (
        "the kernel has its own axes: give letters in place of '...'."
    ),
    "Fan.einsum('b1,1k->bk', kernel=1)": (
        "'b1' is no term of an einsum; use letters and '...'."
    ),
    "Fan.einsum('bd,dk->bk', kernel=2)": (
        "kernel must be in [0, 2), one of the operands."
    ),
    "Fan.layout('xz')": (
        "'x' is no role; use i (input), o (output), b (batch), and h, w, d for a "
        "window."
    ),
    "Fan.conv(groups=1, transpose=False, layout='HWI', strides=1, per_group='i')": (
        "a layout has one I and one O; give 'HWIO', say."
    ),
    "Fan.conv(groups=1, transpose=False, layout=None, strides=2, per_group='i')": (
        "the strides of a plain convolution change no fan; leave them out."
    ),
    "Fan.conv(groups=0, transpose=False, layout=None, strides=1, per_group='i')": (
        "groups must be >= 1, got 0."
    ),
    "Fan.dense_general(-1, 1, 0)": "inputs must be >= 0, got -1.",
    "Fan.embedding('both', features=-1)": "use must be 'lookup' or 'readout'.",
    "Fan.embedding('lookup', features=2)": "a table has two axes; give 0 or 1.",
    "Fan(in_axes=(0,), out_axes=(1,)).fans(shape=(4,))": (
        "out_axes=1 is out of range for a shape of rank 1; give axes in [-1, 1), or a "
        "weight of higher rank."
    ),
    "Fan(in_axes=(0,), out_axes=(0,)).fans(shape=(4, 4))": (
        "axis 0 is in both in_axes and out_axes (in_axes=(0,), out_axes=(0,), "
        "batch_axes=()); an axis has one role: list it once."
    ),
    "Fan(in_axes=(-2,), out_axes=(-1,), groups=3).fans(shape=(3, 3, 2, 8))": (
        "fan=Fan(in_axes=(-2,), out_axes=(-1,), groups=3) has groups=3, which do not "
        "divide the 8 channels of out_axes; give groups that do."
    ),
    "Fan(in_axes=(-2,), out_axes=(-1,), strides=(2, 2)).fans(shape=(5, 4, 4))": (
        "fan=Fan(in_axes=(-2,), out_axes=(-1,), strides=(2, 2)) has 2 strides, the "
        "shape "
        "1 window axes; give one stride per window axis, or one for all."
    ),
    "Fused(names=((0, 3), (1, 4)), axis=1).fans(shape=(4, 6))": (
        "the parts have 3 + 4 = 7 along axis 1, the shape 6; give lengths that add up."
    ),
    "Given(fan_in=0)": "fan_in must be positive and finite.",
    "Given(fan_in=inf)": "fan_in must be positive and finite.",
    "HeNormal(fan='oi')": (
        "must be None, a declaration such as Fan.layout('oi'), 'conv', a number or a "
        "pair "
        "of numbers, got 'oi'; did you mean Fan.layout('oi')?"
    ),
    "HeNormal(fan='fan_in')": (
        "must be None, a declaration such as Fan.layout('oi'), 'conv', a number or a "
        "pair of numbers, got 'fan_in'; that is VarianceScaling(mode='fan_in')."
    ),
    "HeNormal(fan=Fan(in_axes=(0,), out_axes=(1,)), in_axis=(0,), out_axis=(1,))": (
        "takes fan or in_axis and out_axis, not both; drop one."
    ),
}


def shown(case):
    return str(case[1])[:60] if isinstance(case, tuple) else str(case)[:60]


@pytest.mark.parametrize("case", RULES + ENSEMBLES, ids=shown)
def test_wrong_rules_and_trees_are_value_errors(case):
    assert_refused(case[0], ValueError, case[1])


@pytest.mark.parametrize("case", KINDS, ids=shown)
def test_wrong_kinds_are_type_errors(case):
    assert_refused(case[0], TypeError, case[1])


@pytest.mark.parametrize("name", SAVED)
def test_a_wrong_config_is_refused_by_the_number_of_its_rule(name):
    config, message = SAVED[name]
    config = {"rules": config} if isinstance(config, list) else config
    with pytest.raises((TypeError, ValueError)) as caught:
        Rules.from_config(config)
    assert_refused(
        lambda: Rules.from_config(config),
        type(caught.value),
        f"Rules.from_config: {message}",
    )


@pytest.mark.parametrize("glob", GLOBS)
def test_a_malformed_glob_is_refused_where_it_is_written(glob):
    message = f"the glob {glob!r} {GLOBS[glob]}."
    call = lambda: Rules([("a", "ones"), (glob, "zeros")])  # noqa: E731 (one line reads best)
    assert_refused(call, ValueError, f"Rules: rule 1: {message}")
    assert_refused(lambda: init(ONES, only=glob), ValueError, f"init_tree: {message}")


@pytest.mark.parametrize("source", FANS)
def test_a_wrong_declaration_is_refused(source):
    names = {**public(), "inf": float("inf")}
    message = f"{source}: {FANS[source]}"
    assert_refused(lambda: eval(source, names), ValueError, message)


def test_nothing_is_allocated_before_an_error():
    before = {id(x) for x in jax.live_arrays()}
    tree = {"a": struct(1 << 10, 1 << 10), "z": struct(3)}
    key = jax.random.key(0)
    with pytest.raises(ValueError, match="'z' by rule"):
        ij.init_tree(Rules([("**", "orthogonal")]), tree, key)
    new = [x for x in jax.live_arrays() if id(x) not in before and x.size > 2]
    assert new == []


def test_a_bar_without_rich_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "rich", None)
    message = (
        "init_tree(progress=True) draws its bar with rich; "
        "pip install 'initjax[progress]'"
    )
    assert_refused(lambda: init(ONES, progress=True), ImportError, message)
