"""Lesions are put into their tissue, into its flat part, and out of each other's reach."""

from __future__ import annotations

import numpy as np
import pytest

from ctdenoise.metrics.insertion_places import Ground, flat_part, sites_of

SPACING_MM = (1.0, 0.8)


def disc(radius_mm, shape=(160, 200)):
    """A disc in the middle."""
    rows, columns = ((np.arange(n) - n / 2) * d for n, d in zip(shape, SPACING_MM, strict=True))
    return np.hypot(rows[:, None], columns) <= radius_mm


@pytest.fixture(scope="module")
def sites():
    """Lesions of two tissues in one slice."""
    inside, hole = disc(70), disc(25)
    grounds = (
        Ground(0, inside & ~hole, inside & ~hole, (3.0, 10.0)),
        Ground(1, hole, hole, (5.0,), elongation=2.0),
    )
    found = sites_of(
        grounds,
        SPACING_MM,
        apart_mm=12.0,
        most=30,
        taken={},
        rng=np.random.default_rng(0),
    )
    return grounds, found


def test_lesions_lie_in_their_tissue_as_a_whole(sites):
    grounds, found = sites
    y, x = (
        np.arange(n)[:, None] * d if axis == 0 else np.arange(n) * d
        for axis, (n, d) in enumerate(zip((160, 200), SPACING_MM, strict=True))
    )
    assert len(found) > 8
    for site in found:
        lesion = np.hypot(y - site.row * 1.0, x - site.column * 0.8) <= site.diameter_mm / 2
        # The centre lies up to half a pixel from the pixel whose depth was asked.
        outside = lesion & ~grounds[site.group].inside
        assert np.count_nonzero(outside) <= 3


def test_lesions_lie_out_of_each_others_reach(sites):
    _, found = sites
    for number, one in enumerate(found):
        for other in found[:number]:
            apart = np.hypot((one.row - other.row) * 1.0, (one.column - other.column) * 0.8)
            assert apart - (one.diameter_mm + other.diameter_mm) / 2 > 12.0 - 1.0


def test_sizes_get_places_in_turn(sites):
    _, found = sites
    counts = [sum(1 for one in found if one.diameter_mm == size) for size in (3.0, 10.0)]
    assert abs(counts[0] - counts[1]) <= 2


def test_no_room_is_no_lesion():
    small = disc(3)
    found = sites_of(
        (Ground(0, small, small, (10.0,)),),
        SPACING_MM,
        apart_mm=12.0,
        most=30,
        taken={},
        rng=np.random.default_rng(0),
    )
    assert found == ()


def test_the_flat_part_of_a_tissue_leaves_its_edges_out():
    image = np.where(disc(30), 100.0, 40.0).astype(np.float32)
    inside = disc(60)
    flat = flat_part(image, inside, SPACING_MM)
    edge = disc(33) & ~disc(27)
    assert flat.sum() >= 0.5 * inside.sum()
    assert not (flat & edge).any()
