"""One forward pass on a batch, which sets leaves where the model first uses them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.core import Tracer

from .._engine.jaxprs import bind, called, evaluate
from .._errors import Refused, shown
from .._rules.paths import Leaf, Tree
from .measure import Found, work_dtype
from .views import View, viewed

Apply = Callable[[Any, Any], Any]
Settle = Callable[["Forward", "Use"], Any]


class Fed(NamedTuple):
    """A value that depends on the batch."""

    array: Any


class Use(NamedTuple):
    """The first use of a leaf that is no view of it.

    Attributes:
        equation: The primitive and its parameters.
        inputs: What it is applied to: views, `Fed`, and arrays that are neither.
        views: The inputs that are views.
        result: What comes out, with the leaf as it is.
    """

    equation: Any
    inputs: Sequence[Any]
    views: Sequence[View]
    result: Any

    @property
    def name(self) -> str:
        """The primitive's name."""
        return self.equation.primitive.name

    @property
    def place(self) -> int:
        """Which input the view is."""
        return next(i for i, x in enumerate(self.inputs) if isinstance(x, View))


class Forward:
    """Evaluates equations, `evaluate`'s `apply`, and lets `settle` set the leaves.

    A chosen leaf is a `View` until its first use that is none; `settle` may set it
    then. From there on it is an array like others.

    Attributes:
        values: The chosen leaves, by their place in the tree, as they are now.
        names: Their paths.
        used: How each was used first, a primitive; those that were used.
        found: What each was set by; those that were set.
    """

    def __init__(
        self, values: Mapping[int, Any], names: Mapping[int, str], settle: Settle
    ) -> None:
        """Start with no leaf used."""
        self.values = {**values}
        self.names = names
        self.settle = settle
        self.used: dict[int, str] = {}
        self.found: dict[int, Found] = {}

    def __call__(self, equation: Any, inputs: Sequence[Any]) -> Sequence[Any]:
        """Return the results of an equation, views or values."""
        if (inner := called(equation)) is not None:
            return evaluate(inner, inputs, self)
        inputs = self._spent(equation, inputs)
        fed = any(isinstance(x, Fed) for x in inputs)
        if not fed and (views := viewed(equation, inputs)):
            return views
        results = bind(equation, [self.read(x) for x in inputs])
        if views := [x for x in inputs if isinstance(x, View)]:
            use = Use(equation, inputs, views, results[0])
            if (changed := self.settle(self, use)) is not None:
                results = [changed]
            self.used |= {view.leaf: use.name for view in views}
        return [Fed(x) for x in results] if fed else results

    def read(self, value: Any) -> Any:
        """Return the array that a value is now."""
        if isinstance(value, View):
            return value.of(self.values[value.leaf])
        return value.array if isinstance(value, Fed) else value

    def multiply(self, view: View, factor: Any, found: Found) -> None:
        """Set a leaf so that its view is multiplied by a number, or one an entry."""
        work = work_dtype(self.values[view.leaf].dtype)
        factor = factor.astype(work)
        if view.has("exp"):
            self._set(view.leaf, lambda x: x + jnp.log(factor), found)
        else:
            self._set(view.leaf, lambda x: x * factor, found)

    def add(self, view: View, term: Any, found: Found) -> None:
        """Set a leaf so that a term is added to every entry."""
        self._set(view.leaf, lambda x: x + term.astype(x.dtype), found)

    def _set(self, leaf: int, change: Callable[[Any], Any], found: Found) -> None:
        old = self.values[leaf]
        self.values[leaf] = change(old.astype(work_dtype(old.dtype))).astype(old.dtype)
        self.found[leaf] = found

    def _spent(self, equation: Any, inputs: Sequence[Any]) -> Sequence[Any]:
        """Return the inputs with an array for each leaf that is used already.

        Of the product of two leaves the smaller one stays: g in v g / |v|.
        """
        leaves = {x.leaf for x in inputs if isinstance(x, View)} - {*self.used}
        if equation.primitive.name == "mul" and len(leaves) == 2:
            larger = max(leaves, key=lambda leaf: self.values[leaf].size)
            self.used[larger] = "mul"
        return [
            self.read(x) if isinstance(x, View) and x.leaf in self.used else x
            for x in inputs
        ]


class Passed(NamedTuple):
    """What a pass has done: places of leaves in the tree, in the order of their use."""

    values: dict[int, Any]
    found: dict[int, Found]
    used: dict[int, str]


class Traced(NamedTuple):
    """A model as a function of all its arrays and a batch's.

    Attributes:
        places: Where the model's arrays are in its tree.
        arrays: The model's arrays.
        fed: The batch's.
        function: What JAX traced, of both.
    """

    places: Sequence[int]
    arrays: Sequence[Any]
    fed: Sequence[Any]
    function: Any


def trace(
    apply: Apply, tree: Tree, batch: Any, then: Callable[[Any], Any] = lambda x: x
) -> Traced:
    """Trace a model on a batch once, and what is `then` done with its output."""
    places = [leaf.place for leaf in (*tree.leaves, *tree.keys)]
    arrays = [tree.values[place] for place in places]
    parts, structure = jax.tree.flatten(batch)
    data = [i for i, x in enumerate(parts) if hasattr(x, "shape")]
    fed = [parts[i] for i in data]
    _check_concrete(apply, [*arrays, *fed])

    def run(arrays: Sequence[Any], fed: Sequence[Any]) -> Any:
        params = tree.filled(dict(zip(places, arrays, strict=True)))
        whole = [*parts]
        for i, x in zip(data, fed, strict=True):
            whole[i] = x
        return then(apply(params, jax.tree.unflatten(structure, whole)))

    return Traced(places, arrays, fed, jax.make_jaxpr(run)(arrays, fed))


def forward(
    apply: Apply, tree: Tree, batch: Any, chosen: Sequence[Leaf], settle: Settle
) -> Passed:
    """Trace a model, and run it once on a batch with leaves that are set as it goes."""
    traced = trace(apply, tree, batch)
    names = {leaf.place: leaf.name for leaf in chosen}
    orders: list[Sequence[Any]] = []

    @jax.jit
    def passed(arrays: Sequence[Any], fed: Sequence[Any]) -> Any:
        values = {
            place: array
            for place, array in zip(traced.places, arrays, strict=True)
            if place in names
        }
        model = Forward(values, names, settle)
        inputs = [
            View(place) if place in names else array
            for place, array in zip(traced.places, arrays, strict=True)
        ]
        evaluate(traced.function, [*inputs, *map(Fed, fed)], model)
        orders.append((list(model.found), model.used))
        return [(model.values[i], found) for i, found in model.found.items()]

    results = passed(traced.arrays, traced.fed)
    order, used = orders[0]
    found = jax.device_get([found for _, found in results])
    return Passed(
        dict(zip(order, (value for value, _ in results), strict=True)),
        dict(zip(order, found, strict=True)),
        used,
    )


def _check_concrete(apply: Any, arrays: Sequence[Any]) -> None:
    if not callable(apply):
        raise Refused(
            f"apply is called as apply(params, batch), got {shown(apply)}; give a "
            "function.",
            TypeError,
        )
    if any(isinstance(x, Tracer) for x in arrays):
        raise Refused("measures arrays, got a traced one; call it outside.", TypeError)
    if any(isinstance(x, jax.ShapeDtypeStruct) for x in arrays):
        raise Refused("measures arrays, got shapes; initialize first.", TypeError)
