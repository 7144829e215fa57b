"""A new CT series for a volume without DICOM source: a phantom, or an image read from NIfTI."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import datetime

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import CTImageStorage
from pydicom.valuerep import format_number_as_ds

from ctdenoise.config.dicom import DicomSettings
from ctdenoise.core.arrays import BoolArray, HuArray
from ctdenoise.core.provenance import digest
from ctdenoise.core.scan import Scan
from ctdenoise.core.volume import CTVolume
from ctdenoise.errors import InputError, listed
from ctdenoise.io.checksum import sha256_of
from ctdenoise.io.dicom_derivation import (
    LONG_STRING,
    Derivation,
    ascii_text,
    derivation_of,
    run_moment,
)
from ctdenoise.io.dicom_derived import (
    set_derivation,
    set_moment,
    set_own_equipment,
    synthesizing_equipment,
)
from ctdenoise.io.dicom_encoding import encoded
from ctdenoise.io.dicom_identity import SERIES_NUMBER_STEP
from ctdenoise.io.dicom_stored import StoredScale, stored_from_hu
from ctdenoise.io.dicom_uids import new_uid
from ctdenoise.io.image_files import image_parts

PADDING_VALUE = -2048
"""Stored value of padding in a new series."""

_MOST_ALONG = 65535  # Rows and Columns are US
_MOST_SLICES = 99999  # five digits of the file name
_SHORT_STRING = 16  # most characters of a value of VR SH
_CODE_STRING = re.compile(r"[A-Z0-9 _]{1,16}")
_PATIENT_POSITIONS = frozenset(("HFP", "HFS", "HFDR", "HFDL", "FFDR", "FFDL", "FFP", "FFS"))


def check_new_series(scan: Scan) -> None:
    """Refuse, before anything is computed, a grid that no CT series can hold.

    Args:
        scan: Any volume, or an open series.

    Raises:
        InputError: With every reason.
    """
    slices, rows, columns = scan.shape
    problems = []
    if max(rows, columns) > _MOST_ALONG:
        problems.append(f"{rows} x {columns} pixels are more than a DICOM image can have")
    if slices > _MOST_SLICES:
        problems.append(f"{slices} slices are more than a series of numbered files can have")
    if problems:
        raise InputError(f"no CT series can hold this volume:\n{listed(problems)}")


class NewSeriesWriter:
    """Writes a CT series from scratch, slice after slice.

    A phantom and what was simulated from it belong to one study of one invented patient; so do an
    image from NIfTI and what was made of it, whose patient is left empty. Stored values are
    Hounsfield units.

    Args:
        scan: What the series will hold.
        series_number: Number of the series; by default 1 for a phantom as built, and
            SERIES_NUMBER_STEP more for everything that was computed from another image.
        settings: How to write it; the defaults if None.
        content: Tells apart volumes whose source and history do not; see `content_key`.
        has_padding: Whether any slice has padding.
        posix_s: When the run began, in seconds since 1970; now by default.
    """

    def __init__(
        self,
        scan: Scan,
        *,
        series_number: int | None = None,
        settings: DicomSettings | None = None,
        content: str = "",
        has_padding: bool = False,
        posix_s: int | None = None,
    ) -> None:
        self._scan = scan
        self._settings = settings or DicomSettings()
        self._derivation = derivation_of(scan.history, self._settings)
        study = _study_key(scan)
        self._series = digest([study, self._derivation.key, content], length=32)
        shared = self._shared = Dataset()
        _add_study(shared, scan, study)
        moment = run_moment(posix_s=posix_s)
        _add_series(shared, scan, self._derivation, moment, self._settings.image_type)
        shared.SeriesInstanceUID = new_uid("new series", self._series)
        if series_number is not None:
            shared.SeriesNumber = series_number
        _add_scan(shared, scan, self._derivation)
        self._scale = _scale(has_padding=has_padding)
        _add_grid(shared, scan, self._scale)

    def encoded(self, index: int, hu: HuArray, padding: BoolArray | None) -> bytes:
        """The bytes of one instance.

        Args:
            index: Its slice.
            hu: Hounsfield units [y, x].
            padding: Which pixels are padding, bool [y, x]; None for none.
        """
        instance = Dataset()
        instance.update(self._shared)
        instance.SOPInstanceUID = new_uid("new instance", self._series, str(index))
        _add_place(instance, self._scan, index, self._derivation)
        words = stored_from_hu(hu, self._scale, padding=padding)
        return encoded(instance, [words], self._settings.transfer_syntax)


def content_key(volume: CTVolume) -> str:
    """A digest of the voxels of a volume that nothing else tells from another one.

    Phantoms are told apart by their history, and what was read from a file by that file and what
    was done since; so both can be written before all of their voxels are known.

    Args:
        volume: Any volume.
    """
    if _is_phantom(volume) or _content_of_source(volume):
        return ""
    return hashlib.sha256(np.ascontiguousarray(volume.hu).tobytes()).hexdigest()


def _is_phantom(scan: Scan) -> bool:
    return bool(scan.history) and scan.history[0].name == "phantom"


def _imitates_a_scanner(scan: Scan) -> bool:
    """Whether a phantom was asked to state a maker's facts (and to say that it imitates them)."""
    settings = scan.history[0].params.get("settings")
    return isinstance(settings, Mapping) and "scanner" in settings


def _study_key(scan: Scan) -> str:
    """Equal for a volume and everything computed from it."""
    geometry = scan.geometry
    grid = [*geometry.shape, *geometry.pixel_spacing_mm, *geometry.positions_mm.ravel().tolist()]
    origin = scan.history[0].as_json() if _is_phantom(scan) else _content_of_source(scan)
    return digest([origin, grid], length=32)


