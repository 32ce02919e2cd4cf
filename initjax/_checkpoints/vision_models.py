"""The tensors of vision models in Hugging Face's files."""

from __future__ import annotations

from collections.abc import Iterator

from .._errors import Refused, shown
from .configs import Config, Row, layers, linear, norm, weight


def vit(c: Config) -> Iterator[Row]:
    """Yield the Vision Transformer's tensors without the pooler."""
    d, inner = c.size("hidden_size", 768), c.size("intermediate_size", 3072)
    (high, wide), patch = c.pair("image_size", 224), c.pair("patch_size", 16)
    patches = (high // patch[0]) * (wide // patch[1])
    yield "embeddings.cls_token", (1, 1, d)
    yield "embeddings.position_embeddings", (1, patches + 1, d)
    stem = "embeddings.patch_embeddings.projection"
    yield from weight(stem, d, c.size("num_channels", 3), *patch)
    yield f"{stem}.bias", (d,)
    bias = c.flag("qkv_bias", True)
    layer = [
        *linear("attention.attention.query", d, d, bias),
        *linear("attention.attention.key", d, d, bias),
        *linear("attention.attention.value", d, d, bias),
        *linear("attention.output.dense", d, d),
        *linear("intermediate.dense", d, inner),
        *linear("output.dense", inner, d),
        *norm("layernorm_before", d),
        *norm("layernorm_after", d),
    ]
    yield from layers("encoder.layer", c.size("num_hidden_layers", 12), layer)
    yield from norm("layernorm", d)


def vit_pooled(c: Config) -> Iterator[Row]:
    """Yield the Vision Transformer's tensors with the pooler."""
    d = c.size("hidden_size", 768)
    yield from vit(c)
    yield from linear("pooler.dense", d, c.size("pooler_output_size", d))


def vit_classes(c: Config) -> Iterator[Row]:
    """Yield a classifier, if there are classes."""
    if c.labels:
        yield from linear("classifier", c.size("hidden_size", 768), c.labels)


def resnet(c: Config) -> Iterator[Row]:
    """Yield ResNet's parameters."""
    n = c.size("embedding_size", 64)
    outs = c.sizes("hidden_sizes", [256, 512, 1024, 2048])
    depths = c.sizes("depths", [3, 4, 6, 3])
    if len(outs) != len(depths):
        raise Refused(f"hidden_sizes={outs} and depths={depths} must be of one length.")
    yield from _convolution("embedder.embedder", c.size("num_channels", 3), n, 7)
    shrinks = c.flag("downsample_in_first_stage", False)
    for stage, (out, depth) in enumerate(zip(outs, depths, strict=True)):
        for i in range(depth):
            name = f"encoder.stages.{stage}.layers.{i}"
            if i == 0 and (n != out or stage > 0 or shrinks):
                yield from _convolution(f"{name}.shortcut", n, out, 1)
            for j, (inputs, outputs, side) in enumerate(_block(c, n, out)):
                yield from _convolution(f"{name}.layer.{j}", inputs, outputs, side)
            n = out


def is_bottleneck(c: Config) -> bool:
    """Tell whether a block has three convolutions."""
    kind = c.get("layer_type", "bottleneck")
    if kind not in ("basic", "bottleneck"):
        raise Refused(f"layer_type must be basic or bottleneck, got {shown(kind)}.")
    return kind == "bottleneck"


def _block(c: Config, n: int, out: int) -> list[tuple[int, int, int]]:
    """Return the inputs, outputs and side of a block's convolutions."""
    if not is_bottleneck(c):
        return [(n, out, 3), (out, out, 3)]
    small = out // 4
    return [(n, small, 1), (small, small, 3), (small, out, 1)]


def _convolution(name: str, inputs: int, outputs: int, side: int) -> Iterator[Row]:
    yield from weight(f"{name}.convolution", outputs, inputs, side, side)
    yield from norm(f"{name}.normalization", outputs)


def resnet_classes(c: Config) -> Iterator[Row]:
    """Yield a classifier, if there are classes."""
    if c.labels:
        n = c.sizes("hidden_sizes", [256, 512, 1024, 2048])[-1]
        yield from linear("classifier.1", n, c.labels)
