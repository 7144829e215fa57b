"""What a noise-free test scores against a noisy reference."""

from __future__ import annotations

import numpy as np
import pytest

from ctdenoise.config.evaluation import EvaluateSettings, WindowSettings, window_settings
from ctdenoise.metrics.evaluation import evaluate
from ctdenoise.metrics.noise_floor import expected_square_hu2
from tests.unit.metrics.conftest import SHAPE, tissue_blocks, volume


@pytest.mark.parametrize("true_hu", [-300.0, -160.0, -120.0, 40.0, 240.0, 260.0])
def test_the_mean_square_of_clipped_noise_is_that_of_many_draws(true_hu):
    window, noise = WindowSettings(low_hu=-160, high_hu=240), 60.0
    draws = np.random.default_rng(0).normal(true_hu, noise, 400_000)
    clipped = np.clip(true_hu, -160, 240)
    squares = (np.clip(draws, -160, 240) - clipped) ** 2
    found = expected_square_hu2(np.array([true_hu]), window, noise)[0]
    assert found == pytest.approx(squares.mean(), abs=5 * squares.std() / np.sqrt(squares.size))


@pytest.mark.parametrize("name", ["full", "redcnn", "ldctbench-chest", "ldctbench-neuro"])
def test_the_floor_is_what_the_truth_itself_scores(name):
    truth = tissue_blocks()
    noise = np.random.default_rng(1).normal(0, 20, SHAPE)
    settings = EvaluateSettings(windows=(window_settings(name),), vif=False)
    found = evaluate(volume(truth + noise), volume(truth), settings)
    label = window_settings(name).label
    floor, reached = found[f"psnr_floor{label}"].value, found[f"psnr{label}"].value
    # The noise magnitude is known to a few percent in so small a phantom: 0.4 dB.
    assert floor == pytest.approx(reached, abs=0.4)


def test_an_exact_reference_has_no_floor(reference):
    noise = np.random.default_rng(1).normal(0, 20, SHAPE)
    found = evaluate(reference, volume(tissue_blocks() + noise))
    assert not any(metric.key.startswith("psnr_floor") for metric in found.metrics)
