"""What a model computes on the way: the scale of every product with a weight."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from .._data.lsuv import PRODUCTS
from .._data.measure import work_dtype
from .._engine.jaxprs import bind, called, evaluate, every, functions, opened

# what they wrap has a gradient of its own
_CUSTOM = ("custom_jvp_call", "custom_vjp_call", "custom_vjp_call_jaxpr")
_NEAR = 0.01  # of the range, from either of its ends


class Origin(NamedTuple):
    """A weight that a value is made of: its name, with the turns of loops; its size."""

    name: str
    size: int


class Mark(NamedTuple):
    """A value that depends on weights or on the data.

    Attributes:
        array: The value.
        origins: The weights that it is made of, if of them alone.
        depth: How many products with weights the data has been through on the longest
            way here; None for a value of weights alone.
    """

    array: Any
    origins: frozenset[Origin]
    depth: int | None = None


class Scale(NamedTuple):
    """The scale of an array's finite entries, and how many are not finite."""

    rms: Any
    mean: Any
    nans: Any
    infs: Any


class Seen(NamedTuple):
    """What a product is, and which share of what it multiplies is 0 or at an end."""

    scale: Scale
    zeros: Any
    saturated: Any


class Site(NamedTuple):
    """A product with a weight: what is known of it before it is computed.

    Attributes:
        path: The weight's, and the turn of a loop.
        by: The primitive.
        depth: How many products the data has been through, this one included.
        weight: Shape and dtype of the weight as the product takes it.
        result: Shape and dtype of the product.
    """

    path: str
    by: str
    depth: int
    weight: Any
    result: Any


class Probe(NamedTuple):
    """Zeros to add to a weight and to its product, for gradients; None where none."""

    weight: Any
    result: Any


class Watch:
    """Evaluates equations, `evaluate`'s `apply`, and measures products on the way.

    Attributes:
        sites: The products, in the order of computation.
        seen: What each was.
    """

    def __init__(self, probes: Sequence[Probe] = ()) -> None:
        """Start with no product seen; `probes` has one for each, or is empty."""
        self.probes = probes
        self.sites: list[Site] = []
        self.seen: list[Seen] = []

    def __call__(self, equation: Any, inputs: Sequence[Any]) -> Sequence[Any]:
        """Return the results of an equation, marked where it takes a marked value."""
        name = equation.primitive.name
        if name not in _CUSTOM and (inner := called(equation)) is not None:
            return evaluate(inner, inputs, self)
        if name == "scan" and _stacks_weights(equation, inputs):
            return self._turns(equation, inputs)
        marks = [x for x in inputs if isinstance(x, Mark)]
        depths = [x.depth for x in marks if x.depth is not None]
        if depths and (place := _weight_of_product(equation, inputs)) is not None:
            return self._product(equation, inputs, place, max(depths) + 1)
        results = bind(equation, [plain(x) for x in inputs])
        if depths:
            return [Mark(x, frozenset(), max(depths)) for x in results]
        origins = frozenset[Origin]().union(*(x.origins for x in marks))
        return [Mark(x, origins) for x in results] if marks else results

    def _product(
        self, equation: Any, inputs: Sequence[Any], place: int, depth: int
    ) -> Sequence[Any]:
        """Compute a product, and keep what it is."""
        arrays = [plain(x) for x in inputs]
        probe = self.probes[len(self.sites)] if self.probes else Probe(None, None)
        if probe.weight is not None:
            arrays[place] = arrays[place] + probe.weight
        results = [*bind(equation, arrays)]
        which = max(range(len(results)), key=lambda i: _rank(results[i]))
        if probe.result is not None:
            results[which] = results[which] + probe.result
        origin = max(sorted(inputs[place].origins), key=lambda origin: origin.size)
        shapes = (
            jax.ShapeDtypeStruct(x.shape, x.dtype)
            for x in (arrays[place], results[which])
        )
        name = equation.primitive.name
        self.sites.append(Site(origin.name, name, depth, *shapes))
        fed = [x.array for x in inputs if isinstance(x, Mark) and x.depth is not None]
        ends = _ends(max(fed, key=_rank))
        self.seen.append(Seen(scale_of(results[which]), *ends))
        return [Mark(x, frozenset(), depth) for x in results]

    def _turns(self, equation: Any, inputs: Sequence[Any]) -> Sequence[Any]:
        """Go through a loop over stacked weights turn by turn."""
        body, length = equation.params["jaxpr"], equation.params["length"]
        stacked = _stacked(equation)
        shared = inputs[: stacked.index(True)]
        carried = sum(
            v.aval.shape == inner.shape
            for v, inner in zip(equation.outvars, body.out_avals, strict=True)
        )
        state = list(shared[len(shared) - carried :])
        turns = range(length)
        given: list[Sequence[Any]] = []
        for i in reversed(turns) if equation.params["reverse"] else turns:
            taken = [_turn(x, i) for x in inputs[len(shared) :]]
            before = shared[: len(shared) - carried]
            out = evaluate(body, [*before, *state, *taken], self)
            state = out[:carried]
            given.append(out[carried:])
        if equation.params["reverse"]:
            given.reverse()
        return [*state, *map(_stack, zip(*given, strict=True))]


