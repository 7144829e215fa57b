"""What a twin on disk was simulated with, rebuilt from its line of history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import get_args

import numpy as np
from pydantic import TypeAdapter, ValidationError

from ctdenoise.config.dose import SimulateSettings
from ctdenoise.config.kernels import FixedKernelSettings
from ctdenoise.core.acquisition import Acquisition
from ctdenoise.core.arrays import FloatArray
from ctdenoise.core.geometry import Geometry
from ctdenoise.core.provenance import Step
from ctdenoise.errors import SimulationError
from ctdenoise.simulation.calibration import relative_exposure
from ctdenoise.simulation.flux import Bowtie
from ctdenoise.simulation.low_dose import STEP
from ctdenoise.simulation.model import RadialTrend, ScanModel

_SAME = 1e-6
"""Relative difference of lengths and angles that comes from rounding."""


@dataclass(frozen=True, slots=True, eq=False)
class RecordedScan:
    """What a scan was calibrated to when a twin of it was made.

    Args:
        settings: What was asked for then.
        model: Scanner, grid and kernel.
        photons: N0 at full dose of each slice, [slice].
    """

    settings: SimulateSettings
    model: ScanModel
    photons: FloatArray


def recorded_scan(
    history: Sequence[Step], *, geometry: Geometry, acquisition: Acquisition
) -> RecordedScan:
    """The scanner, kernel and photons of a twin, without measuring them again.

    Args:
        history: Of the twin.
        geometry: Grid of the whole scan.
        acquisition: Header facts of the scan.

    Raises:
        SimulationError: If no low dose was simulated last, or the record cannot be read.
    """
    if not history or history[-1].name != STEP:
        raise SimulationError(
            "The history of this image does not end with a simulated low dose.",
            fix="Make the pair with `ctdenoise simulate`, in another mode than `degradation`.",
        )
    record = history[-1].params
    try:
        settings = SimulateSettings.model_validate(record["settings"])
        kernel: FixedKernelSettings = TypeAdapter(FixedKernelSettings).validate_python(
            record["kernel"]
        )
        photons, mu_water = (_number(record[key]) for key in ("photons", "mu_water_per_mm"))
        modulation = _number(record["angular_modulation"])
        distance, angle = (
            _number(record[key]) for key in ("source_to_isocentre_mm", "channel_angle")
        )
        samples = _number(record["samples_per_channel"])
        stated = record["radial_trend"]
        trend = None
        if isinstance(stated, dict):
            trend = RadialTrend(_number(stated["slope"]), _number(stated["reach_mm"]))
        bowtie = next(shape for shape in get_args(Bowtie) if shape == record["bowtie"])
    except (KeyError, StopIteration, TypeError, ValueError, ValidationError) as error:
        raise SimulationError(
            "The record of this simulated image cannot be read.",
            fix="Make the pair again with this version of `ctdenoise simulate`.",
        ) from error
    model = ScanModel.of(geometry, acquisition, settings).with_kernel(kernel).with_trend(trend)
    if samples == 2 and model.samples_per_channel == 1:
        model = model.doubled()
    fan = model.fan
    if not np.allclose([fan.distance_mm, fan.channel_angle], [distance, angle], rtol=_SAME):
        raise SimulationError(
            "The scanner of this simulated image is not the one that its settings describe.",
            fix="Make the pair again with this version of `ctdenoise simulate`.",
        )
    exposure = relative_exposure(acquisition, settings)
    each = np.ones(geometry.slices) if exposure is None else exposure
    return RecordedScan(
        settings,
        replace(model, mu_water_per_mm=mu_water, bowtie=bowtie, modulation=modulation),
        (photons * each).astype(np.float32),
    )


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is no number")
    return float(value)
