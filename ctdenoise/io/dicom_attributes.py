"""Which attributes of the source a derived series keeps, replaces and drops, and why.

Attributes without a row, and not of a group named below, are kept as the bytes they are: they
describe the patient, the study and the acquisition, none of which changed. Numbers in brackets
are sections of PS3.3.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from pydicom.datadict import tag_for_keyword
from pydicom.tag import BaseTag, Tag


class Fate(Enum):
    """What becomes of an attribute of the source."""

    KEPT = auto()
    REPLACED = auto()
    REPLACED_IF_SIMULATED = auto()
    DROPPED = auto()
    DROPPED_IF_SIMULATED = auto()


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the table.

    Args:
        keyword: The attribute.
        fate: What becomes of it.
        reason: Why.
    """

    keyword: str
    fate: Fate
    reason: str


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _rules(fate: Fate, keywords: str, reason: str) -> tuple[Rule, ...]:
    return tuple(Rule(keyword, fate, reason) for keyword in _words(keywords))


RULES: tuple[Rule, ...] = (
    *_rules(
        Fate.KEPT,
        "PatientName PatientID PatientBirthDate PatientSex StudyInstanceUID StudyDate StudyTime "
        "StudyID AccessionNumber ReferringPhysicianName StudyDescription SpecificCharacterSet",
        "same patient, same study; text as the bytes it is, whatever its character set",
    ),
    *_rules(
        Fate.KEPT,
        "FrameOfReferenceUID PositionReferenceIndicator ImagePositionPatient "
        "ImageOrientationPatient PixelSpacing SliceThickness Rows Columns PatientPosition "
        "SpacingBetweenSlices SliceLocation InstanceNumber",
        "slice-preserving: every pixel is where it was",
    ),
    *_rules(
        Fate.KEPT,
        "AcquisitionNumber AcquisitionDate AcquisitionTime AcquisitionDateTime KVP "
        "ConvolutionKernel ScanOptions DataCollectionDiameter ReconstructionDiameter "
        "GantryDetectorTilt ExposureTime ContrastBolusAgent",
        "the acquisition is the same (C.8.2.1)",
    ),
    *_rules(
        Fate.KEPT,
        "RescaleSlope RescaleIntercept RescaleType BitsAllocated BitsStored HighBit "
        "PixelRepresentation PhotometricInterpretation SamplesPerPixel PixelPaddingValue "
        "PixelPaddingRangeLimit WindowCenter WindowWidth VOILUTFunction",
        "new pixels are stored on the scale of the old ones, slice by slice, so they display alike",
    ),
    *_rules(
        Fate.KEPT,
        "ReferencedImageSequence RequestAttributesSequence AcquisitionUID BurnedInAnnotation "
        "PatientIdentityRemoved DeidentificationMethod DeidentificationMethodCodeSequence",
        "still true of the new image; never invented",
    ),
    *_rules(
        Fate.KEPT,
        "CodingSchemeIdentificationSequence",
        "explains the codes that stay; our own scheme joins where its code is asked for (C.12.1)",
    ),
    *_rules(
        Fate.REPLACED,
        "SOPInstanceUID SeriesInstanceUID",
        "a derived image is a new instance in a new series (C.7.6.1.1.2, C.7.6.1.1.3)",
    ),
    *_rules(
        Fate.REPLACED,
        "ImageType",
        "DERIVED, since the pixels are computed from another image (C.7.6.1.1.2)",
    ),
    *_rules(
        Fate.REPLACED,
        "SeriesNumber SeriesDescription",
        "tells the reader apart what the viewer lists beside each other",
    ),
    *_rules(
        Fate.REPLACED,
        "SeriesDate SeriesTime ContentDate ContentTime InstanceCreationDate InstanceCreationTime",
        "one moment for the whole series: when it was derived",
    ),
    *_rules(
        Fate.REPLACED,
        "DerivationDescription DerivationCodeSequence",
        "says what was done; one code, since several would mean successive steps (C.7.6.1.1.3)",
    ),
    *_rules(
        Fate.REPLACED,
        "SourceImageSequence ReferencedSeriesSequence",
        "points at the direct source, slice by slice (C.7.6.1.1.4)",
    ),
    *_rules(
        Fate.REPLACED,
        "Manufacturer ManufacturerModelName SoftwareVersions ContributingEquipmentSequence",
        "the maker of this image is this program; the scanner is contributing equipment "
        "(C.12.1.1.5)",
    ),
    *_rules(Fate.REPLACED, "PixelData", "the new pixels"),
    *_rules(
        Fate.REPLACED,
        "LossyImageCompression LossyImageCompressionMethod LossyImageCompressionRatio",
        "once 01 it is never reset, and it is set where the source was stored with loss "
        "(C.7.6.1.1.5)",
    ),
    *_rules(
        Fate.REPLACED_IF_SIMULATED,
        "SyntheticData",
        "a simulated dose is no faithful representation of acquired data; YES is inherited by "
        "whatever is derived from it (C.12.1)",
    ),
    *_rules(
        Fate.REPLACED_IF_SIMULATED,
        "ImageComments",
        "must say SIMULATED wherever the image is shown",
    ),
    *_rules(
        Fate.REPLACED_IF_SIMULATED,
        "Exposure ExposureInuAs ExposureInmAs XRayTubeCurrent XRayTubeCurrentInuA "
        "XRayTubeCurrentInmA CTDIvol",
        "may reflect the technique that is simulated (C.12.1): scaled by the dose",
    ),
    *_rules(
        Fate.DROPPED_IF_SIMULATED,
        "IrradiationEventUID",
        "the scaled dose must never be counted as the dose of the patient's irradiation",
    ),
    *_rules(
        Fate.DROPPED,
        "SmallestImagePixelValue LargestImagePixelValue SmallestPixelValueInSeries "
        "LargestPixelValueInSeries",
        "not true of the new pixels",
    ),
    *_rules(Fate.DROPPED, "IconImageSequence", "a picture of the old pixels"),
    *_rules(
        Fate.DROPPED,
        "DigitalSignaturesSequence MACParametersSequence EncryptedAttributesSequence",
        "sign or encrypt the source instance, not this one",
    ),
    *_rules(
        Fate.DROPPED,
        "SOPInstanceStatus SOPAuthorizationDateTime SOPAuthorizationComment "
        "AuthorizationEquipmentCertificationNumber",
        "somebody authorised the source instance, not this one",
    ),
    *_rules(
        Fate.DROPPED,
        "ReferencedPerformedProcedureStepSequence PerformedProcedureStepID "
        "PerformedProcedureStepStartDate PerformedProcedureStepStartTime "
        "PerformedProcedureStepEndDate PerformedProcedureStepEndTime "
        "PerformedProcedureStepDescription PerformedProtocolCodeSequence "
        "CommentsOnThePerformedProcedureStep",
        "another step than the scan produced this series",
    ),
    *_rules(
        Fate.DROPPED,
        "StationName DeviceSerialNumber DeviceUID GantryID DateOfLastCalibration "
        "TimeOfLastCalibration SpatialResolution UDISequence",
        "belong to the scanner, which moves to the contributing equipment (C.12.1.1.5)",
    ),
    *_rules(
        Fate.DROPPED,
        "InstanceCreatorUID ConversionSourceAttributesSequence AlternateRepresentationSequence",
        "say how the source instance came about",
    ),
    *_rules(
        Fate.DROPPED,
        "RetrieveAETitle RetrieveURI InstanceAvailability QueryRetrieveLevel StorageMediaFileSetID "
        "StorageMediaFileSetUID",
        "answers of an archive about the source instance",
    ),
    *_rules(
        Fate.DROPPED,
        "PixelDataProviderURL FloatPixelData DoubleFloatPixelData ExtendedOffsetTable "
        "ExtendedOffsetTableLengths DataSetTrailingPadding",
        "carry or index the old pixels",
    ),
)
"""The table. Private groups, curves (50xx) and overlays inside the pixel words go as well."""

