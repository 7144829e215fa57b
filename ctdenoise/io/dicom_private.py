"""Which private elements of a source may go along, for those who ask for them.

Only their maker knows what they say. So they are copied as the bytes they are, of the VR that the
source gives them or UN, and only where it is plain whose they are and that they cannot hold the
old image.
"""

from __future__ import annotations

from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag, Tag

_FIRST_CREATOR, _LAST_CREATOR = 0x10, 0xFF
_IMAGE_GROUPS = (range(0x5001, 0x5100), range(0x6001, 0x6100), range(0x7F01, 0x8000))
"""Private neighbours of curves, overlays and pixel data."""


class KeptPrivate:
    """The rule for private elements of one instance that are to be kept.

    Dropped still are elements whose block nobody reserved (PS3.5 7.8.1), those of groups beside
    curves, overlays and pixel data, values as long as a bit plane of the image or as an image of a
    byte for each pixel, and what a big-endian source holds with an unknown VR.

    Args:
        source: The whole instance.
    """

    def __init__(self, source: Dataset) -> None:
        pixels = int(source.get("Rows") or 0) * int(source.get("Columns") or 0)
        self._image_bytes = max(1, pixels)
        plane = max(1, (pixels + 7) // 8)
        self._plane_bytes = (plane, plane + plane % 2)

    def is_wanted(self, dataset: Dataset, tag: BaseTag) -> bool:
        """Whether a private element is copied.

        Args:
            dataset: The instance, or an item in it.
            tag: Of the element.
        """
        if any(tag.group in groups for groups in _IMAGE_GROUPS):
            return False
        if _FIRST_CREATOR <= tag.element <= _LAST_CREATOR:
            return True
        creator = Tag(tag.group, tag.element >> 8)
        if creator.element < _FIRST_CREATOR or creator not in dataset:
            return False
        element: object = dataset.get_item(tag)  # pydicom's annotation forgets raw elements
        if isinstance(element, RawDataElement) and element.VR != "SQ":
            size = len(element.value or b"")
            may_be_image = size >= self._image_bytes or size in self._plane_bytes
            has_known_order = bool(dataset.original_encoding[1]) or element.VR not in {None, "UN"}
            return has_known_order and not may_be_image
        return isinstance(element, DataElement | RawDataElement) and element.VR == "SQ"
