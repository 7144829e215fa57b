"""`phantom`, from settings to a folder that can be read back."""

from __future__ import annotations

import json

import numpy as np
import pytest

from ctdenoise.config.load import load_settings
from ctdenoise.config.phantom import GridSettings, PhantomSettings, RodsSettings, TorsoSettings
from ctdenoise.errors import OutputExistsError
from ctdenoise.io.image_labels import read_labels
from ctdenoise.io.read import read_volume
from ctdenoise.io.study import find_series
from ctdenoise.phantoms.build import build_phantom
from ctdenoise.tasks import phantom as task

SETTINGS = PhantomSettings(
    phantom=RodsSettings(), grid=GridSettings(size=96, slices=3, slice_spacing_mm=2.5)
)


@pytest.mark.parametrize("file_format", ["dicom", "nifti"])
def test_a_phantom_is_one_readable_series_with_its_exact_voxels(tmp_path, file_format):
    report = task.run(SETTINGS, out=tmp_path / "out", file_format=file_format)
    assert [series.what for series in find_series(report.out) if series.readable] == ["CT"]
    volume = read_volume(report.out)
    expected = build_phantom(SETTINGS).volume
    np.testing.assert_array_equal(volume.hu, np.rint(expected.hu))
    assert volume.geometry.matches(expected.geometry)
    assert report.files == (3 if file_format == "dicom" else 1)


def test_its_labels_lie_on_the_grid_of_the_series(tmp_path):
    report = task.run(SETTINGS, out=tmp_path / "out")
    volume = read_volume(report.out)
    labels = read_labels(report.out / task.LABELS_FILE, volume.geometry)
    np.testing.assert_array_equal(labels, build_phantom(SETTINGS).labels)
    truth = json.loads((report.out / task.TRUTH_FILE).read_text())
    acrylic = labels == truth["labels"]["acrylic"]
    assert volume.hu[acrylic].max() == 115  # its edge pixels hold some water
    assert report.labels["acrylic"] == acrylic.sum()


def test_what_it_was_made_with_lies_beside_it(tmp_path):
    report = task.run(SETTINGS, out=tmp_path / "out", file_format="nifti")
    assert load_settings(PhantomSettings, report.out / "settings.yaml") == SETTINGS
    run = json.loads((report.out / "run.json").read_text())
    assert (run["command"], run["seed"]) == ("phantom", 0)
    assert run["results"]["shapes"] == len(build_phantom(SETTINGS).shapes)


def test_two_seeds_are_two_patients_for_whoever_splits_by_patient(tmp_path):
    keys = []
    for seed in (0, 1):
        settings = PhantomSettings(
            phantom=TorsoSettings(texture=0.0), grid=GridSettings(size=32, slices=1), seed=seed
        )
        report = task.run(settings, out=tmp_path / str(seed))
        source = read_volume(report.out).source
        assert source is not None
        keys.append(source.patient_key)
    assert "" not in keys
    assert keys[0] != keys[1]


def test_a_folder_that_holds_something_is_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(OutputExistsError):
        task.run(SETTINGS, out=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
