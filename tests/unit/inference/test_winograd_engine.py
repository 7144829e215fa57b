"""The Winograd engine gives what torch gives for every network, and is taken where it is faster."""

from __future__ import annotations

import logging

import pytest
import torch
from torch import Tensor, nn

from ctdenoise.config.inference import InferSettings
from ctdenoise.config.networks import (
    AutoencoderSettings,
    Cnn4Settings,
    CompactSettings,
    CscSettings,
    DenoiseNetSettings,
    DscSettings,
    IdentitySettings,
    NetworkSettings,
    RedCnnSettings,
    RedNetSettings,
    SegmentationHeadSettings,
    UNetSettings,
    WavResNetSettings,
)
from ctdenoise.errors import UsageError
from ctdenoise.inference import engine_choice
from ctdenoise.inference.engine import TorchEngine, plan_work, run
from ctdenoise.inference.engine_choice import choose_engine
from ctdenoise.inference.vector_code import AVX2, host_vector_unit
from ctdenoise.inference.winograd_engine import WinogradEngine
from ctdenoise.networks.build import build_network
from ctdenoise.networks.prediction import Constraints, DenoisingNetwork, Prediction

HOST = host_vector_unit()
CPU = torch.device("cpu")
HEAD = SegmentationHeadSettings(classes=3)

pytestmark = pytest.mark.skipif(HOST is None, reason="the kernels need AVX2")

NETWORKS: dict[str, NetworkSettings] = {
    "redcnn": RedCnnSettings(channels=24),
    "redcnn-of-odd-width": RedCnnSettings(channels=7, final_relu=True),
    "redcnn-told-with-all": RedCnnSettings(
        channels=16, noise_input=True, predict_sigma=True, head=HEAD
    ),
    "redcnn-in-units-of-noise": RedCnnSettings(channels=24, noise_input=True, change_in_noise=True),
    "redcnn-of-three-slices": RedCnnSettings(channels=16, slices=3, noise_input=True),
    "compact": CompactSettings(channels=20, pairs=2),
    "compact-told-with-all": CompactSettings(
        channels=16, pairs=1, noise_input=True, predict_sigma=True, head=HEAD
    ),
    "rednet": RedNetSettings(channels=20, head=HEAD),
    "rednet-plain": RedNetSettings(channels=16, skips=False, residual=False),
    "cnn4": Cnn4Settings(),
    "dsc": DscSettings(channels=(8, 8, 16, 16, 16), head=HEAD),
    "denoisenet": DenoiseNetSettings(channels=20, layers=6),
    "wavresnet": WavResNetSettings(channels=24, blocks=2),
    "wavresnet-of-images": WavResNetSettings(channels=20, blocks=2, domain="image", head=HEAD),
    "unet": UNetSettings(features=(8, 8, 16, 16, 32, 8), head=HEAD),
    "unet-told": UNetSettings(features=(8, 8, 16, 16, 32, 8), noise_input=True, predict_sigma=True),
    "csc": CscSettings(channels=(24, 20), steps=3, head=HEAD),
    "csc-of-3": CscSettings(channels=(24,), steps=2, kernel=3),
    "autoencoder": AutoencoderSettings(hidden=32, code=16),
    "autoencoder-of-maps": AutoencoderSettings(kind="convolutional", hidden=32, code=16),
    "identity": IdentitySettings(),
}


def built(name: str) -> DenoisingNetwork:
    """A network whose every layer counts, as after training."""
    generator = torch.Generator().manual_seed(1)
    network = build_network(NETWORKS[name], generator=generator)
    with torch.no_grad():
        for parameter in network.parameters():
            if not parameter.any():
                parameter.normal_(0.0, 0.02, generator=generator)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_(0.0, 0.1, generator=generator)
            layer.running_var.uniform_(0.5, 2.0, generator=generator)
    return network.eval()


