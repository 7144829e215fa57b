"""What this program made before is known again: results, removed noise, maps, simulations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from ctdenoise.config.inference import InferSettings, ObjectSettings
from ctdenoise.core.provenance import Step
from ctdenoise.errors import StudyError
from ctdenoise.io.read import read_volume
from ctdenoise.io.study import find_series
from ctdenoise.io.write import write_series
from ctdenoise.tasks import infer
from tests.dicom.builders import ct_series, multi_frame, series_files
from tests.dicom.deriving import SIMULATE
from tests.dicom.zoo import zoo_volume

EVERYTHING = InferSettings(objects=ObjectSettings(residual=True, noise_map="ct"))


def warnings_of(folder: Path) -> list[str]:
    (found,) = find_series(folder)
    return [finding.code for finding in found.notes if finding.severity == "warning"]


@pytest.fixture(params=["single images", "multi-frame"])
def results(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    volume = zoo_volume(64)
    datasets = ct_series(volume) if request.param == "single images" else [multi_frame(volume)]
    series_files(tmp_path / "source", datasets)
    infer.run(tmp_path / "source", model="identity", settings=EVERYTHING, out=tmp_path / "out")
    return tmp_path / "out"


@pytest.mark.parametrize("folder", ["residual", "noise_map"])
def test_nothing_is_derived_from_removed_noise_or_a_map(results: Path, folder: str) -> None:
    assert warnings_of(results / folder) == ["no-image"]
    with pytest.raises(StudyError, match="not the patient"):
        infer.run(
            results / folder, model="identity", settings=InferSettings(), out=results / "again"
        )


def test_a_result_that_is_denoised_again_is_noted(results: Path) -> None:
    assert warnings_of(results / "dicom") == ["already-denoised"]
    infer.run(results / "dicom", model="identity", settings=InferSettings(), out=results / "again")


def test_a_simulated_series_is_noted_and_stays_marked_when_it_is_denoised(tmp_path: Path) -> None:
    series_files(tmp_path / "source", ct_series(zoo_volume(64)))
    assert warnings_of(tmp_path / "source") == []
    volume = read_volume(tmp_path / "source")
    write_series(volume.with_hu(volume.hu, SIMULATE), tmp_path / "low")
    assert warnings_of(tmp_path / "low") == ["synthetic"]
    infer.run(tmp_path / "low", model="identity", settings=InferSettings(), out=tmp_path / "out")
    derived = dcmread(tmp_path / "out" / "dicom" / "00001.dcm")
    assert derived.SyntheticData == "YES"
    assert derived.SeriesDescription.startswith("SIMULATED 25 % RESEARCH USE ONLY")
    assert "SIMULATED 25 %" in derived.ImageComments


def test_a_description_of_somebody_else_says_nothing(tmp_path: Path) -> None:
    def edit(dataset: Dataset, index: int) -> None:
        dataset.DerivationDescription = "other program; denoise: 50 %; subtract_from_source"

    series_files(tmp_path, ct_series(zoo_volume(64), edit=edit))
    assert warnings_of(tmp_path) == []


@pytest.mark.parametrize("slope", [1e-6, 1e-3, 1.0])
def test_pixels_that_did_not_change_keep_all_of_their_32_bits(tmp_path: Path, slope: float) -> None:
    volume = zoo_volume(64)

    def edit(dataset: Dataset, index: int) -> None:
        fine = np.random.default_rng(index).random(volume.hu[index].shape)
        stored = np.rint((volume.hu[index].astype(np.float64) + 1024.0 + fine) / slope)
        dataset.BitsAllocated = dataset.BitsStored = 32
        dataset.HighBit, dataset.RescaleSlope = 31, f"{slope:g}"
        dataset.PixelData = stored.astype("<u4").tobytes()

    paths = series_files(tmp_path / "source", ct_series(volume, edit=edit))
    read = read_volume(tmp_path / "source")
    written = write_series(read.with_hu(read.hu, Step("denoise", {})), tmp_path / "derived")
    for path, copy in zip(paths, written, strict=True):
        assert dcmread(copy).PixelData == dcmread(path).PixelData
