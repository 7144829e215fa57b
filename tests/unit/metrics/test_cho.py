"""The channelised Hotelling observer: unbiased, with intervals that hold the truth as they should.

Responses are drawn as they are distributed; over 400 repeats the standard error of a coverage of
0.95 is 0.011, and the tolerances are those of the validation table.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from ctdenoise.errors import InputError, UsageError
from ctdenoise.metrics.channels import named_channels
from ctdenoise.metrics.cho import ChoResult, auc_of, cho, cho_of_responses, exact_interval

SHAPE = (41, 41)
REPEATS = 400


def disc(height: float, radius: float = 5.0) -> np.ndarray:
    axis = np.arange(41) - 20.0
    return height * np.clip(radius + 0.5 - np.hypot(axis[:, None], axis), 0, 1)


def repeated(name, images: int, *, height: float, seed: int) -> tuple[float, list[ChoResult]]:
    """The true d' in white noise, and what is found in repeats of a study."""
    profiles = named_channels(name, SHAPE, radius_pixels=5.0).profiles.reshape(-1, 41 * 41)
    mean = profiles @ disc(height).ravel()
    covariance = profiles @ profiles.T
    truth = math.sqrt(mean @ np.linalg.solve(covariance, mean))
    factor = np.linalg.cholesky(covariance)
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(REPEATS, 2, images, len(mean))) @ factor.T
    return truth, [cho_of_responses(one[0] + mean, one[1], name) for one in noise]


@pytest.mark.parametrize(("name", "images"), [("laguerre-gauss-5", 50), ("gabor-40", 50)])
def test_the_estimate_is_unbiased_and_its_interval_holds_the_truth(name, images):
    truth, found = repeated(name, images, height=0.47, seed=3)
    squares = np.array([one.dprime_squared for one in found])
    assert math.sqrt(squares.mean()) == pytest.approx(truth, rel=0.02)
    held = [one.interval.low <= truth <= one.interval.high for one in found]
    assert 0.91 <= np.mean(held) <= 0.98


def test_the_usual_estimate_is_too_high_with_many_channels_and_few_images():
    truth, found = repeated("gabor-40", 50, height=0.47, seed=3)
    assert np.mean([one.dprime_plug_in for one in found]) > 1.3 * truth


@pytest.mark.parametrize("name", ["laguerre-gauss-5", "gabor-16"])
def test_without_a_signal_the_estimate_is_nothing_on_average(name):
    _, found = repeated(name, 50, height=0.0, seed=4)
    squares = np.array([one.dprime_squared for one in found])
    assert abs(squares.mean()) < 3 * squares.std(ddof=1) / math.sqrt(REPEATS)
    covered = [one.auc_interval.low <= 0.5 <= one.auc_interval.high for one in found]
    assert np.mean(covered) >= 0.91


def test_a_negative_estimate_is_given_as_zero_and_said_to_be_so():
    _, found = repeated("laguerre-gauss-5", 50, height=0.0, seed=4)
    none = next(one for one in found if one.dprime_squared < 0)
    assert none.dprime == 0
    assert none.auc == 0.5
    assert "no signal was found" in none.note
    assert next(one for one in found if one.dprime_squared > 0).note == ""


def test_images_are_judged_as_their_responses_are():
    rng = np.random.default_rng(5)
    absent = rng.normal(0.0, 10.0, (40, *SHAPE))
    present = rng.normal(0.0, 10.0, (30, *SHAPE)) + disc(4.0)
    channels = named_channels("laguerre-gauss-5", SHAPE, radius_pixels=5.0)
    found = cho(present, absent, channels)
    direct = cho_of_responses(channels.responses(present), channels.responses(absent), "x")
    assert found.dprime == direct.dprime
    assert (found.n_present, found.n_absent, found.count) == (30, 40, 5)
    assert found.interval.low < found.dprime < found.interval.high
    assert found.auc == auc_of(found.dprime)


def test_neither_scale_nor_a_common_offset_changes_what_is_found():
    rng = np.random.default_rng(6)
    v = rng.normal(size=(2, 30, 5))
    v[0] += 1.0
    mixed = rng.normal(size=(5, 5))
    plain = cho_of_responses(v[0], v[1], "x")
    other = cho_of_responses(v[0] @ mixed * 1e-6 + 3, v[1] @ mixed * 1e-6 + 3, "x")
    assert other.dprime == pytest.approx(plain.dprime, rel=1e-6)


@pytest.mark.parametrize("dprime", [0.5, 20.0, 2000.0])
def test_the_interval_is_wider_at_a_higher_level_and_finite_for_any_signal(dprime):
    rng = np.random.default_rng(7)
    v = rng.normal(size=(2, 60, 5))
    v[0, :, 0] += dprime
    wide = cho_of_responses(v[0], v[1], "x", level=0.99).interval
    narrow = cho_of_responses(v[0], v[1], "x", level=0.68).interval
    assert wide.low <= narrow.low < narrow.high < wide.high < 2 * dprime + 2


def test_the_interval_needs_a_level_and_the_estimate_enough_images_that_vary():
    rng = np.random.default_rng(8)
    v = rng.normal(size=(2, 6, 5))
    with pytest.raises(InputError, match=r"too few for 5 channels.*\n.*at least 13 images"):
        cho_of_responses(v[0], v[1], "x")
    many = rng.normal(size=(2, 20, 5))
    with pytest.raises(UsageError, match="level"):
        cho_of_responses(many[0], many[1], "x", level=1.0)
    with pytest.raises(InputError, match="without noise"):
        cho_of_responses(np.ones((20, 5)), np.zeros((20, 5)), "x")
    twice = np.concatenate([many, many[..., :1]], axis=-1)
    with pytest.raises(InputError, match="depend on each other"):
        cho_of_responses(twice[0], twice[1], "x")


def test_the_interval_goes_on_evenly_where_there_is_hardly_any_noise():
    """Beyond d' of some thousands scipy's noncentral F has no numbers any more."""
    small, large = (exact_interval(float(d) ** 2, 400, 1600, 5) for d in (1e3, 1e5))
    assert large.low / 1e5 == pytest.approx(small.low / 1e3, rel=1e-3)
    assert large.high / 1e5 == pytest.approx(small.high / 1e3, rel=1e-3)
