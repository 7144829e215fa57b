"""The noise level against noise of known magnitude and colour."""

from __future__ import annotations

import numpy as np
import pytest

from ctdenoise.core.noise_level import noise_level_hu, patch_pixels

SHAPE = (5, 320, 320)


def disc() -> np.ndarray:
    axis = np.arange(SHAPE[1]) - (SHAPE[1] - 1) / 2
    return (axis[:, None] / 140) ** 2 + (axis / 150) ** 2 < 1


def phantom(texture_hu: float = 0.0) -> np.ndarray:
    """A body of 40 HU, with 1/f^3 texture and a few high-contrast organs."""
    inside = disc()
    hu = np.where(inside, 40.0, -1000.0)
    radius = np.hypot(np.fft.fftfreq(SHAPE[1])[:, None], np.fft.fftfreq(SHAPE[2]))
    radius[0, 0] = np.inf
    rng = np.random.default_rng(8)
    waves = np.fft.fft2(rng.standard_normal(SHAPE[1:])) * radius**-1.5
    texture = np.fft.ifft2(waves).real
    hu[inside] += texture_hu * (texture / texture.std())[inside]
    hu[100:140, 100:130] = -850.0
    hu[180:200, 150:170] = 700.0
    return np.repeat(hu[None], SHAPE[0], axis=0).astype(np.float32)


def noise(cutoff_per_mm: float | None, pixel_spacing_mm: float) -> np.ndarray:
    """Noise of unit SD: white, or with NPS ~ f exp(-(f/f0)^2)."""
    samples = np.random.default_rng(2).standard_normal(SHAPE)
    if cutoff_per_mm is not None:
        frequency = np.fft.fftfreq(SHAPE[1], pixel_spacing_mm)
        radius = np.hypot(frequency[:, None], frequency)
        shape = np.sqrt(radius * np.exp(-((radius / cutoff_per_mm) ** 2)))
        samples = np.fft.ifft2(np.fft.fft2(samples) * shape).real
        samples /= samples.std()
    return samples.astype(np.float32)


@pytest.mark.parametrize("pixel_spacing_mm", [0.4, 0.75, 1.2])
@pytest.mark.parametrize("cutoff_per_mm", [None, 0.25, 0.35, 0.5])
@pytest.mark.parametrize("sigma_hu", [5.0, 60.0])
def test_known_noise_in_a_plain_body_is_measured_within_3_percent(
    pixel_spacing_mm, cutoff_per_mm, sigma_hu
):
    hu = phantom() + np.float32(sigma_hu) * noise(cutoff_per_mm, pixel_spacing_mm)
    assert noise_level_hu(hu, None, pixel_spacing_mm) == pytest.approx(sigma_hu, rel=0.03)


@pytest.mark.parametrize("cutoff_per_mm", [None, 0.35])
@pytest.mark.parametrize("sigma_hu", [8.0, 20.0])
def test_anatomical_texture_changes_the_noise_level_by_less_than_5_percent(cutoff_per_mm, sigma_hu):
    hu = phantom(texture_hu=8.0) + np.float32(sigma_hu) * noise(cutoff_per_mm, 0.75)
    assert noise_level_hu(hu, None, 0.75) == pytest.approx(sigma_hu, rel=0.05)


def test_padding_and_a_body_given_by_the_caller_change_nothing_inside():
    hu = phantom() + np.float32(15) * noise(0.35, 0.75)
    padding = np.broadcast_to(~disc(), SHAPE)
    inside = noise_level_hu(np.where(padding, np.float32(-3024), hu), padding, 0.75)
    assert inside == pytest.approx(15.0, rel=0.03)
    given = noise_level_hu(hu, None, 0.75, body=np.broadcast_to(disc(), SHAPE))
    assert given == pytest.approx(inside, rel=0.02)


def test_one_slice_and_sampled_long_stacks_agree():
    hu = phantom() + np.float32(15) * noise(None, 0.75)
    assert noise_level_hu(hu[0], None, 0.75) == pytest.approx(15.0, rel=0.06)
    assert noise_level_hu(np.tile(hu, (16, 1, 1)), None, 0.75) == pytest.approx(15.0, rel=0.03)


def test_an_exact_phantom_has_no_noise():
    assert noise_level_hu(phantom(), None, 0.75) == 0.0


def test_there_is_no_noise_level_without_soft_tissue():
    air = np.full((3, 64, 64), -1000.0, dtype=np.float32)
    assert noise_level_hu(air, None, 1.0) is None
    bone = np.where(disc(), np.float32(900), np.float32(-1000))
    assert noise_level_hu(bone, None, 1.0) is None


@pytest.mark.parametrize(("spacing", "pixels"), [(0.75, 8), (2.0, 5), ((0.5, 0.5), 12)])
def test_patches_are_6_mm_but_never_too_few_pixels(spacing, pixels):
    assert patch_pixels(spacing) == pixels


@pytest.mark.ctdata
@pytest.mark.parametrize(
    ("name", "low_hu", "high_hu"),
    # 5th percentile and median of the SD of detrended soft-tissue patches bracket the mode
    [("siemens_chest", 14, 24), ("ge_abdomen", 7, 12), ("philips_chest", 18, 26)],
)
def test_real_scans_have_a_plausible_noise_level(ctdata, name, low_hu, high_hu):
    from ctdenoise.io.read import read_volume

    volume = read_volume(ctdata / "series" / name)
    level = noise_level_hu(volume.hu, volume.padding, volume.geometry.pixel_spacing_mm)
    assert low_hu < level < high_hu
