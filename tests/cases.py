"""The one table of laws that every test walks: a new law is a new row."""

from dataclasses import dataclass

import numpy as np

from initjax import (
    DCT,
    ICNR,
    S4D,
    STFT,
    ALiBi,
    Bilinear,
    BlockDiagonal,
    BlockOrthogonal,
    Cast,
    Categorical,
    Cauchy,
    Chrono,
    Circulant,
    Clipped,
    Constant,
    ConvolutionAware,
    DeltaOrthogonal,
    Dirac,
    Fan,
    Gabor,
    GlorotNormal,
    GlorotUniform,
    HaarWavelet,
    HeNormal,
    HeUniform,
    HiPPO,
    Identity,
    IDInit,
    Initializer,
    Laplace,
    LecunNormal,
    LecunUniform,
    LogUniform,
    MambaALog,
    MambaDt,
    Masked,
    Mimetic,
    MuP,
    Ones,
    Orthogonal,
    PerLayer,
    PerPart,
    Rademacher,
    RandomNormal,
    RandomUniform,
    Ring,
    Rotary,
    Scaled,
    Sinusoidal,
    Siren,
    Sparse,
    Spectral,
    StudentT,
    Sum,
    Toeplitz,
    Transposed,
    TruncatedNormal,
    VarianceScaling,
    WithRow,
    ZerO,
    Zeros,
)
from initjax.laws import rare


@dataclass(frozen=True)
class Case:
    """A law, a shape it fills, and what kind of law it is."""

    name: str
    init: Initializer
    shape: tuple[int, ...]
    random: bool = True  # else the key is ignored
    elementwise: bool = True  # else entries depend on one another
    ours: bool = False  # whether Keras has no such law, and refuses its config
    bound: bool = False  # whether the law fits this shape alone

    @property
    def keras(self) -> str | None:
        """The class that real Keras loads the law as."""
        return None if self.ours else type(self.init).__name__

    def __str__(self) -> str:
        """Give the name, which pytest shows."""
        return self.name


INF = float("inf")
C64 = "complex64"
UNCUT = "untruncated_normal"
CONV = (3, 3, 4, 8)  # height, width, in, out
HEADS = (8, 2, 3)  # model, heads, head: the last two are outputs
EXPERTS = (2, 4, 8)  # expert, in, out: one matrix per expert
FRAME = (6, 1, 5)  # frame length, 1, frequencies
QKV = Fan.fused([16, 4, 4], axis=1)  # of grouped attention
LAYERS = Fan.stacked(0, of=Fan.fused(2, axis=1))
BLOCKS = Fan.experts(0)
OIHW = Fan.layout("oihw")
DEPTHWISE = Fan.conv(groups=2)
GATES = Fan.fused(("f", "g"), axis=1)
GATED = Orthogonal(fan=GATES, method="qr")
ALTERNATE = [[True, False] * 4]
LAYERED = RandomNormal(fan=LAYERS)
LOOKUP, OIHW = Fan.embedding(), Fan.conv(layout="OIHW")
SHARES = (0.25, 0.25, 0.5)
WINDOW = np.linspace(0.1, 1, 6)

