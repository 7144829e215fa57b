"""Equivalent doses: known answers, honest intervals, and words where nothing can be told."""

from __future__ import annotations

import numpy as np
import pytest

from ctdenoise.core.arrays import DoubleArray
from ctdenoise.errors import InputError
from ctdenoise.metrics.dose_equivalence import (
    Responses,
    Squares,
    equivalent_dose,
    fitted_curve,
    paired_squares,
    square_variance,
)

DOSES = np.array([0.1, 0.25, 0.5, 1.0])
COUNTS = (60, 180, 5)
CHANNELS = 5


def responses(
    rng: np.random.Generator, dprime: float, slices: int = 60
) -> tuple[Responses, tuple[DoubleArray, DoubleArray]]:
    """White responses of five channels with the signal in one of them, and their noise."""
    present = rng.standard_normal((slices, 1, CHANNELS))
    absent = rng.standard_normal((slices, 3, CHANNELS))
    noise = present.copy(), absent.copy()
    present[..., 0] += dprime
    return Responses(present, absent), noise


def squares_of(values: DoubleArray, draws: int = 400) -> list[Squares]:
    """Estimates that are exact but for the spread of their draws."""
    rng = np.random.default_rng(4)
    found = []
    for value in values:
        spread = rng.standard_normal(draws) * np.sqrt(square_variance(value, COUNTS))
        found.append(Squares(float(value), value + spread - spread.mean(), COUNTS))
    return found


def test_draws_have_the_spread_of_the_exact_distribution():
    rng = np.random.default_rng(1)
    of_draws, estimates = [], []
    for _ in range(40):
        (found,) = paired_squares([responses(rng, 2.0)[0]], draws=300, rng=rng)
        assert found.draws.mean() == pytest.approx(found.estimate)
        of_draws.append(found.draws.var())
        estimates.append(found.estimate)
    exact = square_variance(4.0, COUNTS)
    assert np.mean(of_draws) == pytest.approx(exact, rel=0.2)
    assert np.mean(estimates) == pytest.approx(4.0, abs=4 * np.sqrt(exact / 40))


def test_the_variance_of_the_unbiased_square_is_exact():
    rng = np.random.default_rng(2)
    found = [
        paired_squares([responses(rng, 1.5)[0]], draws=2, rng=rng)[0].estimate for _ in range(1500)
    ]
    # The variance of a variance is about 2 / n of its square, more for a skewed distribution.
    assert np.var(found) == pytest.approx(square_variance(2.25, COUNTS), rel=0.15)


def test_images_that_are_left_alone_have_exactly_their_own_dose():
    rng = np.random.default_rng(3)
    pairs = []
    for dose in DOSES:
        one, _ = responses(rng, 2.5 * np.sqrt(dose))
        pairs.append(paired_squares([one, one], draws=200, rng=rng))
    plain = [pair[0] for pair in pairs]
    for at, dose in enumerate(DOSES):
        found = equivalent_dose(pairs[at][1], plain, DOSES, at)
        assert found.value == pytest.approx(dose)
        assert (found.low, found.high) == (pytest.approx(dose), pytest.approx(dose))
        assert found.words == ""


def test_intervals_of_equivalent_doses_hold_the_truth_as_often_as_they_say():
    """A denoiser that takes 30 % of the noise away at a quarter dose: equal to 0.25 / 0.49."""
    rng = np.random.default_rng(5)
    truth, held = 0.25 / 0.7**2, []
    for _ in range(120):
        plain, denoised = [], []
        for dose in DOSES:
            dprime = 2.5 * np.sqrt(dose)
            one, noise = responses(rng, dprime)
            own = [0.5 * part + 0.49 * rng.standard_normal(part.shape) for part in noise]
            own[0][..., 0] += dprime
            assert np.std(own[1]) == pytest.approx(0.7, rel=0.1)
            pair = paired_squares([one, Responses(*own)], draws=200, rng=rng)
            plain.append(pair[0])
            denoised.append(pair[1])
        found = equivalent_dose(denoised[1], plain, DOSES, 1)
        held.append(found.low <= truth <= found.high)
    # 95 % of 120, three standard errors of 2 % either way and 2 % for the bootstrap.
    assert 0.87 <= np.mean(held) <= 1.0


def test_quantum_noise_follows_the_law_and_is_fitted_by_it():
    curve = fitted_curve(DOSES, 6.0 * DOSES, COUNTS)
    assert curve.kind == "square root"
    assert curve.p_value == pytest.approx(1)
    assert curve.square_at(np.array([0.0, 0.4, 1.5])) == pytest.approx([0, 2.4, 9.0])
    assert curve.dose_of(np.array([0.0, 2.4, 9.0])) == pytest.approx([0, 0.4, 1.5])


def test_the_law_is_given_up_where_the_data_break_it():
    squares = np.array([0.1, 0.6, 14.0, 16.0])
    curve = fitted_curve(DOSES, squares, COUNTS)
    assert curve.kind == "interpolated"
    assert curve.p_value < 0.01
    assert curve.square_at(DOSES) == pytest.approx(squares)
    assert curve.dose_of(np.array([7.3])) == pytest.approx([0.375])


def test_a_curve_that_falls_is_made_monotone():
    curve = fitted_curve(DOSES, np.array([0.1, 9.0, 8.0, 30.0]), (600, 1800, 5))
    assert curve.kind == "interpolated"
    assert (np.diff(curve.squares) >= 0).all()
    assert (np.diff(curve.dose_of(np.linspace(0, 30, 50))) >= 0).all()


def test_no_signal_at_any_dose_gives_no_equivalent():
    plain = squares_of(np.array([-0.1, -0.05, 0.02, -0.03]))
    found = equivalent_dose(squares_of(np.array([3.0]))[0], plain, DOSES, 1)
    assert found.value is None
    assert "above the measured doses" in found.words


@pytest.mark.parametrize(
    ("gain", "words"),
    [
        (1.5, "above the measured doses (100 %), by the law of the square root"),
        (4.0, "above the measured doses (100 %)"),
    ],
)
def test_beyond_the_measured_doses_it_is_said(gain, words):
    plain = squares_of(6.0 * DOSES)
    last = plain[-1]
    denoised = Squares(gain * last.estimate, gain * last.draws, COUNTS)
    found = equivalent_dose(denoised, plain, DOSES, 3)
    assert found.words == words
    assert (found.value is None) == (gain == 4.0)
    assert found.low > 1.0


def test_an_interval_that_tells_nothing_is_said_to():
    few = (4, 12, 5)
    plain = [Squares(6.0 * dose, 6.0 * dose * np.linspace(0.2, 1.8, 101), few) for dose in DOSES]
    denoised = Squares(1.5, np.abs(np.random.default_rng(6).normal(1.5, 1.2, 101)), few)
    found = equivalent_dose(denoised, plain, DOSES, 1)
    assert "more repeats" in found.words


def test_few_slices_are_never_drawn_so_alike_that_nothing_can_be_told():
    rng = np.random.default_rng(0)
    few = Responses(rng.normal(1, 1, (7, 1, 5)), rng.normal(0, 1, (7, 2, 5)))
    found = paired_squares([few, few], draws=5000, rng=rng)
    assert np.isfinite(found[0].draws).all()
    with pytest.raises(InputError, match="5 slices are too few to be drawn again: 6 are needed"):
        paired_squares([Responses(few.present[:5], few.absent[:5])], draws=10, rng=rng)
