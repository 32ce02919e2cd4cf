"""Lists of parameters: of trees, and of Hugging Face's configs."""

import json
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import recipe_models
from tools import assert_refused

import initjax as ij
from initjax import Rules
from initjax._checkpoints.hugging_face import manifest_of_config, recipe_of_config

PAGE = Path(__file__).parents[1] / "docs" / "how-to" / "checkpoint-files.md"


def struct(*shape, dtype="float32"):
    return jax.ShapeDtypeStruct(shape, jnp.dtype(dtype))


TREE = {
    "layers": [{"kernel": struct(2, 3, dtype="bfloat16")}, {"kernel": struct(3)}],
    "scale": np.float16(2),
    "name": "a model",
    "dropout": jax.eval_shape(lambda: jax.random.key(0)),
}
MANIFEST = {
    "name": "small",
    "parameters": [
        {"path": "layers.0.kernel", "shape": [2, 3], "dtype": "bfloat16"},
        {"path": "layers.1.kernel", "shape": [3], "dtype": "float32"},
        {"path": "scale", "shape": [], "dtype": "float16"},
    ],
}


# -- of trees ----------------------------------------------------------------------


def test_a_manifest_is_read_back():
    """A plan of it is that of the tree, and it is one of itself."""
    made = json.loads(json.dumps(ij.manifest(TREE, name="small")))
    assert made == MANIFEST
    assert ij.manifest(made, name="small") == MANIFEST
    assert "name" not in ij.manifest(TREE)
    rules = Rules([("**", "random_normal")])
    assert ij.plan(rules, made).fingerprint == ij.plan(rules, TREE).fingerprint


def test_the_documented_schema_is_that_of_manifests():
    """The page's JSON Schema, by hand: what it asks for, and nothing besides."""
    text = re.search(r"```json\n(.*?)```", PAGE.read_text(), re.S)[1]
    schema = json.loads(text)
    row = schema["properties"]["parameters"]["items"]
    assert {*schema["required"]} <= {*MANIFEST} <= {*schema["properties"]}
    for parameter in MANIFEST["parameters"]:
        assert {*row["required"]} == {*parameter} == {*row["properties"]}
        assert re.search(row["properties"]["path"]["pattern"], parameter["path"])
        kinds = {name: row["properties"][name]["type"] for name in parameter}
        assert kinds == {"path": "string", "shape": "array", "dtype": "string"}


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (
            lambda: ij.manifest(TREE, name=3),
            TypeError,
            "manifest: name is a str or None, got 3.",
        ),
        (
            lambda: ij.manifest({"a/b": struct(1), "a": {"b": struct(1)}}),
            ValueError,
            "manifest: two leaves have the path 'a/b': slashes and dots separate "
            "parts; rename one.",
        ),
        (
            lambda: ij.manifest(struct(2)),
            ValueError,
            "manifest: a bare array has no path; give a tree: {'name': array}.",
        ),
        (
            lambda: ij.manifest({"hidden_size": 64}),
            ValueError,
            "manifest: the tree has no leaf with a shape and a dtype, and no "
            "model_type as a config.json has.",
        ),
    ],
)
def test_wrong_trees_are_refused(call, kind, message):
    assert_refused(call, kind, message)


# -- of Hugging Face's configs -----------------------------------------------------

LLAMA_3 = {"model_type": "llama", "vocab_size": 128256, "num_key_value_heads": 8}
PUBLISHED = {
    "gpt2-small": {"model_type": "gpt2"},
    "llama-3-8b": {**LLAMA_3, "intermediate_size": 14336, "torch_dtype": "bfloat16"},
    "llama-3.1-405b": {
        **LLAMA_3,
        **{"hidden_size": 16384, "intermediate_size": 53248, "dtype": "bfloat16"},
        **{"num_hidden_layers": 126, "num_attention_heads": 128},
    },
    "resnet-50": {"model_type": "resnet", "id2label": dict.fromkeys(range(1000))},
}


def sizes(manifest):
    return {row["path"]: (row["shape"], row["dtype"]) for row in manifest["parameters"]}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_models_by_their_configs(name):
    expected = recipe_models.manifest(name)
    made = ij.manifest(PUBLISHED[name])
    assert sizes(made) == sizes(expected)
    assert ij.plan(rules_of(PUBLISHED[name]), made).parameters == expected["total"]


def rules_of(config):
    name, arguments = recipe_of_config(config)
    return getattr(ij.recipes, name)(**arguments)


def test_a_vision_transformer_has_other_names_in_files():
    """Than in transformers 5; the shapes are alike, and so are the laws."""
    config = {"model_type": "vit", "num_labels": 1000}
    published, made = recipe_models.manifest("vit-b-16"), ij.manifest(config)
    plans = [ij.plan(rules_of(config), one) for one in (published, made)]
    first, second = (sorted((r.shape, repr(r.law)) for r in p.rows) for p in plans)
    assert first == second


