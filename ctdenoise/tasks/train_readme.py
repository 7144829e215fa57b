"""The text in the folder of a training run that explains what lies beside it."""

from __future__ import annotations

from pathlib import Path

from ctdenoise.config.losses import LossSettings
from ctdenoise.config.supervision import needs_pairs
from ctdenoise.training.figures import dice_columns
from ctdenoise.training.job import TrainingJob
from ctdenoise.training.judged import what_judges

README_FILE = "README.md"
"""Its name."""


def write_readme(folder: Path, job: TrainingJob) -> Path:
    """Write `README.md` into the folder of a run.

    Like all records of a run it names no input: the data are described by counts and a digest.

    Args:
        folder: An existing folder, usually a staged one.
        job: The run.
    """
    path = folder / README_FILE
    path.write_text(_text(job), encoding="utf-8")
    return path


def _text(job: TrainingJob) -> str:
    settings, data = job.settings, job.trained_on
    kept = settings.validation.metric
    weights = "the running mean of the weights" if settings.ema else "the weights"
    window = (settings.validation.window_low_hu, settings.validation.window_high_hu)
    network = sum(parameter.numel() for parameter in job.network.parameters())
    given = "PAIRS" if needs_pairs(settings.supervision) else "STUDIES"
    begin = "torchrun --nproc-per-node N -m ctdenoise" if job.peers.world > 1 else "ctdenoise"
    return f"""# A training run of ctdenoise

A `{settings.network.name}` of {network:,} parameters{_learning(job)}, {settings.steps:,} steps of \
{settings.batch_size} patches of {settings.patches.size} x {settings.patches.size} pixels, on \
{data["series"]} series of {data["patients"]} patients ({data["slices"]} slices); \
{data["held_out_patients"]} patients judge (0: the last slices of the only one).
The data have the digest `{job.identity.data_digest}`. What was learnt from: \
`{settings.supervision.name}`; judged by: {what_judges(settings.supervision)}.

Made, and made again, by

    {begin} train {given} --out FOLDER --config settings.yaml --seed {job.identity.seed}

and continued, after a stop, by the same with `--resume` and this folder. Equal data, settings,
seed, and machine with as many threads give equal weights, bit for bit.

| file | what |
|---|---|
| `model.safetensors` | {weights} with the best `{kept}` on the validation slices so far, with the \
network's settings and HU range: what `ctdenoise infer --model` takes |
| `metrics.csv` | the course of the training; columns below |
| `events.*` | the same figures and pictures for TensorBoard (`tensorboard --logdir .`): low dose, \
denoised, full dose in the window {window[0]:g} to {window[1]:g} HU, and denoised minus full dose \
(gray is none, white +{settings.validation.pictures.difference_hu:g} HU) |
| `last/` | the exact state to resume from: weights, moments of the optimizer\
{", running mean" if settings.ema else ""} |
| `settings.yaml` | all settings, defaults included |
| `run.json` | versions, machine, threads, data as counts and digests, results; written at the end |
| `not_finite_step_*.safetensors` | only if the training diverged: the batch that did it |

| column of `metrics.csv` | what |
|---|---|
| `step` | steps done |
| `learning_rate` | of that step |
{_losses(settings.loss)}| `val_loss` | the same loss on the validation slices |
| `val_rmse_hu`, `val_baseline_rmse_hu` | root mean squared error of the denoised and of the \
low-dose slices, HU, against {what_judges(settings.supervision)} |
| `val_psnr_db` | PSNR of the images clipped to {window[0]:g} to {window[1]:g} HU |
{_dice(job)}\
| `patches_per_second`, `seconds` | mean speed and time spent in steps since the start |
"""


def _losses(loss: LossSettings) -> str:
    """A row for the loss and each of its terms."""
    terms = " + ".join(f"{term.weight:g} {term.name}" for term in loss.terms)
    rows = [f"| `loss` | {terms}, mean since the line before |"]
    rows += [f"| `loss_{term.name}` | that term, without its weight |" for term in loss.terms]
    return "\n".join([*rows, ""])


def _learning(job: TrainingJob) -> str:
    """How many of the parameters learn, where not all do."""
    learning = job.learning
    if learning.frozen == "none":
        return ""
    return f", of which {learning.learning:,} learn: the {learning.frozen} is frozen"


def _dice(job: TrainingJob) -> str:
    """A row for the mean Dice and one for that of each class."""
    if not job.class_names:
        return ""
    rows = ["| `val_dice` | mean Dice of the classes below that the validation slices show |"]
    rows += [
        f"| `{column}` | Dice of {name}; empty where the validation slices do not show it |"
        for column, name in zip(dice_columns(job.class_names), job.class_names[1:], strict=True)
    ]
    return "\n".join([*rows, ""])
