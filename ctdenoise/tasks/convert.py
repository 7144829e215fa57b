"""`convert`: a series written as another kind of file, values and places unchanged."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ctdenoise.config.conversion import ConvertSettings
from ctdenoise.core.progress import SILENT, Progress
from ctdenoise.core.source import ImageKind, SourceKind
from ctdenoise.errors import GeometryError, OutputExistsError, UsageError
from ctdenoise.io.dicom_original import check_new_series
from ctdenoise.io.image_copy import copy_labels, copy_to_image, copy_to_series
from ctdenoise.io.image_files import image_kind
from ctdenoise.io.image_values import ValueRangeError, ValueScale, exact_scale
from ctdenoise.io.image_writer import writable_kind
from ctdenoise.io.read import SeriesReader, open_series
from ctdenoise.io.resample import StraightGrid, StraightReader
from ctdenoise.io.staging import require_free_folder, staged_file, staged_folder
from ctdenoise.io.study import FoundSeries, choose_series, find_series
from ctdenoise.io.volume_writer import IMAGE_FILES
from ctdenoise.io.write import check_transfer_syntax

_GZ = ".gz"


@dataclass(frozen=True, slots=True)
class ConvertReport:
    """What was done.

    Args:
        out: The file or folder.
        source: What it was read from.
        kind: What was written.
        shape: Size along [z, y, x].
        dtype: Type of the stored numbers.
        size_bytes: Of everything that was written.
        resampled: Whether slices were moved or interpolated.
        interpolated: How many slices were mixed of two.
        in_gaps: How many of them lie between slices that are further apart than the rest.
        largest_rounding_hu: Largest difference between a value and what is stored for it.
        seconds: Time of everything.
    """

    out: Path
    source: SourceKind
    kind: SourceKind
    shape: tuple[int, int, int]
    dtype: str
    size_bytes: int
    resampled: bool
    interpolated: int
    in_gaps: int
    largest_rounding_hu: float
    seconds: float


@dataclass(frozen=True, slots=True)
class _Target:
    """Where the result goes.

    Args:
        out: The file or folder that appears.
        kind: What is written.
        name: Name of the file inside a folder; empty where `out` is the file.
        packed: Whether voxels are compressed.
    """

    out: Path
    kind: SourceKind
    name: str
    packed: bool

    @property
    def image(self) -> ImageKind:
        """The kind of image file.

        Raises:
            UsageError: If it is a DICOM series.
        """
        if self.kind == "dicom":
            raise UsageError(
                "a label map is no CT series.",
                where=self.out,
                fix="Write .nii, .nii.gz, .mha or .nrrd.",
            )
        return self.kind

    @property
    def file(self) -> Path:
        """The file that holds the result, or the folder of a series."""
        return self.out / self.name if self.name else self.out

    @contextmanager
    def staged(self) -> Iterator[Path]:
        """A file to write that appears in its place when the block ends well."""
        if self.name:
            with staged_folder(self.out) as folder:
                yield folder / self.name
        else:
            with staged_file(self.out) as stage:
                yield stage


def run(
    study: Path,
    *,
    out: Path,
    settings: ConvertSettings | None = None,
    series: str | None = None,
    file_format: SourceKind | None = None,
    labels: bool = False,
    progress: Progress = SILENT,
) -> ConvertReport:
    """Write one series of a study as another kind of file.

    DICOM becomes an image file; an image file becomes another one, or a new DICOM series without a
    patient. Slices are read and written block by block. The result appears whole or not at all.

    Args:
        study: Folder or file with the study.
        out: The file to make, or a folder; new or empty.
        settings: Types, compression, resampling.
        series: Which series, where there are several.
        file_format: What to write; by default what the name of `out` says, and DICOM for an image
            file where it says nothing.
        labels: Whether the study is a label map, in one file.
        progress: Told about every slice.

    Raises:
        OutputExistsError: If `out` is taken.
        UsageError: If it is not clear what to write, or nothing is to be converted.
        StudyError: If the study cannot be read right.
        GeometryError: If the stack is tilted or uneven, and may not be resampled.
        InputError: If a value does not fit the type asked for.
        OutputError: If the result cannot be written.
    """
    started = time.perf_counter()
    settings = settings or ConvertSettings()
    if labels:
        return _label_map(study, out, settings, file_format, started)
    found = choose_series(find_series(study), series, where=study)
    target = _target(out, file_format, found.kind, compress=settings.compress)
    check_transfer_syntax(settings.dicom, target.kind)
    _require_free(target)
    with ExitStack() as opened:
        reader, grid = _opened(found, settings, target)
        opened.enter_context(reader)
        if target.kind == "dicom":
            written = _write_series(reader, target, settings, progress)
        else:
            written = _write_image(found, reader, target, settings, progress)
        shape = reader.shape
    dtype, rounding_hu = written
    shares = () if grid is None else grid.places
    return ConvertReport(
        out=target.file,
        source=found.kind,
        kind=target.kind,
        shape=shape,
        dtype=dtype,
        size_bytes=_size(target.file),
        resampled=grid is not None,
        interpolated=sum(1 for _, share in shares if share),
        in_gaps=0 if grid is None else grid.in_gaps,
        largest_rounding_hu=rounding_hu,
        seconds=time.perf_counter() - started,
    )


def _label_map(
    study: Path,
    out: Path,
    settings: ConvertSettings,
    file_format: SourceKind | None,
    started: float,
) -> ConvertReport:
    source = image_kind(study)
    if source is None:
        raise UsageError(
            "a label map is one image file.",
            where=study,
            fix="Give the file itself: .nii, .nii.gz, .mha, .mhd, .nrrd or .nhdr.",
        )
    if settings.resample:
        raise UsageError("labels are never interpolated; leave --resample out.")
    target = _target(out, file_format, source, compress=settings.compress)
    kind = target.image
    _require_free(target)
    with target.staged() as stage:
        grid, dtype = copy_labels(study, stage, kind, packed=target.packed)
    return ConvertReport(
        out=target.file,
        source=source,
        kind=kind,
        shape=grid.shape,
        dtype=dtype,
        size_bytes=_size(target.file),
        resampled=False,
        interpolated=0,
        in_gaps=0,
        largest_rounding_hu=0.0,
        seconds=time.perf_counter() - started,
    )


def _target(
    out: Path, file_format: SourceKind | None, source: SourceKind, *, compress: bool
) -> _Target:
    """What to write, and where, from the name of the output and what was asked for."""
    named = writable_kind(out)
    if named is None and image_kind(out) is not None:
        raise UsageError(
            "an image is written as one file: .nii, .nii.gz, .mha or .nrrd.", where=out
        )
    if named is not None and file_format not in (None, named):
        raise UsageError(f"--format {file_format} does not fit the name of --out.", where=out)
    kind = named or file_format
    if kind is None and (source == "dicom" or out.suffix):
        raise UsageError(
            "it is not clear what to write.",
            where=out,
            fix="Name a file that ends with .nii, .nii.gz, .mha or .nrrd, or say --format.",
        )
    kind = kind or "dicom"
    if kind == "dicom" and source == "dicom":
        raise UsageError(
            "the study is DICOM already, and its slices stay as they are.",
            fix="Copy its files, or convert it to NIfTI, MetaImage or NRRD.",
        )
    if named == "nifti" and compress and out.suffix.lower() != _GZ:
        raise UsageError("a compressed NIfTI file is named .nii.gz.", where=out)
    packed = out.suffix.lower() == _GZ if named == "nifti" else compress
    if named is not None or kind == "dicom":
        return _Target(out, kind, "", packed)
    name = IMAGE_FILES[kind] + (_GZ if kind == "nifti" and packed else "")
    return _Target(out, kind, name, packed)


def _require_free(target: _Target) -> None:
    if target.kind == "dicom" or target.name:
        require_free_folder(target.out)
    elif target.out.exists() or target.out.is_symlink():
        raise OutputExistsError(
            "the output file exists already.",
            where=target.out,
            fix="Give another --out, or remove this file first; nothing is ever overwritten.",
        )


def _opened(
    found: FoundSeries, settings: ConvertSettings, target: _Target
) -> tuple[SeriesReader, StraightGrid | None]:
    """The series, put onto an even, orthogonal grid if it must be and may be."""
    reader = open_series(found)
    if not settings.resample:
        if settings.spacing_mm is not None:
            raise UsageError("a distance between slices needs --resample.")
        if target.kind != "dicom":
            reader.geometry.affine()
        return reader, None
    if settings.spacing_mm is None and _is_straight(reader):
        return reader, None
    straight = StraightReader(reader, settings.spacing_mm)
    return straight, straight.grid


def _is_straight(reader: SeriesReader) -> bool:
    try:
        reader.geometry.affine()
    except GeometryError:
        return False
    return True


def _write_series(
    reader: SeriesReader, target: _Target, settings: ConvertSettings, progress: Progress
) -> tuple[str, float]:
    check_new_series(reader)
    with (
        progress.stage("Converting", reader.shape[0]) as advance,
        staged_folder(target.out) as folder,
    ):
        rounding_hu = copy_to_series(reader, folder, settings=settings.dicom, advance=advance)
    return "int16", rounding_hu


def _write_image(
    found: FoundSeries,
    reader: SeriesReader,
    target: _Target,
    settings: ConvertSettings,
    progress: Progress,
) -> tuple[str, float]:
    """Write the file, whole Hounsfield units that int16 cannot hold as int32."""
    scale = exact_scale(found)
    may_widen = settings.dtype == "auto" and scale.dtype == np.int16
    if settings.dtype != "auto":
        same = scale.dtype != np.float32
        scale = (scale if same else ValueScale(scale.dtype)).with_dtype(np.dtype(settings.dtype))
    if target.kind != "nifti" and scale.is_scaled:
        plain = ValueScale(np.dtype(np.float32))
        scale = plain if settings.dtype == "auto" else ValueScale(scale.dtype)
        may_widen = False
    try:
        return _write_as(scale, reader, target, progress)
    except ValueRangeError:
        if not may_widen:
            raise
        return _write_as(scale.with_dtype(np.dtype(np.int32)), reader, target, progress)


def _write_as(
    scale: ValueScale, reader: SeriesReader, target: _Target, progress: Progress
) -> tuple[str, float]:
    with progress.stage("Converting", reader.shape[0]) as advance, target.staged() as stage:
        rounding_hu = copy_to_image(
            reader, stage, target.image, scale, packed=target.packed, advance=advance
        )
    return scale.dtype.name, rounding_hu


def _size(path: Path) -> int:
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files)
