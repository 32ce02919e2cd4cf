"""Any framework's tree as named leaves: one path for one weight, however it is kept."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec, Sharding

from .._core.orders import as_shape
from .._core.streams import is_key
from .._core.values import numeric_dtype
from .._engine.placing import bound
from .._errors import Refused, shown
from .._fans.declaration import Declaration, as_declaration
from .._fans.fans import is_list

Shape = tuple[int, ...]
Path = tuple[str | int, ...]
Chooser = Callable[["Leaf"], bool]

_DIGITS = 4000  # Python reads no longer numerals as numbers

# boxes around one array, which have a path of their own inside
_BOXES = ("flax.core.meta", "flax.nnx.variablelib")


class Leaf(NamedTuple):
    """A weight's place in a tree.

    Attributes:
        path: Its name in parts, as `fold_in_path` takes them.
        shape: Its shape.
        dtype: Its dtype.
        sharding: Where it lives: a sharding, a PartitionSpec, or None.
        place: Which leaf of the tree it is.
        fan: How its layer uses it, where the tree says so; see `Weight`.
        kind: The class of the box that holds it, such as `nnx.Param`.
    """

    path: Path
    shape: Shape
    dtype: Any
    sharding: Sharding | PartitionSpec | None
    place: int
    fan: Declaration | None = None
    kind: type | None = None

    @property
    def name(self) -> str:
        """The path as text, "layers/0/kernel"."""
        return "/".join(map(str, self.path))


class Weight(jax.ShapeDtypeStruct):
    """The shape of a weight that also says how its layer uses it.

    A leaf of the trees that `init_tree` and its kin take. Rules whose law declares no
    fans of its own use these.

    Args:
        shape: The shape.
        dtype: The dtype.
        fan: How the array is made up, as `fan` of a law.
        sharding: Where it will live; None does not say.

    Raises:
        TypeError: A declaration of a wrong kind.
        ValueError: A bad declaration.
    """

    __slots__ = ("fan",)

    def __init__(
        self, shape: Shape, dtype: Any, fan: Any = None, *, sharding: Any = None
    ) -> None:
        """Keep what it is made of."""
        super().__init__(shape, dtype, sharding=sharding)
        try:
            self.fan = as_declaration(fan)
        except Refused as refused:
            raise refused.at(f"Weight({shape})") from None


class Tree(NamedTuple):
    """A tree taken apart.

    Attributes:
        values: All its leaves, arrays or not.
        structure: What puts them together again.
        leaves: The weights: those with a shape and a dtype.
        keys: PRNG keys and the counters of their streams, which no rule fills.
        others: The paths of those without a shape.
    """

    values: list[Any]
    structure: Any
    leaves: list[Leaf]
    keys: list[Leaf]
    others: list[Path]

    def filled(self, results: Mapping[int, Any]) -> Any:
        """Return the tree with some leaves replaced, all others the same objects."""
        values = [results.get(i, value) for i, value in enumerate(self.values)]
        return jax.tree.unflatten(self.structure, values)


def read_tree(tree: Any, shardings: Any = None) -> Tree:
    """Take a tree of arrays or shapes apart, or a manifest.

    Args:
        tree: The tree.
        shardings: Where its leaves live, a prefix of the tree; None asks the leaves.
    """
    if is_key(tree):
        raise Refused("the tree is a key; the order is (rules, tree, key).", TypeError)
    tree = _from_manifest(tree)
    try:
        values, structure = jax.tree.flatten(tree)
        named = jax.tree_util.tree_flatten_with_path(tree, is_leaf=_is_box)[0]
    except (ValueError, TypeError, RecursionError, SystemError) as error:
        raise Refused(f"JAX cannot take the tree apart: {shown(error)}.") from None
    placed = map(bound, values) if shardings is None else _spread(shardings, tree)
    found: list[tuple[Path, type | None]] = []
    for keys, value in named:
        kind = _kind(value)
        for inner, _ in _inside(value):
            found.append((clean_path((*keys, *inner)), kind))
    arrays: list[tuple[Leaf, bool]] = []
    others: list[Path] = []
    rows = zip(found, values, placed, strict=True)
    for place, ((path, kind), value, sharding) in enumerate(rows):
        if hasattr(value, "shape") and hasattr(value, "dtype"):
            leaf = _leaf(path, value, sharding, place)._replace(kind=kind)
            arrays.append((leaf, _is_stream(kind) or _is_key(leaf.dtype)))
        else:
            others.append(path)
    _check([leaf for leaf, _ in arrays])
    leaves, keys = ([x for x, is_key in arrays if is_key is k] for k in (False, True))
    return Tree(values, structure, leaves, keys, others)


def _leaf(path: Path, value: Any, sharding: Any, place: int) -> Leaf:
    """Return an array's place, or refuse a shape or dtype that JAX does not know."""
    try:
        dtype = value.dtype
        if not isinstance(dtype, np.dtype) and not _is_key(dtype):
            dtype = np.dtype(dtype)
        fan = value.fan if isinstance(value, Weight) else None
        return Leaf(path, as_shape(value.shape), dtype, sharding, place, fan)
    except (TypeError, Refused):
        name = "/".join(map(str, path))
        raise Refused(
            f"{name!r} has the shape {shown(value.shape)} and the dtype "
            f"{shown(value.dtype)}, which are none of JAX's; convert it first, with "
            "numpy.asarray.",
            TypeError,
        ) from None


