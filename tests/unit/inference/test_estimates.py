"""What a network says beside its image: labels and stated error, in place and in HU."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from ctdenoise.config.inference import InferSettings
from ctdenoise.config.networks import RedCnnSettings, SegmentationHeadSettings
from ctdenoise.core.intensity import HuRange
from ctdenoise.core.volume import CTVolume
from ctdenoise.errors import CheckpointError, UsageError
from ctdenoise.inference.denoiser import MethodDenoiser
from ctdenoise.inference.engine import TorchEngine
from ctdenoise.inference.network_method import NetworkMethod
from ctdenoise.networks.checkpoint import Checkpoint
from ctdenoise.networks.prediction import Constraints, DenoisingNetwork, Prediction
from tests.builders import water_disc

RANGE = HuRange(-1000.0, 1000.0)


class Stating(DenoisingNetwork):
    """States an error of a tenth of a pixel's distance from -1100 HU; class 2 above 0 HU, else 1.

    Args:
        reach: Receptive-field radius to declare; None for an unbounded one.
    """

    def __init__(self, reach: int | None = 2) -> None:
        super().__init__(Constraints(receptive_field_radius=reach))

    def forward(self, scaled: Tensor) -> Prediction:
        above = (scaled > 0.5).float()
        logits = torch.cat([torch.zeros_like(above), 1 - above, above], dim=1)
        return Prediction(scaled, logits, torch.log((scaled + 0.05).clamp(min=1e-6) * 0.1))


def denoiser(network: DenoisingNetwork, **settings: object) -> MethodDenoiser:
    described = RedCnnSettings(predict_sigma=True, head=SegmentationHeadSettings(classes=3))
    engine = TorchEngine(network.eval(), torch.device("cpu"))
    return MethodDenoiser(
        NetworkMethod(Checkpoint(described, {}, RANGE), engine, InferSettings(**settings)),
        InferSettings(**settings),
    )


@pytest.fixture
def volume() -> CTVolume:
    volume = water_disc(slices=2, size=48)
    rng = np.random.default_rng(1)
    noise = rng.normal(0, 20, volume.shape).astype(np.float32)
    padding = np.zeros(volume.shape, bool)
    padding[:, :3] = True
    return replace(volume, hu=(volume.hu + noise).astype(np.float32), padding=padding)


def stated_hu(volume: CTVolume) -> np.ndarray:
    error = 0.1 * np.maximum(volume.hu.astype(np.float64) + 1100, 2e-3)
    error[volume.padding] = 0
    return error


def test_a_stated_error_is_its_exponential_in_hounsfield_units(volume):
    _, found = denoiser(Stating()).with_estimates(volume, error=True)
    assert found.labels is None
    np.testing.assert_allclose(found.error_hu, stated_hu(volume), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("strength", [0.0, 0.3])
def test_strength_does_not_change_a_stated_error(volume, strength):
    _, found = denoiser(Stating(), strength=strength).with_estimates(volume, error=True)
    np.testing.assert_allclose(found.error_hu, stated_hu(volume), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("reach", [2, None])
def test_tiles_do_not_change_a_stated_error(volume, reach):
    network = denoiser(Stating(reach), tile=24)
    _, found = network.with_estimates(volume, labels=True, error=True)
    np.testing.assert_allclose(found.error_hu, stated_hu(volume), rtol=1e-4, atol=1e-3)


def test_labels_stand_behind_the_stated_error(volume):
    image, found = denoiser(Stating()).with_estimates(volume, labels=True, error=True)
    expected = np.where(volume.hu > 0, 2, 1)
    expected[volume.padding] = 0
    np.testing.assert_array_equal(found.labels, expected)
    np.testing.assert_array_equal(image.hu, volume.hu)


def test_labels_alone_are_the_same(volume):
    _, both = denoiser(Stating()).with_estimates(volume, labels=True, error=True)
    _, found = denoiser(Stating()).with_estimates(volume, labels=True)
    assert found.error_hu is None
    np.testing.assert_array_equal(found.labels, both.labels)


def test_a_stated_error_that_is_no_number_is_refused(volume):
    class Endless(Stating):
        def forward(self, scaled: Tensor) -> Prediction:
            return Prediction(scaled, None, torch.full_like(scaled, 100.0))

    with pytest.raises(CheckpointError, match="not numbers"):
        denoiser(Endless()).with_estimates(volume, error=True)


def test_a_network_without_an_output_for_it_states_no_error(volume):
    checkpoint = Checkpoint(RedCnnSettings(channels=4), {}, RANGE)
    engine = TorchEngine(Stating(), torch.device("cpu"))
    plain = MethodDenoiser(NetworkMethod(checkpoint, engine, InferSettings()), InferSettings())
    assert not plain.states_error
    with pytest.raises(UsageError, match="does not state its error"):
        plain.with_estimates(volume, error=True)
    with pytest.raises(UsageError, match="labels nothing"):
        plain.with_estimates(volume, labels=True)
