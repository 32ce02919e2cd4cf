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
    "Dirac(fan=Fan(in_axes=(-2,), out_axes=(-1,), groups=3), groups=2)": (
        "has groups=2, its fan 3; give both alike."
    ),
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
    "ZerO()(key, shape=(3,))": (
        "a kernel has rank >= 2, got rank 1; give (in, out), after the window of a "
        "convolution."
    ),
    "IDInit()(key, shape=(4, 8589934592))": (
        "rows and columns are counted in 32 bits, got 4 and 8589934592; give shorter "
        "axes."
    ),
    "IDInit(gain=1e-06)(key, shape=(2, 2), dtype=float8_e4m3fn)": (
        "float8_e4m3fn cannot hold gain=1e-06; give another gain, or a dtype that "
        "holds it."
    ),
    "HiPPO()(key, shape=(3, 4))": "part 'A' has a shape (N, N), got (3, 4); give one.",
    "HiPPO(measure='lagt')": "must be one of ('legs', 'legt').",
    "MambaALog()(key, shape=())": "a state has an axis, got a scalar; give (..., N).",
    "Gabor(orientations=0)": "must be a whole number >= 1.",
    "Gabor(wavelength=1.5)": "must be a finite number >= 2.",
    "Rotary(base=0.5)": "must be a finite number >= 1.",
    "Gabor()(key, shape=(5, 1, 8))": (
        "needs a window of 2 axes, got 1; give (height, width, in, out)."
    ),
    "DCT()(key, shape=(8, 8, 1, 32))": (
        "a window (8, 8) has a basis of 64 filters, got 32 outputs; give a window, and "
        "as many outputs as it has taps."
    ),
    "HaarWavelet()(key, shape=(3, 1, 3))": (
        "a window axis of 3 is no power of 2; give one, such as (2, 2, 1, 4)."
    ),
    "Sinusoidal()(key, shape=(8, 3))": (
        "a table of positions has a shape (positions, dim) with dim even, got (8, 3); "
        "give one."
    ),
    "ALiBi()(key, shape=(8, 1))": "slopes have a shape (heads,), got (8, 1); give one.",
    "Toeplitz(initializer=HeNormal())(key, shape=(3,))": (
        "a matrix has rank 2, got (3,); give (rows, columns), or fan=Fan.stacked() for "
        "several."
    ),
    "Toeplitz(initializer=Orthogonal())(key, shape=(3, 3))": (
        "needs a shape of rank >= 2, got rank 1; for a vector use "
        "RandomNormal(stddev=n ** -0.5)."
    ),
    "Circulant(initializer=HeNormal())(key, shape=(3, 4))": (
        "a circulant matrix is square, got (3, 4); give (n, n), or use Toeplitz."
    ),
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
    "S4D()(key, shape=(3, 8))": (
        "draws complex arrays, got dtype float32; give a complex dtype, such as "
        "complex64."
    ),
    "Rotary()(key, shape=(3, 8), dtype=int32)": (
        "draws float or complex arrays, got dtype int32; give a float or complex "
        "dtype, such as float32."
    ),
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
