"""Patches at another scale and with other Hounsfield units."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch
from scipy import ndimage

from ctdenoise.config.training import PatchSettings
from ctdenoise.core.intensity import HuRange
from ctdenoise.errors import SettingsError
from ctdenoise.training.batches import ToNetworkScale
from ctdenoise.training.changes import PatchChanges, PatchImages, changed, cubic, nearest
from ctdenoise.training.gathering import GatherPatches
from ctdenoise.training.plans import BatchPlans, PatchSource

CPU = torch.device("cpu")
PLAN = ("source", "dose", "z", "row", "column", "symmetry")


def _source(seed, *, shape=(3, 40, 50), doses=2):
    full = np.arange(np.prod(shape), dtype=np.int32).reshape(shape) % 30_000
    full = (full + seed).astype(np.int16)
    return PatchSource(
        full=full,
        low=tuple((full + 1000 * (dose + 1)).astype(np.int16) for dose in range(doses)),
        labels=(full % 251).astype(np.uint8),
        classes=np.arange(256, dtype=np.uint8),
    )


def _plans(sources, **changes):
    settings = PatchSettings(**{"size": 16, **changes})
    return BatchPlans(sources, settings, batch_size=32, steps=20, seed=3)


def _changes(size, *, scale=None, gain=1.0, offset=0.0):
    one = np.ones(1)
    return PatchChanges(size, None if scale is None else scale * one, gain * one, offset * one)


def test_plans_and_patches_without_changes_are_those_of_earlier_versions():
    sources = [_source(0), _source(7, shape=(5, 33, 20), doses=1)]
    plans, seen = _plans(sources), hashlib.sha256()
    for step in range(4):
        plan = plans[step]
        batch = GatherPatches(sources, 16)(plan)
        numbers = [getattr(plan, name) for name in (*PLAN, "dose_fraction", "noise_seed")]
        for array in (*numbers, batch.low, batch.full, batch.labels):
            seen.update(np.ascontiguousarray(array).tobytes())
    assert plan.changes is None
    assert seen.hexdigest() == "9a4884651dfd957f5d8388b3320d245e4f9107a7a0b5cf8b27e9eb1383c4d373"


def test_jitter_leaves_places_as_they_are_and_scales_have_a_stream_of_their_own():
    sources = [_source(0)]
    plain, jittered = _plans(sources)[2], _plans(sources, jitter_hu=20, jitter_gain=0.1)[2]
    for name in PLAN:
        np.testing.assert_array_equal(getattr(plain, name), getattr(jittered, name))
    scaled = _plans(sources, jitter_hu=20, jitter_gain=0.1, largest_scale=1.3)[2]
    np.testing.assert_array_equal(jittered.changes.gain, scaled.changes.gain)
    np.testing.assert_array_equal(jittered.changes.offset_hu, scaled.changes.offset_hu)
    assert jittered.changes.scale is None


def test_changes_are_drawn_within_their_limits_and_reach_towards_them():
    settings = {"smallest_scale": 0.8, "largest_scale": 1.5, "jitter_hu": 30, "jitter_gain": 0.05}
    plans = _plans([_source(0)], **settings)
    drawn = [plans[step].changes for step in range(20)]
    for name, low, high in (("scale", 0.8, 1.5), ("gain", 0.95, 1.05), ("offset_hu", -30, 30)):
        values = np.concatenate([getattr(each, name) for each in drawn])
        assert values.min() >= low
        assert values.max() <= high
        # 640 even draws come within 2 % of both ends but for a chance of 1e-5.
        assert np.ptp(values) > 0.94 * (high - low)


@pytest.mark.parametrize("size", [16, 17])
@pytest.mark.parametrize("smallest", [0.5, 0.7, 1.0])
def test_a_scale_of_one_gives_the_middle_of_the_window_bit_for_bit(size, smallest):
    window = PatchSettings(size=size, smallest_scale=smallest, largest_scale=2).window
    full, low = torch.rand(2, 1, window, window) * 100
    margin = (window - size) // 2
    middle = slice(margin, margin + size)
    labels = torch.arange(window**2).reshape(1, window, window)
    images = changed(PatchImages(full, low, labels, full), _changes(size, scale=1.0))
    torch.testing.assert_close(images.full, full[:, middle, middle], rtol=0, atol=1e-4)
    assert torch.equal(images.labels, labels[:, middle, middle])
    torch.testing.assert_close(images.noise, full[:, middle, middle])


@pytest.mark.parametrize("scale", [0.5, 0.8, 1.3, 2.0])
def test_a_quadratic_image_is_scaled_exactly_about_its_middle(scale):
    """Keys' kernel with a = -1/2 reproduces polynomials of second degree."""
    size, window = 16, PatchSettings(size=16, smallest_scale=0.5).window
    at = torch.arange(window) - (window - 1) / 2
    wanted = (torch.arange(size) - (size - 1) / 2) / scale
    images = []
    for axis in (at, wanted):
        y, x = axis[:, None], axis[None]
        images.append((0.3 * y * y - 0.2 * x * x + 1.5 * x * y - 4 * y + x + 7)[None])
    source, expected = images
    nothing = torch.zeros_like(source)
    done = changed(PatchImages(source, nothing, None, None), _changes(size, scale=scale))
    torch.testing.assert_close(done.full, expected, rtol=1e-5, atol=2e-2)


