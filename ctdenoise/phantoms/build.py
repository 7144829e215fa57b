"""A phantom from its settings: voxels, labels, shapes and the list of true values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import assert_never

import numpy as np

from ctdenoise.config.phantom import (
    GridSettings,
    PhantomSettings,
    RodsSettings,
    TorsoSettings,
    WaterSettings,
)
from ctdenoise.config.qa_phantoms import Acr464Settings, Catphan504Settings
from ctdenoise.core.acquisition import Acquisition
from ctdenoise.core.arrays import FloatArray, LabelArray
from ctdenoise.core.geometry import Geometry
from ctdenoise.core.progress import SILENT, Progress
from ctdenoise.core.provenance import JsonValue, Step
from ctdenoise.core.randomness import stream
from ctdenoise.core.volume import CTVolume
from ctdenoise.phantoms import acr464, anatomy, catphan504, rods, torso, water
from ctdenoise.phantoms.drawing import Drawing
from ctdenoise.phantoms.raster import Sampling, rasterise
from ctdenoise.phantoms.shapes import Shape
from ctdenoise.phantoms.texture import power_law_field
from ctdenoise.phantoms.truth import truth_json

MANUFACTURER = "ctdenoise phantom"
"""What the header states as maker of the scanner."""


@dataclass(frozen=True, slots=True, eq=False)
class Phantom:
    """A volume whose truth is known.

    Args:
        volume: Without noise; its history names the phantom and its settings.
        shapes: In painting order; exact line integrals are `shapes.line_integrals` of these. They
            know no texture: that is a property of the voxels.
        labels: Number of the label of each voxel, uint8 [z, y, x]; 0 is background.
        label_names: Name of each label, by number.
        truth: Everything that is known, in plain JSON.
    """

    volume: CTVolume
    shapes: tuple[Shape, ...]
    labels: LabelArray
    label_names: dict[int, str]
    truth: Mapping[str, JsonValue]


def build_phantom(settings: PhantomSettings, *, progress: Progress = SILENT) -> Phantom:
    """Draw the phantom that settings ask for.

    The isocentre (0, 0) is the middle of the image. The same settings give the same voxels.

    Args:
        settings: Which phantom, on which grid.
        progress: Told about shapes drawn.
    """
    drawing = _drawing(settings)
    grid = settings.grid
    geometry = _geometry(grid, drawing)
    thickness_mm = grid.slice_thickness_mm or grid.slice_spacing_mm
    label_numbers = {name: number for number, name in enumerate(drawing.labels, start=1)}
    hu, labels = rasterise(
        drawing.shapes,
        geometry,
        slice_thickness_mm=thickness_mm,
        label_numbers=label_numbers,
        texture=_texture(settings, geometry) if drawing.textured else None,
        sampling=drawing.sampling,
        progress=progress,
    )
    volume = CTVolume(
        hu,
        geometry,
        Acquisition(
            manufacturer=MANUFACTURER,
            manufacturer_model_name=settings.phantom.name,
            kvp=settings.kvp,
            exposure_mas=(settings.exposure_mas,) * geometry.slices,
            slice_thickness_mm=thickness_mm,
            reconstruction_diameter_mm=geometry.columns * geometry.pixel_spacing_mm[1],
            reconstruction_centre_offset_mm=(0.0, 0.0),
            body_part_examined=drawing.body_part,
            patient_position="HFS",
        ),
        history=(
            Step("phantom", {"name": settings.phantom.name, "settings": settings.deciding()}),
        ),
    )
    truth = truth_json(
        drawing.shapes,
        name=settings.phantom.name,
        label_numbers=label_numbers,
        anatomy=drawing.anatomy or {},
    )
    names = {number: name for name, number in label_numbers.items()}
    return Phantom(volume, drawing.shapes, labels, names, truth)


def _drawing(settings: PhantomSettings) -> Drawing:
    phantom = settings.phantom
    match phantom:
        case WaterSettings():
            shapes = water.water_shapes(phantom)
            size_mm = max(phantom.diameter_mm, phantom.depth_mm or 0.0)
            return Drawing(shapes, water.LABELS, 1.25 * size_mm, sampling=Sampling.EVEN)
        case RodsSettings():
            return Drawing(
                rods.rods_shapes(phantom),
                rods.rods_labels(phantom),
                1.25 * phantom.diameter_mm,
                sampling=Sampling.EVEN,
            )
        case TorsoSettings():
            patient = torso.torso_anatomy(phantom, settings.seed)
            return Drawing(
                torso.torso_shapes(phantom, settings.seed),
                anatomy.LABELS,
                field_of_view_mm=float(np.ceil(2.15 * patient.half_width_mm / 10) * 10),
                middle_mm=phantom.level_mm + patient.diaphragm_mm,
                body_part="CHEST",
                textured=phantom.texture > 0,
                anatomy=patient.as_json(),
                sampling=Sampling.EVEN,
            )
        case Acr464Settings():
            return acr464.acr464_drawing(phantom)
        case Catphan504Settings():
            return catphan504.catphan504_drawing(phantom)
        case _:
            assert_never(phantom)


def _geometry(grid: GridSettings, drawing: Drawing) -> Geometry:
    spacing_mm = (grid.field_of_view_mm or drawing.field_of_view_mm) / grid.size
    corner_mm = -(grid.size - 1) / 2 * spacing_mm
    first_mm = drawing.middle_mm - (grid.slices - 1) / 2 * grid.slice_spacing_mm
    return Geometry.axial(
        (grid.slices, grid.size, grid.size),
        pixel_spacing_mm=spacing_mm,
        slice_spacing_mm=grid.slice_spacing_mm,
        first_position_mm=(corner_mm, corner_mm, first_mm),
    )


def _texture(settings: PhantomSettings, geometry: Geometry) -> FloatArray:
    row_mm, column_mm = geometry.pixel_spacing_mm
    return power_law_field(
        geometry.shape,
        (settings.grid.slice_spacing_mm, row_mm, column_mm),
        stream(settings.seed, "texture"),
    )
