"""`ctdenoise compare`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from ctdenoise.cli.options import Config, Out, Overrides

if TYPE_CHECKING:
    from ctdenoise.report.compared import Comparison

_Words = Annotated[
    tuple[str, ...], Parameter(consume_multiple=True, negative=(), show_default=False)
]


def _place(model: str) -> Path:
    """A name as it is, and a path as it cannot be taken for a name: `./fast` is a folder."""
    path = Path(model)
    return path if path.name == model else path.absolute()


def compare(  # noqa: PLR0913 - each argument is an option of the command
    *models: str,
    on: Annotated[tuple[Path, ...], Parameter(consume_multiple=True, negative=())],
    out: Out,
    names: _Words = (),
    groups: _Words = (),
    notes: _Words = (),
    title: str = "",
    config: Config = None,
    overrides: Overrides = (),
) -> None:
    """Compare trained networks on the same pairs: numbers, pictures, one page.

    Args:
        models: Folders that `train` made, checkpoint files, released models by name, or classical
            filters: `nlm`, `tv`, `bilateral`, `gaussian`, `vst`, `bm3d`.
        on: Folders with the pairs to test on; searched at any depth.
        out: Folder for the page, the numbers (JSON, CSV) and the pictures; new or empty.
        names: What to call the models, in their order; their kinds of network unless given.
        groups: A group for each model, in their order; the page compares within groups.
        notes: A few words about each model, in their order.
        title: Heading of the page.
        config: Ready settings such as `default`, or a YAML file.
        overrides: Settings to change, as key=value; may be given several times.
    """
    from ctdenoise.cli import console
    from ctdenoise.config.comparison import CompareSettings
    from ctdenoise.config.load import find_settings_file, load_settings
    from ctdenoise.errors import UsageError
    from ctdenoise.tasks import compare as task

    if not models:
        raise UsageError(
            "there is no model to compare.", fix="Name one or more folders that `train` made."
        )
    settings_file = find_settings_file("compare", config or "default")
    settings = load_settings(CompareSettings, settings_file, overrides)
    with console.progress() as progress:
        report = task.run(
            [_place(model) for model in models],
            on,
            settings,
            out=out,
            names=names or None,
            groups=groups or None,
            notes=notes or None,
            title=title,
            progress=progress,
        )
    _show(report.comparison)
    if report.page is not None:
        console.print_line(f"Page: {report.page}")
    console.print_line(f"Numbers: {report.out}/comparison.json and .csv")


def _show(comparison: Comparison) -> None:
    from ctdenoise.cli import console

    for condition in comparison.conditions:
        console.print_line(condition.title)
        known = condition.figures[0]
        keys = [key for key in ("rmse", "bias_soft", "nps_fav_change") if key in known]
        keys += [key for key in known if key.startswith(("psnr", "ssim"))][:2]
        figures = (*keys, "s/slice", "parameters")
        rows = []
        for row, found in zip(comparison.contenders, condition.figures, strict=True):
            cells = [found[key].metric.text if key in found else "" for key in keys]
            cells.append("" if row.times is None else f"{row.times.median_s:.2f}")
            cells.append("" if row.parameters is None else f"{row.parameters:,}")
            rows.append((row.name, *cells))
        console.show_table(("", *figures), rows, figures=figures)
        console.print_line(condition.words)
    for row in comparison.contenders:
        for warning in row.warnings:
            console.print_line(f"Warning: {row.name}: {warning}")
