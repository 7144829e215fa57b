"""Networks that are told the noise are told what the pixels show, or what the user states."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from ctdenoise.config.inference import InferSettings
from ctdenoise.config.networks import RedCnnSettings
from ctdenoise.core.intensity import HuRange
from ctdenoise.errors import UsageError
from ctdenoise.inference.load import load_denoiser
from ctdenoise.inference.method import Sample
from ctdenoise.inference.told_noise import told_noise
from ctdenoise.io.dicom_derivation import derivation_of
from ctdenoise.networks.build import build_network
from ctdenoise.networks.checkpoint import Checkpoint, save_checkpoint
from tests.builders import water_disc

SCALE = HuRange(0.0, 1000.0)


@pytest.fixture(scope="module")
def told() -> Checkpoint:
    """A network that is told the noise, with labels, as lively as a trained one."""
    settings = RedCnnSettings(
        channels=6, start_as_identity=False, noise_input=True, head={"classes": 3}
    )
    net = build_network(settings, generator=torch.Generator().manual_seed(3))
    weights = {name: 6**0.5 * tensor for name, tensor in net.state_dict().items()}
    weights["tconv5.weight"] *= 0.1
    training = {"trained_on": {"told_noise_hu": [5.0, 40.0]}}
    return Checkpoint(settings, weights, SCALE, training)


@pytest.fixture
def model(told, tmp_path):
    return save_checkpoint(tmp_path / "told.safetensors", told)


@pytest.fixture
def volume():
    return water_disc(slices=3, size=96, radius_mm=80.0, noise_hu=25.0)


def denoised(model, volume, **settings):
    return load_denoiser(model, InferSettings(**settings))(volume)


def params(volume):
    return volume.history[-1].params


def test_the_noise_of_the_pixels_is_told_and_recorded(model, volume):
    found = params(denoised(model, volume))
    assert found["noise_level_hu"] == pytest.approx(25.0, rel=0.06)
    assert found["noise_measured_hu"] == found["noise_level_hu"]
    assert found["noise_stated_hu"] is None


def test_the_change_is_that_of_the_network_with_its_noise_channel(told, model, volume):
    result = denoised(model, volume, noise_level=20.0)
    found = load_denoiser(model, InferSettings(noise_level=20.0))
    assert params(found(volume)) == params(result)
    net = told.build()
    told = told_noise(Sample.of(volume), InferSettings(noise_level=20.0))
    noise = told.slices(range(3), volume)
    given = torch.from_numpy(np.stack([SCALE.to_network(volume.hu), noise / 1000.0], axis=1))
    with torch.no_grad():
        expected = SCALE.to_hu(net(given.float()).image[:, 0]).numpy()
    assert np.abs(result.hu - volume.hu).max() > 5
    np.testing.assert_allclose(result.hu, expected, rtol=0, atol=0.05)


def test_the_header_is_not_believed(model, volume):
    loud = replace(
        volume, acquisition=replace(volume.acquisition, exposure_mas=(1000.0, 1000.0, 1000.0))
    )
    assert denoised(model, loud).hu.tobytes() == denoised(model, volume).hu.tobytes()


def test_a_stated_level_and_a_factor_scale_the_map(model, volume):
    measured = params(denoised(model, volume))
    stated = params(denoised(model, volume, noise_level=50.0, noise_factor=0.5))
    assert stated["noise_level_hu"] == 25.0
    ratio = 25.0 / measured["noise_measured_hu"]
    for one, other in zip(measured["noise_limits_hu"], stated["noise_limits_hu"], strict=True):
        assert other == pytest.approx(ratio * one, rel=1e-3)


def test_what_is_told_is_part_of_the_identity_of_the_result(model, volume):
    keys = {
        derivation_of(denoised(model, volume, **settings).history).key
        for settings in ({}, {"noise_factor": 1.5}, {"noise_level": 30.0})
    }
    assert len(keys) == 3
    assert "noise_level_hu" in derivation_of(denoised(model, volume).history).description


def test_the_identity_of_other_results_does_not_know_the_settings():
    volume = water_disc(slices=1)
    assert not [key for key in params(load_denoiser("identity")(volume)) if "noise" in key]
    assert not [key for key in InferSettings().deciding() if "noise" in key]


def test_tiles_give_the_result_of_whole_slices(model, volume):
    whole, cut = (denoised(model, volume, tile=tile) for tile in (None, 64))
    np.testing.assert_allclose(cut.hu, whole.hu, rtol=0, atol=0.01)


def test_labels_come_in_the_same_pass(model, volume):
    denoiser = load_denoiser(model)
    result, found = denoiser.with_estimates(volume, labels=True)
    assert found.labels.shape == volume.shape
    assert result.hu.tobytes() == denoiser(volume).hu.tobytes()


def test_padding_comes_back_untouched_and_does_not_leak(model, volume):
    axis = np.arange(96) - 47.5
    outside = np.repeat((np.hypot(axis[:, None], axis) > 47)[None], 3, axis=0)
    results = [
        denoised(model, replace(volume, hu=np.where(outside, value, volume.hu), padding=outside))
        for value in (np.float32(-3024), np.float32(3000))
    ]
    assert (results[1].hu[outside] == 3000).all()
    assert np.array_equal(results[0].hu[~outside], results[1].hu[~outside])


def test_noise_beyond_what_the_network_met_is_warned_of(model, volume, caplog):
    denoised(model, volume)
    assert not caplog.records
    denoised(model, volume, noise_level=80.0)
    assert "trained on 5.0 to 40.0 HU" in caplog.text


@pytest.mark.parametrize("settings", [{"noise_level": 20.0}, {"noise_factor": 2.0}])
def test_a_network_that_is_told_no_noise_refuses_to_be(settings):
    with pytest.raises(UsageError, match="is not told"):
        load_denoiser("identity", InferSettings(**settings))


def test_bfloat16_moves_the_result_by_little(model, volume):
    exact, low = (denoised(model, volume, precision=p) for p in ("float32", "bf16"))
    assert np.abs(exact.hu - low.hu).max() < 0.05 * np.abs(exact.hu - volume.hu).max()


@pytest.fixture
def knowing(told, tmp_path):
    """The same, which says that no scan of its training had less than 40 HU, as of 1 mm."""
    training = {"trained_on": {"normal_noise_hu": [40.0, 60.0]}}
    return save_checkpoint(tmp_path / "knowing.safetensors", replace(told, training=training))


def smooth(volume, noise_hu):
    """The volume as if denoised to that noise: 1 mm thick, and as large as a patient."""
    large = replace(volume.geometry, pixel_spacing_mm=(3.75, 3.75))
    thin = replace(volume.acquisition, slice_thickness_mm=1.0)
    truth = np.where(volume.hu > -500, 0.0, -1000.0)
    hu = truth + (volume.hu - truth) * (noise_hu / 25.0)
    return replace(volume, hu=hu.astype(np.float32), geometry=large, acquisition=thin)


@pytest.mark.parametrize(("noise_hu", "cautious"), [(40.0, False), (25.0, False), (12.0, True)])
def test_of_a_scan_that_was_denoised_before_less_noise_is_told(knowing, noise_hu, cautious):
    volume = smooth(water_disc(slices=6, size=96, radius_mm=80.0, noise_hu=25.0), noise_hu)
    found = params(denoised(knowing, volume))
    assert ("noise_caution" in found) == cautious
    share = min(1.0, found["noise_measured_hu"] / (0.6 * 40)) ** 3
    assert found.get("noise_caution", 1.0) == pytest.approx(share, rel=0.1)
    told_hu = found["noise_measured_hu"] * found.get("noise_caution", 1.0)
    assert found["noise_level_hu"] == pytest.approx(told_hu, rel=0.01)


@pytest.mark.parametrize("stated", [{"noise_level": 12.0}, {"noise_factor": 1.5}])
def test_what_a_user_states_is_told_as_it_is(knowing, stated):
    volume = smooth(water_disc(slices=6, size=96, radius_mm=80.0, noise_hu=25.0), 12.0)
    found = params(denoised(knowing, volume, **stated))
    assert "noise_caution" not in found
    expected = stated.get("noise_level", found["noise_measured_hu"]) * found["noise_factor"]
    assert found["noise_level_hu"] == pytest.approx(expected, rel=0.01)
