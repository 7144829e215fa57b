"""What a twin on disk was simulated with, rebuilt from its line of history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import get_args

import numpy as np

from ctdenoise.config.dose import SimulateSettings
from ctdenoise.config.kernels import (
    AutoKernelSettings,
    HeaderKernelSettings,
    MeasuredKernelSettings,
)
from ctdenoise.core.acquisition import Acquisition
from ctdenoise.core.arrays import DoubleArray, FloatArray
from ctdenoise.core.geometry import Geometry
from ctdenoise.core.provenance import JsonValue, Step
from ctdenoise.errors import SimulationError
from ctdenoise.simulation.flux import Bowtie
from ctdenoise.simulation.low_dose import STEP
from ctdenoise.simulation.model import RadialTrend, ScanModel
from ctdenoise.simulation.overlap import layer_weights

_SAME = 1e-6
"""Relative difference of lengths and angles that comes from rounding."""


@dataclass(frozen=True, slots=True, eq=False)
class RecordedScan:
    """What a scan was calibrated to when a twin of it was made.

    Args:
        settings: What was asked for then.
        model: Scanner, grid and kernel.
        photons: N0 at full dose of each slice, [slice].
        layer_weights: How its slices share noise, [slice, slice ahead], see
            `overlap.layer_weights`; None for not at all.
    """

    settings: SimulateSettings
    model: ScanModel
    photons: FloatArray
    layer_weights: FloatArray | None = None


def from_exact(history: Sequence[Step]) -> bool:
    """Whether a low dose was simulated from an image that counts as free of noise.

    Args:
        history: Of the low dose.
    """
    return any(_source_noise(step) == "none" for step in history)


def _source_noise(step: Step) -> JsonValue:
    """What a step took the noise of its source to be; degradations keep it in their settings."""
    settings = step.params.get("settings")
    within = settings.get("source_noise") if isinstance(settings, Mapping) else None
    return step.params.get("source_noise", within)


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
        model = _model(record, ScanModel.of(geometry, acquisition, settings))
        photons = _number(record["photons"]) * _exposure(record, geometry)
        lengths = [_number(record[key]) for key in ("source_to_isocentre_mm", "channel_angle")]
    except (KeyError, StopIteration, TypeError, ValueError) as error:
        raise SimulationError(
            "The record of this simulated image cannot be read.",
            fix="Make the pair again with this version of `ctdenoise simulate`.",
        ) from error
    if not np.allclose([model.fan.distance_mm, model.fan.channel_angle], lengths, rtol=_SAME):
        raise SimulationError(
            "The scanner of this simulated image is not the one that its settings describe.",
            fix="Make the pair again with this version of `ctdenoise simulate`.",
        )
    shared = None
    if settings.slice_correlation == "auto":
        shared = layer_weights(geometry.along_normal_mm(), acquisition.slice_thickness_mm)
    return RecordedScan(settings, model, photons.astype(np.float32), shared)


def _model(record: Mapping[str, JsonValue], model: ScanModel) -> ScanModel:
    """The model of the settings with what was decided when the twin was made."""
    kernel = SimulateSettings.model_validate({"kernel": record["kernel"]}).kernel
    if isinstance(kernel, AutoKernelSettings | HeaderKernelSettings | MeasuredKernelSettings):
        raise TypeError("a kernel that was not decided")
    if record["samples_per_channel"] == 2 and model.samples_per_channel == 1:
        model = model.doubled()
    stated, trend = record["radial_trend"], None
    if isinstance(stated, Mapping):
        trend = RadialTrend(_number(stated["slope"]), _number(stated["reach_mm"]))
    return replace(
        model.with_kernel(kernel),
        mu_water_per_mm=_number(record["mu_water_per_mm"]),
        bowtie=next(shape for shape in get_args(Bowtie) if shape == record["bowtie"]),
        modulation=_number(record["angular_modulation"]),
        radial_trend=trend,
    )


def _exposure(record: Mapping[str, JsonValue], geometry: Geometry) -> DoubleArray:
    exposure = np.asarray(record["relative_exposure"], dtype=np.float64)
    if exposure.shape != (geometry.slices,):
        raise ValueError(f"exposures of {exposure.shape} slices, not of {geometry.slices}")
    return exposure


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is no number")
    return float(value)
