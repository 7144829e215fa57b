"""A server must know its own products, whatever became of their descriptions; a phantom is none."""

from __future__ import annotations

from pathlib import Path

import pydicom
import pytest

from ctdenoise.core.provenance import Step
from ctdenoise.io.read import read_volume
from ctdenoise.io.rule_facts import rule_facts
from ctdenoise.io.study import find_series
from ctdenoise.io.write import write_series
from tests.builders import water_disc
from tests.dicom.builders import ct_series, marked_volume, series_files
from tests.dicom.deriving import DENOISE, SIMULATE

PHANTOM = Step("phantom", {"name": "water", "size": 32})


def made_by_us(folder: Path) -> str:
    (series,) = find_series(folder)
    return rule_facts(series, {}).made_by_us


@pytest.fixture
def scanned(tmp_path: Path) -> Path:
    series_files(tmp_path / "scanned", ct_series(marked_volume()))
    return tmp_path / "scanned"


def test_a_scan_is_not_ours(scanned: Path) -> None:
    assert made_by_us(scanned) == ""


@pytest.mark.parametrize("step", [DENOISE, SIMULATE], ids=["denoised", "simulated"])
@pytest.mark.parametrize("taken", ["nothing", "texts", "texts and equipment"])
def test_what_was_derived_is_ours_even_without_its_descriptions(
    scanned: Path, tmp_path: Path, step: Step, taken: str
) -> None:
    volume = read_volume(scanned)
    files = write_series(volume.with_hu(volume.hu + 1, step), tmp_path / "derived")
    for file in files:
        dataset = pydicom.dcmread(file)
        if taken != "nothing":
            dataset.SeriesDescription = "THORAX"
            dataset.DerivationDescription = "filtered"
        if taken == "texts and equipment":
            dataset.Manufacturer = "another"
            del dataset.ContributingEquipmentSequence
        dataset.save_as(file)
    # Whoever replaces all of it made it another product; the ledger still knows the UIDs.
    assert bool(made_by_us(tmp_path / "derived")) == (taken != "texts and equipment")


def test_a_phantom_may_be_sent_to_try_a_server(tmp_path: Path) -> None:
    disc = water_disc(slices=3, size=32, noise_hu=4.0)
    write_series(disc.with_hu(disc.hu, PHANTOM), tmp_path / "phantom")
    assert made_by_us(tmp_path / "phantom") == ""
