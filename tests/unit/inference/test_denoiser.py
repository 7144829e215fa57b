"""Denoising keeps Hounsfield units safe."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch

from ctdenoise.config.inference import InferSettings
from ctdenoise.core.intensity import HuRange
from ctdenoise.errors import CheckpointError, UsageError
from ctdenoise.inference.denoiser import MethodDenoiser
from ctdenoise.inference.engine import TorchEngine
from ctdenoise.inference.load import load_denoiser
from ctdenoise.inference.network_method import NetworkMethod
from ctdenoise.networks.checkpoint import MODEL_FILE, save_checkpoint
from ctdenoise.networks.prediction import Constraints, DenoisingNetwork, Prediction
from tests.builders import water_disc

CPU = torch.device("cpu")


@pytest.fixture
def volume():
    return water_disc(slices=3, noise_hu=25.0)


@pytest.fixture
def model(trained, tmp_path):
    return save_checkpoint(tmp_path / "net.safetensors", trained)


def denoised(model, volume, **settings):
    return load_denoiser(model, InferSettings(**settings))(volume)


def with_padding(volume, value: float):
    """The volume with everything beyond a circle replaced by a padding value."""
    axis = np.arange(volume.shape[1]) - (volume.shape[1] - 1) / 2
    outside = axis[:, None] ** 2 + axis[None, :] ** 2 > (volume.shape[1] / 2) ** 2
    padding = np.repeat(outside[None], volume.shape[0], axis=0)
    hu = np.where(padding, np.float32(value), volume.hu)
    return replace(volume, hu=hu, padding=padding)


class Loud:
    """Progress that counts."""

    def __init__(self) -> None:
        self.total = 0
        self.done = 0

    @contextmanager
    def stage(self, what, total, *, done=0):  # noqa: ARG002 - the Protocol's arguments
        self.total = total

        def advance(count=1, *, note=""):
            self.done += count

        yield advance


def test_the_change_is_that_of_the_network(trained, model, volume):
    scaled = torch.from_numpy(HuRange().to_network(volume.hu)).unsqueeze(1)
    with torch.no_grad():
        expected = HuRange().to_hu(trained.build()(scaled).image.squeeze(1)).numpy()
    result = denoised(model, volume).hu
    assert np.abs(result - volume.hu).max() > 20  # the network does something
    # float32 in network scale: steps of 2.4e-4 HU, several of them, and folding to 1e-5.
    np.testing.assert_allclose(result, expected, rtol=0, atol=0.05)


def test_the_identity_returns_the_very_values(volume):
    result = load_denoiser("identity")(volume)
    assert result.hu.tobytes() == volume.hu.tobytes()
    assert [step.name for step in result.history] == ["denoise"]


def test_the_identity_keeps_negative_zero_extremes_and_padding(volume):
    hu = volume.hu.copy()
    hu[0, 30, 30:34] = [-0.0, 0.0, 30_000.0, -5_000.0]
    odd = with_padding(replace(volume, hu=hu), -3024.0)
    assert load_denoiser("identity")(odd).hu.tobytes() == odd.hu.tobytes()


def test_strength_0_returns_the_very_values(model, volume):
    assert denoised(model, volume, strength=0.0).hu.tobytes() == volume.hu.tobytes()


@pytest.mark.parametrize("strength", [0.25, 0.5, 0.9])
def test_the_change_grows_in_proportion_to_strength(model, volume, strength):
    full = denoised(model, volume).hu.astype(np.float64) - volume.hu
    some = denoised(model, volume, strength=strength).hu.astype(np.float64) - volume.hu
    np.testing.assert_allclose(some, strength * full, rtol=0, atol=1e-3)


class TestPadding:
    def test_it_comes_back_untouched(self, model, volume):
        padded = with_padding(volume, -3024.0)
        result = denoised(model, padded)
        assert np.array_equal(result.hu[padded.padding], padded.hu[padded.padding])
        assert np.array_equal(result.padding, padded.padding)
        assert np.abs(result.hu - padded.hu)[~padded.padding].max() > 1

    def test_its_value_does_not_leak_into_the_image(self, model, volume):
        results = [denoised(model, with_padding(volume, value)) for value in (-3024.0, 3000.0)]
        image = ~results[0].padding
        assert np.array_equal(results[0].hu[image], results[1].hu[image])

    def test_the_network_sees_air_there(self, model, volume):
        air = replace(with_padding(volume, -1000.0), padding=None)
        padded = with_padding(volume, -2000.0)
        image = ~padded.padding
        assert np.array_equal(denoised(model, padded).hu[image], denoised(model, air).hu[image])


class TestBeyondTheRange:
    def test_metal_keeps_its_height(self, model, volume):
        hu = volume.hu.copy()
        hu[:, 30:34, 30:34] = 4096.0
        at_the_top = replace(volume, hu=hu.copy())
        hu[:, 30:34, 30:34] = 12_000.0
        metal = replace(volume, hu=hu)
        change = denoised(model, at_the_top).hu - at_the_top.hu
        # Seen as 4096 HU, so changed as a voxel there is. 12000 HU has steps of 1e-3.
        np.testing.assert_allclose(denoised(model, metal).hu - metal.hu, change, rtol=0, atol=2e-3)

    def test_below_the_range_too(self, model, volume):
        hu = volume.hu.copy()
        hu[:, 2:6, 2:6] = -2048.0
        at_the_bottom = replace(volume, hu=hu.copy())
        hu[:, 2:6, 2:6] = -9000.0
        below = replace(volume, hu=hu)
        change = denoised(model, at_the_bottom).hu - at_the_bottom.hu
        np.testing.assert_allclose(denoised(model, below).hu - below.hu, change, rtol=0, atol=2e-3)

    def test_noise_below_the_range_is_seen_by_the_network(self, trained, model):
        noisy_air = water_disc(slices=1, radius_mm=0.1, noise_hu=60.0)
        scaled = torch.from_numpy(HuRange().to_network(noisy_air.hu)).unsqueeze(1)
        assert scaled.min() < 0
        with torch.no_grad():
            expected = HuRange().to_hu(trained.build()(scaled).image.squeeze(1)).numpy()
        result = denoised(model, noisy_air).hu
        np.testing.assert_allclose(result, expected, rtol=0, atol=0.05)


class TestHistory:
    def test_one_step_says_what_was_done(self, trained, model, volume):
        step = denoised(model, volume, strength=0.5, engine="torch").history[-1]
        assert step.name == "denoise"
        assert step.params["model"] == "redcnn"
        assert step.params["model_digest"] == trained.digest
        assert step.params["strength"] == 0.5
        assert step.params["precision"] == "float32"
        assert step.params["hu_range"] == [-1024.0, 3071.0]
        assert step.params["engine"] == "torch cpu float32"

    def test_no_path_is_recorded(self, model, volume):
        assert str(model.parent) not in str(denoised(model, volume).history)

    def test_the_grid_and_the_source_stay(self, model, volume):
        result = denoised(model, volume)
        assert result.geometry is volume.geometry
        assert result.acquisition == volume.acquisition

    def test_the_given_volume_is_not_changed(self, model, volume):
        before = volume.hu.copy()
        denoised(model, volume)
        assert np.array_equal(volume.hu, before)
        assert volume.history == ()


@pytest.mark.parametrize("batch", [1, 2, 3, 50])
def test_batches_do_not_change_the_result(model, volume, batch):
    alone = denoised(model, volume).hu
    np.testing.assert_allclose(denoised(model, volume, batch=batch).hu, alone, rtol=0, atol=0.01)


def test_tiles_do_not_change_the_result(model):
    volume = water_disc(slices=2, size=96, noise_hu=25.0)
    whole = denoised(model, volume).hu
    np.testing.assert_allclose(denoised(model, volume, tile=56).hu, whole, rtol=0, atol=0.01)


def test_a_slice_of_10_pixels_is_denoised(model):
    tiny = water_disc(slices=1, size=10, noise_hu=25.0)
    assert denoised(model, tiny).shape == (1, 10, 10)


def test_progress_counts_every_slice(model, volume):
    for settings in ({}, {"batch": 2}, {"strength": 0.0}):
        progress = Loud()
        load_denoiser(model, InferSettings(**settings))(volume, progress=progress)
        assert (progress.total, progress.done) == (3, 3)


class Unbounded(DenoisingNetwork):
    """Returns what is not a number."""

    def __init__(self) -> None:
        super().__init__(Constraints(receptive_field_radius=0))

    def forward(self, scaled):
        return Prediction(scaled / 0.0 * 0.0)


def test_values_that_are_not_numbers_are_refused(trained, volume):
    denoiser = MethodDenoiser(
        NetworkMethod(trained, TorchEngine(Unbounded(), CPU), InferSettings()), InferSettings()
    )
    with pytest.raises(CheckpointError, match="not numbers"):
        denoiser(volume)


class TestLoad:
    def test_a_training_folder_may_be_named(self, trained, tmp_path):
        save_checkpoint(tmp_path / MODEL_FILE, trained)
        assert load_denoiser(tmp_path).digest == trained.digest

    def test_an_unknown_name_lists_the_known_ones(self):
        with pytest.raises(CheckpointError, match="identity"):
            load_denoiser("no-such-model")

    def test_a_file_of_another_kind_is_refused(self, tmp_path):
        path = tmp_path / "notes.txt"
        path.write_text("epochs: 3\n" * 40)
        with pytest.raises(CheckpointError, match="text file"):
            load_denoiser(path)

    def test_a_gpu_that_is_not_there_is_refused(self, monkeypatch):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        with pytest.raises(UsageError, match="GPU"):
            load_denoiser("identity", InferSettings(device="cuda"))

    def test_bf16_on_a_processor_without_it_is_warned_of(self, monkeypatch, caplog):
        lacking = {"architecture": "x86_64", "avx512_bf16": False}
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: lacking, raising=False)
        load_denoiser("identity", InferSettings(device="cpu"))
        assert caplog.text == ""
        load_denoiser("identity", InferSettings(device="cpu", precision="bf16"))
        assert "slower" in caplog.text
