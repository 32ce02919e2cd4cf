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
}
