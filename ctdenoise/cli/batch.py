"""`ctdenoise batch`: many studies, on one machine or a cluster."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter

from ctdenoise.cli.options import (
    Config,
    Out,
    Overrides,
    Seed,
    TransferSyntax,
    transfer_syntax_changes,
)

if TYPE_CHECKING:
    from ctdenoise.config.batch import BatchSettings
    from ctdenoise.tasks.batch import BatchReport
    from ctdenoise.tasks.batch_dispatch import BatchRequest
    from ctdenoise.tasks.batch_sources import BatchSources
    from ctdenoise.tasks.batch_summary import Row

batch = App(
    name="batch",
    help_format="markdown",
    help="Simulate, denoise or evaluate many studies: one job each, resumable, on many machines.",
)


@dataclass(frozen=True, slots=True)
class BatchOptions:
    """Which studies, and where they are worked on.

    Args:
        table: List of studies: a path in each line, or a CSV with the header study,name (to
            compare: reference,test). Relative paths start where the list lies.
        below: Folder of folders of studies.
        depth: How far below that folder the studies lie.
        workers: Studies worked on at a time, in a process each; without it, and without a limit,
            they are done one by one in this process.
        cluster: Work on a Dask cluster: `tcp://host:8786`, `tls://host:8786`, or `local:2` for two
            workers here.
        gpu: With --cluster: only on workers that were started with `--resources GPU=1`.
        timeout: Seconds after which a study is stopped; without it there is no limit.
        memory: MB of memory that a study may take; without it there is no limit.
        retries: How often a study is tried again that failed in a way that may pass; 2 unless the
            settings of the batch say otherwise.
        batch_config: Settings of the batch itself, such as certificates for a cluster: a YAML file.
    """

    table: Annotated[Path | None, Parameter(name="--studies")] = None
    below: Path | None = None
    depth: int = 1
    workers: int | None = None
    cluster: str | None = None
    gpu: Annotated[bool, Parameter(negative=())] = False
    timeout: float | None = None
    memory: int | None = None
    retries: int | None = None
    batch_config: Path | None = None

    def sources(self, studies: tuple[Path, ...]) -> BatchSources:
        """Where the studies are.

        Args:
            studies: Those that are named one by one.
        """
        from ctdenoise.tasks.batch_sources import BatchSources

        return BatchSources(studies, self.table, self.below, self.depth)

    def settings(self) -> BatchSettings:
        """Settings of the batch, with what the options change."""
        from ctdenoise.config.batch import BatchSettings
        from ctdenoise.config.load import find_settings_file, load_settings

        file = find_settings_file("batch", self.batch_config or "default")
        return load_settings(BatchSettings, file, self._changes())

    def _changes(self) -> tuple[str, ...]:
        from ctdenoise.errors import UsageError

        if self.cluster is not None and self.workers is not None:
            raise UsageError(
                "--workers is for this machine, and --cluster has workers of its own.",
                fix="Give one of them.",
            )
        if self.gpu and self.cluster is None:
            raise UsageError(
                "--gpu chooses workers of a cluster.",
                fix="Give --cluster; on this machine each GPU has a process of its own anyway.",
            )
        place = "executor.place"
        changes = {
            "executor.limits.seconds": self.timeout,
            "executor.limits.memory_mb": self.memory,
            "retries": self.retries,
        }
        given = [f"{key}={value}" for key, value in changes.items() if value is not None]
        if self.cluster is not None:
            given += [f"{place}.name=distributed", f"{place}.address={self.cluster}"]
            given += [f"{place}.gpu=true"] if self.gpu else []
        elif self.workers is not None:
            given += [f"{place}.name=processes", f"{place}.workers={self.workers}"]
        elif self.batch_config is None and (self.timeout is not None or self.memory is not None):
            given += [f"{place}.name=processes", f"{place}.workers=1"]
        return tuple(given)


_NO_OPTIONS = BatchOptions()


@batch.command
def simulate(
    *studies: Path,
    out: Out,
    options: Annotated[BatchOptions, Parameter(name="*")] = _NO_OPTIONS,
    config: Config = None,
    overrides: Overrides = (),
    file_format: Annotated[Literal["pair", "dicom"], Parameter(name="--format")] = "pair",
    transfer_syntax: TransferSyntax = None,
    seed: Seed = 0,
) -> None:
    """Make low-dose twins of every CT series of many studies.

    Args:
        studies: Folders with DICOM files, or image files.
        out: Folder for the folders of the studies, their ledger and the tables of them all; the
            same command again goes on where it was stopped.
        options: Which studies, and where.
        config: Ready settings of `simulate`, or a YAML file.
        overrides: Settings to change, as key=value; may be given several times.
        file_format: `pair` writes NIfTI pairs to train on; `dicom` a derived series.
        transfer_syntax: How DICOM is stored.
        seed: Same seed, same noise.
    """
    from ctdenoise.config.dose import SimulateSettings
    from ctdenoise.config.load import find_settings_file, load_settings
    from ctdenoise.tasks.batch_simulate import simulate_request

    changes = (*overrides, *transfer_syntax_changes(transfer_syntax, file_format))
    file = find_settings_file("simulate", config or "default")
    settings = load_settings(SimulateSettings, file, changes)
    request = simulate_request(
        options.sources(studies), settings, options.settings(), out=out, kind=file_format, seed=seed
    )
    _run(request, done="simulated")


@batch.command
def infer(
    *studies: Path,
    model: Annotated[str | None, Parameter(name=["--model", "-m"], show_default=False)] = None,
    out: Out,
    options: Annotated[BatchOptions, Parameter(name="*")] = _NO_OPTIONS,
    config: Config = None,
    overrides: Overrides = (),
    file_format: Annotated[
        Literal["same", "dicom", "nifti", "mha", "nrrd"], Parameter(name="--format")
    ] = "same",
    transfer_syntax: TransferSyntax = None,
) -> None:
    """Denoise every CT series of many studies.

    Args:
        studies: Folders with DICOM files, or image files.
        model: A released model, a checkpoint, a folder that `train` made, a classical filter, or
            `identity`; without it, `fast`, or `redcnn` on a GPU if there is one.
        out: Folder for the folders of the studies, their ledger and the tables of them all; the
            same command again goes on where it was stopped.
        options: Which studies, and where.
        config: Ready settings of `infer`, or a YAML file.
        overrides: Settings to change, as key=value; may be given several times.
        file_format: What to write; `same` as each study.
        transfer_syntax: How DICOM is stored.
    """
    from ctdenoise.config.inference import InferSettings
    from ctdenoise.config.load import find_settings_file, load_settings
    from ctdenoise.tasks.batch_infer import infer_request

    changes = (*overrides, *transfer_syntax_changes(transfer_syntax, file_format))
    file = find_settings_file("infer", config or "default")
    settings = load_settings(InferSettings, file, changes)
    request = infer_request(
        options.sources(studies), model, settings, options.settings(), out=out, kind=file_format
    )
    _run(request, done="denoised")


@batch.command
def evaluate(
    *studies: Path,
    out: Out,
    model: Annotated[str | None, Parameter(name=["--model", "-m"])] = None,
    options: Annotated[BatchOptions, Parameter(name="*")] = _NO_OPTIONS,
    config: Config = None,
    overrides: Overrides = (),
    seed: Seed = 0,
) -> None:
    """Compare many tests with their references, or judge a denoiser on many scans (--model).

    Args:
        studies: With --model: folders or files of the scans.
        out: Folder for the folders of the studies, their ledger, the tables of them all and the
            figures of the cohort; the same command again goes on where it was stopped.
        model: Judge this denoiser on every scan. Without it, --studies names a CSV with the columns
            reference,test (and test2, ...).
        options: Which studies, and where.
        config: Ready settings of `evaluate` (with --model `judge` or `judge_quick`), or a YAML
            file.
        overrides: Settings to change, as key=value; may be given several times.
        seed: Same seed, same figures.
    """
    from ctdenoise.config.load import find_settings_file, load_settings
    from ctdenoise.tasks.batch_evaluate import compare_request, judge_request, write_cohort

    sources, own = options.sources(studies), options.settings()

    if model is not None:
        from ctdenoise.config.judgement import JudgeSettings

        file = find_settings_file("evaluate", config or "judge")
        judged = load_settings(JudgeSettings, file, overrides)
        _run(judge_request(sources, model, judged, own, out=out, seed=seed), done="judged")
        return
    from ctdenoise.config.evaluation import EvaluateSettings

    file = find_settings_file("evaluate", config or "default")
    settings = load_settings(EvaluateSettings, file, overrides)
    _run(compare_request(sources, settings, own, out=out), done="evaluated", after=write_cohort)


def _run(
    request: BatchRequest, *, done: str, after: Callable[[Path], Path | None] | None = None
) -> None:
    """Work through the studies and print what came of them.

    Args:
        request: What is asked for.
        done: What should have been done with each: "simulated".
        after: Makes something of all of them together.

    Raises:
        SomeStudiesFailed: If some failed, with every reason.
    """
    from ctdenoise.cli import console
    from ctdenoise.errors import SomeStudiesFailed, listed
    from ctdenoise.tasks import batch as task

    with console.progress() as progress:
        report = task.run(request, progress=progress)
        together = None if after is None else after(report.out)
    _show(report, done, together)
    if report.failures:
        rows = [_reason(row) for row in report.failed]
        more = [""] * (report.failures - len(rows))
        raise SomeStudiesFailed(
            f"{_counted(report.failures)} not {done}, or not whole:\n{listed([*rows, *more])}",
            where=report.out,
            fix="The others are whole. See studies.csv and failures/, mend these, and run the same "
            "command again.",
        )


def _show(report: BatchReport, done: str, together: Path | None) -> None:
    from ctdenoise.cli.console import show_facts

    before = f", {report.kept} before" if report.kept else ""
    pace = f"{report.per_hour:.0f} studies an hour" if report.made else ""
    show_facts(
        f"{done.capitalize()}: {report.made}{before}",
        (
            ("time", f"{report.seconds:.1f} s"),
            ("pace", pace),
            ("written to", str(report.out)),
            ("table", "studies.csv and studies.json"),
            ("cohort", "" if together is None else f"{together}/cohort.csv and cohort.json"),
        ),
    )


def _counted(studies: int) -> str:
    return "1 study was" if studies == 1 else f"{studies} studies were"


def _reason(row: Row) -> str:
    name = f" ({row.name})" if row.name else ""
    tries = f", after {row.tries} tries" if row.tries > 1 else ""
    return f"study {row.number}{name}: {row.reason}{tries}"
