"""The base class of all laws, and the one path of every call."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Self, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from ._bits import checks_reuse, fold_in_block
from ._config import read_fields, to_plain
from ._errors import Refused
from ._fields import checked, default_dtype
from ._law import Law
from ._placement import Placement, place, resolve
from ._streams import as_key, digest_words, path_of

Shape = tuple[int, ...]
OutSharding = NamedSharding | PartitionSpec | None
Sampler = Callable[..., jax.Array]


class Draw(NamedTuple):
    """How a law makes one array: a sampler, its traced numbers, its static options."""

    sampler: Sampler
    numbers: tuple[Any, ...] = ()
    options: tuple[tuple[str, Any], ...] = ()
    random: bool = True
    elementwise: bool = True


@dataclasses.dataclass(frozen=True, slots=True)
class Initializer:
    """A law as a value, and a pure function of (key, shape, dtype).

    The base of every law. Configs are frozen, hashable, equal by value, picklable and
    JSON-able; they are not pytrees, so a tree of initializers has them as leaves. A law
    of your own subclasses this with the mathematics in `_sample(self, key, shape,
    dtype)`, optionally its promise in `_law(self, shape, dtype)`, and joins `get` and
    `deserialize` by `initjax.register`.

    Args:
        dtype: What `dtype=None` means in a call; None is JAX's default float.

    Raises:
        TypeError: At construction, a field of a wrong kind; at the call, a key, shape
            or dtype of a wrong kind.
        ValueError: At construction, a field out of range; at the call, a shape that the
            law cannot fill, a batch of keys, an `out_sharding` without its mesh.
    """

    _: dataclasses.KW_ONLY
    dtype: Any = checked(None, default_dtype)

    def __post_init__(self) -> None:
        """Check every field and keep its plain Python value."""
        for field in dataclasses.fields(self):
            if check := field.metadata.get("check"):
                value = getattr(self, field.name)
                try:
                    clean = check(value)
                except Refused as refused:
                    where = f"{type(self).__name__}({field.name}={value!r})"
                    raise refused.at(where) from None
                object.__setattr__(self, field.name, clean)
        try:
            self._validate()
        except Refused as refused:
            raise refused.at(repr(self)) from None

    def __call__(
        self,
        key: jax.Array,
        shape: Sequence[int],
        dtype: Any = None,
        out_sharding: OutSharding = None,
    ) -> jax.Array:
        """Return an array of the law.

        The same bits eagerly, under `jax.jit`, in a row of `jax.vmap`, and under any
        `out_sharding`.

        Args:
            key: One PRNG key, typed or raw; laws that draw nothing ignore it.
            shape: Non-negative sizes.
            dtype: The dtype that comes out; None is the config's, then JAX's default.
            out_sharding: Where the array goes: a NamedSharding, or a PartitionSpec
                under `jax.set_mesh`.
        """
        try:
            sizes, kind = (
                _as_shape(shape),
                as_dtype(self.dtype if dtype is None else dtype),
            )
            where = None if out_sharding is None else resolve(out_sharding, sizes)
            run, numbers, random = _prepare(self, sizes, kind, where)
            return run(as_key(key) if random else None, *numbers)
        except Refused as refused:
            shown = "" if dtype is None else f", dtype={_show_dtype(dtype)}"
            raise refused.at(f"{self!r}(key, shape={shape}{shown})") from None

    def law(self, shape: Sequence[int], dtype: Any = None) -> Law:
        """Return what the law promises for one entry of a weight of this shape.

        Args:
            shape: As in the call.
            dtype: As in the call; a complex dtype gives the law of complex entries.

        Returns:
            Its mean, standard deviation, bounds, fans and cdf.
        """
        try:
            kind = as_dtype(self.dtype if dtype is None else dtype)
            return self._law(_as_shape(shape), kind)
        except Refused as refused:
            raise refused.at(f"{self!r}.law(shape={shape})") from None

    def bind(self, key: jax.Array) -> Bound:
        """Return this law with a key, to be called as (shape, dtype).

        The call form of Keras and Haiku. The key is used at every call: bind each
        weight to its own, or clone the law by name first.
        """
        return Bound(self, key)

    def get_config(self) -> dict[str, Any]:
        """Return the fields as JSON-able data.

        Keras's own arguments are always there; those that only initjax has, where they
        differ from their defaults. `from_config` gives an equal config back.
        """
        config: dict[str, Any] = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if not field.init or (field.kw_only and value == field.default):
                continue
            try:
                config[field.name] = to_plain(value)
            except Refused as refused:
                raise refused.at(f"{type(self).__name__}.{field.name}") from None
        return config

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Return the config that `get_config`, or Keras's, describes.

        As in Keras, the distribution "normal" means "truncated_normal" here.

        Raises:
            ValueError: An unknown field, or what the constructor raises.
        """
        names = {field.name for field in dataclasses.fields(cls) if field.init}
        try:
            given = read_fields(config, names)
            for name in given:
                if name not in names:
                    near = difflib.get_close_matches(name, names, n=1)
                    hint = (
                        f"did you mean {near[0]!r}?"
                        if near
                        else f"known: {sorted(names)}."
                    )
                    raise Refused(f"has no field {name!r}; {hint}")
        except Refused as refused:
            raise refused.at(f"{cls.__name__}.from_config({dict(config)!r})") from None
        return cls(**given)

    def __repr__(self) -> str:
        """Show the arguments that differ from their defaults; `eval` gives an equal."""
        shown = [
            f"{field.name}={_literal(getattr(self, field.name))}"
            for field in dataclasses.fields(self)
            if field.init and _differs(getattr(self, field.name), field.default)
        ]
        return f"{type(self).__name__}({', '.join(shown)})"

    def _validate(self) -> None:
        """Refuse fields that do not go together."""

    def _draw(self, shape: Shape, dtype: np.dtype[Any]) -> Draw:
        """Return how an array is made; by default, by this config's own `_sample`."""
        return Draw(type(self)._sample_config, options=(("config", self),))

    @staticmethod
    def _sample_config(
        key: jax.Array, shape: Shape, dtype: Any, *, config: Initializer
    ) -> jax.Array:
        return config._sample(key, shape, dtype)

    def _sample(self, key: jax.Array, shape: Shape, dtype: Any) -> jax.Array:
        """Return the array: a law's mathematics, in jax.numpy and jax.random."""
        raise Refused(
            "is the base class and draws nothing; use a law, such as HeNormal(), "
            "or define _sample(self, key, shape, dtype) in your subclass.",
            TypeError,
        )

    def _law(self, shape: Shape, dtype: np.dtype[Any]) -> Law:
        """Return the law of an entry."""
        raise Refused(
            "does not say what it promises; define _law(self, shape, dtype) in the class.",
            TypeError,
        )


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Bound:
    """A law with its key: a function of (shape, dtype)."""

    initializer: Initializer
    key: jax.Array

    def __call__(
        self, shape: Sequence[int], dtype: Any = None, out_sharding: OutSharding = None
    ) -> jax.Array:
        """Return `initializer(key, shape, dtype, out_sharding)`."""
        return self.initializer(self.key, shape, dtype, out_sharding)


