"""A new head on a trained Equinox model: what is made anew, and what is never touched.

A small convolutional network is initialized by rules from its abstract model, next to
what Equinox gives it by default, and trained to tell the directions of stripes. Then it
gets a new task, in the two ways that this happens: `ij.reinit` makes its head anew and
leaves every other leaf the very same object; `ij.missing` loads a checkpoint without a
head into a model with more classes and makes only what the checkpoint lacks. Both heads
are trained on the frozen encoder.

    pip install "initjax[examples]"
    python examples/equinox_reinit.py
"""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

os.environ["JAX_PLATFORMS"] = "cpu"  # read as JAX starts, so set before

import jax
import jax.numpy as jnp
import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

import initjax as ij

try:
    import equinox as eqx
    import optax
except ImportError:
    raise SystemExit("needs Equinox and Optax: pip install equinox optax") from None

CONSOLE = Console(width=100, highlight=False)  # fixed: a piped table stays readable
LIMIT = 5.0  # standard errors; chance alone exceeds it once in 1.7 million
SIZE, BATCH, STEPS = 16, 64, 80

# -- the model, plain Equinox --------------------------------------------------------


class Encoder(eqx.Module):
    """Two convolutions and an MLP of four layers."""

    conv1: eqx.nn.Conv2d
    conv2: eqx.nn.Conv2d
    mlp: eqx.nn.MLP
    activation: Callable[[jax.Array], jax.Array]  # a leaf that is no array

    def __init__(self, key: jax.Array) -> None:
        """Make the layers."""
        one, two, three = jax.random.split(key, 3)
        self.conv1 = eqx.nn.Conv2d(1, 8, 5, stride=2, key=one)
        self.conv2 = eqx.nn.Conv2d(8, 16, 3, stride=2, key=two)
        self.mlp = eqx.nn.MLP(64, 64, 64, 3, final_activation=jax.nn.relu, key=three)
        self.activation = jax.nn.relu

    def __call__(self, image: jax.Array) -> jax.Array:
        """Return the features of an image (1, height, width)."""
        x = self.activation(self.conv1(image))
        return self.mlp(self.activation(self.conv2(x)).ravel())


class Classifier(eqx.Module):
    """An encoder and a linear head."""

    encoder: Encoder
    head: eqx.nn.Linear

    def __init__(self, classes: int, key: jax.Array) -> None:
        """Make the layers."""
        one, two = jax.random.split(key)
        self.encoder = Encoder(one)
        self.head = eqx.nn.Linear(64, classes, key=two)

    def __call__(self, image: jax.Array) -> jax.Array:
        """Return the logits of the classes."""
        return self.head(self.encoder(image))


# -- its rules: the first pattern that matches the path decides ----------------------

LINEAR = ij.Fan.layout("oi")  # Equinox's matrices are (outputs, inputs)
CONV = ij.Fan.conv(layout="OIHW")  # and its convolutions (outputs, inputs, window)

RULES = ij.Rules(
    [
        ("**/bias", "zeros"),  # (outputs,) of Linear, (outputs, 1, 1) of Conv2d
        ("head/weight", ij.RandomNormal(stddev=0.01)),  # so a loss near log(classes)
        ("**/conv*/weight", ij.Spec(ij.HeNormal(), fan=CONV)),
        ("**/weight", ij.Spec(ij.HeNormal(), fan=LINEAR)),
    ]
)


def abstract(classes: int) -> Classifier:
    """Return the model with shapes for arrays; nothing is allocated."""
    return eqx.filter_eval_shape(Classifier, classes, jax.random.key(0))


def path_of(path: Any) -> str:
    """Return a path as text: encoder/mlp/layers/0/weight."""
    return jax.tree_util.keystr(path, simple=True, separator="/")


def leaves(tree: Any) -> dict[str, Any]:
    """Return the leaves of a model by path, arrays or not."""
    return {path_of(path): x for path, x in jax.tree_util.tree_leaves_with_path(tree)}


