"""Nothing that our judge objects to is put in place, and `check` tells what it finds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from ctdenoise.cli.app import main
from ctdenoise.config.dicom import DicomSettings
from ctdenoise.config.dose import SimulateSettings
from ctdenoise.config.inference import InferSettings
from ctdenoise.config.scanner import ScannerSettings
from ctdenoise.core.provenance import Step
from ctdenoise.errors import OutputError, StudyError, UsageError
from ctdenoise.io.dicom_judge import Expected, judge_series
from ctdenoise.io.dicom_writer import DerivedWriter
from ctdenoise.io.read import read_volume
from ctdenoise.io.write import write_series
from ctdenoise.tasks import check, infer, simulate
from tests.builders import water_disc
from tests.dicom.builders import ct_series, marked_volume, series_files
from tests.dicom.deriving import DENOISE, SIMULATE, rich

SETTINGS = [
    DicomSettings(transfer_syntax="implicit"),
    DicomSettings(transfer_syntax="deflated"),
    DicomSettings(transfer_syntax="rle"),
    DicomSettings(transfer_syntax="jpeg-ls"),
    DicomSettings(transfer_syntax="jpeg2000"),
    DicomSettings(image_type="PRIMARY"),
    DicomSettings(derivation_code="local"),
    DicomSettings(private="keep"),
    DicomSettings(series_number=77),
]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    volume = marked_volume(slices=3, size=(32, 40))
    series_files(tmp_path / "source", ct_series(volume, edit=rich))
    return tmp_path / "source"


def spoiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the writer write ORIGINAL in every header."""
    encoded = DerivedWriter.encoded

    def write(*arguments: object) -> bytes:
        return encoded(*arguments).replace(b"DERIVED\\SECONDARY", b"ORIGINAL\\PRIMARY ")

    monkeypatch.setattr(DerivedWriter, "encoded", write)


