"""A new CT series for a volume without DICOM source: a phantom, or an image read from NIfTI."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import CTImageStorage
from pydicom.valuerep import format_number_as_ds

from ctdenoise.core.provenance import digest
from ctdenoise.core.volume import CTVolume
from ctdenoise.errors import InputError, listed
from ctdenoise.io.dicom_codes import code_item
from ctdenoise.io.dicom_derivation import (
    LONG_STRING,
    Derivation,
    ascii_text,
    derivation_of,
    run_moment,
)
from ctdenoise.io.dicom_derived import set_moment, set_own_equipment, synthesizing_equipment
from ctdenoise.io.dicom_stored import StoredScale, stored_from_hu
from ctdenoise.io.dicom_uids import new_uid
from ctdenoise.io.dicom_writer import SERIES_NUMBER_STEP, save, set_pixels

PADDING_VALUE = -2048
"""Stored value of padding in a new series."""

_MOST_ALONG = 65535  # Rows and Columns are US
_MOST_SLICES = 99999  # five digits of the file name
_SHORT_STRING = 16  # most characters of a value of VR SH
_CODE_STRING = re.compile(r"[A-Z0-9 _]{1,16}")
_PATIENT_POSITIONS = frozenset(("HFP", "HFS", "HFDR", "HFDL", "FFDR", "FFDL", "FFP", "FFS"))


def check_new_series(volume: CTVolume) -> None:
    """Refuse, before anything is computed, a grid that no CT series can hold.

    Args:
        volume: Any volume.

    Raises:
        InputError: With every reason.
    """
    slices, rows, columns = volume.shape
    problems = []
    if max(rows, columns) > _MOST_ALONG:
        problems.append(f"{rows} x {columns} pixels are more than a DICOM image can have")
    if slices > _MOST_SLICES:
        problems.append(f"{slices} slices are more than a series of numbered files can have")
    if problems:
        raise InputError(f"no CT series can hold this volume:\n{listed(problems)}")


def write_new_series(
    volume: CTVolume, folder: Path, *, series_number: int | None = None
) -> tuple[Path, ...]:
    """Write a CT series from scratch, one file for each slice.

    A phantom and what was simulated from it belong to one study of one invented patient; so do an
    image from NIfTI and what was made of it, whose patient is left empty. Stored values are
    Hounsfield units.

    Args:
        volume: Any volume.
        folder: An existing empty folder, usually a staged one.
        series_number: Number of the series; by default 1 for a phantom as built, and
            SERIES_NUMBER_STEP more for everything that was computed from another image.

    Returns:
        The files, slice by slice: 00001.dcm, 00002.dcm, ...
    """
    derivation = derivation_of(volume.history)
    study, series = _study_key(volume), _series_key(volume, derivation)
    shared = Dataset()
    _add_study(shared, volume, study)
    _add_series(shared, volume, derivation)
    shared.SeriesInstanceUID = new_uid("new series", series)
    if series_number is not None:
        shared.SeriesNumber = series_number
    _add_scan(shared, volume, derivation)
    _add_grid(shared, volume)
    scale = _scale(volume)
    paths = []
    for index in range(volume.shape[0]):
        instance = Dataset()
        instance.update(shared)
        instance.SOPInstanceUID = new_uid("new instance", series, str(index))
        _add_place(instance, volume, index, derivation)
        padding = None if volume.padding is None else volume.padding[index]
        set_pixels(instance, stored_from_hu(volume.hu[index], scale, padding=padding))
        path = folder / f"{index + 1:05d}.dcm"
        save(instance, path)
        paths.append(path)
    return tuple(paths)


def _is_phantom(volume: CTVolume) -> bool:
    return bool(volume.history) and volume.history[0].name == "phantom"


def _study_key(volume: CTVolume) -> str:
    """Equal for a volume and everything computed from it."""
    geometry = volume.geometry
    grid = [*geometry.shape, *geometry.pixel_spacing_mm, *geometry.positions_mm.ravel().tolist()]
    origin = volume.history[0].as_json() if _is_phantom(volume) else _content_of_source(volume)
    return digest([origin, grid], length=32)


def _content_of_source(volume: CTVolume) -> str:
    if volume.source is None or not volume.source.instances:
        return ""
    path = volume.source.instances[0].path
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def _series_key(volume: CTVolume, derivation: Derivation) -> str:
    key = [_study_key(volume), derivation.key]
    if not _is_phantom(volume):  # nothing else tells apart what was built in memory
        key.append(hashlib.sha256(np.ascontiguousarray(volume.hu).tobytes()).hexdigest())
    return digest(key, length=32)


def _add_study(out: Dataset, volume: CTVolume, study: str) -> None:
    """Patient, study and frame of reference: the same whenever the study is written again."""
    out.PatientName = out.PatientID = out.PatientBirthDate = out.PatientSex = ""
    out.StudyDescription = "Converted image"
    if _is_phantom(volume):
        name = re.sub(r"[^A-Z0-9]+", "", str(volume.history[0].params.get("name", "")).upper())
        out.PatientName = f"PHANTOM^{name}".rstrip("^")
        out.PatientID = f"CTDENOISE-{study[:8].upper()}"
        out.PatientSex = "O"
        out.StudyDescription = "Computed phantom"
    # Dates would differ between the series of one study, which are written at different times.
    out.StudyDate = out.StudyTime = out.AccessionNumber = out.ReferringPhysicianName = ""
    out.StudyID = study[:8].upper()
    out.StudyInstanceUID = new_uid("new study", study)
    out.FrameOfReferenceUID = new_uid("new frame of reference", study)
    out.PositionReferenceIndicator = ""


def _add_series(out: Dataset, volume: CTVolume, derivation: Derivation) -> None:
    is_first = _is_phantom(volume) and len(volume.history) == 1
    moment = run_moment()
    out.SOPClassUID = CTImageStorage
    out.Modality = "CT"
    out.SeriesNumber = 1 if is_first else 1 + SERIES_NUMBER_STEP
    description = (
        f"Phantom {volume.history[0].params.get('name', '')}" if _is_phantom(volume) else ""
    )
    if is_first:
        out.SeriesDescription = ascii_text(description)[:LONG_STRING].strip()
        out.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    else:
        out.SeriesDescription = derivation.series_description(ascii_text(description))
        out.ImageType = ["DERIVED", "SECONDARY", "AXIAL"]
        if derivation.code is not None:
            out.DerivationCodeSequence = DicomSequence([code_item(derivation.code)])
    out.DerivationDescription = derivation.description
    set_moment(out, moment)
    set_own_equipment(out, derivation.software)
    if derivation.is_synthetic:
        out.SyntheticData = "YES"
        item = synthesizing_equipment(derivation, moment)
        out.ContributingEquipmentSequence = DicomSequence([item])
        warning = derivation.warning or "COMPUTED PHANTOM RESEARCH USE ONLY"
        out.ImageComments = warning


def _add_scan(out: Dataset, volume: CTVolume, derivation: Derivation) -> None:
    scan = volume.acquisition
    position = scan.patient_position or "HFS"
    out.PatientPosition = position if position in _PATIENT_POSITIONS else ""
    out.AcquisitionNumber = 1
    for keyword, value in (
        ("KVP", scan.kvp),
        ("SliceThickness", scan.slice_thickness_mm or volume.geometry.slice_spacing_mm),
    ):  # type 2: empty where unknown
        setattr(out, keyword, None if value is None else format_number_as_ds(float(value)))
    for keyword, value in (
        ("DistanceSourceToPatient", scan.distance_source_to_patient_mm),
        ("DistanceSourceToDetector", scan.distance_source_to_detector_mm),
        ("ReconstructionDiameter", scan.reconstruction_diameter_mm),
    ):
        if value is not None:
            setattr(out, keyword, format_number_as_ds(float(value)))
    if scan.convolution_kernel:
        names = ascii_text(scan.convolution_kernel).split("/")
        out.ConvolutionKernel = [name[:_SHORT_STRING] for name in names]
    if scan.body_part_examined and _CODE_STRING.fullmatch(scan.body_part_examined):
        out.BodyPartExamined = scan.body_part_examined
    else:
        out.Laterality = ""  # 2C: the unknown body part may be one of a pair
    if scan.ctdi_vol_mgy is not None:
        out.CTDIvol = scan.ctdi_vol_mgy * (derivation.dose_fraction or 1.0)


def _add_grid(out: Dataset, volume: CTVolume) -> None:
    geometry, scale = volume.geometry, _scale(volume)
    out.Rows, out.Columns = geometry.rows, geometry.columns
    out.PixelSpacing = [format_number_as_ds(float(mm)) for mm in geometry.pixel_spacing_mm]
    directions = (*geometry.row_direction, *geometry.column_direction)
    out.ImageOrientationPatient = [format_number_as_ds(float(cosine)) for cosine in directions]
    out.SamplesPerPixel = 1
    out.PhotometricInterpretation = "MONOCHROME2"
    out.BitsAllocated, out.BitsStored, out.HighBit = 16, 16, 15
    out.PixelRepresentation = 1
    out.RescaleSlope, out.RescaleIntercept, out.RescaleType = "1", "0", "HU"
    out.WindowCenter, out.WindowWidth = "40", "400"
    out.BurnedInAnnotation = "NO"
    if scale.padding is not None:
        out.add_new("PixelPaddingValue", "SS", scale.padding[0])


def _scale(volume: CTVolume) -> StoredScale:
    return StoredScale(
        slope=1.0,
        intercept=0.0,
        bits_allocated=16,
        bits_stored=16,
        signed=True,
        padding=None if volume.padding is None else (PADDING_VALUE, PADDING_VALUE),
    )


def _add_place(out: Dataset, volume: CTVolume, index: int, derivation: Derivation) -> None:
    out.InstanceNumber = index + 1
    position = volume.geometry.positions_mm[index]
    out.ImagePositionPatient = [format_number_as_ds(float(mm)) for mm in position]
    offset = volume.acquisition.reconstruction_centre_offset_mm
    if offset is not None:
        out.add_new("DataCollectionCenterPatient", "FD", _isocentre(volume, index, offset))
    exposures = volume.acquisition.exposure_mas
    if index < len(exposures):
        out.Exposure = round(exposures[index] * (derivation.dose_fraction or 1.0))


def _isocentre(volume: CTVolume, index: int, offset: tuple[float, float]) -> list[float]:
    geometry = volume.geometry
    row = np.array(geometry.row_direction)
    column = np.array(geometry.column_direction)
    across = geometry.pixel_spacing_mm[1] * (geometry.columns - 1) / 2 + offset[0]
    down = geometry.pixel_spacing_mm[0] * (geometry.rows - 1) / 2 + offset[1]
    centre = geometry.positions_mm[index] + row * across + column * down
    return [float(mm) for mm in centre]
