"""initjax in Haiku: laws as `w_init=`, and transformed models by rule."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from .._core.arguments import as_dtype, place_of
from .._core.initializer import Initializer
from .._core.orders import as_shape
from .._core.streams import as_key, fold_in_path
from .._engine.jit_init import jit_init
from .._errors import Refused, shown
from .._fans import Fan
from .._rules.init_tree import init_tree
from .._rules.makers import maker_of, name_of
from .._rules.paths import Path, Weight, clean_path
from .._rules.rules import Rules
from .extras import needs

with needs("haiku", "haiku", "haiku"):
    import haiku as hk

__all__ = ["abstract", "init_model", "w_init"]


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class w_init:
    """A law as Haiku calls initializers, with (shape, dtype): for `w_init=`, `init=`.

    Its key is the next one of `init`'s rng, `hk.next_rng_key()`; laws that draw nothing
    take none. With a name, the key is that of the parameter's path,
    `fold_in_path(rng, module, name)`, and none is taken: the weight is that of
    `init_tree` under the same key, whatever other parameters there are. For that, name
    every law that draws: what takes keys before it (an unnamed law, dropout, `hk.lift`)
    moves it to another key. Inside `hk.lift` and `hk.layer_stack`, rng and path are
    those of the inner function.

    Configs are values, as laws are: equal, hashable, picklable.

    Args:
        law: The law, or whatever else `get` takes.
        name: The parameter's name in its module, "w" of a `hk.Linear`.

    Raises:
        TypeError: No initializer; a bound law, which has its key; a name that is no
            str.
        ValueError: An unknown name of a law; an empty name. At the call, no
            `hk.transform` around it.
    """

    law: Any
    name: str | None = None

    def __post_init__(self) -> None:
        """Check the law and the name."""
        try:
            object.__setattr__(self, "law", maker_of(self.law))
            if self.name is not None:
                _check_name(self.name)
        except Refused as refused:
            where = f"adapters.haiku.w_init({name_of(self.law)})"
            raise refused.at(where) from None

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> jax.Array:
        """Return an array of the law, with a key of the model that is being made."""
        try:
            draws = _draws(self.law, shape, dtype)
            key = self._key() if draws else None
        except Refused as refused:
            raise refused.at(place_of(f"{self!r}(", shape, dtype)) from None
        return self.law(key, shape, dtype)

    def _key(self) -> jax.Array:
        try:
            module = hk.current_name()
        except ValueError:
            raise Refused(
                "draws a key of Haiku's, and no hk.transform is around it; call the "
                "law itself, with a key: law(key, shape, dtype)."
            ) from None
        rng = hk.maybe_get_rng_sequence_state()
        if self.name is None or rng is None:
            return hk.next_rng_key()  # without an rng, it says so
        return fold_in_path(rng[0], *clean_path((module, self.name)))

    def __repr__(self) -> str:
        """Show the arguments; `eval` gives an equal."""
        name = "" if self.name is None else f", {self.name!r}"
        return f"w_init({name_of(self.law)}{name})"


def _check_name(name: Any) -> None:
    if not isinstance(name, str):
        raise Refused(
            f"name is the parameter's name in its module, got {shown(name)}; give a "
            "str, such as 'w'.",
            TypeError,
        )
    if not clean_path((name,)):
        raise Refused(f"name={name!r} names nothing; give 'w', say.")


def _draws(law: Any, shape: Any, dtype: Any) -> bool:
    """Tell whether a weight needs a key; functions are not asked."""
    if not isinstance(law, Initializer):
        return True
    kind = as_dtype(law.dtype if dtype is None else dtype)
    return law._make(as_shape(shape), kind).random


def abstract(transformed: Any, *inputs: Any, **kwargs: Any) -> Any:
    """Return a model's parameters as shapes that know how their layers use them.

    Fans are known of Haiku's convolutions (transposed, depthwise, grouped), `hk.Embed`,
    `VectorQuantizer`, the gates of `LSTM` (dense and convolutional) and `GRU`, and of
    all these in layers stacked along the first axis, by `hk.layer_stack` or a lifted
    `jax.vmap`. Other matrices are (inputs, outputs), as everywhere in Haiku.

    Args:
        transformed: What `hk.transform`, or another of its kin, returns.
        *inputs: What its `init` takes after the rng. Arrays may be
            `jax.ShapeDtypeStruct`s; what is no array, such as a flag, is passed on.
        **kwargs: The same, by name.

    Returns:
        Haiku's dict of dicts with a `Weight` at every leaf: for `plan`, `init_tree`
        with `shardings=`, `init_ensemble`, `missing`.

    Raises:
        TypeError: A function that is not transformed.
    """
    _check_transformed(transformed, "abstract")
    made: dict[Path, Made] = {}
    init, arrays = _of_arrays(transformed.init, inputs, kwargs)
    key = jax.eval_shape(lambda: jax.random.key(0))
    with hk.intercept_methods(_watching(made)):
        shapes = jax.eval_shape(init, key, arrays)
    params = shapes[0] if _has_state(transformed) else shapes
    return jax.tree_util.tree_map_with_path(
        lambda path, leaf: _weight(leaf, made.get(clean_path(path))), params
    )


def init_model(
    transformed: Any, rules: Rules | None, key: jax.Array, *inputs: Any, **kwargs: Any
) -> Any:
    """Return a model's parameters by rule, and its state if it has one.

    The parameters are `init_tree(rules, abstract(transformed, *inputs), key)`: no
    forward pass is run or compiled. State is what the model's own `init` makes of this
    key, by `jit_init`.

    Args:
        transformed: What `hk.transform`, or another of its kin, returns.
        rules: Which initializer fills which path; None is the model's own
            initializers, by `jit_init`: the bits of `jax.jit(transformed.init)`.
        key: One PRNG key, typed or raw.
        *inputs: As of `abstract`.
        **kwargs: As of `abstract`.

    Returns:
        What `transformed.init` returns: params, or (params, state).

    Raises:
        TypeError: A function that is not transformed; rules that are a list; no key.
        ValueError: What `init_tree` raises.
    """
    _check_transformed(transformed, "init_model")
    try:
        as_key(key)
        if not (rules is None or isinstance(rules, Rules)):  # pyright: ignore[reportUnnecessaryIsInstance]  # users pass lists
            kind = type(rules).__name__
            raise Refused(f"rules must be Rules([...]), got {kind}.", TypeError)
    except Refused as refused:
        raise refused.at("adapters.haiku.init_model") from None
    init, arrays = _of_arrays(transformed.init, inputs, kwargs)
    if rules is None:
        return jit_init(init)(key, arrays)
    params = init_tree(rules, abstract(transformed, *inputs, **kwargs), key)
    if not _has_state(transformed):
        return params
    return params, jit_init(lambda key, arrays: init(key, arrays)[1])(key, arrays)


_WITH_STATE = (hk.TransformedWithState, hk.MultiTransformedWithState)
_TRANSFORMED = (hk.Transformed, hk.MultiTransformed, *_WITH_STATE)


def _has_state(transformed: Any) -> bool:
    return isinstance(transformed, _WITH_STATE)


def _check_transformed(transformed: Any, caller: str) -> None:
    if not isinstance(transformed, _TRANSFORMED):
        raise TypeError(
            f"adapters.haiku.{caller}: needs a transformed function, got "
            f"{name_of(transformed)}; give hk.transform(f), or "
            "hk.transform_with_state(f)."
        )


def _of_arrays(
    init: Callable[..., Any], inputs: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> tuple[Callable[..., Any], dict[int, Any]]:
    """Return an init as a function of (key, arrays) alone, and its arrays.

    What is no array is closed over; what is a shape stands for zeros.
    """
    leaves, structure = jax.tree.flatten((inputs, kwargs))
    given = [
        (i, x)
        for i, x in enumerate(leaves)
        if hasattr(x, "shape") and hasattr(x, "dtype")
    ]
    arrays = {i: x for i, x in given if not isinstance(x, jax.ShapeDtypeStruct)}
    shapes = {i: x for i, x in given if i not in arrays}

    def of_arrays(key: jax.Array, arrays: Mapping[int, Any]) -> Any:
        zeros = {i: jnp.zeros(x.shape, x.dtype) for i, x in shapes.items()}
        filled = [{**arrays, **zeros}.get(i, x) for i, x in enumerate(leaves)]
        positional, named = jax.tree.unflatten(structure, filled)
        return init(key, *positional, **named)

    return of_arrays, arrays


# -- how Haiku's layers use their parameters -----------------------------------------

Made = tuple[Any, int]  # the fan of a parameter, and the rank that its layer gave it


def _watching(made: dict[Path, Made]) -> Any:
    """Return an interceptor of methods that notes what makes each parameter."""
    entered: list[Any] = []  # modules, the outermost first

    def note(make: Any, shape: Any, dtype: Any, init: Any, context: Any) -> Any:
        name = (context.lifted_prefix_name or "") + context.full_name
        fan = _fan(entered, context.name, tuple(shape))
        made[clean_path((name,))] = fan, len(shape)
        return make(shape, dtype, init)

    def intercept(method: Any, args: Any, kwargs: Any, context: Any) -> Any:
        entered.append(context.module)
        try:
            if len(entered) > 1:
                return method(*args, **kwargs)
            with hk.custom_creator(note):
                return method(*args, **kwargs)
        finally:
            entered.pop()

    return intercept


def _weight(leaf: Any, made: Made | None) -> Weight:
    """Return a parameter's shape and fan; axes that no layer gave count layers."""
    fan, rank = made or (None, leaf.ndim)
    for _ in range(leaf.ndim - rank):
        fan = Fan.stacked(0, of=fan)
    return Weight(leaf.shape, leaf.dtype, fan)


