"""What the checks of a result found, on the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from ctdenoise.cli import console

if TYPE_CHECKING:
    from ctdenoise.inference.check_finding import CheckReport

_STYLES = {"error": "bold red", "warning": "yellow", "note": "dim"}


def show_checks(report: CheckReport) -> None:
    """Print a green line where all passed, and one for each finding.

    Args:
        report: Of a result.
    """
    counts = [
        f"{len(found)} {word}{'' if len(found) == 1 else 's'}"
        for word, found in (("error", report.of("error")), ("warning", report.of("warning")))
        if found
    ]
    head = Text("Checks: ", style="bold")
    head.append(
        f"passed, {report.slices} slices looked at" if report.passed else " and ".join(counts),
        style="green" if report.passed else "yellow",
    )
    console.STDOUT.print(head, soft_wrap=True)
    for finding in report.findings:
        line = Text("  ")
        line.append(f"{finding.severity:<8}", style=_STYLES[finding.severity])
        line.append(f"{finding.code}: {finding}")
        console.STDOUT.print(line, soft_wrap=True)
