"""Networks that see neighbouring slices: ends, gaps, blocks, padding."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from ctdenoise.config.checks import CheckSettings
from ctdenoise.config.inference import InferSettings
from ctdenoise.config.networks import RedCnnSettings
from ctdenoise.core.intensity import HuRange
from ctdenoise.core.neighbours import neighbour_indices
from ctdenoise.core.volume import CTVolume
from ctdenoise.inference.check_range import outside_training, scan_figures, trained_on
from ctdenoise.inference.denoiser import MethodDenoiser
from ctdenoise.inference.engine import TorchEngine
from ctdenoise.inference.load import load_denoiser
from ctdenoise.inference.method import Block, Sample, plan_blocks
from ctdenoise.inference.network_method import NetworkMethod
from ctdenoise.inference.told_noise import told_noise
from ctdenoise.networks.build import build_network
from ctdenoise.networks.checkpoint import Checkpoint, save_checkpoint
from ctdenoise.networks.prediction import Constraints, DenoisingNetwork, Noisy, Prediction
from tests.builders import water_disc

SCALE = HuRange(0.0, 1024.0)
UNIT_HU = 192.0
"""Sums and thirds of a few of these are exact in float32, in HU and in the scale of the network; up
to 21 of them are seen."""


class Mean(DenoisingNetwork):
    """Averages the slices that it sees."""

    def __init__(self, slices: int = 3) -> None:
        super().__init__(Constraints(receptive_field_radius=0, input_channels=slices))

    def forward(self, scaled: Tensor) -> Prediction:
        return Prediction(scaled.sum(dim=1, keepdim=True) / scaled.shape[1])


class LessNoise(DenoisingNetwork):
    """Subtracts the noise that it is told from the middle slice."""

    def __init__(self) -> None:
        constraints = Constraints(receptive_field_radius=0, input_channels=3, noise_input=True)
        super().__init__(constraints)

    def forward(self, scaled: Tensor) -> Prediction:
        given = Noisy.of(scaled, self.constraints)
        assert given.noise is not None
        return Prediction(given.image - given.noise)


def denoiser(network: DenoisingNetwork, **settings: object) -> MethodDenoiser:
    told = network.constraints.noise_input
    described = RedCnnSettings(slices=network.constraints.input_channels, noise_input=told)
    engine = TorchEngine(network.eval(), torch.device("cpu"))
    chosen = InferSettings(**settings)
    method = NetworkMethod(Checkpoint(described, {}, SCALE), engine, chosen)
    return MethodDenoiser(method, chosen)


def stack(*units: float, gap_before: int | None = None) -> CTVolume:
    """Even slices, one value each; from `gap_before` on they lie 50 mm further up."""
    volume = water_disc(slices=len(units), size=8)
    hu = np.ones(volume.shape, np.float32) * (np.array(units, np.float32) * UNIT_HU)[:, None, None]
    positions = volume.geometry.positions_mm.copy()
    if gap_before is not None:
        positions[gap_before:, 2] += 50.0
    return replace(volume, hu=hu, geometry=replace(volume.geometry, positions_mm=positions))


def units(volume: CTVolume) -> list[float]:
    assert (volume.hu == volume.hu[:, :1, :1]).all()
    return (volume.hu[:, 0, 0] / UNIT_HU).tolist()


def in_blocks(found: MethodDenoiser, volume: CTVolume, size: int) -> np.ndarray:
    """The voxels of a scan that is given block by block."""
    denoising = found.settle(Sample.of(volume), volume)
    parts = []
    for plan in plan_blocks(volume.shape[0], size=size, context=found.context):
        block = Block(volume.select(plan.outer), plan.outer.start, plan.inner)
        parts.append(denoising.denoise(block).volume.hu)
    return np.concatenate(parts)


def test_in_the_middle_it_sees_the_slices_before_and_after():
    assert units(denoiser(Mean())(stack(0, 3, 6, 0, 9)))[1:4] == [3, 3, 5]


def test_at_the_ends_the_last_slice_is_repeated():
    result = units(denoiser(Mean())(stack(3, 0, 6, 0, 9)))
    assert (result[0], result[-1]) == ((3 + 3 + 0) / 3, (0 + 9 + 9) / 3)


def test_across_a_gap_nothing_is_seen():
    result = units(denoiser(Mean())(stack(0, 0, 3, 15, 15, 18, gap_before=3)))
    assert result == [0, 1, 2, 15, 16, 17]


def test_a_block_alone_counts_as_a_scan_of_its_own():
    volume = stack(9, 0, 3, 6, 9)
    denoising = denoiser(Mean()).settle(Sample.of(volume), volume)
    block = Block(volume.select(slice(1, 4)), 1, slice(0, 3), alone=True)
    assert units(denoising.denoise(block).volume) == [(0 + 0 + 3) / 3, 3, (3 + 6 + 6) / 3]


def test_two_slices_on_either_side():
    result = units(denoiser(Mean(5))(stack(0, 5, 10, 0, 0, 5)))
    assert result[2] == (0 + 5 + 10 + 0 + 0) / 5
    assert result[0] == (0 + 0 + 0 + 5 + 10) / 5


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50])
@pytest.mark.parametrize("slices", [3, 5])
def test_blocks_of_any_size_give_the_same_voxels(size, slices):
    volume = stack(0, 7, 1, 3, 15, 20, 14, 2, 1, gap_before=4)
    found = denoiser(Mean(slices))
    assert in_blocks(found, volume, size).tobytes() == found(volume).hu.tobytes()


@pytest.fixture
def several():
    """A RED-CNN of three slices that changes its input visibly, as a trained one does."""
    settings = RedCnnSettings(channels=6, slices=3, start_as_identity=False)
    network = build_network(settings, generator=torch.Generator().manual_seed(3))
    weights = {name: 6**0.5 * tensor for name, tensor in network.state_dict().items()}
    weights["tconv5.weight"] *= 0.05
    return Checkpoint(settings, weights, HuRange())


@pytest.fixture
def model(several, tmp_path):
    return save_checkpoint(tmp_path / "net.safetensors", several)


@pytest.fixture
def volume():
    clean = water_disc(slices=7, size=32, noise_hu=25.0)
    positions = clean.geometry.positions_mm.copy()
    positions[4:, 2] += 20.0
    return replace(clean, geometry=replace(clean.geometry, positions_mm=positions))


@pytest.mark.parametrize("size", [1, 2, 7])
def test_blocks_do_not_change_what_a_real_network_gives(model, volume, size):
    found = load_denoiser(model)
    assert in_blocks(found, volume, size).tobytes() == found(volume).hu.tobytes()


def test_the_change_is_that_of_the_network_for_the_neighbours_of_the_rule(several, model, volume):
    around = neighbour_indices(volume.geometry, 1)
    seen = torch.from_numpy(HuRange().to_network(volume.hu))[torch.from_numpy(around)]
    with torch.no_grad():
        expected = HuRange().to_hu(several.build()(seen).image[:, 0]).numpy()
    result = load_denoiser(model)(volume).hu
    assert np.abs(result - volume.hu).max() > 5
    np.testing.assert_allclose(result, expected, rtol=0, atol=0.05)


def test_tiles_do_not_change_the_result(model):
    volume = water_disc(slices=2, size=96, noise_hu=25.0)
    whole = load_denoiser(model)(volume).hu
    tiled = load_denoiser(model, InferSettings(tile=56))(volume).hu
    np.testing.assert_allclose(tiled, whole, rtol=0, atol=0.01)


def test_strength_0_returns_the_very_values(model, volume):
    result = load_denoiser(model, InferSettings(strength=0.0))(volume)
    assert result.hu.tobytes() == volume.hu.tobytes()


def test_padding_of_a_neighbour_is_shown_as_air():
    volume = stack(0, 0, 0)
    padding = np.zeros(volume.shape, bool)
    padding[0, 0] = True
    hu = volume.hu.copy()
    hu[0, 0] = -3024.0
    result = denoiser(Mean())(replace(volume, hu=hu, padding=padding)).hu
    assert result[1, 0] == pytest.approx(-1000 / 3, abs=1e-3)
    assert (result[1, 1:] == 0).all()
    assert (result[0, 0] == -3024.0).all()


def test_the_noise_that_is_told_is_that_of_the_middle_slice():
    clean = water_disc(slices=5, size=64, radius_mm=55.0)
    loud = np.array([5.0, 10.0, 20.0, 40.0, 80.0], np.float32)[:, None, None]
    noise = np.random.default_rng(0).standard_normal(clean.shape, np.float32)
    volume = replace(clean, hu=clean.hu + loud * noise)
    removed = volume.hu - denoiser(LessNoise())(volume).hu
    told = told_noise(Sample.of(volume), InferSettings()).slices(range(5), volume)
    np.testing.assert_allclose(removed, told, rtol=1e-3, atol=1e-3)


def test_a_single_slice_stands_for_its_neighbours_and_a_line_says_so(caplog):
    caplog.set_level(logging.INFO)
    found = denoiser(Mean())
    assert caplog.text == ""
    assert units(found(stack(5))) == [5]
    lines = [line for line in caplog.text.splitlines() if "3 slices at once" in line]
    assert len(lines) == 1
    assert "1 of the 1 of this scan" in lines[0]


def test_where_every_slice_has_a_neighbour_nothing_is_said(caplog):
    denoiser(Mean())(stack(0, 1, 2))
    assert caplog.text == ""


@pytest.mark.parametrize(("slices", "is_noticed"), [(1, False), (3, True)])
def test_another_spacing_than_in_training_is_noticed_where_neighbours_are_seen(slices, is_noticed):
    training = {"trained_on": {"slice_spacing_mm": [0.6, 1.0], "kvp": [120.0, 120.0]}}
    method = denoiser(Mean(slices)).method
    checkpoint = replace(method.checkpoint, training=training)
    found = MethodDenoiser(replace(method, checkpoint=checkpoint), InferSettings())
    volume = stack(0, 1, 2)  # 3 mm apart
    figures = scan_figures(Sample.of(volume), volume)
    said = [
        finding.text for finding in outside_training(figures, trained_on(found), CheckSettings())
    ]
    assert sum("slice spacing" in text for text in said) == is_noticed


def test_labels_and_error_are_those_of_the_middle_slice():
    class Stating(Mean):
        def forward(self, scaled: Tensor) -> Prediction:
            middle = scaled[:, 1:2]
            above = (middle > UNIT_HU / 1024).float()
            logits = torch.cat([1 - above, above], dim=1)
            return Prediction(middle, logits, torch.log(middle.abs() + 0.125))

    described = RedCnnSettings(slices=3, head={"classes": 2}, predict_sigma=True)
    engine = TorchEngine(Stating().eval(), torch.device("cpu"))
    method = NetworkMethod(Checkpoint(described, {}, SCALE), engine, InferSettings())
    found = MethodDenoiser(method, InferSettings())
    volume = stack(0, 2, 0, 2)
    result, beside = found.with_estimates(volume, labels=True, error=True)
    assert result.hu.tobytes() == volume.hu.tobytes()
    assert beside.labels[:, 0, 0].tolist() == [0, 1, 0, 1]
    np.testing.assert_allclose(beside.error_hu[:, 0, 0], volume.hu[:, 0, 0] + 128, rtol=1e-5)
