"""Why slices cannot be read right, and what a reader should know about those that can."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from ctdenoise.core.geometry import SPACING_TOLERANCE_FRACTION, Geometry
from ctdenoise.io.dicom_hounsfield import (
    ANOTHER_INTERCEPT,
    NEGATIVE_SLOPE,
    NO_RESCALE,
    UNSPECIFIED,
)
from ctdenoise.io.dicom_kinds import CT_CLASSES, CT_IMAGE, shown_code, shown_syntax
from ctdenoise.io.dicom_pixels import MOST_FRAMES, MOST_PIXELS, can_decode
from ctdenoise.io.dicom_slice import NO_IMAGE_STEPS, SliceHeader
from ctdenoise.io.finding import Finding, note, warning

NOTED_TILT_DEGREES = 0.5
"""A smaller angle between normal and advance is rounding of positions."""

NOTED_DRIFT_PIXELS = 0.15
"""In-plane position of a slice beside the straight line through all, in pixels."""

GAP_TOLERANCE_FRACTION = 2 * SPACING_TOLERANCE_FRACTION
"""A distance within this of a multiple of the usual one is a gap where slices are missing."""

LEAST_SPAN_HU = 100.0
"""Stored values that reach over less hold no CT image."""

WATER_HU = 0.0

FIELD_OF_VIEW_MM = (5.0, 1500.0)
"""Extents of an image outside of which its PixelSpacing may have another unit."""

_NOT_HU = frozenset(
    (
        "PERFUSION",
        "RCBF",
        "RCBV",
        "CBF",
        "CBV",
        "MTT",
        "TTP",
        "TMAX",
        "ELECTRON_DENSITY",
        "EFFECTIVE_Z",
        "MAT_SPECIFIC",
        "IODINE",
    )
)
"""Values of ImageType of maps that are computed from CT and do not hold Hounsfield units."""


_NOT_SLICES = frozenset(
    (
        *("MAX_IP", "MIN_IP", "VOLUME_RENDER", "SURFACE_RENDER", "CURVED_MPR"),  # C.8.16.2.1.3
        *("MIP", "MINIP", "VRT", "SSD", "VOLUME RENDERING", "CURVED MPR", "CPR"),
        *("SCREEN SAVE", "SCREEN_SAVE", "SCREENSAVE"),
    )
)
"""Values of ImageType of pictures whose pixels are not the Hounsfield units of one place."""


def slice_problems(header: SliceHeader) -> list[str]:
    """Every reason why a slice cannot become Hounsfield units at a known place; none if it can.

    Args:
        header: A slice that claims to be CT.
    """
    return [*_kind_problems(header), *_place_problems(header), *_value_problems(header)]


def is_placed(header: SliceHeader) -> bool:
    """Whether a slice says where it lies and how large it is."""
    return not _place_problems(header)


def _kind_problems(header: SliceHeader) -> Iterator[str]:
    if not header.modality:
        yield "Modality is missing, so nothing says that it is CT"
    elif header.modality != "CT":
        yield f"Modality is {shown_code(header.modality)}, not CT"
    if header.sop_class_uid and header.sop_class_uid not in CT_CLASSES:
        yield "its SOP class is not that of a CT image"
    is_doubted = header.rescale_doubt == UNSPECIFIED  # the pixels have to show it
    if header.rescale_type not in ("", "HU") and not is_doubted:
        kind = shown_code(header.rescale_type)
        yield f"RescaleType is {kind}, so its values are not Hounsfield units"
    said = {part.strip() for part in header.image_type}
    maps = sorted(_NOT_HU & said)
    if maps:
        yield f"ImageType says {maps[0]}: a computed map, not Hounsfield units"
    pictures = sorted(_NOT_SLICES & said)
    if pictures:
        yield f"ImageType says {pictures[0]}: a picture made of many slices or of a screen, not CT"


def _place_problems(header: SliceHeader) -> list[str]:
    problems = []
    if header.position_mm is None:
        problems.append("ImagePositionPatient is missing or unreadable")
    if header.orientation is None:
        problems.append("ImageOrientationPatient is missing or unreadable")
    if header.pixel_spacing_mm is None:
        problems.append("PixelSpacing is missing or unreadable")
    if header.rows < 1 or header.columns < 1:
        problems.append("Rows or Columns is missing or unreadable")
    return problems


def _value_problems(header: SliceHeader) -> Iterator[str]:
    if header.rescale_slope is None or header.rescale_intercept is None:
        yield (
            "RescaleSlope or RescaleIntercept is missing or not one number, so its Hounsfield "
            "units are unknown"
        )
    else:
        yield from _scale_problems(header, header.rescale_slope, header.rescale_intercept)
    if header.has_modality_lut:
        yield "a Modality LUT replaces the linear rescale"
    yield from _pixel_kind_problems(header)
    if not header.has_pixels:
        yield "there are no pixel data"
    elif header.truncated:
        yield "the file is truncated: its pixel data are incomplete"
    elif header.pixel_bytes is not None and header.pixel_bytes < _expected_bytes(header):
        yield "its pixel data are shorter than its header says"
    if not can_decode(header.syntax, bits_stored=header.bits_stored):
        yield f"there is no decoder for its transfer syntax {shown_syntax(header.syntax)}"


def _scale_problems(header: SliceHeader, slope: float, intercept: float) -> Iterator[str]:
    if slope == 0:
        yield "RescaleSlope is zero, so its Hounsfield units are unknown"
    elif 0 < header.bits_stored <= 32 and abs(slope) * 2**header.bits_stored < LEAST_SPAN_HU:
        yield (
            f"RescaleSlope is so small that all its values lie within {LEAST_SPAN_HU:g} HU, so its "
            "Hounsfield units are unknown"
        )
    elif header.padding is not None and header.padding[0] < header.padding[1]:
        low, high = sorted(value * slope + intercept for value in header.padding)
        if low <= WATER_HU <= high:
            yield (
                "PixelPaddingValue and PixelPaddingRangeLimit make padding of water (0 HU), so "
                "nothing tells its image from its padding"
            )


def _pixel_kind_problems(header: SliceHeader) -> Iterator[str]:
    if header.rows * header.columns > MOST_PIXELS or header.frames > MOST_FRAMES:
        yield f"{header.frames} x {header.rows} x {header.columns} pixels are more than CT has"
    if header.samples_per_pixel not in (None, 1):
        yield f"it has {header.samples_per_pixel} samples per pixel (a colour picture)"
    if header.photometric_interpretation not in ("MONOCHROME1", "MONOCHROME2"):
        said = header.photometric_interpretation
        yield f"PhotometricInterpretation is {shown_code(said) if said else 'missing'}"
    if header.signed is None:
        yield "PixelRepresentation is missing or unreadable"
    stored = header.bits_stored
    if header.bits_allocated not in (8, 16, 32) or not 1 <= stored <= header.bits_allocated:
        yield f"{header.bits_allocated} bits allocated and {stored} stored make no sense"
    elif header.high_bit not in (None, stored - 1):
        yield f"HighBit {header.high_bit} with {stored} bits stored is not supported"


def _expected_bytes(header: SliceHeader) -> int:
    return header.rows * header.columns * header.frames * header.bits_allocated // 8


def gathered(problems: Mapping[str, Sequence[Path]], total: int) -> tuple[str, ...]:
    """Problems of many files as one sentence each, with how many files and their base names.

    Args:
        problems: Files that have each problem.
        total: Files looked at.
    """
    sentences = []
    for problem, paths in problems.items():
        names = list(dict.fromkeys(path.name for path in paths))
        shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        if len(paths) == total > 1:
            sentences.append(f"{problem} (all {total} slices)")
        else:
            sentences.append(f"{problem} ({len(paths)} of {total}: {shown})")
    return tuple(sentences)


def common_problems(slices: Sequence[SliceHeader]) -> list[str]:
    """What must be one for all slices of a series, and is not."""
    problems = []
    for name, values in (
        ("patients", {(header.patient, header.person) for header in slices}),
        ("studies", {header.study for header in slices}),
    ):
        if len(values) > 1:
            problems.append(f"its slices belong to {len(values)} {name}")
    without = [header for header in slices if header.rescale_assumed]
    if 0 < len(without) < len(slices):
        some = f"{len(without)} of {len(slices)} slices"
        problems.append(f"{some} lack RescaleSlope and RescaleIntercept, which the others have")
    return problems


def _making_notes(slices: Sequence[SliceHeader]) -> Iterator[Finding]:
    steps = {step for header in slices for step in header.steps}
    if not NO_IMAGE_STEPS.isdisjoint(steps):
        yield warning("no-image", "holds what ctdenoise removed, or a map of it: not the patient")
    elif "denoise" in steps:
        yield warning("already-denoised", "was denoised by ctdenoise before")
    if any(header.facts.get("SyntheticData") == "YES" for header in slices):
        yield warning("synthetic", "SyntheticData is YES: made or changed by a simulation")


def repeated_identities(identities: Iterable[tuple[str, int | None]]) -> int:
    """How many images share their identity with one before; those without any are not counted.

    Args:
        identities: SOPInstanceUID and frame of each.
    """
    counts = Counter(identity for identity in identities if identity[0])
    return sum(count - 1 for count in counts.values())


def stack_notes(slices: Sequence[SliceHeader], geometry: Geometry) -> list[Finding]:
    """What a reader should know about a stack that can be read.

    Args:
        slices: The slices, in order.
        geometry: Their grid.
    """
    notes = [*_geometry_notes(geometry)]
    if any(header.padding for header in slices):
        notes.append(note("padding", "has a pixel padding value; those pixels are left alone"))
    if any(header.lossy for header in slices):
        notes.append(warning("lossy-compression", "was compressed with loss"))
    if any("DERIVED" in header.image_type for header in slices):
        notes.append(note("derived", "is a derived image"))
    if any(not header.series for header in slices):
        text = "has no SeriesInstanceUID; the files of one folder were taken together"
        notes.append(warning("no-series-uid", text))
    if any(header.photometric_interpretation == "MONOCHROME1" for header in slices):
        text = "MONOCHROME1: shown inverted, Hounsfield units are as the rescale says"
        notes.append(note("monochrome1", text))
    if any(not header.sop_class_uid for header in slices):
        text = f"has no SOPClassUID; taken for CT ({CT_IMAGE}) by its Modality"
        notes.append(warning("no-sop-class", text))
    notes += _doubt_notes(slices)
    notes += _making_notes(slices)
    repeated = repeated_identities((h.sop_instance_uid, h.frame) for h in slices)
    if repeated:
        text = f"{repeated} slices have the SOPInstanceUID of another one; an archive keeps one"
        notes.append(warning("repeated-identity", text))
    if any(header.frame is not None for header in slices):
        notes.append(note("multi-frame", "multi-frame object, read frame by frame"))
    return notes


_PROOF = "Hounsfield units if every such slice shows air and tissue where they must be"
_DOUBTS = {
    NO_RESCALE: warning(
        "no-rescale",
        f"has neither RescaleSlope nor RescaleIntercept; its signed values are taken for {_PROOF}",
    ),
    UNSPECIFIED: warning(
        "unspecified-rescale",
        "RescaleType is US (unspecified), as some anonymisers write it; its values are taken for "
        f"{_PROOF}",
    ),
    NEGATIVE_SLOPE: warning(
        "negative-slope", f"RescaleSlope is negative; its values are taken for {_PROOF}"
    ),
    ANOTHER_INTERCEPT: warning(
        "another-intercept",
        f"RescaleIntercept differs between slices; the values of the fewer are taken for {_PROOF}",
    ),
}


def _doubt_notes(slices: Sequence[SliceHeader]) -> list[Finding]:
    doubts = dict.fromkeys(header.rescale_doubt for header in slices)
    return [_DOUBTS[doubt] for doubt in doubts if doubt]


def _geometry_notes(geometry: Geometry) -> Iterator[Finding]:
    tilt = geometry.tilt_degrees
    if tilt > NOTED_TILT_DEGREES:
        text = f"gantry tilt of {tilt:.1f} degrees, from positions and orientation"
        yield note("gantry-tilt", text)
    between_rows, between_columns = geometry.pixel_spacing_mm
    height, width = geometry.rows * between_rows, geometry.columns * between_columns
    if min(height, width) < FIELD_OF_VIEW_MM[0] or max(height, width) > FIELD_OF_VIEW_MM[1]:
        text = f"an image of {height:.4g} x {width:.4g} mm; is PixelSpacing in mm?"
        yield warning("field-of-view", text)
    if geometry.slices < 3:
        return
    spacings = geometry.spacings_mm()
    usual = float(np.median(spacings))
    runs = len(geometry.runs())
    if runs > 1:
        yield warning(
            "uneven-spacing",
            f"uneven spacing: {spacings.min():.3f} to {spacings.max():.3f} mm "
            f"between slices, {runs} uniform runs",
        )
    multiples = spacings / usual
    whole = np.rint(multiples)
    gaps = (whole >= 2) & (np.abs(multiples - whole) <= whole * GAP_TOLERANCE_FRACTION)
    if gaps.any():
        missing = int((whole[gaps] - 1).sum())
        first = int(np.flatnonzero(gaps)[0]) + 1
        slices = "slice seems" if missing == 1 else "slices seem"
        text = f"{missing} {slices} to be missing (first gap after slice {first})"
        yield warning("missing-slices", text)
    if _drift_mm(geometry) > NOTED_DRIFT_PIXELS * min(geometry.pixel_spacing_mm):
        shift = f"by up to {_drift_mm(geometry):.2f} mm"
        text = f"slices are shifted in plane {shift}, not in one line"
        yield warning("in-plane-shift", text)


def _drift_mm(geometry: Geometry) -> float:
    """Largest in-plane distance of a slice from the straight line fitted through all."""
    along = geometry.along_normal_mm()
    across = geometry.positions_mm - along[:, None] * geometry.normal
    design = np.stack([along - along.mean(), np.ones_like(along)], axis=1)
    fitted = design @ np.linalg.lstsq(design, across, rcond=None)[0]
    return float(np.linalg.norm(across - fitted, axis=1).max())
