"""What the other rooms ask of traced functions: what is called, needed, computed."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

from .._core.bits import FOLD_IN
from .._core.compile import LAW

# primitives that only wrap a function: where they hold it
_CALLS = {
    "jit": "jaxpr",
    "pjit": "jaxpr",
    "closed_call": "call_jaxpr",
    "core_call": "call_jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
    "custom_vjp_call_jaxpr": "fun_jaxpr",
    "checkpoint": "jaxpr",
    "remat": "jaxpr",
    "remat2": "jaxpr",
}
_KEY_MAKERS = {"random_split", "random_fold_in", "random_seed", "random_wrap"}
_MAKES_KEYS: weakref.WeakKeyDictionary[Any, bool] = weakref.WeakKeyDictionary()

Apply = Callable[[Any, Sequence[Any]], Sequence[Any]]
Wanted = Sequence[bool]


def called(equation: Any) -> Any | None:
    """Return the function that an equation only wraps, or None."""
    field = _CALLS.get(equation.primitive.name)
    if field is None or field not in equation.params:
        return None
    return None if _places(equation.params) else equation.params[field]


def is_fold(equation: Any) -> bool:
    """Tell whether an equation is initjax's own folding of a key."""
    name = equation.params.get("name")
    return name == FOLD_IN and equation.primitive.name in ("jit", "pjit")


def is_law(equation: Any) -> bool:
    """Tell whether an equation is one of initjax's laws, whose numbers are traced."""
    name = str(equation.params.get("name", ""))
    return name.startswith(LAW) and equation.primitive.name in ("jit", "pjit")


def _places(params: dict[str, Any]) -> bool:
    """Tell whether a nested jit decides where its results live, or how to compile."""
    shardings = (*params.get("in_shardings", ()), *params.get("out_shardings", ()))
    layouts = (*params.get("in_layouts", ()), *params.get("out_layouts", ()))
    return (
        any(isinstance(s, jax.sharding.Sharding) for s in shardings)
        or any(layout is not None for layout in layouts)
        or bool(params.get("compiler_options_kvs"))
    )


def opened(function: Any) -> tuple[Jaxpr, Sequence[Any]]:
    """Return a traced function's code and its constants."""
    if isinstance(function, ClosedJaxpr):
        return function.jaxpr, function.consts
    return function, ()


def functions(values: Iterable[Any]) -> Iterator[Any]:
    """Yield the traced functions among an equation's parameters."""
    for value in values:
        if isinstance(value, (ClosedJaxpr, Jaxpr)):
            yield value
        elif isinstance(value, (tuple, list)):
            yield from functions(value)


def every(equations: Iterable[Any]) -> Iterator[Any]:
    """Yield the equations, at any depth, but not those that only wrap."""
    for equation in equations:
        if called(equation) is None:
            yield equation
        for function in functions(equation.params.values()):
            yield from every(opened(function)[0].eqns)


def makes_keys(function: Any) -> bool:
    """Tell whether a function makes keys, of keys or of numbers, at any depth."""
    jaxpr, _ = opened(function)
    if jaxpr not in _MAKES_KEYS:
        names = (equation.primitive.name for equation in every(jaxpr.eqns))
        _MAKES_KEYS[jaxpr] = any(name in _KEY_MAKERS for name in names)
    return _MAKES_KEYS[jaxpr]


def needed(
    jaxpr: Jaxpr, wanted: Wanted, inside: bool = False
) -> tuple[list[Any], set[Any]]:
    """Return the equations that the wanted outputs need, in order, and their vars.

    With `inside`, of what only wraps a function, not all that it is given.
    """
    pairs = zip(jaxpr.outvars, wanted, strict=True)
    live = {v for v, want in pairs if want and not isinstance(v, Literal)}
    equations: list[Any] = []
    for equation in reversed(jaxpr.eqns):
        if any(v in live for v in equation.outvars):
            equations.append(equation)
            which = [v in live for v in equation.outvars]
            read = _read_inside(equation, which) if inside else equation.invars
            live.update(v for v in read if not isinstance(v, Literal))
    return equations[::-1], live


def _read_inside(equation: Any, wanted: Wanted) -> list[Any]:
    """Return what an equation's wanted outputs are computed from."""
    inner = called(equation)
    if inner is None:
        return equation.invars
    jaxpr = opened(inner)[0]
    live = needed(jaxpr, wanted, inside=True)[1]
    pairs = zip(equation.invars, jaxpr.invars, strict=True)
    return [var for var, name in pairs if name in live]


def bind(equation: Any, inputs: Sequence[Any]) -> Sequence[Any]:
    """Apply an equation's primitive to other inputs."""
    params = equation.primitive.get_bind_params(equation.params)
    held: Sequence[Any] = ()
    if isinstance(params, tuple):  # jax < 0.10 gives inner functions apart
        held, params = params
    with equation.ctx.manager:
        out = equation.primitive.bind(*held, *inputs, **params)
    return out if equation.primitive.multiple_results else [out]


def evaluate(
    function: Any, inputs: Sequence[Any], apply: Apply, wanted: Wanted | None = None
) -> list[Any]:
    """Return a traced function's outputs, each equation computed by `apply`.

    With `wanted`, those outputs alone, of the inputs that they need; others are None.
    """
    jaxpr, consts = opened(function)
    env = dict(zip((*jaxpr.constvars, *jaxpr.invars), (*consts, *inputs), strict=True))

    def read(var: Any) -> Any:
        return var.val if isinstance(var, Literal) else env.get(var)

    which = [True] * len(jaxpr.outvars) if wanted is None else wanted
    equations, live = jaxpr.eqns, set[Any]()
    if wanted is not None:
        equations, live = needed(jaxpr, wanted, inside=True)
    for equation in equations:
        values = [read(v) for v in equation.invars]
        lacks = wanted is not None and any(value is None for value in values)
        inner = called(equation) if lacks else None
        if inner is not None:
            used = [v in live for v in equation.outvars]
            made = iter(evaluate(inner, values, apply, used))
            out: Any = [next(made) if use else None for use in used]
        else:
            out = apply(equation, values)
        env.update(zip(equation.outvars, out, strict=True))
    return [read(v) for v, want in zip(jaxpr.outvars, which, strict=True) if want]
