"""muP for a whole model: its rules and learning rates, relative to a base model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from .._core.initializer import Initializer
from .._errors import Refused
from .._fans.declaration import vector_fans
from .._fans.fans import Fans
from ..laws.mup import Growth, MuP, growth_of
from .assign import Assigned, assign
from .paths import Path, Tree, read_tree
from .patterns import exactly
from .rules import Rules, Spec

Optimizer = Literal["adam", "sgd"]


def mup_rules(rules: Rules, base_tree: Any) -> Rules:
    """Return the rules of a model in the maximal update parametrization.

    One rule for every leaf of the base model: its law as `mup(law, base_fan)`, with the
    fans that the leaf has in the base model. At the base widths they give the weights
    of `rules`, bit for bit; at others, for a leaf whose fans are m_in and m_out times
    those of the base:

    | | grows | std of the law at base, times | Adam | SGD |
    |---|---|---|---|---|
    | input weights, biases, norms | fan_out | 1 | 1 | m_out |
    | hidden weights | both | m_in^(-1/2) | 1 / m_in | 1 |
    | output weights | fan_in | 1 / m_in | 1 / m_in | 1 / m_in |

    The two last columns are `mup_learning_rates`. Attention divides its logits by the
    head's dimension, not its square root, if that dimension grows. Embeddings declare
    `Fan.embedding()`: a table that is also the readout cannot be both rows, so it is
    not tied, or its logits are divided by m_in in the model.

    Args:
        rules: The rules of the base model; what they declare of fans holds for both.
        base_tree: The base model's tree of shapes, as of `init_tree`.

    Raises:
        ValueError: What `init_tree` raises for the base tree; parts of a fused array
            with different fans.
        TypeError: A leaf whose initializer is a function.

    References:
        Yang et al., "Tensor Programs V: Tuning large neural networks via zero-shot
        hyperparameter transfer", 2022, table 3.
    """
    try:
        tree = read_tree(base_tree)
        rows = [
            (exactly(row.leaf.name), _spec(row))
            for row in assign(rules, tree.leaves, tree.leaves)
        ]
        wide = Rules(rows)
        assign(wide, tree.leaves, tree.leaves)  # refuses what does not declare its axes
        return wide
    except Refused as refused:
        raise refused.at("mup_rules") from None


def mup_learning_rates(
    rules: Rules, tree: Any, base_tree: Any, optimizer: Optimizer = "adam"
) -> Any:
    """Return the factor of the learning rate for every leaf, as a tree for optax.

    Multiply the updates by it, after the optimizer's own scaling:

        factors = mup_learning_rates(rules, params, base, "adam")
        scale = optax.stateless(
            lambda updates, _: jax.tree.map(lambda u, f: u * f, updates, factors))
        optimizer = optax.chain(optax.adam(1e-3), scale)

    Args:
        rules: The rules of the base model, or those of `mup_rules`.
        tree: The model's tree of arrays or shapes.
        base_tree: The base model's, with the same paths.
        optimizer: "adam" (and others that normalize gradients) or "sgd".

    Raises:
        ValueError: Another optimizer; paths that only one of the trees has.
    """
    try:
        if optimizer not in ("adam", "sgd"):
            raise Refused(f"optimizer must be 'adam' or 'sgd', got {optimizer!r}.")
        wide, base = read_tree(tree), read_tree(base_tree)
        base_fans = _fans_by_path(rules, base)
        factors: dict[int, Any] = {}
        for path, (place, fans) in _fans_by_path(rules, wide).items():
            if path not in base_fans:
                raise Refused(
                    f"{'/'.join(map(str, path))!r} is no leaf of the base model; "
                    "give one of the same depth."
                )
            name = "/".join(map(str, path))
            growth = growth_of(fans, _base_fans(name, base_fans.pop(path)[1]))
            factors[place] = _factor(growth, optimizer)
        if base_fans:
            name = "/".join(map(str, next(iter(base_fans))))
            raise Refused(f"{name!r} of the base model is no leaf of the model.")
        return wide.filled(factors)
    except Refused as refused:
        raise refused.at("mup_learning_rates") from None


def _factor(growth: Growth, optimizer: Optimizer) -> float:
    """Return the learning rate's row and column of the table."""
    if optimizer == "adam":
        by = {"hidden": 1 / growth.fan_in, "output": 1 / growth.fan_in}
    else:
        by = {"input": growth.fan_out, "output": 1 / growth.fan_in}
    return float(by.get(growth.role, 1.0))


def _spec(row: Assigned) -> Spec:
    law = row.spec.initializer
    if not isinstance(law, Initializer):
        raise Refused(
            f"{row.leaf.name!r}: a function has no law to scale; give one of "
            "initjax.nn in place of jax.nn.initializers.",
            TypeError,
        )
    law = MuP(law, tuple(_base_fans(row.leaf.name, _fans(row))))
    return Spec(law, row.spec.fan, row.spec.dtype, row.spec.stream)


def _base_fans(name: str, fans: Fans) -> Fans:
    if min(fans) <= 0:
        raise Refused(f"{name!r} has no entries in the base model, so it has no scale.")
    return fans


def _fans_by_path(rules: Rules, tree: Tree) -> dict[Path, tuple[int, Fans]]:
    rows: Sequence[Assigned] = assign(rules, tree.leaves, tree.leaves)
    return {row.leaf.path: (row.leaf.place, _fans(row)) for row in rows}


def _fans(row: Assigned) -> Fans:
    try:
        law: Any = row.law
        if not isinstance(law, Initializer):
            return vector_fans(None, row.leaf.shape)
        return law._declared_fans(row.leaf.shape)
    except Refused as refused:
        raise Refused(f"{row.leaf.name!r}: {refused}", refused.kind) from None