def test_infer_puts_nothing_in_place_that_is_no_legal_derived_series(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoiled(monkeypatch)
    with pytest.raises(OutputError, match=r"ImageType does not say DERIVED.*(?s:.*)report"):
        infer.run(source, model="identity", settings=InferSettings(), out=tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source"]


def test_simulate_puts_nothing_in_place_that_is_no_legal_derived_series(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    series_files(tmp_path / "source", ct_series(water_disc(noise_hu=5.0)))
    spoiled(monkeypatch)
    coarse = ScannerSettings(
        distances="setting", channels=96, channel_pitch_mm=3.0, views_per_turn=96
    )
    settings = SimulateSettings(dose=(0.5, 0.25), photons=2e4, scanner=coarse)
    with pytest.raises(OutputError, match="ImageType does not say DERIVED"):
        simulate.run(tmp_path / "source", settings, out=tmp_path / "out", file_format="dicom")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source"]


@pytest.mark.parametrize("step", [DENOISE, SIMULATE], ids=["denoised", "simulated"])
@pytest.mark.parametrize("settings", SETTINGS, ids=lambda one: str(one.changed_attributes()))
def test_every_setting_writes_what_the_judge_accepts(
    source: Path, tmp_path: Path, settings: DicomSettings, step: object
) -> None:
    volume = read_volume(source)
    changed = volume.with_hu(np.asarray(volume.hu + np.float32(1)), step)
    derived = write_series(changed, tmp_path / "out", settings=settings)
    assert volume.source is not None
    slices = [(one.path, 0) for one in volume.source.instances]
    assert judge_series(derived, slices, Expected("ours", settings)) == ()


@pytest.fixture
def derived(source: Path, tmp_path: Path) -> Path:
    volume = read_volume(source)
    write_series(volume.with_hu(np.asarray(volume.hu + np.float32(1)), DENOISE), tmp_path / "out")
    return tmp_path / "out"


def spoil(folder: Path, **values: object) -> None:
    for path in folder.iterdir():
        dataset = pydicom.dcmread(path)
        for keyword, value in values.items():
            setattr(dataset, keyword, value)
        dataset.save_as(path)


def test_check_ends_well_for_a_legal_series(
    derived: Path, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["check", str(derived), "--source", str(source)])
    assert ended.value.code == 0
    assert "legal" in capsys.readouterr().out


def test_check_tells_findings_as_json_and_ends_with_one(
    derived: Path, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil(derived, ImageType=["ORIGINAL", "PRIMARY", "AXIAL"])
    with pytest.raises(SystemExit) as ended:
        main(["check", str(derived), "--source", str(source), "--json"])
    assert ended.value.code == 1
    told = json.loads(capsys.readouterr().out)
    assert not told["legal"]
    assert [one["rule"] for one in told["series"][0]["findings"]] == ["image-type"]
    assert told["series"][0]["findings"][0]["files"] == 3


def test_the_source_is_chosen_by_what_the_derived_series_references(
    derived: Path, source: Path, tmp_path: Path
) -> None:
    other = marked_volume(slices=5, size=(32, 40), seed=3)
    series_files(source / "other", ct_series(other, series="2"))
    (one,) = check.run(derived, source=source)
    assert one.source_slices == 3
    assert one.is_legal


def test_a_series_that_names_none_of_several_sources_is_refused(
    derived: Path, source: Path
) -> None:
    series_files(source / "other", ct_series(marked_volume(slices=5), series="2"))
    for path in derived.iterdir():
        dataset = pydicom.dcmread(path)
        del dataset.SourceImageSequence
        dataset.save_as(path)
    with pytest.raises(UsageError, match="named as the source"):
        check.run(derived, source=source)


def test_another_programs_series_is_held_to_the_standard_only(source: Path, tmp_path: Path) -> None:
    def foreign(dataset: Dataset, index: int) -> None:
        dataset.ImageType = ["DERIVED", "PRIMARY", "AXIAL"]
        dataset.Manufacturer = "Another"
        dataset.RescaleIntercept = "-1000"
        dataset.DerivationDescription = "filtered"

    volume = read_volume(source)
    series_files(tmp_path / "other", ct_series(volume, series="9", edit=foreign))
    (one,) = check.run(tmp_path / "other", source=source)
    assert one.maker == "others"
    assert {"hu-shift", "hu-offset"} & {found.rule for found in one.objections}
    assert not {"equipment", "storage", "moment"} & {found.rule for found in one.objections}


def test_what_has_no_rules_is_said_not_to_be_judged(
    derived: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = pydicom.dcmread(min(derived.iterdir()))
    report.SOPClassUID = report.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.88.67"
    report.SeriesInstanceUID = "2.25.77"
    report.Modality = "SR"
    del report.PixelData
    report.save_as(derived / "report.dcm")
    with pytest.raises(SystemExit):
        main(["check", str(derived)])
    assert "dose report: 1 file: not judged" in capsys.readouterr().out
    assert check.not_judged(derived) == ("dose report: 1 file",)


def test_a_folder_without_ct_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("nothing")
    with pytest.raises(StudyError, match="no CT series"):
        check.run(tmp_path)


@pytest.mark.filterwarnings("ignore::UserWarning")  # the values are wrong on purpose
def test_what_is_wrong_in_the_source_is_no_error_of_the_derived_series(tmp_path: Path) -> None:
    def spoil_source(dataset: Dataset, index: int) -> None:
        rich(dataset, index)
        dataset.SOPInstanceUID = f"1.2.03.{index + 1}"  # referenced by the derived instance
        dataset.StationName = "A STATION WITH A LONG NAME"  # moves to contributing equipment
        dataset.PatientName = "Model^Noise"
        dataset.SeriesDescription = f"{'long ' * 11}[ctdenoise]"

    series_files(
        tmp_path / "in", ct_series(marked_volume(slices=3, size=(32, 40)), edit=spoil_source)
    )
    infer.run(tmp_path / "in", model="identity", settings=InferSettings(), out=tmp_path / "out")
    (one,) = check.run(tmp_path / "out" / "dicom", source=tmp_path / "in")
    assert one.is_legal
    assert {found.rule for found in one.objections} >= {"uid-form", "value-form"}


def test_a_series_of_removed_noise_is_not_asked_for_the_scale_of_its_source(
    source: Path, tmp_path: Path
) -> None:
    volume = read_volume(source)
    removed = volume.with_step(DENOISE).with_hu(
        np.zeros(volume.shape, np.float32), Step("subtract_from_source")
    )
    write_series(removed, tmp_path / "removed")
    (one,) = check.run(tmp_path / "removed", source=source)
    assert {found.rule for found in one.objections} & {"hu-offset", "storage", "window"} == set()
