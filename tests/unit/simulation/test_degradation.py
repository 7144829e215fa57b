"""Each degradation has the statistics that its settings state."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import erf

from ctdenoise.config.degradation import (
    BlurSettings,
    GaussianNoiseSettings,
    MissingSettings,
    PeriodicNoiseSettings,
    PoissonNoiseSettings,
    ProjectionSettings,
    SaltAndPepperSettings,
    StreakNoiseSettings,
)
from ctdenoise.config.dose import SimulateSettings
from ctdenoise.core.geometry import Geometry
from ctdenoise.core.volume import CTVolume
from ctdenoise.io.dicom_derivation import derivation_of
from ctdenoise.simulation.degradation import degrade
from ctdenoise.simulation.low_dose import simulate_doses
from ctdenoise.simulation.noise import slice_keys

SHAPE = (4, 128, 96)
PIXELS = 4 * 128 * 96


def degraded(hu: np.ndarray, *steps: object, spacing_mm: tuple[float, float] = (1.0, 1.0)):
    keys = slice_keys([bytes([index]) for index in range(len(hu))])
    return degrade(hu, steps, spacing_mm=spacing_mm, keys=keys).astype(np.float64)


def flat(hu: float) -> np.ndarray:
    return np.full(SHAPE, hu, np.float32)


def test_gaussian_noise_is_white_and_of_the_stated_strength():
    noise = degraded(flat(40.0), GaussianNoiseSettings(sigma_hu=25)) - 40
    assert noise.std() == pytest.approx(25, rel=4 / np.sqrt(2 * PIXELS))
    assert noise.mean() == pytest.approx(0, abs=4 * 25 / np.sqrt(PIXELS))
    neighbours = (noise[:, :, 1:] * noise[:, :, :-1]).mean() / noise.var()
    assert neighbours == pytest.approx(0, abs=4 / np.sqrt(PIXELS))


def test_variance_of_poisson_noise_goes_with_the_intensity():
    peak = 400.0
    for intensity in (0.1, 1.0, 2.5):
        hu = 1000 * (intensity - 1)
        noise = degraded(flat(hu), PoissonNoiseSettings(peak=peak)) - hu
        variance = 1000**2 * intensity / peak
        # The fourth moment of a Poisson count of mean m adds 1 / m to that of a Gaussian.
        error = np.sqrt((2 + 1 / (peak * intensity)) / PIXELS)
        assert noise.var() == pytest.approx(variance, rel=4 * error)
        assert noise.mean() == pytest.approx(0, abs=4 * np.sqrt(variance / PIXELS))


def test_poisson_noise_leaves_less_than_air_without_counts():
    assert (degraded(flat(-1500.0), PoissonNoiseSettings()) == -1000).all()


def test_salt_and_pepper_replace_their_share_one_half_each():
    step = SaltAndPepperSettings(share=0.2, low_hu=-900, high_hu=700)
    result = degraded(flat(0.0), step)
    error = np.sqrt(0.1 * 0.9 / PIXELS)
    assert (result == -900).mean() == pytest.approx(0.1, abs=4 * error)
    assert (result == 700).mean() == pytest.approx(0.1, abs=4 * error)
    assert set(np.unique(result)) == {-900, 0, 700}


def test_missing_pixels_read_as_air():
    result = degraded(flat(50.0), MissingSettings(share=0.3))
    error = np.sqrt(0.3 * 0.7 / PIXELS)
    assert (result == -1000).mean() == pytest.approx(0.3, abs=4 * error)
    assert set(np.unique(result)) == {-1000, 50}


def test_periodic_noise_has_the_stated_wave():
    # 128 x 0.5 mm and 96 x 1 mm hold whole waves of 16 / 2 and of 12 mm: one line in the spectrum.
    angle = float(np.degrees(np.arctan2(1 / 8, 1 / 12)))
    period = 1 / np.hypot(1 / 8, 1 / 12)
    step = PeriodicNoiseSettings(amplitude_hu=30, period_mm=period, angle_degrees=angle)
    wave = degraded(flat(0.0), step, spacing_mm=(0.5, 1.0))[0]
    spectrum = np.abs(np.fft.rfft2(wave)) / wave.size
    row, column = np.unravel_index(spectrum.argmax(), spectrum.shape)
    assert (row, column) == (8, 8)  # 8 / 64 mm and 8 / 96 mm
    assert 2 * spectrum[8, 8] == pytest.approx(30, rel=1e-4)
    spectrum[8, 8] = 0
    assert spectrum.max() < 1e-3


def test_blur_is_a_gaussian_in_millimetres():
    # The edge spread function of a Gaussian is an error function.
    sigma, spacing = 3.0, (0.5, 1.5)
    step_image = np.zeros((1, 128, 96), np.float32)
    step_image[:, 64:] = 100
    profile = degraded(step_image, BlurSettings(sigma_mm=sigma), spacing_mm=spacing)[0, :, 48]
    y = (np.arange(128) - 63.5) * spacing[0]
    assert np.abs(profile - 50 * (1 + erf(y / sigma / np.sqrt(2)))).max() < 0.2
    step_image = np.zeros((1, 128, 96), np.float32)
    step_image[:, :, 48:] = 100
    profile = degraded(step_image, BlurSettings(sigma_mm=sigma), spacing_mm=spacing)[0, 64]
    x = (np.arange(96) - 47.5) * spacing[1]
    assert np.abs(profile - 50 * (1 + erf(x / sigma / np.sqrt(2)))).max() < 0.5


def test_transfer_function_of_the_blur():
    impulse = np.zeros((1, 65, 65), np.float32)
    impulse[0, 32, 32] = 1000
    response = np.abs(np.fft.fft2(degraded(impulse, BlurSettings(sigma_mm=2.0))[0])) / 1000
    f = np.fft.fftfreq(65)
    expected = np.exp(-2 * (np.pi * 2.0) ** 2 * (f[:, None] ** 2 + f[None] ** 2))
    assert np.abs(response - expected).max() < 2e-3  # the kernel is cut off at four sigma


def blobs(shape, spacing_mm):
    """Smooth tissue in air, so that sampling costs nothing."""
    y, x = ((np.arange(n) - (n - 1) / 2) * s for n, s in zip(shape, spacing_mm, strict=True))
    hu = np.full(shape, -1000.0)
    for across, down, sigma, height in ((0, 0, 14, 1000), (-18, 6, 5, 400), (12, -16, 4, -300)):
        hu += height * np.exp(-((x[None] - across) ** 2 + (y[:, None] - down) ** 2) / 2 / sigma**2)
    return hu[None].astype(np.float32)


@pytest.mark.parametrize("spacing_mm", [(1.0, 1.0), (1.0, 0.8)], ids=["square", "oblong"])
def test_projection_from_many_directions_gives_the_slice_back(spacing_mm):
    hu = blobs((96, 110), spacing_mm)
    back = degraded(hu, ProjectionSettings(views=180), spacing_mm=spacing_mm)
    # Linear interpolation of the rays and of the back-projection rounds peaks of 4 mm off.
    assert np.sqrt(np.mean((back - hu) ** 2)) < 4.0
    assert (back - hu).mean() == pytest.approx(0.0, abs=1.0)


def test_fewer_directions_make_more_streaks():
    hu = blobs((96, 96), (1.0, 1.0))
    errors = [
        np.sqrt(np.mean((degraded(hu, ProjectionSettings(views=views)) - hu) ** 2))
        for views in (8, 16, 32, 64)
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > 10 * errors[-1]


def test_projection_is_linear_in_the_attenuation():
    a, b = (np.random.default_rng(seed).normal(-900, 50, (1, 40, 44)) for seed in (1, 2))
    mixed = (0.3 * a + 0.7 * b).astype(np.float32)
    step = ProjectionSettings(views=12)
    parts = [degraded(part.astype(np.float32), step) for part in (a, b)]
    expected = 0.3 * parts[0] + 0.7 * parts[1]
    np.testing.assert_allclose(degraded(mixed, step), expected, atol=1e-2)  # float32 of 1000 HU


def test_a_streak_is_a_line_of_the_stated_profile():
    step = StreakNoiseSettings(count=1, amplitude_hu=80, width_mm=2.0)
    lines = degraded(np.zeros((16, 96, 96), np.float32), step)
    peaks = np.abs(lines).max(axis=(1, 2))
    hit = peaks > 40  # a line through a corner may miss the slice
    assert hit.sum() > 8
    # The pixel nearest to the middle of a line is at most 0.71 mm away.
    assert (peaks[hit] > 80 * np.exp(-((0.71 / 2.0) ** 2) / 2) - 1e-3).mean() > 0.8
    assert peaks.max() <= 80
    assert lines.min() < -40 < 40 < lines.max()


def test_degradations_are_applied_in_their_order():
    hu = np.random.default_rng(0).normal(0, 100, SHAPE).astype(np.float32)
    wave, blur = PeriodicNoiseSettings(period_mm=4), BlurSettings(sigma_mm=3)
    first, second = degraded(hu, wave, blur), degraded(hu, blur, wave)
    assert first.std() < second.std()  # a wave that came first is blurred away


def scan(slices: int = 5) -> CTVolume:
    y, x = np.mgrid[-32:32, -32:32]
    disc = np.where(x**2 + y**2 < 24**2, 0.0, -1000.0).astype(np.float32)
    geometry = Geometry.axial((slices, 64, 64), pixel_spacing_mm=4.0, slice_spacing_mm=2.0)
    return CTVolume(np.repeat(disc[None], slices, axis=0), geometry)


def settings(**changes: object) -> SimulateSettings:
    values = {"mode": "degradation", "degradations": [{"name": "gaussian", "sigma_hu": 20}]}
    return SimulateSettings.model_validate({**values, **changes})


def test_same_seed_same_voxels_for_any_block():
    volume = scan()
    whole, parts, other = (
        simulate_doses(volume, settings(slices_per_batch=batch), np.random.default_rng(seed))
        for batch, seed in ((32, 7), (2, 7), (32, 8))
    )
    assert (whole[0].low.hu == parts[0].low.hu).all()
    assert (whole[0].low.hu != other[0].low.hu).mean() > 0.9
    assert np.abs(np.corrcoef((whole[0].low.hu - volume.hu).reshape(5, -1)) - np.eye(5)).max() < 0.1


def test_a_degraded_twin_claims_no_dose_and_is_labelled_as_degraded():
    (pair,) = simulate_doses(scan(), settings(dose=(0.5, 0.25)), np.random.default_rng(1))
    assert pair.exposure.dose_fraction == 1
    assert pair.exposure.photons == 0
    derivation = derivation_of(pair.low.history)
    assert derivation.is_synthetic
    assert derivation.dose_fraction is None
    assert "gaussian" in derivation.description
    assert derivation.series_description("Chest") == "DEGRADED RESEARCH USE ONLY Chest"


@pytest.mark.parametrize("changes", [{"degradations": []}, {"mode": "insertion"}])
def test_degradations_and_their_mode_go_together(changes):
    with pytest.raises(ValueError, match="go together"):
        settings(**changes)
