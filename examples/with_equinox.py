"""An LSTM that remembers: a plain Equinox model, initialized by rule.

The first of twenty symbols must be told after the last one. The model is written as any
Equinox model is; rules give it what recurrent networks need: gates whose matrices are
each orthogonal, and biases by which memories last as long as the text (Tallec and
Ollivier 2018). Three models made so are trained beside three as Equinox makes them.
Then the rules give a trained model a new head and leave the rest of it as it is.

    pip install "initjax[equinox]"
    python examples/with_equinox.py
"""

from __future__ import annotations

import os
from typing import Any

os.environ["JAX_PLATFORMS"] = "cpu"  # read as JAX starts, so set before

import equinox as eqx
import jax
import jax.numpy as jnp

import initjax as ij
from initjax.adapters.equinox import abstract, filter_jit_init, init_module

SYMBOLS, LENGTH, BATCH, STEPS, RATE, MEMBERS = 6, 20, 32, 120, 0.02, 3


class Reader(eqx.Module):
    """Tells the first symbol of a text after it has read the last."""

    symbols: eqx.nn.Embedding
    cell: eqx.nn.LSTMCell
    head: eqx.nn.Linear
    hidden: int  # a leaf that is no array

    def __init__(self, hidden: int, *, key: jax.Array) -> None:
        """Make the layers."""
        a, b, c = jax.random.split(key, 3)
        self.symbols = eqx.nn.Embedding(SYMBOLS, 16, key=a)
        self.cell = eqx.nn.LSTMCell(16, hidden, key=b)
        self.head = eqx.nn.Linear(hidden, SYMBOLS, key=c)
        self.hidden = hidden

    def __call__(self, text: jax.Array) -> jax.Array:
        """Return the logits of the first symbol."""
        start = jnp.zeros(self.hidden), jnp.zeros(self.hidden)
        inputs = jax.vmap(self.symbols)(text)
        (h, _), _ = jax.lax.scan(lambda s, x: (self.cell(x, s), None), start, inputs)
        return self.head(h)


def make(key: jax.Array) -> Reader:
    """Construct the model."""
    return Reader(32, key=key)


RULES = ij.Rules(
    [
        ("symbols/weight", ij.RandomNormal(stddev=1.0)),
        ("cell/weight_ih", "glorot_uniform"),
        ("cell/weight_hh", "orthogonal"),
        ("cell/bias", ij.Chrono(t_max=LENGTH)),
        ("head/weight", "lecun_normal"),
        ("head/bias", "zeros"),
    ]
)
FANS = {  # inputs and outputs, of one gate each in the cell
    "symbols/weight": (1, 16),
    "cell/weight_ih": (16, 32),
    "cell/weight_hh": (32, 32),
    "head/weight": (32, 6),
}


def check_fans() -> None:
    """Hold the plan, for which nothing is allocated, to what is counted by hand."""
    plan = ij.plan(RULES, abstract(make))
    print(plan, "\n")
    fans = {row.path: tuple(row.fans[0]) for row in plan.rows if len(row.shape) > 1}
    assert fans == FANS, fans


def loss_of(model: Reader, texts: jax.Array) -> jax.Array:
    """Return the mean cross-entropy of the first symbols."""
    scores = jax.nn.log_softmax(jax.vmap(model)(texts))
    return -jnp.take_along_axis(scores, texts[:, :1], axis=1).mean()


@eqx.filter_jit
def train(model: Reader, key: jax.Array) -> tuple[Reader, jax.Array]:
    """Return a model trained by Adam, and its loss at every step."""
    weights, others = eqx.partition(model, eqx.is_inexact_array)

    def step(state: Any, i: jax.Array) -> Any:
        weights, mean, square = state
        shape = (BATCH, LENGTH)
        texts = jax.random.randint(jax.random.fold_in(key, i), shape, 0, SYMBOLS)
        loss, slope = jax.value_and_grad(
            lambda weights: loss_of(eqx.combine(weights, others), texts)
        )(weights)
        mean = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, mean, slope)
        square = jax.tree.map(lambda s, g: 0.99 * s + 0.01 * g**2, square, slope)
        a, b = 1 - 0.9 ** (i + 1), 1 - 0.99 ** (i + 1)
        weights = jax.tree.map(
            lambda w, m, s: w - RATE * (m / a) / (jnp.sqrt(s / b) + 1e-8),
            *(weights, mean, square),
        )
        return (weights, mean, square), loss

    zeros = jax.tree.map(jnp.zeros_like, weights)
    start = weights, zeros, zeros
    (weights, *_), losses = jax.lax.scan(step, start, jnp.arange(STEPS))
    return eqx.combine(weights, others), losses


def main() -> None:
    """Train models of both kinds, and begin anew with the head of one."""
    check_fans()
    key = jax.random.key(0)
    keys = jax.random.split(jax.random.key(1), MEMBERS)

    ours = eqx.filter_vmap(lambda key: init_module(make, RULES, key))(keys)
    alone = init_module(make, RULES, keys[2])
    assert (ours.cell.weight_hh[2] == alone.cell.weight_hh).all()
    gate = alone.cell.weight_hh[:32]
    assert jnp.allclose(gate @ gate.T, jnp.eye(32), atol=1e-5)
    theirs = filter_jit_init(eqx.filter_vmap(make))(keys)

    train_all = eqx.filter_vmap(train, in_axes=(eqx.if_array(0), None))
    (_, default), (trained, ruled) = (train_all(m, key) for m in (theirs, ours))
    before, after = (float(losses[:, -10:].mean()) for losses in (default, ruled))
    assert after < 1 < 1.5 < before, (after, before)

    model = ij.member(trained, 0)
    again = init_module(model, RULES, key, only="head/*")
    assert again.cell.weight_hh is model.cell.weight_hh
    assert (again.head.weight != model.head.weight).all()
    print(
        f"after {STEPS} steps: loss {after:.2f} by rules, "
        f"{before:.2f} by Equinox's default"
    )


if __name__ == "__main__":
    main()
