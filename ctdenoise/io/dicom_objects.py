"""DICOM Segmentation and Parametric Map: multi-frame objects that lie over a source series.

Both refer to the images of the source, not to the denoised ones: labels are computed from the
source's pixels, and whoever has only the source can still show them. Viewers find the denoised
series by the frame of reference, which is the same.

highdicom builds them; whatever is random in its objects (times, dimension organization) is
replaced, so that the same work gives the same object.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.sr.codedict import codes
from pydicom.tag import Tag

from ctdenoise.config.dicom import DicomSettings
from ctdenoise.config.inference import SegmentSettings
from ctdenoise.core.arrays import BoolArray, LabelArray
from ctdenoise.core.scan import Scan
from ctdenoise.errors import MissingExtraError, StudyError
from ctdenoise.io.dicom_codes import code_item
from ctdenoise.io.dicom_copy import copied
from ctdenoise.io.dicom_derivation import (
    LONG_STRING,
    PRODUCT,
    Derivation,
    ascii_text,
    derivation_of,
    run_moment,
)
from ctdenoise.io.dicom_derived import set_moment, text_of
from ctdenoise.io.dicom_enhanced_file import write_native
from ctdenoise.io.dicom_file import quiet_pydicom, read_header
from ctdenoise.io.dicom_identity import series_uid, source_of
from ctdenoise.io.dicom_maps import NOISE_STEP_HU
from ctdenoise.io.dicom_planes import planes_of
from ctdenoise.io.dicom_segments import segment_codes
from ctdenoise.io.dicom_uids import IMPLEMENTATION_CLASS_UID, new_uid
from ctdenoise.io.slice_file import SliceFile

Slices = npt.NDArray[Any] | SliceFile
"""Something that gives slices [y, x] by their index."""

_STUDY = frozenset(
    Tag(keyword)
    for keyword in (
        "SpecificCharacterSet",
        "StudyDate",
        "StudyTime",
        "AccessionNumber",
        "ReferringPhysicianName",
        "StudyDescription",
        "PatientName",
        "PatientID",
        "IssuerOfPatientID",
        "OtherPatientIDs",
        "OtherPatientIDsSequence",
        "PatientIdentityRemoved",
        "DeidentificationMethod",
        "DeidentificationMethodCodeSequence",
        "LongitudinalTemporalInformationModified",
        "PatientBirthDate",
        "PatientSex",
        "PatientAge",
        "StudyInstanceUID",
        "StudyID",
        "TimezoneOffsetFromUTC",
    )
)
"""Patient and study: copied as the bytes they are, whatever their character set."""


def require_seg_extra() -> None:
    """Refuse, before anything is computed, objects that highdicom is needed for.

    Raises:
        MissingExtraError: If highdicom is not installed.
    """
    if find_spec("highdicom") is None:
        raise MissingExtraError(
            "DICOM segmentations and parametric maps need highdicom, which is not installed.",
            fix="Install it with: pip install 'ctdenoise[seg]'\n"
            "Or leave them out: --set objects.segmentation=none, and no --noise-map pm.",
        )


def check_objects(scan: Scan, *, over_all_slices: bool) -> None:
    """Refuse, before anything is computed, a series that these objects cannot lie over.

    Args:
        scan: What was read from DICOM.
        over_all_slices: Whether one object shall lie over all slices, which then need one frame
            of reference (C.7.6.17.2).

    Raises:
        StudyError: If every slice has a frame of reference of its own.
    """
    if not over_all_slices:
        return
    frames = {str(one.get("FrameOfReferenceUID")) for one in planes_of(scan).headers}
    if len(frames) > 1:
        raise StudyError(
            f"the slices have {len(frames)} frames of reference, and a segmentation or parametric "
            "map has one.",
            where=source_of(scan).instances[0].path.parent,
            fix="Use --set objects.segmentation=none and --noise-map ct, or --format nifti.",
        )


def write_segmentation(
    folder: Path,
    scan: Scan,
    labels: Slices,
    names: Sequence[str],
    *,
    segments: Mapping[str, SegmentSettings],
    series_number: int,
    settings: DicomSettings,
) -> None:
    """Write a DICOM Segmentation (PS3.3 A.51) of type BINARY over the source images.

    A class that nowhere occurs has its segment without frames. Memory holds a slice at a time:
    highdicom is given pictures of one pixel, which says whether a class is in a slice.

    Args:
        folder: A folder to make; the object is alone in it.
        scan: What was read from DICOM; its history ends with the labelling.
        labels: Classes, uint8 [z, y, x], 0 is background.
        names: Name of each class, background first.
        segments: What names mean that the standard does not know.
        series_number: Number of its series.
        settings: How the result is written; part of the identity.

    Raises:
        SettingsError: If `segments` names a type that the standard does not know.
        StudyError: If a source file changed or vanished since it was read.
    """
    import highdicom

    derivation = derivation_of(scan.history, settings)
    planes = planes_of(scan).as_single_pixels()
    present = _present(labels, len(names) - 1)
    algorithm = highdicom.AlgorithmIdentificationSequence(
        name=f"{PRODUCT} {derivation.software[-1]}"[:LONG_STRING],
        family=codes.CID7162.ArtificialIntelligence,
        version=derivation.software[0],
    )
    uid = str(series_uid(scan, settings))
    described = [
        _segment(number, name, segments, algorithm, uid) for number, name in enumerate(names[1:], 1)
    ]
    with quiet_pydicom():
        built = highdicom.seg.Segmentation(
            source_images=planes.headers,
            pixel_array=present,
            segmentation_type=highdicom.seg.SegmentationTypeValues.BINARY,
            segment_descriptions=described,
            omit_empty_frames=bool(present.any()),
            content_label="SEGMENTATION",
            **_identity(uid, series_number, derivation),
        )
        built.SegmentsOverlap = "NO"  # of the true pictures: a voxel has one class
        frames = planes.frames_of(built)
        planes.refer(built)
        out = _finished(built, scan, derivation, uid, "[segmentation]")
        masks = (labels[index] == number for index, number in frames)
        size = scan.shape[1] * scan.shape[2]
        _write(folder, out, _packed(masks), -(-len(frames) * size // 8))


def write_parametric_map(
    folder: Path,
    scan: Scan,
    stored: Slices,
    *,
    explanation: str,
    label: str,
    series_number: int,
    settings: DicomSettings,
) -> None:
    """Write a DICOM Parametric Map (PS3.3 A.75) of standard deviations over the source images.

    Memory holds a slice at a time.

    Args:
        folder: A folder to make; the object is alone in it.
        scan: What was read from DICOM; its history ends with the map.
        stored: The map in steps of NOISE_STEP_HU, uint16 [z, y, x].
        explanation: What it shows, in words.
        label: The end of its SeriesDescription.
        series_number: Number of its series.
        settings: How the result is written; part of the identity.

    Raises:
        StudyError: If a source file changed or vanished since it was read.
    """
    import highdicom

    derivation = derivation_of(scan.history, settings)
    planes = planes_of(scan).as_single_pixels()
    uid = new_uid("parametric map", series_uid(scan, settings))  # the map may be a CT series too
    mapping = highdicom.pm.RealWorldValueMapping(
        lut_label="NOISE_SD",
        lut_explanation=explanation[:LONG_STRING],
        unit=codes.UCUM.HounsfieldUnit,
        value_range=(0, 65535),
        slope=NOISE_STEP_HU,
        intercept=0,
        quantity_definition=codes.CID7180.XRayAttenuation,
    )
    derived = highdicom.sr.CodeContentItem(codes.DCM.Derivation, codes.SCT.StandardDeviation)
    mapping.QuantityDefinitionSequence.append(derived)  # CID 9000: the standard deviation of it
    with quiet_pydicom():
        built = highdicom.pm.ParametricMap(
            source_images=planes.headers,
            pixel_array=np.zeros((scan.shape[0], 1, 1), dtype=np.uint16),
            contains_recognizable_visual_features=False,
            real_world_value_mappings=[mapping],
            voi_lut_transformations=[
                highdicom.VOILUTTransformation(window_center=20, window_width=40)
            ],
            content_label="NOISE_SD",
            **_identity(uid, series_number, derivation),
        )
        built.Laterality = ""  # 2C: unpaired unless the body part says otherwise (C.7.3.1)
        frames = planes.frames_of(built)
        planes.refer(built)
        out = _finished(built, scan, derivation, uid, label)
        words = (stored[index].astype("<u2", copy=False).tobytes() for index, _ in frames)
        _write(folder, out, words, len(frames) * scan.shape[1] * scan.shape[2] * 2)


def _segment(
    number: int, name: str, segments: Mapping[str, SegmentSettings], algorithm: Any, uid: str
) -> Dataset:
    import highdicom

    meant = segment_codes(name, segments)
    colour = segments[name].colour if name in segments else None
    segment: Dataset = highdicom.seg.SegmentDescription(
        segment_number=number,
        segment_label=ascii_text(name)[:LONG_STRING],
        segmented_property_category=meant.category,
        segmented_property_type=meant.type,
        algorithm_type=highdicom.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=algorithm,
        tracking_uid=new_uid("segment", uid, str(number)),
        tracking_id=f"{PRODUCT} segment {number}",
        anatomic_regions=None if meant.region is None else [meant.region],
        display_color=(
            None if colour is None else highdicom.color.CIELabColor.from_string(colour.lower())
        ),
    )
    if meant.side is not None:  # CID 244, as a modifier of the type (C.8.20.4)
        item = segment.SegmentedPropertyTypeCodeSequence[0]
        item.SegmentedPropertyTypeModifierCodeSequence = DicomSequence([code_item(meant.side)])
    return segment


def _present(labels: Slices, classes: int) -> LabelArray:
    """Which classes are in each slice, [z, 1, 1, class], background left out."""
    present = np.zeros((len(labels), 1, 1, classes), dtype=np.uint8)
    for index in range(len(labels)):
        counts = np.bincount(labels[index].ravel(), minlength=classes + 1)
        present[index, 0, 0] = counts[1 : classes + 1] > 0
    return present


def _packed(masks: Iterable[BoolArray]) -> Iterator[bytes]:
    """Pictures of one bit a pixel, without gaps between them (PS3.5 8.1.1 and 8.2)."""
    left = np.empty(0, dtype=np.bool_)
    for mask in masks:
        bits = np.concatenate((left, mask.ravel()))
        whole = len(bits) // 8 * 8
        yield np.packbits(bits[:whole], bitorder="little").tobytes()
        left = bits[whole:]
    yield np.packbits(left, bitorder="little").tobytes()


def _write(folder: Path, header: Dataset, data: Iterable[bytes], length: int) -> None:
    """One object in a folder of its own."""
    folder.mkdir()
    write_native(folder / "00001.dcm", header, data, length=length)


def _identity(uid: str, series_number: int, derivation: Derivation) -> dict[str, Any]:
    return {
        "series_instance_uid": uid,
        "series_number": series_number,
        "sop_instance_uid": new_uid("object", uid),
        "instance_number": 1,
        "manufacturer": PRODUCT,
        "manufacturer_model_name": PRODUCT,
        "software_versions": derivation.software,
        "device_serial_number": str(IMPLEMENTATION_CLASS_UID),
    }


def _finished(built: Dataset, scan: Scan, derivation: Derivation, uid: str, label: str) -> Dataset:
    """The header of an object, without what differs from run to run, of the true size."""
    del built.PixelData
    built.Rows, built.Columns = scan.shape[1:]
    source = read_header(source_of(scan).instances[0].path).dataset  # its text not yet decoded
    out = copied(source, lambda tag: tag in _STUDY)
    description = text_of(source, "SeriesDescription")[: LONG_STRING - len(label) - 1].rstrip()
    built.SeriesDescription = f"{description} {label}".strip()
    moment = run_moment(text_of(source, "TimezoneOffsetFromUTC"))
    set_moment(built, moment)
    for item in built.get("ContributingEquipmentSequence", ()):  # highdicom itself
        item.ContributionDateTime = moment.strftime("%Y%m%d%H%M%S")
    built.ContentDescription = derivation.description[:LONG_STRING]
    organization = new_uid("dimensions", uid)
    for sequence in ("DimensionOrganizationSequence", "DimensionIndexSequence"):
        for item in built.get(sequence, ()):
            item.DimensionOrganizationUID = organization
    for element in built:
        if element.tag not in out:
            out[element.tag] = element
    return out
