"""Published models: their parameter lists, and small ones of each real framework."""

import contextlib
import functools
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import equinox as eqx
import flax.linen as nn
import haiku as hk
import jax
import jax.numpy as jnp
import setup_models
from flax import nnx
from tools import root

FOLDER = Path(__file__).parent / "models"

D, HEADS, FF, VOCABULARY, LENGTH, LAYERS = 32, 4, 96, 61, 8, 2
PATCH, CLASSES, EXPERTS = 4, 10, 4
D_KV = 16  # of T5, whose heads are wider than the model: 4 * 16 > 32
TOKENS = jnp.arange(2 * LENGTH, dtype=jnp.int32).reshape(2, LENGTH)
IMAGES = jnp.linspace(-1, 1, 2 * 16 * 16 * 3).reshape(2, 16, 16, 3)


@functools.cache
def manifest(name):
    """Return a published list of parameters, its layers unfolded."""
    folded = json.loads((FOLDER / f"{name}.json").read_text())
    dtype, rows = folded.pop("dtype"), []
    for item in folded["parameters"]:
        if isinstance(item, list):
            rows.append(item)
            continue
        for layer in range(*item["layers"]):
            prefix = item["prefix"].format(layer)
            rows.extend((prefix + path, *row) for path, *row in item["parameters"])
    folded["parameters"] = [
        {"path": path, "shape": shape, "dtype": dtype, "kind": kind}
        for path, shape, kind in rows
    ]
    return folded


@dataclass(frozen=True)
class Model:
    """The shapes of a model's weights, and the model applied to them."""

    tree: Any
    apply: Callable[[Any], jax.Array]


@contextlib.contextmanager
def lax_promotion():
    """Frameworks' own code mixes dtypes and ranks."""
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        yield


@lax_promotion()
def of_linen(module, x):
    tree = jax.eval_shape(module.init, root(), x)["params"]

    def apply(params):
        return module.apply({"params": params}, x, mutable=["batch_stats"])[0]

    return Model(tree, lax_promotion()(jax.jit(apply)))


@lax_promotion()
def of_nnx(make):
    structure, tree = nnx.split(nnx.eval_shape(lambda: make(nnx.Rngs(0))), nnx.Param)

    def apply(params):
        return nnx.merge(structure, params)(TOKENS)

    return Model(tree, lax_promotion()(jax.jit(apply)))


@lax_promotion()
def of_haiku(function, x):
    model = hk.transform_with_state(function)
    tree, state = jax.eval_shape(model.init, jax.random.PRNGKey(0), x)

    def apply(params):
        zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), state)
        return model.apply(params, zeros, None, x)[0]

    return Model(tree, lax_promotion()(jax.jit(apply)))


@lax_promotion()
def of_equinox(make, x):
    tree = eqx.filter_eval_shape(make, root())
    apply = eqx.filter_jit(lambda model: jax.vmap(model)(x))
    return Model(tree, lax_promotion()(apply))


def attend(q, k, v, heads=HEADS, bias=None, **options):
    """Attention of (batch, length, heads * features)."""
    q, k, v = (x.reshape(*x.shape[:2], heads, -1) for x in (q, k, v))
    y = jax.nn.dot_product_attention(q, k, v, bias, **options)
    return y.reshape(*y.shape[:2], -1)


# -- GPT-2, Flax Linen -----------------------------------------------------------------


class Gpt2Attention(nn.Module):
    @nn.compact
    def __call__(self, x):
        qkv = nn.Dense(3 * D, name="c_attn")(x)
        y = attend(*jnp.split(qkv, 3, -1), is_causal=True)
        return nn.Dense(D, name="c_proj")(y)


