"""Wrong uses of the rarer laws: a call, and the rest of the message after it.

Rows of the tables of `test_errors.py`.
"""

VALUES: dict = {
    # other distributions
    # peers' laws
    # structures: filters, tables, state spaces
    # combinators
    # factorizations
    # gains and data
    "gain('tahn')": (
        "no activation is called 'tahn'; did you mean 'tanh'? A function is taken too."
    ),
    "gain('hardswish', of='derivative')": (
        "no activation is called 'hardswish'; did you mean 'hard_swish' or 'swish' "
        "or 'hard_silu'? A function is taken too."
    ),
    "gain('?')": ("no activation is called '?'; see jax.nn. A function is taken too."),
    "gain('relu', 0.1)": "'relu' takes no param; leave it out.",
    "gain('leaky_relu', nan)": "param must be a finite number.",
    "gain('gelu', of='first')": (
        "of must be one of (None, 'second_moment', 'derivative')."
    ),
    "gain('Relu')": (
        "no activation is called 'Relu'; did you mean 'relu' or 'relu6' or 'elu'? A "
        "function is taken too."
    ),
}
KINDS: dict = {
    # other distributions
    "Rademacher()(key, shape=(3,), dtype=int32)": (
        "draws float arrays, got dtype int32; give a float dtype, such as float32."
    ),
    # peers' laws
    # structures: filters, tables, state spaces
    # combinators
    # factorizations
    # gains and data
    "gain(3)": (
        "needs an activation, got int; give a name, such as 'gelu', or an elementwise "
        "function."
    ),
    "gain(None)": (
        "needs an activation, got NoneType; give a name, such as 'gelu', or an "
        "elementwise function."
    ),
    "gain('leaky_relu', True)": "param must be a finite number, got bool.",
    "gain('elu', 'x')": "param must be a finite number, got str.",
    "gain('gelu', of=2)": (
        "of must be one of (None, 'second_moment', 'derivative'), got int."
    ),
}
