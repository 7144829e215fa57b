"""Volumes on disk, in memory and on the device of the network."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ctdenoise.config.training import DataSettings, PatchSettings
from ctdenoise.core.intensity import HuRange
from ctdenoise.errors import SettingsError
from ctdenoise.io.pair_images import PADDING_HU
from ctdenoise.tasks import train as task
from ctdenoise.training import kept
from ctdenoise.training.job import prepare_job
from ctdenoise.training.kept import choose_place, in_memory
from ctdenoise.training.patches import PatchBatches
from ctdenoise.training.plans import BatchPlans, PatchSource
from tests.unit.training.test_run import StopSoon

CPU = torch.device("cpu")


def _source(seed, shape, doses):
    rng = np.random.default_rng(seed)
    full = rng.integers(-1024, 3000, shape).astype(np.int16)
    full[:, 0] = PADDING_HU
    classes = np.arange(256, dtype=np.uint8)
    classes[2] = 0
    return PatchSource(
        full=full,
        low=tuple((full + 7 * (dose + 1)).astype(np.int16) for dose in range(doses)),
        labels=rng.integers(0, 4, shape).astype(np.uint8),
        classes=classes,
    )


@pytest.fixture
def sources():
    """Series of different sizes, with different numbers of doses."""
    return [_source(0, (3, 40, 50), 2), _source(1, (5, 37, 36), 1), _source(2, (2, 36, 60), 3)]


@pytest.mark.parametrize(
    "changes", [{}, {"augment": False}, {"smallest_scale": 0.7, "jitter_hu": 20}]
)
def test_patches_cut_on_a_device_are_those_cut_on_disk_bit_for_bit(sources, changes):
    plans = BatchPlans(sources, PatchSettings(size=16, **changes), batch_size=32, steps=4, seed=3)
    on_disk = PatchBatches(plans, HuRange(), CPU)
    on_device = PatchBatches(plans, HuRange(), CPU, on_device=True)
    for step in range(4):
        one, other = on_disk[step], on_device[step]
        assert torch.equal(one.low, other.low)
        assert torch.equal(one.target.image, other.target.image)
        assert torch.equal(one.target.labels, other.target.labels)
        assert one.target.labels.dtype == other.target.labels.dtype


def test_volumes_in_memory_are_copies_with_equal_values(sources):
    for one, other in zip(sources, in_memory(sources), strict=True):
        for mine, theirs in zip(
            (one.full, *one.low, one.labels), (other.full, *other.low, other.labels), strict=True
        ):
            assert np.array_equal(mine, theirs)
            assert not np.shares_memory(mine, theirs)


@pytest.mark.parametrize("place", ["disk", "memory", "device"])
def test_a_job_gives_the_same_batches_wherever_its_volumes_are(make_pair, tiny, place):
    pair = make_pair(doses=(0.25, 0.5), padded=True)
    plain = prepare_job([pair], tiny, seed=1).batches
    batches = prepare_job([pair], tiny.replaced(data={"keep_on": place}), seed=1).batches
    for step in range(3):
        assert torch.equal(plain[step].low, batches[step].low)
        assert torch.equal(plain[step].target.image, batches[step].target.image)


def test_a_cpu_reads_from_disk_unless_asked(sources):
    assert choose_place(DataSettings(), sources, CPU) == "disk"
    assert choose_place(DataSettings(keep_on="memory"), sources, CPU) == "memory"


@pytest.mark.parametrize("place", ["memory", "device"])
def test_volumes_that_do_not_fit_are_refused_before_they_are_read(sources, monkeypatch, place):
    monkeypatch.setattr(kept, "available_bytes", lambda: 1000)
    with pytest.raises(SettingsError, match="GB are free"):
        choose_place(DataSettings(keep_on=place), sources, CPU)


@pytest.mark.parametrize(("factor", "place"), [(1.9, "disk"), (2.1, "device")])
def test_a_gpu_keeps_what_takes_half_of_its_free_memory(sources, monkeypatch, factor, place):
    volumes = [each for source in sources for each in (source.full, *source.low, source.labels)]
    free = int(factor * sum(volume.nbytes for volume in volumes))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (free, 2 * free))
    assert choose_place(DataSettings(), sources, torch.device("cuda")) == place


def test_patches_that_are_told_their_noise_are_not_cut_on_the_device(make_pair, tiny):
    told = tiny.replaced(
        network={"name": "redcnn", "channels": 4, "noise_input": True}, data={"keep_on": "device"}
    )
    with pytest.raises(SettingsError, match="only stored pairs"):
        prepare_job([make_pair(size=64)], told, seed=1)


def test_a_run_may_be_resumed_with_its_volumes_elsewhere(make_pair, tiny, tmp_path):
    pairs = [make_pair(doses=(0.25, 0.5)).folder]
    task.run(pairs, tiny, out=tmp_path / "whole")
    task.run(pairs, tiny, out=tmp_path / "parts", progress=StopSoon(3))
    elsewhere = tiny.replaced(data={"keep_on": "device", "threads": 1})
    task.run(pairs, elsewhere, out=tmp_path / "parts", resume=True)
    name = "last/step_000000008.safetensors"
    assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "parts" / name).read_bytes()
