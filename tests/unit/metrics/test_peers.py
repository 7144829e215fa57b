"""Presets against the code that published figures were made with.

The images are a formula, so that anybody can put them through the other program. Values of peers
are constants; each says which version gave it, called on float64 images.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from ctdenoise.config.evaluation import EvaluateSettings, window_settings
from ctdenoise.metrics.evaluation import evaluate
from ctdenoise.metrics.fidelity import psnr, ssim, windowed
from ctdenoise.metrics.vif import visual_information_fidelity
from tests.unit.metrics.conftest import volume


def images() -> tuple[np.ndarray, np.ndarray]:
    """Reference and test, HU, float64 [72, 80]; also what the peers were given."""
    y, x = np.mgrid[:72, :80] / 10
    reference = 60 * np.sin(y) * np.cos(x) + 20
    reference[:20] = -900
    noise = 25 * np.sin(np.arange(reference.size) ** 2 * 0.37).reshape(reference.shape)
    return reference, reference + noise


LDCT_BENCHMARK = {  # ldct-benchmark 0.0.15, compute_metric(HU + 1024, ...) of exam types C, L, N
    "ldctbench-chest": (38.547652143929405, 0.8834214279793355),
    "ldctbench-abdomen": (28.50858843650854, 0.6289331135179801),
    "ldctbench-neuro": (16.23710919622634, 0.4795454003855183),
}
LDCT_BENCHMARK_RMSE = 17.718176583538245
LDCT_BENCHMARK_VIF = 0.3584528890091716
TORCHMETRICS_VIF = 0.41184841046597076  # 1.9.0, visual_information_fidelity(test, reference)


@pytest.mark.parametrize("name", LDCT_BENCHMARK)
def test_psnr_and_ssim_are_those_of_ldct_benchmark(name):
    window = window_settings(name)
    one, other = (windowed(image, window, None) for image in images())
    expected = LDCT_BENCHMARK[name]
    assert psnr(one, other, data_range=window.width_hu) == pytest.approx(expected[0], abs=1e-6)
    assert ssim(one, other, window=window) == pytest.approx(expected[1], abs=1e-6)


def test_the_validation_convention_of_ldct_benchmark_is_a_window_up_to_1900_hu():
    """There PSNR and SSIM are taken of HU + 1024, clipped to [0, 2924], with that data range."""
    window = window_settings("ldctbench-validation")
    one, other = images()
    clipped = [np.clip(image + 1024, 0, 2924) for image in (one, other)]
    ours = [windowed(image, window, None) for image in (one, other)]
    assert psnr(*ours, data_range=window.width_hu) == pytest.approx(
        peak_signal_noise_ratio(*clipped, data_range=2924), abs=1e-6
    )
    assert ssim(*ours, window=window) == pytest.approx(
        structural_similarity(*clipped, data_range=2924), abs=1e-6
    )


def test_vif_is_that_of_torchmetrics_and_ldct_benchmark_has_the_images_exchanged():
    found = visual_information_fidelity(*images())
    assert found.of_test == pytest.approx(TORCHMETRICS_VIF, abs=1e-6)
    assert found.of_reference == pytest.approx(LDCT_BENCHMARK_VIF, abs=1e-6)
    assert abs(found.of_test - found.of_reference) > 0.05, "the order matters"


def test_evaluate_gives_the_same_rmse_and_vif_for_a_volume():
    reference, test = (volume(np.stack([image] * 2)) for image in images())
    found = evaluate(reference, test, EvaluateSettings(threads=1))
    # Volumes are float32, which costs about 1e-5 of a pixel.
    assert found["rmse[-1024,1900]"].value == pytest.approx(LDCT_BENCHMARK_RMSE, abs=1e-4)
    assert found["vif[-1024,1900]"].value == pytest.approx(TORCHMETRICS_VIF, abs=1e-5)
    assert found["vif_exchanged[-1024,1900]"].value == pytest.approx(LDCT_BENCHMARK_VIF, abs=1e-5)


def red_cnn_measures(one: np.ndarray, other: np.ndarray) -> tuple[float, float, float]:
    """PSNR, SSIM and RMSE by the definitions of RED-CNN's measure.py, with plain loops.

    Images are clipped to [-160, 240] HU and keep their HU; the data range is 400. Local moments are
    weighted by an 11 x 11 Gaussian of sigma 1.5, zeros stand around the image, and every pixel of
    the map counts. There the weights are float32; here they are float64.
    """
    one, other = (np.clip(image, -160, 240) for image in (one, other))
    taps = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
    weights = np.outer(taps, taps) / taps.sum() ** 2

    def mean(image: np.ndarray) -> np.ndarray:
        padded = np.pad(image, 5)
        rows, columns = image.shape
        total = np.zeros_like(image)
        for down in range(11):
            for across in range(11):
                part = padded[down : down + rows, across : across + columns]
                total += weights[down, across] * part
        return total

    c1, c2 = (0.01 * 400) ** 2, (0.03 * 400) ** 2
    m1, m2 = mean(one), mean(other)
    v1, v2 = mean(one * one) - m1**2, mean(other * other) - m2**2
    both = mean(one * other) - m1 * m2
    similarity = (2 * m1 * m2 + c1) * (2 * both + c2) / ((m1**2 + m2**2 + c1) * (v1 + v2 + c2))
    mean_square = float(np.mean((one - other) ** 2))
    ratio = 10 * math.log10(400**2 / mean_square)
    return ratio, float(similarity.mean()), math.sqrt(mean_square)


RED_CNN = (28.556886780407403, 0.6158263275710655, 14.935358523394017)
"""compute_PSNR, compute_SSIM and compute_RMSE of measure.py of SSinyu/RED-CNN (commit 6302195d), of
the first 72 columns, which it takes as a square, in float64 with its float32 weights."""


def test_the_redcnn_preset_is_that_of_its_measure():
    window = window_settings("redcnn")
    one, other = images()
    ratio, similarity, _ = red_cnn_measures(one, other)
    square = red_cnn_measures(one[:, :72], other[:, :72])
    assert square == pytest.approx(RED_CNN, abs=1e-6)
    ours = [windowed(image, window, None) for image in (one, other)]
    assert psnr(*ours, data_range=400) == pytest.approx(ratio, abs=1e-6)
    assert ssim(*ours, window=window) == pytest.approx(similarity, abs=1e-6)


@pytest.mark.parametrize("name", ["full", "redcnn", "ldctbench-chest", "ldctbench-abdomen"])
def test_images_that_differ_in_one_corner_only_are_judged_as_a_whole(name):
    """SSIM is computed around differences alone: nothing may change at the edges of that part."""
    window = window_settings(name)
    one = np.asarray(images()[0])
    for place in ((0, 0), (71, 79), (40, 30), (3, 76), (70, 2)):
        other = one.copy()
        other[place] = 20 - one[place] / 2
        pair = [windowed(image, window, None) for image in (one, other)]
        if name == "redcnn":
            expected = red_cnn_measures(one, other)[1]
        else:
            scaled = [(image - window.low_hu) / window.width_hu for image in pair]
            expected = structural_similarity(*scaled, data_range=1.0)
        assert ssim(*pair, window=window) == pytest.approx(expected, abs=1e-9), place


def test_vif_of_a_contrast_that_is_halved_is_that_of_its_formula():
    """The test is half the reference, with v = 0; of white noise all windows are alike."""
    deviation = 40.0
    image = np.random.default_rng(0).normal(0, deviation, (256, 256))
    found = visual_information_fidelity(image, image / 2)
    kept = lost = 0.0
    variance, pixels = deviation**2, 256
    for scale, taps in enumerate((17, 9, 5, 3)):
        weights = np.exp(-((np.arange(taps) - taps // 2) ** 2) / (2 * (taps / 5) ** 2))
        power = float(np.square(weights / weights.sum()).sum()) ** 2
        if scale:
            variance, pixels = variance * power, (pixels - taps + 1) // 2
        seen = variance * (1 - power)  # what a window leaves of it, as if later scales were white
        lost += (pixels - taps + 1) ** 2 * math.log(1 + seen / 2)
        kept += (pixels - taps + 1) ** 2 * math.log(1 + seen / 8)
    assert found.of_test == pytest.approx(kept / lost, rel=0.02)
    assert visual_information_fidelity(image, image).of_test == pytest.approx(1, abs=1e-9)
