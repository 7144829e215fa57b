"""The 46 odd studies and what must become of each, in the order of the published table.

Cases of positions, names, numbers and contents of a folder are here; those that spoil how a file or
its header is written are in `zoo_files`.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from ctdenoise.core.geometry import Geometry
from tests.dicom.builders import as_bytes, series_files, uid
from tests.dicom.zoo import (
    SLICES,
    Case,
    TrueSlice,
    axial,
    oriented,
    true_slices,
    zoo_series,
    zoo_volume,
)
from tests.dicom.zoo_files import FILE_CASES

Edit = Callable[[Dataset, int], None]


def plain(
    folder: Path,
    size: int,
    *,
    geometry: Geometry | None = None,
    names: Sequence[str] | None = None,
    edit: Edit | None = None,
) -> tuple[TrueSlice, ...]:
    """A series on some grid, in files of some names, edited."""
    volume = zoo_volume(size, geometry=geometry)
    series_files(folder, zoo_series(volume, edit=edit), names=names)
    return true_slices(volume)


def _reversed_names(folder: Path, size: int) -> tuple[TrueSlice, ...]:
    return plain(folder, size, names=[f"{SLICES - index:04d}.dcm" for index in range(SLICES)])


def _gantry_tilt(folder: Path, size: int) -> tuple[TrueSlice, ...]:
    angle = np.radians(18.5)
    column = (0.0, float(np.cos(angle)), float(-np.sin(angle)))
    geometry = oriented(size, (1.0, 0.0, 0.0), column, advance=(0.0, 0.0, 1.0))

    def edit(dataset: Dataset, index: int) -> None:
        dataset.GantryDetectorTilt = "-18.5"

    return plain(folder, size, geometry=geometry, edit=edit)


def _missing_slice(folder: Path, size: int) -> tuple[TrueSlice, ...]:
    truth = plain(folder, size)
    (folder / "0005.dcm").unlink()
    return (*truth[:4], *truth[5:])


def _file_twice(folder: Path, size: int) -> tuple[TrueSlice, ...]:
    truth = plain(folder, size)
    shutil.copy(folder / "0005.dcm", folder / "0005 copy.dcm")
    return truth


def _position_twice(folder: Path, size: int) -> tuple[TrueSlice, ...]:
    """Another image, an instance of its own, at the place of the fifth."""
    truth = plain(folder, size)
    other = zoo_series(zoo_volume(size, seed=1))[4]
    other.SOPInstanceUID, other.InstanceNumber = uid("another"), "13"
    (folder / "0013.dcm").write_bytes(as_bytes(other))
    return truth


def _two(folder: Path, size: int, *, one_series: bool) -> tuple[TrueSlice, ...]:
    truth: list[TrueSlice] = []
    for seed in (0, 1):
        volume = zoo_volume(size, seed=seed)

        def edit(dataset: Dataset, index: int, seed: int = seed) -> None:
            dataset.SOPInstanceUID = uid("one of two", seed, index)
            if one_series:
                dataset.InstanceNumber = str(1 + index + seed * SLICES)
                dataset.AcquisitionNumber = str(1 + seed)
                dataset.AcquisitionTime = ("101212", "101240")[seed]

        datasets = zoo_series(volume, series="1" if one_series else str(1 + seed), edit=edit)
        series_files(folder, datasets, names=[f"{seed}{i:03d}.dcm" for i in range(SLICES)])
        truth += true_slices(volume, seed=seed)
    return tuple(truth)


def _two_series(folder: Path, size: int) -> tuple[TrueSlice, ...]:
    return _two(folder, size, one_series=False)


def _two_phases(folder: Path, size: int) -> tuple[TrueSlice, ...]:
    return _two(folder, size, one_series=True)


def _localizer_in_series(folder: Path, size: int) -> tuple[TrueSlice, ...]:
    """A coronal scout of another matrix under the same SeriesInstanceUID."""
    truth = plain(folder, size)
    down = oriented(size * 2, (1.0, 0.0, 0.0), (0.0, 0.0, -1.0), [0.0])
    scout = zoo_series(zoo_volume(size * 2, geometry=down))[0]
    scout.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    scout.SOPInstanceUID, scout.InstanceNumber = uid("scout"), "0"
    (folder / "0000.dcm").write_bytes(as_bytes(scout))
    return truth


OTHER_OBJECTS = {
    "1.2.840.10008.5.1.4.1.1.66.4": ("SEG", "segmentation"),
    "1.2.840.10008.5.1.4.1.1.88.67": ("SR", "dose report"),
    "1.2.840.10008.5.1.4.1.1.88.33": ("SR", "structured report"),
    "1.2.840.10008.5.1.4.1.1.88.59": ("KO", "key object selection"),
    "1.2.840.10008.5.1.4.1.1.104.1": ("DOC", "PDF"),
    "1.2.840.10008.5.1.4.1.1.11.1": ("PR", "presentation state"),
    "1.2.840.10008.5.1.4.1.1.7": ("OT", "secondary capture"),
}
"""Modality and our word for each kind of object beside the images."""


def _mixed_objects(folder: Path, size: int) -> tuple[TrueSlice, ...]:
    """Objects of the same study without a place, some without pixels, and a text file."""
    truth = plain(folder, size)
    template = zoo_series(zoo_volume(size))[0]
    placed = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness")
    pixels = ("PixelData", "Rows", "Columns", "RescaleSlope", "RescaleIntercept")
    for number, (sop_class, (modality, _)) in enumerate(OTHER_OBJECTS.items()):
        other = zoo_series(zoo_volume(size), series=f"9{number}")[0]
        other.SOPClassUID, other.Modality = sop_class, modality
        for keyword in (*placed, *(() if modality in ("OT", "SEG") else pixels)):
            delattr(other, keyword)
        other.SOPInstanceUID = uid("other", number)
        other.StudyInstanceUID = template.StudyInstanceUID
        (folder / f"other{number}.dcm").write_bytes(as_bytes(other))
    (folder / "readme.txt").write_text("exported\n")
    return truth


def _no_extension(folder: Path, size: int) -> tuple[TrueSlice, ...]:
    return plain(folder, size, names=[f"IM{index:05d}" for index in range(SLICES)])


def _at_heights(*heights_mm: float) -> Callable[[Path, int], tuple[TrueSlice, ...]]:
    def make(folder: Path, size: int) -> tuple[TrueSlice, ...]:
        return plain(folder, size, geometry=axial(size, heights_mm))

    return make


def _jitter(folder: Path, size: int) -> tuple[TrueSlice, ...]:
    """Positions as a table that is read off at 0.01 mm gives them."""
    offsets = np.random.default_rng(7).choice([-0.004, 0.0, 0.004], SLICES)
    heights = [float(index * 2.5 + offsets[index]) for index in range(SLICES)]
    return plain(folder, size, geometry=axial(size, heights))


def _coronal(folder: Path, size: int) -> tuple[TrueSlice, ...]:
    return plain(folder, size, geometry=oriented(size, (1, 0, 0), (0, 0, -1)))


def _decubitus(folder: Path, size: int) -> tuple[TrueSlice, ...]:
    def edit(dataset: Dataset, index: int) -> None:
        dataset.PatientPosition = "HFDR"

    return plain(folder, size, geometry=oriented(size, (0, 1, 0), (-1, 0, 0)), edit=edit)


def _mixed_matrix(folder: Path, size: int) -> tuple[TrueSlice, ...]:
    """The upper half of a series in twice the matrix."""
    truth: list[TrueSlice] = []
    half = SLICES // 2
    for seed, rows in enumerate((size, size * 2)):
        heights = [2.5 * (index + seed * half) for index in range(half)]
        volume = zoo_volume(rows, seed=seed, geometry=axial(rows, heights))

        def edit(dataset: Dataset, index: int, seed: int = seed) -> None:
            dataset.SOPInstanceUID = uid("half", seed, index)
            dataset.InstanceNumber = str(1 + index + seed * half)

        names = [f"{seed}{index:03d}.dcm" for index in range(half)]
        series_files(folder, zoo_series(volume, edit=edit), names=names)
        truth += true_slices(volume, seed=seed)
    return tuple(truth)


def _without(*keywords: str) -> Callable[[Path, int], tuple[TrueSlice, ...]]:
    def make(folder: Path, size: int) -> tuple[TrueSlice, ...]:
        def edit(dataset: Dataset, index: int) -> None:
            for keyword in keywords:
                delattr(dataset, keyword)

        return plain(folder, size, edit=edit)

    return make


def _single_slice(folder: Path, size: int) -> tuple[TrueSlice, ...]:
    return plain(folder, size, geometry=axial(size, [0.0]))


def _numbered(numbers: Sequence[int | None]) -> Callable[[Path, int], tuple[TrueSlice, ...]]:
    def make(folder: Path, size: int) -> tuple[TrueSlice, ...]:
        def edit(dataset: Dataset, index: int) -> None:
            dataset.InstanceNumber = numbers[index]

        return plain(folder, size, edit=edit)

    return make


_SHUFFLED = (7, 2, 11, 5, 1, 9, 12, 3, 8, 6, 10, 4)
_UNEVEN_MM = (0.0, 2.5, 5.0, 7.5, 10.0, 12.5, 17.5, 22.5, 27.5, 32.5, 37.5, 42.5)

_PLACE_CASES = (
    Case("01_plain", plain),
    Case("02_reversed_names", _reversed_names),
    Case("03_gantry_tilt", _gantry_tilt, findings=("gantry-tilt",)),
    Case("04_missing_slice", _missing_slice, (11,), findings=("missing-slices",)),
    Case("05_dup_file", _file_twice, findings=("copies-left-out",)),
    Case("06_dup_position", _position_twice, (), ("lie at the position of another one",)),
    Case("07_two_series", _two_series, (12, 12)),
    Case("08_two_phases", _two_phases, (12, 12)),
    Case("09_localizer_in_series", _localizer_in_series),
    Case("10_mixed_objects", _mixed_objects),
    Case("11_no_ext", _no_extension),
    Case("20_no_thickness", _without("SliceThickness")),
    Case("24_variable_spacing", _at_heights(*_UNEVEN_MM), findings=("uneven-spacing",)),
    Case("25_jitter", _jitter),
    Case("29_coronal", _coronal),
    Case("30_decubitus", _decubitus),
    Case("31_mixed_matrix", _mixed_matrix, (6, 6)),
    Case("33_no_ipp", _without("ImagePositionPatient"), (), ("ImagePositionPatient is missing",)),
    Case("34_single_slice", _single_slice, (1,)),
    Case("38_instance_shuffled", _numbered(_SHUFFLED)),
    Case("39_instance_missing", _numbered([None] * SLICES)),
    Case("40_instance_all_same", _numbered([1] * SLICES)),
)

CASES: tuple[Case, ...] = tuple(sorted((*_PLACE_CASES, *FILE_CASES), key=lambda case: case.name))
"""The 46 cases."""
