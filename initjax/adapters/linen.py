"""Flax Linen: a model's variables by rule, without a forward pass, in their shards."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding

from .._engine.jit_init import jit_init
from .._errors import Refused, shown
from .._rules.init_tree import init_tree
from .._rules.paths import Weight
from .._rules.roots import root_of, whole
from .._rules.rules import Rules
from .extras import needs

with needs("linen", "flax", "flax"):
    from flax import linen as nn
    from flax.core import DenyList, meta
    from flax.core.scope import intersect_filters
    from flax.linen.spmd import logical_to_mesh_axes

    from .linen_fans import note, read_notes

__all__ = ["abstract", "init_model"]

_PARAMS = "params"


def init_model(
    module: nn.Module,
    rules: Rules | None,
    key: jax.Array,
    *inputs: Any,
    mesh: Mesh | None = None,
    axis_rules: Any = None,
    **kwargs: Any,
) -> Any:
    """Return a module's variables, its parameters by rule, each born in its shards.

    The collection "params" is `init_tree(rules, abstract(module, *inputs), key)`: the
    model is only traced, and fans of Flax's own layers are known; see `abstract`. Other
    collections (batch statistics, caches) are as `module.init(key, *inputs)` makes
    them; rules do not see them. Boxes of `nn.with_partitioning` and
    `nn.with_logical_partitioning` stay around their arrays.

    Args:
        module: The model.
        rules: Which initializer fills which path, such as "params/Dense_0/kernel";
            None: the module's own initializers, with the bits of
            `jax.jit(module.init)`.
        key: One PRNG key, typed or raw; of rules, and of all streams of `module.init`.
        *inputs: What the model is called with: arrays, or `jax.ShapeDtypeStruct`s of
            them.
        mesh: Where the variables live, by the names in their boxes; those without a box
            on every device. None is the mesh of a box, else that of `jax.set_mesh`,
            else leaves it to JAX.
        axis_rules: Pairs (logical axis, mesh axis) for `nn.with_logical_partitioning`;
            None asks the box, then `nn.logical_axis_rules`.
        **kwargs: As of `module.init`: `train=False`, `method=`.

    Returns:
        What `module.init` returns. Inside a traced function it is traced.

    Raises:
        ValueError: As `init_tree`; names of axes that the mesh lacks; logical names
            without rules for them.
        TypeError: A module that is no Linen module, a shape in place of an input, a
            mesh or a key of a wrong kind.
        Exception: What the module raises when it is called with the inputs.
    """
    try:
        root_of(key)
        init = _init(module, inputs, kwargs)
        shapes = _shapes(init, key, mesh, axis_rules)
    except Refused as refused:
        raise refused.at("adapters.linen.init_model") from None
    ruled = set[str]() if rules is None else {_PARAMS} & {*shapes}
    made: dict[str, Any] = {}
    if rules is not None:
        made |= init_tree(rules, {name: shapes[name] for name in ruled}, key)
    if own := {name: x for name, x in shapes.items() if name not in ruled}:

        def others(key: Any) -> dict[str, Any]:
            variables = init(key)
            return {name: variables[name] for name in own}

        places = jax.tree.map(lambda leaf: leaf.sharding, own)
        made |= jit_init(others, out_shardings=places)(key)
    return {name: made[name] for name in shapes}


def abstract(
    module: nn.Module,
    *inputs: Any,
    mesh: Mesh | None = None,
    axis_rules: Any = None,
    **kwargs: Any,
) -> dict[str, Any]:
    """Return the shapes of a module's parameters: what `init_model` fills by rule.

    The leaves are `Weight`s: they know their shardings, and the fans of DenseGeneral
    and so of attention, of Einsum, Conv, ConvLocal, ConvTranspose (window / strides)
    and Embed (a lookup: fan_in is 1), of subclasses too, and where
    `nn.scan` and `nn.vmap` stack layers.

    Args:
        module: As of `init_model`, and so are the others.
        *inputs: The inputs.
        mesh: The mesh.
        axis_rules: The rules of logical axes.
        **kwargs: Options of `module.init`.

    Returns:
        {"params": ...}, for `ij.plan`, `ij.init_tree`, `ij.missing`.

    Raises:
        ValueError: As `init_model`.
        TypeError: As `init_model`.
    """
    try:
        init = _init(module, inputs, kwargs)
        shapes = _shapes(init, jax.random.key(0), mesh, axis_rules)
    except Refused as refused:
        raise refused.at("adapters.linen.abstract") from None
    return {_PARAMS: shapes.get(_PARAMS, {})}


def _init(module: Any, inputs: tuple[Any, ...], kwargs: Any) -> Callable[..., Any]:
    """Return `module.init` as a function of the key."""
    if not isinstance(module, nn.Module):
        is_class = isinstance(module, type) and issubclass(module, nn.Module)
        name = getattr(module, "__name__", type(module).__name__)
        raise Refused(
            f"module is the class {name}; make one: {name}(...)."
            if is_class
            else f"module must be an instance of flax.linen.Module, got {name}.",
            TypeError,
        )
    if inputs and _is_shape(inputs[0]):
        raise Refused(
            f"{shown(inputs[0])} is a shape, not an input; give jax.ShapeDtypeStruct("
            f"{shown(tuple(inputs[0]))}, jnp.float32), or an array.",
            TypeError,
        )

    def init(key: Any, tracing: bool = False) -> Any:
        args, named = jax.tree.map(_array, (inputs, kwargs))
        if tracing:  # nn.jit keeps traces by this filter: no other call meets our notes
            mutable = named.get("mutable", DenyList("intermediates"))
            named["mutable"] = intersect_filters(mutable, DenyList("initjax"))
        return module.init(key, *args, **named)

    return init


def _shapes(init: Any, key: Any, mesh: Any, axis_rules: Any) -> dict[str, Any]:
    """Return the module's variables by collection, all leaves `Weight`s."""
    if mesh is not None and not isinstance(mesh, Mesh):
        kind = type(mesh).__name__
        raise Refused(f"mesh must be a jax.sharding.Mesh, got {kind}.", TypeError)
    in_use = _mesh_in_use()
    with nn.intercept_methods(note):
        traced = jax.eval_shape(lambda key: init(key, tracing=True), key)
    shapes, fans = read_notes(traced)

    def weights(path: Any, box: Any) -> Any:
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        meshes = (mesh, getattr(box, "mesh", None), in_use)
        first = next((one for one in meshes if one is not None), None)
        options = fans.get(name), _sharding(name, box, first, axis_rules)
        return jax.tree.map(lambda x: _weight(x, *options), box)

    return jax.tree_util.tree_map_with_path(
        weights, shapes, is_leaf=meta.is_axis_metadata
    )


