"""`propagate`: the scale of activations and gradients through depth."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._data.forward import Apply, Traced, trace
from .._data.measure import work_dtype
from .._engine.jaxprs import evaluate
from .._errors import Refused, shown
from .._rules.paths import Tree, read_tree
from ..laws.discrete import signs
from .comparison import kind_of
from .propagation import Propagation as Propagation
from .propagation import PropagationRow
from .watch import Mark, Origin, Probe, Seen, Site, Watch, plain

Loss = Callable[[Any], Any]


def propagate(
    apply: Apply, params: Any, x: Any, *, loss: Loss | None = None
) -> Propagation:
    """Return the scale of activations and gradients through a model's depth.

    The model runs once, forward and back, and every product with a weight is measured:
    matrix products, convolutions and look-ups in a table, before any bias. Its depth is
    how many of them the data has been through on the longest way, itself included, so
    the query, key and value of a layer are at one depth. Loops over stacked layers
    (`nn.scan`) are gone through turn by turn, "layers/kernel[3]"; of any other loop,
    branch or `jax.custom_vjp` that holds products, what comes out is measured.

    Args:
        apply: The model as a function of (params, x), of any framework; JAX traces it
            once.
        params: A tree of arrays: a Flax or Haiku tree, an NNX state, an Equinox module.
        x: Any tree; its arrays are traced. A batch of data, or of normal numbers.
        loss: A function of the model's output that gives a real number. None takes the
            sum of all its entries with independent random signs, always the same: no
            labels are needed, the gradient of each output is 1 or -1, and the mean
            square of a gradient is that of the whole Jacobian.

    Returns:
        A row for each product, and the gradients of all weights; `print` shows them.

    Raises:
        ValueError: No product of data with a weight; an output without numbers that
            have gradients; a loss that is no real number.
        TypeError: Traced arrays, or shapes; an apply or a loss that is no function.
    """
    try:
        if loss is not None and not callable(loss):
            raise Refused(
                f"loss is called as loss(output), got {shown(loss)}; give a function.",
                TypeError,
            )
        tree = read_tree(params)
        number = _projection if loss is None else functools.partial(_as_number, loss)
        return _measured(tree, trace(apply, tree, x, number))
    except Refused as refused:
        raise refused.at("propagate") from None


def _projection(output: Any) -> Any:
    """Return the sum of all entries of an output with random signs."""
    parts = [jnp.asarray(y) for y in jax.tree.leaves(output) if _is_float(y)]
    if not parts:
        raise Refused("the output has no float numbers; give a loss of it.")
    keys = jax.random.split(jax.random.key(0, impl="threefry2x32"), len(parts))
    sums = [
        jnp.real(y * signs(key, y.shape, y.dtype)).astype(jnp.float32).sum()
        for y, key in zip(parts, keys, strict=True)
    ]
    return functools.reduce(jnp.add, sums)


def _as_number(loss: Loss, output: Any) -> Any:
    """Return a loss, or refuse what has no gradient."""
    value = loss(output)
    if not _is_float(value) or value.shape or jnp.iscomplexobj(value):
        raise Refused(f"loss(output) is {kind_of(value)}; return one real number.")
    return value


def _is_float(x: Any) -> bool:
    return jnp.issubdtype(getattr(x, "dtype", np.int32), jnp.inexact)


def _measured(tree: Tree, model: Traced) -> Propagation:
    """Run a model forward and back, and return what was seen."""
    names = {
        leaf.place: Origin(leaf.name, math.prod(leaf.shape)) for leaf in tree.leaves
    }
    # keys are no weights, and what has no gradient stays as it is
    origins = [names.get(place) for place in model.places]
    weights = {
        i: origin.name
        for i, (x, origin) in enumerate(zip(model.arrays, origins, strict=True))
        if origin is not None and _is_float(x)
    }
    sites: list[Site] = []

    def run(
        probes: Sequence[Probe], own: Sequence[Any], arrays: Sequence[Any], fed: Any
    ) -> tuple[Any, list[Seen]]:
        whole = [*arrays]
        for i, x in zip(weights, own, strict=True):
            whole[i] = x
        marked = [
            Mark(x, frozenset([origin])) if origin else x
            for x, origin in zip(whole, origins, strict=True)
        ]
        watch = Watch(probes)
        data = [Mark(x, frozenset(), 0) for x in fed]
        (loss,) = evaluate(model.function, [*marked, *data], watch)
        sites[:] = watch.sites
        return plain(loss), watch.seen

    @jax.jit
    def both(arrays: Sequence[Any], fed: Sequence[Any]) -> Any:
        own = [arrays[i] for i in weights]
        jax.eval_shape(run, [], own, arrays, fed)  # finds the sites
        probes = [Probe(_zeros(site.weight), _zeros(site.result)) for site in sites]
        gradients, seen = jax.grad(run, (0, 1), has_aux=True)(probes, own, arrays, fed)
        return seen, jax.tree.map(_rms, gradients)

    with jax.numpy_dtype_promotion("standard"):  # of complex numbers and their sizes
        seen, (probes, own) = jax.device_get(both(model.arrays, model.fed))
    if not sites:
        raise Refused(
            f"none of {len(tree.leaves)} leaves is the weight of a product with the "
            "data; give the weights in params, and the data in x."
        )
    order = sorted(range(len(sites)), key=lambda i: sites[i].depth)
    return Propagation(
        tuple(_row(sites[i], seen[i], probes[i]) for i in order),
        {name: float(x) for name, x in zip(weights.values(), own, strict=True)},
    )


def _zeros(like: Any) -> Any:
    """Return zeros, or None where numbers have no gradient."""
    return jnp.zeros_like(like) if _is_float(like) else None


def _rms(x: Any) -> Any:
    """Return a gradient's root mean square, NaN where an entry is not finite."""
    size = jnp.abs(x.astype(work_dtype(x.dtype)))
    unit = jnp.max(size, initial=0)
    unit = jnp.where(unit == 0, 1, unit)
    return unit * jnp.sqrt(((size / unit) ** 2).sum() / max(x.size, 1))


def _row(site: Site, seen: Seen, probe: Probe) -> PropagationRow:
    rms, mean, nans, infs = seen.scale
    return PropagationRow(
        site.path,
        site.depth,
        site.by,
        site.result.shape,
        site.result.dtype.name,
        float(rms),
        float(mean),
        _number(seen.zeros),
        _number(seen.saturated),
        int(nans),
        int(infs),
        _number(probe.result),
        _number(probe.weight),
    )


def _number(x: Any) -> float | None:
    return None if x is None else float(x)
