"""What varies inside the liver of a torso: fine vessels and lesions."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ctdenoise.config.phantom import TorsoSettings
from ctdenoise.core.arrays import DoubleArray
from ctdenoise.phantoms.anatomy import Anatomy
from ctdenoise.phantoms.belly import liver_parts
from ctdenoise.phantoms.lung_vessels import vessel_tree
from ctdenoise.phantoms.shapes import Shape
from ctdenoise.phantoms.solids import ellipsoid, tube

_USUAL_CONTRAST_HU = (15.0, 60.0)
_USUAL_RADIUS_MM = (3.0, 9.0)

_MARGIN_MM = 4.0
"""Vessels end this far from the surface of the liver, about."""


def fine_vessel_shapes(anatomy: Anatomy, count: int, rng: np.random.Generator) -> Iterator[Shape]:
    """Branches of the hepatic and of the portal veins, down to 1.5 mm.

    Args:
        anatomy: The patient.
        count: Ends of pieces of each tree; 0 for none.
        rng: Decides where they go.
    """
    if count == 0:
        return
    for name, root in (("hepatic vein", (-24, 18, -14)), ("portal vein", (-34, -4, -72))):
        points = _places(anatomy, rng, count)
        for start, end, radius in vessel_tree(np.array(anatomy.at(*root)), points):
            yield anatomy.shape(f"fine {name}", "liver vessel", *tube(start, end, radius))


def _places(anatomy: Anatomy, rng: np.random.Generator, count: int) -> DoubleArray:
    """Points inside the liver, [point, 3], mm."""
    solids = [Shape("liver", 0.0, parts) for parts in liver_parts(anatomy)]
    around = np.concatenate([np.zeros((1, 3)), _MARGIN_MM * np.eye(3), -_MARGIN_MM * np.eye(3)])
    found = np.zeros((0, 3))
    while len(found) < count:
        places = _candidates(anatomy, rng, 20 * count)
        inside = np.any([solid.contains(places[:, None] + around) for solid in solids], axis=0)
        found = np.concatenate([found, places[inside.all(axis=1)]])
    return found[:count]


def _candidates(anatomy: Anatomy, rng: np.random.Generator, count: int) -> DoubleArray:
    """Points of a box around the liver, [point, 3], mm."""
    return np.stack(
        [
            rng.uniform(-anatomy.cavity_mm[0], 30, count),
            rng.uniform(-anatomy.cavity_mm[1], anatomy.cavity_mm[1] * 0.7, count),
            rng.uniform(-140, -10, count) + anatomy.diaphragm_mm,
        ],
        axis=-1,
    )


def lesion_shapes(
    anatomy: Anatomy, settings: TorsoSettings, rng: np.random.Generator
) -> Iterator[Shape]:
    """Round lesions in the liver, darker or brighter than it.

    The usual ones are 3 to 9 mm in radius and differ by 15 to 60 HU. Where settings state contrast
    or diameter, lesions stay where they are.

    Args:
        anatomy: The patient.
        settings: How many, and their contrast and size if these are not left to chance.
        rng: Decides where they are and what they are like.
    """
    liver = [Shape("liver", 0.0, parts) for parts in liver_parts(anatomy)]
    for index in range(settings.lesions):
        places = _candidates(anatomy, rng, 600)
        inside = np.any([solid.contains(places) for solid in liver], axis=0)
        place = places[np.flatnonzero(inside)[0]]
        size, sign = float(rng.uniform(*_USUAL_CONTRAST_HU)), float(rng.choice((-1, -1, -1, 1)))
        radius, stretch = float(rng.uniform(*_USUAL_RADIUS_MM)), rng.uniform(0.85, 1.15, 3)
        contrast = size * sign
        if settings.lesion_contrast_hu is not None:
            contrast = _moved(size, _USUAL_CONTRAST_HU, settings.lesion_contrast_hu)
        radii = radius * stretch
        if settings.lesion_diameter_mm is not None:
            diameter = _moved(radius, _USUAL_RADIUS_MM, settings.lesion_diameter_mm)
            radii = np.full(3, diameter / 2)
        # What sticks out of the liver is cut off, so a lesion is never in fat or lung.
        home = next(s for s in liver if s.contains(place[None])[0])
        yield anatomy.shape(
            f"liver lesion {index + 1}",
            "liver",
            ellipsoid(place, radii),
            *home.parts,
            hu=anatomy.hu("liver") + contrast,
            label="lesion",
        )


def _moved(value: float, old: tuple[float, float], new: tuple[float, float]) -> float:
    """The same place in another range."""
    return new[0] + (value - old[0]) / (old[1] - old[0]) * (new[1] - new[0])
