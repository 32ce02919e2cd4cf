"""What `jit_init` may be told, read as `jax.jit` reads it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from jax.sharding import PartitionSpec, Sharding

# what jax.jit takes besides, and what to do here
_ELSEWHERE = {
    "in_shardings": "place the arguments with jax.device_put",
    "donate_argnums": "keys are read on the host, so nothing is donated; leave it out",
    "donate_argnames": "keys are read on the host, so nothing is donated; leave it out",
    "device": "give out_shardings, such as SingleDeviceSharding(device)",
    "backend": "give out_shardings, such as SingleDeviceSharding(device)",
    "keep_unused": "what is not used is dropped; leave it out",
    "inline": "within jax.jit it is always inlined; leave it out",
    "abstracted_axes": "shapes are static here; leave it out",
    "compiler_options": "use jax.jit, or set XLA_FLAGS",
}


def check_options(options: Mapping[str, Any]) -> None:
    """Refuse options of `jax.jit` that have no place here, and say what to do."""
    for name in options:
        if name not in _ELSEWHERE:
            raise TypeError(f"jit_init({name}=...): jax.jit has no such option either.")
        raise TypeError(f"jit_init({name}=...): {_ELSEWHERE[name]}.")


def listed(x: Any) -> tuple[Any, ...]:
    """Return one option, or several, as a tuple."""
    return (x,) if isinstance(x, (int, str)) else tuple(x)


def static_places(
    fun: Callable[..., Any], numbers: tuple[int, ...], names: tuple[str, ...]
) -> tuple[set[int], set[str]]:
    """Return the static arguments by place and by name.

    As `jax.jit` does: where only one is given, the other follows from the signature.
    """
    try:
        parameters = list(inspect.signature(fun).parameters.values())
    except (ValueError, TypeError):
        return set(numbers), set(names)
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    listed = [p.name for p in parameters if p.kind in kinds]
    numbers = tuple(i + len(listed) if i < 0 else i for i in numbers)
    if not names:
        return set(numbers), {listed[i] for i in numbers if i < len(listed)}
    if not numbers:
        return {i for i, name in enumerate(listed) if name in names}, set(names)
    return set(numbers), set(names)


def is_placement(x: Any) -> bool:
    """Tell a sharding from a layout."""
    return isinstance(x, (Sharding, PartitionSpec))
