"""One executable for all numbers of a law family, shape, dtype and placement."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np

from .bits import checks_reuse, fold_in_block
from .own import is_traced
from .placement import Placement, place
from .streams import digest_words, path_of

LAW = "initjax_"  # what the name of a law's program begins with

Shape = tuple[int, ...]
Sampler = Callable[..., jax.Array]


class Draw(NamedTuple):
    """How a law makes one array.

    Attributes:
        sampler: `(key, shape, dtype, *numbers, **options)` to an array.
        numbers: Traced arguments: laws that differ in them share an executable.
        options: Static arguments, part of the executable.
        random: Whether a key is used.
        elementwise: Whether entries are computed one by one, so in shards too.
        folded: Whether the sampler folds the config's stream into the key itself.
    """

    sampler: Sampler
    numbers: tuple[Any, ...] = ()
    options: tuple[tuple[str, Any], ...] = ()
    random: bool = True
    elementwise: bool = True
    folded: bool = False


class Prepared(NamedTuple):
    """A compiled call, its arguments after the key, and whether it takes a key."""

    run: Callable[..., jax.Array]
    numbers: tuple[Any, ...]
    random: bool


class Config(Protocol):
    """What this room asks of a law."""

    def _make(self, shape: Shape, dtype: np.dtype[Any]) -> Draw: ...

    def _is_small(self) -> bool: ...


def prepare(
    config: Config, shape: Shape, dtype: np.dtype[Any], placement: Placement | None
) -> Prepared:
    """Return the call of a config, from the cache if the config is a small value."""
    known = config._is_small() and not is_traced(config)
    make = _prepare_known if known else _prepare
    return make(config, shape, dtype, placement, checks_reuse())


def _prepare(
    config: Config,
    shape: Shape,
    dtype: np.dtype[Any],
    placement: Placement | None,
    reuse: bool,
) -> Prepared:
    draw = config._make(shape, dtype)
    numbers, has_path = numbers_of(config, draw)
    make = _compiled.__wrapped__ if is_traced(draw.options) else _compiled
    run = make(draw._replace(numbers=()), shape, dtype, has_path, placement, reuse)
    return Prepared(run, numbers, draw.random)


def numbers_of(config: Any, draw: Draw) -> tuple[tuple[Any, ...], bool]:
    """Return what a run takes after the key, and whether a path to fold is first."""
    folds = draw.random and not draw.folded
    path = path_of(getattr(config, "seed", None)) if folds else ()
    return ((digest_words(path), *draw.numbers) if path else draw.numbers), bool(path)


_prepare_known = functools.lru_cache(maxsize=4096)(_prepare)


@functools.lru_cache(maxsize=4096)
def _compiled(
    draw: Draw,
    shape: Shape,
    dtype: np.dtype[Any],
    has_path: bool,
    placement: Placement | None,
    reuse: bool,
) -> Callable[..., jax.Array]:
    del reuse  # what the samplers compile depends on it

    def sample(key: Any, *numbers: Any) -> jax.Array:
        x = draw.sampler(key, shape, dtype, *numbers, **dict(draw.options))
        # without it XLA repeats the hash in every elementwise use of the array (the CPU
        # backend keeps the barrier that long from jaxlib 0.12 on)
        return jax.lax.optimization_barrier(x)

    sample.__name__ = sample.__qualname__ = LAW + draw.sampler.__name__
    run: Callable[..., jax.Array] = _folded(sample) if has_path else sample
    return (
        jax.jit(run) if placement is None else place(run, placement, draw.elementwise)
    )


def _folded(sample: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
    """Return a law's program for a key that is yet to be folded with two words."""
    sampled = jax.jit(sample)

    def run(key: Any, words: Any, *numbers: Any) -> jax.Array:
        return sampled(fold_in_block(key, *words), *numbers)

    run.__name__ = run.__qualname__ = sample.__name__
    return run
