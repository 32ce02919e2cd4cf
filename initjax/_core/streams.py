"""Streams: paths to 64-bit digests to keys.

A path is a tuple of strings and integers that names a weight (or, nested, the n-th
anonymous or split clone). Its digest is the first 8 bytes, big-endian, of

    blake2s(b"initjax/1" + ascii(path))

with the top bit set, where ascii(path) is Python's literal of the tuple, such as
`('encoder', 3, 'kernel')`: typed, quoted and escaped, so that different paths have
different texts and one path has one text in every process and on every platform. The
digest is folded into the root key in one threefry block. In JAX's default mode
`split` and `fold_in` use only blocks whose high word is 0, and one key maps blocks to
keys one to one, so no derived key can equal one of theirs. The derivation is frozen at
0.1.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2s
from typing import Any, cast

import jax
import numpy as np
from jax.core import Tracer

from .._errors import Refused, shown
from .._fans.fans import is_list, items_of
from .bits import THREEFRY, fold_in_block, threefry2x32

Part = str | int | tuple[Any, ...]  # nested; users' annotations are read at run time
Path = tuple[Part, ...]
Seed = Part | None

_TOP_BIT = np.uint32(1 << 31)
_HUGE = 10**4300  # Python writes no int of more digits
_TOO_LONG = "the ints of a path have at most 4,300 digits; give a name."
_CHUNK = 1 << 14  # paths at a time: their digests and keys stay in the cache


def fold_in_path(key: jax.Array, *path: str | int) -> jax.Array:
    """Return the key of the weight with this name under a root key.

    The whole path is folded in one step, so ("ab", "c") and ("a", "bc"), 1 and "1", and
    a path and its prefix give different keys; and none equals a key of `split` or
    `fold_in` of the same root (with threefry, in JAX's default mode, by construction).
    Adding a weight moves no other weight's key. A root may be used for any number of
    paths.

    Args:
        key: A typed or raw PRNG key, not a batch of keys.
        *path: Strings and integers, at least one.

    Returns:
        A key of the same kind, typed or raw.

    Raises:
        TypeError: A part is neither str nor int; `key` is not a PRNG key.
        ValueError: The path is empty; `key` is a batch of keys.
    """
    try:
        return fold_in_words(key, clean_path(path))
    except Refused as refused:
        raise refused.at(
            f"fold_in_path(key, {shown(path)[1:-1].rstrip(',')})"
        ) from None


def fold_in_words(key: jax.Array, path: Path) -> jax.Array:
    """Fold a clean path into a key of either kind."""
    folded = fold_in_block(as_key(key), *digest_words(path))
    return folded if is_typed(key) else jax.random.key_data(folded)


def fold_in_paths(key: jax.Array, paths: Iterable[Sequence[str | int]]) -> jax.Array:
    """Return the keys of many paths as one array, derived on the host in NumPy.

    Row i has the bits of `fold_in_path(key, *paths[i])`, at about a microsecond each.
    The key must be concrete (outside `jax.jit`).

    Args:
        key: A typed or raw PRNG key, not a batch of keys.
        paths: One non-empty sequence of strings and integers per key.

    Returns:
        An array of `len(paths)` keys of the same kind as `key`, typed or raw.

    Raises:
        TypeError: As `fold_in_path`; also if `key` is a tracer.
        ValueError: As `fold_in_path`; also for a generator other than threefry and rbg.
    """
    where = "fold_in_paths(key, paths)"
    try:
        typed = as_key(key)
        rows = _clean_paths(paths)
        if isinstance(key, Tracer):
            raise Refused(
                "runs on the host, but the key is traced; use fold_in_path.", TypeError
            )
        impl = jax.random.key_impl(typed)
        if impl not in (THREEFRY, "rbg", "unsafe_rbg"):
            raise Refused(f"knows threefry and rbg keys, got {impl}; use fold_in_path.")
        folded = fold_in_rows(np.asarray(jax.random.key_data(typed)), rows)
    except Refused as refused:
        raise refused.at(where) from None
    if not is_typed(key):
        return jax.numpy.asarray(folded)
    return jax.random.wrap_key_data(jax.numpy.asarray(folded), impl=impl)


def fold_in_rows(
    data: np.ndarray[Any, np.dtype[np.uint32]], rows: Sequence[Path]
) -> np.ndarray[Any, np.dtype[np.uint32]]:
    """Return the words of a threefry or rbg key folded with each of many paths."""
    folded = np.empty((len(rows), data.size), np.uint32)
    for start in range(0, len(rows), _CHUNK):
        hi, lo = _digests(rows[start : start + _CHUNK]).T
        for half in range(0, data.size, 2):
            k0, k1 = data[half : half + 1], data[half + 1 : half + 2]
            out = folded[start : start + _CHUNK, half : half + 2]
            out[:, 0], out[:, 1] = threefry2x32(k0, k1, hi, lo)
    return folded


def digest_words(path: Path) -> np.ndarray[Any, np.dtype[np.uint32]]:
    """Return the high and low 32 bits of a path's digest."""
    return _digests([path])[0]


def _digests(paths: Sequence[Path]) -> np.ndarray[Any, np.dtype[np.uint32]]:
    try:
        texts = [f"initjax/1{path!a}" for path in paths]
    except ValueError:
        raise Refused(_TOO_LONG) from None
    digests = b"".join([blake2s(text.encode()).digest() for text in texts])
    words = (
        np.frombuffer(digests, ">u4").reshape(len(paths), 8)[:, :2].astype(np.uint32)
    )
    words[:, 0] |= _TOP_BIT
    return words


def clean_path(parts: Iterable[Any]) -> Path:
    """Return a path of plain str and int parts, or refuse."""
    path = tuple(_clean_part(part) for part in parts)
    if not path:
        raise Refused("needs at least one part; give a name, such as 'encoder'.")
    return path


def _clean_paths(paths: Iterable[Sequence[Any]]) -> list[Path]:
    try:
        listed = list(paths)
    except TypeError:
        raise Refused(
            f"needs a list of paths, got {shown(paths)}; give [path].", TypeError
        ) from None
    rows = [row if type(row) is tuple else _as_tuple(row) for row in listed]
    kinds = set(map(type, itertools.chain.from_iterable(rows)))
    if kinds <= {str, int} and all(rows):
        return cast("list[Path]", rows)
    return [clean_path(row) for row in rows]


def _as_tuple(row: Any) -> tuple[Any, ...]:
    if isinstance(row, str):
        raise Refused(
            f"a path is a sequence of parts, got the str {shown(row)}; "
            f"give ({shown(row)},)."
        )
    parts = items_of(row)
    if parts is None:
        raise Refused(
            f"a path is a sequence of parts, got {shown(row)}; give (name,).", TypeError
        )
    return tuple(parts)


def _clean_part(part: Any) -> str | int:
    if isinstance(part, str):
        return str.__str__(part)
    if isinstance(part, (int, np.integer)) and not isinstance(part, bool):
        if abs(int(part)) >= _HUGE:
            raise Refused(_TOO_LONG)
        return int(part)
    raise Refused(
        f"a path is made of str and int, got {shown(part)} of type "
        f"{type(part).__name__}; give a name or an index.",
        TypeError,
    )


def clean_seed(seed: Any) -> Seed:
    """Return a stream tag in its one form: None, a part, or a path of two and more."""
    if seed is None:
        return None
    if not is_list(seed):
        return _clean_part(seed)
    path = tuple(map(_clean_seed_part, seed))
    if len(path) < 2 and not (path and isinstance(path[0], tuple)):
        return path[0] if path else None
    return path


def _clean_seed_part(part: Any) -> Part:
    return clean_path(part) if is_list(part) else _clean_part(part)


def path_of(seed: Seed) -> Path:
    """Return a stream tag as a path; None is the empty path."""
    if seed is None:
        return ()
    return seed if isinstance(seed, tuple) else (seed,)


def is_key(value: Any) -> bool:
    """Tell whether a value is a typed key, or an array of them."""
    return isinstance(value, jax.Array) and is_typed(value)


def is_typed(key: Any) -> bool:
    """Tell a typed key (`jax.random.key`) from raw key data (`jax.random.PRNGKey`)."""
    return jax.numpy.issubdtype(key.dtype, jax.dtypes.prng_key)


MANY_KEYS = "use jax.vmap over the keys, or pick one."


def as_key(key: Any, if_many: str = MANY_KEYS) -> jax.Array:
    """Return one typed key, or refuse a batch, wrong raw data, and other things."""
    if not isinstance(key, (jax.Array, np.ndarray)):
        raise Refused(
            f"needs a PRNG key, got key={shown(key)} of type {type(key).__name__}; "
            f"give {_key_for(key)}.",
            TypeError,
        )
    if is_typed(key):
        if key.ndim == 0:
            return cast("jax.Array", key)
        raise _batch_refused(key.shape, if_many)
    if key.dtype != np.uint32:
        raise Refused(
            f"needs a PRNG key, got an array of {key.dtype}; "
            "give jax.random.key(seed).",
            TypeError,
        )
    if key.ndim > 1:
        raise _batch_refused(key.shape[:-1], if_many)
    try:
        return jax.random.wrap_key_data(jax.numpy.asarray(key))
    except TypeError:
        raise Refused(
            f"raw key data of shape {key.shape} is not a key of the default generator; "
            "give a typed key, jax.random.key(seed)."
        ) from None


def _key_for(value: Any) -> str:
    """Return what to write for what is given in place of a key."""
    if isinstance(value, Mapping) and value:
        return (
            f"one of its keys, rngs[{next(iter(cast('Mapping[Any, Any]', value)))!r}]"
        )
    if type(value).__module__.startswith("flax.nnx"):
        return "a key that it makes, rngs.params()"
    return f"jax.random.key({shown(value) if isinstance(value, int) else 'seed'})"


def _batch_refused(shape: tuple[int, ...], way: str) -> Refused:
    return Refused(f"needs one PRNG key, got a batch of keys of shape {shape}; {way}")
