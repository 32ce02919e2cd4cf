"""`torch.nn.init`, and what PyTorch's layers begin with."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, Literal

from .. import laws
from .._fans import Fan
from .._fans.beside import Beside
from .._rules.rules import Rules, Spec
from ..laws.gains import gain as _gain
from ..laws.with_row import with_row
from .numbers import counted, squared

Mode = Literal["fan_in", "fan_out"]

_THIRD = 1 / 3  # kaiming_uniform(a=sqrt(5)): U(-1/sqrt(fan_in), 1/sqrt(fan_in))


def uniform(a: Any = 0.0, b: Any = 1.0, **law: Any) -> laws.RandomUniform:
    """Return U[a, b)."""
    return laws.RandomUniform(a, b, **law)


def normal(mean: Any = 0.0, std: Any = 1.0, **law: Any) -> laws.RandomNormal:
    """Return N(mean, std^2)."""
    return laws.RandomNormal(mean, std, **law)


def trunc_normal(
    mean: Any = 0.0, std: Any = 1.0, a: Any = -2.0, b: Any = 2.0, **law: Any
) -> laws.TruncatedNormal:
    """Return N(mean, std^2) cut to [a, b]: bounds of the entries, not in stds."""
    return laws.TruncatedNormal(mean, std, low=a, high=b, **law)


def constant(val: Any, **law: Any) -> laws.Constant:
    """Return the law of the constant `val`."""
    return laws.Constant(val, **law)


def ones(**law: Any) -> laws.Ones:
    """Return the law of ones."""
    return laws.Ones(**law)


def zeros(**law: Any) -> laws.Zeros:
    """Return the law of zeros."""
    return laws.Zeros(**law)


def eye(**law: Any) -> laws.Identity:
    """Return the identity matrix, of rank 2."""
    return laws.Identity(**law)


def dirac(groups: int = 1, **law: Any) -> laws.Dirac:
    """Return the convolution kernel that passes channels through, group by group."""
    return laws.Dirac(groups, **law)


def xavier_uniform(gain: float = 1.0, **law: Any) -> laws.VarianceScaling:
    """Return U(-a, a), a = gain sqrt(6 / (fan_in + fan_out))."""
    return laws.VarianceScaling(squared(gain=gain), "fan_avg", "uniform", **law)


def xavier_normal(gain: float = 1.0, **law: Any) -> laws.VarianceScaling:
    """Return N(0, std^2), std = gain sqrt(2 / (fan_in + fan_out)); it is not cut."""
    return laws.VarianceScaling(
        squared(gain=gain), "fan_avg", "untruncated_normal", **law
    )


def kaiming_uniform(
    a: float = 0.0,
    mode: Mode = "fan_in",
    nonlinearity: str = "leaky_relu",
    **law: Any,
) -> laws.VarianceScaling:
    """Return U(-b, b), b = gain(nonlinearity, a) sqrt(3 / fan).

    Args:
        a: The negative slope, for "leaky_relu" alone.
        mode: "fan_in" or "fan_out".
        nonlinearity: A name that `initjax.gain` knows.
        **law: seed, dtype, fan.
    """
    scale = _square(nonlinearity, a)
    return laws.VarianceScaling(scale, mode, "uniform", **law)


def kaiming_normal(
    a: float = 0.0,
    mode: Mode = "fan_in",
    nonlinearity: str = "leaky_relu",
    **law: Any,
) -> laws.VarianceScaling:
    """Return N(0, std^2), std = gain(nonlinearity, a) / sqrt(fan); it is not cut.

    Args:
        a: The negative slope, for "leaky_relu" alone.
        mode: "fan_in" or "fan_out".
        nonlinearity: A name that `initjax.gain` knows.
        **law: seed, dtype, fan.
    """
    scale = _square(nonlinearity, a)
    return laws.VarianceScaling(scale, mode, "untruncated_normal", **law)


def orthogonal(gain: Any = 1.0, **law: Any) -> laws.Orthogonal:
    """Return gain times a matrix with orthonormal rows or columns."""
    return laws.Orthogonal(gain, **law)


def sparse(sparsity: float, std: Any = 0.01, **law: Any) -> laws.Sparse:
    """Return N(0, std^2), of every input's weights the share `sparsity` zero."""
    return laws.Sparse(sparsity, std, **law)


