"""Wrong input is refused with a message that says where, what, and the way out."""

import dataclasses
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import rare_errors
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P
from tools import assert_refused

import initjax as ij

# The tables map a call to the rest of the message, which begins with the call itself:
# RandomNormal(stddev=-0.1): must be a finite number >= 0.

KEY = repr(jax.random.key(0))
VALUES = {
    # fields out of range
    "RandomNormal(stddev=-0.1)": "must be a finite number >= 0.",
    "RandomNormal(stddev=nan)": "must be a finite number >= 0.",
    "RandomNormal(stddev=inf)": "must be a finite number >= 0.",
    "RandomNormal(mean=-inf)": "must be a finite number.",
    "RandomNormal(mean=nan)": "must be a finite number.",
    "RandomNormal(stddev=array([1., 1.]))": (
        "must be a scalar, got an array of shape (2,)."
    ),
    "RandomUniform(minval=1.0, maxval=0.0)": (
        "minval=1.0 is above maxval=0.0; swap them."
    ),
    "RandomUniform(minval=nan)": "must be a finite number.",
    "RandomUniform(maxval=inf)": "must be a finite number.",
    "TruncatedNormal(stddev=-1)": "must be a finite number >= 0.",
    "TruncatedNormal(lower=2, upper=-2)": "lower=2 must be below upper=-2; swap them.",
    "TruncatedNormal(lower=1, upper=1)": "lower=1 must be below upper=1; swap them.",
    "TruncatedNormal(lower=nan)": "must be a finite number, inf or -inf.",
    "TruncatedNormal(upper=nan)": "must be a finite number, inf or -inf.",
    "TruncatedNormal(low=1, high=0)": (
        "its lower bound 1.0 must be below its upper 0.0; swap them."
    ),
    "TruncatedNormal(upper=3, high=1)": "takes high or upper, not both; drop one.",
    "TruncatedNormal(lower=-1, low=0)": "takes low or lower, not both; drop one.",
    "TruncatedNormal(exact_stddev=True, low=-1)": (
        "exact_stddev goes with lower and upper; leave it out, and law(shape).std says "
        "what comes out."
    ),
    "TruncatedNormal(stddev=0, low=1)": (
        "stddev=0 puts every entry at the mean, which is not in [1.0, inf]; "
        "give another."
    ),
    "VarianceScaling(scale=0.0)": "must be a finite number > 0.",
    "VarianceScaling(scale=-1.0)": "must be a finite number > 0.",
    "VarianceScaling(scale=nan)": "must be a finite number > 0.",
    "VarianceScaling(scale=inf)": "must be a finite number > 0.",
    "VarianceScaling(mode='fan_inn')": (
        "must be one of ('fan_in', 'fan_out', 'fan_avg', 'fan_geo_avg')."
    ),
    "VarianceScaling(distribution='gauss')": (
        "must be one of ('truncated_normal', 'untruncated_normal', 'uniform')."
    ),
    "VarianceScaling(distribution='normal')": (
        'is "truncated_normal" in Keras and "untruncated_normal" in '
        "jax.nn.initializers; name the one you mean."
    ),
    "VarianceScaling(in_axis=(0,))": (
        "needs out_axis too; give both in_axis and out_axis, or neither."
    ),
    "HeNormal(out_axis=(0,))": (
        "needs in_axis too; give both in_axis and out_axis, or neither."
    ),
    "HeNormal(batch_axis=(0,))": (
        "batch_axis needs in_axis and out_axis; give all three."
    ),
    "HeNormal(batch_axis='all')": "must be axes or 'rest'.",
    "HeNormal(seed=['a', []])": (
        "needs at least one part; give a name, such as 'encoder'."
    ),
    "Identity(gain=nan)": "must be a finite number.",
    "Orthogonal(gain=inf)": "must be a finite number.",
    "Orthogonal(method='lq')": "must be one of ('reflections', 'qr').",
    "DeltaOrthogonal(method='lq')": "must be one of ('reflections', 'qr').",
    "DeltaOrthogonal(column_axis=0)": (
        "column_axis counts from the end here; give -1 or -2."
    ),
    "STFT(side='left')": "must be one of ('real', 'imag').",
    "STFT(scaling='power')": "must be one of ('density', 'spectrum', None).",
    "STFT(window='nann')": (
        "scipy.signal.get_window has no such window without parameters; "
        "give another, such as 'hann', or the window's values."
    ),
    "STFT(window='kaiser')": (
        "scipy.signal.get_window has no such window without parameters; "
        "give another, such as 'hann', or the window's values."
    ),
    "STFT(window=[[1.0]])": (
        "must be one-dimensional and finite; give one number per sample."
    ),
    "STFT(window=[1.0, nan])": (
        "must be one-dimensional and finite; give one number per sample."
    ),
    f"Constant(value={2**64})": "must fit 64 bits; give a float.",
    # shapes
    "RandomNormal()(key, shape=(5, -1))": (
        "sizes must be >= 0, got -1; give a shape without it."
    ),
    "RandomNormal()(key, shape=(9223372036854775808, 4))": (
        "an array has fewer than 2**63 entries, got sizes (9223372036854775808, 4); "
        "give smaller ones."
    ),
    f"Zeros()(key, shape={(1,) * 65})": (
        "an array has at most 64 axes, got 65; give fewer."
    ),
    "Orthogonal()(key, shape=(5,))": (
        "needs a shape of rank >= 2, got rank 1; "
        "for a vector use RandomNormal(stddev=n ** -0.5)."
    ),
    "Orthogonal().law(shape=(5,))": (
        "needs a shape of rank >= 2, got rank 1; "
        "for a vector use RandomNormal(stddev=n ** -0.5)."
    ),
    "Orthogonal(column_axis=2)(key, shape=(5, 5))": (
        "column_axis=2 is out of range for rank 2; give an axis in [-2, 2)."
    ),
    "DeltaOrthogonal()(key, shape=(5, 5))": (
        "needs a convolution kernel of rank 3, 4 or 5, got rank 2; "
        "for a matrix use Orthogonal()."
    ),
    "DeltaOrthogonal()(key, shape=(3, 5, 4))": (
        "needs in <= out, got in=5 and out=4; "
        "use Orthogonal(), or more output channels."
    ),
    "Identity()(key, shape=(3, 3, 3))": (
        "an identity matrix has rank 2, got rank 3; "
        "give (rows, columns), or use DeltaOrthogonal() for a convolution."
    ),
    "STFT()(key, shape=(4, 3))": (
        "a Fourier kernel has a shape (T, 1, F), got (4, 3); "
        "give (frame_length, 1, fft_length // 2 + 1)."
    ),
    "STFT()(key, shape=(4, 2, 3))": (
        "a Fourier kernel has a shape (T, 1, F), got (4, 2, 3); "
        "give (frame_length, 1, fft_length // 2 + 1)."
    ),
    "STFT(window=[1.0, 2.0])(key, shape=(4, 1, 3))": (
        "the window has 2 values, the frame 4; give as many, or a window's name."
    ),
    "Constant(value=[1.0, 2.0])(key, shape=(3,))": (
        "a value of shape (2,) does not broadcast to the shape; "
        "give a scalar, an array of shape (3,), or another shape."
    ),
    "Constant(value=[[1.0], [2.0]])(key, shape=(2,))": (
        "a value of shape (2, 1) does not broadcast to the shape; "
        "give a scalar, an array of shape (2,), or another shape."
    ),
    # axes
    "HeNormal(in_axis=(0,), out_axis=(3,))(key, shape=(5, 4))": (
        "out_axis=3 is out of range for a shape of rank 2; "
        "give axes in [-2, 2), or a weight of higher rank."
    ),
    "HeNormal(in_axis=(0,), out_axis=(1,))(key, shape=())": (
        "in_axis=0 is out of range for a shape of rank 0; "
        "give in_axis=() and out_axis=() for a scalar."
    ),
    "HeNormal(in_axis=(0,), out_axis=(-2,))(key, shape=(5, 4))": (
        "axis 0 is in both in_axis and out_axis (in_axis=(0,), out_axis=(-2,), "
        "batch_axis=()); an axis has one role: list it once."
    ),
    "HeNormal(in_axis=(0,), out_axis=(1,), batch_axis=(1,))(key, shape=(5, 4))": (
        "axis 1 is in both out_axis and batch_axis (in_axis=(0,), out_axis=(1,), "
        "batch_axis=(1,)); an axis has one role: list it once."
    ),
    "WithRow(initializer=Ones(), index='2:')(key, shape=(2147483648,))": (
        "rows are counted in 32 bits, got 2147483648; give fewer."
    ),
    # declarations
    "Beside(weight='')": "weight must not be empty; give a name, such as 'kernel'.",
    "HeNormal(fan=Beside(weight='kernel'))(key, shape=(3,))": (
        "fan=Beside(weight='kernel') means a leaf beside this one, which rules alone "
        "can see; give it in a rule, or give the fan_in as a number."
    ),
    "Given(fan_in=nan)": "fan_in must be positive and finite.",
    "Given(fan_in=1, fan_out=-1)": "fan_out must be positive and finite.",
    "Fused(names={'q': -1})": "parts must be >= 0, got -1.",
    "Fused(names=100000)": "parts must be <= 65536, got 100000.",
    "Fused(names=(('q', None), ('q', None)))": (
        "parts have one name each, got ['q', 'q']."
    ),
    "Fan.dense_general(100, 1, 0)": "inputs must be <= 64, got 100.",
    "Fan.einsum('ab,bc->ac', kernel=2)": (
        "kernel must be in [0, 2), one of the operands."
    ),
    "Fan.embedding('lookup', features=2)": "a table has two axes; give 0 or 1.",
    "Fan(in_axes=(0,), out_axes=(1,)).fans(shape=(3, -1))": (
        "sizes must be >= 0, got -1; give a shape without it."
    ),
    # dtypes that cannot hold the numbers
    "RandomNormal()(key, shape=(5,), dtype=float64)": (
        "dtype float64 needs 64-bit mode; set "
        "jax.config.update('jax_enable_x64', True), or ask for float32."
    ),
    "RandomNormal(dtype='float64')(key, shape=(5,))": (
        "dtype float64 needs 64-bit mode; set "
        "jax.config.update('jax_enable_x64', True), or ask for float32."
    ),
    "RandomNormal(mean=1.0)(key, shape=(5,), dtype=complex64)": (
        "a complex law is centred, got mean=1.0; "
        "give mean=0 and add the mean to the array."
    ),
    "RandomUniform(minval=0.5, maxval=10)(key, shape=(5,), dtype=int32)": (
        "dtype int32 needs integer bounds, got minval=0.5; "
        "give integers, such as RandomUniform(0, 10), or a float dtype."
    ),
    "RandomUniform(minval=0, maxval=300)(key, shape=(5,), dtype=int8)": (
        "dtype int8 needs -128 <= minval < maxval <= 128, got [0, 300); "
        "give other bounds."
    ),
    "RandomUniform(minval=3, maxval=3)(key, shape=(5,), dtype=int16)": (
        "dtype int16 needs -32768 <= minval < maxval <= 32768, got [3, 3); "
        "give other bounds."
    ),
    **{
        f"{law}(key, shape=(3, 3), dtype={dtype})": (
            f"dtype {dtype} cannot hold the value; "
            "give a dtype that can, or another value."
        )
        for law, dtype in [
            ("Identity(gain=0.5)", "int32"),
            ("Identity(gain=0.5)", "int4"),
            ("Identity(gain=2.0)", "bool"),
            ("Identity(gain=300)", "int8"),
            ("Identity(gain=-1)", "uint8"),
            ("Identity(gain=1e+300)", "float32"),
            ("Constant(value=0.5)", "int32"),
            ("Constant(value=300)", "uint8"),
            ("Constant(value=float('nan'))", "int32"),
            ("Constant(value=float('inf'))", "int8"),
            ("Constant(value=[1.0, 2.0, 0.5])", "int4"),
            ("Constant(value=1j)", "float32"),
            ("Constant(value=(1+1j))", "int32"),
            ("Constant(value=1e+300)", "float32"),
            ("Constant(value=1e+300)", "complex64"),
            ("Constant(value=1000000.0)", "float16"),
            ("Constant(value=float('inf'))", "float8_e4m3fn"),
            ("Constant(value=1e-09)", "float16"),
            ("Constant(value=1e+30)", "float4_e2m1fn"),
            ("Identity(gain=1e-09)", "float16"),
            ("Identity(gain=1000000.0)", "float8_e4m3fn"),
            ("Zeros()", "float8_e8m0fnu"),
            ("Constant(value=-1)", "float8_e8m0fnu"),
        ]
    },
    **{
        f"{law}(key, shape=(3, 3), dtype={dtype})": (
            f"{dtype} cannot hold a law of mean {mean} and standard deviation {std}; "
            "give another, or a dtype that holds it."
        )
        for law, dtype, mean, std in [
            ("RandomNormal(stddev=1e-30)", "float16", "0", "1e-30"),
            ("RandomNormal(stddev=1000000.0)", "float16", "0", "1e+06"),
            ("RandomNormal(mean=1000000.0)", "float16", "1e+06", "0.05"),
            ("RandomNormal(mean=1e-30, stddev=0.0)", "float16", "1e-30", "0"),
            ("RandomNormal(stddev=1e-39)", "float32", "0", "1e-39"),
            ("RandomNormal(stddev=3e+38)", "float32", "0", "3e+38"),
            ("RandomNormal(stddev=1e-39)", "complex64", "0", "1e-39"),
            ("RandomNormal()", "float4_e2m1fn", "0", "0.05"),
            (
                "RandomUniform(minval=-100000.0, maxval=100000.0)",
                "float16",
                "0",
                "57735",
            ),
            ("TruncatedNormal(stddev=1e-09)", "float16", "0", "8.79626e-10"),
            ("TruncatedNormal(low=0, high=1e-09)", "float16", "5e-10", "2.88675e-10"),
            ("VarianceScaling(scale=1e-20)", "float16", "0", "5.7735e-11"),
            ("Orthogonal(gain=1e-09)", "float16", "0", "5.7735e-10"),
            ("Scaled(initializer=RandomNormal(), by=1e-10)", "float16", "0", "5e-12"),
        ]
    },
    **{
        f"{law}(key, shape=(5,))": (
            f"float32 cannot hold {name}={value}; "
            f"give another {name}, or a dtype that holds it."
        )
        for law, name, value in [
            ("RandomNormal(stddev=1e+300)", "stddev", "1e+300"),
            ("RandomNormal(stddev=1e-60)", "stddev", "1e-60"),
            ("RandomNormal(mean=-1e+39)", "mean", "-1e+39"),
            ("RandomUniform(maxval=1e+39)", "maxval", "1e+39"),
            ("RandomUniform(minval=-3e+38, maxval=3e+38)", "maxval - minval", "6e+38"),
            ("TruncatedNormal(lower=1e+39, upper=1e+40)", "lower", "1e+39"),
            ("VarianceScaling(scale=1e+60)", "scale", "2e+59"),
        ]
    },
    # names and saved forms
    "get('he_norml')": (
        "unknown initializer 'he_norml'; did you mean 'he_normal' or 'he_normalV2' "
        "or 'he_uniform'? "
        "A law of your own needs initjax.register, or custom_objects."
    ),
    "get('')": (
        "unknown initializer ''; see initjax.laws for the catalogue. "
        "A law of your own needs initjax.register, or custom_objects."
    ),
    **{
        f"get({wrong!r})": (
            f"unknown initializer {wrong!r}; {hint} "
            "A law of your own needs initjax.register, or custom_objects."
        )
        for wrong, hint in [
            ("keras.initializers.HeNormal", "did you mean 'HeNormal' or 'he_normal'?"),
            ("tf.keras.initializers.Zeros", "did you mean 'Zeros' or 'zeros'?"),
            (
                "jax.nn.initializers.he_normal",
                "did you mean 'HeNormal' or 'he_normal'?",
            ),
            ("jax.nn.initializers.normal", "did you mean initjax.nn.normal()?"),
            ("jax.nn.initializers.uniform", "did you mean initjax.nn.uniform()?"),
            ("initjax.Ones", "did you mean 'Ones' or 'ones'?"),
            (" He-Normal ", "did you mean 'HeNormal' or 'he_normal'?"),
            ("zeros_initializer", "did you mean 'Zeros' or 'zeros'?"),
            ("conv_kernel_initializer", "see initjax.laws for the catalogue."),
        ]
    },
    "Scaled.from_config({})": "needs the field 'initializer'; give it.",
    "MuP.from_config({'initializer': 'zeros'})": (
        "needs the field 'base_fan'; give it."
    ),
    "deserialize({'class_name': 'Zeroes', 'config': {}})": (
        "unknown initializer 'Zeroes'; did you mean 'Zeros' or 'ZerosV2' or 'zeros'? "
        "A law of your own needs initjax.register, or custom_objects."
    ),
    "deserialize({'module': 'os', 'class_name': 'system', 'config': {}})": (
        "names the module 'os', and initjax imports nothing from a config; register "
        "the class 'system' with initjax.register, or pass it in custom_objects."
    ),
    "HeNormal.from_config({'sede': 1})": ("has no field 'sede'; did you mean 'seed'?"),
    "HeNormal.from_config({'gain': 1})": (
        "has no field 'gain'; "
        "known: ['batch_axis', 'dtype', 'fan', 'in_axis', 'out_axis', 'seed']."
    ),
    "HeNormal.from_config({3: 1})": (
        "has no field '3'; "
        "known: ['batch_axis', 'dtype', 'fan', 'in_axis', 'out_axis', 'seed']."
    ),
    "HeNormal.from_config({'seed': {'class_name': 'Evil', 'config': {}}})": (
        "unknown initializer 'Evil'; see initjax.laws for the catalogue. "
        "A law of your own needs initjax.register, or custom_objects."
    ),
    "HeNormal.from_config({'seed': {'class_name': 'SeedGenerator', 'config': {}}})": (
        "cannot read the nested object "
        "{'class_name': 'SeedGenerator', 'config': {}}: KeyError('seed')."
    ),
    # clones and paths
    "clone_initializer(HeNormal(), num=0)": (
        "must be a positive int; leave it out for one clone."
    ),
    "clone_initializer(HeNormal(), 'a', num=-1)": (
        "must be a positive int; leave it out for one clone."
    ),
    "clone_initializer(HeNormal(), ())": (
        "needs at least one part; give a name, such as 'encoder'."
    ),
}

