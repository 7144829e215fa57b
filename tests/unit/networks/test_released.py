"""Released models are found by name, and only as their cards describe them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from ctdenoise.config.controls import Recommended
from ctdenoise.config.inference import InferSettings
from ctdenoise.errors import CheckpointError, UsageError
from ctdenoise.inference.load import default_model, load_denoiser
from ctdenoise.networks.checkpoint import MODEL_FILE, load_checkpoint, load_model
from ctdenoise.networks.released import (
    ENVIRONMENT,
    meant,
    packaged_folder,
    portable,
    recommended,
    released,
    released_models,
)
from tests.builders import water_disc
from tests.released_folder import lively_checkpoint, release


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a released model `fast`, which the environment names."""
    place = tmp_path / "weights"
    release(place, strength=0.5)
    monkeypatch.setenv(ENVIRONMENT, str(place))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return place


@pytest.fixture
def none_packaged(tmp_path, monkeypatch):
    """As if the package held no models, and none were named."""
    monkeypatch.delenv(ENVIRONMENT, raising=False)
    monkeypatch.setattr("ctdenoise.networks.released.packaged_folder", lambda: tmp_path / "nothing")


def test_a_model_is_found_by_its_name(folder):
    found = released("fast", [folder])
    assert found.name == found.card.name == "fast"
    assert found.path == folder / "fast.safetensors"
    assert found.verified() == found.path
    assert found in released_models()


def test_of_two_with_one_name_the_first_folder_counts(folder, tmp_path):
    release(tmp_path / "other", summary="Another.")
    assert released("fast", [tmp_path / "other", folder]).card.summary == "Another."
    assert released("fast", [folder, tmp_path / "other"]).card.summary != "Another."
    assert len(released_models([folder, tmp_path / "other"])) == 1


def test_a_name_that_nothing_has_lists_the_names(folder):
    with pytest.raises(CheckpointError, match=r"no released model `slow`(.|\n)*fast"):
        released("slow", [folder])
    with pytest.raises(CheckpointError, match="none were found"):
        released("slow", [folder / "..", folder.parent / "work"])
    with pytest.raises(CheckpointError, match=r"no such model(.|\n)*fast, .*identity, .*nlm"):
        load_denoiser("slow")


def test_a_folder_that_is_none_is_named(folder):
    with pytest.raises(CheckpointError, match=f"no such folder(.|\n)*{ENVIRONMENT}"):
        released_models([folder / "absent"])


class TestDamage:
    def test_weights_that_changed_are_not_used(self, folder):
        path = folder / "fast.safetensors"
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match=r"damaged(.|\n)*Install ctdenoise again"):
            load_denoiser("fast")
        with pytest.raises(CheckpointError, match="damaged"):
            load_model("released:fast")
        load_checkpoint(path)  # as a file it is a checkpoint like any other

    def test_weights_that_are_missing_are_told(self, folder):
        (folder / "fast.safetensors").unlink()
        with pytest.raises(CheckpointError, match="cannot be read"):
            load_denoiser("fast")

    @pytest.mark.parametrize(
        ("content", "told"),
        [
            ("{", "is no JSON"),
            ("[]", "is no mapping"),
            ("{}", "is wrong"),
            ('{"name": 3}', "is wrong"),
        ],
        ids=["cut", "list", "empty", "other"],
    )
    def test_a_card_that_cannot_be_used_is_told(self, folder, content, told):
        (folder / "fast.json").write_text(content, encoding="utf-8")
        with pytest.raises(CheckpointError, match=told) as caught:
            released("fast", [folder])
        assert caught.value.where == str(folder / "fast.json")

    def test_a_card_of_another_name_is_told(self, folder):
        (folder / "fast.json").rename(folder / "slow.json")
        with pytest.raises(CheckpointError, match="card of `fast`, not of `slow`"):
            released_models([folder])


class TestPathsAndNames:
    def test_a_name_is_a_released_model_and_a_path_is_not(self, folder):
        assert meant("fast").name == meant(Path("fast")).name == "fast"
        assert meant("released:fast").name == "fast"
        assert meant(str(folder / "fast.safetensors")) is meant("identity") is meant("nlm") is None

    @pytest.mark.parametrize("kind", ["run", "file"])
    def test_a_model_of_that_name_in_the_working_folder_is_not_passed_over(self, folder, kind):
        path = Path("fast")
        if kind == "run":
            path.mkdir()
            path = path / MODEL_FILE
        path.write_bytes((folder / "fast.safetensors").read_bytes())
        for find in (meant, load_denoiser, load_model, recommended, portable):
            with pytest.raises(UsageError, match=r"released:fast(.|\n)*whole path"):
                find("fast")
        assert load_denoiser("released:fast").recommended.strength == 0.5
        assert load_denoiser("./fast").recommended.strength == 1.0
        assert load_denoiser(Path("fast").absolute()).recommended.strength == 1.0

    @pytest.mark.usefixtures("folder")
    def test_a_folder_of_that_name_that_holds_no_model_is_no_obstacle(self):
        Path("fast").mkdir()
        assert meant("fast") is not None

    @pytest.mark.usefixtures("folder")
    def test_other_processes_find_what_was_meant(self):
        assert portable("fast") == portable("released:fast") == "released:fast"
        assert portable("nlm") == "nlm"
        Path("run").mkdir()
        assert portable("run") == str(Path("run").absolute())


