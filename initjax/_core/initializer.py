"""The base class of all laws, and the one path of every call."""

from __future__ import annotations

import dataclasses
import inspect
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from .._errors import Refused, shown
from .._fans.declaration import Parts, vector_fans
from .._fans.fans import Fans
from .._fans.given import Given
from .arguments import MISSING, as_asked, as_dtype, place_of, signed
from .bound import Bound
from .compile import Draw, prepare
from .composed import clones_of, draw_of, law_of
from .config import read_fields, to_plain
from .constructed import UNDECORATED, Constructed, is_undecorated
from .fields import Check, checked, declaration, default_dtype, stream
from .names import is_built_in
from .operators import Operators
from .orders import as_call, as_shape, unknown
from .own import Value, is_traced, kept
from .placement import resolve
from .promise import Law
from .streams import as_key
from .tables import code, paragraph
from .values import literal
from .words import no_field

Shape = tuple[int, ...]
OutSharding = NamedSharding | PartitionSpec | None


# JAX's transforms keep a weak reference to the functions that they take
@dataclasses.dataclass(frozen=True, slots=True, weakref_slot=True, eq=False)
class Initializer(Constructed, Value, Operators):
    """A law as a value, and a pure function of (key, shape, dtype).

    The base of every law. Configs are frozen, hashable, equal by value, picklable and
    JSON-able; they are not pytrees, so a tree of initializers has them as leaves. Laws
    are multiplied by numbers and added to one another: `0.5 * a - b + 1`. A law of your
    own subclasses this with the mathematics in `_sample(self, key, shape,
    dtype)`, optionally its promise in `_law(self, shape, dtype)`, and joins `get` and
    `deserialize` by `initjax.register`.

    Args:
        dtype: What `dtype=None` means in a call; None is JAX's default float.
        fan: How the array is made up, such as `Fan.einsum("btd,dhk->bthk")`: its fans,
            for laws that scale with them; its parts, each on a stream of its own; its
            blocks, for laws of matrices. Also "conv" (a window, then inputs, then
            outputs), a number or a pair: the fans themselves. None is Keras's rule.

    Raises:
        TypeError: At construction, a field of a wrong kind; at the call, a key, shape
            or dtype of a wrong kind.
        ValueError: At construction, a field out of range; at the call, a shape that the
            law cannot fill, a batch of keys, an `out_sharding` without its mesh.
    """

    _: dataclasses.KW_ONLY
    dtype: Any = checked(None, default_dtype)
    fan: Any = checked(None, declaration)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Give a law of one's own that draws a stream, as every law has."""
        super(Initializer, cls).__init_subclass__(**kwargs)
        draws = cls._sample is not Initializer._sample
        if draws and not hasattr(cls, "seed"):
            cls.__annotations__ = inspect.get_annotations(cls) | {"seed": "Seed"}
            cls.seed = checked(None, stream, kw_only=True)  # pyright: ignore[reportAttributeAccessIssue]  # a field for the decorator to find

    def __post_init__(self) -> None:
        """Check every field and keep its plain Python value."""
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            try:
                clean = _check_of(field)(value)
            except Refused as refused:
                where = f"{type(self).__name__}({field.name}={shown(value)})"
                raise refused.at(where) from None
            if clean is not value:
                object.__setattr__(self, field.name, clean)
        try:
            self._check_class()
            self._validate()
        except Refused as refused:
            raise refused.at(shown(self)) from None

    @signed
    def __call__(
        self,
        key: jax.Array = MISSING,
        shape: Sequence[int] = MISSING,
        dtype: Any = None,
        out_sharding: OutSharding = None,
        **others: Any,
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
            **others: Arguments that have no place here, each refused by name.
        """
        try:
            sizes = as_call(key, shape, dtype)
            if others:
                raise unknown(others)
            kind = as_dtype(self.dtype if dtype is None else dtype)
            where = None if out_sharding is None else resolve(out_sharding, sizes)
            run, numbers, random = prepare(self, sizes, kind, where)
            return run(as_key(key) if random else None, *numbers)
        except Refused as refused:
            raise refused.at(place_of(f"{shown(self)}(key", shape, dtype)) from None

    def law(self, shape: Sequence[int], dtype: Any = None) -> Law:
        """Return what the law promises for one entry of a weight of this shape.

        Args:
            shape: As in the call.
            dtype: As in the call; a complex dtype gives the law of complex entries.

        Returns:
            Its mean, standard deviation, bounds, fans and cdf.
        """
        try:
            sizes = as_shape(shape)
            kind = as_dtype(self.dtype if dtype is None else dtype)
            if is_traced(self):
                raise Refused(
                    "promises are of numbers, and the law holds a traced one; ask "
                    "outside of the traced function.",
                    TypeError,
                )
            return self._promise(sizes, kind)
        except Refused as refused:
            raise refused.at(place_of(f"{shown(self)}.law(", shape, dtype)) from None

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
                    raise Refused(no_field(cls, name))
            if missing := _needed(cls) - given.keys():
                raise Refused(f"needs the field {min(missing)!r}; give it.")
        except Refused as refused:
            where = f"{cls.__name__}.from_config({shown(config)})"
            raise refused.at(where) from None
        return cls(**given)

    if not TYPE_CHECKING:  # which would take it for the name of the class

        @property
        def __name__(self) -> Any:
            """The name of the class, as functions have one."""
            return type(self).__name__

    def __repr__(self) -> str:
        """Show the arguments that differ from their defaults; `eval` gives an equal."""
        shown = [
            f"{field.name}={literal(getattr(self, field.name))}"
            for field in dataclasses.fields(self)
            if field.init and not _is_default(getattr(self, field.name), field.default)
        ]
        return f"{type(self).__name__}({', '.join(shown)})"

    def _repr_html_(self) -> str:
        """Return the law for a notebook: how it is written, and what it says it is."""
        said = (inspect.getdoc(type(self)) or "").partition("\n\n")[0]
        own = "" if said.startswith(f"{type(self).__name__}(") else said
        return code(repr(self)) + paragraph(own)

    def _check_class(self) -> None:
        if is_undecorated(type(self)):
            raise Refused(UNDECORATED, TypeError)

    def _validate(self) -> None:
        """Refuse fields that do not go together."""

    def _times(self, by: Any) -> Initializer | None:
        """Return the law of `by` times an entry, or None if no field is a factor."""
        del by
        return None

    def _is_small(self) -> bool:
        """Tell whether a cache may hold this config and its arguments."""
        return True

    def _make(self, shape: Shape, dtype: np.dtype[Any]) -> Draw:
        """Return how an array is made, divided as `fan` declares."""
        draw = draw_of(self, shape, dtype)
        if draw.random and not hasattr(self, "seed"):
            raise Refused(
                "draws, and has no stream; give the class a field `seed`.", TypeError
            )
        return draw

    def _promise(self, shape: Shape, dtype: np.dtype[Any]) -> Law:
        """Return the law of an entry of an array divided as `fan` declares."""
        return law_of(self, shape, dtype)

    def _is_blockwise(self) -> bool:
        """Tell whether a weight is more than its entries, so blocks are drawn apart."""
        return False

    def _is_whole(self) -> bool:
        """Tell whether `fan` divides what the law is made of, not the law itself."""
        return False

    def _reads_kernel(self) -> bool:
        """Tell whether the law is written for (window..., in, out), whatever `fan`."""
        return False

    def _is_made_with(self, other: Initializer) -> bool:
        """Tell whether weights of both laws are one draw: they share a stream."""
        del other
        return False

    def _divided(self, parts: Parts) -> Sequence[Initializer]:
        """Return the law of every part: this one, on a stream of its own."""
        return clones_of(self, parts)

    def _needs_fan(self, shape: Shape) -> bool:
        """Tell whether the law would guess the roles of three axes and more."""
        del shape
        return False

    def _declared_fans(self, shape: Shape) -> Fans:
        """Return the fans of a weight, also for a law that does not scale with them."""
        return vector_fans(self.fan, shape)

    def _std_at(self, shape: Shape, dtype: np.dtype[Any], fans: Fans) -> float:
        """Return the standard deviation at other fans, up to a factor of the law's."""
        if is_built_in(type(self)) or is_traced(self):
            return 1.0
        try:  # a law of one's own may scale with its `fan`
            law = dataclasses.replace(self, fan=Given(*fans))._promise(shape, dtype)
        except Refused:
            return 1.0
        return law.std if 0 < law.std < math.inf else 1.0

    def _draw(self, shape: Shape, dtype: np.dtype[Any]) -> Draw:
        """Return how an array is made; by default, by this config's own `_sample`."""
        if type(self)._sample is Initializer._sample:
            self._sample(None, shape, dtype)  # refuses
        seeded = getattr(self, "seed", None) is not None
        bare = dataclasses.replace(self, seed=None) if seeded else self  # type: ignore[call-arg]
        return Draw(type(self)._sample_config, options=(("config", bare),))

    @staticmethod
    def _sample_config(
        key: jax.Array, shape: Shape, dtype: Any, *, config: Initializer
    ) -> jax.Array:
        return as_asked(config._sample(key, shape, dtype), shape, dtype, "_sample")

    def _sample(self, key: Any, shape: Shape, dtype: Any) -> jax.Array:
        """Return the array: a law's mathematics, in jax.numpy and jax.random."""
        raise Refused(
            "is the base class and draws nothing; use a law, such as HeNormal(), "
            "or define _sample(self, key, shape, dtype) in your subclass.",
            TypeError,
        )

    def _law(self, shape: Shape, dtype: np.dtype[Any]) -> Law:
        """Return the law of an entry."""
        raise Refused(
            "does not say what it promises; "
            "define _law(self, shape, dtype) in the class.",
            TypeError,
        )


def _needed(cls: type[Initializer]) -> set[str]:
    """Return the names of the fields without a default."""
    none = dataclasses.MISSING
    return {
        field.name
        for field in dataclasses.fields(cls)
        if field.init and field.default is none and field.default_factory is none
    }


def _check_of(field: dataclasses.Field[Any]) -> Check:
    """Return what a field accepts; without a check of its own, any value."""
    check = field.metadata.get("check")
    return check or (stream if field.name == "seed" else kept)


def _is_default(value: Any, default: Any) -> bool:
    return not isinstance(value, jax.Array) and value == default
