"""Flax models, every weight of which follows the law that its config promises.

GPT-2 small in Linen, ResNet-18 in NNX, an ensemble by `jax.vmap`, and one config for
several weights under one key. The models have their real sizes, the same bits eagerly
and by `ij.jit_init`, and each weight is held against `init.law(shape)`.

    pip install "initjax[examples]"
    python examples/flax_models.py
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from flax.traverse_util import flatten_dict
from rich import box
from rich.console import Console
from rich.table import Table

import initjax as ij

CONSOLE = Console(width=116, highlight=False)  # fixed: a piped table stays readable
LIMIT = 5.0  # standard errors; chance alone exceeds it once in 1.7 million
TOKENS = jnp.zeros((1, 8), jnp.int32)
Weights = Mapping[str, jax.Array]
Inits = Mapping[str, ij.Initializer]

# -- GPT-2 in Linen: a law for each role ---------------------------------------------


def dense(features: int, kernel_init: ij.Initializer, name: str) -> nn.Dense:
    """Return a linear layer with a zero bias."""
    return nn.Dense(features, kernel_init=kernel_init, bias_init=ij.Zeros(), name=name)


def layer_norm(name: str) -> nn.LayerNorm:
    """Return a layer norm that at first only normalizes."""
    return nn.LayerNorm(1e-5, scale_init=ij.Ones(), bias_init=ij.Zeros(), name=name)


class Block(nn.Module):
    """Causal self-attention and an MLP, each on the normalized residual stream."""

    heads: int
    weight: ij.Initializer
    residual: ij.Initializer

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Return the updated residual stream."""
        width = x.shape[-1]
        qkv = dense(3 * width, self.weight, "attn_qkv")(layer_norm("ln_1")(x))
        qkv = qkv.reshape(*x.shape[:-1], 3, self.heads, width // self.heads)
        q, k, v = jnp.moveaxis(qkv, -3, 0)
        y = nn.dot_product_attention(q, k, v, mask=nn.make_causal_mask(x[..., 0]))
        x = x + dense(width, self.residual, "attn_out")(y.reshape(x.shape))
        y = nn.gelu(dense(4 * width, self.weight, "mlp_in")(layer_norm("ln_2")(x)))
        return x + dense(width, self.residual, "mlp_out")(y)


class GPT2(nn.Module):
    """GPT-2, its head tied to the token embedding; the defaults are GPT-2 small."""

    vocab: int = 50257
    positions: int = 1024
    width: int = 768
    layers: int = 12
    heads: int = 12

    @nn.compact
    def __call__(self, tokens: jax.Array) -> jax.Array:
        """Return the logits of the next token at every position."""
        weight = ij.RandomNormal(stddev=0.02)
        position = ij.RandomNormal(stddev=0.01)
        # 2 * layers updates add up in the residual stream: keep its variance
        residual = ij.RandomNormal(stddev=0.02 / math.sqrt(2 * self.layers))
        wte = nn.Embed(self.vocab, self.width, embedding_init=weight, name="wte")
        wpe = nn.Embed(self.positions, self.width, embedding_init=position, name="wpe")
        x = wte(tokens) + wpe(jnp.arange(tokens.shape[-1]))
        for i in range(self.layers):
            x = Block(self.heads, weight, residual, name=f"h_{i}")(x)
        return wte.attend(layer_norm("ln_f")(x))


def linen_weights(variables: Mapping[str, Any]) -> dict[str, Any]:
    """Return Linen's parameters by path."""
    return flatten_dict(variables["params"], sep="/")


def linen_inits(model: nn.Module, *args: Any) -> Inits:
    """Return the config of every parameter, read from the layer that makes it.

    A Linen layer keeps the config of its parameter `kernel` in its field `kernel_init`.
    The model is only traced: nothing is allocated.
    """
    inits: dict[str, ij.Initializer] = {}

    def read(call: Callable[..., Any], args: Any, kwargs: Any, context: Any) -> Any:
        layer = context.module
        for field in dataclasses.fields(layer):
            if field.name.endswith("_init"):
                path = "/".join((*layer.path, field.name.removesuffix("_init")))
                inits[path] = getattr(layer, field.name)
        return call(*args, **kwargs)

    with nn.intercept_methods(read):
        jax.eval_shape(model.init, *args)
    return inits


# -- ResNet-18 in NNX: every parameter carries its law -------------------------------


def labelled(init: ij.Initializer) -> Callable[..., Any]:
    """Return the initializer, made to leave its config on each parameter it fills.

    Configs are hashable values, so that NNX keeps them as static metadata under `jit`.
    """
    return nnx.with_metadata(init, law=init)


def conv(n_in: int, n_out: int, size: int, stride: int, rngs: nnx.Rngs) -> nnx.Conv:
    """Return a convolution without bias, of the law for ReLU networks."""
    return nnx.Conv(
        n_in, n_out, (size, size), stride, padding=[(size // 2, size // 2)] * 2,
        use_bias=False, kernel_init=labelled(ij.HeNormal()), rngs=rngs,
    )  # fmt: skip


def batch_norm(n: int, scale: ij.Initializer, rngs: nnx.Rngs) -> nnx.BatchNorm:
    """Return a batch norm with a zero shift."""
    return nnx.BatchNorm(
        n, scale_init=labelled(scale), bias_init=labelled(ij.Zeros()), rngs=rngs
    )


class BasicBlock(nnx.Module):
    """Two convolutions beside a shortcut, projected where the shape changes."""

    def __init__(self, n_in: int, n_out: int, stride: int, rngs: nnx.Rngs) -> None:
        """Make the layers."""
        self.conv1 = conv(n_in, n_out, 3, stride, rngs)
        self.bn1 = batch_norm(n_out, ij.Ones(), rngs)
        self.conv2 = conv(n_out, n_out, 3, 1, rngs)
        # the block starts as its shortcut (Goyal et al., 2017, section 5.1)
        self.bn2 = batch_norm(n_out, ij.Zeros(), rngs)
        self.projects = (n_in, stride) != (n_out, 1)
        if self.projects:
            self.conv3 = conv(n_in, n_out, 1, stride, rngs)
            self.bn3 = batch_norm(n_out, ij.Ones(), rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Return the features of the next block."""
        y = self.bn2(self.conv2(nnx.relu(self.bn1(self.conv1(x)))))
        return nnx.relu(y + (self.bn3(self.conv3(x)) if self.projects else x))


class ResNet18(nnx.Module):
    """ResNet-18 for ImageNet."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        """Make the layers."""
        self.conv1 = conv(3, 64, 7, 2, rngs)
        self.bn1 = batch_norm(64, ij.Ones(), rngs)
        widths = (64, 64, 64, 128, 128, 256, 256, 512, 512)
        for i, (n_in, n_out) in enumerate(itertools.pairwise(widths)):
            block = BasicBlock(n_in, n_out, 1 if n_in == n_out else 2, rngs)
            setattr(self, f"block_{i}", block)
        self.head = nnx.Linear(
            512, 1000, kernel_init=labelled(ij.GlorotUniform()),
            bias_init=labelled(ij.Zeros()), rngs=rngs,
        )  # fmt: skip

    def __call__(self, images: jax.Array) -> jax.Array:
        """Return the logits of the classes."""
        x = nnx.relu(self.bn1(self.conv1(images)))
        x = nnx.max_pool(x, (3, 3), (2, 2), padding=[(1, 1)] * 2)
        for i in range(8):
            x = getattr(self, f"block_{i}")(x)
        return self.head(x.mean(axis=(1, 2)))


def nnx_params(model: nnx.Module) -> dict[str, Any]:
    """Return NNX's parameters by path."""
    state = nnx.to_flat_state(nnx.state(model, nnx.Param))
    return {"/".join(map(str, path)): param for path, param in state}


# -- every weight against its law ----------------------------------------------------


class Finding(NamedTuple):
    """What one weight was promised, and what it is."""

    path: str
    shape: tuple[int, ...]
    init: ij.Initializer
    std: float
    z: float  # standard errors that mean or std is off, the larger of the two


def measure(path: str, init: ij.Initializer, weight: jax.Array) -> Finding:
    """Return how far mean and standard deviation are from the promise."""
    law = init.law(weight.shape, weight.dtype)
    x = np.asarray(weight, np.float64).ravel()
    mean = x.mean()
    x = np.square(x - mean)
    variance, fourth = x.mean(), x @ x / x.size
    std = math.sqrt(variance)
    if law.std == 0:
        z = 0.0 if std == 0 and mean == law.mean else math.inf
        return Finding(path, weight.shape, init, std, z)
    mean_error = law.std / math.sqrt(x.size)
    # Var(sample variance) = (m4 - m2^2) / n; its root's by the delta method
    std_error = np.sqrt((fourth - variance**2) / x.size) / (2 * law.std)
    z = max(abs(mean - law.mean) / mean_error, abs(std - law.std) / std_error)
    z = float(np.nan_to_num(z, nan=math.inf))  # a nan must not pass for small
    return Finding(path, weight.shape, init, std, z)


def audit(title: str, weights: Weights, inits: Inits) -> list[Finding]:
    """Measure every weight; print one row for those of one role, shape and law.

    The row shows the standard deviation promised, and that of the weight furthest off.
    """
    findings = [measure(path, inits[path], weights[path]) for path in weights]
    rows: defaultdict[tuple[Any, ...], list[Finding]] = defaultdict(list)
    for finding in findings:
        role = re.sub(r"(?<=_)\d+(?=/)", "*", finding.path)  # h_3/mlp_in to h_*/mlp_in
        rows[role, finding.shape, finding.init].append(finding)
    table = Table(
        title=title, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False
    )
    table.title_justify, table.show_edge = "left", False
    for name in ("path", "shape", "law"):
        table.add_column(name, no_wrap=True)
    for name in ("n", "fan_in", "std", "observed", "z", "ok"):
        table.add_column(name, justify="right")
    for (role, shape, init), members in rows.items():
        law, worst = init.law(shape), max(members, key=lambda finding: finding.z)
        fan_in = str(law.fans.fan_in) if law.fans else "-"
        numbers = f"{law.std:.5f}", f"{worst.std:.5f}", f"{worst.z:.1f}"
        ok = "ok" if worst.z <= LIMIT else "NO"
        table.add_row(
            role, str(shape), repr(init), str(len(members)), fan_in, *numbers, ok
        )
    CONSOLE.print(table, "")
    return findings


def same_bits(a: Weights, b: Weights) -> bool:
    """Tell whether two models have the same paths and, at each, the same bits."""
    return a.keys() == b.keys() and all(
        np.array_equal(np.asarray(a[path]).view("u4"), np.asarray(b[path]).view("u4"))
        for path in a
    )


# -- the four runs -------------------------------------------------------------------


def run_gpt2(key: jax.Array) -> list[Finding]:
    """GPT-2 small in Linen, eagerly and by `jit_init`."""
    model = GPT2()
    eager = linen_weights(model.init(key, TOKENS))
    jitted = linen_weights(ij.jit_init(model.init)(key, TOKENS))
    assert same_bits(eager, jitted)
    assert sum(weight.size for weight in eager.values()) == 124_439_808
    title = "GPT-2 small in Linen, 124,439,808 parameters: the same by jit_init"
    return audit(title, eager, linen_inits(model, key, TOKENS))


def run_resnet(key: jax.Array) -> list[Finding]:
    """ResNet-18 in NNX, eagerly and by `jit_init`."""

    def make(key: jax.Array) -> ResNet18:
        return ResNet18(nnx.Rngs(key))

    model = ij.jit_init(make)(key)
    images = jax.ShapeDtypeStruct((1, 224, 224, 3), jnp.float32)
    assert nnx.eval_shape(ResNet18.__call__, model, images).shape == (1, 1000)
    params = nnx_params(model)
    weights = {path: param[...] for path, param in params.items()}
    eager = {path: param[...] for path, param in nnx_params(make(key)).items()}
    assert same_bits(eager, weights)
    assert sum(weight.size for weight in weights.values()) == 11_689_512
    title = "ResNet-18 in NNX, 11,689,512 parameters: the same by jit_init"
    return audit(title, weights, {path: param.law for path, param in params.items()})


def run_ensemble(key: jax.Array) -> list[Finding]:
    """Eight small models by `jax.vmap` over keys, each as if it were alone."""
    model = GPT2(vocab=512, positions=64, width=64, layers=2, heads=4)
    keys = jax.random.split(key, 8)
    stacked = linen_weights(jax.vmap(model.init, in_axes=(0, None))(keys, TOKENS))
    init, solo = linen_inits(model, key, TOKENS), jax.jit(model.init)
    weights, inits = {}, {}
    for i in range(len(keys)):
        member = {path: weight[i] for path, weight in stacked.items()}
        assert same_bits(member, linen_weights(solo(keys[i], TOKENS)))
        weights |= {f"member_{i}/{path}": member[path] for path in member}
        inits |= {f"member_{i}/{path}": init[path] for path in member}
    return audit("An ensemble by vmap: each has the bits it has alone", weights, inits)


def run_clones(key: jax.Array) -> list[Finding]:
    """One config and one key for the kernels of a graph network's edge sets.

    What TF-GNN wrote `clone_initializer` for: its layers take one initializer and make
    several weights with it, which are equal if the initializer is a pure function.
    """
    init, shape, edges = ij.GlorotUniform(), (256, 128), ("cites", "writes", "topic")
    kernels = [init(key, shape) for _ in edges]
    assert all(np.array_equal(kernel, kernels[0]) for kernel in kernels)
    inits = {"shared": init}
    inits |= {edge: ij.clone_initializer(init, edge) for edge in edges}
    clones = ij.clone_initializer(init, num=3)
    inits |= {f"split_{i}": clone for i, clone in enumerate(clones)}
    weights = {name: init(key, shape) for name, init in inits.items()}
    rows = np.stack([np.ravel(weight) for weight in weights.values()])
    correlation = np.abs(np.corrcoef(rows) - np.eye(len(rows))).max()
    assert correlation * math.sqrt(rows.shape[1]) <= LIMIT  # as independent weights
    return audit("One config under one key: independent once cloned", weights, inits)


def main() -> None:
    """Run the four, and hold every weight to its law."""
    key = jax.random.key(0)
    findings = []
    for run in (run_gpt2, run_resnet, run_ensemble, run_clones):
        findings += run(ij.fold_in_path(key, run.__name__))
    broken = [finding.path for finding in findings if finding.z > LIMIT]
    assert not broken, f"off by more than {LIMIT} standard errors: {broken}"
    CONSOLE.print(f"all {len(findings)} weights hold their law")


if __name__ == "__main__":
    main()