KINDS = {
    # fields of another kind
    "RandomNormal(stddev=True)": "must be a finite number >= 0, got bool.",
    "RandomNormal(stddev='0.1')": "must be a finite number >= 0, got str.",
    "RandomNormal(stddev=1j)": "must be a finite number >= 0, got complex.",
    "RandomNormal(stddev=None)": "must be a finite number >= 0, got NoneType.",
    "RandomNormal(stddev=[0.1])": "must be a finite number >= 0, got list.",
    "TruncatedNormal(lower='low')": "must be a finite number, inf or -inf, got str.",
    "TruncatedNormal(exact_stddev=1)": "must be True or False, got int.",
    "VarianceScaling(mode=1)": (
        "must be one of ('fan_in', 'fan_out', 'fan_avg', 'fan_geo_avg'), got int."
    ),
    "HeNormal(in_axis=0.5)": "must be an int, got float.",
    "HeNormal(in_axis='0')": "must be an int, got str.",
    "HeNormal(in_axis=True)": "must be an int, got bool.",
    "HeNormal(seed=2.0)": (
        "a path is made of str and int, got 2.0 of type float; give a name or an index."
    ),
    "HeNormal(seed=True)": (
        "a path is made of str and int, got True of type bool; give a name or an index."
    ),
    "HeNormal(seed=['a', None])": (
        "a path is made of str and int, got None of type NoneType; "
        "give a name or an index."
    ),
    "HeNormal(dtype='float99')": "must be None or a numeric dtype, such as 'bfloat16'.",
    "HeNormal(dtype='str')": "must be None or a numeric dtype, such as 'bfloat16'.",
    "HeNormal(dtype=3)": "must be None or a numeric dtype, such as 'bfloat16'.",
    "Zeros(dtype=array([1., 1.]))": (
        "must be None or a numeric dtype, such as 'bfloat16'."
    ),
    "Orthogonal(column_axis=0.0)": "must be an int, got float.",
    "STFT(periodic=1)": "must be True or False, got int.",
    "STFT(scaling=1)": "must be one of ('density', 'spectrum', None), got int.",
    "STFT(window=['a'])": (
        "must be None, a window's name, or a sequence of numbers, got list."
    ),
    **{
        f"Constant(value={value})": (
            f"must be a number, or an array or nested list of numbers, got {kind}."
        )
        for value, kind in [
            ("'one'", "str"),
            ("None", "NoneType"),
            ("{1.0}", "set"),
            ("[[1.0], [1.0, 2.0]]", "list"),
            ("['one']", "list"),
        ]
    },
    # shapes
    "Zeros()(key, shape=5)": "shape must be a sequence of ints, got 5; give (5,).",
    "RandomNormal()(key, shape=None)": "shape must be a sequence of ints, got None.",
    "RandomNormal()(key, shape=(5.0,))": (
        "shape must be a sequence of ints, got (5.0,)."
    ),
    "RandomNormal()(key, shape=(5, None))": (
        "shape must be a sequence of ints, got (5, None)."
    ),
    **{
        f"RandomNormal()(key, shape={shape})": (
            f"shape must be a sequence of ints, got {shape}."
        )
        for shape in (
            "{3, 4}",
            "{3: 4}",
            "b'ab'",
            "'34'",
            "(True, 4)",
            "[[3, 4]]",
            "(3, '4')",
            "array([3., 4.])",
            "array(3)",
        )
    },
    "HeNormal(in_axis=b'ab')": "must be an int, got bytes.",
    "HeNormal(in_axis={0})": "must be an int, got set.",
    "HeNormal(in_axis={0: 1})": "must be an int, got dict.",
    **{
        f"{call}": (
            f"this is the {what} the law; call it first, as in {name}()(key, shape), "
            f"or give {name}() in its place."
        )
        for call, what, name in [
            (f"RandomNormal({KEY}, (3, 4))", "class of", "RandomNormal"),
            (f"HeNormal({KEY}, (3, 4), dtype('float32'))", "class of", "HeNormal"),
            (f"Scaled({KEY}, (3, 4))", "class of", "Scaled"),
            (f"nn.he_normal({KEY}, (3, 4))", "function that makes", "he_normal"),
            (f"nn.normal({KEY}, (3, 4), None)", "function that makes", "normal"),
        ]
    },
    **{
        f"{call}((3, 4), dtype('float32'))": re.compile(
            rf"this is the {what} the law; call it first\. \(shape, dtype\) is the "
            rf"call of Keras and Haiku\. .*to_keras\({name}\(\)\), .*"
        )
        for call, what, name in [
            ("Orthogonal", "class of", "Orthogonal"),
            ("nn.he_normal", "function that makes", "he_normal"),
        ]
    },
    "HeNormal().law(shape=5)": "shape must be a sequence of ints, got 5; give (5,).",
    # dtypes
    "RandomNormal()(key, shape=(5,), dtype='float99')": (
        "dtype='float99' is not a numeric dtype; give one, such as jnp.float32."
    ),
    "RandomNormal()(key, shape=(5,), dtype=3)": (
        "dtype=3 is not a numeric dtype; give one, such as jnp.float32."
    ),
    **{
        f"{law}(key, shape=(4, 1, 3), dtype={dtype})": re.compile(
            f"draws {kinds} arrays, got dtype {dtype}; give a .* dtype, such as.*"
        )
        for law, dtype, kinds in [
            ("RandomNormal()", "int32", "float or complex"),
            ("RandomNormal()", "bool", "float or complex"),
            ("RandomUniform()", "complex64", "float or int"),
            ("RandomUniform()", "bool", "float or int"),
            ("TruncatedNormal()", "complex64", "float"),
            ("TruncatedNormal()", "int8", "float"),
            ("HeNormal()", "int32", "float or complex"),
            ("Orthogonal()", "int32", "float or complex"),
            ("DeltaOrthogonal()", "int32", "float or complex"),
            ("STFT()", "complex64", "float"),
        ]
    },
    # declarations
    "Beside(weight=3)": "weight must be a str, got int.",
    "Given(fan_in='1')": "fan_in must be a number, got str.",
    "Given(fan_in=True)": "fan_in must be a number, got bool.",
    **{
        f"Fused(names={names})": f"the name of a part is a str or an int, got {name}."
        for names, name in [("{None: 2}", "None"), ("[({}, 2)]", "{}")]
    },
    "Fused(names=['q', []])": "a part is a name and a length, got [].",
    "Fused(names='qkv')": (
        "parts must be lengths, names, a dict of both, or how many they are, got 'qkv'."
    ),
    "Fused(axis=(0, 1))": "axis must be an int, got (0, 1).",
    "Stacked(axis=(0, 1))": "axis must be an int, got (0, 1).",
    "Stacked(of=<class 'initjax.laws.scaling.HeNormal'>)": (
        "must be None, a declaration such as Fan.layout('oi'), 'conv', a number or a "
        "pair of numbers, got <class 'initjax.laws.scaling.HeNormal'>."
    ),
    "Fan(in_axes={0}, out_axes=1)": (
        "in_axes must be an int or a sequence of them, got {0}."
    ),
    "Fan.einsum('ab,bc->ac', kernel=1.0)": "kernel must be an int, got float.",
    "Fan.conv(groups=1, transpose=1, layout=None, strides=1, per_group='i')": (
        "transpose must be True or False."
    ),
    "Fan(in_axes=(0,), out_axes=(1,)).fans(shape={3, 4})": (
        "shape must be a sequence of ints, got {3, 4}."
    ),
    # a base or a law that does not define its mathematics
    "Initializer()(key, shape=(5,))": (
        "is the base class and draws nothing; use a law, such as HeNormal(), "
        "or define _sample(self, key, shape, dtype) in your subclass."
    ),
    "Mine().law(shape=(5,))": (
        "does not say what it promises; define _law(self, shape, dtype) in the class."
    ),
    # names and saved forms
    **{
        f"get({identifier})": (
            "an identifier is None, a name, a config, a class, an array or a "
            f"callable, got {kind}; give a name, such as 'he_normal'."
        )
        for identifier, kind in [
            ("3.5", "float"),
            ("[1, 2]", "list"),
            ("b'he_normal'", "bytes"),
            ("<class 'int'>", "type"),
        ]
    },
    "get({})": (
        "needs a class_name that is a str, got None; "
        "give {'class_name': ..., 'config': {...}}."
    ),
    "get({'config': {}})": (
        "needs a class_name that is a str, got None; "
        "give {'class_name': ..., 'config': {...}}."
    ),
    "deserialize({'class_name': 3})": (
        "needs a class_name that is a str, got 3; "
        "give {'class_name': ..., 'config': {...}}."
    ),
    "deserialize([1])": "needs a dict or a name, got list; see `serialize`.",
    "deserialize({'class_name': 'Ones', 'config': [1]})": (
        "needs a config that is a dict, got list; give a dict."
    ),
    "deserialize({'class_name': 'Ones', 'config': {}, 'initjax': [1]})": (
        'needs "initjax" to be a dict, got list; drop it.'
    ),
    "serialize('he_normal')": (
        "needs a law, got str; only laws have a config: "
        "give one, such as HeNormal(), or of a class that you register."
    ),
    "serialize(<class 'initjax.laws.scaling.HeNormal'>)": (
        "needs a law, got type; only laws have a config: "
        "give one, such as HeNormal(), or of a class that you register."
    ),
    "serialize(<built-in function len>)": (
        "needs a law, got builtin_function_or_method; only laws have a config: "
        "give one, such as HeNormal(), or of a class that you register."
    ),
    "serialize(Mine())": (
        "the class Mine is not registered; decorate it with @initjax.register."
    ),
    "register(<built-in function len>)": (
        "needs a subclass of initjax.Initializer; pass functions in custom_objects "
        "instead."
    ),
    "register(<class 'int'>)": (
        "needs a subclass of initjax.Initializer; pass functions in custom_objects "
        "instead."
    ),
    # clones and paths
    "clone_initializer(HeNormal(), 0.5)": (
        "a path is made of str and int, got 0.5 of type float; give a name or an index."
    ),
    "clone_initializer(HeNormal(), ('a', None))": (
        "a path is made of str and int, got None of type NoneType; "
        "give a name or an index."
    ),
    "clone_initializer(HeNormal(), num=2.0)": "must be an int, got float.",
    "clone_initializer(HeNormal(), num='2')": "must be an int, got str.",
    "clone_initializer(HeNormal(), num=True)": "must be an int, got bool.",
}

