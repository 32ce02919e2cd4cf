"""Transformers and perceptrons of benchmarks/setup.py, in JAX's frameworks."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

Init = tuple[Callable[..., Any], tuple[Any, ...]]  # a function and its arguments
Tree = tuple[Any, Any]  # rules and a tree of shapes

HEADS, VOCABULARY, TOKENS, MEMBERS, RANK = 4, 1000, 16, 16, 4
GPT2_HEADS, GPT2_WORDS, GPT2_POSITIONS = 12, 50257, 1024


class Size(NamedTuple):
    """The depth and the width of a network."""

    layers: int
    d: int


def linen(size: Size, scanned: bool = False) -> Init:
    """Return the init of a Flax Linen transformer."""
    import jax
    import jax.numpy as jnp
    from flax import linen as nn

    class Block(nn.Module):
        @nn.compact
        def __call__(self, x: Any, _: Any = None) -> Any:
            y = nn.LayerNorm()(x)
            x = x + nn.MultiHeadDotProductAttention(num_heads=HEADS)(y)
            y = nn.Dense(4 * size.d)(nn.LayerNorm()(x))
            return x + nn.Dense(size.d)(nn.gelu(y)), None

    class Transformer(nn.Module):
        @nn.compact
        def __call__(self, tokens: Any) -> Any:
            x = nn.Embed(VOCABULARY, size.d)(tokens)
            if scanned:
                axes, split = {"params": 0}, {"params": True}
                block = nn.scan(Block, axes, split_rngs=split, length=size.layers)
                x, _ = block()(x, None)
            else:
                for _ in range(size.layers):
                    x, _ = Block()(x)
            return nn.Dense(VOCABULARY)(nn.LayerNorm()(x))

    return Transformer().init, (jax.random.key(0), jnp.zeros((1, TOKENS), int))


def ensemble(size: Size) -> Init:
    """Return the init of several Linen transformers, mapped over their keys."""
    import jax

    init, (key, x) = linen(size)
    return jax.vmap(init, in_axes=(0, None)), (jax.random.split(key, MEMBERS), x)


def nnx(size: Size, lora: bool = False) -> Init:
    """Return a function that builds an NNX transformer and returns its arrays."""
    import jax
    from flax import nnx

    modules: Any = getattr(nnx, "List", list)  # a plain list in older versions
    low_rank: Any = functools.partial(nnx.LoRALinear, lora_rank=RANK)
    linear: Any = low_rank if lora else nnx.Linear

    class Block(nnx.Module):
        def __init__(self, rngs: Any) -> None:
            d = size.d
            self.norms = modules([nnx.LayerNorm(d, rngs=rngs) for _ in range(2)])
            self.attend = nnx.MultiHeadAttention(HEADS, d, decode=False, rngs=rngs)
            self.up = linear(d, 4 * d, rngs=rngs)
            self.down = linear(4 * d, d, rngs=rngs)
            if lora:  # beside attention's projections
                factors = [nnx.LoRA(d, RANK, d, rngs=rngs) for _ in range(4)]
                self.factors = modules(factors)

    class Transformer(nnx.Module):
        def __init__(self, rngs: Any) -> None:
            self.embed = nnx.Embed(VOCABULARY, size.d, rngs=rngs)
            self.blocks = modules([Block(rngs) for _ in range(size.layers)])
            self.norm = nnx.LayerNorm(size.d, rngs=rngs)
            self.out = nnx.Linear(size.d, VOCABULARY, rngs=rngs)

    def init(key: Any) -> Any:
        return nnx.split(Transformer(nnx.Rngs(key)))[1]

    return init, (jax.random.key(0),)


def equinox(size: Size) -> Init:
    """Return a function that builds an Equinox transformer and returns its arrays."""
    import equinox as eqx
    import jax

    def block(key: Any) -> Any:
        d, keys = size.d, jax.random.split(key, 3)
        biases = {f"use_{x}_bias": True for x in ("query", "key", "value", "output")}
        attend = eqx.nn.MultiheadAttention(HEADS, d, **biases, key=keys[0])
        up = eqx.nn.Linear(d, 4 * d, key=keys[1])
        down = eqx.nn.Linear(4 * d, d, key=keys[2])
        return eqx.nn.LayerNorm(d), attend, eqx.nn.LayerNorm(d), up, down

    class Transformer(eqx.Module):
        embed: Any
        blocks: Any
        norm: Any
        out: Any

        def __init__(self, key: Any) -> None:
            first, last, *keys = jax.random.split(key, size.layers + 2)
            self.embed = eqx.nn.Embedding(VOCABULARY, size.d, key=first)
            self.blocks = [block(k) for k in keys]
            self.norm = eqx.nn.LayerNorm(size.d)
            self.out = eqx.nn.Linear(size.d, VOCABULARY, key=last)

    def init(key: Any) -> Any:
        return eqx.filter(Transformer(key), eqx.is_array)

    return init, (jax.random.key(0),)


def haiku(size: Size) -> Init:
    """Return the init of a Haiku transformer, for a raw key as is usual there."""
    import haiku as hk
    import jax
    import jax.numpy as jnp

    def norm(x: Any) -> Any:
        return hk.LayerNorm(axis=-1, create_scale=True, create_offset=True)(x)

    def forward(tokens: Any) -> Any:
        d, scale = size.d, hk.initializers.VarianceScaling()
        x = hk.Embed(VOCABULARY, d)(tokens)
        for _ in range(size.layers):
            y = norm(x)
            attend = hk.MultiHeadAttention(HEADS, d // HEADS, w_init=scale)
            x = x + attend(y, y, y)
            x = x + hk.Linear(d)(jax.nn.gelu(hk.Linear(4 * d)(norm(x))))
        return hk.Linear(VOCABULARY)(norm(x))

    args = (jax.random.PRNGKey(0), jnp.zeros((1, TOKENS), int))
    return hk.transform(forward).init, args


def spectral(size: Size) -> Init:
    """Return the init of an MLP under spectral norm, whose state comes of its data."""
    import jax
    import jax.numpy as jnp
    from flax import linen as nn

    class Mlp(nn.Module):
        @nn.compact
        def __call__(self, x: Any) -> Any:
            for _ in range(size.layers):
                x = nn.SpectralNorm(nn.Dense(size.d))(nn.relu(x), update_stats=True)
            return x

    return Mlp().init, (jax.random.key(0), jnp.ones((1, size.d)))


def gpt2(size: Size) -> Init:
    """Return the init of GPT-2 in Flax Linen, with the initializers of its authors."""
    import jax
    import jax.numpy as jnp
    from flax import linen as nn

    normal = nn.initializers.normal(0.02)
    last = nn.initializers.normal(0.02 / (2 * size.layers) ** 0.5)

    class Attention(nn.Module):
        @nn.compact
        def __call__(self, x: Any) -> Any:
            fused = nn.Dense(3 * size.d, kernel_init=normal, name="c_attn")(x)
            q, k, v = (
                y.reshape(*y.shape[:-1], GPT2_HEADS, -1)
                for y in jnp.split(fused, 3, -1)
            )
            y = nn.dot_product_attention(q, k, v).reshape(x.shape)
            return nn.Dense(size.d, kernel_init=last, name="c_proj")(y)

    class Mlp(nn.Module):
        @nn.compact
        def __call__(self, x: Any) -> Any:
            y = nn.gelu(nn.Dense(4 * size.d, kernel_init=normal, name="c_fc")(x))
            return nn.Dense(size.d, kernel_init=last, name="c_proj")(y)

    class Block(nn.Module):
        @nn.compact
        def __call__(self, x: Any) -> Any:
            x = x + Attention(name="attn")(nn.LayerNorm(name="ln_1")(x))
            return x + Mlp(name="mlp")(nn.LayerNorm(name="ln_2")(x))

    class GPT2(nn.Module):
        @nn.compact
        def __call__(self, tokens: Any) -> Any:
            words = nn.Embed(GPT2_WORDS, size.d, embedding_init=normal, name="wte")
            places = nn.Embed(GPT2_POSITIONS, size.d, embedding_init=normal, name="wpe")
            x = words(tokens) + places(jnp.arange(tokens.shape[1])[None])
            for i in range(size.layers):
                x = Block(name=f"h_{i}")(x)
            return words.attend(nn.LayerNorm(name="ln_f")(x))

    return GPT2().init, (jax.random.key(0), jnp.zeros((1, TOKENS), int))


def listed(shapes: dict[str, tuple[int, ...]]) -> Any:
    """Return a tree of float32 parameters from their paths and shapes."""
    parameters = [
        {"path": path, "shape": shape, "dtype": "float32"}
        for path, shape in shapes.items()
    ]
    return {"parameters": parameters}


def linen_tree(size: Size) -> Tree:
    """Return rules for the Linen transformer, and its parameters as Flax names them."""
    from initjax import Fan, RandomNormal, Rules, Spec

    d, inner = size.d, (HEADS, size.d // HEADS)
    attend = "MultiHeadDotProductAttention_0"
    linears = {
        **{f"{attend}/{x}": (d, *inner) for x in ("query", "key", "value")},
        f"{attend}/out": (*inner, d),
        "Dense_0": (d, 4 * d),
        "Dense_1": (4 * d, d),
    }
    shapes: dict[str, tuple[int, ...]] = {"Embed_0/embedding": (VOCABULARY, d)}
    for i in range(size.layers):
        for name, shape in linears.items():
            bias = inner if shape[1:] == inner else shape[-1:]
            path = f"Block_{i}/{name}"
            shapes |= {f"{path}/kernel": shape, f"{path}/bias": bias}
        for name in ("LayerNorm_0", "LayerNorm_1"):
            shapes |= {f"Block_{i}/{name}/{x}": (d,) for x in ("scale", "bias")}
    shapes |= {"LayerNorm_0/scale": (d,), "LayerNorm_0/bias": (d,)}
    shapes |= {"Dense_0/kernel": (d, VOCABULARY), "Dense_0/bias": (VOCABULARY,)}
    heads, out = Fan.einsum("btd,dhk->bthk"), Fan.einsum("bthk,hkd->btd")
    rules = [
        ("**/bias", "zeros"),
        ("**/scale", "ones"),
        ("**/embedding", RandomNormal(stddev=d**-0.5)),
        ("**/{query,key,value}/kernel", Spec("lecun_normal", fan=heads)),
        ("**/out/kernel", Spec("lecun_normal", fan=out)),
        ("**/kernel", "lecun_normal"),
    ]
    return Rules(rules), listed(shapes)


def gpt2_tree(size: Size) -> Tree:
    """Return GPT-2's rules and its parameters, as its checkpoints name them."""
    from initjax import recipes

    d = size.d
    shapes: dict[str, tuple[int, ...]] = {
        "wte.weight": (GPT2_WORDS, d),
        "wpe.weight": (GPT2_POSITIONS, d),
    }
    for i in range(size.layers):
        matrices = {
            "attn.c_attn": (d, 3 * d),
            "attn.c_proj": (d, d),
            "mlp.c_fc": (d, 4 * d),
            "mlp.c_proj": (4 * d, d),
        }
        for name, shape in matrices.items():
            shapes |= {f"h.{i}.{name}.weight": shape, f"h.{i}.{name}.bias": shape[1:]}
        for name in ("ln_1", "ln_2"):
            shapes |= {f"h.{i}.{name}.{x}": (d,) for x in ("weight", "bias")}
    shapes |= {"ln_f.weight": (d,), "ln_f.bias": (d,)}
    tree = listed({f"transformer.{name}": shape for name, shape in shapes.items()})
    return recipes.gpt2(size.layers), tree
