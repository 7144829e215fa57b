"""What a derived series must keep to, rule by rule, and how much each matters.

The rules are stated here from the standard (numbers in brackets are sections of PS3.3 unless they
name another part) and from what this program promises. They share nothing with the table by which
series are written, so that a mistake there does not hide itself here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that must hold.

    Args:
        ours: How much it matters in what this program wrote.
        others: How much it matters in what another program wrote; None where the standard leaves
            it open, so that it is a promise of this program only.
        text: What is wrong where it does not hold.
        section: Where the standard says so; empty where it is our promise.
    """

    ours: Severity
    others: Severity | None
    text: str
    section: str = ""


def _both(text: str, section: str) -> Rule:
    return Rule("error", "error", text, section)


def _hint(text: str, section: str = "") -> Rule:
    """An error in ours; in others' worth a look."""
    return Rule("error", "warning", text, section)


def _promise(text: str, section: str = "") -> Rule:
    """An error in ours; nothing that others promised."""
    return Rule("error", None, text, section)


RULES: dict[str, Rule] = {
    # The file
    "unreadable": _both("the file cannot be read as DICOM", "PS3.10 7.1"),
    "preamble": _promise("the preamble holds bytes, which could make it another kind of file"),
    "file-meta": _both(
        "the file meta information is missing or names another instance or class", "PS3.10 7.1"
    ),
    "uid-form": _both("a UID is not made like one", "PS3.5 9.1"),
    "value-form": _both("a value is longer than its VR allows, or not of its form", "PS3.5 6.2"),
    "character-set": _both(
        "text is not ASCII though no SpecificCharacterSet explains it", "C.12.1.1.2"
    ),
    # The instance
    "sop-class": _both("it is no CT image", "A.3"),
    "type-1": _both("an attribute that needs a value is missing or empty", "A.3.3"),
    "type-2": _both("an attribute that may be empty but not absent is absent", "A.3.3"),
    "image-type": _both("ImageType does not say DERIVED", "C.7.6.1.1.2"),
    "image-type-values": _promise(
        "values 2 and on of ImageType are not those of a derived slice", "C.8.2.1.1.1"
    ),
    "derivation-description": _hint("DerivationDescription does not say what was done"),
    "derivation-code": _hint(
        "DerivationCodeSequence does not hold the one code that says what was done", "C.7.6.1.1.3"
    ),
    "contributing-equipment": _hint(
        "ContributingEquipmentSequence does not name the source's equipment with its purpose",
        "C.12.1.1.5",
    ),
    "equipment": _promise("the maker that the header names is not this program", "C.7.5.1"),
    "scanner-identity": _promise("serial number, station or calibration of the scanner is left"),
    "performed-step": _promise("the performed procedure step of the scan is left", "C.7.3.1"),
    "stale-elements": _hint(
        "elements are left that are true of the source's pixels only: signature, icon, smallest or "
        "largest value, curve or overlay in the pixel words"
    ),
    "private-elements": _promise("private elements are left, or were not in the source"),
    "synthetic-data": _both("SyntheticData does not say YES", "C.12.1"),
    "simulated-words": _promise(
        "description or comment does not say SIMULATED and RESEARCH USE ONLY"
    ),
    "dates": Rule("warning", "warning", "it is dated before its source, or after today"),
    # The series
    "identity-repeated": _both("two instances have the same SOPInstanceUID", "C.12.1"),
    "varies": _both("what must be one for the whole series varies", "A.1.2.3"),
    "moment": _promise("date or time of series, content or instance varies in the series"),
    "series-name": Rule(
        "warning", "warning", "the series has the number or description of its source"
    ),
    # Against the source
    "identity-reused": _both("a UID of the source is used again", "C.7.6.1.1.2"),
    "other-patient": _both("the patient is not the source's, byte for byte", "C.7.1.1"),
    "other-study": _both("the study is not the source's, byte for byte", "C.7.2.1"),
    "frame-of-reference": _both("the frame of reference is not the source's", "C.7.4.1"),
    "geometry": _both("position, orientation, spacing or matrix is not the source slice's", ""),
    "storage": _promise("rescale, bits or padding value are not the source slice's"),
    "window": _promise("the window is not the source slice's"),
    "acquisition": _promise("the acquisition is not the source slice's"),
    "dose": _hint("dose or exposure do not fit the source's and what was simulated"),
    "lossy": _both("LossyImageCompression was reset", "C.7.6.1.1.5"),
    "nested-identity": _both(
        "a sequence holds patient data that the source did not have there", ""
    ),
    "identity-in-text": _both("a text of the derivation holds the patient's name or identity", ""),
    "source-reference": _hint("SourceImageSequence does not name the source slice", "C.7.6.1.1.4"),
    "purpose-of-reference": _hint(
        "the source is referenced without the code for a processed image", "C.7.6.1.1.4"
    ),
    "wrong-source": _both("the source slice that it names lies elsewhere", "C.7.6.1.1.4"),
    "series-reference": _promise("ReferencedSeriesSequence does not name the source", "C.12.2"),
    "missing-slice": _hint("a slice of the source has no derived slice"),
    "extra-slice": _hint("a slice lies where the source has none, or is there twice"),
    # Pixels
    "pixel-length": _both("PixelData is not as long as the matrix", "PS3.5 8"),
    "pixels-unreadable": _both("the pixels cannot be decoded", "PS3.5 8"),
    "stored-range": _both("a stored value does not fit into BitsStored", "PS3.5 8.1.1"),
    "padding-changed": _hint("a padding pixel was changed", "C.7.5.1.1.2"),
    "padding-landed": _both("an image pixel has the value that means padding", "C.7.5.1.1.2"),
    "hu-shift": Rule("warning", "warning", "the mean of the body moved by more than 10 HU"),
    "hu-offset": _both("the mean of the body moved by more than 100 HU", ""),
    "unchanged": Rule("warning", "warning", "no pixel of the series was changed"),
    "swapped": _both("the pixels are those of a neighbouring slice", ""),
    # What lies beside a series
    "removed-noise": _promise("removed noise and result do not add up to the source"),
    "map-scale": _promise("a map is not on its scale of HU from 0 on"),
    "labels": _promise("a segment has other voxels than were labelled"),
}
"""Every rule by its name, which is stable between versions."""
