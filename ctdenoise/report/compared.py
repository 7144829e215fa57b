"""What a comparison of trained networks holds: the methods, the test images, the figures."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from ctdenoise.core.arrays import BoolArray, HuArray
from ctdenoise.core.geometry import Geometry
from ctdenoise.core.provenance import JsonValue
from ctdenoise.metrics.comparison import Figures, as_json
from ctdenoise.metrics.contrasts import Contrast
from ctdenoise.metrics.noise_texture import Truth

LOW_DOSE = "low dose"
"""Name of the first row: what doing nothing gives."""

TRUTH_TEXT: dict[Truth, str] = {
    "scan": "the full-dose scan, which is noisy itself",
    "exact": "the exact image without noise",
}


@dataclass(frozen=True, slots=True)
class Training:
    """What a network was trained with, as far as its run says.

    Args:
        steps: Updates of its weights until the run ended; None where unknown.
        best_step: After which of them it was kept.
        patches: Patches seen, counted each time.
        patch_size: Edge of a patch, pixels.
        seconds: Time of the steps.
        doses: Lowest and highest dose fraction of the pairs; None where unknown.
        curve: Step and RMSE on the slices that judged the training, HU.
        baseline_rmse_hu: That of their low-dose twins.
        dice: Mean Dice over the classes on these slices, of a kept network that labels; else None.
        seed: Of the training; None where unknown.
    """

    steps: int | None = None
    best_step: int | None = None
    patches: int | None = None
    patch_size: int | None = None
    seconds: float | None = None
    doses: tuple[float, float] | None = None
    curve: tuple[tuple[int, float], ...] = ()
    baseline_rmse_hu: float | None = None
    dice: float | None = None
    seed: int | None = None

    def as_json(self) -> dict[str, JsonValue]:
        """Plain JSON."""
        return {
            "steps": self.steps,
            "best_step": self.best_step,
            "patches_seen": self.patches,
            "patch_size": self.patch_size,
            "seconds": self.seconds,
            "dose_fractions": None if self.doses is None else list(self.doses),
            "validation_rmse_hu": [[step, rmse] for step, rmse in self.curve],
            "validation_baseline_rmse_hu": self.baseline_rmse_hu,
            "validation_dice": self.dice,
            "seed": self.seed,
        }


@dataclass(frozen=True, slots=True)
class SliceTimes:
    """How long a network took for slices.

    Args:
        seconds: Time of each slice but the first, which prepares the layers, where there are
            others; what is measured before the first slice of an image is shared out among all.
        processor_seconds: Time that the processors spent on each, all threads together: less than
            the time by the clock where other programs were busy.
        threads: Of the arithmetic on a CPU.
        engine: What computed.
    """

    seconds: tuple[float, ...]
    processor_seconds: tuple[float, ...]
    threads: int
    engine: str

    @property
    def median_s(self) -> float:
        """The median by the clock."""
        return statistics.median(self.seconds)

    @property
    def median_processor_s(self) -> float:
        """The median of what the processors spent."""
        return statistics.median(self.processor_seconds)

    def as_json(self) -> dict[str, JsonValue]:
        """Plain JSON."""
        return {
            "median": self.median_s,
            "least": min(self.seconds),
            "most": max(self.seconds),
            "processor_median": self.median_processor_s,
            "slices": len(self.seconds),
            "threads": self.threads,
            "engine": self.engine,
        }


@dataclass(frozen=True, slots=True, eq=False)
class Contender:
    """One row of the table: the low dose itself, or a trained network.

    Args:
        name: What to call it.
        group: What it is compared with; rows of one group stand together.
        note: A few words from the user.
        network: Kind of network; empty for the low dose.
        digest: Of the checkpoint.
        parameters: Weights and biases.
        operations: Multiplications with an addition for a slice of 512 x 512 pixels.
        training: Its budget.
        times: Of its slices; None for the low dose.
        warnings: Why its figures may flatter, each a sentence.
    """

    name: str
    group: str = ""
    note: str = ""
    network: str = ""
    digest: str = ""
    parameters: int | None = None
    operations: int | None = None
    training: Training = Training()
    times: SliceTimes | None = None
    warnings: tuple[str, ...] = ()

    def as_json(self) -> dict[str, JsonValue]:
        """Plain JSON."""
        return {
            "name": self.name,
            "group": self.group,
            "note": self.note,
            "network": self.network,
            "digest": self.digest,
            "parameters": self.parameters,
            "operations_per_slice": self.operations,
            "training": self.training.as_json(),
            "seconds_per_slice": None if self.times is None else self.times.as_json(),
            "warnings": list(self.warnings),
        }


@dataclass(frozen=True, slots=True)
class JudgedImage:
    """One low-dose image that everything was applied to.

    Args:
        name: What to call it; names no patient.
        patient: Key of the patient, or the name where there is none.
        dose_fraction: Its dose.
        truth: What it is compared with.
        slices: Numbers of the slices that were measured, from 1.
    """

    name: str
    patient: str
    dose_fraction: float
    truth: Truth
    slices: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """One slice of a test image as every row shows it.

    Args:
        image: Which test image.
        number: The slice, from 1.
        full: The reference, HU [y, x].
        shown: The same slice of each row, in their order.
        body: The body in the slice.
        padding: Pixels outside the reconstruction circle; None for none.
        geometry: Its grid.
    """

    image: JudgedImage
    number: int
    full: HuArray
    shown: tuple[HuArray, ...]
    body: BoolArray
    padding: BoolArray | None
    geometry: Geometry


@dataclass(frozen=True, slots=True, eq=False)
class Condition:
    """Test images of one dose and one kind of truth, and what every row reaches on them.

    Args:
        truth: What images are compared with.
        dose_fraction: Their dose.
        images: How many, by whom, how many slices.
        patients: How many patients they are of.
        slices: How many slices in all.
        figures: Of each row, in their order.
        words: What the number of patients allows to say.
        contrasts: How far they differ from each other on the same patients; empty for one patient.
    """

    truth: Truth
    dose_fraction: float
    images: int
    patients: int
    slices: int
    figures: tuple[Figures, ...]
    words: str
    contrasts: tuple[Contrast, ...] = ()

    @property
    def title(self) -> str:
        """For people: "25 % dose against the full-dose scan"."""
        against = "the full-dose scan" if self.truth == "scan" else "the exact truth"
        return f"{100 * self.dose_fraction:g} % dose against {against}"

    def as_json(self, names: Sequence[str]) -> dict[str, JsonValue]:
        """Plain JSON; figures by the name of the row."""
        return {
            "dose_fraction": self.dose_fraction,
            "truth": self.truth,
            "images": self.images,
            "patients": self.patients,
            "slices": self.slices,
            "words": self.words,
            "rows": [
                {"name": name, "metrics": [as_json(figure) for figure in figures.values()]}
                for name, figures in zip(names, self.figures, strict=True)
            ],
            "differences": [contrast.as_json(names) for contrast in self.contrasts],
        }


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """Everything that was found.

    Args:
        title: Heading of the page.
        contenders: The rows, the low dose first.
        images: The test images.
        by_image: Figures of each row on each test image: [image][row].
        conditions: The same, over the images of one dose and one kind of truth.
    """

    title: str
    contenders: tuple[Contender, ...]
    images: tuple[JudgedImage, ...]
    by_image: tuple[tuple[Figures, ...], ...]
    conditions: tuple[Condition, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the rows."""
        return tuple(contender.name for contender in self.contenders)
