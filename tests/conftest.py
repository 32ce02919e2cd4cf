"""The strictest JAX there is, on eight simulated CPU devices."""

import os

# read when JAX's backend starts and when keras is imported, so set before both
os.environ["JAX_PLATFORMS"] = os.environ.get("INITJAX_PLATFORM", "cpu")
os.environ["KERAS_BACKEND"] = "jax"
os.environ["XLA_FLAGS"] = " ".join(
    [
        os.environ.get("XLA_FLAGS", ""),
        "--xla_force_host_platform_device_count=8",
        "--xla_cpu_parallel_codegen_split_count=1",  # workers compile side by side
    ]
)

import jax
import pytest

from initjax._core.names import REGISTERED

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_debug_key_reuse", True)


@pytest.fixture
def key():
    """The root key: one per test, and using it twice is an error."""
    return jax.random.key(20_260_101)


@pytest.fixture
def as_frameworks_expect():
    """Frameworks mix dtypes and ranks; the checker of keys needs programs whole."""
    with (
        jax.debug_key_reuse(False),
        jax.numpy_dtype_promotion("standard"),
        jax.numpy_rank_promotion("allow"),
    ):
        yield


@pytest.fixture
def registry():
    """Nothing is registered at the start, and afterwards what was before."""
    before = {**REGISTERED}
    REGISTERED.clear()
    yield
    REGISTERED.clear()
    REGISTERED.update(before)
