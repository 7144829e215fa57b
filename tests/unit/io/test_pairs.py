from __future__ import annotations

import json
import os
import pickle
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from ctdenoise.core.acquisition import Acquisition
from ctdenoise.core.geometry import Geometry
from ctdenoise.core.pair import Exposure, Pair
from ctdenoise.core.provenance import Step
from ctdenoise.core.source import SourceInstance, SourceSeries
from ctdenoise.core.volume import CTVolume
from ctdenoise.errors import OutputError, PairsError
from ctdenoise.io.pair_writer import write_pairs
from ctdenoise.io.pairs import (
    PADDING_HU,
    PairFiles,
    find_pairs,
    read_pair,
    verify_pairs,
)
from ctdenoise.io.staging import staged_folder
from tests.builders import water_disc


def make_pair(
    dose: float = 0.25, *, seed: int = 0, full: CTVolume | None = None, labels: bool = True
) -> Pair:
    full = full if full is not None else make_full()
    noise = np.random.default_rng(seed).normal(0.0, 20.0, full.shape).astype(np.float32)
    low = full.with_hu(full.hu + noise, Step("simulate_low_dose", {"dose_fraction": dose}))
    marks = (full.hu > -500).astype(np.uint8) if labels else None
    exposure = Exposure(dose, photons=1.2e5, full_noise_hu=8.0, calibrated_by="noise")
    return Pair(full, low, exposure, marks, {1: "body"} if labels else {})


def make_full() -> CTVolume:
    disc = water_disc(slices=3, size=20, noise_hu=5.0)
    padding = np.zeros(disc.shape, dtype=bool)
    padding[:, 0, :] = True
    acquisition = Acquisition(
        kvp=120.0,
        exposure_mas=(100.0, 110.0, 120.5),
        slice_thickness_mm=3.0,
        convolution_kernel="B40f",
        reconstruction_centre_offset_mm=(1.0, -2.0),
    )
    source = SourceSeries(
        "dicom", tuple(SourceInstance(Path("x"), "1.2") for _ in range(3)), "1.2.3", "1.2", "ab12"
    )
    return replace(disc, padding=padding, acquisition=acquisition, source=source)


@pytest.fixture
def written(tmp_path: Path) -> PairFiles:
    folder = tmp_path / "cohort" / "one"
    folder.mkdir(parents=True)
    full = make_full()
    write_pairs(folder, [make_pair(0.5, seed=1, full=full), make_pair(0.25, seed=2, full=full)])
    return find_pairs([tmp_path])[0]


def damage_manifest(files: PairFiles, **changes: object) -> None:
    path = files.folder / "pair.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_pair_comes_back_rounded_to_whole_hu(written: PairFiles) -> None:
    full = make_full()
    for index, dose in enumerate((0.5, 0.25)):
        pair = make_pair(dose, seed=index + 1, full=full)
        back = read_pair(written, index)
        image = ~full.padding
        assert np.array_equal(back.full.hu[image], np.rint(full.hu[image]))
        assert np.array_equal(back.low.hu[image], np.rint(pair.low.hu[image]))
        assert np.array_equal(back.labels, pair.labels)
        assert back.exposure == pair.exposure
        assert back.label_names == {1: "body"}


def test_history_acquisition_and_patient_come_back(written: PairFiles) -> None:
    back = read_pair(written, 1)
    assert back.full.history == ()
    assert [step.as_json() for step in back.low.history] == [
        {"name": "simulate_low_dose", "params": {"dose_fraction": 0.25}}
    ]
    assert back.full.acquisition == make_full().acquisition
    assert written.patient_key == "ab12"
    assert back.full.source is not None
    assert back.full.source.patient_key == "ab12"
    assert written.kernel == "B40f"
    assert written.kvp == 120.0
    assert written.slice_thickness_mm == 3.0
    assert written.pixel_spacing_mm == (2.0, 2.0)


def test_the_manifest_names_neither_uids_nor_source_paths(written: PairFiles) -> None:
    text = (written.folder / "pair.json").read_text()
    assert "1.2.3" not in text
    assert "dicom" not in text


