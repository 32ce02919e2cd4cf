"""Wrong uses of the rarer laws: a call, and the rest of the message after it.

Rows of the tables of `test_errors.py`.
"""

VALUES: dict = {
    # other distributions
    # peers' laws
    # structures: filters, tables, state spaces
    # combinators
    "Clipped(initializer=Ones(), low=1, high=0)": "low=1 is above high=0; swap them.",
    "Masked(initializer=Ones(), mask='lower')(key, shape=(3,))": (
        "a triangle needs a shape of rank >= 2, got rank 1; give an array as the mask."
    ),
    "Masked(initializer=Ones(), mask=[True, False])(key, shape=(3,))": (
        "a mask of shape (2,) does not broadcast to the shape; give one of shape (3,), "
        "or another shape."
    ),
    "Transposed(initializer=Ones(), axes=(1, 0))(key, shape=(3,))": (
        "axes=(1, 0) are 2, the shape has 1; give one for each."
    ),
    "BlockDiagonal(initializer=Ones(), blocks=2)(key, shape=(2, 2, 2))": (
        "a matrix of blocks has rank 2, got rank 3; give (rows, columns), and stack "
        "such matrices by fan=Fan.stacked(0)."
    ),
    "BlockDiagonal(initializer=Ones(), blocks=2)(key, shape=(4, 3))": (
        "2 blocks do not divide the sides of (4, 3); give a shape whose sides they "
        "divide."
    ),
    "concatenated([], axis=-1)": "there are no parts; give one or more.",
    "MuP(initializer=Sum(initializers=(HeNormal(), Ones())), base_fan=(2, 2))"
    "(key, shape=(4, 4))": "has terms that grow apart; put MuP on each of them.",
    "MuP(initializer=Clipped(initializer=HeNormal(), low=0, high=1), base_fan=(2, 2))"
    "(key, shape=(4, 4))": (
        "is cut at numbers that do not grow; clip a law that is MuP."
    ),
    # factorizations
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
    "Sum(initializers=())": (
        "must be a sequence of laws, got tuple; give one or more."
    ),
    "Sum(initializers='ones')": (
        "must be a sequence of laws, got str; give one or more."
    ),
    "Sum(initializers=(Ones(),))(key, shape=(3,), dtype=int32)": (
        "draws float or complex arrays, got dtype int32; give a float or complex "
        "dtype, such as float32."
    ),
    "Clipped(initializer=Ones(), low=0, high=1)(key, shape=(3,), dtype=complex64)": (
        "draws float arrays, got dtype complex64; give a float dtype, such as float32."
    ),
    "Clipped(initializer=DeltaOrthogonal(), low=0, high=1).law(shape=(1, 2, 2))": (
        "promises nothing: the wrapped law has no cdf with finite moments, so what "
        "clipping does to them is not known; measure an array."
    ),
    "stacked(<built-in function len>, axis=0)": (
        "must be a law or an identifier of one, got builtin_function_or_method; "
        "a function has no law: subclass Initializer."
    ),
    "concatenated(3, axis=-1)": (
        "parts must be pairs of a law and a length, or a dict of them, got int."
    ),
    "concatenated(['ones'], axis=-1)": (
        "a part is a pair of a law and a length, got 'ones'."
    ),
    # factorizations
    # gains and data
}
