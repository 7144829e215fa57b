"""Checks pass what only lost its noise, and fire on planted faults."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from ctdenoise.config.checks import CheckSettings
from ctdenoise.errors import GeometryError, OutputError
from ctdenoise.inference.checks import Checks, check_result, looked_at, refuse
from ctdenoise.inference.region import BoxRegion
from tests.unit.inference.scans import body, changed, ct_noise, noisy


@pytest.fixture(scope="module")
def truth():
    return body()


@pytest.fixture(scope="module")
def scan(truth):
    return noisy(truth)


def codes(report, *severities):
    wanted = severities or ("error", "warning")
    return [finding.code for finding in report.findings if finding.severity in wanted]


def tissue(truth, low, high):
    smooth = ndimage.uniform_filter(truth.hu, (1, 5, 5))
    return (smooth > low) & (smooth < high)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("share", [1.0, 0.4])
def test_removing_nothing_but_noise_passes(truth, seed, share):
    scan = noisy(truth, 30.0, seed)
    result = changed(scan, scan.hu - share * (scan.hu - truth.hu))
    report = check_result(scan, result)
    assert report.findings == ()
    assert report.passed


def test_the_identity_passes_with_a_note_that_nothing_changed(scan):
    report = check_result(scan, scan)
    assert report.passed
    assert codes(report, "note") == ["nothing-changed"]


def test_exact_noise_removal_takes_no_detail_of_edges_within_its_error(truth):
    losses = []
    for seed in range(6):
        scan = noisy(truth, 30.0, seed)
        losses.append(check_result(scan, changed(scan, truth.hu)).figures["edge_loss"]["share"])
    error = np.std(losses, ddof=1) / np.sqrt(len(losses))
    assert abs(np.mean(losses)) < 5 * error + 0.002  # 0.002: bands overlap a little


@pytest.mark.parametrize("sigma", [0.5, 1.0])
def test_a_gaussian_blur_loses_edges_as_its_response_says(truth, scan, sigma):
    blurred = ndimage.gaussian_filter(scan.hu, (0, sigma, sigma))
    report = check_result(scan, changed(scan, blurred))
    assert "edges-blurred" in codes(report, "warning")
    clean = check_result(
        truth, changed(truth, ndimage.gaussian_filter(truth.hu, (0, sigma, sigma)))
    )
    figure, exact = (each.figures["edge_loss"] for each in (report, clean))
    # A linear filter takes the same share of structure whether there is noise or not.
    assert figure["share"] == pytest.approx(exact["share"], abs=5 * figure["standard_error"])


def test_sharpening_is_told_from_blurring(truth, scan):
    sharp = truth.hu + 0.5 * (truth.hu - ndimage.gaussian_filter(truth.hu, (0, 1, 1)))
    assert codes(check_result(scan, changed(scan, sharp))) == ["edges-sharpened"]


@pytest.mark.parametrize(
    ("name", "low", "high", "drift"),
    [("soft", -30, 200, 2.0), ("fat", -150, -30, -4.0), ("lung", -950, -500, 6.0)],
)
def test_drift_of_one_tissue_is_found_and_named(truth, scan, name, low, high, drift):
    moved = truth.hu + drift * tissue(truth, low, high)
    report = check_result(scan, changed(scan, moved))
    assert [finding.code for finding in report.findings] == ["hu-drift"]
    figure = report.figures["drift"][name]
    assert figure["mean_hu"] == pytest.approx(drift, abs=5 * figure["standard_error_hu"])


def test_a_large_drift_is_an_error(truth, scan):
    moved = truth.hu + 5.0 * tissue(truth, -30, 200)
    assert codes(check_result(scan, changed(scan, moved)), "error") == ["hu-drift"]


def test_a_drift_that_is_not_proven_is_no_finding(truth):
    few = replace(
        truth, hu=truth.hu[:1], geometry=truth.geometry.select([0])
    )  # one slice of 200 HU noise
    noise = ct_noise(200.0, 3)[:1]
    scan = changed(few, few.hu + noise)
    report = check_result(scan, few)
    bone = report.figures["drift"]["bone"]
    assert bone["standard_error_hu"] > 5
    assert "hu-drift" not in codes(report)


def test_a_noisier_result_is_found_and_much_more_noise_is_an_error(truth, scan):
    noise = scan.hu - truth.hu
    little, much = (check_result(scan, changed(scan, truth.hu + f * noise)) for f in (1.06, 1.3))
    assert codes(little) == ["noisier"]
    assert codes(little, "error") == []
    assert "noisier" in codes(much, "error")
    assert much.figures["noise_ratio"]["ratio"] == pytest.approx(1.3, rel=0.02)


def test_removing_more_than_the_noise_is_found(truth, scan):
    other = ct_noise(12.0, 9)
    result = changed(scan, truth.hu + other)  # new noise in place of the old one
    assert codes(check_result(scan, result)) == ["removes-more-than-noise"]


@pytest.mark.parametrize(("diameter_mm", "contrast_hu"), [(8.0, 60.0), (10.0, -50.0)])
def test_a_removed_lesion_is_found_where_it_was(truth, scan, diameter_mm, contrast_hu):
    row, column, place = 120, 100, 2
    y, x = np.ogrid[: scan.shape[1], : scan.shape[2]]
    lesion = np.hypot(y - row, x - column) * 1.2 < diameter_mm / 2
    with_lesion = scan.hu.copy()
    with_lesion[place] += contrast_hu * lesion
    report = check_result(changed(scan, with_lesion), changed(scan, truth.hu))
    assert codes(report) == ["feature-removed"]
    strongest = report.figures["features"]["strongest"][0]
    assert strongest["slice"] == place
    assert np.hypot(strongest["row"] - row, strongest["column"] - column) < 5
    assert np.sign(strongest["mean_hu"]) == np.sign(contrast_hu)


def test_blank_slices_are_an_error(truth, scan):
    hu = truth.hu.copy()
    hu[3] = 0
    report = check_result(scan, changed(scan, hu))
    assert codes(report, "error") == ["blank-slice"]  # it is not blamed for drift as well
    assert next(f for f in report.findings if f.code == "blank-slice").slices == (3,)


def test_a_slice_that_is_changed_unlike_its_neighbours_is_found(truth, scan):
    hu = truth.hu.copy()
    hu[2] += 2.5
    report = check_result(scan, changed(scan, hu))
    assert next(f for f in report.findings if f.code == "uneven-change").slices == (2,)


def test_slices_that_never_came_are_an_error(truth, scan):
    checks = Checks(scan.shape[0])
    checks.add(scan.select(slice(0, 4)), truth.select(slice(0, 4)), range(4))
    report = checks.report()
    assert codes(report, "error") == ["slices-missing"]
    assert report.findings[0].slices == (4, 5)


def test_blocks_give_the_figures_of_the_whole(truth, scan):
    whole, parts = Checks(scan.shape[0]), Checks(scan.shape[0])
    whole.add(scan, truth, range(scan.shape[0]))
    for first in range(0, scan.shape[0], 4):
        some = slice(first, min(first + 4, scan.shape[0]))
        parts.add(scan.select(some), truth.select(some), range(some.start, some.stop))
    assert parts.report() == whole.report()


def test_padding_does_not_count(truth, scan):
    padding = np.zeros(scan.shape, np.bool_)
    padding[:, :, :20] = True
    marked = replace(scan, hu=np.where(padding, np.float32(-3024), scan.hu), padding=padding)
    result = replace(marked, hu=np.where(padding, np.float32(-3024), truth.hu))
    assert check_result(marked, result).findings == ()


def test_some_slices_are_looked_at_closely_and_all_for_what_is_cheap(truth, scan):
    settings = CheckSettings(slices=2)
    hu = truth.hu.copy()
    hu[2] = 0
    report = check_result(scan, changed(scan, hu), settings)
    assert report.slices == 2
    assert "blank-slice" in codes(report, "error")
    assert looked_at(100, 3) == [0, 50, 99]


def test_an_error_stops_where_that_is_asked_for(truth, scan):
    report = check_result(scan, changed(scan, truth.hu + 10 * tissue(truth, -30, 200)))
    with pytest.raises(OutputError, match=r"soft tissue moved by \+9"):
        refuse(report, CheckSettings(on_error="stop"))
    refuse(report, CheckSettings())
    refuse(check_result(scan, truth), CheckSettings(on_error="stop"))


def test_a_result_on_another_grid_is_refused(scan):
    with pytest.raises(GeometryError):
        check_result(scan, scan.select(slice(0, 3)))


def test_records_hold_every_figure_with_its_limit(truth, scan):
    record = check_result(scan, truth).as_json()
    assert record["passed"] is True
    assert record["figures"]["drift"]["soft"]["warning_hu"] == 1.0
    assert record["figures"]["edge_loss"]["warning"] == 0.1
    assert re.fullmatch(r"[\d]+", str(record["slices_looked_at"]))


def test_a_drift_inside_a_region_is_not_lost_among_what_is_not_changed(truth, scan):
    slices, height, width = scan.shape
    low, high = (0, height // 4, width // 4), (slices, height // 2, width // 2)
    region = BoxRegion(low, high, scan.shape)
    weights = np.stack([region.weights(place) for place in range(slices)])
    result = changed(scan, scan.hu + weights * (truth.hu + 6.0 - scan.hu))
    checks = Checks(slices, region=region)
    checks.add(scan, result, range(slices))
    drift = checks.report().figures["drift"]["soft"]
    assert drift["mean_hu"] == pytest.approx(6.0, abs=5 * drift["standard_error_hu"])
    assert "hu-drift" in codes(checks.report(), "error")
    assert "hu-drift" not in codes(check_result(scan, result), "error")  # a third of it at most
