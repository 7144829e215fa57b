"""Writing volumes: the last door, where a `CTVolume` becomes a legal series again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal, get_args

from ctdenoise.config.dicom import DicomSettings
from ctdenoise.core.scan import Scan
from ctdenoise.core.source import SourceKind
from ctdenoise.core.volume import CTVolume
from ctdenoise.errors import UsageError
from ctdenoise.io.dicom_original import check_new_series, content_key
from ctdenoise.io.dicom_writer import check_derivable
from ctdenoise.io.image_writer import write_image
from ctdenoise.io.series_writer import SeriesWriter, is_from_dicom
from ctdenoise.io.staging import require_free_folder, staged_folder
from ctdenoise.io.volume_writer import image_name

FileFormat = Literal["same", SourceKind]
"""What to write; "same" is the kind that the volume was read from, DICOM where there was none."""


def check_writable(scan: Scan, file_format: FileFormat = "same") -> None:
    """Refuse, before anything is computed, a volume that could not be written afterwards.

    Args:
        scan: A volume as it was read, or an open series; the result will have its grid and source.
        file_format: What will be written.

    Raises:
        StudyError: If no legal series can be derived from the source, with every reason.
        InputError: If no new series can hold the grid.
        GeometryError: If an image file is asked for and no affine describes the grid.
    """
    if written_kind(scan, file_format) != "dicom":
        scan.geometry.affine()
    elif is_from_dicom(scan):
        check_derivable(scan)
    else:
        check_new_series(scan)


def write_series(
    volume: CTVolume,
    out: Path | str,
    *,
    series_number: int | None = None,
    settings: DicomSettings | None = None,
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
        settings: How to write it; the defaults if None.

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
    if not is_from_dicom(volume):
        check_new_series(volume)
    elif not volume.history:
        raise UsageError(
            "nothing was done to this volume, so there is no new series to write.",
            where=out,
            fix="Copy the files of the source, or say what was done with volume.with_hu(hu, step).",
        )
    else:
        check_derivable(volume, by_trial=False)
    with staged_folder(out) as stage:
        writer = SeriesWriter(
            volume,
            stage,
            series_number=series_number,
            settings=settings,
            content="" if is_from_dicom(volume) else content_key(volume),
            has_padding=volume.padding is not None,
        )
        writer.write(volume)
    return tuple(out / name for name in writer.names)


def write_volume(
    volume: CTVolume,
    out: Path,
    *,
    file_format: FileFormat = "same",
    settings: DicomSettings | None = None,
) -> tuple[Path, ...]:
    """Write a volume as DICOM or as an image file into a new folder.

    Args:
        volume: Any volume; see `write_series`.
        out: Folder to make; it appears whole or not at all.
        file_format: What to write.
        settings: How to write DICOM; the defaults if None.

    Returns:
        The files.

    Raises:
        GeometryError: If an image file is asked for and no affine describes the grid.
        CTDenoiseError: As `write_series` for DICOM.
    """
    kind = written_kind(volume, file_format)
    if kind == "dicom":
        return write_series(volume, out, settings=settings)
    require_free_folder(out)
    check_writable(volume, kind)
    name, packed = image_name(volume, kind)
    return _staged(out, lambda stage: (write_image(volume, stage / name, packed=packed),))


def check_transfer_syntax(settings: DicomSettings, kind: SourceKind) -> None:
    """Refuse a transfer syntax for a result that is no DICOM.

    Args:
        settings: How DICOM is to be written.
        kind: What is written.

    Raises:
        UsageError: If a transfer syntax was chosen and no DICOM is written.
    """
    if kind != "dicom" and settings.transfer_syntax != DicomSettings().transfer_syntax:
        raise UsageError(
            "--transfer-syntax says how DICOM is stored, and none is written.",
            fix="Give --format dicom, or leave --transfer-syntax out.",
        )


def written_kind(scan: Scan, file_format: FileFormat) -> SourceKind:
    """What a volume is written as.

    Args:
        scan: A volume, or an open series.
        file_format: What was asked for.

    Raises:
        UsageError: If it is none of the formats.
    """
    if file_format == "same":
        return "dicom" if scan.source is None else scan.source.kind
    if file_format not in get_args(SourceKind):
        raise UsageError(
            f"a volume is written as {', '.join(get_args(SourceKind))}, not {file_format!r}."
        )
    return file_format


def _staged(out: Path, write: Callable[[Path], tuple[Path, ...]]) -> tuple[Path, ...]:
    with staged_folder(out) as stage:
        written = write(stage)
    return tuple(out / path.name for path in written)
