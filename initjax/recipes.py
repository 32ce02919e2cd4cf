"""Rules of published models: how their authors initialize them.

Every function returns `Rules` for the usual parameter names of Flax, Haiku, Equinox and
PyTorch. `layout` is that of the matrices: "io" (inputs, outputs) in Flax and Haiku,
"oi" in Equinox and PyTorch; convolutions are HWIO and OIHW. To change a part, put rules
of your own in front: `Rules([("**/head/kernel", "zeros")]) + recipes.gpt2(12)`.
"""

from __future__ import annotations

from typing import Any, Literal

from ._fans import Fan
from ._rules.rules import Rules, Spec
from .laws import (
    GlorotUniform,
    LecunNormal,
    Ones,
    RandomNormal,
    TruncatedNormal,
    VarianceScaling,
    Zeros,
)
from .laws.depth import depth_scaled
from .laws.scaled import scaled

Layout = Literal["io", "oi"]

_WEIGHT = "{kernel,weight,w}"
_TABLE = "{embedding,embeddings,weight}"
_SCALE = "{scale,weight,gamma,g}"
_BIAS = ("**/{bias,b,offset,beta}", Spec(Zeros(), optional=True))
_NORM = (f"**/{{*norm*,*Norm*,ln,ln_*}}/{_SCALE}", Ones())


def gpt2(layers: int, layout: Layout = "io") -> Rules:
    """Return GPT-2's rules: N(0, 0.02^2), residual outputs over sqrt(2 layers).

    Fused attention `c_attn` is three weights, each on its own stream.

    Args:
        layers: How many layers.
        layout: Of the matrices; "io" also in GPT-2's own PyTorch checkpoints.

    References:
        Radford et al., "Language models are unsupervised multitask learners", 2019,
        section 2.3; Hugging Face transformers, `GPT2PreTrainedModel._init_weights`.
    """
    law, fan = RandomNormal(stddev=0.02), _matrix("gpt2", layout)
    qkv = Fan.fused(("query", "key", "value"), axis=_out(layout), of=fan)
    return Rules(
        [
            _NORM,
            _BIAS,
            (f"**/{{wte,wpe,*[eE]mbed*}}/{_TABLE}", Spec(law, fan=Fan.embedding())),
            (f"**/{{c_attn,qkv}}/{_WEIGHT}", Spec(law, fan=qkv, optional=True)),
            (
                f"**/c_proj/{_WEIGHT}",
                Spec(depth_scaled(law, layers), fan=fan, fallback=True),
            ),
            (f"**/{_WEIGHT}", Spec(law, fan=fan, fallback=True)),
        ]
    )


def llama(layers: int | None = None, layout: Layout = "io") -> Rules:
    """Return Llama's rules: N(0, 0.02^2), norms 1, biases of variants 0.

    Args:
        layers: None as Meta's and Hugging Face's code; a number gives the depth-scaled
            variant: `o_proj` and `down_proj` (`wo` and `w2`) over sqrt(2 layers).
        layout: Of the matrices.

    References:
        Touvron et al., "LLaMA", 2023; Hugging Face transformers,
        `LlamaPreTrainedModel._init_weights` with `initializer_range=0.02`; the variant:
        Shoeybi et al., "Megatron-LM", 2019, and torchtitan with `depth_init=False`.
    """
    law, fan = RandomNormal(stddev=0.02), _matrix("llama", layout)
    rows: list[Any] = [
        _NORM,
        _BIAS,
        (f"**/*[eE]mbed*/{_TABLE}", Spec(law, fan=Fan.embedding())),
        (f"**/{_WEIGHT}", Spec(law, fan=fan, fallback=True)),
    ]
    if layers is not None:
        last = Spec(depth_scaled(law, layers), fan=fan, fallback=True)
        rows.insert(3, (f"**/{{o_proj,down_proj,wo,w2}}/{_WEIGHT}", last))
    return Rules(rows)


def bert(layout: Layout = "io", heads: bool = False) -> Rules:
    """Return BERT's rules: a normal of 0.02 cut at two of its standard deviations.

    Args:
        layout: Of the matrices.
        heads: Whether attention's kernels have an axis of heads, as in Flax's
            `MultiHeadDotProductAttention` and `nnx.MultiHeadAttention`.

    References:
        Devlin et al., "BERT", 2019; google-research/bert,
        `modeling.create_initializer`.
    """
    law, fan = TruncatedNormal(stddev=0.02), _matrix("bert", layout)
    return Rules(
        [
            _NORM,
            _BIAS,
            (f"**/*[eE]mbed*/{_TABLE}", Spec(law, fan=Fan.embedding())),
            *(_heads(law) if heads else ()),
            (f"**/{_WEIGHT}", Spec(law, fan=fan, fallback=True)),
        ]
    )


