from __future__ import annotations

import signal
from pathlib import Path

import pytest
import torch

from ctdenoise.errors import CheckpointError, OutputError, OutputExistsError, UsageError
from ctdenoise.networks.checkpoint import load_checkpoint
from ctdenoise.tasks import train as task
from ctdenoise.training import loop, state
from ctdenoise.training.records import TIMINGS, read_metrics

SEG = {
    "network": {"name": "redcnn", "channels": 4, "head": {"classes": 3}},
    "loss": {"terms": [{"name": "mse"}, {"name": "cross_entropy"}, {"name": "dice"}]},
    "data": {"labels": {"1": 1, "3": 2}},
}


def _dying_at(step, record):
    """A recorder's method that breaks off at a step, as a killed process does."""

    def dying(table, row):
        if row["step"] == step:
            raise MemoryError
        record(table, row)

    return dying


class StopSoon:
    """A progress that presses Ctrl-C (or sends SIGTERM) during a step."""

    def __init__(self, step, number=signal.SIGINT):
        self.step, self.number = step, number

    def stage(self, *_, **__):
        return self

    def __enter__(self):
        self.seen = 0
        return self.advance

    def __exit__(self, *error):
        return None

    def advance(self, *_, **__):
        self.seen += 1
        if self.seen == self.step:
            signal.raise_signal(self.number)


def _weights(out: Path) -> dict[str, bytes]:
    progressed = state.read_progress(out)[0]
    return {
        "last": (out / "last" / f"step_{progressed.step:09d}.safetensors").read_bytes(),
        "model": (out / "model.safetensors").read_bytes(),
    }


def _figures(out: Path) -> list[dict[str, str]]:
    return [
        {name: value for name, value in row.items() if name not in TIMINGS}
        for row in read_metrics(out)
    ]


def _assert_same(one: Path, other: Path) -> None:
    assert _figures(one) == _figures(other)
    assert _weights(one) == _weights(other)


@pytest.fixture
def pairs(make_pair):
    return [make_pair(doses=(0.25, 0.5)).folder]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_and_resumed_run_equals_an_uninterrupted_one(pairs, tiny, tmp_path, number):
    task.run(pairs, tiny, out=tmp_path / "whole", seed=1)
    # Ctrl-C comes after the third step, so the fourth is the last of this part.
    first = task.run(pairs, tiny, out=tmp_path / "parts", seed=1, progress=StopSoon(3, number))
    assert (first.stopped, first.steps) == ("interrupted", 4)
    second = task.run(pairs, tiny, out=tmp_path / "parts", seed=1, resume=True)
    assert (second.stopped, second.steps) == ("finished", 8)
    _assert_same(tmp_path / "whole", tmp_path / "parts")


