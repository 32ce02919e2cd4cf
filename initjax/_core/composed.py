"""Arrays made of several weights: parts side by side, blocks along axes."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, Protocol, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from .._errors import Refused
from .._fans.declaration import Declaration, Parts, part_shapes
from .bits import fold_in_block
from .compile import Draw
from .names import is_built_in
from .promise import Law, mixture_law
from .rounding import check_fit
from .streams import Path, digest_words, path_of

Shape = tuple[int, ...]
_TRACED = (jax.errors.ConcretizationTypeError, jax.errors.TracerArrayConversionError)


class Config(Protocol):
    """What this room asks of a law."""

    @property
    def fan(self) -> Any: ...

    def _draw(self, shape: Shape, dtype: np.dtype[Any]) -> Draw: ...

    def _law(self, shape: Shape, dtype: np.dtype[Any]) -> Law: ...

    def _is_blockwise(self) -> bool: ...


def draw_of(config: Config, shape: Shape, dtype: np.dtype[Any]) -> Draw:
    """Return how a law makes an array that its declaration may divide."""
    fan: Declaration | None = config.fan
    if fan is None:
        return _fitting(config, shape, dtype)
    if parts := fan.parts(shape):
        return _side_by_side(config, shape, dtype, parts)
    fan._fans(shape)  # refuses what does not fit
    if (axes := fan.blocks(shape)) and config._is_blockwise():
        draw = draw_of(_with_fan(config, fan.block(shape)), _one(shape, axes), dtype)
        options = (("draw", draw._replace(numbers=())), ("axes", axes))
        return draw._replace(sampler=blocks, options=options)
    return _fitting(config, shape, dtype)


def _fitting(config: Config, shape: Shape, dtype: np.dtype[Any]) -> Draw:
    """Return the draw of one weight, or refuse a law that the dtype cannot hold."""
    draw = config._draw(shape, dtype)
    checks = draw.random and is_built_in(type(config))
    if checks and jnp.issubdtype(dtype, jnp.inexact):
        try:
            law = config._law(shape, dtype)
        except (Refused, *_TRACED):  # a traced number, or a wrapped law without promise
            return draw
        check_fit(law, dtype)
    return draw


def law_of(config: Config, shape: Shape, dtype: np.dtype[Any]) -> Law:
    """Return the law of an entry of an array that a declaration may divide."""
    fan: Declaration | None = config.fan
    if fan is None:
        return config._law(shape, dtype)
    if parts := fan.parts(shape):
        shapes, part = part_shapes(shape, parts), _with_fan(config, parts.of)
        laws = [law_of(part, part_shape, dtype) for part_shape in shapes]
        return mixture_law(laws, parts.sizes)
    fans = fan._fans(shape)
    if (axes := fan.blocks(shape)) and config._is_blockwise():
        block = _with_fan(config, fan.block(shape))
        return dataclasses.replace(law_of(block, _one(shape, axes), dtype), fans=fans)
    return dataclasses.replace(config._law(shape, dtype), fans=fans)


def _with_fan(config: Config, fan: Declaration | None, **changes: Any) -> Config:
    return cast("Config", dataclasses.replace(cast("Any", config), fan=fan, **changes))


def _one(shape: Shape, axes: tuple[int, ...]) -> Shape:
    return tuple(n for i, n in enumerate(shape) if i not in axes)


def _side_by_side(
    config: Config, shape: Shape, dtype: np.dtype[Any], parts: Parts
) -> Draw:
    """Return the draw of parts, each on the stream of its clone."""
    shapes = part_shapes(shape, parts)
    path, seeded = path_of(getattr(config, "seed", None)), hasattr(config, "seed")
    draws: list[Draw] = []
    for name, part_shape in zip(parts.names, shapes, strict=True):
        stream = (*path, name)
        clone = _with_fan(config, parts.of, **({"seed": stream} if seeded else {}))
        draws.append(_folded(draw_of(clone, part_shape, dtype), stream))
    bare = [draw._replace(numbers=()) for draw in draws]
    counts = tuple(len(draw.numbers) for draw in draws)
    common: dict[str, Any] = {
        "random": any(draw.random for draw in draws),
        "elementwise": all(draw.elementwise for draw in draws),
        "folded": True,
    }
    if len(set(bare)) == len(set(shapes)) == 1:
        numbers = tuple(
            np.stack(column)
            for column in zip(*(draw.numbers for draw in draws), strict=True)
        )
        options = (("draw", bare[0]), ("axis", parts.axis))
        return Draw(equal_parts, numbers, options, **common)
    options = (
        ("draws", tuple(bare)),
        ("counts", counts),
        ("sizes", parts.sizes),
        ("axis", parts.axis),
    )
    numbers = tuple(number for draw in draws for number in draw.numbers)
    return Draw(unequal_parts, numbers, options, **common)


def _folded(draw: Draw, path: Path) -> Draw:
    """Return a draw that folds a part's path into the key by itself."""
    if draw.folded or not draw.random:
        return draw
    words = digest_words(path)
    options = (("draw", draw._replace(numbers=())),)
    return draw._replace(
        sampler=on_stream, numbers=(words, *draw.numbers), options=options, folded=True
    )


