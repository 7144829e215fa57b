"""An engine predicts what its network predicts, within the memory it may take."""

from __future__ import annotations

import logging

import pytest
import torch

from ctdenoise.config.inference import InferSettings
from ctdenoise.config.networks import RedCnnSettings
from ctdenoise.errors import SettingsError, UsageError
from ctdenoise.inference.engine import (
    TorchEngine,
    choose_device,
    lacks_bf16,
    padded_shape,
    plan_work,
    run,
)
from ctdenoise.networks.build import build_network

CPU = torch.device("cpu")


def slices(count: int, height: int, width: int) -> torch.Tensor:
    return torch.rand(count, 1, height, width, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def engine(trained):
    return TorchEngine(trained.build(), CPU)


def test_it_predicts_what_the_network_predicts(trained, engine):
    with torch.no_grad():
        expected = trained.build()(slices(2, 48, 40)).image
    torch.testing.assert_close(engine.predict(slices(2, 48, 40)), expected, rtol=0, atol=1e-5)


def test_it_gives_the_same_bits_twice(engine):
    assert torch.equal(engine.predict(slices(1, 48, 48)), engine.predict(slices(1, 48, 48)))


def test_it_leaves_the_network_as_it_was(trained):
    network = trained.build()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    TorchEngine(network, CPU, "bf16")
    after = network.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_bf16_stays_near_float32_and_is_not_the_same(trained, engine):
    exact = engine.predict(slices(1, 64, 64))
    rounded = TorchEngine(trained.build(), CPU, "bf16").predict(slices(1, 64, 64))
    change = (exact - slices(1, 64, 64)).abs().max()
    error = (rounded - exact).abs().max()
    # Ten layers of 8-bit mantissas: a few per cent of the change, never of the image.
    assert 0 < error < 0.05 * change
    assert rounded.dtype == torch.float32


def test_a_gpu_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match="no GPU"):
        choose_device("cuda")
    assert choose_device("auto") == CPU


def test_auto_takes_the_gpu_that_is_there_and_cpu_does_not(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device("auto").type == "cuda"
    assert choose_device("cpu").type == "cpu"


@pytest.mark.parametrize(
    ("capabilities", "lacks"),
    [
        ({"architecture": "x86_64", "avx512_bf16": False, "amx_bf16": False}, True),
        ({"architecture": "x86_64", "avx512_bf16": True, "amx_bf16": False}, False),
        ({"architecture": "aarch64"}, False),
    ],
)
def test_a_processor_that_imitates_bfloat16_is_told(monkeypatch, capabilities, lacks):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert lacks_bf16(CPU) is lacks
    assert not lacks_bf16(torch.device("cuda"))


@pytest.mark.parametrize("shape", [(3, 5), (20, 64), (21, 21), (30, 7)])
def test_slices_below_the_smallest_input_come_back_in_their_own_size(engine, shape):
    plan = plan_work(shape, engine, InferSettings())
    assert run(engine, slices(2, *shape), plan).shape == (2, 1, *shape)


def test_odd_slices_go_through_a_network_that_needs_even_ones(strided):
    engine = TorchEngine(strided, CPU)
    plan = plan_work((9, 12), engine, InferSettings())
    assert run(engine, slices(1, 9, 12), plan).shape == (1, 1, 9, 12)
    assert padded_shape((9, 12), strided.constraints) == (10, 12)


def test_margins_continue_the_edge_and_do_not_shift_the_image(strided):
    engine = TorchEngine(strided, CPU)
    flat = torch.full((1, 1, 9, 11), 0.7)
    plan = plan_work((9, 11), engine, InferSettings())
    torch.testing.assert_close(run(engine, flat, plan), flat)


class TestPlan:
    def test_whole_slices_by_default(self, engine):
        assert plan_work((512, 512), engine, InferSettings()).tiling is None

    def test_one_slice_at_a_time_on_a_cpu_by_default(self, engine):
        assert plan_work((64, 64), engine, InferSettings()).batch == 1

    def test_a_full_size_redcnn_takes_whole_slices_of_512_in_the_default_memory(self):
        engine = TorchEngine(build_network(RedCnnSettings()), CPU)
        assert plan_work((512, 512), engine, InferSettings()).tiling is None
        assert plan_work((512, 512), engine, InferSettings(memory_mb=256)).tiling is not None

    def test_a_batch_is_made_smaller_to_fit(self, engine):
        # 24 numbers of 4 bytes for each pixel of 256 x 256: 6.3 MB a slice, so 5 in 32 MB.
        assert plan_work((256, 256), engine, InferSettings(batch=100, memory_mb=32)).batch == 5

    def test_tiles_fit_into_the_memory_that_slices_do_not_fit_into(self, engine):
        plan = plan_work((1024, 1024), engine, InferSettings(memory_mb=32))
        assert plan.tiling is not None
        height, width = plan.tiling.size
        assert height * width * 24 * 4 * plan.tiling.batch <= 32_000_000
        assert plan.tiling.halo == 20

    def test_a_wanted_tile_is_used_even_if_the_slice_fits(self, engine):
        assert plan_work((128, 128), engine, InferSettings(tile=64)).tiling.size == (64, 64)

    def test_tiles_that_keep_nothing_are_refused(self, engine):
        with pytest.raises(SettingsError, match="too small"):
            plan_work((128, 128), engine, InferSettings(tile=40))

    def test_memory_below_the_smallest_tile_is_refused_with_what_it_takes(self, hungry):
        engine = TorchEngine(hungry, CPU)
        with pytest.raises(SettingsError, match="Set memory_mb to 673 or more"):
            plan_work((512, 512), engine, InferSettings(memory_mb=672))
        assert plan_work((512, 512), engine, InferSettings(memory_mb=673)).tiling is not None

    def test_tiles_are_aligned_to_what_the_network_asks_for(self, strided):
        plan = plan_work((101, 64), TorchEngine(strided, CPU), InferSettings(tile=17))
        assert plan.tiling.size == (16, 16)
        assert plan.tiling.halo == 2

    def test_blended_tiles_are_warned_of(self, centred, caplog):
        with caplog.at_level(logging.WARNING):
            plan = plan_work((128, 128), TorchEngine(centred, CPU), InferSettings(tile=64))
        assert plan.tiling.halo is None
        assert "seams" in caplog.text
