"""`gain`: what a law is scaled by for an activation to keep the variance."""

from __future__ import annotations

import contextlib
import difflib
import functools
import math
from collections.abc import Callable, Generator
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from .._core.fields import choice, number
from .._core.widths import width
from .._errors import Refused, shown

Of = Literal["second_moment", "derivative"]
Function = Callable[[Any], Any]


def gain(nonlinearity: Any, param: Any = None, *, of: Of | None = None) -> float:
    """Return the number by which weights are scaled for an activation f.

    With z ~ N(0, 1) it is:

    - of="second_moment": 1 / sqrt(E f(z)^2): weights of variance gain^2 / fan_in then
      give pre-activations of variance 1 from those of variance 1;
    - of="derivative": 1 / sqrt(E f'(z)^2): the same for gradients on the way back, and
      for the singular values of an orthogonal network (dynamical isometry);
    - of=None, the default: for the names below torch's number, otherwise the second
      moment.

    torch's are 1 for "linear", "conv1d" to "conv3d", "conv_transpose1d" to
    "conv_transpose3d" and "sigmoid", 5/3 for "tanh", sqrt(2) for "relu",
    sqrt(2 / (1 + slope^2)) for "leaky_relu", 3/4 for "selu". Those of tanh, sigmoid and
    selu are rules of thumb: the second moments give 1.5925, 1.8463 and 1.

    The expectations are integrals in float64, to about 12 digits, kinks and jumps
    included: as exact as the function computes.

    Variance 1 is a fixed point that not every activation holds on to. A deviation grows
    from layer to layer by E[z f(z) f'(z)] / E f(z)^2: 0.46 for tanh, 1 for relu, 1.14
    for gelu, 1.17 for silu. Deep plain networks of the last two need normalization
    besides, or weights by `lsuv`.

    Args:
        nonlinearity: A name of torch's, or of an activation in `jax.nn` ("gelu" is
            `jax.nn.gelu`, with tanh); or an elementwise function of one array, of
            `jax.numpy` for of="derivative".
        param: The slope of "leaky_relu" (0.01), alpha of "elu" and "celu" (1).
        of: What keeps its size, as above.

    Raises:
        ValueError: An unknown name; a param that the name does not take; a function
            that is zero, not finite, or not elementwise.
        TypeError: Neither a name nor a function; a param that is no number, or a bool;
            values that are complex, or traced.

    References:
        torch, `torch.nn.init.calculate_gain`; He et al., "Delving deep into
        rectifiers", ICCV 2015; Pennington et al., "Resurrecting the sigmoid in deep
        learning through dynamical isometry: theory and practice", NeurIPS 2017.
    """
    try:
        _check_of(of)
        slope = _param(nonlinearity, param)
        if of is None and isinstance(nonlinearity, str) and nonlinearity in _TORCH:
            return _TORCH[nonlinearity]
        if of is None and nonlinearity == "leaky_relu":
            return math.sqrt(2) / math.hypot(1, slope.get("negative_slope", 0.01))
        function = functools.partial(_function(nonlinearity), **slope)
        return 1 / math.sqrt(_mean_square(_at_nodes(function, of)))
    except Refused as refused:
        raise refused.at(_where(nonlinearity, param, of)) from None


_LINEAR = ("linear", *(f"conv{t}{n}d" for t in ("", "_transpose") for n in (1, 2, 3)))
_TORCH: dict[str, float] = {
    **dict.fromkeys((*_LINEAR, "sigmoid"), 1.0),
    **{"tanh": 5 / 3, "relu": math.sqrt(2), "selu": 3 / 4},
}
_IN_JAX = (
    *("celu", "elu", "gelu", "hard_sigmoid", "hard_silu", "hard_swish", "hard_tanh"),
    *("identity", "leaky_relu", "log_sigmoid", "mish", "relu", "relu6", "selu"),
    *("sigmoid", "silu", "soft_sign", "softplus", "sparse_plus", "sparse_sigmoid"),
    *("squareplus", "swish", "tanh"),
)
_PARAMS = {"leaky_relu": "negative_slope", "elu": "alpha", "celu": "alpha"}


def _check_of(of: Any) -> None:
    try:
        choice(None, "second_moment", "derivative")(of)
    except Refused as refused:
        raise Refused(f"of {refused}", refused.kind) from None


def _where(nonlinearity: Any, param: Any, of: Any) -> str:
    name = getattr(nonlinearity, "__name__", None) or shown(nonlinearity)
    rest = "" if param is None else f", {shown(param)}"
    return f"gain({name}{rest}{'' if of is None else f', of={shown(of)}'})"


def _param(nonlinearity: Any, param: Any) -> dict[str, float]:
    """Return the activation's own number, by its name in `jax.nn`."""
    if param is None:
        return {}
    if not isinstance(nonlinearity, str):
        raise Refused("param is for names; let the function have its number itself.")
    if nonlinearity not in _PARAMS:
        _function(nonlinearity)
        raise Refused(f"{nonlinearity!r} takes no param; leave it out.")
    try:
        value = number()(param)
    except Refused as refused:
        raise Refused(f"param {refused}", refused.kind) from None
    if isinstance(value, jax.Array):
        raise Refused("param is traced; give a number.", TypeError)
    return {_PARAMS[nonlinearity]: float(value)}


