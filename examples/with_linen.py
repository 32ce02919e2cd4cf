"""A Flax Linen transformer by rule: planned at full size, made in its shards.

The model is as Flax's own examples write them: logical axes in its initializers, layers
stacked by `nn.scan`, attention whose kernels have three axes. Rules say by path what
each weight gets; `linen.abstract` traces the model, so that `ij.plan` shows 7 billion
parameters and their fans before a byte is allocated; `linen.init_model` makes a small
one on 8 simulated devices, no array whole on any of them.

    pip install "initjax[flax]"
    python examples/with_linen.py
"""

from __future__ import annotations

import os

os.environ["JAX_PLATFORMS"] = "cpu"  # read as JAX starts, so set before
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=8"

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict
from jax.sharding import AxisType

import initjax as ij
from initjax.adapters import linen

# -- the model, plain Flax -----------------------------------------------------------


def named(*axes: str) -> Any:
    """Return an initializer that names the axes; the values come by rule."""
    return nn.with_logical_partitioning(nn.initializers.zeros, axes)


class Block(nn.Module):
    """Causal attention and a gated MLP, each on the normalized residual stream."""

    heads: int
    mlp: int

    @nn.compact
    def __call__(self, x: jax.Array, _: None = None) -> tuple[jax.Array, None]:
        """Return the updated residual stream."""

        def norm(name: str) -> nn.Module:
            return nn.RMSNorm(scale_init=named("embed"), name=name)

        def dense(size: int, name: str, *axes: str) -> nn.Module:
            return nn.Dense(size, use_bias=False, kernel_init=named(*axes), name=name)

        attention = nn.MultiHeadDotProductAttention(
            self.heads, use_bias=False, name="attention",
            kernel_init=named("embed", "heads", "kv"),
            out_kernel_init=named("heads", "kv", "embed"),
        )  # fmt: skip
        y = norm("norm_1")(x)
        x = x + attention(y, mask=nn.make_causal_mask(x[..., 0]))
        y = norm("norm_2")(x)
        gate = nn.silu(dense(self.mlp, "gate", "embed", "mlp")(y))
        y = gate * dense(self.mlp, "up", "embed", "mlp")(y)
        return x + dense(x.shape[-1], "down", "mlp", "embed")(y), None


class Transformer(nn.Module):
    """A decoder; the defaults are the sizes of Llama 2 7B."""

    vocab: int = 32_000
    width: int = 4096
    heads: int = 32
    mlp: int = 11_008
    layers: int = 32

    @nn.compact
    def __call__(self, tokens: jax.Array) -> jax.Array:
        """Return the logits of the next token at every position."""
        table = named("vocab", "embed")
        x = nn.Embed(self.vocab, self.width, embedding_init=table, name="embed")(tokens)
        stack = nn.scan(
            Block, variable_axes={"params": 0}, split_rngs={"params": True},
            length=self.layers, metadata_params={nn.meta.PARTITION_NAME: "layers"},
        )  # fmt: skip
        x, _ = stack(self.heads, self.mlp, name="layers")(x)
        x = nn.RMSNorm(scale_init=named("embed"), name="norm")(x)
        head = named("embed", "vocab")
        return nn.Dense(self.vocab, use_bias=False, kernel_init=head, name="head")(x)


# -- what each weight gets, and where it lives ---------------------------------------


def rules(layers: int) -> ij.Rules:
    """Return the rules: residual branches scaled for their number, the rest by fan."""
    residual = ij.depth_scaled("lecun_normal", layers=layers)
    return ij.Rules(
        [
            ("**/norm*/scale", "ones"),
            ("**/embedding", ij.RandomNormal(stddev=0.02)),
            ("**/{attention/out,down}/kernel", residual),
            ("**/kernel", "lecun_normal"),
        ]
    )


AXES = (("vocab", "model"), ("heads", "model"), ("mlp", "model"), ("embed", "data"))
TOKENS = jax.ShapeDtypeStruct((1, 16), jnp.int32)


def main() -> None:
    """Plan the large model, make the small one, and hold it to its laws."""
    large = ij.plan(rules(32), linen.abstract(Transformer(), TOKENS))
    print(large)
    assert large.parameters == 6_738_415_616  # those of Llama 2 7B
    fans = {row.path: row.fans for row in large.rows}
    for name in ("query", "key", "value", "out"):
        assert fans[f"params/layers/attention/{name}/kernel"] == ((4096, 4096),)

    mesh = jax.make_mesh((2, 4), ("data", "model"), axis_types=(AxisType.Auto,) * 2)
    model = Transformer(vocab=512, width=64, heads=4, mlp=160, layers=4)
    key = jax.random.key(0)
    variables = linen.init_model(
        model, rules(4), key, TOKENS, mesh=mesh, axis_rules=AXES
    )
    weights = flatten_dict(nn.meta.unbox(variables), sep="/")
    print()
    for path, x in weights.items():
        shard = x.addressable_shards[0].data.shape
        print(f"  {path:38} {x.shape!s:16} {shard!s:15} {x.sharding.spec}")
        assert shard != x.shape

    whole = ij.init_tree(rules(4), linen.abstract(model, TOKENS), key)
    for path, x in flatten_dict(nn.meta.unbox(whole), sep="/").items():
        assert np.array_equal(x, weights[path]), path
    query = weights["params/layers/attention/query/kernel"]
    assert abs(float(query.std()) * 64**0.5 - 1) < 0.02
    logits = jax.jit(model.apply)(variables, jnp.zeros((2, 16), jnp.int32))
    assert 0.5 < float(logits.std()) < 2
    print(
        f"\n{large.parameters:,} parameters planned; {len(weights)} arrays of a small "
        "model in shards on 8 devices, with the bits of one"
    )


if __name__ == "__main__":
    main()
