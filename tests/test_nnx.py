"""NNX models by rule: values, fans of real models, shards, new weights in place."""

import contextlib
import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P
from tools import assert_refused, assert_same_bits, in_two_processes, root

import initjax as ij
from initjax.adapters.nnx import abstract, create, reinit

pytestmark = pytest.mark.usefixtures("as_frameworks_expect")
MESH = jax.make_mesh((4, 2), ("data", "model"))
OPTIONAL = functools.partial(ij.Spec, optional=True)
RULES = ij.Rules(
    [
        ("**/scale", OPTIONAL("ones")),
        ("**/bias", OPTIONAL("zeros")),
        (nnx.LoRAParam, OPTIONAL(ij.RandomNormal(stddev=0.02))),
        ("**/embedding", OPTIONAL(ij.RandomNormal(stddev=0.02))),
        ("**/kernel", "lecun_normal"),
    ]
)


def listed(layers):
    return nnx.List(layers) if hasattr(nnx, "List") else layers


def flat(state):
    """The arrays of a state by path."""
    rows = nnx.to_flat_state(state)
    return {"/".join(map(str, path)): jax.tree.leaves(x)[0] for path, x in rows}


def params(model):
    return flat(nnx.state(model, nnx.Param))


def bits(x):
    is_key = jnp.issubdtype(x.dtype, jax.dtypes.prng_key)
    return np.asarray(jax.random.key_data(x) if is_key else x)


def fans(plan):
    """The fans of a plan's leaves by path, of the parts where they differ."""
    rows = [row for row in plan.rows if row.fans]
    return {row.path: next((f.fan_in, f.fan_out) for f in row.fans) for row in rows}


# -- models: Flax's NNX examples written anew ------------------------------------


class Attention(nnx.Module):
    """Gemma's: einsums of the heads, keys and values in one."""

    def __init__(self, d, heads, groups, width, *, rngs):
        def einsum(text, *shape):
            return nnx.Einsum(text, shape, rngs=rngs)

        self.q = einsum("BTD,NDH->BTNH", heads, d, width)
        self.kv = einsum("BSD,CKDH->CBSKH", 2, groups, d, width)
        self.out = einsum("BTNH,NHD->BTD", heads, width, d)


class FeedForward(nnx.Module):
    def __init__(self, d, wide, *, rngs):
        linear = functools.partial(nnx.Linear, use_bias=False, rngs=rngs)
        self.gate, self.up = linear(d, wide), linear(d, wide)
        self.down = linear(wide, d)


class GemmaBlock(nnx.Module):
    def __init__(self, d, heads, groups, width, wide, *, rngs):
        self.norm = nnx.RMSNorm(d, rngs=rngs)
        self.attn = Attention(d, heads, groups, width, rngs=rngs)
        self.mlp = FeedForward(d, wide, rngs=rngs)


class Gemma(nnx.Module):
    def __init__(self, vocabulary, d, *sizes, layers=1, rngs):
        self.embedder = nnx.Embed(vocabulary, d, rngs=rngs)
        self.layers = listed([GemmaBlock(d, *sizes, rngs=rngs) for _ in range(layers)])
        self.norm = nnx.RMSNorm(d, rngs=rngs)


class ResBlock(nnx.Module):
    def __init__(self, inputs, outputs, *, rngs):
        conv = functools.partial(nnx.Conv, use_bias=False, rngs=rngs)
        self.conv1 = conv(inputs, outputs, (3, 3), strides=2)
        self.bn1 = nnx.BatchNorm(outputs, rngs=rngs)
        self.conv2 = conv(outputs, outputs, (3, 3))
        self.bn2 = nnx.BatchNorm(outputs, rngs=rngs)
        self.skip = conv(inputs, outputs, (1, 1), strides=2)


class ResNet(nnx.Module):
    def __init__(self, widths, classes, *, rngs):
        self.stem = nnx.Conv(3, widths[0], (7, 7), use_bias=False, rngs=rngs)
        pairs = itertools.pairwise(widths)
        self.blocks = listed([ResBlock(*pair, rngs=rngs) for pair in pairs])
        self.drop = nnx.Dropout(0.1, rngs=rngs)
        self.head = nnx.Linear(widths[-1], classes, rngs=rngs)


