"""Doses asked for in mAs and in HU of noise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ctdenoise.config.dose import DoseAim, SimulateSettings
from ctdenoise.config.kernels import GaussianKernelSettings
from ctdenoise.config.scanner import ScannerSettings
from ctdenoise.core.volume import CTVolume
from ctdenoise.errors import SimulationError
from ctdenoise.simulation.doses import SourceNoise, dose_fractions
from ctdenoise.simulation.low_dose import simulate_doses, simulate_low_dose
from tests.builders import water_disc

SCANNER = ScannerSettings(
    distances="setting", channels=256, channel_pitch_mm=1.8, views_per_turn=256, bowtie="none"
)
SETTINGS = SimulateSettings(scanner=SCANNER, kernel=GaussianKernelSettings(f50_per_mm=0.3))


def never(dose: float) -> float | None:
    raise AssertionError("no twin is needed for this")


def fractions(
    *texts: str, mas: float | None = None, level_hu: float | None = 10.0, noise_at=never
) -> tuple[float, ...]:
    aims = [DoseAim.parsed(text) for text in texts]
    return dose_fractions(aims, mas=mas, noise=SourceNoise(level_hu, noise_at, is_counted=True))


def test_an_exposure_is_a_fraction_of_that_of_the_scan():
    assert fractions("50 mAs", "0.1", "200 mAs", mas=200.0) == (0.25, 0.1, 1.0)


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("50 mAs", {"mas": None}, "set `mas`"),
        ("250 mAs", {"mas": 200.0}, "200 mAs"),
        ("8 HU", {"level_hu": 10.0}, "noise of 10 HU"),
        ("30 HU", {"level_hu": None}, "cannot be measured"),
        ("30 HU", {"noise_at": {}.get}, r"no dose was found that gives this noise\nGive"),
        ("30 HU", {"noise_at": lambda _: 12.0}, "a dose of .* gave 12 HU"),
    ],
)
def test_a_dose_that_cannot_be_had_is_refused(text, options, message):
    with pytest.raises(SimulationError, match=message):
        fractions(text, **options)


def test_every_dose_that_cannot_be_had_is_named_at_once():
    with pytest.raises(SimulationError) as caught:
        fractions("300 mAs", "5 HU", "0.5", mas=100.0)
    assert "300.0 mAs" in str(caught.value)
    assert "5.0 HU" in str(caught.value)


def test_two_names_of_one_dose_are_refused():
    with pytest.raises(SimulationError, match="same fraction"):
        fractions("0.25", "50 mAs", mas=200.0)


def test_noise_is_sought_where_electronic_noise_bends_the_law():
    def noise_at(dose: float) -> float:
        return float(np.sqrt(100 + 80 * (1 / dose - 1) + 20 * (1 / dose**2 - 1)))

    (dose,) = fractions("40 HU", noise_at=noise_at)
    assert noise_at(dose) == pytest.approx(40, rel=0.006)
    assert dose > 1.2 * (10 / 40) ** 2


@pytest.fixture(scope="module")
def scan() -> CTVolume:
    phantom = water_disc(slices=16, size=160, pixel_spacing_mm=1.25, radius_mm=90)
    native = SETTINGS.replaced(source_noise="none", dose=1.0, photons=3e5)
    return simulate_low_dose(phantom, native, np.random.default_rng(1)).low


@pytest.mark.parametrize("electronic", [0.0, 60.0])
def test_a_twin_has_the_noise_that_was_asked_for(scan, electronic):
    level = simulate_low_dose(scan, SETTINGS).exposure.full_noise_hu
    wanted = round(3 * level, 2)
    settings = SETTINGS.replaced(dose=f"{wanted} HU", electronic_noise_quanta=electronic)
    exposure = simulate_low_dose(scan, settings, np.random.default_rng(7)).exposure
    # Two measurements of the noise level, each good to about 1 %.
    assert exposure.low_noise_hu == pytest.approx(wanted, rel=0.03)
    if electronic:
        assert exposure.dose_fraction > 1 / 9


def test_a_phantom_can_be_given_a_noise_level(scan):
    phantom = water_disc(slices=16, size=160, pixel_spacing_mm=1.25, radius_mm=90)
    settings = SETTINGS.replaced(source_noise="none", dose="40 HU", photons=3e5)
    exposure = simulate_low_dose(phantom, settings, np.random.default_rng(7)).exposure
    assert exposure.low_noise_hu == pytest.approx(40, rel=0.03)
    with pytest.raises(SimulationError, match="no dose was found"):
        simulate_low_dose(phantom, settings.replaced(dose="0.5 HU"))


def test_doses_of_all_units_are_made_at_once(scan):
    known = replace(scan, acquisition=replace(scan.acquisition, exposure_mas=(90.0, 110.0) * 8))
    settings = SETTINGS.replaced(dose=("50 mAs", "0.2", "10 %"))
    pairs = simulate_doses(known, settings, np.random.default_rng(0))
    assert [pair.exposure.dose_fraction for pair in pairs] == [0.5, 0.2, 0.1]


def test_an_exposure_that_was_set_is_believed_before_the_noise(scan):
    known = replace(scan, acquisition=replace(scan.acquisition, kvp=120.0))
    settings = SETTINGS.replaced(mas=80.0, dose="20 mAs")
    exposure = simulate_low_dose(known, settings, np.random.default_rng(0)).exposure
    assert exposure.dose_fraction == 0.25
    assert exposure.calibrated_by == "exposure"
    # 1.12e6 photons per mAs of a turn on a 0.6 mm row, wider channels, slices of 3 mm.
    assert exposure.photons == pytest.approx(1.12e6 * 80 / 256 * 5 * 1.8 / 1.2858)


def test_the_dose_of_a_noise_level_does_not_depend_on_the_seed(scan):
    settings = SETTINGS.replaced(dose="20 HU")
    doses = {
        simulate_low_dose(scan, settings, np.random.default_rng(seed)).exposure.dose_fraction
        for seed in (1, 2)
    }
    assert len(doses) == 1
