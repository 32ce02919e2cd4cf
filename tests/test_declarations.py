"""Declarations: parts are clones, blocks are apart, and every law takes `fan`."""

import dataclasses
import json
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tools import assert_same_bits, public, root

import initjax as ij
from initjax import Fan
from initjax._fans.declaration import part_shapes

DECLARATIONS = {
    "einsum": (Fan.einsum("btd,dhk->bthk"), (4, 2, 3)),
    "dense_general": (Fan.dense_general(1, 2, batch=1), (3, 4, 2, 5)),
    "conv": (Fan.conv(layout="HWIO"), (3, 3, 2, 4)),
    "conv transposed": (Fan.conv(2, True, "IOHW", (2, 1), "o"), (4, 2, 3, 3)),
    "layout": (Fan.layout("oi"), (4, 6)),
    "stacked": (Fan.stacked(0), (3, 4, 6)),
    "stacked conv": (Fan.stacked(-1, of="conv"), (3, 2, 4, 5)),
    "experts": (Fan.experts(0, of=Fan.layout("oi")), (3, 4, 6)),
    "fused": (Fan.fused(3, axis=1), (4, 6)),
    "fused by length": (Fan.fused([4, 1, 1], axis=1), (4, 6)),
    "fused by name": (Fan.fused({"q": 4, "k": 1, "v": 1}, 0, Fan.layout("oi")), (6, 4)),
    "fused in stacked": (Fan.stacked(0, Fan.fused(2, axis=-1)), (3, 4, 16)),
    "lookup": (Fan.embedding(), (6, 4)),
    "readout": (Fan.embedding("readout", features=0), (4, 6)),
    "given": (ij.Given(12, 3), (6,)),
}
LAWS = [
    ij.HeNormal(seed="s"),
    ij.RandomUniform(seed=("a", 1)),
    ij.TruncatedNormal(),
    ij.Zeros(),
    ij.Constant(2.0),
    ij.scaled(ij.LecunNormal(), 0.5),
]


@pytest.fixture(params=DECLARATIONS, ids=lambda name: name)
def declared(request):
    return DECLARATIONS[request.param]


@pytest.mark.parametrize(
    "fan", [*(fan for fan, _ in DECLARATIONS.values()), Fan.beside("{kernel,w}")]
)
def test_a_declaration_is_a_value(fan):
    init = ij.HeNormal(fan=fan)
    assert eval(repr(fan), public()) == fan
    assert pickle.loads(pickle.dumps(fan)) == fan
    assert ij.deserialize(json.loads(json.dumps(ij.serialize(init)))) == init
    assert hash(init) == hash(ij.HeNormal(fan=fan))
    assert init != ij.HeNormal()


@pytest.mark.parametrize(
    ("given", "plain"),
    [
        (ij.HeNormal(in_axis=np.array(0), out_axis=np.array([1])), {"in_axis": 0}),
        (ij.HeNormal(in_axis=jnp.array([0]), out_axis=range(1, 2)), {"in_axis": [0]}),
        (ij.HeNormal(fan=np.float32(2)), {"fan": 2.0}),
        (ij.HeNormal(fan=[np.int64(2), 3]), {"fan": (2, 3)}),
        (ij.HeNormal(fan=Fan.fused(np.array([4, 2]))), {"fan": Fan.fused([4, 2])}),
        (ij.HeNormal(fan=Fan(np.int8(0), [np.array(1)])), {"fan": Fan(0, 1)}),
    ],
)
def test_numbers_and_sequences_of_any_kind_are_kept_plain(given, plain):
    more = {"out_axis": 1} if "in_axis" in plain else {}
    assert given == ij.HeNormal(**plain, **more)
    assert json.loads(json.dumps(ij.serialize(given))) == ij.serialize(given)


PAIRS = [
    (init, name)
    for name, (fan, shape) in DECLARATIONS.items()
    for init in (LAWS[::2] if fan.parts(shape) else LAWS[:1])
]


@pytest.mark.parametrize(("init", "name"), PAIRS)
def test_every_law_takes_one(init, name):
    """The same bits eagerly and jitted; a part is the clone of its name."""
    fan, shape = DECLARATIONS[name]
    init = dataclasses.replace(init, fan=fan)
    x = init(root(), shape)
    assert_same_bits(jax.jit(lambda key: init(key, shape))(root()), x)
    if (parts := fan.parts(shape)) is None:
        return
    part = dataclasses.replace(init, fan=parts.of)
    drawn = [
        ij.clone_initializer(part, name)(root(), part_shape)
        for name, part_shape in zip(parts.names, part_shapes(shape, parts), strict=True)
    ]
    assert_same_bits(x, jnp.concatenate(drawn, parts.axis))


