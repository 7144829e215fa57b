"""Which network is kept, when a run stops, and what is written about it."""

from __future__ import annotations

import json

import pytest
import torch
from tensorboardX.proto.event_pb2 import Event

from ctdenoise.config.training import TrainSettings
from ctdenoise.networks.checkpoint import load_checkpoint
from ctdenoise.tasks import train as task
from ctdenoise.training import state
from ctdenoise.training.best import take_note
from ctdenoise.training.job import prepare_job
from ctdenoise.training.records import read_metrics
from ctdenoise.training.state import Progressed
from ctdenoise.training.validation import Measured


def _course(values, metric, least_gain, keep="best"):
    """Counts of measurements without a gain, and which were the best so far."""
    settings = TrainSettings.model_validate(
        {
            "validation": {"metric": metric, "keep": keep},
            "early_stopping": {"least_gain": least_gain},
            "network": {"name": "redcnn", "head": {"classes": 2}},
            "loss": {"terms": [{"name": "dice"}]},
        }
    )
    progressed, counts, kept = Progressed(), [], []
    for value in values:
        progressed.step += 1
        named = {"rmse_hu": 0.0, "psnr_db": 0.0, "loss": 0.0, metric: value}
        kept.append(take_note(progressed, Measured(baseline_rmse_hu=9.0, **named), settings))
        counts.append(progressed.checks_without_gain)
    return counts, kept, progressed


def test_many_small_gains_add_up_to_one_that_counts():
    # 0.4 HU each: against the last value that counted, every third one is more than 1 HU.
    counts, kept, _ = _course([10.0, 9.6, 9.2, 8.8, 8.4], "rmse_hu", 1.0)
    assert counts == [0, 1, 2, 0, 1]
    assert kept == [True] * 5


def test_tiny_gains_do_not_keep_a_run_alive():
    counts, _, progressed = _course([10.0, 9.999, 9.998, 9.997], "rmse_hu", 0.01)
    assert counts == [0, 1, 2, 3]
    assert progressed.best.value == 9.997


def test_the_last_network_is_kept_where_that_is_asked_for():
    counts, kept, progressed = _course([10.0, 12.0, 10.5], "rmse_hu", 0.5, keep="last")
    assert kept == [True] * 3
    assert (progressed.best.step, progressed.best.value) == (3, 10.5)
    assert counts == [0, 1, 2]


def test_a_fall_back_and_recovery_is_no_gain():
    counts, kept, _ = _course([10.0, 12.0, 10.5, 9.0], "rmse_hu", 0.5)
    assert counts == [0, 1, 2, 0]
    assert kept == [True, False, False, True]


@pytest.mark.parametrize("metric", ["psnr_db", "dice"])
def test_larger_is_better_where_it_is(metric):
    counts, kept, progressed = _course([0.5, 0.7, 0.6], metric, 0.1)
    assert (counts, kept) == ([0, 0, 1], [True, True, False])
    assert (progressed.best.step, progressed.best.value) == (2, 0.7)


@pytest.fixture
def pairs(make_pair):
    return [make_pair(doses=(0.25, 0.5)).folder]


def test_the_named_metric_decides_which_network_is_kept(pairs, tiny, tmp_path):
    by_psnr = tiny.replaced(validation={"every": 2, "slices": 2, "crop": 32, "metric": "psnr_db"})
    report = task.run(pairs, by_psnr, out=tmp_path / "run")
    measured = {
        int(row["step"]): float(row["val_psnr_db"])
        for row in read_metrics(tmp_path / "run")
        if row["val_psnr_db"]
    }
    assert report.best_step == max(measured, key=measured.get)
    assert load_checkpoint(report.model).training["metric"] == "psnr_db"


def test_psnr_and_loss_are_those_of_the_formulas(make_pair, tiny):
    job = prepare_job([make_pair()], tiny, seed=0)  # as yet it returns its input
    measured = job.validator.measure(job.network)
    low = torch.cat([torch.tensor(item.low.astype("f8")).ravel() for item in job.validator.slices])
    full = torch.cat(
        [torch.tensor(item.full.astype("f8")).ravel() for item in job.validator.slices]
    )
    clipped = (low.clamp(-160, 240) - full.clamp(-160, 240)).square().mean()
    assert measured.psnr_db == pytest.approx(float(10 * torch.log10(400**2 / clipped)), abs=1e-6)
    assert measured.loss == pytest.approx(float((low - full).square().mean()) / 1000**2, rel=1e-5)


def test_validation_dice_without_a_head_is_refused():
    with pytest.raises(ValueError, match=r"validation\.metric=dice needs"):
        TrainSettings.model_validate({"validation": {"metric": "dice"}})