# fmt: off
CASES = [
    # constants
    Case("zeros", Zeros(), (3, 4), random=False),
    Case("ones", Ones(), (3, 4), random=False),
    Case("constant", Constant(-1.5), (3, 4), random=False),
    Case("constant_column", Constant([[1], [2], [3]]), (3, 4), random=False),
    Case("complex", Constant(1 + 2j, dtype=C64), (3, 4), random=False, ours=True),
    Case("complex_row", Constant([1j, 2], dtype=C64), (3, 2), random=False, ours=True),
    Case("identity", Identity(), (4, 4), random=False),
    Case("identity_tall", Identity(gain=2.5), (5, 3), random=False),
    # fixed parameters
    Case("normal", RandomNormal(), (16, 8)),
    Case("normal_mean", RandomNormal(mean=1.5, stddev=0.5), (16, 8)),
    Case("normal_point", RandomNormal(mean=1.5, stddev=0.0), (16, 8)),
    Case("normal_seed_int", RandomNormal(seed=7), (16, 8)),
    Case("normal_seed_path", RandomNormal(seed=("encoder", 3, "kernel")), (16, 8)),
    Case("normal_bfloat16", RandomNormal(dtype="bfloat16"), (16, 8)),
    Case("uniform", RandomUniform(), (16, 8)),
    Case("uniform_unit", RandomUniform(0.0, 1.0), (16, 8)),
    Case("uniform_int", RandomUniform(-3, 10, dtype="int32"), (16, 8)),
    Case("truncated", TruncatedNormal(), (16, 8)),
    Case("truncated_mean", TruncatedNormal(mean=-2.0, stddev=0.5), (16, 8)),
    Case("truncated_tail", TruncatedNormal(lower=5, upper=INF), (16, 8), ours=True),
    Case("truncated_wide", TruncatedNormal(lower=-100, upper=100), (16, 8), ours=True),
    Case("truncated_left", TruncatedNormal(lower=-INF, upper=1), (16, 8), ours=True),
    Case("truncated_exact", TruncatedNormal(exact_stddev=True), (16, 8), ours=True),
    Case("truncated_at", TruncatedNormal(low=-0.01, high=0.1), (16, 8), ours=True),
    # fans: modes, distributions, named cases, axes
    Case("scaling_in", VarianceScaling(), (16, 8)),
    Case("scaling_out", VarianceScaling(3.0, "fan_out", "uniform"), (16, 8)),
    Case("scaling_avg", VarianceScaling(0.5, "fan_avg", UNCUT), (16, 8)),
    Case("scaling_geo", VarianceScaling(2.0, "fan_geo_avg"), (16, 8), ours=True),
    Case("scaling_vector", VarianceScaling(), (16,)),
    Case("scaling_scalar", VarianceScaling(), ()),
    Case("glorot_normal", GlorotNormal(), (16, 8)),
    Case("glorot_uniform", GlorotUniform(), (16, 8)),
    Case("he_normal", HeNormal(), CONV),
    Case("he_uniform", HeUniform(), CONV),
    Case("lecun_normal", LecunNormal(seed=3), CONV),
    Case("lecun_uniform", LecunUniform(), CONV),
    Case("heads", HeNormal(in_axis=0, out_axis=(1, 2)), HEADS, ours=True),
    Case("experts", HeUniform(in_axis=1, out_axis=2, batch_axis=0), EXPERTS, ours=True),
    Case("experts_rest", HeNormal(in_axis=1, out_axis=2, batch_axis="rest"), EXPERTS),
    # declared fans: parts side by side, each on its own stream
    Case("einsum", HeNormal(fan=Fan.einsum("bd,dhk->bhk")), HEADS, ours=True),
    Case("gate_up", GlorotUniform(fan=Fan.fused(2, axis=1)), (4, 24), ours=True),
    Case("qkv", LecunNormal(fan=QKV, seed="x"), (8, 24), ours=True, bound=True),
    Case("layers", RandomNormal(fan=LAYERS), (2, 4, 24), ours=True),
    # other distributions
    Case("rademacher", Rademacher(), (16, 8), ours=True),
    Case("categorical", Categorical((-1, 2, 0), SHARES), (16, 8), ours=True),
    Case("laplace", Laplace(0.5, 2.0), (16, 8), ours=True),
    Case("log_uniform", LogUniform(0.01, 1.0), (16, 8), ours=True),
    Case("cauchy", Cauchy(scale=0.5), (16, 8), ours=True),
    Case("student_t", StudentT(6.0, -1.0), (16, 8), ours=True),
    Case("chrono", Chrono(100), (2, 16), elementwise=False, ours=True),
    Case("mamba_dt", MambaDt(floor=2e-3), (16, 8), ours=True),
    Case("nu_log", Ring(0.9, 0.999, part="nu_log"), (16, 8), ours=True),
    Case("theta_log", Ring(part="theta_log"), (16, 8), ours=True),
    # peers' laws
    Case("identity_shift", Identity(shift=2), (5, 3), random=False, ours=True),
    Case("dirac", Dirac(), CONV, random=False, ours=True),
    Case("dirac_groups", Dirac(3, gain=0.5), (4, 2, 6), random=False, ours=True),
    Case("sparse", Sparse(0.3), (16, 8), elementwise=False, ours=True),
    Case("sparse_rows", Sparse(0.9, 1.0, axis=0), (7, 4), elementwise=False, ours=True),
    Case("bilinear", Bilinear(), (4, 5, 1, 3), random=False, ours=True),
    Case("linear", Bilinear(diagonal=True), (4, 1, 3, 2, 2), random=False, ours=True),
    Case("cai_1d", ConvolutionAware(), (5, 4, 6), elementwise=False, ours=True),
    Case("cai_2d", ConvolutionAware(0.0), (3, 3, 8, 4), elementwise=False, ours=True),
    Case("cai_tap", ConvolutionAware(1), (1, 4, 3), elementwise=False, ours=True),
    Case("cai_matrix", ConvolutionAware(0.2), (4, 6), elementwise=False, ours=True),
    Case("siren", Siren(), (16, 8), ours=True),
    Case("siren_first", Siren(first=True, seed="x"), (2, 8), ours=True),
    Case("siren_heads", Siren(5.0, fan=Fan.layout("ioo")), HEADS, ours=True),
    # structures: filters, tables, state spaces
    Case("zero", ZerO(), (4, 4), random=False, ours=True),
    Case("zero_grows", ZerO(fan=Fan.layout("oi")), (7, 3), random=False, ours=True),
    Case("zero_conv", ZerO(fan="conv"), CONV, random=False, ours=True),
    Case("padded", IDInit(), (4, 10), random=False, ours=True),
    Case("padded_conv", IDInit(-0.5), CONV, random=False, ours=True),
    Case("padded_torch", IDInit(fan=OIHW), (8, 4, 3, 3), random=False, ours=True),
    Case("legs", HiPPO(), (5, 5), random=False, ours=True, bound=True),
    Case("legs_input", HiPPO(part="B"), (5,), random=False, ours=True),
    Case("legt", HiPPO("legt"), (6, 6), random=False, ours=True, bound=True),
    Case("s4d", S4D(dtype=C64), (3, 8), random=False, ours=True, bound=True),
    Case("mamba", MambaALog(), (3, 8), random=False, ours=True, bound=True),
    Case("gabor", Gabor(2), (5, 5, 3, 4), random=False, ours=True),
    Case("gabor_odd", Gabor(phase=1, fan=OIHW), (9, 1, 5, 4), random=False, ours=True),
    Case("dct", DCT(), (3, 2, 2, 6), random=False, ours=True),
    Case("dct_groups", DCT(fan=DEPTHWISE), (4, 1, 8), random=False, ours=True),
    Case("haar", HaarWavelet(), (2, 4, 1, 8), random=False, ours=True),
    Case("sinusoidal", Sinusoidal(), (7, 6), random=False, ours=True, bound=True),
    Case("rotary", Rotary(), (7, 6), random=False, ours=True, bound=True),
    Case("alibi", ALiBi(), (12,), random=False, ours=True),
    # laws of laws
    Case("scaled", Scaled(HeNormal(seed="x"), by=0.5), (16, 8), ours=True),
    Case("scaled_stft", Scaled(STFT(), by=0.5), FRAME, random=False, ours=True),
    Case("per_layer", PerLayer(HeUniform(), [1, 0.5]), EXPERTS, ours=True),
    Case("mup", MuP(GlorotNormal(), (4, 8)), (16, 8), ours=True),
    Case("with_row", WithRow(RandomNormal(), 0), (16, 8), ours=True),
    Case("with_rows", WithRow(HeNormal(), [-1, 3], "normal", 1), (16, 8), ours=True),
    Case("with_slice", WithRow(Ones(), "2:", -0.0), (4, 8), random=False, ours=True),
    Case("per_part", PerPart(HeNormal(fan=GATES), {"f": "ones"}), (4, 24), ours=True),
    Case("per_named", PerPart(LAYERED, {1: "uniform"}), (2, 4, 24), ours=True),
    Case("toeplitz", Toeplitz(HeNormal()), (16, 8), ours=True),
    Case("circulant", Circulant(GlorotUniform()), (8, 8), ours=True, bound=True),
    Case("icnr", ICNR(HeNormal(), 2), CONV, ours=True),
    Case("icnr_tf", ICNR(GlorotUniform(fan="conv"), 2, "tensorflow"), CONV, ours=True),
    # combinators
    Case("negative", Scaled(RandomUniform(0.0, 1.0), -2.0), (16, 8), ours=True),
    Case("sum", Sum([HeNormal(seed="x"), RandomUniform(), 0.5]), (16, 8), ours=True),
    Case("sum_fixed", Identity() - Identity(2.5), (5, 3), random=False, ours=True),
    Case("clipped", Clipped(HeNormal(seed="x"), -0.1, 0.2), (16, 8), ours=True),
    Case("cast", Cast(HeNormal(), "bfloat16"), (16, 8), ours=True),
    Case("masked", Masked(HeNormal(), "lower"), (16, 8), ours=True),
    Case("masked_by", Masked(HeUniform(), ALTERNATE), (16, 8), ours=True, bound=True),
    Case("transposed", Transposed(HeUniform()), (16, 8), ours=True),
    Case("block_diagonal", BlockDiagonal(HeNormal(), 4), (16, 8), ours=True),
    Case(
        "haar_diagonal", BlockDiagonal(Orthogonal(method="qr"), 2), (6, 4),
        elementwise=False, ours=True,
    ),
    # factorizations
    Case("orthogonal", Orthogonal(), (5, 5), elementwise=False),
    Case("by_qr", Orthogonal(2.0, method="qr"), (9, 4), elementwise=False),
    Case("orthogonal_wide", Orthogonal(seed="head"), (4, 9), elementwise=False),
    Case("orthogonal_conv", Orthogonal(), CONV, elementwise=False),
    Case("column", Orthogonal(column_axis=0), HEADS, elementwise=False, ours=True),
    Case("blocks", Orthogonal(fan=BLOCKS), EXPERTS, elementwise=False, ours=True),
    Case("gates", PerPart(GATED, {"f": Ones()}), (8, 8), elementwise=False, ours=True),
    Case("half", Scaled(Orthogonal(), 0.5), (5, 5), elementwise=False, ours=True),
    Case("delta_3d", DeltaOrthogonal(), (3, 4, 6), elementwise=False, ours=True),
    Case(
        "delta_4d", DeltaOrthogonal(0.5, method="qr"), (3, 3, 4, 4),
        elementwise=False, ours=True,
    ),
    Case("delta_5d", DeltaOrthogonal(), (2, 3, 4, 2, 5), elementwise=False, ours=True),
    Case("taps", BlockOrthogonal(0.5), (2, 3, 4), elementwise=False, ours=True),
    Case("oihw", BlockOrthogonal(fan=OIHW), (3, 2, 2, 1), elementwise=False, ours=True),
    Case("spectral", Spectral(), (4, 9), elementwise=False, ours=True),
    Case("spectral_rows", Spectral(fan=LOOKUP), (4, 3), elementwise=False, ours=True),
    Case("spectral_normal", Spectral(distribution="normal"), CONV, ours=True),
    Case("mimetic", Mimetic("query", 0.4, 0.4), (8, 4), elementwise=False, ours=True),
    Case("mimetic_heads", Mimetic("key"), (8, 2, 4), elementwise=False, ours=True),
    Case(
        "mimetic_out", Mimetic("output", 0.2, seed="layer"), (2, 4, 16),
        elementwise=False, ours=True,
    ),
    # transforms
    Case("stft", STFT(), FRAME, random=False),
    Case("stft_imag", STFT("imag", "hamming", "spectrum", True), FRAME, random=False),
    Case("stft_plain", STFT(window=None, scaling=None), FRAME, random=False),
    Case("stft_array", STFT(window=WINDOW), FRAME, random=False),
]