def _function(nonlinearity: Any) -> Function:
    """Return the function that is meant, or refuse what is none."""
    if not isinstance(nonlinearity, str):
        if callable(nonlinearity) and not isinstance(nonlinearity, type):
            return nonlinearity
        raise Refused(
            f"needs an activation, got {type(nonlinearity).__name__}; give a name, "
            "such as 'gelu', or an elementwise function.",
            TypeError,
        )
    if nonlinearity in _LINEAR:
        return jax.nn.identity
    if nonlinearity in _IN_JAX:
        return getattr(jax.nn, nonlinearity)
    known = [*_IN_JAX, *_LINEAR]
    near = difflib.get_close_matches(nonlinearity.lower(), known, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else "see jax.nn."
    raise Refused(
        f"no activation is called {shown(nonlinearity)}; {hint} A function is taken "
        "too."
    )


# -- a function at many points ---------------------------------------------------------

_BLOCK = 2048  # how many at once: of one length, so that JAX compiles once


def _at_nodes(function: Function, of: str | None) -> Function:
    """Return f or f' as a function of NumPy arrays, or refuse what is none by entry."""
    values = functools.partial(_values, function, of)
    points = np.linspace(-3.1, 3.2, _BLOCK)
    some = slice(1000, 960, -1)
    whole, part = values(points)[some], values(np.resize(points[some], _BLOCK))[:40]
    if not np.allclose(part, whole, rtol=1e-4, atol=1e-6, equal_nan=True):
        raise Refused(
            "is not elementwise: a value depends on the other entries; give a function "
            "of each entry alone."
        )
    return values


def _values(function: Function, of: str | None, points: Any) -> Any:
    """Return f or f' in float64, also inside a traced function."""
    with _float64(), jax.ensure_compile_time_eval():
        x = jnp.asarray(points)
        try:
            if of == "derivative":
                y = jax.jvp(function, (x,), (jnp.ones_like(x),))[1]
            else:
                y = function(x)
            y = y if isinstance(y, Tracer) else np.asarray(y)
        except Exception as error:
            raise Refused(
                f"the function raised {shown(error)}; it is called with an array of "
                f"shape {x.shape}."
            ) from None
    if isinstance(y, Tracer):
        raise Refused(
            "the function depends on a traced value; a gain is a number, so make it "
            "outside.",
            TypeError,
        )
    if jnp.issubdtype(y.dtype, jnp.complexfloating) or y.dtype == object:
        raise Refused(f"the function returned {y.dtype}; give a real one.", TypeError)
    if y.shape != x.shape:
        raise Refused(
            f"is not elementwise: the function returned shape {y.shape} for "
            f"{x.shape}; give a function of each entry alone."
        )
    return np.zeros(y.shape) if y.dtype == jax.dtypes.float0 else y.astype(np.float64)


@contextlib.contextmanager
def _float64() -> Generator[None]:
    """Compute in float64, with functions that were written for float32 too."""
    with width(True), jax.numpy_dtype_promotion("standard"):
        yield


# -- the integral ----------------------------------------------------------------------

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(16)
_END = 16.0  # beyond it a normal is with probability 1e-57
_EXACT, _GOOD = 1e-14, 1e-6  # of the whole: where a panel is left, what is good enough
_MOST, _NARROWEST = 1 << 12, 2.0**-50  # panels at once, and how wide


def _mean_square(function: Function) -> float:
    """Return E f(z)^2: Gauss-Legendre on panels that are halved where it does not fit.

    Hermite's nodes would be fewer for smooth functions, and worth little at a kink.
    """
    width, left = 0.25, np.arange(-_END, _END, 0.25)
    panels = _panels(function, left, width)
    size, ends = panels.sum(), panels[0] + panels[-1]
    if not np.isfinite(size):
        raise Refused("is not finite at some z; a gain needs E f(z)^2, z ~ N(0, 1).")
    if size == 0:
        raise Refused("is zero on N(0, 1), and no gain makes it more.")
    closed, error = 0.0, np.zeros(1)
    while left.size and left.size <= _MOST and width > _NARROWEST:
        width /= 2
        left = np.stack([left, left + width])
        halves = _panels(function, left.ravel(), width).reshape(left.shape)
        error = np.abs(halves.sum(0) - panels)
        rough = ~(error <= _EXACT * size)
        closed += halves[:, ~rough].sum()
        left, panels, error = (x[..., rough].ravel() for x in (left, halves, error))
    total = closed + panels.sum()
    if not error.sum() + ends <= _GOOD * total:
        raise Refused("has no second moment that a quadrature finds; is it finite?")
    return float(total)


def _panels(function: Function, left: Any, width: float) -> Any:
    """Return the integral over each panel."""
    z = (left[:, None] + width / 2 * (1 + _NODES)).ravel()
    blocks = np.resize(z, (-(-z.size // _BLOCK), _BLOCK))  # filled up with repetitions
    values = np.concatenate([function(block) for block in blocks])[: z.size]
    with np.errstate(over="ignore", invalid="ignore"):
        density = np.exp(-z * z / 2) / math.sqrt(2 * math.pi)
        terms = (values**2 * density).reshape(left.size, -1)
        return terms @ _WEIGHTS * (width / 2)