def clean_path(keys: Iterable[Any]) -> Path:
    """Return key-path entries as parts: the same for a dict, a list, a module.

    Slashes and dots separate, numerals are numbers: Haiku's "mlp/~/linear", a state
    dict's "layers.0.weight" and nested trees name one weight alike.
    """
    parts: list[str | int] = []
    for key in keys:
        name = next(
            (getattr(key, a) for a in ("key", "idx", "name") if hasattr(key, a)), key
        )
        if isinstance(name, int):
            parts.append(name)
        else:
            texts = str(name).replace(".", "/").split("/")
            parts.extend(_number_or_text(text) for text in texts if text)
    return tuple(parts)


def _spread(prefix: Any, tree: Any) -> list[Any]:
    """Return a sharding, or None, for every leaf, from a prefix of the tree."""

    def each(sharding: Any, subtree: Any) -> _Spread:
        return _Spread([sharding] * len(jax.tree.leaves(subtree)))

    def is_one(x: Any) -> bool:
        return x is None or isinstance(x, (Sharding, PartitionSpec))

    try:
        lists = jax.tree.map(each, prefix, tree, is_leaf=is_one)
    except (ValueError, TypeError, KeyError) as error:
        raise Refused(
            "shardings must be one sharding, or a tree of them that is a prefix of "
            f"the tree ({' '.join(str(error).split())[:400]})."
        ) from None
    return list(itertools.chain.from_iterable(jax.tree.leaves(lists)))


class _Spread(list[Any]):
    """The shardings of a subtree, one a leaf; to JAX, unlike a list, a leaf itself."""


def _number_or_text(text: str) -> str | int:
    is_numeral = text.isascii() and text.isdigit() and len(text) <= _DIGITS
    return int(text) if is_numeral and str(int(text)) == text else text


def is_box_class(kind: type) -> bool:
    """Tell whether a class is a box around one array, as Flax has them."""
    return any(base.__module__ in _BOXES for base in kind.__mro__)


def _is_box(x: Any) -> bool:
    return is_box_class(type(x))


def _kind(value: Any) -> type | None:
    """Return the class of a box, or None for what is none."""
    kind: type = type(value)
    if kind.__name__ == "VariableState":  # of older Flax, which says what it is of
        kind = value.type
    return kind if is_box_class(kind) else None


def _is_stream(kind: type | None) -> bool:
    """Tell whether a box holds the state of a generator of NNX."""
    bases = () if kind is None else kind.__mro__
    return any(base.__module__ == "flax.nnx.rnglib" for base in bases)


def _is_key(dtype: Any) -> bool:
    return not isinstance(dtype, np.dtype) and jnp.issubdtype(
        dtype, jax.dtypes.extended
    )


def _inside(value: Any) -> Sequence[tuple[tuple[Any, ...], Any]]:
    """Return what is in a box; one array has the path of its box."""
    if not _is_box(value):
        return [((), value)]
    inside = jax.tree_util.tree_flatten_with_path(value)[0]
    return [((), inside[0][1])] if len(inside) == 1 else inside


def _check(leaves: Sequence[Leaf]) -> None:
    known: dict[Path, Leaf] = {}
    for leaf in leaves:
        if not leaf.path:
            raise Refused("a bare array has no path; give a tree: {'name': array}.")
        if leaf.path in known:
            raise Refused(
                f"two leaves have the path {leaf.name!r}: slashes and dots separate "
                "parts; rename one."
            )
        known[leaf.path] = leaf


def _from_manifest(tree: Any) -> Any:
    """Return a manifest, {"parameters": [{path, shape, dtype}]}, as a flat dict."""
    if not isinstance(tree, Mapping):
        return tree
    listed = cast("Mapping[str, Any]", tree).get("parameters")
    if not is_list(listed):
        return cast("Any", tree)
    flat: dict[str, jax.ShapeDtypeStruct] = {}
    for row in listed:
        try:
            path, shape, dtype = row["path"], as_shape(row["shape"]), row["dtype"]
            if not isinstance(path, str):
                raise TypeError
        except (TypeError, KeyError):
            raise Refused(
                f"a manifest lists parameters as {{path, shape, dtype}}, got {row!r}."
            ) from None
        if (kind := numeric_dtype(dtype)) is None:
            raise Refused(f"{path!r} has no numeric dtype: {dtype!r}.")
        if path in flat:
            raise Refused(f"the manifest lists {path!r} twice.")
        flat[path] = jax.ShapeDtypeStruct(shape, kind)
    return flat
