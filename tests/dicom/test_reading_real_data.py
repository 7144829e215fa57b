"""Real CT from several makers, with the defects that real CT has."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK

from ctdenoise.errors import StudyError
from ctdenoise.io.read import read_volume
from ctdenoise.io.study import find_series

pytestmark = [
    pytest.mark.ctdata,
    pytest.mark.filterwarnings("ignore:Invalid value for VR UI"),
]


@pytest.mark.parametrize("name", ["CT1", "CT2"])
@pytest.mark.parametrize("syntax", ["RLE", "JPLL", "JLSL", "J2KR"])
def test_lossless_nema_samples_equal_the_uncompressed_one(
    ctdata: Path, name: str, syntax: str
) -> None:
    folder = ctdata / "zoo" / "nema_transfer_syntaxes"
    plain = read_volume(folder / f"{name}_UNC")
    packed = read_volume(folder / f"{name}_{syntax}")
    np.testing.assert_array_equal(packed.hu, plain.hu)
    assert packed.geometry.matches(plain.geometry)


@pytest.mark.parametrize(("syntax", "most"), [("JLSN", 4.0), ("J2KI", 402.0)])
@pytest.mark.parametrize("name", ["CT1", "CT2"])
def test_lossy_nema_samples_are_near_the_uncompressed_one_and_say_so(
    ctdata: Path, name: str, syntax: str, most: float
) -> None:
    # The largest differences that the independent decoders of these samples agree on.
    folder = ctdata / "zoo" / "nema_transfer_syntaxes"
    (found,) = find_series(folder / f"{name}_{syntax}")
    assert "was compressed with loss" in map(str, found.notes)
    difference = read_volume(found).hu - read_volume(folder / f"{name}_UNC").hu
    assert 0 < np.abs(difference).max() <= most


LOSSLESS = ("1.2", "1.2.1", "1.2.2", "1.2.1.99", "1.2.4.57", "1.2.4.70", "1.2.4.80", "1.2.4.90")
UNDECODABLE = ("1.2.4.51", "1.2.4.53", "1.2.4.55")


def _with_syntax(folder: Path, syntax: str) -> Path:
    return next(folder.glob(f"*_1.2.840.10008.{syntax}.dcm"))


@pytest.mark.parametrize("syntax", [*LOSSLESS, "1.2.5"])
def test_one_slice_is_the_same_in_every_lossless_syntax(ctdata: Path, syntax: str) -> None:
    folder = ctdata / "zoo" / "one_slice_many_syntaxes"
    plain = pydicom.dcmread(_with_syntax(folder, "1.2.1"))
    expected = plain.pixel_array.astype(np.float64) * plain.RescaleSlope + plain.RescaleIntercept
    read = read_volume(_with_syntax(folder, syntax))
    np.testing.assert_array_equal(read.hu[0], expected.astype(np.float32))


@pytest.mark.parametrize("syntax", ["1.2.4.50", "1.2.4.81", "1.2.4.91"])
def test_lossy_syntaxes_stay_close_inside_the_body(ctdata: Path, syntax: str) -> None:
    folder = ctdata / "zoo" / "one_slice_many_syntaxes"
    plain = read_volume(_with_syntax(folder, "1.2.1")).hu
    lossy = read_volume(_with_syntax(folder, syntax)).hu
    tissue = (plain > -200) & (plain < 300)
    # One grey level of the coarsest (8 bits, slope 32 HU) is the scale of what is lost.
    assert float(np.abs(lossy - plain)[tissue].mean()) < 33


@pytest.mark.parametrize("syntax", UNDECODABLE)
def test_syntaxes_without_a_decoder_are_refused_in_words(ctdata: Path, syntax: str) -> None:
    path = _with_syntax(ctdata / "zoo" / "one_slice_many_syntaxes", syntax)
    with pytest.raises(StudyError, match="no decoder for its transfer syntax"):
        read_volume(path)


def _headers(folder: Path) -> list[pydicom.Dataset]:
    return [pydicom.dcmread(path, stop_before_pixels=True) for path in sorted(folder.iterdir())]


@pytest.mark.parametrize(
    ("folder", "tilt"),
    [("ge_head_tilt_uneven_gaps", 18.50), ("philips_tilted_with_scout", 18.50)],
)
def test_tilted_heads_lie_where_their_headers_say(ctdata: Path, folder: str, tilt: float) -> None:
    root = ctdata / "zoo" / folder
    read = read_volume(root)
    headers = _headers(root / "head" if (root / "head").is_dir() else root)
    expected = np.array(sorted([list(h.ImagePositionPatient) for h in headers], key=lambda p: p[2]))
    np.testing.assert_allclose(read.geometry.positions_mm, expected, rtol=0, atol=1e-9)
    assert read.geometry.tilt_degrees == pytest.approx(tilt, abs=0.01)


def test_uneven_gaps_of_a_tilted_head_are_all_there(ctdata: Path) -> None:
    geometry = read_volume(ctdata / "zoo" / "ge_head_tilt_uneven_gaps").geometry
    steps = np.diff(geometry.positions_mm[:, 2])
    assert sorted(set(np.round(steps, 2))) == [1.14, 4.22, 7.38]
    np.testing.assert_allclose(geometry.spacings_mm(), steps * np.cos(np.radians(18.5)), rtol=1e-4)


def test_scouts_and_summary_pages_are_listed_and_never_mixed_in(ctdata: Path) -> None:
    root = ctdata / "zoo" / "philips_tilted_with_scout"
    found = find_series(root)
    assert [(s.what, s.slices, s.readable) for s in found] == [
        ("scout", 1, False),
        ("CT", 16, True),
        ("secondary capture", 4, False),
        ("dose report", 1, False),
    ]
    assert read_volume(root).shape == (16, 512, 512)


def test_a_segmentation_in_the_folder_is_listed_apart(ctdata: Path) -> None:
    found = find_series(ctdata / "zoo" / "ct_with_seg")
    assert sorted((s.what, s.readable) for s in found) == [("CT", True), ("segmentation", False)]
    assert read_volume(ctdata / "zoo" / "ct_with_seg").shape == (3, 512, 512)


def test_irregular_series_are_split_noted_and_exact(ctdata: Path) -> None:
    root = ctdata / "zoo" / "irregular_geometry"
    gap = find_series(root / "sliceincrement_001")[0]
    assert gap.readable
    assert any("1 slice seems to be missing" in str(note) for note in gap.notes)
    assert len(find_series(root / "notavolume_001")) == 4
    tilted = read_volume(root / "gantrytilting_001")
    assert tilted.geometry.tilt_degrees == pytest.approx(14.0, abs=0.01)


def test_a_series_without_modality_is_refused(ctdata: Path) -> None:
    with pytest.raises(StudyError, match="Modality is missing"):
        read_volume(ctdata / "zoo" / "no_modality")


def test_perfusion_maps_are_not_taken_for_hounsfield_units(ctdata: Path) -> None:
    for path in sorted((ctdata / "zoo" / "enhanced_ct").iterdir()):
        with pytest.raises(StudyError, match="RescaleType is US"):
            read_volume(path)


def test_files_without_uids_form_the_series_of_their_folder(ctdata: Path) -> None:
    folder = ctdata / "zoo" / "siemens_j2k_series"
    read = read_volume(folder)
    assert read.shape == (20, 512, 512)
    assert read.acquisition.convolution_kernel == "Br38f/3"
    np.testing.assert_allclose(read.geometry.spacings_mm(), 2.0, atol=1e-9)
    first = min(_headers(folder), key=lambda h: float(h.ImagePositionPatient[2]))
    assert read.source is not None
    assert read.source.instances[0].sop_instance_uid == first.file_meta.MediaStorageSOPInstanceUID


def test_contradicting_signedness_of_jpeg2000_gives_tissue_near_water(ctdata: Path) -> None:
    hu = read_volume(ctdata / "zoo" / "J2K_pixelrep_mismatch.dcm").hu
    centre = np.median(hu[0, 200:312, 200:312])
    assert 0 < centre < 80  # a head: brain lies between water and 80 HU
    assert np.median(hu[0, 250, :10]) <= -900


@pytest.mark.filterwarnings("ignore:builtin type Swig")
@pytest.mark.parametrize("folder", ["ge_abdomen", "philips_head_phantom_5mm_UB"])
def test_a_regular_series_agrees_with_simpleitk(ctdata: Path, folder: str) -> None:
    root = ctdata / "series" / folder
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(root)))
    theirs = reader.Execute()
    ours = read_volume(root)
    np.testing.assert_array_equal(ours.hu, SimpleITK.GetArrayFromImage(theirs))
    affine = ours.geometry.affine()
    np.testing.assert_allclose(affine[:3, 3], theirs.GetOrigin(), atol=1e-6)
    direction = np.array(theirs.GetDirection()).reshape(3, 3)
    np.testing.assert_allclose(affine[:3, :3], direction * theirs.GetSpacing(), atol=1e-4)


def test_padding_of_a_ge_scan_is_the_corners_outside_the_circle(ctdata: Path) -> None:
    padding = read_volume(ctdata / "series" / "ge_abdomen").padding
    assert padding is not None
    # Outside a circle inscribed in the square lies 1 - pi/4 of it.
    assert padding.mean() == pytest.approx(1 - np.pi / 4, abs=0.01)
    assert padding[:, 0, 0].all()
    assert not padding[:, 256, 256].any()
