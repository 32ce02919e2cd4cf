"""Hugging Face's `config.json`: which tensors such a model has, and whose recipe."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from .._core.values import numeric_dtype
from .._errors import Refused, shown
from .._fans.fans import is_list, mapping_of
from .configs import Config, Row, under
from .language_models import (
    bert,
    bert_classes,
    bert_next,
    bert_pooled,
    bert_words,
    decoder_head,
    gpt2,
    gpt2_head,
    llama,
    mixtral,
    t5,
    t5_encoder,
    t5_head,
)
from .vision_models import (
    is_bottleneck,
    resnet,
    resnet_classes,
    vit,
    vit_classes,
    vit_pooled,
)

Tensors = Callable[[Config], Iterator[Row]]


class Recipe(NamedTuple):
    """A function of `initjax.recipes`, and what to call it with."""

    name: str
    arguments: dict[str, Any]


def manifest_of_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the manifest of a model of Hugging Face's transformers by its config.

    Names and shapes are those of the files that `save_pretrained` writes, with tied
    weights once: matrices are (outputs, inputs), GPT-2's (inputs, outputs). Statistics
    of batch norm are no parameters, and transformers begins them itself.

    Args:
        config: The content of `config.json`: of the model types gpt2, llama, mixtral,
            bert, vit, resnet and t5. What it does not say is as transformers has it by
            default; without "architectures" it is the usual one of its type.

    Returns:
        As `manifest` returns; "name" is the architecture's.

    Raises:
        ValueError: A type or an architecture that is not known, sizes that are none.
        TypeError: No dict.
    """
    try:
        c = _read(config)
        name, tensors = _architecture(c)
        dtype = c.get("dtype") or c.get("torch_dtype") or "float32"
        kind = numeric_dtype(dtype)
        if kind is None:
            raise Refused(f"dtype={shown(dtype)} is not a numeric dtype.")
        rows = [
            {"path": path, "shape": list(shape), "dtype": kind.name}
            for path, shape in tensors(c)
        ]
    except Refused as refused:
        raise refused.at("manifest") from None
    return {"name": name, "parameters": rows}


def recipe_of_config(config: Mapping[str, Any]) -> Recipe:
    """Return the published recipe of a config's model.

    `getattr(ij.recipes, name)(**arguments)` are rules that cover its manifest.

    Args:
        config: As of `manifest_of_config`.

    Raises:
        ValueError: What `manifest_of_config` refuses; a config whose initializer_range
            or initializer_factor is not the recipe's.
        TypeError: No dict.
    """
    try:
        c = _read(config)
        _architecture(c)
        name: str = c.get("model_type")
        field, value = _SCALES.get(name, ("", None))
        if c.get(field, value) != value:
            raise Refused(
                f"{field}={shown(c.get(field))}, and recipes.{name} has {value}; write "
                "rules of your own."
            )
        return Recipe(name, _arguments(c))
    except Refused as refused:
        raise refused.at("recipe_of_config") from None


def _read(config: Any) -> Config:
    read = mapping_of(config)
    if read is None:
        kind = type(config).__name__
        raise Refused(
            f"the config is a dict, as config.json has it, got {kind}.", TypeError
        )
    c = Config(read)
    kind = c.get("model_type")
    if not isinstance(kind, str) or kind not in _TENSORS:
        raise Refused(f"model_type={shown(kind)} is none of {', '.join(_TENSORS)}.")
    for name in ("add_cross_attention", "quantization_config"):
        if c.get(name):
            raise Refused(f"{name}={shown(c.get(name))}: such tensors are not known.")
    return c


def _architecture(c: Config) -> tuple[str, Tensors]:
    """Return the name of a config's class, and its tensors."""
    known = _TENSORS[c.get("model_type")]
    given = c.get("architectures", [*known][:1])
    if not is_list(given) or len(given) != 1 or given[0] not in known:
        raise Refused(
            f"architectures={shown(given)} is none of {', '.join(known)}; give one of "
            "them in a list."
        )
    return given[0], known[given[0]]


def _with(prefix: str, trunk: Tensors, *heads: Tensors) -> Tensors:
    """Return the tensors of a class that has a trunk under a name, and heads."""

    def tensors(c: Config) -> Iterator[Row]:
        yield from under(prefix, trunk(c))
        for head in heads:
            yield from head(c)

    return tensors


# by type the classes of transformers, the usual one first
_TENSORS: dict[str, dict[str, Tensors]] = {
    "gpt2": {
        "GPT2LMHeadModel": _with("transformer", gpt2, gpt2_head),
        "GPT2Model": gpt2,
    },
    "llama": {
        "LlamaForCausalLM": _with("model", llama, decoder_head),
        "LlamaModel": llama,
    },
    "mixtral": {
        "MixtralForCausalLM": _with("model", mixtral, decoder_head),
        "MixtralModel": mixtral,
    },
    "bert": {
        "BertForMaskedLM": _with("bert", bert, bert_words),
        "BertForPreTraining": _with("bert", bert_pooled, bert_words, bert_next),
        "BertForSequenceClassification": _with("bert", bert_pooled, bert_classes),
        "BertModel": bert_pooled,
    },
    "vit": {
        "ViTForImageClassification": _with("vit", vit, vit_classes),
        "ViTModel": vit_pooled,
    },
    "resnet": {
        "ResNetForImageClassification": _with("resnet", resnet, resnet_classes),
        "ResNetModel": resnet,
    },
    "t5": {
        "T5ForConditionalGeneration": _with("", t5, t5_head),
        "T5Model": t5,
        "T5EncoderModel": t5_encoder,
    },
}


def _arguments(c: Config) -> dict[str, Any]:
    """Return what the recipe of a config's type is called with."""
    match c.get("model_type"):
        case "gpt2":
            return {"layers": c.size("n_layer", 12)}  # its matrices are "io"
        case "t5":
            sizes = {"d_model": c.size("d_model", 512), "d_kv": c.size("d_kv", 64)}
            return {**sizes, "layout": "oi"}
        case "resnet":
            return {"layout": "oi", "bottleneck": is_bottleneck(c)}
        case _:
            return {"layout": "oi"}


# what the recipes' authors scale by, where a config may say another number
_SCALES = {
    **dict.fromkeys(("gpt2", "llama", "mixtral", "bert"), ("initializer_range", 0.02)),
    "t5": ("initializer_factor", 1.0),
}
