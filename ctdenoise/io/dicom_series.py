"""From loose slices to stacks: one grid, one position per slice, ordered along the normal."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ctdenoise.core.geometry import (
    DIRECTION_TOLERANCE,
    Geometry,
    same_pixel_spacing,
)
from ctdenoise.errors import GeometryError
from ctdenoise.io.dicom_checks import (
    common_problems,
    gathered,
    is_placed,
    slice_problems,
    stack_notes,
)
from ctdenoise.io.dicom_file import DamagedFileError, read_instance
from ctdenoise.io.dicom_hounsfield import ANOTHER_INTERCEPT
from ctdenoise.io.dicom_parts import along_mm, parts_of, repeats
from ctdenoise.io.dicom_pixels import StoredArray, stored_values
from ctdenoise.io.dicom_slice import SliceHeader
from ctdenoise.io.finding import Finding, warning

_PERHAPS_CT = ("unknown DICOM object", "CT object")
"""What a slice of a CT series is taken for whose SOP class is lost or spoiled."""


@dataclass(frozen=True, slots=True)
class Stack:
    """Slices that belong together, or a reason why they do not.

    Args:
        what: "CT", "scout", ...
        slices: Ordered along the normal where `geometry` is known.
        label: What tells this stack from others of its series; empty for the only one.
        geometry: The grid; None where it cannot be read right.
        problems: Every reason why it cannot be read.
        notes: What is unusual about one that can.
    """

    what: str
    slices: tuple[SliceHeader, ...]
    label: str = ""
    geometry: Geometry | None = None
    problems: tuple[str, ...] = ()
    notes: tuple[Finding, ...] = ()


def stacks_of(slices: Sequence[SliceHeader], damaged: Sequence[tuple[Path, str]]) -> list[Stack]:
    """Sort slices into stacks, each with every problem it has.

    Args:
        slices: Slices of any number of series, in any order.
        damaged: DICOM files that could not be parsed, and why. A series in the same folder is
            refused, because one of its slices may be among them.
    """
    stacks: list[Stack] = []
    for (_, what), members in _by_series(slices).items():
        if what != "CT":
            stacks.append(Stack(what, tuple(members), problems=(f"a {what} is not a CT volume",)))
            continue
        folders = {header.path.parent for header in members}
        beside = [(path, why) for path, why in damaged if path.parent in folders]
        stacks += _ct_stacks(members, beside)
    return stacks


def _by_series(slices: Iterable[SliceHeader]) -> dict[tuple[str, str], list[SliceHeader]]:
    groups: dict[tuple[str, str], list[SliceHeader]] = {}
    for header in slices:
        series = header.series or f"folder {header.path.parent}"
        groups.setdefault((series, header.what), []).append(header)
    for series, what in list(groups):
        # A slice whose header lost or spoiled its SOP class must not vanish from its series.
        if what in _PERHAPS_CT and (series, "CT") in groups:
            others = groups.pop((series, what))
            lost = [h for h in others if what == "unknown DICOM object" or _is_image(h)]
            groups[series, "CT"] += lost
            rest = [header for header in others if header not in lost]
            if rest:
                groups[series, what] = rest
    return groups


def _is_image(header: SliceHeader) -> bool:
    return header.has_pixels and is_placed(header)


def _ct_stacks(members: list[SliceHeader], beside: Sequence[tuple[Path, str]]) -> list[Stack]:
    shared = [
        *common_problems(members),
        *gathered(
            _problem_files(header for header in members if not is_placed(header)), len(members)
        ),
        *_damage(beside),
    ]
    placed = [header for header in members if is_placed(header)]
    if not placed:
        return [Stack("CT", tuple(members), problems=tuple(shared))]
    stacks: list[Stack] = []
    placed, notes_for_all = _with_one_frame_of_reference(placed)
    placed = _with_doubted_intercepts(placed)
    grids = _by_grid(placed)
    frames = list(dict.fromkeys(grid[0].frame_of_reference_uid for grid in grids))
    for grid in grids:
        kept, copy_notes = _without_copies(_ordered(grid))
        size = f"{grid[0].columns} x {grid[0].rows}" if _differ(grids, _size) else ""
        turned = f"orientation {_turned(grid[0])}" if _differ(grids, _turned) else ""
        spaced = f"pixels {_spaced(grid[0])} mm" if _differ(grids, _spaced) else ""
        number = frames.index(grid[0].frame_of_reference_uid) + 1
        framed = f"frame of reference {number}" if len(frames) > 1 else ""
        for label, part in parts_of(kept):
            labels = ", ".join(text for text in (size, turned, spaced, framed, label) if text)
            stacks.append(_stack(part, labels, shared, [*notes_for_all, *copy_notes]))
    return stacks


def _with_one_frame_of_reference(
    slices: list[SliceHeader],
) -> tuple[list[SliceHeader], list[Finding]]:
    """Slices whose frames of reference can be compared.

    Some anonymisers give every slice a frame of reference of its own, which the standard forbids
    within a series; it then says nothing and is disregarded.
    """
    if len(slices) < 2 or len({h.frame_of_reference_uid for h in slices}) < len(slices):
        return (slices, [])
    same = [replace(header, frame_of_reference_uid="") for header in slices]
    text = "every slice names another frame of reference; they were taken for one"
    return (same, [warning("frame-of-reference-differs", text)])


def _with_doubted_intercepts(slices: list[SliceHeader]) -> list[SliceHeader]:
    """Slices of the usual slope whose intercept is not the usual one have to prove it."""
    scales = Counter((header.rescale_slope, header.rescale_intercept) for header in slices)
    (slope, intercept), _ = scales.most_common(1)[0]
    return [
        replace(header, rescale_doubt=header.rescale_doubt or ANOTHER_INTERCEPT)
        if header.frame is None
        and header.rescale_slope == slope
        and header.rescale_intercept != intercept
        else header
        for header in slices
    ]


def _damage(beside: Sequence[tuple[Path, str]]) -> tuple[str, ...]:
    found: dict[str, list[Path]] = {}
    for path, why in beside:
        found.setdefault(why, []).append(path)
    return tuple(
        f"{len(paths)} DICOM files beside it are damaged ({why}): "
        + ", ".join(path.name for path in paths[:5])
        for why, paths in found.items()
    )


def _problem_files(slices: Iterable[SliceHeader]) -> dict[str, list[Path]]:
    problems: dict[str, list[Path]] = {}
    for header in slices:
        for problem in slice_problems(header):
            problems.setdefault(problem, []).append(header.path)
    return problems


def _stack(
    part: Sequence[SliceHeader], label: str, shared: Sequence[str], notes: Sequence[Finding]
) -> Stack:
    problems = [*shared, *gathered(_problem_files(part), len(part))]
    repeated = repeats(part)
    if repeated:
        names = ", ".join(list(dict.fromkeys(path.name for path in repeated))[:4])
        problems.append(
            f"{len(repeated)} slices lie at the position of another one, with other pixels, and "
            f"nothing in their headers tells them apart ({names})"
        )
    geometry = None
    if not problems:
        try:
            geometry = _geometry(part)
            notes = [*notes, *stack_notes(part, geometry)]
        except GeometryError as error:
            problems.append(error.what)
    return Stack("CT", tuple(part), label, geometry, tuple(problems), tuple(notes))


def _geometry(part: Sequence[SliceHeader]) -> Geometry:
    first = part[0]
    orientation = first.orientation or ()
    spacing = first.pixel_spacing_mm or ()
    return Geometry(
        first.rows,
        first.columns,
        (spacing[0], spacing[1]),
        (orientation[0], orientation[1], orientation[2]),
        (orientation[3], orientation[4], orientation[5]),
        np.array([header.position_mm for header in part], dtype=np.float64),
    )


def _size(header: SliceHeader) -> str:
    return f"{header.columns} x {header.rows}"


def _turned(header: SliceHeader) -> str:
    return "/".join(f"{value:.2f}" for value in header.orientation or ())


def _spaced(header: SliceHeader) -> str:
    return " x ".join(f"{value:.3g}" for value in header.pixel_spacing_mm or ())


def _differ(grids: Sequence[Sequence[SliceHeader]], what: Callable[[SliceHeader], str]) -> bool:
    return len({what(grid[0]) for grid in grids}) > 1


def _by_grid(slices: Iterable[SliceHeader]) -> list[list[SliceHeader]]:
    grids: list[list[SliceHeader]] = []
    for header in slices:
        for grid in grids:
            if _same_grid(grid[0], header):
                grid.append(header)
                break
        else:
            grids.append([header])
    return grids


def _same_grid(a: SliceHeader, b: SliceHeader) -> bool:
    return (
        (a.rows, a.columns, a.frame_of_reference_uid)
        == (b.rows, b.columns, b.frame_of_reference_uid)
        and np.allclose(a.orientation or (), b.orientation or (), rtol=0, atol=DIRECTION_TOLERANCE)
        and same_pixel_spacing(a.pixel_spacing_mm or (), b.pixel_spacing_mm or ())
    )


def _ordered(slices: Sequence[SliceHeader]) -> list[SliceHeader]:
    along = along_mm(slices)
    order = sorted(range(len(slices)), key=lambda i: (along[i], slices[i].path.name))
    return [slices[i] for i in order]


def _without_copies(
    ordered: Sequence[SliceHeader],
) -> tuple[list[SliceHeader], list[Finding]]:
    """Slices without those that are the same instance with the same pixels a second time."""
    if not repeats(ordered):
        return (list(ordered), [])
    kept: list[SliceHeader] = []
    seen: dict[tuple[str, int | None], SliceHeader] = {}
    for header in ordered:
        key = (header.sop_instance_uid, header.frame)
        earlier = seen.get(key)
        if earlier is not None and header.sop_instance_uid and _is_copy(earlier, header):
            continue
        seen.setdefault(key, header)
        kept.append(header)
    if len(kept) == len(ordered):
        return (kept, [])
    text = f"{len(ordered) - len(kept)} files are copies of others and were left out"
    return (kept, [warning("copies-left-out", text)])


def _is_copy(a: SliceHeader, b: SliceHeader) -> bool:
    if _digest(a.path) == _digest(b.path):
        return True
    if replace(a, path=b.path, syntax=b.syntax, pixel_bytes=b.pixel_bytes) != b:
        return False
    if slice_problems(a) or slice_problems(b):
        return False
    try:
        first, second = (_stored(header) for header in (a, b))
    except DamagedFileError:
        return False
    return np.array_equal(first, second)


def _stored(header: SliceHeader) -> StoredArray:
    most = header.rows * header.columns * header.frames * header.bits_allocated // 8
    dataset = read_instance(header.path, most_pixel_bytes=most)
    return next(stored_values(dataset, [header.frame or 0]))


def _digest(path: Path) -> bytes:
    return hashlib.sha256(path.read_bytes()).digest()
