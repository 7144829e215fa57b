"""The figures of a run: means of the losses between two recorded lines, and the lines."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ctdenoise.config.training import TrainSettings
from ctdenoise.core.provenance import JsonValue
from ctdenoise.losses.build import LossTerms
from ctdenoise.training.distributed import Peers
from ctdenoise.training.records import TIMINGS
from ctdenoise.training.state import Progressed
from ctdenoise.training.validation import Measured

if TYPE_CHECKING:
    from ctdenoise.training.job import TrainingJob


class LossSums:
    """Sums of the losses since the last recorded line, kept on the device: no waiting for it.

    Args:
        progressed: The sums to go on from.
        device: Where the losses are.
        peers: Whose losses are averaged.
    """

    def __init__(self, progressed: Progressed, device: torch.device, peers: Peers) -> None:
        self._device = device
        self._peers = peers
        self._steps = progressed.summed
        self._sums = {name: self._double(value) for name, value in progressed.sums.items()}

    def add(self, terms: LossTerms) -> None:
        """Add the losses of one step."""
        named = {"loss": terms.total, **{f"loss_{k}": v for k, v in terms.terms.items()}}
        for name, value in named.items():
            self._sums[name] = self._sums.get(name, self._double(0.0)) + value.double()
        self._steps += 1

    def means(self) -> dict[str, float]:
        """Mean of each loss, and a new start; every process must ask."""
        means = {name: value / self._steps for name, value in self._averaged().items()}
        self._sums, self._steps = {}, 0
        return means

    def store(self, progressed: Progressed) -> None:
        """Put the sums into the state to be saved; every process must do so."""
        progressed.sums = self._averaged()
        progressed.summed = self._steps
        self._sums = {name: self._double(value) for name, value in progressed.sums.items()}

    def _averaged(self) -> dict[str, float]:
        """The sums, averaged over the processes."""
        if not self._sums:
            return {}
        values = self._peers.summed(torch.stack(list(self._sums.values()))) / self._peers.world
        return dict(zip(self._sums, values.tolist(), strict=True))

    def _double(self, value: float) -> Tensor:
        return torch.tensor(value, dtype=torch.float64, device=self._device)


def columns(settings: TrainSettings, class_names: Sequence[str] = ()) -> tuple[str, ...]:
    """The columns of the table that `train` records, "step" first.

    Args:
        settings: Of the run.
        class_names: Name of each class, background first; empty without a head.
    """
    terms = [f"loss_{term.name}" for term in settings.loss.terms]
    if getattr(settings.network, "kind", None) == "variational":
        terms.append("loss_penalty")
    measured = ["val_loss", "val_rmse_hu", "val_psnr_db", "val_baseline_rmse_hu"]
    if settings.loss.needs_labels:
        measured += ["val_dice", *dice_columns(class_names)]
    return ("step", "learning_rate", "loss", *terms, *measured, *TIMINGS)


def dice_columns(class_names: Sequence[str]) -> tuple[str, ...]:
    """The column for the Dice of each class above background, such as `val_dice_left_kidney`.

    Args:
        class_names: Background first.
    """
    found: list[str] = []
    for number, name in enumerate(class_names[1:], 1):
        column = "val_dice_" + re.sub(r"\W+", "_", name).strip("_").lower()
        found.append(f"{column}_{number}" if column in found else column)
    return tuple(found)


def by_class(
    class_names: Sequence[str], class_dice: Sequence[float | None]
) -> dict[str, JsonValue]:
    """The Dice of each class by its name; empty without labels.

    Args:
        class_names: Background first.
        class_dice: Of class 1, 2, ...; None for a class that the slices do not show.
    """
    return dict(zip(class_names[1:], class_dice, strict=False))


def row_of(
    job: TrainingJob,
    progressed: Progressed,
    losses: dict[str, float],
    measured: Measured | None,
) -> dict[str, float | int | None]:
    """One line of the table.

    Args:
        job: Its settings and the learning rate of its optimizer.
        progressed: After which step.
        losses: As `LossSums.means` gives them.
        measured: The measurement after this step, if there was one.
    """
    patches = progressed.step * job.settings.batch_size
    row: dict[str, float | int | None] = {
        "step": progressed.step,
        "learning_rate": float(job.optimizer.param_groups[0]["lr"]),
        **losses,
        "patches_per_second": round(patches / max(progressed.seconds, 1e-9), 2),
        "seconds": round(progressed.seconds, 3),
    }
    if measured is not None:
        row["val_loss"] = measured.loss
        row["val_rmse_hu"] = measured.rmse_hu
        row["val_psnr_db"] = measured.psnr_db
        row["val_baseline_rmse_hu"] = measured.baseline_rmse_hu
        if job.settings.loss.needs_labels:
            row["val_dice"] = measured.dice
            row |= dict(zip(dice_columns(job.class_names), measured.class_dice, strict=True))
    return row
