"""What a derived multi-frame object does otherwise than a derived slice, and why.

The table of `dicom_attributes` holds for the top of a multi-frame header and inside its functional
groups; these rows come before it. Numbers in brackets are sections of PS3.3.
"""

from __future__ import annotations

from pydicom.datadict import tag_for_keyword
from pydicom.tag import BaseTag, Tag

from ctdenoise.io.dicom_attributes import Fate, Rule

MULTI_FRAME_RULES: tuple[Rule, ...] = tuple(
    Rule(keyword, fate, reason)
    for fate, keywords, reason in (
        (
            Fate.KEPT,
            (
                "SharedFunctionalGroupsSequence PixelMeasuresSequence PlanePositionSequence "
                "PlaneOrientationSequence PixelValueTransformationSequence FrameVOILUTSequence "
                "FrameContentSequence FrameAnatomySequence CTAcquisitionTypeSequence "
                "CTAcquisitionDetailsSequence CTTableDynamicsSequence CTPositionSequence "
                "CTGeometrySequence CTReconstructionSequence CTXRayDetailsSequence"
            ),
            (
                "each frame lies, is scaled and was acquired as its source frame; what was shared "
                "by all frames still is"
            ),
        ),
        (
            Fate.REPLACED,
            "PerFrameFunctionalGroupsSequence NumberOfFrames",
            "the frames of the stack that was read, in its order",
        ),
        (
            Fate.REPLACED,
            "ImageType FrameType",
            "DERIVED, but value 2 must stay PRIMARY (C.8.16.1.2); value 4 says how (C.8.16.1.4)",
        ),
        (
            Fate.REPLACED,
            "DerivationImageSequence SourceImageEvidenceSequence",
            (
                "each frame names its source frame and what was done (C.7.6.16.2.6); the object "
                "sums up which objects are named (C.8.15.2)"
            ),
        ),
        (
            Fate.REPLACED,
            "DimensionIndexValues DimensionOrganizationUID",
            (
                "indices count from 1 without a gap (C.7.6.17); where frames were left out, they "
                "are counted anew in an organisation of their own"
            ),
        ),
        (
            Fate.REPLACED,
            "DeviceSerialNumber",
            "this program has none, but Enhanced General Equipment demands a value (C.7.5.2)",
        ),
        (
            Fate.REPLACED,
            "ContentQualification",
            "RESEARCH: made with software that is no approved product (C.8.13.2.1.1)",
        ),
        (
            Fate.REPLACED_IF_SIMULATED,
            "IrradiationEventUID",
            (
                "demanded by the functional groups, and the scaled dose must never be counted as "
                "the dose of the patient's irradiation"
            ),
        ),
        (
            Fate.DROPPED,
            "DerivationDescription DerivationCodeSequence SourceImageSequence",
            "multi-frame objects say this frame by frame",
        ),
        (
            Fate.DROPPED,
            (
                "ConcatenationUID InConcatenationNumber InConcatenationTotalNumber "
                "ConcatenationFrameOffsetNumber SOPInstanceUIDOfConcatenationSource"
            ),
            "each derived object is whole by itself (C.7.6.16.2.2.4)",
        ),
        (
            Fate.DROPPED,
            (
                "RepresentativeFrameNumber FrameExtractionSequence "
                "EncapsulatedPixelDataValueTotalLength"
            ),
            "number the old frames, or measure their bytes",
        ),
    )
    for keyword in keywords.split()
)
"""The rows. An attribute that no rule names is kept as the bytes it is."""

MULTI_FRAME_TYPE_1 = (
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "FrameOfReferenceUID",
    "Modality",
    "InstanceNumber",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
)
"""What the multi-frame IODs require with a value at the top; its lack is a refusal."""

_DROPPED = frozenset(
    Tag(tag_for_keyword(rule.keyword) or 0)
    for rule in MULTI_FRAME_RULES
    if rule.fate is Fate.DROPPED
)


def is_dropped_from_multi_frame(tag: BaseTag) -> bool:
    """Whether the top of a derived multi-frame object never has an element.

    Args:
        tag: Its tag.
    """
    return tag in _DROPPED
