"""Lesions have the size, the place and the blur that their formulas say."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from ctdenoise.metrics.lesions import (
    Lesion,
    SystemBlur,
    f50_of_noise_per_mm,
    lesion_image,
    shown_share,
)

SPACING_MM = (0.7, 0.8)


def moments(image):
    """Sum, centre and covariance of an image, pixels, (row, column)."""
    y, x = np.mgrid[: image.shape[0], : image.shape[1]]
    total = image.sum()
    centre = np.array([(image * y).sum(), (image * x).sum()]) / total
    away = np.stack([(y - centre[0]).ravel(), (x - centre[1]).ravel()])
    return total, centre, (away * image.ravel()) @ away.T / total


@pytest.mark.parametrize(("thickness_mm", "offset_mm"), [(1.0, 0.0), (5.0, 0.0), (3.0, 4.0)])
def test_a_slice_shows_the_volume_of_a_sphere_that_lies_in_it(thickness_mm, offset_mm):
    radius = 5.0
    low, high = (
        max(-radius, offset_mm - thickness_mm / 2),
        min(radius, offset_mm + thickness_mm / 2),
    )
    volume = np.pi * (radius**2 * (high - low) - (high**3 - low**3) / 3)
    image = lesion_image(
        Lesion(2 * radius),
        SystemBlur(0.4, thickness_mm),
        side=61,
        pixel_spacing_mm=SPACING_MM,
        offset_mm=offset_mm,
    )
    assert image.sum() * np.prod(SPACING_MM) * thickness_mm == pytest.approx(volume, rel=1e-4)


def test_slices_side_by_side_add_up_to_the_whole_sphere_also_with_a_soft_border():
    blur, spacing = SystemBlur(0.4, 2.0), 0.8
    for softness in (0.0, 1.0):
        lesion = Lesion(8.0, softness_mm=softness)
        sums = [
            lesion_image(
                lesion, blur, side=65, pixel_spacing_mm=(spacing, spacing), offset_mm=2.0 * n
            ).sum()
            for n in range(-4, 5)
        ]
        volume = sum(sums) * spacing**2 * 2.0
        assert volume == pytest.approx(4 / 3 * np.pi * 4.0**3, rel=2e-3)


def test_the_middle_of_a_large_lesion_has_its_contrast():
    assert shown_share(Lesion(15.0), SystemBlur(0.4, 3.0)) == pytest.approx(1.0, abs=1e-4)


def test_a_sphere_of_three_millimetres_in_a_slice_of_five_is_faint():
    """In the middle a slice of 5 mm holds 3 mm of it at most, and blur takes a part of that."""
    assert 0.4 < shown_share(Lesion(3.0), SystemBlur(0.4, 5.0)) < 0.6


def test_a_rod_is_a_disc_that_was_blurred():
    f50, finer, side = 0.4, 9, 41
    sd_mm = np.sqrt(np.log(2) / 2) / np.pi / f50  # of the Gaussian with this transfer function
    spacing = 0.7
    axis = (np.arange(side * finer) - side * finer // 2) * spacing / finer
    drawn = (axis[:, None] ** 2 + axis**2 <= 3.0**2).astype(float)
    blurred = ndimage.gaussian_filter(drawn, sd_mm * finer / spacing)
    image = lesion_image(
        Lesion(6.0, form="rod"),
        SystemBlur(f50, 3.0),
        side=side,
        pixel_spacing_mm=(spacing, spacing),
    )
    expected = blurred[finer // 2 :: finer, finer // 2 :: finer]
    assert np.abs(image - expected).max() < 0.01  # as far as drawn pixels can tell


def test_a_lesion_lies_where_it_was_put_between_pixels():
    away = (0.31, -0.22)
    image = lesion_image(
        Lesion(10.0, elongation=1.7, angle_degrees=35.0),
        SystemBlur(0.4, 3.0),
        side=61,
        pixel_spacing_mm=SPACING_MM,
        away=away,
    )
    _, centre, _ = moments(image)
    assert centre - 30 == pytest.approx(away, abs=1e-3)


def test_an_ellipse_is_longest_where_its_angle_points():
    image = lesion_image(
        Lesion(12.0, elongation=2.0, angle_degrees=30.0),
        SystemBlur(0.4, 3.0),
        side=61,
        pixel_spacing_mm=(0.7, 0.7),
    )
    _, _, spread = moments(image)
    values, vectors = np.linalg.eigh(spread)
    down, right = vectors[:, 1]
    assert np.degrees(np.arctan2(down, right)) % 180 == pytest.approx(30.0, abs=0.1)
    assert values[1] > 3 * values[0]


def test_noise_of_a_gaussian_kernel_tells_its_f50():
    frequency = np.linspace(0, 3, 20001)
    f50 = 0.45
    power = frequency * SystemBlur(f50, 1.0).transfer(frequency) ** 2
    mean = (frequency * power).sum() / power.sum()
    assert f50_of_noise_per_mm(mean) == pytest.approx(f50, rel=1e-3)
