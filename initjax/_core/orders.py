"""Calls that are not (key, shape, dtype): whose form they are, and what to write."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .._errors import Refused, shown
from .._fans.fans import clean_shape, items_of
from .arguments import MISSING
from .streams import is_key
from .values import numeric_dtype

Shape = tuple[int, ...]

_ORDER = "call it as (key, shape, dtype)"


def as_shape(shape: Any) -> Shape:
    """Return the sizes of a shape, where no key comes first."""
    if is_key(shape):
        raise Refused("takes no key; give the shape alone.", TypeError)
    return clean_shape(shape)


def as_call(key: Any, shape: Any, dtype: Any) -> Shape:
    """Return the sizes of a shape, or refuse a call of another form."""
    if key is MISSING:
        what = "a key and a shape" if shape is MISSING else "a key before the shape"
        raise Refused(f"needs {what}; {_ORDER}.", TypeError)
    try:
        return clean_shape(shape)
    except Refused as refused:
        other = next((way for seen, way in _OTHERS if seen(key, shape, dtype)), None)
        if other is None:
            raise
        raise Refused(other(key, shape, dtype), TypeError) from refused


def unknown(others: Mapping[str, Any]) -> Refused:
    """Return what to say of arguments that a call does not take."""
    name = min(others)
    return Refused(f"takes no {name}; {_UNKNOWN.get(name, _ORDER)}.", TypeError)


_KERAS = "for Keras wrap the law, initjax.adapters.keras.to_keras(law)"
_UNKNOWN = {
    "seed": "it is a field of the law, such as HeNormal(seed=...)",
    "name": "name the stream, clone_initializer(law, name)",
    **dict.fromkeys(("rng", "rngs", "prng", "seed_generator"), "give one key"),
    **dict.fromkeys(("sharding", "mesh", "layout_map"), "give out_sharding"),
    **dict.fromkeys(("size", "sizes"), "give shape"),
    **dict.fromkeys(("layout", "partition_info", "partition_offset"), _KERAS),
}


def of_layers(law: str) -> str:
    """Return what to write where layers call a law without a key."""
    return (
        "(shape, dtype) is the call of Keras and Haiku. Give Keras "
        f"initjax.adapters.keras.to_keras({law}), Haiku "
        f"initjax.adapters.haiku.w_init({law}), others {law}.bind(key)."
    )


def is_shape(value: Any) -> bool:
    """Tell a shape from a key and other arrays."""
    return items_of(value) is not None and not hasattr(value, "dtype")


def _is_dtype(value: Any) -> bool:
    try:
        return value is not MISSING and numeric_dtype(value) is not None
    except Refused:
        return False


def _is_array(value: Any) -> bool:
    is_one = hasattr(value, "shape") and hasattr(value, "dtype")
    return is_one and not is_key(value) and value.dtype != np.uint32


Seen = Callable[[Any, Any, Any], bool]
Way = Callable[[Any, Any, Any], str]

# what a call looks like whose shape is none, and what to write instead
_OTHERS: list[tuple[Seen, Way]] = [
    (
        lambda key, shape, _: is_shape(key) and is_key(shape),
        lambda key, *_: f"the key comes before the shape; {_ORDER}, {key} second.",
    ),
    (
        lambda key, *_: is_shape(key),
        lambda key, *_: f"got {shown(key)} as the key: {of_layers('law')}",
    ),
    (
        lambda _, shape, __: is_key(shape),
        lambda *_: (
            "the shape is a key; a bound law has its key: call it as (shape, dtype)."
        ),
    ),
    (
        lambda key, shape, _: shape is MISSING and _is_array(key),
        lambda key, *_: (
            f"got an array of {tuple(key.shape)}: torch.nn.init fills arrays in place, "
            f"a law returns a new one; {_ORDER}, with the array's shape."
        ),
    ),
    (
        lambda _, shape, __: shape is MISSING,
        lambda *_: f"needs a key and a shape; {_ORDER}.",
    ),
    (
        lambda _, shape, __: _is_array(shape) and len(shape.shape) > 1,
        lambda _, shape, __: (
            f"the shape is an array of {tuple(shape.shape)}; give array.shape."
        ),
    ),
    (
        lambda _, shape, dtype: isinstance(shape, int) and isinstance(dtype, int),
        lambda _, shape, dtype: (
            f"sizes are one tuple, not an argument each; give ({shape}, {dtype})."
        ),
    ),
    (
        lambda key, shape, _: isinstance(shape, int) and isinstance(key, int),
        lambda key, shape, _: (
            f"sizes are one tuple, after a key; give (key, ({key}, {shape}))."
        ),
    ),
    (
        lambda _, shape, dtype: _is_dtype(shape) and is_shape(dtype),
        lambda *_: f"the dtype comes after the shape; {_ORDER}.",
    ),
]
