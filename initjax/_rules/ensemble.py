"""`init_ensemble`: many members at once, each that of its own key."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.sharding import NamedSharding, PartitionSpec, Sharding

from .._core.fields import integer
from .._core.streams import Path, fold_in_words, is_typed
from .._engine.blocks import is_on_cpu, is_whole
from .._engine.jit_init import jit_init
from .._engine.transfer import moved
from .._errors import Refused
from .fill import fill
from .init_tree import ordered, placed_at
from .paths import Leaf, read_tree
from .recipe import Filling, fillings_of, placed_run
from .roots import Root, root_of
from .rules import Rules


def member_key(key: jax.Array, i: int) -> jax.Array:
    """Return the key of member i of an ensemble, the same for every size of it.

    It equals no key of `split`, `fold_in` or `fold_in_path` of the same root.

    Args:
        key: One PRNG key, typed or raw.
        i: The number of the member, >= 0.

    Raises:
        ValueError: i < 0; a batch of keys.
        TypeError: i is no int; `key` is no PRNG key.
    """
    try:
        return fold_in_words(key, _path(i))
    except Refused as refused:
        raise refused.at(f"member_key(key, {i!r})") from None


def member(tree: Any, i: int) -> Any:
    """Return member i of a stacked tree.

    Args:
        tree: What `init_ensemble` returns, or any tree stacked along its first axes.
        i: The number of the member; negative ones count from the end.

    Returns:
        The tree of one member, sharded along its own axes as the stacked one is.

    Raises:
        ValueError: A leaf without an axis, or that is only a shape; leaves of different
            lengths.
        TypeError: i is no int.
        IndexError: No such member.
    """
    try:
        number, size = integer(i), _members_of(tree)
        if not -size <= number < size:
            raise Refused(
                f"the ensemble has {size} members; give one of {-size} to {size - 1}.",
                IndexError,
            )
    except Refused as refused:
        raise refused.at(f"member(tree, {i!r})") from None
    return jax.tree.map(lambda x: _row(x, number % size), tree)


def _members_of(tree: Any) -> int:
    """Return how many members a stacked tree has."""
    leaves = [x for x in jax.tree.leaves(tree) if hasattr(x, "shape")]
    if any(isinstance(x, jax.ShapeDtypeStruct) for x in leaves):
        raise Refused("a leaf is only a shape; give arrays.")
    shapes: set[tuple[int, ...]] = {x.shape[:1] for x in leaves}
    if len(shapes) != 1 or () in shapes:
        raise Refused(
            "every leaf needs the members along its first axis, found leading axes "
            f"{sorted(shapes)}; give what init_ensemble returns."
        )
    ((size,),) = shapes
    return size


def _row(x: Any, i: int) -> Any:
    if isinstance(x, jax.Array) and not isinstance(x, Tracer):
        return _picker(x.sharding)(x, jax.device_put(np.int32(i)))
    return x[i] if hasattr(x, "shape") else x


@functools.lru_cache
def _picker(sharding: Sharding) -> Callable[..., jax.Array]:
    """Return what picks a row of an array that lives so: it keeps the other axes."""

    def pick(x: jax.Array, i: jax.Array) -> jax.Array:
        return jax.lax.dynamic_index_in_dim(x, i, keepdims=False)

    if not isinstance(sharding, NamedSharding):
        return jax.jit(pick)
    rest = PartitionSpec(*sharding.spec[1:])
    return placed_run(pick, NamedSharding(sharding.mesh, rest))


def init_ensemble(
    rules_or_fun: Rules | Callable[[jax.Array], Any],
    abstract_tree: Any,
    key: jax.Array,
    n: int,
    *,
    shardings: Any = None,
) -> Any:
    """Return n members stacked along a new first axis of every leaf.

    Member i is, bit for bit, `init_tree(rules, abstract_tree, member_key(key, i))`, or
    `jit_init(fun)(member_key(key, i))`: it does not depend on n. Programs are compiled
    for n rounded up to a power of two below 8 and to a multiple of 8 above, so that
    ensembles of about one size share them.

    Args:
        rules_or_fun: Rules, or a function of a key that returns a tree.
        abstract_tree: The tree of one member, as of `init_tree`; with a function None,
            or what the function's tree is checked against.
        key: One PRNG key, typed or raw; threefry.
        n: How many members, >= 1.
        shardings: Where the stacked leaves live, as of `init_tree`: the first axis of a
            spec is that of the members. Members of a function, and of laws that
            factorize, are made on one device and then placed.

    Raises:
        ValueError: n < 1; an rbg key; what `init_tree` raises; a function's tree that
            is not the abstract one.
        TypeError: n is no int; neither rules nor a function.
    """
    try:
        n = _size(n)
        if n < 1:
            raise Refused(f"needs one member or more, got n={n}.")
        root = root_of(key, "give one, and n: member i has member_key(key, i).")
        if root.is_traced:
            raise Refused("runs outside jax.jit; inside, vmap over member keys.")
        if "rbg" in str(root.kind.impl):
            raise Refused(
                f"{root.kind.impl} keys draw other numbers under jax.vmap than one by "
                "one, so no member could be made again alone; use a threefry key: "
                "jax.random.key(seed, impl='threefry2x32')."
            )
        if isinstance(rules_or_fun, Rules):
            return _by_rules(rules_or_fun, abstract_tree, root, n, shardings)
        if callable(rules_or_fun):
            keys = _keys(root, n, is_typed(key))
            return _by_function(rules_or_fun, abstract_tree, keys, shardings)
        kind = type(rules_or_fun).__name__
        raise Refused(f"needs Rules or a function of a key, got {kind}.", TypeError)
    except Refused as refused:
        raise refused.at("init_ensemble") from None


def _size(n: Any) -> int:
    try:
        return integer(n)
    except Refused as refused:
        raise Refused(f"n {refused}", refused.kind) from None


def bucket_of(n: int) -> int:
    """Return the number of members that a program makes for an ensemble of n."""
    return 1 << (n - 1).bit_length() if n <= 8 else -(-n // 8) * 8


def _path(i: int) -> Path:
    if integer(i) < 0:
        raise Refused("members are counted from 0.")
    return (("member", integer(i)),)


def _by_rules(rules: Rules, abstract: Any, root: Root, n: int, shardings: Any) -> Any:
    tree = read_tree(abstract, shardings)
    alone = [leaf._replace(sharding=None) for leaf in tree.leaves]
    order = ordered(rules, tree._replace(leaves=alone), alone)
    of_all = shardings is not None
    homes = [_home(leaf, n, of_all) or root.home for leaf in tree.leaves]
    ones = fillings_of(order.jobs, root.kind)
    words = _words(root, n, [row.stream for row in order.rows])
    together = [i for i, one in enumerate(ones) if one.recipe.draw.elementwise]
    fillings = [_of_members(ones[i], n, homes[i]) for i in together]
    padded = [_padded(words[i], f) for i, f in zip(together, fillings, strict=True)]
    results: list[Any] = [None] * len(ones)
    for i, x in zip(together, fill(fillings, padded), strict=True):
        results[i] = x if len(x) == n else _cutter(n, homes[i])(x)
    for i, one in enumerate(ones):
        if results[i] is None:
            results[i] = _stack(fill([one] * n, words[i]), homes[i])
    return tree.filled(
        {r.leaf.place: x for r, x in zip(order.rows, results, strict=True)}
    )


def _home(leaf: Leaf, n: int, of_all: bool) -> Sharding | None:
    """Return where a stacked leaf lives; one member's sharding leaves members whole."""
    stacked = leaf._replace(shape=(n, *leaf.shape))
    sharding = leaf.sharding
    if not of_all and isinstance(sharding, NamedSharding):
        sharding = NamedSharding(sharding.mesh, PartitionSpec(None, *sharding.spec))
    try:
        return placed_at(sharding, stacked)
    except Refused as refused:
        raise Refused(f"{leaf.name!r}: {refused}", refused.kind) from None