def _fan(entered: Sequence[Any], name: str, shape: tuple[int, ...]) -> Any:
    """Return the fan of a parameter of the last module entered; None is by its axes."""
    module = entered[-1]
    known = (fan for kind, n, fan in _FANS if isinstance(module, kind) and n == name)
    find = next(known, None)
    fan = find and find(module, shape)
    outer = next((m for m in reversed(entered) if m is not module), None)
    if isinstance(outer, _LSTMS):
        return Fan.fused(("i", "g", "f", "o"), of=fan)
    return fan


def _transposed(module: Any, shape: tuple[int, ...]) -> Any:
    layout = "HWD"[: len(shape) - 2] + "OI"
    return Fan.conv(transpose=True, layout=layout, strides=module.stride)


def _gates_of_gru(module: Any, shape: tuple[int, ...]) -> Any:
    del module, shape
    return Fan.fused(("z", "r", "a"))


_LSTMS = (hk.LSTM, hk.Conv1DLSTM, hk.Conv2DLSTM, hk.Conv3DLSTM)
_DEPTHWISE = (hk.DepthwiseConv1D, hk.DepthwiseConv2D, hk.DepthwiseConv3D)
_FANS: tuple[tuple[Any, str, Callable[[Any, tuple[int, ...]], Any]], ...] = (
    (hk.ConvND, "w", lambda m, _: Fan.conv(groups=m.feature_group_count)),
    (hk.ConvNDTranspose, "w", _transposed),
    (_DEPTHWISE, "w", lambda m, s: Fan.conv(groups=s[-1] // m.channel_multiplier)),
    (hk.Embed, "embeddings", lambda *_: Fan.embedding()),
    (hk.nets.VectorQuantizer, "embeddings", lambda *_: Fan.embedding(features=0)),
    *((hk.GRU, name, _gates_of_gru) for name in ("w_i", "w_h", "b")),
)
