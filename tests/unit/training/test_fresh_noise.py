"""Training on noise that is drawn for each patch anew."""

from __future__ import annotations

import errno
import os

import numpy as np
import pytest
import torch

from ctdenoise.config.training import TrainSettings
from ctdenoise.core.intensity import HuRange
from ctdenoise.errors import OutputError, PairsError
from ctdenoise.io.pair_images import PADDING_HU
from ctdenoise.io.pair_manifest import MANIFEST_FILE, read_manifest
from ctdenoise.io.pairs import PairFiles
from ctdenoise.simulation.fresh_noise import FreshNoise
from ctdenoise.simulation.recorded import recorded_scan
from ctdenoise.tasks import train as task
from ctdenoise.training.gathering import GatherPatches
from ctdenoise.training.job import prepare_job
from ctdenoise.training.patches import PatchBatches

SLICES = 6


@pytest.fixture
def fresh(tiny: TrainSettings) -> TrainSettings:
    noise = {"name": "on_the_fly", "lowest_dose": 0.1, "highest_dose": 0.4}
    return tiny.replaced(noise=noise)


def scan_of(files: PairFiles):
    image, _ = read_manifest(files.folder / MANIFEST_FILE).low[0]
    return recorded_scan(image.history, geometry=files.geometry, acquisition=files.acquisition)


def test_plans_draw_doses_evenly_in_their_logarithm(simulated, fresh):
    plans = prepare_job([simulated], fresh.replaced(steps=100), seed=2).batches.dataset.data
    doses = np.concatenate([plans[step].dose_fraction for step in range(100)])
    assert doses.min() >= 0.1
    assert doses.max() <= 0.4
    middle = np.log(doses / 0.1) / np.log(4)
    assert middle.mean() == pytest.approx(0.5, abs=4 / np.sqrt(12 * len(doses)))
    seeds = np.concatenate([plans[step].noise_seed for step in range(100)])
    assert len(np.unique(seeds)) == len(seeds)


def test_plans_of_pairs_are_the_same_as_those_of_fresh_noise_but_for_the_noise(
    simulated, tiny, fresh
):
    one = prepare_job([simulated], tiny, seed=2).batches.dataset.data[3]
    other = prepare_job([simulated], fresh, seed=2).batches.dataset.data[3]
    for name in ("source", "z", "row", "column", "symmetry"):
        assert (getattr(one, name) == getattr(other, name)).all()
    assert np.isnan(one.dose_fraction).all()


def test_every_step_has_noise_of_its_own_and_the_same_each_time(simulated, fresh):
    def batch(step: int, seed: int = 2):
        return prepare_job([simulated], fresh, seed=seed).batches[step]

    first, again, next_one = batch(1), batch(1), batch(2)
    assert torch.equal(first.low, again.low)
    noise, other = (each.low - each.target.image for each in (first, next_one))
    assert noise.std() > 0
    assert not torch.equal(noise, other)


def test_gathered_noise_is_turned_with_its_patch(simulated, fresh):
    job = prepare_job([simulated], fresh, seed=2)
    plans = job.plans
    gather = GatherPatches(plans.sources, 24)
    seen = set()
    for step in range(8):
        plan = plans[step]
        stored = gather(plan)
        for n in range(len(plan.source)):
            place = (int(plan.row[n]), int(plan.column[n]))
            noise = plans.sources[0].fresh.draw(
                int(plan.z[n]),
                place,
                24,
                dose=float(plan.dose_fraction[n]),
                seed=int(plan.noise_seed[n]),
            )
            cut = tuple(slice(first, first + 24) for first in place)
            full = plans.sources[0].full[(int(plan.z[n]), *cut)]
            low = np.where(full == PADDING_HU, full, np.rint(full + noise).astype(np.int16))
            symmetry = int(plan.symmetry[n])
            low = low[::-1] if symmetry & 1 else low
            low = low[:, ::-1] if symmetry & 2 else low
            low = low.T if symmetry & 4 else low
            # Transforms of one patch and of many differ in their last bits, and are rounded to HU.
            assert np.abs(stored.low[n] - low).max() <= 1
            assert (stored.low[n] == low).mean() > 0.999
            seen.add(symmetry)
    assert len(seen) == 8


