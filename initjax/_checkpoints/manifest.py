"""`manifest`: a model's parameters as JSON-able data."""

from __future__ import annotations

from typing import Any

from .._errors import Refused, shown
from .._fans.fans import mapping_of
from .._rules.paths import Leaf, read_tree
from .hugging_face import manifest_of_config


def manifest(abstract_tree: Any, *, name: str | None = None) -> dict[str, Any]:
    """Return a model's list of parameters, which is a tree itself to `plan` and others.

    Args:
        abstract_tree: As of `init_tree`; or a config of Hugging Face's transformers,
            the content of `config.json`, of the model types gpt2, llama, mixtral, bert,
            vit, resnet and t5. Weights are listed; PRNG keys and what has no shape are
            none. The list says nothing about shardings, nor what a layer knows of its
            fans: declare them in the rules.
        name: What to call the model; None leaves it out, or takes the config's.

    Returns:
        {"name": name, "parameters": [{"path", "shape", "dtype"}, ...]}, JSON-able, in
        the order of the tree. A path is text with dots, "layers.0.kernel", as files of
        tensors name it.

    Raises:
        ValueError: A tree without weights or that JAX cannot take apart, two leaves of
            one path; a config of another type or architecture, sizes that are none.
        TypeError: A name that is no str, a leaf of no numeric dtype.
    """
    try:
        if name is not None and not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance]  # users pass anything
            raise Refused(f"name is a str or None, got {shown(name)}.", TypeError)
        given = mapping_of(abstract_tree) or {}
        if isinstance(given.get("model_type"), str):
            made = manifest_of_config(given)
            return made if name is None else made | {"name": name}
        leaves = read_tree(abstract_tree).leaves
        if not leaves:
            raise Refused(
                "the tree has no leaf with a shape and a dtype, and no model_type as "
                "a config.json has."
            )
    except Refused as refused:
        raise refused.at("manifest") from None
    rows = [_row(leaf) for leaf in leaves]
    return ({} if name is None else {"name": name}) | {"parameters": rows}


def _row(leaf: Leaf) -> dict[str, Any]:
    path = ".".join(map(str, leaf.path))
    return {"path": path, "shape": list(leaf.shape), "dtype": leaf.dtype.name}
