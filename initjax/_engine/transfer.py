"""Bring arrays from the host to where they are wanted."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Sharding


def no_mesh() -> contextlib.AbstractContextManager[Any]:
    """Put the mesh in use aside: one device does the work."""
    if jax.sharding.get_abstract_mesh().empty:
        return contextlib.nullcontext()
    return jax.set_mesh(None)


def moved(x: Any, sharding: Sharding | None) -> jax.Array:
    """Place an array that every process has computed for itself."""
    if sharding is None or sharding.is_fully_addressable:
        return jax.device_put(x, sharding)
    whole = np.asarray(jax.device_get(x))
    with jax.transfer_guard_host_to_device("allow"):  # explicit, but not to the guard
        return jax.make_array_from_callback(
            whole.shape, sharding, lambda index: whole[index]
        )


def put(executable: Any, leaves: Sequence[Any]) -> Sequence[Any]:
    """Return what a program takes: under a guard of transfers, on its devices."""
    # a program takes the host's arrays in a tenth of the time of an explicit transfer
    guard = jax.config.jax_transfer_guard_host_to_device  # pyright: ignore[reportAttributeAccessIssue]  # flags are set at run time
    if guard in (None, "allow"):
        return leaves
    return [
        leaf if isinstance(leaf, jax.Array) else moved(leaf, sharding)
        for leaf, sharding in zip(leaves, executable.input_shardings[0], strict=True)
    ]