def test_fresh_noise_is_as_strong_as_that_of_the_twin(simulated):
    arrays = simulated.open()
    noise = FreshNoise(
        scan_of(simulated), arrays.full, padding=PADDING_HU, first=0, doses=(0.1, 0.5)
    )
    place, size = (20, 20), 24
    cut = tuple(slice(first, first + size) for first in place)
    twin = (arrays.low[0].astype(float) - arrays.full)[(slice(None), *cut)]
    drawn = np.array([noise.draw(n % SLICES, place, size, dose=0.25, seed=n) for n in range(96)])
    # Six slices of 576 pixels, about a third of them independent: 2.5 % of the SD.
    assert drawn.std() == pytest.approx(twin.std(), rel=0.1)
    less = np.array([noise.draw(0, place, size, dose=0.5, seed=n) for n in range(96)])
    more = np.array([noise.draw(0, place, size, dose=0.125, seed=n) for n in range(96)])
    assert more.std() / less.std() == pytest.approx(2, rel=0.05)  # electronic noise is small here


def test_maps_that_find_no_room_are_refused_before_they_are_made(simulated, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    scan, stored = scan_of(simulated), simulated.open().full
    monkeypatch.setattr("os.posix_fallocate", full)
    with pytest.raises(OutputError, match=r"no room for .* MB of noise maps"):
        FreshNoise(scan, stored, padding=PADDING_HU, first=0, doses=(0.1, 0.5))


def test_the_record_of_a_pair_tells_what_it_was_simulated_with(simulated):
    scan = scan_of(simulated)
    assert scan.photons == pytest.approx(np.full(SLICES, 1e5))
    assert scan.model.fan.channels == 192
    assert scan.model.fan.views == 160
    assert scan.settings.source_noise == "none"


def test_pairs_without_a_simulation_are_refused(make_pair, fresh):
    with pytest.raises(PairsError, match="fresh noise cannot be drawn"):
        prepare_job([make_pair(size=64)], fresh, seed=0)


def test_doses_must_rise(tiny):
    with pytest.raises(ValueError, match="lowest_dose"):
        tiny.replaced(noise={"name": "on_the_fly", "lowest_dose": 0.5, "highest_dose": 0.2})


def test_batches_hold_fresh_noise_in_network_scale(simulated, fresh):
    job = prepare_job([simulated], fresh, seed=2)
    assert isinstance(job.batches, PatchBatches)
    batch = job.batches[0]
    spread = (batch.low - batch.target.image).std() * (HuRange().high - HuRange().low)
    assert 5 < spread < 500
    assert job.trained_on["dose_fraction"] == [0.1, 0.4]
    assert job.trained_on["noise"] == "on_the_fly"


def test_processes_draw_for_their_patches_what_one_process_draws(simulated, fresh):
    whole = prepare_job([simulated], fresh, seed=2).batches[1].low
    for rank in range(2):
        job = prepare_job([simulated], fresh, seed=2)
        job.batches.dataset.data.rank, job.batches.dataset.data.world = rank, 2
        apart_hu = (job.batches[1].low - whole[2 * rank : 2 * rank + 2]) * HuRange().width_hu
        # The last bits of a transform depend on how many are done at once; then it is rounded.
        assert apart_hu.abs().max() < 1.01
        assert (apart_hu.abs() > 0.5).float().mean() < 1e-3


def test_noise_of_scaled_patches_is_scaled_with_them(simulated, fresh):
    scaled = fresh.replaced(patches={"size": 24, "smallest_scale": 0.7, "largest_scale": 1.4})
    plain = prepare_job([simulated], fresh.replaced(steps=40), seed=2).batches
    batches = prepare_job([simulated], scaled.replaced(steps=40), seed=2).batches

    def strength(batch) -> float:
        return float((batch.low - batch.target.image).square().mean())

    assert batches[0].low.shape == plain[0].low.shape
    one, other = (
        np.mean([strength(each[step]) for step in range(40)]) for each in (plain, batches)
    )
    # Windows are larger and places fewer; interpolation costs some percent of the noise.
    assert np.sqrt(other / one) == pytest.approx(1.0, abs=0.15)


def test_a_resumed_run_on_fresh_noise_equals_an_uninterrupted_one(
    simulated, fresh, tmp_path, monkeypatch
):
    pairs = [simulated.folder]
    task.run(pairs, fresh, out=tmp_path / "whole", seed=1)

    def dying(table, row, record=task.MetricsTable.record):
        record(table, row)
        if row["step"] == 4:
            raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(task.MetricsTable, "record", dying)
        with pytest.raises(MemoryError):
            task.run(pairs, fresh, out=tmp_path / "parts", seed=1)
    task.run(pairs, fresh, out=tmp_path / "parts", seed=1, resume=True)
    for name in ("model.safetensors", "last/step_000000008.safetensors"):
        whole, parts = ((tmp_path / run / name).read_bytes() for run in ("whole", "parts"))
        assert whole == parts