class VitBlock(nnx.Module):
    """Of a ViT whose MLP is tuned by LoRA."""

    def __init__(self, d, heads, wide, *, rngs):
        self.attn = nnx.MultiHeadAttention(heads, d, rngs=rngs)
        self.up = nnx.LoRALinear(d, wide, lora_rank=2, rngs=rngs)
        self.down = nnx.LoRALinear(wide, d, lora_rank=2, rngs=rngs)


# of the widths of Gemma 2B, ResNet-18 and ViT-B, and those of small ones
GEMMA = (256_128, 2048, 8, 1, 256, 16_384)
REAL = {
    "gemma": (Gemma, GEMMA, {
        "embedder/embedding": (1, 2048),
        "layers/0/attn/q/kernel": (2048, 8 * 256),
        "layers/0/attn/kv/kernel": (2048, 2 * 1 * 256),
        "layers/0/attn/out/kernel": (8 * 256, 2048),
        "layers/0/mlp/gate/kernel": (2048, 16_384),
        "layers/0/mlp/up/kernel": (2048, 16_384),
        "layers/0/mlp/down/kernel": (16_384, 2048),
    }),
    "resnet": (ResNet, ((64, 128, 256), 1000), {
        "stem/kernel": (49 * 3, 49 * 64),
        "blocks/0/conv1/kernel": (9 * 64, 9 * 128),
        "blocks/0/conv2/kernel": (9 * 128, 9 * 128),
        "blocks/0/skip/kernel": (64, 128),
        "blocks/1/conv1/kernel": (9 * 128, 9 * 256),
        "blocks/1/conv2/kernel": (9 * 256, 9 * 256),
        "blocks/1/skip/kernel": (128, 256),
        "head/kernel": (256, 1000),
    }),
    "vit": (VitBlock, (768, 12, 3072), {
        **{f"attn/{name}/kernel": (768, 768) for name in ("query", "key", "value")},
        "attn/out/kernel": (12 * 64, 768),
        "up/kernel": (768, 3072),
        "up/lora/lora_a": (768, 2),
        "up/lora/lora_b": (2, 3072),
        "down/kernel": (3072, 768),
        "down/lora/lora_a": (3072, 2),
        "down/lora/lora_b": (2, 768),
    }),
}  # fmt: skip
WEIGHTS = "**/{kernel,embedding,lora_a,lora_b}"


@pytest.mark.parametrize("name", REAL)
def test_fans_of_a_real_model_need_no_declaration(name):
    model, sizes, table = REAL[name]
    rules = ij.Rules([(WEIGHTS, "glorot_normal")], default="zeros")
    assert fans(ij.plan(rules, abstract(model, *sizes))) == table


class Zoo(nnx.Module):
    """A layer of each kind whose kernel a shape does not say enough of."""

    def __init__(self, *, rngs):
        self.general = nnx.LinearGeneral((4, 6), (3, 5), axis=(-2, -1), rngs=rngs)
        self.batch = nnx.LinearGeneral(6, 5, batch_axis={0: 7}, rngs=rngs)
        self.groups = nnx.Conv(8, 12, (3,), feature_group_count=4, rngs=rngs)
        self.up = nnx.ConvTranspose(8, 6, (4, 4), strides=(2, 2), rngs=rngs)
        self.up2 = nnx.ConvTranspose(8, 6, 4, transpose_kernel=True, rngs=rngs)
        self.lstm = nnx.OptimizedLSTMCell(8, 6, rngs=rngs)
        self.gru = nnx.GRUCell(8, 6, rngs=rngs)
        self.dots = nnx.Einsum("td,d...->t...", (8, 6), rngs=rngs)
        stacked = nnx.split_rngs(splits=3)(nnx.vmap(self.block))
        self.layers = stacked(rngs)
        self.odd = nnx.split_rngs(splits=3)(nnx.vmap(self.block, out_axes=1))(rngs)
        self.tied = self.layers

    @staticmethod
    def block(rngs):
        return nnx.Sequential(
            nnx.Linear(8, 6, rngs=rngs), nnx.Conv(6, 4, (5, 5), rngs=rngs)
        )


