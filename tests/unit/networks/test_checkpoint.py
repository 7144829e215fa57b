"""Checkpoints come back exactly, and nothing else is taken for one."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from ctdenoise.config.networks import IdentitySettings, RedCnnSettings
from ctdenoise.core.intensity import HuRange
from ctdenoise.errors import CheckpointError
from ctdenoise.networks.build import build_network
from ctdenoise.networks.checkpoint import (
    FORMAT_VERSION,
    MODEL_FILE,
    Checkpoint,
    load_checkpoint,
    save_checkpoint,
)

SETTINGS = RedCnnSettings(channels=4, start_as_identity=False, head={"classes": 2})


@pytest.fixture
def checkpoint() -> Checkpoint:
    network = build_network(SETTINGS, generator=torch.Generator().manual_seed(7))
    return Checkpoint(
        SETTINGS, network.state_dict(), HuRange(-1000.0, 2000.0), {"steps": 12, "psnr_db": 31.5}
    )


@pytest.fixture
def saved(checkpoint, tmp_path):
    return save_checkpoint(tmp_path / "a.safetensors", checkpoint)


def rewritten(path, out, *, record=None, weights=None, **description):
    """A copy of a checkpoint file with parts replaced."""
    with safe_open(path, framework="pt") as opened:
        old = json.loads(opened.metadata()["ctdenoise"])
    old["record"].update(record or {})
    described({**old, **description}, {**load_file(path), **(weights or {})}, out)
    return out


def described(description, weights, out):
    """A safetensors file of ours with any description."""
    save_file(dict(weights), out, {"ctdenoise": json.dumps(description)})
    return out


def test_weights_settings_and_range_come_back_exactly(checkpoint, saved):
    loaded = load_checkpoint(saved)
    assert loaded.network == checkpoint.network
    assert loaded.hu_range == checkpoint.hu_range
    assert dict(loaded.training) == {"steps": 12, "psnr_db": 31.5}
    assert set(loaded.weights) == set(checkpoint.weights)
    assert all(torch.equal(loaded.weights[k], checkpoint.weights[k]) for k in checkpoint.weights)
    assert loaded.versions["torch"] == torch.__version__


def test_the_rebuilt_network_predicts_the_same_to_the_bit(checkpoint, saved):
    scaled = torch.rand(1, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    rebuilt = load_checkpoint(saved).build()
    assert not rebuilt.training
    with torch.no_grad():
        assert torch.equal(rebuilt(scaled).image, checkpoint.build()(scaled).image)


def test_saving_twice_gives_the_same_bytes(checkpoint, saved, tmp_path):
    again = save_checkpoint(tmp_path / "b.safetensors", load_checkpoint(saved))
    assert again.read_bytes() == saved.read_bytes()


def test_saving_replaces_an_older_file_and_leaves_nothing_beside_it(checkpoint, saved):
    save_checkpoint(saved, checkpoint)
    assert list(saved.parent.iterdir()) == [saved]


def test_a_network_without_weights_has_a_checkpoint_too(tmp_path):
    path = save_checkpoint(
        tmp_path / "identity.safetensors", Checkpoint(IdentitySettings(), {}, HuRange())
    )
    assert load_checkpoint(path).network == IdentitySettings()


def test_the_folder_of_a_training_run_names_its_model(checkpoint, tmp_path):
    save_checkpoint(tmp_path / MODEL_FILE, checkpoint)
    assert load_checkpoint(tmp_path).digest == checkpoint.digest


class TestDigest:
    def test_it_survives_the_file(self, checkpoint, saved):
        assert load_checkpoint(saved).digest == checkpoint.digest
        assert len(checkpoint.digest) == 12

    def test_it_changes_with_one_weight(self, checkpoint):
        weights = {name: tensor.clone() for name, tensor in checkpoint.weights.items()}
        weights["conv3.weight"].view(-1)[5] += 1e-3
        other = Checkpoint(checkpoint.network, weights, checkpoint.hu_range)
        assert other.digest != checkpoint.digest

    def test_it_changes_with_a_setting_and_with_the_range(self, checkpoint):
        relu = Checkpoint(
            SETTINGS.replaced(final_relu=True), checkpoint.weights, checkpoint.hu_range
        )
        scale = Checkpoint(SETTINGS, checkpoint.weights, HuRange(-1000.0, 2001.0))
        assert len({checkpoint.digest, relu.digest, scale.digest}) == 3

    def test_it_does_not_change_with_the_training_summary(self, checkpoint):
        other = Checkpoint(SETTINGS, checkpoint.weights, checkpoint.hu_range, {"steps": 13})
        assert other.digest == checkpoint.digest


class TestRefused:
    def test_a_missing_file(self, tmp_path):
        with pytest.raises(CheckpointError, match="no such checkpoint"):
            load_checkpoint(tmp_path / "absent.safetensors")

    def test_a_folder_without_a_model(self, tmp_path):
        with pytest.raises(CheckpointError, match=MODEL_FILE):
            load_checkpoint(tmp_path)

    def test_a_torch_pickle(self, checkpoint, tmp_path):
        path = tmp_path / "model.pt"
        torch.save(dict(checkpoint.weights), path)
        with pytest.raises(CheckpointError, match="pickle"):
            load_checkpoint(path)

    @pytest.mark.parametrize(
        ("content", "kind"),
        [
            (b"", "an empty file"),
            (b"epochs: 3\nlr: 1e-4\n" * 30, "a text file"),
            (bytes(range(256)) * 4, "some other binary file"),
            (b"\0" * 128 + b"DICM" + b"\2\0\0\0", "a DICOM file"),
            (b"\x80\x02}q\x00.", "a torch pickle"),
        ],
    )
    def test_other_files_say_what_they_are(self, content, kind, tmp_path):
        path = tmp_path / "model.safetensors"
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match=kind):
            load_checkpoint(path)

    @pytest.mark.parametrize("kept", [0.2, 0.5, 0.99])
    def test_a_file_that_was_cut_off(self, saved, kept):
        content = saved.read_bytes()
        saved.write_bytes(content[: int(len(content) * kept)])
        with pytest.raises(CheckpointError, match="damaged or cut off"):
            load_checkpoint(saved)

    def test_safetensors_of_another_program(self, tmp_path):
        path = tmp_path / "other.safetensors"
        save_file({"weight": torch.zeros(3)}, path, {"format": "pt"})
        with pytest.raises(CheckpointError, match="another program"):
            load_checkpoint(path)

    def test_a_newer_format(self, saved, tmp_path):
        new = rewritten(saved, tmp_path / "n.safetensors", format_version=FORMAT_VERSION + 1)
        with pytest.raises(CheckpointError, match="Update ctdenoise"):
            load_checkpoint(new)

    @pytest.mark.parametrize("version", [None, "1", -1, True, 1.0])
    def test_a_file_without_a_format_version(self, version, saved, tmp_path):
        new = rewritten(saved, tmp_path / "n.safetensors", format_version=version)
        with pytest.raises(CheckpointError, match="format version"):
            load_checkpoint(new)

    @pytest.mark.parametrize("record", ["{", [1], None])
    def test_a_record_that_is_not_a_mapping(self, record, tmp_path):
        new = described({"format_version": 1, "record": record}, {}, tmp_path / "n.safetensors")
        with pytest.raises(CheckpointError, match="damaged"):
            load_checkpoint(new)

    @pytest.mark.parametrize("text", ["", "{", "[]", "1"])
    def test_a_description_that_is_not_a_json_mapping(self, text, tmp_path):
        save_file({}, tmp_path / "n.safetensors", {"ctdenoise": text})
        with pytest.raises(CheckpointError, match="damaged"):
            load_checkpoint(tmp_path / "n.safetensors")

    @pytest.mark.parametrize(
        "record",
        [
            {"surprise": 1},
            {"network": {"name": "redcnn", "channels": 4, "attention": True}},
            {"network": {"name": "transformer"}},
            {"hu_range": {"low": -1000.0, "high": 2000.0, "clip": True}},
            {"hu_range": {"low": 10.0, "high": 10.0}},
        ],
    )
    def test_settings_that_are_unknown_or_impossible(self, record, saved, tmp_path):
        new = rewritten(saved, tmp_path / "n.safetensors", record=record)
        with pytest.raises(CheckpointError):
            load_checkpoint(new)

    def test_weights_of_another_size(self, saved, tmp_path):
        network = SETTINGS.replaced(channels=8).as_json()
        new = rewritten(saved, tmp_path / "n.safetensors", record={"network": network})
        with pytest.raises(CheckpointError, match=r"conv1\.weight is"):
            load_checkpoint(new).build()

    def test_weights_that_are_missing_or_unknown(self, checkpoint):
        weights = dict(checkpoint.weights)
        weights["extra.weight"] = weights.pop("conv1.bias")
        with pytest.raises(CheckpointError) as caught:
            Checkpoint(SETTINGS, weights, HuRange()).build()
        assert "conv1.bias is missing" in str(caught.value)
        assert "extra.weight is unknown" in str(caught.value)

    def test_weights_that_are_not_finite(self, checkpoint, saved, tmp_path):
        bad = {"conv1.bias": torch.full((4,), float("nan"))}
        new = rewritten(saved, tmp_path / "n.safetensors", weights=bad)
        with pytest.raises(CheckpointError, match="not finite"):
            load_checkpoint(new)
        with pytest.raises(CheckpointError, match="diverged"):
            save_checkpoint(
                tmp_path / "bad.safetensors",
                Checkpoint(SETTINGS, {**checkpoint.weights, **bad}, HuRange()),
            )
        assert not (tmp_path / "bad.safetensors").exists()


def test_an_older_format_is_brought_up_to_date(checkpoint, saved, tmp_path):
    # An imagined version 0 that called the range "window" and the first layer "first".
    def from_version_0(record, weights):
        record = {**record, "hu_range": record["window"]}
        del record["window"]
        renamed = {name.replace("first.", "conv1."): tensor for name, tensor in weights.items()}
        return record, renamed

    loaded = load_checkpoint(saved)
    weights = {name.replace("conv1.", "first."): t for name, t in loaded.weights.items()}
    record = {
        "network": SETTINGS.as_json(),
        "window": {"low": -1000.0, "high": 2000.0},
    }
    old = tmp_path / "old.safetensors"
    described({"format_version": 0, "record": record}, weights, old)

    migrated = load_checkpoint(old, migrations={0: from_version_0})

    assert migrated.digest == checkpoint.digest
    with pytest.raises(CheckpointError, match="too old"):
        load_checkpoint(old)


def test_loading_leaves_the_global_random_state_alone(saved):
    before = torch.random.get_rng_state()
    load_checkpoint(saved).build()
    assert torch.equal(before, torch.random.get_rng_state())
