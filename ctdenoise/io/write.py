"""Writing volumes: the last door, where a `CTVolume` becomes a legal series again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from ctdenoise.core.volume import CTVolume
from ctdenoise.errors import UsageError
from ctdenoise.io.dicom_derivation import derivation_of
from ctdenoise.io.dicom_original import check_new_series, write_new_series
from ctdenoise.io.dicom_writer import check_derivable, write_derived
from ctdenoise.io.nifti import write_nifti
from ctdenoise.io.staging import require_free_folder, staged_folder

FileFormat = Literal["same", "dicom", "nifti"]
"""What to write; "same" is the kind that the volume was read from, DICOM where there was none."""

NIFTI_FILE = "image.nii"
"""Name of the image in a folder written as NIfTI; `.gz` is added where the source has it."""


def check_writable(volume: CTVolume, file_format: FileFormat = "same") -> None:
    """Refuse, before anything is computed, a volume that could not be written afterwards.

    Args:
        volume: A volume as it was read; the result will have its grid and source.
        file_format: What will be written.

    Raises:
        StudyError: If no legal series can be derived from the source, with every reason.
        InputError: If no new series can hold the grid.
        GeometryError: If NIfTI is asked for and no affine describes the grid.
    """
    if _kind(volume, file_format) == "nifti":
        volume.geometry.affine()
    elif _has_dicom_source(volume):
        check_derivable(volume)
    else:
        check_new_series(volume)


def write_series(
    volume: CTVolume, out: Path | str, *, series_number: int | None = None
) -> tuple[Path, ...]:
    """Write a volume as a DICOM CT series.

    A volume that was read from DICOM becomes a derived series on the headers of its source, one
    instance for each; any other becomes a new series. What the headers say about the derivation
    comes from `volume.history`. The same volume gives the same UIDs; with SOURCE_DATE_EPOCH set,
    the same bytes.

    Args:
        volume: A volume with at least one step of history if it was read from DICOM.
        out: Folder to make; it appears whole or not at all.
        series_number: Number of the new series; by default the source's plus 1000, or the next
            that no series beside the source has.

    Returns:
        The files, slice by slice.

    Raises:
        UsageError: If nothing was done to a volume that was read from DICOM.
        OutputExistsError: If `out` holds something.
        StudyError: If no legal series can be derived from the source, with every reason.
        InputError: If no series can hold the grid.
        OutputError: If the disk is full or the place cannot be written.
    """
    out = Path(out)
    require_free_folder(out)
    if not _has_dicom_source(volume):
        check_new_series(volume)
        return _staged(
            out, lambda stage: write_new_series(volume, stage, series_number=series_number)
        )
    if not volume.history:
        raise UsageError(
            "nothing was done to this volume, so there is no new series to write.",
            where=out,
            fix="Copy the files of the source, or say what was done with volume.with_hu(hu, step).",
        )
    check_derivable(volume, by_trial=False)
    derivation = derivation_of(volume.history)
    return _staged(
        out, lambda stage: write_derived(volume, stage, derivation, series_number=series_number)
    )


def write_volume(
    volume: CTVolume, out: Path, *, file_format: FileFormat = "same"
) -> tuple[Path, ...]:
    """Write a volume as DICOM or NIfTI into a new folder.

    Args:
        volume: Any volume; see `write_series`.
        out: Folder to make; it appears whole or not at all.
        file_format: What to write.

    Returns:
        The files.

    Raises:
        GeometryError: If NIfTI is asked for and no affine describes the grid.
        CTDenoiseError: As `write_series` for DICOM.
    """
    if _kind(volume, file_format) == "dicom":
        return write_series(volume, out)
    require_free_folder(out)
    check_writable(volume, "nifti")
    name = NIFTI_FILE
    if volume.source is not None and volume.source.instances[0].path.suffix == ".gz":
        name += ".gz"
    return _staged(out, lambda stage: (write_nifti(volume, stage / name),))


def _has_dicom_source(volume: CTVolume) -> bool:
    return volume.source is not None and volume.source.kind == "dicom"


def _kind(volume: CTVolume, file_format: FileFormat) -> str:
    if file_format not in ("same", "dicom", "nifti"):
        raise UsageError(f"a volume is written as dicom or nifti, not {file_format!r}.")
    if file_format != "same":
        return file_format
    return "dicom" if volume.source is None else volume.source.kind


def _staged(out: Path, write: Callable[[Path], tuple[Path, ...]]) -> tuple[Path, ...]:
    with staged_folder(out) as stage:
        written = write(stage)
    return tuple(out / path.name for path in written)
