"""Settings of what is written as DICOM."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from ctdenoise.config.base import Settings

TransferSyntax = Literal["explicit", "implicit", "deflated", "rle", "jpeg-ls", "jpeg2000"]


class DicomSettings(Settings):
    """How a series is written as DICOM. Nothing here changes a pixel."""

    transfer_syntax: TransferSyntax = "explicit"
    """`explicit`: Explicit VR Little Endian, uncompressed, which every reader knows. `implicit`:
    the default of DICOM. `deflated`: the whole dataset deflated. `rle`, `jpeg-ls` (smallest for its
    time), `jpeg2000`: compressed without loss."""

    image_type: Literal["SECONDARY", "PRIMARY"] = "SECONDARY"
    """Value 2 of ImageType of a derived series. SECONDARY is what a processed image is; some
    archives and pipelines drop secondary images, hence the choice."""

    derivation_code: Literal["dicom", "local"] = "dicom"
    """Code for denoising. `dicom`: (113087, DCM, "Smoothing"), the closest that the standard has.
    `local`: a code of our own scheme, "Noise reduction by deep learning", which says more and which
    others may not know. Classical filters are never called that: `gaussian` is (113088, DCM,
    "Gaussian blur"), all others are smoothing."""

    private: Literal["drop", "keep"] = "drop"
    """Private elements of the source. They may describe the old pixels, and nobody but their maker
    knows what they say."""

    series_number: int | None = Field(default=None, ge=1, le=2**31 - 1)
    """Number of the new series; by default the source's plus 1000, or the next free one."""

    def changed_attributes(self) -> dict[str, Any]:
        """Settings that change what a header says and differ from their default.

        The transfer syntax is none of them: an image that is stored otherwise without loss is the
        same image (PS3.3 C.7.6.1.1.5), with the same UID.
        """
        return self.model_dump(mode="json", exclude={"transfer_syntax"}, exclude_defaults=True)
