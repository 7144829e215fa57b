"""The phantom of the ACR's CT accreditation (Gammex 464), after its own description.

Sources: "acr" is the phantom's description in the ACR's CT accreditation phantom instructions
(of which only the size and order of the modules could be read again; the rest is from memory);
"pylinac" the places where pylinac 3.49 (`acr.py`) looks for things. What neither states is marked
"ours". Left out: the wire ramps of module 1, whose wires neither of them places.

The middle of module 1 is at z = 0 and the modules follow towards the head (acr: module 4 is at
the head end).
"""

from __future__ import annotations

import math

from ctdenoise.config.qa_phantoms import Acr464Settings
from ctdenoise.phantoms.drawing import Drawing, labels_of
from ctdenoise.phantoms.materials import ALUMINIUM_HU, STEEL_HU, TUNGSTEN_HU
from ctdenoise.phantoms.shapes import Shape
from ctdenoise.phantoms.solids import polar, sphere, upright_bar, upright_rod

DIAMETER_MM = 200.0
MODULE_MM = 40.0
"""Length of each module (acr)."""

ROD_RADIUS_MM = 63.0
"""Distance of the rods of module 1 from the axis (pylinac)."""

RODS = (
    # Name, HU, diameter (acr), angle (pylinac). HU: middle of the limits that the ACR sets for
    # bone, polyethylene, acrylic and air; water by definition.
    ("bone", 910.0, 25.0, -45.0),
    ("air", -1000.0, 25.0, 45.0),
    ("acrylic", 122.5, 25.0, 135.0),
    ("polyethylene", -95.5, 25.0, -135.0),
    ("water", 0.0, 50.0, 180.0),
)

LOW_CONTRAST_BACKGROUND_HU = 90.0
"""Of module 2 (acr: about 90 HU)."""

LOW_CONTRAST_HU = 6.0
"""What the rods of module 2 have more (acr: 0.6 %)."""

LOW_CONTRAST_RADIUS_MM = 60.0
"""Distance of the rod of 25 mm from the axis (pylinac)."""

LOW_CONTRAST_GROUPS = ((6.0, -30.0), (5.0, 30.0), (4.0, 90.0), (3.0, 150.0), (2.0, 210.0))
"""Diameter of the four rods of each group (acr) and where it is (ours)."""

BEADS = ((20.0, -45.0), (80.0, 135.0))
"""Distance from the axis and angle of the beads of module 3, 100 mm apart (pylinac)."""

BEAD_MM = 0.28
"""Diameter of the beads of module 3 (acr)."""

BEAD_HEIGHT_MM = 72.0
"""Height of these beads: in the slice that pylinac takes, 70 mm behind module 1 (ours)."""

LINE_PAIRS = (
    # Line pairs per cm and angle (pylinac).
    (4, -135.0),
    (5, 180.0),
    (6, 135.0),
    (7, 90.0),
    (8, 45.0),
    (9, 0.0),
    (10, -45.0),
    (12, -90.0),
)

LINE_PAIR_RADIUS_MM = 70.0
"""Distance of the patterns from the axis (pylinac)."""

LINE_PAIR_SQUARE_MM = 15.0
"""Side of a pattern (acr)."""

LINE_PAIR_DEPTH_MM = 38.0
"""Depth of a pattern, from the interface to module 3 (acr)."""


def acr464_drawing(settings: Acr464Settings) -> Drawing:
    """The modules that settings ask for."""
    modules = sorted(set(settings.modules))
    roll = settings.roll_degrees
    shapes: list[Shape] = []
    for number in modules:
        shapes += _MODULES[number](roll)
    low, high = MODULE_MM * (modules[0] - 1), MODULE_MM * (modules[-1] - 1)
    return Drawing(
        tuple(shapes),
        labels_of(shapes),
        field_of_view_mm=1.25 * DIAMETER_MM,
        middle_mm=(low + high) / 2,
    )


