"""Laws and rules in Hydra, Fiddle, ml_collections, YAML and JSON."""

import json
import typing

import fiddle as fdl
import flax.linen as nn
import hydra
import jax
import jax.numpy as jnp
import omegaconf
import pytest
import yaml
from cases import CASES
from fiddle import printing, selectors
from fiddle.experimental import serialization
from hydra.utils import instantiate
from ml_collections import ConfigDict, FrozenConfigDict
from ml_collections.config_dict import placeholder
from omegaconf import OmegaConf
from tools import assert_same_bits, root

import initjax as ij
from initjax import Fan, Spec

TREE = {
    "q": {"kernel": jax.ShapeDtypeStruct((4, 2, 3), jnp.float32)},
    "out": {
        "kernel": jax.ShapeDtypeStruct((6, 4), jnp.float32),
        "bias": jax.ShapeDtypeStruct((4,), jnp.float32),
    },
}
RULES = ij.Rules(
    [
        ("**/bias", "zeros"),
        ("q/**", Spec("he_normal", fan=Fan.dense_general(1, 2), stream=("old", 0))),
        ("**", ij.scaled(ij.GlorotUniform(seed=("a", 1)), 0.5)),
    ]
)


def of_yaml(text):
    """What Hydra makes of a file."""
    return instantiate(OmegaConf.create(text))


# -- Hydra -----------------------------------------------------------------------------

LAWS = {
    "_target_: initjax.HeNormal": ij.HeNormal(),
    "{_target_: initjax.RandomNormal, stddev: 1e-2}": ij.RandomNormal(stddev=0.01),
    "{_target_: initjax.HeNormal, seed: [enc, [q, 0]]}": ij.HeNormal(
        seed=("enc", ("q", 0))
    ),
    "{_target_: initjax.HeNormal, fan: [3, 4]}": ij.HeNormal(fan=(3, 4)),
    "{_target_: initjax.HeNormal, in_axis: [0, 1], out_axis: 2}": ij.HeNormal(
        in_axis=(0, 1), out_axis=2
    ),
    "{_target_: initjax.HeNormal, fan: {_target_: initjax.Fan.einsum,"
    " subscripts: 'btd,dhk->bthk'}}": ij.HeNormal(fan=Fan.einsum("btd,dhk->bthk")),
    "{_target_: initjax.HeNormal, fan: {_target_: initjax.Fan.fused,"
    " parts: {q: 4, k: 2}, axis: 0}}": ij.HeNormal(fan=Fan.fused({"q": 4, "k": 2}, 0)),
    "{_target_: initjax.HeNormal, fan: {_target_: initjax.Fan.fused,"
    " parts: [[q, 4], [k, 2]]}}": ij.HeNormal(fan=Fan.fused([("q", 4), ("k", 2)])),
    "{_target_: initjax.scaled, by: 0.5, initializer: {_target_: initjax.HeNormal}}": (
        ij.scaled("he_normal", 0.5)
    ),
    "{_target_: initjax.per_layer, initializer: ones, scales: [1, 2]}": ij.per_layer(
        "ones", [1, 2]
    ),
    "{_target_: initjax.per_part, initializer: ones, parts: {f: zeros}}": ij.per_part(
        "ones", {"f": "zeros"}
    ),
    "{_target_: initjax.with_row, initializer: ones, index: [0, 2]}": ij.with_row(
        "ones", [0, 2]
    ),
    "{_target_: initjax.Sum, initializers: [he_normal, 1]}": ij.Sum(["he_normal", 1]),
    "{_target_: initjax.Sum, _convert_: all, initializers:"
    " [{_target_: initjax.HeNormal, seed: [a, 1]}, 1]}": ij.Sum(
        [ij.HeNormal(seed=("a", 1)), 1]
    ),
    "{_target_: initjax.Constant, value: [[1, 2], [3, 4]]}": ij.Constant(
        [[1, 2], [3, 4]]
    ),
    "{_target_: initjax.get, identifier: {class_name: HeNormal,"
    " config: {seed: [a, 1]}}}": ij.HeNormal(seed=("a", 1)),
}


