"""Noise that stays keeps its texture, and its level, as theory says."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize

from ctdenoise.core.body import body_mask
from ctdenoise.core.provenance import Step
from ctdenoise.inference.method import Block
from ctdenoise.inference.texture import SIDE, Shares, measured_power
from ctdenoise.metrics.nps import patches_at, power_of
from tests.unit.inference.linear import LinearMethod, gain, noise_power, noisy_disc, radius_per_mm

CASES = {
    "white": (None, (0.75, 0.75)),
    "ramp": (0.4, (0.75, 0.75)),
    "ramp on oblong pixels": (0.4, (0.6, 0.8)),
}
SHARES = Shares((0.0, 0.1, 0.3, 0.6), (0.5, 1.0, 0.7, 0.4))


@pytest.fixture(scope="module", params=CASES, ids=list(CASES))
def case(request):
    """A noisy scan, what a linear method takes away, and the shapes of both spectra."""
    cutoff, spacing = CASES[request.param]
    volume = noisy_disc(cutoff_per_mm=cutoff, spacing_mm=spacing)
    removed = LinearMethod().take(Block(volume, 0, slice(0, volume.shape[0]))).removed_hu
    after = volume.with_hu(volume.hu - removed, Step("denoise"))
    return volume, removed, measured_power(volume, after, body_mask(volume.hu)), cutoff


def in_the_disc(volume, taken):
    """Power in squares of the disc that do not overlap, whatever the product looks at."""
    middle, spacing = volume.shape[1] // 2, volume.geometry.pixel_spacing_mm
    starts = [middle + (n * 2 - 3) * SIDE // 2 for n in range(3)]
    corners = [(y, x) for y in starts for x in starts]
    images = (volume.hu - taken).astype(np.float64)
    cut = np.concatenate([patches_at(image, corners, SIDE) for image in images])
    return power_of(cut, pixel_spacing_mm=spacing)


def level_of_theory(case, strength):
    """The ratio of amplitudes a of all frequencies that can be taken away alike.

    S = max(a, 1 - G)^2 S_n has the same sum as the plain mixture, (1 - s G)^2 S_n.
    """
    volume, _, _, cutoff = case
    radius = radius_per_mm(volume.shape[1:], volume.geometry.pixel_spacing_mm)
    power, passed = noise_power(radius, cutoff), gain(radius)
    wanted = ((1 - strength * passed) ** 2 * power).sum()

    def excess(level):
        return (np.maximum(level, 1 - passed) ** 2 * power).sum() - wanted

    return optimize.brentq(excess, 0, 1)


@pytest.mark.parametrize("strength", [0.4, 0.7])
def test_the_shares_are_those_of_theory(case, strength):
    shares = case[2].shares(strength, 1.0)
    frequency = np.array(shares.frequency_per_mm[1:])
    expected = np.minimum(1, (1 - level_of_theory(case, strength)) / gain(frequency))
    # What is removed is known to the bit, so the level is all that is measured: 1 - a, by the
    # power of 32 x 32 pixels in 24 patches or more. Where less than half is taken away, or there is
    # little noise, the edges of patches let in what belongs to other frequencies.
    power = noise_power(frequency, case[3])
    heard = (power > 0.01 * power.max()) & (gain(frequency) > 0.5)
    assert heard.sum() >= 5
    np.testing.assert_allclose(np.array(shares.share[1:])[heard], expected[heard], atol=0.03)


def test_all_frequencies_that_can_be_taken_away_are_left_alike(case):
    volume, removed, power, _ = case
    shares = power.shares(0.7, 1.0)
    spacing = volume.geometry.pixel_spacing_mm
    before = in_the_disc(volume, np.zeros_like(removed)).radial()
    after = in_the_disc(volume, shares.taken(removed, spacing))
    ratio = after.radial().power / before.power
    reached = shares.at(before.frequency_per_mm) < 0.98
    assert reached.sum() > 5
    # Both spectra come from the same noise: their ratio is far better known than each of them. One
    # standard error of a spectrum is 1 / sqrt(independent modes), half of them being the others'
    # conjugates.
    error = 1 / np.sqrt(before.modes[reached] / 2 * after.count)
    level = level_of_theory(case, 0.7) ** 2
    assert (np.abs(ratio[reached] / level - 1) < 3 * error + 0.03).all()


@pytest.mark.parametrize("texture", [0.3, 1.0])
def test_the_noise_level_is_that_of_the_plain_mixture(case, texture):
    volume, removed, power, _ = case
    plain = in_the_disc(volume, np.float32(0.6) * removed)
    shaped = power.shares(0.6, texture).taken(removed, volume.geometry.pixel_spacing_mm)
    ratio = in_the_disc(volume, shaped).variance_hu2 / plain.variance_hu2
    error = np.sqrt(2 / (plain.count * SIDE**2 / 10))  # of a variance, one pixel of ten counting
    assert ratio == pytest.approx(1, abs=2 * error)


def test_more_texture_brings_the_mean_frequency_nearer_to_that_of_the_scan(case):
    volume, removed, power, _ = case
    spacing = volume.geometry.pixel_spacing_mm
    own = in_the_disc(volume, np.zeros_like(removed)).radial().mean_frequency_per_mm
    shifts = [
        in_the_disc(volume, power.shares(0.6, texture).taken(removed, spacing))
        .radial()
        .mean_frequency_per_mm
        - own
        for texture in (0.0, 0.5, 1.0)
    ]
    assert shifts == sorted(shifts)
    assert shifts[0] < 1.2 * shifts[2] < 0


@pytest.mark.parametrize("strength", [0.2, 0.6, 1.0])
def test_without_texture_the_shares_are_the_strength(case, strength):
    np.testing.assert_allclose(case[2].shares(strength, 0.0).share, strength, atol=2e-3)


def test_a_method_that_removes_nothing_has_no_shares(case):
    volume = case[0]
    same = volume.with_step(Step("denoise"))
    assert measured_power(volume, same, body_mask(volume.hu)).shares(0.5, 1.0) is None


def test_too_little_soft_tissue_gives_no_spectra(case):
    volume = case[0]
    nowhere = np.zeros(volume.shape, dtype=np.bool_)
    assert measured_power(volume, volume, nowhere) is None


class TestTheFilter:
    def test_it_keeps_the_mean_as_the_strength_says(self):
        flat = np.full((1, 60, 70), 12.0, dtype=np.float32)
        np.testing.assert_allclose(SHARES.taken(flat, (0.7, 0.9)), 6.0, rtol=1e-5)

    def test_one_share_for_all_frequencies_is_a_plain_mixture(self):
        image = np.random.default_rng(0).normal(size=(2, 50, 64)).astype(np.float32)
        taken = Shares((0.0, 0.5), (0.6, 0.6)).taken(image, (0.8, 0.8))
        np.testing.assert_allclose(taken, 0.6 * image, atol=1e-5)

    @pytest.mark.parametrize("axis", [0, 1])
    def test_a_wave_is_scaled_by_the_share_of_its_frequency_in_mm(self, axis):
        spacing = (0.5, 1.0)
        count = (240, 120)[axis]
        per_mm = 0.3  # 36 periods in 120 mm: of 6.7 pixels, or 3.3
        wave = np.cos(2 * np.pi * per_mm * spacing[axis] * (np.arange(count) + 0.5))
        image = np.expand_dims(wave, 1 - axis) * np.ones((240, 120))
        taken = SHARES.taken(image[None].astype(np.float32), spacing)[0]
        # A sum of mirrored cosines is the same cosine, so there is nothing else at the edges.
        np.testing.assert_allclose(taken, 0.7 * image, atol=0.02)

    @pytest.mark.parametrize("axes", [(0,), (1,), (0, 1)])
    def test_it_mirrors_with_the_image(self, axes):
        image = np.random.default_rng(1).normal(size=(1, 48, 48)).astype(np.float32)
        mirrored = SHARES.taken(np.flip(image, [axis + 1 for axis in axes]).copy(), (0.7, 0.7))
        np.testing.assert_allclose(
            np.flip(mirrored[0], axes), SHARES.taken(image, (0.7, 0.7))[0], atol=1e-5
        )

    def test_an_edge_is_not_overshot_by_more_than_the_shares_differ(self):
        step = np.zeros((1, 96, 96), dtype=np.float32)
        step[..., 48:] = 100.0
        result = step - SHARES.taken(step, (0.7, 0.7))
        assert result.min() > -100 * (1.0 - 0.4) / 2
        assert result.max() < 100 + 100 * (1.0 - 0.4) / 2

    def test_a_slice_is_the_same_whichever_others_come_with_it(self):
        image = np.random.default_rng(2).normal(size=(5, 40, 44)).astype(np.float32)
        together = SHARES.taken(image, (0.7, 0.7))
        alone = [SHARES.taken(image[n : n + 1], (0.7, 0.7))[0] for n in range(5)]
        assert together.tobytes() == np.stack(alone).tobytes()
