"""Random initialization functions: what hypothesis feeds to `jit_init`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import strategies as st

import initjax as ij

SHAPES = ((), (1,), (3,), (4, 4), (5, 3), (2, 3, 4), (0, 3), (64, 16))
DTYPES = (jnp.float32, jnp.bfloat16, jnp.float16)
TABLE = np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3)
LARGE = np.arange(40_000, dtype=np.float32).reshape(100, 400)


@jax.custom_jvp
def doubled(x: Any) -> Any:
    """A function with a derivative of its own."""
    return x + x


doubled.defjvp(lambda primals, tangents: (doubled(*primals), tangents[0]))

# -- steps: how each adds to the keys and values so far ------------------------------


def _float(v: Any) -> Any:
    return v if jnp.issubdtype(v.dtype, jnp.inexact) else v.astype(jnp.float32)


def _real(v: Any) -> Any:
    return jnp.real(v) if jnp.iscomplexobj(v) else _float(v)


SAMPLES: dict[str, Callable[[Any, Any, Any], Any]] = {
    "normal": jax.random.normal,
    "uniform": jax.random.uniform,
    "wide": lambda k, s, d: jax.random.uniform(k, s, d, -0.3, 0.7),
    "truncated": lambda k, s, d: jax.random.truncated_normal(k, -2, 2, s, d),
    "gumbel": jax.random.gumbel,
    "exponential": jax.random.exponential,
    "bernoulli": lambda k, s, d: jax.random.bernoulli(k, 0.3, s),
    "randint": lambda k, s, d: jax.random.randint(k, s, 0, 17),
    "bits": lambda k, s, d: jax.random.bits(k, s, jnp.uint32),
    "bits8": lambda k, s, d: jax.random.bits(k, s, jnp.uint8),
    "bits16": lambda k, s, d: jax.random.bits(k, s, jnp.uint16),
    "complex": lambda k, s, d: jax.random.normal(k, s, jnp.complex64),
    "orthogonal": lambda k, s, d: jax.nn.initializers.orthogonal()(k, (6, 4)),
    "glorot": lambda k, s, d: jax.nn.initializers.glorot_normal()(k, (8, 6), d),
    "ours": lambda k, s, d: ij.HeNormal(seed=("a", 1))(k, (16, 8), d),
    "ours_scaled": lambda k, s, d: ij.RandomNormal(0.1, 0.013)(k, (16, 8), d),
    "permutation": lambda k, s, d: jax.random.permutation(k, 7),
    "he_fan_out": lambda k, s, d: jax.nn.initializers.he_uniform(0, 1)(k, (8, 6), d),
}

CONSTANTS: dict[str, Callable[[Any], Any]] = {
    "zeros": lambda s: jnp.zeros(s),
    "ones": lambda s: jnp.ones(s, jnp.bfloat16),
    "full": lambda s: jnp.full(s, 0.3),
    "arange": lambda s: jnp.arange(12.0).reshape(3, 4),
    "eye": lambda s: jnp.eye(4, 3),
    "table": lambda s: jnp.asarray(TABLE),
    "large": lambda s: jnp.asarray(LARGE),
    "weak": lambda s: jnp.asarray(2.5),
    "count": lambda s: jnp.zeros((), jnp.int32),
}

UNARY: dict[str, Callable[[Any], Any]] = {
    "scale": lambda v: v * 0.37,
    "scale_twice": lambda v: v * 0.3 * 0.7,
    "shift": lambda v: v * 0.3 + 0.1,
    "divide": lambda v: _float(v) / 0.3,
    "tanh": lambda v: jnp.tanh(_real(v)),
    "exp": lambda v: jnp.exp(-jnp.abs(_real(v))),
    "normalize": lambda v: _float(v) / (1 + jnp.sqrt(jnp.sum(jnp.abs(_float(v)) ** 2))),
    "center": lambda v: _float(v) - jnp.mean(_float(v)) if v.size else v,
    "transpose": lambda v: v.T,
    "flat": lambda v: v.reshape(-1),
    "sort": lambda v: jnp.sort(v.reshape(-1)),
    "half": lambda v: v[: len(v) // 2] if v.ndim else v,
    "stack": lambda v: jnp.stack([v, v]),
    "sum": lambda v: jnp.sum(v),
    "cast": lambda v: _real(v).astype(jnp.bfloat16),
    "gram": lambda v: (
        _real(v).reshape(-1, 1) @ _real(v).reshape(1, -1) if v.size < 100 else v
    ),
    "divide_table": lambda v: _float(v).reshape(-1)[:3] / TABLE[:3, 0][: v.size],
    "custom": lambda v: doubled(v) if v.dtype != jnp.bool_ else v,
    "copy": lambda v: jnp.array(v, copy=True),
    "remat": lambda v: jax.checkpoint(lambda u: jnp.sin(_real(u)) * 2)(v),
    "is_positive": lambda v: _real(v) > 0,
    "cumulate": lambda v: jnp.cumsum(_real(v).reshape(-1)),
}

BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "add": lambda a, b: a + b if _fit(a, b) else a,
    "fma": lambda a, b: a * 0.3 + b if _fit(a, b) else a,
    "times": lambda a, b: a * b if _fit(a, b) else b,
    "where": lambda a, b: jnp.where(_real(a) > 0, a, b) if _fit(a, b) else a,
    "concat": lambda a, b: jnp.concatenate([a.reshape(-1), b.reshape(-1)]),
    "scaled_by": lambda a, b: a * jnp.max(_real(b)) if b.size else a,
}


def _fit(a: Any, b: Any) -> bool:
    try:
        np.broadcast_shapes(a.shape, b.shape)
    except ValueError:
        return False
    return True


CONTROL: dict[str, Callable[..., Any]] = {
    "scan": lambda k, v, n, f: jax.lax.scan(lambda c, key: (c, f(key)), 0, _keys(k, 3))[
        1
    ],
    "scan_chain": lambda k, v, n, f: jax.lax.scan(_chain(f), k, None, 3)[1],
    "loop": lambda k, v, n, f: jax.lax.fori_loop(
        0, 3, lambda i, c: c + _float(f(jax.random.fold_in(k, i))), _float(f(k))
    ),
    "cond": lambda k, v, n, f: jax.lax.cond(n > 2, f, lambda k: f(k) * 2 + 1, k),
    "vmap": lambda k, v, n, f: jax.vmap(f)(_keys(k, 4)),
    "vmap2": lambda k, v, n, f: jax.vmap(jax.vmap(f))(_keys(k, 6).reshape(2, 3)),
    "map": lambda k, v, n, f: jax.lax.map(f, _keys(k, 2)),
    "map_scaled": lambda k, v, n, f: jax.lax.map(
        lambda k: _float(f(k)) * 0.3 + 0.1, _keys(k, 3)
    ),
    "map_moved": lambda k, v, n, f: jnp.moveaxis(jax.lax.map(f, _keys(k, 3)), 0, -1),
    "map_counted": lambda k, v, n, f: jax.lax.map(
        lambda i: f(jax.random.fold_in(k, i)), jnp.arange(3)
    ),
    "map_in_map": lambda k, v, n, f: jax.lax.map(
        lambda k: jax.lax.map(f, _keys(k, 2)), _keys(k, 3)
    ),
    "vmap_map": lambda k, v, n, f: jax.vmap(lambda k: jax.lax.map(f, _keys(k, 2)))(
        _keys(k, 3)
    ),
    "scan_data": lambda k, v, n, f: jax.lax.scan(_mixed(f), 1.0, _keys(k, 3))[1],
    "jit": lambda k, v, n, f: jax.jit(f)(k),
    "jit_split": lambda k, v, n, f: jax.jit(lambda k, s: f(jax.random.split(k)[1]) * s)(
        k, 0.5
    ),
    "remat": lambda k, v, n, f: jax.checkpoint(f)(k),
}


def _keys(key: Any, n: int) -> Any:
    return jax.random.split(key, n)


def _chain(f: Any) -> Any:
    def step(key: Any, _: Any) -> Any:
        key, sub = jax.random.split(key)
        return key, f(sub)

    return step


def _mixed(f: Any) -> Any:
    def step(x: Any, key: Any) -> Any:
        weight = f(key)
        return jnp.tanh(x + _real(weight).astype(jnp.float32).sum()), weight

    return step


KEYS: dict[str, Callable[[Any, Any], Any]] = {
    "first": lambda k, n: jax.random.split(k)[0],
    "third": lambda k, n: jax.random.split(k, 5)[2],
    "last": lambda k, n: jax.random.split(k, 3)[-1],
    "unpacked": lambda k, n: tuple(jax.random.split(k, 2))[1],
    "square": lambda k, n: jax.random.split(k, (2, 3))[1, 2],
    "fold": lambda k, n: jax.random.fold_in(k, 7),
    "fold_input": lambda k, n: jax.random.fold_in(k, n * 3 + 1),
    "new": lambda k, n: jax.random.key(42, impl=jax.random.key_impl(k)),
    "new_input": lambda k, n: jax.random.key(n, impl=jax.random.key_impl(k)),
    "clone": lambda k, n: jax.random.clone(k),
    "raw": lambda k, n: jax.random.wrap_key_data(
        jax.random.key_data(k), impl=jax.random.key_impl(k)
    ),
    "flipped": lambda k, n: jax.random.wrap_key_data(
        jax.random.key_data(k)[::-1] ^ jnp.uint32(5), impl=jax.random.key_impl(k)
    ),
    "chosen": lambda k, n: jax.random.split(k, 4)[n % 4],
    "where": lambda k, n: jnp.where(n > 2, k, jax.random.fold_in(k, 1)),
    "stacked": lambda k, n: jnp.stack([k, jax.random.fold_in(k, 2)])[1],
    "folds": lambda k, n: jax.vmap(jax.random.fold_in, (None, 0))(k, jnp.arange(3))[
        n % 3
    ],
    "random_seed": lambda k, n: jax.random.fold_in(k, jax.random.randint(k, (), 0, 99)),
    "looped": lambda k, n: functools.reduce(jax.random.fold_in, range(4), k),
}


class Init:
    """An initialization function made of drawn steps: `init(key, x, n)`."""

    def __init__(self, steps: list[Any], outputs: list[Any]) -> None:
        """Keep the recipe."""
        self.steps, self.outputs = steps, outputs

    def __repr__(self) -> str:
        """Show the recipe."""
        return f"Init({self.steps!r}, {self.outputs!r})"

    def __call__(self, key: Any, x: Any, n: Any) -> Any:
        """Run the steps and return the drawn outputs."""
        keys, values = [key], [x]
        for kind, name, i, j, shape, dtype in self.steps:
            k, a, b = (
                keys[i % len(keys)],
                values[i % len(values)],
                values[j % len(values)],
            )
            if kind == "key":
                keys.append(KEYS[name](k, n))
            elif kind == "sample":
                values.append(SAMPLES[name](k, SHAPES[shape], DTYPES[dtype]))
            elif kind == "constant":
                values.append(CONSTANTS[name](SHAPES[shape]))
            elif kind == "unary":
                values.append(UNARY[name](a))
            elif kind == "binary":
                values.append(BINARY[name](a, b))
            else:
                inner = list(SAMPLES.values())[j % len(SAMPLES)]
                values.append(CONTROL[name](k, a, n, _sampler(inner, shape, dtype)))
        return _outputs(self.outputs, keys, values, n)


def _sampler(inner: Any, shape: int, dtype: int) -> Any:
    return lambda key: inner(key, SHAPES[shape], DTYPES[dtype])


def _outputs(picks: list[Any], keys: list[Any], values: list[Any], n: Any) -> Any:
    out: dict[str, Any] = {"nothing": None}
    for place, (kind, i) in enumerate(picks):
        name = f"{kind}{place}"
        if kind == "value":
            out[name] = values[i % len(values)]
        elif kind == "last":
            out[name] = values[-1 - i % min(3, len(values))]
        elif kind == "key":
            out[name] = keys[i % len(keys)]
        elif kind == "pair":
            out[name] = (values[i % len(values)], [values[i % len(values)], n])
        else:
            out[name] = i * 0.5
    return out


_KINDS = {
    "key": KEYS,
    "sample": SAMPLES,
    "constant": CONSTANTS,
    "unary": UNARY,
    "binary": BINARY,
    "control": CONTROL,
}
_SMALL = st.integers(0, 11)


@st.composite
def inits(draw: Any) -> Init:
    """Draw an initialization function."""
    kinds = st.sampled_from(
        ["key", "sample", "sample", "unary", "binary", "constant", "control"]
    )
    steps = []
    for _ in range(draw(st.integers(1, 10))):
        kind = draw(kinds)
        name = draw(st.sampled_from(sorted(_KINDS[kind])))
        shape = draw(st.integers(0, len(SHAPES) - 1))
        dtype = draw(st.integers(0, len(DTYPES) - 1))
        steps.append((kind, name, draw(_SMALL), draw(_SMALL), shape, dtype))
    picks = st.tuples(
        st.sampled_from(["value", "last", "last", "key", "pair", "number"]), _SMALL
    )
    return Init(steps, draw(st.lists(picks, min_size=1, max_size=5)))
