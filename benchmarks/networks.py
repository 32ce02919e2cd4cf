"""The networks of benchmarks/setup.py, in JAX's frameworks and in PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

Init = tuple[Callable[..., Any], tuple[Any, ...]]  # a function and its arguments
Tree = tuple[Any, Any]  # rules and a tree of shapes

HEADS, VOCABULARY, TOKENS, MEMBERS = 4, 1000, 16, 16
RESNET50 = (3, 4, 6, 3)
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


def nnx(size: Size) -> Init:
    """Return a function that builds an NNX transformer and returns its arrays."""
    import jax
    from flax import nnx

    modules: Any = getattr(nnx, "List", list)  # a plain list in older versions

    class Block(nnx.Module):
        def __init__(self, rngs: Any) -> None:
            d = size.d
            self.norms = modules([nnx.LayerNorm(d, rngs=rngs) for _ in range(2)])
            self.attend = nnx.MultiHeadAttention(HEADS, d, decode=False, rngs=rngs)
            self.up = nnx.Linear(d, 4 * d, rngs=rngs)
            self.down = nnx.Linear(4 * d, d, rngs=rngs)

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


def blocks_of(size: Size) -> Sequence[int]:
    """Return a ResNet's blocks in every group."""
    return RESNET50 if size.layers == 50 else (1, 1, 1, 1)


def resnet(size: Size) -> Init:
    """Return the init of Haiku's ResNet50, or of a shallow one."""
    import haiku as hk
    import jax
    import jax.numpy as jnp

    def forward(x: Any) -> Any:
        # with (3, 4, 6, 3) this is hk.nets.ResNet50(1000)
        return hk.nets.ResNet(blocks_of(size), 1000)(x, is_training=True)

    args = (jax.random.PRNGKey(0), jnp.ones((1, 64, 64, 3)))
    return hk.transform_with_state(forward).init, args


def torch_transformer(size: Size) -> list[Any]:
    """Build the transformer's modules in PyTorch; nobody calls them."""
    from torch import nn

    d = size.d
    modules: list[Any] = [nn.Embedding(VOCABULARY, d)]
    for _ in range(size.layers):
        modules += [nn.LayerNorm(d), nn.MultiheadAttention(d, HEADS)]
        modules += [nn.LayerNorm(d), nn.Linear(d, 4 * d), nn.Linear(4 * d, d)]
    return [*modules, nn.LayerNorm(d), nn.Linear(d, VOCABULARY)]


def torch_ensemble(size: Size) -> list[Any]:
    """Build the modules of every member."""
    return [module for _ in range(MEMBERS) for module in torch_transformer(size)]


def torch_resnet(size: Size) -> list[Any]:
    """Build the ResNet's modules in PyTorch."""
    from torch import nn

    def conv(i: int, o: int, window: int) -> list[Any]:
        return [nn.Conv2d(i, o, window, bias=False), nn.BatchNorm2d(o)]

    modules, i = conv(3, 64, 7), 64
    for blocks, o in zip(blocks_of(size), (256, 512, 1024, 2048), strict=True):
        modules += conv(i, o, 1)
        for _ in range(blocks):
            modules += conv(i, o // 4, 1) + conv(o // 4, o // 4, 3) + conv(o // 4, o, 1)
            i = o
    return [*modules, nn.Linear(i, 1000)]


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
    parameters = [
        {"path": f"transformer.{name}", "shape": shape, "dtype": "float32"}
        for name, shape in shapes.items()
    ]
    return recipes.gpt2(size.layers), {"parameters": parameters}


def torch_gpt2(size: Size, once: bool = False) -> list[Any]:
    """Build GPT-2 in PyTorch as its published code does: every weight drawn twice.

    Every module initializes itself, and then the model all of them again. With `once`
    modules are left empty before, which published code does not do.
    """
    from torch import nn

    def make(module: Any, *args: int) -> Any:
        return nn.utils.skip_init(module, *args) if once else module(*args)

    d, last = size.d, 0.02 / (2 * size.layers) ** 0.5
    embeddings = [make(nn.Embedding, n, d) for n in (GPT2_WORDS, GPT2_POSITIONS)]
    norms = [nn.LayerNorm(d) for _ in range(2 * size.layers + 1)]
    sides = ((d, 3 * d, 0.02), (d, d, last), (d, 4 * d, 0.02), (4 * d, d, last))
    linears = [
        (make(nn.Linear, i, o), std) for _ in range(size.layers) for i, o, std in sides
    ]
    for embedding in embeddings:
        nn.init.normal_(embedding.weight, std=0.02)
    for linear, std in linears:
        nn.init.normal_(linear.weight, std=std)
        nn.init.zeros_(linear.bias)
    return [*embeddings, *norms, *(linear for linear, _ in linears)]


def torch_gpt2_once(size: Size) -> list[Any]:
    """Build GPT-2 in PyTorch, every weight drawn once."""
    return torch_gpt2(size, once=True)
