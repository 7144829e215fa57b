"""What happens when a loss or a gradient is no finite number."""

from __future__ import annotations

import dataclasses
import json

import pytest
import torch
from safetensors import safe_open

from ctdenoise.errors import UsageError
from ctdenoise.losses.build import LossTerms
from ctdenoise.tasks import train as task
from ctdenoise.training import loop, state
from ctdenoise.training.job import prepare_job
from ctdenoise.training.records import MetricsTable
from ctdenoise.training.state import Progressed, read_progress, save_state


def _spoilt(loss, is_bad, value=float("nan")):
    """The loss, with a term that is not finite for the patches that hold a mark."""

    def spoilt(prediction, target):
        terms = loss(prediction, target)
        bad = torch.stack([torch.tensor(value if is_bad(image) else 0.0) for image in target.image])
        odd = bad.sum()
        return LossTerms(terms.total + odd, {**terms.terms, "odd": odd})

    return spoilt


@pytest.fixture
def started(make_pair, tiny, tmp_path):
    """A job whose folder holds its first state."""

    def start(**changes):
        job = prepare_job([make_pair()], tiny.replaced(**changes), seed=3)
        out = tmp_path / "run"
        out.mkdir()
        save_state(out, Progressed(), job.identity, job.network, job.optimizer)
        return job, out

    return start


def test_the_patch_that_did_it_is_named_and_its_batch_written(started):
    job, out = started()
    plan = job.plans[4]  # the fifth step, after a saved state at the third
    mark = job.whole_batch(4).target.image[2]
    job = dataclasses.replace(job, loss=_spoilt(job.loss, lambda image: torch.equal(image, mark)))
    with pytest.raises(UsageError) as caught:
        loop.train(job, Progressed(), out=out)
    text = str(caught.value)
    place = f"pair a, slice {plan.z[2]}, row {plan.row[2]}, column {plan.column[2]}, 24 x 24"
    assert "diverged in step 5: the loss odd is no finite number for 1 of 4 patches" in text
    assert place in text
    assert "--resume" in text

    path = out / "not_finite_step_000000005.safetensors"
    with safe_open(path, framework="pt") as file:
        record = json.loads(file.metadata()["ctdenoise"])
        torch.testing.assert_close(file.get_tensor("full")[2], mark, rtol=0, atol=0)
    assert (record["patches"], record["not_finite"]) == ([2], ["the loss odd"])
    assert record["places"]["row"] == plan.row.tolist()
    # What was saved is whole and comes before the bad step.
    assert read_progress(out)[0].step == 3
    assert not [path for path in out.rglob("*") if "partial" in path.name]


def test_the_weights_are_those_before_the_bad_step(started):
    job, out = started(checkpoint_every=100)
    mark = job.whole_batch(2).target.image[0]
    good, _ = job, out
    spoilt = dataclasses.replace(
        job, loss=_spoilt(job.loss, lambda image: torch.equal(image, mark))
    )
    with pytest.raises(UsageError, match="step 3"):
        loop.train(spoilt, Progressed(), out=out)
    kept = {name: weight.clone() for name, weight in good.network.state_dict().items()}
    assert all(bool(torch.isfinite(weight).all()) for weight in kept.values())
    again = prepare_job(task.find_pairs([job.parts[0].files.folder]), good.settings, seed=3)
    for step in range(2):
        loop._step(again, step, again.batches)
    assert all(torch.equal(kept[name], w) for name, w in again.network.state_dict().items())


def test_a_gradient_that_is_not_finite_is_found_though_the_loss_is_finite(started):
    job, out = started()

    def rooted(prediction, target):
        # The root of nothing: value 0, slope infinite.
        odd = (prediction.image - prediction.image.detach()).abs().sum().sqrt()
        return LossTerms(odd, {"mse": odd.detach()})

    with pytest.raises(UsageError, match="step 1: the gradient is no finite number"):
        loop.train(dataclasses.replace(job, loss=rooted), Progressed(), out=out)


def test_a_run_that_ran_away_goes_on_with_another_rate(make_pair, tiny, tmp_path):
    pairs, out = [make_pair().folder], tmp_path / "run"
    wild = tiny.replaced(optimizer={"learning_rate": 1e30}, schedule={"name": "constant"})
    with pytest.raises(UsageError, match=r"diverged in step 2: .* for 4 of 4 patches \(all"):
        task.run(pairs, wild, out=out)
    tame = wild.replaced(optimizer={"learning_rate": 1e-4})
    report = task.run(pairs, tame, out=out, resume=True)
    assert (report.stopped, report.steps) == ("finished", 8)
    changes = json.loads((out / "run.json").read_text())["results"]["changes"]
    assert changes == ["after step 0: optimizer.learning_rate was 1e+30 and is 0.0001"]
    assert state.read_progress(out)[0].changes == changes


def test_no_line_of_the_table_is_not_finite(started):
    job, out = started(record_every=1)
    mark = job.whole_batch(3).target.image[1]
    job = dataclasses.replace(job, loss=_spoilt(job.loss, lambda image: torch.equal(image, mark)))
    table = MetricsTable(out, (*task.columns(job.settings), "loss_odd"))
    with pytest.raises(UsageError):
        loop.train(job, Progressed(), out=out, recorders=(table,))
    text = table.path.read_text()
    assert "nan" not in text
    assert len(text.splitlines()) == 1 + 3
