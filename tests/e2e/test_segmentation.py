"""Real organs: a twin, a network that denoises and labels, labels on disk, the mask question."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from skimage.color import rgb2lab

from ctdenoise.io.image_labels import read_labels
from ctdenoise.io.read import read_volume
from ctdenoise.metrics.masks import agreement
from tests.e2e.commands import ctdenoise

pytestmark = pytest.mark.slow

LABELLED = slice(82, 112)
"""The label map has 30 slices. Its header puts them on the first 30 of the image, but they fit the
last 30: there, and nowhere else, the liver is 45 HU with a standard deviation of 15 HU."""

LABELS = {1: 1, 5: 2}  # in the numbering of TotalSegmentator
CLASSES = {1: "spleen", 2: "liver"}

TRAINING = (
    "network={name: unet, features: [8, 8, 8, 16, 16, 8], head: {classes: 3}}",
    "loss.terms=[{name: mse, weight: 100}, {name: cross_entropy}, {name: dice}]",
    f"data.labels={LABELS}",
    f"data.class_names={CLASSES}",
    "patches.size=64",
    "patches.augment=false",
    "batch_size=4",
    "steps=200",
    "optimizer.learning_rate=4e-3",
    "schedule={name: cosine, warmup_steps: 10}",
    "validation={every: 200, crop: null, metric: dice}",
    "device=cpu",
)


@pytest.fixture(scope="module")
def organs(ctdata, tmp_path_factory) -> tuple[Path, Path]:
    """The labelled slices and their labels."""
    source, folder = ctdata / "masks" / "organs", tmp_path_factory.mktemp("organs")
    image = nib.load(source / "example_ct.nii.gz").slicer[:, :, LABELLED]
    labels = np.asarray(nib.load(source / "example_seg.nii.gz").dataobj)
    paths = folder / "ct.nii.gz", folder / "labels.nii.gz"
    nib.save(image, paths[0])
    nib.save(nib.Nifti1Image(labels.astype(np.uint8), image.affine), paths[1])
    return paths


def done(*words):
    outcome = ctdenoise(*words)
    assert outcome.code == 0, outcome.stderr
    return outcome


def sets(values):
    return [word for value in values for word in ("--set", value)]


def test_a_network_denoises_and_labels_real_organs(organs, tmp_path):
    image, labels = organs
    full, pair, low = tmp_path / "full", tmp_path / "pair", tmp_path / "low"
    done("convert", image, "--out", full, "--format", "dicom")
    simulate = ("--dose", "0.25", "--config", "image_domain")
    done("simulate", full, *simulate, "--labels", labels, "--out", pair)
    done("simulate", full, *simulate, "--format", "dicom", "--out", low)

    model = tmp_path / "model"
    told = done("train", pair, "--out", model, "--config", "redcnn", *sets(TRAINING)).stdout
    reached = json.loads((model / "run.json").read_text())["results"]["val_class_dice"]
    assert f"liver {reached['liver']:.3f}" in told
    assert reached["liver"] > 0.6  # on the last six slices, after seconds

    out = tmp_path / "denoised"
    colour = 'objects.segments={liver: {colour: "#dd8265"}}'
    done("infer", low, "--model", model, "--out", out, "--set", colour)
    (path,) = (out / "segmentation").iterdir()
    segmentation = pydicom.dcmread(path)
    segments = segmentation.SegmentSequence
    assert [one.SegmentLabel for one in segments] == ["spleen", "liver"]
    types = [one.SegmentedPropertyTypeCodeSequence[0] for one in segments]
    assert [one.CodeMeaning for one in types] == ["Spleen", "Liver"]

    assert "RecommendedDisplayCIELabValue" not in segments[0]
    lab = np.array(segments[1].RecommendedDisplayCIELabValue) / 65535 * (100, 255, 255)
    asked = rgb2lab(np.uint8([[[0xDD, 0x82, 0x65]]]))[0, 0]
    np.testing.assert_allclose(lab - (0, 128, 128), asked, atol=0.1)

    flat = tmp_path / "flat"
    done("infer", low, "--model", model, "--out", flat, "--format", "nifti")
    found = read_labels(flat / "labels.nii", read_volume(full).geometry)
    numbers = [
        frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        for frame in segmentation.PerFrameFunctionalGroupsSequence
    ]
    for number in CLASSES:
        voxels = segmentation.pixel_array[np.array(numbers) == number].sum()
        assert voxels == np.count_nonzero(found == number)

    page = tmp_path / "page"
    done(
        *("evaluate", full, low, out / "dicom", "--names", "low", "denoised", "--out", page),
        *("--segment-with", model, "--truth-mask", labels, "--input", "low"),
    )
    with (page / "evaluation.csv").open(newline="") as file:
        values = {(r["test"], r["key"]): float(r["value"] or "nan") for r in csv.DictReader(file)}
    truth = read_labels(labels, read_volume(full).geometry)
    by_hand = agreement(truth == 5, found == 2, read_volume(full).geometry)
    assert values["low", "mask_truth_dice[liver]"] == pytest.approx(by_hand.dice)
    assert values["low", "mask_truth_surface_mm[liver]"] == pytest.approx(by_hand.surface_mm)
    assert values["denoised", "mask_truth_dice[liver]"] > 0.6
    assert values["denoised", "mask_input_dice[liver]"] > 0.9
    assert "Masks against the true one" in (page / "index.html").read_text(encoding="utf-8")
