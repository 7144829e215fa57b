"""Odd studies beyond the published table."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset
from pydicom.fileset import FileSet

from tests.dicom.builders import series_files, uid
from tests.dicom.zoo import (
    SLICES,
    Case,
    TrueSlice,
    axial,
    true_slices,
    zoo_series,
    zoo_volume,
)
from tests.dicom.zoo_cases import plain
from tests.dicom.zoo_files import enhanced


def medium(folder: Path, size: int) -> tuple[TrueSlice, ...]:
    """An exported medium: a DICOMDIR, and in folders a series and another study that it lists."""
    volume = zoo_volume(size)
    files = FileSet()
    for dataset in zoo_series(volume):
        files.add(_with_meta(dataset))
    other = zoo_series(zoo_volume(size, geometry=axial(size, [0.0])), series="2")[0]
    other.Modality, other.SOPClassUID = "OT", "1.2.840.10008.5.1.4.1.1.7"
    other.StudyInstanceUID, other.SOPInstanceUID = uid("other study"), uid("other image")
    files.add(_with_meta(other))
    files.write(folder)
    files._stage["t"].cleanup()  # or it is complained about when it is collected
    return true_slices(volume)


def _with_meta(dataset: Dataset) -> Dataset:
    dataset.ensure_file_meta()
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    return dataset


def _no_rescale_unsigned(folder: Path, size: int) -> tuple[TrueSlice, ...]:
    def edit(dataset: Dataset, index: int) -> None:
        del dataset.RescaleSlope, dataset.RescaleIntercept

    return plain(folder, size, edit=edit)


def _stored_without_rescale(folder: Path, size: int) -> tuple[TrueSlice, ...]:
    """Signed, the rescale lost before it was applied."""

    def edit(dataset: Dataset, index: int) -> None:
        del dataset.RescaleSlope, dataset.RescaleIntercept

    volume = zoo_volume(size)
    series_files(folder, zoo_series(volume, signed=True, intercept=-1024.0, edit=edit))
    return true_slices(volume)


def _padding_range(folder: Path, size: int) -> tuple[TrueSlice, ...]:
    """Padding as a range, its ends the other way round."""

    def edit(dataset: Dataset, index: int) -> None:
        words = np.frombuffer(dataset.PixelData, "<u2").copy()
        words[:3] = (4093, 4094, 4095)
        dataset.PixelData = words.tobytes()
        dataset.add_new(0x00280120, "US", 4095)
        dataset.add_new(0x00280121, "US", 4093)

    return plain(folder, size, edit=edit)


def _private_pixels(folder: Path, size: int) -> tuple[TrueSlice, ...]:
    """A private copy of the pixels before the real ones, as some archives keep."""

    def edit(dataset: Dataset, index: int) -> None:
        block = dataset.private_block(0x0029, "MAKER PIXELS", create=True)
        block.add_new(0x10, "OW", bytes(len(dataset.PixelData)))

    return plain(folder, size, edit=edit)


def _three_kernels(folder: Path, size: int) -> tuple[TrueSlice, ...]:
    """One series number, three reconstructions of the same positions."""
    truth: list[TrueSlice] = []
    for seed, kernel in enumerate(("B30f", "B50f", "B70f")):
        volume = zoo_volume(size, seed=seed)

        def edit(dataset: Dataset, index: int, seed: int = seed, kernel: str = kernel) -> None:
            dataset.SOPInstanceUID = uid("kernel", seed, index)
            dataset.ConvolutionKernel = kernel

        names = [f"{seed}{index:03d}" for index in range(SLICES)]
        series_files(folder, zoo_series(volume, edit=edit), names=names)
        truth += true_slices(volume, seed=seed)
    return tuple(truth)


MORE_CASES = (
    Case("50_dicomdir", medium, entry="DICOMDIR"),
    Case("51_folder_with_dicomdir", medium),
    Case("52_enhanced_shuffled", partial(enhanced, shuffled=True), findings=("multi-frame",)),
    Case("53_no_rescale_unsigned", _no_rescale_unsigned, (), ("Hounsfield units are unknown",)),
    Case("54_rescale_lost", _stored_without_rescale, (), ("do not show that they are",)),
    Case("55_padding_range", _padding_range, findings=("padding",)),
    Case("56_private_pixels", _private_pixels),
    Case("57_three_kernels", _three_kernels, (12, 12, 12)),
)
"""As `zoo_cases.CASES`."""
