"""Noise power spectra of patches that are cut from larger images: texture, direction, change."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from ctdenoise.errors import InputError
from ctdenoise.metrics.noise_angles import angular_anisotropy, artefact_index_hu
from ctdenoise.metrics.noise_transfer import (
    difference_noise,
    noise_change,
    noise_samples,
    repeat_noise,
)
from ctdenoise.metrics.nps import PowerSums, patches_at, power_of
from ctdenoise.metrics.transfer import resampled
from tests.coloured_noise import ct_noise, ct_spectrum

SIDE = 64
SPACING = (0.7, 0.7)
CUTOFF = 0.35


def cut(images, side=SIDE):
    """Patches that do not overlap, [patch, y, x]."""
    rows, columns = (n // side * side for n in images.shape[1:])
    corners = [(y, x) for y in range(0, rows, side) for x in range(0, columns, side)]
    return np.concatenate([patches_at(image, corners, side) for image in images])


@pytest.fixture(scope="module")
def coloured() -> PowerSums:
    """360 patches of CT-like noise of 20 HU."""
    images = ct_noise((40, 200, 200), seed=7, sd_hu=20.0, cutoff=CUTOFF)
    return power_of(cut(images), pixel_spacing_mm=SPACING, order=1)


def closed_form(frequency, sd_hu=20.0):
    """The spectrum of that noise: sigma^2 = 2 pi c integral f^2 exp(-(f / f0)^2) df."""
    fy = np.fft.fftfreq(200, SPACING[0])
    total = ct_spectrum(np.hypot(fy[:, None], fy), CUTOFF).sum() / (200 * SPACING[0]) ** 2
    return sd_hu**2 * ct_spectrum(frequency, CUTOFF) / total


def test_two_hundred_patches_of_white_noise_have_its_level_to_one_per_cent():
    patches = np.random.default_rng(0).normal(0, 20.0, (200, SIDE, SIDE))
    found = power_of(patches, pixel_spacing_mm=SPACING, order=1)
    level = 400 * SPACING[0] * SPACING[1]
    assert found.radial().power.mean() == pytest.approx(level, rel=0.01)
    assert found.variance_hu2 == pytest.approx(400, rel=0.01)


def test_coloured_noise_has_its_size_and_texture(coloured):
    radial = coloured.radial()
    assert coloured.count == 360
    assert np.sqrt(coloured.variance_hu2) == pytest.approx(20.0, rel=0.005)
    f = np.linspace(0, 1 / 1.4, 4001)
    fav = (f * ct_spectrum(f, CUTOFF)).sum() / ct_spectrum(f, CUTOFF).sum()
    assert radial.mean_frequency_per_mm == pytest.approx(fav, rel=0.01)
    ring = 1 / (SIDE * SPACING[0])
    assert radial.peak_frequency_per_mm == pytest.approx(CUTOFF / np.sqrt(2), abs=ring)


def test_the_curve_of_coloured_noise_is_its_closed_form(coloured):
    radial = coloured.radial()
    middle = (radial.frequency_per_mm > 0.05) & (radial.frequency_per_mm < 0.5)
    off = radial.power[middle] / closed_form(radial.frequency_per_mm[middle]) - 1
    assert abs(off.mean()) < 0.02
    assert np.sqrt(np.square(off).mean()) < 0.04


def test_the_centroid_of_two_dimensions_is_that_of_the_closed_form_and_not_fav(coloured):
    f = np.linspace(0, 1 / 1.4, 4001)
    power = f * ct_spectrum(f, CUTOFF)
    assert coloured.centroid_per_mm == pytest.approx((f * power).sum() / power.sum(), rel=0.01)
    assert coloured.centroid_per_mm > 1.1 * coloured.radial().mean_frequency_per_mm


def test_rings_scatter_by_their_stated_error():
    errors = []
    for seed in range(12):
        sums = power_of(cut(ct_noise((2, 320, 320), seed=seed)), pixel_spacing_mm=SPACING, order=0)
        radial = sums.radial()
        middle = (radial.frequency_per_mm > 0.1) & (radial.frequency_per_mm < 0.5)
        off = radial.power / closed_form(radial.frequency_per_mm) - 1
        errors.append((off / sums.ring_errors)[middle])
    assert np.std(errors) == pytest.approx(1.0, abs=0.15)


@pytest.mark.parametrize("spacing", [0.35, 0.5, 1.0])
def test_texture_does_not_depend_on_the_size_of_pixels(spacing):
    side = round(44.8 / spacing)  # the same patch in mm
    cutoff = 0.25  # nothing is left at 0.5 per mm, the Nyquist frequency of pixels of 1 mm
    found, standard = (
        power_of(
            cut(ct_noise((10, 4 * s, 4 * s), seed=3, spacing_mm=(d, d), cutoff=cutoff), s),
            pixel_spacing_mm=(d, d),
            order=1,
        ).radial()
        for s, d in ((side, spacing), (64, 0.7))
    )
    ring = 1 / 44.8
    assert found.mean_frequency_per_mm == pytest.approx(standard.mean_frequency_per_mm, rel=0.05)
    assert found.peak_frequency_per_mm == pytest.approx(standard.peak_frequency_per_mm, abs=ring)


def test_a_centred_spectrum_is_zero_in_its_middle_and_keeps_the_variance(coloured):
    fy, fx, spectrum = coloured.centred()
    assert (fy[SIDE // 2], fx[SIDE // 2]) == (0.0, 0.0)
    assert spectrum[SIDE // 2, SIDE // 2] == spectrum.min()
    assert spectrum.sum() / (SIDE * 0.7) ** 2 == pytest.approx(coloured.variance_hu2)


def test_noise_by_repeats_and_by_a_difference_has_its_size_over_any_background():
    scene = 300 * np.random.default_rng(1).random((64, 64))
    repeats = scene + np.random.default_rng(2).normal(0, 20, (6, 64, 64))
    by_repeats, by_difference = repeat_noise(repeats), difference_noise(repeats[0], repeats[1])
    assert np.sqrt(np.square(by_repeats).mean()) == pytest.approx(20, rel=5 / np.sqrt(2 * 5 * 4096))
    assert by_difference.std() == pytest.approx(20, rel=5 / np.sqrt(2 * 4096))
    with pytest.raises(InputError, match="two"):
        repeat_noise(repeats[:1])
    with pytest.raises(InputError, match="subtracted"):
        difference_noise(scene, scene[:9])


def samples_of(images):
    return noise_samples(
        [power_of(cut(image[None]), pixel_spacing_mm=SPACING, order=0) for image in images]
    )


def test_the_noise_transfer_of_a_linear_filter_is_its_square():
    before = ct_noise((16, 256, 256), seed=5)
    after = ndimage.gaussian_filter(before, (0, 0.8, 0.8), mode="wrap")
    draws = resampled(16, 200, np.random.default_rng(6))
    change = noise_change(samples_of(after), samples_of(before), resamplings=draws)
    f = change.frequency_per_mm
    squared = np.exp(-2 * (np.pi * 0.56 * f) ** 2) ** 2
    middle = (f > 0.1) & (f < 0.4)
    # Patches without a window leak a little power between frequencies.
    assert change.transfer[middle] == pytest.approx(squared[middle], rel=0.05)
    grid = np.linspace(0, 1 / 1.4, 4001)
    power = ct_spectrum(grid)
    left = power * np.exp(-2 * (np.pi * 0.56 * grid) ** 2) ** 2
    favs = [(grid * p).sum() / p.sum() for p in (left, power)]
    assert change.fav_shift_percent == pytest.approx(100 * (favs[0] / favs[1] - 1), abs=1.0)
    low, high = change.fav_shift_interval
    assert low < change.fav_shift_percent < high
    assert high - low < 2.0
    ratio = np.sqrt((grid * left).sum() / (grid * power).sum())
    assert change.noise_ratio == pytest.approx(ratio, rel=0.01)


def test_noise_that_is_untouched_has_not_changed():
    samples = samples_of(ct_noise((5, 128, 128), seed=5))
    draws = resampled(5, 50, np.random.default_rng(6))
    change = noise_change(samples, samples, resamplings=draws)
    assert change.transfer == pytest.approx(1.0)
    assert change.fav_shift_percent == pytest.approx(0.0)
    assert change.noise_ratio_interval == pytest.approx((1.0, 1.0))
    assert noise_change(samples, samples).transfer_low is None


def test_noise_that_is_gone_has_no_texture_to_compare():
    before = ct_noise((5, 128, 128), seed=5)
    change = noise_change(samples_of(np.zeros_like(before)), samples_of(before))
    assert change.noise_ratio == 0.0
    assert change.fav_shift_percent is None


def test_samples_that_do_not_match_are_refused():
    samples = samples_of(ct_noise((5, 128, 128), seed=5))
    with pytest.raises(InputError, match="different samples"):
        noise_change(samples, samples_of(ct_noise((4, 128, 128), seed=5)))
    with pytest.raises(InputError, match="patch"):
        noise_samples([])


def test_noise_without_a_direction_is_as_anisotropic_as_chance_makes_it(coloured):
    found = angular_anisotropy(coloured)
    assert found.value < 1.02
    values = []
    for seed in range(20):
        sums = power_of(cut(ct_noise((1, 256, 256), seed=seed)), pixel_spacing_mm=SPACING, order=0)
        few = angular_anisotropy(sums)
        values.append(few.value / few.by_chance)
    assert np.mean(values) == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("degrees", [0, 30, 45, 90])
def test_streaks_are_found_with_their_direction(degrees):
    images = ct_noise((10, 256, 256), seed=9)
    fy, fx = np.meshgrid(*(np.fft.fftfreq(256),) * 2, indexing="ij")
    angle = np.degrees(np.arctan2(fy, fx)) % 180
    apart = np.minimum(np.abs(angle - degrees), 180 - np.abs(angle - degrees))
    gain = np.where(apart < 7.5, 2.0, 1.0)
    streaky = np.fft.ifft2(np.fft.fft2(images) * gain).real
    found = angular_anisotropy(power_of(cut(streaky), pixel_spacing_mm=SPACING, order=0))
    assert int(np.argmax(found.wedges)) == degrees // 15
    # One wedge of twelve has four times the power: 4 / (15 / 12) = 3.2, less what leaks out.
    assert 2.6 < found.value < 3.3


def test_no_noise_has_no_direction():
    nothing = power_of(np.zeros((1, 16, 16)), pixel_spacing_mm=SPACING)
    assert angular_anisotropy(nothing) is None
    assert nothing.centroid_per_mm is None


def test_the_artefact_index_is_what_streaks_add():
    assert artefact_index_hu(13.0, 12.0) == pytest.approx(5.0)
    assert artefact_index_hu(11.0, 12.0) == 0.0
