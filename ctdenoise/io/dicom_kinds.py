"""What kinds of DICOM instances there are, in words; only CT can hold Hounsfield units."""

from __future__ import annotations

from collections.abc import Sequence

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2.1"
LEGACY_ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2.2"
DICOMDIR = "1.2.840.10008.1.3.10"
CT_CLASSES = frozenset((CT_IMAGE, ENHANCED_CT, LEGACY_ENHANCED_CT))

_WHAT_BY_CLASS = {
    "1.2.840.10008.5.1.4.1.1.66.4": "segmentation",
    "1.2.840.10008.5.1.4.1.1.66.7": "segmentation",
    "1.2.840.10008.5.1.4.1.1.88.67": "dose report",
    "1.2.840.10008.5.1.4.1.1.88.59": "key object selection",
    "1.2.840.10008.5.1.4.1.1.481.3": "RT structure set",
    "1.2.840.10008.5.1.4.1.1.481.2": "RT dose",
    "1.2.840.10008.5.1.4.1.1.481.5": "RT plan",
    "1.2.840.10008.5.1.4.1.1.30": "parametric map",
    "1.2.840.10008.5.1.4.1.1.66": "raw data",
    "1.2.840.10008.5.1.4.1.1.104.1": "PDF",
    DICOMDIR: "DICOMDIR",
}
_WHAT_BY_PREFIX = {
    "1.2.840.10008.5.1.4.1.1.88.": "structured report",
    "1.2.840.10008.5.1.4.1.1.11.": "presentation state",
    "1.2.840.10008.5.1.4.1.1.7": "secondary capture",
}


def what_it_is(sop_class: str, modality: str, image_type: Sequence[str]) -> str:
    """A word for an instance: "CT" only for what can hold Hounsfield units.

    Args:
        sop_class: SOPClassUID.
        modality: Modality, upper case.
        image_type: Values of ImageType, upper case.
    """
    words = {part.strip() for part in image_type}
    if "LOCALIZER" in words:
        return "scout"
    if sop_class in _WHAT_BY_CLASS:
        return _WHAT_BY_CLASS[sop_class]
    if sop_class.startswith("1.2.840.10008.5.1.4.1.1.7") and any("DOSE" in word for word in words):
        return "dose report"
    for prefix, what in _WHAT_BY_PREFIX.items():
        if sop_class.startswith(prefix):
            return what
    if sop_class in CT_CLASSES or (not sop_class and modality == "CT"):
        return "CT"
    return f"{modality} object" if modality else "unknown DICOM object"