def plain(x: Any) -> Any:
    """Return a value without its mark."""
    return x.array if isinstance(x, Mark) else x


def scale_of(x: Any) -> Scale:
    """Return the scale of an array; none of its squares is too large or too small."""
    x = x.astype(work_dtype(x.dtype))
    size = jnp.abs(x)
    finite = jnp.isfinite(size)
    unit = jnp.max(size, initial=0, where=finite)
    unit = jnp.where(unit > 0, unit, 1)
    count = finite.sum().astype(size.dtype)
    parts = jnp.where(finite, x, 0) / unit
    rms = jnp.sqrt((jnp.abs(parts) ** 2).sum() / count)
    mean = parts.sum() / count
    mean = jnp.abs(mean) if jnp.iscomplexobj(mean) else mean
    return Scale(unit * rms, unit * mean, jnp.isnan(x).sum(), jnp.isinf(x).sum())


def _ends(x: Any) -> tuple[Any, Any]:
    """Return the shares of an array that are 0, and otherwise near an end."""
    if not jnp.issubdtype(x.dtype, jnp.floating):
        return None, None
    x = x.astype(work_dtype(x.dtype))
    finite = jnp.isfinite(x)
    low, high = (
        f(x, initial=start, where=finite)
        for f, start in ((jnp.min, jnp.inf), (jnp.max, -jnp.inf))
    )
    near = _NEAR * (high - low)
    at_end = (x - low < near) | (high - x < near)
    return (x == 0).mean(), (at_end & finite & (x != 0)).mean()


def _rank(x: Any) -> tuple[bool, int]:
    """Return by what the array that is meant among several is the largest."""
    return jnp.issubdtype(x.dtype, jnp.inexact), x.size


def _weight_of_product(equation: Any, inputs: Sequence[Any]) -> int | None:
    """Return which input is the weight of a product with data, if it is one."""
    places = [
        i
        for i, x in enumerate(inputs)
        if isinstance(x, Mark) and x.depth is None and x.origins
    ]
    name = equation.primitive.name
    if not places:
        return None
    if name == "gather":  # a table, looked up
        return 0 if places[0] == 0 else None
    inside = (opened(f)[0] for f in functions(equation.params.values()))
    names = {name, *(e.primitive.name for f in inside for e in every(f.eqns))}
    if names.isdisjoint(PRODUCTS):
        return None
    return max(places, key=lambda i: _rank(inputs[i].array))


# -- loops -----------------------------------------------------------------------------


def _stacked(equation: Any) -> list[bool]:
    """Tell of each argument of a loop whether every turn takes a part of it."""
    body = equation.params["jaxpr"]
    pairs = zip(equation.invars, body.in_avals, strict=True)
    return [len(v.aval.shape) > len(inner.shape) for v, inner in pairs]


def _stacks_weights(equation: Any, inputs: Sequence[Any]) -> bool:
    pairs = zip(_stacked(equation), inputs, strict=True)
    return equation.params["length"] > 0 and any(
        is_stacked and isinstance(x, Mark) and x.origins for is_stacked, x in pairs
    )


def _turn(x: Any, i: int) -> Any:
    """Return what a turn takes of what is stacked."""
    part = jax.lax.index_in_dim(plain(x), i, keepdims=False)
    if not isinstance(x, Mark):
        return part
    named = (origin._replace(name=f"{origin.name}[{i}]") for origin in x.origins)
    return Mark(part, frozenset(named), x.depth)


def _stack(values: Sequence[Any]) -> Any:
    """Return what the turns give, as a loop does."""
    array = jnp.stack([plain(x) for x in values])
    depths = [x.depth for x in values if isinstance(x, Mark) and x.depth is not None]
    if depths:
        return Mark(array, frozenset(), max(depths))
    origins = (x.origins for x in values if isinstance(x, Mark))
    made_of = frozenset[Origin]().union(*origins)
    return Mark(array, made_of) if made_of else array
