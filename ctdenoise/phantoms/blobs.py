"""Many small blobs of low contrast: what a denoiser loses first."""

from __future__ import annotations

import math

import numpy as np

from ctdenoise.config.phantom_random import BlobsSettings
from ctdenoise.core.arrays import BoolArray, DoubleArray, IndexArray
from ctdenoise.core.geometry import Geometry
from ctdenoise.core.provenance import JsonValue
from ctdenoise.core.randomness import stream
from ctdenoise.phantoms.leaves import power_law
from ctdenoise.phantoms.painted import Painted, body_cylinder, heights_mm, painted_shapes
from ctdenoise.phantoms.shapes import Shape
from ctdenoise.phantoms.solids import ellipsoid, elliptic_cylinder

LABELS = ("background", "brighter blob", "darker blob")
"""Names of the labels, from number 1."""

_STEPS = 8
"""Nested spheres of a soft edge."""

_SOFTNESS = 0.6
"""Width of a soft edge over the radius."""

_GAP_MM = 1.0
"""Blobs are at least this far apart."""

_TRIES = 40
"""Places tried for each blob."""


def paint_blobs(
    settings: BlobsSettings, geometry: Geometry, *, slice_thickness_mm: float, seed: int
) -> Painted:
    """Draw blobs between the first and the last slice of a grid.

    Args:
        settings: How they are distributed.
        geometry: An axial grid.
        slice_thickness_mm: What a slice averages over along z.
        seed: The same seed and the same height of the stack, the same blobs.
    """
    heights = heights_mm(geometry, slice_thickness_mm)
    body = Shape(
        "body",
        settings.hu,
        (body_cylinder(settings.diameter_mm, settings.depth_mm),),
        label="background",
        texture_sd_hu=settings.texture.sd_hu,
    )
    shapes, records = [body], []
    for number, blob in enumerate(_drawn(settings, stream(seed, "blobs"), heights), start=1):
        shapes += _blob_shapes(blob, settings, number)
        records.append({"number": number, **blob})
    return painted_shapes(
        tuple(shapes),
        geometry,
        labels=LABELS,
        slice_thickness_mm=slice_thickness_mm,
        texture=settings.texture,
        seed=seed,
        drawn={"blobs": records},
    )


def _drawn(
    settings: BlobsSettings, rng: np.random.Generator, heights: tuple[float, float]
) -> list[dict[str, JsonValue]]:
    """Kind, place, diameter and contrast of each blob."""
    count = settings.count
    diameter = power_law(rng.random(count), *settings.blob_diameter_mm, settings.emphasis)
    contrast = power_law(rng.random(count), *settings.contrast_hu, settings.emphasis)
    contrast *= rng.choice((-1.0, 1.0), count)
    kind = rng.random(count)
    is_soft = kind < settings.soft_share
    is_cylinder = kind >= 1 - settings.cylinder_share
    # Large ones are placed first: small ones find room between them.
    order = np.argsort(-diameter, kind="stable")
    reach = diameter / 2 * np.where(is_soft, 1 + _SOFTNESS / 2, 1.0)
    places, placed = _places(settings, rng, heights, reach[order], is_cylinder[order])
    return [
        {
            "kind": "cylinder" if is_cylinder[index] else "sphere",
            "edge": "soft" if is_soft[index] else "hard",
            "centre_mm": place.tolist(),
            "diameter_mm": float(diameter[index]),
            "contrast_hu": float(contrast[index]),
        }
        for place, index in zip(places, order[placed], strict=True)
    ]


def _places(
    settings: BlobsSettings,
    rng: np.random.Generator,
    heights: tuple[float, float],
    reach: DoubleArray,
    is_endless: BoolArray,
) -> tuple[DoubleArray, IndexArray]:
    """Centres of blobs that touch neither each other nor the surface, and which these are."""
    half = np.array([settings.diameter_mm, settings.depth_mm or settings.diameter_mm]) / 2
    places = np.zeros((len(reach), 3))
    placed: list[int] = []
    for index, radius in enumerate(reach):
        room = half - radius - _GAP_MM
        tries = rng.uniform(-1, 1, (_TRIES, 3))
        tries = tries[np.hypot(tries[:, 0], tries[:, 1]) <= 1] * np.array([*room, 1.0])
        tries[:, 2] = heights[0] + (tries[:, 2] + 1) / 2 * (heights[1] - heights[0])
        apart = tries[:, None] - places[placed][None]
        # A cylinder is in the way at every height.
        apart[..., 2] *= ~(is_endless[placed] | is_endless[index])
        need = reach[placed] + radius + _GAP_MM
        free = (np.sum(apart * apart, axis=-1) > need * need).all(axis=1)
        if free.any():
            places[index] = tries[np.flatnonzero(free)[0]]
            placed.append(index)
    return places[placed], np.array(placed, dtype=np.intp)


def _blob_shapes(blob: dict[str, JsonValue], settings: BlobsSettings, number: int) -> list[Shape]:
    """A blob as shapes: one, or nested ones where its edge is soft."""
    radius, contrast = float(blob["diameter_mm"]) / 2, float(blob["contrast_hu"])  # type: ignore[arg-type]
    label = "brighter blob" if contrast > 0 else "darker blob"
    steps = _STEPS if blob["edge"] == "soft" else 1
    shapes = []
    for step in range(1, steps + 1):
        # The radius at which a raised cosine around the edge has come half a step further.
        height = (step - 0.5) / steps
        edge = 0.0 if steps == 1 else _SOFTNESS * (math.acos(2 * height - 1) / math.pi - 0.5)
        reach = radius * (1 + edge)
        part = (
            elliptic_cylinder(blob["centre_mm"][:2], (reach, reach))  # type: ignore[index,arg-type]
            if blob["kind"] == "cylinder"
            else ellipsoid(blob["centre_mm"], (reach, reach, reach))  # type: ignore[arg-type]
        )
        shapes.append(
            Shape(
                f"blob {number}",
                settings.hu + contrast * step / steps,
                (part,),
                label=label if 2 * step >= steps else "background",
                texture_sd_hu=settings.texture.sd_hu,
            )
        )
    return shapes
