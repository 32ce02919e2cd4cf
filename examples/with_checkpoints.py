"""A training state through Orbax and safetensors, sharded, and a head it lacked.

A Flax `TrainState` with Adam's moments is made in its shards on 8 simulated devices,
trained, saved with Orbax and restored: training goes on bit for bit. Then the model
gets a second head: `orbax.restore` reads what the checkpoint has and makes the rest by
the same rules. Its parameters leave as a safetensors file and come back.

    pip install "initjax[flax,safetensors]"
    python examples/with_checkpoints.py
"""

from __future__ import annotations

import os

os.environ["JAX_PLATFORMS"] = "cpu"  # read as JAX starts, so set before
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=8"

import tempfile
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
from flax.training.train_state import TrainState
from jax.sharding import AxisType

import initjax as ij
from initjax.adapters import linen, orbax, safetensors

MESH = jax.make_mesh((8,), ("model",), axis_types=(AxisType.Auto,))
X = jax.ShapeDtypeStruct((64, 32), jnp.float32)
ADAM = optax.adam(3e-3)
STEPS = 20


class Heads(nn.Module):
    """A hidden layer, and heads on it; all weights are split over the devices."""

    heads: tuple[str, ...]

    @nn.compact
    def __call__(self, x: jax.Array) -> dict[str, jax.Array]:
        """Return the output of every head."""

        def dense(features: int, name: str) -> nn.Module:
            kernel = nn.with_partitioning(nn.initializers.zeros, (None, "model"))
            bias = nn.with_partitioning(nn.initializers.zeros, ("model",))
            return nn.Dense(features, kernel_init=kernel, bias_init=bias, name=name)

        x = nn.gelu(dense(128, "hidden")(x))
        return {name: dense(8, name)(x) for name in self.heads}


MODEL = [("params/**/bias", "zeros"), ("params/**/kernel", "he_normal")]
# beside the parameters a state has a step and Adam's moments, which begin at 0
STATE = ij.Rules([*MODEL, ("{step,opt_state/**}", ij.Zeros())])


def state_of(*heads: str) -> tuple[Any, Any, Any]:
    """Return a function that makes a state, the state's shapes, and its shardings."""
    model = Heads(heads)

    def create(key: jax.Array) -> TrainState:
        variables = linen.init_model(model, ij.Rules(MODEL), key, X)
        return TrainState.create(
            apply_fn=model.apply, params=variables["params"], tx=ADAM
        )

    shapes = jax.eval_shape(create, jax.random.key(0))
    return create, shapes, nn.get_sharding(shapes, MESH)


@jax.jit
def step(state: TrainState, x: jax.Array) -> tuple[TrainState, jax.Array]:
    """Learn to reverse the first 8 numbers."""

    def loss(params: Any) -> jax.Array:
        outputs = state.apply_fn({"params": params}, x)
        return sum(((y - x[:, 7::-1]) ** 2).mean() for y in outputs.values())

    error, grads = jax.value_and_grad(loss)(state.params)
    return state.apply_gradients(grads=grads), error


def train(state: TrainState, steps: int) -> tuple[TrainState, float]:
    """Train on, with the data of each step."""
    error = jnp.zeros(())
    for _ in range(steps):
        data = jax.random.fold_in(jax.random.key(1), int(state.step))
        state, error = jax.block_until_ready(
            step(state, jax.random.normal(data, X.shape))
        )
    return state, float(error)


def same(a: Any, b: Any) -> bool:
    """Tell whether two trees have the same bits in the same places."""
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return all(
        x.sharding == y.sharding and np.asarray(x).tobytes() == np.asarray(y).tobytes()
        for x, y in pairs
    )


def main(folder: Path) -> None:
    """Make, train, save, restore, add a head, and go through a file."""
    key = jax.random.key(0)
    create, shapes, places = state_of("old")
    state = ij.jit_init(create, out_shardings=places)(key)
    for x in jax.tree.leaves((state.params, state.opt_state)):
        assert x.ndim == 0 or x.addressable_shards[0].data.size == x.size // 8

    state, _ = train(state, STEPS)
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(folder / "state", state)
    back = orbax.restore(folder / "state", shapes, STATE, key, shardings=places)
    assert same(back, state)
    (state, first), (back, again) = train(state, STEPS), train(back, STEPS)
    assert same(back, state)
    assert first == again
    print(f"restored at step {STEPS}, at step {back.step} still the same bits")

    _, shapes, places = state_of("old", "new")
    wide = orbax.restore(folder / "state", shapes, STATE, key, shardings=places)
    fresh = ij.init_tree(STATE, shapes, key, shardings=places)
    assert same(wide.params["new"], fresh.params["new"])
    assert same(wide.opt_state[0].mu["new"], fresh.opt_state[0].mu["new"])
    _, before = train(wide, 1)
    wide, after = train(wide, 5 * STEPS)
    assert after < before / 2
    print(f"a head that the checkpoint lacked learns: loss {before:.2f} to {after:.2f}")

    file = folder / "model.safetensors"
    safetensors.save(wide.params, file, metadata={"step": str(wide.step)})
    params = safetensors.load(file, shapes.params, shardings=places.params)
    assert same(params, wide.params)
    some, all_of_them = len(jax.tree.leaves(params)), len(jax.tree.leaves(wide))
    print(f"{all_of_them} arrays by Orbax, {some} by safetensors, each in its shards")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        main(Path(temporary))