class TestUse:
    @pytest.mark.usefixtures("folder")
    def test_a_strength_that_is_not_given_is_that_of_the_card(self):
        volume = water_disc(slices=2, size=64, radius_mm=50.0, noise_hu=25.0)
        own = load_denoiser("fast")(volume)
        half = load_denoiser("fast", InferSettings(strength=0.5))(volume)
        whole = load_denoiser("fast", InferSettings(strength=1.0))(volume)
        assert own.hu.tobytes() == half.hu.tobytes()
        assert own.history == half.history
        assert own.history[-1].params["strength"] == 0.5
        assert whole.history[-1].params["strength"] == 1.0
        assert np.abs(own.hu - whole.hu).max() > 0.1
        assert recommended("fast") == Recommended(0.5)
        assert recommended("identity") == Recommended(1.0, 0.0)

    @pytest.mark.usefixtures("folder")
    def test_a_preset_without_a_strength_leaves_it_to_the_card(self):
        volume = water_disc(slices=2, size=64, radius_mm=50.0, noise_hu=25.0)
        settings = InferSettings(presets=[{"name": "all", "texture": 0.0}])
        assert load_denoiser("fast", settings)(volume).history[-1].params["strength"] == 0.5

    @pytest.mark.usefixtures("folder")
    def test_the_history_tells_name_and_version(self):
        denoiser = load_denoiser("fast")
        params = denoiser(water_disc(slices=1, size=64, radius_mm=50.0)).history[-1].params
        assert params["model"] == denoiser.name == "fast"
        assert params["model_version"] == "1.0"
        assert params["model_digest"] == denoiser.digest == released("fast").card.digest

    def test_weights_stored_with_half_the_digits_are_used_in_float32(self, tmp_path):
        path = release(tmp_path / "half", half=True)
        found = load_checkpoint(path)
        assert {tensor.dtype for tensor in found.weights.values()} == {torch.float32}
        stored = lively_checkpoint(half=True).weights
        for name, tensor in found.weights.items():
            assert torch.equal(tensor, stored[name].float())
        assert found.digest != lively_checkpoint().digest  # of what is used

    def test_nothing_is_written_beside_it(self, folder):
        before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
        load_denoiser("fast")
        assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_names_are_looked_up_without_torch(folder):
    code = (
        "import sys; from ctdenoise.networks.released import recommended; "
        "print(recommended('fast').strength, 'torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ}
    )
    assert done.stdout.split() == ["0.5", "False"]


class TestDefault:
    @pytest.mark.usefixtures("folder")
    def test_a_cpu_takes_the_fast_one(self):
        assert default_model("cpu") == "released:fast"

    def test_a_gpu_takes_redcnn_and_the_fast_one_without_it(self, folder, tmp_path, monkeypatch):
        gpu = torch.device("cuda")
        empty = tmp_path / "nothing"
        monkeypatch.setattr("ctdenoise.networks.released.packaged_folder", lambda: empty)
        monkeypatch.setattr("ctdenoise.inference.load.choose_device", lambda _: gpu)
        assert default_model("auto") == "released:fast"
        release(folder, "redcnn")
        assert default_model("auto") == "released:redcnn"

    @pytest.mark.usefixtures("none_packaged")
    def test_without_weights_it_is_said_what_to_give(self):
        with pytest.raises(CheckpointError, match=r"without `fast`(.|\n)*--model(.|\n)*nlm"):
            default_model("cpu")


PACKAGED = released_models([packaged_folder()])


@pytest.mark.parametrize("model", PACKAGED, ids=[model.name for model in PACKAGED])
class TestWhatComesWithTheProgram:
    def test_it_is_whole_and_what_its_card_says(self, model):
        checkpoint = load_checkpoint(model.verified())
        card = model.card
        assert checkpoint.digest == card.digest
        assert checkpoint.network.name == card.network
        assert sum(tensor.numel() for tensor in checkpoint.weights.values()) == card.parameters
        assert json.loads(json.dumps(card.training_range)) == checkpoint.training["trained_on"]
        assert model.path.stat().st_size < 8_000_000
        assert 0 < card.strength <= 1

    def test_its_card_tells_what_a_user_must_know(self, model):
        card = model.card
        assert all((card.intended_use, card.limits, card.data, card.recipe.commands, card.licence))
        assert card.compute.steps
        assert card.compute.seconds
        assert card.results.tables
        assert card.results.failures
        for failure in card.results.failures:
            assert (Path(__file__).parents[3] / "docs" / failure.picture).is_file()

    def test_the_checks_know_the_range_of_its_training(self, model):
        keys = {"noise_hu", "noise_frequency_per_mm", "pixel_spacing_mm", "slice_thickness_mm"}
        assert keys <= set(model.card.training_range)


def test_every_file_of_weights_that_comes_with_the_program_has_a_card():
    weights = {path.stem for path in packaged_folder().glob("*.safetensors")}
    assert weights == {model.name for model in PACKAGED}