OPTIMIZERS = {
    "descent": {"name": "sgd", "learning_rate": 0.01, "momentum": 0.0},
    "descent-with-momentum": {"name": "sgd", "learning_rate": 0.01, "momentum": 0.9},
    "muon": {"name": "muon"},
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_resumed_run_of_any_optimizer_equals_an_uninterrupted_one(pairs, tiny, tmp_path, name):
    wide = tiny.network.replaced(channels=16)
    settings = tiny.replaced(optimizer=OPTIMIZERS[name], network=wide)
    task.run(pairs, settings, out=tmp_path / "whole", seed=1)
    task.run(pairs, settings, out=tmp_path / "parts", seed=1, progress=StopSoon(3))
    task.run(pairs, settings, out=tmp_path / "parts", seed=1, resume=True)
    _assert_same(tmp_path / "whole", tmp_path / "parts")


@pytest.mark.parametrize("step", [2, 4, 6, 8])
def test_a_killed_and_resumed_run_equals_an_uninterrupted_one(
    pairs, tiny, tmp_path, monkeypatch, step
):
    task.run(pairs, tiny, out=tmp_path / "whole", seed=1)

    with monkeypatch.context() as patch:
        patch.setattr(task.MetricsTable, "record", _dying_at(step, task.MetricsTable.record))
        with pytest.raises(MemoryError):
            task.run(pairs, tiny, out=tmp_path / "parts", seed=1)
    task.run(pairs, tiny, out=tmp_path / "parts", seed=1, resume=True)
    _assert_same(tmp_path / "whole", tmp_path / "parts")


def test_a_run_killed_between_two_states_loses_its_later_lines(pairs, tiny, tmp_path, monkeypatch):
    def die(*arguments):
        raise MemoryError

    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(loop, "_note", lambda progressed, _: progressed.step == 5 and die())
        with pytest.raises(MemoryError):
            task.run(pairs, tiny, out=out)
    assert [row["step"] for row in read_metrics(out)] == ["2", "3", "4"]
    with (out / "metrics.csv").open("a") as file:
        file.write("5,0.0")  # a line cut short by the crash
    assert state.read_progress(out)[0].step == 3
    task.run(pairs, tiny.replaced(), out=out, resume=True)
    assert [row["step"] for row in read_metrics(out)] == ["2", "3", "4", "6", "8"]


def test_the_same_seed_gives_the_same_network_and_another_seed_another(pairs, tiny, tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        task.run(pairs, tiny, out=tmp_path / name, seed=seed)
    _assert_same(tmp_path / "a", tmp_path / "b")
    assert _weights(tmp_path / "a") != _weights(tmp_path / "c")


def test_a_run_can_be_prolonged(pairs, tiny, tmp_path):
    constant = tiny.replaced(schedule={"name": "constant"}, validation={"every": 4, "crop": 32})
    task.run(pairs, constant, out=tmp_path / "whole")
    task.run(pairs, constant.replaced(steps=4), out=tmp_path / "parts")
    report = task.run(pairs, constant, out=tmp_path / "parts", resume=True)
    assert report.steps == 8
    assert _figures(tmp_path / "parts") == _figures(tmp_path / "whole")


@pytest.fixture
def learning(tiny):
    """Enough steps and channels to learn something."""
    return tiny.replaced(
        steps=150,
        hu_range={"low": 0, "high": 1000},
        optimizer={"learning_rate": 5e-3},
        schedule={"name": "cosine", "warmup_steps": 15},
        network={"name": "redcnn", "channels": 8},
        validation={"every": 50, "slices": 2, "crop": 48},
        record_every=10,
        checkpoint_every=150,
    )


def test_training_brings_the_loss_and_the_error_down(pairs, learning, tmp_path):
    report = task.run(pairs, learning, out=tmp_path / "run")
    rows = read_metrics(tmp_path / "run")
    assert float(rows[-1]["loss"]) < 0.6 * float(rows[0]["loss"])
    assert report.val_rmse_hu < 0.8 * report.baseline_rmse_hu
    assert report.best_step == 150


def test_the_kept_network_is_the_best_by_validation(pairs, tiny, tmp_path):
    report = task.run(pairs, tiny, out=tmp_path / "run")
    checkpoint = load_checkpoint(report.model)
    measured = {
        int(row["step"]): float(row["val_rmse_hu"])
        for row in read_metrics(tmp_path / "run")
        if row["val_rmse_hu"]
    }
    assert list(measured) == [3, 6, 8]
    assert report.val_rmse_hu == min(measured.values())
    assert checkpoint.training["step"] == report.best_step == min(measured, key=measured.get)
    assert checkpoint.training["trained_on"]["dose_fraction"] == [0.25, 0.5]
    assert checkpoint.build() is not None


def test_a_network_that_is_no_better_than_nothing_is_warned_about(pairs, tiny, tmp_path, caplog):
    still = tiny.replaced(steps=2, optimizer={"learning_rate": 1e-30})
    task.run(pairs, still, out=tmp_path / "run")
    assert "no better than doing nothing" in caplog.text


def test_training_stops_early_when_nothing_is_gained(pairs, tiny, tmp_path):
    settings = tiny.replaced(
        steps=50,
        validation={"every": 2, "slices": 2, "crop": 32},
        optimizer={"learning_rate": 1e-12},
        early_stopping={"patience": 3},
    )
    report = task.run(pairs, settings, out=tmp_path / "run")
    # Measured at 2 (the first, so a gain), then 4, 6 and 8 without one.
    assert (report.stopped, report.steps) == ("early", 8)
    again = task.run(pairs, settings, out=tmp_path / "run", resume=True)
    assert (again.stopped, again.steps) == ("early", 8)


def test_denoising_and_segmentation_are_learnt_together(make_pair, tiny, tmp_path):
    pair = make_pair(labelled=True).folder
    settings = tiny.replaced(
        **SEG, steps=60, optimizer={"learning_rate": 5e-3}, record_every=20, checkpoint_every=60
    )
    task.run([pair], settings, out=tmp_path / "run")
    rows = read_metrics(tmp_path / "run")
    assert float(rows[-1]["loss_dice"]) < float(rows[0]["loss_dice"])
    dice = [float(row["val_dice"]) for row in rows if row["val_dice"]]
    assert 0 <= dice[0] <= 1
    assert dice[-1] > dice[0]
    assert load_checkpoint(tmp_path / "run").training["labels"] == {"1": 1, "3": 2}


def test_a_run_starts_from_a_checkpoint_and_a_head_may_be_new(make_pair, tiny, tmp_path):
    pair = make_pair(labelled=True).folder
    first = task.run([pair], tiny, out=tmp_path / "first")
    still = {"optimizer": {"learning_rate": 1e-12}, "init": {"from": first.model}}
    second = task.run([pair], tiny.replaced(**SEG, **still), out=tmp_path / "second")
    old, new = load_checkpoint(first.model).weights, load_checkpoint(second.model).weights
    assert set(new) - set(old) == {"head.weight", "head.bias"}
    for name, weight in old.items():
        torch.testing.assert_close(new[name], weight, rtol=0, atol=1e-9)


def test_a_start_in_another_hu_range_or_size_is_refused(pairs, tiny, tmp_path):
    first = task.run(pairs, tiny, out=tmp_path / "first")
    start = {"init": {"from": first.model}}
    other_range = tiny.replaced(**start, hu_range={"low": -1000, "high": 2000})
    with pytest.raises(UsageError, match="trained for 0 to 1000 HU, not -1000 to 2000 HU"):
        task.run(pairs, other_range, out=tmp_path / "second")
    other_size = tiny.replaced(**start, network={"name": "redcnn", "channels": 5})
    with pytest.raises(CheckpointError, match="conv1"):
        task.run(pairs, other_size, out=tmp_path / "second")
    assert not (tmp_path / "second").exists()


def test_bfloat16_learns_what_float32_learns(pairs, learning, tmp_path):
    gains_hu = {}
    for precision in ("float32", "bfloat16"):
        settings = learning.replaced(precision=precision, steps=100)
        report = task.run(pairs, settings, out=tmp_path / precision)
        gains_hu[precision] = report.baseline_rmse_hu - report.val_rmse_hu
    # bfloat16 keeps 8 bits, and small differences grow over the steps: the gains differ somewhat.
    assert gains_hu["bfloat16"] != gains_hu["float32"]
    assert gains_hu["bfloat16"] > 0.75 * gains_hu["float32"] > 2


def test_a_taken_folder_is_refused_and_left_alone(pairs, tiny, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("mine")
    with pytest.raises(OutputExistsError):
        task.run(pairs, tiny, out=tmp_path / "run")
    with pytest.raises(CheckpointError, match="no run here"):
        task.run(pairs, tiny, out=tmp_path / "run", resume=True)
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["thesis.txt"]


def test_a_resumed_run_keeps_settings_seed_and_pairs(pairs, make_pair, tiny, tmp_path):
    out = tmp_path / "run"
    task.run(pairs, tiny, out=out, seed=1, progress=StopSoon(2))
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    with pytest.raises(UsageError, match="batch_size was 4 and is 5"):
        task.run(pairs, tiny.replaced(batch_size=5), out=out, seed=1, resume=True)
    with pytest.raises(UsageError, match="seed was 1 and is 2"):
        task.run(pairs, tiny, out=out, seed=2, resume=True)
    with pytest.raises(UsageError, match="pairs or scans are others"):
        task.run([make_pair("b", seed=9).folder], tiny, out=out, seed=1, resume=True)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_a_damaged_state_is_refused(pairs, tiny, tmp_path):
    out = tmp_path / "run"
    task.run(pairs, tiny, out=out, progress=StopSoon(2))
    weights = next((out / "last").glob("*.safetensors"))
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(CheckpointError, match="damaged"):
        task.run(pairs, tiny, out=out, resume=True)


def test_a_diverging_run_says_so_and_keeps_its_last_state(pairs, tiny, tmp_path):
    out = tmp_path / "run"
    settings = tiny.replaced(optimizer={"learning_rate": 1e30}, schedule={"name": "constant"})
    with pytest.raises(UsageError, match="diverged"):
        task.run(pairs, settings, out=out)
    assert state.read_progress(out)[0].step == 0


def test_a_full_disk_is_told_and_the_state_before_is_kept(pairs, tiny, tmp_path, monkeypatch):
    out = tmp_path / "run"
    write = Path.write_bytes

    def full_disk(path, content):
        if "step_000000006" in path.name:
            write(path, content[:100])
            raise OSError(28, "No space left on device")
        return write(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full_disk)
        with pytest.raises(OutputError, match="disk is full"):
            task.run(pairs, tiny, out=out)
    assert state.read_progress(out)[0].step == 3
    assert not [path for path in out.rglob("*") if "partial" in path.name]
    task.run(pairs, tiny, out=out, resume=True)
    task.run(pairs, tiny, out=tmp_path / "whole")
    _assert_same(out, tmp_path / "whole")


def test_an_interrupt_before_the_first_step_leaves_nothing(pairs, tiny, tmp_path, monkeypatch):
    def interrupt(*arguments, **named):
        raise KeyboardInterrupt

    monkeypatch.setattr(task, "write_settings", interrupt)
    with pytest.raises(KeyboardInterrupt):
        task.run(pairs, tiny, out=tmp_path / "deep" / "run")
    assert not (tmp_path / "deep").exists()


def test_a_second_ctrl_c_goes_through_at_once(pairs, tiny, tmp_path):
    class Impatient(StopSoon):
        def advance(self, *_, **__):
            super().advance()
            if self.seen == self.step:
                signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        task.run(pairs, tiny, out=tmp_path / "run", progress=Impatient(2))
    assert state.read_progress(tmp_path / "run")[0].step == 0
    report = task.run(pairs, tiny, out=tmp_path / "run", resume=True)
    assert report.stopped == "finished"


def test_training_leaves_torchs_random_state_and_signal_handlers_alone(pairs, tiny, tmp_path):
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    before = torch.random.get_rng_state()
    task.run(pairs, tiny, out=tmp_path / "run")
    assert torch.equal(torch.random.get_rng_state(), before)
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == handlers


def test_nothing_in_the_output_names_the_inputs_place(pairs, tiny, tmp_path):
    out = tmp_path / "elsewhere"
    task.run(pairs, tiny, out=out)
    for path in out.rglob("*"):
        if path.is_file():
            assert str(pairs[0].parent).encode() not in path.read_bytes()