# parameters and tensors of what transformers 5.24 saves
TOTALS = [
    ({"model_type": "bert", "architectures": ["BertModel"]}, 109_482_240, 199),
    ({"model_type": "bert"}, 109_514_298, 202),
    ({"model_type": "bert", "architectures": ["BertForPreTraining"]}, 110_106_428, 206),
    ({"model_type": "t5"}, 60_506_624, 131),
    ({"model_type": "t5", "architectures": ["T5EncoderModel"]}, 35_330_816, 51),
    (
        {
            **{"model_type": "t5", "feed_forward_proj": "gated-gelu"},
            **{"num_decoder_layers": 1, "tie_word_embeddings": True},
        },
        46_867_456,
        73,
    ),
    (
        {"model_type": "gpt2", "tie_word_embeddings": False, "n_inner": 10},
        106_561_656,
        149,
    ),
    (
        {
            **{"model_type": "llama", "architectures": ["LlamaModel"]},
            **{"attention_bias": True, "mlp_bias": True, "head_dim": 64},
            **{"tie_word_embeddings": True, "num_hidden_layers": 1},
        },
        299_941_376,
        18,
    ),
    (
        {
            **{"model_type": "resnet", "layer_type": "basic"},
            **{"depths": [2, 2], "hidden_sizes": [64, 128]},
        },
        683_330,
        32,
    ),
    (
        {
            **{"model_type": "vit", "architectures": ["ViTModel"]},
            **{"image_size": [32, 64], "patch_size": 8},
            **{"qkv_bias": False, "pooler_output_size": 5},
        },
        85_206_533,
        164,
    ),
    ({"model_type": "mixtral"}, 46_702_792_704, 32 * (2 + 4 + 1 + 24) + 3),
]


@pytest.mark.parametrize(("config", "parameters", "tensors"), TOTALS)
def test_models_of_other_types(config, parameters, tensors):
    plan = ij.plan(rules_of(config), manifest_of_config(config))
    assert (plan.parameters, len(plan.rows)) == (parameters, tensors)


def test_names_and_layouts():
    """GPT-2's matrices are (inputs, outputs), all others (outputs, inputs)."""
    tensors = sizes(manifest_of_config({"model_type": "gpt2"}))
    assert tensors["transformer.h.0.mlp.c_fc.weight"] == ([768, 3072], "float32")
    tensors = sizes(manifest_of_config({"model_type": "mixtral", "dtype": "float16"}))
    experts = "model.layers.31.block_sparse_moe.experts.7"
    assert tensors[f"{experts}.w1.weight"] == ([14336, 4096], "float16")
    assert "lm_head.weight" in tensors
    untied = {"model_type": "t5", "tie_word_embeddings": False}
    assert sizes(ij.manifest(untied))["lm_head.weight"][0] == [32128, 512]
    bert = {"model_type": "bert", "architectures": ["BertForSequenceClassification"]}
    tensors = sizes(manifest_of_config({**bert, "id2label": {"0": "a", "1": "b"}}))
    assert tensors["classifier.weight"] == ([2, 768], "float32")


def reads(**config):
    return lambda: manifest_of_config(config)


TYPES = "gpt2, llama, mixtral, bert, vit, resnet, t5"
REFUSED = [
    (reads(), f"model_type=None is none of {TYPES}."),
    (reads(model_type="mamba"), f"model_type='mamba' is none of {TYPES}."),
    (reads(model_type=["t5"]), f"model_type=['t5'] is none of {TYPES}."),
    (
        reads(model_type="gpt2", architectures=["GPT2DoubleHeadsModel"]),
        "architectures=['GPT2DoubleHeadsModel'] is none of GPT2LMHeadModel, GPT2Model; "
        "give one of them in a list.",
    ),
    (
        reads(model_type="gpt2", n_embd="768"),
        "n_embd must be an int of at least 1, got '768'.",
    ),
    (
        reads(model_type="bert", num_hidden_layers=0),
        "num_hidden_layers must be an int of at least 1, got 0.",
    ),
    (
        reads(model_type="llama", hidden_size=10, num_attention_heads=4),
        "hidden_size=10 must be a multiple of num_attention_heads=4.",
    ),
    (
        reads(model_type="llama", mlp_bias=1),
        "mlp_bias must be true or false, got 1.",
    ),
    (
        reads(model_type="gpt2", add_cross_attention=True),
        "add_cross_attention=True: such tensors are not known.",
    ),
    (
        reads(model_type="llama", quantization_config={"bits": 4}),
        "quantization_config={'bits': 4}: such tensors are not known.",
    ),
    (
        reads(model_type="gpt2", dtype="auto"),
        "dtype='auto' is not a numeric dtype.",
    ),
    (
        reads(model_type="resnet", layer_type="deep"),
        "layer_type must be basic or bottleneck, got 'deep'.",
    ),
    (
        reads(model_type="resnet", depths=[1]),
        "hidden_sizes=[256, 512, 1024, 2048] and depths=[1] must be of one length.",
    ),
    (
        reads(model_type="resnet", hidden_sizes=7),
        "hidden_sizes must be a list of sizes, got 7.",
    ),
    (
        reads(model_type="vit", patch_size=[1, 2, 3]),
        "patch_size must be one size or two, got [1, 2, 3].",
    ),
    (
        reads(model_type="t5", feed_forward_proj=1),
        "feed_forward_proj must be a str, got 1.",
    ),
]


@pytest.mark.parametrize(("call", "message"), REFUSED)
def test_wrong_configs_are_refused(call, message):
    assert_refused(call, ValueError, f"manifest: {message}")


def test_what_is_no_config_and_what_no_recipe_scales_by():
    assert_refused(
        lambda: manifest_of_config([1]),
        TypeError,
        "manifest: the config is a dict, as config.json has it, got list.",
    )
    assert_refused(
        lambda: recipe_of_config({"model_type": "llama", "initializer_range": 0.01}),
        ValueError,
        "recipe_of_config: initializer_range=0.01, and recipes.llama has 0.02; write "
        "rules of your own.",
    )
