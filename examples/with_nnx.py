"""A decoder of Flax NNX on eight devices: made by rule, tuned by LoRA, tuned anew.

The model is plain NNX and knows nothing of initjax. Rules say by path, and by type of
variable, how it begins; `create` makes it with every array in its shards. Its LoRA
factors learn one task, then `reinit` gives it new ones for another: no other array is
touched.

    pip install "initjax[flax]"
    python examples/with_nnx.py
"""

from __future__ import annotations

import os

os.environ["JAX_PLATFORMS"] = "cpu"  # read as JAX starts, so set before
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=8"

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import AxisType

import initjax as ij
from initjax.adapters.nnx import abstract, create, reinit

VOCABULARY, WIDTH, HEADS, LAYERS, LENGTH = 64, 128, 4, 2, 8
split = nnx.with_partitioning  # over logical axes, which a mesh gives a meaning to


class Block(nnx.Module):
    """Attention and an MLP that LoRA tunes, each on a norm."""

    def __init__(self, *, rngs: nnx.Rngs) -> None:
        """Make the layers."""
        init = nnx.initializers.lecun_normal()
        self.norm1 = nnx.RMSNorm(WIDTH, rngs=rngs)
        self.attn = nnx.MultiHeadAttention(HEADS, WIDTH, decode=False, rngs=rngs)
        self.norm2 = nnx.RMSNorm(WIDTH, rngs=rngs)
        self.up = nnx.LoRALinear(
            WIDTH,
            4 * WIDTH,
            lora_rank=4,
            kernel_init=split(init, ("embed", "mlp")),
            rngs=rngs,
        )
        self.down = nnx.LoRALinear(
            4 * WIDTH,
            WIDTH,
            lora_rank=4,
            kernel_init=split(init, ("mlp", "embed")),
            rngs=rngs,
        )
        self.drop = nnx.Dropout(0.1, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Return (batch, length, width) from the same."""
        mask = nnx.make_causal_mask(x[..., 0])
        x = x + self.attn(self.norm1(x), mask=mask)
        return x + self.drop(self.down(nnx.gelu(self.up(self.norm2(x)))))


class Decoder(nnx.Module):
    """The blocks between an embedding and its readout."""

    def __init__(self, layers: int, *, rngs: nnx.Rngs) -> None:
        """Make the layers."""
        self.embed = nnx.Embed(VOCABULARY, WIDTH, rngs=rngs)
        self.blocks = nnx.Sequential(*[Block(rngs=rngs) for _ in range(layers)])
        self.head = nnx.Linear(WIDTH, VOCABULARY, use_bias=False, rngs=rngs)

    def __call__(self, tokens: jax.Array) -> jax.Array:
        """Return the logits of the next tokens."""
        return self.head(self.blocks(self.embed(tokens)))


RULES = ij.Rules(
    [
        ("**/scale", "ones"),
        ("**/bias", "zeros"),
        ("**/lora_b", "zeros"),  # so that the factors begin as nothing
        (nnx.LoRAParam, "he_uniform"),
        ("embed/embedding", ij.RandomNormal(stddev=0.02)),
        ("**/{down,out}/kernel", ij.depth_scaled("lecun_normal", layers=LAYERS)),
        ("**/kernel", "lecun_normal"),  # the fans are those of each layer
    ]
)


def loss(model: Decoder, tokens: jax.Array) -> jax.Array:
    """Return the cross entropy of each next token."""
    logits = jax.nn.log_softmax(model(tokens[:, :-1]))
    return -jnp.take_along_axis(logits, tokens[:, 1:, None], -1).mean()


@nnx.jit
def step(model: Decoder, tokens: jax.Array) -> jax.Array:
    """Tune the LoRA factors, and nothing else; return the loss."""
    tuned = nnx.DiffState(0, nnx.LoRAParam)
    value, grads = nnx.value_and_grad(loss, argnums=tuned)(model, tokens)
    factors = nnx.state(model, nnx.LoRAParam)
    nnx.update(model, jax.tree.map(lambda x, g: x - 0.5 * g, factors, grads))
    return value


def tune(model: Decoder, stride: int) -> list[float]:
    """Learn to count in steps of `stride`; return the losses."""
    starts = jnp.arange(16)[:, None]
    tokens = (starts + stride * jnp.arange(LENGTH)) % VOCABULARY
    return [float(step(model, tokens)) for _ in range(12)]


def main() -> None:
    """Plan, make, tune, and tune anew."""
    mesh = jax.make_mesh((4, 2), ("data", "model"), axis_types=(AxisType.Auto,) * 2)
    key = jax.random.key(0)
    with nnx.logical_axis_rules([("embed", None), ("mlp", "model")]):
        print(ij.plan(RULES, abstract(Decoder, LAYERS, mesh=mesh)), "\n")
        model = create(Decoder, LAYERS, key=key, rules=RULES, mesh=mesh)

    up = model.blocks.layers[0].up
    (kernel,) = jax.tree.leaves(nnx.state(up, nnx.PathContains("kernel")))
    assert {x.data.shape for x in kernel.addressable_shards} == {(WIDTH, 2 * WIDTH)}
    path = ("blocks", "layers", 0, "up", "kernel")
    alone = ij.LecunNormal()(ij.fold_in_path(key, *path), kernel.shape)
    np.testing.assert_array_equal(kernel, alone)

    first = tune(model, 1)
    before = nnx.to_flat_state(nnx.state(model, nnx.Not(nnx.LoRAParam)))
    before = {path: jax.tree.leaves(x)[0] for path, x in before}
    reinit(model, RULES, jax.random.key(1), only=nnx.LoRAParam)
    for path, x in nnx.to_flat_state(nnx.state(model, nnx.Not(nnx.LoRAParam))):
        assert jax.tree.leaves(x)[0] is before[path]
    second = tune(model, 5)
    assert first[-1] < 0.9 * first[0]
    assert second[-1] < 0.9 * second[0]
    print(
        f"{len(before)} arrays kept, in their shards; LoRA learns: loss {first[0]:.2f} "
        f"to {first[-1]:.2f}, and anew {second[0]:.2f} to {second[-1]:.2f}"
    )


if __name__ == "__main__":
    main()
