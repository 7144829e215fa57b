"""Every rule of our judge notices a defect planted for it, and a legal series breaks none."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

from ctdenoise.config.dicom import DicomSettings
from ctdenoise.core.provenance import Step
from ctdenoise.core.volume import CTVolume
from ctdenoise.io.dicom_judge import Expected, Objection, judge_series
from ctdenoise.io.dicom_judge_rules import RULES
from ctdenoise.io.read import read_volume
from ctdenoise.io.write import write_series
from tests.dicom.builders import ct_series, marked_volume, series_files
from tests.dicom.deriving import DENOISE, SIMULATE, rich
from tests.dicom.mutations import MUTATIONS, Mutation
from tests.dicom.planting import Series

OURS = Expected("ours", DicomSettings())

REAL_SERIES = [
    "series/siemens_chest",
    "series/ge_abdomen",
    "series/philips_chest",
    "series/philips_head_phantom_1mm_YA",
    "zoo/ge_head_tilt_uneven_gaps",
]


def siemens(dataset: Dataset, index: int) -> None:
    rich(dataset, index)
    dataset.Manufacturer, dataset.ManufacturerModelName = "SIEMENS", "Definition"
    dataset.BitsStored, dataset.HighBit = 12, 11
    dataset.TableHeight, dataset.ProtocolName = "150", "Chest"
    dataset.DateOfSecondaryCapture = "20240102"
    dataset.LossyImageCompression = "01"
    dataset.add_new((0x0029, 0x0010), "LO", "SIEMENS CSA HEADER")


def ge(dataset: Dataset, index: int) -> None:
    siemens(dataset, index)
    dataset.Manufacturer, dataset.ManufacturerModelName = "GE MEDICAL SYSTEMS", "LightSpeed16"
    dataset.BitsStored, dataset.HighBit = 16, 15
    dataset.GantryDetectorTilt = "0"


def philips(dataset: Dataset, index: int) -> None:
    siemens(dataset, index)
    dataset.Manufacturer, dataset.ManufacturerModelName = "Philips", "Brilliance"
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.PatientName = "M\u00fcller^Someone"


MAKERS = {
    "siemens": (siemens, {"padding_value": 0}),
    "ge": (ge, {"padding_value": -2000, "signed": True}),
    "philips": (philips, {"padding_value": 0}),
}


def padded_volume() -> CTVolume:
    """Smooth anatomy with fine structure, different in each slice, in a circle."""
    volume = marked_volume(slices=4, size=(32, 40))
    rows, columns = np.mgrid[:32, :40]
    outside = np.hypot(rows - 16, columns - 20) > 15
    padding = np.repeat(outside[None], 4, axis=0)
    hu = np.clip(volume.hu, -300, 900)
    return CTVolume(hu, volume.geometry, volume.acquisition, padding=padding)


def made(folder: Path, maker: str, step: Step) -> Series:
    edit, storage = MAKERS[maker]
    series_files(folder / "source", ct_series(padded_volume(), edit=edit, **storage))
    volume = read_volume(folder / "source")
    changed = np.where(volume.hu > 0, volume.hu - 1, volume.hu + 1).astype(np.float32)
    derived = write_series(volume.with_hu(changed, step), folder / "derived")
    assert volume.source is not None
    return Series(list(derived), [one.path for one in volume.source.instances])


def judged(series: Series, expected: Expected = OURS) -> tuple[Objection, ...]:
    return judge_series(series.derived, [(path, 0) for path in series.source], expected)


@pytest.fixture(scope="module")
def legal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("legal")
    for maker in MAKERS:
        made(folder / maker / "denoised", maker, DENOISE)
        made(folder / maker / "simulated", maker, SIMULATE)
    return folder


def copy_of(legal: Path, folder: Path, *, simulated: bool, maker: str = "siemens") -> Series:
    shutil.copytree(legal / maker / ("simulated" if simulated else "denoised"), folder / "series")
    return Series(
        sorted((folder / "series" / "derived").iterdir()),
        sorted((folder / "series" / "source").iterdir()),
    )


@pytest.mark.parametrize("simulated", [False, True], ids=["denoised", "simulated"])
@pytest.mark.parametrize("maker", MAKERS)
def test_a_legal_series_breaks_no_rule(
    legal: Path, tmp_path: Path, maker: str, simulated: bool
) -> None:
    assert judged(copy_of(legal, tmp_path, simulated=simulated, maker=maker)) == ()


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda one: one.name)
def test_a_planted_defect_is_noticed_by_its_rule_and_no_other(
    legal: Path, tmp_path: Path, mutation: Mutation, maker: str
) -> None:
    if mutation.name == "a value above BitsStored" and maker == "ge":
        pytest.skip("every word is a legal value with 16 bits stored")
    if mutation.rule == "character-set" and maker == "philips":
        pytest.skip("the character set of the series explains the text")
    series = copy_of(legal, tmp_path, simulated=mutation.simulated, maker=maker)
    mutation.plant(series)
    found = {one.rule for one in judged(series)}
    assert mutation.rule in found
    assert found - {mutation.rule} <= mutation.companions


def test_every_rule_has_a_planted_defect() -> None:
    unplanted = set(RULES) - {mutation.rule for mutation in MUTATIONS}
    beside = {"removed-noise", "map-scale", "labels"}  # planted in test_judge_objects
    assert unplanted == {"pixels-unreadable", *beside}  # the first is a companion of "no pixels"


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda one: one.name)
def test_no_objection_quotes_the_patient(legal: Path, tmp_path: Path, mutation: Mutation) -> None:
    series = copy_of(legal, tmp_path, simulated=mutation.simulated)
    mutation.plant(series)
    for one in judged(series):
        assert not any(word in one.text for word in ("Marker", "4711", "Hospital", "SN-77"))


@pytest.mark.ctdata
@pytest.mark.parametrize("name", REAL_SERIES)
@pytest.mark.parametrize("step", [DENOISE, SIMULATE], ids=["denoised", "simulated"])
def test_what_is_derived_from_a_real_series_breaks_no_rule(
    ctdata: Path, tmp_path: Path, name: str, step: Step
) -> None:
    volume = read_volume(ctdata / name)
    middle = volume.shape[0] // 2
    part = volume.select(slice(middle, middle + 4))
    assert part.source is not None
    derived = write_series(part.with_hu(part.hu + np.float32(1), step), tmp_path / "out")
    found = judged(Series(list(derived), [one.path for one in part.source.instances]))
    assert [one for one in found if one.severity == "error"] == []
