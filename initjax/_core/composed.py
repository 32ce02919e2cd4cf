"""Arrays made of several weights: parts side by side, blocks along axes."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, Protocol, TypeVar, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from .._errors import Refused
from .._fans.declaration import Declaration, Parts, part_shapes
from .._fans.fan import Fan
from .._fans.given import Given
from .._fans.roles import Roles, kernel_shape, roles_of
from .bits import fold_in_block
from .compile import Draw
from .names import is_built_in
from .own import is_traced
from .promise import Law, mixture_law
from .rounding import check_fit
from .streams import Path, digest_words, path_of

Shape = tuple[int, ...]
T = TypeVar("T", bound="Config")


class Config(Protocol):
    """What this room asks of a law."""

    @property
    def fan(self) -> Any: ...

    def _draw(self, shape: Shape, dtype: np.dtype[Any]) -> Draw: ...

    def _law(self, shape: Shape, dtype: np.dtype[Any]) -> Law: ...

    def _is_blockwise(self) -> bool: ...

    def _is_whole(self) -> bool: ...

    def _reads_kernel(self) -> bool: ...

    def _divided(self, parts: Parts) -> Sequence[Config]: ...


def draw_of(config: Config, shape: Shape, dtype: np.dtype[Any]) -> Draw:
    """Return how a law makes an array that its declaration may divide."""
    fan: Declaration | None = config.fan
    if fan is None or config._is_whole():
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
    draw = _in_order(config, shape, dtype)
    checks = draw.random and is_built_in(type(config)) and not is_traced(config)
    if checks and jnp.issubdtype(dtype, jnp.inexact):
        try:
            law = _law_in_order(config, shape, dtype)
        except Refused:  # a wrapped law without promise
            return draw
        check_fit(law, dtype)
    return draw


def _in_order(config: Config, shape: Shape, dtype: np.dtype[Any]) -> Draw:
    """Return the draw of one weight, its axes where the declaration has them."""
    if (roles := _other_roles(config, shape)) is None:
        return config._draw(shape, dtype)
    kernel, stored = _kernel_of(config, shape), kernel_shape(shape, roles)
    draw = kernel._draw(stored, dtype)
    options = (("draw", draw._replace(numbers=())), ("roles", roles))
    return draw._replace(sampler=laid_out, options=options)


def _law_in_order(config: Config, shape: Shape, dtype: np.dtype[Any]) -> Law:
    if (roles := _other_roles(config, shape)) is None:
        return _own_law(config, shape, dtype)
    return _kernel_of(config, shape)._law(kernel_shape(shape, roles), dtype)


def _own_law(config: Config, shape: Shape, dtype: np.dtype[Any]) -> Law:
    law = config._law(shape, dtype)
    if not isinstance(law, Law):  # pyright: ignore[reportUnnecessaryIsInstance]  # that of a user's class
        kind = type(law).__name__
        raise Refused(f"its _law must return an initjax.Law, got {kind}.", TypeError)
    return law


def _other_roles(config: Config, shape: Shape) -> Roles | None:
    """Return the roles of axes that are not (window..., in, out), where that counts."""
    if not (config._reads_kernel() and isinstance(config.fan, Fan)):
        return None
    roles = roles_of(config.fan, shape)
    usual = sum(roles, ()) == tuple(range(len(shape))) and len(roles.outputs) == 1
    return None if usual and len(roles.inputs) == 1 else roles


def _kernel_of(config: T, shape: Shape) -> T:
    """Return the law of the same kernel as (window..., in, out), at its fans."""
    return _with_fan(config, Given(*config.fan._fans(shape)))


def law_of(config: Config, shape: Shape, dtype: np.dtype[Any]) -> Law:
    """Return the law of an entry of an array that a declaration may divide."""
    fan: Declaration | None = config.fan
    if fan is None or config._is_whole():
        return _own_law(config, shape, dtype)
    if parts := fan.parts(shape):
        pairs = zip(config._divided(parts), part_shapes(shape, parts), strict=True)
        laws = [law_of(part, part_shape, dtype) for part, part_shape in pairs]
        return mixture_law(laws, parts.sizes)
    fans = fan._fans(shape)
    if (axes := fan.blocks(shape)) and config._is_blockwise():
        law = law_of(_with_fan(config, fan.block(shape)), _one(shape, axes), dtype)
    else:
        law = _law_in_order(config, shape, dtype)
    # one that draws a smaller weight knows its fans
    return dataclasses.replace(law, fans=law.fans or fans)


def clones_of(config: T, parts: Parts) -> list[T]:
    """Return the clone of a law for every part."""
    path, seeded = path_of(getattr(config, "seed", None)), hasattr(config, "seed")
    return [
        _with_fan(config, parts.of, **({"seed": (*path, name)} if seeded else {}))
        for name in parts.names
    ]


def _with_fan(config: T, fan: Declaration | None, **changes: Any) -> T:
    return cast("T", dataclasses.replace(cast("Any", config), fan=fan, **changes))


def _one(shape: Shape, axes: tuple[int, ...]) -> Shape:
    return tuple(n for i, n in enumerate(shape) if i not in axes)


def _side_by_side(
    config: Config, shape: Shape, dtype: np.dtype[Any], parts: Parts
) -> Draw:
    """Return the draw of parts, each on the stream of its clone."""
    shapes = part_shapes(shape, parts)
    pairs = zip(config._divided(parts), shapes, strict=True)
    draws = [folded(part, draw_of(part, s, dtype)) for part, s in pairs]
    bare = [draw._replace(numbers=()) for draw in draws]
    counts = tuple(len(draw.numbers) for draw in draws)
    common: dict[str, Any] = {
        "random": any(draw.random for draw in draws),
        "elementwise": all(draw.elementwise for draw in draws),
        "folded": True,
    }
    if len(set(bare)) == len(set(shapes)) == 1:
        columns = zip(*(draw.numbers for draw in draws), strict=True)
        numbers = tuple(map(stacked, columns))
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


def stacked(column: tuple[Any, ...]) -> Any:
    """Return numbers as rows of one array, on the host unless one is traced."""
    traced = any(isinstance(number, jax.Array) for number in column)
    return (jnp if traced else np).stack(column)


def folded(config: Config, draw: Draw) -> Draw:
    """Return a law's draw that folds the law's stream into the key by itself."""
    path: Path = path_of(getattr(config, "seed", None))
    if draw.folded or not draw.random or not path:
        return draw
    words = digest_words(path)
    options = (("draw", draw._replace(numbers=())),)
    return draw._replace(
        sampler=on_stream, numbers=(words, *draw.numbers), options=options, folded=True
    )


def laid_out(
    key: Any, shape: Shape, dtype: Any, *numbers: Any, draw: Draw, roles: Roles
) -> jax.Array:
    """Draw a kernel (window..., in, out), and put its axes where they belong."""
    x = sample(draw, key, kernel_shape(shape, roles), dtype, numbers)
    order = sum(roles, ())
    x = x.reshape(tuple(shape[axis] for axis in order))
    return x.transpose(tuple(map(order.index, range(len(shape)))))


def on_stream(
    key: Any, shape: Shape, dtype: Any, words: Any, *numbers: Any, draw: Draw
) -> jax.Array:
    """Draw with the key folded by two words."""
    return sample(draw, fold_in_block(key, words[0], words[1]), shape, dtype, numbers)


def equal_parts(
    key: Any, shape: Shape, dtype: Any, *numbers: Any, draw: Draw, axis: int
) -> jax.Array:
    """Draw parts of one shape side by side, in one pass over the whole array."""
    count = len(numbers[0]) if numbers else 1
    size = shape[axis] // count
    part = (*shape[:axis], size, *shape[axis + 1 :])

    def one(*numbers: Any) -> jax.Array:
        return sample(draw, key, part, dtype, numbers)

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
        drawn = sample(draw, key, part, dtype, numbers[first : first + count])
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
        x = jax.vmap(lambda k: sample(draw, k, block, dtype, numbers))(keys)
    else:
        one = sample(draw, key, block, dtype, numbers)
        x = jnp.broadcast_to(one, (math.prod(many), *block))
    x = x.reshape(*many, *block)
    return jnp.moveaxis(x, tuple(range(len(axes))), axes)


def sample(draw: Draw, key: Any, shape: Shape, dtype: Any, numbers: Any) -> jax.Array:
    """Return the array of a draw whose numbers are given apart."""
    return draw.sampler(key, shape, dtype, *numbers, **dict(draw.options))