@pytest.mark.parametrize(("text", "law"), LAWS.items(), ids=str)
def test_hydra_makes_a_law(text, law):
    assert of_yaml(text) == law


def test_hydra_overrides_and_partials(tmp_path):
    (tmp_path / "train.yaml").write_text(
        "init: {_target_: initjax.RandomNormal, stddev: 0.02}\n"
        "later: {_target_: initjax.RandomNormal, _partial_: true}\n"
        "layer: {_target_: flax.linen.Dense, features: 4, kernel_init: '${init}'}\n"
    )
    with hydra.initialize_config_dir(str(tmp_path), version_base=None):
        cfg = hydra.compose("train", overrides=["init.stddev=0.1", "+init.seed=[a,1]"])
    made = instantiate(cfg, _convert_="all")
    law = ij.RandomNormal(stddev=0.1, seed=("a", 1))
    assert made["init"] == made["layer"].kernel_init == law
    assert isinstance(made["layer"], nn.Dense)
    assert made["later"](stddev=3) == ij.RandomNormal(stddev=3)


RULE_FILES = {
    # names and saved laws, in lists as they are
    "_target_: initjax.Rules\n"
    "default: ones\n"
    "rules:\n"
    "- ['**/bias', zeros]\n"
    "- ['**/kernel', {class_name: HeNormal, config: {seed: [a, 1]}}]\n": ij.Rules(
        [("**/bias", "zeros"), ("**/kernel", ij.HeNormal(seed=("a", 1)))], "ones"
    ),
    # objects in lists
    "_target_: initjax.Rules\n"
    "_convert_: all\n"
    "rules:\n"
    "- ['**/bias', {_target_: initjax.Zeros}]\n"
    "- - '**/kernel'\n"
    "  - {_target_: initjax.Spec, initializer: he_normal, stream: [a, 0]}\n": (
        ij.Rules(
            [
                ("**/bias", "zeros"),
                ("**/kernel", Spec("he_normal", stream=("a", 0))),
            ]
        )
    ),
}


@pytest.mark.parametrize(("text", "rules"), RULE_FILES.items(), ids=["data", "objects"])
def test_hydra_makes_rules(text, rules):
    assert of_yaml(text) == rules


def test_objects_in_hydras_lists_need_convert():
    """Hydra would take a law in a list for a config of its own; nothing is silent."""
    for law in ("initjax.HeNormal", "initjax.Zeros"):
        text = f"{{_target_: initjax.Sum, initializers: [{{_target_: {law}}}]}}"
        with pytest.raises(
            (omegaconf.errors.ConfigValueError, hydra.errors.InstantiationException),
            match=r"Unions of containers are not supported|needs a class_name",
        ):
            of_yaml(text)


# -- Fiddle ----------------------------------------------------------------------------


class Final(fdl.Tag):
    """The laws of final layers."""


def test_fiddle_builds_edits_and_prints():
    cfg = fdl.Config(
        ij.Rules,
        [
            ("**/bias", ij.Zeros()),
            ("q/**", fdl.Config(ij.HeNormal, fan=fdl.Config(Fan.dense_general, 1, 2))),
            ("**", fdl.Config(ij.scaled, fdl.Config(ij.HeNormal), by=1.0)),
        ],
    )
    last = cfg.rules[-1][1]
    fdl.add_tag(last, "by", Final)
    fdl.set_tagged(cfg, tag=Final, value=0.5)
    selectors.select(cfg, ij.HeNormal).set(seed=["a", 1])
    he = ij.HeNormal(seed=("a", 1))
    assert fdl.build(cfg) == ij.Rules(
        [
            ("**/bias", "zeros"),
            ("q/**", Spec(he, fan=Fan.dense_general(1, 2)).law),
            ("**", ij.scaled(he, 0.5)),
        ]
    )
    lines = printing.as_str_flattened(cfg).splitlines()
    assert "rules[2][1].by: Any = 0.5 #test_configs.Final" in lines


