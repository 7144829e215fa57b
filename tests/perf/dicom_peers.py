"""How each DICOM reader that we compare is called, as its own documentation shows.

Each function takes a folder and gives what the reader made of it, in Hounsfield units, with the
place of every voxel as the reader states it. It raises where the reader refuses. The first import
of a reader's libraries happens when its function is asked for, not when it is timed.
"""

from __future__ import annotations

import logging
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.dicom.zoo import Affine, Grid

Reader = Callable[[Path], list[Grid]]

_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""From RAS to LPS and back."""


def files_below(folder: Path) -> list[Path]:
    """All files, sorted by name."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def ours() -> Reader:
    """ctdenoise: every series that it reads; warnings about them go to stderr."""
    from ctdenoise.errors import StudyError
    from ctdenoise.io.read import read_volume
    from ctdenoise.io.study import find_series

    def read(folder: Path) -> list[Grid]:
        grids = []
        found = find_series(folder)
        for series in found:
            if not series.readable:
                continue
            for finding in series.notes:
                if finding.severity == "warning":
                    print(f"WARNING {finding}", file=sys.stderr)
            volume = read_volume(series)
            geometry = volume.geometry
            affine = np.eye(4)
            affine[:3, 0] = np.array(geometry.row_direction) * geometry.pixel_spacing_mm[1]
            affine[:3, 1] = np.array(geometry.column_direction) * geometry.pixel_spacing_mm[0]
            affine[:3, 2] = geometry.normal
            for hu, position in zip(volume.hu, geometry.positions_mm, strict=True):
                placed = affine.copy()
                placed[:3, 3] = position
                grids.append(Grid(hu.T[..., None], placed))
        if not grids:
            raise StudyError("; ".join(problem for s in found for problem in s.problems))
        return grids

    return read


def pydicom_naive() -> Reader:
    """What many scripts do: sort by z, rescale each file, space by first and last position."""
    from pydicom import dcmread

    def read(folder: Path) -> list[Grid]:
        slices = [dcmread(path) for path in files_below(folder) if path.suffix != ".txt"]
        slices.sort(key=lambda one: float(one.ImagePositionPatient[2]))
        hu = np.stack(
            [
                one.pixel_array * float(one.RescaleSlope) + float(one.RescaleIntercept)
                for one in slices
            ]
        )
        first, last = (np.array(one.ImagePositionPatient, float) for one in (slices[0], slices[-1]))
        orientation = np.array(slices[0].ImageOrientationPatient, float)
        rows_mm, columns_mm = (float(value) for value in slices[0].PixelSpacing)
        affine = np.eye(4)
        affine[:3, 0], affine[:3, 1] = orientation[:3] * columns_mm, orientation[3:] * rows_mm
        affine[:3, 2] = (
            (last - first) / (len(slices) - 1)
            if len(slices) > 1
            else np.cross(orientation[:3], orientation[3:])
        )
        affine[:3, 3] = first
        return [Grid(hu.transpose(2, 1, 0), affine)]

    return read


def simpleitk() -> Reader:
    """SimpleITK's series reader on every series that it finds in the folder."""
    import SimpleITK

    def read(folder: Path) -> list[Grid]:
        grids = []
        for series in SimpleITK.ImageSeriesReader.GetGDCMSeriesIDs(str(folder)):
            reader = SimpleITK.ImageSeriesReader()
            reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder), series))
            image = reader.Execute()
            if image.GetDimension() == 4:  # one multi-frame file
                image = image[..., 0]
            direction = np.array(image.GetDirection()).reshape(3, 3)
            affine = np.eye(4)
            affine[:3, :3] = direction * np.array(image.GetSpacing())
            affine[:3, 3] = image.GetOrigin()
            grids.append(Grid(SimpleITK.GetArrayFromImage(image).transpose(2, 1, 0), affine))
        return grids

    return read


def _monai(reader_name: str) -> Reader:
    from monai.transforms import LoadImage

    if reader_name == "ITKReader":
        import itk

        itk.ImageSeriesReader  # noqa: B018 - loads the library now
    load = LoadImage(reader=reader_name, image_only=True)

    def read(folder: Path) -> list[Grid]:
        image = load(str(folder))
        affine = _LPS @ np.asarray(image.affine, dtype=np.float64)
        return [Grid(np.asarray(image), affine)]

    return read


def monai_itk() -> Reader:
    """MONAI's LoadImage with its ITKReader, the default for DICOM."""
    return _monai("ITKReader")


def monai_pydicom() -> Reader:
    """MONAI's LoadImage with its PydicomReader."""
    return _monai("PydicomReader")


def highdicom() -> Reader:
    """highdicom: a series of files, or one multi-frame file."""
    import highdicom
    from pydicom import dcmread

    def read(folder: Path) -> list[Grid]:
        paths = [path for path in files_below(folder) if path.suffix != ".txt"]
        datasets = [dcmread(path) for path in paths]
        if len(datasets) == 1 and "NumberOfFrames" in datasets[0]:
            volume = highdicom.imread(paths[0]).get_volume()
        else:
            volume = highdicom.get_volume_from_series(datasets)
        return [Grid(volume.array, volume.affine)]

    return read


def _nifti_grids(folder: Path) -> list[Grid]:
    import nibabel

    grids = []
    for path in sorted(folder.glob("*.nii*")):
        image = nibabel.load(path)
        affine: Affine = _LPS @ image.affine
        array = image.get_fdata(dtype=np.float32)
        if array.ndim == 2:
            array = array[..., None]
        times = [array] if array.ndim == 3 else [array[..., k] for k in range(array.shape[3])]
        grids += [Grid(one, affine) for one in times if one.ndim == 3]
    return grids


def dicom2nifti() -> Reader:
    """dicom2nifti's conversion of a folder, read back with nibabel."""
    import dicom2nifti as converter
    import nibabel  # noqa: F401 - loaded before the time starts

    logging.basicConfig(level=logging.WARNING)

    def read(folder: Path) -> list[Grid]:
        with tempfile.TemporaryDirectory() as out:
            converter.convert_directory(str(folder), out, compression=False, reorient=False)
            return _nifti_grids(Path(out))

    return read


def dcm2niix() -> Reader:
    """dcm2niix's conversion of a folder, read back with nibabel; any of its images may be right."""
    import nibabel  # noqa: F401 - loaded before the time starts

    program = shutil.which("dcm2niix")
    if program is None:
        raise ImportError("dcm2niix is not installed")

    def read(folder: Path) -> list[Grid]:
        with tempfile.TemporaryDirectory() as out:
            command = [program, "-b", "n", "-z", "n", "-f", "%s_%p", "-o", out, str(folder)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            for line in (done.stdout + done.stderr).splitlines():
                if "warning" in line.lower() or "error" in line.lower():
                    print(line, file=sys.stderr)
            return _nifti_grids(Path(out))

    return read


READERS: dict[str, Callable[[], Reader]] = {
    "ctdenoise": ours,
    "pydicom, naive": pydicom_naive,
    "SimpleITK": simpleitk,
    "MONAI ITKReader": monai_itk,
    "MONAI PydicomReader": monai_pydicom,
    "highdicom": highdicom,
    "dicom2nifti": dicom2nifti,
    "dcm2niix": dcm2niix,
}
"""What is compared, in the order of the tables."""
