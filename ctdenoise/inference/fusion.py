"""Repeated scans of one position fused into one: weighted Fourier burst accumulation.

Delbracio and Sapiro, "Removing Camera Shake via Weighted Fourier Burst Accumulation", IEEE
Transactions on Image Processing 24(11):3293, 2015. Motion during a scan blurs it, and a blur takes
from the magnitude of some frequencies and adds to none: at each frequency the scan that has most of
it is the least blurred. With v_i the Fourier transforms of N frames and G a Gaussian,

    a_i = G * |v_i|,   w_i = a_i^p / sum_j a_j^p,   u = sum_i w_i v_i.

The weights sum to one at every frequency. At frequency zero they are 1/N here, so that the mean
Hounsfield unit of the result is that of the frames: a blur does not change it, and what does, such
as contrast medium, is no reason to prefer a frame. That, and taking the zero frequency out of the
magnitudes before they are smoothed, is ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from scipy import fft

from ctdenoise.config.fusion import FuseSettings
from ctdenoise.core.arrays import BoolArray, DoubleArray, HuArray
from ctdenoise.core.provenance import Step
from ctdenoise.core.scan import Scan
from ctdenoise.core.volume import CTVolume
from ctdenoise.errors import GeometryError, InputError, listed

LEAST_FRAMES = 2
"""Fewer cannot be fused."""

_AIR_HU = -1000.0


def check_fusible(scans: Sequence[Scan]) -> None:
    """Refuse scans that are no repetitions of each other, before anything is computed.

    Args:
        scans: Volumes or open series.

    Raises:
        InputError: With everything that differs from the first.
    """
    if len(scans) < LEAST_FRAMES:
        raise InputError(
            f"{len(scans)} scan cannot be fused.", fix="Name two or more scans of one position."
        )
    problems = [
        f"scan {number} {problem}"
        for number, scan in enumerate(scans[1:], start=2)
        for problem in _differences(scans[0], scan)
    ]
    identities = [_identity(scan) for scan in scans]
    problems += [
        f"scan {number} was given before"
        for number, identity in enumerate(identities, start=1)
        if identity is not None and identity in identities[: number - 1]
    ]
    if problems:
        raise InputError(
            f"these scans are no repetitions of one position:\n{listed(problems)}",
            fix="Fuse only scans of one patient with the same grid, kernel and tube voltage; "
            "`ctdenoise inspect` shows them.",
        )


def fuse(frames: Sequence[CTVolume], settings: FuseSettings | None = None) -> CTVolume:
    """Frames of one grid fused slice by slice.

    The result carries the acquisition, source and padding of the first frame.

    Args:
        frames: Two or more; see `check_fusible`.
        settings: Power and smoothing of the weights.

    Raises:
        InputError: If the frames are no repetitions of each other.
        GeometryError: If they differ in their padding.
    """
    settings = settings or FuseSettings()
    check_fusible(frames)
    first = frames[0]
    hu = np.empty(first.shape, dtype=np.float32)
    for index in range(first.shape[0]):
        masks = [None if frame.padding is None else frame.padding[index] for frame in frames]
        if any(not _same_mask(one, other) for one, other in pairwise(masks)):
            raise GeometryError(
                f"The scans differ in which pixels of slice {index + 1} are padding.",
                fix="Fuse scans that were reconstructed in the same way.",
            )
        hu[index] = fuse_slices([frame.hu[index] for frame in frames], settings, padding=masks[0])
    return first.with_hu(hu, step_of(len(frames), settings))


def step_of(frames: int, settings: FuseSettings) -> Step:
    """The line of history of a fusion.

    Args:
        frames: How many were fused.
        settings: Power and smoothing of the weights.
    """
    return Step(
        "fuse", {"frames": frames, "power": settings.power, "smoothing": settings.smoothing}
    )


def fuse_slices(
    slices: Sequence[HuArray], settings: FuseSettings, *, padding: BoolArray | None = None
) -> HuArray:
    """One slice out of several of the same position.

    Args:
        slices: Hounsfield units [y, x], all of one size.
        settings: Power and smoothing of the weights.
        padding: Pixels that hold no Hounsfield units, bool [y, x]; they take no part.

    Returns:
        Hounsfield units, float32 [y, x]; padding is -1000.
    """
    stack = np.stack([np.asarray(one, dtype=np.float64) for one in slices])
    if padding is not None:
        stack[:, padding] = _AIR_HU
    mean = stack.mean(axis=0)
    if settings.power > 0:
        # The change of the mean, so that equal frames come back to the bit.
        spectra = fft.rfft2(stack)
        weights = weights_of(np.abs(spectra), stack.shape[-2:], settings)
        change = np.einsum("nvu,nvu->vu", weights - 1.0 / len(stack), spectra)
        mean += fft.irfft2(change, s=stack.shape[-2:])
    return np.asarray(mean, dtype=np.float32)


def weights_of(
    magnitudes: DoubleArray, size: tuple[int, int], settings: FuseSettings
) -> DoubleArray:
    """How much each frame counts at each frequency.

    Args:
        magnitudes: Of the real Fourier transform of the frames, [frame, v, u].
        size: Rows and columns of the image.
        settings: Power and smoothing of the weights.

    Returns:
        [frame, v, u]; they sum to 1 over the frames.
    """
    smooth = _smoothed(magnitudes, size, settings.smoothing)
    largest = smooth.max(axis=0)
    shares = smooth / np.where(largest > 0, largest, 1.0)
    shares[:, largest <= 0] = 1.0
    weights = shares**settings.power
    weights /= weights.sum(axis=0)
    weights[:, 0, 0] = 1.0 / len(weights)
    return np.asarray(weights)


def _smoothed(magnitudes: DoubleArray, size: tuple[int, int], share: float) -> DoubleArray:
    """Magnitudes around each frequency, by a Gaussian over the periodic plane of frequencies.

    Smoothing in frequency is a product in space: a Gaussian of standard deviation s pixels of
    frequency is exp(-2 (pi s x / n)^2) at the distance x of n.
    """
    rows, columns = size
    plane = magnitudes.copy()
    plane[:, 0, 0] = 0.0
    sigma = share * min(size)
    window = np.multiply.outer(
        np.exp(-2.0 * (np.pi * sigma * fft.fftfreq(rows)) ** 2),
        np.exp(-2.0 * (np.pi * sigma * fft.fftfreq(columns)) ** 2),
    )
    smooth = fft.rfft2(fft.irfft2(plane, s=size) * window).real
    return np.asarray(np.maximum(smooth, 0.0))


def _same_mask(one: BoolArray | None, other: BoolArray | None) -> bool:
    """Whether two masks mark the same pixels; none at all marks nothing."""
    if one is None or other is None:
        known = other if one is None else one
        return known is None or not bool(known.any())
    return bool(np.array_equal(one, other))


def _differences(first: Scan, other: Scan) -> list[str]:
    """What makes a scan no repetition of the first."""
    found = []
    if not first.geometry.matches(other.geometry):
        found.append("lies on another grid")
    for name, unit, one, two in (
        ("kernel", "", first.acquisition.convolution_kernel, other.acquisition.convolution_kernel),
        ("tube voltage", " kV", first.acquisition.kvp, other.acquisition.kvp),
        (
            "slice thickness",
            " mm",
            first.acquisition.slice_thickness_mm,
            other.acquisition.slice_thickness_mm,
        ),
    ):
        if one is not None and two is not None and one != two:
            found.append(f"has another {name}: {two}{unit}, not {one}{unit}")
    if first.source is not None and other.source is not None:
        if first.source.kind != other.source.kind:
            found.append(f"was read from {other.source.kind}, not from {first.source.kind}")
        keys = {first.source.patient_key, other.source.patient_key} - {""}
        if len(keys) > 1:
            found.append("is of another patient")
    return found


def _identity(scan: Scan) -> tuple[str, int | None] | None:
    """What tells a scan from others: its first slice, by its UID, which copies of it share."""
    if scan.source is None or not scan.source.instances:
        return None
    one = scan.source.instances[0]
    return one.sop_instance_uid or str(one.path.resolve()), one.frame
