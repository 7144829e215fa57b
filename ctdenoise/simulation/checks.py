"""Whether a volume is something that the simulator can work on."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from ctdenoise.config.dose import SimulateSettings
from ctdenoise.core.acquisition import Acquisition
from ctdenoise.core.geometry import Geometry
from ctdenoise.core.units import AIR_HU
from ctdenoise.core.volume import CTVolume
from ctdenoise.errors import SimulationError, listed
from ctdenoise.simulation.calibration import without_padding
from ctdenoise.simulation.model import ScanModel

_log = logging.getLogger(__name__)

FIELD_LIMITS_MM = (20.0, 1500.0)
"""Width of a slice of a person or phantom; anything else is a mistake of units."""

HIGHEST_HU = 60_000.0
"""Above dense metal on an extended scale."""

_SMALLEST_RANGE_HU = 50.0
_OUTSIDE_WARNING = 0.01
_SAME_CENTRE_MM = 0.01


def check_sample(sample: CTVolume, model: ScanModel) -> None:
    """Refuse a scan that is no axial CT in HU and mm; warn about a patient outside the scan field.

    Args:
        sample: Some slices of the scan.
        model: The scanner.

    Raises:
        SimulationError: With every problem.
    """
    problems = [*_grid_problems(sample.geometry), *_value_problems(sample)]
    if problems:
        raise SimulationError(
            f"This volume cannot be simulated:\n{listed(problems)}",
            fix="Give axial CT slices in Hounsfield units with sizes in millimetres.",
        )
    outside = model.grid.radius_mm() > model.fan.field_radius_mm
    if not outside.any():
        return
    tissue = without_padding(sample)[:, outside] > AIR_HU / 2
    if tissue.mean() > _OUTSIDE_WARNING:
        _log.warning(
            "Some of the patient lies outside the scan field of %.0f mm and stays without added "
            "noise. Set `scanner` to one that sees it, if the scan was made with it.",
            2 * model.fan.field_radius_mm,
        )


def check_scanner(model: ScanModel, settings: SimulateSettings, acquisition: Acquisition) -> None:
    """Warn where the scanner that was decided on is not the one that was stated.

    Args:
        model: The scanner.
        settings: What was asked for.
        acquisition: What the header says.
    """
    dropped = settings.scanner.channels - model.fan.channels
    if dropped:
        _log.warning(
            "The fan of %d channels is wider than the simulator can reconstruct; %d of them are "
            "left out, so it sees %.0f mm. Check the distances of the header and the "
            "settings under `scanner`.",
            settings.scanner.channels,
            dropped,
            2 * model.fan.field_radius_mm,
        )
    stated = acquisition.reconstruction_centre_offset_mm
    if settings.centre == "header" and stated is not None:
        believed = model.grid.isocentre_offset_mm
        if np.hypot(stated[0] - believed[0], stated[1] - believed[1]) > _SAME_CENTRE_MM:
            _log.warning(
                "The header puts the isocentre %.0f mm from the centre of the image, where the "
                "scanner could not have seen it; the centre of the image is taken. Set `centre: "
                "image` to say so.",
                np.hypot(*stated),
            )


def _grid_problems(geometry: Geometry) -> Sequence[str]:
    problems = []
    if not geometry.is_axial:
        problems.append(
            "its slices are not axial, and each must hold a whole turn of the tube: reformat the "
            "volume so that its third axis runs along the patient"
        )
    rows_mm = geometry.rows * geometry.pixel_spacing_mm[0]
    columns_mm = geometry.columns * geometry.pixel_spacing_mm[1]
    low, high = FIELD_LIMITS_MM
    if not (low <= max(rows_mm, columns_mm) <= high):
        problems.append(
            f"its slices are {columns_mm:g} x {rows_mm:g} mm wide; check whether the pixel "
            "spacing is in millimetres"
        )
    return problems


def _value_problems(volume: CTVolume) -> Sequence[str]:
    image = volume.hu if volume.padding is None else volume.hu[~volume.padding]
    if image.size == 0:
        return ["it holds nothing but padding"]
    low, high = float(image.min()), float(image.max())
    problems = []
    if high - low < _SMALLEST_RANGE_HU:
        problems.append(
            f"its values run from {low:g} to {high:g} only; a normalised image must be turned "
            "back into Hounsfield units"
        )
    if high > HIGHEST_HU:
        problems.append(f"its highest value, {high:g}, is no Hounsfield unit")
    if low > 0 and high - low >= _SMALLEST_RANGE_HU and high > 500:
        problems.append(
            f"its lowest value is {low:g}: no air and no fat; subtract the rescale intercept"
        )
    return problems