def test_fans_of_layers():
    """Fused gates by the gate; stacked layers by the layer, where axes lead."""
    tree = abstract(Zoo)
    rules = ij.Rules(
        [("odd/**/kernel", "zeros"), ("**/kernel", "glorot_normal")], default="zeros"
    )
    assert fans(ij.plan(rules, tree)) == {
        "general/kernel": (24, 15),
        "batch/kernel": (6, 5),
        "groups/kernel": (3 * 2, 3 * 12 / 4),
        "up/kernel": (16 * 8 / 4, 16 * 6),
        "up2/kernel": (4 * 8, 4 * 6),
        "lstm/dense_i/kernel": (8, 6),
        "lstm/dense_h/kernel": (6, 6),
        "gru/dense_i/kernel": (8, 6),
        "gru/dense_h/kernel": (6, 6),
        "dots/kernel": (8, 6),
        "layers/layers/0/kernel": (8, 6),
        "layers/layers/1/kernel": (25 * 6, 25 * 4),
    }
    assert flat(tree)["odd/layers/0/kernel"].fan is None


# -- values ----------------------------------------------------------------------

SMALL = {
    "gemma": (Gemma, (16, 8, 2, 1, 4, 12)),
    "resnet": (ResNet, ((4, 6), 3)),
    "vit": (VitBlock, (8, 2, 12)),
}


@functools.cache
def small(name):
    model, sizes = SMALL[name]
    return create(model, *sizes, key=root(), rules=RULES)


def parts(path):
    return [int(part) if part.isdigit() else part for part in path.split("/")]


@pytest.mark.parametrize("name", SMALL)
def test_weights_are_those_of_init_tree_by_path(name):
    """And a kernel is that of its law, called with its path's key."""
    model, sizes = SMALL[name]
    tree, made = abstract(model, *sizes), params(small(name))
    by_path = flat(ij.init_tree(RULES, tree, root()))
    assert made.keys() == by_path.keys() == flat(tree).keys()
    for path, weight in flat(tree).items():
        assert_same_bits(made[path], by_path[path], path)
        if path.endswith("kernel"):
            law, key = (
                ij.LecunNormal(fan=weight.fan),
                ij.fold_in_path(root(), *parts(path)),
            )
            assert_same_bits(made[path], law(key, weight.shape), path)


def test_all_other_state_is_what_the_model_makes():
    """Batch statistics, generators and their counts; the graph as well."""
    model, sizes = SMALL["resnet"]

    def own(key):
        graphdef, _, rest = nnx.split(model(*sizes, rngs=nnx.Rngs(key)), nnx.Param, ...)
        return graphdef, rest

    graphdef, state = jax.jit(own)(root())
    made = nnx.split(small("resnet"), nnx.Param, ...)
    assert made[0] == graphdef
    state, rest = flat(state), flat(made[2])
    assert rest.keys() == state.keys() > {"drop/rngs/key", "blocks/0/bn1/mean"}
    for path, x in rest.items():
        assert_same_bits(bits(x), bits(state[path]), path)


# -- shards ----------------------------------------------------------------------

AXES = [("in", "data"), ("out", "model")]  # logical axes, and those of the mesh
SHARDS = {
    "up/kernel": P("data", "model"),
    "up/bias": P(("data", "model")),
    "down/kernel": P("model", "data"),
    "down/bias": P("model"),
    "mean": P(("data", "model")),
    "drop/rngs/count": P(),
    "drop/rngs/key": P(),
}


class Mlp(nnx.Module):
    """Of laws of ours alone, with a large statistic."""

    def __init__(self, is_spread, *, rngs):
        def split(init, *axes):
            return nnx.with_partitioning(init, axes) if is_spread else init

        self.up = nnx.Linear(
            256,
            1024,
            kernel_init=split(ij.HeNormal(), "in", "out"),
            bias_init=split(ij.RandomUniform(), ("data", "model")),
            rngs=rngs,
        )
        self.down = nnx.Linear(
            1024,
            256,
            kernel_init=split(ij.LecunNormal(), "out", "in"),
            bias_init=split(ij.Zeros(), "out"),
            rngs=rngs,
        )
        ones = split(ij.Ones(), ("data", "model"))
        self.mean = nnx.BatchStat(ones(rngs(), (1 << 18,), jnp.float32))
        self.drop = nnx.Dropout(0.1, rngs=rngs)


MLP_RULES = ij.Rules([("**/kernel", ij.GlorotNormal()), ("**", "normal")])


