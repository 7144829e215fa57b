"""A scan is compared with what its network was trained on."""

from __future__ import annotations

import ast
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from ctdenoise.config.checks import CheckSettings
from ctdenoise.core.geometry import Geometry
from ctdenoise.core.provenance import Step
from ctdenoise.core.source import SourceInstance, SourceSeries
from ctdenoise.inference.check_kinds import KINDS
from ctdenoise.inference.check_range import outside_training, scan_figures, trained_on
from ctdenoise.inference.load import load_denoiser
from ctdenoise.inference.method import Sample
from ctdenoise.networks.checkpoint import save_checkpoint
from tests.unit.inference.scans import SPACING_MM, body, changed, ct_noise, noisy

ROOT = Path(__file__).parents[3]


def anatomy():
    """The body, its bone spongy as bone is: even and as bright, it would be contrast medium."""
    truth = body()
    rows, columns = np.indices(truth.shape[1:]) // 5
    return changed(
        truth, np.where(truth.hu > 300, truth.hu + 150 * (-1) ** (rows + columns), truth.hu)
    )


@pytest.fixture(scope="module")
def scan():
    return noisy(anatomy())


@pytest.fixture(scope="module")
def training(scan):
    """The record of a training on scans like this one."""
    figures = figures_of(scan)
    keys = (
        "noise_hu", "noise_frequency_per_mm", "normal_noise_hu", "slice_thickness_mm", "kvp",
        "bright_soft_hu", "bright_even_hu", "densest_hu", "bone_ring_mm", "body_mm",
    )  # fmt: skip
    record = {key: [figures[key], figures[key]] for key in keys}
    return {**record, "pixel_spacing_mm": [SPACING_MM, SPACING_MM], "kernels": ["B30f"]}


def figures_of(volume):
    return scan_figures(Sample.of(volume), volume)


def found(volume, training):
    return outside_training(figures_of(volume), training, CheckSettings())


def test_a_scan_like_those_in_training_passes(training):
    assert found(noisy(anatomy(), seed=5), training) == ()


@pytest.mark.parametrize("noise_hu", [10.5, 40.0])
def test_another_noise_level_is_named_with_both_figures(training, noise_hu):
    (finding,) = found(noisy(anatomy(), noise_hu), training)
    assert (finding.severity, finding.code) == ("warning", "outside-training")
    assert finding.figure == pytest.approx(noise_hu, rel=0.1)
    assert finding.limit == training["noise_hu"][0]
    assert "noise in soft tissue" in finding.text


def test_a_sharper_kernel_is_found_by_its_noise_whatever_its_name(training):
    truth = anatomy()
    sharp = changed(truth, truth.hu + ct_noise(15.0, 2, cutoff_per_mm=0.6))
    (finding,) = found(sharp, training)
    assert "mean frequency of the noise" in finding.text
    assert "sharper" in finding.advice


def test_a_scan_that_was_smoothed_before_is_found(scan, training):
    smoothed = changed(scan, ndimage.gaussian_filter(scan.hu, (0, 1.2, 1.2)))
    codes = [finding.code for finding in found(smoothed, training)]
    # Less noise, coarser, and less than a scanner makes of this thickness and size.
    assert codes == ["outside-training", "input-smoothed", "input-smoothed"]


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


def with_disc(scan, radius, hu, *, inner=0.0):
    """The scan with a disc, or a ring, in every slice."""
    rows, columns = np.indices(scan.shape[1:])
    distance = np.hypot(rows - 120, columns - 120) * SPACING_MM
    return changed(scan, np.where((distance < radius) & (distance >= inner), hu, scan.hu))


def test_a_skull_is_found_whatever_the_header_says(scan, training):
    (finding,) = [
        f for f in found(with_disc(scan, 70, 900, inner=62), training) if "bone" in f.text
    ]
    assert (finding.severity, finding.code) == ("warning", "another-body-part")
    assert finding.figure == pytest.approx(124, rel=0.1)
    heads = {**training, "bone_ring_mm": [120.0, 150.0]}
    codes = [f.code for f in found(with_disc(scan, 70, 900, inner=62), heads)]
    assert "another-body-part" not in codes


@pytest.mark.parametrize(("aorta_hu", "flagged"), [(280, False), (380, True)])
def test_an_arterial_phase_is_found_by_its_aorta(scan, training, aorta_hu, flagged):
    assert training["bright_even_hu"][1] < 200
    texts = [f.text for f in found(with_disc(scan, 14, aorta_hu), training)]
    assert any("contrast medium" in text for text in texts) == flagged


