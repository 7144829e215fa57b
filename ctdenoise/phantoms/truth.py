"""Shapes as JSON and back: the list of true values that goes with every phantom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ctdenoise.core.provenance import JsonValue
from ctdenoise.errors import InputError
from ctdenoise.phantoms.cones import Cone
from ctdenoise.phantoms.shapes import HalfSpace, Part, Quadric, Shape
from ctdenoise.phantoms.solids import vector
from ctdenoise.phantoms.superquadric import Superquadric

TRUTH_FORMAT = 1
"""Version of the file."""

RULE = "a later shape replaces what lies below it; around them is air (-1000 HU)"
ADDING_RULE = "; one whose rule is `adds` adds its hu to what lies below it"


def truth_json(
    shapes: Sequence[Shape],
    *,
    name: str,
    label_numbers: Mapping[str, int],
    anatomy: Mapping[str, JsonValue],
) -> dict[str, JsonValue]:
    """Everything that is known about a phantom.

    Args:
        shapes: In painting order.
        name: Kind of phantom.
        label_numbers: Number of every label.
        anatomy: What was drawn at random.
    """
    return {
        "format": TRUTH_FORMAT,
        "phantom": name,
        "frame": "LPS, mm: x to the left, y to the back, z to the head",
        "rule": RULE + (ADDING_RULE if any(shape.adds for shape in shapes) else ""),
        "anatomy": dict(anatomy),
        "labels": dict(label_numbers),
        "shapes": [shape_to_json(shape) for shape in shapes],
    }


def shape_to_json(shape: Shape) -> dict[str, JsonValue]:
    """A shape in plain JSON, with its centre and size where it has them."""
    low, high = shape.bounds_mm()
    box: list[JsonValue] = [
        [float(a), float(b)] if np.isfinite([a, b]).all() else None
        for a, b in zip(low, high, strict=True)
    ]
    # Only shapes that add say so: files of phantoms without them stay as they were.
    rule: dict[str, JsonValue] = {"rule": "adds"} if shape.adds else {}
    return {
        "name": shape.name,
        "hu": shape.hu,
        **rule,
        "label": shape.label,
        "texture_sd_hu": shape.texture_sd_hu,
        "box_mm": box,
        "parts": [_part_to_json(part) for part in shape.parts],
    }


def shape_from_json(record: Mapping[str, Any]) -> Shape:
    """The shape that a record of `shape_to_json` describes.

    Raises:
        InputError: If it describes none.
    """
    try:
        return Shape(
            name=str(record["name"]),
            hu=float(record["hu"]),
            parts=tuple(_part_from_json(part) for part in record["parts"]),
            label=str(record["label"]),
            texture_sd_hu=float(record["texture_sd_hu"]),
            adds=_adds(record.get("rule", "replaces")),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"This record describes no shape: {error}.") from error


def _adds(rule: object) -> bool:
    if rule not in ("adds", "replaces"):
        raise ValueError(f"the unknown rule {rule!r}")
    return rule == "adds"


def _part_to_json(part: Part) -> dict[str, JsonValue]:
    if isinstance(part, Cone):
        return {
            "kind": "cone",
            "apex_mm": part.apex_mm,
            "axis": part.axis,
            "slope": part.slope,
        }
    if isinstance(part, HalfSpace):
        return {"kind": "half_space", "normal": part.normal, "offset_mm": part.offset_mm}
    record: dict[str, JsonValue] = {"kind": "quadric"}
    if isinstance(part, Superquadric):
        record = {"kind": "superquadric", "power": part.power}
    return {**record, "centre_mm": part.centre_mm, "rows_per_mm": part.rows}


def _part_from_json(record: Mapping[str, Any]) -> Part:
    if record["kind"] == "half_space":
        return HalfSpace(vector(record["normal"]), float(record["offset_mm"]))
    if record["kind"] == "quadric":
        rows = tuple(vector(row) for row in record["rows_per_mm"])
        return Quadric(vector(record["centre_mm"]), rows)
    if record["kind"] == "cone":
        return Cone(vector(record["apex_mm"]), vector(record["axis"]), float(record["slope"]))
    if record["kind"] == "superquadric":
        rows = tuple(vector(row) for row in record["rows_per_mm"])
        return Superquadric(vector(record["centre_mm"]), rows, float(record["power"]))
    raise ValueError(f"a part is of the unknown kind {record['kind']!r}")