@pytest.mark.parametrize("init", LAWS[1:-1:2], ids=lambda init: type(init).__name__)
def test_a_law_without_fans_keeps_its_numbers(init, declared):
    fan, shape = declared
    if fan.parts(shape) is None:
        x = dataclasses.replace(init, fan=fan)(root(), shape)
        assert_same_bits(x, init(root(), shape))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_blocks_of_a_matrix_law_are_matrices_of_their_own(axis):
    init = ij.Orthogonal(gain=2.0, fan=Fan.stacked(axis))
    x = np.moveaxis(np.asarray(init(root(), (5, 5, 5))), axis, 0)
    products = np.einsum("bij,bik->bjk", x, x)
    np.testing.assert_allclose(
        products, np.broadcast_to(4 * np.eye(5), (5, 5, 5)), atol=2e-5
    )
    assert len({block.tobytes() for block in x}) == 5


def test_more_blocks_leave_the_first_as_they_were():
    init = ij.Orthogonal(fan=Fan.experts(0))
    few, many = (np.asarray(init(root(), (n, 4, 4))) for n in (2, 5))
    assert_same_bits(few, many[:2])


def test_an_attention_kernel_is_orthogonal_from_its_inputs_to_its_outputs():
    x = ij.Orthogonal(fan=Fan.einsum("btd,dhk->bthk"))(root(), (8, 2, 3))
    flat = np.asarray(x).reshape(8, 6)
    np.testing.assert_allclose(flat.T @ flat, np.eye(6), atol=1e-5)


def test_an_identity_is_one_per_layer():
    x = ij.Identity(fan=Fan.stacked(0))(root(), (2, 3, 3))
    assert_same_bits(x, np.broadcast_to(np.eye(3, dtype="float32"), (2, 3, 3)))


@pytest.mark.parametrize("fan", [Fan.fused(2, axis=1), Fan.fused([1, 5], axis=1)])
def test_a_fused_weight_lives_in_its_shards(fan):
    """As one weight does, and with its bits."""
    mesh = jax.make_mesh((8,), ("x",))
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("x"))
    init = ij.GlorotNormal(fan=fan)
    x = init(root(), (16, 6), out_sharding=sharding)
    assert x.sharding == sharding
    assert_same_bits(x, init(root(), (16, 6)))


def test_parts_of_different_fans_have_the_law_of_their_mixture(key):
    init = ij.LecunNormal(fan=Fan.fused([600, 200], axis=0))
    law, shape = init.law((800, 100)), (800, 100)
    assert law.fans is None
    x = np.asarray(init(key, shape), np.float64)
    error = abs(x.std() / law.std - 1) * np.sqrt(2 * x.size)
    assert error < 5
    assert law.std == pytest.approx(np.sqrt((3 / 600 + 1 / 200) / 4))
    assert law.cdf(np.asarray([law.low, 0.0, law.high])).tolist() == [0.0, 0.5, 1.0]


@dataclasses.dataclass(frozen=True)
class Mine(ij.Initializer):
    """A law of a user's own, which says nothing of its stream."""

    def _sample(self, key, shape, dtype):
        return jax.random.normal(key, shape, dtype)


@pytest.mark.parametrize("parts", [2, [100, 300]])
def test_parts_of_a_law_of_ones_own_are_independent(parts):
    x = Mine(fan=Fan.fused(parts, axis=0))(root(), (400, 5))
    first, second = x[:100].ravel(), x[-100:].ravel()
    assert abs(np.corrcoef(first, second)[0, 1]) < 5 / np.sqrt(first.size)
    assert len(np.unique(x)) > x.size - 5  # a chance meeting or two of 24-bit numbers


KERNELS = {  # laws that are written for (window..., in, out)
    "identity": (ij.Identity(shift=1), (5, 4)),
    "delta": ij.DeltaOrthogonal(method="qr"),
    "dirac": ij.Dirac(2, gain=3.0),
    "bilinear": ij.Bilinear(),
    "aware": ij.ConvolutionAware(),
}


@pytest.mark.parametrize("name", KERNELS)
def test_a_law_of_kernels_follows_the_axes_that_are_declared(name):
    """Also layer by layer, and where several axes are the outputs."""
    init = KERNELS[name]
    init, shape = init if isinstance(init, tuple) else (init, (3, 3, 2, 6))
    rank = len(shape)
    usual = init(root(), shape)
    turned = (rank - 1, rank - 2, *range(rank - 2))
    fan = Fan(1, 0)
    theirs = dataclasses.replace(init, fan=fan)
    shapes = tuple(shape[axis] for axis in turned)
    assert_same_bits(theirs(root(), shapes), usual.transpose(turned))
    law = theirs.law(shapes)
    assert law.fans == fan.fans(shapes)
    assert dataclasses.replace(law, fans=None) == dataclasses.replace(
        init.law(shape), fans=None
    )
    split = dataclasses.replace(init, fan=Fan(-3, (-2, -1)))
    heads = (*shape[:-1], 2, shape[-1] // 2)
    assert_same_bits(split(root(), heads), usual.reshape(heads))
    stack = dataclasses.replace(init, fan=Fan.stacked(0, of=fan))(root(), (2, *shapes))
    usual = dataclasses.replace(init, fan=Fan.stacked(0))(root(), (2, *shape))
    moved = tuple(1 + axis for axis in turned)
    assert_same_bits(stack, usual.transpose(0, *moved))
