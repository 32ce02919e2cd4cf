"""A Haiku model by rule: planned, made without a forward pass, edited, trained.

A small residual network reads the direction of stripes. Its weights come from rules
over Haiku's own paths; the fans of its convolutions, a depthwise one among them, are
known. Then it gets a second head, and every other weight keeps its bits, by rules as by
laws in the layers themselves.

    pip install "initjax[haiku]"
    python examples/with_haiku.py
"""

from __future__ import annotations

import math
import os
from typing import Any

os.environ["JAX_PLATFORMS"] = "cpu"  # read as JAX starts, so set before

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np

import initjax as ij
from initjax.adapters.haiku import abstract, init_model, w_init

SIZE, BATCH, CLASSES, STEPS = 12, 64, 4, 40


def block(x: jax.Array) -> jax.Array:
    """Return a residual branch: each channel by itself, then channel to channel."""
    y = hk.BatchNorm(True, True, 0.9)(x, is_training=True)
    y = hk.DepthwiseConv2D(1, 3, with_bias=False, name="depthwise")(y)
    y = hk.Conv2D(x.shape[-1], 1, name="pointwise")(jax.nn.relu(y))
    return x + y


def network(images: jax.Array, second_head: bool = False) -> Any:
    """Return the logits of a batch of images."""
    x = hk.Conv2D(16, 5, stride=2, name="stem")(images)
    for _ in range(3):
        x = hk.to_module(block)("block")(x)
    x = jax.nn.relu(x).mean(axis=(1, 2))
    if second_head:
        hk.Linear(7, name="second")(x)
    return hk.Linear(CLASSES, name="head")(x)


MODEL = hk.transform_with_state(network)

RULES = ij.Rules(
    [
        ("**/{b,offset}", "zeros"),
        ("**/scale", "ones"),
        ("{head,second}/w", ij.RandomNormal(stddev=0.01)),
        ("block*/pointwise/w", ij.depth_scaled("he_normal", layers=3)),
        ("**/w", "he_normal"),
    ]
)


def hold_to_plan(params: Any, plan: ij.TreePlan) -> int:
    """Hold every weight to the law that the plan promised, and count them."""
    for row in plan.rows:
        module, name = row.path.rsplit("/", 1)
        assert row.std is not None
        # of a normal; a cut one has lighter tails, and so a smaller error
        error = row.std / math.sqrt(2 * math.prod(row.shape))
        assert abs(np.std(params[module][name]) - row.std) <= 5 * error, row.path
    return len(plan.rows)


def kept(old: Any, new: Any) -> bool:
    """Tell whether every weight of the old tree has the same bits in the new one."""
    return all(
        np.array_equal(weight, new[module][name])
        for module, weights in old.items()
        for name, weight in weights.items()
    )


def named(x: jax.Array, wide: bool) -> jax.Array:
    """Return a perceptron whose laws are in the layers, each drawn by its path."""
    init = w_init(ij.HeNormal(), name="w")
    if wide:
        hk.Linear(9, w_init=init, name="before")(x)
    return hk.nets.MLP([8, 8, 2], w_init=init)(x)


@jax.jit
def stripes(key: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return images of stripes in one of four directions, and which."""
    a, b = jax.random.split(key)
    label = jax.random.randint(a, (BATCH,), 0, CLASSES)
    angle = (jnp.pi / CLASSES * label)[:, None, None]
    y, x = jnp.mgrid[:SIZE, :SIZE]
    wave = jnp.sin(x * jnp.cos(angle) + y * jnp.sin(angle))
    image = wave + 0.3 * jax.random.normal(b, wave.shape)
    return image[..., None], label


def loss_of(params: Any, state: Any, images: jax.Array, label: jax.Array) -> Any:
    """Return the mean cross-entropy, and the new state."""
    logits, state = MODEL.apply(params, state, None, images)
    picked = jax.nn.log_softmax(logits) * jax.nn.one_hot(label, CLASSES)
    return -picked.sum(axis=-1).mean(), state


@jax.jit
def step(params: Any, state: Any, batch: Any) -> Any:
    """Return the loss, and what a step of gradient descent makes of the rest."""
    of_loss = jax.value_and_grad(loss_of, has_aux=True)
    (loss, state), gradients = of_loss(params, state, *batch)
    return loss, jax.tree.map(lambda p, g: p - 0.2 * g, params, gradients), state


def main() -> None:
    """Make the model, edit it, train it."""
    key, x = jax.random.key(0), jax.ShapeDtypeStruct((BATCH, SIZE, SIZE, 1), "float32")

    plan = ij.plan(RULES, abstract(MODEL, x))
    print(plan)
    params, state = init_model(MODEL, RULES, key, x)
    weights = hold_to_plan(params, plan)

    more, _ = init_model(MODEL, RULES, key, x, second_head=True)
    assert more.keys() - params.keys() == {"second"}
    assert kept(params, more)
    init = ij.jit_init(hk.transform(named).init, static_argnums=2)
    assert kept(init(key, jnp.ones((1, 4)), False), init(key, jnp.ones((1, 4)), True))

    losses = []
    for i in range(STEPS):
        loss, params, state = step(params, state, stripes(jax.random.fold_in(key, i)))
        losses.append(float(loss))
    assert abs(losses[0] - math.log(CLASSES)) < 0.1  # it begins without an opinion
    assert losses[-1] < losses[0] / 2
    print(
        f"all {weights} weights hold their law, edits moved none; "
        f"loss {losses[0]:.2f} to {losses[-1]:.2f}"
    )


if __name__ == "__main__":
    main()