@pytest.mark.parametrize(
    ("part", "parts", "flagged"),
    [
        ("HEAD", ["CHEST"], True),
        ("Brain w/o", ["CHEST", "ABDOMEN"], True),
        ("LIVER", ["CHEST"], False),
        ("HEADNECKCHEST", ["CHEST"], False),
        ("HEART", ["HEAD"], True),
        ("HEAD", [], False),
        ("QQ", ["CHEST"], False),
        (None, ["CHEST"], False),
    ],
)
def test_another_part_of_the_body_is_found_in_the_header(scan, training, part, parts, flagged):
    named = replace(scan, acquisition=replace(scan.acquisition, body_part_examined=part))
    codes = [f.code for f in found(named, {**training, "body_parts": parts})]
    assert codes == (["another-body-part"] if flagged else [])


def test_a_limb_is_found_by_its_size(scan, training):
    rows, columns = np.indices(scan.shape[1:])
    limb = np.hypot(rows - 128, columns - 128) * SPACING_MM < 55
    (text,) = [
        f.text
        for f in found(changed(scan, np.where(limb, scan.hu, -1000)), training)
        if "diameter" in f.text
    ]
    assert re.match(r"The diameter of the body \(.*\) is 1\d\d mm; in training, 2\d\d mm", text)


def test_little_noise_for_thickness_and_size_is_told_from_little_noise(scan, training):
    little = noisy(anatomy(), 6.0)
    thick = replace(little, acquisition=replace(little.acquisition, slice_thickness_mm=18.0))
    several = {**training, "noise_hu": [5.0, 50.0], "slice_thickness_mm": [1.0, 20.0]}
    (finding,) = found(little, several)
    assert (finding.code, finding.limit) == ("input-smoothed", training["normal_noise_hu"][0])
    assert found(thick, several) == ()


def test_what_is_usual_is_not_remarked_on_however_narrow_the_training(scan, training):
    narrow = {
        **training, "bone_ring_mm": [5.0, 5.0], "body_mm": [300.0, 301.0],
        "densest_hu": [200.0, 200.0], "bright_even_hu": [30.0, 40.0],
    }  # fmt: skip
    assert found(scan, narrow) == ()


def test_a_scan_that_was_denoised_before_says_so(scan, training):
    again = replace(scan, history=(Step("denoise", {}),))
    (finding,) = found(again, training)
    assert (finding.severity, finding.code) == ("warning", "input-denoised")
    assert [one.code for one in found(again, None)] == ["input-denoised"]
    slices = (SourceInstance(Path("0.dcm")),) * scan.shape[0]
    files = SourceSeries("dicom", slices, steps=("denoise",))
    assert [one.code for one in found(replace(scan, source=files), training)] == ["input-denoised"]


def test_without_a_stated_thickness_slices_are_taken_to_touch(scan, training):
    silent = replace(scan, acquisition=replace(scan.acquisition, slice_thickness_mm=None))
    assert found(silent, training) == ()
    far = Geometry.axial(scan.shape, pixel_spacing_mm=SPACING_MM, slice_spacing_mm=10.0)
    texts = [f.text for f in found(replace(silent, geometry=far), training)]
    assert any(text.startswith("The slice thickness is 10.00 mm") for text in texts)


def test_large_pixels_are_not_taken_for_smoothing(scan, training):
    coarse = Geometry.axial(scan.shape, pixel_spacing_mm=2.4, slice_spacing_mm=3.0)
    texts = [f.text for f in found(replace(scan, geometry=coarse), training)]
    assert any("pixel spacing" in text for text in texts)
    assert not any("frequency" in text for text in texts)


def test_where_there_is_no_soft_tissue_it_is_said(scan, training):
    air = changed(scan, np.full_like(scan.hu, -1000))
    assert [(f.severity, f.code) for f in found(air, training)] == [("note", "noise-unmeasured")]


@pytest.mark.parametrize("kernel", ["I31f/3", "Br38f/3", "I40f"])
def test_a_kernel_of_an_iterative_reconstruction_is_a_note(scan, training, kernel):
    other = replace(scan, acquisition=replace(scan.acquisition, convolution_kernel=kernel))
    (finding,) = found(other, training)
    assert (finding.severity, finding.code) == ("note", "iterative-kernel")
    (finding,) = found(other, {**training, "kernels": ["I26f"]})
    assert finding.code == "another-kernel"


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
    } | {kind.code for kind in KINDS}
    page = (ROOT / "docs" / "how_to" / "checks.md").read_text()
    documented = set(re.findall(r"^\| `([a-z-]+)` \|", page, re.MULTILINE))
    assert len(codes) > 10
    assert codes == documented
