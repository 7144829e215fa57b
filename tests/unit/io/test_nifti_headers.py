"""NIfTI headers of every kind: old and new, either byte order, one form of the affine or two."""

from __future__ import annotations

import gzip
import tracemalloc
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 - its usual name

from ctdenoise.errors import StudyError
from ctdenoise.io.image_reader import read_image
from ctdenoise.io.nifti import write_nifti
from ctdenoise.io.read import read_volume
from ctdenoise.io.study import find_series
from tests.builders import water_disc

AFFINE = np.array([[-0.7, 0, 0, 90.0], [0, -0.8, 0, 120.0], [0, 0, 2.5, -40.0], [0, 0, 0, 1]])
VOXELS = np.random.default_rng(4).integers(-1000, 1500, (5, 6, 7)).astype(np.int16)
FIRST_LPS = (-90.0, -120.0, -40.0)


def patched(path: Path, start: int, data: bytes) -> Path:
    """A file with some bytes replaced."""
    content = bytearray(path.read_bytes())
    content[start : start + len(data)] = data
    path.write_bytes(bytes(content))
    return path


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("kind", [nib.Nifti1Header, nib.Nifti2Header])
@pytest.mark.parametrize("order", ["<", ">"])
def test_both_versions_and_byte_orders_are_read(
    tmp_path: Path, kind: type, order: str, suffix: str
) -> None:
    image_type = {nib.Nifti1Header: nib.Nifti1Image, nib.Nifti2Header: nib.Nifti2Image}[kind]
    nib.save(image_type(VOXELS, AFFINE, kind(endianness=order)), tmp_path / f"a{suffix}")
    volume = read_image(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(volume.hu, VOXELS.T)
    np.testing.assert_allclose(volume.geometry.positions_mm[0], FIRST_LPS, atol=1e-4)


@pytest.mark.parametrize(("sform", "qform"), [(1, 0), (0, 1), (2, 1), (4, 0), (0, 3)])
def test_one_form_of_the_affine_is_enough(tmp_path: Path, sform: int, qform: int) -> None:
    image = nib.Nifti1Image(VOXELS, None)
    image.header.set_zooms((0.7, 0.8, 2.5))
    image.header.set_sform(AFFINE if sform else None, code=sform)
    image.header.set_qform(AFFINE if qform else None, code=qform)
    nib.save(image, tmp_path / "a.nii")
    volume = read_image(tmp_path / "a.nii")
    np.testing.assert_allclose(volume.geometry.positions_mm[0], FIRST_LPS, atol=1e-4)
    theirs = sitk.ReadImage(str(tmp_path / "a.nii"))
    np.testing.assert_allclose(theirs.GetOrigin(), FIRST_LPS, atol=1e-4)


def test_without_either_form_the_orientation_is_called_a_guess(tmp_path: Path) -> None:
    image = nib.Nifti1Image(VOXELS, None)
    image.header.set_sform(None, code=0)
    image.header.set_qform(None, code=0)
    nib.save(image, tmp_path / "a.nii")
    assert [note.code for note in find_series(tmp_path / "a.nii")[0].notes] == [
        "orientation-guessed"
    ]


@pytest.mark.parametrize("slope", [0.0, np.nan, np.inf])
def test_a_slope_that_is_no_number_means_no_scaling(tmp_path: Path, slope: float) -> None:
    nib.save(nib.Nifti1Image(VOXELS, AFFINE), tmp_path / "a.nii")
    patched(tmp_path / "a.nii", 112, np.array([slope, 5.0], "<f4").tobytes())
    np.testing.assert_array_equal(read_image(tmp_path / "a.nii").hu, VOXELS.T)


def test_an_analyze_header_under_a_nifti_name_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.nii"
    nib.save(nib.Nifti1Image(VOXELS, AFFINE), path)
    patched(path, 344, b"\0\0\0\0")  # no magic: the format that NIfTI grew out of
    with pytest.raises(StudyError):
        read_volume(path)


def test_the_magic_of_a_pair_of_files_does_not_move_the_voxels_of_one(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(VOXELS, AFFINE), tmp_path / "a.nii")
    patched(tmp_path / "a.nii", 344, b"ni1\0")
    np.testing.assert_array_equal(read_image(tmp_path / "a.nii").hu, VOXELS.T)


@pytest.mark.parametrize("place", [0.1, 0.5, 0.9, 0.999])
def test_a_spoiled_byte_anywhere_in_a_compressed_file_is_noticed(
    tmp_path: Path, place: float
) -> None:
    path = write_nifti(water_disc(noise_hu=30.0), tmp_path / "a.nii.gz")
    start = int(place * path.stat().st_size)
    old = path.read_bytes()[start]
    patched(path, start, bytes([old ^ 0x5A]))
    with pytest.raises(StudyError):
        read_volume(path)


def test_several_compressed_members_are_one_file(tmp_path: Path) -> None:
    data = write_nifti(water_disc(), tmp_path / "a.nii").read_bytes()
    (tmp_path / "b.nii.gz").write_bytes(gzip.compress(data[:5000]) + gzip.compress(data[5000:]))
    np.testing.assert_array_equal(
        read_image(tmp_path / "b.nii.gz").hu, read_image(tmp_path / "a.nii").hu
    )


@pytest.mark.parametrize(
    ("start", "data"),
    [
        (40, np.array([3, -5, 6, 7], "<i2")),  # dim: a negative size
        (40, np.array([3, 32767, 32767, 32767], "<i2")),  # dim: terabytes
        (108, np.array([1e9], "<f4")),  # vox_offset beyond the file
        (108, np.array([np.nan], "<f4")),
        (70, np.array([9999], "<i2")),  # datatype that does not exist
        (280, np.array([np.nan] * 12, "<f4")),  # sform
        (280, np.array([0.0] * 12, "<f4")),
    ],
)
def test_impossible_headers_are_refused_before_memory_is_taken(
    tmp_path: Path, start: int, data: np.ndarray
) -> None:
    image = nib.Nifti1Image(VOXELS, AFFINE)
    image.set_sform(AFFINE, code=1)
    nib.save(image, tmp_path / "a.nii")
    patched(tmp_path / "a.nii", start, data.tobytes())
    with pytest.raises(StudyError):
        read_volume(tmp_path / "a.nii")
    assert not find_series(tmp_path / "a.nii")[0].readable


def test_a_bomb_between_header_and_voxels_is_not_inflated(tmp_path: Path) -> None:
    plain = write_nifti(water_disc(slices=1, size=8), tmp_path / "a.nii").read_bytes()
    head = bytearray(plain[:352])
    size = 1 << 25
    head[108:112] = np.array([352 + size], "<f4").tobytes()
    head[348:352] = b"\1\0\0\0"  # an extension follows, and takes all of it
    extension = np.array([size, 6], "<i4").tobytes() + bytes(size - 8)
    packed = gzip.compress(bytes(head) + extension + plain[352:], compresslevel=1)
    del extension
    (tmp_path / "bomb.nii.gz").write_bytes(packed)
    tracemalloc.start()
    with pytest.raises(StudyError, match="far away"):
        read_volume(tmp_path / "bomb.nii.gz")
    assert tracemalloc.get_traced_memory()[1] < size / 10
    tracemalloc.stop()


def test_what_is_written_has_both_forms_in_the_scanners_frame_and_no_words(tmp_path: Path) -> None:
    header = nib.load(write_nifti(water_disc(), tmp_path / "a.nii")).header
    assert (int(header["sform_code"]), int(header["qform_code"])) == (1, 1)
    assert bytes(header["descrip"].tobytes()).strip(b"\0") == b""
    assert bytes(header["db_name"].tobytes()).strip(b"\0") == b""
    assert header.get_xyzt_units()[0] == "mm"
