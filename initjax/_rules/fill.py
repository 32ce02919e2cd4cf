"""Make many arrays of laws: compile each distinct program once, run it for each."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from concurrent.futures import Future
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import AxisType, NamedSharding, Sharding, SingleDeviceSharding

from .._core import samplers
from .._core.arguments import as_asked
from .._core.bits import fold_in_block
from .._core.compile import LAW, Draw, numbers_of
from .._core.initializer import Initializer
from .._core.placement import Placement, place
from .._engine.execute import SMALL, Report, compiling, moved, no_mesh, put
from .._engine.keys import KeyKind
from .._errors import Refused, shown

Shape = tuple[int, ...]


class Job(NamedTuple):
    """One array to make.

    Attributes:
        where: What to call it in an error.
        law: A law, or a function of (key, shape, dtype).
        shape: Its shape.
        dtype: Its dtype.
        sharding: Where it lives, or None where the key does.
    """

    where: str
    law: Any
    shape: Shape
    dtype: np.dtype[Any]
    sharding: Sharding | None


class Recipe(NamedTuple):
    """All that is compiled into a program; what it takes is given at each run.

    Attributes:
        draw: How the array is made; a function's is its call.
        shape: Its shape.
        dtype: Its dtype.
        has_path: Whether the key is folded with a path of the law's own.
        kind: What the key's words are.
        sharding: Where the array lives.
        members: How many arrays are made at once, of as many keys; None is one.
    """

    draw: Draw
    shape: Shape
    dtype: np.dtype[Any]
    has_path: bool
    kind: KeyKind
    sharding: Sharding | None
    members: int | None = None

    @property
    def moves(self) -> bool:
        """Whether it is computed on one device and placed afterwards."""
        return self.is_spread and not self.draw.elementwise

    @property
    def is_spread(self) -> bool:
        """Whether the array lives on several devices."""
        return self.sharding is not None and len(self.sharding.device_set) > 1


class Filling(NamedTuple):
    """A job's program, what a run of it takes after the key's words, and its name."""

    recipe: Recipe
    numbers: tuple[Any, ...]
    where: str = ""


def fillings_of(jobs: Sequence[Job], kind: KeyKind) -> list[Filling]:
    """Return the program of every job; jobs of one law and shape are read once."""
    known: dict[Hashable, Filling] = {}
    for job in jobs:
        if (same := _same(job)) not in known:
            known[same] = filling(job, kind)
    return [known[_same(job)]._replace(where=job.where) for job in jobs]


def _same(job: Job) -> Hashable:
    # by identity: equal laws may differ in the sign of a zero
    return id(job.law), job.shape, job.dtype, job.sharding


def filling(job: Job, kind: KeyKind) -> Filling:
    """Return the program of a job, or refuse it by its name."""
    try:
        draw = (
            job.law._make(job.shape, job.dtype)
            if isinstance(job.law, Initializer)
            else Draw(_called, options=(("function", job.law),), elementwise=False)
        )
    except Refused as refused:
        message = f"{job.where}: {job.law!r}(key, shape={job.shape}): {refused}"
        raise Refused(message, refused.kind) from None
    numbers, has_path = numbers_of(job.law, draw)
    bare = draw._replace(numbers=())
    recipe = Recipe(bare, job.shape, job.dtype, has_path, kind, job.sharding)
    return Filling(recipe, numbers, job.where)


def _called(
    key: Any, shape: Shape, dtype: Any, *, function: Callable[..., Any]
) -> jax.Array:
    x = function(key, shape, dtype)
    if callable(x):
        raise Refused(
            f"{shown(function)} returned a function, so it makes initializers; call it "
            "in the rule.",
            TypeError,
        )
    return as_asked(x, shape, dtype, repr(function))


def _lowered(one: Filling) -> Any:
    """Return the program of a filling, ready to compile."""
    recipe, many = one.recipe, one.recipe.members
    run = _function(recipe)
    words = jax.ShapeDtypeStruct(recipe.kind.words, np.uint32)
    types = [jax.ShapeDtypeStruct(np.shape(x), x.dtype) for x in one.numbers]
    if many is not None:
        run = jax.vmap(run, (0, *(None for _ in types)))
        words = jax.ShapeDtypeStruct((many, *words.shape), np.uint32)
    run.__name__ = run.__qualname__ = LAW + recipe.draw.sampler.__name__
    sharding = recipe.sharding
    if recipe.moves and sharding is not None:
        home = min(sharding.addressable_devices, key=lambda device: device.id)
        sharding = SingleDeviceSharding(home)
    try:
        with no_mesh():
            return jax.jit(run, out_shardings=sharding).lower(words, *types)
    except Refused as refused:
        raise Refused(f"{one.where}: {refused}", refused.kind) from None
    except Exception as error:
        error.add_note(f"while setting up {one.where}")
        raise


def _function(recipe: Recipe) -> Callable[..., jax.Array]:
    draw = recipe.draw

    def run(words: Any, *numbers: Any) -> jax.Array:
        key = jax.random.wrap_key_data(words, impl=recipe.kind.impl)
        if recipe.has_path:
            path, *numbers = numbers  # type: ignore[assignment]
            key = fold_in_block(key, path[0], path[1])
        options = dict(draw.options)
        return draw.sampler(key, recipe.shape, recipe.dtype, *numbers, **options)

    return run


_COMPILED: dict[Hashable, Future[Any]] = {}
_MOST = 4096  # programs that are kept


def placed_run(
    run: Callable[..., jax.Array], sharding: Sharding | None
) -> Callable[..., jax.Array]:
    """Return an elementwise function compiled, its array born where it belongs."""
    if not isinstance(sharding, NamedSharding):
        return jax.jit(run, out_shardings=sharding)
    mesh = sharding.mesh
    kinds = zip(mesh.axis_names, mesh.axis_types, strict=True)
    explicit = tuple(name for name, kind in kinds if kind == AxisType.Explicit)
    return place(run, Placement(sharding, explicit), elementwise=True)


def executables(fillings: Iterable[Filling]) -> dict[Hashable, Future[Any]]:
    """Return the executables of all programs, those not yet known being compiled."""
    if len(_COMPILED) > _MOST:
        _COMPILED.clear()
    known: dict[Hashable, Future[Any]] = {}
    new: dict[Hashable, Filling] = {}
    for one in fillings:
        key = key_of(one)
        if key in known or key in new:
            continue
        if key in _COMPILED:
            known[key] = _COMPILED[key]
        else:
            new[key] = one
    futures = compiling(map(_lowered, new.values()))
    fresh = dict(zip(new, futures, strict=True))
    _COMPILED.update(fresh)
    return known | fresh


def key_of(one: Filling) -> Hashable:
    """Return what fillings with one program share."""
    types = tuple((np.shape(x), x.dtype.name) for x in one.numbers)
    wide = jax.config.jax_enable_x64  # pyright: ignore[reportAttributeAccessIssue]  # flags are set at run time
    device = jax.config.jax_default_device  # pyright: ignore[reportAttributeAccessIssue]  # as above
    partitionable = jax.config.jax_threefry_partitionable  # pyright: ignore[reportAttributeAccessIssue]  # as above
    return one.recipe, types, wide, device, partitionable


def fill(
    fillings: Sequence[Filling], words: Sequence[Any], report: Report | None = None
) -> list[jax.Array]:
    """Return the arrays, each of its key's words.

    Programs with most to do are compiled first, and run while others compile. Small
    constants are put on their device as they are. All of it is compiled under
    `jax.disable_jit` too: a law's bits are those of its program.
    """
    with jax.disable_jit(False):
        return _fill(fillings, words, report)


def _fill(
    fillings: Sequence[Filling], words: Sequence[Any], report: Report | None
) -> list[jax.Array]:
    work: dict[Hashable, int] = {}
    rows: dict[Hashable, list[int]] = {}
    for i, one in enumerate(fillings):
        key = None if is_small_constant(one) else key_of(one)
        work[key] = work.get(key, 0) + _size(one.recipe)
        rows.setdefault(key, []).append(i)
    order = sorted(rows, key=lambda key: -work[key])
    compiled = executables(fillings[rows[key][0]] for key in order if key is not None)
    results: list[Any] = [None] * len(fillings)
    for key in order:
        run = None if key is None else compiled[key].result()
        for i in rows[key]:
            results[i] = x = _run(run, fillings[i], words[i])
            if report is not None:
                jax.block_until_ready(x)
                report(1, x.nbytes)
    return results


def _run(run: Any, one: Filling, words: Any) -> jax.Array:
    recipe = one.recipe
    if run is None:
        (value,) = one.numbers
        return jax.device_put(
            np.full(recipe.shape, value, recipe.dtype), recipe.sharding
        )
    x = run(*put(run, (words, *one.numbers)))
    return moved(x, recipe.sharding) if recipe.moves else x


def is_small_constant(one: Filling) -> bool:
    """Tell whether an array is one number in every entry, faster put than compiled."""
    recipe = one.recipe
    size = math.prod(recipe.shape) * recipe.dtype.itemsize
    return (
        recipe.draw.sampler is samplers.fill
        and np.ndim(one.numbers[0]) == 0
        and not recipe.is_spread
        and recipe.members is None
        and size <= SMALL
    )


def _size(recipe: Recipe) -> int:
    return int(np.prod(recipe.shape, dtype=np.int64)) * recipe.draw.random