@functools.cache
def mlp(is_ruled, way):
    options = {"rules": MLP_RULES} if is_ruled else {}
    with contextlib.ExitStack() as stack:
        if way == "in use":
            stack.enter_context(jax.set_mesh(MESH))
        elif way == "given":
            options["mesh"] = MESH
        stack.enter_context(nnx.logical_axis_rules(AXES))
        return create(Mlp, way != "nowhere", key=root(), **options)


@pytest.mark.parametrize(
    ("is_ruled", "way"), [(True, "given"), (False, "given"), (False, "in use")]
)
def test_every_array_is_born_in_its_shards(is_ruled, way, monkeypatch):
    """No array, and nothing that a program computes, is larger than a shard."""
    if way == "in use" and not hasattr(jax, "set_mesh"):
        pytest.skip("no mesh to be in")
    compile_, programs = jax.stages.Lowered.compile, []

    def spy(lowered, *args, **kwargs):
        programs.append(compile_(lowered, *args, **kwargs))
        return programs[-1]

    monkeypatch.setattr(jax.stages.Lowered, "compile", spy)
    before = jax.live_arrays()  # kept, so that no other gets the id of one
    state = flat(nnx.state(mlp(is_ruled, way)))
    known = {id(x) for x in before}
    new = [x for x in jax.live_arrays() if id(x) not in known]
    assert state.keys() == SHARDS.keys()
    for path, x in state.items():
        assert x.sharding.is_equivalent_to(NamedSharding(MESH, SHARDS[path]), x.ndim)
        assert x.sharding.mesh == MESH
    shard = 256 * 1024 * 4 // 8
    assert len(new) >= len(state)
    assert max(x.addressable_data(0).nbytes for x in new) == shard
    memory = [program.memory_analysis() for program in programs]
    assert len(memory) > 2
    assert max(x.output_size_in_bytes for x in memory) <= shard
    assert max(x.temp_size_in_bytes for x in memory) < 64


@pytest.mark.parametrize("is_ruled", [True, False])
def test_bits_do_not_depend_on_the_mesh(is_ruled):
    one = flat(nnx.state(mlp(is_ruled, "nowhere")))
    for path, x in flat(nnx.state(mlp(is_ruled, "given"))).items():
        assert_same_bits(bits(x), bits(one[path]), path)


def test_laws_as_initializers_are_those_of_the_direct_call():
    """In NNX called eagerly, and in create without rules."""
    one, model = mlp(False, "nowhere"), Mlp(False, rngs=nnx.Rngs(root()))
    keys = nnx.Rngs(root())
    for layer, inputs in (("up", 256), ("down", 1024)):
        shape, features = (inputs, 1280 - inputs), (1280 - inputs,)
        kernel = {"up": ij.HeNormal(), "down": ij.LecunNormal()}[layer]
        bias = {"up": ij.RandomUniform(), "down": ij.Zeros()}[layer]
        for name, x in (
            ("kernel", kernel(keys.params(), shape)),
            ("bias", bias(keys.params(), features)),
        ):
            for made in (one, model):
                assert_same_bits(params(made)[f"{layer}/{name}"], x, name)


def test_two_processes_make_one_model(tmp_path):
    program = """
    import numpy as np
    from flax import nnx
    import initjax as ij
    from initjax.adapters.nnx import create

    class Model(nnx.Module):
        def __init__(self, *, rngs):
            split = nnx.with_partitioning(ij.HeNormal(), ("data", "model"))
            self.dense = nnx.Linear(16, 4, kernel_init=split, rngs=rngs)
            self.norm = nnx.BatchNorm(4, rngs=rngs)
            self.drop = nnx.Dropout(0.1, rngs=rngs)

    mesh = jax.make_mesh((4, 2), ("data", "model"))
    rules = ij.Rules([("**/scale", "ones"), ("**/bias", "zeros"), ("**", "he_normal")])
    model = create(Model, key=jax.random.key(5), mesh=mesh, rules=rules)
    state = jax.tree.leaves(nnx.state(model))
    assert all(len(x.sharding.device_set) == 8 for x in state), state
    for shard in jax.tree.leaves(nnx.state(model.dense))[1].addressable_shards:
        i, j = (part.start for part in shard.index)
        np.save(f"{sys.argv[3]}/{i}-{j}.npy", shard.data)
    """
    in_two_processes(program, tmp_path)
    parts = [
        np.hstack([np.load(tmp_path / f"{i}-{j}.npy") for j in (0, 2)])
        for i in range(0, 16, 4)
    ]
    key = ij.fold_in_path(root(), "dense", "kernel")
    assert_same_bits(np.vstack(parts), ij.HeNormal()(key, (16, 4)))


