"""`ctdenoise evaluate --study qa`: scans of phantoms, and what is said about them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from ctdenoise.tasks.qa import QaReport

_USUAL_SETTINGS = "qa"


@dataclass(frozen=True, slots=True)
class QaOptions:
    """Options of the study `qa`.

    Args:
        phantom: Which phantom was scanned: `water` (a cylinder), `acr464` or `catphan504`.
        history: A file of earlier days (JSON, one line each): the scan is compared with them and
            added.
    """

    phantom: Literal["water", "acr464", "catphan504"] | None = None
    history: Path | None = None

    @property
    def given(self) -> tuple[str, ...]:
        """Options that make no sense without the study."""
        asked = {"--phantom": self.phantom is not None, "--history": self.history is not None}
        return tuple(option for option, is_given in asked.items() if is_given)


def run_qa(
    scan: Path | None,
    options: QaOptions,
    *,
    out: Path,
    series: str | None,
    config: Path | None,
    overrides: tuple[str, ...],
    fail_on_limits: bool,
) -> None:
    """Judge the scan of a phantom and print its figures.

    Args:
        scan: Folder or file with the scan.
        options: Which phantom, and the history.
        out: The output folder.
        series: Which series, where there are several.
        config: Ready settings, or a YAML file.
        overrides: Settings to change.
        fail_on_limits: Whether a failed limit is told by the exit code.

    Raises:
        UsageError: If no scan was named.
        LimitsFailed: If a limit is failed and that is to be told.
    """
    from ctdenoise.cli import console
    from ctdenoise.config.load import find_settings_file, load_settings
    from ctdenoise.config.qa import QaSettings
    from ctdenoise.errors import LimitsFailed, UsageError
    from ctdenoise.tasks import qa as task

    if scan is None:
        raise UsageError("the study qa needs the scan of a phantom.", fix="Name its folder.")
    file = find_settings_file("evaluate", config or _USUAL_SETTINGS)
    chosen = () if options.phantom is None else (f"phantom={options.phantom}",)
    settings = load_settings(QaSettings, file, (*chosen, *overrides))
    with console.progress() as progress:
        report = task.run(
            scan, settings, out=out, series=series, history=options.history, progress=progress
        )
    _show(report)
    if fail_on_limits and report.outcome == "fail":
        raise LimitsFailed(
            "the scan fails a limit.",
            where=out,
            fix="Read what failed above; limits can be changed with the settings `limits`.",
        )


def _show(report: QaReport) -> None:
    from ctdenoise.cli import console

    verdicts = {one.metric.key: one for one in report.verdicts}
    rows = []
    for metric in report.measured.metrics:
        verdict = verdicts.get(metric.key)
        limit = ("", "") if verdict is None else (verdict.limit_text, verdict.outcome)
        rows.append((metric.title, metric.text, metric.unit, *limit, metric.note))
    console.show_table(
        ("Figure", "Value", "Unit", "Limit", "Outcome", "Note"), rows, figures={"Value"}
    )
    when = f" {report.day.date}" if report.day.date else ""
    against = "" if report.baseline is None else f", against {report.baseline.text}"
    console.print_line(f"Scan{when}{against}: {report.outcome}")
    for sentence in report.sentences:
        console.print_line(f"  {sentence}")
    if report.page is not None:
        console.print_line(f"Page: {report.page}")
    console.print_line(f"Numbers: {report.out}/qa.json and .csv")