def linear(**law: Any) -> laws.VarianceScaling:
    """Return what `nn.Linear` begins with: U(-1/sqrt(fan_in), 1/sqrt(fan_in)).

    `kaiming_uniform(a=sqrt(5))`; its bias is `bias(fan_in)`.
    """
    return laws.VarianceScaling(_THIRD, "fan_in", "uniform", **law)


conv = linear  # nn.Conv1d, nn.Conv2d, nn.Conv3d


def bias(fan_in: Any, **law: Any) -> laws.VarianceScaling:
    """Return the bias of `nn.Linear` and `nn.Conv2d`: U(-1/sqrt(n), 1/sqrt(n)).

    Args:
        fan_in: n, that of the weight: a number, or `Fan.beside("kernel")` in rules.
        **law: seed, dtype.
    """
    return laws.VarianceScaling(_THIRD, "fan_in", "uniform", fan=fan_in, **law)


def embedding(padding_idx: int | None = None, **law: Any) -> Any:
    """Return what `nn.Embedding` begins with: N(0, 1), the row `padding_idx` zero."""
    table = laws.RandomNormal(0.0, 1.0, **law)
    return table if padding_idx is None else with_row(table, padding_idx)


def recurrent(hidden: int, **law: Any) -> laws.RandomUniform:
    """Return what `nn.LSTM`, `nn.GRU`, `nn.RNN` begin with: U(-1/sqrt(h), 1/sqrt(h)).

    Args:
        hidden: h, the size of the hidden state; kernels and biases alike.
        **law: seed, dtype, fan.
    """
    limit = 1 / math.sqrt(counted(hidden=hidden))
    return laws.RandomUniform(-limit, limit, **law)


def layers(layout: Literal["io", "oi"] = "io") -> Rules:
    """Return rules that give a tree what PyTorch's layers begin with.

    Linear and convolutional weights and their biases, embeddings, normalization,
    `nn.MultiheadAttention` (`in_proj_weight`, and biases of zero), recurrent layers
    (`weight_ih_l0` and their like), by the usual names of Flax, Haiku, Equinox and
    PyTorch. A kernel of more than two axes is a convolution's, unless its leaf knows
    its fans, as those of the adapters' `abstract` do.

    Args:
        layout: Of weights: "io" is (window, inputs, outputs), "oi" PyTorch's own
            (outputs, inputs, window).

    References:
        PyTorch, `torch.nn.modules`: `reset_parameters` of each layer.
    """
    if layout not in ("io", "oi"):
        raise ValueError(
            f"presets.torch.layers: layout must be 'io' or 'oi', got {layout!r}."
        )
    fan = Fan(-2, -1) if layout == "io" else Fan(1, 0)
    law = linear()
    hidden = Fan.layout("oi" if layout == "oi" else "io")
    beside = Beside("weight_hh*")
    optional: list[tuple[str, Any]] = [
        ("**/{*norm*,*Norm*,ln,ln_*,bn*}/{scale,weight,gamma,g}", laws.Ones()),
        ("**/{*norm*,*Norm*,ln,ln_*,bn*}/{bias,b,offset,beta}", laws.Zeros()),
        ("**/{embedding,embeddings}", embedding()),
        ("**/*[eE]mbed*/weight", embedding()),
        ("**/in_proj_weight", Spec(xavier_uniform(), fan=hidden)),
        ("**/{in_proj_bias,out_proj/bias}", laws.Zeros()),
        ("**/weight_hh*", Spec(law, fan=hidden)),
        ("**/{weight_ih*,bias_ih*,bias_hh*}", Spec(law, fan=beside)),
        ("**/{kernel,weight,w}", Spec(law, fan=fan, fallback=True)),
        ("**/{bias,b}", Spec(law, fan=Beside("{kernel,weight,w}"))),
    ]
    specs = ((pattern, _spec(what)) for pattern, what in optional)
    return Rules([(p, replace(s, optional=True)) for p, s in specs])


def _spec(what: Any) -> Spec:
    return what if isinstance(what, Spec) else Spec(what)


def _square(nonlinearity: str, a: float) -> float:
    param = a if nonlinearity == "leaky_relu" else None
    return _gain(nonlinearity, param) ** 2
