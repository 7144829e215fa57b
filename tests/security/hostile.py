"""Studies and files that somebody made to hurt, each under a UID of its own."""

from __future__ import annotations

import io
import os
import socket
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from tests.dicom.builders import as_bytes, ct_series, uid
from tests.security.marked import disc

MEBIBYTE = 2**20
HUGE = 2**40
BOMB_MEBIBYTES = 300


def study(
    name: str, *, slices: int = 1, edit: Callable[[Dataset], None] | None = None
) -> list[Dataset]:
    """A CT series in a study of its own."""

    def mark(dataset: Dataset, index: int) -> None:
        dataset.StudyInstanceUID = uid("hostile study", name)
        dataset.SeriesInstanceUID = uid("hostile series", name)
        dataset.SOPInstanceUID = uid("hostile instance", name, index)
        if edit is not None:
            edit(dataset)

    return ct_series(disc(slices=slices, size=32), edit=mark)


def file_of(name: str, syntax: str | None = None, **more: Callable[[Dataset], None]) -> bytes:
    (dataset,) = study(name, **more)
    return as_bytes(dataset) if syntax is None else as_bytes(dataset, syntax)


def deflate_bomb() -> bytes:
    whole = file_of("deflate", DeflatedExplicitVRLittleEndian)
    start = 144 + int.from_bytes(whole[140:144], "little")
    plain = file_of("deflate")
    data_set = plain[144 + int.from_bytes(plain[140:144], "little") :]
    pixels = data_set.index(b"\xe0\x7f\x10\x00")
    bomb = (
        data_set[:pixels]
        + b"\xe0\x7f\x10\x00OW\0\0"
        + (BOMB_MEBIBYTES * MEBIBYTE).to_bytes(4, "little")
    )
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = packer.compress(bomb)
    for _ in range(BOMB_MEBIBYTES):
        packed += packer.compress(bytes(MEBIBYTE))
    return whole[:start] + packed + packer.flush()


def forged_jpeg_2000() -> bytes:
    data = file_of("jpeg2000", JPEG2000Lossless)
    start = data.index(b"\xff\x4f\xff\x51") + 8
    return data[:start] + (40_000).to_bytes(4, "big") * 2 + data[start + 8 :]


def forged_jpeg_ls() -> bytes:
    data = file_of("jpegls", JPEGLSLossless)
    start = data.index(b"\xff\xf7") + 5
    return data[:start] + (60_000).to_bytes(2, "big") * 2 + data[start + 4 :]


def forged_rle() -> bytes:
    def large(dataset: Dataset) -> None:
        dataset.Rows = dataset.Columns = 4096
        dataset.PixelData = bytes(2 * 4096 * 4096)

    data = file_of("rle", RLELossless, edit=large)
    return data.replace(
        b"\x28\x00\x10\x00US\x02\x00\x00\x10", b"\x28\x00\x10\x00US\x02\x00\xff\xff"
    )


def forged_matrix() -> bytes:
    def large(dataset: Dataset) -> None:
        dataset.Rows = dataset.Columns = 65_535

    return file_of("matrix", edit=large)


def many_frames() -> bytes:
    def frames(dataset: Dataset) -> None:
        dataset.NumberOfFrames = "2000000000"

    return file_of("frames", edit=frames)


def nested() -> bytes:
    data = file_of("nested")
    start = data.index(b"\xe0\x7f\x10\x00")
    level = b"\x40\x00\x75\x02SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    return data[:start] + level * 3000 + data[start:]


def forged_length() -> bytes:
    data = file_of("length")
    start = data.index(b"\xe0\x7f\x10\x00")
    element = b"\x21\x00\x10\x10UN\0\0" + (0xFFFFFFF0).to_bytes(4, "little") + b"x" * 64
    return data[:start] + element


def with_uid(text: bytes) -> bytes:
    """A file whose StudyInstanceUID is something else."""
    data = file_of(f"uid {text!r}")
    start = data.index(b"\x20\x00\x0d\x00UI") + 8
    length = int.from_bytes(data[start - 2 : start], "little")
    return data[:start] + text[:length].ljust(length, b"\0") + data[start + length :]


def named_twice() -> bytes:
    """A zip file of a study that would be unpacked elsewhere."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("../../escaped.dcm", file_of("zip"))
        archive.writestr("/tmp/escaped.dcm", file_of("zip"))  # noqa: S108 - where it must not go
    return buffer.getvalue()


REFUSED: dict[str, Callable[[], bytes]] = {
    "deflate bomb": deflate_bomb,
    "forged JPEG 2000": forged_jpeg_2000,
    "forged JPEG-LS": forged_jpeg_ls,
    "forged RLE": forged_rle,
    "forged matrix": forged_matrix,
    "2 000 000 000 frames": many_frames,
    "nested sequences": nested,
    "forged length": forged_length,
}
"""Files that arrive, and whose study must end refused."""

NOT_TAKEN: dict[str, Callable[[], bytes]] = {
    "UID up": lambda: with_uid(b"../../../../../../tmp/escaped"),
    "UID absolute": lambda: with_uid(b"/tmp/escaped"),
    "UID with NUL": lambda: with_uid(b"1.2\x00/../../x"),
    "zip": named_twice,
    "shell": lambda: b"#!/bin/sh\ntouch /tmp/escaped\n",
    "empty": lambda: b"",
}
"""Files that are never taken."""

PREAMBLES = {
    "program": b"MZ\x90\x00" + bytes(124),
    "page": b"<html><script>alert(1)</script>".ljust(128, b" "),
    "elf": b"\x7fELF\x02\x01\x01".ljust(128, b"\0"),
}
"""What a DICOM file may begin with to be something else as well."""


def lay_traps(folder: Path, outside: Path) -> list[socket.socket]:
    """What is no regular file, or is not as large as it seems; returns what must be closed."""
    (folder / "link.dcm").symlink_to("/etc/passwd")
    (folder / "linked study").symlink_to(outside, target_is_directory=True)
    (folder / "loop").symlink_to(folder, target_is_directory=True)
    (folder / "dangling.dcm").symlink_to(folder / "nothing")
    os.mkfifo(folder / "pipe.dcm")
    with (folder / "sparse.dcm").open("wb") as file:
        file.write(as_bytes(study("sparse")[0])[:2000])
        file.truncate(HUGE)
    name = str(folder / "s.dcm")
    listening = socket.socket(socket.AF_UNIX)
    place = os.getcwd()  # noqa: PTH109 - a short name, since addresses of sockets are short
    os.chdir(folder)
    try:
        listening.bind(Path(name).name)
    finally:
        os.chdir(place)
    return [listening]
