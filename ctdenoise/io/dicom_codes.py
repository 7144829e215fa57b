"""The coded words that a written series uses, each checked against PS3.16.

Two easy mistakes: DCM 113091 is no noise reduction ("Spatially-related frames extracted from the
volume"), and DCM 113085 is "Spatial resampling", no filter. CID 7203 has no word for noise
reduction; "Smoothing" is the closest.
"""

from __future__ import annotations

from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

SMOOTHING = Code("113087", "DCM", "Smoothing")
"""CID 7203, what denoising is called."""

GAUSSIAN_BLUR = Code("113088", "DCM", "Gaussian blur")
"""CID 7203, what a Gaussian does."""

LOCAL_SCHEME = "99CTDENOISE"
"""Our own coding scheme; local designators begin with 99 (PS3.16 8)."""

LOCAL_DENOISING = Code("NR-DL", LOCAL_SCHEME, "Noise reduction by deep learning")
"""What denoising is called in our own words, for those who ask for it."""

LOCAL_PROCESSING = Code("IMG-PROC", LOCAL_SCHEME, "Image processing")
"""What anything is called that CID 7203 has no word for, where a code is demanded."""

PIXEL_BY_PIXEL_ADDITION = Code("113042", "DCM", "Pixel by pixel addition")
"""CID 7203, what inserting noise is called."""

PIXEL_BY_PIXEL_SUBTRACTION = Code("113062", "DCM", "Pixel by pixel subtraction")
"""CID 7203, how a series of removed noise came about."""

SOURCE_IMAGE = Code("121322", "DCM", "Source image for image processing operation")
"""CID 7202, why the source is referenced."""

ACQUISITION_EQUIPMENT = Code("109101", "DCM", "Acquisition Equipment")
"""CID 7005: the scanner."""

PROCESSING_EQUIPMENT = Code("109102", "DCM", "Processing Equipment")
"""CID 7005: what derived the source, where the source was derived itself."""

SYNTHESIZING_EQUIPMENT = Code("109100", "DCM", "Synthesizing Equipment")
"""CID 7005: what made artificial content."""


def code_item(code: Code) -> Dataset:
    """A coded word as an item of a code sequence."""
    item = Dataset()
    item.CodeValue = code.value
    item.CodingSchemeDesignator = code.scheme_designator
    item.CodeMeaning = code.meaning
    return item


def local_scheme_item() -> Dataset:
    """Our coding scheme as an item of CodingSchemeIdentificationSequence (PS3.3 C.12.1)."""
    item = Dataset()
    item.CodingSchemeDesignator = LOCAL_SCHEME
    item.CodingSchemeName = "ctdenoise local codes"
    item.CodingSchemeResponsibleOrganization = "ctdenoise project"
    return item
