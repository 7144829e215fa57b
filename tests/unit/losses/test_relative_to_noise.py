"""Losses that count differences in units of the noise."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError

from ctdenoise.config.losses import LossSettings
from ctdenoise.config.training import TrainSettings
from ctdenoise.core.intensity import HuRange
from ctdenoise.errors import UsageError
from ctdenoise.losses.build import Target, build_loss
from ctdenoise.networks.prediction import Prediction

SCALE = HuRange(0.0, 1000.0)
TOLD_HU = (10.0, 30.0, 60.0)
POWERS = {"mse": 2, "l1": 1, "gradient": 1}


def images(seed: int, size: int = 48) -> torch.Tensor:
    return torch.rand(3, 1, size, size, generator=torch.Generator().manual_seed(seed)) * 0.1


def told(noise_hu=TOLD_HU, size: int = 48) -> torch.Tensor:
    return torch.tensor(noise_hu)[:, None, None, None].expand(-1, 1, size, size) / SCALE.width_hu


def value(name: str, image: torch.Tensor, target: Target, *, relative: bool) -> float:
    names = dict.fromkeys([name, "mse"])
    settings = {"terms": [{"name": each} for each in names], "relative_to_noise": relative}
    loss = build_loss(LossSettings.model_validate(settings), SCALE)
    return float(loss(Prediction(image), target).terms[name])


@pytest.mark.parametrize("name", POWERS)
def test_a_difference_counts_in_units_of_the_noise_of_its_patch(name):
    image, full = images(1), images(2)
    found = value(name, image, Target(full, noise=told()), relative=True)
    patches = [
        (30.0 / hu) ** POWERS[name]
        * value(name, image[n : n + 1], Target(full[n : n + 1]), relative=False)
        for n, hu in enumerate(TOLD_HU)
    ]
    assert found == pytest.approx(sum(patches) / 3, rel=1e-5)


def test_charbonnier_turns_where_a_patch_of_30_hu_would():
    image, full = images(1), images(2)
    found = value("charbonnier", image, Target(full, noise=told((60.0,) * 3)), relative=True)
    assert found == pytest.approx(
        value("charbonnier", image / 2, Target(full / 2), relative=False), rel=1e-5
    )


def test_the_noise_of_a_patch_is_the_root_of_its_mean_variance():
    image, full = images(1), images(2)
    uneven = told((30.0,) * 3).clone()
    uneven[..., ::2] *= 7**0.5
    expected = value("mse", image, Target(full, noise=told((60.0,) * 3)), relative=True)
    assert value("mse", image, Target(full, noise=uneven), relative=True) == pytest.approx(expected)


def test_a_patch_without_noise_counts_as_one_of_5_hu():
    image, full = images(1), images(2)
    none, least = (
        value("mse", image, Target(full, noise=told((hu,) * 3)), relative=True) for hu in (0.0, 5.0)
    )
    assert none == least


def test_terms_of_hounsfield_units_stay_as_they_are():
    image, target = images(1), Target(images(2), noise=told())
    assert value("hu_bias", image, target, relative=True) == value(
        "hu_bias", image, target, relative=False
    )


def test_it_needs_the_noise():
    with pytest.raises(UsageError, match="told the noise"):
        value("mse", images(1), Target(images(2)), relative=True)


def test_a_network_that_is_not_told_is_refused():
    with pytest.raises(ValidationError, match="noise_input"):
        TrainSettings.model_validate({"loss": {"relative_to_noise": True}})


def test_a_loss_without_a_term_of_differences_is_refused():
    with pytest.raises(ValidationError, match="mse, l1, charbonnier or gradient"):
        LossSettings.model_validate({"terms": [{"name": "hu_bias"}], "relative_to_noise": True})