def _content_of_source(scan: Scan) -> str:
    if scan.source is None or not scan.source.instances:
        return ""
    path = scan.source.instances[0].path
    if not path.is_file():
        return ""
    parts = (path,) if scan.source.kind == "dicom" else image_parts(path)
    return "".join(sha256_of(part) for part in parts)


def _add_study(out: Dataset, scan: Scan, study: str) -> None:
    """Patient, study and frame of reference: the same whenever the study is written again."""
    out.PatientName = out.PatientID = out.PatientBirthDate = out.PatientSex = ""
    out.StudyDescription = "Converted image"
    if _is_phantom(scan):
        name = re.sub(r"[^A-Z0-9]+", "", str(scan.history[0].params.get("name", "")).upper())
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


def _add_series(
    out: Dataset, scan: Scan, derivation: Derivation, moment: datetime, value_2: str
) -> None:
    is_first = _is_phantom(scan) and len(scan.history) == 1
    out.SOPClassUID = CTImageStorage
    out.Modality = "CT"
    out.SeriesNumber = 1 if is_first else 1 + SERIES_NUMBER_STEP
    description = f"Phantom {scan.history[0].params.get('name', '')}" if _is_phantom(scan) else ""
    if is_first:
        out.SeriesDescription = ascii_text(description)[:LONG_STRING].strip()
        out.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    else:
        out.SeriesDescription = derivation.series_description(ascii_text(description))
        out.ImageType = ["DERIVED", value_2, "AXIAL"]
    set_derivation(out, derivation)
    set_moment(out, moment)
    set_own_equipment(out, derivation.software)
    if is_first and _imitates_a_scanner(scan):
        out.Manufacturer = ascii_text(scan.acquisition.manufacturer or "")[:LONG_STRING]
        out.ManufacturerModelName = ascii_text(scan.acquisition.manufacturer_model_name or "")
    if derivation.is_synthetic:
        out.SyntheticData = "YES"
        item = synthesizing_equipment(derivation, moment)
        out.ContributingEquipmentSequence = DicomSequence([item])
        warning = derivation.warning or "COMPUTED PHANTOM RESEARCH USE ONLY"
        out.ImageComments = warning


def _add_scan(out: Dataset, scan: Scan, derivation: Derivation) -> None:
    facts = scan.acquisition
    position = facts.patient_position or "HFS"
    out.PatientPosition = position if position in _PATIENT_POSITIONS else ""
    out.AcquisitionNumber = 1
    for keyword, value in (
        ("KVP", facts.kvp),
        ("SliceThickness", facts.slice_thickness_mm or scan.geometry.slice_spacing_mm),
    ):  # type 2: empty where unknown
        setattr(out, keyword, None if value is None else format_number_as_ds(float(value)))
    for keyword, value in (
        ("DistanceSourceToPatient", facts.distance_source_to_patient_mm),
        ("DistanceSourceToDetector", facts.distance_source_to_detector_mm),
        ("ReconstructionDiameter", facts.reconstruction_diameter_mm),
    ):
        if value is not None:
            setattr(out, keyword, format_number_as_ds(float(value)))
    if facts.convolution_kernel:
        names = ascii_text(facts.convolution_kernel).split("/")
        out.ConvolutionKernel = [name[:_SHORT_STRING] for name in names]
    if facts.filter_type:
        out.FilterType = ascii_text(facts.filter_type)[:_SHORT_STRING].strip()
    part = facts.body_part_examined
    if part and _CODE_STRING.fullmatch(part):
        out.BodyPartExamined = part
    if part == "PHANTOM" or "BodyPartExamined" not in out:
        out.Laterality = ""  # 2C: the unknown body part may be one of a pair
    if facts.ctdi_vol_mgy is not None:
        out.CTDIvol = facts.ctdi_vol_mgy * (derivation.dose_fraction or 1.0)


def _add_grid(out: Dataset, scan: Scan, scale: StoredScale) -> None:
    geometry = scan.geometry
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


def _scale(*, has_padding: bool) -> StoredScale:
    return StoredScale(
        slope=1.0,
        intercept=0.0,
        bits_allocated=16,
        bits_stored=16,
        signed=True,
        padding=(PADDING_VALUE, PADDING_VALUE) if has_padding else None,
    )


def _add_place(out: Dataset, scan: Scan, index: int, derivation: Derivation) -> None:
    out.InstanceNumber = index + 1
    position = scan.geometry.positions_mm[index]
    out.ImagePositionPatient = [format_number_as_ds(float(mm)) for mm in position]
    offset = scan.acquisition.reconstruction_centre_offset_mm
    if offset is not None:
        out.add_new("DataCollectionCenterPatient", "FD", _isocentre(scan, index, offset))
    exposures = scan.acquisition.exposure_mas
    if index < len(exposures):
        out.Exposure = round(exposures[index] * (derivation.dose_fraction or 1.0))


def _isocentre(scan: Scan, index: int, offset: tuple[float, float]) -> list[float]:
    geometry = scan.geometry
    row = np.array(geometry.row_direction)
    column = np.array(geometry.column_direction)
    across = geometry.pixel_spacing_mm[1] * (geometry.columns - 1) / 2 + offset[0]
    down = geometry.pixel_spacing_mm[0] * (geometry.rows - 1) / 2 + offset[1]
    centre = geometry.positions_mm[index] + row * across + column * down
    return [float(mm) for mm in centre]
