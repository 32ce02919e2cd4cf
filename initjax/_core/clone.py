"""One law for many weights: `clone_initializer`."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from typing import Any, TypeVar, cast, overload

import jax

from .._errors import Refused, shown
from .._fans.fans import is_list
from .arguments import in_trace
from .fields import checked, integer, stream
from .initializer import Initializer
from .streams import Path, Seed, clean_path, fold_in_words, path_of

T = TypeVar("T")

_anonymous = itertools.count()


@dataclasses.dataclass(frozen=True, slots=True, weakref_slot=True)
class CallableClone:
    """A plain `(key, shape, dtype)` function on a stream of its own."""

    function: Callable[..., Any]
    seed: Seed = checked(None, stream)

    @property
    def __name__(self) -> Any:
        """The name of the function."""
        return getattr(self.function, "__name__", type(self.function).__name__)

    def __call__(self, key: jax.Array, shape: Any, *args: Any, **kwargs: Any) -> Any:
        """Call the function with the key folded by this clone's path."""
        try:
            folded = fold_in_words(key, path_of(self.seed))
        except Refused as refused:
            raise refused.at(f"{shown(self)}(key, shape={shown(shape)})") from None
        return self.function(folded, shape, *args, **kwargs)


@overload
def clone_initializer(initializer: T, data: Any = None, *, num: None = None) -> T: ...
@overload
def clone_initializer(
    initializer: T, data: Any = None, *, num: int
) -> tuple[T, ...]: ...
def clone_initializer(
    initializer: Any, data: Any = None, *, num: int | None = None
) -> Any:
    """Return the same law on a stream of its own.

    Give every weight its clone, and one config under one key can never make two weights
    equal. A clone's stream is a path, folded into the key of the call; clones of clones
    extend it. The law, the key and the name decide the numbers: no order, no state.

    Args:
        initializer: A law, a law's class, or any `(key, shape, dtype)` function, which
            is wrapped. Identifiers that `get` would read (str, dict, None) and all else
            that cannot be called come back unchanged, the same object.
        data: The name of the weight: a str, an int, or a path of them. Without it the
            clone is the next anonymous one of this process: as independent, but
            repeatable only if the program makes its clones in one order.
        num: How many clones; they are a split, independent of each other and of every
            named clone. None gives one, not in a tuple.

    Returns:
        A clone, or a tuple of `num` clones. Laws that draw nothing give equal copies.

    Raises:
        TypeError: A name that is neither str, int nor a path of them.
        ValueError: num < 1; the anonymous form inside a traced function, where each
            trace would give other weights.

    References:
        TF-GNN, `tfgnn.keras.clone_initializer`. There a clone of a seeded initializer
        repeats its numbers; here it never does.
    """
    where = f"clone_initializer({_show(initializer)}"
    where += "" if data is None else f", {shown(data)}"
    where += ")" if num is None else f", num={shown(num)})"
    try:
        if num is not None and integer(num) < 1:
            raise Refused("must be a positive int; leave it out for one clone.")
        if not callable(initializer):
            return initializer if num is None else (initializer,) * num
        suffix: Path = () if data is None else clean_path(_as_parts(data))
        if num is not None:
            parts = [(*suffix, ("split", i)) for i in range(num)]
            return tuple(_extend(initializer, part) for part in parts)
        return _extend(initializer, suffix or (("anonymous", _next_anonymous()),))
    except Refused as refused:
        raise refused.at(where) from None


def _extend(initializer: Any, suffix: Path) -> Any:
    if isinstance(initializer, type) and issubclass(initializer, Initializer):
        initializer = initializer()
    if not isinstance(initializer, (Initializer, CallableClone)):
        return CallableClone(initializer, suffix)
    if not hasattr(initializer, "seed"):
        return dataclasses.replace(initializer)
    seed = cast("Seed", initializer.seed)  # type: ignore[union-attr]
    return dataclasses.replace(initializer, seed=(*path_of(seed), *suffix))  # type: ignore[call-arg]


def _next_anonymous() -> int:
    if in_trace():
        raise Refused(
            "an anonymous clone inside a traced function would draw other weights at "
            "each trace; give the clone a name: clone_initializer(init, 'name')."
        )
    return next(_anonymous)


def _as_parts(data: Any) -> Any:
    return data if is_list(data) else (data,)


def _show(initializer: Any) -> str:
    if isinstance(initializer, (Initializer, CallableClone)):
        return shown(initializer)
    name = getattr(initializer, "__name__", None)
    return name if isinstance(name, str) else shown(initializer)
