"""Wrong uses of the rarer laws: a call, and the rest of the message after it.

Rows of the tables of `test_errors.py`.
"""

VALUES: dict = {
    # other distributions
    # peers' laws
    "Dirac(groups=0)": "must be a whole number >= 1; give that of the convolution.",
    "Dirac()(key, shape=(3, 3))": (
        "needs a convolution kernel of rank 3, 4 or 5, got rank 2; "
        "for a matrix use Identity()."
    ),
    "Dirac(groups=2)(key, shape=(3, 1, 3))": (
        "groups=2 do not divide 3 outputs; "
        "give a shape (window..., in, out) with outputs that they do."
    ),
    "Dirac(gain=0.5)(key, shape=(3, 1, 3), dtype=int32)": (
        "dtype int32 cannot hold the value; give a dtype that can, or another value."
    ),
    "Sparse(sparsity=1.5)": "must be in [0, 1]; give the fraction of zeros.",
    "Sparse(sparsity=nan)": "must be a finite number.",
    "Sparse(sparsity=0.5, axis=2)(key, shape=(3, 4))": (
        "axis=2 is out of range for a shape of rank 2; give the axis of the lines."
    ),
    "Bilinear()(key, shape=(4, 4))": (
        "needs a kernel of rank 3, 4 or 5, got rank 2; give (window..., in, out)."
    ),
    "ConvolutionAware(eps_std=-1)": "must be a finite number >= 0.",
    "ConvolutionAware(eps_std=10000000000.0)": (
        "must be <= 1e9, where noise alone is left; give less."
    ),
    "ConvolutionAware()(key, shape=(3,))": (
        "needs a kernel of rank 2 to 5, got rank 1; give (window..., in, out)."
    ),
    "Siren(w0=0)": "must be a finite number > 0.",
    "Siren(w0=1e+48)(key, shape=(6, 4))": (
        "float32 cannot hold limit=1e-48; give another limit, or a dtype that holds it."
    ),
    "prior_bias(probability=1)": "must be in (0, 1); give the rate of the rare class.",
    "small_init(dim=0)": "needs whole numbers >= 1; give the width.",
    "wang_init(layers=12, dim=0)": "needs whole numbers >= 1; give the width.",
    "wang_init(layers=0, dim=8)": "needs whole numbers >= 1; count the layers.",
    # structures: filters, tables, state spaces
    # combinators
    # factorizations
    # gains and data
}
KINDS: dict = {
    # other distributions
    "Rademacher()(key, shape=(3,), dtype=int32)": (
        "draws float arrays, got dtype int32; give a float dtype, such as float32."
    ),
    # peers' laws
    "Identity(shift=0.5)": "must be an int, got float.",
    "Dirac(groups=1.0)": "must be an int, got float.",
    "Sparse(sparsity='0.5')": "must be a finite number, got str.",
    "Sparse(sparsity=0.5)(key, shape=(3, 4), dtype=int32)": (
        "draws float arrays, got dtype int32; give a float dtype, such as float32."
    ),
    "Bilinear(diagonal=1)": "must be True or False, got int.",
    "Bilinear()(key, shape=(4, 1, 1), dtype=int32)": (
        "draws float or complex arrays, got dtype int32; "
        "give a float or complex dtype, such as float32."
    ),
    "ConvolutionAware(eps_std=None)": "must be a finite number >= 0, got NoneType.",
    "Siren(first=1)": "must be True or False, got int.",
    "Siren()(key, shape=(3, 4), dtype=complex64)": (
        "draws float arrays, got dtype complex64; give a float dtype, such as float32."
    ),
    "prior_bias(probability='1%')": "must be a finite number, got str.",
    "small_init(dim=64.0)": "must be an int, got float.",
    # structures: filters, tables, state spaces
    # combinators
    # factorizations
    # gains and data
}
