"""`ctdenoise summarise`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ctdenoise.cli.options import Out


def summarise(
    *folders: Path,
    out: Out,
    title: str = "",
    patients: Annotated[
        tuple[str, ...], Parameter(consume_multiple=True, negative=(), show_default=False)
    ] = (),
    tested: Annotated[
        tuple[str, ...], Parameter(consume_multiple=True, negative=(), show_default=False)
    ] = (),
) -> None:
    """Put comparisons on one page, repeats of a training together; or evaluations into a cohort.

    Args:
        folders: Folders that `compare` made; models of one group are repeats of one variant. Or
            folders that `evaluate` made, one for each patient.
        out: Folder for what is made; new or empty.
        title: Heading of the page.
        patients: With evaluations, a word for each, equal for those of one patient; every one is of
            another unless given. The words are not kept.
        tested: With evaluations, keys of the figures in which the tests are tested against each
            other; RMSE unless given.
    """
    from ctdenoise.cli import console
    from ctdenoise.tasks import summarise as task
    from ctdenoise.tasks.cohort import is_evaluation

    if folders and all(is_evaluation(folder) for folder in folders):
        _cohort(folders, out, patients, tested)
        return
    if patients or tested:
        from ctdenoise.errors import UsageError

        raise UsageError("--patients and --tested belong to folders that `evaluate` made.")
    report = task.run(folders, out=out, title=title)
    for name, condition, table in report.tables:
        console.print_line(f"{name}: {condition}")
        console.show_table(table.heads, table.rows, figures=table.heads[1:])
    console.print_line(f"Page: {report.page}")
    console.print_line(f"Tables: {report.out}/tables.md and summary.csv")


def _cohort(
    folders: tuple[Path, ...], out: Path, patients: tuple[str, ...], tested: tuple[str, ...]
) -> None:
    from ctdenoise.cli import console
    from ctdenoise.config.statistics import StatisticsSettings
    from ctdenoise.metrics.table import number_text
    from ctdenoise.tasks import cohort

    settings = StatisticsSettings(tested=tested) if tested else StatisticsSettings()
    report = cohort.run(folders, settings, out=out, patients=patients or None)
    keys = dict.fromkeys(key for figures in report.figures for key in figures)
    rows = []
    for key in keys:
        found = [figures[key].metric for figures in report.figures if key in figures]
        cells = [f"{one.text} ({one.interval_text})" if one.interval else one.text for one in found]
        if len(found) == len(report.names) and any(one.value is not None for one in found):
            rows.append((found[0].title, found[0].unit, *cells))
    console.show_table(("over the patients", "unit", *report.names), rows, figures=report.names)
    console.print_line(report.words)
    for one in report.contrasts:
        unit, interval = one.metric.unit, one.interval
        ends = [] if interval is None else [interval.low, interval.high]
        between = " to ".join(number_text(end, unit) for end in ends)
        chance = one.note if one.p_holm is None else f"p = {one.p_holm:.2g} (Holm)"
        console.print_line(
            f"{one.metric.title}, {report.names[one.one]} less {report.names[one.other]}: "
            f"{number_text(one.difference, unit)} {unit} ({between}); {chance}"
        )
    console.print_line(f"Numbers: {report.out}/{cohort.JSON_FILE} and .csv")