TYPE_1 = _words(
    "SOPClassUID SOPInstanceUID StudyInstanceUID SeriesInstanceUID FrameOfReferenceUID Modality "
    "ImagePositionPatient ImageOrientationPatient PixelSpacing RescaleSlope RescaleIntercept "
    "SamplesPerPixel PhotometricInterpretation Rows Columns BitsAllocated BitsStored HighBit "
    "PixelRepresentation"
)
"""What the CT Image IOD requires with a value; nobody may invent it, so its lack is a refusal."""

TYPE_2 = _words(
    "PatientName PatientID PatientBirthDate PatientSex StudyDate StudyTime AccessionNumber "
    "ReferringPhysicianName StudyID SeriesNumber PatientPosition PositionReferenceIndicator "
    "Manufacturer InstanceNumber SliceThickness KVP AcquisitionNumber"
)
"""What the CT Image IOD requires but allows to be empty; added empty where it is missing."""

EQUIPMENT = _words(
    "Manufacturer InstitutionName InstitutionAddress StationName InstitutionalDepartmentName "
    "ManufacturerModelName DeviceSerialNumber SoftwareVersions DateOfLastCalibration "
    "TimeOfLastCalibration DeviceUID UDISequence SpatialResolution"
)
"""General Equipment of the source that an item of ContributingEquipmentSequence repeats."""

_DROPPED_TAGS = {
    fate: frozenset(Tag(tag_for_keyword(rule.keyword) or 0) for rule in RULES if rule.fate is fate)
    for fate in (Fate.DROPPED, Fate.DROPPED_IF_SIMULATED)
}


def is_dropped(tag: BaseTag, *, is_simulated: bool) -> bool:
    """Whether a standard element never goes into a derived series, whatever its value.

    Args:
        tag: Its tag.
        is_simulated: Whether the dose of the derived series is simulated.
    """
    if tag.group in (0x0002, 0xFFFA, 0xFFFC) or 0x5000 <= tag.group <= 0x50FF:
        return True
    if tag in _DROPPED_TAGS[Fate.DROPPED]:
        return True
    return is_simulated and tag in _DROPPED_TAGS[Fate.DROPPED_IF_SIMULATED]
