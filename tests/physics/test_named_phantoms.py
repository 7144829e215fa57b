"""Exact line integrals of the named phantoms against closed forms, sampling and each other."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ctdenoise.config.mathematical_phantoms import (
    ForbildAbdomenSettings,
    ForbildHead2dSettings,
    ForbildHeadSettings,
    ForbildThoraxSettings,
    SheppLoganSettings,
)
from ctdenoise.config.named_phantoms import NamedPhantom
from ctdenoise.config.qa_phantoms import Acr464Settings, Catphan504Settings
from ctdenoise.config.resolution_phantoms import (
    Cct189Settings,
    EdgeSettings,
    SizeSeriesSettings,
    WireSettings,
)
from ctdenoise.phantoms.named import named_drawing
from ctdenoise.phantoms.rays import fan_rays, parallel_rays
from ctdenoise.phantoms.shapes import Shape, line_integrals
from ctdenoise.phantoms.shepp_logan import ELLIPSES
from ctdenoise.phantoms.solids import elliptic_cylinder, rotation
from tests.physics.painted import sampled_integral

FLAT: tuple[NamedPhantom, ...] = (
    SheppLoganSettings(),
    ForbildHead2dSettings(left_ear=True),
    Cct189Settings(),
    SizeSeriesSettings(age_years=1.0),
)
DEEP: tuple[NamedPhantom, ...] = (
    SheppLoganSettings(dimensions=3, contrast="modified"),
    ForbildHeadSettings(),
    ForbildThoraxSettings(),
    ForbildAbdomenSettings(),
    Acr464Settings(roll_degrees=7.0),
    Catphan504Settings(),
    WireSettings(diameter_mm=1.0, tilt_degrees=4.0),
    EdgeSettings(tilt_degrees=20.0),
)


def name_of(settings: object) -> str:
    return str(settings.name) if hasattr(settings, "name") else str(settings)


def closed_form(ellipses, angles, distances):
    """Sum of the ellipses' Radon transforms: 2 d a b sqrt(r^2 - t^2) / r^2.

    r is the half-width of the ellipse seen along the ray, t the ray's distance from its middle:
    the form in which MIRT's `ellipse_sino` has it. Rows are x, y, a, b, angle in degrees, density.
    """
    total = np.zeros(np.broadcast(angles, distances).shape)
    for x, y, a, b, degrees, density in ellipses:
        turn = angles - math.radians(degrees)
        square = (a * np.cos(turn)) ** 2 + (b * np.sin(turn)) ** 2
        away = distances - x * np.cos(angles) - y * np.sin(angles)
        total += 2 * density * a * b / square * np.sqrt(np.maximum(square - away**2, 0.0))
    return total


def added(ellipses) -> list[Shape]:
    return [
        Shape(
            "ellipse",
            1000.0 * density,
            (elliptic_cylinder((x, y), (a, b), rotation(about_z=degrees)),),
            adds=True,
        )
        for x, y, a, b, degrees, density in ellipses
    ]


def test_a_fan_beam_of_superposed_ellipses_is_the_closed_form_to_a_billionth():
    ellipses = [(90 * x, 90 * y, 90 * a, 90 * b, w, d) for x, y, a, b, w, d, _ in ELLIPSES]
    views = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    fan = np.linspace(-0.17, 0.17, 301)
    found = line_integrals(added(ellipses), *fan_rays(views, fan, source_to_isocentre_mm=595.0))
    # MIRT: angle = beta + gamma and distance = D sin(gamma), for a source at angle beta from the
    # y axis; ours is at angle b from the x axis, where the normal of the ray points to b + g + 90.
    angles = views[:, None] + fan + np.pi / 2
    exact = closed_form(ellipses, angles, -595.0 * np.sin(fan))
    assert exact.max() > 100
    assert np.abs(found - exact).max() < 1e-9


TWO_ELLIPSES = ((31.5, -12.25, 44.0, 7.5, 33.0, 0.8), (-20.0, 18.0, 12.0, 25.0, -61.0, -0.35))


@pytest.mark.parametrize(
    ("angle", "distance", "head", "two"),
    [
        # By mpmath with 50 digits from the closed form: Shepp-Logan 1974 at 100 mm, two ellipses.
        (0.0, 0.0, 197.426, 3.1871917420097957),
        (0.3, 12.5, 187.49577750009053, 11.760954818323364),
        (0.8, -28.25, 154.09881232573455, 3.2476930202646135),
        (1.4, 35.0, 138.6955334365318, 0.0),
        (2.1, -3.5, 153.91801836891956, 0.0),
        (2.9, 60.75, 111.39337650146501, 0.0),
    ],
)
def test_single_rays_are_the_closed_form_of_fifty_digits(angle, distance, head, two):
    rays = parallel_rays(np.array([angle]), np.array([distance]))
    # The table's y axis points up in the image and the patient's to the back.
    mirrored = parallel_rays(np.array([-angle]), np.array([distance]))
    shapes = named_drawing(SheppLoganSettings()).shapes
    assert line_integrals(shapes, *mirrored)[0, 0] == pytest.approx(head, abs=1e-9)
    assert line_integrals(added(TWO_ELLIPSES), *rays)[0, 0] == pytest.approx(two, abs=1e-9)


@pytest.mark.parametrize("settings", [*FLAT, *DEEP], ids=name_of)
def test_axial_rays_agree_with_sampling_along_them(settings):
    drawing = named_drawing(settings)
    shapes, reach = drawing.shapes, 0.25 * drawing.field_of_view_mm
    rng = np.random.default_rng(3)
    for angle, offset in zip(rng.uniform(0, np.pi, 4), rng.uniform(-reach, reach, 4), strict=True):
        origins, directions = parallel_rays(np.array([angle]), np.array([offset]), z_mm=1.3)
        assert_sampled(shapes, origins[0], directions[0])


@pytest.mark.parametrize("settings", DEEP, ids=name_of)
def test_slanted_rays_agree_with_sampling_along_them(settings):
    shapes = named_drawing(settings).shapes
    rng = np.random.default_rng(5)
    directions = rng.normal(size=(4, 3)) * (1.0, 1.0, 0.3)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    assert_sampled(shapes, rng.uniform(-40, 40, (4, 3)), directions)


def assert_sampled(shapes, origins, directions):
    step_mm = 0.01
    exact = line_integrals(shapes, origins, directions)
    assert exact.max() > 10
    for value, origin, direction in zip(exact, origins, directions, strict=True):
        sampled = sampled_integral(shapes, origin, direction, reach_mm=330.0, step_mm=step_mm)
        # Each edge is missed by half a step at most; a ray crosses some dozens of edges with
        # jumps of up to 1.8, or up to 48 (a wire), and the errors have random signs. The claim is
        # 5e-3 cm of water.
        assert abs(sampled - value) < 0.05


def test_both_tables_of_the_forbild_head_describe_one_head():
    rays = parallel_rays(np.linspace(0.01, 3.1, 60), np.linspace(-120, 120, 241))
    flat = line_integrals(named_drawing(ForbildHead2dSettings(left_ear=True)).shapes, *rays)
    deep = line_integrals(named_drawing(ForbildHeadSettings()).shapes, *rays)
    difference = np.abs(flat - deep)
    # The table in two dimensions fits ellipses to some slanted bones: a ray along an edge of one
    # differs by millimetres, the mean ray by a hundredth of one.
    assert flat.max() > 250
    assert difference.mean() < 0.02
    assert np.quantile(difference, 0.99) < 0.3


@pytest.mark.parametrize(
    ("settings", "count"),
    [
        (ForbildHead2dSettings(left_ear=True), 17 + 1 + 53 + 80),
        (ForbildHead2dSettings(right_ear=False), 17),
        (ForbildHeadSettings(), 17 + 1 + 317 + 144),
        (ForbildThoraxSettings(), 271),
    ],
    ids=name_of,
)
def test_forbild_phantoms_have_as_many_objects_as_their_files(settings, count):
    assert len(named_drawing(settings).shapes) == count


def test_rib_pieces_have_the_numbers_of_the_file():
    shapes = named_drawing(ForbildThoraxSettings()).shapes
    first = next(shape for shape in shapes if shape.name == "ribs")
    _, *planes = first.parts[1:3], *first.parts[4:]
    upper, lower = planes
    # Ribs.pha: r(1.907146,-0.481971,0.294538)<5.451355 r(1.983271,-0.155425,0.094982)>1.953178,
    # in cm with x and y the other way round.
    for plane, normal, distance in (
        (upper, (1.907146, -0.481971, 0.294538), 5.451355),
        (lower, (-1.983271, 0.155425, -0.094982), -1.953178),
    ):
        unit = np.array(normal) / np.linalg.norm(normal) * (-1, -1, 1)
        assert np.allclose(plane.normal, unit, atol=1e-6)
        assert plane.offset_mm == pytest.approx(10 * distance, abs=2e-5)
    assert np.allclose(first.parts[0].centre_mm, (-57.16814, -85.59509, -52.30811), atol=1e-5)


@pytest.mark.parametrize("settings", [*FLAT, *DEEP[:6]], ids=name_of)
def test_moments_of_parallel_projections_are_consistent(settings):
    # Helgason and Ludwig: the k-th moment of a projection is a homogeneous polynomial of degree k
    # in the cosine and sine of its angle; the 0th is the mass.
    angles = np.linspace(0, np.pi, 12, endpoint=False) + 0.05
    half = 0.75 * named_drawing(settings).field_of_view_mm
    # Chebyshev nodes: projections end like square roots.
    nodes = np.cos((np.arange(6000) + 0.5) / 6000 * np.pi)
    weights = np.pi / 6000 * np.sqrt(1 - nodes**2)
    sinogram = line_integrals(
        named_drawing(settings).shapes, *parallel_rays(angles, half * nodes, z_mm=0.7)
    )
    for order in range(4):
        moment = (sinogram * nodes**order * weights).sum(axis=1)
        basis = np.stack(
            [np.cos(angles) ** (order - k) * np.sin(angles) ** k for k in range(order + 1)], axis=1
        )
        fitted = basis @ np.linalg.lstsq(basis, moment, rcond=None)[0]
        mass = (sinogram * weights).sum(axis=1).mean()
        # Edges inside, at which projections bend, cost (distance of nodes)^1.5: some 3e-5.
        assert np.abs(moment - fitted).max() < 1e-4 * mass


def test_the_mass_of_the_shepp_logan_head_is_that_of_its_ellipses():
    shapes = named_drawing(SheppLoganSettings()).shapes
    offsets = np.linspace(-100, 100, 20001)
    sinogram = line_integrals(shapes, *parallel_rays(np.array([0.4]), offsets))
    mass = sinogram.sum() * (offsets[1] - offsets[0])
    exact = sum(np.pi * a * b * density for _, _, a, b, _, density, _ in ELLIPSES) * 100**2
    assert mass == pytest.approx(exact, rel=1e-6)
