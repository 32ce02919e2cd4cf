"""Linen: variables by rule without a forward pass, in their shards, fans known."""

import functools
import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest
import recipe_models as models
from flax.traverse_util import flatten_dict
from jax import ShapeDtypeStruct
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P
from tools import assert_refused, assert_same_bits, root

import initjax as ij
from initjax import Fan, Rules
from initjax.adapters import linen

pytestmark = pytest.mark.usefixtures("as_frameworks_expect")

AUTO = (AxisType.Auto,) * 2  # of which Linen's own constraints are
MESH = jax.make_mesh((2, 4), ("data", "model"), axis_types=AUTO)
AXES = (("vocab", "model"), ("embed", "data"), ("heads", "model"), ("mlp", "model"))
HE = ij.HeNormal()
RULES = Rules([("**/{bias,scale}", ij.Zeros())], default=HE)


def floats(*shape):
    return ShapeDtypeStruct(shape, jnp.float32)


def named(tree):
    """Boxes off, by path."""
    return flatten_dict(nn.meta.unbox(tree), sep="/")


def logical(init, *names):
    return nn.with_logical_partitioning(init, names)


# -- real models: Flax's lm1b, its ResNet, its ViT -----------------------------------


class Block(nn.Module):
    """The encoder-decoder block of Flax's lm1b, its axes named as in MaxText."""

    heads: int
    mlp: int
    init: object = HE

    @nn.compact
    def __call__(self, x, _=None):
        width = x.shape[-1]
        norm = functools.partial(
            nn.LayerNorm, use_bias=False, scale_init=logical(ij.Ones(), "embed")
        )
        y = nn.MultiHeadDotProductAttention(
            self.heads, use_bias=False, name="attention",
            kernel_init=logical(self.init, "embed", "heads", "kv"),
            out_kernel_init=logical(self.init, "heads", "kv", "embed"),
        )(norm()(x))  # fmt: skip
        x = x + y
        wide = logical(self.init, "embed", "mlp")
        narrow = logical(self.init, "mlp", "embed")
        y = nn.gelu(nn.Dense(self.mlp, use_bias=False, kernel_init=wide)(norm()(x)))
        return x + nn.Dense(width, use_bias=False, kernel_init=narrow)(y), None


class LM(nn.Module):
    vocab: int = 64
    width: int = 16
    heads: int = 4
    mlp: int = 32
    layers: int = 2
    scanned: bool = False

    @nn.compact
    def __call__(self, tokens):
        table = logical(ij.RandomNormal(), "vocab", "embed")
        embed = nn.Embed(self.vocab, self.width, embedding_init=table, name="embed")
        x, options = embed(tokens), (self.heads, self.mlp)
        if self.scanned:
            stack = nn.scan(
                Block, variable_axes={"params": 1}, split_rngs={"params": True},
                length=self.layers, metadata_params={nn.meta.PARTITION_NAME: "layers"},
            )  # fmt: skip
            x, _ = stack(*options, name="layers")(x)
        else:
            for i in range(self.layers):
                x, _ = Block(*options, name=f"layer_{i}")(x)
        return embed.attend(x)


