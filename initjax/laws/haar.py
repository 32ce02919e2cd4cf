"""Haar-distributed matrices with orthonormal columns from normal ones."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from types import MappingProxyType

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_batching import sequential_vmap

matmul = functools.partial(jnp.matmul, precision="highest")


def by_qr(z: jax.Array) -> jax.Array:
    """Q of the QR decomposition, with the signs that make it Haar."""
    q, r = jnp.linalg.qr(z)
    # a zero on R's diagonal keeps its column: sign(0) would erase it
    diagonal = jnp.diagonal(r)[None, :]
    return q * jnp.where(diagonal == 0, jnp.ones_like(diagonal), jnp.sign(diagonal))


@sequential_vmap
def by_reflections(z: jax.Array) -> jax.Array:
    """The law of `by_qr` by Stewart's method: nothing is factorized.

    QR reflects the rest of each column to its first entry, and the rests of a normal
    matrix stay normal and independent under the reflections before. So column k from
    its entry k on gives reflection k as it is. Reflections are applied by the panel,
    I - U T U^H, in products of matrices, which on a CPU took half the time of LAPACK's
    QR and keep their pace where cores are shared.

    A batch is done one by one: products of batches round otherwise and, the cache being
    what it is, are slower (64 matrices of 256 x 256: 0.7 of their time).
    """
    n = z.shape[1]
    panels = -(-n // min(max(_NARROW, n // _PANELS), _WIDE))
    width = -(-n // panels)  # of a panel
    u, phase = _reflections(z)
    padding = ((0, 0), (0, panels * width - n))  # columns of zeros reflect nothing
    return _product(jnp.pad(u, padding), jnp.pad(phase, padding), width)[:, :n]


METHODS: Mapping[str, Callable[[jax.Array], jax.Array]] = MappingProxyType(
    {"reflections": by_reflections, "qr": by_qr}
)

# Narrow panels waste few flops on T, wide ones make large products; measured on a CPU.
_NARROW, _WIDE = 64, 256
_PANELS = 8  # of a matrix, where the widths allow it


def _reflections(z: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return U, |u_k|^2 = 2, and what I - u_k u_k^H makes of z_k, over its norm.

    With x the column from its diagonal entry on, u is x plus x_0 / |x_0| |x| at its
    head, scaled; the reflected x is -x_0 / |x_0| |x| at its head and 0 elsewhere. A
    column of one entry is reflected too, so its sign stays fair.
    """
    row, column = (lax.broadcasted_iota(jnp.int32, z.shape, axis) for axis in (0, 1))
    below = jnp.where(row > column, z, jnp.zeros_like(z))
    head = jnp.diagonal(z)[None]
    tiny = jnp.full_like(head, jnp.finfo(z.dtype).eps ** 2)
    head = jnp.where(head == 0, tiny, head)  # a head has a sign
    size = jnp.abs(head)
    rest = jnp.sum((below * below.conj()).real, 0, keepdims=True)
    norm = jnp.sqrt(size * size + rest)
    scale = jnp.sqrt(norm * (norm + size)).astype(z.dtype)
    phase = head / size.astype(z.dtype)
    first = head + phase * norm.astype(z.dtype)
    return jnp.where(row == column, first, below) / scale, -phase


def _product(u: jax.Array, phase: jax.Array, width: int) -> jax.Array:
    """Return the first columns of the product of all I - u_k u_k^H, times the phases.

    From the last panel to the first, each panel gives way to its columns of the result.
    """
    rows, columns = u.shape
    panels = columns // width
    row, column = (
        lax.broadcasted_iota(jnp.int32, (rows, width), axis) for axis in (0, 1)
    )

    def take(q: jax.Array, panel: jax.Array) -> jax.Array:
        return lax.dynamic_slice_in_dim(q, panel * width, width, 1)

    def put(q: jax.Array, panel: jax.Array, x: jax.Array) -> jax.Array:
        return lax.dynamic_update_slice_in_dim(q, x, panel * width, 1)

    def apply(step: jax.Array, q: jax.Array) -> jax.Array:
        panel = panels - 1 - step
        v = take(q, panel)
        adjoint = v.conj().T
        vt = matmul(v, _triangle(matmul(adjoint, v)))

        def reflect(other: jax.Array, q: jax.Array) -> jax.Array:
            x = take(q, other)
            return put(q, other, x - matmul(vt, matmul(adjoint, x)))

        own = take(phase, panel)
        start = jnp.where(row == column + panel * width, own, jnp.zeros_like(own))
        return lax.fori_loop(panel, panels, reflect, put(q, panel, start))

    return lax.fori_loop(0, panels, apply, u)


def _triangle(gram: jax.Array) -> jax.Array:
    """Return T with product of I - u_k u_k^H = I - U T U^H, from U^H U.

    Triangles of two neighbours A, B make one of twice the size, with -A (U^H U) B at
    its corner: all pairs at once, in products of whole matrices.
    """
    size = gram.shape[0]
    row, column = (lax.broadcasted_iota(jnp.int32, gram.shape, axis) for axis in (0, 1))

    def merge(level: jax.Array, t: jax.Array) -> jax.Array:
        above, right = row >> level, column >> level
        corner = jnp.where(
            (above + 1 == right) & (above & 1 == 0), gram, jnp.zeros_like(gram)
        )
        return t - matmul(t, matmul(corner, t))

    levels = (size - 1).bit_length()
    return lax.fori_loop(0, levels, merge, jnp.eye(size, dtype=gram.dtype))
