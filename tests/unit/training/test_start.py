"""Starting from the weights of an earlier run."""

from __future__ import annotations

import json

import pytest
import torch

from ctdenoise.config.networks import CompactSettings, RedCnnSettings
from ctdenoise.core.intensity import HuRange
from ctdenoise.errors import CheckpointError, SettingsError
from ctdenoise.networks.build import build_network
from ctdenoise.networks.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from ctdenoise.tasks import train as task
from ctdenoise.training.job import prepare_job
from ctdenoise.training.start import digest_of, start_from

STILL = {"optimizer": {"learning_rate": 1e-12}}


def _pairs(make_pair, *patients):
    return [make_pair(name, patient=name, seed=ord(name)).folder for name in patients]


def _held_out(patient, **more):
    return {"every": 3, "slices": 2, "crop": 32, "patients": [patient], **more}


def test_a_run_is_not_judged_on_patients_that_its_start_has_seen(make_pair, tiny, tmp_path):
    pairs = _pairs(make_pair, "a", "b", "c")
    first = task.run(pairs, tiny.replaced(validation=_held_out("c")), out=tmp_path / "first")
    seen = load_checkpoint(first.model).training["trained_patients"]
    assert seen == sorted([digest_of("a"), digest_of("b")])
    assert load_checkpoint(first.model).training["judging_patients"] == [digest_of("c")]
    start = {"from": first.model}
    other = tiny.replaced(init=start, validation=_held_out("a"))
    with pytest.raises(
        SettingsError, match=r"1 of the patients that would judge this run \(a\)"
    ) as caught:
        task.run(pairs, other, out=tmp_path / "second")
    assert "for instance c." in str(caught.value)
    assert not (tmp_path / "second").exists()
    allowed = tiny.replaced(init={**start, "allow_seen_patients": True}, validation=_held_out("a"))
    assert task.run(pairs, allowed, out=tmp_path / "second").model.is_file()
    same = tiny.replaced(init=start, validation=_held_out("c"))
    assert task.run(pairs, same, out=tmp_path / "third").model.is_file()


def test_what_was_seen_is_handed_down(make_pair, tiny, tmp_path):
    first = task.run(
        _pairs(make_pair, "a", "b"), tiny.replaced(validation=_held_out("b")), out=tmp_path / "1"
    )
    second = task.run(
        _pairs(make_pair, "c", "d"),
        tiny.replaced(init={"from": first.model}, validation=_held_out("d")),
        out=tmp_path / "2",
    )
    seen = load_checkpoint(second.model).training["trained_patients"]
    assert seen == sorted([digest_of("a"), digest_of("c")])


def test_patients_without_a_key_are_warned_about(make_pair, tiny, tmp_path, caplog):
    pair = [make_pair().folder]
    first = task.run(pair, tiny, out=tmp_path / "first")
    assert load_checkpoint(first.model).training["trained_patients"] is None
    assert load_checkpoint(first.model).training["judging_patients"] == []
    task.run(pair, tiny.replaced(init={"from": first.model}), out=tmp_path / "second")
    assert "neither run has seen" in caplog.text


def test_the_encoder_alone_starts_a_network_and_the_rest_is_fresh(make_pair, tiny, tmp_path):
    pair = make_pair(labelled=True)
    first = task.run([pair.folder], tiny, out=tmp_path / "first")
    head = {
        "network": {"name": "redcnn", "channels": 4, "head": {"classes": 3}},
        "loss": {"terms": [{"name": "mse"}, {"name": "dice"}]},
        "data": {"labels": {"1": 1, "3": 2}},
    }
    settings = tiny.replaced(**head, init={"from": first.model, "parts": "encoder"})
    job = prepare_job([pair], settings, seed=5)
    fresh = prepare_job([pair], tiny.replaced(**head), seed=5).network.state_dict()
    old = load_checkpoint(first.model).weights
    for name, weight in job.network.state_dict().items():
        expected = old[name] if name.startswith("conv") else fresh[name]
        assert torch.equal(weight, expected), name
    assert set(job.start.fresh) == {name for name in fresh if not name.startswith("conv")}


def test_the_run_lists_what_is_new(make_pair, tiny, tmp_path, caplog):
    caplog.set_level("INFO", logger="ctdenoise")
    pair = [make_pair(labelled=True).folder]
    first = task.run(pair, tiny, out=tmp_path / "first")
    with_sigma = tiny.replaced(
        network={"name": "redcnn", "channels": 4, "predict_sigma": True},
        loss={"terms": [{"name": "heteroscedastic"}]},
        init={"from": first.model},
    )
    task.run(pair, with_sigma, out=tmp_path / "second")
    results = json.loads((tmp_path / "second" / "run.json").read_text())["results"]
    assert (results["started_from"], results["started_fresh"]) == (
        20,
        ["sigma.weight", "sigma.bias"],
    )
    assert "20 weights taken" in caplog.text
    # And the other way round: what the checkpoint has more may be left out.
    back = tiny.replaced(init={"from": tmp_path / "second"})
    assert len(prepare_job(task.find_pairs(pair), back, seed=0).start.taken) == 20


def test_an_encoder_of_another_network_is_refused(make_pair, tiny, tmp_path):
    pair = [make_pair().folder]
    first = task.run(pair, tiny, out=tmp_path / "first")
    other = tiny.replaced(network={"name": "cnn4"}, init={"from": first.model, "parts": "encoder"})
    with pytest.raises(SettingsError, match="cannot start `cnn4`"):
        task.run(pair, other, out=tmp_path / "second")


