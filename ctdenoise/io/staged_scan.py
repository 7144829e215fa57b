"""Plain scans as training reads them: whole Hounsfield units in a file that is mapped.

A series is read once through the one door (`find_series`, `open_series`) into a temporary file
without a name, which the system removes with the process, however that ends: no copy of a patient
is left behind. A resumed run reads the series again.
"""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ctdenoise.core.acquisition import Acquisition
from ctdenoise.core.geometry import Geometry
from ctdenoise.core.progress import SILENT, Progress
from ctdenoise.core.volume import CTVolume
from ctdenoise.errors import OutputError, StudyError, UsageError, listed
from ctdenoise.io.pair_images import PADDING_HU, StoredArray, stored_hu
from ctdenoise.io.pair_manifest import MANIFEST_FILE
from ctdenoise.io.pairs import LowDoseFile, PairArrays
from ctdenoise.io.read import open_series
from ctdenoise.io.study import FoundSeries, find_series

_log = logging.getLogger(__name__)

_BLOCK_SLICES = 32


@dataclass(frozen=True, slots=True, eq=False)
class StagedScan:
    """A series to learn from by itself; it has what a pair has, without low doses and labels.

    Args:
        number: Counts the series of a run, from 1.
        patient_key: Equal for series of one patient; empty where unknown. Split by it.
        geometry: The grid, with the position of every slice.
        acquisition: How it was scanned.
        stored: Voxels, int16 HU [z, y, x]; padding is PADDING_HU.
        sha256: Of these voxels.
    """

    number: int
    patient_key: str
    geometry: Geometry
    acquisition: Acquisition
    stored: StoredArray = field(repr=False)
    sha256: str
    low: tuple[LowDoseFile, ...] = ()
    labels: None = None
    label_names: dict[int, str] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """What it is called in messages: names of its files may be those of a patient."""
        return Path(f"series {self.number}")

    @property
    def shape(self) -> tuple[int, int, int]:
        """Size along [z, y, x]."""
        return self.geometry.shape

    @property
    def pixel_spacing_mm(self) -> tuple[float, float]:
        """Distance between rows, then between columns."""
        return self.geometry.pixel_spacing_mm

    @property
    def slice_thickness_mm(self) -> float | None:
        """Nominal thickness of a slice; None where unknown."""
        return self.acquisition.slice_thickness_mm

    @property
    def kernel(self) -> str | None:
        """Reconstruction kernel as the maker names it; None where unknown."""
        return self.acquisition.convolution_kernel

    @property
    def kvp(self) -> float | None:
        """Peak tube voltage, kV; None where unknown."""
        return self.acquisition.kvp

    def open(self) -> PairArrays:
        """The voxels in place of a full dose."""
        return PairArrays(full=self.stored, low=(), labels=None)

    def sample(self, indices: Sequence[int]) -> CTVolume:
        """Some slices as a volume.

        Args:
            indices: Which, in order.
        """
        chosen = np.array(self.stored[list(indices)])
        padding = chosen == PADDING_HU
        return CTVolume(
            hu=chosen.astype(np.float32),
            geometry=self.geometry.select(indices),
            acquisition=self.acquisition.select(indices),
            padding=padding if padding.any() else None,
        )


def stage_scans(studies: Sequence[Path], progress: Progress = SILENT) -> tuple[StagedScan, ...]:
    """Every readable CT series at or below some folders.

    Args:
        studies: Folders or files, DICOM or image files.
        progress: Told about every slice.

    Raises:
        UsageError: If there are training pairs among them.
        StudyError: If there is no readable series.
        OutputError: If they find no room where temporary files are kept.
    """
    pairs = [study for study in studies if _holds_pairs(study)]
    if pairs:
        raise UsageError(
            f"these folders hold training pairs ({MANIFEST_FILE}), but supervision without pairs "
            f"was asked for:\n{listed([str(path) for path in pairs])}",
            fix="Name the folders of the scans themselves, or train on the pairs with "
            "supervision.name=pairs or noisy_target.",
        )
    found = [series for study in studies for series in find_series(study)]
    readable = [series for series in found if series.readable]
    if not readable:
        raise StudyError(
            "no series here can be read as CT:\n"
            + listed([f"{series.what}: {p}" for series in found for p in series.problems]),
            where=", ".join(str(study) for study in studies),
        )
    if len(readable) < len(found):
        _log.warning(
            "%d of %d series are left out: `ctdenoise inspect` says why.",
            len(found) - len(readable),
            len(found),
        )
    with progress.stage("Reading", sum(series.slices for series in readable)) as advance:
        staged = []
        for number, series in enumerate(readable, start=1):
            staged.append(_staged(series, number))
            advance(series.slices)
    return tuple(staged)


def _holds_pairs(path: Path) -> bool:
    if path.is_file():
        return path.name == MANIFEST_FILE
    return any(MANIFEST_FILE in names for _, _, names in os.walk(path))


def _staged(series: FoundSeries, number: int) -> StagedScan:
    with open_series(series) as reader:
        stored = _unnamed(reader.shape)
        digest = hashlib.sha256()
        for start in range(0, reader.shape[0], _BLOCK_SLICES):
            block = reader.read(slice(start, start + _BLOCK_SLICES))
            stored[start : start + _BLOCK_SLICES] = stored_hu(block, block.padding)
            digest.update(stored[start : start + _BLOCK_SLICES].data)
        stored.setflags(write=False)
        return StagedScan(
            number=number,
            patient_key="" if reader.source is None else reader.source.patient_key,
            geometry=reader.geometry,
            acquisition=reader.acquisition,
            stored=stored,
            sha256=digest.hexdigest(),
        )


def _unnamed(shape: tuple[int, int, int]) -> StoredArray:
    """An array in a temporary file that has no name and goes with the array.

    Args:
        shape: Size along [z, y, x].

    Raises:
        OutputError: If there is no room for it.
    """
    size = int(np.prod(shape)) * np.dtype(np.int16).itemsize
    with tempfile.TemporaryFile() as file:
        try:
            file.truncate(size)
            if hasattr(os, "posix_fallocate"):
                # Without room set aside, a full disk kills the process where a slice is written.
                os.posix_fallocate(file.fileno(), 0, size)
        except OSError as error:
            raise OutputError(
                f"there is no room for {size / 2**20:.0f} MB of slices.",
                where=tempfile.gettempdir(),
                fix="Free some space, or set TMPDIR to a folder on another disk.",
            ) from error
        # A plain view: indexing np.memmap itself costs microseconds more each time.
        return np.asarray(np.memmap(file, np.int16, mode="r+", shape=shape))
