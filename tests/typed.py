"""A user's own code, checked by pyright in strict mode; `test_typing.py` runs it."""
# pyright: strict, reportUnknownMemberType=true, reportUnknownArgumentType=true
# pyright: reportUnknownVariableType=true, reportUnknownLambdaType=true

from __future__ import annotations

from dataclasses import dataclass, field

import jax
import jax.numpy as jnp

import initjax as ij
from initjax.typing import BoundInitFn, FanLike, InitFn, InitLike, Key, PatternLike


def ones_own(key: Key, shape: tuple[int, ...], dtype: type = float) -> jax.Array:
    """Draw as one likes."""
    return jax.random.exponential(key, shape, dtype)


@dataclass
class Dense:
    """A layer whose fields are initializers."""

    features: int
    kernel_init: InitFn = field(default_factory=ij.HeNormal)
    bias_init: InitFn = field(default_factory=ij.Zeros)

    def init(self, key: Key, inputs: int) -> dict[str, jax.Array]:
        """Return the weights."""
        one, two = jax.random.split(key)
        return {
            "kernel": self.kernel_init(one, (inputs, self.features)),
            "bias": self.bias_init(two, (self.features,), jnp.float32),
        }


def variable(init: BoundInitFn) -> jax.Array:
    """Make a weight as Keras and Haiku do."""
    return init((2, 3), jnp.float32)


def rules(kernel: InitLike, pattern: PatternLike, fan: FanLike) -> ij.Rules:
    """Return rules."""
    return ij.Rules([(pattern, ij.Spec(kernel, fan=fan))])


def main(key: Key) -> dict[str, dict[str, jax.Array]]:
    """Use what a model uses."""
    laws: list[InitFn] = [
        ij.HeNormal(),
        0.5 * ij.Identity() + ij.RandomNormal(stddev=0.01),
        ij.nn.lecun_normal(),
        ij.presets.torch.kaiming_uniform(),
        jax.nn.initializers.zeros,
        jax.nn.initializers.he_normal(),
        ones_own,
        ij.clone_initializer(ij.HeNormal(), "encoder"),
    ]
    keys = jax.random.split(key, len(laws) + 3)
    model = {
        str(i): Dense(4, law).init(k, 4)
        for i, (law, k) in enumerate(zip(laws, keys, strict=False))
    }
    model["bound"] = {"kernel": variable(ij.HeNormal().bind(keys[-1]))}
    std: float = ij.HeNormal().law((4, 4)).std
    shapes = {"a": ij.Weight((4, 4), jnp.float32, fan="conv")}
    plan: ij.TreePlan = ij.plan(rules(ij.HeNormal(), "a", 4), shapes)
    model["tree"] = ij.init_tree(rules("he_normal", "a", None), shapes, keys[-2])
    made: dict[str, jax.Array] = ij.jit_init(Dense(4).init, static_argnums=1)(
        keys[-3], 4
    )
    assert std > 0
    assert len(plan.rows) == 1
    return model | {"made": made}
