"""Which programs of a function one kernel stands in for, and which it needs not."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from .._core.bits import THREEFRY, Stretch, fused_bits
from .blocks import WIDTH, Kernel
from .jaxprs import bind
from .keys import is_key
from .lifted import Place, joins_products, places_of, value_at
from .tape import Static, Tape, Value, keys_of


class Drawn(NamedTuple):
    """A program that a kernel stands in for.

    Attributes:
        kernel: The kernel.
        tape: The program's code.
        places: The numbers of it that the kernel is given.
    """

    kernel: Kernel
    tape: Tape
    places: tuple[Place, ...]

    def numbers(self, values: Mapping[Hashable, Any]) -> tuple[Any, ...]:
        """Return what the kernel is given after the leaves."""
        return tuple(value_at(self.tape, place, values) for place in self.places)


def kernels_of(tapes: Mapping[int, Tape]) -> dict[int, Drawn]:
    """Return what kernel could draw in place of each program.

    Programs that differ in shapes and numbers alone share one. A number is given to the
    kernel where they differ in it, else it is part of it.
    """
    alike: dict[Hashable, list[int]] = {}
    places = {i: places_of(tape) for i, tape in tapes.items()}
    for i, tape in tapes.items():
        signature = tape.signature({place[:2] for place in places[i]})
        alike.setdefault(signature, []).append(i)
    found: dict[int, Drawn] = {}
    for same in alike.values():
        first = tapes[same[0]]
        differ = tuple(
            place
            for place in places[same[0]]
            if len({place.number(tapes[i]).signature for i in same}) > 1
        )
        kernel = _kernel(first, differ)
        found.update({i: Drawn(kernel, tapes[i], differ) for i in same})
    return found


def _kernel(tape: Tape, places: tuple[Place, ...]) -> Kernel:
    key = tape.signature({place[:2] for place in places}), places
    words = np.zeros(2, np.uint32)
    leaves = [a.aval if keys_of(a.aval) is None else words for a in tape.leaves]
    numbers = [place.number(tape) for place in places]
    types = [jax.ShapeDtypeStruct(x.shape, x.dtype) for x in leaves]
    types += [jax.eval_shape(x.computed) for x in numbers]
    return Kernel(key, row_of(tape, places), tuple(types))


def row_of(tape: Tape, places: Sequence[Place]) -> Callable[..., Any]:
    """Return `(start, *leaves, *numbers)` to the entries of one row."""
    kinds = [a.aval for a in tape.leaves]
    at = {place[:2]: i for i, place in enumerate(places)}

    def initialize(start: Any, *given: Any) -> jax.Array:
        leaves, numbers = given[: len(kinds)], given[len(kinds) :]
        env = [
            jax.random.wrap_key_data(leaf, impl=THREEFRY) if is_key(aval) else leaf
            for leaf, aval in zip(leaves, kinds, strict=True)
        ]
        skipped = _skipped(tape, places)

        def read(i: int, j: int, x: Value | Static) -> Any:
            if (i, j) in at:
                return numbers[at[i, j]]
            if isinstance(x, Static):
                return x.computed()
            return env[skipped.get((i, j), x.place)]

        for i, line in enumerate(tape.lines):
            operands = [read(i, j, x) for j, x in enumerate(line.operands)]
            if line.width:
                entries = Stretch.of(WIDTH, start[0], start[1])
                env.append(fused_bits(_words(operands[0]), entries, line.width))
                continue
            if line.wide:
                operands = [
                    x if jnp.shape(x) else lax.broadcast(x, (WIDTH,)) for x in operands
                ]
            env.extend(bind(line.equation, operands))
        result: Any = tape.result
        entries = env[result.place]
        return entries if result.wide else lax.broadcast(entries, (WIDTH,))

    return initialize


def _words(key: Any) -> Any:
    return jax.random.key_data(key) if is_key(jax.typeof(key)) else key


def _skipped(tape: Tape, places: Sequence[Place]) -> dict[tuple[int, int], int]:
    """Return of operands what stands for them where two products become one."""
    found: dict[tuple[int, int], int] = {}
    for place in places:
        if place.before is not None and joins_products():
            (factor,) = (
                x for x in tape.lines[place.before].operands if isinstance(x, Value)
            )
            found[place.line, 1 - place.operand] = factor.place
    return found
