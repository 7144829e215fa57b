"""How a stack of DICOM slices was scanned, as far as its headers say."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ctdenoise.core.acquisition import Acquisition
from ctdenoise.core.geometry import Geometry
from ctdenoise.io.dicom_slice import SliceHeader

PLANE_TOLERANCE_MM = 5.0
"""A centre of data collection of all zeros further than this off the slice was never filled in."""


def acquisition_of(slices: Sequence[SliceHeader], geometry: Geometry | None) -> Acquisition:
    """What a stack's headers say about the scan.

    Args:
        slices: The slices, in order.
        geometry: Their grid, if known; needed for the offset of the isocentre.
    """
    first = slices[0]

    def number(keyword: str) -> float | None:
        value = first.facts.get(keyword)
        return value[0] if isinstance(value, tuple) else None

    def text(keyword: str) -> str | None:
        value = first.facts.get(keyword)
        return value if isinstance(value, str) else None

    exposures = [_exposure_mas(header) for header in slices]
    dose = [v[0] for h in slices if isinstance(v := h.facts.get("CTDIvol"), tuple)]
    return Acquisition(
        manufacturer=text("Manufacturer"),
        manufacturer_model_name=text("ManufacturerModelName"),
        kvp=number("KVP") or None,
        exposure_mas=tuple(e for e in exposures if e) if all(exposures) else (),
        slice_thickness_mm=number("SliceThickness") or None,
        convolution_kernel=text("ConvolutionKernel"),
        distance_source_to_patient_mm=number("DistanceSourceToPatient")
        or number("DistanceSourceToDataCollectionCenter")
        or None,
        distance_source_to_detector_mm=number("DistanceSourceToDetector") or None,
        reconstruction_diameter_mm=number("ReconstructionDiameter") or None,
        reconstruction_centre_offset_mm=_isocentre_offset_mm(first, geometry),
        ctdi_vol_mgy=float(np.mean(dose)) if dose and np.mean(dose) > 0 else None,
        body_part_examined=text("BodyPartExamined"),
        patient_position=text("PatientPosition"),
        filter_type=text("FilterType"),
        exposure_modulation_type=text("ExposureModulationType"),
    )


def _exposure_mas(header: SliceHeader) -> float | None:
    def number(keyword: str) -> float:
        value = header.facts.get(keyword)
        return value[0] if isinstance(value, tuple) else 0.0

    current_ma, time_ms = number("XRayTubeCurrent"), number("ExposureTime")
    candidates = (
        number("ExposureInmAs"),
        number("Exposure"),
        number("ExposureInuAs") / 1000.0,
        current_ma * time_ms / 1000.0,
    )
    return next((value for value in candidates if value > 0), None)


def _isocentre_offset_mm(
    first: SliceHeader, geometry: Geometry | None
) -> tuple[float, float] | None:
    """Centre of data collection relative to the centre of the image, along rows and columns."""
    centre = first.facts.get("DataCollectionCenterPatient")
    if geometry is None or not isinstance(centre, tuple):
        return None
    row, column = np.array(geometry.row_direction), np.array(geometry.column_direction)
    image_centre = (
        geometry.positions_mm[0]
        + row * geometry.pixel_spacing_mm[1] * (geometry.columns - 1) / 2
        + column * geometry.pixel_spacing_mm[0] * (geometry.rows - 1) / 2
    )
    offset = np.array(centre) - image_centre
    if not any(centre) and abs(offset @ np.cross(row, column)) > PLANE_TOLERANCE_MM:
        return None  # all zeros, off the plane of the slice: nobody filled it in
    return (float(offset @ row), float(offset @ column))
