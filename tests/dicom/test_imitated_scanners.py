"""Phantoms whose headers read as those of a scanner, and say that there was none."""

from __future__ import annotations

from pathlib import Path

import pydicom
import pytest

from ctdenoise.config.controls import PresetConditions
from ctdenoise.config.dose import SimulateSettings
from ctdenoise.config.phantom import GridSettings, PhantomSettings, WaterSettings
from ctdenoise.io.read import read_volume
from ctdenoise.io.write import write_series
from ctdenoise.phantoms.build import build_phantom
from ctdenoise.simulation.filters import header_f50_per_mm
from ctdenoise.simulation.scanner import fan_of
from tests.dicom.validators import errors_of

SCANNERS = ("ge", "siemens", "philips", "canon")


def settings(scanner: str, **changes: object) -> PhantomSettings:
    return PhantomSettings(
        phantom=WaterSettings(),
        grid=GridSettings(size=32, slices=2),
        scanner=scanner,
        **changes,
    )


def written(out: Path, scanner: str, **changes: object) -> list[Path]:
    return list(write_series(build_phantom(settings(scanner, **changes)).volume, out))


@pytest.mark.validators
@pytest.mark.parametrize("scanner", SCANNERS)
def test_it_has_no_error(tmp_path: Path, dicom_validators: tuple[str, str], scanner: str) -> None:
    for path in written(tmp_path / "out", scanner):
        assert not errors_of(dicom_validators[0], path)


@pytest.mark.parametrize("scanner", SCANNERS)
def test_nobody_takes_it_for_a_scan(tmp_path: Path, scanner: str) -> None:
    for path in written(tmp_path / "out", scanner):
        one = pydicom.dcmread(path)
        assert "imitation" in one.Manufacturer
        assert "phantom" in one.Manufacturer
        assert "no scanner" in one.ManufacturerModelName
        assert one.SyntheticData == "YES"
        assert str(one.PatientName).startswith("PHANTOM^")
        assert "RESEARCH USE ONLY" in one.ImageComments
        assert one.StudyDescription == "Computed phantom"


@pytest.mark.parametrize("scanner", SCANNERS)
def test_rules_of_the_maker_apply(tmp_path: Path, scanner: str) -> None:
    written(tmp_path / "out", scanner, exposure_mas=100.0)
    acquisition = read_volume(tmp_path / "out").acquisition
    assert PresetConditions(manufacturer=f"{scanner.upper()}.*").hold(acquisition)
    assert header_f50_per_mm(acquisition) == pytest.approx(0.35, abs=0.04)
    fan = fan_of(SimulateSettings().scanner, acquisition)
    assert 540 <= fan.distance_mm <= 600
    assert acquisition.ctdi_vol_mgy == pytest.approx(7.0)
    assert acquisition.filter_type


def test_the_kernel_may_be_named(tmp_path: Path) -> None:
    written(tmp_path / "out", "siemens", kernel="B70f")
    acquisition = read_volume(tmp_path / "out").acquisition
    assert acquisition.convolution_kernel == "B70f"
    assert header_f50_per_mm(acquisition) == pytest.approx(0.80)


def test_only_the_header_differs(tmp_path: Path) -> None:
    plain = build_phantom(settings("none"))
    like = build_phantom(settings("ge"))
    assert (plain.volume.hu == like.volume.hu).all()
    uids = {
        pydicom.dcmread(path).SeriesInstanceUID
        for scanner in ("none", "ge", "canon")
        for path in written(tmp_path / scanner, scanner)
    }
    assert len(uids) == 3


def test_a_phantom_that_imitates_nobody_has_the_identity_that_it_always_had() -> None:
    assert {"scanner", "kernel", "sinogram"}.isdisjoint(settings("none").deciding())


def test_a_kernel_without_a_scanner_is_refused() -> None:
    with pytest.raises(ValueError, match="scanner"):
        PhantomSettings(kernel="B30f")
