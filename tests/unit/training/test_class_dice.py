"""Dice of every class in validation: the formula, the names, and where the figures appear."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from ctdenoise.cli.train import _dice
from ctdenoise.config.losses import LossSettings
from ctdenoise.config.training import DataSettings, TrainSettings
from ctdenoise.config.validation import ValidationSettings
from ctdenoise.core.intensity import HuRange
from ctdenoise.inference.load import load_denoiser
from ctdenoise.losses.build import build_loss
from ctdenoise.networks.checkpoint import load_checkpoint
from ctdenoise.networks.prediction import Constraints, DenoisingNetwork, Prediction
from ctdenoise.tasks import train as task
from ctdenoise.training.figures import dice_columns
from ctdenoise.training.job import prepare_job
from ctdenoise.training.labels import class_names
from ctdenoise.training.records import read_metrics
from ctdenoise.training.split import SliceRange
from ctdenoise.training.validation import ValidationSlice, Validator

SEG = {
    "network": {"name": "redcnn", "channels": 4, "head": {"classes": 4}},
    "loss": {"terms": [{"name": "mse"}, {"name": "dice"}]},
}


class Told(DenoisingNetwork):
    """Labels as the image says: class n where it is n HU."""

    def __init__(self, classes: int) -> None:
        super().__init__(Constraints())
        self.classes = classes

    def forward(self, scaled):
        number = (scaled[:, 0] * 1000).round().long()
        logits = torch.nn.functional.one_hot(number, self.classes).movedim(-1, 1).float()
        return Prediction(scaled, logits)


def measured(predicted, reference, classes=4):
    slices = [
        ValidationSlice(np.int16(p), np.int16(p), np.uint8(r))
        for p, r in zip(predicted, reference, strict=True)
    ]
    loss = build_loss(LossSettings())
    settings = ValidationSettings(pictures={"slices": 0})
    validator = Validator(slices, HuRange(0.0, 1000.0), torch.device("cpu"), loss, settings)
    return validator.measure(Told(classes))


def test_each_class_has_the_dice_of_the_formula_over_all_slices():
    predicted, reference = np.zeros((2, 2, 6, 6), dtype=int)
    reference[0, :2], predicted[0, 1:3] = 1, 1  # 12 and 12 pixels, 6 of them in both
    reference[1, :1], predicted[1, :1] = 1, 1  # 6 of 6
    reference[1, 4:], predicted[1, 5:] = 2, 2  # 12 and 6, 6 in both
    found = measured(predicted, reference)
    assert found.class_dice == pytest.approx((2 * 12 / 36, 2 * 6 / 18, None))
    assert found.dice == pytest.approx((2 / 3 + 2 / 3) / 2)


def test_a_class_that_is_only_predicted_has_no_value_and_does_not_enter_the_mean():
    predicted, reference = np.zeros((2, 1, 4, 4), dtype=int)
    reference[0, 0], predicted[0, 0], predicted[0, 3] = 1, 1, 3
    found = measured(predicted, reference)
    assert found.class_dice == (1.0, None, None)
    assert found.dice == 1.0


def test_without_any_class_there_is_no_mean():
    predicted, reference = np.zeros((2, 1, 4, 4), dtype=int)
    found = measured(predicted, reference)
    assert found.dice is None
    assert found.class_dice == (None, None, None)


@pytest.mark.parametrize(
    ("labels", "names", "expected"),
    [
        ({"1": 1, "3": 2}, {}, ("left kidney", "right kidney", "class 3")),
        ({"left kidney": 1, "right kidney": 1}, {}, ("left kidney and right kidney", "class 2")),
        ({"left kidney": 1, "3": 1}, {1: "kidneys"}, ("kidneys", "class 2")),
        (None, {2: "tumour"}, ("left kidney", "tumour", "right kidney")),
        ({"1": 1, "7": 2}, {}, ("left kidney", "class 2")),
    ],
    ids=["numbers", "joined", "given", "labels are classes", "unnamed"],
)
def test_classes_are_called_as_settings_or_labels_say(make_pair, labels, names, expected):
    pair = make_pair(labelled=True, label_names={1: "left kidney", 3: "right kidney"})
    settings = DataSettings(labels=labels, class_names=names)
    ranges = [SliceRange(pair, 0, 5)]
    found = class_names(ranges, settings, classes=1 + len(expected))
    assert found == ("background", *expected)


@pytest.mark.parametrize(
    "data",
    [
        {"class_names": {0: "air"}},
        {"class_names": {1: ""}},
        {"class_names": {1: "a", 2: "a"}},
        {"class_names": {4: "a"}},
    ],
    ids=["background", "empty", "twice", "no class"],
)
def test_impossible_names_are_refused(data):
    with pytest.raises(ValueError, match="class"):
        TrainSettings.model_validate({**SEG, "data": data})


def test_columns_are_words_and_differ():
    names = ("background", "Kidney, left", "kidney left", "Milz (groß)")
    assert dice_columns(names) == (
        "val_dice_kidney_left",
        "val_dice_kidney_left_2",
        "val_dice_milz_groß",
    )


def test_every_record_of_a_run_has_the_dice_of_each_class(make_pair, tiny, tmp_path, caplog):
    pair = make_pair(labelled=True, label_names={1: "kidney", 3: "liver"})
    data = {"labels": {"kidney": 1, "liver": 2}, "class_names": {3: "spleen"}}
    out = tmp_path / "run"
    report = task.run([pair.folder], tiny.replaced(**SEG, data=data), out=out)
    assert "No validation slice shows the class spleen (3)" in caplog.text
    assert set(report.class_dice) == {"kidney", "liver", "spleen"}
    assert report.class_dice["spleen"] is None
    rows = [row for row in read_metrics(out) if row["val_dice"]]
    best = next(row for row in rows if int(row["step"]) == report.best_step)
    for name in ("kidney", "liver"):
        assert float(best[f"val_dice_{name}"]) == report.class_dice[name]
    assert all(row["val_dice_spleen"] == "" for row in rows)
    results = json.loads((out / "run.json").read_text())["results"]
    assert results["val_class_dice"] == report.class_dice
    training = load_checkpoint(out).training
    assert training["val_class_dice"] == report.class_dice
    assert load_denoiser(out).class_names == ("background", "kidney", "liver", "spleen")
    text = (out / "README.md").read_text()
    assert all(f"`{column}`" in text for column in read_metrics(out)[0])
    shown = _dice(report)
    assert shown.startswith(f"{report.dice:.3f} (kidney ")
    assert shown.endswith("; none in the validation slices: spleen)")


def test_measuring_leaves_every_part_of_a_network_in_its_mode(make_pair, tiny):
    job = prepare_job([make_pair()], tiny, seed=0)
    job.network.conv1.eval()
    job.validator.measure(job.network)
    assert not job.network.conv1.training
    assert job.network.conv2.training


def test_class_weights_are_as_many_as_classes():
    terms = [{"name": "mse"}, {"name": "cross_entropy", "class_weights": [1.0, 2.0]}]
    with pytest.raises(ValueError, match="has 2 numbers, and the network tells 4"):
        TrainSettings.model_validate({**SEG, "loss": {"terms": terms}})
