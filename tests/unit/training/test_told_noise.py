"""Training of networks that are told the noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from ctdenoise.config.dose import SimulateSettings
from ctdenoise.config.inference import InferSettings
from ctdenoise.core.source import SourceInstance, SourceSeries
from ctdenoise.core.volume import CTVolume
from ctdenoise.inference.load import load_denoiser
from ctdenoise.io.pair_writer import write_pairs
from ctdenoise.io.pairs import find_pairs
from ctdenoise.networks.checkpoint import MODEL_FILE, load_checkpoint
from ctdenoise.networks.prediction import Prediction
from ctdenoise.simulation.low_dose import simulate_doses
from ctdenoise.tasks import train as task
from ctdenoise.training.expected_noise import expected_noise
from ctdenoise.training.gathering import GatherPatches
from ctdenoise.training.job import prepare_job
from tests.builders import water_disc

SLICES = 6


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    """A pair of a disc without noise, of which half lies off the middle of the scanner."""
    folder = tmp_path_factory.mktemp("pairs") / "a"
    folder.mkdir()
    clean = water_disc(slices=SLICES, size=64, radius_mm=70.0)
    source = SourceSeries("nifti", tuple(SourceInstance(Path("x")) for _ in range(SLICES)))
    full = CTVolume(clean.hu, clean.geometry, clean.acquisition, source)
    settings = SimulateSettings.model_validate(
        {
            "dose": 0.25,
            "photons": 1e5,
            "source_noise": "none",
            "scanner": {"channels": 192, "channel_pitch_mm": 4.8, "views_per_turn": 160},
        }
    )
    write_pairs(folder, simulate_doses(full, settings, np.random.default_rng(1)))
    return find_pairs([folder])[0]


@pytest.fixture
def told(tiny):
    return tiny.replaced(network={"name": "redcnn", "channels": 4, "noise_input": True})


@pytest.fixture
def fresh(told):
    return told.replaced(noise={"name": "on_the_fly", "lowest_dose": 0.05, "highest_dose": 0.8})


def root_mean_square(values):
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))


def test_fresh_noise_is_told_as_strong_as_it_is_drawn(simulated, fresh):
    job = prepare_job([simulated], fresh.replaced(steps=60), seed=2)
    ratios = []
    for step in range(60):
        batch = job.batches[step]
        added = (batch.low - batch.target.image).square().mean(dim=(1, 2, 3)).sqrt()
        ratios.append(added / batch.noise.square().mean(dim=(1, 2, 3)).sqrt())
    ratio = torch.cat(ratios)
    # 240 patches of about 150 independent pixels: their SDs scatter by 6 %, the mean by 0.4 %.
    assert float(ratio.mean()) == pytest.approx(1.0, abs=0.03)
    assert float(ratio.std()) < 0.2


def test_the_drawn_deviation_has_the_shape_of_the_noise(simulated, fresh):
    noise = prepare_job([simulated], fresh, seed=2).batches.dataset.data.sources[0].fresh
    drawn = np.array([noise.draw(2, (10, 12), 40, dose=0.2, seed=n) for n in range(400)])
    ratio = drawn.std(axis=0) / noise.deviation(2, (10, 12), 40, dose=0.2)
    # The SD of 400 draws scatters by 3.5 %; it is told for a coarse grid and one spectrum a patch.
    assert ratio.mean() == pytest.approx(1.0, abs=0.02)
    assert ratio.std() < 0.06


def test_stored_pairs_tell_what_was_added(make_pair, told):
    pair = make_pair(doses=(0.25, 0.04), size=64)
    job = prepare_job([pair], told, seed=1)
    source = job.batches.dataset.data.sources[0]
    for low, sd in enumerate((40.0, 100.0)):
        assert np.median(source.expected.added[low].sd_hu) == pytest.approx(sd, rel=0.05)
        expected = source.expected.of(1, (20, 20), 24, low=low, dose=np.nan)
        assert expected.mean() == pytest.approx(sd, rel=0.1)


def test_where_the_target_lacks_the_own_noise_it_is_told_as_well(make_pair):
    arrays = make_pair(doses=(0.25,), size=64, own_noise_hu=30.0).open()
    for own_counts, sd in ((False, 40.0), (True, 50.0)):
        expected = expected_noise(
            np.asarray(arrays.full), arrays.low, (1.0, 1.0), None, own_counts=own_counts
        )
        told_hu = expected.of(1, (20, 20), 24, low=0, dose=np.nan)
        assert told_hu.mean() == pytest.approx(sd, rel=0.1)


def test_the_told_noise_is_turned_with_its_patch(simulated, fresh):
    plans = prepare_job([simulated], fresh, seed=2).batches.dataset.data
    gather = GatherPatches(plans.sources, 24)
    seen = set()
    for step in range(8):
        plan = plans[step]
        stored = gather(plan)
        for n in range(len(plan.source)):
            place = (int(plan.row[n]), int(plan.column[n]))
            noise = plans.sources[0].expected.of(
                int(plan.z[n]), place, 24, low=0, dose=float(plan.dose_fraction[n])
            )
            symmetry = int(plan.symmetry[n])
            noise = noise[::-1] if symmetry & 1 else noise
            noise = noise[:, ::-1] if symmetry & 2 else noise
            assert (stored.noise[n] == (noise.T if symmetry & 4 else noise)).all()
            seen.add(symmetry)
    assert len(seen) == 8


def test_the_network_sees_image_and_noise_and_the_loss_the_image(simulated, fresh, tiny):
    batch = prepare_job([simulated], fresh, seed=2).batches[0]
    assert batch.seen.shape == (4, 2, 24, 24)
    assert torch.equal(batch.seen[:, :1], batch.low)
    assert torch.equal(batch.target.low, batch.low)
    plain = prepare_job([simulated], tiny, seed=2).batches[0]
    assert plain.noise is None
    assert plain.seen is plain.low


def test_relative_to_the_noise_every_dose_weighs_the_same(simulated, fresh):
    loss = {"relative_to_noise": True}
    weights = []
    for dose in (0.05, 0.8):
        noise = {"name": "on_the_fly", "lowest_dose": dose, "highest_dose": dose}
        settings = fresh.replaced(noise=noise, loss=loss, hu_range={"low": 0, "high": 1000})
        job = prepare_job([simulated], settings.replaced(steps=60), seed=2)
        steps = [job.batches[step] for step in range(60)]
        losses = [job.loss(Prediction(batch.low), batch.target).total for batch in steps]
        weights.append(float(torch.stack(losses).mean()))
    # Doing nothing leaves the noise told, which counts as 30 HU. The mean square of 240 patches of
    # about 150 independent pixels scatters by 0.8 %; what is told is true within 3 % (above).
    assert weights == pytest.approx([0.03**2] * 2, rel=0.1)


def test_validation_measures_the_noise_that_the_reference_lacks(make_pair, told):
    pair = make_pair(doses=(0.25,), size=64, own_noise_hu=30.0)
    for item in prepare_job([pair], told, seed=1).validator.slices:
        assert item.noise.shape == item.low.shape
        assert np.median(item.noise) == pytest.approx(40.0, rel=0.15)


def test_a_checkpoint_tells_between_which_limits_it_was_told_noise(simulated, fresh, tmp_path):
    task.run([simulated.folder], fresh.replaced(steps=3), out=tmp_path / "run", seed=1)
    checkpoint = load_checkpoint(tmp_path / "run" / MODEL_FILE)
    low, high = checkpoint.training["trained_on"]["told_noise_hu"]
    assert 0 < low < high
    assert checkpoint.build().constraints.noise_input


NETWORKS = [
    {"name": "redcnn", "channels": 4, "noise_input": True},
    {"name": "unet", "features": (4, 4, 4, 4, 4, 4), "noise_input": True},
    {"name": "compact", "channels": 4, "pairs": 1, "noise_input": True},
]


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network["name"])
def test_a_killed_and_resumed_run_equals_an_uninterrupted_one(
    simulated, fresh, network, tmp_path, monkeypatch
):
    loss, patches = {"relative_to_noise": True}, {"size": 32}
    settings = fresh.replaced(network=network, loss=loss, patches=patches)
    pairs = [simulated.folder]
    task.run(pairs, settings, out=tmp_path / "whole", seed=1)

    def dying(table, row, record=task.MetricsTable.record):
        record(table, row)
        if row["step"] == 4:
            raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(task.MetricsTable, "record", dying)
        with pytest.raises(MemoryError):
            task.run(pairs, settings, out=tmp_path / "parts", seed=1)
    task.run(pairs, settings, out=tmp_path / "parts", seed=1, resume=True)
    for name in ("model.safetensors", "last/step_000000008.safetensors"):
        whole, parts = ((tmp_path / run / name).read_bytes() for run in ("whole", "parts"))
        assert whole == parts


LEARNING = [
    {"name": "redcnn", "channels": 6, "noise_input": True},
    {"name": "unet", "features": (6, 6, 8, 8, 8, 6), "noise_input": True},
    {"name": "compact", "channels": 24, "pairs": 2, "noise_input": True},
]


@pytest.fixture(params=LEARNING, ids=lambda network: network["name"])
def learnt(request, make_pair, told, tmp_path):
    """A network after a short training on four doses of one disc."""
    make_pair(doses=(1.0, 0.5, 0.25, 0.1), size=64, slices=6)
    settings = told.replaced(
        network=request.param,
        loss={"relative_to_noise": True},
        patches={"size": 32},
        steps=150,
        batch_size=8,
        hu_range={"low": 0, "high": 1000},
        optimizer={"learning_rate": 2e-3},
        schedule={"name": "cosine", "warmup_steps": 20},
        validation={"every": 150, "slices": 2, "crop": 48},
        record_every=50,
        checkpoint_every=150,
    )
    task.run([tmp_path / "pairs"], settings, out=tmp_path / "run", seed=3)
    return tmp_path / "run"


def test_raising_the_stated_noise_removes_more_and_the_right_one_serves_best(learnt):
    clean = water_disc(slices=3, size=64, radius_mm=40.0)
    noisy = water_disc(slices=3, size=64, radius_mm=40.0, noise_hu=40.0, seed=9)
    removed, left = [], []
    levels = (5.0, 10.0, 20.0, 40.0, 60.0, 80.0)
    for level in levels:
        result = load_denoiser(learnt, InferSettings(noise_level=level))(noisy)
        removed.append(root_mean_square(result.hu - noisy.hu))
        left.append(root_mean_square(result.hu - clean.hu))
    assert all(np.diff(removed) > 0), removed
    # After so short a training little is removed, but least is left where the truth is stated,
    # or beyond it.
    assert left[3] < 0.9 * root_mean_square(noisy.hu - clean.hu), left
    assert left[3] < left[2] < left[1] < left[0], left