def vit(
    style: Literal["jax", "timm"] = "jax",
    layout: Layout = "io",
    patch: int = 16,
    channels: int = 3,
    heads: bool = False,
) -> Rules:
    """Return the Vision Transformer's rules, Google's or timm's.

    "jax": matrices GlorotUniform, MLP biases N(0, 1e-6^2), the patch convolution
    LecunNormal, positions N(0, 0.02^2), the class token and the head 0. "timm":
    normals of 0.02 cut at +-2 (so not cut), the class token N(0, 1e-6^2), the patch
    convolution and its bias as PyTorch leaves them, uniform up to sqrt(1 / fan_in).

    Args:
        style: Whose.
        layout: Of the matrices; the convolution is HWIO with "io", OIHW with "oi".
        patch: Pixels along a side of a patch.
        channels: Channels of the image.
        heads: Whether attention's kernels have an axis of heads, as in Flax's
            `MultiHeadDotProductAttention` and `nnx.MultiHeadAttention`.

    References:
        Dosovitskiy et al., "An image is worth 16x16 words", ICLR 2021;
        google-research/vision_transformer, `models_vit.py`; timm,
        `vision_transformer.init_weights_vit_timm`.
    """
    fan, conv = _matrix("vit", layout), _conv(layout)
    tiny = RandomNormal(stddev=1e-6)
    position = "**/{*position*,pos_embed*}"
    token = "**/{cls,cls_token}"
    stem = "**/{*patch_embed*,patch_embed,embedding}{/projection,/proj,/conv,}"
    head = "**/{head,classifier}"
    if style == "jax":
        return Rules(
            [
                _NORM,
                (
                    f"{head}/{_WEIGHT}",
                    Spec(Zeros(), fan=fan, fallback=True, optional=True),
                ),
                (f"{stem}/{_WEIGHT}", Spec(LecunNormal(), fan=conv)),
                ("**/{*mlp*,*Mlp*}/**/{bias,b}", Spec(tiny, optional=True)),
                # of Hugging Face's files
                (
                    "**/{intermediate,layer/*/output}/dense/bias",
                    Spec(tiny, optional=True),
                ),
                _BIAS,
                (position, RandomNormal(stddev=0.02)),
                (token, Spec(Zeros(), optional=True)),
                *(_heads(GlorotUniform()) if heads else ()),
                (f"**/{_WEIGHT}", Spec(GlorotUniform(), fan=fan, fallback=True)),
            ]
        )
    if style != "timm":
        raise ValueError(f"recipes.vit: style must be 'jax' or 'timm', got {style!r}.")
    cut = TruncatedNormal(stddev=0.02, lower=-100.0, upper=100.0)  # 2 is 100 stddevs
    torch = VarianceScaling(1 / 3, "fan_in", "uniform")
    return Rules(
        [
            _NORM,
            (f"{stem}/{_WEIGHT}", Spec(torch, fan=conv)),
            (f"{stem}/{{bias,b}}", Spec(torch, fan=channels * patch * patch)),
            _BIAS,
            (position, cut),
            (token, Spec(tiny, optional=True)),
            *(_heads(cut) if heads else ()),
            (f"**/{_WEIGHT}", Spec(cut, fan=fan, fallback=True)),
        ]
    )


