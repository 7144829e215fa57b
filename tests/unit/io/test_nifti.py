"""NIfTI: Hounsfield units and places survive, and what is no CT is refused or remarked on."""

from __future__ import annotations

import logging
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from ctdenoise.core.geometry import Geometry
from ctdenoise.core.volume import CTVolume
from ctdenoise.errors import GeometryError, InputError, StudyError
from ctdenoise.io.image_files import ct_header
from ctdenoise.io.image_labels import read_labels
from ctdenoise.io.image_reader import read_image
from ctdenoise.io.nifti import write_nifti
from ctdenoise.io.read import read_volume
from ctdenoise.io.study import find_series
from tests.builders import water_disc


def save(path: Path, voxels: np.ndarray, affine: np.ndarray, **header: object) -> Path:
    """A file with voxels [x, y, z] and an affine in RAS."""
    image = nib.Nifti1Image(voxels, affine)
    image.header.set_xyzt_units(header.get("units", "mm"))
    if "slope" in header:
        image.header.set_slope_inter(header["slope"], header["inter"])
    nib.save(image, path)
    return path


def ct_like(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(-1000, 1500, shape).astype(np.int16)


AFFINE = np.array([[-0.7, 0, 0, 90.0], [0, -0.8, 0, 120.0], [0, 0, 2.5, -40.0], [0, 0, 0, 1]])


def hu_at(volume: CTVolume, point_lps: np.ndarray) -> float:
    """The voxel whose centre is nearest to a point, found through the geometry alone."""
    geometry = volume.geometry
    index = int(np.argmin(np.abs(geometry.along_normal_mm() - point_lps @ geometry.normal)))
    inside = point_lps - geometry.positions_mm[index]
    column = inside @ np.array(geometry.row_direction) / geometry.pixel_spacing_mm[1]
    row = inside @ np.array(geometry.column_direction) / geometry.pixel_spacing_mm[0]
    return float(volume.hu[index, round(row), round(column)])


@pytest.mark.parametrize("flips", [(1, 1, 1), (-1, 1, 1), (1, -1, 1), (1, 1, -1), (-1, -1, -1)])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 0, 2), (0, 2, 1)])
def test_every_axis_order_and_flip_puts_voxels_where_the_affine_says(
    tmp_path: Path, flips: tuple[int, int, int], order: tuple[int, int, int]
) -> None:
    affine = np.eye(4)
    affine[:3, :3] = np.diag([0.7, 0.8, 2.5])[:, order] * np.array(flips)
    affine[:3, 3] = (10.0, -20.0, 30.0)
    voxels = ct_like((5, 6, 7))
    volume = read_image(save(tmp_path / "a.nii", voxels, affine))
    for index in [(0, 0, 0), (4, 5, 6), (1, 2, 3), (4, 0, 2), (0, 5, 1)]:
        ras = affine @ np.array([*index, 1.0])
        point_lps = ras[:3] * np.array([-1.0, -1.0, 1.0])
        assert hu_at(volume, point_lps) == voxels[index]


def test_slices_ascend_along_the_normal_and_know_their_index_in_the_file(tmp_path: Path) -> None:
    descending = AFFINE @ np.diag([1.0, 1.0, -1.0, 1.0])
    voxels = ct_like((5, 6, 4))
    volume = read_image(save(tmp_path / "a.nii", voxels, descending))
    assert (np.diff(volume.geometry.along_normal_mm()) > 0).all()
    assert volume.source is not None
    for slice_hu, instance in zip(volume.hu, volume.source.instances, strict=True):
        np.testing.assert_array_equal(slice_hu, voxels[:, :, instance.frame].T)


def test_scaled_integers_are_scaled_in_double_precision(tmp_path: Path) -> None:
    voxels = np.arange(60, dtype=np.int16).reshape(3, 4, 5) * 40
    path = save(tmp_path / "a.nii", voxels, AFFINE, slope=0.3, inter=-1024.7)
    image = nib.load(path)
    slope, inter = float(image.dataobj.slope), float(image.dataobj.inter)
    expected = (voxels.astype(np.float64) * slope + inter).astype(np.float32)
    np.testing.assert_array_equal(read_image(path).hu, expected.transpose(2, 1, 0))


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.float32, np.float64])
def test_every_type_of_number_and_compression_is_read(
    tmp_path: Path, suffix: str, dtype: type
) -> None:
    voxels = ct_like((5, 6, 7)).astype(dtype)
    volume = read_volume(save(tmp_path / f"a{suffix}", voxels, AFFINE))
    np.testing.assert_array_equal(volume.hu, voxels.transpose(2, 1, 0))
    assert volume.source is not None
    assert volume.source.kind == "nifti"


@pytest.mark.parametrize(("units", "factor"), [("micron", 1000.0), ("meter", 0.001)])
def test_units_other_than_mm_are_converted(tmp_path: Path, units: str, factor: float) -> None:
    scale = np.diag([factor, factor, factor, 1.0])
    path = save(tmp_path / "a.nii", ct_like((5, 6, 7)), scale @ AFFINE, units=units)
    assert read_image(path).geometry.slice_spacing_mm == pytest.approx(2.5, rel=1e-5)


