"""Models of errors: weights of variances, and a table that never falls."""

from __future__ import annotations

import numpy as np
import pytest

from ctdenoise.inference.error_model import BINS, ErrorModel, fit_error_model, not_falling

PIXELS = 240_000

BIN_ERROR = 1 / np.sqrt(2 * PIXELS / BINS)
"""Standard error of a standard deviation of the normal errors of a bin, relative to it."""


def test_a_sequence_that_falls_is_pooled():
    values, weights = np.array([1.0, 3.0, 2.0, 2.0, 5.0]), np.array([1.0, 1.0, 3.0, 1.0, 1.0])
    np.testing.assert_allclose(not_falling(values, weights), [1.0, 2.2, 2.2, 2.2, 5.0])


def test_a_sequence_that_rises_is_left_alone():
    values = np.array([0.5, 1.0, 1.5, 9.0])
    np.testing.assert_array_equal(not_falling(values, np.ones(4)), values)


def test_a_planted_miscalibration_is_put_right():
    """Errors of 2 s^0.7 where s is stated: in every tenth of new pixels, what is stated is met."""
    rng = np.random.default_rng(3)

    def drawn():
        stated = np.exp(rng.normal(2.5, 0.8, PIXELS))
        return stated, rng.normal(0.0, 2 * stated**0.7)

    stated, errors = drawn()
    model = fit_error_model(errors**2, [stated**2], rng)
    new, met = drawn()
    found = model.sd_hu([np.square(new, dtype=np.float32)])
    for part in np.array_split(np.argsort(found), 10):
        ratio = np.sqrt(np.mean(met[part] ** 2) / np.mean(found[part].astype(float) ** 2))
        assert ratio == pytest.approx(1.0, abs=6 * BIN_ERROR)


def test_weights_of_variances_are_found():
    rng = np.random.default_rng(4)
    noise, edges = rng.uniform(100, 900, PIXELS), rng.exponential(2000, PIXELS)
    errors = rng.normal(0.0, np.sqrt(0.2 * noise + 0.05 * edges))
    unseen = rng.exponential(500, PIXELS)  # says nothing of the error
    model = fit_error_model(errors**2, [noise, edges, unseen], rng)
    assert model.weights[0] == pytest.approx(0.2, rel=0.06)
    assert model.weights[1] == pytest.approx(0.05, rel=0.06)
    assert model.weights[2] < 0.005


def test_more_of_a_variance_never_states_less():
    rng = np.random.default_rng(5)
    noise, edges = rng.uniform(100, 900, 20_000), rng.exponential(2000, 20_000)
    model = fit_error_model(rng.exponential(500, 20_000), [noise, edges], rng)
    more = np.linspace(0, 1e5, 4000, dtype=np.float32)
    stated = model.sd_hu([np.full_like(more, 400), more])
    assert (np.diff(stated) >= 0).all()


def test_beyond_the_table_the_last_ratio_holds():
    model = ErrorModel((1.0,), np.array([1.0, 10.0]), np.array([2.0, 5.0]))
    stated = model.sd_hu([np.array([0.25, 1.0, 100.0, 400.0], np.float32)])
    np.testing.assert_allclose(stated, [1.0, 2.0, 5.0, 10.0], rtol=1e-5)


def test_errors_of_nothing_stay_finite():
    model = fit_error_model(np.zeros(500), [np.zeros(500)], np.random.default_rng(0))
    stated = model.sd_hu([np.zeros(3, np.float32)])
    assert np.isfinite(stated).all()
    assert (stated > 0).all()
