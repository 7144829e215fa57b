"""What stands before the voxels of an image file that is written: NIfTI, MetaImage, NRRD.

All hold the grid in millimetres and nothing of the patient. Voxels follow in little-endian order,
x fastest.
"""

from __future__ import annotations

from io import BytesIO

import nibabel as nib
import numpy as np

from ctdenoise.core.arrays import DoubleArray
from ctdenoise.io.nifti_grid import LPS_RAS

_NIFTI_START = 352  # the header, and four bytes that say that no extension follows
_SCANNER = 1  # NIFTI_XFORM_SCANNER_ANAT
_META_TYPES = {
    "uint8": "MET_UCHAR",
    "int16": "MET_SHORT",
    "int32": "MET_INT",
    "float32": "MET_FLOAT",
}
_NRRD_TYPES = {"uint8": "uint8", "int16": "int16", "int32": "int32", "float32": "float"}
_SIZE_DIGITS = 20
SIZE_FIELD = b"CompressedDataSize = "
"""What the size of the compressed voxels follows in a MetaImage; known only when they are written.
"""


def nifti_head(
    shape: tuple[int, int, int],
    dtype: np.dtype[np.number] | type[np.generic],
    affine: DoubleArray,
    *,
    slope: float = 1.0,
    inter: float = 0.0,
) -> bytes:
    """The header of NIfTI-1, in RAS: qform and sform alike, both in the scanner's frame.

    Args:
        shape: Size along [z, y, x].
        dtype: Type of the voxels.
        affine: Index (x, y, z) to LPS mm, orthogonal, float64 [4, 4].
        slope: Value of one step of a stored voxel.
        inter: Value of a stored 0.
    """
    header = nib.Nifti1Header(endianness="<")
    header.set_data_dtype(dtype)
    header.set_data_shape(shape[::-1])
    header.set_xyzt_units("mm")
    ras = LPS_RAS @ affine
    header.set_qform(ras, code=_SCANNER)
    header.set_sform(ras, code=_SCANNER)
    header["magic"] = b"n+1"
    header.set_data_offset(_NIFTI_START)
    header.set_slope_inter(slope, inter)
    stream = BytesIO()
    header.write_to(stream)
    return stream.getvalue().ljust(_NIFTI_START, b"\0")


def metaimage_head(
    shape: tuple[int, int, int],
    dtype: np.dtype[np.number],
    affine: DoubleArray,
    *,
    packed: bool = False,
) -> bytes:
    """The header of a MetaImage whose voxels follow in the same file.

    Args:
        shape: Size along [z, y, x].
        dtype: Type of the voxels.
        affine: Index (x, y, z) to LPS mm, float64 [4, 4].
        packed: Whether the voxels are compressed; then `sized_head` must complete it.
    """
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    lines = [
        "ObjectType = Image",
        "NDims = 3",
        "BinaryData = True",
        "BinaryDataByteOrderMSB = False",
        f"CompressedData = {packed}",
        *([SIZE_FIELD.decode() + " " * _SIZE_DIGITS] if packed else []),
        f"TransformMatrix = {_numbers((affine[:3, :3] / spacing).T.ravel())}",
        f"Offset = {_numbers(affine[:3, 3])}",
        "CenterOfRotation = 0 0 0",
        f"ElementSpacing = {_numbers(spacing)}",
        f"DimSize = {shape[2]} {shape[1]} {shape[0]}",
        f"ElementType = {_META_TYPES[dtype.name]}",
        "ElementDataFile = LOCAL",
    ]
    return ("\n".join(lines) + "\n").encode("ascii")


def sized_head(head: bytes, size: int) -> bytes:
    """A MetaImage's header with the size of its compressed voxels, as long as before.

    Args:
        head: What `metaimage_head` gave for packed voxels.
        size: In bytes.
    """
    start = head.index(SIZE_FIELD) + len(SIZE_FIELD)
    return head[:start] + str(size).encode().ljust(_SIZE_DIGITS) + head[start + _SIZE_DIGITS :]


def nrrd_head(
    shape: tuple[int, int, int],
    dtype: np.dtype[np.number],
    affine: DoubleArray,
    *,
    packed: bool = False,
) -> bytes:
    """The header of a NRRD whose voxels follow in the same file.

    Args:
        shape: Size along [z, y, x].
        dtype: Type of the voxels.
        affine: Index (x, y, z) to LPS mm, float64 [4, 4].
        packed: Whether the voxels are compressed.
    """
    directions = " ".join(_nrrd_vector(affine[:3, axis]) for axis in range(3))
    lines = [
        "NRRD0005",
        f"type: {_NRRD_TYPES[dtype.name]}",
        "dimension: 3",
        "space: left-posterior-superior",
        f"sizes: {shape[2]} {shape[1]} {shape[0]}",
        f"space directions: {directions}",
        "kinds: domain domain domain",
        *(["endian: little"] if dtype.itemsize > 1 else []),
        f"encoding: {'gzip' if packed else 'raw'}",
        'space units: "mm" "mm" "mm"',
        f"space origin: {_nrrd_vector(affine[:3, 3])}",
    ]
    return ("\n".join(lines) + "\n\n").encode("ascii")


def _numbers(values: DoubleArray) -> str:
    """Numbers as text that gives the same doubles back; no minus zero."""
    return " ".join(f"{float(value) + 0.0:.17g}" for value in values)


def _nrrd_vector(values: DoubleArray) -> str:
    return "(" + _numbers(values).replace(" ", ",") + ")"
