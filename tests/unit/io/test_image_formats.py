"""MetaImage and NRRD: the same Hounsfield units at the same points as ITK puts them, or refused."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 - its usual name

from ctdenoise.core.geometry import Geometry
from ctdenoise.core.volume import CTVolume
from ctdenoise.errors import InputError, StudyError
from ctdenoise.io.image_files import ct_header, is_compressed
from ctdenoise.io.image_labels import read_labels
from ctdenoise.io.image_reader import ImageReader, read_image
from ctdenoise.io.image_values import ValueScale
from ctdenoise.io.image_writer import write_image
from ctdenoise.io.read import open_series, read_volume
from ctdenoise.io.study import find_series
from tests.builders import water_disc

SUFFIXES = (".mha", ".mhd", ".nrrd", ".nhdr")
ROTATIONS = {
    "axial": np.eye(3),
    "coronal": np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]]).T,
    "feet first": np.diag([-1.0, 1.0, -1.0]),
    "left-handed": np.diag([1.0, 1.0, -1.0]),
    "oblique": np.linalg.qr(np.random.default_rng(5).normal(size=(3, 3)))[0],
}


def itk_image(rotation: np.ndarray, dtype: type = np.int16, seed: int = 0) -> sitk.Image:
    """A small image in which every voxel differs from its neighbours."""
    values = np.random.default_rng(seed).integers(-1000, 1500, (5, 6, 7)).astype(dtype)
    image = sitk.GetImageFromArray(values)
    image.SetSpacing((0.7, 0.8, 2.5))
    image.SetOrigin((-11.0, 22.5, -33.25))
    image.SetDirection(rotation.ravel().tolist())
    return image


def assert_same_points(volume: CTVolume, image: sitk.Image) -> None:
    """Every voxel of a volume is the one that ITK has at its centre."""
    geometry = volume.geometry
    for index in np.ndindex(volume.shape):
        z, y, x = index
        point = (
            geometry.positions_mm[z]
            + np.array(geometry.row_direction) * geometry.pixel_spacing_mm[1] * x
            + np.array(geometry.column_direction) * geometry.pixel_spacing_mm[0] * y
        )
        place = image.TransformPhysicalPointToContinuousIndex(point.tolist())
        np.testing.assert_allclose(place, np.rint(place), atol=1e-3)
        nearest = [round(value) for value in place]
        assert image.GetPixel(*nearest) == volume.hu[index]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("rotation", ROTATIONS.values(), ids=ROTATIONS)
def test_what_itk_wrote_is_read_at_the_same_points(
    tmp_path: Path, rotation: np.ndarray, suffix: str, packed: bool
) -> None:
    image = itk_image(rotation)
    path = tmp_path / f"a{suffix}"
    sitk.WriteImage(image, str(path), packed)
    assert_same_points(read_volume(path), image)
    assert is_compressed(path) is packed


@pytest.mark.parametrize("dtype", [np.int16, np.uint16, np.int32, np.uint32, np.float32, float])
@pytest.mark.parametrize("suffix", [".mha", ".nrrd"])
def test_every_type_of_number_is_read(tmp_path: Path, suffix: str, dtype: type) -> None:
    image = itk_image(np.eye(3), np.int16)
    values = sitk.GetArrayFromImage(image).astype(np.int64) + 1000
    stored = sitk.GetImageFromArray(values.astype(dtype))
    sitk.WriteImage(stored, str(tmp_path / f"a{suffix}"))
    np.testing.assert_array_equal(read_image(tmp_path / f"a{suffix}").hu, values)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".mha", ".nrrd"])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("rotation", ROTATIONS.values(), ids=ROTATIONS)
def test_itk_reads_what_is_written_at_the_same_points(
    tmp_path: Path, rotation: np.ndarray, suffix: str, packed: bool
) -> None:
    sitk.WriteImage(itk_image(rotation), str(tmp_path / "source.mha"))
    volume = read_image(tmp_path / "source.mha")
    path = write_image(volume, tmp_path / f"a{suffix}", packed=packed)
    image = sitk.ReadImage(str(path))
    assert image.GetPixelID() == sitk.sitkInt16
    assert_same_points(volume, image)
    again = read_image(path)
    np.testing.assert_array_equal(again.hu, volume.hu)
    assert again.geometry.matches(volume.geometry)


def test_compressing_makes_smaller_files_and_the_same_bytes_each_time(tmp_path: Path) -> None:
    volume = water_disc()
    for suffix in (".mha", ".nrrd"):
        plain = write_image(volume, tmp_path / f"plain{suffix}")
        packed = write_image(volume, tmp_path / f"packed{suffix}", packed=True)
        again = write_image(volume, tmp_path / f"again{suffix}", packed=True)
        assert packed.stat().st_size < plain.stat().st_size / 4
        assert packed.read_bytes() == again.read_bytes()


def test_a_slope_is_kept_by_nifti_and_becomes_floats_elsewhere(tmp_path: Path) -> None:
    disc = water_disc()
    volume = CTVolume(disc.hu + np.float32(0.5), disc.geometry)
    scale = ValueScale(np.dtype(np.int16), 0.5, -1024.0)
    for suffix, pixel in ((".nii", sitk.sitkFloat64), (".mha", sitk.sitkFloat32)):
        path = write_image(volume, tmp_path / f"a{suffix}", scale=scale)
        np.testing.assert_array_equal(read_image(path).hu, volume.hu)
        assert sitk.ReadImage(str(path)).GetPixelID() in (pixel, sitk.sitkFloat32)


def with_lines(path: Path, **changes: str) -> None:
    """Replace lines of the text at the start of a file, by key; `_` stands for a space."""
    sign, end = (" = ", b"ElementDataFile") if path.suffix == ".mha" else (": ", b"\n\n")
    head, mark, rest = path.read_bytes().partition(end)
    lines = head.decode().rstrip("\n").splitlines()
    for key, value in changes.items():
        name = key.replace("_", " ")
        places = [n for n, line in enumerate(lines) if line.split(sign)[0] == name]
        lines[slice(places[0], places[0] + 1) if places else slice(len(lines), None)] = [
            f"{name}{sign}{value}"
        ]
    path.write_bytes("\n".join(lines).encode() + (b"\n" if end != b"\n\n" else b"") + mark + rest)


@pytest.mark.parametrize(
    ("space", "signs"), [("right-anterior-superior", (-1, -1, 1)), ("LAS", (1, -1, 1))]
)
def test_nrrd_in_another_frame_is_turned_into_lps(
    tmp_path: Path, space: str, signs: tuple[int, ...]
) -> None:
    path = write_image(water_disc(slices=3, size=8), tmp_path / "a.nrrd")
    vectors = [np.diag((0.5, 0.75, 2.0))[axis] * np.array(signs) for axis in range(3)]
    text = " ".join("(" + ",".join(str(v) for v in vector) + ")" for vector in vectors)
    origin = np.array((5.0, 7.0, 9.0)) * np.array(signs)
    with_lines(
        path,
        space=space,
        space_directions=text,
        space_origin="(" + ",".join(str(v) for v in origin) + ")",
    )
    geometry = read_image(path).geometry
    np.testing.assert_allclose(geometry.positions_mm[0], (5.0, 7.0, 9.0))
    assert geometry.row_direction == (1.0, 0.0, 0.0)
    assert geometry.column_direction == (0.0, 1.0, 0.0)
    assert_same_points(read_image(path), sitk.ReadImage(str(path)))


def test_big_endian_voxels_are_read(tmp_path: Path) -> None:
    volume = water_disc(slices=2, size=8)
    mha = write_image(volume, tmp_path / "a.mha")
    nrrd = write_image(volume, tmp_path / "a.nrrd")
    with_lines(mha, BinaryDataByteOrderMSB="True")
    with_lines(nrrd, endian="big")
    for path in (mha, nrrd):
        data = path.read_bytes()
        voxels = np.frombuffer(data[-volume.hu.size * 2 :], "<i2").astype(">i2").tobytes()
        path.write_bytes(data[: -len(voxels)] + voxels)
        np.testing.assert_array_equal(read_image(path).hu, volume.hu)


@pytest.mark.parametrize(
    ("name", "lines", "reason"),
    [
        ("a.mha", {"TransformMatrix": "1 0 0 0 1 0 0 0.4 1"}, "sheared"),
        ("a.mha", {"TransformMatrix": "1 0 0 0 1 0 0 0 0"}, "singular"),
        ("a.mha", {"ElementSpacing": "1 1 nan"}, "finite"),
        ("a.mha", {"ElementNumberOfChannels": "3"}, "vectors"),
        ("a.mha", {"ElementType": "MET_LONG"}, "type of its voxels"),
        ("a.mha", {"BinaryData": "False"}, "text"),
        ("a.mha", {"DimSize": "100000 100000 4"}, "not a CT"),
        ("a.mha", {"DimSize": "8 8"}, "damaged"),
        ("a.mha", {"DimSize": "64 64 400"}, "damaged"),
        ("a.mha", {"ElementToIntensityFunctionSlope": "2"}, "ElementToIntensityFunction"),
        ("a.nrrd", {"space_directions": "(1,0,0) (0,1,0) (0,0.4,1)"}, "sheared"),
        ("a.nrrd", {"space_directions": "none (0,1,0) (0,0,1)"}, "vectors"),
        ("a.nrrd", {"kinds": "vector domain domain"}, "vectors"),
        ("a.nrrd", {"space": "scanner-xyz"}, "left from right"),
        ("a.nrrd", {"space_units": '"s" "s" "s"'}, "units"),
        ("a.nrrd", {"encoding": "ascii"}, "neither raw nor gzip"),
        ("a.nrrd", {"type": "block"}, "unknown"),
        ("a.nrrd", {"endian": "middle"}, "byte order"),
        ("a.nrrd", {"sizes": "9999999 9999999 9"}, "not a CT"),
        ("a.nrrd", {"line_skip": "99999999"}, "damaged"),
    ],
)
def test_headers_that_are_no_ct_are_refused_in_words(
    tmp_path: Path, name: str, lines: dict[str, str], reason: str
) -> None:
    path = write_image(water_disc(slices=4, size=8), tmp_path / name)
    with_lines(path, **lines)
    assert any(reason in problem for problem in find_series(path)[0].problems)
    with pytest.raises(StudyError, match=reason):
        read_volume(path)


@pytest.mark.parametrize(
    "named", ["../secret.raw", "/etc/passwd", "sub/secret.raw", "LIST", "s%03d.raw 1 4 1", "link"]
)
@pytest.mark.parametrize("suffix", [".mhd", ".nhdr"])
def test_a_header_reaches_no_file_outside_its_folder(
    tmp_path: Path, suffix: str, named: str
) -> None:
    folder = tmp_path / "study"
    (folder / "sub").mkdir(parents=True)
    for place in (tmp_path / "secret.raw", folder / "sub" / "secret.raw"):
        place.write_bytes(bytes(5 * 6 * 7 * 2))
    (folder / "link").symlink_to(tmp_path / "secret.raw")
    path = folder / f"a{suffix}"
    sitk.WriteImage(itk_image(np.eye(3)), str(path))
    text = path.read_text(encoding="ascii")
    path.write_text(text.replace("a.raw", named), encoding="ascii")
    assert named in path.read_text(encoding="ascii")
    with pytest.raises(StudyError, match=r"outside its own folder|several files"):
        read_volume(path)


@pytest.mark.parametrize("suffix", [".mha", ".nrrd"])
@pytest.mark.parametrize("damage", ["cut", "garbage", "empty", "words"])
@pytest.mark.parametrize("packed", [False, True])
def test_damaged_files_are_refused_in_words(
    tmp_path: Path, suffix: str, damage: str, packed: bool
) -> None:
    volume = water_disc(noise_hu=20.0)
    path = write_image(volume, tmp_path / f"a{suffix}", packed=packed)
    data = path.read_bytes()
    spoiled = {
        "cut": data[:-50],
        "garbage": data[: len(data) // 2] + bytes(200) + data[len(data) // 2 + 200 :],
        "empty": b"",
        "words": b"no image at all\n" * 40,
    }[damage]
    path.write_bytes(spoiled)
    if damage == "garbage" and not packed:
        return  # raw voxels carry no checksum
    with pytest.raises(StudyError):
        read_volume(path)


@pytest.mark.parametrize("suffix", [".mha", ".nrrd"])
def test_a_small_file_that_claims_to_inflate_to_gigabytes_is_refused_at_once(
    tmp_path: Path, suffix: str
) -> None:
    path = write_image(water_disc(slices=2, size=16), tmp_path / f"a{suffix}", packed=True)
    key = "DimSize" if suffix == ".mha" else "sizes"
    with_lines(path, **{key: "4096 4096 200"})
    with pytest.raises(StudyError, match="damaged"):
        ImageReader(path)


def test_flat_images_have_one_slice_and_longer_ones_are_refused(tmp_path: Path) -> None:
    flat = itk_image(np.eye(3))[:, :, 2]
    sitk.WriteImage(flat, str(tmp_path / "flat.mha"))
    sitk.WriteImage(flat, str(tmp_path / "flat.nrrd"))
    for suffix in (".mha", ".nrrd"):
        volume = read_image(tmp_path / f"flat{suffix}")
        np.testing.assert_array_equal(volume.hu[0], sitk.GetArrayFromImage(flat))
    four = sitk.JoinSeries(itk_image(np.eye(3)), itk_image(np.eye(3)))
    sitk.WriteImage(four, str(tmp_path / "four.mha"))
    with pytest.raises(StudyError, match="4 dimensions"):
        read_image(tmp_path / "four.mha")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_label_maps_are_listed_apart_and_read_as_labels(tmp_path: Path, suffix: str) -> None:
    values = np.random.default_rng(1).integers(0, 4, (4, 8, 8)).astype(np.uint8)
    grid = Geometry.axial((4, 8, 8), pixel_spacing_mm=1.0, slice_spacing_mm=1.0)
    image = sitk.GetImageFromArray(values)
    image.SetOrigin(grid.positions_mm[0].tolist())
    path = tmp_path / f"labels{suffix}"
    sitk.WriteImage(image, str(path))
    found = find_series(path)[0]
    assert found.what == "labels"
    assert not found.readable
    np.testing.assert_array_equal(read_labels(path, grid), values)


def test_values_that_are_hardly_hounsfield_units_are_remarked_on(tmp_path: Path) -> None:
    disc = water_disc()
    path = write_image(CTVolume(disc.hu + np.float32(2000), disc.geometry), tmp_path / "a.mha")
    assert any("without the rescale" in str(note) for note in ct_header(path)[0].notes)


def test_a_series_knows_its_format_and_is_read_in_pieces(tmp_path: Path) -> None:
    volume = water_disc(slices=6, noise_hu=9.0)
    path = write_image(volume, tmp_path / "a.nrrd", packed=True)
    assert find_series(tmp_path)[0].kind == "nrrd"
    with open_series(path) as reader:
        np.testing.assert_array_equal(reader.read([1, 4]).hu, np.rint(volume.hu[[1, 4]]))
        assert reader.source is not None
        assert reader.source.kind == "nrrd"


def test_a_stream_of_either_zlib_kind_is_read(tmp_path: Path) -> None:
    volume = water_disc(slices=2, size=16)
    path = write_image(volume, tmp_path / "a.mha", packed=True)
    data = path.read_bytes()
    start = data.index(b"LOCAL\n") + 6
    path.write_bytes(data[:start] + gzip.compress(zlib.decompress(data[start:])))
    np.testing.assert_array_equal(read_image(path).hu, volume.hu)


def test_a_name_of_another_format_is_not_written(tmp_path: Path) -> None:
    for name in ("a.mhd", "a.nhdr", "a.img", "a"):
        with pytest.raises(InputError, match=r"\.mha"):
            write_image(water_disc(), tmp_path / name)
    assert list(tmp_path.iterdir()) == []