# -- some weights anew -----------------------------------------------------------


def test_reinit_makes_a_type_of_variables_anew_in_place():
    """Every other array is the same object, whatever holds it."""
    model = create(VitBlock, *SMALL["vit"][1], key=root(), rules=RULES)
    before, variable = flat(nnx.state(model)), model.up.lora.lora_a
    rules = ij.Rules([(nnx.LoRAParam, "he_uniform")])
    assert reinit(model, rules, root(6), only=nnx.LoRAParam) is None
    assert model.up.lora.lora_a is variable
    anew = flat(ij.init_tree(rules, abstract(model), root(6), only=nnx.LoRAParam))
    after = flat(nnx.state(model))
    assert sum("lora_" in path for path in after) == 4
    for path, x in after.items():
        if "lora_" in path:
            assert_same_bits(x, anew[path], path)
        else:
            assert x is before[path], path


def test_reinit_keeps_a_weight_in_its_shards():
    """Chosen by a list of patterns; statistics and generators stay."""
    model = nnx.clone(mlp(True, "given"))
    before = flat(nnx.state(model))
    reinit(model, MLP_RULES, root(6), only=["up/*", "down/bias"])
    for path, x in flat(nnx.state(model)).items():
        assert x.sharding == before[path].sharding
        is_new = path in ("up/kernel", "up/bias", "down/bias")
        assert np.array_equal(bits(x), bits(before[path])) != is_new


# -- plans -----------------------------------------------------------------------


def test_no_rule_is_asked_for_a_generator():
    """In a plan of the whole state, and of the module; `abstract` has weights alone."""
    model, rules = small("resnet"), ij.Rules([], default="zeros")
    state = flat(nnx.state(model))
    assert {"drop/rngs/key", "drop/rngs/count"} < state.keys()
    for tree in (model, nnx.state(model)):
        paths = {row.path for row in ij.plan(rules, tree).rows}
        assert paths == state.keys() - {"drop/rngs/key", "drop/rngs/count"}
    paths = {row.path for row in ij.plan(rules, abstract(model)).rows}
    assert paths == params(model).keys()


def test_a_plan_says_the_shards():
    with nnx.logical_axis_rules(AXES):
        plan = ij.plan(MLP_RULES, abstract(Mlp, True, mesh=MESH))
    assert {row.path: row.shards for row in plan.rows} == {
        "up/kernel": 8, "up/bias": 8, "down/kernel": 8, "down/bias": 2,
    }  # fmt: skip
    plan = ij.plan(MLP_RULES, abstract(mlp(True, "given")))  # where it lives
    assert plan.rows[3].shards == 8
    plan = ij.plan(MLP_RULES, abstract(Mlp, True))  # partitioned, and no mesh at hand
    assert {row.shards for row in plan.rows} == {1}


# -- models of several kinds -----------------------------------------------------


class Bare(nnx.Module):
    """A model without rngs."""

    def __init__(self, d):
        self.kernel = nnx.Param(jnp.zeros((d, d)))


class Passing(Bare):
    def __init__(self, *args, **kwargs):
        self.drop = nnx.Dropout(0.5, rngs=kwargs.pop("rngs"))
        super().__init__(*args, **kwargs)


def streams(rngs):
    return nnx.Dropout(0.5, rngs=nnx.Rngs(dropout=rngs()))


@pytest.mark.parametrize(
    ("model", "args", "paths"),
    [
        (Bare, (2,), {"kernel"}),
        (functools.partial(Bare, 2), (), {"kernel"}),
        (Passing, (2,), {"kernel", "drop/rngs/key", "drop/rngs/count"}),
        (streams, (), {"rngs/key", "rngs/count"}),
        (lambda: Bare(2), (), {"kernel"}),
    ],
)
def test_rngs_go_where_they_are_asked_for(model, args, paths):
    assert flat(nnx.state(create(model, *args, key=root()))).keys() == paths


# -- the commonest mistakes ------------------------------------------------------

