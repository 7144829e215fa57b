"""Small studies that are sent to the service, and what must become of them.

A study has series of three fates: `wanted` (a rule wants it, and it is processed), `unwanted`
(skipped by a rule) and `unfit` (a rule wants it, and it cannot be processed: it has no rescale).
Every voxel of every study differs from study to study.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from pydicom.dataset import Dataset

from tests.builders import water_disc
from tests.dicom.builders import ct_series, series_files, uid

Fate = Literal["wanted", "unwanted", "unfit"]
KERNELS: dict[Fate, str] = {"wanted": "B30f", "unwanted": "B70f", "unfit": "B30f"}
"""What tells the series of each fate apart for rules (ConvolutionKernel)."""


@dataclass(frozen=True, slots=True)
class SentInstance:
    """One instance of a study.

    Args:
        uid: SOPInstanceUID.
        path: Its file.
        pixels_sha256: Digest of its pixel data.
    """

    uid: str
    path: Path
    pixels_sha256: str


@dataclass(frozen=True, slots=True)
class SentSeries:
    """One series of a study.

    Args:
        uid: SeriesInstanceUID.
        fate: What must become of it.
        instances: What is sent of it.
    """

    uid: str
    fate: Fate
    instances: tuple[SentInstance, ...]


@dataclass(frozen=True, slots=True)
class SentStudy:
    """One study.

    Args:
        name: Tells it apart in the tests.
        uid: StudyInstanceUID.
        folder: Holds its files, at any depth.
        series: All of its series.
    """

    name: str
    uid: str
    folder: Path
    series: tuple[SentSeries, ...]

    @property
    def paths(self) -> list[Path]:
        """All files, one series after the other."""
        return [instance.path for series in self.series for instance in series.instances]

    def first(self, count: int) -> SentStudy:
        """The study of a sender that broke off after so many instances of its first series."""
        series = replace(self.series[0], instances=self.series[0].instances[:count])
        return replace(self, series=(series,))

    def of(self, fate: Fate) -> tuple[SentSeries, ...]:
        """Its series of one fate."""
        return tuple(series for series in self.series if series.fate == fate)


def pixels_digest(dataset: Dataset) -> str:
    """Digest of the pixel data as they are stored."""
    return hashlib.sha256(dataset.PixelData).hexdigest()


def make_study(
    folder: Path,
    name: str,
    *,
    fates: Sequence[Fate] = ("wanted", "unwanted"),
    slices: int = 8,
    size: int = 64,
) -> SentStudy:
    """Write a study of several series as files.

    Args:
        folder: Gets a folder for the study.
        name: Decides all UIDs and voxels.
        fates: One series for each.
        slices: Of each series.
        size: Rows and columns.
    """
    study_uid = uid("study", name)
    made = []
    for number, fate in enumerate(fates, 1):
        datasets = _series(name, number, fate, slices, size, study_uid)
        paths = series_files(folder / name / f"series{number}", datasets)
        instances = tuple(
            SentInstance(str(dataset.SOPInstanceUID), path, pixels_digest(dataset))
            for dataset, path in zip(datasets, paths, strict=True)
        )
        made.append(SentSeries(str(datasets[0].SeriesInstanceUID), fate, instances))
    return SentStudy(name, study_uid, folder / name, tuple(made))


def _series(
    name: str, number: int, fate: Fate, slices: int, size: int, study_uid: str
) -> list[Dataset]:
    def edit(dataset: Dataset, index: int) -> None:
        dataset.StudyInstanceUID = study_uid
        dataset.SeriesInstanceUID = uid("series", f"{name}/{number}")
        dataset.SOPInstanceUID = uid("instance", f"{name}/{number}/{index}")
        dataset.FrameOfReferenceUID = uid("frame of reference", name)
        dataset.ConvolutionKernel = KERNELS[fate]

    seed = zlib.crc32(f"{name} {number}".encode())
    volume = water_disc(slices=slices, size=size, pixel_spacing_mm=2.0, noise_hu=20.0, seed=seed)
    volume = replace(volume, hu=volume.hu.clip(-1024))  # what unsigned pixels can hold
    datasets = ct_series(volume, series=str(number), edit=edit)
    if fate == "unfit":
        for dataset in datasets:
            del dataset.RescaleSlope, dataset.RescaleIntercept
    return datasets
