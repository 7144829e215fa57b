"""`simulate`: from a study to pairs or to a simulated series."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest

from ctdenoise.config.dose import SimulateSettings
from ctdenoise.config.load import find_settings_file, load_settings
from ctdenoise.config.scanner import ScannerSettings
from ctdenoise.core.provenance import Step
from ctdenoise.core.randomness import stream
from ctdenoise.errors import OutputExistsError, SimulationError, StudyError
from ctdenoise.io.manifest import manifest_problems, read_manifest
from ctdenoise.io.nifti import write_nifti
from ctdenoise.io.pairs import find_pairs, read_pair
from ctdenoise.io.read import read_volume
from ctdenoise.simulation.calibration import sample_indices
from ctdenoise.simulation.low_dose import simulate_doses
from ctdenoise.tasks import simulate
from tests.builders import water_disc
from tests.dicom.builders import as_bytes, ct_series, multi_frame, series_files

SETTINGS = SimulateSettings(
    dose=(0.5, 0.25),
    photons=2e4,
    scanner=ScannerSettings(
        distances="setting", channels=96, channel_pitch_mm=3.0, views_per_turn=96
    ),
)


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("study") / "scan.nii"
    write_nifti(water_disc(noise_hu=5.0), path)
    return path


def test_pairs_hold_the_scan_and_a_twin_for_each_dose(study, tmp_path):
    out = tmp_path / "pair"
    report = simulate.run(study, SETTINGS, out=out)
    files = find_pairs([out])
    assert len(files) == 1
    source = read_volume(study)
    for index, dose in enumerate((0.5, 0.25)):
        pair = read_pair(files[0], index)
        assert np.array_equal(pair.full.hu, np.rint(source.hu))
        assert pair.exposure.dose_fraction == dose
        assert (pair.low.hu - pair.full.hu).std() > 1
    assert [exposure.dose_fraction for exposure in report.exposures] == [0.5, 0.25]
    assert report.slices == 4


def test_the_run_can_be_repeated_from_what_it_wrote(study, tmp_path):
    simulate.run(study, SETTINGS, out=tmp_path / "one", seed=7)
    settings = load_settings(SimulateSettings, tmp_path / "one" / "settings.yaml")
    seed = json.loads((tmp_path / "one" / "run.json").read_text())["seed"]
    simulate.run(study, settings, out=tmp_path / "two", seed=seed)
    simulate.run(study, settings, out=tmp_path / "other", seed=8)
    images = [
        read_pair(find_pairs([tmp_path / name])[0], 1).low.hu for name in ("one", "two", "other")
    ]
    assert np.array_equal(images[0], images[1])
    assert not np.array_equal(images[0], images[2])


def test_several_doses_become_one_simulated_series_each(study, tmp_path):
    out = tmp_path / "series"
    simulate.run(study, SETTINGS, out=out, file_format="dicom")
    for dose in (0.5, 0.25):
        series = read_volume(out / f"dose_{dose:g}")
        assert series.shape == (4, 64, 64)


@pytest.mark.parametrize("kind", ["nifti", "dicom"])
def test_series_of_several_doses_are_told_apart(study, tmp_path, kind):
    source = study
    if kind == "dicom":
        series_files(tmp_path / "in", ct_series(water_disc(noise_hu=5.0)))
        source = tmp_path / "in"
    simulate.run(source, SETTINGS, out=tmp_path / "out", file_format="dicom")
    first = [
        pydicom.dcmread(tmp_path / "out" / f"dose_{dose:g}" / "00001.dcm") for dose in (0.5, 0.25)
    ]
    assert first[1].SeriesNumber == first[0].SeriesNumber + 1
    assert first[0].SeriesInstanceUID != first[1].SeriesInstanceUID
    assert first[0].StudyInstanceUID == first[1].StudyInstanceUID
    descriptions = [dataset.SeriesDescription for dataset in first]
    assert "SIMULATED 50 %" in descriptions[0]
    assert "SIMULATED 25 %" in descriptions[1]


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_files_hold_what_is_simulated_in_memory_however_it_is_cut(tmp_path, suffix):
    path = write_nifti(water_disc(slices=11, noise_hu=5.0), tmp_path / f"scan{suffix}")
    whole = simulate_doses(read_volume(path), SETTINGS, stream(0, simulate.COMMAND))
    for size in (3, 16):
        out = tmp_path / f"pair{size}"
        simulate.run(path, SETTINGS.replaced(slices_per_batch=size), out=out)
        for index, expected in enumerate(whole):
            pair = read_pair(find_pairs([out])[0], index)
            assert np.array_equal(pair.low.hu, np.rint(expected.low.hu))
            assert pair.exposure == expected.exposure


def test_labels_travel_with_the_pair(study, tmp_path):
    image = nib.load(study)
    organs = np.zeros(image.shape, np.uint8)
    organs[10:20, 20:40, 1] = 3
    nib.save(nib.Nifti1Image(organs, image.affine), tmp_path / "labels.nii")
    simulate.run(study, SETTINGS, out=tmp_path / "pair", labels=tmp_path / "labels.nii")
    pair = read_pair(find_pairs([tmp_path / "pair"])[0])
    assert pair.labels is not None
    assert np.count_nonzero(pair.labels == 3) == 200


def test_an_output_that_is_taken_is_refused_before_any_work(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputExistsError):
        simulate.run(tmp_path / "no such study", SETTINGS, out=tmp_path)
    assert (tmp_path / "file").read_text() == "mine"


def test_a_failure_leaves_nothing_behind(tmp_path):
    disc = water_disc()
    write_nifti(disc.with_hu(disc.hu / 100 + 20, Step("phantom")), tmp_path / "scan.nii")
    with pytest.raises(SimulationError):
        simulate.run(tmp_path / "scan.nii", SETTINGS, out=tmp_path / "out")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["scan.nii"]


def test_frames_of_one_object_become_pairs(tmp_path):
    frames = multi_frame(water_disc(slices=5, noise_hu=5.0))
    (tmp_path / "frames.dcm").write_bytes(as_bytes(frames))
    simulate.run(tmp_path / "frames.dcm", SETTINGS, out=tmp_path / "pair")
    assert find_pairs([tmp_path / "pair"])[0].shape == (5, 64, 64)


def test_a_slice_that_cannot_be_read_ends_the_run_with_its_own_error(tmp_path):
    disc = water_disc(slices=40, size=32, radius_mm=25.0)
    hu = np.array(disc.hu)
    late = next(z for z in range(30, 40) if z not in sample_indices(disc.geometry))
    hu[late, 16, 16] = np.nan
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ disc.geometry.affine()
    nib.save(nib.Nifti1Image(hu.transpose(2, 1, 0), affine), tmp_path / "scan.nii")
    with pytest.raises(StudyError, match="not finite"):
        simulate.run(
            tmp_path / "scan.nii", SETTINGS.replaced(slices_per_batch=4), out=tmp_path / "out"
        )
    assert [entry.name for entry in tmp_path.iterdir()] == ["scan.nii"]


@pytest.mark.ctdata
def test_organs_at_three_millimetres(ctdata, tmp_path):
    settings = load_settings(SimulateSettings, find_settings_file("simulate", "default"))
    folder = ctdata / "masks" / "organs"
    simulate.run(
        folder / "example_ct.nii.gz",
        settings.replaced(scanner=SETTINGS.scanner.replaced(channels=160)),
        out=tmp_path / "pair",
    )
    pair = read_pair(find_pairs([tmp_path / "pair"])[0])
    assert sorted(pair.full.shape) == [101, 112, 122]
    assert (pair.low.hu - pair.full.hu).std() > 1


@pytest.mark.parametrize("number", [None, 30, 2**31 - 1])
def test_each_dose_is_a_series_of_its_own_in_the_study(tmp_path, number):
    series_files(tmp_path / "ct", ct_series(water_disc(noise_hu=5.0), signed=True))
    settings = SETTINGS.replaced(dicom={"series_number": number, "transfer_syntax": "jpeg-ls"})
    simulate.run(tmp_path / "ct", settings, out=tmp_path / "out", file_format="dicom")
    series = read_manifest(tmp_path / "out").series
    assert manifest_problems(tmp_path / "out") == []
    numbers = []
    for one in series:
        first = pydicom.dcmread(tmp_path / "out" / one.instances[0].file)
        assert first.file_meta.TransferSyntaxUID.name.startswith("JPEG-LS Lossless")
        numbers.append(first.SeriesNumber)
    assert len({one.series_instance_uid for one in series}) == 2
    expected = {None: [1001, 1002], 30: [30, 31]}.get(number, [2**31 - 2, 2**31 - 1])
    assert numbers == expected


def test_the_transfer_syntax_changes_no_identity_of_a_twin(tmp_path):
    series_files(tmp_path / "ct", ct_series(water_disc(noise_hu=5.0), signed=True))
    made = {}
    for syntax in ("explicit", "rle"):
        settings = SETTINGS.replaced(dose=0.5, dicom={"transfer_syntax": syntax})
        simulate.run(tmp_path / "ct", settings, out=tmp_path / syntax, file_format="dicom")
        (series,) = read_manifest(tmp_path / syntax).series
        made[syntax] = [one.sop_instance_uid for one in series.instances]
    assert made["rle"] == made["explicit"]
