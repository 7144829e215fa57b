"""Slices of one series that are several images of the same place, told apart by their headers.

Phases, time points, energies, kernels or thicknesses may share a SeriesInstanceUID. Where their
slices lie at the same positions, or between each other, they are no single stack.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np

from ctdenoise.core.geometry import POSITION_TOLERANCE_MM, SPACING_TOLERANCE_FRACTION
from ctdenoise.io.dicom_slice import SORTING_KEYWORDS, SliceHeader

LEAST_SLICES_OF_A_PART = 3
"""A split of repeated positions into parts of fewer slices separates slices, not stacks."""

SAME_PLACE_FRACTION = 0.025
"""Slices nearer to each other than this part of their thickness are images of the same place."""

LEAST_WHOLE_FRACTION = 0.75
"""Share of the slices of an evenly spaced part that must be there to know it for one."""

Part = tuple[str, list[SliceHeader]]

_SHORT_NAME = {
    "AcquisitionNumber": "acquisition",
    "FrameAcquisitionNumber": "acquisition",
    "ConvolutionKernel": "kernel",
    "ImageType": "image type",
    "TemporalPositionIndex": "time point",
    "TemporalPositionIdentifier": "time point",
    "NominalPercentageOfCardiacPhase": "phase %",
    "KVP": "kV",
    "SliceThickness": "mm thick",
    "StackID": "stack",
    "SeriesDescription": "",
}

_KINDS = (
    *("AcquisitionNumber", "FrameAcquisitionNumber", "TemporalPositionIndex"),
    *("TemporalPositionIdentifier", "StackID", "ImageType", "ConvolutionKernel"),
    *("NominalPercentageOfCardiacPhase", "KVP", "keV", "SliceThickness", "SeriesDescription"),
)
"""What may tell apart stacks whose slices lie between each other, in the order of trying."""

_TIMES = ("TriggerTime", "AcquisitionDateTime", "FrameAcquisitionDateTime", "AcquisitionTime")
"""When a slice was scanned: the first of each position belong together, then the second, ..."""


def along_mm(slices: Sequence[SliceHeader]) -> list[float]:
    """Position of each slice along the normal of the first.

    Args:
        slices: Slices that say where they lie.
    """
    orientation = np.array(slices[0].orientation)
    normal = np.cross(orientation[:3], orientation[3:])
    return [float(np.dot(header.position_mm or (), normal)) for header in slices]


def repeats(ordered: Sequence[SliceHeader]) -> list[Path]:
    """Files whose slice lies where the one before it lies.

    Args:
        ordered: Slices, ordered along the normal.
    """
    return [header.path for header, again in zip(ordered, _again(ordered), strict=True) if again]


def parts_of(ordered: Sequence[SliceHeader]) -> list[Part]:
    """Stacks told apart by what their headers say, each with its name; or all in one.

    Args:
        ordered: Slices of one grid, ordered along the normal.
    """
    if not repeats(ordered):
        return _woven(ordered) or [("", list(ordered))]
    single = [(name,) for name in SORTING_KEYWORDS if name != "TriggerTime"]
    for names in (*single, *combinations(SORTING_KEYWORDS[:7], 2)):
        groups = _grouped(ordered, names)
        if _is_good_split(list(groups.values()), ordered):
            return _labelled_parts(names, groups)
    return _time_points(ordered) or [("", list(ordered))]


def _again(ordered: Sequence[SliceHeader]) -> list[bool]:
    """Whether each slice is an image of the same place as the one before it."""
    steps = np.diff(along_mm(ordered)).tolist()
    later = zip(ordered[1:], steps, strict=True)
    return [False, *(step <= _same_place_mm(header) for header, step in later)]


def _same_place_mm(header: SliceHeader) -> float:
    thickness = header.facts.get("SliceThickness")
    thick_mm = thickness[0] if isinstance(thickness, tuple) else 0.0
    return max(POSITION_TOLERANCE_MM, SAME_PLACE_FRACTION * thick_mm)


def _grouped(
    slices: Sequence[SliceHeader], names: Sequence[str]
) -> dict[tuple[str, ...], list[SliceHeader]]:
    groups: dict[tuple[str, ...], list[SliceHeader]] = {}
    for header in slices:
        groups.setdefault(tuple(header.sorting[name] for name in names), []).append(header)
    return groups


def _labelled_parts(
    names: Sequence[str], groups: dict[tuple[str, ...], list[SliceHeader]]
) -> list[Part]:
    return [
        (", ".join(map(_labelled, names, values)), groups[values])
        for values in sorted(groups, key=lambda values: [_natural(v) for v in values])
    ]


def _is_good_split(groups: Sequence[list[SliceHeader]], ordered: Sequence[SliceHeader]) -> bool:
    if len(groups) < 2 or any(repeats(group) for group in groups):
        return False
    positions = len(ordered) - len(repeats(ordered))
    fewest = -(-len(ordered) // positions)  # as many stacks as slices at one position
    return len(groups) == fewest or len(ordered) >= LEAST_SLICES_OF_A_PART * len(groups)


def _woven(ordered: Sequence[SliceHeader]) -> list[Part]:
    """Stacks whose slices lie between each other, each evenly spaced; none if there are none."""
    for name in _KINDS:
        groups = _grouped(ordered, (name,))
        changes = sum(a.sorting[name] != b.sorting[name] for a, b in pairwise(ordered))
        if 2 <= len(groups) <= changes and all(map(_is_even, groups.values())):
            return _labelled_parts((name,), groups)
    return []


def _is_even(part: Sequence[SliceHeader]) -> bool:
    """Whether slices are evenly spaced, but for a few that are missing."""
    if len(part) < LEAST_SLICES_OF_A_PART:
        return False
    gaps = np.diff(along_mm(part))
    steps = gaps / gaps.min()
    whole = np.rint(steps)
    is_even = (np.abs(steps - whole) <= 2 * SPACING_TOLERANCE_FRACTION * whole).all()
    return bool(is_even) and len(part) >= LEAST_WHOLE_FRACTION * (whole.sum() + 1)


def _time_points(ordered: Sequence[SliceHeader]) -> list[Part]:
    """Stacks by the order in which each position was scanned; none if that is not known.

    Every position must have been scanned as often as every other, each time at another moment.
    """
    places: list[list[SliceHeader]] = []
    for header, again in zip(ordered, _again(ordered), strict=True):
        if again:
            places[-1].append(header)
        else:
            places.append([header])
    count = len(places[0])
    if len(places) < LEAST_SLICES_OF_A_PART or any(len(place) != count for place in places):
        return []
    for name in _TIMES:
        sort = _by_moment(name)
        if all(len({sort(h) for h in place} - {None}) == count for place in places):
            scanned = [sorted(place, key=lambda h: sort(h) or 0.0) for place in places]
            return [
                (f"time point {index + 1} of {count}", [place[index] for place in scanned])
                for index in range(count)
            ]
    return []


def _by_moment(name: str) -> Callable[[SliceHeader], float | None]:
    def moment(header: SliceHeader) -> float | None:
        text = header.sorting[name]
        return float(text) if re.fullmatch(r"-?\d+(\.\d*)?", text) else None

    return moment


def _labelled(name: str, value: str) -> str:
    return f"{_SHORT_NAME.get(name, name if name == 'keV' else 'time')} {value or '(none)'}".strip()


def _natural(text: str) -> list[tuple[int, int, str]]:
    parts = re.findall(r"\d+|\D+", text)
    return [(0, int(p), "") if p.isdecimal() else (1, 0, p) for p in parts]
