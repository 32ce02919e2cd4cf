"""initjax in Equinox: modules by rule, and modules as their constructors make them.

`init_module` makes a module's weights by rule and leaves all else of it as it is;
`filter_jit_init` is `jit_init` for functions that return modules. The fans of Equinox's
own layers are known, so rules need not declare them.
"""

from __future__ import annotations

import functools
import inspect
from typing import Any

import jax

from .._core.streams import as_key
from .._engine.jit_init import jit_init
from .._errors import Refused, shown
from .._rules.init_tree import make, ordered
from .._rules.paths import clean_path, read_tree
from .._rules.patterns import choose
from .._rules.rules import Rules
from .equinox_jit import filter_jit_init
from .equinox_layers import is_array, weights_of
from .extras import needs

with needs("equinox", "equinox", "equinox"):
    import equinox as eqx

__all__ = ["abstract", "filter_jit_init", "init_module"]

# -- constructors --------------------------------------------------------------------


def _is_constructor(x: Any) -> bool:
    """Tell a function or a class from a module, which may be callable too."""
    return callable(x) and not any(map(is_array, jax.tree.leaves(x)))


def _call(constructor: Any, key: Any) -> Any:
    """Call a constructor with the key, or without, as its signature asks."""
    signature = inspect.signature(constructor)
    forms: list[tuple[tuple[Any, ...], dict[str, Any]]] = [((), {"key": key}), ((), {})]
    if inspect.isroutine(constructor):  # a class's first argument may be a size
        forms.append(((key,), {}))
    for args, kwargs in forms:
        try:
            signature.bind(*args, **kwargs)
        except TypeError:
            continue
        return constructor(*args, **kwargs)
    name = getattr(constructor, "__name__", shown(constructor))
    needed = [
        parameter.name
        for parameter in signature.parameters.values()
        if parameter.default is parameter.empty
    ]
    raise Refused(
        f"{name} is called with a key alone and needs {', '.join(needed)}; give a "
        f"function of the key: lambda key: {name}(...).",
        TypeError,
    )


def _shapes(module: Any, key: Any = None) -> Any:
    """Return a module, or what a constructor would return, with shapes for arrays."""
    if not _is_constructor(module):
        return module
    if key is None:
        key = jax.eval_shape(lambda: jax.random.key(0))
    return eqx.filter_eval_shape(functools.partial(_call, module), key)


def _completed(made: Any, module: Any, shapes: Any, key: Any) -> Any:
    """Return a module of what was made, and of its own or its constructor's others."""
    leaves, structure = jax.tree.flatten(eqx.combine(made, shapes))
    lacking = [i for i, x in enumerate(leaves) if isinstance(x, jax.ShapeDtypeStruct)]

    def others(key: Any) -> list[Any]:
        whole = jax.tree.leaves(_call(module, key))
        return [whole[i] for i in lacking]

    if lacking and not _is_constructor(module):
        paths = [path for path, _ in jax.tree.leaves_with_path(shapes)]
        name = "/".join(map(str, clean_path(paths[lacking[0]])))
        raise Refused(
            f"{name!r} is only a shape, and no rule makes it; give the module with its "
            "arrays, or its constructor."
        )
    for i, x in zip(lacking, jit_init(others)(key) if lacking else (), strict=True):
        leaves[i] = x
    return jax.tree.unflatten(structure, leaves)


# -- modules by rule -----------------------------------------------------------------


def abstract(module: Any) -> Any:
    """Return the shapes of a module's weights, as `plan` and its kin take them.

    Weights are the arrays of floats and complex numbers, but for what `eqx.nn.State`
    and a `StateIndex` hold. Each becomes an `ij.Weight`, which knows its fans in
    Equinox's own layers and their subclasses:

    - `Linear`, so `MLP` and `MultiheadAttention`: (outputs, inputs).
    - `Conv`, `ConvTranspose`: (outputs, inputs of a group, window), with the layer's
      groups, and its strides where it is transposed.
    - `LSTMCell`, `GRUCell`: gates "i", "f", "g", "o" and "r", "z", "n" side by side,
      each with fans and a stream of its own.
    - `Embedding`: a lookup, whose fan_in is 1.

    Further axes in front, as `eqx.filter_vmap` of a constructor makes them, count
    separate layers. Weights of other modules have no known fans: a rule declares them.

    Args:
        module: A module, a tree of them, or a constructor, as of `init_module`.

    Returns:
        The module with `Weight`s. Other arrays, which no rule fills, are None; what is
        no array is as it was.

    Raises:
        TypeError: A constructor that is no function of a key.
        ValueError: A module without weights.
        Exception: What the constructor raises, unchanged.
    """
    try:
        return weights_of(_shapes(module))
    except Refused as refused:
        raise refused.at("adapters.equinox.abstract") from None


def init_module(
    module: Any,
    rules: Rules,
    key: jax.Array,
    *,
    shardings: Any = None,
    only: Any = None,
) -> Any:
    """Return a module whose weights are made by rule, all else of it as it was.

    Weights are those of `init_tree(rules, abstract(module), key)`: that of the path
    "layers/0/weight" is `initializer(fold_in_path(key, "layers", 0, "weight"), ...)`.
    Activation functions, static fields, integers, keys and states are the module's own;
    of a constructor they are what it makes of `key`, while weights that a rule makes
    are not made twice.

    Under `jax.jit` and `jax.vmap` laws are traced: an ensemble is
    `eqx.filter_vmap(lambda key: init_module(constructor, rules, key))(keys)`, its
    member i that of `keys[i]` alone.

    Args:
        module: A module, or what constructs one: `lambda key: Model(..., key=key)`,
            `functools.partial(Model, ...)` that lacks `key` alone, or a function
            without arguments. It is traced: nothing that it draws is allocated. It may
            return a tree of modules, as `eqx.nn.make_with_state` does.
        rules: Which initializer fills which path.
        key: One PRNG key, typed or raw.
        shardings: Where weights live, as of `init_tree`; None leaves them where those
            of the module are committed to.
        only: A pattern, as of rules, or a list of them: make these weights. The others
            are the module's own, the same objects, or the constructor's.

    Raises:
        ValueError: As `init_tree`; a module without weights; an array that is only a
            shape and that no rule makes.
        TypeError: As `init_tree`; arguments in another order; a constructor that is no
            function of a key.
        Exception: What the constructor raises, unchanged.
    """
    try:
        if isinstance(module, Rules) or isinstance(key, Rules):
            given = ", ".join(type(x).__name__ for x in (module, rules, key))
            raise Refused(f"takes (module, rules, key), got ({given}).", TypeError)
        as_key(key)
        shapes = _shapes(module, key)
        tree = read_tree(weights_of(shapes), shardings)
        order = ordered(rules, tree, choose(tree.leaves, only))
        made = tree.filled(make(order, key, None, "init_module"))
        return _completed(eqx.filter(made, eqx.is_array), module, shapes, key)
    except Refused as refused:
        raise refused.at("adapters.equinox.init_module") from None