KEYS = {
    # what is given as a key, to RandomNormal()(key, shape=(5,))
    "None": (
        TypeError,
        "needs a PRNG key, got key=None of type NoneType; give jax.random.key(seed).",
    ),
    "0": (
        TypeError,
        "needs a PRNG key, got key=0 of type int; give jax.random.key(0).",
    ),
    "'key'": (
        TypeError,
        "needs a PRNG key, got key='key' of type str; give jax.random.key(seed).",
    ),
    "jnp.zeros(2)": (
        TypeError,
        "needs a PRNG key, got an array of float32; give jax.random.key(seed).",
    ),
    "jnp.zeros(2, int32)": (
        TypeError,
        "needs a PRNG key, got an array of int32; give jax.random.key(seed).",
    ),
    "jnp.zeros(3, uint32)": (
        ValueError,
        re.compile(r"raw key data of shape \(3,\) is not .*jax\.random\.key\(seed\)\."),
    ),
    "jnp.zeros((), uint32)": (
        ValueError,
        re.compile(r"raw key data of shape \(\) is not .*jax\.random\.key\(seed\)\."),
    ),
    "jax.random.split(key, 3)": (
        ValueError,
        "needs one PRNG key, got a batch of keys of shape (3,); "
        "use jax.vmap over the keys, or pick one.",
    ),
    "jax.random.key_data(jax.random.split(key, (2, 3)))": (
        ValueError,
        "needs one PRNG key, got a batch of keys of shape (2, 3); "
        "use jax.vmap over the keys, or pick one.",
    ),
}