def _weight(x: Any, fan: Any, sharding: Any) -> Weight:
    return Weight(x.shape, x.dtype, fan, sharding=sharding)


def _mesh_in_use() -> Any:
    """Return the mesh of `jax.set_mesh`; None is none, or one without devices."""
    with contextlib.suppress(Refused):
        return getattr(whole(), "mesh", None)


def _sharding(name: str, box: Any, mesh: Any, axis_rules: Any) -> Any:
    """Return where a variable lives by the names in its box; None does not say."""
    spec: Any = nn.get_partition_spec(box)
    if mesh is None or spec is None:
        return None
    if isinstance(box, nn.LogicallyPartitioned):
        rules = axis_rules or box.rules or nn.get_logical_axis_rules()
        if not rules:
            raise Refused(
                f"{name!r} names the logical axes {box.names}, and nothing says which "
                "axes of the mesh they are; give axis_rules=[('embed', 'x'), ...], or "
                "call under nn.logical_axis_rules(...)."
            )
        spec = logical_to_mesh_axes(spec, rules)
    try:
        return NamedSharding(mesh, spec)
    except ValueError:
        raise Refused(
            f"{name!r} is split by the axes {(*spec,)}, and the mesh has "
            f"{mesh.axis_names}; give a mesh with those axes, or for other names "
            "nn.with_logical_partitioning and axis_rules=."
        ) from None


def _array(x: Any) -> Any:
    return jnp.zeros(x.shape, x.dtype) if isinstance(x, jax.ShapeDtypeStruct) else x


def _is_shape(x: Any) -> bool:
    is_many = isinstance(x, (tuple, list)) and bool(x)
    return is_many and all(isinstance(n, int) for n in x)
