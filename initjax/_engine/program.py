"""A piece as a function that JAX compiles, with random bits that fuse."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec, SingleDeviceSharding

from .._core.bits import fused_bits, is_fusible
from .blocks import is_on_cpu, is_whole, serve
from .jaxprs import bind, called, evaluate, every
from .keys import is_key, kind_of, size_of
from .outline import Piece
from .placing import Order
from .rounding import ENDS_ROUND_ALIKE, is_number, unstable
from .tape import NotByEntry, Static, Tape, tape_of
from .trace import Atom, Constant, Input
from .transfer import no_mesh

SMALL = 1 << 20  # bytes

_FACTORS = frozenset(
    """
    cholesky eig eigh geqp3 geqrf hessenberg householder_product lu
    orgqr qr schur svd triangular_solve tridiagonal tridiagonal_solve
    """.split()
)
_CALLBACKS = frozenset({"pure_callback", "io_callback"})
_CONTROL = frozenset({"scan", "while", "cond"})
_HINDRANCES = (
    ("a host callback", _CALLBACKS),
    ("factorizes a matrix", _FACTORS),
    ("samples inside control flow", _CONTROL),
)


def primitives(piece: Piece) -> frozenset[str]:
    """Return the names of all primitives of a piece, at any depth."""
    return frozenset(equation.primitive.name for equation in equations(piece))


def equations(piece: Piece) -> Iterator[Any]:
    return every(node.equation for node in piece.nodes)


def fuses(piece: Piece, in_blocks: bool = False) -> bool:
    """Tell whether random bits may fuse with what is computed of them.

    The bits are the same either way; the floats computed of them are those of `jax.jit`
    only where XLA cannot choose: from keys and numbers alone, for one result, by
    equations that no loop changes.
    """
    alone = len(piece.results) == 1 and not _takes_data(piece)
    if any(is_number(atom.aval) for atom in piece.results):
        return False
    return alone and not unstable(equations(piece), in_blocks)


def fuses_loosely(piece: Piece) -> bool:
    """Tell whether random bits may fuse where the last bits of floats may change."""
    factors = factorizes(primitives(piece))
    return not factors and not _takes_data(piece) and is_straight(piece)


def is_straight(piece: Piece) -> bool:
    """Tell whether a piece is computed step by step, on the device alone."""
    return not primitives(piece) & (_CALLBACKS | _CONTROL)


def _takes_data(piece: Piece) -> bool:
    return any(isinstance(a, Input) and not is_key(a.aval) for a in piece.leaves)


def samples(used: frozenset[str]) -> bool:
    """Tell whether random bits are drawn."""
    return bool(used & {"random_bits", "threefry2x32"})


def factorizes(used: frozenset[str]) -> bool:
    """Tell whether a matrix is factorized."""
    return bool(used & _FACTORS)


def hindrance(piece: Piece, used: frozenset[str]) -> str | None:
    """Return why a piece that samples is compiled as `jax.jit` would, or None."""
    if not samples(used) or fuses(piece):
        return None
    for what, which in _HINDRANCES:
        if found := sorted(used & which):
            return f"{what} ({', '.join(found)})"
    if len(piece.results) > 1:
        return f"{len(piece.results)} outputs share what they are computed from"
    if _takes_data(piece):
        return "computed from an argument"
    return (
        f"not arithmetic along long axes ({', '.join(unstable(equations(piece))[:4])})"
    )


def function_of(piece: Piece, fuse: bool) -> Callable[..., tuple[Any, ...]]:
    """Return a piece as a function of its leaves, keys as their words."""
    apply = _apply_fused if fuse else bind

    def initialize(*leaves: Any) -> tuple[Any, ...]:
        env: dict[Atom, Any] = {}
        for atom, leaf in zip(piece.leaves, leaves, strict=True):
            env[atom] = leaf
            if is_key(atom.aval):
                impl = kind_of(atom.aval.dtype).impl
                env[atom] = jax.random.wrap_key_data(leaf, impl=impl)

        def read(atom: Atom) -> Any:
            return (
                atom.value
                if isinstance(atom, Constant) and atom not in env
                else env[atom]
            )

        for node in piece.nodes:
            out = apply(node.equation, [read(a) for a in node.inputs])
            env.update(zip(node.results, out, strict=True))
        return tuple(
            _copy(env[atom]) if atom in piece.leaves else read(atom)
            for atom in piece.results
        )

    return initialize


def _copy(x: Any) -> Any:
    """Return the same values in a buffer of their own: never the argument's."""
    if not is_key(x):
        return jnp.copy(x)
    words = jnp.copy(jax.random.key_data(x))
    return jax.random.wrap_key_data(words, impl=kind_of(x.dtype).impl)


