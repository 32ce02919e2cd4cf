"""Annotations of users: pyright checks `typed.py`, and here it runs."""

import inspect

import jax
import pytest
import typed
from jaxtyping import Array, Float, jaxtyped

import initjax as ij
import initjax.typing


def test_a_users_annotated_code_runs(key, as_frameworks_expect):
    model = typed.main(key)
    assert {name: w.shape for name, w in model["tree"].items()} == {"a": (4, 4)}
    assert len(model) == 11


@pytest.mark.parametrize("law", [ij.HeNormal(), ij.Zeros(), ij.nn.normal()], ids=str)
def test_what_a_law_returns_fits_jaxtyping(law, key):
    @jaxtyped(typechecker=None)
    def layer(key):
        assert isinstance(law(key, (8, 4)), Float[Array, "inputs outputs"])
        assert isinstance(law(key, (8, 4), "bfloat16"), Float[Array, "inputs outputs"])
        return law(key, (8,))

    with jax.debug_key_reuse(False):
        assert not isinstance(layer(key), Float[Array, "inputs outputs"])


def test_a_law_has_the_signature_of_the_protocol():
    names = list(inspect.signature(ij.HeNormal()).parameters)
    assert names == ["key", "shape", "dtype", "out_sharding"]
    protocol = inspect.signature(ij.typing.InitFn.__call__)
    assert list(protocol.parameters)[1:] == names[:3]