def test_fiddle_casts_partials_and_saves():
    partial = fdl.Partial(ij.RandomNormal, stddev=0.1)
    assert fdl.build(partial)(seed=1) == ij.RandomNormal(stddev=0.1, seed=1)
    cfg = fdl.cast(fdl.Config, partial)
    assert fdl.build(cfg) == ij.RandomNormal(stddev=0.1)
    again = serialization.load_json(serialization.dump_json(cfg))
    assert fdl.build(again) == fdl.build(cfg)


# -- ml_collections --------------------------------------------------------------------


def test_config_dicts_hold_laws():
    cfg = ConfigDict({"init": ij.HeNormal(), "width": 64})
    cfg.std = placeholder(float)
    cfg.half = cfg.get_ref("std") / 2
    cfg.std = 0.5
    assert ij.RandomNormal(stddev=cfg.half) == ij.RandomNormal(stddev=0.25)
    frozen = FrozenConfigDict(cfg)
    assert frozen.init is cfg.init
    assert hash(frozen) == hash(FrozenConfigDict(frozen))
    cfg.init = ij.GlorotUniform(seed=("a", 1))
    assert frozen.init == ij.HeNormal()
    # the fields of a law, to look at
    assert json.loads(cfg.to_json_best_effort())["init"]["seed"] == ["a", 1]


@pytest.mark.parametrize("kind", [ConfigDict, FrozenConfigDict])
def test_config_dicts_are_configs(kind):
    law = ij.scaled(ij.HeNormal(seed=("a", 1), fan=Fan.fused({"q": 4, "k": 2})), 0.5)
    cfg = kind({"init": ij.serialize(law), "parts": {"q": 4, "k": 2}, "seed": ["a", 1]})
    assert ij.get(cfg.init) == ij.deserialize(cfg.init) == law
    assert ij.Scaled.from_config(cfg.init.config) == law
    assert ij.HeNormal(seed=cfg.seed) == ij.HeNormal(seed=("a", 1))
    with pytest.raises(TypeError, match="parts must be lengths, names, a dict of both"):
        Fan.fused(cfg.parts)  # sorted by name, and order decides


def test_config_dicts_are_rules():
    assert ij.Rules.from_config(ConfigDict(RULES.get_config())) == RULES
    cfg = ConfigDict({"rules": (("**/bias", "zeros"), ("**", ij.HeNormal()))})
    assert ij.Rules(FrozenConfigDict(cfg).rules) == ij.Rules(cfg.rules)


# -- YAML and JSON ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "read", [yaml.safe_load, OmegaConf.create], ids=["yaml", "omega"]
)
def test_rules_go_through_yaml(read):
    text = yaml.safe_dump(RULES.get_config())
    rules = ij.Rules.from_config(read(text))
    assert rules == RULES
    assert ij.plan(rules, TREE).fingerprint == ij.plan(RULES, TREE).fingerprint
    made = ij.init_tree(rules, TREE, root(), only="out/kernel")["out"]["kernel"]
    key = ij.fold_in_path(root(), "out", "kernel")
    law = ij.scaled(ij.GlorotUniform(seed=("a", 1)), 0.5)
    assert_same_bits(made, law(key, (6, 4)))


def test_rules_go_through_json():
    assert ij.Rules.from_config(json.loads(json.dumps(RULES.get_config()))) == RULES


def test_every_law_goes_through_yaml():
    for case in CASES:
        config = ij.serialize(case.init)
        assert ij.get(yaml.safe_load(yaml.safe_dump(config))) == case.init, case


def test_annotations_of_laws_are_readable():
    """What reads them: Fiddle, jaxtyping, pydantic, structured configs."""
    for kind in {type(case.init) for case in CASES}:
        assert "dtype" in typing.get_type_hints(kind)
