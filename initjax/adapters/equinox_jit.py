"""`filter_jit_init`: `jit_init` for functions that return modules."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax

from .._engine.jit_init import jit_init
from .._engine.plan import SetupPlan
from .._errors import shown
from .equinox_layers import is_array
from .extras import needs

with needs("equinox", "equinox", "equinox"):
    import equinox as eqx


class FilterJitInit:
    """A function of modules that is compiled in pieces; see `filter_jit_init`."""

    def __init__(self, fun: Callable[..., Any], **options: Any) -> None:
        """Keep the function; `options` are those of `jit_init`."""

        def of_arrays(arrays: Any, static: Any) -> Any:
            args, kwargs = _joined(arrays, static)
            made, others = eqx.partition(fun(*args, **kwargs), eqx.is_array)
            return made, jax.tree_util.Partial(lambda: others)

        self._init = jit_init(of_arrays, static_argnums=1, **options)
        functools.update_wrapper(self, fun, updated=())

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return what `eqx.filter_jit(fun)` would, bit for bit."""
        made, others = self._init(*self._split(args, kwargs))
        return eqx.combine(made, others())

    def lower(self, *args: Any, **kwargs: Any) -> SetupPlan:
        """Return what a call with such arguments would compile and run.

        Arguments may be `jax.ShapeDtypeStruct`s. Nothing is compiled or allocated.
        """
        plan = self._init.lower(*self._split(args, kwargs))
        fallbacks, inexact = (
            {path.removeprefix("[0]"): why for path, why in found.items()}
            for found in (plan.fallbacks, plan.inexact)
        )
        return dataclasses.replace(plan, fallbacks=fallbacks, inexact=inexact)

    def _split(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return the arrays of some arguments, and a static value of all others."""
        arrays, others = eqx.partition((args, kwargs), is_array)
        leaves, structure = jax.tree.flatten(others)
        static = tuple((type(x), x) for x in leaves)  # since 1 == True == 1.0
        for _, x in static:
            try:
                hash(x)
            except TypeError:
                raise TypeError(
                    f"adapters.equinox.filter_jit_init: the argument {shown(x)} is no "
                    "array, so it is static and needs a hash; give arrays, or values "
                    "that have one."
                ) from None
        return arrays, (static, structure)


def _joined(arrays: Any, static: Any) -> Any:
    leaves, structure = static
    others = jax.tree.unflatten(structure, [x for _, x in leaves])
    return eqx.combine(arrays, others)


def filter_jit_init(
    fun: Callable[..., Any] | None = None,
    *,
    out_shardings: Any = None,
    progress: bool | None = None,
    exact: bool = True,
) -> Any:
    """Return `fun` compiled in pieces: use it in place of `eqx.filter_jit(fun)`.

    `jit_init` for functions that take and return modules: arrays are traced, and all
    else is kept as it is. As in `eqx.filter_jit`, arguments that are no arrays are
    static, so they need a hash; a call with others traces anew.

    Args:
        fun: Any function that makes modules, such as `lambda key: Model(..., key=key)`.
            It is not changed. Without it, a decorator.
        out_shardings: Where the arrays live: one sharding, or a tree of them that is a
            prefix of `eqx.filter(fun(...), eqx.is_array)`.
        progress: As of `jit_init`.
        exact: As of `jit_init`.

    Returns:
        A function with `fun`'s arguments and results. Its method `lower` returns the
        plan of a call, as that of `jit_init`.

    Raises:
        TypeError: As `jit_init`; at the call, an argument that is neither an array nor
            has a hash.
        Exception: What `fun` raises, at the call, unchanged.
    """
    options = {"out_shardings": out_shardings, "progress": progress, "exact": exact}
    if fun is None:
        return functools.partial(filter_jit_init, **options)
    if not callable(fun):
        raise TypeError(
            f"adapters.equinox.filter_jit_init({shown(fun)}): fun must be a function, "
            f"got {type(fun).__name__}; give lambda key: Model(..., key=key)."
        )
    if out_shardings is not None:
        options["out_shardings"] = (out_shardings, None)
    return FilterJitInit(fun, **options)
