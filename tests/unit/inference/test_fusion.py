"""Fusing repeated scans: what moved counts less, and Hounsfield units stay."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from ctdenoise.config.fusion import FuseSettings
from ctdenoise.core.acquisition import Acquisition
from ctdenoise.core.geometry import Geometry
from ctdenoise.core.source import SourceInstance, SourceSeries
from ctdenoise.core.volume import CTVolume
from ctdenoise.errors import GeometryError, InputError
from ctdenoise.inference.fusion import check_fusible, fuse, fuse_slices, weights_of

MEAN = FuseSettings(power=0.0)
SIZE = (96, 100)


def discs():
    """Water with small discs of bone, fat and air: sharp edges of known places."""
    y, x = np.indices(SIZE)
    hu = np.full(SIZE, -1000.0)
    hu[(y - 48) ** 2 + (x - 50) ** 2 < 44**2] = 0.0
    for number in range(24):
        angle, radius = 2.4 * number, 8.0 * number**0.5
        centre = (48 + radius * np.sin(angle), 50 + radius * np.cos(angle))
        inside = (y - centre[0]) ** 2 + (x - centre[1]) ** 2 < (1.5 + number % 3) ** 2
        hu[inside] = (800.0, -100.0, -900.0)[number % 3]
    return hu


def scans(count, *, noise_hu=20.0, moved=(), seed=0):
    """Scans of the discs, some of them blurred by motion along x during the scan."""
    rng = np.random.default_rng(seed)
    truth = discs()
    found = []
    for number in range(count):
        scan = truth
        if number in moved:
            scan = ndimage.uniform_filter1d(truth, 9, axis=1, mode="nearest")
        found.append((scan + rng.normal(0.0, noise_hu, SIZE)).astype(np.float32))
    return found


def rmse(hu, truth):
    return float(np.sqrt(np.mean((hu - truth) ** 2)))


def volume_of(hu, **facts):
    geometry = Geometry.axial((1, *SIZE), pixel_spacing_mm=0.7, slice_spacing_mm=2.0)
    return CTVolume(hu[None].astype(np.float32), geometry, Acquisition(**facts))


@pytest.mark.parametrize("power", [0.0, 2.0, 11.0, 100.0])
@pytest.mark.parametrize("count", [2, 3, 5])
def test_equal_scans_come_back_to_the_bit(power, count):
    scan = scans(1)[0]
    assert np.array_equal(fuse_slices([scan] * count, FuseSettings(power=power)), scan)


def test_power_zero_is_the_plain_mean():
    frames = scans(4)
    expected = np.mean(np.stack(frames).astype(np.float64), axis=0).astype(np.float32)
    assert np.array_equal(fuse_slices(frames, MEAN), expected)


@pytest.mark.parametrize("power", [1.0, 11.0, 50.0])
def test_the_mean_of_the_scans_is_kept(power):
    frames = scans(3, moved=(1,))
    frames[2] = frames[2] + np.float32(40.0)  # contrast medium
    fused = fuse_slices(frames, FuseSettings(power=power))
    assert fused.mean(dtype=float) == pytest.approx(np.mean(frames, dtype=float), abs=1e-4)


def test_weights_sum_to_one_at_every_frequency_and_are_equal_at_zero():
    spectra = np.abs(np.fft.rfft2(np.stack(scans(3, moved=(0,))).astype(float)))
    weights = weights_of(spectra, SIZE, FuseSettings())
    np.testing.assert_allclose(weights.sum(axis=0), 1.0, atol=1e-12)
    assert weights.min() >= 0.0
    np.testing.assert_array_equal(weights[:, 0, 0], 1 / 3)


def test_smoothing_is_a_gaussian_over_the_plane_of_frequencies():
    # One frame has one frequency, the other is flat: the weights show the Gaussian itself.
    one = np.zeros((2, 64, 33))
    one[0, 20, 18] = one[1] = 1.0
    settings = FuseSettings(power=1.0, smoothing=0.05)
    weights = weights_of(one, (64, 64), settings)
    shares = weights[0] / weights[1]
    sigma = 0.05 * 64
    ratio = shares[24, 21] / shares[20, 18]
    assert ratio == pytest.approx(np.exp(-(4**2 + 3**2) / (2 * sigma**2)), rel=1e-6)


def test_a_scan_blurred_by_motion_counts_less_and_the_result_beats_the_plain_mean():
    frames, truth = scans(4, moved=(2,)), discs()
    fused, mean = fuse_slices(frames, FuseSettings()), fuse_slices(frames, MEAN)
    assert rmse(fused, truth) < 0.75 * rmse(mean, truth)


def test_without_motion_little_of_the_averaging_is_lost():
    frames, truth = scans(4), discs()
    fused, mean = fuse_slices(frames, FuseSettings()), fuse_slices(frames, MEAN)
    assert rmse(mean, truth) == pytest.approx(20.0 / 2, rel=0.05)
    assert rmse(fused, truth) < 1.15 * rmse(mean, truth)


def test_padding_takes_no_part_and_is_that_of_the_first():
    frames = scans(2)
    padding = np.zeros((1, *SIZE), dtype=bool)
    padding[:, :10] = True
    volumes = []
    for value, hu in zip((-3024.0, -2000.0), frames, strict=True):
        volume = volume_of(np.where(padding[0], np.float32(value), hu))
        volumes.append(replace(volume, padding=padding))
    fused = fuse(volumes)
    assert (fused.hu[:, :10] == -3024.0).all()
    filled = [np.where(padding[0], np.float32(-1000.0), hu) for hu in frames]
    expected = fuse_slices(filled, FuseSettings())
    assert np.array_equal(fused.hu[0, 10:], expected[10:])


def test_a_fused_volume_says_how_it_was_made():
    fused = fuse([volume_of(hu) for hu in scans(3)], FuseSettings(power=4.0))
    assert fused.history[-1].name == "fuse"
    assert fused.history[-1].params == {"frames": 3, "power": 4.0, "smoothing": 0.02}


class TestRefused:
    """What is no repetition, with every reason at once."""

    def test_one_scan(self):
        with pytest.raises(InputError, match="1 scan"):
            check_fusible([volume_of(discs())])

    def test_other_grids_kernels_and_voltages(self):
        first = volume_of(discs(), convolution_kernel="B30f", kvp=120.0, slice_thickness_mm=2.0)
        other = volume_of(discs(), convolution_kernel="B70f", kvp=80.0, slice_thickness_mm=1.0)
        moved = replace(
            other,
            geometry=Geometry.axial((1, *SIZE), pixel_spacing_mm=0.8, slice_spacing_mm=2.0),
        )
        with pytest.raises(InputError) as caught:
            check_fusible([first, first, moved])
        for told in ("grid", "kernel: B70f, not B30f", "80.0 kV, not 120.0 kV", "1.0 mm"):
            assert f"scan 3 {'lies' if told == 'grid' else 'has'}" in str(caught.value)
            assert told in str(caught.value)

    def test_other_patients_and_the_same_scan_twice(self, tmp_path):
        def read(name, patient):
            instances = (SourceInstance(tmp_path / name),)
            source = SourceSeries("nifti", instances, patient_key=patient)
            return replace(volume_of(discs()), source=source)

        first = read("a", "one")
        with pytest.raises(InputError) as caught:
            check_fusible([first, read("b", "two"), first])
        assert "scan 2 is of another patient" in str(caught.value)
        assert "scan 3 was given before" in str(caught.value)

    def test_a_copy_of_a_scan_in_another_folder(self, tmp_path):
        def read(name, uid):
            instances = (SourceInstance(tmp_path / name / "1.dcm", uid),)
            return replace(volume_of(discs()), source=SourceSeries("dicom", instances))

        check_fusible([read("a", "1.2.3"), read("b", "1.2.4")])
        with pytest.raises(InputError, match="scan 2 was given before"):
            check_fusible([read("a", "1.2.3"), read("copy", "1.2.3")])

    def test_another_padding(self):
        first = volume_of(discs())
        padding = np.zeros((1, *SIZE), dtype=bool)
        padding[0, 0, 0] = True
        with pytest.raises(GeometryError, match="slice 1 are padding"):
            fuse([first, replace(first, padding=padding)])
