"""Whatever a user gives, what comes out is a law, an array, or an error of our own.

`INITJAX_FUZZ=100000 pytest tests/test_fuzz.py` draws as many examples.
"""

import collections
import dataclasses
import decimal
import inspect
import os
import re
import traceback
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import CASES
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import initjax as ij
from initjax._errors import shown

EXAMPLES = int(os.environ.get("INITJAX_FUZZ", "1000"))
HOME = Path(ij.__file__).parent
KEY = jax.random.key(0)
# a call or a name first, as Python's own errors of signatures have
PLACE = re.compile(r"[\w.<>]+(\(|: )")


class Shy:
    """An object whose repr fails."""

    def __repr__(self):
        raise RuntimeError("no repr")

    def _repr_pretty_(self, printer, cycle):
        """Tell hypothesis what to show."""
        printer.text("Shy()")


def nested(depth, wrap, inner):
    for _ in range(depth):
        inner = wrap(inner)
    return inner


def cyclic():
    config = {"class_name": "Scaled", "config": {}}
    config["config"]["initializer"] = config
    return config


def scaled(inner):
    return {"class_name": "Scaled", "config": {"initializer": inner}}


CLASSES = [getattr(ij, name) for name in ij.__all__]
CLASSES = [cls for cls in CLASSES if inspect.isclass(cls)]
LAWS = [cls for cls in CLASSES if issubclass(cls, ij.Initializer)]
DECLARATIONS = [ij.Fan, ij.Fused, ij.Stacked, ij.Given]
FIELDS = sorted(
    {f.name for cls in LAWS + DECLARATIONS for f in dataclasses.fields(cls)}
)
NAMES = sorted({cls.__name__ for cls in LAWS + DECLARATIONS})
WORDS = [
    *NAMES,
    *(
        "he_normal",
        "fan_in",
        "uniform",
        "normal",
        "conv",
        "rest",
        "oi",
        "hann",
        "ab,bc",
    ),
    *(
        "float32",
        "bfloat16",
        "float8_e8m0fnu",
        "int4",
        "1e5",
        "keras.initializers.Ones",
    ),
    *("__numpy__", "__complex__", "__dict__", "SeedGenerator", "function", "\ud800"),
]
OBJECTS = [
    *(object(), {1, 2}, frozenset([3]), b"he_normal", bytearray(b"ab"), ..., Shy()),
    *(10**30, 10**400, -(10**5000), 2**63, 1e400, 1e-320, float("nan"), 1j, True),
    *(np.array(0), np.array([3, 4]), np.ones((2, 2)), np.float32(0.5), np.bool_(True)),
    *(
        np.array([object()], object),
        np.datetime64("2020"),
        np.str_("zeros"),
        np.int8(2),
    ),
    *(jnp.ones(3), jnp.array(3), KEY, jax.random.key_data(KEY), decimal.Decimal(1)),
    *(
        jnp.float32,
        np.dtype("float16"),
        jax.ShapeDtypeStruct((2,), "float32"),
        range(2),
    ),
    *(
        len,
        int,
        ij.HeNormal,
        ij.nn.he_normal,
        ij.HeNormal(),
        ij.Fan.conv(),
        ij.Fan,
        ij.nn,
    ),
    *(collections.deque([3, 4]), collections.OrderedDict(class_name="Ones")),
    *(cyclic(), nested(5000, scaled, "ones"), nested(5000, lambda x: [x], 0)),
    *("x" * 10**6, list(range(10**5)), [[1], [1, 2]], ij.Zeros().bind(KEY)),
]
# by index: hypothesis shows what it samples from
ODD = st.integers(0, len(OBJECTS) - 1).map(lambda i: OBJECTS[i])
SIZES = st.tuples(*[st.integers(0, 3)] * 2)
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 4), st.integers(), st.floats(),
    st.sampled_from(WORDS), st.text(max_size=4), ODD, SIZES,
    st.sampled_from([case.init.get_config() for case in CASES]),
)  # fmt: skip


KEYS = st.sampled_from([*FIELDS, *WORDS, "value", "dtype", "real", "imag", b"seed", 1])


def nodes(values):
    """Configs that are almost right, and plain lists and dicts."""
    fields = st.dictionaries(KEYS, values, max_size=3)
    more = {name: values for name in ("initjax", "registered_name", "module")}
    node = {"class_name": st.sampled_from(WORDS) | values, "config": fields | values}
    return st.one_of(
        st.lists(values, max_size=3),
        st.lists(values, max_size=3).map(tuple),
        fields,
        st.fixed_dictionaries(node, optional=more),
    )


