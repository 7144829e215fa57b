"""Runs that learn without pairs, or from pairs whose full dose is noisy."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage

from ctdenoise.config.supervision import NeighboursSettings
from ctdenoise.config.training import TrainSettings
from ctdenoise.core.volume import CTVolume
from ctdenoise.errors import PairsError, SettingsError, SimulationError, StudyError, UsageError
from ctdenoise.inference.load import load_denoiser
from ctdenoise.io.nifti import write_nifti
from ctdenoise.io.pairs import find_pairs
from ctdenoise.io.staged_scan import stage_scans
from ctdenoise.networks.checkpoint import load_checkpoint
from ctdenoise.tasks import train as task
from ctdenoise.training import loop, state
from ctdenoise.training.job import prepare_job
from ctdenoise.training.neighbours import neighbours_of
from ctdenoise.training.patches import PatchBatches
from ctdenoise.training.records import TIMINGS, read_metrics
from ctdenoise.training.shares import ShareOfPlans, piece_of
from ctdenoise.training.step import losses_of
from tests.builders import water_disc
from tests.unit.training.scans import scan

MODES = {
    "recorrupted": {"name": "recorrupted"},
    "noise2sim": {"name": "noise2sim", "furthest_mm": 10.0},
    "noise2void": {"name": "noise2void", "allow_correlated_noise": True},
}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return scan(tmp_path_factory.mktemp("study") / "a")


@pytest.fixture
def without_pairs(tiny: TrainSettings):
    def settings(name: str, **changes) -> TrainSettings:
        return tiny.replaced(
            supervision=MODES[name],
            validation={"every": 3, "slices": 2, "crop": 32, "share": 0.4},
            **changes,
        )

    return settings


def weights(out: Path) -> dict[str, bytes]:
    step = state.read_progress(out)[0].step
    return {
        "last": (out / "last" / f"step_{step:09d}.safetensors").read_bytes(),
        "model": (out / "model.safetensors").read_bytes(),
    }


def figures(out: Path):
    return [{k: v for k, v in row.items() if k not in TIMINGS} for row in read_metrics(out)]


@pytest.mark.parametrize("name", list(MODES))
def test_a_run_on_a_study_resumes_bit_for_bit_and_says_what_judged_it(
    study, without_pairs, tmp_path, monkeypatch, name
):
    settings = without_pairs(name)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    report = task.run([study], settings, out=whole, seed=1)

    def dying(table, row):
        if row["step"] == 4:
            raise MemoryError
        record(table, row)

    record = task.MetricsTable.record
    with monkeypatch.context() as patch:
        patch.setattr(task.MetricsTable, "record", dying)
        with pytest.raises(MemoryError):
            task.run([study], settings, out=parts, seed=1)
    task.run([study], settings, out=parts, seed=1, resume=True)
    assert figures(whole) == figures(parts)
    assert weights(whole) == weights(parts)
    assert "noise counts as error" in report.judged_by
    run = json.loads((whole / "run.json").read_text())
    assert run["results"]["judged_by"] == report.judged_by
    assert load_checkpoint(whole).training["trained_on"]["supervision"] == name
    assert "train STUDIES" in (whole / "README.md").read_text()
    # No voxel of the study stays behind: only what every run leaves.
    kept = {path.name for path in whole.iterdir() if not path.name.startswith("events")}
    assert kept == {
        "README.md",
        "last",
        "metrics.csv",
        "model.safetensors",
        "run.json",
        "settings.yaml",
    }


def test_another_scan_is_no_continuation(study, without_pairs, tmp_path):
    settings = without_pairs("noise2void")
    task.run([study], settings, out=tmp_path / "run")
    other = scan(tmp_path / "b", seed=1)
    with pytest.raises(UsageError, match="are others"):
        task.run([other], settings, out=tmp_path / "run", resume=True)


def test_recorrupted_input_and_target_differ_by_noise_as_strong_as_theory_says(
    study, without_pairs
):
    settings = without_pairs("recorrupted", steps=30, patches={"size": 24, "least_body": 1.0})
    job = prepare_job(stage_scans([study]), settings, seed=2)
    ratios, width = [], job.hu_range.width_hu
    for step in range(30):
        batch, plan = job.batches[step], job.plans[step]
        dose = torch.from_numpy(plan.dose_fraction)
        a_squared = 1 / dose - 1
        # y + a n' less y - n'/a is (a + 1/a) n'.
        difference = (batch.low - batch.target.image).square().mean(dim=(1, 2, 3)) * width**2
        wanted = (a_squared.sqrt() + a_squared.rsqrt()) ** 2 * 20.0**2
        ratios.append(difference / wanted)
    # Its strength is measured in the disc, whose pixels hold 20 HU of noise.
    assert float(torch.cat(ratios).mean()) == pytest.approx(1.0, abs=0.15)


def test_networks_that_are_told_the_noise_are_told_that_of_what_they_see(study, without_pairs):
    told = {"name": "redcnn", "channels": 4, "noise_input": True}
    found = {}
    for name in MODES:
        settings = without_pairs(name, network=told, patches={"size": 24, "least_body": 1.0})
        batch = prepare_job(stage_scans([study]), settings, seed=2).batches[0]
        found[name] = float(batch.noise.mean()) * settings.hu_range.high
    assert found["noise2sim"] == pytest.approx(20.0, rel=0.15)
    assert found["noise2void"] == pytest.approx(20.0, rel=0.15)
    assert 20.0 * 1.1 < found["recorrupted"] < 20.0 * 1.45  # doses of 0.5 to 0.8


def test_the_nearest_slices_that_share_no_noise_are_compared(without_pairs, tmp_path):
    study = scan(tmp_path / "shared", shared=True)
    (staged,) = stage_scans([study])
    near, far = (NeighboursSettings(furthest_mm=furthest_mm) for furthest_mm in (4.0, 7.0))
    with pytest.raises(SettingsError, match=r"share [45]\d% of it"):
        neighbours_of(staged, near)
    found = neighbours_of(staged, far)
    assert (found.distance, found.distance_mm) == (2, 6.0)
    assert abs(found.correlation) < 0.2  # of some dozen patches
    settings = without_pairs("noise2sim").replaced(supervision=far)
    job = prepare_job([staged], settings, seed=0)
    part, source = job.parts[0], job.plans.sources[0]
    kept = staged.stored[part.start : part.stop]
    np.testing.assert_array_equal(source.full, kept[2:-2])
    np.testing.assert_array_equal(source.low[0], kept[:-4])
    np.testing.assert_array_equal(source.low[1], kept[4:])


def test_slices_that_are_too_far_apart_are_refused(study, without_pairs):
    settings = without_pairs("noise2sim").replaced(
        supervision={"name": "noise2sim", "furthest_mm": 0.5}
    )
    with pytest.raises(SettingsError, match=r"within 0\.5 mm"):
        prepare_job(stage_scans([study]), settings, seed=0)


def test_a_scan_without_noise_cannot_be_recorrupted(without_pairs, tmp_path):
    study = scan(tmp_path / "exact", sd_hu=0.0)
    with pytest.raises(SimulationError, match="noise of this scan cannot be measured"):
        prepare_job(stage_scans([study]), without_pairs("recorrupted"), seed=0)


def test_pairs_where_scans_are_wanted_and_the_reverse_give_one_clear_error(
    study, make_pair, tiny, without_pairs, tmp_path
):
    pair = make_pair()
    with pytest.raises(UsageError, match="hold training pairs"):
        task.run([pair.folder.parent], without_pairs("noise2void"), out=tmp_path / "a")
    with pytest.raises(PairsError, match="no training pair") as error:
        task.run([study], tiny, out=tmp_path / "b")
    assert "recorrupted" in str(error.value.fix)
    with pytest.raises(UsageError, match="plain scans were given"):
        prepare_job(stage_scans([study]), tiny, seed=0)
    with pytest.raises(UsageError, match="pairs were given"):
        prepare_job([pair], without_pairs("noise2void"), seed=0)
    assert not (tmp_path / "a").exists()
    assert not (tmp_path / "b").exists()


def test_a_folder_without_a_readable_scan_is_refused(tmp_path):
    with pytest.raises(StudyError):
        stage_scans([tmp_path])


def test_staged_scans_are_what_was_read_and_cannot_be_changed(study):
    (staged,) = stage_scans([study])
    assert staged.open().full is staged.stored
    assert staged.shape == (12, 96, 96)
    with pytest.raises(ValueError, match="read-only"):
        staged.stored[0, 0, 0] = 1
    sample = staged.sample([3, 5])
    np.testing.assert_array_equal(sample.hu, staged.stored[[3, 5]])
    assert staged.folder.name == "series 1"


@pytest.mark.parametrize("noise", ["from_pair", "on_the_fly"])
def test_a_noisy_target_changes_the_target_alone_and_is_drawn_alike(
    make_pair, tiny, simulated_pair, noise
):
    pair = simulated_pair if noise == "on_the_fly" else make_pair(size=64, slices=6)
    plain = tiny.replaced(noise={"name": noise})
    corrected = plain.replaced(supervision={"name": "noisy_target"})
    one, other = (prepare_job([pair], each, seed=3).batches[2] for each in (plain, corrected))
    if noise == "on_the_fly":
        assert torch.equal(one.low, other.low)
    assert other.target.weight is not None
    assert one.target.weight is None
    added = one.low - one.target.image
    if noise == "on_the_fly":
        shift = one.target.image - other.target.image
        k = 1 / other.target.weight - 1
        assert torch.allclose(shift, k * added, atol=2e-5)


def test_a_target_that_counts_as_free_of_noise_is_not_corrected(tiny, make_simulated):
    settings = tiny.replaced(noise={"name": "on_the_fly"}, supervision={"name": "noisy_target"})
    plain = prepare_job([make_simulated("none")], tiny.replaced(noise=settings.noise), seed=3)
    exact = prepare_job([make_simulated("none")], settings, seed=3)
    one, other = plain.batches[2], exact.batches[2]
    assert torch.equal(one.target.image, other.target.image)
    assert other.target.weight is not None
    assert (other.target.weight == 1).all()


@pytest.fixture
def simulated_pair(make_simulated):
    """A noisy disc and its quarter dose, as the simulator makes them."""
    return make_simulated("subtract")


@pytest.fixture
def make_simulated(tmp_path):
    """Makes that pair, with the noise of the disc taken for what it is, or for anatomy."""
    from ctdenoise.config.dose import SimulateSettings
    from ctdenoise.core.source import SourceInstance, SourceSeries
    from ctdenoise.io.pair_writer import write_pairs
    from ctdenoise.simulation.low_dose import simulate_doses

    def make(source_noise):
        clean = water_disc(slices=6, size=64, radius_mm=70.0)
        source = SourceSeries("nifti", tuple(SourceInstance(Path("x")) for _ in range(6)))
        noise = np.random.default_rng(0).normal(0, 15, clean.shape).astype(np.float32)
        full = CTVolume(clean.hu + noise, clean.geometry, clean.acquisition, source)
        settings = SimulateSettings.model_validate(
            {
                "dose": 0.25,
                "photons": 1e5,
                "source_noise": source_noise,
                "kernel": {"name": "header"},
                "scanner": {"channels": 192, "channel_pitch_mm": 4.8, "views_per_turn": 160},
            }
        )
        folder = tmp_path / source_noise
        folder.mkdir(exist_ok=True)
        write_pairs(folder, simulate_doses(full, settings, np.random.default_rng(1)))
        return find_pairs([folder])[0]

    return make


def test_noise2void_is_refused_with_the_reason(tiny):
    with pytest.raises(ValueError, match=r"correlated.*allow_correlated_noise"):
        tiny.replaced(supervision={"name": "noise2void"})


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"loss": {"terms": [{"name": "l1"}]}}, "mse"),
        ({"noise": {"name": "on_the_fly"}}, "no pairs"),
        ({"validation": {"metric": "psnr_db"}}, "metric"),
    ],
    ids=["loss", "noise", "metric"],
)
def test_what_does_not_fit_noisy_targets_is_refused(tiny, changes, reason):
    with pytest.raises(ValueError, match=reason):
        tiny.replaced(supervision={"name": "recorrupted"}, **changes)


def test_a_run_that_makes_its_start_worse_keeps_the_start_and_says_so(
    study, without_pairs, tmp_path, caplog
):
    settings = without_pairs("recorrupted", steps=6)
    task.run([study], settings, out=tmp_path / "start", seed=1)
    spoiling = {"learning_rate": 0.5}
    tuned = settings.replaced(
        init={"from": tmp_path / "start", "allow_seen_patients": True}, optimizer=spoiling
    )
    report = task.run([study], tuned, out=tmp_path / "tuned", seed=1)
    assert report.best_step == 0
    assert "started from is kept" in caplog.text
    before, after = (load_checkpoint(tmp_path / name).weights for name in ("start", "tuned"))
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_the_start_is_measured_once_more_when_a_run_is_killed_before_its_first_state(
    study, without_pairs, tmp_path, monkeypatch
):
    settings = without_pairs("noise2void", steps=6)
    task.run([study], settings, out=tmp_path / "start", seed=1)
    tuned = settings.replaced(init={"from": tmp_path / "start", "allow_seen_patients": True})
    task.run([study], tuned, out=tmp_path / "whole", seed=2)

    def die(*_):
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(loop, "_step", die)
        with pytest.raises(MemoryError):
            task.run([study], tuned, out=tmp_path / "parts", seed=2)
    task.run([study], tuned, out=tmp_path / "parts", seed=2, resume=True)
    assert weights(tmp_path / "whole") == weights(tmp_path / "parts")


@pytest.mark.parametrize("name", list(MODES))
def test_processes_and_pieces_share_a_batch_and_what_it_teaches(study, without_pairs, name):
    settings = without_pairs(name)
    job = prepare_job(stage_scans([study]), settings, seed=3)
    whole = job.whole_batch(1)
    for rank in range(2):
        share = ShareOfPlans(job.plans, rank=rank, world=2)
        part = PatchBatches(share, job.hu_range, job.device)[1]
        rows = slice(2 * rank, 2 * rank + 2)
        assert torch.equal(part.low, whole.low[rows])
        assert torch.equal(part.target.image, whole.target.image[rows])
        assert torch.equal(part.target.weight, whole.target.weight[rows])
    losses = [
        [
            losses_of(job.network, job.loss, piece_of(whole, n, pieces), precision="float32").total
            for n in range(pieces)
        ]
        for pieces in (1, 2)
    ]
    one, two = (float(torch.stack(each).mean().detach()) for each in losses)
    assert one == pytest.approx(two, rel=1e-5)


@pytest.mark.parametrize(
    ("blur", "works"), [(0.0, True), (0.8, False)], ids=["white", "correlated"]
)
def test_noise2void_removes_white_noise_and_keeps_correlated_noise(
    without_pairs, tmp_path, blur, works
):
    rng = np.random.default_rng(0)
    noise = ndimage.gaussian_filter(rng.normal(0, 1, (12, 96, 96)), (0, blur, blur), mode="wrap")
    clean = water_disc(slices=12, size=96, radius_mm=110.0, pixel_spacing_mm=2.5)
    hu = np.rint(clean.hu + 40 * noise / noise.std()).astype(np.float32)
    folder = tmp_path / "study"
    folder.mkdir()
    write_nifti(CTVolume(hu, clean.geometry, clean.acquisition), folder / "volume.nii")
    settings = without_pairs(
        "noise2void",
        network={"name": "redcnn", "channels": 8},
        steps=300,
        batch_size=8,
        patches={"size": 24, "least_body": 1.0},
        optimizer={"learning_rate": 2e-3},
        schedule={"name": "cosine", "warmup_steps": 40},
        record_every=300,
        checkpoint_every=300,
    ).replaced(validation={"every": 300, "slices": 2, "crop": 48, "share": 0.2})
    task.run([folder], settings, out=tmp_path / "run", seed=1)
    denoiser = load_denoiser(tmp_path / "run")
    volume = CTVolume(hu[:2], clean.geometry.select([0, 1]), clean.acquisition)
    left = denoiser(volume).hu[:, 32:64, 32:64].std() / hu[:2, 32:64, 32:64].std()
    assert (left < 0.5) == works
    assert works or left > 0.7