# a law that every dtype of its kinds holds, and its shape, where the first case is none
HOLDING = {
    "Zeros": (Zeros(), (3,)),
    "Ones": (Ones(), (3,)),
    "Constant": (Constant([[1], [1]]), (2, 3)),
    "Identity": (Identity(), (3, 2)),
    "RandomNormal": (RandomNormal(stddev=1.0), (8, 512)),
    "RandomUniform": (RandomUniform(0, 2), (8, 512)),
    "TruncatedNormal": (TruncatedNormal(0.25, 1.0, low=-1, high=1.9), (8, 512)),
    "VarianceScaling": (VarianceScaling(4.0, distribution="uniform"), (8, 512)),
    "GlorotNormal": (GlorotNormal(), (8, 8)),
    "GlorotUniform": (GlorotUniform(), (8, 8)),
    "HeNormal": (HeNormal(), (8, 8)),
    "HeUniform": (HeUniform(), (8, 8)),
    "LecunNormal": (LecunNormal(), (8, 8)),
    "LecunUniform": (LecunUniform(), (8, 8)),
    "Orthogonal": (Orthogonal(2.0), (8, 8)),
    "DeltaOrthogonal": (DeltaOrthogonal(2.0), (1, 8, 8)),
    "STFT": (STFT(window=None), (4, 1, 3)),
    # other distributions
    "Rademacher": (Rademacher(), (8, 512)),
    "Categorical": (Categorical((-1, 2, 0), SHARES), (8, 512)),
    "Laplace": (Laplace(0.5), (8, 512)),
    "LogUniform": (LogUniform(0.25, 4.0), (8, 512)),
    "Cauchy": (Cauchy(), (8, 8)),
    "StudentT": (StudentT(6.0), (8, 512)),
    "Chrono": (Chrono(100), (8, 8)),
    "MambaDt": (MambaDt(), (8, 512)),
    "Ring": (Ring(0.5, 0.9), (8, 512)),
    # peers' laws
    "Dirac": (Dirac(), (3, 4, 4)),
    "Sparse": (Sparse(0.25, 1.0), (8, 512)),
    "Bilinear": (Bilinear(), (4, 5, 1, 2)),
    "ConvolutionAware": (ConvolutionAware(), (3, 8, 8)),
    "Siren": (Siren(1.0), (8, 512)),
    # structures: filters, tables, state spaces
    "ZerO": (ZerO(), (4, 8)),
    "IDInit": (IDInit(2.0), (3, 8)),
    "HiPPO": (HiPPO(), (2, 2)),
    "S4D": (S4D("inv"), (3, 4)),
    "MambaALog": (MambaALog(), (3, 1)),
    "Gabor": (Gabor(), (1, 1, 4, 2)),
    "DCT": (DCT(), (1, 1, 4, 1)),
    "HaarWavelet": (HaarWavelet(), (2, 2, 1, 4)),
    "Sinusoidal": (Sinusoidal(), (1, 6)),
    "Rotary": (Rotary("sin"), (1, 6)),
    "ALiBi": (ALiBi(), (4,)),
    # combinators
    "Sum": (Sum([RandomNormal(stddev=1.0), Ones()]), (8, 512)),
    # factorizations
    "BlockOrthogonal": (BlockOrthogonal(2.0), (2, 4, 4)),
    "Spectral": (Spectral(), (4, 8)),
    "Mimetic": (Mimetic("query"), (8, 4)),
}

