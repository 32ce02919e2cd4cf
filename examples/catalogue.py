"""The catalogue: every law of initjax, drawn from what it really makes.

Laws of independent entries are histograms, with the density that they promise; matrices
are shown with their singular values, kernels and tables as pictures, complex laws in
the plane. Each picture is made of one call, `law(key, shape)`.

    pip install "initjax[examples]"
    python examples/catalogue.py                 # writes catalogue.png
    python examples/catalogue.py --plot laws.png
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

import initjax as ij
from initjax import Fan

try:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    from initjax._report.drawing import INK, histogram, image
except ImportError:
    raise SystemExit('needs: pip install "initjax[examples]"') from None

KEY = jax.random.key(0)
COLUMNS = 8
Picture = Callable[[Any, np.ndarray, ij.Law | None], None]

# -- pictures --------------------------------------------------------------------------


def spectrum(axes: Any, x: np.ndarray, law: ij.Law | None) -> None:
    """Show the singular values of a matrix, largest first."""
    del law
    values = np.linalg.svd(x.reshape(-1, x.shape[-1]), compute_uv=False)
    axes.plot(values, color=INK)
    axes.set_ylim(0, 1.25 * values.max())


def plane(axes: Any, x: np.ndarray, law: ij.Law | None) -> None:
    """Show complex entries, or the eigenvalues of a real matrix, in the plane."""
    del law
    z = x.ravel() if np.iscomplexobj(x) else np.linalg.eigvals(x)
    axes.plot(z.real, z.imag, ".", color=INK, markersize=2)


def curves(axes: Any, x: np.ndarray, law: ij.Law | None) -> None:
    """Show entries along the last axis, a line a row."""
    del law
    for row in np.atleast_2d(x)[:4]:
        axes.plot(row, color=INK, linewidth=0.9)


# -- every law, a shape, and how it is shown -------------------------------------------

MANY = (64, 512)
SQUARE = (96, 96)
Shown = tuple[Any, tuple[int, ...], Picture]
# fmt: off
SHOWN: dict[str, list[Shown]] = {
    "Scaled by the fans": [
        (ij.VarianceScaling(2.0, distribution="untruncated_normal"), MANY, histogram),
        (ij.GlorotNormal(), MANY, histogram),
        (ij.GlorotUniform(), MANY, histogram),
        (ij.HeNormal(), MANY, histogram),
        (ij.HeUniform(), MANY, histogram),
        (ij.LecunNormal(), MANY, histogram),
        (ij.LecunUniform(), MANY, histogram),
        (ij.Siren(), MANY, histogram),
        (ij.ConvolutionAware(), (5, 5, 4, 8), image),
    ],
    "Constants": [
        (ij.Zeros(), (24, 24), image),
        (ij.Ones(), (24, 24), image),
        (ij.Constant(np.linspace(-1, 1, 24)), (24, 24), image),
    ],
    "Independent entries": [
        (ij.RandomNormal(), MANY, histogram),
        (ij.RandomUniform(), MANY, histogram),
        (ij.TruncatedNormal(), MANY, histogram),
        (ij.Rademacher(), MANY, histogram),
        (ij.Categorical((-1, 0, 2), (0.5, 0.3, 0.2)), MANY, histogram),
        (ij.Laplace(), MANY, histogram),
        (ij.StudentT(3.0), MANY, histogram),
        (ij.Cauchy(), MANY, histogram),
        (ij.LogUniform(0.1, 1.0), MANY, histogram),
        (ij.Sparse(0.8), (24, 24), image),
    ],
    "Matrices and kernels": [
        (ij.Orthogonal(), SQUARE, spectrum),
        (ij.Orthogonal(), SQUARE, plane),
        (ij.DeltaOrthogonal(), (3, 3, 4, 4), image),
        (ij.BlockOrthogonal(), (3, 3, 4, 4), image),
        (ij.Spectral(distribution="normal"), (128, 64), spectrum),
        (ij.Toeplitz(ij.RandomNormal()), (24, 24), image),
        (ij.Circulant(ij.RandomNormal()), (24, 24), image),
    ],
    "Identities": [
        (ij.Identity(), (24, 16), image),
        (ij.Dirac(), (3, 3, 4, 6), image),
        (ij.IDInit(), (12, 32), image),
        (ij.ZerO(), (16, 32), image),
        (ij.Bilinear(), (8, 8, 1, 1), image),
    ],
    "Attention and positions": [
        (ij.Mimetic("query"), (24, 24), image),
        (ij.Sinusoidal(), (64, 48), image),
        (ij.Rotary(), (64, 48), image),
        (ij.ALiBi(), (8,), curves),
    ],
    "Recurrence and state spaces": [
        (ij.Chrono(100), (4 * 4096,), histogram),
        (ij.HiPPO(), (24, 24), image),
        (ij.HiPPO("legt"), (24, 24), image),
        (ij.S4D("inv", dtype="complex64"), (64,), plane),
        (ij.MambaALog(), (1, 16), curves),
        (ij.MambaDt(), MANY, histogram),
        (ij.Ring(0.6, 0.95, dtype="complex64"), (1024,), plane),
    ],
    "Filters": [
        (ij.Gabor(), (15, 15, 1, 16), image),
        (ij.DCT(), (4, 4, 1, 16), image),
        (ij.HaarWavelet(), (4, 4, 1, 16), image),
        (ij.STFT(), (64, 1, 33), image),
    ],
    "Laws of laws": [
        (ij.Scaled(ij.HeNormal(), 0.5), MANY, histogram),
        (ij.Sum([ij.RandomUniform(), ij.Rademacher() * 0.1]), MANY, histogram),
        (ij.Clipped(ij.RandomNormal(), -0.05, 0.1), MANY, histogram),
        (ij.Cast(ij.RandomNormal(), "bfloat16"), MANY, histogram),
        (ij.Masked(ij.RandomNormal(), "lower"), (24, 24), image),
        (ij.Transposed(ij.Identity()), (24, 16), image),
        (ij.BlockDiagonal(ij.GlorotUniform(), 4), (24, 24), image),
        (ij.WithRow(ij.RandomNormal(), 0), (24, 24), image),
        (ij.PerPart(ij.HeNormal(fan=Fan.fused(2)), {0: "ones"}), (24, 24), image),
        (ij.PerLayer(ij.RandomNormal(), np.linspace(1, 0.1, 24)), (24, 24), image),
        (ij.MuP(ij.HeNormal(), (16, 512)), MANY, histogram),
        (ij.ICNR(ij.HeNormal(), 2), (3, 3, 2, 8), image),
    ],
}
# fmt: on


def check_all_are_shown() -> int:
    """Return how many laws there are, or say which has no picture."""
    laws = [getattr(ij.laws, name) for name in dir(ij.laws)]
    laws = [x for x in laws if isinstance(x, type) and issubclass(x, ij.Initializer)]
    missing = {*laws} - {type(law) for shown in SHOWN.values() for law, _, _ in shown}
    if missing:
        raise SystemExit(f"no picture of {sorted(x.__name__ for x in missing)}")
    return len(laws)


def promise(law: Any, shape: tuple[int, ...]) -> ij.Law | None:
    """Return what a law promises, if it can."""
    try:
        return law.law(shape)
    except TypeError:  # a composition whose law nobody knows
        return None


def furthest(x: np.ndarray, law: ij.Law | None) -> float:
    """Return how far the draws are from the promised distribution, in units of chance.

    sqrt(n) times Kolmogorov's distance, which chance alone takes above 2.4 once in
    50,000 times; entries need not be independent of each other, nor have a cdf.
    """
    if law is None or law.cdf is None or np.iscomplexobj(x):
        return 0.0
    ordered = np.sort(x.ravel())
    points = np.unique(ordered)
    # a step of the law may lie a rounding beside the number that is drawn
    ends = np.float32([np.inf, -np.inf])
    above, below = (law.cdf(np.nextafter(points, end)) for end in ends)
    after = np.searchsorted(ordered, points, "right") / ordered.size
    before = np.searchsorted(ordered, points, "left") / ordered.size
    distance = max(np.max(after - above), np.max(below - before))
    return float(distance * math.sqrt(ordered.size))


def show(axes: Any, law: Any, shape: tuple[int, ...], picture: Picture) -> bool:
    """Draw a law, and tell whether it was held to a distribution."""
    x = np.asarray(law(jax.random.clone(KEY), shape))
    promised = promise(law, shape)
    picture(axes, x, promised)
    if picture is not histogram or promised is None or promised.cdf is None:
        return False
    if (far := furthest(x, promised)) > 2.4:
        raise SystemExit(f"{law!r} is {far:.1f} from its law")
    return True


def gallery(path: str) -> tuple[int, int]:
    """Draw every law; return how many pictures, and how many held to a distribution."""
    pictures = [one for shown in SHOWN.values() for one in shown]
    rows = math.ceil(len(pictures) / COLUMNS)
    plt.rcParams.update({"font.size": 7, "axes.titlesize": 7.5})
    figure, grid = plt.subplots(
        rows, COLUMNS, figsize=(2.1 * COLUMNS, 1.9 * rows), layout="tight"
    )
    held = 0
    for axes, (law, shape, picture) in zip(grid.flat, pictures, strict=False):
        held += show(axes, law, shape, picture)
        axes.set_title(title(law))
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[["top", "right"]].set_visible(picture is image)
    for axes in grid.flat[len(pictures) :]:
        axes.axis("off")
    figure.savefig(path, dpi=110)
    return len(pictures), held


def title(law: Any, most: int = 34) -> str:
    """Return a law as it is written, cut where it is long."""
    text = repr(law).replace("initializer=", "")
    return text if len(text) <= most else f"{text[: most - 3]}..."


def main() -> None:
    """Draw the gallery."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--plot", default="catalogue.png", help="where it is written")
    path = parser.parse_args().plot
    laws = check_all_are_shown()
    pictures, held = gallery(path)
    print(f"{laws} laws in {pictures} pictures, {held} held to their cdf: {path}")


if __name__ == "__main__":
    main()
