"""Keras 3 on its JAX backend: laws as its initializers, and whole models by rule.

    layer = keras.layers.Dense(4, kernel_initializer=to_keras(ij.HeNormal()))
    init_model(model, rules, jax.random.key(0))

`to_keras` and `from_keras` go between laws and Keras's initializers, `laws_of` reads
what the weights of a built model really got, and `abstract` gives their shapes, with
how their layers use them, to `plan`.
"""

from __future__ import annotations

import collections
import inspect
from typing import Any

import jax

from .._core.initializer import Initializer
from .._fans import Fan
from .._rules.init_tree import init_tree
from .._rules.paths import Leaf, Weight, clean_path
from .._rules.patterns import chooser
from .._rules.rules import Rules
from .extras import needs
from .keras_layers import axes_of, fan_of, initializer_of, with_gates

with needs("keras", "keras", "keras"):
    try:
        import keras
    except ModuleNotFoundError as error:
        if (backend := f"{error.name}".partition(".")[0]) not in (
            "tensorflow",
            "torch",
        ):
            raise
        raise ImportError(
            f"initjax.adapters.keras needs Keras on JAX, and it runs on {backend}; "
            "set KERAS_BACKEND=jax before the first import of keras"
        ) from None
    from .keras_initializer import (
        LawInitializer,
        check_backend,
        from_keras,
        to_keras,
        told,
    )

__all__ = [
    "LawInitializer",
    "abstract",
    "from_keras",
    "init_model",
    "laws_of",
    "to_keras",
]


# since Keras 3.15 laws by the fans have axes, and EinsumDense says them
_TELLS = "input_axes" in inspect.signature(keras.initializers.HeNormal).parameters


def laws_of(model: Any) -> dict[str, Any]:
    """Return the laws that the weights of a built model or layer really got.

    What a layer keeps and what its weight got can differ. EinsumDense, and so
    attention, adds the fans of its equation (Keras 3.15 and newer), an LSTM ones for
    its forget gate. `laws[path].law(shape)` promises what the weight was drawn from.

    Args:
        model: A model or layer of Keras.

    Returns:
        A law by the path of each weight; None where its layer does not say, or says
        something that is no law.

    Raises:
        ValueError: A model that is not built; two weights of one path.
        TypeError: No model or layer.
    """
    found = _owners(model, "adapters.keras.laws_of")
    return {path: _law_of(layer, variable) for path, (variable, layer) in found.items()}


def _law_of(layer: Any, variable: Any) -> Any:
    theirs = initializer_of(layer, variable.name)
    try:
        law = from_keras(theirs)
    except (TypeError, ValueError):
        return None
    if not isinstance(law, Initializer):
        return None
    axes = axes_of(layer, variable.name)
    if axes and _TELLS and isinstance(theirs, keras.initializers.VarianceScaling):
        law = told(law, Fan(*axes))
    return with_gates(law, layer, variable.name)


def abstract(model: Any, rules: Rules | None = None) -> dict[str, Weight]:
    """Return the shapes of a model's weights by path, with the fans of their layers.

    What `init_tree`, `plan` and `init_ensemble` take. Weights that train are all there;
    of the others, such as BatchNormalization's statistics and all of a frozen layer,
    those that a rule names. States of seeds and metrics never are. Under
    `keras.distribution` each has its layout. Nothing is read of the weights' values, so
    a model built in `keras.StatelessScope(initialize_variables=False)` will do; Keras
    makes its values with those of the next model, or forgets them at
    `keras.utils.clear_session()`.

    Fans are what the layers make of their weights, also where Keras's rule for shapes
    differs: EinsumDense by its equation, attention with it; convolutions, grouped,
    depthwise and transposed; gates of LSTM and GRU side by side (i, f, c, o and
    z, r, h); embeddings as lookups.

    Args:
        model: A model or layer of Keras that is built.
        rules: The rules that it is for; None names no weight.

    Raises:
        ValueError: A model that is not built; two weights of one path; a rule that
            names the integers of a quantized layer.
        TypeError: No model or layer; no Rules.
        RuntimeError: Keras runs on another backend than JAX.
    """
    return _abstract(model, rules, "adapters.keras.abstract")