def on_stream(
    key: Any, shape: Shape, dtype: Any, words: Any, *numbers: Any, draw: Draw
) -> jax.Array:
    """Draw with the key folded by two words."""
    return _sample(draw, fold_in_block(key, words[0], words[1]), shape, dtype, numbers)


def equal_parts(
    key: Any, shape: Shape, dtype: Any, *numbers: Any, draw: Draw, axis: int
) -> jax.Array:
    """Draw parts of one shape side by side, in one pass over the whole array."""
    count = len(numbers[0]) if numbers else 1
    size = shape[axis] // count
    part = (*shape[:axis], size, *shape[axis + 1 :])

    def one(*numbers: Any) -> jax.Array:
        return _sample(draw, key, part, dtype, numbers)

    x = jax.vmap(one, out_axes=axis)(*numbers) if numbers else one()
    return x.reshape(shape)


def unequal_parts(
    key: Any,
    shape: Shape,
    dtype: Any,
    *numbers: Any,
    draws: tuple[Draw, ...],
    counts: tuple[int, ...],
    sizes: tuple[int, ...],
    axis: int,
) -> jax.Array:
    """Draw parts of several shapes or laws and put them side by side."""
    x, first, start = jnp.zeros(shape, dtype), 0, 0
    for draw, count, size in zip(draws, counts, sizes, strict=True):
        part = (*shape[:axis], size, *shape[axis + 1 :])
        drawn = _sample(draw, key, part, dtype, numbers[first : first + count])
        # written in place; a concatenation along an inner axis would copy every part
        x = lax.dynamic_update_slice_in_dim(x, drawn, start, axis)
        first, start = first + count, start + size
    return x


def blocks(
    key: Any,
    shape: Shape,
    dtype: Any,
    *numbers: Any,
    draw: Draw,
    axes: tuple[int, ...],
) -> jax.Array:
    """Draw every block along the axes with its row of a split of the key."""
    block, many = _one(shape, axes), tuple(shape[axis] for axis in axes)
    if 0 in shape:
        return jnp.zeros(shape, dtype)
    if draw.random:
        keys = jax.random.split(key, math.prod(many))
        x = jax.vmap(lambda k: _sample(draw, k, block, dtype, numbers))(keys)
    else:
        one = _sample(draw, key, block, dtype, numbers)
        x = jnp.broadcast_to(one, (math.prod(many), *block))
    x = x.reshape(*many, *block)
    return jnp.moveaxis(x, tuple(range(len(axes))), axes)


def _sample(draw: Draw, key: Any, shape: Shape, dtype: Any, numbers: Any) -> jax.Array:
    return draw.sampler(key, shape, dtype, *numbers, **dict(draw.options))