def needs(dtype: np.dtype[Any], *kinds: str) -> None:
    """Refuse dtypes that are of none of the kinds "float", "complex", "int", "bool"."""
    types = {
        "float": jnp.floating,
        "complex": jnp.complexfloating,
        "int": jnp.integer,
        "bool": jnp.bool_,
    }
    if not any(jnp.issubdtype(dtype, types[kind]) for kind in kinds):
        raise Refused(
            f"draws {' or '.join(kinds)} arrays, got dtype {dtype.name}; "
            f"give such a dtype{', or use RandomUniform or Constant' if 'int' not in kinds else ''}.",
            TypeError,
        )


def as_number(name: str, value: Any, dtype: np.dtype[Any]) -> Any:
    """Return a hyper-parameter as a scalar of the dtype a sampler computes in."""
    if isinstance(value, jax.Array):
        return value.astype(dtype)
    if dtype.kind in "iu" and value != int(value):
        raise Refused(
            f"{name}={value!r} is not an integer, but dtype is {dtype.name}; "
            f"give an integer {name} or a float dtype."
        )
    return np.asarray(value, dtype)


def as_dtype(dtype: Any) -> np.dtype[Any]:
    """Return the dtype that comes out, or refuse what JAX would silently narrow."""
    if dtype is None or (
        isinstance(dtype, type) and dtype in (float, int, complex, bool)
    ):
        return jnp.result_type(dtype or float)
    try:
        kind = jnp.dtype(dtype)
    except TypeError:
        raise Refused(
            f"dtype={dtype!r} is not a dtype; give one, such as jnp.float32.", TypeError
        ) from None
    if kind.name in _WIDE and not jax.config.jax_enable_x64:  # pyright: ignore[reportAttributeAccessIssue]  # flags are set at run time
        raise Refused(
            f"dtype {kind.name} needs 64-bit mode; set "
            "jax.config.update('jax_enable_x64', True), or ask for "
            f"{_WIDE[kind.name]}."
        )
    return kind


