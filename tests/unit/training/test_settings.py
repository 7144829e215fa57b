from __future__ import annotations

import pytest

from ctdenoise.config.load import checked, load_settings, ready_settings_folder
from ctdenoise.config.optimizers import AdamSettings
from ctdenoise.config.training import TrainSettings
from ctdenoise.errors import CheckpointError, SettingsError
from ctdenoise.training.job import prepare_job

SEG = {
    "network": {"name": "redcnn", "channels": 4, "head": {"classes": 3}},
    "loss": {"terms": [{"name": "mse"}, {"name": "dice"}]},
}


@pytest.mark.parametrize("name", ["redcnn", "redcnn_seg", "demo"])
def test_ready_settings_load(name):
    settings = load_settings(TrainSettings, ready_settings_folder() / "train" / f"{name}.yaml")
    assert settings.patches.size <= 64
    assert settings == checked(TrainSettings, settings.as_json())  # what is written can be read


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"network": {"name": "identity"}}, "no weights to train"),
        ({"loss": {"terms": [{"name": "dice"}]}}, "network.head.classes"),
        ({"network": SEG["network"]}, "no loss term trains"),
        ({**SEG, "data": {"labels": {"liver": 3}}}, "class 3"),
        ({**SEG, "data": {"labels": {"liver": 0}}}, "above 0"),
        ({"hu_range": {"low": 10, "high": 0}}, "hu_range"),
        ({"optimizer": {"betas": [0.9, 1.0]}}, "below 1"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(changes, message):
    with pytest.raises(SettingsError, match=message):
        checked(TrainSettings, changes)


def test_an_optimizer_without_a_name_is_adam():
    settings = checked(TrainSettings, {"optimizer": {"learning_rate": 1e-3}})
    assert settings.optimizer == AdamSettings(learning_rate=1e-3)


def test_a_patch_below_the_networks_smallest_input_is_refused(make_pair, tiny):
    settings = tiny.replaced(patches={"size": 20})
    with pytest.raises(SettingsError, match="at least 21"):
        prepare_job([make_pair()], settings, seed=0)


@pytest.mark.parametrize(
    ("network", "size", "message"),
    [
        ({"name": "redcnn", "channels": 4}, 20, "at least 21"),
        ({"name": "dsc", "channels": [4, 4, 4, 4, 4]}, 48, "multiple of 32"),
        ({"name": "unet", "features": [4, 4, 4, 4, 4, 4]}, 40, "multiple of 16"),
        ({"name": "unet", "features": [4, 4, 4, 4, 4, 4]}, 8, "at least 16"),
        ({"name": "csc", "channels": [4], "kernel": 9}, 8, "at least 9"),
        ({"name": "autoencoder", "code": 9, "hidden": 9}, 32, "multiple of 28"),
        ({"name": "autoencoder", "kind": "convolutional", "code": 4}, 18, "multiple of 4"),
    ],
    ids=["redcnn", "dsc", "unet", "unet small", "csc", "dense", "convolutional"],
)
def test_sizes_that_a_network_cannot_take_are_refused_before_a_voxel_is_read(
    make_pair, tiny, network, size, message
):
    pair = make_pair()
    for image in pair.folder.rglob("*.nii*"):
        image.write_bytes(b"")  # whoever reads it fails otherwise
    with pytest.raises(SettingsError, match=message):
        prepare_job([pair], tiny.replaced(network=network, patches={"size": size}), seed=0)


def test_labels_that_are_no_class_are_refused_by_number(make_pair, tiny):
    settings = tiny.replaced(**SEG)
    with pytest.raises(SettingsError, match=r"no class of the network.*\n.*: 3") as caught:
        prepare_job([make_pair(labelled=True)], settings, seed=0)
    assert "data.labels" in str(caught.value)


def test_labels_are_mapped_by_name_or_number(make_pair, tiny):
    pair = make_pair(labelled=True, label_names={1: "water", 3: "more water"})
    for labels in ({"more water": 2, "water": 1}, {"3": 2, "1": 1}):
        job = prepare_job([pair], tiny.replaced(**SEG, data={"labels": labels}), seed=0)
        assert set(job.batches[0].target.labels.unique().tolist()) == {0, 1, 2}


def test_an_unknown_label_name_is_refused(make_pair, tiny):
    pair = make_pair(labelled=True, label_names={1: "water"})
    with pytest.raises(SettingsError, match="livver"):
        prepare_job([pair], tiny.replaced(**SEG, data={"labels": {"livver": 1}}), seed=0)


def test_a_class_that_no_training_slice_shows_is_warned_about(make_pair, tiny, caplog):
    settings = tiny.replaced(**SEG, data={"labels": {"1": 1, "9": 2}})
    prepare_job([make_pair(labelled=True)], settings, seed=0)
    assert "class 2" in caplog.text


def test_pairs_without_labels_are_refused_when_the_loss_needs_them(make_pair, tiny):
    pairs = [make_pair("with", labelled=True), make_pair("without")]
    with pytest.raises(ValueError, match="1 of 2 pairs have none"):
        prepare_job(pairs, tiny.replaced(**SEG, data={"labels": {"1": 1}}), seed=0)


def test_pairs_with_and_without_labels_mix_when_the_loss_does_not_need_them(make_pair, tiny):
    job = prepare_job([make_pair("with", labelled=True), make_pair("without")], tiny, seed=0)
    assert job.batches[0].target.labels is None


def test_a_missing_start_is_refused(make_pair, tiny, tmp_path):
    with pytest.raises(CheckpointError):
        prepare_job(
            [make_pair()], tiny.replaced(init={"from": tmp_path / "no.safetensors"}), seed=0
        )


def test_the_data_digest_ignores_the_place_and_sees_the_content(make_pair, tiny):
    digests = [
        prepare_job([make_pair(name, seed=seed)], tiny, seed=0).identity.data_digest
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    ]
    assert digests[0] == digests[1] != digests[2]
