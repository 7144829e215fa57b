"""Public weights give the output of the public program."""

from __future__ import annotations

import argparse

import pytest
import torch
from safetensors.torch import save_file

from ctdenoise.core.intensity import HuRange
from ctdenoise.errors import CheckpointError
from ctdenoise.networks.checkpoint import load_checkpoint, save_checkpoint
from ctdenoise.networks.importers import PUBLIC_SCALES, import_weights
from tests.unit.networks.public_networks import NumberedRedCnn, SharedRedCnn, drawn

SCALE = HuRange(-1024.0, 3072.0)


def imported(path, *, final_relu=True, entry=None):
    return import_weights(path, SCALE, final_relu=final_relu, entry=entry)


def saved(content, path, **options):
    torch.save(content, path, **options)
    return path


def assert_equal_output(network, result, tmp_path):
    """The network and the checkpoint, written and read again, give the same image."""
    path = save_checkpoint(tmp_path / "model.safetensors", result.checkpoint)
    image = torch.rand(2, 1, 30, 26, generator=torch.Generator().manual_seed(1)) - 0.2
    with torch.no_grad():
        ours, theirs = load_checkpoint(path).build()(image).image, network(image)
    assert theirs.std() > 0.01
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)


@pytest.fixture
def numbered():
    return drawn(NumberedRedCnn(6, final_relu=True))


NESTS = {
    "bare": lambda weights: weights,
    "data parallel": lambda weights: {f"module.{k}": v for k, v in weights.items()},
    "compiled": lambda weights: {f"_orig_mod.module.{k}": v for k, v in weights.items()},
    "state_dict": lambda weights: {"state_dict": weights, "epoch": 3},
    "lightning": lambda weights: {"state_dict": {f"model.{k}": v for k, v in weights.items()}},
    "model": lambda weights: {"model": weights},
    "net": lambda weights: {"net": weights},
    "twice": lambda weights: {"checkpoint": {"generator": weights}},
    "ldct-benchmark": lambda weights: {
        "args": argparse.Namespace(lr=9.6e-5, trainer="redcnn"),
        "iteration": 92994,
        "model_state_dict": weights,
    },
    "with an optimiser": lambda weights: {
        "network": weights,
        "optimizer": {"state": {0: {"exp_avg": torch.zeros(3)}}, "param_groups": [{"lr": 1e-4}]},
    },
}


@pytest.mark.parametrize("nest", NESTS)
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_numbered_layers_give_the_same_output_wherever_they_stand(nest, zipped, numbered, tmp_path):
    content = NESTS[nest](dict(numbered.state_dict()))
    path = saved(content, tmp_path / "w.pt", _use_new_zipfile_serialization=zipped)
    assert_equal_output(numbered, imported(path), tmp_path)


@pytest.mark.parametrize("up", ["conv_t", "deconv"])
def test_layers_that_share_weights_give_the_same_output(up, tmp_path):
    network = drawn(SharedRedCnn(5, up=up))
    assert_equal_output(
        network, imported(saved(network.state_dict(), tmp_path / "w.ckpt")), tmp_path
    )


def test_a_network_without_a_last_relu_keeps_what_is_below_the_range(tmp_path):
    network = drawn(NumberedRedCnn(6, final_relu=False))
    path = saved({"model_state_dict": network.state_dict()}, tmp_path / "w.pt")
    assert_equal_output(network, imported(path, final_relu=False), tmp_path)


def test_safetensors_and_half_precision_are_read_too(numbered, tmp_path):
    weights = {name: tensor.half() for name, tensor in numbered.state_dict().items()}
    save_file(weights, tmp_path / "w.safetensors")
    assert_equal_output(numbered.half().float(), imported(tmp_path / "w.safetensors"), tmp_path)


def test_what_stands_beside_the_network_is_left_and_named(numbered, tmp_path):
    weights = {f"generator.{name}": tensor for name, tensor in numbered.state_dict().items()}
    weights["discriminator.conv.weight"] = torch.zeros(2, 1, 3, 3)
    result = imported(saved({"state_dict": weights}, tmp_path / "w.pt"))
    assert result.entry == "state_dict.generator"
    assert result.left == ("discriminator.conv.weight",)
    assert_equal_output(numbered, result, tmp_path)


