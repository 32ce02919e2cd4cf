"""Orbax and safetensors: arrays come back bit for bit, in their shards, or are made."""

import contextlib
import functools
import re

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest
import safetensors
from flax.training.train_state import TrainState
from jax import ShapeDtypeStruct
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P
from tools import assert_refused, assert_same_bits, root

import initjax as ij
from initjax import Rules
from initjax.adapters import linen, orbax
from initjax.adapters import safetensors as files

pytestmark = pytest.mark.usefixtures("as_frameworks_expect")

MESH = jax.make_mesh((8,), ("x",), axis_types=(AxisType.Auto,))
ROWS = NamedSharding(MESH, P("x"))
X = ShapeDtypeStruct((2, 8), jnp.float32)
LAWS = [("**/bias", ij.Zeros()), ("**/kernel", ij.HeNormal())]
# what a state has beside the parameters begins at 0
RULES = Rules([("step", ij.Zeros()), ("opt_state/**", ij.Zeros()), *LAWS])


def in_parts(law, *names):
    return nn.with_partitioning(law, names)


class Model(nn.Module):
    heads: int = 1

    @nn.compact
    def __call__(self, x):
        options = {"bias_init": in_parts(ij.Zeros(), "x")}
        wide = in_parts(ij.HeNormal(), None, "x")
        x = nn.relu(nn.Dense(16, kernel_init=wide, name="hidden", **options)(x))
        names = [f"head_{i}" for i in range(self.heads)]
        return sum(nn.Dense(8, kernel_init=wide, name=n, **options)(x) for n in names)


MODEL, TX = Model(), optax.adam(1e-2)


def create(key, heads=1):
    """A training state, from the same rules as the model alone."""
    params = linen.init_model(Model(heads), Rules(LAWS), key, X)["params"]
    return TrainState.create(apply_fn=MODEL.apply, params=params, tx=TX)


def places(shapes):
    return nn.get_sharding(shapes, MESH)


@functools.cache
def shapes(heads=1):
    return jax.eval_shape(functools.partial(create, heads=heads), root())


@functools.cache
def begun():
    """A state born in its shards, and trained for a step."""
    return step(ij.jit_init(create, out_shardings=places(shapes()))(root()))


def step(state):
    """Train for a step; simulated devices may wait for each other in two at once."""
    return jax.block_until_ready(_step(state))


@jax.jit
def _step(state):
    def loss(params):
        return (state.apply_fn({"params": params}, jnp.ones((2, 8))) ** 2).mean()

    return state.apply_gradients(grads=jax.grad(loss)(state.params))


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """The state, saved as Orbax does."""
    folder = tmp_path_factory.mktemp("orbax") / "state"
    with lax(), ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(folder, begun())
    return folder


@contextlib.contextmanager
def lax():
    with jax.debug_key_reuse(False), jax.numpy_dtype_promotion("standard"):
        yield


def assert_same_trees(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert x.sharding == y.sharding
        assert_same_bits(x, y)


# -- orbax ---------------------------------------------------------------------------


def test_a_state_comes_back_in_its_shards_and_goes_on(saved):
    back = orbax.restore(saved, shapes(), RULES, root(7), shardings=places(shapes()))
    assert_same_trees(back, begun())
    kernels = back.params["hidden"]["kernel"], back.opt_state[0].mu["hidden"]["kernel"]
    for box in kernels:
        assert box.value.addressable_shards[0].data.shape == (8, 2)
    assert int(back.step) == 1
    assert_same_trees(step(back), step(begun()))


def test_what_a_checkpoint_lacks_is_made_by_rule(saved):
    """A second head, and its moments."""
    where = places(shapes(2))
    back = orbax.restore(saved, shapes(2), RULES, root(7), shardings=where)
    old = {"hidden": back.params["hidden"], "head_0": back.params["head_0"]}
    assert_same_trees(old, dict(begun().params))
    fresh = ij.init_tree(RULES, shapes(2), root(7), shardings=where)
    assert_same_trees(back.params["head_1"], fresh.params["head_1"])
    new = back.opt_state[0].nu["head_1"]
    assert_same_trees(new, fresh.opt_state[0].nu["head_1"])
    assert new["kernel"].value.sharding == NamedSharding(MESH, P(None, "x"))


def test_a_part_of_a_checkpoint_without_boxes_or_shards(saved):
    params = nn.meta.unbox(shapes().params)
    back = orbax.restore(
        str(saved), {"params": params}, Rules(LAWS), root(), strict=False
    )
    kernel = back["params"]["hidden"]["kernel"]
    assert_same_bits(kernel, begun().params["hidden"]["kernel"].value)
    assert len(kernel.devices()) == 1


def test_a_table_grows(tmp_path):
    old = {"table": jnp.ones((3, 4), jnp.bfloat16), "key": jax.random.key(3)}
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "old", old)
    tree = {
        "table": ShapeDtypeStruct((8, 4), jnp.bfloat16, sharding=ROWS),
        "key": jax.eval_shape(lambda: jax.random.key(0)),
    }
    rules = Rules([("table", ij.Zeros())])
    back = orbax.restore(tmp_path / "old", tree, rules, root(), grow="rows")
    assert back["table"].sharding == ROWS
    assert np.asarray(back["table"], np.float32).sum(1).tolist() == [4] * 3 + [0] * 5
    assert (jax.random.key_data(back["key"]) == jax.random.key_data(old["key"])).all()


