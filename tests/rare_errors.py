"""Wrong uses of the rarer laws: a call, and the rest of the message after it.

Rows of the tables of `test_errors.py`.
"""

VALUES: dict = {
    # other distributions
    # peers' laws
    # structures: filters, tables, state spaces
    # combinators
    # factorizations
    "BlockOrthogonal(gain=inf)": "must be a finite number.",
    "BlockOrthogonal()(key, shape=(4, 8))": (
        "needs a convolution kernel of rank 3, 4 or 5, got rank 2; "
        "for a matrix use Orthogonal()."
    ),
    "BlockOrthogonal()(key, shape=(3, 3, 8, 4))": (
        "needs in <= out, got in=8 and out=4; "
        "use Orthogonal(), or more output channels."
    ),
    "BlockOrthogonal(fan=Fan(in_axes=(-2,), out_axes=(-1,), groups=2))"
    "(key, shape=(3, 4, 8))": (
        "a grouped kernel is several; draw each and put them side by side: "
        "fan=Fan.fused(groups, axis=-1)."
    ),
    "Spectral(gain=-1.0)": "must be a finite number >= 0.",
    "Spectral(distribution='uniform')": "must be one of ('orthogonal', 'normal').",
    "Spectral()(key, shape=(8,))": (
        "needs a shape of rank >= 2, got rank 1; "
        "for a vector declare its axis, such as fan=Fan((), 0)."
    ),
    "Mimetic(part='keys')": "must be one of ('query', 'key', 'value', 'output').",
    "Mimetic(part='key')(key, shape=(8,))": (
        "needs a shape of rank 2 or 3, got rank 1; "
        "give (d, k) or (d, heads, k), or declare the axes by fan."
    ),
    "Mimetic(part='value')(key, shape=(8, 3, 4))": (
        "needs at most d=8 columns in a product, got 12; "
        "declare heads, such as fan=Fan.fused(heads), or give fewer."
    ),
    "Mimetic(fan=Fan(in_axes=(-2,), out_axes=(-1,)), part='key')"
    "(key, shape=(2, 8, 4))": (
        "needs no window, got (2, 8, 4); declare heads as outputs."
    ),
    # gains and data
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
    "BlockOrthogonal()(key, shape=(3, 4, 4), dtype=int32)": (
        "draws float or complex arrays, got dtype int32; "
        "give a float or complex dtype, such as float32."
    ),
    "Spectral()(key, shape=(4, 4), dtype=bool)": (
        "draws float or complex arrays, got dtype bool; "
        "give a float or complex dtype, such as float32."
    ),
    "Mimetic(part='query')(key, shape=(4, 4), dtype=complex64)": (
        "draws float arrays, got dtype complex64; give a float dtype, such as float32."
    ),
    "Mimetic(part=1)": ("must be one of ('query', 'key', 'value', 'output'), got int."),
    # gains and data
}
