"""Every synthetic failure of CT series is read right, voxel for voxel, or refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from ctdenoise.core.geometry import Geometry
from ctdenoise.core.volume import CTVolume
from ctdenoise.io.read import read_volume
from ctdenoise.io.study import find_series
from tests.dicom.builders import ct_series, marked_volume, series_files, uid
from tests.dicom.reading import assert_same_place_and_value, oriented, with_, without

SLICES = 6


@pytest.fixture
def volume() -> CTVolume:
    return marked_volume(slices=SLICES)


def tilted(degrees: float = 18.5, slices: int = SLICES) -> Geometry:
    angle = np.radians(degrees)
    column = (0.0, float(np.cos(angle)), float(-np.sin(angle)))
    positions = np.array([-12.5, 31.25, -40.0]) + np.outer(np.arange(slices), [0.0, 0.0, 2.5])
    return Geometry(40, 36, (0.8, 0.7), (1.0, 0.0, 0.0), column, positions)


def at_heights(heights: list[float]) -> Geometry:
    plain = marked_volume(slices=len(heights)).geometry
    positions = np.array(plain.positions_mm)
    positions[:, 2] = heights
    return replace(plain, positions_mm=positions)


@pytest.mark.parametrize(
    "geometry",
    [
        pytest.param(tilted(), id="gantry tilt"),
        pytest.param(tilted(-22.0), id="tilt the other way"),
        pytest.param(oriented((1, 0, 0), (0, 0, -1)), id="coronal"),
        pytest.param(oriented((0, 1, 0), (0, 0, -1)), id="sagittal"),
        pytest.param(oriented((0, 1, 0), (-1, 0, 0)), id="decubitus"),
        pytest.param(oriented((-1, 0, 0), (0, 1, 0)), id="feet first, slices descend in z"),
        pytest.param(at_heights([0.0, 2.5, 5.0, 10.0, 12.5]), id="missing slice"),
        pytest.param(at_heights([0.0, 1.0, 2.0, 7.0, 12.0, 17.0]), id="two spacings"),
        pytest.param(at_heights([0.0, 2.504, 4.997, 7.502, 9.999]), id="jitter"),
        pytest.param(at_heights([3.0]), id="single slice"),
    ],
)
def test_any_geometry_is_read_at_its_exact_positions(tmp_path: Path, geometry: Geometry) -> None:
    written = marked_volume(geometry=geometry)
    series_files(tmp_path, ct_series(written))
    assert_same_place_and_value(read_volume(tmp_path), written)


def test_tilt_gaps_and_uneven_spacing_are_noted(tmp_path: Path) -> None:
    series_files(tmp_path / "tilt", ct_series(marked_volume(geometry=tilted())))
    series_files(tmp_path / "gap", ct_series(marked_volume(geometry=at_heights([0, 2, 4, 8, 10]))))
    assert "gantry tilt of 18.5 degrees" in " ".join(
        map(str, find_series(tmp_path / "tilt")[0].notes)
    )
    gap = " ".join(map(str, find_series(tmp_path / "gap")[0].notes))
    assert "1 slice seems to be missing (first gap after slice 3)" in gap


@pytest.mark.parametrize(
    "names",
    [
        [f"{index:03d}.dcm" for index in reversed(range(SLICES))],
        [f"IM{index}" for index in (4, 2, 0, 5, 1, 3)],
        [f"deep/{index % 2}/x{index}.bin" for index in range(SLICES)],
    ],
    ids=["reversed names", "shuffled, no extension", "several folders"],
)
def test_names_and_folders_do_not_matter(
    tmp_path: Path, volume: CTVolume, names: list[str]
) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    series_files(tmp_path, ct_series(volume), names=names)
    assert_same_place_and_value(read_volume(tmp_path), volume)


@pytest.mark.parametrize(
    "numbers",
    [[3, 1, 6, 2, 5, 4], [None] * SLICES, [1] * SLICES],
    ids=["shuffled", "empty", "same"],
)
def test_instance_numbers_do_not_matter(
    tmp_path: Path, volume: CTVolume, numbers: list[int | None]
) -> None:
    def edit(dataset: Dataset, index: int) -> None:
        dataset.InstanceNumber = numbers[index]
        dataset.SliceLocation = str(-index * 3.0)
        dataset.GantryDetectorTilt = "12"

    series_files(tmp_path, ct_series(volume, edit=edit))
    assert_same_place_and_value(read_volume(tmp_path), volume)


@pytest.mark.parametrize(
    "syntax",
    [
        ImplicitVRLittleEndian,
        ExplicitVRLittleEndian,
        DeflatedExplicitVRLittleEndian,
        ExplicitVRBigEndian,
        RLELossless,
        JPEGLSLossless,
        JPEG2000Lossless,
    ],
    ids=["implicit", "explicit", "deflated", "big-endian", "RLE", "JPEG-LS", "JPEG 2000"],
)
@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
def test_every_transfer_syntax_gives_the_same_hounsfield_units(
    tmp_path: Path, volume: CTVolume, syntax: str, signed: bool
) -> None:
    series_files(tmp_path, ct_series(volume, signed=signed), syntax=syntax)
    assert_same_place_and_value(read_volume(tmp_path), volume)


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
def test_files_without_preamble_and_meta_are_read(
    tmp_path: Path, volume: CTVolume, syntax: str
) -> None:
    series_files(tmp_path, ct_series(volume), syntax=syntax, file_meta=False)
    assert_same_place_and_value(read_volume(tmp_path), volume)


def test_each_slice_has_its_own_rescale(tmp_path: Path, volume: CTVolume) -> None:
    slopes = [1.0, 0.5, 0.25, 1.0, 0.5, 0.125]
    series_files(tmp_path, ct_series(volume, slope=slopes))
    assert_same_place_and_value(read_volume(tmp_path), volume)


def test_a_fractional_rescale_is_computed_in_double_precision(tmp_path: Path) -> None:
    volume = marked_volume(slices=1)

    def edit(dataset: Dataset, index: int) -> None:
        dataset.RescaleSlope, dataset.RescaleIntercept = "0.3", "-1024.7"

    datasets = ct_series(volume, edit=edit)
    stored = np.frombuffer(datasets[0].PixelData, "<u2").astype(np.float64).reshape(1, 40, 36)
    series_files(tmp_path, datasets)
    expected = (stored * 0.3 - 1024.7).astype(np.float32)
    np.testing.assert_array_equal(read_volume(tmp_path).hu, expected)


def test_monochrome1_is_not_inverted(tmp_path: Path, volume: CTVolume) -> None:
    def edit(dataset: Dataset, index: int) -> None:
        dataset.PhotometricInterpretation = "MONOCHROME1"

    series_files(tmp_path, ct_series(volume, edit=edit))
    assert_same_place_and_value(read_volume(tmp_path), volume)


def test_garbage_above_the_stored_bits_is_removed(tmp_path: Path, volume: CTVolume) -> None:
    def edit(dataset: Dataset, index: int) -> None:
        dataset.BitsStored, dataset.HighBit = 12, 11
        words = np.frombuffer(dataset.PixelData, "<u2") | np.uint16(0xA000)
        dataset.PixelData = words.tobytes()

    series_files(tmp_path, ct_series(volume, edit=edit))
    assert_same_place_and_value(read_volume(tmp_path), volume)


def padded(volume: CTVolume, value_hu: float) -> CTVolume:
    mask = np.zeros(volume.shape, dtype=bool)
    mask[:, :5, :7] = True
    return CTVolume(np.where(mask, np.float32(value_hu), volume.hu), volume.geometry, padding=mask)


@pytest.mark.parametrize("vr", ["SS", "US"])
def test_padding_is_found_whatever_the_vr_of_its_value(
    tmp_path: Path, volume: CTVolume, vr: str
) -> None:
    written = padded(volume, -2000.0 - 1024.0)

    def edit(dataset: Dataset, index: int) -> None:
        dataset.add_new(0x00280120, vr, -2000 if vr == "SS" else 63536)

    series_files(tmp_path, ct_series(written, signed=True, padding_value=-2000, edit=edit))
    read = read_volume(tmp_path)
    assert_same_place_and_value(read, written)
    np.testing.assert_array_equal(read.padding, written.padding)


def test_a_padding_range_is_padding_from_end_to_end(tmp_path: Path, volume: CTVolume) -> None:
    def edit(dataset: Dataset, index: int) -> None:
        words = np.frombuffer(dataset.PixelData, "<u2").copy()
        words[:3] = (1, 2, 3)
        dataset.PixelData = words.tobytes()
        dataset.add_new(0x00280120, "US", 3)
        dataset.add_new(0x00280121, "US", 1)

    series_files(tmp_path, ct_series(volume, edit=edit))
    padding = read_volume(tmp_path).padding
    assert padding is not None
    assert padding[:, 0, :3].all()
    assert padding.sum() == 3 * SLICES


def test_padding_written_beyond_the_stored_bits_is_still_padding(
    tmp_path: Path, volume: CTVolume
) -> None:
    def edit(dataset: Dataset, index: int) -> None:
        dataset.BitsStored, dataset.HighBit = 12, 11
        words = np.frombuffer(dataset.PixelData, "<u2").copy()
        words[:2] = 63536
        dataset.PixelData = words.tobytes()
        dataset.add_new(0x00280120, "US", 63536)

    series_files(tmp_path, ct_series(volume, edit=edit))
    padding = read_volume(tmp_path).padding
    assert padding is not None
    assert padding[:, 0, :2].all()
    assert padding.sum() == 2 * SLICES


@pytest.mark.parametrize("charset", [b"ISO_IR 192", b"ISO_IR 100", b"ISO_IR 999", b"\\ISO 2022 "])
def test_character_sets_do_not_matter(tmp_path: Path, volume: CTVolume, charset: bytes) -> None:
    paths = series_files(tmp_path, ct_series(volume, edit=with_(SpecificCharacterSet="ISO_IR 192")))
    for path in paths:
        data = path.read_bytes().replace(b"ISO_IR 192", charset)
        # Bytes of another character set than the one declared.
        data = data.replace(b"Marker^Someone", b"M\xe4rker^Som\xe8one")
        path.write_bytes(data.replace(b"Series 1", b"S\xe9rie  1"))
    assert_same_place_and_value(read_volume(tmp_path), volume)


def test_an_overlong_decimal_string_is_read(tmp_path: Path, volume: CTVolume) -> None:
    paths = series_files(tmp_path, ct_series(volume))
    for path in paths:
        data = path.read_bytes()
        assert data.count(b"\\31.25\\") == 1
        longer = data.replace(b"-12.5\\31.25\\", b"-12.5000000000000000\\31.25000000000000000\\")
        old = data.index(b"-12.5\\31.25\\")
        length = int.from_bytes(data[old - 2 : old], "little") + len(longer) - len(data)
        start = longer.index(b"-12.5000")
        path.write_bytes(
            longer[: start - 2] + (length + length % 2).to_bytes(2, "little") + longer[start:]
            if length % 2 == 0
            else longer[: start - 2]
            + (length + 1).to_bytes(2, "little")
            + longer[start : start + length]
            + b" "
            + longer[start + length :]
        )
    assert_same_place_and_value(read_volume(tmp_path), volume)


def test_missing_thickness_and_dose_are_unknown_not_guessed(
    tmp_path: Path, volume: CTVolume
) -> None:
    edit = without("SliceThickness", "Exposure", "KVP", "ConvolutionKernel")
    series_files(tmp_path, ct_series(volume, edit=edit))
    acquisition = read_volume(tmp_path).acquisition
    assert acquisition.slice_thickness_mm is None
    assert acquisition.exposure_mas == ()
    assert acquisition.kvp is None
    assert acquisition.convolution_kernel is None


def test_a_frame_of_reference_of_its_own_for_every_slice_says_nothing(
    tmp_path: Path, volume: CTVolume
) -> None:
    def edit(dataset: Dataset, index: int) -> None:
        dataset.FrameOfReferenceUID = uid("frame", index)

    series_files(tmp_path, ct_series(volume, edit=edit))
    assert_same_place_and_value(read_volume(tmp_path), volume)
    assert "frame of reference" in " ".join(map(str, find_series(tmp_path)[0].notes))