def restored(tree, **options):
    return lambda folder: orbax.restore(folder, tree(), RULES, root(), **options)


ORBAX = {
    "too little asked": (
        restored(lambda: {"params": {"hidden": shapes().params["hidden"]}}),
        "adapters.orbax.restore: the tree lacks 'opt_state/0/count', "
        "'opt_state/0/mu/head_0/bias', 'opt_state/0/mu/head_0/kernel', "
        "'opt_state/0/mu/hidden/bias', 'opt_state/0/mu/hidden/kernel', "
        "'opt_state/0/nu/head_0/bias', 'opt_state/0/nu/head_0/kernel', "
        "'opt_state/0/nu/hidden/bias', 'opt_state/0/nu/hidden/kernel', "
        "'params/head_0/bias' and 2 more, 12 of the checkpoint's 14 arrays; add or "
        "rename them, or say strict=False to leave them out.",
    ),
    "nothing in common": (
        restored(lambda: shapes().params["hidden"], strict=False),
        "adapters.orbax.restore: the tree lacks 'opt_state/0/count', "
        "'opt_state/0/mu/head_0/bias', 'opt_state/0/mu/head_0/kernel', "
        "'opt_state/0/mu/hidden/bias', 'opt_state/0/mu/hidden/kernel', "
        "'opt_state/0/nu/head_0/bias', 'opt_state/0/nu/head_0/kernel', "
        "'opt_state/0/nu/hidden/bias', 'opt_state/0/nu/hidden/kernel', "
        "'params/head_0/bias' and 4 more, 14 of the checkpoint's 14 arrays; add or "
        "rename them.",
    ),
    "another dtype": (
        restored(lambda: shapes().replace(step=ShapeDtypeStruct((), jnp.float32))),
        "missing: 'step' is int32[] in the checkpoint, float32[] in the tree; convert "
        "it first.",
    ),
    "another folder": (
        lambda folder: restored(shapes)(folder.parent),
        "adapters.orbax.restore: no tree of Orbax at '{parent}'; give the folder that "
        "it was saved in, of a CheckpointManager <folder>/<step>/default.",
    ),
}


@pytest.mark.parametrize("name", ORBAX)
def test_a_mistake_with_orbax(name, saved):
    call, message = ORBAX[name]
    message = message.replace("{parent}", str(saved.parent))
    assert_refused(lambda: call(saved), ValueError, message)


# -- safetensors ---------------------------------------------------------------------

DTYPES = (
    "bool int8 uint8 int16 uint16 int32 uint32 float16 float32 bfloat16 complex64 "
    "float8_e4m3fn float8_e4m3fnuz float8_e5m2 float8_e5m2fnuz float8_e8m0fnu"
).split()


def test_every_dtype_and_shape_comes_back(tmp_path):
    tree = {d: jnp.arange(6).reshape(2, 3).astype(d) for d in DTYPES}
    tree |= {"scalar": jnp.float32(3), "empty": jnp.zeros((0, 3))}
    files.save(tree, tmp_path / "a", metadata={"format": "jax"})
    assert_same_trees(files.load(tmp_path / "a", tree), tree)
    with safetensors.safe_open(tmp_path / "a", framework="np") as file:
        assert file.metadata() == {"format": "jax"}
        assert {*file.keys()} == {*tree}


def test_parameters_go_by_their_paths_into_their_shards(tmp_path):
    params = begun().params
    files.save({"layers": [params]}, tmp_path / "a")
    with safetensors.safe_open(tmp_path / "a", framework="np") as file:
        kernel = file.get_tensor("layers.0.hidden.kernel")
    assert_same_bits(kernel, params["hidden"]["kernel"].value)
    like = jax.eval_shape(lambda: {"layers": [params]})
    where = {"layers": [places(shapes().params)]}
    back = files.load(tmp_path / "a", like, shardings=where)
    assert_same_trees(back["layers"][0], params)
    assert_same_trees(files.load(tmp_path / "a", back), back)