def test_another_network_is_refused(make_pair, tiny, tmp_path):
    pair = [make_pair().folder]
    first = task.run(pair, tiny, out=tmp_path / "first")
    other = tiny.replaced(network={"name": "cnn4"}, init={"from": first.model})
    with pytest.raises(CheckpointError, match=r"conv1.* is no part of the network"):
        task.run(pair, other, out=tmp_path / "second")


def test_a_new_noise_input_begins_at_zero_and_the_image_keeps_its_weights(
    make_pair, tiny, tmp_path
):
    pair = make_pair()
    first = task.run([pair.folder], tiny, out=tmp_path / "first")
    told = tiny.replaced(
        network={"name": "redcnn", "channels": 4, "noise_input": True},
        init={"from": first.model},
    )
    weight = prepare_job([pair], told, seed=0).network.state_dict()["conv1.weight"]
    old = load_checkpoint(first.model).weights["conv1.weight"]
    assert torch.equal(weight[:, :1], old)
    assert not weight[:, 1:].any()


FIRST_LAYERS = [
    (RedCnnSettings(channels=4), "conv1.weight", 1),
    (CompactSettings(channels=4, pairs=1), "enter.weight", 4),
]


@pytest.mark.parametrize(
    ("network", "layer", "phases"), FIRST_LAYERS, ids=[each[0].name for each in FIRST_LAYERS]
)
@pytest.mark.parametrize("told", [False, True], ids=["plain", "told"])
def test_new_neighbours_begin_at_zero_around_the_slice_that_was_seen(
    tiny, tmp_path, told, network, layer, phases
):
    one = network.replaced(noise_input=told)
    old = build_network(one).eval()
    with torch.no_grad():
        for parameter in old.parameters():
            parameter.add_(0.05)
    first = Checkpoint(one, old.state_dict(), HuRange())
    file = save_checkpoint(tmp_path / "a.safetensors", first)
    several = tiny.replaced(network=one.replaced(slices=5), init={"from": file})
    network = build_network(several.network).eval()
    start_from(several, network, HuRange())
    kept = [2, 5] if told else [2]
    weight = network.state_dict()[layer].unflatten(1, (-1, phases))
    assert torch.equal(weight[:, kept].flatten(1, 2), first.weights[layer])
    assert not weight[:, [0, 1, 3, 4]].any()
    seen = torch.rand(1, 6 if told else 5, 24, 24)
    with torch.no_grad():
        torch.testing.assert_close(network(seen).image, old(seen[:, kept]).image, rtol=0, atol=1e-6)


def test_fewer_neighbours_than_the_checkpoint_saw_are_refused(tiny, tmp_path):
    network = tiny.network.replaced(slices=3)
    weights = build_network(network).state_dict()
    file = save_checkpoint(tmp_path / "a.safetensors", Checkpoint(network, weights, HuRange()))
    with pytest.raises(CheckpointError, match=r"conv1\.weight is \(4, 3, 5, 5\)"):
        start_from(tiny.replaced(init={"from": file}), build_network(tiny.network), HuRange())


def test_a_run_starts_from_a_narrower_network(make_pair, tiny, tmp_path):
    pair = [make_pair().folder]
    first = task.run(pair, tiny, out=tmp_path / "first")
    more = tiny.network.replaced(channels=10, noise_input=True)
    settings = tiny.replaced(network=more, init={"from": first.model, "widen": True}, **STILL)
    task.run(pair, settings, out=tmp_path / "second")
    narrow, wide = (load_checkpoint(tmp_path / name).build() for name in ("first", "second"))
    image = torch.rand(1, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    told = torch.cat((image, torch.full_like(image, 1.0)), dim=1)
    with torch.no_grad():
        torch.testing.assert_close(wide(told).image, narrow(image).image, rtol=0, atol=1e-5)
    results = json.loads((tmp_path / "second" / "run.json").read_text())["results"]
    assert (results["started_from"], results["started_widened_from"]) == (20, 4)


def test_a_narrower_network_is_refused_unless_it_shall_be_widened(tiny, tmp_path):
    weights = build_network(tiny.network).state_dict()
    file = save_checkpoint(tmp_path / "a.safetensors", Checkpoint(tiny.network, weights, HuRange()))
    settings = tiny.replaced(network=tiny.network.replaced(channels=6), init={"from": file})
    with pytest.raises(CheckpointError, match=r"or init\.widen=true"):
        start_from(settings, build_network(settings.network), HuRange())


def test_what_cannot_be_widened_is_refused(tiny, tmp_path):
    weights = build_network(tiny.network).state_dict()
    file = save_checkpoint(tmp_path / "a.safetensors", Checkpoint(tiny.network, weights, HuRange()))
    init = {"from": file, "widen": True}
    for other, said in (
        (tiny.network, "`redcnn` of 4 channels cannot be widened to `redcnn` of 4 channels"),
        (CompactSettings(channels=8), "cannot be widened to `compact` of 8 channels"),
    ):
        with pytest.raises(SettingsError, match=said):
            start_from(tiny.replaced(network=other, init=init), build_network(other), HuRange())


def test_a_change_in_another_unit_is_refused(tiny, tmp_path):
    told = tiny.network.replaced(noise_input=True)
    weights = build_network(told).state_dict()
    file = save_checkpoint(tmp_path / "a.safetensors", Checkpoint(told, weights, HuRange()))
    other = told.replaced(change_in_noise=True)
    with pytest.raises(CheckpointError, match="change_in_noise is False, not True"):
        start_from(
            tiny.replaced(network=other, init={"from": file}), build_network(other), HuRange()
        )
