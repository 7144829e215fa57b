"""Parts that keep the weights they start with: which learn, and what comes out unchanged."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from ctdenoise.config.training import TrainSettings
from ctdenoise.errors import SettingsError
from ctdenoise.inference.load import load_denoiser
from ctdenoise.networks.build import build_network
from ctdenoise.networks.checkpoint import load_checkpoint
from ctdenoise.tasks import train as task
from ctdenoise.training.job import prepare_job
from tests.builders import water_disc

LABELS = {"labels": {"1": 1, "3": 2}}
TERMS = [{"name": "mse"}, {"name": "cross_entropy"}, {"name": "dice"}]
JUDGED = {"every": 3, "slices": 2, "crop": 32, "metric": "dice"}

NETWORKS = [
    {"name": "redcnn", "channels": 4},
    {"name": "unet", "features": [4, 4, 4, 4, 4, 4]},
    {"name": "wavresnet", "channels": 4, "blocks": 1},  # batch normalisation
    {"name": "autoencoder", "kind": "variational", "code": 4, "hidden": 4},  # draws its code
]


def named(network):
    return network["name"]


@pytest.fixture
def pair(make_pair):
    return make_pair(labelled=True, size=64)


@pytest.fixture
def small(tiny):
    return tiny.replaced(patches={"size": 32}, steps=6, validation={**JUDGED, "metric": "loss"})


def start(settings, pair, network, out):
    """A checkpoint of a network without a head."""
    task.run([pair.folder], settings.replaced(network=network), out=out, seed=1)
    return out


def headed(settings, network, init, **more):
    return settings.replaced(
        network={**network, "head": {"classes": 3}},
        loss={"terms": TERMS},
        data=LABELS,
        init=init,
        **{"validation": JUDGED, **more},
    )


@pytest.mark.parametrize("network", NETWORKS, ids=named)
class TestTrunk:
    def test_the_denoised_image_stays_that_of_the_checkpoint_bit_for_bit(
        self, pair, small, network, tmp_path
    ):
        first = start(small, pair, network, tmp_path / "first")
        # Everything that moves weights and statistics: decay, mean of the weights, several pieces.
        settings = headed(
            small,
            network,
            {"from": first, "freeze": "trunk"},
            ema={"decay": 0.5},
            optimizer={"learning_rate": 1e-2, "weight_decay": 0.1},
            accumulate=2,
            clip_norm=1.0,
        )
        report = task.run([pair.folder], settings, out=tmp_path / "second", seed=2)
        old, new = load_checkpoint(first), load_checkpoint(report.model)
        for name, tensor in old.weights.items():
            assert torch.equal(new.weights[name], tensor), name
        assert {name.split(".")[0] for name in new.weights.keys() - old.weights.keys()} == {"head"}
        volume = water_disc(slices=2, size=48, radius_mm=40.0)
        images = [load_denoiser(run)(volume).hu for run in (first, report.model)]
        np.testing.assert_array_equal(images[0], images[1])

    def test_the_head_alone_learns(self, pair, small, network, tmp_path):
        first = start(small, pair, network, tmp_path / "first")
        settings = headed(small, network, {"from": first, "freeze": "trunk"})
        job = prepare_job([pair], settings, seed=0)
        learning = [name for name, p in job.network.named_parameters() if p.requires_grad]
        assert learning == [
            name for name, _ in job.network.named_parameters() if name.startswith("head.")
        ]
        assert job.network(torch.zeros(1, 1, 32, 32)).penalty is None  # nothing is drawn
        before = {name: weight.clone() for name, weight in job.network.state_dict().items()}
        task.run([pair.folder], settings, out=tmp_path / "second", seed=0)
        after = load_checkpoint(tmp_path / "second").weights
        assert not torch.equal(after["head.weight"], before["head.weight"])


@pytest.mark.parametrize(
    ("network", "kept"),
    [
        ({"name": "redcnn", "channels": 4}, "conv"),
        ({"name": "dsc", "channels": [4, 4, 4, 4, 4]}, "down."),
        ({"name": "autoencoder", "kind": "convolutional", "code": 4, "hidden": 4}, "down."),
    ],
    ids=["redcnn", "dsc", "autoencoder"],
)
def test_a_frozen_encoder_keeps_its_weights_and_the_decoder_learns(
    pair, small, network, kept, tmp_path
):
    first = start(small, pair, network, tmp_path / "first")
    init = {"from": first, "parts": "encoder", "freeze": "encoder"}
    settings = headed(small, network, init, optimizer={"learning_rate": 1e-2, "weight_decay": 0.1})
    task.run([pair.folder], settings, out=tmp_path / "second")
    old, new = (load_checkpoint(tmp_path / run).weights for run in ("first", "second"))
    fresh = prepare_job([pair], settings, seed=0).network.state_dict()
    for name, weight in new.items():
        assert torch.equal(weight, old[name] if name.startswith(kept) else fresh[name]) == (
            name.startswith((kept, "encode."))
        ), name


def test_a_frozen_run_is_resumed_bit_for_bit(pair, small, tmp_path):
    network = {"name": "wavresnet", "channels": 4, "blocks": 1}
    first = start(small, pair, network, tmp_path / "first")
    settings = headed(
        small, network, {"from": first, "freeze": "trunk"}, schedule={"name": "constant"}
    )
    task.run([pair.folder], settings, out=tmp_path / "whole")
    task.run([pair.folder], settings.replaced(steps=4), out=tmp_path / "parts")
    task.run([pair.folder], settings, out=tmp_path / "parts", resume=True)
    one, other = (
        (tmp_path / name / "last" / "step_000000006.safetensors").read_bytes()
        for name in ("whole", "parts")
    )
    assert one == other


def test_the_run_says_what_is_frozen_and_how_many_parameters_learn(pair, small, tmp_path, caplog):
    network = NETWORKS[0]
    first = start(small, pair, network, tmp_path / "first")
    caplog.clear()
    caplog.set_level("INFO", logger="ctdenoise")
    out = tmp_path / "second"
    settings = headed(small, network, {"from": first, "freeze": "trunk"})
    report = task.run([pair.folder], settings, out=out)
    head = 4 * 3 * 25 + 3
    every = sum(p.numel() for p in build_network(settings.network).parameters())
    text = f"{head:,} of {every:,} parameters; the trunk is frozen"
    assert report.learning == text
    assert text in caplog.text
    assert f"of which {head:,} learn: the trunk is frozen" in (out / "README.md").read_text()
    results = json.loads((out / "run.json").read_text())["results"]
    assert (results["frozen"], results["parameters_learning"]) == ("trunk", head)
    assert load_checkpoint(out).training["frozen"] == "trunk"
    assert "Train longer" not in caplog.text


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"init": {"from": "x", "freeze": "trunk", "parts": "encoder"}}, "never learnt"),
        ({"network": {"name": "redcnn"}, "loss": {}, "validation": {}}, "nothing to learn"),
        ({"validation": {"metric": "rmse_hu"}}, "image never changes"),
        ({"validation": {"metric": "psnr_db"}}, "image never changes"),
    ],
    ids=["decoder", "headless", "rmse", "psnr"],
)
def test_what_cannot_be_frozen_is_refused(change, why):
    whole = {
        "network": {"name": "redcnn", "head": {"classes": 3}},
        "loss": {"terms": TERMS},
        "init": {"from": "x", "freeze": "trunk"},
        "validation": {"metric": "dice"},
    }
    TrainSettings.model_validate(whole)
    with pytest.raises(ValidationError, match=why):
        TrainSettings.model_validate({**whole, **change})


def test_an_encoder_that_shares_its_weights_with_the_decoder_is_not_frozen(pair, small, tmp_path):
    network = {"name": "csc", "channels": [4], "kernel": 3, "steps": 1}
    first = start(small, pair, network, tmp_path / "first")
    settings = headed(small, network, {"from": first, "freeze": "encoder"})
    with pytest.raises(SettingsError, match="no encoder whose weights are apart"):
        task.run([pair.folder], settings, out=tmp_path / "second")


@pytest.mark.parametrize(
    ("more", "what"),
    [({"noise_input": True}, "noise input is new"), ({"slices": 3}, "slices are new")],
    ids=["noise", "slices"],
)
def test_a_new_input_is_not_frozen(pair, small, tmp_path, more, what):
    first = start(small, pair, NETWORKS[0], tmp_path / "first")
    wider = {**NETWORKS[0], **more}
    with pytest.raises(SettingsError, match=what):
        prepare_job([pair], headed(small, wider, {"from": first, "freeze": "trunk"}), seed=0)
