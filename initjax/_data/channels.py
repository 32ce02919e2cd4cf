"""`data_dependent`: scales and biases under which each channel is normal on a batch."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from .._errors import Refused
from .._rules.paths import Leaf, read_tree
from .._rules.patterns import choose
from .forward import Apply, Fed, Forward, Passed, Use, forward
from .measure import Found, as_std, check, deviation, work_dtype


def data_dependent(
    apply: Apply, params: Any, batch: Any, *, only: Any, std: float = 1.0
) -> Any:
    """Return a model whose channels have mean 0 and standard deviation `std`.

    The model runs once on the batch, and each leaf that `only` names is set at its
    first use, by what it meets there; later ones see it. With statistics over all
    entries of a result that share the channel:

    - a scale s, in x s or x / s, is multiplied so that the result has `std`;
    - a bias b, in x + b or x - b, is moved so that the result has mean 0;
    - a weight of a matrix product or convolution is multiplied along its output
      channels so that the product has `std`; so is the g of weight normalization,
      g v / |v|.

    The channel is what the leaf has entries for: a vector is broadcast over the other
    axes. x exp(s) changes s by a sum. Scales keep their sign, and 0 stays 0, so start
    from ones. So `only=["**/scale", "**/bias"]` is ActNorm, or the initialization of
    weight normalization, g = 1 / std and b = -mean / std; with "**/kernel" it is the
    same for layers without it. The scale after a normalization is not meant: it
    multiplies the inverse deviation in many libraries, not the entries.

    Args:
        apply: The model as a function of (params, batch), of any framework; JAX traces
            it once. What it returns does not matter.
        params: A tree of arrays: a Flax or Haiku tree, an NNX state, an Equinox module.
        batch: Any tree; its arrays are traced.
        only: A pattern, as of rules, or a list of them: the leaves that are set.
        std: What the channels' standard deviation becomes, > 0.

    Raises:
        ValueError: A leaf of `only` whose first use is none of these; a channel that is
            constant or not finite on the batch; a pattern that matches nothing.
        TypeError: Traced arrays, or shapes; an apply that is no function; only is None.

    References:
        Salimans and Kingma, "Weight normalization", NeurIPS 2016, section 3; Kingma and
        Dhariwal, "Glow", NeurIPS 2018, section 3.1.
    """
    try:
        if only is None:
            raise Refused("only says what to set; give a pattern.", TypeError)
        settle = functools.partial(_settle, std=as_std(std))
        tree = read_tree(params)
        chosen = choose(tree.leaves, only)
        for leaf in chosen:
            if not jnp.issubdtype(leaf.dtype, jnp.inexact):
                raise Refused(f"{leaf.name!r} is {leaf.dtype}; leave it out of only.")
        passed = forward(apply, tree, batch, chosen, settle)
        check(passed.found, {leaf.place: leaf.name for leaf in chosen})
        _check_all_set(chosen, passed)
        return tree.filled(passed.values)
    except Refused as refused:
        raise refused.at("data_dependent") from None


def _check_all_set(chosen: Sequence[Leaf], passed: Passed) -> None:
    for leaf in chosen:
        if leaf.place not in passed.found:
            use = passed.used.get(leaf.place)
            does = f"is first used in {use!r}" if use else "is not used"
            raise Refused(
                f"{leaf.name!r} {does}, so it is no scale, bias or weight of a channel;"
                " leave it out of only."
            )


def _settle(model: Forward, use: Use, *, std: float) -> Any:
    """Set a leaf by what it meets, and return the new result; None is neither."""
    fed = [x for x in use.inputs if isinstance(x, Fed)]
    if len(use.views) != 1 or len(fed) != 1 or use.views[0].has("part"):
        return None
    result = use.result.astype(work_dtype(use.result.dtype))
    match use.name:
        case "dot_general" | "conv_general_dilated":
            changed = _weight(model, use, result, std)
        case "mul" | "div":
            changed = _scale(model, use, result, std)
        case "add" | "add_any" | "sub":
            changed = _bias(model, use, result)
        case _:
            return None
    return None if changed is None else changed.astype(use.result.dtype)


def _scale(model: Forward, use: Use, result: Any, std: float) -> Any:
    """Multiply a scale so that every entry's results have the deviation."""
    (view,) = use.views
    if use.name == "div" and use.place == 0:
        return None
    shape = model.values[view.leaf].shape

    def wide(means: Any) -> Any:
        return view.laid(means, result.shape)

    found = deviation(result, lambda x: view.gathered(x, shape), wide)
    factor = std / found
    by = 1 / factor if use.name == "div" else factor
    model.multiply(view, by, Found(found.min()))
    return result * wide(factor)


def _bias(model: Forward, use: Use, result: Any) -> Any:
    """Move a bias so that every entry's results have mean 0."""
    (view,) = use.views
    if view.has("times", "exp"):
        return None
    mean = view.gathered(result, model.values[view.leaf].shape)
    is_taken_away = use.name == "sub" and use.place == 1
    finite = 1 + 0 * jnp.abs(mean).sum()
    model.add(view, mean if is_taken_away else -mean, Found(finite))
    return result - view.laid(mean, result.shape)


def _weight(model: Forward, use: Use, result: Any, std: float) -> Any:
    """Multiply a weight along its output channels, or what multiplies it there."""
    (view,) = use.views
    pairs = _channels(use)
    if pairs is None:
        return None
    inner = tuple(i for i in range(result.ndim) if i not in pairs)
    found = deviation(result, lambda x: x.mean(inner, keepdims=True))
    factor = std / found
    there = _across(factor, inner, [*pairs.values()], use)
    own = view.gathered(there, model.values[view.leaf].shape)
    misfit = jnp.abs(view.laid(own, there.shape) / there - 1).max()
    model.multiply(view, own, Found(found.min(), misfit))
    return result * factor


def _channels(use: Use) -> dict[int, int] | None:
    """Return the axes of a product that are a weight's own, and the weight's axes."""
    numbers = use.equation.params["dimension_numbers"]
    place = use.place
    if use.name == "conv_general_dilated":
        return {numbers.out_spec[1]: numbers.rhs_spec[0]} if place == 1 else None
    contracted, batch = (both[place] for both in numbers)
    ndims = [v.aval.ndim for v in use.equation.invars]
    outer = [i for i in range(ndims[place]) if i not in (*contracted, *batch)]
    before = ndims[0] - len(contracted) if place else len(batch)
    own = {before + i: axis for i, axis in enumerate(outer)}
    return {**dict(enumerate(batch)), **own}


def _across(factor: Any, inner: Sequence[int], axes: Sequence[int], use: Use) -> Any:
    """Return a product's factors as factors of its weight."""
    shape = use.equation.invars[use.place].aval.shape
    small = factor.squeeze(inner).transpose(np.argsort(axes))
    other = [i for i in range(len(shape)) if i not in axes]
    return jnp.broadcast_to(jnp.expand_dims(small, other), shape)