def _words(root: Root, n: int, paths: Sequence[Path]) -> Any:
    """Return the words of every leaf's and member's key: leaf, member, word."""
    members = root.members([_path(i) for i in range(n)])
    return np.stack([np.asarray(one.fold_in(paths)) for one in members], axis=1)


def _keys(root: Root, n: int, typed: bool) -> list[jax.Array]:
    """Return the keys of the members, of the kind of the root's."""
    keys = [one.key for one in root.members([_path(i) for i in range(n)])]
    return keys if typed else list(map(jax.random.key_data, keys))


def _of_members(one: Filling, n: int, home: Sharding | None) -> Filling:
    """Return the program that makes all members of ensembles of about this size."""
    many = bucket_of(n)
    if home is not None:
        try:
            home.shard_shape((many, *one.recipe.shape))
        except ValueError:  # as n is divisible, and the bucket is not
            many = n
    return one._replace(recipe=one.recipe._replace(members=many, sharding=home))


def _padded(words: Any, one: Filling) -> Any:
    more = (one.recipe.members or 0) - len(words)
    return np.pad(words, ((0, more), *(((0, 0),) * (words.ndim - 1))))


@functools.lru_cache
def _cutter(n: int, home: Sharding | None) -> Callable[[jax.Array], jax.Array]:
    """Return what keeps the first members of an array that lives so."""
    if is_on_cpu(home) and is_whole(home):  # nothing is compiled, and nothing is copied
        return lambda x: jax.device_put(jax.device_get(x)[:n], home)
    return jax.jit(lambda x: x[:n], out_shardings=home)


def _stack(members: Sequence[jax.Array], home: Sharding | None) -> jax.Array:
    stacked = jnp.stack(members)
    return stacked if home is None else moved(stacked, home)


def _by_function(
    fun: Callable[[jax.Array], Any],
    abstract: Any,
    keys: Sequence[jax.Array],
    shardings: Any,
) -> Any:
    trees = list(map(jit_init(fun), keys))
    if abstract is not None:
        _check_alike(abstract, trees[0])
    types = jax.tree.map(_stacked_type(len(keys)), trees[0])
    tree = read_tree(types, shardings)
    columns = zip(*map(jax.tree.leaves, trees), strict=True)
    return tree.filled(
        {
            leaf.place: _stack(column, placed_at(leaf.sharding, leaf))
            for leaf, column in zip(tree.leaves, columns, strict=True)
        }
    )


def _stacked_type(n: int) -> Callable[[Any], jax.ShapeDtypeStruct]:
    return lambda x: jax.ShapeDtypeStruct((n, *x.shape), x.dtype)


def _check_alike(abstract: Any, tree: Any) -> None:
    """Refuse a function's tree that is not the abstract one."""
    wanted, got = (
        {leaf.name: (leaf.shape, str(leaf.dtype)) for leaf in read_tree(t).leaves}
        for t in (abstract, tree)
    )
    if different := sorted(
        name for name in wanted.keys() | got.keys() if wanted.get(name) != got.get(name)
    ):
        name = different[0]
        raise Refused(
            f"the function's tree differs from abstract_tree in {len(different)} "
            f"leaves: {name!r} is {got.get(name)}, not {wanted.get(name)}."
        )
