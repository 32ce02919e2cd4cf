"""What is compiled is lowered for every platform."""

import jax
import jax.numpy as jnp
import pytest
from cases import CASES
from jax import export
from tools import root

import initjax as ij
from initjax._engine.program import function_of

PLATFORMS = ("cpu", "cuda", "rocm", "tpu")


def lowered(fun, *args):
    """The types of what a function returns, after it is lowered for all platforms."""
    made = export.export(fun, platforms=PLATFORMS)(*args)
    assert made.platforms == PLATFORMS
    return made.out_avals


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_law_is_lowered_for_all_platforms(case):
    (x,) = lowered(jax.jit(lambda key: case.init(key, case.shape)), root())
    assert x.shape == case.shape


def init(key):
    """Make weights of several laws, of both generators' keys, and in a loop."""
    normal, cut, square, scanned = jax.random.split(key, 4)
    kernel = jax.nn.initializers.lecun_normal()
    layers = jax.lax.map(lambda k: kernel(k, (8, 8)), jax.random.split(scanned, 3))
    return {
        "normal": jax.random.normal(normal, (16, 8)) * 0.02,
        "cut": kernel(cut, (16, 8), jnp.bfloat16),
        "square": jax.nn.initializers.orthogonal()(square, (8, 8)),
        "layers": layers,
        "ones": jnp.ones(8),
        "ours": ij.Orthogonal(fan=ij.Fan.stacked())(square, (3, 8, 8)),
    }


def test_what_jit_init_compiles_is_lowered_for_accelerators(as_frameworks_expect):
    jitted = ij.jit_init(init)
    programs = jitted._trace((root(),), {}).engine.programs
    assert len(programs) == 6
    assert {program.fuses for program in programs} == {True, False}
    for program in programs:
        run = jax.jit(function_of(program.piece, program.fuses))
        assert len(lowered(run, *program.takes)) == 1
    assert len(lowered(jitted, root())) == 6


def test_what_init_tree_draws_is_lowered_for_accelerators():
    rules = ij.Rules([("*/bias", "zeros"), ("*/kernel", "he_normal")])
    layer = {
        "kernel": jax.ShapeDtypeStruct((8, 8), "float32"),
        "bias": jax.ShapeDtypeStruct((8,), "float32"),
    }
    make = jax.jit(lambda key: ij.init_tree(rules, {"a": layer, "b": layer}, key))
    assert [x.shape for x in lowered(make, root())] == [(8,), (8, 8)] * 2
