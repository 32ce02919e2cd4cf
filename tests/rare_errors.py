"""Wrong uses of the rarer laws: a call, and the rest of the message after it.

Rows of the tables of `test_errors.py`.
"""

NO_GATES = "must have each gate's letter once, i and f among them."
NO_SPLIT = "does not split into 4 gates (ifgo); give a multiple."

VALUES: dict = {
    # other distributions
    "Categorical(values=())": "is empty; give at least one number.",
    "Categorical(values=(1.0, nan))": "must be a finite number.",
    "Categorical(values=(0, 1), probabilities=(1.0,))": (
        "has 2 values and 1 probabilities; give one for each."
    ),
    "Categorical(values=(0, 1), probabilities=(0.5, 0.6))": (
        "the sum of its probabilities is 1.1; divide them by it."
    ),
    "Categorical(values=(0.5, 1))(key, shape=(3,), dtype=int32)": (
        "dtype int32 cannot hold the value; give a dtype that can, or another value."
    ),
    "Laplace(scale=0)": "must be a finite number > 0.",
    "Laplace(scale=1000000.0)(key, shape=(3,), dtype=float16)": (
        "float16 cannot hold a law of mean 0 and standard deviation 1.41421e+06; "
        "give another, or a dtype that holds it."
    ),
    "LogUniform(minval=2, maxval=1)": "minval=2 is above maxval=1; swap them.",
    "Cauchy(scale=-1)": "must be a finite number > 0.",
    **{
        f"Cauchy(scale={scale})(key, shape=(3,), dtype=float16)": (
            f"float16 cannot hold scale={scale}; "
            "give another scale, or a dtype that holds it."
        )
        for scale in (1e-09, 1000000.0)
    },
    "StudentT(df=0)": "must be a finite number > 0.",
    "StudentT(df=inf)": "must be a finite number > 0.",
    "Chrono(t_max=1.5)": "must be a finite number >= 2.",
    "Chrono(t_max=10)(key, shape=(6,))": f"the last axis of (6,) {NO_SPLIT}",
    "Chrono(t_max=10)(key, shape=())": f"the last axis of () {NO_SPLIT}",
    "Chrono(t_max=10).law(shape=(6,))": f"the last axis of (6,) {NO_SPLIT}",
    "lstm_bias(forget=inf, order='ifgo')": "must be a finite number.",
    "lstm_bias(forget=1.0, order='igo')": NO_GATES,
    "lstm_bias(forget=1.0, order='iffo')": NO_GATES,
    "MambaDt(dt_min=0.5)": "dt_min=0.5 is above dt_max=0.1; swap them.",
    "MambaDt(floor=-1)": "must be a finite number >= 0.",
    "Ring(r_min=0.9, r_max=0.5)": "r_min=0.9 is above r_max=0.5; swap them.",
    "Ring(r_max=1.5)": (
        "r_max=1.5 is above 1, so the state would grow; give r_max <= 1."
    ),
    "Ring(r_min=1, part='nu_log')": (
        "nu_log is -inf on the unit circle; give r_min < 1."
    ),
    "Ring(part='nu')": "must be one of ('eigenvalue', 'nu_log', 'theta_log').",
    "random_fourier(bandwidth=0)": "must be a finite number > 0.",
    # peers' laws
    # structures: filters, tables, state spaces
    # combinators
    # factorizations
    # gains and data
}
KINDS: dict = {
    # other distributions
    "Categorical(values=1.0)": "must be a sequence of numbers, got float.",
    "Categorical(values='ab')": "must be a sequence of numbers, got str.",
    "Categorical(values=(0, 1))(key, shape=(3,), dtype=bool)": (
        "draws float or int arrays, got dtype bool; "
        "give a float or int dtype, such as float32."
    ),
    "Cauchy(loc=1j)": "must be a finite number, got complex.",
    "StudentT(df=3.0)(key, shape=(3,), dtype=complex64)": (
        "draws float arrays, got dtype complex64; give a float dtype, such as float32."
    ),
    "lstm_bias(forget=1.0, order=4)": "must be a str of the gates' letters, got int.",
    "Ring()(key, shape=(3,), dtype=float32)": (
        "eigenvalues are complex, got dtype float32; give complex64, or "
        "part='nu_log' or part='theta_log'."
    ),
    "Ring(part='nu_log')(key, shape=(3,), dtype=complex64)": (
        "draws float arrays, got dtype complex64; give a float dtype, such as float32."
    ),
    "Rademacher()(key, shape=(3,), dtype=int32)": (
        "draws float arrays, got dtype int32; give a float dtype, such as float32."
    ),
    # peers' laws
    # structures: filters, tables, state spaces
    # combinators
    # factorizations
    # gains and data
}
