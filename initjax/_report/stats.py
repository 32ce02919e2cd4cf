"""What a weight is, in small numbers: one pass, where it lives."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import Executor
from typing import Any, NamedTuple, Self

import jax
import numpy as np

from .._core.widths import width
from .._engine.transfer import no_mesh
from .._errors import Refused
from .._rules.fingerprint import check_array
from .moments import Known, Pending, known_of, of_all_processes, together
from .passes import (
    Looked,
    look,
    look_at_part,
    look_on_mesh,
    middle_of,
    side_by_side,
)
from .spots import Array, Spots, spots

_FEW = 2**13  # entries of a small array, which is read as it is
_PART = 2**25  # entries of an array of NumPy that go to a device at once
_MOST = 2**32  # entries that a block counts


class Observed(NamedTuple):
    """What one weight is.

    Attributes:
        finite: How many entries are finite; all below is of these.
        mean: Their mean, complex for a complex weight.
        variance: Of |w - mean|.
        fourth: The mean of |w - mean|^4, up to a few per cent.
        low: The least, of the modulus for a complex weight.
        high: The greatest.
        nans: How many entries are NaN.
        infs: How many are infinite.
        zeros: How many are 0.
        prefix: The first entries, complex ones by their modulus.
        sample: Entries spread over the weight.
        slices: By axis, entries of some slices.
    """

    finite: int
    mean: complex
    variance: float
    fourth: float
    low: float
    high: float
    nans: int
    infs: int
    zeros: int
    prefix: Array
    sample: Array
    slices: dict[int, Array]

    @property
    def std(self) -> float:
        """The standard deviation."""
        return math.sqrt(self.variance)

    def kept(self) -> Self:
        """Return it without what only this weight is judged by."""
        prefix, sample = self.prefix.copy(), self.sample.copy()
        return self._replace(prefix=prefix, sample=sample, slices={})

    @property
    def is_constant(self) -> bool:
        """Whether all entries are equal."""
        return self.low == self.high


NOTHING = Observed(
    *(0, math.nan, math.nan, math.nan, math.nan, math.nan, 0, 0, 0),
    *(np.zeros(0), np.zeros(0), {}),
)


def check(name: str, x: Any) -> None:
    """Refuse what is no array of numbers."""
    check_array(name, x)
    if isinstance(x, jax.Array) and math.prod(x.sharding.shard_shape(x.shape)) >= _MOST:
        raise Refused(f"{name!r} has {_MOST} entries or more on a device; shard it.")


def start(x: Any, threads: Executor) -> Pending:
    """Start to look at an array that has entries."""
    where = spots(x.shape or (1,))
    if not isinstance(x, jax.Array):
        return (_of_few if x.size <= _FEW else _of_host)(np.asarray(x), where)
    shards = [shard for shard in x.addressable_shards if shard.replica_id == 0]
    if len(shards) == 1 and shards[0].data.shape == x.shape:
        x, is_whole = shards[0].data, x.is_fully_addressable
        if x.size <= _FEW:
            return _of_few(jax.device_get(x), where)._replace(is_whole=is_whole)
        return _of_one(x, where, is_whole, threads)
    return _of_shards(x, shards, where)


def _of_few(x: Array, where: Spots) -> Pending:
    """Look at an array that is no larger than what a pass gives."""
    flat = x.reshape(-1)
    views = 3 if x.dtype.kind == "c" else 1
    middle = np.broadcast_to([0.0, 1.0], (1, views, 2))
    none = np.zeros((1, views, 5, 0)), np.zeros((1, 3, 0), np.uint32)
    looked = [Looked(middle, *none, flat[None], flat[where.every][None])]
    mine = np.ones((1, len(where.every)), bool)

    def run() -> list[Looked]:
        return looked

    return Pending(where, [x.size], mine, run, run, True, x.dtype)


def _of_one(x: jax.Array, where: Spots, is_whole: bool, threads: Executor) -> Pending:
    """Look at an array of one device, several at a time on the cores of a CPU."""
    wide = jax.config.jax_enable_x64  # pyright: ignore[reportAttributeAccessIssue]  # flags are set at run time

    def run(careful: bool = True) -> list[Looked]:
        with width(wide):
            return [jax.block_until_ready(look(x, careful=careful, loops=_loops(x)))]

    mine = np.ones((1, len(where.every)), bool)
    first = threads.submit(run, False).result
    return Pending(where, [x.size], mine, first, run, is_whole, x.dtype)


def _of_shards(x: jax.Array, shards: Sequence[Any], where: Spots) -> Pending:
    """Look at the blocks of an array, no device waiting for another."""
    index = np.stack(np.unravel_index(where.every, x.shape))
    starts = np.array([[cut.start or 0 for cut in s.index] for s in shards], np.int32)
    sizes = [shard.data.size for shard in shards]
    block = x.sharding.shard_shape(x.shape)
    local = index[None] - starts.reshape(-1, len(x.shape), 1)
    is_in = (local >= 0) & (local < np.array(block)[:, None])
    mine = np.asarray(is_in.all(1))

    def run(careful: bool = True) -> list[Looked]:
        if not shards:
            return []
        with no_mesh():
            blocks, mesh = side_by_side([shard.data for shard in shards])
            how = {"careful": careful, "loops": _loops(x)}
            return [look_on_mesh(blocks, mesh=mesh, whole=x.shape, **how)]

    looked = run(False)
    whole = x.is_fully_addressable
    return Pending(where, sizes, mine, lambda: looked, run, whole, x.dtype)


def _of_host(x: Array, where: Spots) -> Pending:
    """Look at an array of NumPy part by part, a file's too."""
    flat = x.reshape(-1)
    parts = np.array_split(flat, -(-flat.size // _PART))
    picks = held(flat[where.every])

    middle = middle_of(picks)

    def run(careful: bool = True) -> list[Looked]:
        every: list[Looked] = []
        for part in parts:
            sums = look_at_part(held(part), middle, careful=careful)
            one = middle, *map(np.asarray, sums), picks  # before the next is read
            every.append(Looked(*(y[None] for y in one)))
        return every

    mine = np.ones((len(parts), picks.size), bool)
    sizes = [part.size for part in parts]
    looked = run(False)
    return Pending(where, sizes, mine, lambda: looked, run, True, picks.dtype)


def held(x: Array) -> Array:
    """Return entries in a dtype that JAX holds as it is set up."""
    if jax.dtypes.canonicalize_dtype(x.dtype) == x.dtype:
        return x
    with np.errstate(over="ignore"):  # beyond float32 is infinite
        return x.astype(np.complex64 if x.dtype.kind == "c" else np.float32)


def _loops(x: jax.Array) -> bool:
    return next(iter(x.devices())).platform == "cpu"


def finish(pending: Sequence[Pending]) -> list[Observed]:
    """Return what weights are, once their blocks are looked at."""
    known = [known_of(one) for one in pending]
    spread = [i for i, one in enumerate(pending) if not one.is_whole]
    if spread and jax.process_count() > 1:
        every = of_all_processes([known[i] for i in spread])
        for i, rows in zip(spread, every, strict=True):
            known[i] = together(rows)
    pairs = zip(pending, known, strict=True)
    return [_observed(one.where, knows) for one, knows in pairs]


def _observed(where: Spots, known: Known) -> Observed:
    picks = known.picks
    is_complex = picks.dtype.kind == "c"
    size = np.abs(picks) if is_complex else picks.astype(_real(picks.dtype))
    prefix, sample, slices = where.divided(size)
    count, mean, second, fourth, low, high = known.moments[-1].tolist()
    middle: complex = mean
    if is_complex:
        middle = complex(*known.moments[:2, 1])
        second = float(known.moments[:2, 2].sum())
        fourth = float(np.mean(np.abs(where.divided(picks)[1] - middle) ** 4))
    zeros, nans, infs = known.counts.tolist()
    some = (int(count), middle, second, fourth, low, high) if count else NOTHING[:6]
    return Observed(*some, nans, infs, zeros, prefix, sample, slices)


def _real(dtype: np.dtype[Any]) -> type:
    is_wide = dtype.itemsize == 8 and dtype.kind == "f"
    return np.float64 if is_wide else np.float32
