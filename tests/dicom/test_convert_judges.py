"""What is converted lies where dcm2niix and SimpleITK put it, each reading the same DICOM."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 - its usual name

from ctdenoise.config.conversion import ConvertSettings
from ctdenoise.io.read import read_volume
from ctdenoise.tasks import convert
from tests.dicom.builders import ct_series, marked_volume, series_files
from tests.dicom.reading import oriented

ORIENTATIONS = {
    "axial": ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)),
    "coronal": ((1.0, 0.0, 0.0), (0.0, 0.0, -1.0)),
    "decubitus": ((0.0, 1.0, 0.0), (-1.0, 0.0, 0.0)),
    "feet first": ((-1.0, 0.0, 0.0), (0.0, 1.0, 0.0)),
    "prone": ((-1.0, 0.0, 0.0), (0.0, -1.0, 0.0)),
    "oblique": ((0.8, 0.6, 0.0), (0.36, -0.48, -0.8)),
}
POSITION_MM = 2e-3
"""NIfTI keeps float32, and dcm2niix computes its affine in it."""


@pytest.fixture(scope="session")
def dcm2niix() -> str:
    """The program; the test is skipped where it is not installed."""
    program = shutil.which("dcm2niix")
    if program is None:
        pytest.skip("dcm2niix is not installed")
    return program


def judged(program: str, study: Path, out: Path) -> list[Path]:
    """What dcm2niix makes of a folder."""
    out.mkdir()
    done = subprocess.run(
        [program, "-z", "n", "-b", "n", "-f", "a", "-o", str(out), str(study)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return sorted(out.glob("*.nii"))


def canonical(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Voxels and affine with the axes in one order, so that only places and values are compared."""
    image = nib.as_closest_canonical(nib.load(path))
    return np.asarray(image.dataobj), image.affine


@pytest.mark.parametrize("name", ORIENTATIONS)
def test_voxels_and_affine_are_those_of_dcm2niix(tmp_path: Path, dcm2niix: str, name: str) -> None:
    volume = marked_volume(geometry=oriented(*ORIENTATIONS[name]))
    series_files(tmp_path / "study", ct_series(volume))
    ours = convert.run(tmp_path / "study", out=tmp_path / "ours.nii").out
    (theirs,) = judged(dcm2niix, tmp_path / "study", tmp_path / "theirs")
    our_voxels, our_affine = canonical(ours)
    their_voxels, their_affine = canonical(theirs)
    np.testing.assert_array_equal(our_voxels, their_voxels)
    np.testing.assert_allclose(our_affine, their_affine, rtol=0, atol=POSITION_MM)


@pytest.mark.parametrize("suffix", [".nii.gz", ".mha", ".nrrd"])
@pytest.mark.parametrize("name", ORIENTATIONS)
def test_simpleitk_reads_from_the_image_what_it_reads_from_dicom(
    tmp_path: Path, name: str, suffix: str
) -> None:
    volume = marked_volume(geometry=oriented(*ORIENTATIONS[name]))
    paths = series_files(tmp_path / "study", ct_series(volume))
    theirs = sitk.ReadImage([str(path) for path in paths])
    ours = sitk.ReadImage(str(convert.run(tmp_path / "study", out=tmp_path / f"a{suffix}").out))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(ours), sitk.GetArrayFromImage(theirs))
    np.testing.assert_allclose(ours.GetOrigin(), theirs.GetOrigin(), rtol=0, atol=POSITION_MM)
    np.testing.assert_allclose(ours.GetSpacing(), theirs.GetSpacing(), rtol=0, atol=1e-4)
    np.testing.assert_allclose(ours.GetDirection(), theirs.GetDirection(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("series", ["siemens_chest", "ge_abdomen", "philips_chest"])
def test_real_series_are_those_of_dcm2niix(
    tmp_path: Path, ctdata: Path, dcm2niix: str, series: str
) -> None:
    study = ctdata / "series" / series
    ours = convert.run(study, out=tmp_path / "ours.nii").out
    (theirs,) = judged(dcm2niix, study, tmp_path / "theirs")
    our_voxels, our_affine = canonical(ours)
    their_voxels, their_affine = canonical(theirs)
    np.testing.assert_array_equal(our_voxels, their_voxels)
    np.testing.assert_allclose(our_affine, their_affine, rtol=0, atol=POSITION_MM)


def test_a_real_tilted_head_is_straightened_as_by_dcm2niix(
    tmp_path: Path, ctdata: Path, dcm2niix: str
) -> None:
    study = ctdata / "zoo" / "philips_tilted_with_scout"
    settings = ConvertSettings(resample=True)
    ours = convert.run(study, out=tmp_path / "ours.nii", settings=settings).out
    theirs = [p for p in judged(dcm2niix, study, tmp_path / "theirs") if "_Tilt_1" in p.name]
    our_voxels, our_affine = canonical(ours)
    their_voxels, their_affine = canonical(theirs[0])
    np.testing.assert_allclose(our_affine, their_affine, rtol=0, atol=0.01)
    known = (our_voxels > -999) & (their_voxels > -999)
    change = our_voxels[known].astype(float) - their_voxels[known]
    # Both mix two rows and round to whole numbers, so they differ by one where the sums are close.
    assert np.abs(change).max() <= 1
    assert known.mean() > 0.3


def test_a_real_tilted_and_uneven_head_has_the_voxels_of_dcm2niix(
    tmp_path: Path, ctdata: Path, dcm2niix: str
) -> None:
    study = ctdata / "zoo" / "ge_head_tilt_uneven_gaps"
    theirs = [p for p in judged(dcm2niix, study, tmp_path / "theirs") if "_Tilt_Eq" in p.name]
    image = nib.load(theirs[0])
    settings = ConvertSettings(resample=True, spacing_mm=float(image.header.get_zooms()[2]))
    ours = convert.run(study, out=tmp_path / "ours.nii", settings=settings).out
    read = read_volume(ours)
    read.geometry.affine()
    # Its affine for this file is sheared (one axis is shorter than its own spacing), so the voxels
    # are compared by index; rows run the other way. It rounds after each of its two steps.
    spacing = np.linalg.norm(image.affine[:3, :3], axis=0)
    assert abs(spacing[1] - image.header.get_zooms()[1]) > 0.01
    their_voxels = np.asarray(image.dataobj)[:, ::-1].astype(float)
    our_voxels = np.asarray(nib.load(ours).dataobj).astype(float)
    inside = (np.abs(our_voxels) < 200) & (np.abs(their_voxels) < 200)
    change = (our_voxels - their_voxels)[inside]
    assert inside.mean() > 0.1
    assert np.abs(change).mean() < 0.6
    assert np.percentile(np.abs(change), 99) <= 2


def test_dcm2niix_keeps_the_rescale_that_we_keep(tmp_path: Path, dcm2niix: str) -> None:
    volume = marked_volume()
    series_files(tmp_path / "study", ct_series(volume, slope=0.5, intercept=-1024.0))
    ours = convert.run(tmp_path / "study", out=tmp_path / "ours.nii").out
    (theirs,) = judged(dcm2niix, tmp_path / "study", tmp_path / "theirs")
    np.testing.assert_array_equal(canonical(ours)[0], canonical(theirs)[0])
