from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from monai.data import get_track_meta

from ctdenoise.config.training import PatchSettings
from ctdenoise.core.intensity import HuRange
from ctdenoise.errors import SettingsError
from ctdenoise.io.pair_images import PADDING_HU
from ctdenoise.training.batches import ToNetworkScale
from ctdenoise.training.gathering import GatherPatches
from ctdenoise.training.patches import PatchBatches
from ctdenoise.training.plans import BatchPlans, PatchSource

CPU = torch.device("cpu")


def _source(seed, *, shape=(3, 40, 50), doses=2):
    """Voxels that name their own place, so a patch shows where it came from."""
    full = np.arange(np.prod(shape), dtype=np.int32).reshape(shape) % 30_000
    full = (full + seed).astype(np.int16)
    return PatchSource(
        full=full,
        low=tuple((full + 1000 * (dose + 1)).astype(np.int16) for dose in range(doses)),
        labels=(full % 251).astype(np.uint8),
        classes=np.arange(256, dtype=np.uint8),
    )


def _plans(sources, **changes):
    settings = PatchSettings(**{"size": 16, "least_body": 0.0, **changes})
    return BatchPlans(sources, settings, batch_size=32, steps=20, seed=3)


def _turned(patch, symmetry):
    """The definition of a symmetry, step by step."""
    if symmetry & 1:
        patch = patch[::-1]
    if symmetry & 2:
        patch = patch[:, ::-1]
    return patch.T if symmetry & 4 else patch


@pytest.mark.parametrize("augment", [False, True])
def test_the_gathered_batch_equals_naive_cropping_and_turning(augment):
    sources = [_source(0), _source(7, shape=(5, 33, 20), doses=1)]
    plans = _plans(sources, augment=augment)
    seen = set()
    for step in range(4):
        plan = plans[step]
        batch = GatherPatches(sources, 16)(plan)
        for n in range(32):
            source, symmetry = sources[plan.source[n]], int(plan.symmetry[n])
            window = (
                plan.z[n],
                slice(plan.row[n], plan.row[n] + 16),
                slice(plan.column[n], plan.column[n] + 16),
            )
            seen.add((int(plan.source[n]), int(plan.dose[n]), symmetry))
            for got, volume in (
                (batch.full, source.full),
                (batch.low, source.low[plan.dose[n]]),
                (batch.labels, source.labels),
            ):
                np.testing.assert_array_equal(got[n], _turned(volume[window], symmetry))
    assert {symmetry for _, _, symmetry in seen} == (set(range(8)) if augment else {0})
    assert {(source, dose) for source, dose, _ in seen} == {(0, 0), (0, 1), (1, 0)}


def test_full_low_and_labels_are_turned_alike():
    source = _source(0)
    batch = GatherPatches([source], 16)(_plans([source])[0])
    assert set(np.unique(batch.low.astype(int) - batch.full)) == {1000, 2000}
    np.testing.assert_array_equal(batch.labels, batch.full % 251)


def test_labels_become_classes():
    source = _source(0)
    classes = np.zeros(256, dtype=np.uint8)
    classes[100:] = 2
    mapped = PatchSource(source.full, source.low, source.labels, classes)
    plan = _plans([mapped])[0]
    batch = GatherPatches([mapped], 16)(plan)
    np.testing.assert_array_equal(batch.labels, np.where(batch.full % 251 >= 100, 2, 0))


def test_the_same_seed_and_step_give_the_same_batch_in_any_order():
    sources = [_source(0), _source(5)]
    first = PatchBatches(_plans(sources), HuRange(), CPU)
    second = PatchBatches(_plans(sources), HuRange(), CPU)
    forwards = [first[step] for step in range(3)]
    backwards = [second[step] for step in reversed(range(3))][::-1]
    for one, other in zip(forwards, backwards, strict=True):
        assert torch.equal(one.low, other.low)
        assert torch.equal(one.target.image, other.target.image)
        assert torch.equal(one.target.labels, other.target.labels)
    assert not torch.equal(forwards[0].low, forwards[1].low)


def test_another_seed_gives_other_places():
    sources = [_source(0)]
    settings = PatchSettings(size=16)
    one, other = (BatchPlans(sources, settings, batch_size=8, steps=1, seed=s)[0] for s in (0, 1))
    assert not np.array_equal(one.row, other.row)


def test_every_place_can_be_drawn_and_none_outside():
    source = _source(0, shape=(2, 18, 17))
    plans = BatchPlans([source], PatchSettings(size=16), batch_size=400, steps=1, seed=0)
    plan = plans[0]
    assert set(plan.z) == {0, 1}
    assert set(plan.row) == {0, 1, 2}
    assert set(plan.column) == {0, 1}


def test_patches_of_air_only_are_avoided():
    full = np.full((2, 96, 96), -1000, dtype=np.int16)
    full[:, 40:72, 40:72] = 0
    source = PatchSource(full, (full,))
    body = {}
    for least in (0.0, 0.2):
        plans = _plans([source], least_body=least)
        patches = np.concatenate(
            [GatherPatches([source], 16)(plans[step]).full for step in range(20)]
        )
        body[least] = float(((patches > -500).mean(axis=(1, 2)) > 0.1).mean())
    # 26 % of the places hold body; eight draws miss it with probability 0.74^8 = 9 %.
    assert body[0.0] < 0.4
    assert body[0.2] > 0.8


def test_series_are_drawn_in_proportion_to_their_slices():
    sources = [_source(0, shape=(3, 20, 20)), _source(0, shape=(9, 20, 20))]
    plans = BatchPlans(sources, PatchSettings(size=16), batch_size=4000, steps=1, seed=0)
    share = float((plans[0].source == 1).mean())
    assert share == pytest.approx(0.75, abs=5 * (0.75 * 0.25 / 4000) ** 0.5)


def test_scaling_follows_the_hu_range_and_padding_becomes_air():
    stored = np.array([[[-1024, 0, 3071, PADDING_HU]]], dtype=np.int16)
    scaled = ToNetworkScale(HuRange(), CPU).scaled(stored)
    expected = HuRange().to_network(torch.tensor([-1024.0, 0.0, 3071.0, -1000.0]))
    assert scaled.shape == (1, 1, 1, 4)
    assert torch.allclose(scaled[0, 0, 0], expected)


def test_a_further_transform_sees_whole_batches_without_metadata():
    seen = []

    def brighter(batch):
        seen.append(get_track_meta())
        return dataclasses.replace(batch, low=batch.low + 1)

    before = get_track_meta()
    sources = [_source(0)]
    plain = PatchBatches(_plans(sources), HuRange(), CPU)[0]
    changed = PatchBatches(_plans(sources), HuRange(), CPU, transforms=[brighter])[0]
    assert torch.equal(changed.low, plain.low + 1)
    assert seen == [False]
    assert get_track_meta() == before


def test_a_patch_larger_than_the_slices_is_refused():
    with pytest.raises(SettingsError, match="18 x 17"):
        _plans([_source(0, shape=(2, 18, 17))], size=20)