def test_a_shard_reads_its_part(tmp_path, monkeypatch):
    seen, array = [], np.array
    files.save({"w": jnp.ones((64, 4))}, tmp_path / "a")
    monkeypatch.setattr(np, "array", lambda x: seen.append(x.shape) or array(x))
    files.load(
        tmp_path / "a", {"w": ShapeDtypeStruct((64, 4), "float32")}, shardings=ROWS
    )
    assert {*seen} == {(8, 4)}


def test_several_files_and_what_they_lack(tmp_path):
    tree = {"a": jnp.ones(3), "b": {"w": jnp.full((4, 8), 2.0)}}
    files.save({"a": tree["a"]}, tmp_path / "1")
    files.save({"b": tree["b"], "old": jnp.ones(2)}, tmp_path / "2")
    both = tmp_path / "1", tmp_path / "2"
    like = {**tree, "c": ShapeDtypeStruct((8, 4), jnp.float32)}
    part = files.load(both, like, strict=False)
    assert part["c"] is like["c"]
    rules = Rules([("**", ij.HeNormal())])
    whole = ij.missing(part, like, rules, root())
    assert_same_trees({"a": whole["a"], "b": whole["b"]}, tree)
    assert_same_bits(whole["c"], ij.HeNormal()(ij.fold_in_path(root(), "c"), (8, 4)))


@pytest.mark.parametrize("place", [None, NamedSharding(MESH, P())], ids=["one", "8"])
def test_an_array_does_not_change_with_its_file(place, tmp_path):
    """JAX takes memory as its own where it is aligned: one of these files is."""
    tree = {"w": jnp.ones((64, 64))}
    for pad in range(0, 64, 8):
        path = tmp_path / str(pad)
        files.save(tree, path, metadata={"pad": "x" * pad})
        back = files.load(path, tree, shardings=place)
        with open(path, "r+b") as file:
            file.seek(-64, 2)
            file.write(b"\0" * 64)
        assert (np.asarray(back["w"]) == 1).all()


SMALL = {"a": jnp.ones((2, 3)), "b": jnp.ones(2)}
SAVE, LOAD = "adapters.safetensors.save: ", "adapters.safetensors.load: "
FILES = {
    "no such dtype": (
        lambda path: files.save({"a": jnp.ones(3, "int4")}, path),
        ValueError,
        SAVE
        + "'a' is int4, which files of tensors do not have; convert it first, with "
        "astype.",
    ),
    "no arrays": (
        lambda path: files.save({"a": 3.0, "k": jax.random.key(0), "s": X}, path),
        ValueError,
        SAVE + "'a', 'k', 's': a file holds arrays, no shapes, numbers or PRNG keys; "
        "leave them out, or make arrays of them.",
    ),
    "metadata": (
        lambda path: files.save(SMALL, path, metadata={"step": 3}),
        TypeError,
        SAVE + "metadata are texts by name, got {'step': 3}; give str() of each.",
    ),
    "other names": (
        lambda path: files.load(path, {"a": SMALL["a"], "c": X}),
        ValueError,
        LOAD + "the file lacks 'c'; the tree lacks 'b'; rename them, or say "
        "strict=False, and ij.missing makes what lacks.",
    ),
    "no name in common": (
        lambda path: files.load(path, {"params": SMALL}, strict=False),
        ValueError,
        LOAD + "no name in common: the file lacks 'params.a', 'params.b'; the tree "
        "lacks 'a', 'b'; rename one side's.",
    ),
    "another dtype": (
        lambda path: files.load(path, {**SMALL, "a": jnp.ones((2, 3), jnp.bfloat16)}),
        ValueError,
        LOAD + "'a' is float32[2, 3] in the file, bfloat16[2, 3] in the tree; load it "
        "as it is, then convert.",
    ),
    "another mesh": (
        lambda path: files.load(
            path, SMALL, shardings=NamedSharding(MESH, P(None, "x"))
        ),
        ValueError,
        re.compile(
            LOAD + r"'a': sharding=\S+\(None, 'x'\) does not divide the shape \(.*\); "
            "give a spec that does\\."
        ),
    ),
    "twice": (
        lambda path: files.load([path, path], SMALL),
        ValueError,
        LOAD + "two files have 'a'; give one of them.",
    ),
    "another file": (
        lambda path: files.load(__file__, SMALL),
        ValueError,
        re.compile(
            f"{LOAD}{re.escape(__file__)} cannot be read as safetensors: its header "
            r"would have [\d,]+ bytes, at most [\d,]+\."
        ),
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_a_mistake_with_safetensors(name, tmp_path):
    files.save(SMALL, tmp_path / "small")
    call, *expected = FILES[name]
    assert_refused(lambda: call(tmp_path / "small"), *expected)
