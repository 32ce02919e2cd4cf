"""Whole trees by rule: one equation for every leaf, whatever is around it."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P
from tools import assert_moments, assert_same_bits, in_two_processes

import initjax as ij
from initjax import Fan, Rules, Spec
from initjax._engine import blocks
from initjax._rules import fill as filling

ATTENTION = Spec("glorot_uniform", fan=Fan.dense_general(1, 2))
RULES = Rules(
    [
        ("**/{q,k,v}", ATTENTION),
        ("**/o", Spec(ij.Orthogonal(), fan=Fan.dense_general(2, 1))),
        ("**/qkv", Spec(ij.HeNormal(), fan=Fan.fused(3, axis=1))),
        ("**/experts", Spec("lecun_normal", fan=Fan.experts(0))),
        ("**/scale", "ones"),
        ("**/bias", "zeros"),
        ("**/plain", jax.nn.initializers.normal(0.1)),
        ("**/kernel", ij.depth_scaled(ij.RandomNormal(stddev=0.02, seed="own"), 12)),
    ]
)


def struct(*shape, dtype="float32", sharding=None):
    return jax.ShapeDtypeStruct(shape, jnp.dtype(dtype), sharding=sharding)


def layer():
    """Ten leaves: every kind of law that a rule may give."""
    return {
        **{name: struct(8, 2, 4) for name in "qkv"},
        "o": struct(2, 4, 8),
        "qkv": struct(8, 24),
        "experts": struct(2, 8, 16, dtype="bfloat16"),
        "scale": struct(8),
        "bias": struct(8, dtype="bfloat16"),
        "plain": struct(8, 8),
        "kernel": struct(8, 16),
    }


def model(names=range(10)):
    """A tree of 100 leaves."""
    return {f"block_{name}": layer() for name in names}


def flat(tree):
    return {jax.tree_util.keystr(p): x for p, x in jax.tree.leaves_with_path(tree)}


@pytest.fixture(scope="module")
def weights():
    return ij.init_tree(RULES, model(), jax.random.key(0))


# -- one equation ----------------------------------------------------------------


@pytest.mark.parametrize("name", layer())
def test_a_leaf_is_its_law_under_the_key_of_its_path(name, weights):
    law = next(r for r in RULES.rules if ij.Rules([r]) and _matches(r, name)).spec.law
    leaf = layer()[name]
    run = (
        law if isinstance(law, ij.Initializer) else jax.jit(law, static_argnums=(1, 2))
    )
    key = ij.fold_in_path(jax.random.key(0), "block_3", name)
    assert_same_bits(weights["block_3"][name], run(key, leaf.shape, leaf.dtype), name)


def _matches(rule, name):
    found = ij.plan(RULES, {"block": layer()})
    return next(r.rule for r in found.rows if r.path == f"block/{name}") == rule.name


@pytest.mark.parametrize("kind", ["raw", "rbg", "unsafe_rbg"])
def test_keys_of_every_kind(kind):
    key = jax.random.PRNGKey(1) if kind == "raw" else jax.random.key(1, impl=kind)
    tree = {"a": {"kernel": struct(4, 4)}, "b": {"bias": struct(4)}}
    rules = Rules([("**/kernel", ij.RandomNormal())], default="zeros")
    again = jax.random.PRNGKey(1) if kind == "raw" else jax.random.key(1, impl=kind)
    wanted = jax.jit(lambda k: ij.RandomNormal()(k, (4, 4)))(
        ij.fold_in_path(again, "a", "kernel")
    )
    assert_same_bits(ij.init_tree(rules, tree, key)["a"]["kernel"], wanted)


def test_inside_a_traced_function_the_laws_are_traced():
    tree, rules = {"a": {"kernel": struct(4, 4)}}, Rules([("**", "he_normal")])
    init = jax.jit(lambda key: ij.init_tree(rules, tree, key))
    wanted = ij.init_tree(rules, tree, jax.random.key(2))
    assert_same_bits(init(jax.random.key(2))["a"]["kernel"], wanted["a"]["kernel"])
    rows = jax.vmap(lambda key: ij.init_tree(rules, tree, key))(
        jax.random.split(jax.random.key(2), 3)
    )
    last = ij.init_tree(rules, tree, jax.random.split(jax.random.key(2), 3)[2])
    assert_same_bits(rows["a"]["kernel"][2], last["a"]["kernel"])


def test_inside_a_traced_function_leaves_live_where_asked():
    rules = Rules([("law", "he_normal"), ("function", jax.nn.initializers.normal())])
    tree = {name: struct(8, 4) for name in ("law", "function")}
    wanted = {name: NamedSharding(mesh(8), P("x")) for name in tree}
    init = jax.jit(lambda key: ij.init_tree(rules, tree, key, shardings=wanted))
    for name, x in init(jax.random.key(2)).items():
        assert x.sharding.is_equivalent_to(wanted[name], 2), name


def test_inside_a_traced_function_weights_may_be_traced():
    old, rules = {"a": jnp.ones((4, 4)), "b": jnp.ones(4)}, Rules([("*", "normal")])

    @jax.jit
    def again(old, key):
        return ij.reinit(old, rules, key, only="a")

    wanted = ij.reinit(old, rules, jax.random.key(2), only="a")
    for name, x in again(old, jax.random.key(2)).items():
        assert_same_bits(x, wanted[name], name)


def test_a_second_tree_compiles_nothing(weights, monkeypatch):
    def refuse(lowered):
        assert not list(lowered)
        return []

    monkeypatch.setattr(filling, "compiling", refuse)
    again = ij.init_tree(RULES, model(range(20)), jax.random.key(0))
    assert_same_bits(again["block_3"]["q"], weights["block_3"]["q"])


def test_one_program_serves_all_numbers_of_a_law(monkeypatch):
    counts = []

    def count(lowered):
        lowered = list(lowered)
        counts.append(len(lowered))
        return compiling(lowered)

    compiling = filling.compiling
    monkeypatch.setattr(filling, "compiling", count)
    monkeypatch.setattr(blocks, "_COMPILED", {})  # no kernel of another test serves
    laws = [ij.RandomNormal(stddev=0.1 * i) for i in range(1, 50)]
    rules = Rules([(f"w{i}", law) for i, law in enumerate(laws)])
    tree = {f"w{i}": struct(5, 7) for i in range(len(laws))}
    ij.init_tree(rules, tree, jax.random.key(0))
    assert counts == [1]


# -- edits stay local --------------------------------------------------------------

EDITS = {
    "insert": model([*range(5), "new", *range(5, 10)]),
    "remove": model([0, 1, 2, *range(5, 10)]),
    "reorder": dict(reversed(model().items())),
    "rename": model(["first", *range(1, 10)]),
    "reshape": model() | {"block_4": layer() | {"kernel": struct(8, 17)}},
}


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_of_a_tree_of_100_leaves_moves_no_other(edit, weights):
    edited, before = (
        flat(ij.init_tree(RULES, EDITS[edit], jax.random.key(0))),
        flat(weights),
    )
    assert len(before) == 100
    same = {
        path
        for path in edited.keys() & before.keys()
        if edited[path].shape == before[path].shape
    }
    assert len(same) == {"insert": 100, "remove": 80, "reorder": 100}.get(
        edit, 90 if edit == "rename" else 99
    )
    for path in same:
        assert_same_bits(edited[path], before[path], path)


def test_no_two_leaves_are_alike(weights):
    drawn = [
        x
        for path, x in flat(weights).items()
        if "scale" not in path and "bias" not in path
    ]
    assert len({np.asarray(x).tobytes() for x in drawn}) == len(drawn) == 80


# -- devices -----------------------------------------------------------------------


def mesh(*sizes):
    axes = ("x", "y")[: len(sizes)]
    return jax.make_mesh(sizes, axes, devices=jax.devices()[: int(np.prod(sizes))])


SHARDED = {
    "1": (mesh(1), P("x")),
    "2": (mesh(2), P("x")),
    "4": (mesh(4), P(None, "x")),
    "8": (mesh(8), P("x")),
    "2x4": (mesh(2, 4), P("x", "y")),
    "4x2": (mesh(4, 2), P(("x", "y"))),
    "2x2, last": (mesh(2, 2), P(None, "y")),
}


def wide(sharding=None):
    """Leaves whose axes 8 devices divide, whichever they are."""
    return {
        "q": struct(8, 8, 8, sharding=sharding),
        "o": struct(8, 8, 8, sharding=sharding),
        "qkv": struct(8, 24, sharding=sharding),
        "experts": struct(8, 8, 16, dtype="bfloat16", sharding=sharding),
        "kernel": struct(16, 24, sharding=sharding),
    }


WIDE_RULES = Rules([r for r in RULES.rules if r.name[4:-1] in {"{q,k,v}", *wide()}])


@pytest.mark.parametrize("name", SHARDED)
@pytest.mark.parametrize("given", ["shardings", "a prefix", "in the structs"])
def test_a_leaf_lives_where_asked_with_the_same_bits(name, given):
    sharding = NamedSharding(*SHARDED[name])
    tree = {"m": wide(sharding if given == "in the structs" else None)}
    asked = {"shardings": sharding, "a prefix": {"m": sharding}}.get(given)
    placed = ij.init_tree(WIDE_RULES, tree, jax.random.key(0), shardings=asked)
    alone = ij.init_tree(WIDE_RULES, {"m": wide()}, jax.random.key(0))
    for leaf in wide():
        assert placed["m"][leaf].sharding == sharding, leaf
        assert_same_bits(placed["m"][leaf], alone["m"][leaf], leaf)


def test_shardings_of_lists_of_layers():
    sharding = NamedSharding(mesh(8), P("x"))
    tree = {"layers": [{"b": struct(8)}, {"b": struct(8)}], "c": (struct(8), None)}
    asked = {"layers": [{"b": sharding}, sharding], "c": (None, None)}
    made = ij.init_tree(Rules([], "zeros"), tree, jax.random.key(0), shardings=asked)
    assert [layer["b"].sharding for layer in made["layers"]] == [sharding] * 2
    assert made["c"][0].sharding != sharding


@pytest.mark.skipif(not hasattr(jax, "set_mesh"), reason="jax.set_mesh is newer")
@pytest.mark.parametrize("kind", ["Auto", "Explicit"])
def test_a_spec_is_read_under_a_mesh(kind):
    kinds = (getattr(jax.sharding.AxisType, kind),) * 2
    alone = ij.init_tree(WIDE_RULES, wide(), jax.random.key(0))
    asked = jax.make_mesh((2, 4), ("x", "y"), axis_types=kinds)
    with jax.set_mesh(asked):
        placed = ij.init_tree(WIDE_RULES, wide(), jax.random.key(0), shardings=P("y"))
        for name, x in placed.items():
            assert x.sharding.is_equivalent_to(NamedSharding(asked, P("y")), x.ndim)
            assert_same_bits(x, alone[name], name)


def test_two_processes_make_one_tree(tmp_path):
    """Each holds its shards, and together the tree of one process."""
    program = """
        import numpy as np
        import initjax as ij
        from jax.sharding import NamedSharding, PartitionSpec as P
        sharding = NamedSharding(jax.make_mesh((8,), ("x",)), P("x"))
        rules = ij.Rules([("o", "orthogonal"), ("w", "he_normal")])
        tree = {name: jax.ShapeDtypeStruct((16, 8), "float32") for name in "ow"}
        out = ij.init_tree(rules, tree, jax.random.key(0), shardings=sharding)
        with open(f"{sys.argv[3]}/fingerprint{sys.argv[2]}", "w") as file:
            file.write(ij.fingerprint(out))
        for name, x in out.items():
            for shard in x.addressable_shards:
                path = f"{sys.argv[3]}/{name}{shard.index[0].start}"
                np.save(path, np.asarray(shard.data))
    """
    in_two_processes(program, tmp_path)
    rules = Rules([("o", "orthogonal"), ("w", "he_normal")])
    alone = ij.init_tree(rules, {n: struct(16, 8) for n in "ow"}, jax.random.key(0))
    for name, x in alone.items():
        parts = [np.load(tmp_path / f"{name}{i}.npy") for i in range(0, 16, 2)]
        assert_same_bits(np.concatenate(parts), x, name)
    said = {(tmp_path / f"fingerprint{i}").read_text() for i in range(2)}
    assert said == {ij.fingerprint(alone)}


# -- parts of a tree -----------------------------------------------------------------


@pytest.mark.parametrize(
    "only",
    ["block_3/**", ["**/q", "block_0/kernel"], lambda path, shape, dtype: "7" in path],
)
def test_a_part_equals_that_of_the_whole(only, weights):
    """And the rest is what was given."""
    tree = model()
    part = flat(ij.init_tree(RULES, tree, jax.random.key(0), only=only))
    abstract, whole = flat(tree), flat(weights)
    made = [path for path in part if isinstance(part[path], jax.Array)]
    assert 0 < len(made) < 100
    for path in part:
        if path in made:
            assert_same_bits(part[path], whole[path], path)
        else:
            assert part[path] is abstract[path]


def test_one_leaf_of_1137_allocates_that_leaf_alone():
    tree = {f"layers_{i}": {"kernel": struct(1 << 20, 1 << 20)} for i in range(1136)}
    tree["head"] = {"kernel": struct(4, 4)}
    before = {id(x) for x in jax.live_arrays()}
    filled = ij.init_tree(
        Rules([("**", "he_normal")]), tree, jax.random.key(0), only="head/*"
    )
    new = [x for x in jax.live_arrays() if id(x) not in before]
    assert sum(x.nbytes for x in new if x.size > 2) == filled["head"]["kernel"].nbytes


def test_reinit_makes_some_anew_and_keeps_the_others_objects(weights):
    again = ij.reinit(weights, RULES, jax.random.key(1), only="block_2/**")
    fresh = flat(ij.init_tree(RULES, model(), jax.random.key(1)))
    before = flat(weights)
    for path, x in flat(again).items():
        if "block_2" in path:
            assert_same_bits(x, fresh[path], path)
        else:
            assert x is before[path]


def test_reinit_keeps_where_a_leaf_lives():
    sharding = NamedSharding(mesh(8), P("x"))
    rules = Rules([("w", "he_normal")])
    placed = ij.init_tree(
        rules, {"w": struct(8, 8)}, jax.random.key(0), shardings=sharding
    )
    assert (
        ij.reinit(placed, rules, jax.random.key(1), only="w")["w"].sharding == sharding
    )


def test_reinit_of_an_equinox_module():
    with jax.debug_key_reuse(False):  # older Equinox splits a key it has used
        model = eqx.nn.MLP(2, 3, 8, 2, key=jax.random.key(0))
    rules = Rules(
        [
            ("**/weight", Spec("he_normal", fan=Fan.layout("oi"))),
            ("**/bias", "zeros"),
        ]
    )
    again = ij.reinit(model, rules, jax.random.key(1), only="layers/2/**")
    assert isinstance(again, eqx.nn.MLP)
    assert again.layers[0].weight is model.layers[0].weight
    assert again.activation is model.activation
    key = ij.fold_in_path(jax.random.key(1), "layers", 2, "weight")
    assert_same_bits(again.layers[2].weight, rules.rules[0].spec.law(key, (3, 8)))
    assert not again.layers[2].bias.any()
    assert again(jnp.ones(2)).shape == (3,)


def test_reinit_of_an_nnx_model():
    class Model(nnx.Module):
        def __init__(self, rngs):
            self.body = nnx.Linear(4, 8, rngs=rngs)
            self.drop = nnx.Dropout(0.5, rngs=rngs)
            self.head = nnx.Linear(8, 2, rngs=rngs)

        def __call__(self, x):
            return self.head(self.body(x))

    model = Model(nnx.Rngs(0))
    body = model.body.kernel[...]
    rules = Rules([("head/kernel", "zeros")], default="he_normal")
    params = nnx.state(model, nnx.Param)
    nnx.update(model, ij.reinit(params, rules, jax.random.key(1), only="head/kernel"))
    assert not model.head.kernel[...].any()
    assert_same_bits(model.body.kernel[...], body)
    assert model(jnp.ones((1, 4))).shape == (1, 2)


def test_missing_fills_what_a_checkpoint_lacks(weights):
    have = {
        path.replace("['", "").replace("']", ".").rstrip("."): x
        for i, (path, x) in enumerate(flat(weights).items())
        if i % 3
    }
    whole = ij.missing(have, model(), RULES, jax.random.key(0))
    assert jax.tree.structure(whole) == jax.tree.structure(model())
    kept = {id(x) for x in have.values()}
    assert sum(id(x) in kept for x in jax.tree.leaves(whole)) == len(have) == 66
    for path, x in flat(whole).items():
        assert_same_bits(x, flat(weights)[path], path)


def test_missing_takes_shapes_and_nones_as_lacking():
    rules, tree = (
        Rules([("**", "ones")]),
        {"a": struct(2), "b": struct(2), "c": struct(2)},
    )
    have = {"a": jnp.zeros(2), "b": struct(2), "c": None}
    filled = ij.missing(have, tree, rules, jax.random.key(0))
    assert filled["a"] is have["a"]
    assert [x.sum() for x in filled.values()] == [0, 2, 2]


# -- the two traps of Flax, by rules ---------------------------------------------------


def test_rules_give_an_einsum_kernel_its_std():
    """Flax's own is too small by sqrt(heads): 0.354 of it for 8 heads."""
    shape = (64, 8, 16)
    model = nnx.state(
        nnx.eval_shape(lambda: nnx.Einsum("btd,dhk->bthk", shape, rngs=nnx.Rngs(0))),
        nnx.Param,
    )
    rules = Rules([("kernel", Spec("lecun_normal", fan=Fan.einsum("btd,dhk->bthk")))])
    assert_moments(
        ij.init_tree(rules, model, jax.random.key(0))["kernel"][...], 0, 1 / 8
    )
    theirs = nnx.Einsum("btd,dhk->bthk", shape, rngs=nnx.Rngs(0)).kernel[...]
    assert_moments(theirs, 0, 8**-0.5 / 8)