# the same laws on arrays without entries
EMPTY = [
    Case("zeros", Zeros(), (0,), random=False),
    Case("constant", Constant(2.0), (0, 3), random=False),
    Case("identity", Identity(), (0, 3), random=False),
    Case("normal", RandomNormal(), (3, 0)),
    Case("uniform", RandomUniform(), (0,)),
    Case("truncated", TruncatedNormal(), (2, 0, 3)),
    Case("he_normal_no_inputs", HeNormal(), (0, 4)),
    Case("glorot_uniform_no_outputs", GlorotUniform(), (4, 0)),
    Case("orthogonal_no_rows", Orthogonal(), (0, 3), elementwise=False),
    Case("delta_no_taps", DeltaOrthogonal(), (0, 2, 3), elementwise=False, ours=True),
    Case("zero_no_inputs", ZerO(), (0, 4), random=False, ours=True),
    Case("padded_no_outputs", IDInit(), (3, 0), random=False, ours=True),
    Case("toeplitz_no_rows", Toeplitz(HeNormal()), (0, 3), ours=True),
    Case("circulant_no_rows", Circulant(HeNormal()), (0, 0), ours=True),
    Case("gabor_no_outputs", Gabor(), (3, 3, 1, 0), random=False, ours=True),
    Case("dct_no_taps", DCT(), (0, 1, 0), random=False, ours=True),
    Case("legs_no_state", HiPPO(), (0, 0), random=False, ours=True),
    Case("sinusoidal_no_dim", Sinusoidal(), (3, 0), random=False, ours=True),
    Case("alibi_no_heads", ALiBi(), (0,), random=False, ours=True),
    Case("no_taps", BlockOrthogonal(), (0, 2, 3), elementwise=False, ours=True),
    Case("spectral_no_rows", Spectral(), (0, 3), elementwise=False, ours=True),
    Case("mimetic_no_columns", Mimetic("key"), (3, 0), elementwise=False, ours=True),
    Case("stft_no_frame", STFT(), (0, 1, 3), random=False),
    Case("sum", Sum([HeNormal(), Ones()]), (0, 3)),
    Case("masked_no_rows", Masked(HeNormal(), "lower"), (0, 3)),
    Case("blocks_no_columns", BlockDiagonal(HeNormal(), 2), (4, 0)),
    Case("stft_no_bins", STFT(), (6, 1, 0), random=False),
    # peers' laws
    Case("identity_shift_no_rows", Identity(shift=1), (0, 3), random=False, ours=True),
    Case("dirac_no_taps", Dirac(), (0, 2, 3), random=False, ours=True),
    Case("dirac_no_outputs", Dirac(2), (3, 2, 0), random=False, ours=True),
    Case("sparse_no_line", Sparse(0.5), (3, 0), elementwise=False, ours=True),
    Case("sparse_no_lines", Sparse(0.5), (0, 3), elementwise=False, ours=True),
    Case("bilinear_no_taps", Bilinear(), (4, 0, 1, 1), random=False, ours=True),
    Case("cai_no_inputs", ConvolutionAware(), (3, 0, 2), elementwise=False, ours=True),
    Case("cai_no_taps", ConvolutionAware(), (0, 2, 2), elementwise=False, ours=True),
    Case("siren_no_inputs", Siren(), (0, 4), ours=True),
]
# fmt: on

for case in CASES:
    HOLDING.setdefault(type(case.init).__name__, (case.init, case.shape))

RANDOM = [case for case in CASES if case.random]
FIXED = [case for case in CASES if not case.random]
ELEMENTWISE = [case for case in CASES if case.elementwise]
KERAS = [case for case in CASES if case.keras]


def is_rare(init):
    """Whether one dtype and one sharding of a law will do, as others go its way."""
    common = "TruncatedNormal Scaled PerLayer PerPart WithRow ICNR MuP".split()
    return hasattr(rare, type(init).__name__) and type(init).__name__ not in common
