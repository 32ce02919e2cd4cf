"""What all adapters share: leaves that know their fans, and frameworks not there."""

import subprocess
import sys

import jax.numpy as jnp
import pytest
from flax import nnx
from jax import ShapeDtypeStruct
from tools import assert_refused, assert_same_bits, root

import initjax as ij
from initjax import Fan, Rules, Spec, Weight

EXTRAS = {
    **{"linen": "flax", "nnx": "flax", "equinox": "equinox", "haiku": "haiku"},
    **{"keras": "keras", "orbax": "orbax", "safetensors": "safetensors"},
}

MISSING = """
import sys
for package in {packages}:
    sys.modules[package] = None
import initjax as ij
for name in ij.adapters.__all__:
    try:
        getattr(ij.adapters, name)
    except ImportError as error:
        print(error)
"""


def test_a_missing_framework_is_one_line_that_says_what_to_install():
    code = MISSING.format(packages=sorted(set(EXTRAS.values())))
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == [
        f"initjax.adapters.{name} needs {EXTRAS[name]}; "
        f"pip install 'initjax[{EXTRAS[name]}]'"
        for name in sorted(EXTRAS)
    ]


def test_no_other_adapter():
    assert_refused(
        lambda: ij.adapters.torch,
        AttributeError,
        "module 'initjax.adapters' has no attribute 'torch'",
    )


# -- leaves that know how their layer uses them ----------------------------------

OI = Fan.layout("oi")
KERNEL = Weight((8, 32), jnp.float32, OI)  # 32 inputs, 8 outputs


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("lecun_normal", ij.LecunNormal(fan=OI)),
        (ij.LecunNormal(fan=4), ij.LecunNormal(fan=4)),
        (Spec("lecun_normal", fan=4), ij.LecunNormal(fan=4)),
        (
            ij.HeNormal(in_axis=0, out_axis=1),
            ij.HeNormal(in_axis=0, out_axis=1),
        ),
        (ij.scaled("lecun_normal", 2), ij.scaled(ij.LecunNormal(fan=OI), 2)),
        (
            ij.scaled(ij.LecunNormal(fan=4), 2),
            ij.scaled(ij.LecunNormal(fan=4), 2),
        ),
        (
            ij.LecunNormal(fan=4) + ij.Zeros(),
            ij.LecunNormal(fan=4) + ij.Zeros(),
        ),
        ("orthogonal", ij.Orthogonal(fan=OI)),
        ("zeros", ij.Zeros()),
    ],
    ids=str,
)
def test_a_leafs_fans_are_those_of_laws_that_declare_none(given, meant):
    rules, tree = ij.Rules([("w", given)]), {"w": KERNEL}
    key = ij.fold_in_path(root(), "w")
    made = ij.init_tree(rules, tree, root())["w"]
    assert_same_bits(made, meant(key, (8, 32)))
    assert ij.plan(rules, tree).rows[0].std == pytest.approx(meant.law((8, 32)).std)


def test_a_weight_is_a_shape_and_its_declaration_is_checked():
    assert isinstance(KERNEL, ShapeDtypeStruct)
    assert (KERNEL.shape, KERNEL.dtype, KERNEL.fan) == ((8, 32), jnp.float32, OI)
    assert_refused(
        lambda: Weight((8, 32), jnp.float32, "io?"),
        ValueError,
        "Weight((8, 32)): must be None, a declaration such as Fan.layout('oi'), 'conv',"
        " a number or a pair of numbers, got 'io?'; did you mean Fan.layout('io?')?",
    )


@pytest.mark.parametrize("make", [ij.recipes.llama, ij.presets.torch.layers])
def test_rules_of_others_give_way_to_what_a_leaf_knows(make):
    """Attention's heads are no window of a convolution; other leaves are as before."""
    heads = Weight((64, 4, 16), jnp.float32, Fan.dense_general(1, 2))
    tree = {
        "query": {"kernel": heads},
        "up": {"kernel": ShapeDtypeStruct((64, 256), jnp.float32)},
        "embed": {"embedding": ShapeDtypeStruct((10, 64), jnp.float32)},
        "norm": {"scale": ShapeDtypeStruct((64,), jnp.float32)},
    }
    plan = ij.plan(make(), tree)
    fans = {row.path: row.fans[0] for row in plan.rows if row.fans}
    assert fans["query/kernel"] == (64, 64)
    assert fans["up/kernel"] == (64, 256)


def test_a_fallback_is_of_a_declaration_and_survives_json():
    rules = Rules([("**", Spec("he_normal", fan=Fan.layout("oi"), fallback=True))])
    assert Rules.from_config(rules.get_config()) == rules
    assert_refused(
        lambda: Spec("ones", fallback=True),
        ValueError,
        "Spec('ones'): fallback=True is of fan=; give one.",
    )


# -- classes as patterns ---------------------------------------------------------


def test_a_class_of_variables_is_a_pattern():
    class Mine(nnx.Param):
        pass

    state = nnx.State(
        {
            "a": nnx.Param(jnp.zeros((2, 3))),
            "b": Mine(jnp.zeros((2, 3))),
            "c": nnx.BatchStat(jnp.zeros((2, 3))),
        }
    )
    rules = ij.Rules([(Mine, "ones"), (nnx.Param, "he_normal"), ("**", "zeros")])
    plan = ij.plan(rules, state)
    assert {row.path: type(row.law) for row in plan.rows} == {
        "a": ij.HeNormal,
        "b": ij.Ones,
        "c": ij.Zeros,
    }
