"""What each array of a tree is made by: its law, read once, as a program or a call."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import AxisType, NamedSharding, Sharding, SingleDeviceSharding

from .._core.arguments import as_asked
from .._core.bits import fold_in_block
from .._core.compile import LAW, Draw, numbers_of
from .._core.initializer import Initializer
from .._core.placement import Placement, place
from .._engine.keys import KeyKind
from .._engine.transfer import no_mesh
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

    @property
    def shape(self) -> Shape:
        """That of the array, with all members."""
        members = self.recipe.members
        return self.recipe.shape if members is None else (members, *self.recipe.shape)

    @property
    def entries(self) -> int:
        """How many it has."""
        return math.prod(self.shape)


def fillings_of(
    jobs: Sequence[Job], kind: KeyKind, home: Sharding | None = None
) -> list[Filling]:
    """Return the program of every job; jobs of one law and shape are read once.

    What nothing else places lives in `home`.
    """
    known: dict[Hashable, Filling] = {}
    for job in jobs:
        if (same := _same(job)) not in known:
            known[same] = filling(job._replace(sharding=job.sharding or home), kind)
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


def lowered(one: Filling) -> Any:
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
