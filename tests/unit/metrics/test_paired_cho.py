"""What denoising does to detectability, judged on the same realisations."""

from __future__ import annotations

import numpy as np
import pytest

from ctdenoise.errors import InputError
from ctdenoise.metrics.channels import named_channels
from ctdenoise.metrics.cho import cho_of_responses
from ctdenoise.metrics.paired_cho import change_of_responses, detectability_change

Pair = tuple[np.ndarray, np.ndarray]


def drawn(
    rng: np.random.Generator, *, images: int, before: float, after: float, shared: float
) -> tuple[Pair, Pair]:
    """Responses of five channels before and after; the noise of both has a correlation."""
    noise = rng.normal(size=(2, 2, images, 5))
    later = shared * noise[0] + np.sqrt(1 - shared**2) * noise[1]
    signal = np.eye(5)[0]
    return (noise[0, 0] + before * signal, noise[0, 1]), (later[0] + after * signal, later[1])


@pytest.mark.parametrize(("before", "after"), [(2.0, 1.8), (1.0, 1.0)])
def test_intervals_of_ratio_and_difference_hold_the_truth(before, after):
    rng = np.random.default_rng(1)
    held = []
    for _ in range(200):
        pairs = drawn(rng, images=50, before=before, after=after, shared=0.8)
        found = change_of_responses(*pairs, "x", rng=rng, draws=300)
        ratio, difference = found.ratio_interval, found.difference_interval
        held.append(
            (
                ratio.low <= after / before <= ratio.high,
                difference.low <= after - before <= difference.high,
            )
        )
    # Standard error 0.015; 300 draws put an end of the interval off by as much.
    assert np.all(np.mean(held, axis=0) >= 0.91)
    assert np.all(np.mean(held, axis=0) <= 0.995)


def test_the_same_images_twice_have_the_ratio_one_and_no_doubt_about_it():
    rng = np.random.default_rng(2)
    before, _ = drawn(rng, images=40, before=2.0, after=2.0, shared=1.0)
    found = change_of_responses(before, before, "x", rng=rng)
    assert (found.ratio, found.difference) == (1.0, 0.0)
    assert (found.ratio_interval.low, found.ratio_interval.high) == (1.0, 1.0)
    assert (found.difference_interval.low, found.difference_interval.high) == (0.0, 0.0)


def test_shared_noise_makes_the_interval_of_the_difference_narrow():
    rng = np.random.default_rng(3)
    before, after = drawn(rng, images=60, before=2.0, after=2.0, shared=0.95)
    together = change_of_responses(before, after, "x", rng=rng).difference_interval
    one = cho_of_responses(*before, "x").interval
    assert together.high - together.low < 0.6 * (one.high - one.low)


def test_where_nothing_is_to_be_seen_before_the_ratio_has_no_upper_end():
    rng = np.random.default_rng(4)
    before, after = drawn(rng, images=30, before=0.0, after=0.0, shared=0.5)
    found = change_of_responses(before, after, "x", rng=rng)
    assert found.ratio_interval.low == 0.0
    assert found.ratio_interval.high == np.inf
    assert found.ratio is None or found.ratio >= 0


def test_what_is_found_rests_on_the_seed_alone_and_not_on_scale():
    rng = np.random.default_rng(5)
    before, after = drawn(rng, images=30, before=1.5, after=1.2, shared=0.7)
    scaled = tuple(1e-3 * one + 7 for one in after)
    first = change_of_responses(before, after, "x", rng=np.random.default_rng(6))
    again = change_of_responses(before, scaled, "x", rng=np.random.default_rng(6))
    assert again.ratio == pytest.approx(first.ratio, rel=1e-9)
    assert again.ratio_interval.low == pytest.approx(first.ratio_interval.low, rel=1e-6)
    assert again.difference_interval.high == pytest.approx(first.difference_interval.high, rel=1e-6)


def test_images_are_judged_and_must_be_the_same_before_and_after():
    rng = np.random.default_rng(7)
    channels = named_channels("laguerre-gauss-5", (15, 15), radius_pixels=3.0)
    present, absent = rng.normal(size=(2, 20, 15, 15))
    present[:, 5:10, 5:10] += 1.0
    found = detectability_change(present, absent, 2 * present, 2 * absent, channels, rng=rng)
    assert found.ratio == pytest.approx(1.0)
    with pytest.raises(InputError, match="not those before"):
        detectability_change(present, absent, present[1:], absent, channels, rng=rng)