VALUES = st.recursive(SCALARS, nodes, max_leaves=6)


@dataclasses.dataclass(repr=False)
class Call:
    """A call that is yet to be made, and shows what it is made with."""

    function: Any
    args: tuple = ()
    kwargs: dict = dataclasses.field(default_factory=dict)

    def __call__(self):
        return self.function(*self.args, **self.kwargs)

    def __repr__(self):
        name = getattr(self.function, "__qualname__", shown(self.function))
        return f"{name}(*{shown(self.args)}, **{shown(self.kwargs)})"


def drawn(init, *args):
    """A call that samples nothing."""
    return jax.eval_shape(lambda: init(*args))


def calls(function, *right):
    """Calls of a function with some of its right arguments, and others."""
    args = st.tuples(*[st.just(x) | VALUES for x in right])
    return st.builds(Call, st.just(function), args)


def constructed(cls):
    """Constructions of a law or a declaration, by position, by name, by config."""
    names = [field.name for field in dataclasses.fields(cls) if field.init]
    fields = st.fixed_dictionaries({}, optional=dict.fromkeys(names, VALUES))
    by_name = st.builds(Call, st.just(cls), st.just(()), fields)
    by_position = st.builds(Call, st.just(cls), st.lists(VALUES, max_size=3).map(tuple))
    if not issubclass(cls, ij.Initializer):
        return by_name | by_position
    return (
        by_name
        | by_position
        | st.builds(Call, st.just(cls.from_config), st.tuples(fields | VALUES))
    )


def ruled(pattern, initializer):
    """A saved rule."""
    return Call(ij.Rules.from_config, ({"rules": [[pattern, initializer]]},))


LAW = ij.HeNormal()
FANS = "einsum dense_general conv layout stacked experts fused embedding".split()
WRAPS = "scaled per_layer mup depth_scaled deepnorm fixup t_fixup".split()
NN = [f for f in vars(ij.nn).values() if inspect.isfunction(f)]
FEW = VALUES.filter(lambda n: not isinstance(n, int) or n < 1000)
DOORS = st.one_of(
    *[calls(door, "he_normal") for door in (ij.get, ij.deserialize)],
    calls(ij.deserialize, ij.serialize(LAW), {}),
    calls(ij.serialize, LAW, "keras3"),
    calls(ij.register, ij.HeNormal),
    calls(ij.Rules.from_config, ij.Rules([("**", LAW)]).get_config()),
    st.builds(ruled, st.just("**") | VALUES, VALUES),
    *[calls(ij.clone_initializer, init, "a") for init in (LAW, len)],
    st.builds(lambda n: Call(ij.clone_initializer, (LAW,), {"num": n}), FEW),
    calls(ij.fold_in_path, KEY, "a", 1),
    calls(ij.fold_in_paths, KEY, [("a",), (1, "b")]),
    *map(constructed, LAWS + DECLARATIONS),
    *[calls(getattr(ij.Fan, name), "io", 1, 1) for name in FANS],
    *[calls(getattr(ij.Fan, name), 2, 1) for name in FANS],
    *[calls(getattr(ij, name), LAW, 2) for name in WRAPS],
    *[calls(function, KEY, (3, 4)) for function in NN],
    *[calls(partial(drawn, c.init), KEY, c.shape, "float32") for c in CASES],
    *[calls(partial(drawn, c.init), c.shape, "float32") for c in CASES[::5]],
    *[calls(c.init.law, c.shape, None) for c in CASES],
    *[calls(partial(drawn, c.init.bind(KEY)), c.shape) for c in CASES[::5]],
    *[calls(c.init.fan.fans, c.shape) for c in CASES if c.init.fan],
)  # fmt: skip


def refusal(call):
    """The error that a call may raise, or None."""
    try:
        call()
    except (ValueError, TypeError, ImportError) as error:
        return error


@pytest.mark.usefixtures("registry")
@settings(
    max_examples=EXAMPLES, derandomize=True, database=None, deadline=None,
    suppress_health_check=[*HealthCheck],
)  # fmt: skip
@given(DOORS)
def test_what_comes_out_is_right_or_refused(call):
    if (error := refusal(call)) is None:
        return
    text, frames = str(error), traceback.extract_tb(error.__traceback__)
    inner = Path(frames[-1].filename)
    assert inner.is_relative_to(HOME) or "() " in text, (inner, text)
    assert PLACE.match(text), text
    assert len(text) < 2000
    assert error.__suppress_context__ or not error.__context__
