"""What kinds of DICOM instances there are, in words; only CT can hold Hounsfield units."""

from __future__ import annotations

import re
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
    return f"{modality} object" if modality in _CODES else "unknown DICOM object"


_MODALITIES = (  # PS3.16 CID 29, 32 and 33
    *("AR", "AU", "BI", "BMD", "CR", "CT", "DG", "DOC", "DX", "ECG", "ES", "FID", "IO", "IVOCT"),
    *("IVUS", "KER", "KO", "LEN", "LS", "MG", "MR", "NM", "OAM", "OCT", "OP", "OPM", "OPT", "OPV"),
    *("OT", "PLAN", "PR", "PT", "PX", "REG", "RF", "RG", "RTDOSE", "RTIMAGE", "RTPLAN", "RTSTRUCT"),
    *("RTRECORD", "RWV", "SEG", "SM", "SMR", "SR", "SRF", "STAIN", "TG", "US", "VA", "XA", "XC"),
)
_RESCALE_TYPES = ("HU", "OD", "US", "MGML", "Z_EFF", "ED", "EDW", "HU_MOD", "PCT")  # C.11.1.1.2
_INTERPRETATIONS = (
    *("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR", "RGB", "HSV", "ARGB", "CMYK"),
    *("YBR_FULL", "YBR_FULL_422", "YBR_RCT", "YBR_ICT"),
)
_CODES = frozenset((*_MODALITIES, *_RESCALE_TYPES, *_INTERPRETATIONS))


def shown_code(value: str) -> str:
    """A code as a message may show it: one that the standard knows.

    A damaged header may have anything in its place, even the name of the patient.

    Args:
        value: What the header says, upper case; not empty.
    """
    return value if value in _CODES else "unknown"


def shown_syntax(value: str) -> str:
    """A transfer syntax UID as a message may show it; see `shown_code`.

    Args:
        value: What the header says.
    """
    return value if re.fullmatch(r"1\.2\.840\.10008(\.[0-9]{1,3}){2,6}", value) else "(unknown)"
