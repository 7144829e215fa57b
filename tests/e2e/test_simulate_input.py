"""What `simulate` makes of odd images and of options that contradict them."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from tests.e2e.commands import ctdenoise
from tests.e2e.test_bad_input import assert_refused

SMALL = (
    *("--set", "scanner.distances=setting", "--set", "scanner.channels=97"),
    *("--set", "scanner.channel_pitch_mm=4.8", "--set", "scanner.views_per_turn=96"),
)


def nifti(path: Path, hu: np.ndarray, affine: np.ndarray | None = None) -> Path:
    """A stack [x, y, z] of 2 mm pixels and 3 mm slices."""
    matrix = np.diag([2.0, 2.0, 3.0, 1.0]) if affine is None else affine
    nib.save(nib.Nifti1Image(hu.astype(np.float32), matrix), path)
    return path


def disc() -> np.ndarray:
    axis = np.arange(64) - 31.5
    inside = axis[:, None] ** 2 + axis**2 < 25**2
    return np.repeat(np.where(inside, 0.0, -1000.0)[:, :, None], 3, axis=2)


def twin(out: Path) -> np.ndarray:
    (low,) = out.glob("low*.nii")
    return np.asarray(nib.load(low).dataobj)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_voxel_that_is_no_number_is_refused(tmp_path, value):
    hu = disc()
    hu[5, 5, 1] = value
    path = nifti(tmp_path / "ct.nii.gz", hu)
    outcome = ctdenoise("simulate", path, "--out", tmp_path / "out", "--n0", "1e5", *SMALL)
    assert_refused(outcome, 3, "finite")
    assert not (tmp_path / "out").exists()


def test_coronal_slices_are_refused(tmp_path):
    coronal = np.array([[2.0, 0, 0, 0], [0, 0, 3.0, 0], [0, 2.0, 0, 0], [0, 0, 0, 1]])
    path = nifti(tmp_path / "coronal.nii", disc(), coronal)
    outcome = ctdenoise("simulate", path, "--out", tmp_path / "out", "--n0", "1e5", *SMALL)
    assert_refused(outcome, 3, "not axial")


def test_metal_and_unmarked_padding_are_simulated(tmp_path):
    hu = disc()
    hu[28:34, 28:34] = 30_000
    hu[:6] = -3024
    path = nifti(tmp_path / "ct.nii", hu)
    done = ctdenoise("simulate", path, "--out", tmp_path / "out", "--n0", "1e5", *SMALL)
    assert done.code == 0, done.stderr
    low = twin(tmp_path / "out")
    assert low.max() > 25_000
    full = np.asarray(nib.load(tmp_path / "out" / "full.nii").dataobj)
    np.testing.assert_array_equal(low[full < -1500], full[full < -1500])


@pytest.mark.parametrize(
    ("dose", "words"),
    [
        ("50mAs", ("50.0 mAs", "set `mas`")),
        ("0.001HU", ("0.001 HU",)),
    ],
)
def test_a_dose_that_the_scan_cannot_be_brought_to_is_one_error(tmp_path, dose, words):
    path = nifti(tmp_path / "ct.nii", disc() + np.random.default_rng(0).normal(0, 9, (64, 64, 3)))
    outcome = ctdenoise(
        *("simulate", path, "--out", tmp_path / "out", "--n0", "1e5", "--dose", dose), *SMALL
    )
    assert_refused(outcome, 3, *words)
    assert not (tmp_path / "out").exists()


def test_doses_of_every_unit_are_made_from_a_study(study, tmp_path):
    out = tmp_path / "out"
    done = ctdenoise(
        "simulate", study, "--out", out, "--mas", "200", "--dose", "0.5", "50mAs", *SMALL
    )
    assert done.code == 0, done.stderr
    twins = json.loads((out / "run.json").read_text())["results"]["twins"]
    assert [each["dose_fraction"] for each in twins] == [0.5, 0.25]
    assert {each["calibrated_by"] for each in twins} == {"exposure"}


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (("--n0", "1e5", "--mas", "100"), "contradict"),
        (("--dose", "0.5", "--set", "dose=0.25"), "contradict"),
        (("--kernel", "wonderful"), "wonderful"),
        (("--kernel", "-1"), "f50_per_mm"),
        (("--n0", "-5"), "photons"),
        (("--dose", "30 XU"), "dose"),
    ],
)
def test_options_that_make_no_sense_are_refused_before_any_work(study, tmp_path, options, word):
    outcome = ctdenoise("simulate", study, "--out", tmp_path / "out", *options)
    assert_refused(outcome, 2, word)
    assert not (tmp_path / "out").exists()
