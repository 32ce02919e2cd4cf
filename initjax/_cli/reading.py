"""Files that users give: JSON, models, plans, checkpoints; read with suspicion."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from .._checkpoints import hugging_face
from .._errors import shown
from .._fans.fans import is_list, mapping_of
from .._report.tensors import Host, mapped
from .._rules.paths import read_tree
from .._rules.plan import TreePlan
from .parser import Wrong

_LONGEST = 100_000_000  # bytes of a JSON file
_INDEX = ".safetensors.index.json"


def read_json(path: str | Path) -> Any:
    """Return what a JSON file holds."""
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):
        raise Wrong(f"{path} is no file.")
    if status.st_size > _LONGEST:
        raise Wrong(f"{path} has {status.st_size:,} bytes, too many for a JSON file.")
    try:
        return json.loads(Path(path).read_text("utf-8"))
    except UnicodeDecodeError:
        raise Wrong(f"{path} is no JSON: it is no UTF-8.") from None
    except (ValueError, RecursionError) as error:
        raise Wrong(f"{path} is no JSON: {error}.") from None


class Model(NamedTuple):
    """A model's parameters, and what its file says of the recipe.

    Attributes:
        tree: Shapes by path.
        arguments: What the recipe is called with, as far as the file says.
    """

    tree: Any
    arguments: dict[str, Any]


def read_model(path: str, dtype: str | None, recipe: str | None) -> Model:
    """Return the parameters that a manifest lists, or a Hugging Face config.json means.

    Args:
        path: The file.
        dtype: What floating-point parameters have in place of their own dtype.
        recipe: By which recipe it will begin.
    """
    read = mapping_of(read_json(path)) or {}
    said = {"layout": read["layout"]} if read.get("layout") in ("io", "oi") else {}
    if "model_type" in read:
        if read["model_type"] == recipe:
            said = hugging_face.recipe_of_config(read).arguments
        read = hugging_face.manifest_of_config(read)
    if not is_list(read.get("parameters")):
        raise Wrong(
            f'{path} is no manifest, {{"parameters": [{{path, shape, dtype}}, ...]}}, '
            "and no config.json with a model_type."
        )
    tree = read_tree(read)
    other = {
        leaf.place: jax.ShapeDtypeStruct(leaf.shape, dtype)
        for leaf in tree.leaves
        if dtype and jnp.issubdtype(leaf.dtype, jnp.floating)
    }
    return Model(tree.filled(other), said)


def is_plan(path: str) -> bool:
    """Tell whether a file is a plan; what is not is taken for a checkpoint."""
    if not path.endswith(".json") or path.endswith(_INDEX):
        return False
    return "leaves" in (mapping_of(read_json(path)) or {})


def read_plan(path: str) -> Any:
    """Return the plan that a file has."""
    if not is_plan(path):
        raise Wrong(f"{path} is no plan, as initjax plan --json prints it.")
    kind: Any = TreePlan
    try:
        return kind.from_json(Path(path).read_text("utf-8"))
    except (TypeError, ValueError) as error:
        raise Wrong(f"{path} is no plan: {error}") from None


def read_tensors(path: str) -> dict[str, Host]:
    """Return the tensors of a checkpoint by name: of a file, an index, a directory."""
    place = Path(path)
    if place.is_dir():
        place, files = _inside(place)
    else:
        files = [place]
    found = _indexed(place) if place.name.endswith(_INDEX) else mapped(files)
    if not found:
        raise Wrong(f"{path} has no tensors.")
    return found


def _inside(folder: Path) -> tuple[Path, list[Path]]:
    """Return the index of a directory, or the directory and the files in it."""
    files = [one for one in sorted(folder.iterdir()) if not one.name.startswith(".")]
    indices = [one for one in files if one.name.endswith(_INDEX)]
    if len(indices) > 1:
        names = ", ".join(one.name for one in indices)
        raise Wrong(f"{folder} has several indices: {names}; give one of them.")
    if indices:
        return indices[0], []
    tensors = [one for one in files if one.suffix == ".safetensors"]
    if not tensors:
        raise Wrong(f"{folder} has no *.safetensors files.")
    return folder, tensors


def _indexed(index: Path) -> dict[str, Host]:
    """Return the tensors that an index names, each from the file that it says."""
    read = mapping_of(read_json(index)) or {}
    files = mapping_of(read.get("weight_map")) or {}
    for name in files.values():
        if not isinstance(name, str) or not _is_file_name(name):
            raise Wrong(f"{index} names {shown(name)}, no file beside it.")
    found: dict[str, Host] = {}
    for name in sorted({*files.values()}):
        inside = mapped([index.parent / name])
        listed = {tensor for tensor, file in files.items() if file == name}
        for tensor in sorted(listed ^ {*inside}):
            who = (index, name) if tensor in listed else (name, index)
            raise Wrong(f"{who[0]} has {shown(tensor)}, and {who[1]} has not.")
        found |= inside
    return found


def _is_file_name(name: str) -> bool:
    return name.isprintable() and name not in ("", "..") and not {*name} & {*"/\\:"}