_WIDE = {
    "float64": "float32",
    "int64": "int32",
    "uint64": "uint32",
    "complex128": "complex64",
}


def _show_dtype(dtype: Any) -> str:
    try:
        return jnp.dtype(dtype).name
    except TypeError:
        return repr(dtype)


def _as_shape(shape: Any) -> Shape:
    try:
        sizes = tuple([operator.index(size) for size in shape])
    except TypeError:
        hint = f"; give ({shape},)." if isinstance(shape, int) else "."
        raise Refused(
            f"shape must be a sequence of ints, got {shape!r}{hint}", TypeError
        ) from None
    if sizes and min(sizes) < 0:
        raise Refused(f"sizes must be >= 0, got {min(sizes)}; give a shape without it.")
    return sizes


def _literal(value: Any) -> str:
    infinite = isinstance(value, float) and math.isinf(value)
    return f"float('{value}')" if infinite else repr(value)


def _differs(value: Any, default: Any) -> bool:
    return isinstance(value, jax.Array) or value != default


def _prepare(
    config: Initializer,
    shape: Shape,
    dtype: np.dtype[Any],
    placement: Placement | None,
) -> tuple[Callable[..., jax.Array], tuple[Any, ...], bool]:
    """Return the compiled call, its traced arguments, and whether it takes a key."""
    prepare = _prepare_known if _is_hashable(config) else _prepare_new
    return prepare(config, shape, dtype, placement)


def _is_hashable(value: Any) -> bool:
    """Tell whether a config, or its options, hold no tracer."""
    try:
        hash(value)
    except TypeError:
        return False
    return True


def _prepare_new(
    config: Initializer,
    shape: Shape,
    dtype: np.dtype[Any],
    placement: Placement | None,
) -> tuple[Callable[..., jax.Array], tuple[Any, ...], bool]:
    draw = config._draw(shape, dtype)
    path = path_of(getattr(config, "seed", None)) if draw.random else ()
    numbers = (digest_words(path), *draw.numbers) if path else draw.numbers
    compiled = _compiled if _is_hashable(draw.options) else _compiled.__wrapped__
    run = compiled(
        draw.sampler, draw.options, shape, dtype, bool(path), draw.random,
        draw.elementwise, placement, checks_reuse(),
    )  # fmt: skip
    return run, numbers, draw.random


_prepare_known = functools.lru_cache(maxsize=4096)(_prepare_new)


@functools.lru_cache(maxsize=4096)
def _compiled(
    sampler: Sampler,
    options: tuple[tuple[str, Any], ...],
    shape: Shape,
    dtype: np.dtype[Any],
    has_path: bool,
    random: bool,
    elementwise: bool,
    placement: Placement | None,
    _checks_reuse: bool,
) -> Callable[..., jax.Array]:
    """Return the jitted call of a law family: one executable for all its numbers."""

    def run(key: Any, *numbers: Any) -> jax.Array:
        if random and has_path:
            key, numbers = fold_in_block(key, *numbers[0]), numbers[1:]
        x = sampler(key, shape, dtype, *numbers, **dict(options))
        return jax.lax.optimization_barrier(x)

    run.__name__ = run.__qualname__ = sampler.__name__
    if placement is None:
        return jax.jit(run)
    return place(run, placement, elementwise)
