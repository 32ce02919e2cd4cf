"""`manifest`: a model's parameters as JSON-able data."""

from __future__ import annotations

from typing import Any

from .._errors import Refused, shown
from .._rules.paths import read_tree


def manifest(abstract_tree: Any, *, name: str | None = None) -> dict[str, Any]:
    """Return a model's list of parameters, which is a tree itself to `plan` and others.

    Args:
        abstract_tree: As of `init_tree`. Weights are listed; PRNG keys and what has no
            shape are none. The list says nothing about shardings, nor what a layer
            knows of its fans: declare them in the rules.
        name: What to call the model; None leaves it out.

    Returns:
        {"name": name, "parameters": [{"path", "shape", "dtype"}, ...]}, JSON-able, in
        the order of the tree. A path is text with dots, "layers.0.kernel", as files of
        tensors name it.

    Raises:
        ValueError: A tree that JAX cannot take apart, or two leaves of one path.
        TypeError: A name that is no str, a leaf of no numeric dtype.
    """
    try:
        if name is not None and not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance]  # users pass anything
            raise Refused(f"name is a str or None, got {shown(name)}.", TypeError)
        leaves = read_tree(abstract_tree).leaves
    except Refused as refused:
        raise refused.at("manifest") from None
    rows = [
        {
            "path": ".".join(map(str, leaf.path)),
            "shape": list(leaf.shape),
            "dtype": leaf.dtype.name,
        }
        for leaf in leaves
    ]
    return ({} if name is None else {"name": name}) | {"parameters": rows}