def test_a_fourth_axis_of_one_is_dropped_and_a_longer_one_refused(tmp_path: Path) -> None:
    single = save(tmp_path / "one.nii", ct_like((5, 6, 7, 1)), AFFINE)
    assert read_image(single).shape == (7, 6, 5)
    several = save(tmp_path / "two.nii", ct_like((5, 6, 7, 2)), AFFINE)
    with pytest.raises(StudyError, match="4 dimensions"):
        read_image(several)


def test_a_sheared_affine_is_refused(tmp_path: Path) -> None:
    affine = AFFINE.copy()
    affine[1, 2] = 0.8
    image = nib.Nifti1Image(ct_like((5, 6, 7)), None)
    image.set_sform(affine, code=1)
    nib.save(image, tmp_path / "a.nii")
    with pytest.raises(StudyError, match="sheared"):
        read_image(tmp_path / "a.nii")


def test_colours_and_complex_numbers_are_refused(tmp_path: Path) -> None:
    save(tmp_path / "a.nii", ct_like((5, 6, 7)).astype(np.complex64), AFFINE)
    with pytest.raises(StudyError, match="colours or complex"):
        read_image(tmp_path / "a.nii")


def test_not_a_number_is_refused(tmp_path: Path) -> None:
    voxels = ct_like((5, 6, 7)).astype(np.float32)
    voxels[2, 2, 2] = np.nan
    with pytest.raises(StudyError, match="finite"):
        read_image(save(tmp_path / "a.nii", voxels, AFFINE))


