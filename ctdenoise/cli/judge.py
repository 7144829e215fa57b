"""`ctdenoise evaluate --model`: the options that judge a denoiser, and what is said about it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

if TYPE_CHECKING:
    from ctdenoise.tasks.judge import JudgeReport

_USUAL_SETTINGS = "judge"


@dataclass(frozen=True, slots=True)
class JudgeOptions:
    """Options that judge a denoiser.

    Args:
        model: Judge this denoiser: a checkpoint, a folder that `train` made, or a classical filter
            (`nlm`, `tv`, `bilateral`...). Several, each with its own --model, are judged one by
            one and compared.
        study: What to judge by: `scan` (noise, texture, HU, worst places of your scan), `response`
            (lesions inserted into it), `bench` (resolution and HU on scanned phantoms), `lcd`
            (low-contrast detectability against dose), or `all`. By default scan and response with
            a scan, bench and lcd without. `qa` needs no denoiser: it judges the scan of a phantom.
        truth: The same slices without noise, or with less, for RMSE, PSNR and SSIM.
        labels: A label map of organs on the grid of the scan.
        series: Which series of the scan, where its folder holds several.
        seed: Same seed, same figures.
        fail_on_limits: End with exit code 6 if a limit is failed or a study of a denoiser could not
            be done, for use without a person who reads the page.
        dry_run: Say what would be done and in how much time, and write nothing.
    """

    model: Annotated[
        tuple[str, ...], Parameter(name=["--model", "-m"], negative=(), show_default=False)
    ] = ()
    study: Annotated[
        tuple[Literal["scan", "response", "bench", "lcd", "qa", "all"], ...],
        Parameter(consume_multiple=True, negative=(), show_default=False),
    ] = ()
    truth: Path | None = None
    labels: Path | None = None
    series: str | None = None
    seed: int = 0
    fail_on_limits: Annotated[bool, Parameter(name="--fail-on-limits", negative="")] = False
    dry_run: Annotated[bool, Parameter(name="--dry-run", negative="")] = False

    @property
    def given(self) -> tuple[str, ...]:
        """Options that judge a denoiser and make no sense without one."""
        asked = {
            "--study": bool(self.study),
            "--truth": self.truth is not None,
            "--labels": self.labels is not None,
            "--series": self.series is not None,
            "--fail-on-limits": self.fail_on_limits,
            "--dry-run": self.dry_run,
        }
        return tuple(option for option, is_given in asked.items() if is_given)


def run_judgement(
    scan: Path | None,
    options: JudgeOptions,
    *,
    out: Path,
    names: tuple[str, ...],
    config: Path | None,
    overrides: tuple[str, ...],
    segment_with: Path | None,
) -> None:
    """Judge denoisers, say what it costs first, and print the verdicts.

    Args:
        scan: The scan; None without one.
        options: What is asked for.
        out: The output folder.
        names: What to call the models.
        config: Ready settings, or a YAML file.
        overrides: Settings to change.
        segment_with: A model that labels the organs of the scan.

    Raises:
        OutputExistsError: If the output folder is taken.
        LimitsFailed: If a limit is failed and that is to be told by the exit code.
    """
    from ctdenoise.cli import console
    from ctdenoise.config.judgement import JudgeSettings
    from ctdenoise.config.load import find_settings_file, load_settings
    from ctdenoise.io.staging import require_free_folder
    from ctdenoise.tasks import judge as task
    from ctdenoise.tasks import judge_plan as plan
    from ctdenoise.tasks.judge_studies import STUDIES

    file = find_settings_file("evaluate", config or _USUAL_SETTINGS)
    settings = load_settings(JudgeSettings, file, overrides)
    request = plan.JudgeRequest(
        models=options.model,
        studies=STUDIES if "all" in options.study else _studies(options),
        scan=scan,
        series=options.series,
        truth=options.truth,
        labels=options.labels,
        segment_with=segment_with,
        names=names,
        seed=options.seed,
    )
    require_free_folder(out)
    to_do = plan.planned(request, settings)
    for cost in to_do.costs:
        say = console.print_line if options.dry_run else console.say
        say(cost)
    if options.dry_run:
        return
    with console.progress() as progress:
        report = task.run(to_do, settings, out=out, progress=progress)
    _show(report)
    if options.fail_on_limits and report.failed:
        from ctdenoise.errors import LimitsFailed

        raise LimitsFailed(
            f"A limit is failed, or a study could not be done: {', '.join(report.failed)}.",
            where=out,
            fix="Read the page; limits can be changed with the settings `limits`.",
        )


def _studies(
    options: JudgeOptions,
) -> tuple[Literal["scan", "response", "bench", "lcd"], ...]:
    of_models = (study for study in options.study if study != "qa")
    return tuple(study for study in of_models if study != "all")


def _show(report: JudgeReport) -> None:
    from ctdenoise.cli import console

    for name, verdict in report.headlines.items():
        console.print_line(f"{name}: {verdict.sentence}")
        if verdict.counts:
            console.print_line(f"  {verdict.counts}")
        console.print_line(f"  Page: {report.pages[name]}")
    if report.comparison is not None:
        console.print_line(f"Comparison: {report.comparison}")
    console.print_line("Numbers: judgement.json and judgement.csv beside each page")