class Mine(ij.Initializer):
    """A law of one's own, not registered, that says nothing of itself."""


def namesake():
    """A law under a name that a built-in has."""
    return dataclasses.make_dataclass(
        "HeNormal", [], bases=(ij.Initializer,), frozen=True
    )


def anonymous_under_jit():
    jax.jit(lambda: ij.clone_initializer(ij.HeNormal()) and 0)()


def traced_config(stddev):
    return ij.RandomNormal(stddev=stddev).get_config()


def clone_of_a_function(key, shape):
    return None


def nested(depth):
    """A config of laws of laws."""
    config = "ones"
    for _ in range(depth):
        config = {"class_name": "Scaled", "config": {"initializer": config}}
    return config


def cyclic():
    """A config that contains itself."""
    config = nested(1)
    config["config"]["initializer"] = config
    return config


OTHERS = [
    *[
        (
            lambda key, made=made: ij.get(made()),
            ValueError,
            re.compile(
                r"Scaled\.from_config\(.*\): is nested too deep, or contains itself; "
                r"give what `serialize` writes\."
            ),
        )
        for made in (lambda: nested(5000), cyclic)
    ],
    (
        lambda key: ij.HeNormal.from_config({"seed": {"class_name": 10**5000}}),
        TypeError,
        "HeNormal.from_config(dict(...)): needs a class_name that is a str, got "
        "int(...); give {'class_name': ..., 'config': {...}}.",
    ),
    (
        lambda key: ij.get("x" * 10**6),
        ValueError,
        f"get('{'x' * 199}...): unknown initializer '{'x' * 199}...; "
        "see initjax.laws for the catalogue. "
        "A law of your own needs initjax.register, or custom_objects.",
    ),
    # the call, its error, and its whole message
    (
        lambda key: ij.HeNormal()(key, (4, 4), None, "x"),
        TypeError,
        "HeNormal()(key, shape=(4, 4)): out_sharding must be a NamedSharding, "
        "a PartitionSpec or None, got str; give one of them.",
    ),
    (
        lambda key: ij.HeNormal()(key, (4, 4), None, P("d")),
        ValueError,
        re.compile(
            r"HeNormal\(\)\(key, shape=\(4, 4\)\): out_sharding="
            r"P.*\('d',\) has no mesh; "
            r"call under jax\.set_mesh\(mesh\), or give NamedSharding\(mesh, spec\)\."
        ),
    ),
    (
        lambda key: ij.HeNormal()(
            key, (4,), None, NamedSharding(jax.make_mesh((8,), ("d",)), P(None, "d"))
        ),
        ValueError,
        re.compile(
            r"HeNormal\(\)\(key, shape=\(4,\)\): out_sharding=P.*\(None, 'd'\) names "
            r"2 axes; give at most 1\."
        ),
    ),
    (
        lambda key: ij.serialize(ij.HeNormal(), "keras4"),
        ValueError,
        "serialize(HeNormal()): form must be 'keras2' or 'keras3', got 'keras4'.",
    ),
    (
        lambda key: ij.register(namesake()),
        ValueError,
        "register(HeNormal): the name 'HeNormal' is taken by "
        "initjax.laws.scaling.HeNormal; give another, such as "
        "register(name='package>HeNormal').",
    ),
    (
        lambda key: ij.register(Mine, name="he_normal"),
        ValueError,
        "register(Mine): the name 'he_normal' is taken by "
        "initjax.laws.scaling.HeNormal; give another, such as "
        "register(name='package>Mine').",
    ),
    (
        lambda key: ij.register(Mine, name="Xavier_normal"),
        ValueError,
        "register(Mine): the name 'xavier_normal' is taken by "
        "initjax.laws.scaling.GlorotNormal; give another, such as "
        "register(name='package>Mine').",
    ),
    (
        lambda key: ij.register(name="")(Mine),
        ValueError,
        "register(Mine): name must not be empty; leave it out.",
    ),
    (
        lambda key: ij.register(Mine, name=3),
        TypeError,
        "register(Mine): name must be a str, got int; leave it out.",
    ),
    (
        lambda key: ij.deserialize({"class_name": "HeNormal", "config": {"sede": 1}}),
        ValueError,
        "HeNormal.from_config({'sede': 1}): has no field 'sede'; did you mean 'seed'?",
    ),
    (
        lambda key: ij.deserialize({"class_name": "HeNormal", "config": {"seed": 0.5}}),
        TypeError,
        "HeNormal(seed=0.5): a path is made of str and int, got 0.5 of type float; "
        "give a name or an index.",
    ),
    (
        lambda key: ij.HeNormal.from_config({"input_axes": [0], "output_axes": None}),
        ValueError,
        "HeNormal(in_axis=(0,), batch_axis='rest'): needs out_axis too; "
        "give both in_axis and out_axis, or neither.",
    ),
    (
        lambda key: ij.nn.variance_scaling(1.0, "fan_in", "gauss"),
        ValueError,
        "VarianceScaling(distribution='gauss'): must be one of "
        "('truncated_normal', 'untruncated_normal', 'uniform').",
    ),
    (
        lambda key: anonymous_under_jit(),
        ValueError,
        "clone_initializer(HeNormal()): an anonymous clone inside a traced function "
        "would draw other weights at each trace; give the clone a name: "
        "clone_initializer(init, 'name').",
    ),
    (
        lambda key: ij.clone_initializer(clone_of_a_function, "a")(None, (3,)),
        TypeError,
        re.compile(
            r"CallableClone\(function=<function clone_of_a_function at .*>, "
            r"seed=\('a',\)\)\(key, shape=\(3,\)\): needs a PRNG key, got key=None of "
            r"type NoneType; give jax\.random\.key\(seed\)\."
        ),
    ),
    (
        lambda key: ij.HeNormal().bind(None)((3, 4)),
        TypeError,
        "HeNormal()(key, shape=(3, 4)): needs a PRNG key, got key=None of type "
        "NoneType; give jax.random.key(seed).",
    ),
    (
        lambda key: ij.fold_in_path(key),
        ValueError,
        re.compile(r"fold_in_path\(key.*\): needs at least one part; give a name, .*"),
    ),
    (
        lambda key: ij.fold_in_path(key, 0.5),
        TypeError,
        re.compile(r"fold_in_path\(key.*0\.5.*\): a path is made of str and int, .*"),
    ),
    (
        lambda key: ij.fold_in_path(jax.random.split(key, 2), "a"),
        ValueError,
        re.compile(r"fold_in_path\(key.*'a'.*\): needs one PRNG key, .* jax\.vmap .*"),
    ),
    (
        lambda key: ij.fold_in_paths(key, ["ab"]),
        ValueError,
        "fold_in_paths(key, paths): a path is a sequence of parts, got the str 'ab'; "
        "give ('ab',).",
    ),
    (
        lambda key: ij.fold_in_paths(key, [()]),
        ValueError,
        "fold_in_paths(key, paths): needs at least one part; "
        "give a name, such as 'encoder'.",
    ),
    (
        lambda key: jax.jit(lambda k: ij.fold_in_paths(k, [("a",)]))(key),
        TypeError,
        "fold_in_paths(key, paths): runs on the host, but the key is traced; "
        "use fold_in_path.",
    ),
    (
        lambda key: jax.jit(lambda x: ij.TruncatedNormal(upper=x)(key, (3,)))(2.0),
        TypeError,
        re.compile(
            r"TruncatedNormal\(upper=.*Tracer.*\): "
            r"upper must be a concrete number, got a tracer; .*"
        ),
    ),
    (
        lambda key: jax.jit(lambda x: ij.TruncatedNormal(stddev=x, low=0))(2.0),
        TypeError,
        re.compile(
            r"TruncatedNormal\(stddev=.*Tracer.*, low=0\): "
            r"stddev must be a concrete number beside low and high, got a tracer; .*"
        ),
    ),
    (
        lambda key: jax.jit(lambda x: ij.RandomNormal(stddev=x)(key, (3,)))(1j),
        TypeError,
        re.compile(
            r"RandomNormal\(stddev=.*Tracer.*\): "
            r"must be a finite number >= 0, got a traced complex64\."
        ),
    ),
    (
        lambda key: jax.jit(lambda x: ij.RandomNormal(stddev=x)(key, (3,)))(
            jnp.ones(2)
        ),
        ValueError,
        re.compile(
            r"RandomNormal\(stddev=.*Tracer.*\): "
            r"must be a scalar, got a traced array of shape \(2,\)\."
        ),
    ),
    (
        lambda key: jax.jit(traced_config)(2.0),
        TypeError,
        "RandomNormal.stddev: holds a traced value, which is not plain data.",
    ),
]

