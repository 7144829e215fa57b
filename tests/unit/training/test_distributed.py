"""Several processes that train one network, by torchrun on the CPU (gloo)."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from ctdenoise.config.load import load_settings
from ctdenoise.config.training import TrainSettings
from ctdenoise.networks.checkpoint import load_checkpoint
from ctdenoise.training.distributed import Peers
from ctdenoise.training.job import prepare_job
from ctdenoise.training.shares import piece_of

pytestmark = pytest.mark.slow

TIMEOUT_S = 180
SETTINGS = (
    "network.channels=4",
    "patches.size=24",
    "batch_size=8",
    "steps=6",
    "optimizer.learning_rate=1e-2",
    "optimizer.epsilon=1e-3",  # Adam then follows the size of the gradient, not only its sign
    "schedule.name=constant",
    "schedule.warmup_steps=0",
    "validation.every=3",
    "validation.slices=3",
    "validation.crop=32",
    "validation.patients=[c]",
    "record_every=1",
    "checkpoint_every=3",
    "device=cpu",
    "precision=float32",
    "peer_timeout_s=60",
)


@pytest.fixture
def pairs(make_pair) -> Path:
    folders = [make_pair(name, patient=name, seed=ord(name)).folder for name in "abc"]
    return folders[0].parent


def _words(pairs, out, *settings):
    changes = [word for setting in (*SETTINGS, *settings) for word in ("--set", setting)]
    words = ("-m", "ctdenoise", "train", pairs, "--out", out, "--config", "redcnn", *changes)
    return [str(word) for word in words]


def _started(words, processes):
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    return subprocess.Popen(
        [sys.executable, *(launcher if processes > 1 else []), *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )


def _ended(process):
    """Its exit code and what it said; nothing of it outlives a timeout."""
    try:
        said, _ = process.communicate(timeout=TIMEOUT_S)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    return process.returncode, said


def _run(words, processes):
    code, said = _ended(_started(words, processes))
    assert code == 0, said
    return said


def _lines(out):
    path = out / "metrics.csv"
    if not path.is_file():
        return []
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


def _wait_for_lines(process, out, count):
    deadline = time.monotonic() + TIMEOUT_S
    while len(_lines(out)) < count:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_two_processes_give_the_losses_and_weights_of_one(pairs, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    changes = ("patches.smallest_scale=0.9", "patches.jitter_hu=20", "patches.jitter_gain=0.05")
    settings = ("accumulate=2", "clip_norm=1e-3", "ema.decay=0.9", "data.threads=1", *changes)
    _run(_words(pairs, one, *settings), 1)
    said = _run(_words(pairs, two, *settings), 2)
    assert said.count("Trained 6 steps") == 1
    names = ("loss", "val_loss", "val_rmse_hu", "val_psnr_db")
    assert [row["step"] for row in _lines(two)] == [row["step"] for row in _lines(one)]
    for row, other in zip(_lines(one), _lines(two), strict=True):
        for name in names:
            # Sums of float32 in another order, over six steps.
            assert not row[name] or float(other[name]) == pytest.approx(float(row[name]), rel=1e-5)
    weights, others = (load_file(out / "last" / "step_000000006.safetensors") for out in (one, two))
    for name, weight in weights.items():
        torch.testing.assert_close(others[name], weight, rtol=1e-3, atol=1e-6)
    assert sorted(path.name.split(".")[0] for path in two.iterdir()) == sorted(
        path.name.split(".")[0] for path in one.iterdir()
    )


def test_two_processes_learn_a_head_on_a_frozen_trunk_as_one_does(make_pair, tmp_path):
    folders = [
        make_pair(name, patient=name, seed=ord(name), labelled=True).folder for name in "abc"
    ]
    pairs = folders[0].parent
    _run(_words(pairs, tmp_path / "start"), 1)
    settings = (
        "network.head.classes=3",
        "data.labels={1: 1, 3: 2}",
        "loss.terms=[{name: cross_entropy}]",  # a mean over pixels; nothing looks at the image
        "validation.metric=dice",
        "ema.decay=0.9",
        f"init.from={tmp_path / 'start'}",
    )
    frozen = (*settings, "init.freeze=trunk")
    _run(_words(pairs, tmp_path / "one", *frozen), 1)
    _run(_words(pairs, tmp_path / "two", *frozen), 2)
    start, one, two = (
        load_file(tmp_path / n / "model.safetensors") for n in ("start", "one", "two")
    )
    for name, weight in two.items():
        if name in start:
            assert torch.equal(weight, start[name]), name
        else:
            torch.testing.assert_close(weight, one[name], rtol=1e-3, atol=1e-6)
    for row, other in zip(*(_lines(tmp_path / n) for n in ("one", "two")), strict=True):
        assert row["val_dice"] == other["val_dice"]
        assert row["val_dice_class_2"] == other["val_dice_class_2"]
    # The same without freezing: the layer of the image then has no gradient in either process.
    _run(_words(pairs, tmp_path / "joint", *settings), 2)


SHARES = {
    "batch normalisation": (
        "wavresnet",
        ("network.channels=4", "network.blocks=1", "network.directions=[2, 1]"),
    ),
    "dice": (
        "redcnn",
        (
            "network.channels=4",
            "network.head.classes=3",
            "data.labels={1: 1, 3: 2}",
            "loss.terms=[{name: mse}, {name: dice}]",
        ),
    ),
}


@pytest.mark.parametrize("kind", SHARES)
def test_what_looks_at_a_share_alone_trains_like_one_process_that_accumulates(
    make_pair, tmp_path, kind
):
    config, network = SHARES[kind]
    files = [make_pair(name, patient=name, seed=ord(name), labelled=True) for name in "abc"]
    folder = files[0].folder.parent
    settings = (*SETTINGS[1:], *network)

    def trained(out, processes, *more):
        changes = [word for setting in (*settings, *more) for word in ("--set", setting)]
        words = ("-m", "ctdenoise", "train", folder, "--out", out, "--config", config, *changes)
        _run([str(word) for word in words], processes)
        return _lines(out)

    one = trained(tmp_path / "one", 1, "accumulate=2")
    two = trained(tmp_path / "two", 2)
    for row, other in zip(one, two, strict=True):
        assert float(other["loss"]) == pytest.approx(float(row["loss"]), rel=1e-4)
    # What is measured while training is what the kept network does.
    kept = load_checkpoint(tmp_path / "two")
    run = load_settings(TrainSettings, tmp_path / "two" / "settings.yaml")
    measured = prepare_job(files, run, seed=0).validator.measure(kept.build())
    best = min(float(row["val_rmse_hu"]) for row in two if row["val_rmse_hu"])
    assert measured.rmse_hu == pytest.approx(best, rel=1e-5)


def test_ctrl_c_stops_all_and_resuming_ends_like_an_uninterrupted_run(pairs, tmp_path):
    out, whole = tmp_path / "run", tmp_path / "whole"
    words = _words(pairs, out, "steps=400", "validation.every=400", "validation.pictures.slices=0")
    process = _started(words, 2)
    _wait_for_lines(process, out, 5)
    # As a terminal does it: to the launcher and to both processes.
    os.killpg(process.pid, signal.SIGINT)
    code, said = _ended(process)
    assert code != 0
    assert "go on with --resume" in said
    done = len(_lines(out))
    assert 5 <= done < 400
    _run([*words, "--resume"], 2)
    assert len(_lines(out)) == 400
    words[words.index(str(out))] = str(whole)
    _run(words, 2)
    name = "step_000000400.safetensors"
    assert (out / "last" / name).read_bytes() == (whole / "last" / name).read_bytes()


def test_a_dead_process_ends_the_run_with_an_error(pairs, tmp_path):
    out = tmp_path / "run"
    process = _started(_words(pairs, out, "steps=100000", "validation.every=100000"), 2)
    _wait_for_lines(process, out, 5)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(children[-1]), signal.SIGKILL)
    code, said = _ended(process)
    assert code != 0
    assert "another process of this training was lost" in said
    assert (out / "last" / "state.json").is_file()


def test_a_wrong_setting_ends_all_processes_and_leaves_no_folder(pairs, tmp_path):
    code, said = _ended(_started(_words(pairs, tmp_path / "run", "batch_size=7"), 2))
    assert code != 0
    assert "cannot share out evenly" in said
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("place", ["disk", "memory", "device"])
@pytest.mark.parametrize(
    "patches",
    [{}, {"smallest_scale": 0.8, "largest_scale": 1.2, "jitter_hu": 20, "jitter_gain": 0.1}],
    ids=["plain", "changed"],
)
def test_the_shares_of_a_batch_are_the_batch(make_pair, tiny, patches, place):
    pair = make_pair(doses=(0.25, 0.5))
    settings = tiny.replaced(patches={"size": 24, **patches}, data={"keep_on": place})
    whole = prepare_job([pair], settings, seed=1).batches[0]
    # Only the plans are looked at: no other process is asked for anything.
    for rank in range(2):
        part = piece_of(whole, rank, 2)
        job = prepare_job([pair], settings, seed=1)
        job.batches.dataset.data.rank, job.batches.dataset.data.world = rank, 2
        assert torch.equal(job.batches[0].low, part.low)
        assert torch.equal(job.batches[0].target.image, part.target.image)


def test_a_process_alone_asks_nobody():
    assert Peers().any(True)
    assert not Peers().any(False)
    assert Peers().largest(3) == 3
