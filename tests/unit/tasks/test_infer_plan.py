"""`infer --dry-run` and `--roi`: a plan that holds, and a region that is kept."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pydicom
import pytest

from ctdenoise.config.inference import InferSettings
from ctdenoise.errors import CTDenoiseError
from ctdenoise.inference.method import Estimates, Taken
from ctdenoise.io.image_writer import ImageWriter
from ctdenoise.io.nifti import write_nifti
from ctdenoise.io.read import read_volume
from ctdenoise.tasks import infer, infer_checks, infer_plan, infer_work
from ctdenoise.tasks.infer_plan import plan
from ctdenoise.tasks.infer_work import InferRequest
from tests.builders import water_disc
from tests.dicom.builders import ct_series, series_files
from tests.e2e.commands import ctdenoise
from tests.unit.inference.linear import LinearMethod

BOX = "10:30,5:40,1:2"


class Halving(LinearMethod):
    """Takes half of every value away."""

    def take(self, block, *, labels=False, error=False):
        del labels, error
        return Taken(np.float32(0.5) * block.wanted.hu, Estimates())


@pytest.fixture
def volume():
    return water_disc(slices=3, size=48, noise_hu=20.0)


@pytest.fixture
def study(volume, tmp_path) -> Path:
    series_files(tmp_path / "study", ct_series(volume, signed=True))
    return tmp_path / "study"


@pytest.fixture(autouse=True)
def halving(monkeypatch):
    """Every model halves values: this is about what becomes of them."""
    from ctdenoise.inference.denoiser import MethodDenoiser

    def load(name, settings):
        if name == "missing":
            raise CTDenoiseError("there is no such model.")
        return MethodDenoiser(Halving(), settings)

    monkeypatch.setattr(infer_work, "load_denoiser", load)


def request_of(study, out, **more):
    settings = InferSettings.model_validate(more.pop("settings", {}))
    return InferRequest(study, more.pop("model", "halving"), settings, out, **more)


def run(study, out, **more):
    wanted = request_of(study, out, **more)
    return infer.run(
        wanted.study,
        model=wanted.model,
        settings=wanted.settings,
        out=out,
        file_format=wanted.file_format,
        roi=wanted.roi,
    )


class TestThePlan:
    @pytest.mark.parametrize(
        ("file_format", "objects"),
        [
            ("same", {}),
            ("nifti", {"residual": True}),
            ("same", {"residual": True, "noise_map": "ct"}),
        ],
        ids=["dicom", "nifti with residual", "dicom with maps"],
    )
    def test_it_names_what_a_run_writes_and_no_less_space(
        self, study, tmp_path, file_format, objects
    ):
        more = {"file_format": file_format, "settings": {"objects": objects}}
        planned = plan(request_of(study, tmp_path / "out", **more))
        assert not (tmp_path / "out").exists()
        report = run(study, tmp_path / "out", **more)
        made = sorted(path.name for path in (tmp_path / "out").iterdir())
        assert sorted(planned.outputs) == made
        assert planned.files == report.files
        size = sum(path.stat().st_size for path in (tmp_path / "out").rglob("*") if path.is_file())
        assert size <= planned.disk_mb * 1e6 + 30_000  # settings, records and the manifest

    def test_it_writes_nothing_at_all(self, study, tmp_path):
        before = sorted(tmp_path.rglob("*"))
        plan(request_of(study, tmp_path / "deep" / "out"))
        assert sorted(tmp_path.rglob("*")) == before

    def test_it_says_what_controls_a_run_uses(self, study, tmp_path):
        rules = [{"name": "thick", "when": {"thickness_mm": [2, 9]}, "strength": 0.25}]
        more = {"settings": {"presets": rules}, "roi": BOX}
        planned = plan(request_of(study, tmp_path / "out", **more))
        report = run(study, tmp_path / "out", **more)
        assert planned.controls == report.controls
        assert dict(planned.controls)["preset"] == "thick"
        assert planned.strength == report.strength == 0.25
        assert planned.computed_slices == 1
        assert planned.seconds >= planned.seconds_per_slice > 0

    def test_it_says_what_the_checks_will_say_of_the_scan(self, study, tmp_path, monkeypatch):
        for task in (infer_plan, infer_checks):
            monkeypatch.setattr(task, "trained_on", lambda _: {})
        planned = plan(request_of(study, tmp_path / "out"))
        assert [finding.code for finding in planned.findings] == ["range-unknown"]
        assert set(planned.findings) <= set(run(study, tmp_path / "out").checks.findings)

    def test_strength_0_computes_nothing(self, study, tmp_path):
        planned = plan(request_of(study, tmp_path / "out", settings={"strength": 0}))
        assert (planned.computed_slices, planned.seconds_per_slice) == (0, 0.0)

    @pytest.mark.parametrize(
        "more",
        [
            {"model": "missing"},
            {"roi": "0:99,:,:"},
            {"roi": "nowhere.nii"},
            {"settings": {"dicom": {"transfer_syntax": "rle"}}, "file_format": "nifti"},
        ],
        ids=["model", "box", "map", "syntax"],
    )
    def test_it_refuses_what_a_run_refuses(self, study, tmp_path, more):
        with pytest.raises(CTDenoiseError) as planned:
            plan(request_of(study, tmp_path / "out", **dict(more)))
        with pytest.raises(CTDenoiseError) as ran:
            run(study, tmp_path / "out", **dict(more))
        assert str(planned.value) == str(ran.value)

    def test_an_output_that_is_taken_is_refused(self, study, tmp_path):
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "there").touch()
        with pytest.raises(CTDenoiseError, match="exists already"):
            plan(request_of(study, tmp_path / "out"))


class TestTheRegion:
    def test_what_is_written_outside_is_the_source(self, study, tmp_path):
        run(study, tmp_path / "out", roi=BOX)
        before, after = read_volume(study), read_volume(tmp_path / "out" / "dicom")
        inside = np.zeros(before.shape, dtype=np.bool_)
        inside[1:2, 5:40, 10:30] = True
        assert after.hu[~inside].tobytes() == before.hu[~inside].tobytes()
        assert (after.hu[inside] != before.hu[inside]).any()

    def test_the_change_is_measured_where_it_is_whole(self, study, tmp_path):
        whole = run(study, tmp_path / "whole")
        report = run(study, tmp_path / "out", roi=BOX)
        before, after = read_volume(study), read_volume(tmp_path / "out" / "dicom")
        change = (after.hu - before.hu)[1, 8:37, 13:27]  # three pixels inside the box
        # The file holds whole HU: each pixel is off by 0.29 at random.
        error = 0.29 / change.size**0.5
        assert report.mean_change_hu == pytest.approx(change.mean(), abs=4 * error)
        assert abs(change.mean()) > 8 * error
        assert report.slices == whole.slices

    def test_the_series_says_so(self, study, tmp_path):
        run(study, tmp_path / "out", roi=BOX)
        for path in (tmp_path / "out" / "dicom").iterdir():
            told = pydicom.dcmread(path).DerivationDescription
            assert "only_inside box x 10:30 y 5:40 z 1:2" in told

    def test_the_path_of_a_label_map_is_written_nowhere(self, study, volume, tmp_path):
        labels = np.zeros(volume.shape, dtype=np.uint8)
        labels[1, 5:40, 10:30] = 1
        path = tmp_path / "of_mr_smith.mha"
        with ImageWriter(path, "mha", volume.geometry, labels.dtype, packed=False) as image:
            image.write(labels)
        run(study, tmp_path / "out", roi=str(path))
        run(study, tmp_path / "box", roi=BOX)
        for written in (tmp_path / "out").rglob("*"):
            assert not written.is_file() or b"smith" not in written.read_bytes()
        one, other = (read_volume(tmp_path / name / "dicom") for name in ("out", "box"))
        assert one.hu.tobytes() == other.hu.tobytes()

    def test_another_region_is_another_series(self, study, tmp_path):
        uids = []
        for number, roi in enumerate((None, BOX, "0:9,0:9,0:1")):
            run(study, tmp_path / f"out{number}", roi=roi)
            first = next((tmp_path / f"out{number}" / "dicom").iterdir())
            uids.append(pydicom.dcmread(first).SeriesInstanceUID)
        assert len(set(uids)) == 3


def test_the_record_names_the_preset_and_the_shares(tmp_path):
    write_nifti(
        water_disc(slices=4, size=160, noise_hu=20.0, pixel_spacing_mm=0.75), tmp_path / "scan.nii"
    )
    settings = {"presets": [{"name": "all", "strength": "low"}]}
    run(tmp_path / "scan.nii", tmp_path / "out", settings=settings)
    record = json.loads((tmp_path / "out" / "run.json").read_text())["results"]["controls"]
    assert (record["preset"], record["strength"], record["texture"]) == ("all", 0.3, 1.0)
    assert record["share_by_frequency_per_mm"][0] == [0.0, 0.3]


class TestTheCommand:
    def test_a_dry_run_ends_well_and_makes_nothing(self, study, tmp_path):
        outcome = ctdenoise(
            "infer", study, "--model", "identity", "--out", tmp_path / "out", "--dry-run"
        )
        assert outcome.code == 0, outcome.stderr
        assert "Would denoise 3 slices; nothing is written" in outcome.stdout
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize("option", [("--strength", "0.5"), ("--noise-target", "15")])
    def test_an_option_sets_presets_aside(self, study, tmp_path, option):
        words = ("infer", study, "--model", "m", "--out", tmp_path / "out", "--dry-run")
        chosen = ctdenoise(*words, "--config", "presets")
        assert "all others" in chosen.stdout
        outcome = ctdenoise(*words, "--config", "presets", *option)
        assert outcome.code == 0, outcome.stderr
        assert "all others" not in outcome.stdout
