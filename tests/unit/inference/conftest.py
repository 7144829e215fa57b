"""Small networks of every kind that inference must cope with."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - the usual name
from torch import Tensor

from ctdenoise.config.networks import RedCnnSettings
from ctdenoise.core.intensity import HuRange
from ctdenoise.networks.build import build_network
from ctdenoise.networks.checkpoint import Checkpoint
from ctdenoise.networks.prediction import Constraints, DenoisingNetwork, Prediction


@pytest.fixture(scope="package", autouse=True)
def one_thread():
    """Small images are faster on one core, and other tests run beside."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Strided(DenoisingNetwork):
    """Halves the image and doubles it again, so that sizes must be multiples of 2."""

    def __init__(self) -> None:
        super().__init__(Constraints(smallest_input=4, multiple_of=2, receptive_field_radius=1))

    def forward(self, scaled: Tensor) -> Prediction:
        small = F.avg_pool2d(scaled, 2)
        return Prediction(F.interpolate(small, scale_factor=2, mode="nearest"))


class Hungry(DenoisingNetwork):
    """Says that it needs 400 kB for each pixel."""

    def __init__(self) -> None:
        super().__init__(Constraints(receptive_field_radius=20, peak_values_per_pixel=100_000))

    def forward(self, scaled: Tensor) -> Prediction:
        return Prediction(scaled)


class Centred(DenoisingNetwork):
    """Subtracts a tenth of the mean of everything: no bounded receptive field."""

    def __init__(self) -> None:
        super().__init__(Constraints())

    def forward(self, scaled: Tensor) -> Prediction:
        return Prediction(scaled - 0.1 * scaled.mean(dim=(2, 3), keepdim=True))


@pytest.fixture
def strided() -> DenoisingNetwork:
    return Strided().eval()


@pytest.fixture
def hungry() -> DenoisingNetwork:
    return Hungry().eval()


@pytest.fixture
def centred() -> DenoisingNetwork:
    return Centred().eval()


@pytest.fixture(scope="session")
def trained() -> Checkpoint:
    """A RED-CNN that changes its input visibly, as a trained one does."""
    settings = RedCnnSettings(channels=6, start_as_identity=False)
    network = build_network(settings, generator=torch.Generator().manual_seed(3))
    # Weights that keep the size of the signal (He et al. 2015), as training makes them.
    weights = {name: 6**0.5 * tensor for name, tensor in network.state_dict().items()}
    weights["tconv5.weight"] *= 0.05
    weights["tconv5.bias"] += 0.002
    return Checkpoint(settings, weights, HuRange())
