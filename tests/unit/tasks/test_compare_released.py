"""Released models in a comparison: by name, with the budget and the strength of their cards."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ctdenoise.config.inference import InferSettings
from ctdenoise.networks.checkpoint import load_checkpoint
from ctdenoise.networks.released import ENVIRONMENT
from ctdenoise.tasks.compare_models import read_models
from tests.released_folder import release


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """A released model `fast`; the working folder is that of another training run."""
    compute = {"steps": 700, "patches": 5600, "seconds": 9.5}
    path = release(tmp_path / "models", strength=0.75, compute=compute)
    monkeypatch.setenv(ENVIRONMENT, str(tmp_path / "models"))
    monkeypatch.chdir(tmp_path)
    other = {"command": "train", "results": {"steps": 3}, "settings": {"batch_size": 1}}
    Path("run.json").write_text(json.dumps(other))
    return path


def rows(*models: str | Path, **infer: float):
    found = read_models([Path(model) for model in models], infer=InferSettings(**infer))
    return [model.row for model in found]


def test_a_row_has_the_name_the_budget_and_the_strength_of_the_card(weights):
    (row,) = rows("fast")
    assert (row.name, row.network, row.note) == ("fast", "redcnn", "strength 0.75")
    assert row.digest == load_checkpoint(weights).digest
    told = row.training
    assert (told.steps, told.patches, told.seconds) == (700, 5600, 9.5)


@pytest.mark.usefixtures("weights")
def test_with_all_of_its_change_nothing_is_noted():
    (row,) = rows("released:fast", strength=1.0)
    assert row.note == ""


def test_a_file_is_a_network_like_any_other(weights):
    (row,) = rows(weights)
    assert (row.name, row.note, row.training.steps) == ("redcnn", "", None)
