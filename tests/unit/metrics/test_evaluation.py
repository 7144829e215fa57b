"""Evaluations of pairs whose differences are known."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from ctdenoise.config.evaluation import EvaluateSettings
from ctdenoise.core.body import body_mask
from ctdenoise.core.provenance import canonical_json
from ctdenoise.errors import GeometryError
from ctdenoise.metrics.evaluation import evaluate
from ctdenoise.metrics.hu_accuracy import tissue_masks
from tests.unit.metrics.conftest import SHAPE, tissue_blocks, volume


def test_a_constant_difference_is_the_rmse_the_mae_and_the_bias(reference):
    result = evaluate(reference, volume(tissue_blocks() - 7))
    assert result["rmse"].value == pytest.approx(7)
    assert result["mae"].value == pytest.approx(7)
    assert result["bias"].value == pytest.approx(-7)


def test_rmse_of_noise_is_its_standard_deviation(reference):
    noise = np.random.default_rng(0).normal(0, 20, SHAPE)
    result = evaluate(reference, volume(tissue_blocks() + noise))
    count = 3 * 80 * 80
    assert result["rmse"].value == pytest.approx(20, rel=5 / math.sqrt(2 * count))
    assert result["mae"].value == pytest.approx(20 * math.sqrt(2 / math.pi), rel=0.03)


def test_air_around_the_body_does_not_count(reference):
    hu = tissue_blocks()
    hu[:, :4] += 500
    result = evaluate(reference, volume(hu))
    assert result["rmse"].value == 0
    assert result["psnr[-1024,3071]"].value < 50


@pytest.mark.parametrize("tissue", ["air", "lung", "fat", "soft", "bone"])
def test_a_shift_of_one_tissue_is_the_bias_and_rmse_of_that_tissue_alone(reference, tissue):
    body = body_mask(reference.hu)
    masks = tissue_masks(reference.hu[0], body[0], pixel_spacing_mm=(1.0, 1.0))
    result = evaluate(reference, volume(tissue_blocks() + 12 * masks[tissue]))
    for name in masks:
        expected = 12 if name == tissue else 0
        assert result[f"bias_{name}"].value == pytest.approx(expected)
        assert result[f"rmse_{name}"].value == pytest.approx(expected)


def test_a_perfect_denoiser_of_a_noisy_reference_has_no_bias_in_any_tissue():
    noise = np.random.default_rng(4).normal(0, 40, SHAPE)
    result = evaluate(volume(tissue_blocks() + noise), volume(tissue_blocks()))
    for tissue in ("lung", "fat", "soft", "bone"):
        assert abs(result[f"bias_{tissue}"].value) < 3, tissue


def test_identical_volumes_have_no_error_and_ssim_one_and_json_without_infinity(reference):
    result = evaluate(reference, reference)
    assert result["rmse"].value == 0
    assert result["ssim[-1024,3071]"].value == pytest.approx(1)
    assert math.isinf(result["psnr[-1024,3071]"].value)
    record = json.loads(canonical_json(result.as_json()))  # refuses NaN and infinity
    entry = next(m for m in record["metrics"] if m["key"] == "psnr[-1024,3071]")
    assert entry["value"] is None
    assert "identical" in entry["note"]


def test_every_number_says_its_unit_window_mask_and_reduction(reference):
    result = evaluate(reference, volume(tissue_blocks() + 1))
    for metric in result.metrics:
        assert all((metric.window, metric.mask, metric.reduction, metric.description))
        assert metric.unit in {"HU", "dB", "%", ""}
        if metric.key.startswith(("psnr", "ssim")):
            assert "[" in metric.key
            assert "HU" in metric.window
    keys = [metric.key for metric in result.metrics]
    assert len(keys) == len(set(keys))


def test_noise_magnitudes_and_their_change_are_measured():
    rng = np.random.default_rng(2)
    quiet, loud = (volume(tissue_blocks() + s * rng.normal(size=SHAPE)) for s in (10, 15))
    result = evaluate(quiet, loud)
    assert result["noise_reference"].value == pytest.approx(10, rel=0.06)
    assert result["noise_test"].value == pytest.approx(15, rel=0.06)
    assert result["noise_change"].value == pytest.approx(50, abs=12)


def test_a_noise_free_reference_has_no_percent_change_and_says_so(reference):
    noise = np.random.default_rng(2).normal(0, 10, SHAPE)
    result = evaluate(reference, volume(tissue_blocks() + noise))
    assert result["noise_reference"].value == 0
    assert result["noise_change"].value is None
    assert "no noise" in result["noise_change"].note


def test_padding_of_either_volume_never_counts(reference):
    padding = np.zeros(SHAPE, dtype=bool)
    padding[:, :, 70:] = True
    expected = evaluate(reference, volume(tissue_blocks() + 5), None)
    spoiled = np.where(padding, -3024, tissue_blocks() + 5)
    for one, other in (
        (volume(np.where(padding, -3024, tissue_blocks()), padding=padding), volume(spoiled)),
        (reference, volume(spoiled, padding=padding)),
    ):
        result = evaluate(one, other)
        assert result["rmse"].value == pytest.approx(5)
        assert result["bias"].value == pytest.approx(expected["bias"].value)
        assert result["psnr[-1024,3071]"].value == pytest.approx(
            10 * math.log10(4095**2 / 25), abs=1e-6
        )


def test_slices_are_listed_and_the_worst_is_found(reference):
    hu = tissue_blocks()
    hu[1] += 9
    result = evaluate(reference, volume(hu))
    assert result.slices.columns["rmse"] == pytest.approx((0, 9, 0))
    assert result.slices.worst("rmse") == 1
    rows = list(result.slices.rows())
    assert [row["slice"] for row in rows] == [1, 2, 3]
    assert [row["position_mm"] for row in rows] == [0, 2, 4]
    assert rows[0]["psnr[-1024,3071]"] is None


def test_the_histogram_counts_every_voxel_of_the_body(reference):
    hu = tissue_blocks() + 3000
    result = evaluate(reference, volume(hu))
    assert result.differences.counts.sum() == 3 * 80 * 80
    assert result.differences.counts[-1] == 3 * 80 * 80, "what is beyond the last edge is kept"


def test_air_alone_has_no_error_figures_but_says_why():
    air = volume(np.full(SHAPE, -1000.0))
    result = evaluate(air, air)
    assert result["rmse"].value is None
    assert "no body" in result["rmse"].note
    assert result["noise_test"].value is None


def test_windows_are_chosen_by_name_or_spelled_out_and_each_is_given_once(reference):
    settings = EvaluateSettings.model_validate(
        {"windows": ["redcnn", {"low_hu": -160, "high_hu": 240}, "redcnn"], "vif": False}
    )
    keys = [metric.key for metric in evaluate(reference, reference, settings).metrics]
    windowed = [key for key in keys if "[" in key]
    assert windowed == ["psnr[-160,240]", "ssim_redcnn11[-160,240]", "ssim[-160,240]"]


def test_other_grids_are_refused_with_every_difference(reference):
    hu = tissue_blocks()
    with pytest.raises(GeometryError, match="3 slices, not 2"):
        evaluate(reference, volume(hu[:2]))
    wide = volume(hu[:, :, :90])
    with pytest.raises(GeometryError, match="96 x 96 pixels, not 96 x 90"):
        evaluate(reference, wide)


def test_the_same_slices_at_other_positions_are_refused(reference):
    geometry = reference.geometry
    shifted = type(geometry).axial(
        SHAPE, pixel_spacing_mm=1.0, slice_spacing_mm=2.0, first_position_mm=(-47.5, -47.5, 2.0)
    )
    other = type(reference)(reference.hu, shifted)
    with pytest.raises(GeometryError, match=r"every slice is shifted by 2\.00 mm"):
        evaluate(reference, other)
