"""Image files that are written front to back: NIfTI, MetaImage and NRRD, compressed or not."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import numpy as np

from ctdenoise.core.geometry import Geometry
from ctdenoise.core.source import ImageKind
from ctdenoise.core.volume import CTVolume
from ctdenoise.errors import InputError
from ctdenoise.io.image_files import image_kind
from ctdenoise.io.image_heads import metaimage_head, nifti_head, nrrd_head, sized_head
from ctdenoise.io.image_values import ValueScale
from ctdenoise.io.image_voxels import StoredVoxels
from ctdenoise.io.staging import staged_file

_LEVEL = 1
"""Of compression: noise packs hardly better with more, and three times slower."""

_WRITTEN = {"nifti": (".nii", ".nii.gz"), "mha": (".mha",), "nrrd": (".nrrd",)}


class ImageWriter:
    """Writes one image file, slice after slice; memory holds what is handed over.

    Args:
        path: The file to make; the caller stages it.
        kind: Its format.
        geometry: A uniform, orthogonal grid.
        dtype: Type of the voxels: uint8, int16, int32 or float32.
        slope: Value of one step of a stored voxel; only NIfTI has others than 1.
        inter: Value of a stored 0; only NIfTI has others than 0.
        packed: Whether to compress the voxels (for NIfTI the whole file).

    Raises:
        GeometryError: If the stack is tilted or unevenly spaced.
    """

    def __init__(
        self,
        path: Path,
        kind: ImageKind,
        geometry: Geometry,
        dtype: np.dtype[np.number],
        *,
        slope: float = 1.0,
        inter: float = 0.0,
        packed: bool = False,
    ) -> None:
        affine, shape = geometry.affine(), geometry.shape
        self._dtype = dtype.newbyteorder("<")
        self._opened = ExitStack()
        file = self._opened.enter_context(path.open("wb"))
        match kind:
            case "nifti":
                self._write = _gzipped(file, self._opened) if packed else file.write
                self._write(nifti_head(shape, dtype, affine, slope=slope, inter=inter))
            case "mha":
                head = metaimage_head(shape, dtype, affine, packed=packed)
                file.write(head)
                self._write = _deflated(file, head, self._opened) if packed else file.write
            case "nrrd":
                file.write(nrrd_head(shape, dtype, affine, packed=packed))
                self._write = _gzipped(file, self._opened) if packed else file.write

    def write(self, stored: StoredVoxels) -> None:
        """Append some slices.

        Args:
            stored: As they are stored, [z, y, x].
        """
        self._write(np.ascontiguousarray(stored, dtype=self._dtype).data.cast("B"))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._opened.close()
        except OSError:
            if error is None:  # a full disk is told once, where it was met first
                raise


def writable_kind(path: Path) -> ImageKind | None:
    """The format in which an image file of this name is written; None for no such name.

    Args:
        path: A file that need not exist.
    """
    kind = image_kind(path)
    if kind is None or not path.name.lower().endswith(_WRITTEN[kind]):
        return None
    return kind


def write_image(
    volume: CTVolume,
    path: Path | str,
    *,
    scale: ValueScale | None = None,
    packed: bool = False,
) -> Path:
    """Write a volume as an image file, in the format of its name, replacing it in one step.

    Args:
        volume: A volume on one uniform, orthogonal grid.
        path: A .nii, .nii.gz, .mha or .nrrd file.
        scale: How values are stored; int16 Hounsfield units if None.
        packed: Whether to compress a MetaImage or NRRD; NIfTI says it by its name.

    Returns:
        The file.

    Raises:
        GeometryError: If the stack is tilted or unevenly spaced.
        InputError: If a Hounsfield unit does not fit the type, or the name is of no such format.
    """
    path = Path(path)
    kind = writable_kind(path)
    if kind is None:
        raise InputError("an image is written as .nii, .nii.gz, .mha or .nrrd.", where=path)
    scale = scale or ValueScale(np.dtype(np.int16))
    if kind == "nifti":
        packed = path.suffix.lower() == ".gz"
    else:
        scale = scale.unscaled()
    with (
        staged_file(path) as stage,
        ImageWriter(
            stage,
            kind,
            volume.geometry,
            scale.dtype,
            slope=scale.slope,
            inter=scale.inter,
            packed=packed,
        ) as writer,
    ):
        for index in range(volume.shape[0]):
            writer.write(scale.stored(volume.select(slice(index, index + 1))))
    return path


def _gzipped(file: BinaryIO, opened: ExitStack) -> Callable[[bytes | memoryview], int]:
    # No name and no time inside: the same image gives the same bytes.
    stream = gzip.GzipFile("", "wb", compresslevel=_LEVEL, fileobj=file, mtime=0)
    return opened.enter_context(stream).write


def _deflated(
    file: BinaryIO, head: bytes, opened: ExitStack
) -> Callable[[bytes | memoryview], int]:
    """Writing that compresses; when it ends, the size goes into the header."""
    deflate = zlib.compressobj(_LEVEL)

    def finish() -> None:
        file.write(deflate.flush())
        size = file.tell() - len(head)
        file.seek(0)
        file.write(sized_head(head, size))

    opened.callback(finish)
    return lambda data: file.write(deflate.compress(data))
