"""Laws as initializers of Keras, and the way back."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import keras

from .._core.config import from_node
from .._core.initializer import Initializer
from .._errors import Refused, shown
from .._fans import Fan
from .._registry import deserialize, serialize
from .._rules.told import declares


# a kind of VarianceScaling: EinsumDense, and so every attention of Keras, tells the
# axes of its equation to these alone
@keras.saving.register_keras_serializable(package="initjax")
class LawInitializer(keras.initializers.VarianceScaling):
    """A law as an initializer of Keras; see `to_keras`.

    Args:
        law: The law.
        seed: As of `to_keras`.
        input_axes: What EinsumDense says of its kernel's axes. A law that declares its
            own fans keeps them.
        output_axes: The same of the axes of the outputs.
    """

    def __init__(
        self,
        law: Initializer,
        seed: Any = None,
        input_axes: Any = None,
        output_axes: Any = None,
    ) -> None:
        """Keep the law, and choose a seed as Keras's own initializers do."""
        check_backend("adapters.keras.to_keras")
        if input_axes is not None and output_axes is not None:
            law = told(law, Fan(tuple(input_axes), tuple(output_axes)))
        self.law = law
        self.input_axes, self.output_axes = input_axes, output_axes
        self._given = seed
        if seed is None and getattr(law, "seed", 0) is not None:
            self.seed = 0  # a stream of its own, or no chance at all
        else:
            self.seed = keras.initializers.RandomNormal(seed=seed).seed

    def __call__(self, shape: Any, dtype: Any = None, layout: Any = None) -> Any:
        """Return an array of the law, in shards if Keras gives a layout."""
        kind = dtype or self.law.dtype or keras.config.floatx()
        where = getattr(layout, "backend_layout", layout)
        return self.law(self._key(), shape, kind, where)

    def _key(self) -> jax.Array:
        if isinstance(self.seed, keras.random.SeedGenerator):
            state: Any = self.seed.next()
            return jax.random.wrap_key_data(state, impl="threefry2x32")
        return jax.random.key(self.seed)

    def get_config(self) -> dict[str, Any]:
        """Return the law and the seed that was given."""
        seed = keras.saving.serialize_keras_object(self._given)
        return {"law": serialize(self.law), "seed": seed}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> LawInitializer:
        """Return the initializer that `get_config` describes."""
        return cls(**{**config, "law": deserialize(config["law"])})


def to_keras(law: Initializer, seed: Any = None) -> LawInitializer:
    """Return a law as an initializer of Keras, called as (shape, dtype).

    It draws as Keras's own do. Its seed is chosen when it is made, from Python's
    `random`, so that two never agree and `keras.utils.set_random_seed` repeats them.
    One gives the same numbers at every call, so each layer needs its own; where Keras
    copies one (attention, `clone()`), the copies choose anew.

    With an int for a seed a weight is `law(jax.random.key(seed), shape)`. A law with a
    stream of its own, `clone_initializer(law, "query")`, has the seed 0 unless told
    otherwise. Both are fixed: every layer and copy that gets them draws the same.

    EinsumDense, and so attention, tells the fans of its equation to a law that declares
    none (Keras 3.15 and newer). Under `keras.distribution` weights are born in shards.
    A saved model has the law and the seed as given; a process that loads it imports
    `initjax.adapters.keras` first.

    Args:
        law: A law, such as `ij.HeNormal()`.
        seed: None, an int, or a `keras.random.SeedGenerator`, which gives other numbers
            at every call.

    Raises:
        TypeError: No law; a seed of another kind.
        RuntimeError: Keras runs on another backend than JAX.
    """
    if not isinstance(law, Initializer):  # pyright: ignore[reportUnnecessaryIsInstance]  # users pass anything
        raise TypeError(f"adapters.keras.to_keras: needs a law, got {_law_hint(law)}.")
    if not isinstance(seed, (int, keras.random.SeedGenerator, type(None))):
        raise TypeError(
            "adapters.keras.to_keras: seed must be None, an int or a "
            f"keras.random.SeedGenerator, got {shown(seed)}."
        )
    return LawInitializer(law, seed)


def _law_hint(law: Any) -> str:
    if isinstance(law, type) and issubclass(law, Initializer):
        return f"the class {law.__name__}; give an instance, {law.__name__}()"
    if isinstance(law, keras.initializers.Initializer):
        return f"Keras's {type(law).__name__}, which Keras takes as it is"
    if isinstance(law, str):
        return f"{law!r}; give initjax.get({law!r}), or {law!r} to Keras itself"
    return f"{shown(law)}; give one, such as HeNormal()"


def from_keras(initializer: Any) -> Any:
    """Return the law of an initializer of Keras.

    An int seed becomes the stream of the law, whose numbers are other than Keras's. Of
    an initializer that `to_keras` made the law comes back; its seed is none of it.

    Args:
        initializer: An initializer of Keras or of `to_keras`, a class, a name, or a
            saved config.

    Raises:
        TypeError: A function, a layer, or another kind of thing.
        ValueError: A class that initjax has no law for; an unknown name.
    """
    where = f"adapters.keras.from_keras({shown(initializer)})"
    found: Any = initializer
    if isinstance(found, keras.layers.Layer):
        raise TypeError(f"{where}: is a layer; laws_of(layer) reads its weights.")
    if isinstance(found, type) and issubclass(found, keras.initializers.Initializer):
        found = found()
    if isinstance(found, keras.initializers.Initializer):
        found = keras.initializers.serialize(found)
    try:
        if not isinstance(found, (str, Mapping)):
            raise Refused(
                "needs an initializer of Keras, its name or its config.", TypeError
            )
        return _read(found)
    except Refused as refused:
        raise refused.at(where) from None


def _read(config: str | Mapping[str, Any]) -> Any:
    ours = keras.saving.get_registered_name(LawInitializer)
    if not isinstance(config, str) and config.get("registered_name") == ours:
        return LawInitializer.from_config(config["config"]).law
    return from_node(config)


def told(law: Initializer, fan: Fan) -> Initializer:
    """Return a law with these fans, unless it declares its own."""
    return law if declares(law) else dataclasses.replace(law, fan=fan)


def check_backend(where: str) -> None:
    """Refuse Keras on another backend than JAX."""
    if (backend := keras.config.backend()) != "jax":
        raise RuntimeError(
            f"{where}: Keras runs on {backend}; set KERAS_BACKEND=jax before the first "
            "import of keras."
        )