class Gpt2Mlp(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(D, name="c_proj")(nn.gelu(nn.Dense(FF, name="c_fc")(x)))


class Gpt2Block(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = x + Gpt2Attention(name="attn")(nn.LayerNorm(name="ln_1")(x))
        return x + Gpt2Mlp(name="mlp")(nn.LayerNorm(name="ln_2")(x))


class Gpt2(nn.Module):
    @nn.compact
    def __call__(self, tokens):
        wte = nn.Embed(VOCABULARY, D, name="wte")
        positions = nn.Embed(LENGTH, D, name="wpe")(jnp.arange(LENGTH))
        x = wte(tokens) + positions[None]
        for i in range(LAYERS):
            x = Gpt2Block(name=f"h_{i}")(x)
        return wte.attend(nn.LayerNorm(name="ln_f")(x))


# -- Llama, Flax NNX -------------------------------------------------------------------


def linear(inputs, outputs, rngs):
    return nnx.Linear(
        inputs, outputs, use_bias=False, param_dtype=jnp.bfloat16, rngs=rngs
    )


def rms_norm(rngs):
    return nnx.RMSNorm(D, param_dtype=jnp.bfloat16, rngs=rngs)


class LlamaAttention(nnx.Module):
    def __init__(self, rngs):
        self.q_proj = linear(D, D, rngs)
        self.k_proj = linear(D, D // 2, rngs)
        self.v_proj = linear(D, D // 2, rngs)
        self.o_proj = linear(D, D, rngs)

    def __call__(self, x):
        q, k, v = self.q_proj(x), self.k_proj(x), self.v_proj(x)
        k, v = (jnp.repeat(x, 2, -1) for x in (k, v))
        return self.o_proj(attend(q, k, v, is_causal=True))


class LlamaMlp(nnx.Module):
    def __init__(self, rngs):
        self.gate_proj = linear(D, FF, rngs)
        self.up_proj = linear(D, FF, rngs)
        self.down_proj = linear(FF, D, rngs)

    def __call__(self, x):
        return self.down_proj(nnx.silu(self.gate_proj(x)) * self.up_proj(x))


class LlamaBlock(nnx.Module):
    def __init__(self, rngs):
        self.input_layernorm = rms_norm(rngs)
        self.self_attn = LlamaAttention(rngs)
        self.post_attention_layernorm = rms_norm(rngs)
        self.mlp = LlamaMlp(rngs)

    def __call__(self, x):
        x = x + self.self_attn(self.input_layernorm(x))
        return x + self.mlp(self.post_attention_layernorm(x))


class Llama(nnx.Module):
    def __init__(self, rngs):
        self.embed_tokens = nnx.Embed(
            VOCABULARY, D, param_dtype=jnp.bfloat16, rngs=rngs
        )
        layers = [LlamaBlock(rngs) for _ in range(LAYERS)]
        self.layers = nnx.List(layers) if hasattr(nnx, "List") else layers
        self.norm = rms_norm(rngs)
        self.lm_head = linear(D, VOCABULARY, rngs)

    def __call__(self, tokens):
        x = self.embed_tokens(tokens)
        for layer in self.layers:
            x = layer(x)
        return self.lm_head(self.norm(x))


# -- BERT, Flax Linen with the names of Hugging Face -----------------------------------


class BertSelf(nn.Module):
    @nn.compact
    def __call__(self, x):
        return attend(*(nn.Dense(D, name=n)(x) for n in ("query", "key", "value")))


class BertOutput(nn.Module):
    @nn.compact
    def __call__(self, x, residual):
        return nn.LayerNorm(name="LayerNorm")(residual + nn.Dense(D, name="dense")(x))


class BertAttention(nn.Module):
    @nn.compact
    def __call__(self, x):
        return BertOutput(name="output")(BertSelf(name="self")(x), x)


class BertIntermediate(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.gelu(nn.Dense(FF, name="dense")(x))


class BertLayer(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = BertAttention(name="attention")(x)
        return BertOutput(name="output")(BertIntermediate(name="intermediate")(x), x)


class BertEmbeddings(nn.Module):
    @nn.compact
    def __call__(self, tokens):
        x = nn.Embed(VOCABULARY, D, name="word_embeddings")(tokens)
        x = (
            x
            + nn.Embed(LENGTH, D, name="position_embeddings")(jnp.arange(LENGTH))[None]
        )
        x = x + nn.Embed(2, D, name="token_type_embeddings")(jnp.zeros_like(tokens))
        return nn.LayerNorm(name="LayerNorm")(x)


class BertPooler(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.tanh(nn.Dense(D, name="dense")(x[:, 0]))


class Bert(nn.Module):
    @nn.compact
    def __call__(self, tokens):
        x = BertEmbeddings(name="embeddings")(tokens)
        for i in range(LAYERS):
            x = BertLayer(name=f"layer_{i}")(x)
        return BertPooler(name="pooler")(x)


# -- BERT, Haiku -----------------------------------------------------------------------


def bert_of_haiku(tokens):
    def norm(x):
        return hk.LayerNorm(-1, create_scale=True, create_offset=True)(x)

    x = hk.Embed(VOCABULARY, D, name="word_embeddings")(tokens)
    positions = hk.Embed(LENGTH, D, name="position_embeddings")(jnp.arange(LENGTH))
    types = hk.Embed(2, D, name="token_type_embeddings")(jnp.zeros_like(tokens))
    x = norm(x + positions[None] + types)
    for _ in range(LAYERS):
        attention = hk.MultiHeadAttention(
            HEADS, D // HEADS, w_init=hk.initializers.Constant(0)
        )
        x = norm(x + attention(x, x, x))
        x = norm(x + hk.Linear(D)(jax.nn.gelu(hk.Linear(FF)(x))))
    return x


# -- Vision Transformers ---------------------------------------------------------------


class VitAttention(nn.Module):
    """Flax's attention with matrices in place of its kernels of three axes."""

    @nn.compact
    def __call__(self, x, y):
        q, k, v = (
            nn.Dense(D, name="query"),
            nn.Dense(D, name="key"),
            nn.Dense(D, name="value"),
        )
        return nn.Dense(D, name="out")(attend(q(x), k(y), v(y)))


FLAX_ATTENTION = functools.partial(nn.MultiHeadDotProductAttention, HEADS)


class MlpBlock(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(D)(nn.gelu(nn.Dense(FF)(x)))


class Encoder1DBlock(nn.Module):
    attention: Callable[[], nn.Module]

    @nn.compact
    def __call__(self, x):
        y = nn.LayerNorm()(x)
        x = x + self.attention()(y, y)
        return x + MlpBlock()(nn.LayerNorm()(x))


class AddPositions(nn.Module):
    @nn.compact
    def __call__(self, x):
        shape = (1, *x.shape[1:])
        return x + self.param("pos_embedding", nn.initializers.zeros, shape)


class Encoder(nn.Module):
    attention: Callable[[], nn.Module]

    @nn.compact
    def __call__(self, x):
        x = AddPositions(name="posembed_input")(x)
        for i in range(LAYERS):
            x = Encoder1DBlock(self.attention, name=f"encoderblock_{i}")(x)
        return nn.LayerNorm(name="encoder_norm")(x)


class Vit(nn.Module):
    """The names of Google's `models_vit.py`."""

    attention: Callable[[], nn.Module]

    @nn.compact
    def __call__(self, images):
        size = (PATCH, PATCH)
        x = nn.Conv(D, size, size, padding="VALID", name="embedding")(images)
        x = x.reshape(x.shape[0], -1, D)
        cls = self.param("cls", nn.initializers.zeros, (1, 1, D))
        x = jnp.concatenate([jnp.tile(cls, (x.shape[0], 1, 1)), x], 1)
        x = Encoder(self.attention, name="Transformer")(x)
        return nn.Dense(CLASSES, name="head")(x[:, 0])


class VitMlp(eqx.Module):
    fc1: eqx.nn.Linear
    fc2: eqx.nn.Linear

    def __init__(self, key):
        first, second = jax.random.split(key)
        self.fc1 = eqx.nn.Linear(D, FF, key=first)
        self.fc2 = eqx.nn.Linear(FF, D, key=second)

    def __call__(self, x):
        return self.fc2(jax.nn.gelu(self.fc1(x)))


class VitBlock(eqx.Module):
    norm1: eqx.nn.LayerNorm
    attn: eqx.nn.MultiheadAttention
    norm2: eqx.nn.LayerNorm
    mlp: VitMlp

    def __init__(self, key):
        first, second = jax.random.split(key)
        self.norm1, self.norm2 = eqx.nn.LayerNorm(D), eqx.nn.LayerNorm(D)
        self.attn = eqx.nn.MultiheadAttention(HEADS, D, key=first)
        self.mlp = VitMlp(second)

    def __call__(self, x):
        y = jax.vmap(self.norm1)(x)
        x = x + self.attn(y, y, y)
        return x + jax.vmap(self.mlp)(jax.vmap(self.norm2)(x))


class PatchEmbed(eqx.Module):
    proj: eqx.nn.Conv2d

    def __init__(self, key):
        self.proj = eqx.nn.Conv2d(3, D, PATCH, PATCH, key=key)

    def __call__(self, image):
        return self.proj(image).reshape(D, -1).T


class VitOfEquinox(eqx.Module):
    """The names of timm."""

    patch_embed: PatchEmbed
    cls_token: jax.Array
    pos_embed: jax.Array
    blocks: list[VitBlock]
    norm: eqx.nn.LayerNorm
    head: eqx.nn.Linear

    def __init__(self, key):
        patch, head, *blocks = jax.random.split(key, 2 + LAYERS)
        self.patch_embed = PatchEmbed(patch)
        self.cls_token = jnp.zeros((1, D))
        self.pos_embed = jnp.zeros((17, D))
        self.blocks = [VitBlock(block) for block in blocks]
        self.norm = eqx.nn.LayerNorm(D)
        self.head = eqx.nn.Linear(D, CLASSES, key=head)

    def __call__(self, image):
        x = jnp.concatenate([self.cls_token, self.patch_embed(image)]) + self.pos_embed
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x[0]))


# -- ResNets ---------------------------------------------------------------------------


def resnet50_of_haiku(images):
    return hk.nets.ResNet50(CLASSES)(images, is_training=True)


def basic_resnet_of_haiku(images):
    model = hk.nets.ResNet(
        (2, 1, 1, 1),
        CLASSES,
        bottleneck=False,
        channels_per_group=(8, 16, 16, 16),
        use_projection=(True, True, True, True),
    )
    return model(images, is_training=True)


class BottleneckResNetBlock(nn.Module):
    """The block of Flax's ImageNet example."""

    filters: int

    @nn.compact
    def __call__(self, x):
        norm = functools.partial(nn.BatchNorm, use_running_average=False)
        conv = functools.partial(nn.Conv, use_bias=False)
        y = nn.relu(norm()(conv(self.filters, (1, 1))(x)))
        y = nn.relu(norm()(conv(self.filters, (3, 3))(y)))
        y = norm()(conv(4 * self.filters, (1, 1))(y))
        if x.shape != y.shape:
            x = norm(name="norm_proj")(
                conv(4 * self.filters, (1, 1), name="conv_proj")(x)
            )
        return nn.relu(x + y)


class ResNet(nn.Module):
    @nn.compact
    def __call__(self, images):
        x = nn.Conv(8, (7, 7), use_bias=False, name="conv_init")(images)
        x = nn.relu(nn.BatchNorm(use_running_average=False, name="bn_init")(x))
        for _ in range(3):
            x = BottleneckResNetBlock(8)(x)
        return nn.Dense(CLASSES)(x.mean((1, 2)))


# -- T5, Flax Linen --------------------------------------------------------------------


def bare(features, name):
    return nn.Dense(features, use_bias=False, name=name)


class T5Attention(nn.Module):
    @nn.compact
    def __call__(self, x):
        q, k, v = (bare(HEADS * D_KV, name)(x) for name in "qkv")
        buckets = jnp.arange(LENGTH)[None] - jnp.arange(LENGTH)[:, None] + LENGTH
        table = nn.Embed(2 * LENGTH, HEADS, name="relative_attention_bias")
        bias = table(buckets).transpose(2, 0, 1)[None]
        return bare(D, "o")(attend(q, k, v, bias=bias, scale=1.0))


class T5Mlp(nn.Module):
    @nn.compact
    def __call__(self, x):
        return bare(D, "wo")(nn.relu(bare(FF, "wi")(x)))


class T5Block(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = x + T5Attention(name="SelfAttention")(nn.RMSNorm(name="layer_norm_0")(x))
        return x + T5Mlp(name="DenseReluDense")(nn.RMSNorm(name="layer_norm_1")(x))


class T5(nn.Module):
    @nn.compact
    def __call__(self, tokens):
        shared = nn.Embed(VOCABULARY, D, name="shared")
        x = shared(tokens)
        for i in range(LAYERS):
            x = T5Block(name=f"block_{i}")(x)
        return shared.attend(nn.RMSNorm(name="final_layer_norm")(x) * D**-0.5)


# -- Mixtral, Flax Linen ---------------------------------------------------------------


class Experts(nn.Module):
    @nn.compact
    def __call__(self, x):
        zeros = nn.initializers.zeros
        gate_up = self.param("gate_up_proj", zeros, (EXPERTS, D, 2 * FF))
        down = self.param("down_proj", zeros, (EXPERTS, FF, D))
        gate, up = jnp.split(jnp.einsum("btd,edf->btef", x, gate_up), 2, -1)
        return jnp.einsum("btef,efd->bted", nn.silu(gate) * up, down)


class Moe(nn.Module):
    @nn.compact
    def __call__(self, x):
        weights = nn.softmax(bare(EXPERTS, "gate")(x))
        return jnp.einsum("bte,bted->btd", weights, Experts(name="experts")(x))


class MixtralAttention(nn.Module):
    @nn.compact
    def __call__(self, x):
        qkv = (bare(D, f"{name}_proj")(x) for name in "qkv")
        return bare(D, "o_proj")(attend(*qkv, is_causal=True))


class MixtralBlock(nn.Module):
    @nn.compact
    def __call__(self, x):
        y = nn.RMSNorm(name="input_layernorm")(x)
        x = x + MixtralAttention(name="self_attn")(y)
        y = nn.RMSNorm(name="post_attention_layernorm")(x)
        return x + Moe(name="mlp")(y)


class Mixtral(nn.Module):
    @nn.compact
    def __call__(self, tokens):
        x = nn.Embed(VOCABULARY, D, name="embed_tokens")(tokens)
        for i in range(LAYERS):
            x = MixtralBlock(name=f"layers_{i}")(x)
        return bare(VOCABULARY, "lm_head")(nn.RMSNorm(name="norm")(x))


MODELS = {
    "gpt2": lambda: of_linen(Gpt2(), TOKENS),
    "llama": lambda: of_nnx(Llama),
    "bert": lambda: of_linen(Bert(), TOKENS),
    "bert of Haiku": lambda: of_haiku(bert_of_haiku, TOKENS),
    "bert, Flax's own names": lambda: of_linen(setup_models.Linen(), TOKENS),
    "vit": lambda: of_linen(Vit(VitAttention), IMAGES),
    "vit, Flax's attention": lambda: of_linen(Vit(FLAX_ATTENTION), IMAGES),
    "vit of Equinox": lambda: of_equinox(VitOfEquinox, IMAGES.transpose(0, 3, 1, 2)),
    "resnet": lambda: of_linen(ResNet(), IMAGES),
    "resnet-50 of Haiku": lambda: of_haiku(resnet50_of_haiku, IMAGES),
    "basic resnet of Haiku": lambda: of_haiku(basic_resnet_of_haiku, IMAGES),
    "t5": lambda: of_linen(T5(), TOKENS),
    "mixtral": lambda: of_linen(Mixtral(), TOKENS),
}

# -- names of PyTorch ------------------------------------------------------------------


def bottleneck(prefix, inputs, filters):
    """A block of torchvision's ResNet-50, its shortcut a convolution."""
    shapes = {
        "conv1.weight": (filters, inputs, 1, 1),
        "conv2.weight": (filters, filters, 3, 3),
        "conv3.weight": (4 * filters, filters, 1, 1),
        "downsample.0.weight": (4 * filters, inputs, 1, 1),
    }
    widths = {"bn1": filters, "bn2": filters, "bn3": 4 * filters}
    for norm, width in (widths | {"downsample.1": 4 * filters}).items():
        shapes |= {f"{norm}.weight": (width,), f"{norm}.bias": (width,)}
    return {prefix + name: shape for name, shape in shapes.items()}


def basic_block(prefix, filters):
    """A block of torchvision's ResNet-18."""
    shapes = {f"conv{i}.weight": (filters, filters, 3, 3) for i in (1, 2)}
    for norm in ("bn1", "bn2"):
        shapes |= {f"{norm}.weight": (filters,), f"{norm}.bias": (filters,)}
    return {prefix + name: shape for name, shape in shapes.items()}


STEM = {"conv1.weight": (16, 3, 7, 7), "bn1.weight": (16,), "bn1.bias": (16,)}
HEAD = {"fc.weight": (CLASSES, 64), "fc.bias": (CLASSES,)}
TIMM = {
    "cls_token": (1, 1, D),
    "pos_embed": (1, 17, D),
    "patch_embed.proj.weight": (D, 3, PATCH, PATCH),
    "patch_embed.proj.bias": (D,),
    "blocks.0.norm1.weight": (D,),
    "blocks.0.norm1.bias": (D,),
    "blocks.0.attn.qkv.weight": (3 * D, D),
    "blocks.0.attn.qkv.bias": (3 * D,),
    "blocks.0.attn.proj.weight": (D, D),
    "blocks.0.attn.proj.bias": (D,),
    "blocks.0.norm2.weight": (D,),
    "blocks.0.norm2.bias": (D,),
    "blocks.0.mlp.fc1.weight": (FF, D),
    "blocks.0.mlp.fc1.bias": (FF,),
    "blocks.0.mlp.fc2.weight": (D, FF),
    "blocks.0.mlp.fc2.bias": (D,),
    "norm.weight": (D,),
    "norm.bias": (D,),
    "head.weight": (CLASSES, D),
    "head.bias": (CLASSES,),
}
LISTS = {
    "resnet of torchvision": STEM | bottleneck("layer1.0.", 16, 16) | HEAD,
    "basic resnet of torchvision": STEM | basic_block("layer1.0.", 16) | HEAD,
    "vit of timm": TIMM,
}
