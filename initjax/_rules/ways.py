"""How each array is made: by the host, in blocks by a kernel, or by its program."""

from __future__ import annotations

from collections.abc import Callable, Container, Hashable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from .._core import samplers
from .._core.bits import THREEFRY, Stretch
from .._core.compile import LAW, Draw
from .._engine.blocks import WIDTH, Kernel, is_on_cpu, serve
from .._engine.cost import Choice, in_blocks
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

    @property
    def name(self) -> str:
        """What plans call it, as `ProgramRow.way` does."""
        if self.constant:
            return "host"
        return "program" if self.kernel is None else "blocks"


def ways_of(
    fillings: Sequence[Filling],
    programs: Container[Way] = (),
    kernels: Container[tuple[Hashable, int]] = (),
) -> list[Way]:
    """Return how each array is made, by the cost model.

    Args:
        fillings: The arrays.
        programs: The programs that are compiled already; none in a fresh process.
        kernels: The keys and rows of the kernels that are.
    """
    groups: dict[Way, list[int]] = {}
    for i, one in enumerate(fillings):
        way = Way(constant=True) if is_constant(one) else Way(program_of(one))
        groups.setdefault(way, []).append(i)
    could = {
        way: kernel
        for way, (first, *_) in groups.items()
        if not way.constant and (kernel := kernel_of(fillings[first])) is not None
    }
    choices = {
        way: Choice(kernel.key, [fillings[i].entries for i in groups[way]])
        for way, kernel in could.items()
    }
    rows = in_blocks(choices, programs, kernels)
    ways: dict[int, Way] = {}
    for way, places in groups.items():
        chosen = Way(kernel=could[way], rows=rows[way]) if way in rows else way
        ways.update(dict.fromkeys(places, chosen))
    return [ways[i] for i in range(len(fillings))]


def is_constant(one: Filling) -> bool:
    """Tell whether an array is one number in every entry, faster put than compiled."""
    recipe = one.recipe
    return (
        recipe.draw.sampler is samplers.fill
        and np.ndim(one.numbers[0]) == 0
        and (
            is_on_cpu(recipe.sharding)
            or (not recipe.is_spread and one.entries * recipe.dtype.itemsize <= SMALL)
        )
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
        or (recipe.members is not None and recipe.is_spread)
        or not serve(recipe.sharding, recipe.shape)
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
