"""Image losses against closed form, and what each is blind to."""

from __future__ import annotations

import math

import pytest
import torch

from ctdenoise.config.losses import LossSettings
from ctdenoise.core.intensity import HuRange
from ctdenoise.errors import UsageError
from ctdenoise.losses.build import Target, build_loss
from ctdenoise.losses.image import radial_spectrum
from ctdenoise.losses.perceptual import FrozenEncoder, feature_distance, random_encoder
from ctdenoise.networks.prediction import Prediction

SCALE = HuRange(0.0, 1000.0)
EVERY = ["mse", "l1", "charbonnier", "ms_ssim", "gradient", "spectrum", "hu_bias", "perceptual"]


def noise(sigma_hu: float, *shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*(shape or (4, 1, 48, 48)), generator=generator) * (sigma_hu / 1000)


def value(name: str, image: torch.Tensor, full: torch.Tensor, low=None, **options) -> float:
    loss = build_loss(LossSettings.model_validate({"terms": [{"name": name, **options}]}), SCALE)
    found = loss(Prediction(image), Target(full, low=low))
    assert found.terms[name] == pytest.approx(found.total.item())
    return found.total.item()


@pytest.mark.parametrize("name", EVERY)
def test_equal_images_cost_nothing(name):
    full = noise(50)
    assert value(name, full, full, low=full + noise(20, seed=1)) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("name", EVERY)
def test_the_gradient_leads_downhill(name):
    full = noise(50)
    low = full + noise(20, seed=1)
    image = (full + noise(5, seed=2) + 0.004).requires_grad_()
    before = build_loss(LossSettings.model_validate({"terms": [{"name": name}]}), SCALE)
    found = before(Prediction(image), Target(full, low=low)).total
    found.backward()
    step = 1e-3 * found.item() / image.grad.square().sum()
    moved = before(Prediction(image.detach() - step * image.grad), Target(full, low=low)).total
    assert moved < found


def test_a_shift_costs_its_size_and_its_square():
    full = noise(50)
    assert value("l1", full + 0.02, full) == pytest.approx(0.02, rel=1e-4)
    assert value("mse", full + 0.02, full) == pytest.approx(0.0004, rel=1e-4)
    expected = math.hypot(0.02, 0.001) - 0.001
    assert value("charbonnier", full + 0.02, full, epsilon_hu=1.0) == pytest.approx(
        expected, rel=1e-4
    )


def test_a_gradient_sees_steps_and_no_shift():
    flat = torch.zeros(1, 1, 8, 8)
    assert value("gradient", flat + 0.5, flat) == 0
    edge = flat.clone()
    edge[..., 4:] = 0.1  # one step of 0.1 among the seven of each row
    assert value("gradient", edge, flat) == pytest.approx(0.1 / 7)


def test_white_noise_has_its_variance_in_every_ring():
    sigma, count = 20.0, 400
    found = radial_spectrum(noise(sigma, count, 1, 32, 32), bins=8)
    # A Hann window leaves a third of the frequencies independent: 4 of the 12 in the second ring.
    error = 4 * math.sqrt(2 / (4 * count))
    torch.testing.assert_close(found[1:], torch.full((7,), (sigma / 1000) ** 2), rtol=error, atol=0)
    assert 0.8 < found[0] / (sigma / 1000) ** 2 < 1 + error


def test_removing_white_noise_from_white_noise_matches_and_half_of_it_costs_ln_4_squared():
    full, there = torch.zeros(64, 1, 48, 48), noise(20, 64, 1, 48, 48)
    low = full + there
    assert value("spectrum", full, full, low=low) == pytest.approx(0, abs=1e-6)
    halved = value("spectrum", full + there / 2, full, low=low, floor_hu=1e-3)
    assert halved == pytest.approx(math.log(4) ** 2, rel=1e-3)


def test_the_spectrum_tells_smooth_noise_from_white():
    full, there = torch.zeros(8, 1, 48, 48), noise(20, 8, 1, 48, 48)
    smooth = torch.nn.functional.avg_pool2d(there, 3, 1, 1)
    assert value("spectrum", full + there - smooth, full, low=full + there) > 1


def test_each_tissue_counts_by_its_mean_error_whatever_its_size():
    full = torch.full((1, 1, 40, 40), 0.04)  # soft tissue
    full[..., :4] = 1.0  # bone, a tenth of the pixels
    image = full.clone()
    image[..., :4] -= 0.05  # 50 HU too low: 25 in units of 10 HU squared
    assert value("hu_bias", image, full) == pytest.approx(25 / 2, rel=1e-4)
    few = value("hu_bias", image, full, fewest_pixels=200)
    assert few == pytest.approx(0, abs=1e-6)  # 160 pixels of bone do not count


def test_noise_without_bias_costs_the_tissues_almost_nothing():
    full = torch.full((4, 1, 48, 48), 0.04)
    found = value("hu_bias", full + noise(20), full)
    assert found < 9 * (20 / 10) ** 2 / full.numel()  # three standard errors of the mean


def test_similarity_falls_with_noise_and_is_that_of_the_library():
    full = noise(50)
    values = [value("ms_ssim", full + noise(s, seed=3), full) for s in (5, 20, 60)]
    assert 0 < values[0] < values[1] < values[2] < 1


def test_the_features_of_an_encoder_ignore_a_shift_and_see_an_edge():
    encoder = random_encoder(2)
    full = noise(50)
    assert feature_distance(encoder, full + 0.3, full) < 1e-6
    assert feature_distance(encoder, full + noise(20, seed=5), full) > 1e-3
    assert not list(encoder.parameters())


def test_an_encoder_of_given_filters_computes_with_them():
    weight, bias = torch.ones(1, 1, 1, 1) * 2, torch.zeros(1)
    encoder = FrozenEncoder([(weight, bias)])
    full, image = torch.full((1, 1, 4, 4), 1.0), torch.full((1, 1, 4, 4), 1.5)
    assert feature_distance(encoder, image, full).item() == pytest.approx(0.25)


def test_the_likelihood_is_best_where_the_stated_error_is_the_true_one():
    full, sigma = torch.zeros(4, 1, 48, 48), 0.02
    image = full + noise(20)
    loss = build_loss(LossSettings.model_validate({"terms": [{"name": "heteroscedastic"}]}), SCALE)

    def at(stated: float) -> float:
        log_sigma = torch.full_like(full, math.log(stated))
        return loss(Prediction(image, log_sigma=log_sigma), Target(full)).total.item()

    rms = image.square().mean().sqrt().item()
    assert at(rms) == pytest.approx(0.5 + math.log(rms), rel=1e-5)
    assert at(sigma) < min(at(0.8 * sigma), at(1.25 * sigma))


@pytest.mark.parametrize("name", ["heteroscedastic", "spectrum"])
def test_a_term_that_lacks_what_it_compares_says_so(name):
    loss = build_loss(LossSettings.model_validate({"terms": [{"name": name}]}))
    image = torch.zeros(1, 1, 8, 8)
    with pytest.raises(UsageError, match=name):
        loss(Prediction(image), Target(image))


def test_the_smallest_patch_follows_the_scales():
    terms = [{"name": "ms_ssim", "scales": 3}]
    assert LossSettings.model_validate({"terms": terms}).smallest_patch == 41
    assert LossSettings().smallest_patch == 1
