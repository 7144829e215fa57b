"""Legal multi-frame CT objects for tests, and what is derived from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.sr.coding import Code
from pydicom.tag import Tag
from pydicom.uid import (
    EnhancedCTImageStorage,
    ExplicitVRLittleEndian,
    LegacyConvertedEnhancedCTImageStorage,
)

from ctdenoise.core.provenance import Step
from ctdenoise.core.volume import CTVolume
from ctdenoise.io.dicom_codes import code_item
from ctdenoise.io.read import read_volume
from ctdenoise.io.write import write_series
from tests.dicom.builders import as_bytes, ct_series, marked_volume, uid
from tests.dicom.deriving import DENOISE

ENHANCED, LEGACY = EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage

_TOP = (
    *("StudyDate", "StudyTime", "SeriesDate", "SeriesTime", "ContentDate", "ContentTime"),
    *("AccessionNumber", "Modality", "Manufacturer", "ReferringPhysicianName"),
    *("StudyDescription", "SeriesDescription", "ManufacturerModelName", "PatientName"),
    *("PatientID", "PatientBirthDate", "PatientSex", "PatientPosition", "StudyInstanceUID"),
    *("SeriesInstanceUID", "StudyID", "SeriesNumber", "InstanceNumber"),
    *("FrameOfReferenceUID", "PositionReferenceIndicator", "SamplesPerPixel"),
    *("PhotometricInterpretation", "Rows", "Columns", "BitsAllocated", "BitsStored"),
    *("HighBit", "PixelRepresentation", "PixelPaddingValue"),
)
"""What an object has of the header of its first slice."""


@dataclass(frozen=True)
class Stored:
    """How the frames of an object are stored; see `ct_series`.

    Args:
        slope, intercept: Rescale, one for all frames or one each.
        signed: Two's complement numbers.
        padding_value: Stored value of padding.
    """

    slope: float | Sequence[float] = 1.0
    intercept: float = -1024.0
    signed: bool = False
    padding_value: int | None = None


def multi_frame_ct(
    volume: CTVolume,
    *,
    sop_class: str = ENHANCED,
    name: str = "multi-frame",
    order: Sequence[int] | None = None,
    stored: Stored | None = None,
    stacks: Sequence[int] | None = None,
    edit: Callable[[Dataset], None] | None = None,
) -> Dataset:
    """One Enhanced or Legacy Converted Enhanced CT object without an error by dciodvfy.

    Args:
        volume: What to write.
        sop_class: Which of the two.
        name: Decides its SOPInstanceUID.
        order: Slice of each frame; ascending by default.
        stored: How.
        stacks: Stack of each slice, counted from 1; all in the first by default.
        edit: Called with the finished object, to change it.
    """
    stored = stored or Stored()
    singles = ct_series(
        volume,
        slope=stored.slope,
        intercept=stored.intercept,
        signed=stored.signed,
        padding_value=stored.padding_value,
    )
    order = list(range(volume.shape[0]) if order is None else order)
    stacks = [1] * volume.shape[0] if stacks is None else stacks
    out = Dataset()
    for keyword in _TOP:
        if keyword in singles[0]:
            out[keyword] = singles[0][keyword]
    out.SOPClassUID, out.SOPInstanceUID = sop_class, uid("multi-frame", name)
    out.DeviceSerialNumber, out.SoftwareVersions = "SN-77", "v1"
    out.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    _describe(out)
    out.AcquisitionNumber = 1
    out.AcquisitionDateTime, out.AcquisitionDuration = "20240102101212", 4.0
    out.ContentQualification = "PRODUCT"
    out.BurnedInAnnotation, out.LossyImageCompression = "NO", "00"
    out.PresentationLUTShape = "IDENTITY"
    out.AcquisitionContextSequence = DicomSequence([])
    _add_dimensions(out)
    out.NumberOfFrames = len(order)
    out.PixelData = b"".join(singles[index].PixelData for index in order)
    out.SharedFunctionalGroupsSequence = DicomSequence([_shared(singles[0])])
    out.PerFrameFunctionalGroupsSequence = DicomSequence(
        [_frame(singles[index], stacks[index], _within(stacks, index)) for index in order]
    )
    if sop_class == LEGACY:
        _convert(out, singles, order)
    if edit is not None:
        edit(out)
    return out


def _within(stacks: Sequence[int], index: int) -> int:
    return list(stacks[:index]).count(stacks[index]) + 1


def _describe(dataset: Dataset) -> None:
    dataset.PixelPresentation, dataset.VolumetricProperties = "MONOCHROME", "VOLUME"
    dataset.VolumeBasedCalculationTechnique = "NONE"


def _add_dimensions(out: Dataset) -> None:
    organization = Dataset()
    organization.DimensionOrganizationUID = uid("dimensions")
    out.DimensionOrganizationSequence = DicomSequence([organization])
    dimensions = []
    for keyword in ("StackID", "InStackPositionNumber"):
        dimension = Dataset()
        dimension.DimensionOrganizationUID = uid("dimensions")
        dimension.DimensionIndexPointer = Tag(keyword)
        dimension.FunctionalGroupPointer = Tag("FrameContentSequence")
        dimensions.append(dimension)
    out.DimensionIndexSequence = DicomSequence(dimensions)


def _item(**values: object) -> DicomSequence:
    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return DicomSequence([item])


def _shared(one: Dataset) -> Dataset:
    groups = Dataset()
    groups.PixelMeasuresSequence = _item(
        PixelSpacing=one.PixelSpacing, SliceThickness=one.SliceThickness
    )
    groups.PlaneOrientationSequence = _item(ImageOrientationPatient=one.ImageOrientationPatient)
    groups.FrameAnatomySequence = _item(
        FrameLaterality="U",
        AnatomicRegionSequence=DicomSequence([code_item(Code("43799004", "SCT", "Chest"))]),
    )
    groups.FrameVOILUTSequence = _item(WindowCenter="40", WindowWidth="400")
    groups.IrradiationEventIdentificationSequence = _item(IrradiationEventUID=uid("event"))
    groups.CTImageFrameTypeSequence = _item(FrameType=["ORIGINAL", "PRIMARY", "VOLUME", "NONE"])
    _describe(groups.CTImageFrameTypeSequence[0])
    groups.CTAcquisitionTypeSequence = _item(
        AcquisitionType="SEQUENCED", ConstantVolumeFlag="NO", FluoroscopyFlag="NO"
    )
    groups.CTAcquisitionDetailsSequence = _item(
        RotationDirection="CW",
        RevolutionTime=0.5,
        SingleCollimationWidth=0.625,
        TotalCollimationWidth=40.0,
        TableHeight=150.0,
        GantryDetectorTilt="0",
        DataCollectionDiameter="500",
    )
    groups.CTTableDynamicsSequence = DicomSequence([Dataset()])
    groups.CTGeometrySequence = _item(
        DistanceSourceToDetector=1040.0, DistanceSourceToDataCollectionCenter=570.0
    )
    groups.CTReconstructionSequence = _item(
        ReconstructionAlgorithm="FILTER_BACK_PROJ",
        ConvolutionKernel="STANDARD",
        ConvolutionKernelGroup="BODY",
        ReconstructionDiameter="360",
        ReconstructionPixelSpacing=[0.8, 0.7],
        ReconstructionAngle=360.0,
        ImageFilter="NONE",
    )
    groups.CTXRayDetailsSequence = _item(
        KVP="120", FocalSpots="1.2", FilterType="FLAT", FilterMaterial="ALUMINUM"
    )
    return groups


def _frame(one: Dataset, stack: int, within: int) -> Dataset:
    groups = Dataset()
    groups.FrameContentSequence = _item(
        FrameAcquisitionNumber=1,
        FrameReferenceDateTime="20240102101212",
        FrameAcquisitionDateTime="20240102101212",
        FrameAcquisitionDuration=500.0,
        StackID=str(stack),
        InStackPositionNumber=within,
        DimensionIndexValues=[stack, within],
    )
    groups.PlanePositionSequence = _item(ImagePositionPatient=one.ImagePositionPatient)
    groups.PixelValueTransformationSequence = _item(
        RescaleSlope=one.RescaleSlope, RescaleIntercept=one.RescaleIntercept, RescaleType="HU"
    )
    centre = [float(value) for value in one.ImagePositionPatient]
    groups.CTPositionSequence = _item(
        TablePosition=0.0,
        DataCollectionCenterPatient=centre,
        ReconstructionTargetCenterPatient=centre,
    )
    groups.CTExposureSequence = _item(
        ExposureTimeInms=500.0,
        XRayTubeCurrentInmA=200.0,
        ExposureInmAs=float(one.get("Exposure", 100)),
        ExposureModulationType="NONE",
        CTDIvol=8.0,
        CTDIPhantomTypeCodeSequence=DicomSequence(
            [code_item(Code("113691", "DCM", "IEC Body Dosimetry Phantom"))]
        ),
    )
    return groups


def _convert(out: Dataset, singles: Sequence[Dataset], order: Sequence[int]) -> None:
    """Leave what a conversion from single slices can know, and say where each frame is from."""
    for keyword in ("AcquisitionDateTime", "AcquisitionDuration", "ContentQualification"):
        delattr(out, keyword)
    acquired = [
        f"CT{name}Sequence"
        for name in (
            *("AcquisitionType", "AcquisitionDetails", "TableDynamics", "Geometry"),
            *("Reconstruction", "XRayDetails", "Position", "Exposure"),
        )
    ]
    for groups in (*out.SharedFunctionalGroupsSequence, *out.PerFrameFunctionalGroupsSequence):
        for keyword in acquired:
            groups.pop(keyword, None)
    out.SharedFunctionalGroupsSequence[0].UnassignedSharedConvertedAttributesSequence = _item(
        KVP="120", ConvolutionKernel="STANDARD"
    )
    for groups, index in zip(out.PerFrameFunctionalGroupsSequence, order, strict=True):
        groups.UnassignedPerFrameConvertedAttributesSequence = _item(
            Exposure=singles[index].get("Exposure", "100"), SmallestImagePixelValue=0
        )
        groups.UnassignedPerFrameConvertedAttributesSequence[0]["SmallestImagePixelValue"].VR = "US"
        groups.ConversionSourceAttributesSequence = _item(
            ReferencedSOPClassUID=singles[index].SOPClassUID,
            ReferencedSOPInstanceUID=singles[index].SOPInstanceUID,
        )


def object_file(
    folder: Path, dataset: Dataset, name: str = "frames", syntax: str = ExplicitVRLittleEndian
) -> Path:
    """Write an object into a folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_bytes(as_bytes(dataset, syntax))
    return path


def derive_object(
    tmp_path: Path,
    dataset: Dataset,
    step: Step = DENOISE,
    *,
    syntax: str = ExplicitVRLittleEndian,
    **options: object,
) -> tuple[Dataset, Dataset]:
    """A source object and what is derived from it without changing a pixel, both from disk."""
    path = object_file(tmp_path / "source", dataset, syntax=syntax)
    volume = read_volume(path)
    (derived,) = write_series(volume.with_step(step), tmp_path / "derived", **options)
    return pydicom.dcmread(path), pydicom.dcmread(derived)


def small_volume(slices: int = 4, *, padded: bool = False) -> CTVolume:
    """A marked volume of which some columns may be padding."""
    volume = marked_volume(slices=slices, size=(32, 40))
    if not padded:
        return volume
    padding = np.zeros(volume.shape, dtype=bool)
    padding[:, :, :3] = True
    return CTVolume(volume.hu, volume.geometry, volume.acquisition, padding=padding)
