"""Reports and plans as pages of HTML that need nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .rows import Report


def report_page(report: Report) -> str:
    """Return a report as a page."""
    raise NotImplementedError


def written(page: str, path: Any) -> str:
    """Return a page, and write it where a path is given."""
    if path is not None:
        Path(path).write_text(page, encoding="utf-8")
    return page