@pytest.mark.parametrize("damage", ["text", "half"])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_damaged_files_are_refused_in_words(tmp_path: Path, damage: str, suffix: str) -> None:
    path = save(tmp_path / f"a{suffix}", ct_like((25, 26, 17)), AFFINE)
    data = path.read_bytes()
    path.write_bytes(b"no image at all" if damage == "text" else data[: len(data) // 2])
    with pytest.raises(StudyError):
        read_volume(path)


@pytest.mark.parametrize(
    ("voxels", "remark"),
    [
        (np.linspace(0, 1, 210, dtype=np.float32).reshape(5, 6, 7), "between 0 and 1"),
        (ct_like((5, 6, 7)) + np.int16(1024), "without the rescale"),
    ],
)
def test_values_that_are_hardly_hounsfield_units_are_remarked_on(
    tmp_path: Path, voxels: np.ndarray, remark: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = save(tmp_path / "a.nii", voxels, AFFINE)
    assert any(remark in str(note) for note in find_series(path)[0].notes)
    with caplog.at_level(logging.WARNING):
        read_image(path)
    assert remark in caplog.text


def test_plain_ct_raises_no_remark(tmp_path: Path) -> None:
    assert ct_header(save(tmp_path / "a.nii", ct_like((5, 6, 7)), AFFINE))[0].notes == ()


def test_label_maps_are_listed_apart_and_not_read_as_ct(tmp_path: Path) -> None:
    save(tmp_path / "ct.nii.gz", ct_like((5, 6, 7)), AFFINE)
    save(tmp_path / "labels.nii.gz", np.ones((5, 6, 7), np.uint8), AFFINE)
    found = {series.description: series for series in find_series(tmp_path)}
    assert found["labels.nii.gz"].what == "labels"
    assert not found["labels.nii.gz"].readable
    assert read_volume(tmp_path).shape == (7, 6, 5)
    with pytest.raises(StudyError, match="8-bit"):
        read_volume(tmp_path / "labels.nii.gz")


def test_writing_rounds_to_whole_hounsfield_units(tmp_path: Path) -> None:
    volume = water_disc(noise_hu=12.0)
    read = read_image(write_nifti(volume, tmp_path / "a.nii.gz"))
    np.testing.assert_array_equal(read.hu, np.rint(volume.hu))
    assert read.geometry.matches(volume.geometry)
    floats = read_image(write_nifti(volume, tmp_path / "b.nii", dtype=np.float32))
    np.testing.assert_array_equal(floats.hu, volume.hu)


def test_other_software_sees_the_same_patient_frame(tmp_path: Path) -> None:
    volume = water_disc()
    image = nib.load(write_nifti(volume, tmp_path / "a.nii"))
    assert nib.aff2axcodes(image.affine) == ("L", "P", "S")
    first = volume.geometry.positions_mm[0] * np.array([-1.0, -1.0, 1.0])
    np.testing.assert_allclose(image.affine[:3, 3], first, atol=1e-4)
    np.testing.assert_allclose(image.get_sform(), image.get_qform(), atol=1e-4)
    assert int(image.header["sform_code"]) == int(image.header["qform_code"]) == 1
    assert image.header.get_xyzt_units()[0] == "mm"


def test_values_beyond_the_type_are_refused_and_padding_is_cut(tmp_path: Path) -> None:
    disc = water_disc()
    hu = np.array(disc.hu)
    hu[0, 0, 0] = 40_000
    with pytest.raises(InputError, match="do not fit int16"):
        write_nifti(CTVolume(hu, disc.geometry), tmp_path / "a.nii")
    assert list(tmp_path.iterdir()) == []
    padding = np.zeros(disc.shape, dtype=bool)
    padding[0, 0, 0] = True
    read = read_image(write_nifti(CTVolume(hu, disc.geometry, padding=padding), tmp_path / "a.nii"))
    assert read.hu[0, 0, 0] == 32_767


def test_tilted_stacks_cannot_be_written(tmp_path: Path) -> None:
    plain = water_disc()
    positions = np.array(plain.geometry.positions_mm)
    positions[:, 1] += np.arange(len(positions)) * 1.0
    tilted = Geometry(64, 64, (2.0, 2.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), positions)
    with pytest.raises(GeometryError, match="sheared"):
        write_nifti(CTVolume(plain.hu, tilted), tmp_path / "a.nii")


def test_a_name_that_is_not_niftis_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.nii"):
        write_nifti(water_disc(), tmp_path / "a.img")


def labels_for(volume: CTVolume) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 5, volume.shape).astype(np.uint8)


def affine_of(volume: CTVolume) -> np.ndarray:
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ volume.geometry.affine()


def test_labels_on_the_same_grid_are_read(tmp_path: Path) -> None:
    volume = water_disc()
    labels = labels_for(volume)
    path = save(tmp_path / "l.nii.gz", labels.transpose(2, 1, 0), affine_of(volume))
    read = read_labels(path, volume.geometry)
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, labels)


@pytest.mark.parametrize("axes", ["RAS", "LAS", "RPI", "SPL", "ASR"])
def test_labels_in_another_axis_order_are_turned_exactly(tmp_path: Path, axes: str) -> None:
    volume = water_disc(slices=5)
    labels = labels_for(volume)
    image = nib.Nifti1Image(labels.transpose(2, 1, 0), affine_of(volume))
    start = nib.io_orientation(image.affine)
    turned = image.as_reoriented(
        nib.orientations.ornt_transform(start, nib.orientations.axcodes2ornt(axes))
    )
    assert nib.aff2axcodes(turned.affine) == tuple(axes)
    nib.save(turned, tmp_path / "l.nii")
    np.testing.assert_array_equal(read_labels(tmp_path / "l.nii", volume.geometry), labels)


@pytest.mark.parametrize(
    "change",
    [
        np.diag([1.0, 1.0, 1.2, 1.0]),
        np.array([[1, 0, 0, 0.5], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]),
    ],
    ids=["other spacing", "shifted by half a millimetre"],
)
def test_labels_on_another_grid_are_refused(tmp_path: Path, change: np.ndarray) -> None:
    volume = water_disc()
    affine = change @ affine_of(volume)
    path = save(tmp_path / "l.nii", labels_for(volume).transpose(2, 1, 0), affine)
    with pytest.raises(GeometryError, match="another grid"):
        read_labels(path, volume.geometry)


def test_labels_of_another_size_are_refused(tmp_path: Path) -> None:
    volume = water_disc(slices=4)
    path = save(tmp_path / "l.nii", labels_for(water_disc(slices=3)).T, affine_of(volume))
    with pytest.raises(GeometryError, match="another grid"):
        read_labels(path, volume.geometry)


def test_labels_that_do_not_exist_are_told_as_such(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="there is no such file"):
        read_labels(tmp_path / "l.nii", water_disc().geometry)


@pytest.mark.parametrize("value", [-1.0, 0.5, 300.0])
def test_labels_that_are_no_labels_are_refused(tmp_path: Path, value: float) -> None:
    volume = water_disc()
    labels = np.zeros(volume.shape, np.float32)
    labels[1, 2, 3] = value
    path = save(tmp_path / "l.nii", labels.transpose(2, 1, 0), affine_of(volume))
    with pytest.raises(StudyError, match="whole numbers from 0 to 255"):
        read_labels(path, volume.geometry)


@pytest.mark.ctdata
def test_real_tumour_masks_fit_their_images(ctdata: Path) -> None:
    folder = ctdata / "masks" / "tumours" / "STS_002"
    volume = read_volume(folder)
    labels = read_labels(folder / "CT_mask.nii.gz", volume.geometry)
    assert set(np.unique(labels)) == {0, 1}
    inside = volume.hu[labels == 1]
    assert -50 < np.median(inside) < 100  # a soft-tissue tumour


@pytest.mark.ctdata
def test_a_label_map_of_fewer_slices_than_its_image_is_refused(ctdata: Path) -> None:
    folder = ctdata / "masks" / "organs"
    volume = read_volume(folder / "example_ct.nii.gz")
    with pytest.raises(GeometryError, match="another grid"):
        read_labels(folder / "example_seg.nii.gz", volume.geometry)
