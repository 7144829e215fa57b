"""Scans of real phantoms: three days of water, one of which failed; three kernels of one head."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ctdenoise.config.qa import QaSettings
from ctdenoise.core.volume import CTVolume
from ctdenoise.io.read import read_volume
from ctdenoise.metrics.circular_edge import CircularEdge
from ctdenoise.metrics.nps import patches_at, power_of
from ctdenoise.metrics.ttf import ttf
from ctdenoise.tasks import qa

pytestmark = pytest.mark.ctdata


def test_of_three_days_the_one_with_another_object_in_the_water_fails(ctdata, tmp_path):
    history = tmp_path / "history.jsonl"
    reports = {
        name: qa.run(
            ctdata / "water" / f"{name}.dcm",
            QaSettings(page=False),
            out=tmp_path / name,
            history=history,
        )
        for name in ("imgA", "imgB", "imgC")
    }
    assert [one.outcome for one in reports.values()] == ["pass", "pass", "fail"]
    assert [one.day.date for one in reports.values()] == ["2018-05-31", "2018-06-01", "2018-06-02"]
    failed = {one.metric.key for one in reports["imgC"].verdicts if one.outcome == "fail"}
    assert {"mean_hu[centre]", "nonuniformity", "worst_spot", "change_mean"} <= failed
    assert "does not belong to a uniform object" in reports["imgC"].sentences[-1]
    assert abs(reports["imgB"].measured["change_noise"].value) < 5


def test_two_slices_of_one_scanner_agree(ctdata, tmp_path):
    history = tmp_path / "history.jsonl"
    for name in ("qurit_1", "qurit_2"):
        report = qa.run(
            ctdata / "water" / f"{name}.dcm",
            QaSettings(page=False),
            out=tmp_path / name,
            history=history,
        )
        assert report.outcome == "pass"
    assert abs(report.measured["change_noise"].value) < 10
    assert abs(report.measured["change_texture"].value) < 5


KERNELS = ("5mm_UB", "1mm_UB", "1mm_YA")
HEIGHTS_MM = (760.0, 768.0)
"""Where all three show the rod in the middle and the square insert; both lean a little."""

ROD, ROD_MM = (239.5, 248.9), 9.6
SQUARE, SIDE = (194.7, 286.0), 32
"""Centres in pixels, radius of the rod, side of a patch inside the square."""


@pytest.fixture(scope="module")
def heads(ctdata) -> dict[str, CTVolume]:
    folder: Path = ctdata / "series"
    return {name: read_volume(folder / f"philips_head_phantom_{name}") for name in KERNELS}


def shown(volume: CTVolume) -> np.ndarray:
    """The slices between the heights, HU."""
    heights = volume.geometry.along_normal_mm()
    inside = (heights >= HEIGHTS_MM[0]) & (heights <= HEIGHTS_MM[1])
    return volume.hu[inside].astype(np.float64)


def noise_of(volume: CTVolume):
    """The noise power in the square insert."""
    corner = (round(SQUARE[0]) - SIDE // 2, round(SQUARE[1]) - SIDE // 2)
    patches = np.concatenate([patches_at(one, [corner], SIDE) for one in shown(volume)])
    return power_of(patches, pixel_spacing_mm=volume.geometry.pixel_spacing_mm, order=2)


def sharpness_of(volume: CTVolume) -> float:
    """Mean f50 of the rod, slice by slice because it leans."""
    spacing = volume.geometry.pixel_spacing_mm
    edge = CircularEdge(ROD, ROD_MM)
    found = [ttf(one[None], edge, pixel_spacing_mm=spacing).f50_per_mm for one in shown(volume)]
    return float(np.mean([one for one in found if one is not None]))


def test_three_reconstructions_of_a_head_are_ordered_by_noise_and_its_power(heads):
    power = [noise_of(heads[name]) for name in KERNELS]
    noise = [np.sqrt(one.variance_hu2) for one in power]
    assert noise[0] < 0.9 * noise[1]
    assert noise[1] < 0.3 * noise[2]
    radial = [one.radial() for one in power]
    assert np.all(radial[2].power > radial[1].power)
    middle = (radial[0].frequency_per_mm > 0.1) & (radial[0].frequency_per_mm < 0.4)
    assert radial[1].power[middle].mean() > radial[0].power[middle].mean()
    assert radial[2].mean_frequency_per_mm > 1.2 * radial[1].mean_frequency_per_mm


def test_the_sharp_kernel_keeps_more_of_an_edge_than_the_smooth_one(heads):
    smooth, sharp = (sharpness_of(heads[name]) for name in KERNELS[1:])
    assert sharp > 1.1 * smooth