ONE = ij.Rules([("kernel", "he_normal")])
REFUSED = [
    (
        lambda: create(small("vit"), key=root()),
        TypeError,
        "adapters.nnx.create(VitBlock): needs the class, got a model that is built "
        "already; give VitBlock and its arguments, or make weights anew by "
        "initjax.adapters.nnx.reinit.",
    ),
    (
        lambda: create(Bare, 2),
        TypeError,
        "create() missing 1 required keyword-only argument: 'key'",
    ),
    (
        lambda: create(Bare, 2, key=nnx.Rngs(0)),
        TypeError,
        "adapters.nnx.create(Bare): needs a PRNG key, got nnx.Rngs; give "
        "jax.random.key(0), of which the model gets its nnx.Rngs.",
    ),
    (
        lambda: create(Bare, 2, key=0),
        TypeError,
        "adapters.nnx.create(Bare): needs a PRNG key, got key=0 of type int; give "
        "jax.random.key(0).",
    ),
    (
        lambda: create(nnx.Linear, 2, 2, rngs=nnx.Rngs(0), key=root()),
        TypeError,
        "adapters.nnx.create(Linear): the model's rngs are nnx.Rngs(key); leave them "
        "out. For others give a function, "
        "lambda rngs: Model(rngs=nnx.Rngs(params=rngs(), ...)).",
    ),
    (
        lambda: create(Bare, 2, key=root(), rules=[("kernel", "he_normal")]),
        TypeError,
        "adapters.nnx.create(Bare): rules must be Rules([...]), got list.",
    ),
    (
        lambda: create(Bare, 2, key=root(), rules=ij.Rules([("kernal", "zeros")])),
        ValueError,
        "adapters.nnx.create(Bare): 1 of 1 leaves match no rule:\n  kernel (2, 2)\n"
        "1 of 1 rules have no leaf:\n  'kernal': matches nothing; nearest is 'kernel'"
        "\nadd a rule or default=.",
    ),
    (
        lambda: create(lambda rngs: None, key=root()),
        TypeError,
        "adapters.nnx.create(<lambda>): returned None; return the model.",
    ),
    (
        lambda: create("Bare", key=root()),
        TypeError,
        "adapters.nnx.create(str): needs a class or a function that builds the model, "
        "got 'Bare'.",
    ),
    (
        lambda: create(Bare, 2, key=root(), mesh=("data",)),
        TypeError,
        "adapters.nnx.create(Bare): mesh must be a jax.sharding.Mesh, got ('data',); "
        "give jax.make_mesh(shape, names).",
    ),
    (
        lambda: create(Mlp, True, key=root(), mesh=MESH),
        ValueError,
        "adapters.nnx.create(Mlp): 'down/bias' is partitioned over 'out', and the mesh "
        "has ('data', 'model'); give a mesh that has it, or say by "
        "nnx.logical_axis_rules which of its axes it is.",
    ),
    (
        lambda: create(Mlp, True, key=root()),
        ValueError,
        "adapters.nnx.create(Mlp): 'down/bias' is partitioned by ('out',), and there "
        "is no mesh; give mesh=, or call under jax.set_mesh(mesh).",
    ),
    (
        lambda: abstract(small("vit"), mesh=MESH),
        TypeError,
        "adapters.nnx.abstract(VitBlock): a model that is built already takes no "
        "arguments and no mesh; leave them out, or give its class.",
    ),
    (
        lambda: reinit(Bare, ONE, root(), only="kernel"),
        TypeError,
        "adapters.nnx.reinit(Bare): needs a model, got Bare; "
        "initjax.adapters.nnx.create(Model, ..., key=key) makes one.",
    ),
    (
        lambda: reinit(small("vit"), ONE, root(), only=None),
        TypeError,
        "adapters.nnx.reinit(VitBlock): only says what to make anew; give a pattern.",
    ),
    (
        lambda: reinit(small("vit"), ONE, root(), only=nnx.BatchStat),
        ValueError,
        "adapters.nnx.reinit(VitBlock): only=<class 'flax.nnx.variablelib.BatchStat'> "
        "matches none of 16 leaves, such as 'attn/key/bias', 'attn/key/kernel', "
        "'attn/out/bias'; give another.",
    ),
]


@pytest.mark.parametrize(("call", "kind", "message"), REFUSED)
def test_a_mistake_says_the_way_out(call, kind, message):
    assert_refused(call, kind, message)
