"""Training pairs on disk: one folder for each full-dose series, read without copying.

A folder holds `pair.json`, `full.nii`, one `low_<dose>.nii` for each dose and, if there is a
segmentation, `labels.nii`. Images are uncompressed int16 NIfTI in Hounsfield units, so that a
trainer can map them into memory and read a patch without reading the file. Padding (outside the
reconstruction circle) is stored as `PADDING_HU`, which no image voxel ever holds.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ctdenoise.core.acquisition import Acquisition
from ctdenoise.core.arrays import LabelArray
from ctdenoise.core.geometry import Geometry
from ctdenoise.core.pair import Exposure, Pair
from ctdenoise.core.source import SourceInstance, SourceSeries
from ctdenoise.core.volume import CTVolume
from ctdenoise.errors import PairsError, listed
from ctdenoise.io.checksum import sha256_of
from ctdenoise.io.pair_images import (
    PADDING_HU,
    StoredArray,
    mapped,
)
from ctdenoise.io.pair_manifest import (
    MANIFEST_FILE,
    ImageFile,
    PairManifest,
    read_manifest,
)

FULL_FILE = "full.nii"
LABELS_FILE = "labels.nii"


@dataclass(frozen=True, slots=True)
class LowDoseFile:
    """One low-dose twin.

    Args:
        path: Its image file.
        exposure: How it was made.
    """

    path: Path
    exposure: Exposure


@dataclass(frozen=True, slots=True, eq=False)
class PairArrays:
    """The images of a pair, mapped into memory and read-only.

    Args:
        full: Full dose, int16 HU [z, y, x]; padding is PADDING_HU.
        low: Each low dose, like `full`, in the order of `PairFiles.low`.
        labels: Segmentation, uint8 [z, y, x], or None.
    """

    full: StoredArray
    low: tuple[StoredArray, ...]
    labels: LabelArray | None


@dataclass(frozen=True, slots=True, eq=False)
class PairFiles:
    """A folder of a pair whose manifest and file sizes were checked.

    Args:
        folder: Where it lies.
        patient_key: Equal for series of one patient; empty where unknown. Split by it.
        full: Image file of the full dose.
        low: Image files of the low doses, in the order of the manifest.
        labels: File of the segmentation, or None.
        label_names: Name of each label, by number.
        geometry: The grid of all images, with the position of every slice.
        acquisition: How the full-dose scan was made.
    """

    folder: Path
    patient_key: str
    full: Path
    low: tuple[LowDoseFile, ...]
    labels: Path | None
    label_names: dict[int, str]
    geometry: Geometry
    acquisition: Acquisition

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
        """The images as read-only memory maps: nothing is read until it is used.

        Raises:
            PairsError: If a file has changed since it was found and is no image of this pair.
        """
        return PairArrays(
            full=mapped(self.full, self.shape, np.int16),
            low=tuple(mapped(low.path, self.shape, np.int16) for low in self.low),
            labels=None if self.labels is None else mapped(self.labels, self.shape, np.uint8),
        )


def find_pairs(paths: Sequence[Path]) -> tuple[PairFiles, ...]:
    """Every pair at or below some folders, in the order of the paths, then by folder name.

    Manifests, file sizes and headers are checked; `verify_pairs` also reads every byte.

    Args:
        paths: Folders of pairs, folders above them, or `pair.json` files.

    Raises:
        PairsError: If there is no pair, or any is damaged; every problem is listed.
    """
    manifests = list(dict.fromkeys(file for path in paths for file in _manifests_below(path)))
    problems = [f"{path}: there is no such file or folder" for path in paths if not path.exists()]
    found: list[PairFiles] = []
    for file in manifests:
        try:
            manifest = read_manifest(file)
        except PairsError as error:
            problems.append(f"{file}: {error.what}")
            continue
        files = _pair_files(file.parent, manifest)
        damage = _damage(files)
        problems.extend(damage)
        if not damage:
            found.append(files)
    if problems:
        raise PairsError(
            f"some training pairs cannot be used:\n{listed(problems)}",
            fix="Make them again with `ctdenoise simulate`, or leave their folders out.",
        )
    if not found:
        raise PairsError(
            f"no training pair ({MANIFEST_FILE}) was found.",
            where=", ".join(str(path) for path in paths) or None,
            fix="Make some with `ctdenoise simulate STUDY --out FOLDER`, or train on the scans "
            "themselves: ctdenoise train STUDY --config recorrupted.",
        )
    return tuple(found)


def verify_pairs(pairs: Iterable[PairFiles]) -> None:
    """Read every file once and compare it with the digest in its manifest.

    Args:
        pairs: As found by `find_pairs`.

    Raises:
        PairsError: If a file was changed or damaged since it was written; all are listed.
    """
    problems: list[str] = []
    for files in pairs:
        manifest = read_manifest(files.folder / MANIFEST_FILE)
        images = [manifest.full, *(image for image, _ in manifest.low)]
        images += [] if manifest.labels is None else [manifest.labels]
        problems.extend(
            f"{files.folder / image.file}: the content is not what was written (SHA-256 differs)"
            for image in images
            if sha256_of(files.folder / image.file) != image.sha256
        )
    if problems:
        raise PairsError(
            f"some training pairs are damaged:\n{listed(problems)}",
            fix="Make them again with `ctdenoise simulate`.",
        )


def read_pair(files: PairFiles, index: int = 0, *, slices: Sequence[int] | None = None) -> Pair:
    """A pair as volumes, with the history of both; padding becomes the mask again.

    Args:
        files: As found by `find_pairs`.
        index: Which of the low doses.
        slices: Numbers of the slices to read, from 0; None for all.

    Raises:
        PairsError: If there is no such low dose, or a file was changed since it was found.
    """
    manifest = read_manifest(files.folder / MANIFEST_FILE)
    if not 0 <= index < len(manifest.low):
        raise PairsError(
            f"there is no low dose number {index}; the pair has {len(manifest.low)}.",
            where=files.folder,
        )
    arrays = files.open()
    image, exposure = manifest.low[index]
    numbers = list(range(files.shape[0]) if slices is None else slices)
    return Pair(
        full=_volume(files, manifest.full, arrays.full, numbers),
        low=_volume(files, image, arrays.low[index], numbers),
        exposure=exposure,
        labels=None if arrays.labels is None else np.array(arrays.labels[numbers]),
        label_names=dict(files.label_names),
    )


def _manifests_below(path: Path) -> list[Path]:
    if path.is_file():
        return [path] if path.name == MANIFEST_FILE else []
    found: list[Path] = []
    for parent, folders, names in os.walk(path):
        # Hidden folders are outputs that another run is still writing.
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if MANIFEST_FILE in names:
            found.append(Path(parent) / MANIFEST_FILE)
    return found


def _pair_files(folder: Path, manifest: PairManifest) -> PairFiles:
    return PairFiles(
        folder=folder,
        patient_key=manifest.patient_key,
        full=folder / manifest.full.file,
        low=tuple(LowDoseFile(folder / image.file, dose) for image, dose in manifest.low),
        labels=None if manifest.labels is None else folder / manifest.labels.file,
        label_names=manifest.label_names,
        geometry=manifest.geometry,
        acquisition=manifest.acquisition,
    )


def _damage(files: PairFiles) -> list[str]:
    images: list[tuple[Path, type[np.generic]]] = [(files.full, np.int16)]
    images += [(low.path, np.int16) for low in files.low]
    if files.labels is not None:
        images.append((files.labels, np.uint8))
    problems = []
    for path, dtype in images:
        try:
            mapped(path, files.shape, dtype)
        except PairsError as error:
            problems.append(f"{path}: {error.what}")
    return problems


def _volume(files: PairFiles, image: ImageFile, stored: StoredArray, slices: list[int]) -> CTVolume:
    instances = tuple(SourceInstance(files.folder / image.file, frame=z) for z in slices)
    chosen = stored[slices]
    padding = chosen == PADDING_HU
    return CTVolume(
        hu=chosen.astype(np.float32),
        geometry=files.geometry.select(slices),
        acquisition=files.acquisition.select(slices),
        source=SourceSeries("nifti", instances, patient_key=files.patient_key),
        history=image.history,
        padding=padding if padding.any() else None,
    )
