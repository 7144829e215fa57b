"""The modules of the Catphan 504.

Sources: "manual" is the maker's manual (The Phantom Laboratory; only what it says of ramps and pins
could be read again, the rest is from memory); "pylinac" the places and values that pylinac 3.49
(`ct.py`) looks for. What neither states is marked "ours". Left out: the acrylic
spheres of the CTP404, the sub-slice targets of the CTP515 and the point sources, whose places
pylinac does not use.

The middle of the CTP404 is at z = 0; the other modules are where pylinac looks for them.
"""

from __future__ import annotations

import math

from ctdenoise.config.qa_phantoms import Catphan504Settings
from ctdenoise.phantoms.drawing import Drawing, labels_of
from ctdenoise.phantoms.materials import ALUMINIUM_HU, STEEL_HU
from ctdenoise.phantoms.shapes import Shape
from ctdenoise.phantoms.solids import polar, tube, upright_bar, upright_rod

DIAMETER_MM = 200.0
"""Of the housing, which here is of the same material as the modules (pylinac: 101 mm radius)."""

SPANS_MM = {
    # Middles are pylinac's: 0, -65, -30 and 30; the modules meet halfway (ours).
    "ctp404": (-15.0, 15.0),
    "ctp486": (-82.5, -47.5),
    "ctp515": (-47.5, -15.0),
    "ctp528": (15.0, 45.0),
}

BACKGROUND_HU = {"ctp404": 90.0, "ctp486": 10.0, "ctp515": 50.0, "ctp528": 90.0}
"""Of the cast material (ours; the manual wants the CTP486 within 2 % of water)."""

INSERT_RADIUS_MM = 58.7
INSERT_MM = 12.0
INSERTS = (
    # Name, HU and angle: pylinac's, but for the air at the bottom, by which it finds the roll.
    ("air", -1000.0, -90.0),
    ("PMP", -196.0, -120.0),
    ("LDPE", -104.0, 180.0),
    ("polystyrene", -47.0, 120.0),
    ("air", -1000.0, 90.0),
    ("acrylic", 115.0, 60.0),
    ("Delrin", 365.0, 0.0),
    ("Teflon", 1000.0, -60.0),
)

NODES = ((-25.0, -25.0, "air"), (25.0, -25.0, "air"), (-25.0, 25.0, "air"), (25.0, 25.0, "Teflon"))
"""Pins of 3 mm, 50 mm apart; one is of Teflon (manual)."""

NODE_MM = 3.0

RAMP_RADIUS_MM = 38.0
"""Distance of the wire ramps from the axis (pylinac)."""

RAMP_DEGREES = 23.0
"""Rise of the wires against the axial plane (manual)."""

RAMP_HALF_HEIGHT_MM = 14.0
"""They end 1 mm before the module does (ours)."""

RAMP_WIRE_MM = 0.28
"""Diameter of a wire (ours)."""

TARGETS = (
    # Diameter (manual), angle (pylinac down to 5 mm, ours below).
    (15.0, -87.4),
    (9.0, -69.1),
    (8.0, -52.7),
    (7.0, -38.5),
    (6.0, -25.1),
    (5.0, -12.9),
    (4.0, -1.9),
    (3.0, 7.6),
    (2.0, 15.9),
)
TARGET_RADIUS_MM = 50.0
TARGET_SETS = ((10.0, 0.0), (5.0, 120.0), (3.0, 240.0))
"""Contrast (manual: 1.0, 0.5 and 0.3 %) and turn of each set (ours for 0.5 and 0.3 %)."""

LINE_PAIR_RADIUS_MM = 47.0
LINE_PAIRS = (
    # Line pairs per cm, bars, and where the group is on the circle, in turns from 9 o'clock over
    # 6 o'clock: the middle of the arc in which pylinac looks for it. Above 8 lp/cm pylinac does
    # not look: those groups are spread over the rest of the circle (ours), five bars each.
    (1, 2, 0.0535),
    (2, 3, 0.140),
    (3, 4, 0.2045),
    (4, 4, 0.261),
    (5, 4, 0.3105),
    (6, 5, 0.361),
    (7, 5, 0.4105),
    (8, 5, 0.4565),
    *((pairs, 5, 0.5 + 0.037 * (pairs - 9)) for pairs in range(9, 22)),
)
BAR_LENGTH_MM = 8.0
"""Length of a bar along the radius (ours)."""

