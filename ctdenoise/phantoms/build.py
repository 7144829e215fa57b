"""A phantom from its settings: voxels, labels, shapes and the list of true values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ctdenoise.config.phantom import (
    GridSettings,
    PhantomSettings,
    RodsSettings,
    TorsoSettings,
    WaterSettings,
)
from ctdenoise.config.phantom_random import (
    AnyRandomPhantom,
    BlobsSettings,
    DeadLeavesSettings,
    VesselsSettings,
)
from ctdenoise.core.acquisition import Acquisition
from ctdenoise.core.arrays import FloatArray, LabelArray
from ctdenoise.core.geometry import Geometry
from ctdenoise.core.progress import SILENT, Progress
from ctdenoise.core.provenance import JsonValue, Step
from ctdenoise.core.randomness import stream
from ctdenoise.core.volume import CTVolume
from ctdenoise.phantoms import anatomy, rods, torso, water
from ctdenoise.phantoms.at_random import paint_at_random, random_labels
from ctdenoise.phantoms.drawing import Drawing
from ctdenoise.phantoms.imitation import imitated
from ctdenoise.phantoms.named import named_drawing
from ctdenoise.phantoms.painted import Painted
from ctdenoise.phantoms.raster import Sampling, rasterise
from ctdenoise.phantoms.shapes import Shape
from ctdenoise.phantoms.sharpness import as_sharp_as
from ctdenoise.phantoms.texture import power_law_field, whole_field_shape
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
        drawn: What was drawn at random, or where its numbers come from, in plain JSON.
    """

    volume: CTVolume
    shapes: tuple[Shape, ...]
    labels: LabelArray
    label_names: dict[int, str]
    drawn: Mapping[str, JsonValue]

    @property
    def truth(self) -> Mapping[str, JsonValue]:
        """Everything that is known, in plain JSON; made anew each time."""
        return self._known(self.shapes)

    @property
    def summary(self) -> Mapping[str, JsonValue]:
        """The truth without the list of shapes."""
        return self._known(())

    def _known(self, shapes: Sequence[Shape]) -> Mapping[str, JsonValue]:
        return truth_json(
            shapes,
            name=str(self.volume.history[0].params["name"]),
            label_numbers={name: number for number, name in self.label_names.items()},
            anatomy=self.drawn,
        )


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
    painted = _painted(settings, drawing, geometry, thickness_mm, progress)
    acquisition = Acquisition(
        manufacturer=MANUFACTURER,
        manufacturer_model_name=settings.phantom.name,
        kvp=settings.kvp,
        exposure_mas=(settings.exposure_mas,) * geometry.slices,
        slice_thickness_mm=thickness_mm,
        reconstruction_diameter_mm=geometry.columns * geometry.pixel_spacing_mm[1],
        reconstruction_centre_offset_mm=(0.0, 0.0),
        body_part_examined=drawing.body_part,
        patient_position="HFS",
    )
    hu, drawn = painted.hu, painted.drawn
    if settings.sharpness is not None:
        hu = as_sharp_as(hu, geometry.pixel_spacing_mm, settings.sharpness)
        drawn = {**drawn, "is_filtered": True}
    volume = CTVolume(
        hu,
        geometry,
        imitated(acquisition, settings),
        history=(
            Step("phantom", {"name": settings.phantom.name, "settings": settings.deciding()}),
        ),
    )
    names = {number: name for name, number in label_numbers.items()}
    return Phantom(volume, painted.shapes, painted.labels, names, drawn)


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
        case DeadLeavesSettings() | BlobsSettings() | VesselsSettings():
            size_mm = max(phantom.diameter_mm, phantom.depth_mm or 0.0)
            return Drawing((), random_labels(phantom), 1.1 * size_mm)
        case _:
            return named_drawing(phantom)


def _painted(
    settings: PhantomSettings,
    drawing: Drawing,
    geometry: Geometry,
    thickness_mm: float,
    progress: Progress,
) -> Painted:
    phantom = settings.phantom
    if isinstance(phantom, AnyRandomPhantom):
        return paint_at_random(
            phantom, geometry, slice_thickness_mm=thickness_mm, seed=settings.seed
        )
    hu, labels = rasterise(
        drawing.shapes,
        geometry,
        slice_thickness_mm=thickness_mm,
        label_numbers={name: number for number, name in enumerate(drawing.labels, start=1)},
        texture=_texture(settings, geometry) if drawing.textured else None,
        sampling=drawing.sampling,
        progress=progress,
    )
    return Painted(hu, labels, drawing.shapes, drawing.anatomy or {})


def _geometry(grid: GridSettings, drawing: Drawing) -> Geometry:
    spacing_mm = (grid.field_of_view_mm or drawing.field_of_view_mm) / grid.size
    corner_mm = -(grid.size - 1) / 2 * spacing_mm
    middle_mm = drawing.middle_mm if grid.middle_mm is None else grid.middle_mm
    first_mm = middle_mm - (grid.slices - 1) / 2 * grid.slice_spacing_mm
    return Geometry.axial(
        (grid.slices, grid.size, grid.size),
        pixel_spacing_mm=spacing_mm,
        slice_spacing_mm=grid.slice_spacing_mm,
        first_position_mm=(corner_mm, corner_mm, first_mm),
    )


def _texture(settings: PhantomSettings, geometry: Geometry) -> FloatArray:
    row_mm, column_mm = geometry.pixel_spacing_mm
    is_seamless = isinstance(settings.phantom, TorsoSettings) and settings.phantom.seamless
    return power_law_field(
        whole_field_shape(geometry.shape, settings.grid.slice_spacing_mm)
        if is_seamless
        else geometry.shape,
        (settings.grid.slice_spacing_mm, row_mm, column_mm),
        stream(settings.seed, "texture"),
    )
