"""What a report holds: a row for each weight, and what is wrong with it."""

from __future__ import annotations

import dataclasses
from typing import Any

from .terminal import as_html, as_json, as_text, show, verdict


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing that is wrong with a weight.

    Attributes:
        kind: A word for it: "nan", "inf", "bounds", "mean", "std", "zeros", "dead",
            "coarse", "law", "identical", "correlated", "rows", "columns", "missing",
            "unplanned", "shape", "dtype".
        text: One line for people.
        certainty: How many standard errors it is off; inf where chance has no part.
    """

    kind: str
    text: str
    certainty: float


@dataclasses.dataclass(frozen=True)
class ReportRow:
    """What one weight is, beside what it was to be.

    Attributes:
        path: The weight's path, "layers/0/kernel".
        shape: Its shape.
        dtype: Its dtype.
        law: What was promised, as text; without a plan, what it is most like, or None.
        promised: Mean, standard deviation, lowest and highest value of the promise;
            None without one, and where a law does not say.
        mean: Observed, of finite entries, as all below; of complex ones the modulus of
            the mean, and bounds and histogram of the modulus. NaN without entries.
        std: Observed standard deviation.
        low: Smallest entry.
        high: Largest entry.
        z_mean: How many standard errors the mean is off; None without a promise.
        z_std: The same of the standard deviation.
        nans: How many entries are NaN.
        infs: How many are infinite.
        zeros: How many are 0.
        distinct: How many different values are among the `sampled` entries.
        sampled: Of how many entries.
        histogram: Counts of the finite of them in equal bins from low to high; ()
            without any.
        singular: The largest singular value, where asked for.
        findings: What is wrong, the worst first.
    """

    path: str
    shape: tuple[int, ...]
    dtype: str
    law: str | None
    promised: tuple[float, float, float, float] | None
    mean: float
    std: float
    low: float
    high: float
    z_mean: float | None
    z_std: float | None
    nans: int
    infs: int
    zeros: int
    distinct: int
    sampled: int
    histogram: tuple[int, ...]
    singular: float | None
    findings: tuple[Finding, ...]

    @property
    def certainty(self) -> float:
        """How sure it is that something is wrong; 0 if nothing is found."""
        return max((finding.certainty for finding in self.findings), default=0.0)


@dataclasses.dataclass(frozen=True, repr=False)
class Report:
    """What `report` found; `print` shows it as a table, the worst first.

    Weights that differ in the numerals of their paths alone, and in nothing that is
    wrong, are one line: that of the farthest off.

    Attributes:
        rows: One for each weight, in the order of the tree.
    """

    rows: tuple[ReportRow, ...]

    @property
    def findings(self) -> tuple[tuple[str, Finding], ...]:
        """All that is wrong, with its path, the worst first."""
        found = [(row.path, finding) for row in self.rows for finding in row.findings]
        return tuple(sorted(found, key=lambda pair: -pair[1].certainty))

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings

    def __repr__(self) -> str:
        """Show the totals."""
        return f"<Report: {verdict(self)}>"

    def __str__(self) -> str:
        """Return the table as text, the worst first, and a verdict."""
        return as_text(self)

    def _repr_html_(self) -> str:
        """Return the same for a notebook."""
        return as_html(self)

    def show(self) -> None:
        """Print the table in colour, by rich.

        Raises:
            ImportError: rich is not installed.
        """
        show(self)

    def to_json(self) -> str:
        """Return all rows as JSON; numbers it lacks are "Infinity" and "NaN"."""
        return as_json(self)

    def to_html(self, path: Any = None) -> str:
        """Return the report as a page of its own, and write it to `path` if given."""
        from .page import report_page, written

        return written(report_page(self), path)
