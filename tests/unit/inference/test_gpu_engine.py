"""The engine for GPUs: what of it a processor can show, and the rest where there is a GPU."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor, nn

from ctdenoise.config.inference import InferSettings
from ctdenoise.config.networks import RedCnnSettings
from ctdenoise.errors import SettingsError, UsageError
from ctdenoise.inference import gpu_engine
from ctdenoise.inference.engine import TorchEngine, choose_device, choose_precision
from ctdenoise.inference.gpu_engine import GpuEngine, filled_up, in_bfloat16
from ctdenoise.networks.build import build_network
from ctdenoise.networks.prediction import DenoisingNetwork
from tests.unit.networks.test_every_network import SMALL, seeded, size_for

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def network(**more: object) -> DenoisingNetwork:
    settings = RedCnnSettings(channels=6, start_as_identity=False, **more)
    built = build_network(settings, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        for weights in built.parameters():
            weights.mul_(4.0)
    return built.eval()


def noise(count: int, *, edge: int = 40, channels: int = 1) -> Tensor:
    return torch.rand((count, channels, edge, edge), generator=torch.Generator().manual_seed(1))


class TestBfloat16:
    def test_layers_of_a_single_map_compute_in_float32(self):
        changed = in_bfloat16(network(predict_sigma=True).folded())
        types = {
            name: layer.weight.dtype
            for name, layer in changed.named_modules()
            if isinstance(layer, nn.Conv2d)
        }
        exact = {name for name, dtype in types.items() if dtype == torch.float32}
        assert exact == {"tconv5", "sigma"}

    def test_the_image_is_not_rounded_to_bfloat16(self):
        image = in_bfloat16(network().folded())(noise(1)).image
        assert image.dtype == torch.float32
        assert not torch.equal(image, image.bfloat16().float())

    def test_the_last_layer_in_float32_is_nearer_to_the_truth(self):
        with torch.inference_mode():
            exact = network()(noise(2)).image
            plain = network().folded().to(torch.bfloat16)(noise(2)).image
            ours = in_bfloat16(network().folded())(noise(2)).image
        assert (ours - exact).square().mean() < (plain - exact).square().mean()

    @pytest.mark.parametrize("settings", SMALL, ids=lambda settings: settings.name)
    def test_every_network_runs(self, settings):
        built = seeded(settings).eval()
        scaled = noise(1, edge=size_for(built), channels=built.constraints.channels)
        with torch.inference_mode():
            image = in_bfloat16(built.folded())(scaled).image
        assert image.dtype == torch.float32
        assert torch.isfinite(image).all()

    def test_without_a_change_the_image_is_the_input_to_the_bit(self):
        identity = build_network(RedCnnSettings(channels=6)).eval()
        assert torch.equal(in_bfloat16(identity.folded())(noise(1)).image, noise(1))


def test_a_batch_is_filled_up_with_zeros():
    given = noise(3)
    filled = filled_up(given, 8)
    assert filled.shape == (8, 1, 40, 40)
    assert torch.equal(filled[:3], given)
    assert not filled[3:].any()
    assert filled_up(given, 2) is given


class TestSettings:
    def test_automatic_precision_is_low_on_a_gpu_only(self):
        assert choose_precision("auto", CPU) == "float32"
        assert choose_precision("auto", CUDA) == "bf16"
        assert choose_precision("float32", CUDA) == "float32"

    def test_one_of_several_gpus_decides_nothing(self):
        first, second = InferSettings(device="cuda"), InferSettings(device="cuda:1")
        assert first.deciding() == second.deciding()

    @pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:x", "cpu:0"])
    def test_no_other_device_is_a_setting(self, name):
        with pytest.raises((SettingsError, ValueError)):
            InferSettings(device=name)

    def test_a_gpu_that_is_not_there_is_refused(self):
        with pytest.raises(UsageError, match="GPU"):
            choose_device("cuda:999")


class _Stream:
    """A stream that does everything at once."""

    def __init__(self, device: torch.device | None = None) -> None:
        del device

    def wait_stream(self, other: _Stream) -> None:
        del other

    def synchronize(self) -> None:
        return


class _Event:
    def __init__(self, *, blocking: bool) -> None:
        del blocking

    def record(self, stream: _Stream) -> None:
        del stream

    def synchronize(self) -> None:
        return


class _NoGraph:
    def __init__(self, *arguments: object, **named: object) -> None:
        del arguments, named

    def __enter__(self) -> None:
        raise RuntimeError("this operation cannot be captured")

    def __exit__(self, *error: object) -> None:
        return


@pytest.fixture
def imitated(monkeypatch):
    """CUDA as far as the engine uses it, imitated on the processor; graphs cannot be kept."""
    monkeypatch.setattr(torch.cuda, "Stream", _Stream)
    monkeypatch.setattr(torch.cuda, "Event", _Event)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", object)
    monkeypatch.setattr(torch.cuda, "graph", _NoGraph)
    monkeypatch.setattr(torch.cuda, "stream", _within)
    monkeypatch.setattr(torch.cuda, "device", _within)
    monkeypatch.setattr(Tensor, "pin_memory", lambda tensor: tensor)
    monkeypatch.setattr(Tensor, "record_stream", lambda *_: None)
    monkeypatch.setattr(gpu_engine, "pinned_like", torch.empty_like)


class _within:  # noqa: N801 - stands for a function of torch
    def __init__(self, what: object) -> None:
        del what

    def __enter__(self) -> None:
        return

    def __exit__(self, *error: object) -> None:
        return


@pytest.mark.usefixtures("imitated")
class TestImitated:
    @pytest.mark.parametrize("estimates", [False, True])
    def test_it_gives_what_torch_gives(self, estimates):
        built = network(predict_sigma=True)
        ours, plain = GpuEngine(built, CPU, "float32", batch=4), TorchEngine(built, CPU)
        predict = "predict_with_estimates" if estimates else "predict"
        for count in (4, 4, 4, 1, 5):  # the first are met often enough to be kept as a graph
            found = getattr(ours, predict)(noise(count))
            expected = getattr(plain, predict)(noise(count))
            assert found.shape == expected.shape
            assert torch.allclose(found, expected, atol=1e-5)

    def test_a_slice_does_not_depend_on_how_many_come_with_it(self):
        engine = GpuEngine(network(), CPU, "bf16", batch=4)
        together, alone = engine.predict(noise(4)), engine.predict(noise(4)[2:3])
        assert torch.equal(alone[0], together[2])

    def test_memory_bounds_the_batch(self):
        engine = GpuEngine(network(), CPU, "float32", batch=8, memory_mb=1)
        values = 4 * 6 * 4 * 40 * 40  # four sets of six maps, four bytes each
        assert engine._batch_of(noise(1)) == 1_000_000 // values

    def test_threads_get_their_own_results(self):
        engine, plain = GpuEngine(network(), CPU, "float32", batch=1), TorchEngine(network(), CPU)
        slices = noise(6)
        with ThreadPoolExecutor(3) as pool:
            found = list(pool.map(engine.predict, slices.split(1)))
        assert torch.allclose(torch.cat(found), plain.predict(slices), atol=1e-5)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
class TestOnGpu:
    def test_float32_is_that_of_the_processor(self):
        built = network()
        found = GpuEngine(built, CUDA, "float32", batch=4).predict(noise(4, edge=64))
        expected = TorchEngine(built, CPU).predict(noise(4, edge=64))
        assert torch.allclose(found, expected, atol=1e-4)

    def test_a_graph_gives_what_its_kernels_give(self):
        engine = GpuEngine(network(), CUDA, "bf16", batch=4)
        found = [engine.predict(noise(4, edge=64)) for _ in range(5)]
        assert any(known.graph is not None for known in engine._known.values())
        assert all(torch.equal(one, found[0]) for one in found)

    def test_threads_get_their_own_results(self):
        engine = GpuEngine(network(), CUDA, "bf16", batch=2)
        slices = noise(40, edge=64)
        alone = torch.cat([engine.predict(two) for two in slices.split(2)])
        with ThreadPoolExecutor(3) as pool:
            found = list(pool.map(engine.predict, slices.split(2)))
        assert torch.equal(torch.cat(found), alone)
