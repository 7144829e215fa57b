"""Identity and a Gaussian filter give their known answers in every metric.

The filter is linear, so theory says what each figure of it must be. With the noise white, standard
deviation S, its kernel h and its transfer function H: what is left of the noise is S sqrt(sum h^2),
of its power |H|^2, of every transfer function H, of a lesion the filtered lesion, and water stays
water. The identity changes nothing anywhere.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import ndimage

from ctdenoise.config.evaluation import EvaluateSettings, WindowSettings
from ctdenoise.core.geometry import Geometry
from ctdenoise.core.volume import CTVolume
from ctdenoise.metrics.channels import laguerre_gauss
from ctdenoise.metrics.cho import cho
from ctdenoise.metrics.circular_edge import CircularEdge
from ctdenoise.metrics.edge_loss import edge_loss
from ctdenoise.metrics.evaluation import Organs, evaluate
from ctdenoise.metrics.hallucination import Background, linear_bound, signal_absent
from ctdenoise.metrics.hu_scale import linearity
from ctdenoise.metrics.insertion import (
    core_of,
    response,
    response_transfer,
    ring_frequencies_per_mm,
)
from ctdenoise.metrics.lesions import Lesion, SystemBlur, lesion_image
from ctdenoise.metrics.noise_angles import angular_anisotropy
from ctdenoise.metrics.noise_gain import noise_gain
from ctdenoise.metrics.noise_transfer import noise_change, noise_samples
from ctdenoise.metrics.nps import power_of
from ctdenoise.metrics.npw import gaussian_spectrum, npw_dprime
from ctdenoise.metrics.paired_cho import detectability_change
from ctdenoise.metrics.point_spread import Point, point_transfer
from ctdenoise.metrics.slice_profile import disc_profile
from ctdenoise.metrics.tissue_drift import tissue_drift
from ctdenoise.metrics.ttf import ttf
from tests.exact_discs import CURVES, centre_of, disc_image

SPACING = (0.7, 0.7)
SIGMA_PIXELS = 1.2
SIGMA_MM = SIGMA_PIXELS * SPACING[0]
SHAPE = (128, 128)
NOISE_HU = 20.0


def gaussian(image: np.ndarray) -> np.ndarray:
    """Of the last two axes, periodic, so that its transfer function is exact."""
    sigma = (0.0,) * (image.ndim - 2) + (SIGMA_PIXELS, SIGMA_PIXELS)
    return ndimage.gaussian_filter(np.asarray(image, np.float64), sigma, mode="wrap")


DENOISERS = {"identity": np.array, "gaussian": gaussian}
POINT = np.zeros(SHAPE)
POINT[0, 0] = 1.0
KERNEL = {name: one(POINT) for name, one in DENOISERS.items()}
GAIN = {name: math.sqrt(np.square(kernel).sum()) for name, kernel in KERNEL.items()}
"""Standard deviation of white noise after over before."""

every_denoiser = pytest.mark.parametrize("name", DENOISERS)


def transfer(name: str, frequency_per_mm: np.ndarray) -> np.ndarray:
    """H along an axis."""
    places = np.fft.fftfreq(SHAPE[1], 1 / SHAPE[1])
    waves = np.cos(2 * np.pi * np.outer(frequency_per_mm * SPACING[1], places))
    return waves @ KERNEL[name].sum(axis=0)


def white(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, NOISE_HU, (count, *SHAPE))


FREQUENCY = np.hypot(
    *np.meshgrid(*(np.fft.fftfreq(n, d) for n, d in zip(SHAPE, SPACING, strict=True)))
)
SPECTRUM = FREQUENCY * np.exp(-((FREQUENCY / 0.35) ** 2))
"""Of noise as filtered back-projection makes it, which `core.noise_level` takes it to be."""

GRAINY_GAIN = {
    name: math.sqrt((SPECTRUM * np.abs(np.fft.fft2(kernel)) ** 2).sum() / SPECTRUM.sum())
    for name, kernel in KERNEL.items()
}


def grainy(count: int, seed: int) -> np.ndarray:
    """Noise with that spectrum, HU."""
    shaped = np.fft.fft2(white(count, seed)) * np.sqrt(SPECTRUM / SPECTRUM.mean())
    return np.fft.ifft2(shaped).real


def volume(hu: np.ndarray) -> CTVolume:
    geometry = Geometry.axial(hu.shape, pixel_spacing_mm=SPACING, slice_spacing_mm=1.0)
    return CTVolume(hu.astype(np.float32), geometry)


def water(count: int = 3) -> np.ndarray:
    """A disc of water in air, sharp, HU."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]] - (SHAPE[0] - 1) / 2
    return np.repeat(np.where(np.hypot(y, x) < 55, 0.0, -1000.0)[None], count, axis=0)


