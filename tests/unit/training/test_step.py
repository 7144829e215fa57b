"""One step, in pieces; schedules, guard, running mean and pictures by themselves."""

from __future__ import annotations

import dataclasses
import struct
import zlib

import numpy as np
import pytest
import torch

from ctdenoise.config.optimizers import EmaSettings, SgdSettings
from ctdenoise.config.training import TrainSettings
from ctdenoise.training.averages import WeightAverage
from ctdenoise.training.finiteness import Guard
from ctdenoise.training.job import prepare_job
from ctdenoise.training.optimizers import build_optimizer
from ctdenoise.training.pictures import panel, png
from ctdenoise.training.step import training_step


def _stepped(job, steps=3):
    for step in range(steps):
        training_step(
            job.model,
            job.optimizer,
            job.loss,
            job.batches[step],
            settings=job.settings,
            precision="float32",
            watch=job.guard,
        )
    return {name: weight.detach().clone() for name, weight in job.network.named_parameters()}


@pytest.mark.parametrize("clip_norm", [None, 1e-3])
def test_pieces_of_a_batch_give_the_weights_of_the_whole(make_pair, tiny, clip_norm):
    pair = make_pair()
    # A large epsilon makes Adam follow the size of the gradient, not only its sign.
    base = tiny.replaced(
        batch_size=8, clip_norm=clip_norm, optimizer={"learning_rate": 1e-2, "epsilon": 1e-3}
    )
    whole, pieces = (
        _stepped(prepare_job([pair], base.replaced(accumulate=count), seed=1)) for count in (1, 4)
    )
    start = dict(prepare_job([pair], base, seed=1).network.named_parameters())
    moved = max(float((whole[name] - start[name]).detach().abs().max()) for name in whole)
    # Sums of float32 in another order: a part in 1e5 of how far the weights moved.
    for name, weight in whole.items():
        torch.testing.assert_close(pieces[name], weight, rtol=0, atol=1e-5 * moved)
    assert moved > 0


def test_pieces_without_the_division_would_be_another_batch(make_pair, tiny):
    """The gradient of four pieces is their mean: its length is that of the whole batch."""
    seen = []

    class Watch:
        def look(self, *values):
            seen.append(float(values[1]))

    pair = make_pair()
    for count in (1, 4):
        job = prepare_job([pair], tiny.replaced(batch_size=8, accumulate=count), seed=1)
        training_step(
            job.model,
            job.optimizer,
            job.loss,
            job.batches[0],
            settings=job.settings,
            precision="float32",
            watch=Watch(),
        )
    assert seen[1] == pytest.approx(seen[0], rel=1e-5)


def test_a_batch_that_cannot_be_shared_out_is_refused():
    with pytest.raises(ValueError, match="batch_size=6 is no multiple of accumulate=4"):
        TrainSettings(batch_size=6, accumulate=4)


def test_the_fused_optimizer_is_adamw():
    """By the formulas of Loshchilov and Hutter (2019), in float64."""
    settings = TrainSettings.model_validate(
        {"optimizer": {"learning_rate": 0.1, "weight_decay": 0.02}}
    ).optimizer
    layer = torch.nn.Linear(1, 1, bias=False).double()
    optimizer = build_optimizer(settings, layer)
    weight, mean, square = float(layer.weight.detach()), 0.0, 0.0
    for step, gradient in enumerate([0.3, -0.2, 0.5], start=1):
        layer.weight.grad = torch.full_like(layer.weight, gradient)
        optimizer.step()
        mean, square = 0.9 * mean + 0.1 * gradient, 0.999 * square + 0.001 * gradient**2
        change = (mean / (1 - 0.9**step)) / ((square / (1 - 0.999**step)) ** 0.5 + 1e-8)
        weight = weight * (1 - 0.1 * 0.02) - 0.1 * change
    assert float(layer.weight.detach()) == pytest.approx(weight, rel=1e-12)


