"""A test volume against its reference: every number with its conventions."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from ctdenoise.config.evaluation import EvaluateSettings, WindowSettings
from ctdenoise.core.arrays import BoolArray, DoubleArray
from ctdenoise.core.body import body_mask
from ctdenoise.core.noise_level import PATCH_MM, SOFT_TISSUE_HU
from ctdenoise.core.progress import SILENT, Progress
from ctdenoise.core.units import AIR_HU
from ctdenoise.core.volume import CTVolume
from ctdenoise.metrics.fidelity import DifferenceSums, psnr, ssim, windowed
from ctdenoise.metrics.grids import require_same_grid
from ctdenoise.metrics.hu_accuracy import SMOOTHING_MM, TISSUES, tissue_masks
from ctdenoise.metrics.noise import noise_change_percent, noise_magnitude
from ctdenoise.metrics.table import Conventions, Evaluation, Histogram, Metric, SliceTable

FEWEST_TISSUE_VOXELS = 100
"""A tissue with fewer voxels has no figures."""

_DIFFERENCE_EDGES = np.linspace(-1000.0, 1000.0, 2001)

_BODY = "body of the reference, without padding"
_IMAGE = "whole image, without padding"
_POOLED = "over all voxels of the volume"
_SLICES = "mean of the slices"
_IDENTICAL = "infinite: at least one slice is identical"


def evaluate(
    reference: CTVolume,
    test: CTVolume,
    settings: EvaluateSettings | None = None,
    *,
    body: BoolArray | None = None,
    progress: Progress = SILENT,
) -> Evaluation:
    """Compare a test volume with its reference, slice by slice.

    Differences are test minus reference, in float64, and never clipped except in the windows of
    PSNR and SSIM. Voxels that are padding in either volume never count.

    Args:
        reference: The full-dose volume, or the known truth.
        test: The volume to judge.
        settings: Which windows; the defaults if None.
        body: Body mask of the reference, where the caller has it already.
        progress: Told about every slice.

    Returns:
        The numbers. Those that cannot be computed (no body, no soft tissue) are None with a note.

    Raises:
        GeometryError: If the grids differ.
    """
    require_same_grid(reference.geometry, test.geometry)
    chosen = settings or EvaluateSettings()
    windows = unique_windows(chosen)
    if body is None:
        body = body_mask(reference.hu, reference.padding)
    if test.padding is not None:
        body = body & ~test.padding
    sums = _Sums()
    with progress.stage("Comparing", reference.shape[0]) as advance:
        for index in range(reference.shape[0]):
            sums.add(_Slice.of(reference, test, index, body[index]), windows)
            advance()
    metrics = (
        *_differences(sums),
        *_tissues(sums),
        *_noise(reference, test, body),
        *_windows(sums, windows),
    )
    along = reference.geometry.along_normal_mm()
    table = SliceTable(tuple((along - along[0]).tolist()), sums.columns())
    return Evaluation(
        metrics,
        table,
        Histogram(_DIFFERENCE_EDGES, sums.histogram),
        tuple(sums.slices),
        {name: tuple(found) for name, found in sums.by_tissue.items()},
    )


def unique_windows(settings: EvaluateSettings) -> tuple[WindowSettings, ...]:
    """The windows of the settings, each once."""
    return tuple(dict.fromkeys(settings.windows))


@dataclass(frozen=True, slots=True, eq=False)
class _Slice:
    """One slice of both volumes, padding set to air."""

    reference: DoubleArray
    test: DoubleArray
    padding: BoolArray | None
    body: BoolArray
    tissues: dict[str, BoolArray]

    @classmethod
    def of(cls, reference: CTVolume, test: CTVolume, index: int, body: BoolArray) -> _Slice:
        masks = [v.padding[index] for v in (reference, test) if v.padding is not None]
        padding = np.logical_or.reduce(masks) if masks else None
        images = [v.hu[index].astype(np.float64) for v in (reference, test)]
        if padding is not None:
            body = body & ~padding
            for image in images:
                image[padding] = AIR_HU
        spacing = reference.geometry.pixel_spacing_mm
        tissues = tissue_masks(images[0], body, pixel_spacing_mm=spacing)
        return cls(images[0], images[1], padding, body, tissues)


@dataclass(slots=True)
class _Sums:
    """What has been seen so far."""

    slices: list[DifferenceSums] = field(default_factory=list)
    by_tissue: dict[str, list[DifferenceSums]] = field(
        default_factory=lambda: {tissue.name: [] for tissue in TISSUES}
    )
    by_window: dict[str, list[float | None]] = field(default_factory=dict)
    histogram: DoubleArray = field(default_factory=lambda: np.zeros(len(_DIFFERENCE_EDGES) - 1))

    def add(self, both: _Slice, windows: tuple[WindowSettings, ...]) -> None:
        difference = both.test - both.reference
        self.slices.append(DifferenceSums.of(difference[both.body]))
        for name, mask in both.tissues.items():
            self.by_tissue[name].append(DifferenceSums.of(difference[mask]))
        inside = np.clip(difference[both.body], _DIFFERENCE_EDGES[0], _DIFFERENCE_EDGES[-1])
        self.histogram += np.histogram(inside, bins=_DIFFERENCE_EDGES)[0]
        where = None if both.padding is None else ~both.padding
        for window in windows:
            images = [windowed(a, window, both.padding) for a in (both.reference, both.test)]
            ratio = psnr(*images, data_range=window.width_hu, where=where)
            similarity = ssim(*images, window=window, where=where)
            for key, value in ((psnr_key(window), ratio), (ssim_key(window), similarity)):
                column = self.by_window.setdefault(key, [])
                if len(column) < len(self.slices):  # two windows may share a PSNR
                    column.append(None if math.isnan(value) else value)

    def columns(self) -> dict[str, tuple[float | None, ...]]:
        """The figures of each slice by key."""
        return {
            "rmse": tuple(sums.rmse for sums in self.slices),
            "mae": tuple(sums.mae for sums in self.slices),
            "bias": tuple(sums.bias for sums in self.slices),
            **{key: tuple(values) for key, values in self.by_window.items()},
        }


def psnr_key(window: WindowSettings) -> str:
    """`psnr[-160,240]`."""
    return f"psnr{window.label}"


def ssim_key(window: WindowSettings) -> str:
    """`ssim[-160,240]`, or `ssim_redcnn11[-160,240]` for another convention than the usual one."""
    convention = "" if window.ssim == "uniform7" else f"_{window.ssim}"
    return f"ssim{convention}{window.label}"


def _differences(sums: _Sums) -> Iterator[Metric]:
    total = sum(sums.slices, DifferenceSums())
    note = "" if total.count else "no body was found"
    common: Conventions = {
        "window": "none",
        "mask": _BODY,
        "reduction": _POOLED,
    }
    yield Metric(
        "rmse",
        "RMSE",
        total.rmse,
        unit="HU",
        note=note,
        better="lower",
        description="Root mean squared difference.",
        **common,
    )
    yield Metric(
        "mae",
        "MAE",
        total.mae,
        unit="HU",
        note=note,
        better="lower",
        description="Mean absolute difference.",
        **common,
    )
    yield Metric(
        "bias",
        "Bias",
        total.bias,
        unit="HU",
        note=note,
        better="near zero",
        description="Mean difference, test minus reference.",
        **common,
    )


def _tissues(sums: _Sums) -> Iterator[Metric]:
    for tissue in TISSUES:
        total = sum(sums.by_tissue[tissue.name], DifferenceSums())
        enough = total.count >= FEWEST_TISSUE_VOXELS
        if not enough:
            continue
        where = f"{SMOOTHING_MM:g} mm mean of the reference {tissue.range_text}"
        mask = f"{tissue.title}: {where}, in the body"
        common: Conventions = {"window": "none", "mask": mask, "reduction": _POOLED}
        yield Metric(
            f"rmse_{tissue.name}",
            f"RMSE in {tissue.title}",
            total.rmse,
            unit="HU",
            better="lower",
            description=f"Root mean squared difference in {tissue.title}.",
            **common,
        )
        yield Metric(
            f"bias_{tissue.name}",
            f"Bias in {tissue.title}",
            total.bias,
            unit="HU",
            better="near zero",
            description=f"Mean difference in {tissue.title}, test minus reference.",
            **common,
        )


def _noise(reference: CTVolume, test: CTVolume, body: BoolArray) -> Iterator[Metric]:
    levels = [noise_magnitude(volume, body=body) for volume in (reference, test)]
    mask = "soft tissue: patches with a mean of {:g} to {:g} HU, in the body".format(
        *SOFT_TISSUE_HU
    )
    reduction = f"mode of the standard deviation of detrended {PATCH_MM:g} mm patches"
    note = "" if None not in levels else "too little soft tissue"
    common: Conventions = {"window": "none", "mask": mask, "reduction": reduction}
    names = ("reference", "test")
    for name, level in zip(names, levels, strict=True):
        yield Metric(
            f"noise_{name}",
            f"Noise magnitude of the {name}",
            level,
            unit="HU",
            better="neither",
            description=f"Noise magnitude of the {name}.",
            note=note if level is None else "",
            **common,
        )
    change = noise_change_percent(*levels)
    yield Metric(
        "noise_change",
        "Change of the noise magnitude",
        change,
        unit="%",
        better="neither",
        description="Noise magnitude of the test against the reference; negative is less noise.",
        note=note or ("the reference has no noise" if change is None else ""),
        **common,
    )


def _windows(sums: _Sums, windows: tuple[WindowSettings, ...]) -> Iterator[Metric]:
    done: set[str] = set()
    for window in windows:
        text = f"{window.low_hu:g} to {window.high_hu:g} HU"
        for key, title, unit, description in (
            (
                psnr_key(window),
                "PSNR",
                "dB",
                f"Peak signal-to-noise ratio, data range {window.width_hu:g} HU.",
            ),
            (ssim_key(window), "SSIM", "", _SSIM_TEXT[window.ssim]),
        ):
            if key in done:
                continue
            done.add(key)
            values = [value for value in sums.by_window[key] if value is not None]
            value = float(np.mean(values)) if values else None
            note = _IDENTICAL if value is not None and math.isinf(value) else ""
            yield Metric(
                key,
                f"{title}, {text}",
                value,
                unit=unit,
                window=text,
                mask=_IMAGE,
                reduction=_SLICES,
                better="higher",
                description=description,
                note=note if values else "no image pixel",
            )


_SSIM_TEXT = {
    "uniform7": "Structural similarity: 7 x 7 uniform filter, sample covariance, window mapped to "
    "[0, 1] (scikit-image's default, ldct-benchmark).",
    "redcnn11": "Structural similarity: 11 x 11 Gaussian of sigma 1.5, raw HU, zero-padded borders "
    "(RED-CNN code base).",
}
