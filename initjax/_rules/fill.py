"""Make many arrays of laws: what is alike is compiled once, and run for each."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor, Future
from typing import Any

import jax
import numpy as np

from .._engine import blocks
from .._engine.execute import Report, compiling
from .._engine.keys import hash_blocks
from .._engine.transfer import moved, put
from .recipe import Filling, lowered
from .ways import Way, ways_of

_COMPILED: dict[Way, Future[Any]] = {}
_MOST = 4096  # programs that are kept


def executables(wanted: Mapping[Way, Filling]) -> dict[Way, Future[Any]]:
    """Return the executables of programs, those not yet known being compiled."""
    if len(_COMPILED) > _MOST:
        _COMPILED.clear()
    own = [way for way in wanted if not way.constant]
    known = {way: _COMPILED[way] for way in own if way in _COMPILED}
    new = [way for way in own if way not in known]
    futures = compiling(lowered(wanted[way]) for way in new)
    fresh = dict(zip(new, futures, strict=True))
    _COMPILED.update(fresh)
    return known | fresh


def fill(
    fillings: Sequence[Filling], words: Sequence[Any], report: Report | None = None
) -> list[jax.Array]:
    """Return the arrays, each of its key's words.

    What has most to do is compiled first, and runs while others compile. All of it is
    compiled under `jax.disable_jit` too: a law's bits are those of its program.
    """
    with jax.disable_jit(False), blocks.cores() as threads:
        return _fill(fillings, words, report, threads)


def _fill(
    fillings: Sequence[Filling],
    words: Sequence[Any],
    report: Report | None,
    threads: Executor,
) -> list[jax.Array]:
    groups: dict[Way, list[int]] = {}
    for i, way in enumerate(ways_of(fillings, _COMPILED, blocks.ready())):
        groups.setdefault(way, []).append(i)
    work = {way: sum(fillings[i].entries for i in groups[way]) for way in groups}
    order = sorted(groups, key=lambda way: -work[way])
    firsts = {way: fillings[groups[way][0]] for way in order}
    programs = executables({w: f for w, f in firsts.items() if w.kernel is None})
    kernels = {
        way: blocks.compiled(way.kernel, way.rows, threads)
        for way in order
        if way.kernel is not None
    }
    results: list[Any] = [None] * len(fillings)
    for way in order:
        ones = [fillings[i] for i in groups[way]]
        keys = [words[i] for i in groups[way]]
        if way.kernel is None and not way.constant:
            run = functools.partial(run_program, programs[way].result())
            made: Iterable[jax.Array] = map(run, ones, keys)
        else:
            homes = [] if way.kernel else list(map(_constant, ones))
            if way.kernel is not None:
                targets = list(map(target_of, ones, keys))
                homes = blocks.draw(kernels[way].result(), way.rows, targets, threads)
            wanted = [(one.shape, one.recipe.sharding) for one in ones]
            made = blocks.placed(homes, wanted)
        for i, x in zip(groups[way], made, strict=True):
            results[i] = x
            if report is not None:
                jax.block_until_ready(x)
                report(1, x.nbytes)
    return results


def run_program(run: Any, one: Filling, words: Any) -> jax.Array:
    """Return what an executable makes of a key's words."""
    recipe = one.recipe
    x = run(*put(run, (words, *one.numbers)))
    return moved(x, recipe.sharding) if recipe.moves else x


def _constant(one: Filling) -> list[blocks.Host]:
    (value,) = one.numbers
    value = np.asarray(value).astype(one.recipe.dtype)
    return blocks.full(one.shape, value, one.recipe.sharding)


def target_of(one: Filling, words: Any) -> blocks.Target:
    """Return what a kernel draws: the key of each member, folded with a path."""
    recipe, keys, numbers = one.recipe, np.asarray(words), one.numbers
    if recipe.has_path:
        (hi, lo), *numbers = numbers
        keys = hash_blocks(keys, hi, lo)
    leaves = [(key, *numbers) for key in keys.reshape(-1, keys.shape[-1])]
    return blocks.Target(one.shape, recipe.dtype, leaves, recipe.sharding)