def _abstract(model: Any, rules: Any, where: str) -> dict[str, Weight]:
    check_backend(where)
    if not isinstance(rules, (Rules, type(None))):
        kind = type(rules).__name__
        raise TypeError(f"{where}: rules must be Rules([...]), got {kind}.")
    matches = [chooser(rule.pattern) for rule in (rules.rules if rules else ())]
    tree: dict[str, Weight] = {}
    for path, (variable, layer) in _owners(model, where).items():
        shape, dtype = tuple(variable.shape), jax.numpy.dtype(variable.dtype)
        leaf = Leaf(clean_path((path,)), shape, dtype, None, 0)
        if variable.trainable or any(match(leaf) for match in matches):
            if dtype.kind in "iu" and layer and layer.quantization_mode:
                raise ValueError(
                    f"{where}: {path!r} is {dtype.name}, its layer is quantized; "
                    "initialize the model before model.quantize(...)."
                )
            fan = fan_of(layer, variable.name)
            tree[path] = Weight(shape, dtype, fan, sharding=_layout(variable))
    return tree


def _layout(variable: Any) -> Any:
    """Return where a weight lives under the distribution in use."""
    distribution: Any = keras.distribution.distribution()
    layout = distribution and distribution.get_variable_layout(variable)
    return getattr(layout, "backend_layout", layout)


def init_model(model: Any, rules: Rules, key: jax.Array, *, only: Any = None) -> None:
    """Give a model's weights the values that `init_tree` gives their paths.

    A weight's path is Keras's, `variable.path`, such as "encoder/query/kernel". It has
    the names of the layers, and with the rule and the key it decides the numbers. Keras
    numbers layers without a name through the whole process (dense, dense_1), so name
    yours, or call `keras.utils.clear_session()` first.

    The rules cover the weights that train. Others keep their value unless a pattern
    matches them; see `abstract`. Under `keras.distribution` weights are born in their
    shards.

    Args:
        model: A model or layer of Keras that is built.
        rules: Which initializer fills which path.
        key: One PRNG key.
        only: A pattern of paths, or a list of them: leave all other weights.

    Raises:
        ValueError: As `abstract` and `init_tree`.
        TypeError: As `abstract` and `init_tree`.
        RuntimeError: As `abstract`.
    """
    where = "adapters.keras.init_model"
    tree = _abstract(model, rules, where)
    with keras.StatelessScope():
        pass  # on leaving it Keras makes the values that it has put off
    made = init_tree(rules, tree, key, only=only)
    for path, (variable, _) in _owners(model, where).items():
        if isinstance(array := made.get(path), jax.Array):
            variable.assign(array)


def _owners(model: Any, where: str) -> dict[str, tuple[Any, Any]]:
    """Return the weights of a built model by path, each with its layer or None."""
    if not isinstance(model, keras.layers.Layer):
        kind = type(model).__name__
        raise TypeError(f"{where}: needs a model or layer of Keras, got {kind}.")
    layers: list[Any] = model._flatten_layers()  # no public name walks inner layers
    plain: Any = keras.layers.Layer.build
    for layer in layers:
        if not layer.built and type(layer).build is not plain:
            raise ValueError(
                f"{where}: the layer {layer.name!r} is not built, so its weights are "
                "not there yet; call the model on an input, or model.build(shape)."
            )
    weights: list[Any] = model.weights
    counts = collections.Counter(weight.path for weight in weights)
    if twice := [path for path, count in counts.items() if count > 1]:
        raise ValueError(
            f"{where}: {counts[twice[0]]} weights have the path {twice[0]!r}; "
            "give layers side by side different names."
        )
    by_path = {layer.path: layer for layer in layers}
    return {v.path: (v, by_path.get(v.path.rpartition("/")[0])) for v in weights}
