"""`ctdenoise evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ctdenoise.cli.options import Config, Out, Overrides


def evaluate(
    reference: Path,
    /,
    *tests: Path,
    out: Out,
    names: Annotated[
        tuple[str, ...], Parameter(consume_multiple=True, negative=(), show_default=False)
    ] = (),
    config: Config = None,
    overrides: Overrides = (),
    reference_series: str | None = None,
    test_series: Annotated[
        tuple[str, ...], Parameter(consume_multiple=True, negative=(), show_default=False)
    ] = (),
) -> None:
    """Compare series with a reference: numbers, pictures, one page.

    Args:
        reference: The full-dose study, or the known truth: a DICOM folder or an image file.
        tests: One or more studies on the same grid, such as the low-dose one and the denoised one.
        out: Folder for the page, the numbers (JSON, CSV) and the pictures; new or empty.
        names: What to call the tests on the page, in their order.
        config: Ready settings such as `default`, or a YAML file.
        overrides: Settings to change, as key=value; may be given several times.
        reference_series: Which series of the reference, where its folder holds several.
        test_series: Which series of each test, in their order.
    """
    from ctdenoise.cli import console
    from ctdenoise.config.evaluation import EvaluateSettings
    from ctdenoise.config.load import find_settings_file, load_settings
    from ctdenoise.errors import UsageError
    from ctdenoise.tasks import evaluate as task

    if not tests:
        raise UsageError(
            "there is nothing to compare with the reference.", fix="Name one or more test studies."
        )
    settings_file = find_settings_file("evaluate", config or "default")
    settings = load_settings(EvaluateSettings, settings_file, overrides)
    with console.progress() as progress:
        report = task.run(
            reference,
            tests,
            settings,
            out=out,
            reference_series=reference_series,
            test_series=test_series or None,
            names=names or None,
            progress=progress,
        )
    console.show_comparison(report.evaluations)
    if report.page is not None:
        console.print_line(f"Page: {report.page}")
    console.print_line(f"Numbers: {report.out}/evaluation.json and .csv")
