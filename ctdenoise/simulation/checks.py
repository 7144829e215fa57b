"""Whether a volume is something that the simulator can work on."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from ctdenoise.config.dose import SimulateSettings
from ctdenoise.core.acquisition import Acquisition
from ctdenoise.core.arrays import BoolArray, HuArray
from ctdenoise.core.body import body_mask
from ctdenoise.core.geometry import Geometry
from ctdenoise.core.units import AIR_HU
from ctdenoise.core.volume import CTVolume
from ctdenoise.errors import SimulationError, listed
from ctdenoise.simulation.calibration import without_padding
from ctdenoise.simulation.model import ScanModel

LOWEST_STORED_HU = -1024.0
"""Twelve bits from here on are what most scanners store; lower values are cut off."""

_CUT_OFF = 1e-3
"""Part of the voxels at the lowest value from which it is no coincidence."""

_log = logging.getLogger(__name__)

FIELD_LIMITS_MM = (20.0, 1500.0)
"""Width of a slice of a person or phantom; anything else is a mistake of units."""

HIGHEST_HU = 60_000.0
"""Above dense metal on an extended scale."""

UNMEASURED_HU = -1500.0
"""Nothing that was measured is so far below air: pixels outside the reconstruction circle, which
many files do not mark as padding."""

_CUT_WARNING = 0.1  # a body that just touches the edge of the field loses next to nothing
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
    _warn_if_cut(sample)
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


def _warn_if_cut(sample: CTVolume) -> None:
    share = share_of_outline_cut(sample)
    if share > _CUT_WARNING:
        _log.warning(
            "%.0f %% of the outline of the body is cut by the edge of the field. What attenuates "
            "beyond it is not known: noise and its streaks along the missing parts come out too "
            "low where the photons are set, and are right on average where they are found from "
            "the noise. Reconstruct a larger field if you can.",
            100 * share,
        )


def share_of_outline_cut(sample: CTVolume) -> float:
    """Part of the outline of the body that lies at the edge of the image or of its padding.

    A body that fills the field has 1, one inside it 0; without a body it is 0.

    Args:
        sample: Some slices of a scan.
    """
    hu = without_padding(sample)
    measured = hu > UNMEASURED_HU if sample.padding is None else ~sample.padding
    cut = outline = 0
    for image, seen in zip(hu, measured, strict=True):
        body = body_mask(image, ~seen)
        if body.any():
            edge = body & ~_shrunk(body)
            outline += int(np.count_nonzero(edge))
            cut += int(np.count_nonzero(edge & ~_shrunk(seen)))
    return cut / outline if outline else 0.0


def with_padding_kept(scan: HuArray, twin: HuArray) -> HuArray:
    """A twin with the pixels of the scan that were never measured, as they are.

    Args:
        scan: Hounsfield units of the scan.
        twin: Of its twin, indexed alike.
    """
    if scan.min() > UNMEASURED_HU:
        return twin
    return np.where(scan <= UNMEASURED_HU, scan, twin)


def _shrunk(mask: BoolArray) -> BoolArray:
    """A mask without its rim; nothing lies beyond the image."""
    inner = np.zeros_like(mask)
    sides = mask[1:-1, :-2] & mask[1:-1, 2:] & mask[:-2, 1:-1] & mask[2:, 1:-1]
    inner[1:-1, 1:-1] = mask[1:-1, 1:-1] & sides
    return inner


def check_scanner(model: ScanModel, settings: SimulateSettings, acquisition: Acquisition) -> None:
    """Warn where the scanner that was decided on is not the one that was stated.

    Args:
        model: The scanner.
        settings: What was asked for.
        acquisition: What the header says.
    """
    dropped = settings.scanner.channels - model.fan.channels // model.samples_per_channel
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


def clipped_at_hu(sample: CTVolume) -> float | None:
    """The lowest HU that a scanner stored, where the noise of air was cut off at it; else None.

    Args:
        sample: Slices of the scan.
    """
    hu = sample.hu if sample.padding is None else sample.hu[~sample.padding]
    if not hu.size or hu.min() != LOWEST_STORED_HU:
        return None
    return LOWEST_STORED_HU if np.mean(hu == LOWEST_STORED_HU) > _CUT_OFF else None
