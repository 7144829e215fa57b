"""`ctdenoise deidentify`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal


def deidentify(
    study: Path,
    /,
    *,
    out: Path,
    dates: Literal["remove", "shift"] = "remove",
    key_file: Path | None = None,
) -> None:
    """Write a study or training pairs again without what tells whose they are.

    Args:
        study: Folder with DICOM, NIfTI or training pairs, at any depth.
        out: Folder to make; must be new or empty.
        dates: Remove all dates and times, or shift them by a secret number of days that is the
            same for all dates of a patient.
        key_file: File with a secret of 16 bytes or more; the same key gives the same new
            identities again. Without it every export has identities of its own.
    """
    from ctdenoise.cli import console
    from ctdenoise.tasks import deidentify as task

    with console.progress() as progress:
        report = task.run(study, out=out, dates=dates, key_file=key_file, progress=progress)
    series = report.export.series
    facts = [
        ("written", str(report.out)),
        ("series", f"{len(series)} with {sum(one.files for one in series)} files" * bool(series)),
        ("NIfTI images", str(report.images) if report.images else ""),
        ("pairs", str(report.pairs) if report.pairs else ""),
    ]
    console.show_facts("De-identified", facts)
    for left in report.export.left_out:
        console.print_line(f"  left out: series {left.number} ({left.what}): {left.reason}")
    if report.faces:
        numbers = ", ".join(map(str, report.faces))
        console.print_line(
            f"  warning: series {numbers} may show a head; a face can be made from it, and a "
            "person recognised. Faces are not removed."
        )
    console.print_line("  Words burned into pixels are not searched for: look at the pictures.")
