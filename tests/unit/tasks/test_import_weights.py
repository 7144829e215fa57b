"""`import`: the scale is stated, never guessed, and the checkpoint denoises like its source."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ctdenoise.config.inference import InferSettings
from ctdenoise.errors import CheckpointError, OutputExistsError, UsageError
from ctdenoise.inference.load import load_denoiser
from ctdenoise.networks.importers import PUBLIC_SCALES
from ctdenoise.tasks import import_weights
from tests.builders import water_disc
from tests.unit.networks.public_networks import NumberedRedCnn, drawn


@pytest.fixture
def network():
    return drawn(NumberedRedCnn(4, final_relu=False))


@pytest.fixture
def weights(network, tmp_path):
    torch.save({"model_state_dict": network.state_dict()}, tmp_path / "w.pt")
    return tmp_path / "w.pt"


def test_an_imported_network_denoises_like_its_program(network, weights, tmp_path):
    out = tmp_path / "model.safetensors"
    report = import_weights.run(weights, out=out, scale="ldct-benchmark")
    volume = water_disc(slices=2, noise_hu=25.0)
    denoised = load_denoiser(out, InferSettings(device="cpu"))(volume)
    stored = torch.tensor(volume.hu)[:, None] + 1024.0
    with torch.no_grad():
        output = network((stored - 481.45419786099086) / 502.18507379395044)
    expected = (output * 502.18507379395044 + 481.45419786099086 - 1024.0)[:, 0].numpy()
    np.testing.assert_allclose(denoised.hu, expected, atol=0.01)  # 1e-5 of the scale, in HU
    assert report.entry == "model_state_dict"
    assert report.parameters == sum(p.numel() for p in network.parameters())


def test_a_scale_may_be_stated_by_hand(weights, tmp_path):
    out = tmp_path / "model.safetensors"
    report = import_weights.run(weights, out=out, hu_low=-500.0, hu_high=1500.0, final_relu=True)
    assert (report.hu_range.low, report.hu_range.high) == (-500.0, 1500.0)
    assert report.network.final_relu
    assert report.scale_source == ""


def test_a_last_relu_that_is_stated_overrules_the_scale(weights, tmp_path):
    out = tmp_path / "model.safetensors"
    report = import_weights.run(weights, out=out, scale="ssinyu", final_relu=False)
    assert not report.network.final_relu
    assert report.hu_range == PUBLIC_SCALES["ssinyu"].hu_range


@pytest.mark.parametrize(
    "stated",
    [
        {},
        {"hu_low": 0.0, "hu_high": 1.0},
        {"hu_high": 1.0, "final_relu": True},
        {"scale": "ssinyu", "hu_low": 0.0},
        {"scale": "keras"},
        {"hu_low": 5.0, "hu_high": 5.0, "final_relu": True},
    ],
    ids=lambda stated: "+".join(stated) or "nothing",
)
def test_a_scale_that_is_not_clear_is_refused_before_the_file_is_read(stated, tmp_path):
    with pytest.raises(UsageError):
        import_weights.run(tmp_path / "absent.pt", out=tmp_path / "model.safetensors", **stated)


def test_nothing_is_overwritten(weights, tmp_path):
    out = tmp_path / "model.safetensors"
    import_weights.run(weights, out=out, scale="ssinyu")
    with pytest.raises(OutputExistsError):
        import_weights.run(weights, out=out, scale="ssinyu")


def test_a_checkpoint_ends_in_safetensors(weights, tmp_path):
    with pytest.raises(UsageError, match="safetensors"):
        import_weights.run(weights, out=tmp_path / "model.pt", scale="ssinyu")


def test_a_checkpoint_of_ours_keeps_its_scale_and_is_not_imported(weights, tmp_path):
    ours = tmp_path / "ours.safetensors"
    import_weights.run(weights, out=ours, scale="ldct-benchmark")
    with pytest.raises(CheckpointError, match="checkpoint of ctdenoise already"):
        import_weights.run(ours, out=tmp_path / "again.safetensors", scale="ssinyu")
    assert not (tmp_path / "again.safetensors").exists()