def test_padding_is_marked_in_both_images_and_becomes_the_mask(written: PairFiles) -> None:
    arrays = written.open()
    expected = make_full().padding
    for image in (arrays.full, *arrays.low):
        assert np.array_equal(image == PADDING_HU, expected)
    back = read_pair(written)
    assert np.array_equal(back.full.padding, expected)
    assert np.array_equal(back.low.padding, expected)


def test_image_voxels_never_look_like_padding_and_never_wrap_around(tmp_path: Path) -> None:
    full = water_disc(slices=1, size=4)
    hu = np.zeros(full.shape, dtype=np.float32)
    hu[0, 0] = [-2048.0, -90000.0, 90000.0, -2047.6]
    full = full.with_hu(hu, Step("extremes"))
    write_pairs(tmp_path, [Pair(full, full, Exposure(1.0, 1.0))])
    back = read_pair(find_pairs([tmp_path])[0])
    assert back.full.hu[0, 0].tolist() == [-2047.0, -2047.0, 32767.0, -2047.0]
    assert back.full.padding is None


def test_arrays_are_read_only_memory_maps_in_z_y_x_order(written: PairFiles) -> None:
    arrays = written.open()
    for array in (arrays.full, *arrays.low, arrays.labels):
        assert isinstance(array, np.memmap)
        assert array.shape == (3, 20, 20)
        assert array.flags.c_contiguous
        assert not array.flags.writeable
    assert arrays.full.dtype == np.int16
    assert arrays.labels.dtype == np.uint8


def test_pair_files_travel_to_worker_processes(written: PairFiles) -> None:
    copy = pickle.loads(pickle.dumps(written))  # noqa: S301 - our own bytes, made a line above
    assert copy.full == written.full
    assert copy.geometry.matches(written.geometry)


def test_the_nifti_header_places_the_grid_in_ras(written: PairFiles) -> None:
    lps = written.geometry.affine()
    image = nib.load(written.full)
    assert np.allclose(image.affine, np.diag([-1.0, -1.0, 1.0, 1.0]) @ lps)


@pytest.mark.parametrize("trouble", ["tilt", "gap"])
def test_tilted_and_uneven_stacks_keep_every_position(tmp_path: Path, trouble: str) -> None:
    full = make_full()
    positions = np.array(full.geometry.positions_mm)
    positions[:, 1 if trouble == "tilt" else 2] += np.array([0.0, 3.0, 30.0])
    geometry = replace(full.geometry, positions_mm=positions)
    full = replace(full, geometry=geometry)
    write_pairs(tmp_path, [make_pair(full=full)])
    files = find_pairs([tmp_path])[0]
    assert np.array_equal(files.geometry.positions_mm, positions)
    assert "position of every slice" in json.loads((tmp_path / "pair.json").read_text())["notes"][0]
    spacing = files.geometry.slice_spacing_mm
    assert np.allclose(nib.load(files.full).affine, np.diag([2.0, 2.0, spacing, 1.0]))


def test_two_twins_at_one_dose_get_files_of_their_own(tmp_path: Path) -> None:
    full = make_full()
    write_pairs(tmp_path, [make_pair(0.1, seed=s, full=full) for s in (1, 2)])
    files = find_pairs([tmp_path])[0]
    assert [low.path.name for low in files.low] == ["low_0.1.nii", "low_0.1_2.nii"]
    low = files.open().low
    assert not np.array_equal(low[0], low[1])


def test_pairs_with_different_full_dose_volumes_are_refused(tmp_path: Path) -> None:
    first, other = make_pair(full=make_full()), make_pair(full=water_disc(slices=3, size=20))
    with pytest.raises(PairsError, match="another full-dose volume"):
        write_pairs(tmp_path, [first, other])
    assert not any(tmp_path.iterdir())


