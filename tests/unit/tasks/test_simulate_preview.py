"""`simulate --preview`: the pictures and the calibration page."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ctdenoise.config.degradation import GaussianNoiseSettings
from ctdenoise.config.dose import SimulateSettings
from ctdenoise.config.scanner import ScannerSettings
from ctdenoise.core.volume import CTVolume
from ctdenoise.errors import MissingExtraError
from ctdenoise.io.nifti import write_nifti
from ctdenoise.simulation.drawn_noise import added_noise_maps
from ctdenoise.simulation.low_dose import Simulator, plan_simulation, simulate_doses
from ctdenoise.tasks import simulate
from tests.builders import water_disc

SCANNER = ScannerSettings(
    distances="setting", channels=96, channel_pitch_mm=3.0, views_per_turn=96, bowtie="none"
)
SETTINGS = SimulateSettings(dose=(0.5, 0.25), photons=2e4, scanner=SCANNER)


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("study") / "Doe_John_19700101.nii"
    write_nifti(water_disc(noise_hu=5.0), path)
    return path


@pytest.fixture(scope="module")
def page(study, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("preview") / "pair"
    simulate.run(study, SETTINGS, out=out, preview=True)
    return out / "preview" / "calibration.html"


def test_the_picture_has_a_row_for_each_dose(page, study, tmp_path):
    one_dose = SETTINGS.replaced(dose=0.5)
    simulate.run(study, one_dose, out=tmp_path / "one", preview=True)
    paths = (tmp_path / "one" / "preview" / "preview.png", page.parent / "preview.png")
    with Image.open(paths[0]) as one, Image.open(paths[1]) as two:
        assert two.width == one.width
        assert 1.8 < two.height / one.height < 2.1


def test_the_page_tells_doses_and_photons_and_nothing_of_the_patient(page):
    text = page.read_text(encoding="utf-8")
    # Three letters turn up in the letters of any picture.
    text, pictures = re.subn(r"base64,[A-Za-z0-9+/=]+", "", text)
    assert pictures >= 2
    assert "50 %" in text
    assert "25 %" in text
    assert "2.00 \N{MULTIPLICATION SIGN} 10\N{SUPERSCRIPT FOUR}" in text
    assert "Doe" not in text
    assert "1970" not in text
    assert str(page.parent) not in text


def test_without_a_preview_there_is_no_folder_of_it(study, tmp_path):
    simulate.run(study, SETTINGS, out=tmp_path / "pair")
    assert not (tmp_path / "pair" / "preview").exists()


def test_degraded_images_have_a_preview_without_doses(study, tmp_path):
    degraded = SimulateSettings(
        mode="degradation", degradations=(GaussianNoiseSettings(sigma_hu=20.0),), dose=1.0
    )
    simulate.run(study, degraded, out=tmp_path / "pair", preview=True)
    text = (tmp_path / "pair" / "preview" / "calibration.html").read_text(encoding="utf-8")
    assert "Doses" not in text


def test_the_noise_map_is_the_standard_deviation_of_many_draws():
    volume = water_disc(noise_hu=0.0)
    one = volume.select([0])
    settings = SETTINGS.replaced(dose=0.25)
    plan = plan_simulation(
        volume, settings, 1, geometry=volume.geometry, acquisition=volume.acquisition
    )
    (predicted,) = added_noise_maps(plan, one, first=0)
    draws = []
    for seed in range(2, 14):
        again = replace(plan, seed=seed)
        (low,) = Simulator(again).twins(one, first=0)
        draws.append(low[0] - one.hu[0])
    middle = np.s_[predicted.shape[0] // 2 - 8 : predicted.shape[0] // 2 + 8]
    squares = np.square(draws)[:, middle, middle].mean(axis=(1, 2))
    variance = squares.mean()
    error = squares.std(ddof=1) / np.sqrt(len(squares)) / variance
    # The map averages sixteen draws of its own over a few millimetres.
    ratio = np.square(predicted[middle, middle]).mean() / variance
    assert ratio == pytest.approx(1, abs=4 * error * np.sqrt(1 + len(draws) / 16))


def test_the_noise_map_of_a_copy_is_zero():
    volume: CTVolume = water_disc(noise_hu=5.0)
    settings = SETTINGS.replaced(dose=1.0)
    plan = plan_simulation(
        volume, settings, 1, geometry=volume.geometry, acquisition=volume.acquisition
    )
    (added,) = added_noise_maps(plan, volume.select([0]), first=0)
    assert not added.any()
    (pair,) = simulate_doses(volume, settings)
    assert np.array_equal(pair.low.hu, volume.hu)


def test_a_preview_without_its_packages_is_refused_before_anything_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr("ctdenoise.report.requirements.find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match="leave out --preview"):
        simulate.run(tmp_path / "nothing", SETTINGS, out=tmp_path / "out", preview=True)
    assert not (tmp_path / "out").exists()