BAR_DEPTH_MM = 2.0
"""Thickness of the aluminium sheet that the bars are cut from (manual)."""


def catphan504_drawing(settings: Catphan504Settings) -> Drawing:
    """The modules that settings ask for."""
    roll = settings.roll_degrees
    shapes: list[Shape] = []
    for name, span in SPANS_MM.items():
        if name in settings.modules:
            parts = upright_rod((0.0, 0.0), DIAMETER_MM, *span)
            shapes.append(Shape(name, BACKGROUND_HU[name], parts, label=name))
            shapes += _CONTENTS[name](roll)
    ends = [end for name in settings.modules for end in SPANS_MM[name]]
    return Drawing(
        tuple(shapes),
        labels_of(shapes),
        field_of_view_mm=1.25 * DIAMETER_MM,
        middle_mm=(min(ends) + max(ends)) / 2,
    )


def _ctp404(roll: float) -> list[Shape]:
    shapes = []
    for name, hu, angle in INSERTS:
        place = polar(INSERT_RADIUS_MM, angle + roll)
        parts = upright_rod(place, INSERT_MM, *SPANS_MM["ctp404"])
        shapes.append(Shape(f"insert {name}", hu, parts, label=name))
    for x, y, name in NODES:
        place = polar(math.hypot(x, y), math.degrees(math.atan2(y, x)) + roll)
        parts = upright_rod(place, NODE_MM, *SPANS_MM["ctp404"])
        shapes.append(Shape(f"pin {name}", -1000.0 if name == "air" else 1000.0, parts, "pins"))
    half = RAMP_HALF_HEIGHT_MM / math.tan(math.radians(RAMP_DEGREES))
    for index, angle in enumerate((0.0, 90.0, 180.0, 270.0)):
        rise = RAMP_HALF_HEIGHT_MM if index < 2 else -RAMP_HALF_HEIGHT_MM
        x, y = polar(RAMP_RADIUS_MM, angle + roll)
        along_x, along_y = polar(half, angle + 90.0 + roll)
        wire = tube(
            (x - along_x, y - along_y, -rise), (x + along_x, y + along_y, rise), RAMP_WIRE_MM / 2
        )
        shapes.append(Shape(f"ramp {index + 1}", STEEL_HU, wire, label="wire ramps"))
    return shapes


def _ctp486(roll: float) -> list[Shape]:
    del roll
    return []


def _ctp515(roll: float) -> list[Shape]:
    shapes = []
    for contrast, turn in TARGET_SETS:
        hu = BACKGROUND_HU["ctp515"] + contrast
        for diameter, angle in TARGETS:
            name = f"{contrast / 10:g} %, {diameter:g} mm"
            place = polar(TARGET_RADIUS_MM, angle + turn + roll)
            parts = upright_rod(place, diameter, *SPANS_MM["ctp515"])
            shapes.append(Shape(f"target {name}", hu, parts, label=name))
    return shapes


def _ctp528(roll: float) -> list[Shape]:
    low, high = SPANS_MM["ctp528"]
    middle = (low + high) / 2
    height = (middle - BAR_DEPTH_MM / 2, middle + BAR_DEPTH_MM / 2)
    shapes = []
    for pairs_per_cm, count, turns in LINE_PAIRS:
        name = f"{pairs_per_cm} lp/cm"
        period = 10.0 / pairs_per_cm
        angle = 180.0 - 360.0 * turns + roll
        for index in range(count):
            # Bars of a group are parallel, across the circle.
            aside = (index - (count - 1) / 2) * period
            turn = math.degrees(math.atan2(aside, LINE_PAIR_RADIUS_MM))
            place = polar(math.hypot(aside, LINE_PAIR_RADIUS_MM), angle + turn)
            bar = upright_bar(place, (BAR_LENGTH_MM, period / 2), height, angle_degrees=angle)
            shapes.append(Shape(f"{name}, bar {index + 1}", ALUMINIUM_HU, bar, label=name))
    return shapes


_CONTENTS = {"ctp404": _ctp404, "ctp486": _ctp486, "ctp515": _ctp515, "ctp528": _ctp528}
