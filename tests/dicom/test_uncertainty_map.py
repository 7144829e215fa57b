"""The map of uncertainty as `infer` writes it: the same in every format, beside everything else."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest

from ctdenoise.config.inference import InferSettings
from ctdenoise.core.volume import CTVolume
from ctdenoise.errors import UsageError
from ctdenoise.inference.load import load_denoiser
from ctdenoise.inference.uncertainty import denoised_with_uncertainty
from ctdenoise.io.dicom_maps import NOISE_STEP_HU, PADDING_STORED
from ctdenoise.io.read import read_volume
from ctdenoise.io.study import find_series
from ctdenoise.tasks import infer
from tests.builders import water_disc
from tests.dicom.builders import ct_series, series_files
from tests.dicom.objects import frames_over, lying_over

SETTINGS = InferSettings()


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    """Noisy water with padding at its upper edge."""
    disc = water_disc(slices=3, size=96, pixel_spacing_mm=1.0, radius_mm=40, noise_hu=20)
    padding = np.zeros(disc.shape, dtype=bool)
    padding[:, :4] = True
    folder = tmp_path_factory.mktemp("noisy") / "study"
    volume = replace(disc, hu=np.round(disc.hu), padding=padding)
    series_files(folder, ct_series(volume, signed=True, padding_value=-2000))
    return folder


@pytest.fixture(scope="module")
def volume(study) -> CTVolume:
    return read_volume(find_series(study)[0])


@pytest.fixture(scope="module")
def expected(volume) -> np.ndarray:
    """The map, computed in memory."""
    denoiser = load_denoiser("gaussian", SETTINGS)
    return denoised_with_uncertainty(denoiser, volume, texture_hu=6.0)[1]


def run(study: Path, out: Path, file_format: str = "same", **objects: object) -> infer.InferReport:
    settings = SETTINGS.replaced(objects=SETTINGS.objects.replaced(**objects))
    return infer.run(study, model="gaussian", settings=settings, out=out, file_format=file_format)


def test_as_a_ct_series_it_is_the_map_of_the_library(study, volume, expected, tmp_path):
    report = run(study, tmp_path / "out", uncertainty="ct", noise_map="ct", residual=True)
    assert report.objects == ("residual", "noise_map", "uncertainty")
    files = sorted((tmp_path / "out" / "uncertainty").iterdir())
    datasets = sorted(map(pydicom.dcmread, files), key=lambda one: one.ImagePositionPatient[2])
    stored = np.stack([one.pixel_array for one in datasets])
    assert (stored[volume.padding] == PADDING_STORED).all()
    shown = np.where(volume.padding, 0, stored * NOISE_STEP_HU)
    np.testing.assert_allclose(shown, expected, atol=0.51 * NOISE_STEP_HU)
    assert "UNCERTAINTY MAP" in datasets[0].SeriesDescription
    noise = pydicom.dcmread(tmp_path / "out" / "noise_map" / "00001.dcm")
    assert noise.SeriesInstanceUID != datasets[0].SeriesInstanceUID
    assert noise.SeriesNumber != datasets[0].SeriesNumber


def test_as_a_parametric_map_it_lies_over_the_source(study, volume, expected, tmp_path):
    pytest.importorskip("highdicom")
    run(study, tmp_path / "out", uncertainty="pm")
    (path,) = (tmp_path / "out" / "uncertainty").iterdir()
    found = lying_over(list(frames_over(path)), sorted(study.iterdir()), volume)
    np.testing.assert_allclose(found * NOISE_STEP_HU, expected, atol=0.51 * NOISE_STEP_HU)
    assert "found by denoising twice" in str(pydicom.dcmread(path))


def test_as_an_image_file_it_is_not_rounded_and_the_record_says_how_it_was_found(
    study, expected, tmp_path
):
    report = run(study, tmp_path / "out", "mha", uncertainty="ct")
    assert report.objects == ("uncertainty.mha",)
    found = read_volume(find_series(tmp_path / "out" / "uncertainty.mha")[0])
    np.testing.assert_allclose(found.hu, expected, rtol=1e-6)
    results = json.loads((tmp_path / "out" / "run.json").read_text())["results"]
    assert results["uncertainty"]["texture_hu"] == 6.0
    assert results["uncertainty"]["rms_error_hu"] == report.rms_error_hu


def test_it_changes_no_voxel_of_the_result(study, tmp_path):
    run(study, tmp_path / "with", uncertainty="ct")
    run(study, tmp_path / "without")
    files = [sorted((tmp_path / out / "dicom").iterdir()) for out in ("with", "without")]
    for one, other in zip(*(map(pydicom.dcmread, paths) for paths in files), strict=True):
        assert one.PixelData == other.PixelData
        assert one.SOPInstanceUID == other.SOPInstanceUID
        assert one.SeriesNumber == other.SeriesNumber


def test_of_a_study_that_is_no_dicom_no_dicom_map_is_written(volume, study, tmp_path):
    run(study, tmp_path / "image", "mha")
    with pytest.raises(UsageError, match="maps refer to DICOM"):
        run(tmp_path / "image" / "image.mha", tmp_path / "out", "dicom", uncertainty="ct")
