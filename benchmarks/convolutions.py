"""The convolutional networks of benchmarks/setup.py, in JAX's frameworks."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from networks import Init, Size

CLASSES, IMAGE = 1000, (1, 64, 64, 3)
RESNET50 = (3, 4, 6, 3)
# MobileNet-V2's rows: expansion, channels, blocks, stride
MOBILENET = (
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2),
    (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1),
)  # fmt: skip
MOBILENET_LAYERS, MOBILENET_WIDTH = 53, 1280


def bottlenecks(size: Size) -> Sequence[int]:
    """Return a ResNet's blocks in every group."""
    return RESNET50 if size.layers == 50 else (1, 1, 1, 1)


def inverted(size: Size) -> tuple[int, list[tuple[int, int, int]], int]:
    """Return a MobileNet's first width, its blocks and its last width.

    A block has an expansion, channels and a stride.
    """

    def width(channels: int) -> int:
        return channels * size.d // MOBILENET_WIDTH

    deep = size.layers == MOBILENET_LAYERS
    blocks = [
        (expand, width(channels), 1 if i else stride)
        for expand, channels, count, stride in MOBILENET
        for i in range(count if deep else 1)
    ]
    return width(32), blocks, width(MOBILENET_WIDTH)


def haiku_resnet(size: Size) -> Init:
    """Return the init of Haiku's ResNet50, or of a shallow one."""
    import haiku as hk
    import jax
    import jax.numpy as jnp

    def forward(x: Any) -> Any:
        # with (3, 4, 6, 3) this is hk.nets.ResNet50(1000)
        return hk.nets.ResNet(bottlenecks(size), CLASSES)(x, is_training=True)

    args = (jax.random.PRNGKey(0), jnp.ones(IMAGE))
    return hk.transform_with_state(forward).init, args


def linen_resnet(size: Size) -> Init:
    """Return the init of ResNet-50 as Flax's ImageNet example has it."""
    import jax
    import jax.numpy as jnp
    from flax import linen as nn

    class Block(nn.Module):
        filters: int
        stride: int
        train: bool

        @nn.compact
        def __call__(self, x: Any) -> Any:
            conv, norm = conv_and_norm(self.train)
            stride = (self.stride, self.stride)
            y = nn.relu(norm()(conv(self.filters, (1, 1))(x)))
            y = nn.relu(norm()(conv(self.filters, (3, 3), stride)(y)))
            y = conv(4 * self.filters, (1, 1))(y)
            y = norm(scale_init=nn.initializers.zeros_init())(y)
            if x.shape != y.shape:
                x = conv(4 * self.filters, (1, 1), stride, name="conv_proj")(x)
                x = norm(name="norm_proj")(x)
            return nn.relu(x + y)

    class ResNet(nn.Module):
        @nn.compact
        def __call__(self, x: Any, train: bool = True) -> Any:
            conv, norm = conv_and_norm(train)
            edges = [(3, 3), (3, 3)]
            x = conv(64, (7, 7), (2, 2), padding=edges, name="conv_init")(x)
            x = nn.relu(norm(name="bn_init")(x))
            x = nn.max_pool(x, (3, 3), strides=(2, 2), padding="SAME")
            for i, count in enumerate(bottlenecks(size)):
                for j in range(count):
                    x = Block(64 * 2**i, 2 if i and not j else 1, train)(x)
            return nn.Dense(CLASSES)(x.mean((1, 2)))

    def conv_and_norm(train: bool) -> tuple[Any, Any]:
        batch_norm: Any = functools.partial(
            nn.BatchNorm, use_running_average=not train, momentum=0.9, epsilon=1e-5
        )
        return functools.partial(nn.Conv, use_bias=False), batch_norm

    init = functools.partial(ResNet().init, train=False)
    return init, (jax.random.key(0), jnp.ones(IMAGE))


def mobilenet(size: Size) -> Init:
    """Return the init of a MobileNet-V2 in Flax Linen."""
    import jax
    import jax.numpy as jnp
    from flax import linen as nn

    class MobileNet(nn.Module):
        @nn.compact
        def __call__(self, x: Any, train: bool = True) -> Any:
            def conv(x: Any, channels: int, window: int, *args: int, **kw: int) -> Any:
                kernel, stride = (window, window), args * 2 or None
                x = nn.Conv(channels, kernel, stride, use_bias=False, **kw)(x)
                return nn.BatchNorm(use_running_average=not train)(x)

            first, blocks, last = inverted(size)
            x = nn.relu6(conv(x, first, 3, 2))
            for expand, channels, stride in blocks:
                y, c = x, x.shape[-1] * expand
                if expand > 1:
                    y = nn.relu6(conv(y, c, 1))
                y = nn.relu6(conv(y, c, 3, stride, feature_group_count=c))
                y = conv(y, channels, 1)
                x = x + y if x.shape == y.shape else y
            x = nn.relu6(conv(x, last, 1)).mean((1, 2))
            return nn.Dense(CLASSES)(x)

    init = functools.partial(MobileNet().init, train=False)
    return init, (jax.random.key(0), jnp.ones(IMAGE))