def test_of_several_networks_one_must_be_named(numbered, tmp_path):
    other = drawn(NumberedRedCnn(6, final_relu=True), seed=9)
    path = saved({"model": numbered.state_dict(), "ema": other.state_dict()}, tmp_path / "w.pt")
    with pytest.raises(CheckpointError, match="`ema` and `model`") as caught:
        imported(path)
    assert "--entry" in str(caught.value)
    assert_equal_output(other, imported(path, entry="ema"), tmp_path)
    with pytest.raises(CheckpointError, match="under `best`"):
        imported(path, entry="best")


def test_the_record_tells_where_the_weights_come_from(numbered, tmp_path):
    path = saved(numbered.state_dict(), tmp_path / "w.pt")
    result = import_weights(path, SCALE, final_relu=True, scale="ssinyu")
    record = result.checkpoint.training["imported"]
    assert record["scale"] == "ssinyu"
    assert "SSinyu" in record["layout"]
    assert len(record["sha256"]) == 64


@pytest.mark.parametrize(
    ("name", "hu", "scaled"),
    [
        ("ssinyu", -1024.0, 0.0),
        ("ssinyu", 3072.0, 1.0),
        # stored value = HU + 1024; (stored - mean) / standard deviation
        ("ldct-benchmark", 0.0, (1024.0 - 481.45419786099086) / 502.18507379395044),
        ("ldct-benchmark", 481.45419786099086 - 1024.0, 0.0),
        ("ldct-benchmark-minmax", 3071.0, 1.0),
    ],
)
def test_public_scales_are_those_of_their_programs(name, hu, scaled):
    hu_range = PUBLIC_SCALES[name].hu_range
    assert hu_range.to_network(hu) == pytest.approx(scaled, abs=1e-12)
    assert hu_range.to_hu(scaled) == pytest.approx(hu, abs=1e-9)


class TestRefused:
    """One message names everything that does not fit."""

    def problem(self, weights, tmp_path):
        with pytest.raises(CheckpointError) as caught:
            imported(saved(weights, tmp_path / "w.pt"))
        return str(caught.value)

    def test_unknown_names_with_the_nearest_one(self, numbered, tmp_path):
        weights = dict(numbered.state_dict())
        weights["conv3.wieght"] = weights.pop("conv3.weight")
        weights["attention.weight"] = torch.zeros(3)
        text = self.problem(weights, tmp_path)
        assert "conv3.weight is missing; there is conv3.wieght" in text
        assert "attention.weight is unknown" in text

    def test_shapes_of_another_kernel_or_of_colour_images(self, numbered, tmp_path):
        weights = dict(numbered.state_dict())
        weights["conv1.weight"] = torch.zeros(6, 3, 5, 5)
        weights["tconv2.weight"] = torch.zeros(6, 6, 3, 3)
        text = self.problem(weights, tmp_path)
        assert "conv1.weight is (6, 3, 5, 5), not (6, 1, 5, 5)" in text
        assert "tconv2.weight is (6, 6, 3, 3), not (6, 6, 5, 5)" in text

    def test_names_that_several_programs_use_differently(self, numbered, tmp_path):
        weights = {name.replace("tconv", "deconv"): t for name, t in numbered.state_dict().items()}
        assert "tconv1.weight is missing; there is deconv1.weight" in self.problem(
            weights, tmp_path
        )

    def test_weights_that_are_not_finite(self, numbered, tmp_path):
        numbered.conv2.bias.data[0] = torch.nan
        with pytest.raises(CheckpointError, match=r"not finite numbers \(conv2.bias\)"):
            imported(saved(numbered.state_dict(), tmp_path / "w.pt"))

    def test_another_network(self, tmp_path):
        text = self.problem({"layers.0.weight": torch.zeros(64, 1, 9, 9)}, tmp_path)
        assert "no RED-CNN of a known layout: layers.0.weight" in text
        assert "conv_first" in text

    @pytest.mark.parametrize("content", [{}, {"epoch": 3}, [1, 2], "text"], ids=str)
    def test_files_without_tensors(self, content, tmp_path):
        assert "no weights in this file" in self.problem(content, tmp_path)

    def test_whole_numbers_and_stretched_tensors(self, numbered, tmp_path):
        weights = dict(numbered.state_dict())
        weights["conv2.weight"] = torch.zeros(1).expand(6, 6, 5, 5)
        weights["conv2.bias"] = torch.zeros(6, dtype=torch.int64)
        text = self.problem(weights, tmp_path)
        assert "conv2.weight is stretched" in text
        assert "conv2.bias is of the kind torch.int64" in text