def deep(count: int = 3) -> np.ndarray:
    """Label map: the water out of reach of the filter at its edge."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]] - (SHAPE[0] - 1) / 2
    return np.repeat((np.hypot(y, x) < 48).astype(np.uint8)[None], count, axis=0)


@every_denoiser
def test_water_keeps_its_hu_to_a_thousandth(name):
    reference = volume(water())
    organs = Organs(deep(), ("background", "water"))
    found = evaluate(reference, volume(DENOISERS[name](water())), organs=organs)
    assert abs(found["organ_bias[water]"].value) < 1e-3
    assert found["organ_mean_test[water]"].value == pytest.approx(0, abs=1e-3)
    assert found["organ_rmse[water]"].value < 1e-3


@every_denoiser
def test_errors_in_noise_are_what_is_left_of_it(name):
    noise = white(3, 0)
    organs = Organs(deep(), ("background", "water"))
    after = volume(water() + DENOISERS[name](noise))
    window = WindowSettings(low_hu=-2000, high_hu=2000)
    settings = EvaluateSettings(windows=(window,), threads=1)
    found = evaluate(volume(water()), after, settings, organs=organs)
    left, pixels = NOISE_HU * GAIN[name], deep().sum()
    # Filtered noise has fewer independent pixels: sum h^2 of them for each one.
    error = 5 / math.sqrt(2 * pixels * GAIN[name] ** 2)
    assert found["organ_rmse[water]"].value == pytest.approx(left, rel=error)
    expected = left * math.sqrt(2 / math.pi)
    assert found["organ_mae[water]"].value == pytest.approx(expected, rel=1.5 * error)
    assert abs(found["organ_bias[water]"].value) < 5 * NOISE_HU / math.sqrt(pixels)
    whole = 10 * math.log10(4000**2 / left**2)
    assert found["psnr[-2000,2000]"].value == pytest.approx(whole, abs=0.1)


@every_denoiser
def test_the_noise_magnitude_is_what_is_left_of_noise_of_a_scanner(name):
    scan = volume(water(6) + grainy(6, 9))
    after = volume(water(6) + DENOISERS[name](grainy(6, 9)))
    found = evaluate(scan, after, organs=Organs(deep(6), ("background", "water")))
    left = NOISE_HU * GRAINY_GAIN[name]
    assert found["noise_reference"].value == pytest.approx(NOISE_HU, rel=0.05)
    # Behind the filter the noise has waves of about 8 mm, longer than the patches that it is
    # measured in: 7 % of it go unseen.
    for key in ("noise_test", "organ_noise_test[water]"):
        assert found[key].value == pytest.approx(left, rel=0.05 if name == "identity" else 0.1)
    change = 100 * (GRAINY_GAIN[name] - 1)
    assert found["noise_change"].value == pytest.approx(change, abs=5)


def test_similarity_of_the_identity_is_perfect_and_a_filter_of_a_noisy_image_loses():
    scan = volume(water() + white(3, 1))
    same = evaluate(scan, scan, before=scan)
    blurred = evaluate(scan, volume(gaussian(scan.hu)), before=scan)
    for key in ("ssim[-1024,3071]", "ssim_redcnn11[-160,240]", "vif[-1024,1900]"):
        assert same[key].value == pytest.approx(1, abs=1e-9)
        assert blurred[key].value < 0.95
    assert same["rmse"].value == same["mae"].value == same["bias"].value == 0
    assert math.isinf(same["psnr[-160,240]"].value)
    assert same["noise_change"].value == pytest.approx(0)
    assert same["structure_correlation"].value is None, "nothing was removed"


@every_denoiser
def test_the_power_of_noise_is_passed_on_with_the_square_of_the_transfer(name):
    noise = white(6, 2)
    before, after = (
        [power_of(one[None], pixel_spacing_mm=SPACING, order=0) for one in images]
        for images in (noise, DENOISERS[name](noise))
    )
    exact = np.square(np.abs(np.fft.fft2(KERNEL[name])))
    for one, other in zip(before, after, strict=True):
        # The mean is taken from every patch: the power at zero is nothing over nothing.
        ratio = other.power.ravel()[1:] / one.power.ravel()[1:]
        assert ratio == pytest.approx(exact.ravel()[1:], rel=1e-9, abs=1e-12)
    change = noise_change(noise_samples(after), noise_samples(before))
    assert change.noise_ratio == pytest.approx(GAIN[name], rel=0.02)
    low = change.frequency_per_mm < 0.4
    # A ring is as wide as 1 / (side of the patch): H^2 changes by some percent inside it.
    expected = np.square(transfer(name, change.frequency_per_mm))
    assert change.transfer[low] == pytest.approx(expected[low], rel=0.1)
    shift = change.fav_shift_percent
    assert shift == pytest.approx(0, abs=1e-9) if name == "identity" else shift < -30
    assert angular_anisotropy(after[0]) is not None


@every_denoiser
def test_the_gain_of_flat_squares_is_that_of_the_kernel(name):
    before = (water() + grainy(3, 3)).astype(np.float32)
    after = DENOISERS[name](before).astype(np.float32)
    body = deep().astype(bool)
    found = [
        noise_gain(one, other, inside, pixel_spacing_mm=SPACING)
        for one, other, inside in zip(before, after, body, strict=True)
    ]
    total = found[0] + found[1] + found[2]
    # The mean of a square of 6 mm takes a little of the coarse noise away.
    assert total.left_at_least() == pytest.approx(GRAINY_GAIN[name], rel=0.1)
    if name == "identity":
        assert total.taken_at_least() < 1e-2


@every_denoiser
def test_tissue_does_not_drift(name):
    noise = white(1, 4)[0]
    hu = np.full(SHAPE, 40.0) + noise
    inside = np.zeros(SHAPE, dtype=bool)
    inside[8:-8, 8:-8] = True
    after = DENOISERS[name](hu)
    found = tissue_drift(
        hu.astype(np.float32),
        after.astype(np.float32),
        inside,
        np.ones(SHAPE, dtype=bool),
        pixel_spacing_mm=SPACING,
    )
    drift = found["soft"].sums.ratio
    # What the filter moves across the edge of the region is all that is left.
    assert drift == pytest.approx(0, abs=1e-3 if name == "identity" else 0.1)


@every_denoiser
def test_transfer_functions_of_an_edge_and_of_a_wire_are_multiplied_by_that_of_the_filter(name):
    curve = CURVES["gaussian"]
    offset = (-0.11, 0.23)
    disc = disc_image(
        curve,
        radius_mm=12.5,
        contrast_hu=100.0,
        offset_mm=offset,
        shape=SHAPE,
        pixel_spacing_mm=SPACING,
    )
    edge = CircularEdge(centre_of(offset, SHAPE, SPACING), 12.5)
    before, after = (
        ttf(one[None], edge, pixel_spacing_mm=SPACING, located="given")
        for one in (disc, DENOISERS[name](disc))
    )
    frequency = before.frequency_per_mm
    seen = before.values > 0.2
    expected = transfer(name, frequency)
    ratio = after.values[seen] / before.values[seen]
    assert ratio == pytest.approx(expected[seen], abs=0.015)
    wire = np.zeros(SHAPE)
    wire[64, 64] = 1000.0
    wire = ndimage.gaussian_filter(wire, 0.8)
    points = [
        point_transfer(one[None], Point((64, 64)), pixel_spacing_mm=SPACING)
        for one in (wire, DENOISERS[name](wire))
    ]
    ratio = points[1].values / points[0].values
    low = points[0].values > 0.2
    assert ratio[low] == pytest.approx(transfer(name, points[0].frequency_per_mm)[low], abs=0.01)


@every_denoiser
def test_a_filter_in_the_slice_leaves_the_slice_profile(name):
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]] - SHAPE[0] / 2
    disc = np.hypot(y, x) < 20
    z = np.arange(-12, 13) * 0.25
    stack = 500 * np.exp(-(z**2) / 2)[:, None, None] * (np.hypot(y, x) < 26)
    ring = (np.hypot(y, x) > 40) & (np.hypot(y, x) < 50)
    before, after = (
        disc_profile(one, disc, ring, slice_spacing_mm=0.25)
        for one in (stack, DENOISERS[name](stack))
    )
    assert after.width_mm(0.5) == pytest.approx(before.width_mm(0.5), rel=1e-4)
    assert before.width_mm(0.5) == pytest.approx(2 * math.sqrt(2 * math.log(2)), rel=0.01)


@every_denoiser
def test_an_observer_finds_what_theory_foretells(name):
    """Channels u see the signal s as u H s and white noise with covariance S^2 u H H^T u^T."""
    side, count = 48, 240
    channels = laguerre_gauss((side, side), width_pixels=8.0)
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    signal = 12.0 * np.exp(-(y**2 + x**2) / (2 * 3.0**2))
    denoise = DENOISERS[name]
    rows = channels.profiles.reshape(channels.profiles.shape[0], -1)
    # The filter is symmetric, so u H is the filtered channel.
    filtered = denoise(channels.profiles).reshape(rows.shape)
    gap = filtered @ signal.ravel()
    covariance = NOISE_HU**2 * filtered @ filtered.T
    expected = math.sqrt(gap @ np.linalg.solve(covariance, gap))
    rng = np.random.default_rng(5)
    absent, present = (
        rng.normal(0, NOISE_HU, (count, side, side)) + shown for shown in (0.0, signal)
    )
    found = cho(denoise(present), denoise(absent), channels)
    assert found.interval.low < expected < found.interval.high
    assert found.dprime == pytest.approx(expected, rel=0.1)
    change = detectability_change(
        present, absent, denoise(present), denoise(absent), channels, rng=rng, draws=400
    )
    if name == "identity":
        assert change.ratio == pytest.approx(1)
        assert change.difference == pytest.approx(0, abs=1e-9)
    else:
        assert change.ratio_interval.low < 1.1
        assert change.ratio_interval.high > 0.9


@pytest.mark.parametrize("sigma_mm", [0.0, SIGMA_MM], ids=["identity", "gaussian"])
def test_the_prewhitening_free_observer_has_a_closed_form(sigma_mm):
    """Gaussian signal, transfer H and white noise of power N that the filter passes with H^2."""
    frequency = np.linspace(0, 2.0, 4001)
    contrast, width, power = 10.0, 2.0, 100.0
    signal = gaussian_spectrum(frequency, contrast_hu=contrast, sigma_mm=width)
    passed = np.exp(-2 * (np.pi * sigma_mm * frequency) ** 2)
    found = npw_dprime(frequency, signal=signal, transfer=passed, noise_power=power * passed**2)
    amplitude = (2 * np.pi * width**2 * contrast) ** 2
    once = 4 * np.pi**2 * (width**2 + sigma_mm**2)
    twice = 4 * np.pi**2 * (width**2 + 2 * sigma_mm**2)
    expected = amplitude * np.pi / once / math.sqrt(power * amplitude * np.pi / twice)
    assert found == pytest.approx(expected, rel=1e-3)


@every_denoiser
def test_the_paired_response_is_the_filtered_lesion(name):
    blur = SystemBlur(0.45, 1.0)
    lesion = Lesion(8.0)
    side = SHAPE[0] - 1
    inserted = 20 * lesion_image(lesion, blur, side=side, pixel_spacing_mm=SPACING)
    scan = np.random.default_rng(6).normal(40, NOISE_HU, (side, side))
    denoise = DENOISERS[name]
    change = denoise(scan + inserted) - denoise(scan)
    filtered = denoise(inserted)
    assert np.abs(change - filtered).max() < 1e-4
    core = core_of(lesion, side, SPACING, (0.0, 0.0))
    found = response(change, inserted, core, SPACING)
    assert found.recovery == pytest.approx(filtered[core].mean() / inserted[core].mean(), abs=1e-4)
    assert found.displacement_mm == pytest.approx(0, abs=1e-3)
    if name == "identity":
        assert found.recovery == pytest.approx(1)
        assert found.leakage < 0.02
    passed = response_transfer([found])
    frequency = ring_frequencies_per_mm()
    low = np.isfinite(passed) & (frequency < 0.4)
    assert low.sum() >= 4
    # A ring is 0.05 per mm wide, in which H changes by up to 0.1.
    assert passed[low] == pytest.approx(transfer(name, frequency[low]), abs=0.05)


@every_denoiser
def test_neither_invents_structure(name):
    images = white(4, 7)
    depth = np.zeros(SHAPE)
    depth[12:-12, 12:-12] = 100.0
    backgrounds = [
        Background(place, one, DENOISERS[name](one), depth) for place, one in enumerate(images)
    ]
    found = signal_absent(
        backgrounds,
        SystemBlur(0.45, 1.0),
        SPACING,
        diameters_mm=(5.0, 7.0),
        least_deviations=3.0,
    )
    assert found.area_cm2 > 0
    assert found.found == ()
    assert linear_bound(3.0) < 1e-3


@every_denoiser
def test_edges_lose_what_the_filter_takes(name):
    before = (water(1)[0] + 5 * np.random.default_rng(8).normal(size=SHAPE)).astype(np.float32)
    before[40:80, 40:80] += 400
    before = ndimage.gaussian_filter(before, 0.6)
    removed = (before - DENOISERS[name](before)).astype(np.float32)
    body = deep(1)[0].astype(bool)
    lost = edge_loss(before, removed, body, pixel_spacing_mm=SPACING).ratio
    if name == "identity":
        assert lost == pytest.approx(0, abs=1e-6)
    else:
        assert 0.4 < lost < 0.95


@every_denoiser
def test_inserts_stay_on_a_straight_line(name):
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    true = [-800.0, -100.0, 0.0, 120.0, 900.0]
    image = np.zeros(SHAPE)
    places = [(32, 32), (32, 96), (64, 64), (96, 32), (96, 96)]
    for hu, (row, column) in zip(true, places, strict=True):
        image[np.hypot(y - row, x - column) < 14] = hu
    after = DENOISERS[name](image)
    found = linearity(true, [after[np.hypot(y - r, x - c) < 8].mean() for r, c in places])
    assert found.slope == pytest.approx(1, abs=1e-5)
    assert found.intercept_hu == pytest.approx(0, abs=1e-3)
    assert found.largest_residual_hu < 1e-3
