"""`ctdenoise demo`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ctdenoise.cli.options import Config, Out, Overrides, Seed

if TYPE_CHECKING:
    from ctdenoise.tasks.demo import DemoReport


def demo(*, out: Out, config: Config = None, overrides: Overrides = (), seed: Seed = 0) -> None:
    """Run everything once on a phantom, in a few minutes.

    Args:
        out: Folder for everything that is made; new or empty.
        config: Ready settings such as `default`, or a YAML file.
        overrides: Settings to change, as key=value; may be given several times.
        seed: Another seed, other patients.
    """
    from ctdenoise.cli import console
    from ctdenoise.config.demo import DemoSettings
    from ctdenoise.config.load import find_settings_file, load_settings
    from ctdenoise.tasks import demo as task

    settings = load_settings(
        DemoSettings, find_settings_file("demo", config or "default"), overrides
    )
    with console.progress() as progress:
        report = task.run(settings, out=out, seed=seed, progress=progress)
    _show(report)


def _show(report: DemoReport) -> None:
    from ctdenoise.cli import console

    console.show_comparison(report.evaluations)
    laps = ", ".join(f"{stage} {seconds:.0f} s" for stage, seconds in report.seconds.items())
    console.print_line(
        f"\nA phantom patient at {100 * report.dose:g} % of the dose. Times: {laps}."
    )
    console.print_line(f"Look at it: {report.page}")
    console.print_line(f"All files, in the order they were made: {report.out}")
