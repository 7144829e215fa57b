"""From what the slices of a test say to numbers with their conventions."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from ctdenoise.config.evaluation import WindowSettings
from ctdenoise.core.arrays import DoubleArray
from ctdenoise.core.noise_level import PATCH_MM, SOFT_TISSUE_HU, level_of_patches
from ctdenoise.metrics.fidelity import DifferenceSums
from ctdenoise.metrics.hu_accuracy import SMOOTHING_MM, TISSUES
from ctdenoise.metrics.noise import noise_change_percent
from ctdenoise.metrics.noise_floor import Levels, psnr_floor
from ctdenoise.metrics.organs import Organ, organ_metrics
from ctdenoise.metrics.slice_figures import (
    DIFFERENCE_EDGES,
    EXCHANGED_VIF_KEY,
    RMSE_KEY,
    VIF_KEY,
    VIF_WINDOW,
    Patches,
    SliceFigures,
    psnr_key,
    ssim_key,
)
from ctdenoise.metrics.structure import COARSE_MM, EDGE_MM, FINE_MM, RIM_MM, ProductSums
from ctdenoise.metrics.table import Conventions, Metric
from ctdenoise.metrics.vif import NOISE_OF_THE_EYE_HU2

FEWEST_TISSUE_VOXELS = 100
"""A tissue with fewer voxels has no figures."""

_BODY = "body of the reference, without padding"
_IMAGE = "whole image, without padding"
_POOLED = "over all voxels of the volume"
_SLICES = "mean of the slices"
_IDENTICAL = "infinite: at least one slice is identical"


@dataclass(slots=True)
class Sums:
    """What the slices said so far.

    Args:
        organ_names: Name of each class of the label map, background first; empty for none.
    """

    organ_names: tuple[str, ...] = ()
    slices: list[DifferenceSums] = field(default_factory=list)
    by_tissue: dict[str, list[DifferenceSums]] = field(
        default_factory=lambda: {tissue.name: [] for tissue in TISSUES}
    )
    organs: dict[int, Organ] = field(default_factory=dict)
    by_key: dict[str, list[float | None]] = field(default_factory=dict)
    histogram: DoubleArray = field(default_factory=lambda: np.zeros(len(DIFFERENCE_EDGES) - 1))
    levels: list[Levels] = field(default_factory=list)
    patches: list[Patches] = field(default_factory=list)
    structure: ProductSums | None = None

    def add(self, figures: SliceFigures) -> None:
        """Count another slice."""
        self.slices.append(figures.body)
        for name, sums in figures.tissues.items():
            self.by_tissue[name].append(sums)
        for number, of_organ in figures.organs.items():
            self.organs.setdefault(number, Organ()).add(of_organ)
        for key, value in figures.columns.items():
            self.by_key.setdefault(key, []).append(value)
        self.histogram += figures.histogram
        self.levels.append(figures.levels)
        if figures.patches is not None:
            self.patches.append(figures.patches)
        if figures.structure is not None:
            self.structure = (self.structure or ProductSums()) + figures.structure

    def columns(self) -> dict[str, tuple[float | None, ...]]:
        """The figures of each slice by key."""
        return {
            "rmse": tuple(sums.rmse for sums in self.slices),
            "mae": tuple(sums.mae for sums in self.slices),
            "bias": tuple(sums.bias for sums in self.slices),
            **{key: tuple(values) for key, values in self.by_key.items()},
        }


def metrics_of(
    sums: Sums, windows: Sequence[WindowSettings], pixel_spacing_mm: tuple[float, float]
) -> Iterator[Metric]:
    """All numbers of a test, the primary ones first.

    Args:
        sums: What its slices said.
        windows: For PSNR and SSIM.
        pixel_spacing_mm: Along (rows, columns).
    """
    yield from _differences(sums)
    yield from _tissues(sums)
    levels = _levels(sums.patches, pixel_spacing_mm)
    yield from _noise(levels)
    yield from _structure(sums)
    yield from _windows(sums, windows, levels)
    yield from _fidelity(sums)
    organs = [
        (name, sums.organs[number])
        for number, name in enumerate(sums.organ_names)
        if number in sums.organs
    ]
    yield from organ_metrics(organs, pixel_spacing_mm=pixel_spacing_mm)


def _differences(sums: Sums) -> Iterator[Metric]:
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


def _tissues(sums: Sums) -> Iterator[Metric]:
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
            f"mae_{tissue.name}",
            f"MAE in {tissue.title}",
            total.mae,
            unit="HU",
            better="lower",
            description=f"Mean absolute difference in {tissue.title}.",
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


@dataclass(frozen=True, slots=True)
class _Levels:
    """Noise, HU; None where it is not known.

    Args:
        reference: In soft tissue of the reference.
        test: In soft tissue of the test.
        air: In the air of the reference.
    """

    reference: float | None
    test: float | None
    air: float | None


def _levels(patches: Sequence[Patches], spacing_mm: tuple[float, float]) -> _Levels:
    return _Levels(
        level_of_patches([one.reference for one in patches], spacing_mm),
        level_of_patches([one.test for one in patches], spacing_mm),
        level_of_patches([one.air for one in patches], spacing_mm),
    )


def _noise(found: _Levels) -> Iterator[Metric]:
    levels = (found.reference, found.test)
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


def _structure(sums: Sums) -> Iterator[Metric]:
    if sums.structure is None:
        return
    value = sums.structure.correlation
    yield Metric(
        "structure_correlation",
        "Correlation of what was removed with edges",
        value,
        unit="",
        window="none",
        mask=f"body of the reference without {RIM_MM:g} mm of its rim",
        reduction=_POOLED,
        better="near zero",
        description=f"Of |input - test|, {FINE_MM:g} mm means over those of {COARSE_MM:g} mm, with "
        f"the gradient of the reference after {EDGE_MM:g} mm. 0 where noise alone was removed; "
        "positive where edges went with it, negative where noise was left along edges.",
        note="" if value is not None else "nothing was removed, or nothing varies",
    )


def _windows(sums: Sums, windows: Sequence[WindowSettings], levels: _Levels) -> Iterator[Metric]:
    done: set[str] = set()
    for window in windows:
        text = _text(window)
        if psnr_key(window) not in done:
            yield _of_slices(
                sums,
                psnr_key(window),
                f"PSNR, {text}",
                window,
                unit="dB",
                description=f"Peak signal-to-noise ratio, data range {window.width_hu:g} HU.",
            )
            if levels.reference:
                yield _floor(sums, window, levels)
            done.add(psnr_key(window))
        yield _of_slices(
            sums,
            ssim_key(window),
            f"SSIM, {text}",
            window,
            unit="",
            description=_SSIM_TEXT[window.ssim],
        )


def _text(window: WindowSettings) -> str:
    return f"{window.low_hu:g} to {window.high_hu:g} HU"


def _of_slices(
    sums: Sums, key: str, title: str, window: WindowSettings, *, unit: str, description: str
) -> Metric:
    """A figure that is the mean of the slices."""
    values = [value for value in sums.by_key.get(key, ()) if value is not None]
    value = float(np.mean(values)) if values else None
    identical = value is not None and math.isinf(value)
    return Metric(
        key,
        title,
        value,
        unit=unit,
        window=_text(window),
        mask=_IMAGE,
        reduction=_SLICES,
        better="lower" if unit == "HU" else "higher",
        description=description,
        note="no image pixel" if not values else _IDENTICAL if identical else "",
    )


def _floor(sums: Sums, window: WindowSettings, levels: _Levels) -> Metric:
    noise = levels.reference or 0.0
    air = noise if levels.air is None else levels.air
    value = psnr_floor(sums.levels, window, noise, air)
    return Metric(
        f"psnr_floor{window.label}",
        f"PSNR of a test without noise, {_text(window)}",
        value,
        unit="dB",
        window=_text(window),
        mask=_IMAGE,
        reduction=_SLICES,
        better="neither",
        description="What the true image itself would score against this reference, whose noise is "
        f"{noise:.1f} HU in soft tissue and {air:.1f} HU in air. A higher PSNR copies that noise.",
        note="" if value is not None else "no noise inside the window",
    )


def _fidelity(sums: Sums) -> Iterator[Metric]:
    if RMSE_KEY not in sums.by_key:
        return
    text = _text(VIF_WINDOW)
    yield _of_slices(
        sums,
        RMSE_KEY,
        f"RMSE of the whole image, {text}",
        VIF_WINDOW,
        unit="HU",
        description="Root mean squared difference of the clipped images (ldct-benchmark).",
    )
    if VIF_KEY not in sums.by_key:
        return  # the image is too small for its scales
    eye = f"noise of the eye {NOISE_OF_THE_EYE_HU2:g} HU\N{SUPERSCRIPT TWO}"
    yield _of_slices(
        sums,
        VIF_KEY,
        f"VIF, {text}",
        VIF_WINDOW,
        unit="",
        description=f"Visual information fidelity in HU, {eye}, pixel domain, four scales.",
    )
    yield _of_slices(
        sums,
        EXCHANGED_VIF_KEY,
        f"VIF with images exchanged, {text}",
        VIF_WINDOW,
        unit="",
        description="The same with test and reference exchanged, which is what ldct-benchmark "
        "0.0.15 publishes.",
    )


_SSIM_TEXT = {
    "uniform7": "Structural similarity: 7 x 7 uniform filter, sample covariance, window mapped to "
    "[0, 1] (scikit-image's default, ldct-benchmark).",
    "redcnn11": "Structural similarity: 11 x 11 Gaussian of sigma 1.5, raw HU, zero-padded borders "
    "(RED-CNN code base).",
}