def arrays(tree: Any) -> dict[str, jax.Array]:
    """Return the arrays of a model by path."""
    return {path: x for path, x in leaves(tree).items() if eqx.is_array(x)}


# -- stripes in noise ----------------------------------------------------------------


class Task(NamedTuple):
    """Telling directions apart."""

    name: str
    classes: int  # directions, equally far apart
    turned: float = 0.0  # the first of them, in degrees

    def batch(self, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Return images, and which direction the stripes of each have."""
        return stripes(key, self.classes, self.turned)


@jax.jit
def stripes(key: jax.Array, classes: int, turned: float) -> tuple[jax.Array, jax.Array]:
    """Return a batch of a task; compiled once for all of them."""
    a, b, c, d = jax.random.split(key, 4)
    label = jax.random.randint(a, (BATCH,), 0, classes)
    angle = jnp.deg2rad(turned + 180 / classes * label)[:, None, None]
    phase = jax.random.uniform(b, (BATCH, 1, 1), maxval=2 * math.pi)
    pitch = jax.random.uniform(c, (BATCH, 1, 1), minval=0.8, maxval=1.2)
    y, x = jnp.mgrid[:SIZE, :SIZE]
    wave = jnp.sin(pitch * (x * jnp.cos(angle) + y * jnp.sin(angle)) + phase)
    image = wave + 0.5 * jax.random.normal(d, wave.shape)
    return image[:, None], label


# -- training ------------------------------------------------------------------------

OPTIMIZER = optax.adam(2e-3)


def loss_of(trained: Any, frozen: Any, images: jax.Array, label: jax.Array) -> Any:
    """Return the mean cross-entropy of a model in two parts, and how many are right."""
    logits = jax.vmap(eqx.combine(trained, frozen))(images)
    loss = optax.softmax_cross_entropy_with_integer_labels(logits, label).mean()
    return loss, (logits.argmax(axis=-1) == label).mean()


@eqx.filter_jit
def step(trained: Any, frozen: Any, state: Any, batch: Any) -> Any:
    """Return the metrics of a batch, and what is trained after one step on it."""
    of_loss = eqx.filter_value_and_grad(loss_of, has_aux=True)
    metrics, gradients = of_loss(trained, frozen, *batch)
    updates, state = OPTIMIZER.update(gradients, state)
    return metrics, eqx.apply_updates(trained, updates), state


def train(model: Classifier, task: Task, only: str = "") -> tuple[Classifier, str]:
    """Train the arrays below a path, the others frozen; return what became of the loss.

    The losses are those of images that no step sees.
    """
    below = jax.tree_util.tree_map_with_path(
        lambda path, x: eqx.is_array(x) and path_of(path).startswith(only), model
    )
    trained, frozen = eqx.partition(model, below)
    key, state = jax.random.key(1), OPTIMIZER.init(trained)
    unseen = task.batch(key)
    (before, _), *_ = step(trained, frozen, state, unseen)
    for i in range(STEPS):
        batch = task.batch(jax.random.fold_in(key, i))
        _, trained, state = step(trained, frozen, state, batch)
    (after, correct), *_ = step(trained, frozen, state, unseen)
    print(f"{task.name}: loss {before:.3f} to {after:.3f}, {correct:.0%} correct")
    assert after < before / 2
    return eqx.combine(trained, frozen), f"{before:.2f} to {after:.2f}"


# -- the three ways to initialize ----------------------------------------------------


def by_default(key: jax.Array) -> Classifier:
    """Return the model as Equinox makes it, in the time that `ij.jit_init` takes."""

    def make(key: jax.Array) -> Classifier:
        return eqx.filter(Classifier(4, key), eqx.is_array)

    return eqx.combine(ij.jit_init(make)(key), abstract(4))


def spread(model: Classifier, images: jax.Array) -> float:
    """Return how much a feature differs from image to image."""
    features = eqx.filter_jit(eqx.filter_vmap(model.encoder))(images)
    return float(features.std(axis=0).mean())


def compare(model: Classifier, own: Classifier) -> None:
    """Hold a model made by rules to its plan, beside one that Equinox made."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.show_edge = False
    for name in ("path", "shape", "law"):
        table.add_column(name, no_wrap=True)
    for name in ("fan_in", "std", "observed", "Equinox's"):
        table.add_column(name, justify="right")
    new, old = arrays(model), arrays(own)
    for row in ij.plan(RULES, abstract(4)).rows:
        # outputs come first: the other axes are an output's inputs
        assert not row.fans or row.fans[0].fan_in == math.prod(row.shape[1:])
        fan_in = str(row.fans[0].fan_in) if row.fans else "-"
        stds = row.std, np.std(new[row.path]), np.std(old[row.path])
        what = row.path, "x".join(map(str, row.shape)), type(row.law).__name__
        table.add_row(*what, fan_in, *(f"{std:.4f}" for std in stds))
        # of a normal; a cut one has lighter tails, and so a smaller error
        error = row.std / math.sqrt(2 * math.prod(row.shape))
        assert abs(stds[1] - row.std) <= LIMIT * error, row.path
    CONSOLE.print(table, "")

    images, _ = Task("4 directions", 4).batch(jax.random.key(2))
    ours, theirs = spread(model, images), spread(own, images)
    print("how much a feature differs from image to image, before any training:")
    print(f"  {ours:.3f} by rules, {theirs:.5f} by Equinox's default\n")
    assert ours > 10 * theirs  # smaller by sqrt(6) a layer, and there are six


def start(key: jax.Array) -> Classifier:
    """Make a whole model by rules; what is no array in it passes through."""
    shapes = abstract(4)
    model = ij.init_tree(RULES, shapes, key)
    others = leaves(shapes).keys() - arrays(model).keys()
    assert "encoder/activation" in others
    assert all(leaves(model)[path] is leaves(shapes)[path] for path in others)
    compare(model, by_default(key))
    return model


def new_head(model: Classifier, key: jax.Array) -> Classifier:
    """Make the head anew; every other leaf is the same object."""
    new = ij.reinit(model, RULES, key, only="head/**")
    old = leaves(model)
    changed = {path for path, leaf in leaves(new).items() if leaf is not old[path]}
    assert changed == {"head/weight", "head/bias"}
    assert not np.array_equal(new.head.weight, model.head.weight)
    print(f"reinit: {len(changed)} leaves made, {len(old) - len(changed)} the same")
    return new


def from_checkpoint(file: Path, classes: int, key: jax.Array) -> Classifier:
    """Load a checkpoint without a head into a model of some classes."""
    with np.load(file) as saved:
        checkpoint = {path: jnp.asarray(saved[path]) for path in saved}
    model = ij.missing(checkpoint, abstract(classes), RULES, key)
    made = arrays(model)
    assert all(made[path] is x for path, x in checkpoint.items())
    assert made.keys() - checkpoint.keys() == {"head/weight", "head/bias"}
    assert model.head.weight.shape == (classes, 64)
    print(f"missing: 2 leaves made, {len(checkpoint)} of the checkpoint")
    return model


def main() -> None:
    """Train a model, and give it two new tasks."""
    start_key, new_key, more_key = jax.random.split(jax.random.key(0), 3)
    model, _ = train(start(start_key), Task("4 directions", 4))

    new = new_head(model, new_key)
    task = Task("4 directions between those", 4, 22.5)
    new, first = train(new, task, only="head/")

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "encoder.npz")
        np.savez(file, **{p: x for p, x in arrays(model).items() if "head/" not in p})
        more = from_checkpoint(file, 6, more_key)
    more, second = train(more, Task("6 directions", 6), only="head/")

    # after all that: the objects of the first model, and its bits
    kept = arrays(model.encoder)
    assert all(x is kept[path] for path, x in arrays(new.encoder).items())
    assert ij.fingerprint(more.encoder) == ij.fingerprint(model.encoder)
    print(
        f"all {len(kept)} encoder arrays kept twice; the new heads learn: "
        f"loss {first}, and {second}"
    )


if __name__ == "__main__":
    main()
