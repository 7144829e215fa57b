"""Non-prewhitening observers against closed forms, and against observers of drawn images."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ctdenoise.errors import InputError, UsageError
from ctdenoise.metrics.known_template import judged_ratings, known_template
from ctdenoise.metrics.npw import (
    EyeFilter,
    Viewing,
    disc_spectrum,
    gaussian_spectrum,
    npw_dprime,
    on_axis,
)

SIDE, PIXEL_MM, NOISE_HU = 64, 0.7, 20.0
CONTRAST_HU, RADIUS_MM, END = 10.0, 5.0, 0.65
AXIS = np.linspace(0.0, END, 1301)


def kernel(frequency: np.ndarray) -> np.ndarray:
    """A soft kernel that ends at 0.65 per mm, below the Nyquist frequency."""
    return np.where(frequency < END, np.cos(np.pi * frequency / (2 * END)) ** 2, 0.0)


def grid() -> np.ndarray:
    f = np.fft.fftfreq(SIDE, PIXEL_MM)
    return np.hypot(f[:, None], f)


def power(frequency: np.ndarray) -> np.ndarray:
    """The spectrum of CT noise of 20 HU behind that kernel."""
    on_grid = grid() * kernel(grid()) ** 2
    variance = on_grid.sum() / (SIDE * PIXEL_MM) ** 2
    return NOISE_HU**2 / variance * frequency * kernel(frequency) ** 2


def of_disc(eye: EyeFilter | None = None) -> float:
    return npw_dprime(
        AXIS,
        signal=disc_spectrum(AXIS, contrast_hu=CONTRAST_HU, radius_mm=RADIUS_MM),
        transfer=kernel(AXIS),
        noise_power=power(AXIS),
        eye=eye,
    )


@pytest.mark.parametrize("noise_width_mm", [0.0, 0.8])
def test_the_radial_integral_agrees_with_a_closed_form(noise_width_mm):
    # Gaussians all along: W = C 2 pi s^2 exp(-2 pi^2 s^2 f^2), T = exp(-2 pi^2 b^2 f^2),
    # NPS = N exp(-2 pi^2 q^2 f^2); the integral of 2 pi f exp(-2 pi^2 a f^2) is 1 / (2 pi a).
    contrast, s, b, level = 12.0, 2.0, 0.6, 150.0
    axis = np.linspace(0, 1.5, 1501)
    found = npw_dprime(
        axis,
        signal=gaussian_spectrum(axis, contrast_hu=contrast, sigma_mm=s),
        transfer=np.exp(-2 * (np.pi * b * axis) ** 2),
        noise_power=level * np.exp(-2 * (np.pi * noise_width_mm * axis) ** 2),
    )
    a = 2 * (s**2 + b**2)
    top = contrast * 2 * np.pi * s**2 / (2 * np.pi * a)
    bottom = math.sqrt(level / (2 * np.pi * (a + noise_width_mm**2)))
    assert found == pytest.approx(top / bottom, rel=1e-3)


def test_the_radial_integral_agrees_with_an_observer_of_4000_drawn_images():
    rng = np.random.default_rng(11)
    spectrum = disc_spectrum(grid(), contrast_hu=CONTRAST_HU, radius_mm=RADIUS_MM) * kernel(grid())
    signal = np.fft.fftshift(np.fft.ifft2(spectrum).real) / PIXEL_MM**2
    amplitude = np.sqrt(power(grid())) / PIXEL_MM
    ratings: list[np.ndarray] = []
    for _ in range(20):  # the real and the imaginary part are two images
        white = rng.normal(size=(100, SIDE, SIDE)) + 1j * rng.normal(size=(100, SIDE, SIDE))
        noise = np.fft.ifft2(np.fft.fft2(white) * amplitude)
        ratings += [np.einsum("nyx,yx->n", part, signal) for part in (noise.real, noise.imag)]
    drawn = np.concatenate(ratings)
    found = float(np.square(signal).sum() / drawn.std(ddof=1))
    assert len(drawn) == 4000
    assert of_disc() == pytest.approx(found, rel=0.03)
    assert of_disc() == pytest.approx(4.185, rel=2e-3)


@pytest.mark.parametrize(
    ("name", "distance_mm", "zoom", "expected"),
    [("eckstein", 400.0, 1, 2.9), ("eckstein", 500.0, 3, 1.8), ("burgess", 500.0, None, 1.1)],
    ids=["near", "enlarged", "burgess"],
)
def test_an_eye_filter_says_little_without_its_geometry(name, distance_mm, zoom, expected):
    magnification = 1.0 if zoom is None else zoom * 0.2 / PIXEL_MM
    eye = EyeFilter(name, Viewing(distance_mm, magnification))
    assert of_disc(eye) == pytest.approx(expected, abs=0.06)


@pytest.mark.parametrize(("name", "peak"), [("eckstein", 3.3), ("burgess", 4.0)])
def test_the_eye_sees_some_cycles_per_degree_best(name, peak):
    viewing = Viewing(distance_mm=180 / np.pi, magnification=1.0)  # one mm is one degree
    seen = np.linspace(0, 20, 4001)
    assert seen[np.argmax(EyeFilter(name, viewing)(seen))] == pytest.approx(peak, abs=0.05)


def test_internal_noise_lowers_what_is_seen():
    spectra = {
        "signal": disc_spectrum(AXIS, contrast_hu=CONTRAST_HU, radius_mm=RADIUS_MM),
        "transfer": kernel(AXIS),
        "noise_power": power(AXIS),
    }
    assert npw_dprime(AXIS, **spectra, internal_noise=100.0) < npw_dprime(AXIS, **spectra)


def test_the_spectrum_of_a_disc_is_that_of_its_pixels():
    side, pixel = 512, 0.2
    axis = (np.arange(side) - side // 2) * pixel
    r = np.hypot(axis[:, None], axis)
    disc = np.clip((RADIUS_MM - r) / pixel + 0.5, 0, 1)
    found = np.fft.fft2(np.fft.ifftshift(disc)).real[0, :12] * pixel**2
    f = np.fft.fftfreq(side, pixel)[:12]
    expected = disc_spectrum(f, contrast_hu=1.0, radius_mm=RADIUS_MM)
    np.testing.assert_allclose(found, expected, atol=2e-3 * expected[0])


def test_a_curve_is_not_made_up_beyond_where_it_was_measured():
    measured = np.array([0.1, 0.2, 0.4])
    values = np.array([3.0, 2.0, 1.0])
    np.testing.assert_allclose(on_axis(np.array([0.0, 0.3]), measured, values), [3.0, 1.5])
    with pytest.raises(InputError, match="wanted up to"):
        on_axis(np.array([0.0, 0.5]), measured, values)
    with pytest.raises(InputError, match="same frequencies"):
        npw_dprime(AXIS, signal=AXIS[1:], transfer=AXIS, noise_power=AXIS)
    with pytest.raises(InputError, match="Without noise"):
        npw_dprime(AXIS, signal=AXIS, transfer=AXIS, noise_power=0 * AXIS)


@pytest.mark.parametrize("truth", [-1.0, 0.0, 3.0])
def test_a_known_template_is_unbiased_and_its_interval_holds_the_truth(truth):
    rng = np.random.default_rng(12)
    found = [
        judged_ratings(*(rng.normal(shift, 2.0, 12) for shift in (2 * truth, 0.0)))
        for _ in range(400)
    ]
    values = np.array([one.dprime for one in found])
    assert abs(values.mean() - truth) < 4 * values.std(ddof=1) / 20
    held = [one.interval.low <= truth <= one.interval.high for one in found]
    assert 0.91 <= np.mean(held) <= 0.98


def test_the_template_of_the_signal_is_the_ideal_observer_in_white_noise():
    rng = np.random.default_rng(13)
    axis = np.arange(21) - 10.0
    signal = 3.0 * (np.hypot(axis[:, None], axis) <= 4)
    absent, present = rng.normal(0, 10.0, (2, 300, 21, 21))
    present = present + signal
    ideal = float(np.linalg.norm(signal)) / 10.0
    found = known_template(present, absent, signal)
    assert found.interval.low <= ideal <= found.interval.high
    assert known_template(absent, present, signal).dprime == pytest.approx(-found.dprime)
    assert known_template(absent, present, signal).auc < 0.5 < found.auc_interval.low


def test_ratings_that_say_nothing_are_refused():
    with pytest.raises(InputError, match="too few"):
        judged_ratings(np.array([1.0]), np.array([0.0]))
    with pytest.raises(InputError, match="do not vary"):
        judged_ratings(np.ones(4), np.zeros(4))
    with pytest.raises(UsageError, match="level"):
        judged_ratings(np.arange(4.0), np.arange(4.0), level=0.0)
    with pytest.raises(InputError, match="do not fit a template"):
        known_template(np.zeros((3, 4, 4)), np.zeros((3, 4, 4)), np.zeros((4, 5)))
