"""`infer` without a model takes the released one of the device, and says so."""

from __future__ import annotations

import json

import pytest

from ctdenoise.config.batch import BatchSettings
from ctdenoise.config.inference import InferSettings
from ctdenoise.errors import CheckpointError
from ctdenoise.networks import released
from ctdenoise.tasks import infer, infer_all
from ctdenoise.tasks.batch_infer import infer_request
from ctdenoise.tasks.batch_sources import BatchSources
from tests.builders import water_disc
from tests.dicom.builders import ct_series, series_files
from tests.e2e.commands import ctdenoise
from tests.released_folder import release


@pytest.fixture
def study(tmp_path):
    volume = water_disc(slices=2, size=48, noise_hu=20.0)
    series_files(tmp_path / "study", ct_series(volume, signed=True))
    return tmp_path / "study"


@pytest.fixture
def models(tmp_path, monkeypatch):
    """A folder with a released model `fast`, which recommends half of its change."""
    release(tmp_path / "models", strength=0.5)
    monkeypatch.setenv(released.ENVIRONMENT, str(tmp_path / "models"))
    return tmp_path / "models"


def record_of(folder):
    return json.loads((folder / "run.json").read_text())


@pytest.mark.usefixtures("models")
def test_it_is_denoised_with_the_strength_of_the_card(study, tmp_path):
    report = infer.run(study, settings=InferSettings(device="cpu"), out=tmp_path / "out")
    assert (report.model, report.strength) == ("fast", 0.5)
    record = record_of(tmp_path / "out")
    assert record["inputs"]["model"] == "fast"
    assert record["settings"]["strength"] == record["results"]["controls"]["strength"] == 0.5
    assert "strength: 0.5" in (tmp_path / "out" / "settings.yaml").read_text()


@pytest.mark.usefixtures("models")
def test_a_strength_that_is_given_counts(study, tmp_path):
    settings = InferSettings(device="cpu", strength=1.0)
    assert infer.run(study, settings=settings, out=tmp_path / "out").strength == 1.0


@pytest.mark.usefixtures("models")
def test_the_terminal_says_which_and_the_file_too(study, tmp_path):
    done = ctdenoise("infer", study, "--out", tmp_path / "out", "--device", "cpu")
    assert done.code == 0, done.stderr
    assert "(none was named)" in done.stdout
    planned = ctdenoise("infer", study, "--out", tmp_path / "plan", "--dry-run")
    assert "(none was named)" in planned.stdout
    named = ctdenoise("infer", study, "--model", "fast", "--out", tmp_path / "named")
    assert "(none was named)" not in named.stdout
    first = next((tmp_path / "out" / "dicom").iterdir())
    assert b"model fast" in first.read_bytes()


@pytest.mark.usefixtures("models")
def test_many_studies_take_it_too(study, tmp_path):
    settings = InferSettings(device="cpu")
    report = infer_all.run([study], settings=settings, out=tmp_path / "all")
    assert record_of(tmp_path / "all" / report.outcomes[0].folder)["inputs"]["model"] == "fast"
    again = infer_all.run([study], settings=settings, out=tmp_path / "all")
    assert [one.status for one in again.outcomes] == ["kept"]
    batch = BatchSettings.model_validate({"executor": {"place": {"name": "in-process"}}})
    sources = BatchSources(below=study)
    request = infer_request(sources, None, settings, batch, out=tmp_path / "b", kind="same")
    assert request.model == "released:fast"
    assert request.settings.strength == 0.5


def test_without_weights_it_is_said_what_to_give(study, tmp_path, monkeypatch):
    monkeypatch.delenv(released.ENVIRONMENT, raising=False)
    monkeypatch.setattr(released, "packaged_folder", lambda: tmp_path / "nothing")
    with pytest.raises(CheckpointError, match=r"no model was named(.|\n)*--model"):
        infer.run(study, settings=InferSettings(device="cpu"), out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