def test_pairs_are_found_at_any_depth_once_and_in_order(tmp_path: Path) -> None:
    for name in ("b/deep/er", "a", ".ctdenoise-partial-1-x"):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        write_pairs(folder, [make_pair()])
    found = find_pairs([tmp_path, tmp_path / "a", tmp_path / "a" / "pair.json"])
    assert [files.folder.relative_to(tmp_path).as_posix() for files in found] == ["a", "b/deep/er"]


def test_a_folder_without_pairs_says_how_to_make_some(tmp_path: Path) -> None:
    with pytest.raises(PairsError, match="ctdenoise simulate"):
        find_pairs([tmp_path])


def test_a_path_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(PairsError, match="nowhere: there is no such"):
        find_pairs([tmp_path / "nowhere"])


def test_every_damage_is_listed_at_once(written: PairFiles) -> None:
    written.low[0].path.unlink()
    os.truncate(written.full, 500)
    nib.save(nib.Nifti1Image(np.zeros((5, 5, 5), np.uint8), np.eye(4)), written.labels)
    with pytest.raises(PairsError) as caught:
        find_pairs([written.folder])
    message = str(caught.value)
    assert "low_0.5.nii: the file is missing" in message
    assert "full.nii: the file is damaged or cut short" in message
    assert "labels.nii: it holds (5, 5, 5) voxels" in message


def test_floating_point_images_are_refused(written: PairFiles) -> None:
    image = nib.Nifti1Image(np.zeros((20, 20, 3), np.float32), np.eye(4))
    nib.save(image, written.full)
    with pytest.raises(PairsError, match="float32"):
        find_pairs([written.folder])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"version": 2}, "version 2"),
        ({"format": "other"}, "no manifest"),
        ({"low": []}, "no low-dose image"),
        ({"geometry": {}}, "'rows' is missing"),
        ({"acquisition": {"kv": 1}}, "unknown facts"),
    ],
)
def test_a_manifest_of_another_kind_is_refused(
    written: PairFiles, changes: dict[str, object], words: str
) -> None:
    damage_manifest(written, **changes)
    with pytest.raises(PairsError, match=words):
        find_pairs([written.folder])


def test_a_manifest_that_is_no_json_is_refused(written: PairFiles) -> None:
    (written.folder / "pair.json").write_text("{")
    with pytest.raises(PairsError, match="cannot be read as JSON"):
        find_pairs([written.folder])


@pytest.mark.parametrize("name", ["../full.nii", "/etc/passwd", "..", "a\\b"])
def test_a_manifest_cannot_point_outside_its_folder(written: PairFiles, name: str) -> None:
    record = json.loads((written.folder / "pair.json").read_text())
    damage_manifest(written, full={**record["full"], "file": name})
    with pytest.raises(PairsError, match="not a plain file name"):
        find_pairs([written.folder])


def test_verification_finds_one_changed_byte(written: PairFiles) -> None:
    verify_pairs([written])
    with written.low[1].path.open("r+b") as file:
        file.seek(1000)
        byte = file.read(1)
        file.seek(1000)
        file.write(bytes([byte[0] ^ 1]))
    assert find_pairs([written.folder])  # the size is right: only the digest tells
    with pytest.raises(PairsError, match=r"low_0\.25\.nii: the content is not"):
        verify_pairs([written])


def test_there_is_no_pair_beyond_the_last_dose(written: PairFiles) -> None:
    with pytest.raises(PairsError, match="no low dose number 2"):
        read_pair(written, 2)


def test_a_single_slice_is_a_pair_too(tmp_path: Path) -> None:
    volume = water_disc(slices=1, size=8)
    write_pairs(tmp_path, [make_pair(full=volume)])
    files = find_pairs([tmp_path])[0]
    assert files.shape == (1, 8, 8)
    assert isinstance(files.geometry, Geometry)


def test_a_full_disk_is_reported_as_such_and_leaves_nothing(small_disk: Path) -> None:
    pair = make_pair(full=water_disc(slices=4, size=150))
    with (
        pytest.raises(OutputError, match="disk is full"),
        staged_folder(small_disk / "pairs") as stage,
    ):
        write_pairs(stage, [pair])
    assert not any(small_disk.iterdir())
