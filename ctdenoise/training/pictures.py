"""Pictures of what the network does, as PNG files in memory, for TensorBoard."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import numpy.typing as npt

Gray = npt.NDArray[np.uint8]
"""A picture, 0 black to 255 white, [y, x]."""


def panel(
    low: npt.NDArray[np.generic],
    denoised: npt.NDArray[np.generic],
    full: npt.NDArray[np.generic],
    *,
    window_hu: tuple[float, float],
    difference_hu: float,
) -> Gray:
    """Low dose, denoised, full dose and denoised minus full dose, side by side.

    Args:
        low: HU [y, x], like the next two.
        denoised: What the network made of it.
        full: What it should be.
        window_hu: HU that are black and white in the first three.
        difference_hu: Difference that is white; its negative is black, none is middle gray.
    """
    difference = np.subtract(denoised, full, dtype=np.float64)
    images = [_gray(image, *window_hu) for image in (low, denoised, full)]
    return np.hstack([*images, _gray(difference, -difference_hu, difference_hu)])


def png(picture: Gray) -> bytes:
    """A gray picture as a PNG file (ISO/IEC 15948): 8 bits, rows unfiltered."""
    rows, columns = picture.shape
    header = struct.pack(">IIBBBBB", columns, rows, 8, 0, 0, 0, 0)
    unfiltered = np.zeros((rows, columns + 1), np.uint8)  # each row begins with its filter, 0
    unfiltered[:, 1:] = picture
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(unfiltered.tobytes())), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _gray(image: npt.NDArray[np.generic], black: float, white: float) -> Gray:
    share = (image.astype(np.float64) - black) / (white - black)
    return np.rint(np.clip(share, 0.0, 1.0) * 255).astype(np.uint8)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
