"""What denoisers add is found; what they keep, remove or smooth is not held against them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from skimage.restoration import denoise_nl_means

from ctdenoise.metrics.hallucination import (
    Background,
    contrast_template,
    excess,
    linear_bound,
    poisson_interval,
    signal_absent,
)
from ctdenoise.metrics.lesions import Lesion, SystemBlur, lesion_image

SPACING_MM = (0.8, 0.8)
BLUR = SystemBlur(0.4, 3.0)
SIZE = 256
SIZES_MM = (3.0, 5.0, 7.0, 10.0)


def noise(seed, sd_hu=20.0):
    """Noise with the spectrum f exp(-(f / f0)^2), HU."""
    white = np.random.default_rng(seed).normal(size=(SIZE, SIZE))
    frequency = np.hypot(np.fft.fftfreq(SIZE, 0.8)[:, None], np.fft.rfftfreq(SIZE, 0.8))
    image = np.fft.irfft2(
        np.fft.rfft2(white) * np.sqrt(frequency) * np.exp(-(frequency**2) / (2 * 0.34**2)),
        (SIZE, SIZE),
    )
    return sd_hu * image / image.std()


def blob(row, column, contrast_hu, diameter_mm=7.0):
    """A lesion somewhere in an image."""
    image = np.zeros((SIZE, SIZE))
    unit = lesion_image(Lesion(diameter_mm), BLUR, side=31, pixel_spacing_mm=SPACING_MM)
    image[row - 15 : row + 16, column - 15 : column + 16] = contrast_hu * unit
    return image


def searched(before, after):
    """What a search of whole slices finds."""
    depth = np.zeros((SIZE, SIZE))
    depth[20:-20, 20:-20] = 100.0
    backgrounds = [
        Background(place, one, other, depth)
        for place, (one, other) in enumerate(zip(before, after, strict=True))
    ]
    return signal_absent(backgrounds, BLUR, SPACING_MM, diameters_mm=SIZES_MM, least_deviations=2.0)


INPUTS = [noise(seed) for seed in range(4)]

HONEST = {
    "identity": lambda image: image,
    "nothing left": np.zeros_like,
    "gaussian": lambda image: ndimage.gaussian_filter(image, 1.2),
    "strong gaussian": lambda image: ndimage.gaussian_filter(image, 4.0),
    "median": lambda image: ndimage.median_filter(image, 5),
    "nlm": lambda image: denoise_nl_means(
        image, patch_size=5, patch_distance=7, h=14.0, sigma=20.0, fast_mode=True
    ),
}


@pytest.mark.parametrize("name", HONEST)
def test_denoisers_that_add_nothing_are_not_accused(name):
    found = searched(INPUTS, [HONEST[name](image) for image in INPUTS])
    assert found.found == ()
    assert found.interval.low == 0
    assert found.interval.high == pytest.approx(100 * 3.689 / found.area_cm2, rel=1e-3)


def test_blobs_that_a_denoiser_adds_are_found_where_they_are():
    places = [(60, 60), (60, 160), (130, 100), (200, 200)]
    after = [
        ndimage.gaussian_filter(image, 1.2) + sum(blob(*place, 45.0) for place in places)
        for image in INPUTS
    ]
    found = searched(INPUTS, after)
    assert len(found.found) >= 0.8 * 4 * len(places)
    assert found.interval.low > 0.5  # the default limit, spots per 100 cm2
    for spot in found.found:
        assert min(np.hypot(spot.row - y, spot.column - x) for y, x in places) * 0.8 < 4.0
        assert spot.excess_hu > 20


def test_a_lesion_of_the_input_that_is_kept_is_not_false():
    before = [image + blob(128, 128, 60.0) for image in INPUTS]
    after = [ndimage.gaussian_filter(image, 1.2) for image in before]
    assert searched(before, after).found == ()


def test_a_lesion_whose_contrast_is_turned_round_is_false():
    before = [image + blob(128, 128, 60.0) for image in INPUTS]
    after = [image - 2 * blob(128, 128, 60.0) for image in before]
    assert len(searched(before, after).found) == len(INPUTS)


def test_the_template_measures_contrast_and_ignores_planes():
    template = contrast_template(7.0, BLUR, SPACING_MM)
    side = len(template)
    lesion = lesion_image(Lesion(7.0), BLUR, side=side, pixel_spacing_mm=SPACING_MM)
    y, x = np.mgrid[:side, :side]
    assert (template * lesion).sum() == pytest.approx(1)
    assert (template * (50.0 + 3.0 * y - 2.0 * x)).sum() == pytest.approx(0, abs=1e-9)


def test_only_what_goes_beyond_the_input_is_excess():
    before = np.array([[10.0, 10.0, 10.0, 10.0, -10.0, -10.0, 0.0]])
    after = np.array([[0.0, 7.0, 14.0, -3.0, -12.0, 5.0, 2.0]])
    found = excess(before, after, (9.0, 9.0))  # so far apart that no place explains another
    assert found[0] == pytest.approx([0.0, 0.0, 4.0, -3.0, -2.0, 5.0, 2.0])


def test_what_a_blur_brings_from_nearby_is_no_excess():
    rng = np.random.default_rng(1)
    before = rng.normal(size=(60, 60)) * 50 + 100 * (np.arange(60) > 30)
    after = ndimage.uniform_filter(before, 7)  # of the size of the square, 3 mm on each side
    assert not excess(before, after, (1.0, 1.0)).any()
    assert excess(before, after, (9.0, 9.0)).any()


@pytest.mark.parametrize("level", [1.0, 1.5])
def test_no_linear_filter_has_more_excess_than_the_bound_says(level):
    """Templates of two values of noise, c of which a filter passes: at c = 1/2 it is worst."""
    rng = np.random.default_rng(3)
    count = 400_000
    shares = []
    for c in (0.1, 0.3, 0.5, 0.7, 0.9):
        kept, lost = rng.normal(size=(2, count)) * np.sqrt([[c], [1 - c]])
        shares.append(np.mean(np.abs(excess((kept + lost)[None], kept[None], (9.0, 9.0))) > level))
    bound = linear_bound(level)
    assert max(shares) <= bound + 4 * np.sqrt(bound / count)
    assert max(shares) > 0.8 * bound


def test_poisson_intervals_are_those_of_the_tables():
    """Garwood's intervals at 95 %: 0 to 3.689 for none, 0.025 to 5.572 for one, 4.795 to 18.39."""
    assert poisson_interval(0) == pytest.approx((0.0, 3.689), abs=1e-3)
    assert poisson_interval(1) == pytest.approx((0.0253, 5.572), abs=1e-3)
    assert poisson_interval(10) == pytest.approx((4.795, 18.390), abs=1e-3)
