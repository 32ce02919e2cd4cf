"""The cost model: which arrays have a program, a kernel for all shapes, or neither."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Hashable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from .._core import samplers
from .._core.bits import THREEFRY, Stretch
from .._core.compile import LAW, Draw
from .._engine import blocks
from .._engine.blocks import WIDTH, Kernel, is_known, rows_of, serve
from .._engine.program import SMALL
from .recipe import Filling


class Way(NamedTuple):
    """How an array is made: as a constant, in blocks by a kernel, or by its program.

    Attributes:
        program: What arrays of one program have in common; empty where it needs none.
        kernel: What draws it in blocks.
        rows: Those of a block.
        constant: Whether the host makes it.
    """

    program: Hashable = ()
    kernel: Kernel | None = None
    rows: int = 0
    constant: bool = False


def ways_of(fillings: Sequence[Filling], compiled: Container[Way]) -> list[Way]:
    """Return how each array is made; `compiled` are the programs that are.

    A kernel takes about a tenth longer than a program of the same shape, as its blocks
    are copied to where they belong, and is compiled once for all shapes. So a shape has
    a program where that is compiled already, where no other shape would share the
    kernel, and where it is drawn so often or so large that it pays for itself.
    """
    ways = [
        Way(constant=True) if is_constant(one) else Way(program_of(one))
        for one in fillings
    ]
    sharing: dict[Kernel, list[int]] = {}
    drawn: Counter[Way] = Counter()
    for i, one in enumerate(fillings):
        drawn[ways[i]] += one.entries
        if not ways[i].constant and (kernel := kernel_of(one)) is not None:
            sharing.setdefault(kernel, []).append(i)
    for kernel, rows in sharing.items():
        small = [
            i for i in rows if drawn[ways[i]] < blocks.LARGE and ways[i] not in compiled
        ]
        height = rows_of(fillings[i].entries for i in small)
        if is_known(kernel, height) or len({ways[i] for i in small}) > 1:
            for i in small:
                ways[i] = Way(kernel=kernel, rows=height)
    return ways


def is_constant(one: Filling) -> bool:
    """Tell whether an array is one number in every entry, faster put than compiled."""
    recipe = one.recipe
    return (
        recipe.draw.sampler is samplers.fill
        and np.ndim(one.numbers[0]) == 0
        and not recipe.is_spread
        and (serve(recipe.sharding) or one.entries * recipe.dtype.itemsize <= SMALL)
    )


def program_of(one: Filling) -> Hashable:
    """Return what fillings with one program share."""
    types = tuple((np.shape(x), x.dtype.name) for x in one.numbers)
    device = jax.config.jax_default_device  # pyright: ignore[reportAttributeAccessIssue]  # flags are set at run time
    partitionable = jax.config.jax_threefry_partitionable  # pyright: ignore[reportAttributeAccessIssue]  # as above
    return one.recipe, types, _is_wide(), device, partitionable


def _is_wide() -> bool:
    return jax.config.jax_enable_x64  # pyright: ignore[reportAttributeAccessIssue]  # as above


def kernel_of(one: Filling) -> Kernel | None:
    """Return what draws an array in blocks, whatever its shape, or None."""
    recipe = one.recipe
    draw, numbers = recipe.draw, one.numbers[recipe.has_path :]
    if (
        any(map(np.ndim, numbers))
        or not samplers.is_by_index(draw, recipe.dtype)
        or not recipe.kind.is_fusible
        or not serve(recipe.sharding)
    ):
        return None
    types = [jax.ShapeDtypeStruct((), x.dtype) for x in numbers]
    leaves = (jax.ShapeDtypeStruct((2,), np.uint32), *types)
    key = draw, recipe.dtype, tuple(str(x.dtype) for x in types), _is_wide()
    return Kernel(key, _row(draw, recipe.dtype), leaves)


def _row(draw: Draw, dtype: np.dtype[Any]) -> Callable[..., Any]:
    def run(start: Any, words: Any, *numbers: Any) -> jax.Array:
        key = jax.random.wrap_key_data(words, impl=THREEFRY)
        entries = Stretch.of(WIDTH, start[0], start[1])
        return draw.sampler(key, entries, dtype, *numbers, **dict(draw.options))

    run.__name__ = run.__qualname__ = LAW + draw.sampler.__name__
    return run
