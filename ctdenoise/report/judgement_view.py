"""What the page of a denoiser shows of a scan, as arrays."""

from __future__ import annotations

from dataclasses import dataclass

from ctdenoise.core.arrays import BoolArray, DoubleArray, FloatArray, HuArray
from ctdenoise.core.geometry import Geometry


@dataclass(frozen=True, slots=True, eq=False)
class SliceView:
    """One slice before and after.

    Args:
        number: Which slice of the scan, counted from 1.
        before: HU, [y, x].
        after: HU, [y, x].
        body: Where the body is, [y, x].
        truth: HU, [y, x]; None where unknown.
        padding: True outside the reconstruction circle, [y, x]; None for nowhere.
    """

    number: int
    before: HuArray
    after: HuArray
    body: BoolArray
    truth: HuArray | None = None
    padding: BoolArray | None = None


@dataclass(frozen=True, slots=True, eq=False)
class PlaceView:
    """A place where more than noise was removed.

    Args:
        view: Its slice.
        row: Of its middle, pixels.
        column: Of its middle, pixels.
        ratio: What was removed there over what was removed around it.
        excess_hu: What it has more.
    """

    view: SliceView
    row: int
    column: int
    ratio: float
    excess_hu: float


@dataclass(frozen=True, slots=True, eq=False)
class SpectrumView:
    """The two-dimensional noise power spectra, HU^2 mm^2, [fy, fx], zero in the middle.

    Args:
        before: Of the input.
        after: Of the output.
        nyquist_per_mm: Half the width of both, along (fy, fx).
    """

    before: DoubleArray
    after: DoubleArray
    nyquist_per_mm: tuple[float, float]


@dataclass(frozen=True, slots=True, eq=False)
class ScanView:
    """Everything the page shows of a scan as pictures.

    Args:
        geometry: Grid of the slices that were judged.
        middle: A slice from the middle of the scan.
        places: The places where most beside noise was removed.
        noise_before: Standard deviation of the noise around each pixel of the middle slice, HU.
        noise_after: The same of the output.
        spectrum: None where there were too few flat patches.
        noise_hu: Noise of the input in soft tissue; None where unknown.
        slices: Which slices were judged, counted from 1.
        slices_of_scan: How many the scan has.
    """

    geometry: Geometry
    middle: SliceView
    places: tuple[PlaceView, ...]
    noise_before: FloatArray
    noise_after: FloatArray
    spectrum: SpectrumView | None
    noise_hu: float | None
    slices: tuple[int, ...]
    slices_of_scan: int
