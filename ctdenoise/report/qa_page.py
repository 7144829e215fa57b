"""The page of a phantom scan: one file that works offline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ctdenoise.metrics.limits import Outcome, Verdict
from ctdenoise.metrics.measured import Measured
from ctdenoise.metrics.table import Metric, number_text
from ctdenoise.report.judgement_charts import curve_chart
from ctdenoise.report.pictures import data_uri
from ctdenoise.report.qa_picture import PICTURE_FILE, ShownSlice, picture_columns, write_qa_picture
from ctdenoise.report.rendering import rendered

PAGE_FILE = "index.html"

DAY_FIGURES = (
    ("CT number, centre (HU)", "mean_hu[centre]", "HU"),
    ("Noise (HU)", "noise", "HU"),
    ("Largest edge \N{MINUS SIGN} centre (HU)", "nonuniformity", "HU"),
    ("Mean frequency of the noise (1/mm)", "nps_fav", "1/mm"),
)
"""What the table of days shows: head, key and unit."""


@dataclass(frozen=True, slots=True)
class ShownDay:
    """A line in the table of days.

    Args:
        date: ISO 8601; empty where unknown.
        values: Texts in the order of `DAY_FIGURES`.
        passed: Whether no limit was failed.
        is_this: Whether it is the scan that the page is about.
    """

    date: str
    values: tuple[str, ...]
    passed: bool
    is_this: bool


def day_values(figures: dict[str, float | None]) -> tuple[str, ...]:
    """The texts of a day from its figures by key."""
    return tuple(number_text(figures.get(key), unit) for _, key, unit in DAY_FIGURES)


@dataclass(frozen=True, slots=True, eq=False)
class QaPage:
    """What the page shows.

    Args:
        title: Of the phantom.
        facts: Name and value, for the head.
        outcome: Of the scan.
        sentences: What failed and why, and what else should be known.
        measured: The figures and curves.
        verdicts: Figures against their limits.
        shown: Slices with the places where they were measured.
        days: The latest days of the history, oldest first; empty without one.
    """

    title: str
    facts: tuple[tuple[str, str], ...]
    outcome: Outcome
    sentences: tuple[str, ...]
    measured: Measured
    verdicts: tuple[Verdict, ...]
    shown: tuple[ShownSlice, ...]
    days: tuple[ShownDay, ...]

    @property
    def headline(self) -> str:
        """What came of it, in one sentence."""
        failed = sum(one.outcome == "fail" for one in self.verdicts)
        if not failed:
            return f"All {len(self.verdicts)} limits are met."
        return f"{failed} of {len(self.verdicts)} limits {'is' if failed == 1 else 'are'} failed."

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """All figures."""
        return self.measured.metrics

    @property
    def columns(self) -> int:
        """Slices side by side in the picture."""
        return picture_columns(self.shown)

    @property
    def day_columns(self) -> tuple[str, ...]:
        """Heads of the table of days."""
        return tuple(name for name, _, _ in DAY_FIGURES)


def write_qa_page(folder: Path, page: QaPage) -> None:
    """Write `index.html` with its pictures inside, and the pictures once more as PNG files.

    Args:
        folder: An existing folder, usually a staged one.
        page: What the page shows.
    """
    write_qa_picture(folder / PICTURE_FILE, page.shown)
    keys = list(dict.fromkeys(curve.key for curve in page.measured.curves))
    text = rendered(
        "qa.html",
        page=page,
        regions=data_uri((folder / PICTURE_FILE).read_bytes()),
        limited=_worst_first(page.verdicts),
        charts=[
            curve_chart(folder, key, page.measured.chart(key), is_explained=False) for key in keys
        ],
    )
    (folder / PAGE_FILE).write_text(text, encoding="utf-8")


def _worst_first(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """Verdicts with those that failed in front, otherwise in their order."""
    return sorted(verdicts, key=lambda one: one.outcome != "fail")
