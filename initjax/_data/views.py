"""A value that is one leaf of the parameters, laid out otherwise or multiplied."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from .._engine.jaxprs import bind

Shape = tuple[int, ...]

# a step of another dtype or none at all, one that moves entries, a product with what is
# no leaf, an exponential, a part
Kind = Literal["same", "layout", "times", "exp", "part"]

_KINDS: dict[str, Kind] = {
    **dict.fromkeys(("convert_element_type", "copy", "copy_p"), "same"),
    **dict.fromkeys(("reduce_precision", "stop_gradient"), "same"),
    "sharding_constraint": "same",
    **dict.fromkeys(("transpose", "reshape", "squeeze", "rev"), "layout"),
    "broadcast_in_dim": "layout",
    **dict.fromkeys(("mul", "div", "neg"), "times"),
    "exp": "exp",
    **dict.fromkeys(("slice", "dynamic_slice", "split"), "part"),
}
_LAST = {"div": 0, "dynamic_slice": 0}  # the last input that the leaf may be


class Step(NamedTuple):
    """One primitive applied to a view.

    Attributes:
        kind: What it does.
        equation: The primitive and its parameters.
        inputs: What it is applied to; the view is at `place`.
        place: Which input the view is.
        result: Which of its results is meant.
    """

    kind: Kind
    equation: Any
    inputs: tuple[Any, ...]
    place: int
    result: int

    def of(self, value: Any) -> Any:
        """Apply it to another value."""
        inputs = [*self.inputs]
        inputs[self.place] = value
        return bind(self.equation, inputs)[self.result]


class View(NamedTuple):
    """A leaf after some steps, computed when it is needed, of what the leaf is then.

    Attributes:
        leaf: Which leaf of the tree.
        steps: What was done to it.
    """

    leaf: int
    steps: tuple[Step, ...] = ()

    def has(self, *kinds: Kind) -> bool:
        """Tell whether a step is of one of the kinds."""
        return any(step.kind in kinds for step in self.steps)

    def of(self, value: Any) -> Any:
        """Return the view of another value of the leaf."""
        for step in self.steps:
            value = step.of(value)
        return value

    def laid(self, value: Any, shape: Shape) -> Any:
        """Return an array of a shape, with a number for each entry of the leaf.

        Each is where the view has that entry, so the leaf's shape comes in.
        """
        for step in self.steps:
            if step.kind == "layout":
                value = step.of(value)
            elif step.kind == "times":  # by what may be larger
                value = jnp.broadcast_to(value, step.equation.outvars[0].aval.shape)
        return jnp.broadcast_to(value, shape)

    def gathered(self, values: Any, shape: Shape) -> Any:
        """Return for every entry of the leaf the mean of what stands where it does."""

        def laid(x: Any) -> Any:
            return self.laid(x, values.shape)

        like = jax.ShapeDtypeStruct(shape, values.dtype)
        (sums,) = jax.linear_transpose(laid, like)(values)
        return sums * (sums.size / values.size)  # each stands there equally often


def viewed(equation: Any, inputs: Sequence[Any]) -> list[View] | None:
    """Return the results of an equation as views, if they are one leaf's."""
    name = equation.primitive.name
    kind = _KINDS.get(name)
    places = [i for i, x in enumerate(inputs) if isinstance(x, View)]
    if kind is None or len(places) != 1 or places[0] > _LAST.get(name, 1):
        return None
    view: View = inputs[places[0]]
    if kind == "exp" and view.has("times", "exp", "part"):
        return None
    if not all(jnp.issubdtype(v.aval.dtype, jnp.inexact) for v in equation.outvars):
        return None
    steps = [
        Step(kind, equation, tuple(inputs), places[0], i)
        for i in range(len(equation.outvars))
    ]
    return [View(view.leaf, (*view.steps, step)) for step in steps]
