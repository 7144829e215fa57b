"""A scan is compared with what its network was trained on."""

from __future__ import annotations

import ast
import re
from dataclasses import replace
from pathlib import Path

import pytest
from scipy import ndimage

from ctdenoise.config.checks import CheckSettings
from ctdenoise.core.geometry import Geometry
from ctdenoise.inference.check_range import outside_training, scan_figures, trained_on
from ctdenoise.inference.load import load_denoiser
from ctdenoise.inference.method import Sample
from ctdenoise.networks.checkpoint import save_checkpoint
from tests.unit.inference.scans import SPACING_MM, body, changed, ct_noise, noisy

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def scan():
    return noisy(body())


@pytest.fixture(scope="module")
def training(scan):
    """The record of a training on scans like this one."""
    figures = figures_of(scan)
    keys = (
        "noise_hu", "noise_frequency_per_mm", "slice_thickness_mm", "bright_soft_hu",
        "densest_hu", "kvp",
    )  # fmt: skip
    record = {key: [figures[key], figures[key]] for key in keys}
    return {**record, "pixel_spacing_mm": [SPACING_MM, SPACING_MM], "kernels": ["B30f"]}


def figures_of(volume):
    return scan_figures(Sample.of(volume), volume)


def found(volume, training):
    return outside_training(figures_of(volume), training, CheckSettings())


def test_a_scan_like_those_in_training_passes(training):
    assert found(noisy(body(), seed=5), training) == ()


@pytest.mark.parametrize("noise_hu", [6.0, 40.0])
def test_another_noise_level_is_named_with_both_figures(training, noise_hu):
    (finding,) = found(noisy(body(), noise_hu), training)
    assert (finding.severity, finding.code) == ("warning", "outside-training")
    assert finding.figure == pytest.approx(noise_hu, rel=0.1)
    assert finding.limit == training["noise_hu"][0]
    assert "noise in soft tissue" in finding.text


def test_a_sharper_kernel_is_found_by_its_noise_whatever_its_name(training):
    truth = body()
    sharp = changed(truth, truth.hu + ct_noise(15.0, 2, cutoff_per_mm=0.6))
    (finding,) = found(sharp, training)
    assert "mean frequency of the noise" in finding.text
    assert "sharper" in finding.advice


def test_a_scan_that_was_smoothed_before_is_found(scan, training):
    smoothed = changed(scan, ndimage.gaussian_filter(scan.hu, (0, 1.2, 1.2)))
    codes = [finding.code for finding in found(smoothed, training)]
    assert codes == ["outside-training", "input-smoothed"]  # less noise, and coarser


def test_thick_slices_and_large_pixels_are_found(scan, training):
    thick = replace(scan, acquisition=replace(scan.acquisition, slice_thickness_mm=5.0))
    geometry = Geometry.axial(scan.shape, pixel_spacing_mm=1.6, slice_spacing_mm=3.0)
    (finding,) = found(thick, training)
    assert finding.text == "The slice thickness is 5.00 mm; in training, 3.00 mm."
    texts = [finding.text for finding in found(replace(scan, geometry=geometry), training)]
    assert any("pixel spacing is 1.60 mm; in training, 1.20 mm" in text for text in texts)


def test_metal_and_more_contrast_are_found(scan, training):
    hu = scan.hu.copy()
    hu[:, 120:128, 150:158] = 4000
    assert [f.unit for f in found(changed(scan, hu), training) if "densest" in f.text] == ["HU"]
    bright = scan.hu.copy()
    bright[:, 100:150, 90:140] += 100
    texts = [finding.text for finding in found(changed(scan, bright), training)]
    assert any("brightness of soft tissue" in text for text in texts)


def test_another_kernel_by_name_alone_is_a_note(scan, training):
    other = replace(scan, acquisition=replace(scan.acquisition, convolution_kernel="FC18"))
    (finding,) = found(other, training)
    assert (finding.severity, finding.code) == ("note", "another-kernel")


def test_records_from_before_are_read_as_far_as_they_go(scan):
    (finding,) = found(scan, {"low_noise_hu": [30.0, 60.0], "pixel_spacing_mm": [1.0, 1.3]})
    assert finding.limit == 30.0


def test_where_nothing_is_known_it_is_said_once(scan):
    (finding,) = found(scan, {})
    assert (finding.severity, finding.code) == ("note", "range-unknown")
    assert found(scan, None) == ()


def test_what_was_trained_says_so_and_the_identity_was_not(trained, tmp_path):
    assert trained_on(load_denoiser("identity")) is None
    plain = save_checkpoint(tmp_path / "plain.safetensors", replace(trained, training={}))
    assert trained_on(load_denoiser(plain)) == {}
    record = {"trained_on": {"noise_hu": [5.0, 9.0]}}
    told = save_checkpoint(tmp_path / "told.safetensors", replace(trained, training=record))
    assert trained_on(load_denoiser(told)) == record["trained_on"]


def test_every_code_of_a_check_is_explained():
    sources = (ROOT / "ctdenoise" / "inference").glob("check*.py")
    codes = {
        argument.value
        for path in sources
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id == "CheckFinding"
        for argument in ast.walk(call.args[1])
        if isinstance(argument, ast.Constant)
    }
    page = (ROOT / "docs" / "how_to" / "checks.md").read_text()
    documented = set(re.findall(r"^\| `([a-z-]+)` \|", page, re.MULTILINE))
    assert len(codes) > 10
    assert codes == documented
