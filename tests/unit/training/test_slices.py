"""Training of networks that see neighbouring slices."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from ctdenoise.config.training import PatchSettings, TrainSettings
from ctdenoise.core.geometry import Geometry
from ctdenoise.core.intensity import HuRange
from ctdenoise.core.neighbours import neighbour_indices
from ctdenoise.inference.load import load_denoiser
from ctdenoise.io.pair_images import PADDING_HU
from ctdenoise.io.read import read_volume
from ctdenoise.io.staged_scan import stage_scans
from ctdenoise.networks.checkpoint import load_checkpoint
from ctdenoise.simulation.fresh_noise import FreshNoise
from ctdenoise.simulation.overlap import layer_weights
from ctdenoise.simulation.patch_noise import Places
from ctdenoise.tasks import train as task
from ctdenoise.training.batches import ToNetworkScale
from ctdenoise.training.gathering import GatherPatches
from ctdenoise.training.job import prepare_job
from ctdenoise.training.patches import EachPatch, PatchBatches
from ctdenoise.training.plans import BatchPlans, PatchSource
from ctdenoise.training.symmetries import turned
from tests.unit.training.scans import scan
from tests.unit.training.test_fresh_noise import scan_of

CPU = torch.device("cpu")
SIZE = 16


def _geometry(slices, rows, columns, *, gap_before=None):
    even = Geometry.axial((slices, rows, columns), pixel_spacing_mm=1.0, slice_spacing_mm=2.0)
    positions = even.positions_mm.copy()
    if gap_before is not None:
        positions[gap_before:, 2] += 30.0
    return dataclasses.replace(even, positions_mm=positions)


def _source(seed, *, shape=(4, 40, 50), doses=2, reach=1, gap_before=None):
    """Voxels that name their own place, so a patch shows where it came from."""
    full = np.arange(np.prod(shape), dtype=np.int32).reshape(shape) % 30_000
    full = (full + seed).astype(np.int16)
    return PatchSource(
        full=full,
        low=tuple((full + 1000 * (dose + 1)).astype(np.int16) for dose in range(doses)),
        around=neighbour_indices(_geometry(*shape, gap_before=gap_before), reach),
    )


def _plans(sources, **changes):
    settings = PatchSettings(**{"size": SIZE, "least_body": 0.0, **changes})
    return BatchPlans(sources, settings, batch_size=32, steps=20, seed=3)


@pytest.mark.parametrize("reach", [1, 2])
def test_neighbours_are_cut_out_at_the_same_place_and_turned_alike(reach):
    sources = [
        _source(0, reach=reach, gap_before=2),
        _source(7, shape=(6, 33, 20), doses=1, reach=reach),
    ]
    plans, symmetries = _plans(sources), set()
    for step in range(4):
        plan = plans[step]
        batch = GatherPatches(sources, SIZE)(plan)
        for n in range(32):
            source, symmetry = sources[plan.source[n]], int(plan.symmetry[n])
            symmetries.add(symmetry)
            rows = slice(plan.row[n], plan.row[n] + SIZE)
            columns = slice(plan.column[n], plan.column[n] + SIZE)
            around = source.around[plan.z[n]].tolist()
            low = source.low[plan.dose[n]]
            wanted = [turned(low[z, rows, columns], symmetry) for z in around]
            np.testing.assert_array_equal(batch.low[n], wanted.pop(reach))
            np.testing.assert_array_equal(batch.beside[n], wanted)
            assert np.array_equal(
                batch.full[n], turned(source.full[plan.z[n], rows, columns], symmetry)
            )
    assert symmetries == set(range(8))


def test_the_middle_is_what_a_network_of_one_slice_gets():
    sources = [_source(0), _source(7, shape=(6, 33, 20), doses=1)]
    alone = [dataclasses.replace(source, around=None) for source in sources]
    several, one = (PatchBatches(_plans(each), HuRange(), CPU)[1] for each in (sources, alone))
    assert torch.equal(several.low, one.low)
    assert torch.equal(several.target.image, one.target.image)
    assert (one.beside, one.seen.shape[1]) == (None, 1)
    assert torch.equal(several.seen[:, 1:2], one.seen)


@pytest.mark.parametrize("reach", [1, 2])
def test_cut_on_the_device_they_are_the_same_bit_for_bit(reach):
    sources = [
        _source(0, reach=reach, gap_before=1),
        _source(7, shape=(6, 33, 26), doses=1, reach=reach),
    ]
    for changes in ({}, {"smallest_scale": 0.8, "jitter_hu": 20, "jitter_gain": 0.1}):
        plans = _plans(sources, **changes)
        here, there = (
            PatchBatches(plans, HuRange(), CPU, on_device=on_device) for on_device in (False, True)
        )
        for step in range(3):
            assert torch.equal(here[step].seen, there[step].seen)
            assert here[step].seen.shape == (32, 2 * reach + 1, SIZE, SIZE)


def test_scale_and_jitter_change_all_slices_alike():
    source = _source(0)
    flat = np.repeat(source.full[:1], 4, axis=0)
    same = dataclasses.replace(source, full=flat, low=(flat,))
    changes = {"smallest_scale": 0.7, "largest_scale": 1.3, "jitter_hu": 50, "jitter_gain": 0.2}
    batch = PatchBatches(_plans([same], **changes), HuRange(), CPU)[0]
    assert not torch.equal(batch.low, PatchBatches(_plans([same]), HuRange(), CPU)[0].low)
    for channel in range(3):
        assert torch.equal(batch.seen[:, channel : channel + 1], batch.low)


def test_padding_of_a_neighbour_becomes_air():
    low = np.zeros((3, SIZE, SIZE), np.int16)
    low[0] = PADDING_HU
    around = neighbour_indices(_geometry(3, SIZE, SIZE), 1)
    source = PatchSource(full=np.zeros_like(low), low=(low,), around=around)
    plan = _plans([source])[0]
    seen = ToNetworkScale(HuRange(-1000.0, 0.0), CPU)(GatherPatches([source], SIZE)(plan)).seen
    middle = torch.from_numpy(plan.z == 1)
    assert (seen[middle][:, 0] == 0).all()
    assert (seen[middle][:, 1:] == 1).all()


def test_a_transform_of_monai_is_given_the_neighbours():
    def mirrored(images):
        return {key: value.flip(-1) for key, value in images.items()}

    sources = [_source(0)]
    plain = PatchBatches(_plans(sources), HuRange(), CPU)[0]
    changed = PatchBatches(_plans(sources), HuRange(), CPU, [EachPatch(mirrored)])[0]
    assert torch.equal(changed.seen, plain.seen.flip(-1))


class TestFreshNoise:
    COUNT = 300
    EDGE = 24

    def drawn(self, files, thickness_mm=None, z=2, dose=0.2):
        """Noise of slices z - 1, z, z + 1 at one place, many times, [patch, slice, y, x]."""
        stored = np.asarray(files.open().full)
        weights = layer_weights(files.geometry.along_normal_mm(), thickness_mm)
        scan = dataclasses.replace(scan_of(files), layer_weights=weights)
        noise = FreshNoise(scan, stored, padding=PADDING_HU, first=0, doses=(0.1, 0.4))
        every = np.ones(self.COUNT, np.int64)
        places = Places(z * every, 20 * every, 20 * every, self.EDGE)
        around = neighbour_indices(files.geometry, 1)[places.z]
        seeds = list(range(10**6, 10**6 * (self.COUNT + 1), 10**6))
        doses = [dose] * self.COUNT
        together = noise.draw_around(places, around, doses, seeds)
        return together, noise.draw_all(places, doses, seeds)

    def correlation(self, together, one, other):
        a, b = (together[:, each].reshape(-1).astype(np.float64) for each in (one, other))
        return float(np.corrcoef(a, b)[0, 1])

    # 300 patches of about 150 independent pixels: a correlation scatters by 0.005.

    def test_neighbours_have_noise_of_their_own(self, simulated):
        together, alone = self.drawn(simulated)
        assert np.array_equal(together[:, 1], alone)
        assert self.correlation(together, 0, 1) == pytest.approx(0, abs=0.025)
        assert self.correlation(together, 0, 2) == pytest.approx(0, abs=0.025)
        strengths = together.std(axis=(0, 2, 3), dtype=np.float64)
        assert strengths == pytest.approx([strengths[1]] * 3, rel=0.03)

    def test_slices_that_overlap_share_it(self, simulated):
        together, alone = self.drawn(simulated, thickness_mm=5.0)  # 3 mm apart
        assert self.correlation(together, 0, 1) == pytest.approx(1 - 3 / 5, abs=0.025)
        assert self.correlation(together, 1, 2) == pytest.approx(1 - 3 / 5, abs=0.025)
        assert self.correlation(together, 0, 2) == pytest.approx(0, abs=0.025)
        assert together.std() == pytest.approx(float(alone.std()), rel=0.03)

    def test_a_repeated_slice_has_the_same_noise_twice(self, simulated):
        for thickness_mm in (None, 5.0):
            together, _ = self.drawn(simulated, thickness_mm, z=0)
            assert np.array_equal(together[:, 0], together[:, 1])
            assert not np.array_equal(together[:, 1], together[:, 2])

    def test_patches_show_it_and_are_told_that_of_the_middle(self, simulated, tiny):
        settings = tiny.replaced(
            network={"name": "redcnn", "channels": 4, "noise_input": True, "slices": 3},
            noise={"name": "on_the_fly", "lowest_dose": 0.1, "highest_dose": 0.4},
            patches={"size": 24, "least_body": 1.0},
        )
        job = prepare_job([simulated], settings, seed=2)
        batch = job.batches[0]
        assert batch.seen.shape == (4, 4, 24, 24)
        assert torch.equal(batch.seen[:, 3:], batch.noise)
        one = settings.replaced(network={"name": "redcnn", "channels": 4, "noise_input": True})
        plain = prepare_job([simulated], one, seed=2).batches[0]
        assert torch.equal(plain.low, batch.low)
        assert torch.equal(plain.noise, batch.noise)
        # The disc is the same in every slice, so what differs is noise, of twice the variance.
        first = job.plans[0].z > 0
        difference = (batch.seen[:, :1] - batch.low)[first].square().mean().sqrt()
        assert difference / batch.noise[first].mean() == pytest.approx(2**0.5, rel=0.1)


def test_what_is_added_to_a_scan_shares_noise_from_slice_to_slice_as_the_scan_does(tiny, tmp_path):
    """Else a network could tell the noise of the target from the slices beside."""
    study = scan(tmp_path / "shared", shared=True)  # neighbours share half of their noise
    settings = tiny.replaced(
        network={"name": "redcnn", "channels": 4, "slices": 3},
        supervision={"name": "recorrupted"},
        patches={"size": 24, "least_body": 1.0},
        steps=60,
    )
    job = prepare_job(stage_scans([study]), settings, seed=2)
    width, kept = job.hu_range.width_hu, []
    for step in range(60):
        batch, plan = job.batches[step], job.plans[step]
        inner = plan.z > 0
        # The image is flat water: what is not 0 HU is noise.
        beside, target = (
            (each[inner, :1] - job.hu_range.to_network(0.0)) * width
            for each in (batch.seen, batch.target.image)
        )
        kept.append(float((beside * target).mean()))
    # Independent noise would leave half of the scan's own variance, 200 HU^2.
    assert np.mean(kept) == pytest.approx(0, abs=60.0)


def test_held_out_slices_are_judged_with_those_beside_them_and_no_others(make_pair, tiny):
    pair = make_pair(slices=8, doses=(0.25,))
    settings = tiny.replaced(
        network={"name": "redcnn", "channels": 4, "slices": 3},
        validation={"every": 3, "slices": 8, "crop": 32, "share": 0.5},
    )
    job = prepare_job([pair], settings, seed=0)
    low = np.asarray(pair.open().low[0])[:, 8:40, 8:40]
    shown = [item.beside for item in job.validator.slices]
    assert [item.low.tolist() for item in job.validator.slices] == low[4:].tolist()
    np.testing.assert_array_equal(shown[0], low[[4, 5]])  # slice 3 trains
    np.testing.assert_array_equal(shown[1], low[[4, 6]])
    np.testing.assert_array_equal(shown[3], low[[6, 7]])
    assert job.plans.sources[0].around.max() == 3


NETWORKS = {
    "redcnn": {"name": "redcnn", "channels": 4, "slices": 3, "noise_input": True},
    "unet": {"name": "unet", "features": (4, 4, 4, 4, 4, 4), "slices": 5},
    "head": {"name": "redcnn", "channels": 4, "slices": 3, "head": {"classes": 4}},
    "sigma": {"name": "redcnn", "channels": 4, "slices": 3, "predict_sigma": True},
}
LOSSES = {
    "head": {"terms": [{"name": "mse"}, {"name": "dice"}]},
    "sigma": {"terms": [{"name": "heteroscedastic"}]},
}


@pytest.mark.parametrize("name", list(NETWORKS))
def test_a_network_of_several_slices_trains_and_denoises(make_pair, tiny, tmp_path, name):
    folder = make_pair(slices=8, labelled=True).folder
    settings = tiny.replaced(
        network=NETWORKS[name], loss=LOSSES.get(name, {}), patches={"size": 32}
    )
    report = task.run([folder], settings, out=tmp_path / "model")
    assert report.steps == 8
    checkpoint = load_checkpoint(report.model)
    assert checkpoint.network.slices == NETWORKS[name]["slices"]
    found = load_denoiser(report.model)
    assert found.context == NETWORKS[name]["slices"] // 2
    volume = read_volume(next(folder.glob("low*")))
    assert found(volume).shape == volume.shape


@pytest.mark.parametrize("name", ["noisy_target", "recorrupted"])
def test_it_learns_without_a_clean_full_dose_as_well(name, make_pair, tiny, tmp_path):
    settings = tiny.replaced(network=NETWORKS["redcnn"], supervision={"name": name})
    data = make_pair().folder if name == "noisy_target" else scan(tmp_path / "study")
    assert task.run([data], settings, out=tmp_path / "model").steps == 8


@pytest.mark.parametrize("name", ["noise2sim", "noise2void"])
def test_what_would_show_the_answer_is_refused(name, tiny):
    supervision = {"name": name}
    if name == "noise2void":
        supervision["allow_correlated_noise"] = True
    values = tiny.as_json() | {"supervision": supervision, "network": NETWORKS["redcnn"]}
    with pytest.raises(ValidationError, match=r"Set network\.slices=1"):
        TrainSettings.model_validate(values)
