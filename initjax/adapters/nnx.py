"""Flax NNX: models made by rule, born in their shards, made anew in place."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Generator, Mapping
from typing import Any, cast

import jax
from jax.sharding import Mesh

from .._core.streams import as_key
from .._errors import Refused, shown
from .._rules.init_tree import make, ordered
from .._rules.paths import Weight, read_tree
from .._rules.patterns import choose
from .._rules.rules import Rules
from .extras import needs

with needs("nnx", "flax", "flax"):
    from flax import nnx

    from .nnx_build import Maker, built, shapes_of
    from .nnx_layers import fans_of
    from .nnx_places import calm, check_whole, place, places

__all__ = ["abstract", "create", "reinit"]


def create(
    model: Callable[..., Any],
    *args: Any,
    key: jax.Array,
    rules: Rules | None = None,
    mesh: Mesh | None = None,
    **kwargs: Any,
) -> Any:
    """Return `model(*args, rngs=nnx.Rngs(key), **kwargs)`, its weights made by rules.

    The weights, its `nnx.Param` variables (of subclasses such as `nnx.LoRAParam` too),
    are those of `ij.init_tree(rules, abstract(model, ...), key)`. All other state
    (batch statistics, generators, caches, variables of your own) is what the model
    makes of its rngs. The model is built of shapes alone; every array is born in its
    shards, and no other is allocated.

    Args:
        model: The class, or a function that builds the model.
        *args: Its arguments.
        key: One PRNG key, typed or raw. A parameter `rngs` gets `nnx.Rngs(key)`: one
            stream, whatever its name. For more of them give a function: `lambda rngs:
            Model(rngs=nnx.Rngs(params=rngs(), dropout=rngs()))`.
        rules: Which initializer fills which path, or type of variable; None keeps the
            model's own initializers, with the bits of `jax.jit`.
        mesh: What the variables' own partitioning (`nnx.with_partitioning`, through
            `nnx.logical_axis_rules`) goes over; variables without any are whole on
            every device of it. None is the mesh in use, or that of the variables.
        **kwargs: Its other arguments. For any that it calls key, rules or mesh give a
            function.

    Raises:
        ValueError: As `init_tree`; partitioning without a mesh, or over axes that it
            does not have.
        TypeError: As `init_tree`; a model or mesh of a wrong kind; `rngs` among the
            arguments.
        Exception: What the model raises, unchanged.
    """
    with _at("create", model):
        maker = _maker(model, args, kwargs)
        _check_key(key)
        shapes, home = shapes_of(maker, mesh)
        if home is None:
            check_whole(shapes)
        _, params, rest = nnx.split(shapes, nnx.Param, ...)
        homes = places(params, home) + places(rest, home)
        made: Mapping[int, Any] = {}
        if rules is not None:
            tree = read_tree(_weights(shapes, home))
            made = make(ordered(rules, tree, tree.leaves), key, None, "create")
        return built(maker, key, calm(home, shapes), homes, made)


def abstract(
    model: Any, *args: Any, mesh: Mesh | None = None, **kwargs: Any
) -> nnx.State[Any, Any]:
    """Return the weights of a model as shapes that know how their layer uses them.

    What `ij.plan`, `ij.init_tree`, `ij.init_ensemble` and `ij.missing` take: fans are
    right without declarations for the kernels of NNX's layers (Linear, LinearGeneral
    and so MultiHeadAttention, Einsum, Conv, ConvTranspose, Embed, LoRA, the fused gates
    of the recurrent cells), also where `nnx.vmap` stacks them along leading axes.

    Args:
        model: The class, a function that builds the model, or a model.
        *args: The arguments of a class or a function, without `rngs`.
        mesh: What the variables' own partitioning goes over, as of `create`; without
            any it is left out. The weights of a model say themselves where they live.
        **kwargs: Its other arguments.

    Returns:
        The state of the `nnx.Param` variables, with an `ij.Weight` in place of each
        array; nothing is allocated.

    Raises:
        ValueError: Partitioning over axes that the mesh does not have.
        TypeError: No model; arguments or a mesh for one that is built already.
    """
    with _at("abstract", model):
        if not isinstance(model, nnx.Module):
            return _weights(*shapes_of(_maker(model, args, kwargs), mesh))
        if args or kwargs or mesh is not None:
            raise Refused(
                "a model that is built already takes no arguments and no mesh; leave "
                "them out, or give its class.",
                TypeError,
            )
        return _weights(model, None)


def reinit(model: nnx.Module, rules: Rules, key: jax.Array, *, only: Any) -> None:
    """Make some of a model's weights anew, in place.

    Others keep their arrays, the same objects, as all other state does. A new weight is
    that of `create(..., rules=rules, key=key)`, and lives where the old one is
    committed to.

    Args:
        model: The model; its `nnx.Param` variables are its weights.
        rules: Which initializer fills which path, or type of variable; they cover at
            least the weights of `only`, and each has its weight in the model.
        key: One PRNG key, typed or raw.
        only: A pattern, as of rules, a list of them, or a type of variable, such as
            `nnx.LoRAParam`.

    Raises:
        ValueError: As `ij.reinit`.
        TypeError: As `ij.reinit`; no model.
    """
    with _at("reinit", model):
        if not isinstance(model, nnx.Module):  # pyright: ignore[reportUnnecessaryIsInstance]  # users pass classes
            raise Refused(f"needs a model, got {_name(model)}; {_CREATE}.", TypeError)
        if only is None:
            raise Refused("only says what to make anew; give a pattern.", TypeError)
        _check_key(key)
        tree = read_tree(_weights(model, None))
        order = ordered(rules, tree, choose(tree.leaves, only))
        made = make(order, key, None, "reinit")
    nnx.update(model, read_tree(nnx.state(model, nnx.Param)).filled(made))


# -- what a caller gave ----------------------------------------------------------

_CREATE = "initjax.adapters.nnx.create(Model, ..., key=key) makes one"


@contextlib.contextmanager
def _at(door: str, model: Any) -> Generator[None]:
    """Say where something is refused."""
    try:
        yield
    except Refused as refused:
        raise refused.at(f"adapters.nnx.{door}({_name(model)})") from None


def _name(model: Any) -> str:
    """Return the name of a class or function, or of the class of anything else."""
    named = model if hasattr(model, "__name__") else type(model)
    return cast("str", named.__name__)


def _maker(model: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Maker:
    """Return the function of a key that builds the model."""
    if isinstance(model, nnx.Module):
        raise Refused(
            f"needs the class, got a model that is built already; give {_name(model)} "
            "and its arguments, or make weights anew by initjax.adapters.nnx.reinit.",
            TypeError,
        )
    if not callable(model):
        raise Refused(
            f"needs a class or a function that builds the model, got {shown(model)}.",
            TypeError,
        )
    given = [x for x in (*args, *kwargs.values()) if isinstance(x, _RNGS)]
    if given or "rngs" in kwargs:
        raise Refused(
            "the model's rngs are nnx.Rngs(key); leave them out. For others give a "
            "function, lambda rngs: Model(rngs=nnx.Rngs(params=rngs(), ...)).",
            TypeError,
        )
    takes_rngs = _takes_rngs(model)

    def maker(key: jax.Array) -> Any:
        rngs = {"rngs": nnx.Rngs(key)} if takes_rngs else {}
        built = model(*args, **rngs, **kwargs)
        if built is None:
            raise Refused("returned None; return the model.", TypeError)
        return built

    return maker


_RNGS = (nnx.Rngs, nnx.RngStream)


def _takes_rngs(model: Callable[..., Any]) -> bool:
    """Tell whether a class or function has a parameter `rngs`, or takes any."""
    while isinstance(model, functools.partial):
        model = model.func
    # the signature of a class of NNX is that of its metaclass, (*args, **kwargs)
    called = model.__init__ if isinstance(model, type) else model
    parameters = inspect.signature(called).parameters
    return "rngs" in parameters or any(
        one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters.values()
    )


def _check_key(key: Any) -> None:
    """Refuse what is no key, generators of NNX by name."""
    if isinstance(key, _RNGS):
        raise Refused(
            f"needs a PRNG key, got nnx.{type(key).__name__}; give jax.random.key(0), "
            "of which the model gets its nnx.Rngs.",
            TypeError,
        )
    as_key(key)


def _weights(model: Any, home: Mesh | None) -> Any:
    """Return the state of a model's weights, an `ij.Weight` for each."""
    fans = fans_of(model)

    def weights(path: tuple[Any, ...], variable: Any) -> Any:
        def weight(x: Any) -> Any:
            sharding = place(path, variable, x, home)
            return Weight(x.shape, x.dtype, fans.get(path), sharding=sharding)

        return jax.tree.map(weight, variable)

    return nnx.map_state(weights, nnx.state(model, nnx.Param))
