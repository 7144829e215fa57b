"""Phantoms with inserts: CT numbers, linearity, sharpness, contrast over noise, uniformity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ctdenoise.config.qa import PlaceSettings, QaSettings
from ctdenoise.core.arrays import DoubleArray
from ctdenoise.core.volume import CTVolume
from ctdenoise.errors import InputError
from ctdenoise.metrics.circular_edge import CircularEdge
from ctdenoise.metrics.discs import DiscFigures, measured_disc
from ctdenoise.metrics.hu_scale import contrast_to_noise, linearity
from ctdenoise.metrics.measured import Axis, Curve, Measured
from ctdenoise.metrics.phantom_place import Insert
from ctdenoise.metrics.table import Metric
from ctdenoise.metrics.ttf import Ttf, ttf
from ctdenoise.phantoms import acr464
from ctdenoise.report.qa_picture import ShownSlice
from ctdenoise.tasks.qa_found import QaFound, images, placed, qa_metric, slices_text, stated_slices
from ctdenoise.tasks.qa_modules import (
    ACR464,
    CATPHAN504,
    Layout,
    Module,
    found_module,
    other_side,
    slices_at,
)
from ctdenoise.tasks.qa_uniform import inspected_uniform

_INSERT_DISC_MM = 8.0
"""Largest radius of the disc in an insert (ACR: 200 mm^2)."""

_INSERT_SHARE = 0.7
"""And its largest share of the radius of the insert."""

_CONTRAST_DISC_MM = 6.0
"""Radius of the discs of the contrast over noise (ACR: about 100 mm^2)."""


def inspected_acr464(volume: CTVolume, settings: QaSettings) -> QaFound:
    """The ACR phantom: modules 1 to 3, as far as they are in the scan.

    Args:
        volume: The scan.
        settings: Where to look.

    Raises:
        InputError: If module 1 is not found.
    """
    return _inspected(volume, settings, ACR464)


def inspected_catphan504(volume: CTVolume, settings: QaSettings) -> QaFound:
    """The Catphan 504: CTP404 and CTP486, as far as they are in the scan.

    Args:
        volume: The scan.
        settings: Where to look.

    Raises:
        InputError: If the CTP404 is not found.
    """
    return _inspected(volume, settings, CATPHAN504)


def _inspected(volume: CTVolume, settings: QaSettings, layout: Layout) -> QaFound:
    module = found_module(volume, settings.place, layout)
    found = _inspected_inserts(volume, module, layout)
    side = other_side(volume, module, layout)
    remarks = list(found.remarks)
    parts = [found]
    uniform = stated_slices(volume, settings.place, "uniformity")
    if uniform is None and side is not None:
        uniform = slices_at(volume, module.middle_mm + side * layout.uniform_mm)
    if uniform:
        stack = images(volume, uniform)
        parts.append(
            inspected_uniform(
                stack,
                placed(stack.mean(axis=0), settings.place, volume.geometry.pixel_spacing_mm),
                ring_mm=layout.uniform_ring_mm,
                disc_mm=layout.uniform_disc_mm,
                patch=settings.noise_patch,
                spacing=volume.geometry.pixel_spacing_mm,
                title=layout.uniform_title,
            )
        )
    else:
        remarks.append(f"{layout.uniform_title}: not in the scan.")
    if layout.contrast_mm is not None:
        contrast = stated_slices(volume, settings.place, "low_contrast")
        if contrast is None and side is not None:
            contrast = slices_at(volume, module.middle_mm + side * layout.contrast_mm)
        if contrast:
            parts.append(_inspected_contrast(volume, contrast, module, settings.place))
        else:
            remarks.append("Module 2: low contrast: not in the scan.")
    measured = parts[0].measured
    for part in parts[1:]:
        measured = measured + part.measured
        remarks += part.remarks
    shown = tuple(one for part in parts for one in part.shown)
    return QaFound(measured, shown, tuple(remarks))


def _inspected_inserts(volume: CTVolume, module: Module, layout: Layout) -> QaFound:
    """CT numbers of the inserts, their linearity and the sharpness of their edges."""
    spacing = volume.geometry.pixel_spacing_mm
    stack = images(volume, module.slices)
    found = []
    for one in module.inserts:
        radius = min(_INSERT_DISC_MM, _INSERT_SHARE * one.diameter_mm / 2)
        disc = module.place.disc(
            one.name,
            distance_mm=layout.ring_mm,
            angle_degrees=one.angle_degrees,
            radius_mm=radius,
            pixel_spacing_mm=spacing,
        )
        found.append(measured_disc(stack, disc, pixel_spacing_mm=spacing))
    measured = Measured((*_insert_metrics(found, len(stack)), *_line_metrics(found, module)))
    for one, figures in zip(module.inserts, found, strict=True):
        measured = measured + _sharpness(stack, one, figures, spacing)
    image = stack.mean(axis=0)
    shown = ShownSlice(layout.title, image, tuple(found), 0.0, 2000.0, spacing)
    return QaFound(measured, (shown,))


def _insert_metrics(found: Sequence[DiscFigures], count: int) -> list[Metric]:
    return [
        qa_metric(
            f"insert_hu[{one.disc.name}]",
            f"CT number of {one.disc.name}",
            one.mean_hu,
            "HU",
            mask=f"disc of {one.disc.radius_mm:g} mm radius in the insert",
            reduction=f"mean of the pixels of {slices_text(count)}",
            description="Mean CT number of the insert.",
        )
        for one in found
    ]


def _line_metrics(found: Sequence[DiscFigures], module: Module) -> list[Metric]:
    """The line through measured over true CT numbers."""
    line = linearity([one.hu for one in module.inserts], [one.mean_hu for one in found])
    mask, reduction = "all inserts", "straight line of least squares, measured over nominal HU"
    return [
        qa_metric(key, title, value, unit, mask=mask, reduction=reduction, description=what)
        for key, title, value, unit, what in (
            ("linearity_slope", "Slope of the CT numbers", line.slope, "", "1 is right."),
            (
                "linearity_intercept",
                "CT number where 0 HU are nominal",
                line.intercept_hu,
                "HU",
                "0 is right.",
            ),
            (
                "linearity_r2",
                "Linearity of the CT numbers, r\N{SUPERSCRIPT TWO}",
                line.r_squared,
                "",
                "Share of the variance that the line explains.",
            ),
            (
                "linearity_residual",
                "Largest distance from the line",
                line.largest_residual_hu,
                "HU",
                "How far the worst insert is from the line.",
            ),
        )
    ]


def _sharpness(
    stack: DoubleArray, insert: Insert, figures: DiscFigures, spacing: tuple[float, float]
) -> Measured:
    """The task transfer function of an insert; nothing where its contrast does not allow for it."""
    try:
        found = ttf(
            stack,
            CircularEdge(figures.disc.centre, insert.diameter_mm / 2),
            pixel_spacing_mm=spacing,
        )
    except InputError:
        return Measured()
    if found.trust == "refused":
        return Measured()
    metrics = tuple(
        qa_metric(
            f"ttf{level}[{insert.name}]",
            f"TTF {level} % of {insert.name}",
            value,
            "1/mm",
            mask=f"edge of the insert of {insert.diameter_mm:g} mm",
            reduction=f"mean of {slices_text(len(stack))}",
            better="higher",
            description=f"Frequency at which the task transfer function falls to {level} %, at "
            f"{found.contrast_hu:.0f} HU contrast.",
            note=found.note if value is not None else "not below the Nyquist frequency",
        )
        for level, value in ((50, found.f50_per_mm), (10, found.f10_per_mm))
    )
    return Measured(metrics, (_ttf_curve(insert, found),))


def _ttf_curve(insert: Insert, found: Ttf) -> Curve:
    return Curve(
        "ttf",
        f"{insert.name}, {found.contrast_hu:.0f} HU",
        found.frequency_per_mm,
        found.values,
        Axis("Spatial frequency", "1/mm"),
        Axis("Task transfer function"),
    )


def _inspected_contrast(
    volume: CTVolume, slices: list[int], module: Module, settings: PlaceSettings
) -> QaFound:
    """Contrast over noise of the rod of 25 mm of the ACR's module 2."""
    spacing = volume.geometry.pixel_spacing_mm
    stack = images(volume, slices)
    place = placed(stack.mean(axis=0), settings, spacing)
    place = replace(place, roll_degrees=module.place.roll_degrees)
    mirrored = module.inserts[0].angle_degrees != ACR464.inserts[0].angle_degrees
    rod, beside = (
        measured_disc(
            stack,
            place.disc(
                name,
                distance_mm=acr464.LOW_CONTRAST_RADIUS_MM,
                angle_degrees=180 - angle if mirrored else angle,
                radius_mm=_CONTRAST_DISC_MM,
                pixel_spacing_mm=spacing,
            ),
            pixel_spacing_mm=spacing,
        )
        for name, angle in (("rod", -90.0), ("beside", -115.0))
    )
    cnr = None
    if beside.noise_hu > 0:
        cnr = contrast_to_noise(rod.mean_hu, beside.mean_hu, beside.noise_hu)
    metric = qa_metric(
        "cnr",
        "Contrast over noise at 6 HU",
        cnr,
        "",
        mask=f"discs of {_CONTRAST_DISC_MM:g} mm radius in the rod of 25 mm and beside it",
        reduction=f"|mean - mean| / noise beside, {slices_text(len(stack))}",
        better="higher",
        description="How far the rod stands out of the noise of a slice.",
        note="" if cnr is not None else "no noise",
    )
    image = stack.mean(axis=0)
    shown = ShownSlice("Module 2: low contrast", image, (rod, beside), 90.0, 100.0, spacing)
    return QaFound(Measured((metric,)), (shown,))