NAMES = {
    **{name: getattr(ij, name) for name in ij.__all__},
    **{"jax": jax, "jnp": jnp, "array": np.array, "Mine": Mine},
    **{"nan": float("nan"), "inf": float("inf")},
    **{kind: jnp.dtype(kind) for kind in ("float64", "complex64", "float16")},
    **{kind: jnp.dtype(kind) for kind in ("float32", "float8_e4m3fn", "int4", "int8")},
    **{kind: jnp.dtype(kind) for kind in ("float4_e2m1fn", "float8_e8m0fnu")},
    **{kind: jnp.dtype(kind) for kind in ("int16", "int32", "uint8", "uint32")},
}
OBJECTS = {repr(thing): thing.__name__ for thing in (len, int, ij.HeNormal)}
OBJECTS |= {KEY: "jax.random.key(0)", "dtype('float32')": "jnp.dtype('float32')"}


pytestmark = pytest.mark.usefixtures("registry")


VALUES |= rare_errors.VALUES
KINDS |= rare_errors.KINDS


def run(source, key):
    for shown, name in OBJECTS.items():
        source = source.replace(shown, name)
    return eval(source, {**NAMES, "key": key})


def after(where, rule):
    where = where.removeprefix("nn.")
    if isinstance(rule, re.Pattern):
        return re.compile(re.escape(f"{where}: ") + rule.pattern)
    return f"{where}: {rule}"


