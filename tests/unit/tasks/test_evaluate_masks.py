"""Whether denoising changed the mask, by the real command line: from files and from a network."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
import torch

from ctdenoise.config.networks import RedCnnSettings, SegmentationHeadSettings
from ctdenoise.core.intensity import HuRange
from ctdenoise.networks.build import build_network
from ctdenoise.networks.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from tests.e2e.commands import ctdenoise

SHAPE = (32, 32, 4)  # NIfTI order: x, y, z


def write(path, values, dtype=np.float32):
    nib.save(nib.Nifti1Image(values.astype(dtype), np.diag([1.0, 1.0, 2.0, 1.0])), path)
    return path


def block(grown=0):
    labels = np.zeros(SHAPE)
    labels[8 : 16 + grown, 8:16] = 3
    labels[20:24, 8:16] = 7
    return labels


@pytest.fixture
def images(tmp_path):
    """Reference, low dose, denoised: class 1 above 300 HU."""
    rng = np.random.default_rng(0)
    found = []
    for name, sd, grown in (("full", 1, 0), ("low", 5, 4), ("denoised", 2, 1)):
        hu = np.where(block(grown) == 3, 600.0, 0.0) + rng.normal(0, sd, SHAPE)
        found.append(write(tmp_path / f"Doe_{name}.nii", hu))
    return found


@pytest.fixture
def masks(tmp_path):
    return [write(tmp_path / f"Doe_mask_{n}.nii", block(n), np.uint8) for n in (0, 4, 1)]


@pytest.fixture
def model(tmp_path):
    """A network with a head that labels what is above 300 HU, trained on label 3 as class 1."""
    settings = RedCnnSettings(channels=2, head=SegmentationHeadSettings(classes=2))
    network = build_network(settings, generator=torch.Generator().manual_seed(0))
    weights = {name: torch.zeros_like(value) for name, value in network.state_dict().items()}
    for name in ("conv1", "conv2", "conv3", "conv4", "conv5"):
        weights[f"{name}.weight"][0, 0, 2, 2] = 1.0
    for name in ("tconv1", "tconv2", "tconv3", "tconv4"):
        weights[f"{name}.weight"][0, 0, 2, 2] = 1.0 if name != "tconv1" else 0.0
    weights["head.weight"][0, 1, 2, 2] = 1.0  # the image comes twice, by both shortcuts
    weights["head.bias"][0] = 0.6
    training = {"labels": {"3": 1}, "class_names": ["background", "liver"]}
    return save_checkpoint(
        tmp_path / "seg.safetensors", Checkpoint(settings, weights, HuRange(0, 1000), training)
    )


def rows(out):
    with (out / "evaluation.csv").open(newline="") as file:
        return {(row["test"], row["key"]): row for row in csv.DictReader(file)}


def value(out, test, key):
    return float(rows(out)[test, key]["value"])


EXPECTED = {"low": 2 * 256 / (256 + 384), "denoised": 2 * 256 / (256 + 288)}


def test_masks_from_files_are_compared_with_those_of_reference_input_and_truth(
    tmp_path, images, masks
):
    out = tmp_path / "out"
    done = ctdenoise(
        *("evaluate", *images, "--names", "low", "denoised", "--out", out),
        *("--reference-mask", masks[0], "--test-masks", *masks[1:], "--truth-mask", masks[2]),
        *("--input", "low", "--set", "masks.labels={3: 1, 7: 2}"),
        *("--set", "masks.names={1: liver}"),
    )
    assert done.code == 0, done.stderr
    for name, expected in EXPECTED.items():
        assert value(out, name, "mask_dice[liver]") == pytest.approx(expected)
        assert value(out, name, "mask_dice[class 2]") == 1.0
        assert value(out, name, "mask_dice") == pytest.approx((expected + 1) / 2)
    assert value(out, "denoised", "mask_volume_ml[liver]") == pytest.approx(32 * 2 / 1000)
    assert value(out, "denoised", "mask_input_changed[liver]") == 3 * 32
    assert ("low", "mask_input_changed[liver]") not in rows(out)
    assert value(out, "denoised", "mask_truth_dice[liver]") == 1.0
    assert value(out, "low", "mask_truth_of_reference_dice[liver]") == pytest.approx(
        EXPECTED["denoised"]
    )
    told = " ".join(done.stdout.split())
    assert "Voxels in one mask only, liver voxels 128 32" in told
    record = json.loads((out / "evaluation.json").read_text())
    assert record["masks"] == {"from": "files", "classes": ["background", "liver", "class 2"]}
    page = (out / "index.html").read_text(encoding="utf-8")
    for words in (
        "Masks: that of the test against that of the reference",
        "Masks: that of the test against that of the input",
        "Masks against the true one",
        "--reference-mask MASK --test-masks MASK_1 MASK_2 --truth-mask TRUTH --input low",
    ):
        assert words in page
    assert "<h3>Masks, W 400 / L 40</h3>" in page
    outlines = [path for path in (out / "pictures").iterdir() if "_masks_" in path.name]
    assert len({path.read_bytes() for path in outlines}) == len(outlines) >= 3
    for path in out.rglob("*"):
        if path.suffix in {".json", ".csv", ".html", ".yaml"}:
            assert "Doe_" not in path.read_text(encoding="utf-8")


def test_a_mask_of_the_reference_alone_gives_figures_of_its_organs(tmp_path, images, masks):
    out = tmp_path / "out"
    done = ctdenoise(
        *("evaluate", *images, "--names", "low", "denoised", "--out", out, "--input", "low"),
        *("--reference-mask", masks[0], "--set", "masks.labels={3: 1, 7: 2}"),
        *("--set", "masks.names={1: liver}"),
    )
    assert done.code == 0, done.stderr
    full, low, _ = (nib.load(path).get_fdata() for path in images)
    inside = block() == 3
    expected = np.sqrt(np.mean((low - full)[inside] ** 2))
    assert value(out, "low", "organ_rmse[liver]") == pytest.approx(expected, rel=1e-5)
    assert value(out, "low", "organ_bias[class 2]") == pytest.approx(
        np.mean((low - full)[block() == 7]), abs=1e-4
    )
    assert not any("mask_" in key for _, key in rows(out))
    assert ("low", "structure_correlation") not in rows(out), "it was not made from itself"
    assert ("denoised", "structure_correlation") in rows(out)
    page = (out / "index.html").read_text(encoding="utf-8")
    assert "By organ" in page
    assert "--reference-mask MASK --input low" in page
    record = json.loads((out / "evaluation.json").read_text())
    assert record["masks"] == {"from": "files", "classes": ["background", "liver", "class 2"]}


def test_a_network_labels_every_image_and_its_training_says_what_the_truth_means(
    tmp_path, images, masks, model
):
    out = tmp_path / "out"
    done = ctdenoise(
        *("evaluate", *images, "--names", "low", "denoised", "--out", out),
        *("--segment-with", model, "--truth-mask", masks[0], "--set", "page=null"),
    )
    assert done.code == 0, done.stderr
    for name, expected in EXPECTED.items():
        assert value(out, name, "mask_dice[liver]") == pytest.approx(expected)
        assert value(out, name, "mask_truth_dice[liver]") == pytest.approx(expected)
        assert value(out, name, "mask_truth_of_reference_dice[liver]") == 1.0
    record = json.loads((out / "evaluation.json").read_text())["masks"]
    assert record["from"] == "redcnn"
    assert json.loads((out / "run.json").read_text())["inputs"]["masks"] == record


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--truth-mask", "MASK"), "no masks to compare"),
        (("--input", "other"), "no test is called other"),
        (("--reference-mask", "MASK", "--truth-mask", "MASK"), "no masks to compare with the true"),
        (("--test-masks", "MASK"), "need one of the reference"),
        (("--reference-mask", "MASK", "--test-masks", "MASK"), "2 tests need 2 masks"),
        (("--segment-with", "MODEL", "--reference-mask", "MASK"), "not from both"),
        (("--segment-with", "MODEL", "--input", "other"), "no test is called other"),
        (("--segment-with", "identity.safetensors"), "no such model"),
        (("--segment-with", "MODEL", "--truth-mask", "OTHER"), "on another grid"),
    ],
    ids=["truth", "input", "alone", "reference", "count", "both", "name", "model", "grid"],
)
def test_questions_that_cannot_be_answered_are_refused(tmp_path, images, masks, model, words, why):
    other = write(tmp_path / "other.nii", np.zeros((32, 32, 5)), np.uint8)
    places = {"MASK": masks[0], "MODEL": model, "OTHER": other}
    done = ctdenoise(
        *("evaluate", *images, "--names", "low", "denoised", "--out", tmp_path / "out"),
        *(places.get(word, word) for word in words),
    )
    assert done.code in (2, 3)
    assert why in " ".join(done.stderr.split())
    assert not (tmp_path / "out").exists()


def test_a_network_trained_on_labels_by_name_is_not_guessed_to_know_their_numbers(
    tmp_path, images, masks, model
):
    checkpoint = replace(load_checkpoint(model), training={"labels": {"liver": 1}})
    named = save_checkpoint(tmp_path / "named.safetensors", checkpoint)
    words = (*images[:2], "--segment-with", named, "--truth-mask", masks[0], "--set", "page=null")
    refused = ctdenoise("evaluate", *words, "--out", tmp_path / "out")
    assert refused.code == 2, refused.stderr
    assert "trained on labels by name" in " ".join(refused.stderr.split())
    told = ("--set", "masks.labels={3: 1}")
    done = ctdenoise("evaluate", *words, "--out", tmp_path / "out", *told)
    assert done.code == 0, done.stderr


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("masks.names={1: liver, 2: liver}", "several classes are called liver"),
        ("masks.labels={3: 1, 300: 2}", "less than or equal to 255"),
        ("masks.labels={3: -1}", "greater than or equal to 0"),
    ],
    ids=["name", "label", "class"],
)
def test_names_and_numbers_of_classes_that_mean_nothing_are_refused(
    tmp_path, images, masks, change, why
):
    done = ctdenoise(
        *("evaluate", *images[:2], "--out", tmp_path / "out", "--set", "page=null"),
        *("--reference-mask", masks[0], "--test-masks", masks[1], "--set", change),
        *(() if "labels" in change else ("--set", "masks.labels={3: 1, 7: 2}")),
    )
    assert done.code == 2, done.stderr
    assert why in " ".join(done.stderr.split())
    assert not (tmp_path / "out").exists()


def test_a_network_without_a_head_makes_no_masks(tmp_path, images):
    settings = RedCnnSettings(channels=2)
    weights = build_network(settings).state_dict()
    path = save_checkpoint(tmp_path / "plain.safetensors", Checkpoint(settings, weights, HuRange()))
    done = ctdenoise(*("evaluate", *images[:2], "--out", tmp_path / "out", "--segment-with", path))
    assert done.code == 2
    assert "no segmentation head" in done.stderr


def test_a_truth_of_more_classes_than_the_network_has_is_refused(tmp_path, images, masks, model):
    done = ctdenoise(
        *("evaluate", *images[:2], "--out", tmp_path / "out", "--segment-with", model),
        *("--truth-mask", masks[0], "--set", "masks.labels={7: 2}"),
    )
    assert done.code == 2
    assert "the truth has class 2" in " ".join(done.stderr.split())
