"""`infer` turns a study into one derived series, or refuses before it computes anything."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from ctdenoise.config.dicom import DicomSettings
from ctdenoise.config.inference import InferSettings
from ctdenoise.config.networks import RedCnnSettings
from ctdenoise.core.intensity import HuRange
from ctdenoise.errors import CheckpointError, OutputError, OutputExistsError, StudyError, UsageError
from ctdenoise.inference.denoiser import MethodDenoiser
from ctdenoise.inference.load import load_denoiser
from ctdenoise.inference.method import Sample
from ctdenoise.io.manifest import manifest_problems, read_manifest
from ctdenoise.io.nifti import write_nifti
from ctdenoise.io.read import read_volume
from ctdenoise.io.study import find_series
from ctdenoise.io.volume_writer import VolumeWriter
from ctdenoise.networks.build import build_network
from ctdenoise.networks.checkpoint import Checkpoint, save_checkpoint
from ctdenoise.tasks import infer
from ctdenoise.tasks.infer_stream import Figures
from tests.builders import water_disc
from tests.dicom.builders import PATIENT_ID, PATIENT_NAME, ct_series, series_files


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Small images are faster on one core, and other tests run beside."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def volume():
    return water_disc(slices=3, size=48, noise_hu=20.0)


@pytest.fixture
def study(volume, tmp_path) -> Path:
    folder = tmp_path / "study"
    series_files(folder, ct_series(volume, signed=True))
    return folder


@pytest.fixture
def model(tmp_path) -> Path:
    settings = RedCnnSettings(channels=4, start_as_identity=False)
    network = build_network(settings, generator=torch.Generator().manual_seed(3))
    weights = {name: 6**0.5 * tensor for name, tensor in network.state_dict().items()}
    weights["tconv5.weight"] *= 0.05
    return save_checkpoint(tmp_path / "model.safetensors", Checkpoint(settings, weights, HuRange()))


def run(study: Path, model: Path | str, out: Path, **more: object) -> infer.InferReport:
    settings = more.pop("settings", InferSettings())
    return infer.run(study, model=model, settings=settings, out=out, **more)


@pytest.fixture
def no_computing(monkeypatch):
    """Fails the test if a denoiser is called."""

    def call(*arguments, **named):
        pytest.fail("the network ran although the request could have been refused before")

    monkeypatch.setattr(MethodDenoiser, "settle", call)


class TestDicom:
    def test_the_output_is_one_clean_series(self, study, model, tmp_path):
        report = run(study, model, tmp_path / "out")
        (found,) = find_series(tmp_path / "out")
        assert (found.what, found.readable, found.slices) == ("CT", True, 3)
        assert (report.slices, report.files) == (3, 3)

    def test_its_manifest_fits_and_lies_beside_it(self, study, model, tmp_path):
        run(study, model, tmp_path / "out")
        assert manifest_problems(tmp_path / "out") == []
        assert not (tmp_path / "out" / infer.DICOM_FOLDER / "manifest.json").exists()

    def test_how_it_is_stored_changes_no_identity(self, study, model, tmp_path):
        made = {}
        for syntax in ("explicit", "jpeg2000"):
            settings = InferSettings(dicom={"transfer_syntax": syntax})
            run(study, model, tmp_path / syntax, settings=settings)
            (series,) = read_manifest(tmp_path / syntax).series
            made[syntax] = [one.sop_instance_uid for one in series.instances]
        assert made["jpeg2000"] == made["explicit"]

    def test_its_voxels_are_those_of_the_denoiser(self, study, model, tmp_path):
        run(study, model, tmp_path / "out")
        source, result = read_volume(study), read_volume(tmp_path / "out")
        expected = load_denoiser(model)(source)
        assert np.abs(expected.hu - source.hu).max() > 5
        assert result.geometry.matches(source.geometry)
        # Stored as whole numbers with slope 1: rounding moves by half a unit at most.
        np.testing.assert_allclose(result.hu, expected.hu, rtol=0, atol=0.5)

    def test_a_network_that_copies_the_middle_of_three_slices_gives_them_back(
        self, study, tmp_path
    ):
        settings = RedCnnSettings(channels=4, slices=3)  # as drawn at first, it is the identity
        weights = build_network(settings).state_dict()
        checkpoint = Checkpoint(settings, weights, HuRange())
        model = save_checkpoint(tmp_path / "several.safetensors", checkpoint)
        report = run(study, model, tmp_path / "out")
        assert np.array_equal(read_volume(tmp_path / "out").hu, read_volume(study).hu)
        assert report.largest_change_hu == 0.0

    def test_the_identity_gives_back_the_values_of_the_source(self, study, tmp_path):
        report = run(study, "identity", tmp_path / "out")
        assert np.array_equal(read_volume(tmp_path / "out").hu, read_volume(study).hu)
        assert (report.mean_change_hu, report.largest_change_hu) == (0.0, 0.0)

    def test_the_source_is_not_touched(self, study, model, tmp_path):
        before = {path.name: path.read_bytes() for path in study.iterdir()}
        run(study, model, tmp_path / "out")
        assert {path.name: path.read_bytes() for path in study.iterdir()} == before

    def test_it_may_be_written_as_nifti(self, study, model, tmp_path):
        run(study, model, tmp_path / "out", file_format="nifti")
        assert (tmp_path / "out" / "image.nii").is_file()
        np.testing.assert_allclose(
            read_volume(tmp_path / "out").hu,
            load_denoiser(model)(read_volume(study)).hu,
            rtol=0,
            atol=0.5,
        )


class TestNifti:
    def test_nifti_in_gives_nifti_out(self, volume, model, tmp_path):
        write_nifti(volume, tmp_path / "scan.nii")
        run(tmp_path / "scan.nii", model, tmp_path / "out")
        assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
            "image.nii",
            "run.json",
            "settings.yaml",
        ]
        assert read_volume(tmp_path / "out").geometry.matches(volume.geometry)


class TestRecord:
    def test_it_says_what_was_run(self, study, model, tmp_path):
        settings = InferSettings(strength=0.5, engine="torch")
        report = run(study, model, tmp_path / "out", settings=settings)
        record = json.loads((tmp_path / "out" / "run.json").read_text())
        assert record["command"] == "infer"
        assert record["settings"]["strength"] == 0.5
        assert record["inputs"]["model_digest"] == report.model_digest
        assert record["results"]["largest_change_hu"] == pytest.approx(report.largest_change_hu)
        assert record["device"] == "torch cpu float32"

    def test_the_settings_can_be_given_again(self, study, model, tmp_path):
        settings = InferSettings(strength=0.5, keep_below_per_mm=0.0, tile=48)
        run(study, model, tmp_path / "out", settings=settings)
        text = (tmp_path / "out" / "settings.yaml").read_text()
        assert InferSettings.model_validate(yaml.safe_load(text)) == settings

    def test_nothing_names_the_patient_or_a_path(self, study, model, tmp_path):
        run(study, model, tmp_path / "out")
        for name in ("run.json", "settings.yaml"):
            text = (tmp_path / "out" / name).read_text()
            for secret in (PATIENT_NAME, PATIENT_ID, str(tmp_path)):
                assert secret not in text

    def test_the_change_is_measured_over_image_voxels(self, volume):
        padding = np.zeros(volume.shape, dtype=bool)
        padding[:, :10] = True
        before = replace(volume, padding=padding)
        moved = volume.hu + np.float32(3.0)
        moved[0, 0, 0] = 9_000.0
        moved[1, 20, 20] -= 10.0
        after = replace(volume, hu=moved)
        figures = Figures(Sample.of(before))
        for index in range(volume.shape[0]):
            one = slice(index, index + 1)
            figures.add(before.select(one), after.select(one), range(index, index + 1))
        expected = 3.0 - 10.0 / (~padding).sum()
        assert figures.mean_change_hu == pytest.approx(expected, abs=1e-4)
        assert figures.largest_change_hu == pytest.approx(7.0, abs=1e-3)


@pytest.mark.usefixtures("no_computing")
class TestRefusedBeforeWork:
    def test_an_output_folder_that_holds_something(self, study, model, tmp_path):
        out = tmp_path / "out"
        out.mkdir()
        (out / "kept.txt").write_text("mine")
        with pytest.raises(OutputExistsError):
            run(study, model, out)
        assert [path.name for path in out.iterdir()] == ["kept.txt"]

    def test_a_model_that_is_none(self, study, tmp_path):
        (tmp_path / "model.pt").write_bytes(b"PK\x03\x04" + b"\0" * 50)
        with pytest.raises(CheckpointError, match="pickle"):
            run(study, tmp_path / "model.pt", tmp_path / "out")
        assert not (tmp_path / "out").exists()

    def test_a_folder_without_ct(self, model, tmp_path):
        (tmp_path / "study").mkdir()
        (tmp_path / "study" / "readme.txt").write_text("no images")
        with pytest.raises(StudyError):
            run(tmp_path / "study", model, tmp_path / "out")
        assert not (tmp_path / "out").exists()

    def test_several_series_without_a_choice(self, study, volume, model, tmp_path):
        series_files(study / "second", ct_series(volume, series="2", signed=True))
        with pytest.raises(UsageError):
            run(study, model, tmp_path / "out")

    def test_an_image_of_another_modality(self, volume, model, tmp_path):
        def to_mr(dataset, index):
            dataset.Modality = "MR"
            dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.4"

        series_files(tmp_path / "mr", ct_series(volume, edit=to_mr))
        with pytest.raises(StudyError):
            run(tmp_path / "mr", model, tmp_path / "out")


def test_the_series_that_is_named_is_denoised(study, volume, tmp_path):
    shifted = volume.hu + np.float32(100.0)
    series_files(study / "second", ct_series(replace(volume, hu=shifted), series="2", signed=True))
    run(study, "identity", tmp_path / "out", series="2")
    chosen = find_series(study)[1]
    assert np.array_equal(read_volume(tmp_path / "out").hu, read_volume(chosen).hu)


@pytest.mark.parametrize("reason", [OutputError("the disk is full"), KeyboardInterrupt()])
def test_a_run_that_fails_while_writing_leaves_nothing(reason, study, model, tmp_path, monkeypatch):
    def write(writer, block):
        (writer._folder / "1.dcm").write_bytes(b"half")
        raise reason

    monkeypatch.setattr(VolumeWriter, "write", write)
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(type(reason)):
        run(study, model, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_a_transfer_syntax_is_refused_where_no_dicom_is_written(volume, tmp_path):
    write_nifti(volume, tmp_path / "ct.nii")
    settings = InferSettings(dicom=DicomSettings(transfer_syntax="rle"))
    with pytest.raises(UsageError, match="none is written"):
        infer.run(tmp_path / "ct.nii", model="identity", settings=settings, out=tmp_path / "out")
