"""`ctdenoise train`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from ctdenoise.cli.failure import STOPPED
from ctdenoise.cli.options import Config, Out, Overrides, Seed

if TYPE_CHECKING:
    from ctdenoise.tasks.train import TrainReport


def train(
    *folders: Path,
    out: Out,
    config: Config = None,
    overrides: Overrides = (),
    resume: Annotated[bool, Parameter(negative=())] = False,
    seed: Seed = 0,
) -> int:
    """Train a network on pairs that `simulate` made, or on plain scans.

    Args:
        folders: Folders with pairs; with DICOM or image files where the settings need no pairs
            (`recorrupted`, `noise2sim`, `fine_tune_study`); searched at any depth.
        out: Folder for the model, its records and its resume state; new, or an old one with
            --resume.
        config: Ready settings such as `redcnn` or `redcnn_seg`, or a YAML file.
        overrides: Settings to change, as key=value; may be given several times.
        resume: Go on where a stopped run in --out left off; the result is the same bit for bit.
        seed: Same seed, same training.
    """
    # Noise for patches takes many small products, which threads of numpy's own slow down; it reads
    # this when it is imported, so it must not have been before.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from ctdenoise.cli import console
    from ctdenoise.config.load import find_settings_file, load_settings
    from ctdenoise.config.training import TrainSettings
    from ctdenoise.errors import UsageError
    from ctdenoise.tasks import train as task

    if not folders:
        raise UsageError(
            "there is nothing to train on.",
            fix="Name one or more folders that `simulate` made, or of scans with a --config such "
            "as recorrupted.",
        )
    settings_file = find_settings_file("train", config or "redcnn")
    settings = load_settings(TrainSettings, settings_file, overrides)
    with console.progress() as progress:
        report = task.run(folders, settings, out=out, resume=resume, seed=seed, progress=progress)
    if report.rank == 0:
        _show(report)
    return STOPPED if report.stopped == "interrupted" else 0


def _show(report: TrainReport) -> None:
    from ctdenoise.cli.console import number, share, show_facts
    from ctdenoise.training.judged import FULL_DOSE

    heading = {
        "finished": f"Trained {report.steps} steps",
        "early": f"Stopped early after {report.steps} steps: validation gained nothing any more",
        "interrupted": f"Stopped after {report.steps} steps; go on with --resume",
    }
    after, before = report.val_rmse_hu, report.baseline_rmse_hu
    show_facts(
        heading[report.stopped],
        (
            ("judged by", "" if report.judged_by == FULL_DOSE else report.judged_by),
            ("low dose", number(before, "HU RMSE on the validation slices")),
            ("denoised", number(after, "HU RMSE") + share(after, before)),
            ("Dice", _dice(report)),
            ("learnt", report.learning),
            ("best after", "" if report.best_step is None else f"{report.best_step} steps"),
            ("speed", f"{report.patches_per_second:.1f} patches/s"),
            ("time", f"{report.seconds:.1f} s"),
            ("model", "" if report.model is None else str(report.model)),
            ("run", str(report.out)),
        ),
    )


def _dice(report: TrainReport) -> str:
    """The mean and each class: "0.87 (spleen 0.81, liver 0.93; not shown: kidney)"."""
    shown = {name: dice for name, dice in report.class_dice.items() if isinstance(dice, float)}
    absent = [name for name in report.class_dice if name not in shown]
    parts = [", ".join(f"{name} {dice:.3f}" for name, dice in shown.items())]
    if absent:
        parts.append(f"none in the validation slices: {', '.join(absent)}")
    if report.dice is None:
        return parts[-1]
    return f"{report.dice:.3f} ({'; '.join(parts)})"
