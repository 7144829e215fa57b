"""The head phantom of Shepp and Logan.

Ellipses: L. A. Shepp, B. F. Logan, "The Fourier reconstruction of a head section", IEEE Trans.
Nucl. Sci. 21 (1974) 21, table 1; modified densities: P. Toft, "The Radon transform" (thesis, DTU
1996), table B.1. Ellipsoids: C. G. Koay, J. E. Sarlls, E. Ozarslan, Magn. Reson. Med. 58 (2007)
430, table 1, as phantominator 0.7.0 gives them; the table printed by Kak and Slaney (1988, p. 102)
has misprints. Koay's densities are those of magnetic resonance: the original ones here are Kak and
Slaney's, with 2 and -0.98 for skull and brain.
"""

from __future__ import annotations

from ctdenoise.config.mathematical_phantoms import SheppLoganSettings
from ctdenoise.core.units import HU_PER_RELATIVE_ATTENUATION
from ctdenoise.phantoms.drawing import Drawing, labels_of
from ctdenoise.phantoms.shapes import Quadric, Shape
from ctdenoise.phantoms.solids import ellipsoid, elliptic_cylinder, rotation

ELLIPSES = (
    # x, y (up in the image), half-axes a and b, angle of a in degrees, density original, modified.
    (0.0, 0.0, 0.69, 0.92, 0.0, 2.0, 1.0),
    (0.0, -0.0184, 0.6624, 0.874, 0.0, -0.98, -0.8),
    (0.22, 0.0, 0.11, 0.31, -18.0, -0.02, -0.2),
    (-0.22, 0.0, 0.16, 0.41, 18.0, -0.02, -0.2),
    (0.0, 0.35, 0.21, 0.25, 0.0, 0.01, 0.1),
    (0.0, 0.1, 0.046, 0.046, 0.0, 0.01, 0.1),
    (0.0, -0.1, 0.046, 0.046, 0.0, 0.01, 0.1),
    (-0.08, -0.605, 0.046, 0.023, 0.0, 0.01, 0.1),
    (0.0, -0.605, 0.023, 0.023, 0.0, 0.01, 0.1),
    (0.06, -0.605, 0.023, 0.046, 0.0, 0.01, 0.1),
)

ELLIPSOIDS = (
    # x, y (up), z, half-axes a, b and c, angle of a in degrees, density original, modified.
    (0.0, 0.0, 0.0, 0.69, 0.92, 0.9, 0.0, 2.0, 1.0),
    (0.0, 0.0, 0.0, 0.6624, 0.874, 0.88, 0.0, -0.98, -0.8),
    (-0.22, 0.0, -0.25, 0.41, 0.16, 0.21, 108.0, -0.02, -0.2),
    (0.22, 0.0, -0.25, 0.31, 0.11, 0.22, 72.0, -0.02, -0.2),
    (0.0, 0.35, -0.25, 0.21, 0.25, 0.5, 0.0, 0.02, 0.1),
    (0.0, 0.1, -0.25, 0.046, 0.046, 0.046, 0.0, 0.02, 0.1),
    (-0.08, -0.65, -0.25, 0.046, 0.023, 0.02, 0.0, 0.01, 0.1),
    (0.06, -0.65, -0.25, 0.046, 0.023, 0.02, 90.0, 0.01, 0.1),
    (0.06, -0.105, 0.625, 0.056, 0.04, 0.1, 90.0, 0.02, 0.1),
    (0.0, 0.1, 0.625, 0.056, 0.056, 0.1, 0.0, -0.02, 0.1),
)

NAMES = ("skull", "brain", *(f"inside {number}" for number in range(1, 9)))


def shepp_logan_drawing(settings: SheppLoganSettings) -> Drawing:
    """The phantom, its y axis up in the image: towards the patient's front."""
    shapes = tuple(
        Shape(name, hu, (part,), label=name, adds=True)
        for name, hu, part in zip(NAMES, _added_hu(settings), _parts(settings), strict=True)
    )
    return Drawing(shapes, labels_of(shapes), 2.0 * settings.unit_mm, body_part="HEAD")


def _added_hu(settings: SheppLoganSettings) -> list[float]:
    modified = settings.contrast == "modified"
    attenuation = settings.attenuation or (2.0 if modified else 1.0)
    table = ELLIPSES if settings.dimensions == 2 else ELLIPSOIDS
    densities = [row[-1 if modified else -2] for row in table]
    return [round(HU_PER_RELATIVE_ATTENUATION * attenuation * value, 9) for value in densities]


def _parts(settings: SheppLoganSettings) -> list[Quadric]:
    unit = settings.unit_mm
    if settings.dimensions == 2:
        return [
            elliptic_cylinder((unit * x, -unit * y), (unit * a, unit * b), rotation(about_z=-angle))
            for x, y, a, b, angle, *_ in ELLIPSES
        ]
    return [
        ellipsoid(
            (unit * x, -unit * y, unit * z),
            (unit * a, unit * b, unit * c),
            rotation(about_z=-angle),
        )
        for x, y, z, a, b, c, angle, *_ in ELLIPSOIDS
    ]
