"""A Keras model by rule: planned, initialized, trained, saved and read back.

A small vision transformer, plain Keras but for one initializer. Keras's configs leave
out what its layers make of their initializers; `laws_of` reads it, and every weight is
held to it. Then rules initialize the whole model by path, and `plan` shows who gets
what. The model is trained, saved and loaded in a fresh process, with the same law.

    pip install "initjax[keras]"
    python examples/with_keras.py
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ["JAX_PLATFORMS"] = "cpu"  # read as JAX starts, so set before
os.environ["KERAS_BACKEND"] = "jax"  # read as Keras is imported

import jax
import keras
import numpy as np
from keras import layers

import initjax as ij
from initjax.adapters.keras import abstract, init_model, laws_of, to_keras

SIZE, PATCH, WIDTH, HEADS, CLASSES = 16, 4, 32, 4, 4
LIMIT = 5.0  # standard errors; chance alone exceeds it once in 1.7 million


def vit() -> keras.Model:
    """Return the model; its layers have names, so its weights have lasting paths."""
    images = keras.Input((SIZE, SIZE, 1))
    patches = {"name": "patches", "kernel_initializer": to_keras(ij.LecunNormal())}
    x = layers.Conv2D(WIDTH, PATCH, PATCH, **patches)(images)
    x = layers.Reshape((-1, WIDTH))(x)
    y = layers.LayerNormalization(name="norm_1")(x)
    x = x + layers.MultiHeadAttention(HEADS, WIDTH // HEADS, name="attention")(y, y)
    y = layers.LayerNormalization(name="norm_2")(x)
    y = layers.Dense(WIDTH, activation="gelu", name="up")(y)
    x = x + layers.Dense(WIDTH, name="down")(y)
    x = layers.GlobalAveragePooling1D()(x)
    return keras.Model(images, layers.Dense(CLASSES, name="head")(x), name="vit")


# the first pattern that matches decides; layers say themselves what their fans are
RULES = ij.Rules(
    [
        ("**/{bias,beta}", "zeros"),
        ("**/gamma", "ones"),
        ("patches/kernel", ij.LecunNormal()),
        ("head/kernel", "zeros"),  # so the first loss is log(classes)
        ("{attention/attention_output,down}/kernel", 0.5 * ij.GlorotUniform()),
        ("**/kernel", ij.GlorotUniform()),
    ]
)


def holds(value: np.ndarray, mean: float, std: float) -> bool:
    """Tell whether a weight's standard deviation is what was promised."""
    if not std:
        return bool(np.all(value == mean))
    # of a normal; the laws here have lighter tails, and so smaller errors
    return abs(value.std() - std) <= LIMIT * std / math.sqrt(2 * value.size)


def weights_of(model: keras.Model) -> dict[str, np.ndarray]:
    """Return the weights by path."""
    return {weight.path: np.asarray(weight.value) for weight in model.weights}


def check_defaults(model: keras.Model) -> int:
    """Hold what Keras made to the laws that its layers used; return how many."""
    laws = laws_of(model)
    for path, value in weights_of(model).items():
        promised = laws[path].law(value.shape)
        assert holds(value, promised.mean, promised.std), path
    saved = model.get_layer("attention").get_config()["kernel_initializer"]
    used = laws["attention/query/kernel"]
    print(f"Keras's config says {saved['class_name']}, and it used {used!r}\n")
    return len(laws)


def check_rules(model: keras.Model, key: jax.Array) -> None:
    """Initialize the model by rule, and hold it to its plan and to `init_tree`."""
    shapes = abstract(model)
    print(plan := ij.plan(RULES, shapes), "\n")
    init_model(model, RULES, key)
    made, weights = ij.init_tree(RULES, shapes, key), weights_of(model)
    for row in plan.rows:
        assert np.array_equal(weights[row.path], made[row.path]), row.path
        assert holds(weights[row.path], row.mean, row.std), row.path


def stripes(seed: int, count: int = 512) -> tuple[np.ndarray, np.ndarray]:
    """Return noisy images of stripes, and which of four directions they have."""
    rng = np.random.default_rng(seed)
    label = rng.integers(CLASSES, size=count)
    angle, phase = label * math.pi / CLASSES, rng.uniform(0, 2 * math.pi, count)
    y, x = np.mgrid[:SIZE, :SIZE]
    along = np.cos(angle)[:, None, None] * x + np.sin(angle)[:, None, None] * y
    wave = np.sin(along + phase[:, None, None])
    return (wave + 0.3 * rng.normal(size=wave.shape))[..., None], label


LOADED = """
import sys, keras
from initjax.adapters.keras import from_keras  # registers our initializers
model = keras.saving.load_model(sys.argv[1])
print(from_keras(model.get_layer("patches").kernel_initializer))
"""


def main() -> None:
    """Follow one model from its defaults to a file."""
    keras.utils.set_random_seed(0)
    model = vit()
    count = check_defaults(model)
    check_rules(model, jax.random.key(0))

    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(3e-3), loss)
    unseen = stripes(1)
    before = model.evaluate(*unseen, verbose=0)
    assert abs(before - math.log(CLASSES)) < 1e-5
    model.fit(*stripes(0), batch_size=64, epochs=3, verbose=0)
    after = model.evaluate(*unseen, verbose=0)
    assert after < before / 2

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "vit.keras")
        model.save(file)
        done = subprocess.run(
            [sys.executable, "-c", LOADED, str(file)],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
    assert done.stdout.strip() == repr(ij.LecunNormal())
    print(
        f"all {count} weights hold what Keras used, and their rules; "
        f"loss {before:.2f} to {after:.2f}; saved and read back"
    )


if __name__ == "__main__":
    main()
