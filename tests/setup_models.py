"""Real models of every framework, as initialization functions and their arguments."""

import contextlib
import functools

import equinox as eqx
import flax.linen as nn
import haiku as hk
import jax
import jax.numpy as jnp
import optax
from flax import nnx
from flax.training import train_state

import initjax as ij

D, HEADS, VOCABULARY = 32, 2, 50
TOKENS = jnp.zeros((1, 4), jnp.int32)


class Block(nn.Module):
    """A pre-norm transformer block."""

    kernel: nn.initializers.Initializer = nn.initializers.lecun_normal()

    @nn.compact
    def __call__(self, x):
        y = nn.LayerNorm()(x)
        x = x + nn.MultiHeadDotProductAttention(HEADS)(y, y)
        y = nn.Dense(4 * D, kernel_init=self.kernel)(nn.LayerNorm()(x))
        return x + nn.Dense(D, kernel_init=self.kernel)(nn.gelu(y))


class Linen(nn.Module):
    """A transformer of blocks, one after the other or as `stack` lifts them."""

    layers: int = 2
    stack: str = "loop"
    kernel: nn.initializers.Initializer = nn.initializers.lecun_normal()
    head: nn.initializers.Initializer = nn.initializers.orthogonal()

    @nn.compact
    def __call__(self, tokens):
        x = nn.Embed(VOCABULARY, D)(tokens)
        block = nn.remat(Block) if self.stack == "remat" else Block
        if self.stack == "scan":
            lifted = nn.scan(
                lambda block, x, _: (block(x), None),
                variable_axes={"params": 0},
                split_rngs={"params": True},
                length=self.layers,
            )
            x, _ = lifted(Block(self.kernel), x, None)
        elif self.stack == "vmap":
            lifted = nn.vmap(
                Block,
                in_axes=None,
                axis_size=self.layers,
                variable_axes={"params": 0},
                split_rngs={"params": True},
            )
            x = lifted(self.kernel)(x).sum(0)
        else:
            for _ in range(self.layers):
                x = block(self.kernel)(x)
        return nn.Dense(VOCABULARY, kernel_init=self.head)(x)


class NnxBlock(nnx.Module):
    """A block of NNX, its kernels with sharding metadata."""

    def __init__(self, rngs):
        kernel = nnx.with_partitioning(nnx.initializers.he_normal(), (None, "model"))
        self.attention = nnx.MultiHeadAttention(HEADS, D, decode=False, rngs=rngs)
        self.norm = nnx.LayerNorm(D, rngs=rngs)
        self.up = nnx.Linear(D, 4 * D, kernel_init=kernel, rngs=rngs)
        self.drop = nnx.Dropout(0.1, rngs=rngs)


class Nnx(nnx.Module):
    """An NNX transformer."""

    def __init__(self, layers, rngs):
        self.embed = nnx.Embed(VOCABULARY, D, rngs=rngs)
        blocks = [NnxBlock(rngs) for _ in range(layers)]
        self.blocks = nnx.List(blocks) if hasattr(nnx, "List") else blocks


def make_nnx(layers, key):
    """Return an NNX model whose metadata names axes of no mesh yet."""
    eager = getattr(nnx, "use_eager_sharding", contextlib.nullcontext)
    with eager(False):
        return Nnx(layers, nnx.Rngs(key))


class EquinoxBlock(eqx.Module):
    """A block of Equinox."""

    attention: eqx.nn.MultiheadAttention
    mlp: eqx.nn.MLP
    norm: eqx.nn.LayerNorm

    def __init__(self, key):
        first, second = jax.random.split(key)
        self.attention = eqx.nn.MultiheadAttention(HEADS, D, key=first)
        self.mlp = eqx.nn.MLP(D, D, 4 * D, 1, key=second)
        self.norm = eqx.nn.LayerNorm(D)


def equinox(key, layers=2):
    """Return the arrays of an Equinox model."""
    model = [EquinoxBlock(k) for k in jax.random.split(key, layers)]
    return eqx.filter(model, eqx.is_array)


def haiku(tokens):
    """Apply a Haiku transformer."""
    x = hk.Embed(VOCABULARY, D)(tokens)
    for _ in range(2):
        attend = hk.MultiHeadAttention(HEADS, 16, w_init=hk.initializers.Orthogonal())
        x = x + attend(x, x, x)
        x = hk.LayerNorm(-1, create_scale=True, create_offset=True)(x)
        x = hk.Linear(D)(jax.nn.relu(hk.Linear(4 * D)(x)))
    return x


