"""Image files of every format that is read: which they are, and what their headers say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from ctdenoise.core.source import ImageKind
from ctdenoise.errors import StudyError
from ctdenoise.io.finding import Finding
from ctdenoise.io.image_header import ImageHeader, as_study_error, value_notes
from ctdenoise.io.image_voxels import first_slice
from ctdenoise.io.metaimage_header import is_metaimage, metaimage_header
from ctdenoise.io.nifti_grid import is_nifti, nifti_header
from ctdenoise.io.nrrd_header import is_nrrd, nrrd_header

IMAGE_SUFFIXES = (".nii", ".nii.gz", ".mha", ".mhd", ".nrrd", ".nhdr")
"""What names of image files end with."""

LABELS_PROBLEM = "8-bit numbers cannot hold Hounsfield units (a label map?)"
"""Why an image of small whole numbers is no CT."""

_HEADERS: Mapping[ImageKind, Callable[[Path], ImageHeader]] = {
    "nifti": nifti_header,
    "mha": metaimage_header,
    "nrrd": nrrd_header,
}


def image_kind(path: Path) -> ImageKind | None:
    """The format that a file has by its name; None where it is no image file.

    Args:
        path: Any file.
    """
    if is_nifti(path):
        return "nifti"
    if is_metaimage(path):
        return "mha"
    return "nrrd" if is_nrrd(path) else None


def image_header(path: Path) -> ImageHeader:
    """What the header of an image file says.

    Args:
        path: A file whose name ends as one of IMAGE_SUFFIXES.

    Raises:
        StudyError: If it is damaged, or its voxels cannot be reached.
    """
    kind = image_kind(path)
    if kind is None:
        raise StudyError(
            "is no image file by its name.",
            where=path,
            fix=f"Give a file that ends with {', '.join(IMAGE_SUFFIXES)}.",
        )
    with as_study_error(path, kind):
        return _HEADERS[kind](path)


def ct_header(path: Path) -> tuple[ImageHeader, str]:
    """The header of an image file that may be a CT, and what it is: "CT" or "labels".

    A look at one slice adds what is unusual about its values.

    Args:
        path: An image file.

    Returns:
        The header, with every problem, errors of a damaged file included; and what it is.
    """
    kind = image_kind(path) or "nifti"
    try:
        header = image_header(path)
        if header.is_labels:
            return _with(header, problems=(LABELS_PROBLEM,)), "labels"
        if header.stored is None or header.geometry is None:
            return header, "CT"
        with as_study_error(path, kind):
            one = first_slice(header.stored)
    except StudyError as error:
        return ImageHeader(kind, None, problems=(error.what,)), "CT"
    return _with(header, notes=tuple(value_notes(float(one.min()), float(one.max())))), "CT"


def image_parts(path: Path) -> tuple[Path, ...]:
    """The files that make up an image: its own, and the one that its header points to.

    Args:
        path: An image file.

    Raises:
        StudyError: If it is damaged.
    """
    stored = image_header(path).stored
    return (path,) if stored is None or stored.path == path else (path, stored.path)


def is_compressed(path: Path) -> bool:
    """Whether the voxels of an image file are compressed.

    Args:
        path: An image file.

    Raises:
        StudyError: If it is damaged.
    """
    stored = image_header(path).stored
    return stored is not None and stored.packing != "none"


def _with(
    header: ImageHeader, *, problems: tuple[str, ...] = (), notes: tuple[Finding, ...] = ()
) -> ImageHeader:
    return replace(header, problems=(*header.problems, *problems), notes=(*header.notes, *notes))