def test_labels_keep_to_the_nearest_pixel_of_the_same_places():
    labels = torch.arange(31 * 31).reshape(1, 31, 31)
    places = torch.linspace(2, 28, 16)[None]
    taken = nearest(labels, places)[0]
    index = places[0].round().long()
    assert torch.equal(taken, labels[0][index][:, index])


def test_noise_keeps_its_strength_better_than_by_linear_interpolation():
    noise = ndimage.gaussian_filter(np.random.default_rng(0).normal(0, 1, (40, 71, 71)), (0, 1, 1))
    tensor = torch.from_numpy(noise.astype(np.float32))
    places = (35 + (torch.arange(64) - 31.5) / 1.2)[None].expand(40, -1)
    kept = float(cubic(tensor, places).std() / tensor.std())
    grid = places[0].numpy()
    where = np.meshgrid(grid, grid, indexing="ij")
    linear = np.array([ndimage.map_coordinates(each, where, order=1) for each in noise])
    # Noise as smooth as that of a soft kernel: the cubic kernel costs 3 % of it.
    assert kept > 0.95
    assert linear.std() / noise.std() < kept - 0.05


def test_the_stated_noise_follows_the_noise_of_the_scaled_patches():
    rng = np.random.default_rng(1)
    strength = np.linspace(10, 40, 71)  # HU, growing along rows
    count = 60
    noise = torch.from_numpy((rng.normal(0, 1, (count, 71, 71)) * strength).astype(np.float32))
    stated = torch.from_numpy(np.broadcast_to(strength, (count, 71, 71)).astype(np.float32))
    full = torch.zeros(count, 71, 71)
    changes = PatchChanges(64, np.full(count, 1.3), np.full(count, 0.9), np.zeros(count))
    done = changed(PatchImages(full, noise, None, stated), changes)
    assert done.noise.shape == (count, 64, 64)
    ratio = (done.low - done.full).std(dim=(0, 1)) / done.noise.mean(dim=(0, 1))
    # SD of 60 x 64 white pixels, correlated by interpolation: 2 %.
    assert float(ratio.mean()) == pytest.approx(1.0, abs=0.01)
    assert float((ratio - 1).abs().max()) < 0.15


def test_gain_leaves_air_alone_and_changes_both_doses_alike():
    full = torch.tensor([[[-1000.0, 0.0], [40.0, 1000.0]]])
    low = full + 50
    noise = torch.full_like(full, 50.0)
    done = changed(PatchImages(full, low, None, noise), _changes(2, gain=1.1, offset=-7.0))
    torch.testing.assert_close(
        done.full, torch.tensor([[[-1007.0, 93.0], [137.0, 1193.0]]]), rtol=1e-6, atol=1e-3
    )
    torch.testing.assert_close(done.low - done.full, torch.full_like(full, 55.0))
    torch.testing.assert_close(done.noise, torch.full_like(full, 55.0))


def test_scaled_batches_have_the_size_asked_for_and_show_the_same_places_in_all_images():
    sources = [_source(0, shape=(3, 60, 60))]
    settings = PatchSettings(size=16, smallest_scale=0.6, largest_scale=1.5, jitter_hu=10)
    plans = BatchPlans(sources, settings, batch_size=32, steps=4, seed=3)
    stored = GatherPatches(sources, settings.window)(plans[0])
    batch = ToNetworkScale(HuRange(), CPU)(stored)
    assert batch.low.shape == batch.target.image.shape == (32, 1, 16, 16)
    assert batch.target.labels.shape == (32, 16, 16)
    difference = (batch.low - batch.target.image) * HuRange().width_hu
    dose = torch.from_numpy(plans[0].dose + 1.0)[:, None, None, None].float()
    torch.testing.assert_close(difference, dose.expand_as(difference) * 1000, rtol=1e-3, atol=0.1)


def test_a_window_that_does_not_fit_is_refused():
    with pytest.raises(SettingsError, match="scaled from up to"):
        _plans([_source(0, shape=(2, 30, 30))], smallest_scale=0.5)
