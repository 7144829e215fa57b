"""Every synthetic failure of CT series is read right, voxel for voxel, or refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
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
from ctdenoise.errors import StudyError, UsageError
from ctdenoise.io.read import read_volume
from ctdenoise.io.study import find_series
from tests.dicom.builders import as_bytes, ct_series, marked_volume, series_files, uid

SLICES = 6


@pytest.fixture
def volume() -> CTVolume:
    return marked_volume(slices=SLICES)


def assert_same_place_and_value(read: CTVolume, written: CTVolume) -> None:
    assert read.geometry.matches(written.geometry)
    np.testing.assert_allclose(
        read.geometry.positions_mm, written.geometry.positions_mm, rtol=0, atol=1e-6
    )
    np.testing.assert_array_equal(read.hu, written.hu)


def problems_of(folder: Path) -> str:
    return " | ".join(problem for found in find_series(folder) for problem in found.problems)


def refusal_of(folder: Path) -> str:
    with pytest.raises(StudyError) as caught:
        read_volume(folder)
    return str(caught.value)


def tilted(degrees: float = 18.5, slices: int = SLICES) -> Geometry:
    angle = np.radians(degrees)
    column = (0.0, float(np.cos(angle)), float(-np.sin(angle)))
    positions = np.array([-12.5, 31.25, -40.0]) + np.outer(np.arange(slices), [0.0, 0.0, 2.5])
    return Geometry(40, 36, (0.8, 0.7), (1.0, 0.0, 0.0), column, positions)


def oriented(row: tuple[float, float, float], column: tuple[float, float, float]) -> Geometry:
    normal = np.cross(row, column)
    positions = np.array([5.0, -7.0, 11.0]) + np.outer(np.arange(SLICES), normal * 2.5)
    return Geometry(40, 36, (0.8, 0.7), row, column, positions)


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
    assert "gantry tilt of 18.5 degrees" in " ".join(find_series(tmp_path / "tilt")[0].notes)
    gap = " ".join(find_series(tmp_path / "gap")[0].notes)
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


def test_a_file_that_is_there_twice_is_read_once(tmp_path: Path, volume: CTVolume) -> None:
    paths = series_files(tmp_path, ct_series(volume))
    shutil.copy(paths[2], tmp_path / "copy of something")
    assert_same_place_and_value(read_volume(tmp_path), volume)
    assert "1 files are copies" in " ".join(find_series(tmp_path)[0].notes)


def test_the_same_instance_in_another_encoding_is_a_copy(tmp_path: Path, volume: CTVolume) -> None:
    datasets = ct_series(volume)
    series_files(tmp_path, datasets)
    (tmp_path / "again").write_bytes(as_bytes(datasets[1], ImplicitVRLittleEndian))
    found = find_series(tmp_path)
    assert [series.readable for series in found] == [True]
    assert_same_place_and_value(read_volume(tmp_path), volume)


def test_other_pixels_at_the_same_position_are_refused(tmp_path: Path, volume: CTVolume) -> None:
    datasets = ct_series(volume)
    other = ct_series(marked_volume(seed=9), edit=_new_identity)[3]
    series_files(tmp_path, [*datasets, other])
    assert "lie at the position of another one" in refusal_of(tmp_path)


def test_the_same_instance_with_other_pixels_is_no_copy(tmp_path: Path, volume: CTVolume) -> None:
    other = ct_series(marked_volume(seed=9))[3]
    series_files(tmp_path, [*ct_series(volume), other])
    assert "lie at the position of another one" in refusal_of(tmp_path)


def _new_identity(dataset: Dataset, index: int) -> None:
    dataset.SOPInstanceUID = uid("other instance", index)


@pytest.mark.parametrize(
    ("keyword", "values", "label"),
    [
        ("AcquisitionNumber", ("1", "2"), "acquisition 2"),
        ("ConvolutionKernel", ("SOFT", "BONE"), "kernel BONE"),
        ("AcquisitionTime", ("101212", "101240"), "time 101240"),
        ("NominalPercentageOfCardiacPhase", (30.0, 75.0), "phase % 75.0"),
    ],
)
def test_two_phases_in_one_series_become_two_stacks(
    tmp_path: Path, keyword: str, values: tuple[str, str], label: str
) -> None:
    phases = [marked_volume(seed=seed) for seed in (1, 2)]
    datasets = []
    for phase, value in zip(phases, values, strict=True):

        def edit(dataset: Dataset, index: int, value: str = value) -> None:
            setattr(dataset, keyword, value)
            dataset.SOPInstanceUID = uid("phase", value, index)

        datasets += ct_series(phase, edit=edit)
    series_files(tmp_path, datasets)
    found = find_series(tmp_path)
    assert len(found) == 2
    assert all(series.readable for series in found)
    with pytest.raises(UsageError, match="2 readable series"):
        read_volume(tmp_path)
    second = read_volume(tmp_path, series=label)
    assert_same_place_and_value(second, phases[1])


def test_series_in_one_folder_are_told_apart(tmp_path: Path) -> None:
    volumes = {name: marked_volume(seed=int(name)) for name in ("1", "2")}
    for name, volume in volumes.items():
        names = [f"{name}{index}" for index in range(SLICES)]
        series_files(tmp_path, ct_series(volume, series=name), names=names)
    found = find_series(tmp_path)
    assert [(series.number, series.description) for series in found] == [
        (1, "Series 1"),
        (2, "Series 2"),
    ]
    with pytest.raises(UsageError, match="Series 2"):
        read_volume(tmp_path)
    for series in found:
        uid_end = series.source.series_instance_uid[-8:]
        for wanted in (str(series.number), uid_end, series.description):
            read = read_volume(tmp_path, series=wanted)
            assert_same_place_and_value(read, volumes[str(series.number)])


def test_matrices_and_orientations_of_one_series_become_stacks(tmp_path: Path) -> None:
    parts = [
        marked_volume(slices=4),
        marked_volume(slices=4, size=(48, 48), seed=3),
        marked_volume(geometry=oriented((1, 0, 0), (0, 0, -1)), seed=4),
    ]
    datasets = []
    for part, volume in enumerate(parts):

        def edit(dataset: Dataset, index: int, part: int = part) -> None:
            dataset.SOPInstanceUID = uid("part", part, index)

        datasets += ct_series(volume, edit=edit)
    series_files(tmp_path, datasets)
    found = find_series(tmp_path)
    assert len(found) == 3
    assert len({series.description for series in found}) == 3
    for series in found:
        match = next(v for v in parts if v.geometry.matches(series.geometry))
        assert_same_place_and_value(read_volume(series), match)


def test_a_scout_inside_the_series_is_listed_apart(tmp_path: Path, volume: CTVolume) -> None:
    def scout(dataset: Dataset, index: int) -> None:
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
        dataset.SOPInstanceUID = uid("scout")

    series_files(tmp_path / "a", ct_series(volume))
    series_files(tmp_path / "b", ct_series(marked_volume(slices=1, seed=5), edit=scout))
    found = {series.what: series for series in find_series(tmp_path)}
    assert set(found) == {"CT", "scout"}
    assert not found["scout"].readable
    assert_same_place_and_value(read_volume(tmp_path), volume)


def test_other_objects_beside_the_series_are_named(tmp_path: Path, volume: CTVolume) -> None:
    classes = {
        "1.2.840.10008.5.1.4.1.1.66.4": ("SEG", "segmentation"),
        "1.2.840.10008.5.1.4.1.1.88.67": ("SR", "dose report"),
        "1.2.840.10008.5.1.4.1.1.88.33": ("SR", "structured report"),
        "1.2.840.10008.5.1.4.1.1.481.3": ("RTSTRUCT", "RT structure set"),
        "1.2.840.10008.5.1.4.1.1.7": ("OT", "secondary capture"),
        "1.2.840.10008.5.1.4.1.1.128": ("PT", "PT object"),
    }
    series_files(tmp_path, ct_series(volume))
    for number, (sop_class, (modality, _)) in enumerate(classes.items()):
        other = ct_series(marked_volume(slices=1), series=f"9{number}")[0]
        other.SOPClassUID, other.Modality = sop_class, modality
        (tmp_path / f"other{number}").write_bytes(as_bytes(other))
    (tmp_path / "DICOMDIR").write_bytes(as_bytes(ct_series(volume)[0]))
    (tmp_path / "notes.txt").write_text("hello")
    found = find_series(tmp_path)
    assert {s.what for s in found} == {"CT", *(what for _, what in classes.values())}
    assert_same_place_and_value(read_volume(tmp_path), volume)


def _without(*keywords: str) -> Callable[[Dataset, int], None]:
    def edit(dataset: Dataset, index: int) -> None:
        for keyword in keywords:
            delattr(dataset, keyword)

    return edit


def _with(**values: object) -> Callable[[Dataset, int], None]:
    def edit(dataset: Dataset, index: int) -> None:
        for keyword, value in values.items():
            setattr(dataset, keyword, value)

    return edit


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (_without("ImagePositionPatient"), "ImagePositionPatient is missing"),
        (_without("ImageOrientationPatient"), "ImageOrientationPatient is missing"),
        (_without("PixelSpacing"), "PixelSpacing is missing"),
        (_without("RescaleSlope"), "Hounsfield units are unknown"),
        (_without("RescaleIntercept"), "Hounsfield units are unknown"),
        (_with(RescaleSlope="0"), "RescaleSlope is zero"),
        (_with(RescaleType="US"), "RescaleType is US"),
        (_without("Modality"), "Modality is missing"),
        (_with(Modality="MR"), "Modality is MR"),
        (_without("PixelData"), "there are no pixel data"),
        (_without("Rows"), "Rows or Columns is missing"),
        (_with(HighBit=13, BitsStored=12), "HighBit 13"),
        (_with(BitsStored=17), "make no sense"),
        (_with(SamplesPerPixel=3), "3 samples per pixel"),
        (_with(PhotometricInterpretation="RGB"), "PhotometricInterpretation is RGB"),
        (_with(Rows=5000, Columns=5000), "more than CT has"),
        (_with(Rows=200), "shorter than its header says"),
        (_with(ModalityLUTSequence=Sequence([Dataset()])), "Modality LUT"),
        (_with(ImageType=["DERIVED", "PRIMARY", "PERFUSION", "RCBF"]), "computed map"),
        (_with(ImageOrientationPatient=[1, 0, 0, 0.5, 1, 0]), "not orthogonal"),
    ],
)
def test_what_cannot_be_read_right_is_refused_with_its_reason(
    tmp_path: Path, volume: CTVolume, edit: Callable[[Dataset, int], None], reason: str
) -> None:
    series_files(tmp_path, ct_series(volume, edit=edit))
    assert reason in problems_of(tmp_path)
    assert reason in refusal_of(tmp_path)


def test_every_reason_is_listed_at_once(tmp_path: Path, volume: CTVolume) -> None:
    edit = _without("ImagePositionPatient", "RescaleSlope", "Modality")
    series_files(tmp_path, ct_series(volume, edit=edit))
    refusal = refusal_of(tmp_path)
    for reason in ("ImagePositionPatient", "RescaleSlope", "Modality"):
        assert reason in refusal


def test_one_spoiled_slice_refuses_the_series_and_is_named(
    tmp_path: Path, volume: CTVolume
) -> None:
    def edit(dataset: Dataset, index: int) -> None:
        if index == 4:
            del dataset.ImagePositionPatient

    series_files(tmp_path, ct_series(volume, edit=edit))
    assert "(1 of 6: 0005.dcm)" in refusal_of(tmp_path)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless, JPEG2000Lossless])
@pytest.mark.parametrize("kept", [0.95, 0.5])
def test_a_truncated_slice_refuses_the_series_and_is_named(
    tmp_path: Path, volume: CTVolume, syntax: str, kept: float
) -> None:
    paths = series_files(tmp_path, ct_series(volume), syntax=syntax)
    for path in paths[1:3]:
        data = path.read_bytes()
        path.write_bytes(data[: int(len(data) * kept)])
    reason = "the file is truncated: its pixel data are incomplete (2 of 6: 0002.dcm, 0003.dcm)"
    assert reason in problems_of(tmp_path)
    assert reason in refusal_of(tmp_path)


@pytest.mark.parametrize("kept", [0, 140, 300, 420, 700])
def test_a_slice_cut_off_in_its_header_refuses_the_series(
    tmp_path: Path, volume: CTVolume, kept: int
) -> None:
    paths = series_files(tmp_path, ct_series(volume))
    paths[2].write_bytes(paths[2].read_bytes()[:kept])
    assert "0003.dcm" in refusal_of(tmp_path)


def test_a_slice_that_lost_what_it_is_refuses_its_series(tmp_path: Path, volume: CTVolume) -> None:
    def edit(dataset: Dataset, index: int) -> None:
        if index == 2:
            del dataset.SOPClassUID
            del dataset.Modality

    series_files(tmp_path, ct_series(volume, edit=edit), file_meta=False)
    assert "(1 of 6: 0003.dcm)" in refusal_of(tmp_path)


def test_patients_mixed_in_one_series_are_refused(tmp_path: Path, volume: CTVolume) -> None:
    def edit(dataset: Dataset, index: int) -> None:
        dataset.PatientID = f"P{index % 2}"

    series_files(tmp_path, ct_series(volume, edit=edit))
    assert "2 patients" in refusal_of(tmp_path)


@pytest.mark.parametrize("charset", [b"ISO_IR 192", b"ISO_IR 100", b"ISO_IR 999", b"\\ISO 2022 "])
def test_character_sets_do_not_matter(tmp_path: Path, volume: CTVolume, charset: bytes) -> None:
    paths = series_files(tmp_path, ct_series(volume, edit=_with(SpecificCharacterSet="ISO_IR 192")))
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
    edit = _without("SliceThickness", "Exposure", "KVP", "ConvolutionKernel")
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
    assert "frame of reference" in " ".join(find_series(tmp_path)[0].notes)


def test_negative_numbers_declared_unsigned_are_refused(tmp_path: Path, volume: CTVolume) -> None:
    series_files(
        tmp_path, ct_series(volume, intercept=0.0, signed=True, edit=_with(PixelRepresentation=0))
    )
    assert "PixelRepresentation is wrong" in refusal_of(tmp_path)
