"""The compare task: what it writes, what it warns of, and what it refuses before it works."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from ctdenoise.config.comparison import CompareSettings
from ctdenoise.config.evaluation import EvaluateSettings
from ctdenoise.config.load import load_settings
from ctdenoise.config.networks import IdentitySettings, RedCnnSettings
from ctdenoise.core.intensity import HuRange
from ctdenoise.core.pair import Exposure, Pair
from ctdenoise.core.provenance import Step
from ctdenoise.core.source import SourceInstance, SourceSeries
from ctdenoise.core.volume import CTVolume
from ctdenoise.errors import (
    CheckpointError,
    MissingExtraError,
    OutputExistsError,
    PairsError,
    SettingsError,
    UsageError,
)
from ctdenoise.inference.load import load_denoiser
from ctdenoise.io.pair_writer import write_pairs
from ctdenoise.io.pairs import find_pairs, read_pair
from ctdenoise.metrics.evaluation import evaluate
from ctdenoise.networks.build import build_network
from ctdenoise.networks.checkpoint import Checkpoint, save_checkpoint
from ctdenoise.tasks import compare as task
from ctdenoise.tasks.compare_images import judged_images, shown_images
from ctdenoise.training.start import digest_of
from tests.builders import water_disc

SETTINGS = CompareSettings(noise_patch=8, threads=1)
NUMBERS = SETTINGS.replaced(page=None)


def write_pair(
    folder: Path,
    *,
    patient: str,
    doses=(0.25,),
    slices: int = 3,
    exact: bool = False,
    degraded: bool = False,
    seed: int = 0,
) -> Path:
    rng = np.random.default_rng(seed)
    clean = water_disc(slices=slices, size=64)
    source = SourceSeries(
        "nifti", tuple(SourceInstance(Path("x")) for _ in range(slices)), patient_key=patient
    )
    own = 0.0 if exact else rng.normal(0, 3, clean.shape).astype(np.float32)
    full = CTVolume(clean.hu + own, clean.geometry, clean.acquisition, source)
    told = {"source_noise": "none" if exact else "subtract"}
    step = Step("degrade", {"settings": told}) if degraded else Step("simulate_low_dose", told)
    pairs = []
    for dose in doses:
        noise = rng.normal(0, 10 / np.sqrt(dose), clean.shape).astype(np.float32)
        low = full.with_hu(full.hu + noise, step)
        pairs.append(Pair(full, low, Exposure(dose, 1e5)))
    folder.mkdir(parents=True)
    write_pairs(folder, pairs)
    return folder


def write_model(
    path: Path, *, training=None, channels: int | None = 2, seed: int = 0, slices=1
) -> Path:
    settings = RedCnnSettings(channels=channels or 1, slices=slices)
    settings = IdentitySettings() if channels is None else settings
    generator = torch.Generator().manual_seed(seed)
    network = build_network(settings, generator=generator)
    weights = {
        name: torch.randn(weight.shape, generator=generator) / 10
        for name, weight in network.state_dict().items()
    }
    checkpoint = Checkpoint(settings, weights, HuRange(0, 1000), training or {})
    path.parent.mkdir(parents=True, exist_ok=True)
    return save_checkpoint(path, checkpoint)


KNOWN = {"trained_patients": [digest_of("somebody")]}


@pytest.fixture
def models(tmp_path) -> list[Path]:
    return [
        write_model(tmp_path / "Doe_run" / "model.safetensors", training=KNOWN),
        write_model(tmp_path / "one.safetensors", training=KNOWN, channels=None),
    ]


@pytest.fixture
def pairs(tmp_path) -> Path:
    write_pair(tmp_path / "pairs" / "Doe_a", patient="aaaa", doses=(0.5, 0.25), seed=1)
    write_pair(tmp_path / "pairs" / "Doe_b", patient="bbbb", doses=(0.5, 0.25), seed=2)
    write_pair(tmp_path / "pairs" / "phantom", patient="", exact=True, seed=3)
    return tmp_path / "pairs"


def metrics(record, place, row) -> dict[str, float]:
    return {one["key"]: one["value"] for one in record[place]["rows"][row]["metrics"]}


@pytest.mark.parametrize("degraded", [False, True])
def test_a_truth_without_noise_is_known_from_the_record_of_either_simulation(tmp_path, degraded):
    for exact in (False, True):
        write_pair(tmp_path / str(exact), patient="x", exact=exact, degraded=degraded)
    judged = judged_images(find_pairs([tmp_path]), SETTINGS)
    assert sorted(one.image.truth for one in judged) == ["exact", "scan"]


def test_a_run_writes_the_page_the_numbers_and_the_record(tmp_path, models, pairs):
    out = tmp_path / "out"
    report = task.run(models, [pairs], SETTINGS, out=out, title="Two of them")
    assert {path.name for path in out.iterdir()} == {
        "comparison.json",
        "comparison.csv",
        "differences.csv",
        "index.html",
        "pictures",
        "settings.yaml",
        "run.json",
    }
    assert report.page == out / "index.html"
    record = json.loads((out / "comparison.json").read_text())
    assert [row["name"] for row in record["rows"]] == ["low dose", "redcnn", "identity"]
    found = [(one["truth"], one["dose_fraction"]) for one in record["conditions"]]
    assert found == [("scan", 0.5), ("scan", 0.25), ("exact", 0.25)]
    assert [one["patients"] for one in record["conditions"]] == [2, 2, 1]
    assert len(record["images"]) == 5
    with (out / "comparison.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 3 * 3
    assert float(lines[0]["rmse"]) > float(lines[0]["rmse_standard_error"]) > 0
    assert load_settings(CompareSettings, out / "settings.yaml") == SETTINGS
    assert "Two of them" in (out / "index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("slices", [1, 3])
def test_figures_are_those_of_infer_and_evaluate(tmp_path, pairs, slices):
    model = write_model(tmp_path / "net.safetensors", slices=slices)
    task.run([model], [pairs / "Doe_a"], NUMBERS, out=tmp_path / "out")
    record = json.loads((tmp_path / "out" / "comparison.json").read_text())
    pair = read_pair(find_pairs([pairs / "Doe_a"])[0], 1)
    denoised = load_denoiser(model)(pair.low)
    expected = evaluate(pair.full, denoised, EvaluateSettings(windows=NUMBERS.windows))
    found = metrics(record["images"], 1, 1)
    assert found["rmse"] != metrics(record["images"], 1, 0)["rmse"]
    for metric in expected.metrics:
        assert found[metric.key] == metric.as_json()["value"]


def test_the_identity_is_the_low_dose(tmp_path, models, pairs):
    task.run(models[1:], [pairs], NUMBERS, out=tmp_path / "out")
    record = json.loads((tmp_path / "out" / "comparison.json").read_text())
    for place in range(3):
        assert metrics(record["conditions"], place, 0) == metrics(record["conditions"], place, 1)


def test_the_texture_of_an_exact_truth_is_compared_with_the_low_dose(tmp_path, models, pairs):
    task.run(models[1:], [pairs / "phantom"], NUMBERS, out=tmp_path / "out")
    record = json.loads((tmp_path / "out" / "comparison.json").read_text())
    found = metrics(record["conditions"], 0, 1)
    assert found["nps_fav"] > 0
    assert found["nps_fav_change"] == pytest.approx(0)


def test_every_slice_of_every_image_is_timed(tmp_path, models, pairs):
    report = task.run(models, [pairs], NUMBERS, out=tmp_path / "out")
    low, *rows = report.comparison.contenders
    assert low.times is None
    for row in rows:
        assert len(row.times.seconds) == 5 * 3 - 1
        assert row.times.threads == 1
        assert min(row.times.seconds) > 0


@pytest.mark.parametrize(
    ("training", "words"),
    [
        ({"trained_patients": [digest_of("aaaa")]}, "TRAINED ON A TEST PATIENT (aaaa)"),
        ({}, "does not say whom it was trained on"),
        (KNOWN, "no patient key"),
        ({**KNOWN, "judging_patients": [digest_of("bbbb")]}, "(bbbb) chose the step"),
    ],
    ids=["trained on one", "unknown", "no key", "judged by one"],
)
def test_a_model_that_may_know_the_test_is_never_compared_silently(
    tmp_path, pairs, training, words
):
    model = write_model(tmp_path / "model.safetensors", training=training)
    out = tmp_path / "out"
    task.run([model], [pairs], SETTINGS, out=out)
    row = json.loads((out / "comparison.json").read_text())["rows"][1]
    assert any(words in warning for warning in row["warnings"])
    assert words in (out / "index.html").read_text(encoding="utf-8")
    assert words in (out / "comparison.csv").read_text(encoding="utf-8")


def test_a_model_that_knows_nobody_of_the_test_carries_no_warning(tmp_path, models, pairs):
    report = task.run(models, [pairs / "Doe_a"], NUMBERS, out=tmp_path / "out")
    assert [row.warnings for row in report.comparison.contenders] == [(), (), ()]


def test_nothing_written_holds_the_names_of_the_inputs(tmp_path, models, pairs):
    out = tmp_path / "out"
    task.run(models, [pairs], SETTINGS, out=out)
    for path in out.rglob("*"):
        assert "Doe" not in path.name
        if path.suffix in {".json", ".csv", ".html", ".yaml"}:
            assert "Doe_" not in path.read_text(encoding="utf-8")  # no "_" in base64


def test_groups_stand_together_in_the_order_of_their_first(tmp_path, models, pairs):
    report = task.run(
        [models[0], models[1], models[0]],
        [pairs / "phantom"],
        NUMBERS,
        out=tmp_path / "out",
        names=["one", "two", "three"],
        groups=["b", "a", "b"],
        notes=["", "a note", ""],
    )
    assert report.comparison.names == ("low dose", "one", "three", "two")
    assert report.comparison.contenders[3].note == "a note"


def test_equal_kinds_are_numbered(tmp_path, models, pairs):
    report = task.run([models[0], *models], [pairs / "phantom"], NUMBERS, out=tmp_path / "out")
    assert report.comparison.names == ("low dose", "redcnn 1", "redcnn 2", "identity")


@pytest.mark.parametrize("names", [["one"], ["same", "same"], ["", "two"], ["low dose", "two"]])
def test_names_must_tell_the_models_apart(tmp_path, models, pairs, names):
    with pytest.raises(UsageError, match="different names"):
        task.run(models, [pairs], NUMBERS, out=tmp_path / "out", names=names)


@pytest.mark.parametrize("option", ["groups", "notes"])
def test_groups_and_notes_are_one_for_each(tmp_path, models, pairs, option):
    with pytest.raises(UsageError, match="need 2"):
        task.run(models, [pairs], NUMBERS, out=tmp_path / "out", **{option: ["one"]})


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [(None, [1, 2, 3]), (1, [2]), (2, [1, 3]), (9, [1, 2, 3]), ((3, 1), [1, 3])],
)
def test_slices_are_chosen_as_asked_for(tmp_path, models, pairs, wanted, expected):
    settings = NUMBERS.replaced(slices=wanted)
    task.run(models[1:], [pairs / "Doe_a"], settings, out=tmp_path / "out")
    record = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert record["images"][0]["slices"] == expected


def test_a_slice_that_is_not_there_is_refused_by_its_number(tmp_path, models, pairs):
    with pytest.raises(SettingsError, match="no slice 4"):
        task.run(models, [pairs], NUMBERS.replaced(slices=(2, 4)), out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_page_shows_each_kind_of_truth_at_its_lowest_dose_first(pairs):
    tests = judged_images(find_pairs([pairs]), NUMBERS)
    found = [(one.image.truth, one.image.dose_fraction) for one in shown_images(tests, 3)]
    assert found == [("scan", 0.25), ("exact", 0.25), ("scan", 0.25)]
    assert shown_images(tests, 0) == ()


def test_what_a_run_says_of_its_budget_is_told(tmp_path, pairs):
    run = tmp_path / "run"
    write_model(run / "model.safetensors", training={**KNOWN, "step": 20, "seed": 7})
    record = {
        "command": "train",
        "settings": {
            "batch_size": 4,
            "patches": {"size": 24},
            "validation": {"patients": ["aaaa"]},
        },
        "results": {"steps": 30},
        "timings_s": {"steps": 1.5},
    }
    (run / "run.json").write_text(json.dumps(record))
    (run / "metrics.csv").write_text("step,val_rmse_hu\n10,30.5\n15,\n20,20.5\n")
    report = task.run([run], [pairs / "Doe_a"], NUMBERS, out=tmp_path / "out")
    row = report.comparison.contenders[1]
    training = row.training
    assert (training.steps, training.best_step, training.patches) == (30, 20, 120)
    assert (training.patch_size, training.seconds, training.seed) == (24, 1.5, 7)
    assert training.curve == ((10, 30.5), (20, 20.5))
    assert "chose the step" in row.warnings[0]


def test_numbers_alone_need_no_report_packages(tmp_path, models, pairs, monkeypatch):
    monkeypatch.setattr("ctdenoise.report.requirements.find_spec", lambda _: None)
    report = task.run(models[1:], [pairs / "phantom"], NUMBERS, out=tmp_path / "out")
    assert report.page is None
    assert not (tmp_path / "out" / "index.html").exists()
    with pytest.raises(MissingExtraError):
        task.run(models, [pairs], SETTINGS, out=tmp_path / "page")


def test_what_cannot_be_compared_is_refused_and_leaves_nothing(tmp_path, models, pairs):
    out = tmp_path / "out"
    with pytest.raises(UsageError, match="no model"):
        task.run([], [pairs], NUMBERS, out=out)
    with pytest.raises(CheckpointError):
        task.run([tmp_path / "absent"], [pairs], NUMBERS, out=out)
    with pytest.raises(PairsError):
        task.run(models, [tmp_path / "absent"], NUMBERS, out=out)
    assert not out.exists()
    out.mkdir()
    (out / "file").touch()
    with pytest.raises(OutputExistsError):
        task.run(models, [pairs], NUMBERS, out=out)
    shutil.rmtree(out)


def test_classical_filters_stand_among_networks_and_have_no_weights(tmp_path, models, pairs):
    out = tmp_path / "out"
    settings = SETTINGS.replaced(page=None, slices=1)
    task.run([models[0], Path("gaussian")], [pairs / "phantom"], settings, out=out)
    record = json.loads((out / "comparison.json").read_text(encoding="utf-8"))
    row = record["rows"][2]
    assert (row["name"], row["network"], row["parameters"]) == ("gaussian", "gaussian", 0)
    assert row["digest"] == load_denoiser("gaussian").digest
    assert row["warnings"] == []