def _apply_fused(equation: Any, inputs: Sequence[Any]) -> Sequence[Any]:
    """Compute one equation, random bits from a hash that fuses."""
    inner = called(equation)
    if inner is not None:
        # a call, as in JAX's program: XLA divides an argument otherwise than a constant
        return jax.jit(lambda *xs: evaluate(inner, xs, _apply_fused))(*inputs)
    if equation.primitive.name == "random_bits":
        with equation.ctx.manager:
            if is_fusible(inputs[0]):
                words, params = jax.random.key_data(inputs[0]), equation.params
                return [fused_bits(words, params["shape"], params["bit_width"])]
    return bind(equation, inputs)


@dataclasses.dataclass(frozen=True, eq=False)
class Program:
    """A distinct program: the first piece that needs it, what it takes, what it gives.

    Attributes:
        piece: A piece that the program computes; the others differ in their leaves.
        takes: Shapes, dtypes and shardings of the leaves.
        order: The shardings of the results.
        exact: Whether its floats are those of `jax.jit` to the last bit.
    """

    piece: Piece
    takes: tuple[jax.ShapeDtypeStruct, ...]
    order: Order
    exact: bool = True

    @functools.cached_property
    def primitives(self) -> frozenset[str]:
        """The names of what it computes with."""
        return primitives(self.piece)

    @functools.cached_property
    def fuses(self) -> bool:
        """Whether its random bits fuse with what is computed of them."""
        return fuses(self.piece) or self.is_loose

    @functools.cached_property
    def is_loose(self) -> bool:
        """Whether it fuses although the last bits of its floats may change."""
        loosely = not self.exact and samples(self.primitives)
        return loosely and fuses_loosely(self.piece) and not fuses(self.piece)

    @functools.cached_property
    def tape(self) -> Tape | None:
        """What is done to each entry, where that needs no program of this shape."""
        result, *others = self.piece.results
        if others or result.aval.weak_type or is_key(result.aval):
            return None
        home = self.order[0]
        if not is_on_cpu(home) or is_typed(self.piece):
            return None
        try:
            tape = tape_of(self.piece, self.exact)
        except NotByEntry:
            return None
        if isinstance(tape.result, Static):
            return tape if ENDS_ROUND_ALIKE else None
        if not serve(home, result.aval.shape):
            return None
        if len(tape.order) > 1 and not is_whole(home):
            return None
        fused = self.is_loose or fuses(self.piece, in_blocks=True)
        return tape if fused else None

    @property
    def spread(self) -> bool:
        """Whether it runs on several devices."""
        placed = (*self.order, *(take.sharding for take in self.takes))
        return any(s is not None and len(s.device_set) > 1 for s in placed)

    @property
    def moves(self) -> bool:
        """Whether it is computed once and its results are placed afterwards.

        The factors of a matrix must not depend on the mesh, and factorizations on
        several simulated CPU devices at once can wait for each other for ever. A small
        array whose loops XLA may split otherwise for each mesh goes the same way.
        """
        anywhere = None not in self.order and not any(t.sharding for t in self.takes)
        if not self.spread or self.fuses or not anywhere:
            return False
        return factorizes(self.primitives) or (
            samples(self.primitives)
            and sum(size_of(atom.aval) for atom in self.piece.results) <= SMALL
        )

    @property
    def alone(self) -> bool:
        """Whether it needs several devices at once, so that nothing may overlap it."""
        return self.spread and not self.fuses

    @functools.cached_property
    def lowered(self) -> Any:
        """The program, ready to compile."""
        if not self.moves:
            return self._lowered(self.order if any(self.order) else None)
        home: Any = self.order[0]
        if is_typed(self.piece):  # by the mesh in use, so all its devices take part
            return self._lowered(NamedSharding(home.mesh, PartitionSpec()))
        device = min(home.addressable_devices, key=lambda device: device.id)
        with no_mesh():
            return self._lowered(SingleDeviceSharding(device))

    def _lowered(self, order: Any) -> Any:
        run = function_of(self.piece, self.fuses)
        jitted = jax.jit(run, out_shardings=order, keep_unused=True)
        return jitted.lower(*self.takes)


def is_typed(piece: Piece) -> bool:
    """Tell whether arrays carry the explicit axes of a mesh in their types."""
    return any(not atom.aval.sharding.mesh.empty for atom in piece.results)
