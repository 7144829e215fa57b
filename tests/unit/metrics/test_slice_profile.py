"""Slice sensitivity profiles against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from ctdenoise.errors import InputError
from ctdenoise.metrics.slice_profile import SliceProfile, disc_profile, ramp_profile


def gaussian_profile(sd_mm=1.2, step_mm=0.25, reach_mm=8.0):
    z = np.arange(-reach_mm, reach_mm + step_mm / 2, step_mm)
    return SliceProfile(z, np.exp(-(z**2) / (2 * sd_mm**2)))


def test_a_gaussian_profile_has_its_known_widths_and_frequencies():
    profile = gaussian_profile(1.2)
    assert profile.fwhm_mm == pytest.approx(1.2 * np.sqrt(8 * np.log(2)), rel=0.005)
    assert profile.fwtm_mm == pytest.approx(1.2 * np.sqrt(8 * np.log(10)), rel=0.005)
    transfer = profile.transfer()
    # exp(-2 (pi s f)^2) = 1/2
    assert transfer.f50_per_mm == pytest.approx(np.sqrt(np.log(2) / 2) / np.pi / 1.2, rel=0.002)
    assert transfer.f10_per_mm == pytest.approx(np.sqrt(np.log(10) / 2) / np.pi / 1.2, rel=0.002)


def test_a_rectangular_profile_has_a_sinc():
    step = 0.1
    z = np.arange(-80, 81) * step
    profile = SliceProfile(z, (np.abs(z) < 1.55).astype(float))  # 31 samples: 3.1 mm
    assert profile.fwhm_mm == pytest.approx(3.1, abs=step)
    assert profile.transfer().f50_per_mm == pytest.approx(0.6034 / 3.1, rel=0.005)


@pytest.mark.parametrize("contrast", [300.0, -300.0])
def test_a_thin_disc_shows_the_profile_of_overlapping_slices(contrast):
    yy, xx = np.indices((40, 40))
    distance = np.hypot(yy - 20, xx - 20)
    z = np.arange(33) * 0.5
    response = np.clip(1.0 - np.abs(z - 8.0) / 3.0, 0, None)  # triangle: FWHM 3, FWTM 5.4
    volume = 20.0 + contrast * response[:, None, None] * (distance < 8)
    profile = disc_profile(volume, distance < 6, distance > 12, slice_spacing_mm=0.5)
    assert profile.fwhm_mm == pytest.approx(3.0, rel=1e-6)
    assert profile.fwtm_mm == pytest.approx(5.4, rel=1e-6)
    with pytest.raises(InputError, match="pixels"):
        disc_profile(volume, distance < -1, distance > 12, slice_spacing_mm=0.5)


def test_a_ramp_shows_the_profile_stretched_by_its_slope():
    along = np.arange(120) * 0.5
    rise = np.tan(np.radians(23.0))
    z = (along - 30.3) * rise
    line = 50 + 0.2 * along + 400 * np.exp(-(z**2) / (2 * 1.5**2))
    profile = ramp_profile(line, pixel_mm=0.5, rise_per_mm=rise)
    assert profile.fwhm_mm == pytest.approx(1.5 * np.sqrt(8 * np.log(2)), rel=0.01)
    with pytest.raises(InputError, match="rises"):
        ramp_profile(line, pixel_mm=0.5, rise_per_mm=0.0)


def test_a_profile_that_is_cut_off_has_no_width():
    z = np.arange(5.0)
    assert SliceProfile(z, np.array([0.9, 1.0, 0.9, 0.8, 0.3])).fwhm_mm is None


@pytest.mark.parametrize(
    ("z", "values"),
    [([0, 1], [0, 1]), ([0, 1, 3], [0, 1, 0]), ([0, 1, 2], [0, -1, 0]), ([0, 2, 1], [0, 1, 0])],
    ids=["few", "uneven", "negative", "descending"],
)
def test_what_is_no_profile_is_refused(z, values):
    with pytest.raises(InputError, match="slice profile"):
        SliceProfile(np.array(z, dtype=float), np.array(values, dtype=float))
