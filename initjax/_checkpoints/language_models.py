"""The tensors of language models in Hugging Face's files."""

from __future__ import annotations

from collections.abc import Iterator

from .._errors import Refused, shown
from .configs import Config, Row, layers, linear, norm, under, weight


def gpt2(c: Config) -> Iterator[Row]:
    """Yield GPT-2's tensors; its matrices are (inputs, outputs)."""
    d = c.size("n_embd", 768)
    inner = c.size("n_inner", 4 * d)
    yield from weight("wte", c.size("vocab_size", 50257), d)
    yield from weight("wpe", c.size("n_positions", 1024), d)
    layer = [
        *norm("ln_1", d),
        *_conv1d("attn.c_attn", d, 3 * d),
        *_conv1d("attn.c_proj", d, d),
        *norm("ln_2", d),
        *_conv1d("mlp.c_fc", d, inner),
        *_conv1d("mlp.c_proj", inner, d),
    ]
    yield from layers("h", c.size("n_layer", 12), layer)
    yield from norm("ln_f", d)


def _conv1d(name: str, inputs: int, outputs: int) -> Iterator[Row]:
    yield f"{name}.weight", (inputs, outputs)
    yield f"{name}.bias", (outputs,)


def gpt2_head(c: Config) -> Iterator[Row]:
    """Yield GPT-2's head where it is none of the embedding."""
    if not c.flag("tie_word_embeddings", True):
        yield from weight("lm_head", c.size("vocab_size", 50257), c.size("n_embd", 768))


def llama(c: Config) -> Iterator[Row]:
    """Yield Llama's tensors."""
    d, inner = c.size("hidden_size", 4096), c.size("intermediate_size", 11008)
    bias = c.flag("mlp_bias", False)
    mlp = [
        *linear("mlp.gate_proj", d, inner, bias),
        *linear("mlp.up_proj", d, inner, bias),
        *linear("mlp.down_proj", inner, d, bias),
    ]
    heads = c.size("num_attention_heads", 32)
    yield from _decoder(c, mlp, heads, c.flag("attention_bias", False))


def mixtral(c: Config) -> Iterator[Row]:
    """Yield Mixtral's tensors, those of each expert apart."""
    d, inner = c.size("hidden_size", 4096), c.size("intermediate_size", 14336)
    experts = c.size("num_local_experts", 8)
    expert = [*weight("w1", inner, d), *weight("w2", d, inner), *weight("w3", inner, d)]
    parts = [*weight("gate", experts, d), *layers("experts", experts, expert)]
    yield from _decoder(c, [*under("block_sparse_moe", parts)], 8, False)


def _decoder(c: Config, mlp: list[Row], groups: int, bias: bool) -> Iterator[Row]:
    """Yield a decoder's tensors around its MLPs; `groups` are the heads of keys."""
    d = c.size("hidden_size", 4096)
    heads = c.size("num_attention_heads", 32)
    width = c.get("head_dim") and c.size("head_dim", 1)
    width = width or c.share("hidden_size", "num_attention_heads", (4096, 32))
    kv = c.size("num_key_value_heads", groups) * width
    yield from weight("embed_tokens", c.size("vocab_size", 32000), d)
    layer = [
        *linear("self_attn.q_proj", d, heads * width, bias),
        *linear("self_attn.k_proj", d, kv, bias),
        *linear("self_attn.v_proj", d, kv, bias),
        *linear("self_attn.o_proj", heads * width, d, bias),
        *mlp,
        *weight("input_layernorm", d),
        *weight("post_attention_layernorm", d),
    ]
    yield from layers("layers", c.size("num_hidden_layers", 32), layer)
    yield from weight("norm", d)


def decoder_head(c: Config) -> Iterator[Row]:
    """Yield the head of Llama and Mixtral where it is none of the embedding."""
    if not c.flag("tie_word_embeddings", False):
        d = c.size("hidden_size", 4096)
        yield from weight("lm_head", c.size("vocab_size", 32000), d)


