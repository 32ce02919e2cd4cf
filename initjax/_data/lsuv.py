"""`lsuv`: a model whose every layer has outputs of unit variance on a batch."""

from __future__ import annotations

import functools
from typing import Any

import jax.numpy as jnp

from .._engine.jaxprs import every, functions, opened
from .._errors import Refused
from .._rules.paths import read_tree
from .._rules.patterns import choose
from .forward import Apply, Forward, Use, forward
from .measure import Found, as_std, check, deviation, work_dtype

# linear in either operand
PRODUCTS = ("dot_general", "conv_general_dilated", "ragged_dot", "ragged_dot_general")


def lsuv(
    apply: Apply,
    params: Any,
    batch: Any,
    *,
    only: Any = None,
    skip: Any = None,
    std: float = 1.0,
) -> Any:
    """Return a model whose every layer has outputs of standard deviation `std`.

    Layer-sequential unit-variance initialization: the model runs once on the batch, and
    each weight is divided, when its product is computed, by the standard deviation of
    all entries of that product, before any bias. Later layers see what has become of
    earlier ones. A product is linear in its weight, so one pass is exact.

    A weight is a leaf that a matrix product or convolution takes as it is: transposed,
    reshaped, cast, or multiplied by something that depends on no batch, such as g in
    weight normalization, g v / |v|. Its first use counts: a weight used twice has `std`
    at the first, and an embedding that is looked up, at first, stays. All other leaves
    are the same objects.

    The paper starts from orthogonal weights: `init_tree` with `Orthogonal`.

    Args:
        apply: The model as a function of (params, batch), of any framework; JAX traces
            it once. What it returns does not matter.
        params: A tree of arrays: a Flax or Haiku tree, an NNX state, an Equinox module.
        batch: Any tree; its arrays are traced. The model's own initial data, some
            hundred examples.
        only: A pattern, as of rules, or a list of them: the leaves that may change.
        skip: The leaves that may not.
        std: What the outputs' standard deviation becomes, > 0.

    Raises:
        ValueError: A product that is constant or not finite on the batch; a weight
            that is used in a loop, a branch, or in parts, or that meets another in one
            product: leave it out by `skip`; a pattern that matches nothing; no weight.
        TypeError: Traced arrays, or shapes; an apply that is no function.

    References:
        Mishkin and Matas, "All you need is a good init", ICLR 2016, algorithm 1.
    """
    try:
        settle = functools.partial(_settle, std=as_std(std))
        tree = read_tree(params)
        skipped = [] if skip is None else choose(tree.leaves, skip, "skip")
        kept = {leaf.place for leaf in skipped}
        chosen = [
            leaf
            for leaf in choose(tree.leaves, only)
            if jnp.issubdtype(leaf.dtype, jnp.inexact) and leaf.place not in kept
        ]
        passed = forward(apply, tree, batch, chosen, settle)
        if not passed.found:
            raise Refused(
                f"none of {len(chosen)} leaves is the weight of a matrix product or "
                "convolution as it is; there is nothing to scale."
            )
        check(passed.found, {leaf.place: leaf.name for leaf in chosen})
        return tree.filled(passed.values)
    except Refused as refused:
        raise refused.at("lsuv") from None


def _settle(model: Forward, use: Use, *, std: float) -> Any:
    """Divide a weight by the standard deviation of its product, and return that."""
    names = {view.leaf: model.names[view.leaf] for view in use.views}
    if use.name not in PRODUCTS:
        return _check_whole(model, use)
    if len(names) > 1:
        first, second = names.values()
        raise Refused(
            f"{first!r} and {second!r} meet in one product, and either could be its "
            f"weight; say skip={first!r}, or the other."
        )
    if len(use.views) > 1:  # with itself
        return None
    (view,) = use.views
    if view.has("part"):
        raise Refused(
            f"{names[view.leaf]!r} is used in parts, and has one factor alone; say "
            f"skip={names[view.leaf]!r}."
        )
    result = use.result.astype(work_dtype(use.result.dtype))
    found = deviation(result, jnp.mean)
    model.multiply(view, std / found, Found(found))
    return (result * (std / found).astype(result.dtype)).astype(use.result.dtype)


def _check_whole(model: Forward, use: Use) -> None:
    """Refuse matrices that go where products cannot be seen one by one."""
    inner = [opened(f)[0] for f in functions(use.equation.params.values())]
    inside = (equation for jaxpr in inner for equation in every(jaxpr.eqns))
    if not any(equation.primitive.name in PRODUCTS for equation in inside):
        return
    matrices = {v.leaf for v in use.views if model.values[v.leaf].ndim > 1}
    if matrices:
        largest = max(matrices, key=lambda leaf: model.values[leaf].size)
        name, others = model.names[largest], len(matrices) - 1
        also = f" (with {others} more)" if others else ""
        raise Refused(
            f"{name!r}{also} is used inside {use.name!r}, where its product is not "
            f"seen by itself; say skip={name!r}."
        )