def test_rules_give_batched_kernels_their_std():
    """Flax's own DenseGeneral is too small by sqrt(batch)."""
    import flax.linen as nn

    layer = nn.DenseGeneral(64, batch_dims=(0,), use_bias=False)
    x = jnp.ones((9, 2, 64))
    tree = jax.eval_shape(layer.init, jax.random.key(0), x)
    rules = Rules([("**/kernel", Spec("lecun_normal", fan=Fan.dense_general(batch=1)))])
    ours = ij.init_tree(rules, tree, jax.random.key(0))
    assert_moments(ours["params"]["kernel"], 0, 1 / 8)
    assert_moments(layer.init(jax.random.key(0), x)["params"]["kernel"], 0, 1 / 24)


# -- a bar -----------------------------------------------------------------------------


def test_a_bar_counts_to_the_end(monkeypatch):
    import contextlib

    from initjax._rules import init_tree as _init_tree

    totals, counted = [], []

    @contextlib.contextmanager
    def bar(arrays, size, caller):
        totals.append((arrays, size, caller))
        yield lambda more, size: counted.append((more, size))

    monkeypatch.setattr(_init_tree, "bar", bar)
    ij.init_tree(RULES, {"m": layer()}, jax.random.key(0), progress=True)
    arrays, size, caller = totals[0]
    assert caller == "init_tree"
    assert (arrays, size) == tuple(map(sum, zip(*counted, strict=True)))
