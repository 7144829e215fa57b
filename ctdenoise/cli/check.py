"""`ctdenoise check`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

if TYPE_CHECKING:
    from ctdenoise.tasks.check import CheckedSeries


def check(
    derived: Path,
    /,
    *,
    source: Path | None = None,
    headers_only: Annotated[bool, Parameter(name="--headers-only", negative="")] = False,
    json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """Judge derived DICOM series against what they were derived from.

    Args:
        derived: Folder with derived CT series, or one file.
        source: Folder of the study or series that they were derived from. Without it, only what
            shows in the derived files themselves is judged.
        headers_only: Do not read the pixels.
        json: Print JSON for other programs instead of tables.
    """
    from ctdenoise.cli import console
    from ctdenoise.tasks import check as task

    with console.progress() as progress:
        checked = task.run(derived, source=source, pixels=not headers_only, progress=progress)
    others = task.not_judged(derived)
    if json:
        console.print_line(task.as_json(checked, others))
    else:
        for one in checked:
            _show(one)
        for other in others:
            console.print_line(f"{other}: not judged, for only CT series are")
    return 0 if all(one.is_legal for one in checked) else 1


def _show(one: CheckedSeries) -> None:
    from rich.table import Table

    from ctdenoise.cli import console

    against = "by itself" if one.source_slices is None else f"against {one.source_slices} slices"
    verdict = "legal" if one.is_legal else "not legal"
    files = f"{one.files} file" if one.files == 1 else f"{one.files} files"
    console.print_line(f"{one.description or 'series'}: {files}, {against}: {verdict}")
    if not one.objections:
        return
    table = Table(box=console.TABLE_BOX, pad_edge=False, show_edge=False)
    for head in ("severity", "rule"):
        table.add_column(head, no_wrap=True)
    table.add_column("files", justify="right")
    table.add_column("first", no_wrap=True)
    table.add_column("what", overflow="fold")
    for found in one.objections:
        table.add_row(found.severity, found.rule, str(found.files), found.path.name, found.text)
    console.print_wide(table)