def test_the_running_mean_is_measured_kept_and_resumed_bit_for_bit(pairs, tiny, tmp_path):
    settings = tiny.replaced(ema={"decay": 0.5}, schedule={"name": "constant"})
    whole = task.run(pairs, settings, out=tmp_path / "whole")
    task.run(pairs, settings.replaced(steps=5), out=tmp_path / "parts")
    # A shorter run was measured at its end, too; so the kept networks may differ, the states not.
    task.run(pairs, settings, out=tmp_path / "parts", resume=True)
    one, other = (
        (tmp_path / name / "last" / "step_000000008.safetensors").read_bytes()
        for name in ("whole", "parts")
    )
    assert one == other

    job = prepare_job(task.find_pairs(pairs), settings, seed=0)
    state.restore_state(tmp_path / "whole", job.network, job.optimizer, job.average)
    kept = load_checkpoint(whole.model)
    assert kept.training["step"] == 8
    raw, mean = job.network.state_dict(), job.average.network.state_dict()
    assert all(torch.equal(kept.weights[name], mean[name]) for name in mean)
    assert not all(torch.equal(raw[name], mean[name]) for name in mean)
    assert job.validator.measure(job.judged).rmse_hu == kept.training["val_rmse_hu"]


def _events(folder):
    for path in sorted(folder.glob("events.*")):
        content, place = path.read_bytes(), 0
        while place < len(content):
            size = int.from_bytes(content[place : place + 8], "little")
            yield Event.FromString(content[place + 12 : place + 12 + size])
            place += 12 + size + 4


def test_tensorboard_gets_figures_and_pictures(pairs, tiny, tmp_path):
    task.run(pairs, tiny, out=tmp_path / "run")
    values = [
        (event.step, value) for event in _events(tmp_path / "run") for value in event.summary.value
    ]
    pictures = [(step, value.image) for step, value in values if value.HasField("image")]
    assert [step for step, _ in pictures] == [3, 6, 8]  # one slice is held out
    assert {(image.height, image.width) for _, image in pictures} == {(32, 4 * 32)}
    rates = {step: value.simple_value for step, value in values if value.tag == "learning_rate"}
    written = {int(r["step"]): float(r["learning_rate"]) for r in read_metrics(tmp_path / "run")}
    assert rates == pytest.approx(written, rel=1e-6)


def test_pictures_can_be_left_out(pairs, tiny, tmp_path):
    none = {"every": 3, "slices": 2, "crop": 32, "pictures": {"slices": 0}}
    task.run(pairs, tiny.replaced(validation=none), out=tmp_path / "run")
    assert not any(
        value.HasField("image")
        for event in _events(tmp_path / "run")
        for value in event.summary.value
    )


def test_every_term_of_the_loss_has_a_column(pairs, tiny, tmp_path):
    settings = tiny.replaced(
        network={"name": "autoencoder", "kind": "variational", "code": 4, "hidden": 4},
        loss={"terms": [{"name": "mse"}, {"name": "l1"}]},
    )
    task.run(pairs, settings, out=tmp_path / "run")
    for row in read_metrics(tmp_path / "run"):
        assert all(float(row[name]) >= 0 for name in ("loss_mse", "loss_l1", "loss_penalty"))


def test_the_readme_explains_every_file_and_column(pairs, tiny, tmp_path):
    out = tmp_path / "run"
    task.run(pairs, tiny.replaced(ema={"decay": 0.9}), out=out, seed=7)
    text = (out / "README.md").read_text()
    for path in out.iterdir():
        name = "events.*" if path.name.startswith("events.") else path.name
        assert path.name == "README.md" or name in text, path.name
    assert all(f"`{column}`" in text for column in read_metrics(out)[0])
    assert "ctdenoise train PAIRS --out FOLDER --config settings.yaml --seed 7" in text


def test_the_command_of_the_readme_makes_the_run_again(pairs, tiny, tmp_path):
    from ctdenoise.config.load import load_settings

    first, again = tmp_path / "first", tmp_path / "again"
    task.run(pairs, tiny, out=first, seed=7)
    task.run(pairs, load_settings(TrainSettings, first / "settings.yaml"), out=again, seed=7)
    assert (again / "model.safetensors").read_bytes() == (first / "model.safetensors").read_bytes()


def test_run_json_names_threads_and_processes(pairs, tiny, tmp_path):
    task.run(pairs, tiny.replaced(threads=1), out=tmp_path / "run")
    results = json.loads((tmp_path / "run" / "run.json").read_text())["results"]
    assert (results["threads"], results["processes"], results["changes"]) == (1, 1, [])
