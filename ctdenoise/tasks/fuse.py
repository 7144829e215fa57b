"""`fuse`: repeated scans of one position become one series."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ctdenoise.config.fusion import FuseSettings
from ctdenoise.config.load import write_settings
from ctdenoise.core.noise_level import noise_level_hu
from ctdenoise.core.progress import SILENT, Progress
from ctdenoise.core.provenance import Step
from ctdenoise.core.scan import ScanFacts
from ctdenoise.core.source import SourceKind, SourceSeries
from ctdenoise.core.volume import CTVolume
from ctdenoise.errors import UsageError
from ctdenoise.inference.fusion import check_fusible, fuse, step_of
from ctdenoise.io.dicom_fused import check_one_space
from ctdenoise.io.dicom_judge import judge_written
from ctdenoise.io.manifest import write_manifest
from ctdenoise.io.read import SeriesReader, open_series
from ctdenoise.io.runfile import Run, write_run
from ctdenoise.io.series_writer import SeriesWriter
from ctdenoise.io.staging import require_free_folder, staged_folder
from ctdenoise.io.study import FoundSeries, choose_series, find_series
from ctdenoise.io.write import (
    FileFormat,
    check_transfer_syntax,
    check_writable,
    write_volume,
    written_kind,
)

DICOM_FOLDER = "dicom"
"""Folder of the derived series inside the output folder."""

_SLICES_AT_ONCE = 4
"""Of every scan; the memory of a run does not grow with the number of slices."""

_SAMPLE = 8
"""Slices in which the noise is measured."""


@dataclass(frozen=True, slots=True)
class FuseReport:
    """What was done.

    Args:
        out: The output folder.
        frames: How many scans were fused.
        slices: How many slices each has.
        files: How many image files were written.
        power: Power of the weights.
        noise_before_hu: Noise in the soft tissue of the first scan; None where there is too little.
        noise_after_hu: The same in the result.
        seconds: Time of everything.
    """

    out: Path
    frames: int
    slices: int
    files: int
    power: float
    noise_before_hu: float | None
    noise_after_hu: float | None
    seconds: float


def run(
    studies: Sequence[Path],
    settings: FuseSettings,
    *,
    out: Path,
    series: Sequence[str] = (),
    file_format: FileFormat = "same",
    progress: Progress = SILENT,
) -> FuseReport:
    """Fuse repeated scans of one position.

    The output folder holds the derived series in `dicom/` with `manifest.json` beside it, or one
    image file, and appears whole or not at all. Everything that can be refused is refused before
    anything is computed. Header, acquisition and padding are those of the first scan; all are named
    as sources.

    Args:
        studies: A folder or file for each scan, or one folder with all of them.
        settings: Power and smoothing of the weights.
        out: Folder to make; new or empty.
        series: Which series of each folder, in their order; of the one folder, all that are meant.
        file_format: What to write; "same" as the scans.
        progress: Told about every block of slices.

    Raises:
        UsageError: If it is not clear which series are meant.
        InputError: If they are no repetitions of one position.
        StudyError: If a series cannot be read right, or no series derived from them.
        OutputExistsError: If `out` holds something.
        OutputError: If the result cannot be written, or is judged to be no legal derived series.
    """
    started = time.perf_counter()
    require_free_folder(out)
    chosen = _chosen(studies, series)
    with ExitStack() as stack:
        readers = [stack.enter_context(open_series(one)) for one in chosen]
        check_fusible(readers)
        scan = _fused_scan(readers, step_of(len(readers), settings))
        kind = written_kind(scan, file_format)
        check_transfer_syntax(settings.dicom, kind)
        if kind == "dicom" and scan.source is not None and scan.source.kind == "dicom":
            check_one_space([scan.source, *scan.source.others])
        check_writable(scan, kind)
        work = _Work(readers, scan, settings, progress)
        with staged_folder(out) as folder:
            files = work.write(folder, kind)
            noise = (work.sample.before(), work.sample.after())
            write_settings(folder, settings)
            write_run(folder, _record(scan, settings, noise, time.perf_counter() - started))
    return FuseReport(
        out=out,
        frames=len(readers),
        slices=scan.shape[0],
        files=files,
        power=settings.power,
        noise_before_hu=noise[0],
        noise_after_hu=noise[1],
        seconds=time.perf_counter() - started,
    )


def _chosen(studies: Sequence[Path], series: Sequence[str]) -> list[FoundSeries]:
    if len(studies) == 1 and len(series) > 1:
        found = find_series(studies[0])
        return [choose_series(found, one, where=studies[0]) for one in series]
    if series and len(series) != len(studies):
        raise UsageError(
            f"{len(series)} series are named for {len(studies)} folders.",
            fix="Name one series for each folder, in their order, or none.",
        )
    if len(studies) == 1:
        raise UsageError(
            "one scan cannot be fused.",
            fix="Name a folder for each scan, or one folder and --series for each scan in it; "
            "`ctdenoise inspect` shows their numbers.",
        )
    named: Sequence[str | None] = series or [None] * len(studies)
    return [
        choose_series(find_series(study), one, where=study)
        for study, one in zip(studies, named, strict=True)
    ]


def _fused_scan(readers: Sequence[SeriesReader], step: Step) -> ScanFacts:
    """What the result is known to be before it is computed."""
    first = readers[0]
    sources = [reader.source for reader in readers if reader.source is not None]
    source: SourceSeries | None = first.source
    if source is not None and len(sources) == len(readers):
        source = replace(source, others=tuple(sources[1:]))
    return ScanFacts(first.geometry, first.acquisition, source, (*first.history, step))


class _Sample:
    """Some slices of the first scan and of the result, for their noise."""

    def __init__(self, scan: ScanFacts) -> None:
        places = np.linspace(0, scan.shape[0] - 1, min(_SAMPLE, scan.shape[0]))
        self._wanted = {round(float(place)) for place in places}
        self._spacing_mm = scan.geometry.pixel_spacing_mm
        self._before: list[CTVolume] = []
        self._after: list[CTVolume] = []

    def add(self, first: int, before: CTVolume, after: CTVolume) -> None:
        """Keep what is wanted of a block.

        Args:
            first: Index of its first slice.
            before: The first scan.
            after: The result.
        """
        wanted = [place for place in range(before.shape[0]) if first + place in self._wanted]
        if wanted:
            self._before.append(before.select(wanted))
            self._after.append(after.select(wanted))

    def before(self) -> float | None:
        """Noise of the first scan, HU."""
        return self._level(self._before)

    def after(self) -> float | None:
        """Noise of the result, HU."""
        return self._level(self._after)

    def _level(self, kept: Sequence[CTVolume]) -> float | None:
        hu, padding = _joined(kept)
        return noise_level_hu(hu, padding, self._spacing_mm)


class _Work:
    """One fusion on its way from files to files."""

    def __init__(
        self,
        readers: Sequence[SeriesReader],
        scan: ScanFacts,
        settings: FuseSettings,
        progress: Progress,
    ) -> None:
        self._readers, self._scan, self._settings = readers, scan, settings
        self._progress = progress
        self.sample = _Sample(scan)

    def write(self, folder: Path, kind: SourceKind) -> int:
        """Fuse everything into a staged folder; returns the number of image files."""
        source = self._scan.source
        if kind == "dicom" and source is not None and source.kind == "dicom":
            return self._write_series(folder)
        blocks = list(self._blocks())
        hu, padding = _joined(blocks)
        scan = self._scan
        volume = CTVolume(hu, scan.geometry, scan.acquisition, scan.source, scan.history, padding)
        place = folder / DICOM_FOLDER if kind == "dicom" else folder
        return len(write_volume(volume, place, file_format=kind, settings=self._settings.dicom))

    def _write_series(self, folder: Path) -> int:
        """Slice after slice, on the headers of the first scan."""
        place, dicom = folder / DICOM_FOLDER, self._settings.dicom
        place.mkdir()
        writer = SeriesWriter(self._scan, place, settings=dicom)
        for block in self._blocks():
            writer.write(block)
        files = [place / name for name in writer.names]
        judge_written(files, self._scan.source, dicom)
        write_manifest(folder, [DICOM_FOLDER], dicom)
        return len(files)

    def _blocks(self) -> Iterator[CTVolume]:
        slices = self._scan.shape[0]
        with self._progress.stage("Fusing", slices) as advance:
            for start in range(0, slices, _SLICES_AT_ONCE):
                yield self._block(slice(start, min(start + _SLICES_AT_ONCE, slices)), advance)

    def _block(self, which: slice, advance: Callable[[int], None]) -> CTVolume:
        frames = [reader.read(which) for reader in self._readers]
        fused = fuse(frames, self._settings)
        self.sample.add(which.start, frames[0], fused)
        advance(fused.shape[0])
        return fused


def _joined(volumes: Sequence[CTVolume]) -> tuple[np.ndarray, np.ndarray | None]:
    """Voxels and padding of volumes that follow each other."""
    hu = np.concatenate([volume.hu for volume in volumes])
    if all(volume.padding is None for volume in volumes):
        return hu, None
    masks = [
        np.zeros(volume.shape, dtype=bool) if volume.padding is None else volume.padding
        for volume in volumes
    ]
    return hu, np.concatenate(masks)


def _record(
    scan: ScanFacts,
    settings: FuseSettings,
    noise: tuple[float | None, float | None],
    seconds: float,
) -> Run:
    return Run(
        command="fuse",
        settings=settings.as_json(),
        inputs={
            "frames": scan.history[-1].params["frames"],
            "kind": None if scan.source is None else scan.source.kind,
            "shape": list(scan.shape),
        },
        results={"noise_before_hu": noise[0], "noise_after_hu": noise[1]},
        timings_s={"all": seconds},
    )
