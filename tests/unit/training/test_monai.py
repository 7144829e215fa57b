"""MONAI's datasets, loaders and dictionary transforms on our pairs and patches."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import CacheDataset, DataLoader, ThreadDataLoader
from monai.transforms import (
    Compose,
    RandFlipd,
    RandGaussianNoised,
    RandSpatialCropd,
    ScaleIntensityRanged,
)

from ctdenoise.core.intensity import HuRange
from ctdenoise.io.pair_images import PADDING_HU
from ctdenoise.tasks import train as task
from ctdenoise.training.job import prepare_job
from ctdenoise.training.patches import EachPatch, ReadSliced, slice_items
from ctdenoise.training.prefetch import prepared_ahead
from tests.unit.training.test_run import StopSoon


@pytest.fixture
def pair(make_pair):
    return make_pair(doses=(0.25, 0.5), labelled=True, padded=True, patient="p1")


def test_every_slice_and_dose_is_an_item_with_the_pixels_of_the_pair(pair):
    items = slice_items([pair])
    arrays = pair.open()
    assert len(items) == 2 * pair.shape[0]
    seen = set()
    for item in map(ReadSliced(), items):
        z, dose = item["z"], item["dose"]
        seen.add((z, dose))
        for key, stored in (("full", arrays.full[z]), ("low", arrays.low[dose][z])):
            expected = np.where(stored == PADDING_HU, -1000, stored)
            np.testing.assert_array_equal(item[key].numpy()[0], expected)
            assert item[key].dtype == torch.float32
        np.testing.assert_array_equal(item["labels"].numpy()[0], arrays.labels[z])
        assert item["dose_fraction"] == (0.25, 0.5)[dose]
        assert item["patient"] == "p1"
    assert len(seen) == len(items)


@pytest.mark.parametrize("loader", [DataLoader, ThreadDataLoader])
def test_the_items_go_through_cache_and_loader(pair, loader):
    reads = []

    class Counted(ReadSliced):
        def __call__(self, data):
            reads.append(data["z"])
            return super().__call__(data)

    keys = ("low", "full")
    steps = Compose(
        [
            Counted(),
            ScaleIntensityRanged(keys, HuRange().low, HuRange().high, 0.0, 1.0),
            RandSpatialCropd((*keys, "labels"), roi_size=(24, 24), random_size=False),
        ]
    )
    items = slice_items([pair])
    dataset = CacheDataset(items, steps, num_workers=1, progress=False)
    for _ in range(2):
        batches = list(loader(dataset, batch_size=2, num_workers=0))
        assert len(batches) == len(items) // 2
        assert all(batch["low"].shape == (2, 1, 24, 24) for batch in batches)
    assert len(reads) == len(items)  # once each: the second round came from the cache


def _noisy():
    keys = ("low", "full", "labels")
    return EachPatch(
        Compose(
            [
                RandFlipd(keys, prob=0.5, spatial_axis=0),
                RandGaussianNoised(("low",), prob=1.0, mean=0.0, std=0.01),
            ]
        )
    )


def _job(pair, tiny, transforms):
    return prepare_job([pair], tiny.replaced(data={"threads": 0}), seed=1, transforms=transforms)


def _labelled(tiny):
    return tiny.replaced(
        network={"name": "redcnn", "channels": 4, "head": {"classes": 4}},
        loss={"terms": [{"name": "mse"}, {"name": "cross_entropy"}]},
    )


def test_dictionary_transforms_see_each_patch_and_move_all_images_alike(pair, tiny):
    plain = _job(pair, _labelled(tiny), ()).batches[0]
    flip = EachPatch(RandFlipd(("low", "full", "labels"), prob=1.0, spatial_axis=0))
    flipped = _job(pair, _labelled(tiny), (flip,)).batches[0]
    assert torch.equal(flipped.low, plain.low.flip(2))
    assert torch.equal(flipped.target.image, plain.target.image.flip(2))
    assert torch.equal(flipped.target.labels, plain.target.labels.flip(1))
    assert flipped.target.labels.dtype == plain.target.labels.dtype
    assert torch.equal(flipped.target.low, flipped.low)
    assert type(flipped.low) is torch.Tensor


def test_the_noise_that_a_network_is_told_moves_with_its_patch(make_pair, tiny):
    pair = make_pair(size=64)
    told = tiny.replaced(network={"name": "redcnn", "channels": 4, "noise_input": True})
    keys = ("low", "full", "noise")
    flip = EachPatch(RandFlipd(keys, prob=1.0, spatial_axis=1))
    plain, flipped = (_job(pair, told, each).batches[0] for each in ((), (flip,)))
    assert torch.equal(flipped.noise, plain.noise.flip(3))
    assert torch.equal(flipped.target.noise, flipped.noise)
    assert torch.equal(flipped.seen, plain.seen.flip(3))


def test_the_weight_of_each_pixel_moves_with_its_patch(make_pair, tiny):
    pair = make_pair(size=64)
    weighed = tiny.replaced(supervision={"name": "noisy_target"})
    flip = EachPatch(RandFlipd(("low", "full", "weight"), prob=1.0, spatial_axis=1))
    plain, flipped = (_job(pair, weighed, each).batches[0] for each in ((), (flip,)))
    assert plain.target.weight is not None
    assert torch.equal(flipped.target.weight, plain.target.weight.flip(3))
    assert torch.equal(flipped.target.image, plain.target.image.flip(3))


def test_random_transforms_depend_on_seed_and_step_alone(pair, tiny):
    batches = _job(pair, _labelled(tiny), (_noisy(),)).batches
    again = _job(pair, _labelled(tiny), (_noisy(),)).batches
    expected = [batches[step].low for step in range(4)]
    with prepared_ahead(again, threads=3) as ahead:
        for step, low in enumerate(expected):
            assert torch.equal(ahead[step].low, low)
    assert torch.equal(again[1].low, expected[1])
    plain = _job(pair, _labelled(tiny), ()).batches
    added = [(expected[n] - plain[n].low)[0] for n in range(2)]
    assert not torch.equal(*added)


def test_processes_draw_for_their_patches_what_one_process_draws(pair, tiny):
    whole = _job(pair, _labelled(tiny), (_noisy(),)).batches[2]
    for rank in range(2):
        job = _job(pair, _labelled(tiny), (_noisy(),))
        job.batches.dataset.data.rank, job.batches.dataset.data.world = rank, 2
        assert torch.equal(job.batches[2].low, whole.low[2 * rank : 2 * rank + 2])
        assert torch.equal(job.whole_batch(2).low, whole.low)


def test_a_resumed_run_with_random_transforms_equals_an_uninterrupted_one(pair, tiny, tmp_path):
    pairs, settings = [pair.folder], _labelled(tiny)
    task.run(pairs, settings, out=tmp_path / "whole", transforms=(_noisy(),))
    task.run(pairs, settings, out=tmp_path / "parts", transforms=(_noisy(),), progress=StopSoon(3))
    task.run(pairs, settings, out=tmp_path / "parts", transforms=(_noisy(),), resume=True)
    name = "last/step_000000008.safetensors"
    assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "parts" / name).read_bytes()