def haiku_batch_norm(x):
    """Apply a small convolutional network with state."""
    x = hk.Conv2D(16, 3)(x)
    x = hk.BatchNorm(True, True, 0.9)(x, is_training=True)
    return hk.Linear(10)(x.mean((1, 2)))


def training(key):
    """Return parameters, their running mean, and the state of two optimizers."""
    params = Linen(1).init(key, TOKENS)["params"]
    state = train_state.TrainState.create(
        apply_fn=None, params=params, tx=optax.adamw(optax.constant_schedule(1e-3))
    )
    average = jax.tree.map(jnp.array, params)
    return state.params, state.opt_state, state.step, average, params


def partitioned(key):
    """Return a Linen model whose parameters stand in boxes with axis names."""
    kernel = nn.with_partitioning(nn.initializers.xavier_uniform(), ("data", "model"))
    return Linen(1, kernel=kernel).init(key, TOKENS)


def ours(key):
    """Return weights of initjax's own laws: clones of one, and several numbers."""
    he = ij.HeNormal()
    weights = {n: ij.clone_initializer(he, n)(key, (D, 4 * D)) for n in ("q", "k", "v")}
    for layer in range(3):
        init = ij.RandomNormal(stddev=0.02 / (layer + 1), seed=("layer", layer))
        weights[f"out{layer}"] = init(key, (4 * D, D))
    weights["half"] = ij.GlorotUniform(seed="half")(key, (D, D), jnp.bfloat16)
    weights["square"] = ij.Orthogonal(seed="square")(key, (8, 8))
    return weights


def data_dependent(key, x):
    """Return a weight scaled by the data, as weight normalization does."""
    w = jax.random.normal(key, (x.shape[-1], D))
    scale = 1 / jnp.std(x @ w, axis=0)
    return {"w": w, "scale": scale, "mean": x.mean(0), "x": x}


def members(init, *args):
    """Return an ensemble's initialization."""
    return lambda keys: jax.vmap(init, (0, *(None for _ in args)))(keys, *args)


KEY = jax.random.key(7)
RAW = jax.random.PRNGKey(7)
KEYS = [jax.random.split(jax.random.key(seed), 3) for seed in range(2)]
RAW_KEYS = jax.random.split(jax.random.PRNGKey(8), 3)
IMAGES = jnp.ones((2, 8, 8, 3))
MODELS = {
    "linen": (Linen().init, (KEY, TOKENS)),
    "linen_raw_key": (Linen().init, (RAW, TOKENS)),
    "linen_rngs": (Linen(1).init, ({"params": KEY, "dropout": RAW}, TOKENS)),
    "linen_bfloat16": (nn.Dense(D, param_dtype=jnp.bfloat16).init, (KEY, IMAGES)),
    "linen_scan": (Linen(stack="scan").init, (KEY, TOKENS)),
    "linen_vmap": (Linen(stack="vmap").init, (KEY, TOKENS)),
    "linen_remat": (Linen(stack="remat").init, (KEY, TOKENS)),
    "linen_partitioned": (partitioned, (KEY,)),
    "linen_ensemble": (
        jax.vmap(Linen(1).init, (0, None)),
        (KEYS[0], TOKENS),
    ),
    "training": (training, (KEY,)),
    "nnx": (lambda key: nnx.split(make_nnx(2, key))[1], (KEY,)),
    "nnx_params_alone": (
        lambda key: nnx.split(make_nnx(1, key), nnx.Param, ...)[1],
        (RAW,),
    ),
    "equinox": (equinox, (KEY,)),
    "equinox_ensemble": (lambda keys: eqx.filter_vmap(equinox)(keys), (RAW_KEYS,)),
    "haiku": (hk.transform(haiku).init, (RAW, TOKENS)),
    "haiku_state": (hk.transform_with_state(haiku_batch_norm).init, (RAW, IMAGES)),
    "initjax": (ours, (KEY,)),
    "initjax_ensemble": (members(ours), (KEYS[1],)),
    "data_dependent": (data_dependent, (KEY, IMAGES.reshape(-1, 3))),
    "rbg": (Linen(1).init, (jax.random.key(3, impl="rbg"), TOKENS)),
    "rbg_raw": (
        functools.partial(Linen(1).init, {"params": jax.random.key(5, impl="rbg")}),
        (TOKENS,),
    ),
    "unsafe_rbg": (equinox, (jax.random.key(3, impl="unsafe_rbg"),)),
}
