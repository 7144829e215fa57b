"""Wire, bead, disc and edge: what point, line and edge spread are measured with."""

from __future__ import annotations

import math

from ctdenoise.config.resolution_phantoms import (
    BeadSettings,
    DiscSettings,
    EdgeSettings,
    WireSettings,
)
from ctdenoise.phantoms.drawing import Drawing, labels_of
from ctdenoise.phantoms.shapes import HalfSpace, Part, Shape
from ctdenoise.phantoms.solids import elliptic_cylinder, sphere, tube, upright_rod

LEAST_FIELD_MM = 50.0
"""Field of view where there is no cylinder around."""


def wire_drawing(settings: WireSettings) -> Drawing:
    """A straight wire through (x, y, 0)."""
    tilt = math.radians(settings.tilt_degrees)
    reach = settings.length_mm / 2
    x, y = settings.x_mm, settings.y_mm
    aside, up = reach * math.sin(tilt), reach * math.cos(tilt)
    parts: tuple[Part, ...] = upright_rod((x, y), settings.diameter_mm, -reach, reach)
    if tilt != 0.0:
        parts = tube((x - aside, y, -up), (x + aside, y, up), settings.diameter_mm / 2)
    return _drawing(settings, Shape("wire", settings.hu, parts, label="wire"), 0.0)


def bead_drawing(settings: BeadSettings) -> Drawing:
    """A sphere at (x, y, z)."""
    centre = (settings.x_mm, settings.y_mm, settings.z_mm)
    bead = Shape("bead", settings.hu, (sphere(centre, settings.diameter_mm),), label="bead")
    return _drawing(settings, bead, settings.z_mm)


def disc_drawing(settings: DiscSettings) -> Drawing:
    """A flat disc whose middle is at (x, y, z)."""
    half = settings.thickness_mm / 2
    parts = upright_rod(
        (settings.x_mm, settings.y_mm),
        settings.diameter_mm,
        settings.z_mm - half,
        settings.z_mm + half,
    )
    return _drawing(settings, Shape("disc", settings.hu, parts, label="disc"), settings.z_mm)


def edge_drawing(settings: EdgeSettings) -> Drawing:
    """A cylinder of two materials."""
    radius = settings.diameter_mm / 2
    body = elliptic_cylinder((0.0, 0.0), (radius, radius))
    tilt = math.radians(settings.tilt_degrees)
    # Points into the upper material's outside, which is down.
    normal = (math.sin(tilt), 0.0, -math.cos(tilt))
    above = HalfSpace(normal, normal[2] * settings.z_mm)
    shapes = (
        Shape("lower material", settings.lower_hu, (body,), label="lower material"),
        Shape("upper material", settings.upper_hu, (body, above), label="upper material"),
    )
    return Drawing(shapes, labels_of(shapes), 1.25 * settings.diameter_mm, settings.z_mm)


def _drawing(
    settings: WireSettings | BeadSettings | DiscSettings, target: Shape, middle_mm: float
) -> Drawing:
    shapes: tuple[Shape, ...] = (target,)
    field_mm = LEAST_FIELD_MM
    if settings.body_mm is not None:
        radius = settings.body_mm / 2
        body = elliptic_cylinder((0.0, 0.0), (radius, radius))
        shapes = (Shape("body", settings.body_hu, (body,), label="body"), target)
        field_mm = 1.25 * settings.body_mm
    return Drawing(shapes, labels_of(shapes), field_mm, middle_mm)