def slices(network: DenoisingNetwork, count: int, height: int, width: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(count, network.constraints.channels, height, width, generator=generator)


def through(engine, scaled: Tensor, **settings) -> Tensor:
    plan = plan_work(scaled.shape[2:], engine, InferSettings(**settings))
    return run(engine, scaled, plan, estimates=True)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("shape", [(1, 64, 64), (2, 51, 77)], ids=str)
def test_it_equals_torch_for_every_network(name, shape):
    network = built(name)
    given = slices(network, *shape)
    expected = through(TorchEngine(network, CPU), given)
    found = through(WinogradEngine(network, HOST), given)
    assert found.shape == expected.shape
    assert found.dtype == torch.float32
    error = (found - expected).abs().amax(dim=(0, 2, 3))
    # 0.05 HU in a range of 1000 HU; what is said beside the image has its own size.
    assert error[0] < 5e-5 * max(1.0, float(expected[:, 0].abs().max()))
    assert (error < 2e-4 * expected.abs().amax(dim=(0, 2, 3)).clamp(min=1.0)).all()


@pytest.mark.parametrize("name", ["redcnn", "unet", "wavresnet"])
def test_narrow_vectors_serve_as_well(name):
    network = built(name)
    given = slices(network, 1, 64, 48)
    expected = through(TorchEngine(network, CPU), given)
    engine = WinogradEngine(network, AVX2)
    assert engine.description == "winograd cpu float32 avx2"
    torch.testing.assert_close(through(engine, given), expected, rtol=5e-5, atol=5e-5)


@pytest.mark.parametrize("name", ["redcnn", "denoisenet", "csc"])
def test_neither_batches_nor_threads_nor_repetition_change_a_bit(name):
    network = built(name)
    given = slices(network, 3, 50, 61)
    engine = WinogradEngine(network, HOST)
    together = engine.predict(given)
    assert torch.equal(together, torch.cat([engine.predict(one[None]) for one in given]))
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        assert torch.equal(together, engine.predict(given))
    finally:
        torch.set_num_threads(threads)


def test_slices_of_changing_sizes_go_through_one_engine(trained):
    engine, reference = WinogradEngine(trained.build(), HOST), TorchEngine(trained.build(), CPU)
    for size in (64, 40, 64, 90):
        given = torch.rand(1, 1, size, size, generator=torch.Generator().manual_seed(size))
        torch.testing.assert_close(
            engine.predict(given), reference.predict(given), rtol=0, atol=5e-5
        )


def test_it_leaves_the_network_as_it_was():
    network = built("wavresnet")
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    WinogradEngine(network, HOST).predict(slices(network, 1, 32, 32))
    after = network.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_its_memory_is_counted_with_the_channels_that_fill_vectors():
    # Six channels of a RED-CNN are stored as sixteen.
    narrow = build_network(RedCnnSettings(channels=6))
    wide = build_network(RedCnnSettings(channels=96))
    assert WinogradEngine(narrow, HOST).bytes_per_value >= 4 * 16 / 6 - 1
    assert WinogradEngine(wide, HOST).bytes_per_value == 4


def test_the_first_of_many_maps_can_be_summed_with_few():
    network = SummingFirst().eval()
    scaled = slices(network, 1, 30, 41)
    engine = WinogradEngine(network, HOST)
    with torch.inference_mode():
        expected = network(scaled).image
    torch.testing.assert_close(engine.predict(scaled), expected, rtol=0, atol=1e-4)


class TestChoice:
    def test_a_network_of_plain_convolutions_gets_it(self):
        engine = choose_engine(built("redcnn"), InferSettings(device="cpu"))
        assert engine.description == f"winograd cpu float32 {HOST.name}"

    @pytest.mark.parametrize("name", ["dsc", "autoencoder", "identity"])
    def test_a_network_without_any_gets_torch(self, name):
        engine = choose_engine(built(name), InferSettings(device="cpu"))
        assert engine.description == "torch cpu float32"

    def test_torch_is_taken_where_asked_for(self):
        settings = InferSettings(device="cpu", engine="torch")
        assert choose_engine(built("redcnn"), settings).description == "torch cpu float32"

    def test_bf16_is_torch(self):
        settings = InferSettings(device="cpu", precision="bf16")
        assert choose_engine(built("redcnn"), settings).description == "torch cpu bf16"

    def test_what_cannot_be_had_is_refused(self, monkeypatch):
        with pytest.raises(UsageError, match="float32 on a CPU with AVX2"):
            choose_engine(
                built("redcnn"), InferSettings(device="cpu", engine="winograd", precision="bf16")
            )
        monkeypatch.setattr(engine_choice, "host_vector_unit", lambda: None)
        with pytest.raises(UsageError, match="AVX2"):
            choose_engine(built("redcnn"), InferSettings(device="cpu", engine="winograd"))
        auto = choose_engine(built("redcnn"), InferSettings(device="cpu"))
        assert auto.description == "torch cpu float32"

    def test_a_network_that_it_would_change_gets_torch_and_a_warning(self, caplog):
        with caplog.at_level(logging.WARNING):
            engine = choose_engine(Overwriting(), InferSettings(device="cpu"))
        assert engine.description == "torch cpu float32"
        assert "torch is used" in caplog.text


class Overwriting(DenoisingNetwork):
    """Changes a plane after it was convolved, which the engine does not see."""

    def __init__(self) -> None:
        super().__init__(Constraints(smallest_input=8))
        self.first, self.last = nn.Conv2d(1, 8, 3, padding=1), nn.Conv2d(8, 1, 3, padding=1)

    def forward(self, scaled: Tensor) -> Prediction:
        plane = scaled.clone()
        maps = self.first(plane)
        plane.zero_()
        return Prediction(self.last(maps))


class SummingFirst(DenoisingNetwork):
    """Adds the first maps of a layer to all of those of a narrower one."""

    def __init__(self) -> None:
        super().__init__(Constraints(receptive_field_radius=3))
        self.wide = nn.Conv2d(1, 40, 3, padding=1)
        self.narrow = nn.Conv2d(40, 20, 3, padding=1)
        self.last = nn.Conv2d(20, 1, 3, padding=1)

    def forward(self, scaled: Tensor) -> Prediction:
        wide = torch.relu(self.wide(scaled))
        narrow = torch.relu(self.narrow(wide)) * 1.0
        return Prediction(self.last(torch.relu(wide[:, :20] + narrow)))