def resnet(layout: Layout = "io", bottleneck: bool = True) -> Rules:
    """Return ResNet's rules for large batches: blocks start as the identity.

    Convolutions N(0, 2 / fan_out), norms 1 and the last of every block 0, the
    classifier N(0, 0.01^2), biases 0.

    Args:
        layout: Convolutions are HWIO with "io", OIHW with "oi".
        bottleneck: Whether a block has three convolutions (50 layers and more) or two.

    References:
        He et al., "Deep residual learning", CVPR 2016; Goyal et al., "Accurate, large
        minibatch SGD", 2017, section 5.1; torchvision, `resnet.py`.
    """
    last = 2 if bottleneck else 1
    names = (
        f"layer/{last}/normalization,*batchnorm_{last},bn{last + 1},BatchNorm_{last}"
    )
    he = VarianceScaling(2.0, "fan_out", "untruncated_normal")
    matrix = _matrix("resnet", layout)
    head = "**/{classifier/*,classifier,logits,fc,head,Dense_0}"
    norms = "{*norm*,*Norm*,bn*,downsample/1}"
    return Rules(
        [
            (f"**/{{{names}}}/{_SCALE}", Zeros()),
            (f"**/{norms}/{_SCALE}", Ones()),
            _BIAS,
            (
                f"{head}/{_WEIGHT}",
                Spec(RandomNormal(stddev=0.01), fan=matrix, optional=True),
            ),
            (f"**/{_WEIGHT}", Spec(he, fan=_conv(layout))),
        ]
    )


def t5(d_model: int, d_kv: int = 64, layout: Layout = "io") -> Rules:
    """Return T5's rules: N(0, 1 / fan_in), queries also over sqrt(d_kv).

    The embedding and a head of its own are N(0, 1), relative position biases N(0, 1 /
    d_model), norms 1.
    Attention has no factor 1 / sqrt(d_kv): the queries carry it.

    Args:
        d_model: The width.
        d_kv: The dimension of a head.
        layout: Of the matrices.

    References:
        Raffel et al., "Exploring the limits of transfer learning", 2020; Hugging Face
        transformers, `T5PreTrainedModel._init_weights`.
    """
    law = VarianceScaling(1.0, "fan_in", "untruncated_normal")
    fan = _matrix("t5", layout)
    one = RandomNormal(stddev=1.0)
    table = Spec(one, fan=Fan.embedding())
    return Rules(
        [
            _NORM,
            (f"**/*rel*/{{rel_embedding,{_TABLE[1:]}", Spec(law, fan=d_model)),
            (f"**/{{shared,*[eE]mbed*}}/{_TABLE}", table),
            (f"**/lm_head/{_WEIGHT}", Spec(one, fan=fan, fallback=True, optional=True)),
            (
                f"**/{{q,query}}/{_WEIGHT}",
                Spec(scaled(law, d_kv**-0.5), fan=fan, fallback=True),
            ),
            (f"**/{_WEIGHT}", Spec(law, fan=fan, fallback=True)),
        ]
    )


def mixtral(layout: Layout = "io") -> Rules:
    """Return Mixtral's rules: N(0, 0.02^2).

    Experts are stacked along the first axis, gate and up fused, or each is apart, as in
    Mistral's and Hugging Face's files.

    Args:
        layout: Of the matrices.

    References:
        Jiang et al., "Mixtral of experts", 2024; Hugging Face transformers,
        `MixtralPreTrainedModel._init_weights` with `initializer_range=0.02`.
    """
    law, fan = RandomNormal(stddev=0.02), _matrix("mixtral", layout)
    gate_up = Fan.experts(0, of=Fan.fused(("gate", "up"), axis=_out(layout), of=fan))
    stacked = Fan.experts(0, of=fan)
    return Rules(
        [
            _NORM,
            (f"**/*[eE]mbed*/{_TABLE}", Spec(law, fan=Fan.embedding())),
            (
                "**/experts/gate_up_proj{/kernel,}",
                Spec(law, fan=gate_up, optional=True),
            ),
            ("**/experts/*{/kernel,}", Spec(law, fan=stacked, optional=True)),
            (f"**/{_WEIGHT}", Spec(law, fan=fan, fallback=True)),
        ]
    )


def _heads(law: Any) -> list[tuple[str, Spec]]:
    """Return rules for (inputs, heads, features) and (heads, features, outputs)."""
    return [
        ("**/{query,key,value}/kernel", Spec(law, fan=Fan.dense_general(1, 2))),
        ("**/out/kernel", Spec(law, fan=Fan.dense_general(2, 1))),
    ]


def _matrix(name: str, layout: str) -> Fan:
    if layout not in ("io", "oi"):
        raise ValueError(
            f"recipes.{name}: layout must be 'io' or 'oi', got {layout!r}."
        )
    return Fan.layout(layout)


def _conv(layout: str) -> Fan:
    return Fan.conv(layout="HWIO" if layout == "io" else "OIHW")


def _out(layout: str) -> int:
    return 1 if layout == "io" else 0
