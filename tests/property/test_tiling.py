"""Tiling then stitching gives the whole slice."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - the usual name
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from ctdenoise.config.networks import RedCnnSettings
from ctdenoise.core.intensity import HuRange
from ctdenoise.inference.tiling import Tiling, plan_tiles, predict_in_tiles, smallest_tile
from ctdenoise.networks.build import build_network
from ctdenoise.networks.prediction import Constraints, DenoisingNetwork

FAST = settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

TOLERANCE_HU = 1e-4
"""Rounding only: float32 has steps of 2.4e-4 HU at the top of the range, 3e-5 HU in soft tissue,
and the images below lie in soft tissue and lower."""


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Small images are faster on one core, and other tests run beside."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def network() -> DenoisingNetwork:
    """A RED-CNN whose change is large: some 100 HU."""
    chosen = RedCnnSettings(channels=4, start_as_identity=False)
    net = build_network(chosen, generator=torch.Generator().manual_seed(2)).eval()
    with torch.no_grad():
        for weights in net.parameters():
            weights.mul_(6**0.5)  # keeps the size of the signal from layer to layer
        net.get_parameter("tconv5.weight").mul_(0.1)
    return net


def image_of(network: DenoisingNetwork, scaled: Tensor) -> Tensor:
    with torch.no_grad():
        return network(scaled).image


def random_slices(count: int, height: int, width: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 0.25 * torch.rand(count, 1, height, width, generator=generator)


@FAST
@given(
    height=st.integers(21, 90),
    width=st.integers(21, 90),
    edge=st.integers(44, 70),
    batch=st.integers(1, 4),
    count=st.integers(1, 2),
    seed=st.integers(0, 1000),
)
def test_tiles_with_a_halo_equal_the_whole_slice(network, height, width, edge, batch, count, seed):
    scaled = random_slices(count, height, width, seed)
    tiling = plan_tiles((height, width), network.constraints, edge=edge, batch=batch)

    tiled = predict_in_tiles(scaled, lambda tile: image_of(network, tile), tiling)

    whole = image_of(network, scaled)
    assert (whole - scaled).abs().max() * HuRange().width_hu > 10  # there is something to get wrong
    error_hu = (tiled - whole).abs().max() * HuRange().width_hu
    assert error_hu <= TOLERANCE_HU


@FAST
@given(
    length=st.integers(2, 100),
    size=st.integers(1, 50),
    halo=st.integers(0, 10),
    m=st.integers(1, 4),
)
def test_every_pixel_comes_from_a_tile_that_saw_its_whole_neighbourhood(length, size, halo, m):
    """A box sum over the halo is exact in integers, so any pixel from the wrong place shows."""
    constraints = Constraints(receptive_field_radius=halo, multiple_of=m)
    length = -(-length // m) * m
    edge = smallest_tile(constraints) + size
    scaled = torch.randint(0, 50, (1, 1, length, length)).double()

    def box_sum(tile: Tensor) -> Tensor:
        kernel = torch.ones(1, 1, 2 * halo + 1, 2 * halo + 1, dtype=torch.float64)
        return F.conv2d(tile, kernel, padding=halo)

    tiling = plan_tiles((length, length), constraints, edge=edge)
    assert torch.equal(predict_in_tiles(scaled, box_sum, tiling), box_sum(scaled))


def test_a_halo_one_pixel_too_small_is_not_exact(network):
    scaled = random_slices(1, 100, 100, 0)
    predict = lambda tile: image_of(network, tile)  # noqa: E731 - one line, used twice
    right = predict_in_tiles(scaled, predict, Tiling((60, 60), halo=20))
    wrong = predict_in_tiles(scaled, predict, Tiling((60, 60), halo=14))
    whole = image_of(network, scaled)
    assert (right - whole).abs().max() * HuRange().width_hu <= TOLERANCE_HU
    assert (wrong - whole).abs().max() > 100 * (right - whole).abs().max()


@FAST
@given(height=st.integers(32, 90), width=st.integers(32, 90))
def test_blended_tiles_of_a_pointwise_network_equal_the_whole_slice(height, width):
    """Blending weights add up to one, so what does not depend on the tile comes out right."""
    scaled = random_slices(1, height, width, 1)
    tiling = Tiling((32, 32), halo=None, batch=2)
    blended = predict_in_tiles(scaled, lambda tile: 3 * tile + 1, tiling)
    torch.testing.assert_close(blended, 3 * scaled + 1, rtol=0, atol=1e-5)