def _span(number: int) -> tuple[float, float]:
    """Where a module begins and ends."""
    middle = MODULE_MM * (number - 1)
    return (middle - MODULE_MM / 2, middle + MODULE_MM / 2)


def _body(number: int, hu: float) -> Shape:
    parts = upright_rod((0.0, 0.0), DIAMETER_MM, *_span(number))
    return Shape(f"module {number}", hu, parts, label=f"module {number}")


def _surface_beads(number: int, roll: float) -> list[Shape]:
    """The beads of 1 mm that modules 1 and 4 are aligned by, at 3, 6, 9 and 12 o'clock (acr)."""
    low, high = _span(number)
    return [
        Shape(
            f"alignment bead {hour} o'clock, module {number}",
            STEEL_HU,
            (sphere((*polar(DIAMETER_MM / 2 - 0.5, angle + roll), (low + high) / 2), 1.0),),
            label="alignment beads",
        )
        for hour, angle in ((12, -90.0), (3, 0.0), (6, 90.0), (9, 180.0))
    ]


def _module_1(roll: float) -> list[Shape]:
    rods = [
        Shape(
            name,
            hu,
            upright_rod(polar(ROD_RADIUS_MM, angle + roll), diameter, *_span(1)),
            label=name,
        )
        for name, hu, diameter, angle in RODS
    ]
    return [_body(1, 0.0), *rods, *_surface_beads(1, roll)]


def _module_2(roll: float) -> list[Shape]:
    hu = LOW_CONTRAST_BACKGROUND_HU + LOW_CONTRAST_HU
    place = polar(LOW_CONTRAST_RADIUS_MM, -90.0 + roll)
    name = "low contrast 25 mm"
    shapes = [_body(2, LOW_CONTRAST_BACKGROUND_HU)]
    shapes.append(Shape(name, hu, upright_rod(place, 25.0, *_span(2)), label=name))
    for diameter, angle in LOW_CONTRAST_GROUPS:
        name = f"low contrast {diameter:g} mm"
        for index in range(4):
            # Rods of a group are two diameters apart (acr), in a row across the radius (ours).
            aside = (index - 1.5) * 2 * diameter
            turn = math.degrees(math.atan2(aside, LOW_CONTRAST_RADIUS_MM))
            place = polar(math.hypot(aside, LOW_CONTRAST_RADIUS_MM), angle + turn + roll)
            parts = upright_rod(place, diameter, *_span(2))
            shapes.append(Shape(f"{name}, rod {index + 1}", hu, parts, label=name))
    return shapes


def _module_3(roll: float) -> list[Shape]:
    beads = [
        Shape(
            f"bead {number}",
            TUNGSTEN_HU,
            (sphere((*polar(radius, angle + roll), BEAD_HEIGHT_MM), BEAD_MM),),
            label="beads",
        )
        for number, (radius, angle) in enumerate(BEADS, start=1)
    ]
    return [_body(3, 0.0), *beads]


def _module_4(roll: float) -> list[Shape]:
    low, _ = _span(4)
    shapes = [_body(4, 0.0)]
    for pairs_per_cm, angle in LINE_PAIRS:
        name = f"{pairs_per_cm} lp/cm"
        period = 10.0 / pairs_per_cm
        count = int(LINE_PAIR_SQUARE_MM / period + 0.5)
        for index in range(count):
            # Bars run along the radius (ours).
            aside = (index - (count - 1) / 2) * period
            turn = math.degrees(math.atan2(aside, LINE_PAIR_RADIUS_MM))
            place = polar(math.hypot(aside, LINE_PAIR_RADIUS_MM), angle + turn + roll)
            parts = upright_bar(
                place,
                (LINE_PAIR_SQUARE_MM, period / 2),
                (low, low + LINE_PAIR_DEPTH_MM),
                angle_degrees=angle + roll,
            )
            shapes.append(Shape(f"{name}, bar {index + 1}", ALUMINIUM_HU, parts, label=name))
    return [*shapes, *_surface_beads(4, roll)]


_MODULES = {1: _module_1, 2: _module_2, 3: _module_3, 4: _module_4}
