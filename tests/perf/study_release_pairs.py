"""Test pairs of the study of released models: real series and torsos, smooth and sharp kernels.

The noise of a real twin is the difference that its dose lacks, so its full dose keeps its own
noise, as in published pairs of full and quarter dose. A kernel other than that of the series is
imitated on the full dose first: its spectrum is multiplied by the ratio of the two kernels, so that
its own noise and its edges are those of the kernel that the added noise has. Torsos are exact: as
sharp as the kernel, and without noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import fft

from ctdenoise.config.dose import SimulateSettings
from ctdenoise.config.kernels import AutoKernelSettings, GaussianKernelSettings
from ctdenoise.config.phantom import PhantomSettings
from ctdenoise.core.arrays import HuArray
from ctdenoise.core.pair import Pair
from ctdenoise.core.provenance import Step
from ctdenoise.core.units import AIR_HU
from ctdenoise.core.volume import CTVolume
from ctdenoise.io.pair_writer import write_pairs
from ctdenoise.io.read import read_volume
from ctdenoise.phantoms.build import build_phantom
from ctdenoise.simulation.calibration import calibrate, sample_indices
from ctdenoise.simulation.filters import SOFT_F50_PER_MM
from ctdenoise.simulation.low_dose import Simulator, plan_simulation, simulate_doses

KERNELS = {"own": None, "smooth": 0.30, "sharp": 0.70}
"""Where kernels are a half, 1/mm; None for that of the series."""

PATIENTS = {
    "siemens_chest": "series/siemens_chest",
    "ge_abdomen": "series/ge_abdomen",
    "philips_chest": "series/philips_chest",
    "ge_liver": "zoo/ct_with_seg",
    "siemens_abdomen": "zoo/siemens_j2k_series",
}
"""Folders of real series below the test data; each is one patient."""

TRAINED_ON = ("siemens_chest", "ge_abdomen", "philips_chest")
"""Patients of the last part of the training, whose images may be shown; the others take no part."""

MAIN_TORSOS = ("torso_abdomen", "torso_chest")

DOSES = {"own": (0.75, 0.5, 0.25, 0.1, 0.05), "smooth": (0.5, 0.25, 0.1), "sharp": (0.5, 0.25, 0.1)}
TORSO_DOSES = (0.75, 0.5, 0.25, 0.1, 0.05)
OTHER_TORSO_DOSES = (0.25,)

_MOST_GAIN = 5.0
"""No frequency of a full dose is raised by more, so that rounding is not taken for noise."""

_SEED = 907_000
"""Of phantoms and noise; no training uses seeds as high."""


def _torso(
    width_mm: float, field_mm: float, thickness_mm: float, level_mm: float
) -> dict[str, Any]:
    return {
        "phantom": {
            "name": "torso",
            "level_mm": level_mm,
            "half_width_mm": width_mm / 2,
            "texture": 1.0,
            "seamless": True,
        },
        "grid": {
            "field_of_view_mm": field_mm,
            "slice_spacing_mm": 12.0,
            "slice_thickness_mm": thickness_mm,
        },
    }


TORSOS: dict[str, dict[str, Any]] = {
    "torso_abdomen": _torso(340, 380, 3.0, -45),
    "torso_chest": _torso(350, 390, 3.0, 75),
    "torso_thin": _torso(340, 380, 0.75, -45),
    "torso_thick": _torso(340, 380, 5.0, -45),
    "torso_small_field": _torso(262, 280, 3.0, -45),
    "torso_large_field": _torso(400, 500, 3.0, -45),
}
"""Sizes in mm, 200 mAs; each has a seed, and so an anatomy, of its own."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A folder of pairs that is to be made.

    Args:
        source: Name of a series or of a torso.
        kernel: One of `KERNELS`.
        doses: Over that of the scan.
    """

    source: str
    kernel: str
    doses: tuple[float, ...]

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"{self.source}-{self.kernel}"


def wanted_pairs(sources: Sequence[str]) -> list[Wanted]:
    """All pairs of some sources.

    Args:
        sources: Names of series and torsos.
    """
    found = []
    for source in sources:
        kernels = ("smooth", "sharp") if source in TORSOS else tuple(KERNELS)
        for kernel in kernels:
            doses = DOSES[kernel]
            if source in TORSOS:
                doses = TORSO_DOSES if source in MAIN_TORSOS else OTHER_TORSO_DOSES
            found.append(Wanted(source, kernel, doses))
    return found


def make_pairs(wanted: Wanted, *, data: Path, slices: int, out: Path) -> None:
    """Write pairs, unless they are there.

    Args:
        wanted: Which.
        data: The folder of the test data.
        slices: How many of each series.
        out: The folder in which the folder of the pairs is made.
    """
    folder = out / wanted.name
    if (folder / "pair.json").is_file():
        return
    if wanted.source in TORSOS:
        pairs = _of_torso(wanted, slices)
    else:
        pairs = _of_scan(wanted, read_volume(data / PATIENTS[wanted.source]), slices)
    folder.mkdir(parents=True, exist_ok=True)
    write_pairs(folder, pairs)


def _of_torso(wanted: Wanted, slices: int) -> tuple[Pair, ...]:
    values = TORSOS[wanted.source]
    kernel = GaussianKernelSettings(f50_per_mm=KERNELS[wanted.kernel] or SOFT_F50_PER_MM)
    settings = PhantomSettings.model_validate(
        {
            **values,
            "grid": {**values["grid"], "slices": slices},
            "sharpness": kernel.as_json(),
            "seed": _SEED + list(TORSOS).index(wanted.source),
        }
    )
    simulation = SimulateSettings(dose=wanted.doses, source_noise="none", kernel=kernel)
    exact = build_phantom(settings).volume
    return simulate_doses(exact, simulation, np.random.default_rng(_SEED))


def _of_scan(wanted: Wanted, scan: CTVolume, slices: int) -> tuple[Pair, ...]:
    f50 = KERNELS[wanted.kernel]
    sample = sample_indices(scan.geometry)
    spread = np.linspace(0.1 * scan.shape[0], 0.9 * scan.shape[0] - 1, slices)
    chosen = np.unique(spread.round().astype(int))
    needed = sorted({*sample, *(int(one) for one in chosen)})
    full = scan.select(needed)
    kernel: AutoKernelSettings | GaussianKernelSettings = AutoKernelSettings()
    if f50 is not None:
        own = calibrate(
            scan.select(sample),
            SimulateSettings(),
            geometry=scan.geometry,
            acquisition=scan.acquisition,
        )
        full = with_kernel(full, f50, own_f50_per_mm=own.kernel_f50_per_mm)
        kernel = GaussianKernelSettings(f50_per_mm=f50)
    plan = plan_simulation(
        full.select([needed.index(one) for one in sample]),
        SimulateSettings(dose=wanted.doses, kernel=kernel),
        _SEED,
        geometry=scan.geometry,
        acquisition=scan.acquisition,
    )
    simulator = Simulator(plan)
    shown = full.select([needed.index(one) for one in chosen])
    twins = [
        simulator.twins(shown.select([number]), first=int(place))
        for number, place in enumerate(chosen)
    ]
    pairs = []
    for index in range(len(plan.doses)):
        hu = np.concatenate([twin[index] for twin in twins])
        low = shown.with_hu(hu, plan.step(index))
        pairs.append(Pair(shown, low, plan.exposure(index, low)))
    return tuple(pairs)


def with_kernel(volume: CTVolume, f50_per_mm: float, *, own_f50_per_mm: float) -> CTVolume:
    """A scan as another Gaussian kernel would have made it.

    Args:
        volume: Slices.
        f50_per_mm: Where that kernel is a half, 1/mm.
        own_f50_per_mm: Where its own is.
    """
    rows, columns = volume.shape[1:]
    fy = fft.fftfreq(rows, volume.geometry.pixel_spacing_mm[0])[:, None]
    fx = fft.rfftfreq(columns, volume.geometry.pixel_spacing_mm[1])
    exponent = -np.log(2) * (fy**2 + fx**2) * (f50_per_mm**-2 - own_f50_per_mm**-2)
    gain = np.exp(np.minimum(exponent, np.log(_MOST_GAIN)))
    hu: HuArray = np.empty_like(volume.hu)
    for number, image in enumerate(volume.hu):
        shown = image
        if volume.padding is not None:
            shown = np.where(volume.padding[number], np.float32(AIR_HU), image)
        hu[number] = fft.irfft2(fft.rfft2(shown) * gain, (rows, columns))
    np.maximum(hu, np.float32(-1024), out=hu)
    return volume.with_hu(hu, Step("other_kernel", {"f50_per_mm": f50_per_mm}))
