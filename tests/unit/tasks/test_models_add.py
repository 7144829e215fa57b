"""`models add`: a checkpoint becomes two files that are found by name."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest

from ctdenoise.config.model_card import CardResults
from ctdenoise.errors import CheckpointError, OutputExistsError, SettingsError, UsageError
from ctdenoise.inference.load import load_denoiser
from ctdenoise.inference.rounding import ROUNDING_MOST_HU
from ctdenoise.networks.checkpoint import load_checkpoint, save_checkpoint
from ctdenoise.networks.released import ENVIRONMENT, released
from ctdenoise.tasks import models_add
from ctdenoise.tasks.models_add import AddRequest
from tests.released_folder import lively_checkpoint

CARD = """
summary: Small and quick.
strength: 0.6
limits: [Not for heads.]
data:
  - {name: A phantom, licence: CC0}
compute: {processor: an abacus}
"""
RESULTS = {
    "tables": [{"title": "By dose", "columns": ["dose", "RMSE, HU"], "rows": [["25 %", 7.5]]}],
    "failures": [{"picture": "images/worst.png", "caption": "Streaks."}],
}
RUN = {
    "command": "train",
    "settings": {"batch_size": 8},
    "results": {"steps": 50},
    "timings_s": {"steps": 12.5},
    "device": "cpu",
}


@pytest.fixture
def run(tmp_path):
    """The folder of a training run."""
    folder = tmp_path / "run"
    folder.mkdir()
    save_checkpoint(folder / "model.safetensors", lively_checkpoint())
    (folder / "run.json").write_text(json.dumps(RUN))
    return folder


def add(run, tmp_path, **more):
    return models_add.run(AddRequest(run, more.pop("name", "mine"), tmp_path / "models", **more))


def written(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text if isinstance(text, str) else json.dumps(text), encoding="utf-8")
    return path


def test_what_is_made_is_found_by_its_name(run, tmp_path, monkeypatch):
    report = add(run, tmp_path, strength=0.8)
    monkeypatch.setenv(ENVIRONMENT, str(tmp_path / "models"))
    denoiser = load_denoiser("mine")
    assert denoiser.recommended.strength == 0.8
    assert denoiser.digest == report.model.card.digest
    assert report.model == released("mine", [tmp_path / "models"])
    assert report.size_mb == pytest.approx(report.model.path.stat().st_size / 1e6)


def test_the_card_says_what_the_run_says(run, tmp_path):
    card = add(run, tmp_path).model.card
    assert (card.compute.steps, card.compute.patches, card.compute.seconds) == (50, 400, 12.5)
    assert card.compute.processor == "cpu"
    assert card.training_range == lively_checkpoint().training["trained_on"]
    assert card.network == "redcnn"
    assert card.strength == 1.0
    assert "50 steps" in card.summary


def test_runs_that_came_before_are_counted(run, tmp_path):
    shutil.copytree(run, tmp_path / "base")
    card = add(run, tmp_path, earlier=(tmp_path / "base",)).model.card
    assert (card.compute.steps, card.compute.patches, card.compute.seconds) == (100, 800, 25.0)
    (tmp_path / "base" / "run.json").unlink()
    unknown = add(run, tmp_path, earlier=(tmp_path / "base",), replace=True).model.card.compute
    assert (unknown.steps, unknown.patches, unknown.seconds) == (None, None, None)


def test_a_checkpoint_alone_will_do(run, tmp_path):
    (run / "run.json").unlink()
    card = add(run / "model.safetensors", tmp_path).model.card
    assert card.compute.steps is None
    assert card.digest == load_checkpoint(run).digest or card.stored == "float16"


class TestStorage:
    def test_weights_that_bear_it_are_stored_as_float16(self, run, tmp_path, monkeypatch):
        monkeypatch.setattr(models_add, "rounding_hu", lambda _: ROUNDING_MOST_HU)
        report = add(run, tmp_path)
        assert report.model.card.stored == "float16"
        whole = (run / "model.safetensors").stat().st_size
        assert report.model.path.stat().st_size < 0.75 * whole
        used = load_checkpoint(report.model.path)
        assert used.digest == report.model.card.digest != load_checkpoint(run).digest

    def test_others_stay_as_they_are(self, run, tmp_path, monkeypatch):
        monkeypatch.setattr(models_add, "rounding_hu", lambda _: 1.01 * ROUNDING_MOST_HU)
        report = add(run, tmp_path)
        assert report.model.card.stored == "float32"
        assert report.model.card.digest == load_checkpoint(run).digest
        assert report.model.path.read_bytes() == (run / "model.safetensors").read_bytes()

    def test_the_change_that_it_makes_is_measured(self):
        whole = lively_checkpoint()
        assert 0 < models_add.rounding_hu(whole) < 1
        rounded = {name: tensor.float() for name, tensor in whole.halved().weights.items()}
        assert models_add.rounding_hu(replace(whole, weights=rounded)) == 0

    def test_weights_beyond_float16_are_told(self):
        weights = {name: tensor * 1e6 for name, tensor in lively_checkpoint().weights.items()}
        with pytest.raises(CheckpointError, match="not finite"):
            replace(lively_checkpoint(), weights=weights).halved()

    def test_the_same_checkpoint_gives_the_same_files(self, run, tmp_path):
        first, second = (
            models_add.run(AddRequest(run, "mine", tmp_path / name)) for name in ("a", "b")
        )
        assert first.model.card == second.model.card
        assert first.model.path.read_bytes() == second.model.path.read_bytes()


class TestWords:
    def test_words_and_results_come_from_files(self, run, tmp_path):
        card = written(tmp_path, "card.yaml", CARD)
        results = written(tmp_path, "results.json", RESULTS)
        report = add(run, tmp_path, card=card, results=results)
        found = report.model.card
        assert found.summary == "Small and quick."
        assert found.strength == 0.6
        assert found.limits == ("Not for heads.",)
        assert found.results == CardResults.model_validate(RESULTS)
        assert (found.compute.processor, found.compute.steps) == ("an abacus", 50)
        assert report.missing == ("intended_use", "recipe", "licence")

    def test_a_strength_on_the_command_line_counts(self, run, tmp_path):
        card = written(tmp_path, "card.yaml", CARD)
        assert add(run, tmp_path, card=card, strength=0.3).model.card.strength == 0.3

    def test_words_stay_when_the_model_is_replaced_and_results_if_it_is_the_same(
        self, run, tmp_path
    ):
        card = written(tmp_path, "card.yaml", CARD)
        results = written(tmp_path, "results.json", RESULTS)
        first = add(run, tmp_path, card=card, results=results).model.card
        same = add(run, tmp_path, replace=True).model.card
        assert (same.summary, same.strength) == (first.summary, first.strength)
        assert same.results == first.results
        other = save_checkpoint(tmp_path / "other.safetensors", lively_checkpoint(channels=5))
        card = add(other, tmp_path, replace=True).model.card
        assert card.summary == first.summary
        assert card.results == CardResults()
        assert card.compute.steps is None

    @pytest.mark.parametrize(
        ("kind", "text", "told"),
        [
            ("card", "summry: x", "summary"),
            ("results", "{", "cannot be read as JSON"),
            ("results", "[]", "no mapping"),
            (
                "results",
                '{"tables": [{"title": "t", "columns": ["a"], "rows": [[1, 2]]}]}',
                "cells",
            ),
            ("results", '{"failures": [{"picture": "/x.png", "caption": "c"}]}', "below"),
        ],
        ids=["key", "cut", "list", "ragged", "absolute"],
    )
    def test_files_that_are_wrong_are_told_and_nothing_is_made(
        self, run, tmp_path, kind, text, told
    ):
        with pytest.raises(SettingsError, match=told):
            add(run, tmp_path, **{kind: written(tmp_path, "given", text)})
        assert not (tmp_path / "models").exists()


def test_words_that_come_with_the_program_are_found_by_name(run, tmp_path):
    card = add(run, tmp_path, name="fast", card="fast").model.card
    assert card.data
    assert card.licence


def test_nothing_is_replaced_without_being_asked(run, tmp_path):
    add(run, tmp_path)
    with pytest.raises(OutputExistsError, match=r"already(.|\n)*--replace"):
        add(run, tmp_path)


@pytest.mark.parametrize("name", ["nlm", "identity", "Fast", "../fast", "a b", "-x", "x" * 33])
def test_names_that_mean_something_else_are_refused(run, tmp_path, name):
    with pytest.raises(UsageError, match="--name"):
        add(run, tmp_path, name=name)


def test_a_record_that_is_damaged_is_told(run, tmp_path):
    (run / "run.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"run\.json"):
        add(run, tmp_path)