def test_descent_follows_the_momentum_of_the_gradient():
    """`v <- m v + g`, beginning with the first gradient, in float64."""
    layer = torch.nn.Linear(1, 1, bias=False).double()
    optimizer = build_optimizer(SgdSettings(learning_rate=0.1, weight_decay=0.02), layer)
    weight, speed = float(layer.weight.detach()), 0.0
    for gradient in (0.3, -0.2, 0.5):
        layer.weight.grad = torch.full_like(layer.weight, gradient)
        optimizer.step()
        speed = 0.9 * speed + gradient + 0.02 * weight
        weight -= 0.1 * speed
    assert float(layer.weight.detach()) == pytest.approx(weight, rel=1e-12)


@pytest.mark.parametrize("name", ["sgd", "muon"])
def test_a_tripped_guard_freezes_every_optimizer(make_pair, tiny, name):
    network = tiny.network.replaced(channels=16)
    job = prepare_job(
        [make_pair()], tiny.replaced(optimizer={"name": name}, network=network), seed=1
    )
    before = _stepped(job, steps=2)
    job.guard.look(torch.tensor(float("nan")))
    after = _stepped(job, steps=2)
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_tripped_guard_freezes_weights_and_moments(make_pair, tiny):
    job = prepare_job([make_pair()], tiny, seed=1)
    before = _stepped(job, steps=2)
    moments = {p: s["exp_avg"].clone() for p, s in job.optimizer.state.items()}
    job.guard.look(torch.tensor(1.0), torch.tensor(float("nan")))
    after = _stepped(job, steps=2)
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert all(torch.equal(moments[p], s["exp_avg"]) for p, s in job.optimizer.state.items())
    assert job.guard.good_steps == 2


def test_a_guard_counts_the_good_steps_before_the_first_bad_one():
    guard = Guard(torch.device("cpu"))
    for value in (1.0, 2.0, float("inf"), 3.0):
        guard.look(torch.tensor(value))
    assert (guard.good_steps, bool(guard.tripped)) == (2, True)


def test_the_running_mean_follows_the_formula(make_pair, tiny):
    network = prepare_job([make_pair()], tiny, seed=1).network
    average = WeightAverage(EmaSettings(decay=0.9, warmup=False), network)
    name, weight = next(iter(network.named_parameters()))
    expected = weight.detach().clone().double()
    for step in range(1, 4):
        with torch.no_grad():
            weight += step
        average.follow(network, step=step)
        expected = 0.9 * expected + 0.1 * weight.detach().double()
    mean = dict(average.network.named_parameters())[name]
    torch.testing.assert_close(mean.double(), expected, rtol=1e-6, atol=1e-7)


def test_the_decay_of_the_running_mean_warms_up():
    average = WeightAverage(EmaSettings(decay=0.5), torch.nn.Linear(1, 1))
    assert [average.decay_at(step) for step in (1, 2, 8, 9)] == [2 / 11, 3 / 12, 0.5, 0.5]


def test_a_panel_shows_window_and_difference():
    low = np.array([[-160.0, 240.0]])
    full = np.array([[40.0, 1000.0]])
    denoised = np.array([[140.0, 900.0]])
    shown = panel(low, denoised, full, window_hu=(-160.0, 240.0), difference_hu=100.0)
    assert shown.tolist() == [[0, 255, 191, 255, 128, 255, 255, 0]]


def test_a_png_holds_the_picture():
    picture = np.arange(12, dtype=np.uint8).reshape(3, 4)
    content = png(picture)
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", content[16:24]) == (4, 3)
    length = struct.unpack(">I", content[33:37])[0]
    rows = np.frombuffer(zlib.decompress(content[41 : 41 + length]), np.uint8).reshape(3, 5)
    assert rows[:, 1:].tolist() == picture.tolist()
    image = pytest.importorskip("PIL.Image")
    import io

    assert np.asarray(image.open(io.BytesIO(content))).tolist() == picture.tolist()


def test_a_job_says_what_it_is_made_of(make_pair, tiny):
    job = prepare_job([make_pair()], tiny.replaced(ema={"decay": 0.9}), seed=1)
    assert job.judged is job.average.network
    assert dataclasses.replace(job, average=None).judged is job.network