@pytest.mark.parametrize(("source", "rule"), VALUES.items(), ids=lambda x: str(x)[:60])
def test_a_wrong_value_is_a_value_error(source, rule, key):
    assert_refused(lambda: run(source, key), ValueError, after(source, rule))


@pytest.mark.parametrize(("source", "rule"), KINDS.items(), ids=lambda x: str(x)[:60])
def test_a_wrong_kind_is_a_type_error(source, rule, key):
    assert_refused(lambda: run(source, key), TypeError, after(source, rule))


@pytest.mark.parametrize("source", KEYS)
def test_what_is_no_key_is_refused(source, key):
    kind, rule = KEYS[source]
    given = run(source, key)
    where = "RandomNormal()(key, shape=(5,))"
    assert_refused(lambda: ij.RandomNormal()(given, (5,)), kind, after(where, rule))


@pytest.mark.parametrize(("call", "kind", "message"), OTHERS)
def test_other_misuse_is_refused(call, kind, message, key):
    assert_refused(lambda: call(key), kind, message)


@pytest.mark.parametrize("init", [ij.Zeros(), ij.Identity(), ij.STFT(window=None)])
def test_laws_that_draw_nothing_take_any_key(init):
    shape = (2, 1, 2) if isinstance(init, ij.STFT) else (2, 2)
    assert init(None, shape).shape == shape