def bert(c: Config) -> Iterator[Row]:
    """Yield BERT's tensors without the pooler."""
    d, inner = c.size("hidden_size", 768), c.size("intermediate_size", 3072)
    tables = {
        "word": c.size("vocab_size", 30522),
        "position": c.size("max_position_embeddings", 512),
        "token_type": c.size("type_vocab_size", 2),
    }
    for name, rows in tables.items():
        yield from weight(f"embeddings.{name}_embeddings", rows, d)
    yield from norm("embeddings.LayerNorm", d)
    layer = [
        *linear("attention.self.query", d, d),
        *linear("attention.self.key", d, d),
        *linear("attention.self.value", d, d),
        *linear("attention.output.dense", d, d),
        *norm("attention.output.LayerNorm", d),
        *linear("intermediate.dense", d, inner),
        *linear("output.dense", inner, d),
        *norm("output.LayerNorm", d),
    ]
    yield from layers("encoder.layer", c.size("num_hidden_layers", 12), layer)


def bert_pooled(c: Config) -> Iterator[Row]:
    """Yield BERT's tensors with the pooler."""
    d = c.size("hidden_size", 768)
    yield from bert(c)
    yield from linear("pooler.dense", d, d)


def bert_words(c: Config) -> Iterator[Row]:
    """Yield the head that predicts words."""
    d, words = c.size("hidden_size", 768), c.size("vocab_size", 30522)
    yield from under("cls.predictions.transform", linear("dense", d, d))
    yield from norm("cls.predictions.transform.LayerNorm", d)
    yield "cls.predictions.bias", (words,)
    if not c.flag("tie_word_embeddings", True):
        yield from weight("cls.predictions.decoder", words, d)


def bert_next(c: Config) -> Iterator[Row]:
    """Yield the head that predicts whether a sentence follows."""
    yield from linear("cls.seq_relationship", c.size("hidden_size", 768), 2)


def bert_classes(c: Config) -> Iterator[Row]:
    """Yield a classifier."""
    yield from linear("classifier", c.size("hidden_size", 768), c.labels)


def t5(c: Config) -> Iterator[Row]:
    """Yield T5's tensors."""
    many = c.size("num_layers", 6)
    yield from t5_encoder(c)
    yield from _stack(c, "decoder", c.size("num_decoder_layers", many), crossed=True)


def t5_encoder(c: Config) -> Iterator[Row]:
    """Yield the tensors of T5's encoder and embedding."""
    yield from weight("shared", c.size("vocab_size", 32128), c.size("d_model", 512))
    yield from _stack(c, "encoder", c.size("num_layers", 6), crossed=False)


def t5_head(c: Config) -> Iterator[Row]:
    """Yield T5's head where it is none of the embedding."""
    if not c.flag("tie_word_embeddings", True):
        sizes = c.size("vocab_size", 32128), c.size("d_model", 512)
        yield from weight("lm_head", *sizes)


def _stack(c: Config, name: str, many: int, crossed: bool) -> Iterator[Row]:
    d, inner, heads = (
        c.size("d_model", 512),
        c.size("d_ff", 2048),
        c.size("num_heads", 8),
    )
    act = c.get("feed_forward_proj", "relu")
    if not isinstance(act, str):
        raise Refused(f"feed_forward_proj must be a str, got {shown(act)}.")
    wide = ("wi_0", "wi_1") if act.startswith("gated-") else ("wi",)
    hidden = heads * c.size("d_kv", 64)
    mlp = [row for x in wide for row in weight(f"DenseReluDense.{x}", inner, d)]
    parts = [
        _attention("SelfAttention", d, hidden),
        *([_attention("EncDecAttention", d, hidden)] if crossed else []),
        [*mlp, *weight("DenseReluDense.wo", d, inner)],
    ]
    block = [
        row
        for i, part in enumerate(parts)
        for row in under(f"layer.{i}", [*part, *weight("layer_norm", d)])
    ]
    yield from layers(f"{name}.block", many, block)
    bias = f"{name}.block.0.layer.0.SelfAttention.relative_attention_bias"
    yield from weight(bias, c.size("relative_attention_num_buckets", 32), heads)
    yield from weight(f"{name}.final_layer_norm", d)


def _attention(name: str, d: int, hidden: int) -> list[Row]:
    rows = [row for x in "qkv" for row in weight(f"{name}.{x}", hidden, d)]
    return [*rows, *weight(f"{name}.o", d, hidden)]
