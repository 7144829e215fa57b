"""`ctdenoise summarise`."""

from __future__ import annotations

from pathlib import Path

from ctdenoise.cli.options import Out


def summarise(*comparisons: Path, out: Out, title: str = "") -> None:
    """Put several comparisons on one page, repeats of a training together.

    Args:
        comparisons: Folders that `compare` made; models of one group are repeats of one variant.
        out: Folder for the page, its tables (Markdown, CSV) and charts; new or empty.
        title: Heading of the page.
    """
    from ctdenoise.cli import console
    from ctdenoise.tasks import summarise as task

    report = task.run(comparisons, out=out, title=title)
    for name, condition, table in report.tables:
        console.print_line(f"{name}: {condition}")
        console.show_table(table.heads, table.rows, figures=table.heads[1:])
    console.print_line(f"Page: {report.page}")
    console.print_line(f"Tables: {report.out}/tables.md and summary.csv")
