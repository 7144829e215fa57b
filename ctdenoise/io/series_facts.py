"""What the headers of a found series say about it, as typed facts for people and programs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from pydicom.uid import UID

from ctdenoise.core.geometry import Geometry
from ctdenoise.core.orientation import in_words, letters, plane
from ctdenoise.io.dicom_slice import SliceHeader
from ctdenoise.io.study import FoundSeries

_AGENTS = (
    *("accupaque", "conray", "cystografin", "gastrografin", "hexabrix", "imagopaque", "imeron"),
    *("iobitridol", "iodixanol", "iohexol", "iomeprol", "iomeron", "iopamidol", "iopamiro"),
    *("iopromide", "iothalamate", "ioversol", "ioxaglate", "ioxilan", "ioxitalamate", "isovue"),
    *("niopam", "omnipaque", "optiray", "oxilan", "peritrast", "scanlux", "solutrast", "telebrix"),
    *("ultravist", "visipaque", "xenetix", "barium", "iodine", "water"),
)
"""Contrast agents for CT that are named in full; any other text of the header stays there, because
it is typed by hand."""

_NO_AGENT = frozenset(("NONE", "NO", "N", "N/A", "NA", "WITHOUT", "WO", "W/O", "NATIVE", "0"))


@dataclass(frozen=True, slots=True)
class Gap:
    """The distance between two runs of slices.

    Args:
        after_slice: Number of the slice before it, from 1.
        position_mm: Where that slice lies along the normal.
        distance_mm: Distance to the next.
    """

    after_slice: int
    position_mm: float
    distance_mm: float


@dataclass(frozen=True, slots=True)
class Run:
    """Slices with uniform spacing.

    Args:
        first_slice, last_slice: Their numbers, from 1.
        spacing_mm: Distance between them; None for a single slice.
    """

    first_slice: int
    last_slice: int
    spacing_mm: float | None


@dataclass(frozen=True, slots=True)
class GridFacts:
    """Where the voxels are.

    Args:
        slices, rows, columns: Size.
        pixel_spacing_mm: Between rows, between columns.
        field_of_view_mm: Height and width of a slice.
        plane: "axial", "coronal" or "sagittal".
        orientation: In words.
        row_letters, column_letters: Where rows and columns run to: "L", "P", ...
        range_mm: Lowest and highest slice along the normal.
        step_mm: Usual distance between slices; None for a single slice.
        overlap: Slice thickness over step, where both are known.
        tilt_degrees: Of the gantry, from positions.
        runs: Stretches of uniform spacing.
        gaps: Distances between the runs.
    """

    slices: int
    rows: int
    columns: int
    pixel_spacing_mm: tuple[float, float]
    field_of_view_mm: tuple[float, float]
    plane: str
    orientation: str
    row_letters: str
    column_letters: str
    range_mm: tuple[float, float]
    step_mm: float | None
    overlap: float | None
    tilt_degrees: float
    runs: tuple[Run, ...]
    gaps: tuple[Gap, ...]


@dataclass(frozen=True, slots=True)
class ScanFacts:
    """How it was scanned and reconstructed, as the header says; None or empty where it does not.

    Args:
        manufacturer, model: The scanner.
        body_part, patient_position: What was scanned, and how it lay.
        kernel: Convolution kernel.
        filter_type: Beam filter.
        thickness_mm: Of a slice.
        diameter_mm: Of the reconstructed field.
        kv: Tube voltage.
        mas_range: Lowest and highest exposure of a slice.
        modulation: How the tube current followed the patient.
        ctdi_vol_mgy: Mean over the slices.
        dlp_estimate_mgy_cm: CTDIvol times the length of the stack; without over-ranging.
        contrast: "yes", "no" or "not said".
        contrast_agent: Its name where it is a known one.
    """

    manufacturer: str | None
    model: str | None
    body_part: str | None
    patient_position: str | None
    kernel: str | None
    filter_type: str | None
    thickness_mm: float | None
    diameter_mm: float | None
    kv: float | None
    mas_range: tuple[float, float] | None
    modulation: str | None
    ctdi_vol_mgy: float | None
    dlp_estimate_mgy_cm: float | None
    contrast: str
    contrast_agent: str


@dataclass(frozen=True, slots=True)
class EncodingFacts:
    """How the pixels are stored.

    Args:
        transfer_syntaxes: Their names.
        bits_allocated, bits_stored, signed: Of a stored value.
        photometric_interpretation: MONOCHROME1 or MONOCHROME2.
        rescales: Slope and intercept, each pair once; the first eight.
        padding: Smallest and largest stored value that mean "no pixel here".
        lossy: Whether it was ever compressed with loss.
        image_type: Values of ImageType of the first slice.
    """

    transfer_syntaxes: tuple[str, ...]
    bits_allocated: int
    bits_stored: int
    signed: bool | None
    photometric_interpretation: str
    rescales: tuple[tuple[float, float], ...]
    padding: tuple[int, int] | None
    lossy: bool
    image_type: tuple[str, ...]


def grid_facts(series: FoundSeries) -> GridFacts | None:
    """The grid of a series; None where it cannot be read.

    Args:
        series: A found series.
    """
    grid = series.geometry
    if grid is None:
        return None
    along = grid.along_normal_mm()
    rows_mm, columns_mm = grid.pixel_spacing_mm
    step, thickness = grid.slice_spacing_mm, series.acquisition.slice_thickness_mm
    return GridFacts(
        *grid.shape,
        pixel_spacing_mm=grid.pixel_spacing_mm,
        field_of_view_mm=(grid.rows * rows_mm, grid.columns * columns_mm),
        plane=plane(grid),
        orientation=in_words(grid),
        row_letters=letters(grid.row_direction),
        column_letters=letters(grid.column_direction),
        range_mm=(float(along[0]), float(along[-1])),
        step_mm=step,
        overlap=thickness / step if step and thickness else None,
        tilt_degrees=grid.tilt_degrees,
        runs=_runs(grid),
        gaps=_gaps(grid),
    )


def _runs(grid: Geometry) -> tuple[Run, ...]:
    spacings = grid.spacings_mm()
    return tuple(
        Run(
            run.start + 1,
            run.stop,
            float(np.median(spacings[run.start : run.stop - 1]))
            if run.stop - run.start > 1
            else None,
        )
        for run in grid.runs()
    )


def _gaps(grid: Geometry) -> tuple[Gap, ...]:
    along, spacings = grid.along_normal_mm(), grid.spacings_mm()
    between = [run.stop - 1 for run in grid.runs()[:-1]]
    return tuple(Gap(k + 1, float(along[k]), float(spacings[k])) for k in between)


def scan_facts(series: FoundSeries) -> ScanFacts:
    """How a series was scanned and reconstructed.

    Args:
        series: A found series.
    """
    scan, grid = series.acquisition, series.geometry
    mas = scan.exposure_mas
    dlp = None
    if scan.ctdi_vol_mgy is not None and grid is not None and grid.slice_spacing_mm:
        dlp = scan.ctdi_vol_mgy * grid.slices * grid.slice_spacing_mm / 10.0
    contrast, agent = _contrast(series.headers)
    return ScanFacts(
        manufacturer=scan.manufacturer,
        model=scan.manufacturer_model_name,
        body_part=scan.body_part_examined,
        patient_position=scan.patient_position,
        kernel=scan.convolution_kernel,
        filter_type=scan.filter_type,
        thickness_mm=scan.slice_thickness_mm,
        diameter_mm=scan.reconstruction_diameter_mm,
        kv=scan.kvp,
        mas_range=(min(mas), max(mas)) if mas else None,
        modulation=scan.exposure_modulation_type,
        ctdi_vol_mgy=scan.ctdi_vol_mgy,
        dlp_estimate_mgy_cm=dlp,
        contrast=contrast,
        contrast_agent=agent,
    )


def _contrast(headers: Iterable[SliceHeader]) -> tuple[str, str]:
    texts = {str(header.facts.get("ContrastBolusAgent", "")).strip() for header in headers} - {""}
    if not texts:
        return ("not said", "")
    if all(text.upper() in _NO_AGENT for text in texts):
        return ("no", "")
    spoken = " ".join(texts).lower()
    return ("yes", ", ".join(agent for agent in _AGENTS if agent in spoken))


def encoding_facts(series: FoundSeries) -> EncodingFacts | None:
    """How the pixels of a DICOM series are stored; None for NIfTI.

    Args:
        series: A found series.
    """
    if not series.headers:
        return None
    headers, first = series.headers, series.headers[0]
    rescales = sorted(
        {
            (header.rescale_slope, header.rescale_intercept)
            for header in headers
            if header.rescale_slope is not None and header.rescale_intercept is not None
        }
    )
    return EncodingFacts(
        transfer_syntaxes=tuple(
            sorted(UID(uid).name for uid in {h.syntax for h in headers} if uid)
        ),
        bits_allocated=first.bits_allocated,
        bits_stored=first.bits_stored,
        signed=first.signed,
        photometric_interpretation=first.photometric_interpretation,
        rescales=tuple(rescales[:8]),
        padding=next((header.padding for header in headers if header.padding), None),
        lossy=any(header.lossy for header in headers),
        image_type=first.image_type,
    )
