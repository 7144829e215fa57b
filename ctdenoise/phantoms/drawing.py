"""What one kind of phantom consists of, before it is put on a grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ctdenoise.core.provenance import JsonValue
from ctdenoise.phantoms.raster import Sampling
from ctdenoise.phantoms.shapes import Shape


@dataclass(frozen=True, slots=True)
class Drawing:
    """The shapes of a phantom and how it wants to be seen.

    Args:
        shapes: In painting order.
        labels: Names of the labels, from number 1.
        field_of_view_mm: Side of a slice that shows all of it.
        middle_mm: Height of the middle slice.
        body_part: What the header states as the part of the body.
        textured: Whether some shape has texture.
        anatomy: What was drawn at random, or where its numbers come from.
        sampling: How small shapes are met by the rasteriser.
    """

    shapes: tuple[Shape, ...]
    labels: tuple[str, ...]
    field_of_view_mm: float
    middle_mm: float = 0.0
    body_part: str = "PHANTOM"
    textured: bool = False
    anatomy: Mapping[str, JsonValue] | None = None
    sampling: Sampling = Sampling.FINE


def labels_of(shapes: Sequence[Shape]) -> tuple[str, ...]:
    """Names of the labels that shapes use, in the order in which they appear."""
    return tuple(dict.fromkeys(shape.label for shape in shapes if shape.label))
