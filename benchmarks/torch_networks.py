"""The networks of benchmarks/setup.py in PyTorch: their modules, which nobody calls."""

from __future__ import annotations

from typing import Any

from convolutions import bottlenecks, inverted
from networks import (
    GPT2_POSITIONS,
    GPT2_WORDS,
    HEADS,
    MEMBERS,
    RANK,
    VOCABULARY,
    Size,
)


def torch_transformer(size: Size) -> list[Any]:
    """Build a transformer's modules."""
    from torch import nn

    d = size.d
    modules: list[Any] = [nn.Embedding(VOCABULARY, d)]
    for _ in range(size.layers):
        modules += [nn.LayerNorm(d), nn.MultiheadAttention(d, HEADS)]
        modules += [nn.LayerNorm(d), nn.Linear(d, 4 * d), nn.Linear(4 * d, d)]
    return [*modules, nn.LayerNorm(d), nn.Linear(d, VOCABULARY)]


def torch_ensemble(size: Size) -> list[Any]:
    """Build the modules of every member."""
    return [module for _ in range(MEMBERS) for module in torch_transformer(size)]


def torch_resnet(size: Size) -> list[Any]:
    """Build a ResNet's modules."""
    from torch import nn

    def conv(i: int, o: int, window: int) -> list[Any]:
        return [nn.Conv2d(i, o, window, bias=False), nn.BatchNorm2d(o)]

    modules, i = conv(3, 64, 7), 64
    for blocks, o in zip(bottlenecks(size), (256, 512, 1024, 2048), strict=True):
        modules += conv(i, o, 1)
        for _ in range(blocks):
            modules += conv(i, o // 4, 1) + conv(o // 4, o // 4, 3) + conv(o // 4, o, 1)
            i = o
    return [*modules, nn.Linear(i, 1000)]


def torch_lora(size: Size) -> list[Any]:
    """Build a transformer's modules and low-rank factors, as PEFT draws them."""
    from torch import nn

    modules, d = torch_transformer(size), size.d
    for i, o in size.layers * (*[(d, d)] * 4, (d, 4 * d), (4 * d, d)):
        a, b = nn.Linear(i, RANK, bias=False), nn.Linear(RANK, o, bias=False)
        nn.init.kaiming_uniform_(a.weight, a=5**0.5)
        nn.init.zeros_(b.weight)
        modules += [a, b]
    return modules


def torch_spectral(size: Size) -> list[Any]:
    """Build an MLP under spectral norm."""
    from torch import nn

    norm = nn.utils.parametrizations.spectral_norm
    return [norm(nn.Linear(size.d, size.d)) for _ in range(size.layers)]


def torch_mobilenet(size: Size) -> list[Any]:
    """Build a MobileNet-V2's modules."""
    from torch import nn

    first, blocks, last = inverted(size)
    modules = [nn.Conv2d(3, first, 3, bias=False), nn.BatchNorm2d(first)]
    i = first
    for expand, o, _ in blocks:
        c = i * expand
        if expand > 1:
            modules += [nn.Conv2d(i, c, 1, bias=False), nn.BatchNorm2d(c)]
        modules += [nn.Conv2d(c, c, 3, groups=c, bias=False), nn.BatchNorm2d(c)]
        modules += [nn.Conv2d(c, o, 1, bias=False), nn.BatchNorm2d(o)]
        i = o
    modules += [nn.Conv2d(i, last, 1, bias=False), nn.BatchNorm2d(last)]
    return [*modules, nn.Linear(last, 1000)]


def torch_gpt2(size: Size, once: bool = False) -> list[Any]:
    """Build GPT-2 as its published code does: every weight drawn twice.

    Every module initializes itself, and then the model all of them again. With `once`
    modules are left empty before, which published code does not do.
    """
    from torch import nn

    def make(module: Any, *args: int) -> Any:
        return nn.utils.skip_init(module, *args) if once else module(*args)

    d, last = size.d, 0.02 / (2 * size.layers) ** 0.5
    embeddings = [make(nn.Embedding, n, d) for n in (GPT2_WORDS, GPT2_POSITIONS)]
    norms = [nn.LayerNorm(d) for _ in range(2 * size.layers + 1)]
    sides = ((d, 3 * d, 0.02), (d, d, last), (d, 4 * d, 0.02), (4 * d, d, last))
    linears = [
        (make(nn.Linear, i, o), std) for _ in range(size.layers) for i, o, std in sides
    ]
    for embedding in embeddings:
        nn.init.normal_(embedding.weight, std=0.02)
    for linear, std in linears:
        nn.init.normal_(linear.weight, std=std)
        nn.init.zeros_(linear.bias)
    return [*embeddings, *norms, *(linear for linear, _ in linears)]


def torch_gpt2_once(size: Size) -> list[Any]:
    """Build GPT-2, every weight drawn once."""
    return torch_gpt2(size, once=True)