TOKENS = ShapeDtypeStruct((2, 8), jnp.int32)
LM1B = LM(30_000, 512, 8, 2048, 6)
ATTENTION = {"query": (512, 512), "key": (512, 512), "value": (512, 512)}
FANS = {
    "lm1b": (
        LM1B,
        TOKENS,
        {
            "embed/embedding": (1, 512),
            "layer_5/Dense_0/kernel": (512, 2048),
            "layer_5/Dense_1/kernel": (2048, 512),
            **{f"layer_0/attention/{k}/kernel": v for k, v in ATTENTION.items()},
            "layer_0/attention/out/kernel": (512, 512),
        },
    ),
    "lm1b scanned": (
        LM1B.clone(scanned=True),
        TOKENS,
        {
            "layers/Dense_0/kernel": (512, 2048),
            "layers/attention/query/kernel": (512, 512),
            "layers/attention/out/kernel": (512, 512),
        },
    ),
    "resnet": (
        models.ResNet(),
        floats(2, 16, 16, 3),
        {
            "conv_init/kernel": (49 * 3, 49 * 8),
            "BottleneckResNetBlock_0/Conv_1/kernel": (72, 72),
            "BottleneckResNetBlock_1/Conv_0/kernel": (32, 8),
            "BottleneckResNetBlock_0/conv_proj/kernel": (8, 32),
            "Dense_0/kernel": (32, 10),
        },
    ),
    "vit": (
        models.Vit(models.FLAX_ATTENTION),
        floats(2, 16, 16, 3),
        {
            "embedding/kernel": (16 * 3, 16 * 32),
            "Transformer/encoderblock_1/MultiHeadDotProductAttention_0/out/kernel": (
                32, 32,
            ),
            "Transformer/encoderblock_0/MlpBlock_0/Dense_0/kernel": (96, 32),
            "head/kernel": (32, 10),
        },
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FANS)
def test_fans_of_real_models(name):
    model, x, table = FANS[name]
    rules = Rules(
        [("**/{kernel,embedding}", "glorot_normal")], default=ij.Zeros(), strict=False
    )
    rows = {row.path: row for row in ij.plan(rules, linen.abstract(model, x)).rows}
    for path, fans in table.items():
        row = rows[f"params/{path}"]
        assert row.fans == (fans,), path
        assert row.std == pytest.approx(math.sqrt(2 / sum(fans)))


class Mine(nn.Conv):
    """A layer of a user's own."""


LAYERS = {
    "attention": (lambda: nn.DenseGeneral((2, 4)), (2, 8), (8, 8)),
    "heads": (lambda: nn.DenseGeneral(8, axis=(-2, -1)), (3, 2, 4), (8, 8)),
    "batched": (lambda: nn.DenseGeneral(5, batch_dims=(0,)), (9, 3, 8), (8, 5)),
    "conv": (lambda: nn.Conv(6, (3, 3)), (2, 4, 4, 8), (72, 54)),
    "grouped": (lambda: nn.Conv(6, 3, feature_group_count=2), (2, 4, 8), (12, 9)),
    "mine": (lambda: Mine(6, (3,), feature_group_count=2), (2, 4, 8), (12, 9)),
    "local": (lambda: nn.ConvLocal(6, (2, 2)), (2, 4, 4, 3), (12, 6)),
    "up": (lambda: nn.ConvTranspose(6, (4, 4), strides=(2, 2)), (2, 4, 4, 3), (12, 96)),
    "up flipped": (
        lambda: nn.ConvTranspose(6, (4,), strides=2, transpose_kernel=True),
        (2, 4, 3),
        (6, 24),
    ),
    "einsum": (lambda: nn.Einsum((3, 5, 2), "...td,dhk->...thk"), (2, 4, 3), (3, 10)),
    "remat": (lambda: nn.remat(nn.DenseGeneral)((2, 4)), (2, 8), (8, 8)),
    "vmap": (
        lambda: nn.vmap(
            nn.DenseGeneral, variable_axes={"params": -1}, split_rngs={"params": True},
            in_axes=None, axis_size=7,
        )((2, 4)),
        (2, 8),
        (8, 8),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYERS)
def test_fans_of_layers(name):
    make, shape, fans = LAYERS[name]
    kernel = linen.abstract(make(), floats(*shape))["params"]["kernel"]
    assert kernel.fan.fans(kernel.shape) == fans


def test_a_parameter_of_a_users_own_layer_is_stacked_too():
    class Own(nn.Module):
        @nn.compact
        def __call__(self, x, _):
            return x @ self.param("w", HE, (8, 8)), None

    stack = nn.scan(
        Own, variable_axes={"params": 1}, split_rngs={"params": True}, length=8
    )
    w = linen.abstract(stack(), floats(2, 8), None)["params"]["w"]
    assert (w.shape, w.fan) == ((8, 8, 8), Fan.stacked(1))


def test_wrappers_that_read_parameters_by_path():
    class Wrapped(nn.Module):
        @nn.compact
        def __call__(self, x):
            x = nn.WeightNorm(nn.Dense(8))(x)
            return nn.SpectralNorm(nn.Dense(4))(x, update_stats=False)

    x = jnp.ones((2, 8))
    shapes = jax.eval_shape(Wrapped().init, root(), x)
    made = linen.init_model(Wrapped(), RULES, root(), x)
    assert jax.tree.map(jnp.shape, made) == jax.tree.map(jnp.shape, shapes)


# -- values --------------------------------------------------------------------------


@functools.cache
def small(scanned, spread=False):
    """A small model's variables, made once."""
    options = {"mesh": MESH, "axis_rules": AXES} if spread else {}
    return linen.init_model(LM(scanned=scanned), RULES, root(), TOKENS, **options)


DECLARED = {
    "query": Fan.dense_general(1, 2),
    "key": Fan.dense_general(1, 2),
    "value": Fan.dense_general(1, 2),
    "out": Fan.dense_general(2, 1),
    "embed": Fan.embedding(),
}


@pytest.mark.parametrize("scanned", [False, True])
def test_values_are_those_of_the_law_at_its_path(scanned):
    shapes = jax.eval_shape(
        LM(scanned=scanned).init, root(), jnp.zeros((2, 8), "int32")
    )
    made = small(scanned)
    assert jax.tree.structure(made) == jax.tree.structure(shapes)
    assert named(made).keys() == named(shapes).keys()
    for path, x in named(made).items():
        parts = path.split("/")
        fan = DECLARED.get(parts[-2])
        if "layers" in parts:
            fan = Fan.stacked(1, of=fan)
        law = ij.Zeros() if parts[-1] == "scale" else ij.HeNormal(fan=fan)
        assert_same_bits(x, law(ij.fold_in_path(root(), *parts), x.shape), path)


def test_other_collections_are_as_the_model_makes_them():
    class Counts(nn.Module):
        @nn.compact
        def __call__(self, x, train):
            self.variable("cache", "mean", lambda: x.mean())
            return nn.BatchNorm(not train, name="norm")(nn.Dense(4)(x))

    x = jnp.arange(16.0).reshape(2, 8)
    made = linen.init_model(Counts(), RULES, root(), x, train=False, mesh=MESH)
    assert made["params"].keys() == {"norm", "Dense_0"}
    assert float(made["cache"]["mean"]) == 7.5
    stats = made["batch_stats"]["norm"]
    assert (stats["mean"] == 0).all()
    assert (stats["var"] == 1).all()
    assert stats["var"].sharding == NamedSharding(MESH, P())
    assert linen.abstract(Counts(), x, train=False).keys() == {"params"}


def test_no_forward_pass_is_run():
    """Its activations would need 2 TB."""
    model = nn.Sequential([nn.Dense(8), nn.BatchNorm(use_running_average=False)])
    made = linen.init_model(model, RULES, root(), floats(2**33, 64))
    assert made["params"]["layers_0"]["kernel"].shape == (64, 8)
    assert made["batch_stats"]["layers_1"]["mean"].shape == (8,)


def test_without_rules_the_models_own_initializers():
    model, x = models.ResNet(), jnp.zeros((2, 16, 16, 3))
    made = linen.init_model(model.clone(), None, root(), floats(*x.shape))
    fresh = ij.jit_init(model.init)(root(), x)
    assert jax.tree.structure(made) == jax.tree.structure(fresh)
    for a, b in zip(jax.tree.leaves(made), jax.tree.leaves(fresh), strict=True):
        assert_same_bits(a, b)


def test_what_nn_jit_keeps_of_a_trace_stays_ours():
    model = nn.jit(nn.DenseGeneral)((2, 4))
    x = jnp.ones((2, 8))
    for _ in range(2):  # the second trace is not looked at again
        (kernel,) = (linen.abstract(model, x)["params"]["kernel"],)
        assert kernel.fan == Fan.dense_general(1, 2)
    assert model.init(root(), x)["params"].keys() == {"kernel", "bias"}


BOXES = {
    "partitioned": lambda law: nn.with_partitioning(law, (None, "model")),
    "logical": lambda law: logical(law, "embed", "mlp"),
}


@pytest.mark.parametrize("box", BOXES)
def test_configs_in_boxes(box):
    """A config within a box is an initializer; DenseGeneral calls it with a matrix."""
    seen = []

    def init(key, shape, dtype):
        seen.append(HE(key, shape, dtype))
        return seen[-1]

    x = jnp.ones((2, 8))
    for law in (HE, init):
        kernel = nn.DenseGeneral((2, 4), kernel_init=BOXES[box](law)).init(root(), x)
        seen.append(kernel["params"]["kernel"].value.reshape(8, 8))
    assert_same_bits(seen[0], seen[1])
    assert_same_bits(seen[0], seen[2])


# -- shards --------------------------------------------------------------------------


@pytest.mark.parametrize("scanned", [False, True])
def test_every_array_is_born_in_its_shards(scanned):
    made = small(scanned, spread=True)
    spots = {"embed": P("model", "data"), "query": P("data", "model", None)}
    for path, x in named(made).items():
        most = 2 if path.endswith("scale") else 8
        assert x.addressable_shards[0].data.size == x.size // most, path
        spec = spots.get(path.split("/")[-2])
        if spec and not scanned:
            assert x.sharding == NamedSharding(MESH, spec)
    whole = named(small(scanned))
    for path, x in named(made).items():
        assert_same_bits(x, whole[path], path)
    boxes = [type(b) for b in jax.tree.leaves(made, is_leaf=nn.meta.is_axis_metadata)]
    assert {*boxes} == {nn.LogicallyPartitioned}


def test_no_array_is_whole_on_a_device():
    before = {*map(id, jax.live_arrays())}
    options = {"mesh": MESH, "axis_rules": AXES}
    made = linen.init_model(LM(), RULES, ij.member_key(root(), 1), TOKENS, **options)
    new = [x for x in jax.live_arrays() if id(x) not in before and x.size > 4]
    assert len(new) == len(jax.tree.leaves(made))
    for x in new:
        assert max(shard.data.size for shard in x.addressable_shards) <= x.size // 2


def test_where_the_mesh_and_the_rules_may_come_from():
    expected = named(small(False, spread=True))
    with nn.logical_axis_rules(AXES):
        told = linen.init_model(LM(), RULES, root(), TOKENS, mesh=MESH)
    for path, x in named(told).items():
        assert x.sharding == expected[path].sharding
    box = nn.with_logical_partitioning(HE, ("embed", "mlp"), mesh=MESH, rules=AXES)
    kernel = linen.abstract(nn.Dense(8, kernel_init=box), floats(2, 8))["params"]
    assert kernel["kernel"].value.sharding == NamedSharding(MESH, P("data", "model"))
    assert kernel["bias"].sharding is None


@pytest.mark.skipif(not hasattr(jax, "set_mesh"), reason="this jax has no set_mesh")
def test_the_mesh_in_use():
    box = nn.with_partitioning(HE, (None, "model"))
    layer = nn.Dense(8, kernel_init=box)
    with jax.set_mesh(MESH):
        shapes = linen.abstract(layer, floats(2, 8))["params"]
    assert shapes["kernel"].value.sharding.spec == P(None, "model")
    assert shapes["bias"].sharding.spec == P()


def test_rules_without_a_mesh_shard_inside_jit():
    def create(key):
        return linen.init_model(LM(), RULES, key, TOKENS)

    spec = nn.get_partition_spec(jax.eval_shape(create, root()))
    places = nn.logical_to_mesh_sharding(spec, MESH, AXES)
    expected = named(small(False, spread=True))
    for path, x in named(ij.jit_init(create, out_shardings=places)(root())).items():
        assert x.sharding == expected[path].sharding
        assert_same_bits(x, expected[path])


# -- mistakes ------------------------------------------------------------------------

DENSE = nn.Dense(4, kernel_init=nn.with_partitioning(HE, (None, "model")))
WHERE = "adapters.linen.init_model: "
MISTAKES = {
    "a class": (
        lambda: linen.init_model(nn.Dense, RULES, root(), floats(2, 8)),
        TypeError,
        WHERE + "module is the class Dense; make one: Dense(...).",
    ),
    "no module": (
        lambda: linen.init_model(DENSE.init, RULES, root(), floats(2, 8)),
        TypeError,
        WHERE + "module must be an instance of flax.linen.Module, got init.",
    ),
    "a shape": (
        lambda: linen.init_model(DENSE, RULES, root(), (2, 8)),
        TypeError,
        WHERE + "(2, 8) is a shape, not an input; give "
        "jax.ShapeDtypeStruct((2, 8), jnp.float32), or an array.",
    ),
    "a seed": (
        lambda: linen.init_model(DENSE, RULES, 0, floats(2, 8)),
        TypeError,
        WHERE + "needs a PRNG key, got key=0 of type int; give jax.random.key(0).",
    ),
    "no collection in the path": (
        lambda: linen.init_model(
            DENSE, Rules([("kernel", HE)], default="zeros"), root(), floats(2, 8)
        ),
        ValueError,
        "init_tree: 1 of 1 rules have no leaf:\n"
        "  'kernel': matches nothing; nearest is 'params/kernel'\n"
        "correct or drop the rule, or say Rules(..., strict=False).",
    ),
    "another collection": (
        lambda: linen.init_model(
            nn.BatchNorm(True),
            Rules([("batch_stats/**", "ones")], default="zeros"),
            root(),
            floats(2, 8),
        ),
        ValueError,
        "init_tree: 1 of 1 rules have no leaf:\n"
        "  'batch_stats/**': matches nothing\n"
        "correct or drop the rule, or say Rules(..., strict=False).",
    ),
    "no mesh": (
        lambda: linen.init_model(DENSE, RULES, root(), floats(2, 8), mesh=P("model")),
        TypeError,
        f"{WHERE}mesh must be a jax.sharding.Mesh, got {type(P()).__name__}.",
    ),
    "another mesh": (
        lambda: linen.abstract(DENSE, floats(2, 8), mesh=jax.make_mesh((8,), ("x",))),
        ValueError,
        "adapters.linen.abstract: 'params/kernel' is split by the axes "
        "(None, 'model'), and the mesh has ('x',); give a mesh with those axes, or for "
        "other names nn.with_logical_partitioning and axis_rules=.",
    ),
    "no axis rules": (
        lambda: linen.init_model(LM(), RULES, root(), TOKENS, mesh=MESH),
        ValueError,
        WHERE + "'params/embed/embedding' names the logical axes ('vocab', 'embed'), "
        "and nothing says which axes of the mesh they are; give "
        "axis_rules=[('embed', 'x'), ...], or call under nn.logical_axis_rules(...).",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_says_what_to_write(name):
    assert_refused(*MISTAKES[name])
