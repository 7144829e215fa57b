"""Task transfer functions against discs that are known exactly; tolerances as documented."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from ctdenoise.errors import InputError
from ctdenoise.metrics.circular_edge import CircularEdge, edge_region, found_edge
from ctdenoise.metrics.transfer import crossing, f50_ratio, percentile_interval, resampled
from ctdenoise.metrics.ttf import LEAST_CNR_TOTAL, SAFE_CNR_TOTAL, ttf
from tests.exact_discs import CURVES, centre_of, disc_image, gaussian, sharp, soft, true_frequency

SPACING = (0.7, 0.7)
OFFSET = (-0.11, 0.23)
SHAPE = (96, 96)


def image_of(curve, radius_mm, *, spacing=SPACING, contrast=100.0, offset=OFFSET):
    return disc_image(
        curve,
        radius_mm=radius_mm,
        contrast_hu=contrast,
        offset_mm=offset,
        shape=SHAPE,
        pixel_spacing_mm=spacing,
    )


def guess(radius_mm, *, spacing=SPACING, offset=OFFSET, reach=None):
    """The circle to within a pixel, and its radius to five per cent."""
    centre = centre_of(offset, SHAPE, spacing)
    return CircularEdge((round(centre[0]) + 1, round(centre[1]) - 1), 1.05 * radius_mm, reach)


def exact(radius_mm, *, offset=OFFSET, spacing=SPACING, reach=None):
    return CircularEdge(centre_of(offset, SHAPE, spacing), radius_mm, reach)


def grainy(count, *, seed, cutoff=0.35, sd=1.0):
    """CT-like noise: NPS = f exp(-(f / f0)^2)."""
    fy, fx = (np.fft.fftfreq(n, d) for n, d in zip(SHAPE, SPACING, strict=True))
    f = np.hypot(fy[:, None], fx)
    shape = np.sqrt(f * np.exp(-((f / cutoff) ** 2)))
    shape *= sd / np.sqrt(np.square(shape).mean())
    white = np.random.default_rng(seed).normal(size=(count, *SHAPE))
    return np.fft.ifft2(np.fft.fft2(white) * shape).real


@pytest.mark.parametrize("name", sorted(CURVES))
@pytest.mark.parametrize(("radius_mm", "tolerance"), [(5.0, 0.015), (7.5, 0.01), (12.5, 0.005)])
@pytest.mark.parametrize("spacing", [SPACING, (0.6, 0.7)], ids=["square", "oblong"])
def test_without_noise_f50_and_f10_are_those_of_the_system(name, radius_mm, tolerance, spacing):
    curve = CURVES[name]
    image = image_of(curve, radius_mm, spacing=spacing)
    found = ttf(image[None], guess(radius_mm, spacing=spacing), pixel_spacing_mm=spacing)
    assert found.f50_per_mm == pytest.approx(true_frequency(curve, 0.5), rel=tolerance)
    assert found.f10_per_mm == pytest.approx(true_frequency(curve, 0.1), rel=tolerance)
    assert found.trust == "good"
    assert found.note == ""


@pytest.mark.parametrize("name", sorted(CURVES))
def test_the_whole_curve_is_that_of_the_system(name):
    found = ttf(image_of(CURVES[name], 12.5)[None], guess(12.5), pixel_spacing_mm=SPACING)
    # 2 % of the highest value: below 0.05 per mm the window of 10 mm shortens the spread.
    assert found.values == pytest.approx(CURVES[name](found.frequency_per_mm), abs=0.02)
    assert found.frequency_per_mm[-1] == pytest.approx(1 / 1.4)


@pytest.mark.parametrize("name", sorted(CURVES))
@pytest.mark.parametrize("offset", [(0.0, 0.0), (-0.11, 0.23), (0.34, -0.29)])
def test_the_centre_is_found_to_a_hundredth_of_a_pixel(name, offset):
    image = image_of(CURVES[name], 5.0, offset=offset)
    found = found_edge(image, guess(5.0, offset=offset), pixel_spacing_mm=SPACING)
    assert found.centre == pytest.approx(centre_of(offset, SHAPE, SPACING), abs=0.01)
    assert found.radius_mm == pytest.approx(5.0, abs=0.05)


def test_the_edge_of_a_hole_is_as_sharp_as_that_of_a_rod():
    rod, hole = (
        ttf(image_of(soft, 5.0, contrast=c)[None], guess(5.0), pixel_spacing_mm=SPACING)
        for c in (100.0, -100.0)
    )
    assert hole.f50_per_mm == pytest.approx(rod.f50_per_mm, rel=1e-6)
    assert (rod.contrast_hu, hole.contrast_hu) == pytest.approx((100.0, -100.0), rel=1e-3)


def test_at_a_total_contrast_to_noise_of_35_the_mean_of_twenty_f50_is_within_two_per_cent():
    image, slices = image_of(gaussian, 10.0), 5
    found = []
    for seed in range(20):
        noise = grainy(slices, seed=seed, sd=100 / 35 * np.sqrt(slices))
        found.append(ttf(image + noise, guess(10.0), pixel_spacing_mm=SPACING))
    assert np.mean([one.cnr_total for one in found]) == pytest.approx(35, rel=0.1)
    f50 = np.array([one.f50_per_mm for one in found], dtype=float)
    assert f50.mean() == pytest.approx(true_frequency(gaussian, 0.5), rel=0.02)
    assert f50.std() / f50.mean() == pytest.approx(0.70 / 35, rel=0.5)  # 70 % / CNR_tot


def test_nine_intervals_of_ten_hold_the_truth():
    image, slices, truth = image_of(gaussian, 10.0), 12, true_frequency(gaussian, 0.5)
    held = 0
    for seed in range(40):
        noise = grainy(slices, seed=100 + seed, sd=100 / 25 * np.sqrt(slices))
        found = ttf(
            image + noise,
            exact(10.0),
            pixel_spacing_mm=SPACING,
            located="given",
            resamplings=resampled(slices, 200, np.random.default_rng(seed)),
        )
        low, high = found.transfer.f50_interval_per_mm
        held += low <= truth <= high
    assert held >= 33  # of 40; fewer have a chance of one in a hundred if 95 % hold it


def test_the_band_holds_the_curve_and_narrows_with_the_noise():
    image = image_of(gaussian, 10.0)
    draws = resampled(10, 200, np.random.default_rng(1))
    wide, narrow = (
        ttf(
            image + grainy(10, seed=3, sd=sd),
            exact(10.0),
            pixel_spacing_mm=SPACING,
            located="given",
            resamplings=draws,
        )
        for sd in (20.0, 5.0)
    )
    inside = (narrow.transfer.low <= narrow.values) & (narrow.values <= narrow.transfer.high)
    assert inside.mean() > 0.95
    low_frequencies = slice(1, 200)
    widths = [
        (one.transfer.high - one.transfer.low)[low_frequencies].mean() for one in (wide, narrow)
    ]
    assert widths[0] > 3 * widths[1]


def test_too_much_noise_is_refused_and_much_is_told():
    image = image_of(gaussian, 10.0)

    def at(cnr_total):
        noise = grainy(4, seed=5, sd=100 / cnr_total * 2)
        return ttf(image + noise, guess(10.0), pixel_spacing_mm=SPACING)

    refused, uncertain = at(LEAST_CNR_TOTAL * 0.7), at(SAFE_CNR_TOTAL * 0.7)
    assert refused.trust == "refused"
    assert (refused.f50_per_mm, refused.f10_per_mm) == (None, None)
    assert np.isnan(refused.values).all()
    assert "below 5" in refused.note
    assert uncertain.trust == "uncertain"
    assert uncertain.f50_per_mm is not None
    assert "below 15" in uncertain.note


def test_a_frequency_beyond_nyquist_is_none():
    def sharper_than_pixels(f):
        return soft(f, 1.6)

    image = image_of(sharper_than_pixels, 10.0)
    found = ttf(image[None], guess(10.0), pixel_spacing_mm=SPACING)
    assert found.f10_per_mm is None
    assert found.transfer.f10_interval_per_mm is None


def test_slices_that_are_copies_of_each_other_count_as_one():
    noise = grainy(1, seed=6, sd=5.0)
    one = ttf(image_of(gaussian, 10.0) + noise, exact(10.0), pixel_spacing_mm=SPACING)
    same = ttf(
        image_of(gaussian, 10.0) + noise.repeat(9, axis=0), exact(10.0), pixel_spacing_mm=SPACING
    )
    assert same.cnr_total == pytest.approx(one.cnr_total)


def test_the_response_of_a_linear_filter_has_the_product_of_both_transfer_functions():
    # D(x + s) - D(x) for a disc s of low contrast, in noise a hundred times stronger than it.
    scan = grainy(3, seed=8, sd=400.0)
    signal = image_of(gaussian, 10.0, contrast=4.0)
    denoised = [
        ndimage.gaussian_filter(one, (0, 1.0, 1.0), mode="wrap") for one in (scan + signal, scan)
    ]
    response = denoised[0] - denoised[1]
    found = ttf(response, exact(10.0), pixel_spacing_mm=SPACING, located="given")
    expected = true_frequency(lambda f: gaussian(f) * gaussian(f, 0.7), 0.5)
    assert found.f50_per_mm == pytest.approx(expected, rel=0.005)
    assert found.contrast_hu == pytest.approx(4.0, rel=1e-3)


def test_the_ratio_of_two_f50_is_more_certain_than_either():
    stack = image_of(gaussian, 10.0) + grainy(20, seed=9, sd=15.0)
    smooth = ndimage.gaussian_filter(stack, (0, 0.6, 0.6), mode="wrap")
    draws = resampled(20, 300, np.random.default_rng(2))
    before, after = (
        ttf(one, exact(10.0), pixel_spacing_mm=SPACING, located="given", resamplings=draws)
        for one in (stack, smooth)
    )
    ratio, interval = f50_ratio(after.transfer, before.transfer)
    truth = true_frequency(lambda f: gaussian(f) * gaussian(f, 0.42), 0.5)
    truth /= true_frequency(gaussian, 0.5)
    assert interval[0] < truth < interval[1]
    alone = before.transfer.f50_interval_per_mm
    assert (interval[1] - interval[0]) / ratio < 0.7 * (alone[1] - alone[0]) / before.f50_per_mm


def test_neighbours_that_are_masked_do_not_count():
    image = image_of(sharp, 5.0)
    image += disc_image(
        sharp, radius_mm=4.0, offset_mm=(0.0, 12.5), shape=SHAPE, pixel_spacing_mm=SPACING
    )
    valid = np.ones(SHAPE, dtype=bool)
    y, x = np.indices(SHAPE)
    valid[np.hypot(y - 48, x - 48 - 12.5 / 0.7) * 0.7 < 6.5] = False
    seen = ttf(image[None], guess(5.0), pixel_spacing_mm=SPACING, valid=valid)
    assert seen.f50_per_mm == pytest.approx(true_frequency(sharp, 0.5), rel=0.015)
    spoilt = ttf(image[None], guess(5.0), pixel_spacing_mm=SPACING)
    assert spoilt.f50_per_mm != pytest.approx(true_frequency(sharp, 0.5), rel=0.015)


def test_an_edge_that_is_half_outside_is_refused():
    with pytest.raises(InputError, match="Less than half"):
        edge_region(CircularEdge((2.0, 2.0), 10.0), SHAPE, pixel_spacing_mm=SPACING)


def test_a_place_without_a_disc_is_refused():
    image = np.add.outer(np.arange(96.0), np.arange(96.0))
    image[48:] += 300
    with pytest.raises(InputError, match="No circular edge"):
        found_edge(image, CircularEdge((60.0, 48.0), 10.0), pixel_spacing_mm=SPACING)


@pytest.mark.parametrize(("radius_mm", "reach"), [(-1.0, None), (3.0, 4.0), (3.0, 0.0)])
def test_circles_that_cannot_be_are_refused(radius_mm, reach):
    with pytest.raises(InputError, match="circular edge"):
        CircularEdge((0.0, 0.0), radius_mm, reach)


@pytest.mark.parametrize(
    "bad", [np.zeros((4, 4)), np.full((1, 96, 96), np.nan)], ids=["flat", "nan"]
)
def test_what_is_no_stack_of_numbers_is_refused(bad):
    with pytest.raises(InputError, match="stack"):
        ttf(bad, exact(10.0), pixel_spacing_mm=SPACING)


def test_few_slices_are_not_resampled():
    assert resampled(3, 100, np.random.default_rng(0)).shape == (0, 3)
    assert percentile_interval(np.empty(0)) is None
    assert percentile_interval(np.array([1.0, np.nan])) is None


def test_a_curve_crosses_a_level_where_a_straight_line_does():
    frequency = np.array([0.0, 1.0, 2.0, 3.0])
    assert crossing(frequency, np.array([1.0, 0.8, 0.4, 0.6]), 0.5) == pytest.approx(1.75)
    assert crossing(frequency, np.array([1.0, 0.8, 0.7, 0.6]), 0.5) is None
    assert crossing(frequency, np.array([np.nan, np.nan, 0.1, 0.1]), 0.5) is None
