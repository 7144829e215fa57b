"""Pictures and the calibration page of a simulation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from ctdenoise.config.load import settings_text
from ctdenoise.core.acquisition import Acquisition
from ctdenoise.core.body import body_mask
from ctdenoise.core.geometry import Geometry
from ctdenoise.core.pair import Exposure
from ctdenoise.core.volume import CTVolume
from ctdenoise.io.runfile import installed_versions, timestamp
from ctdenoise.report.calibration_page import (
    CalibrationContent,
    Curve,
    CurveChart,
    PageTable,
    write_calibration_page,
)
from ctdenoise.report.pictures import LUNG, SOFT, Display, body_region
from ctdenoise.report.preview import PREVIEW_FILE, PreviewRow, write_preview
from ctdenoise.simulation.calibration import Calibration, sample_indices
from ctdenoise.simulation.drawn_noise import added_noise_maps
from ctdenoise.simulation.filters import apodisation
from ctdenoise.simulation.low_dose import Plan, Simulator

PREVIEW_FOLDER = "preview"
"""Folder of the pictures and the page inside the output folder."""

LUNG_FRACTION = 0.3
"""A slice with at least this part of its body below -500 HU is shown in the lung window."""

_VERSIONS = ("numpy", "numba", "scipy")


def write_simulation_preview(
    stage: Path,
    plan: Plan,
    sample: CTVolume,
    exposures: Sequence[Exposure],
    *,
    geometry: Geometry,
) -> Path:
    """Write `preview/preview.png` and `preview/calibration.html`.

    Args:
        stage: Folder of the output.
        plan: The simulation.
        sample: The slices of the scan that `sample_indices` names.
        exposures: What was made, one for each dose.
        geometry: Grid of the whole scan.

    Raises:
        MissingExtraError: If jinja2 or matplotlib is not installed.
    """
    folder = stage / PREVIEW_FOLDER
    folder.mkdir(exist_ok=True)
    indices = sample_indices(geometry)
    chosen = int(np.argmin([abs(index - geometry.slices / 2) for index in indices]))
    one = sample.select([chosen])
    body = body_mask(one.hu, one.padding)[0]
    twins = Simulator(plan).twins(one, first=indices[chosen])
    maps = added_noise_maps(plan, one, first=indices[chosen])
    rows = [
        PreviewRow(_title(plan, dose), twin[0], added)
        for dose, twin, added in zip(plan.doses, twins, maps, strict=True)
    ]
    picture = folder / PREVIEW_FILE
    display = _display(one, body)
    write_preview(picture, one, rows, display=display, region=body_region(body, geometry))
    return write_calibration_page(
        folder,
        CalibrationContent(
            facts=tuple(_facts(geometry, sample.acquisition, indices[chosen])),
            cards=tuple(_cards(plan)),
            notes=plan.calibration.notes,
            preview=picture,
            charts=tuple(_charts(plan.calibration)),
            tables=tuple(_tables(plan, exposures, sample.acquisition)),
            settings_text=settings_text(plan.settings),
            command="ctdenoise simulate STUDY --out OUT --config settings.yaml --preview",
            versions=installed_versions(_VERSIONS),
            made=timestamp(),
        ),
    )


def _title(plan: Plan, dose: float) -> str:
    if plan.settings.mode == "degradation":
        return "degraded"
    return f"{100 * dose:.3g} % of the dose"


def _display(one: CTVolume, body: np.ndarray) -> Display:
    inside = one.hu[0][body]
    return LUNG if inside.size and np.mean(inside < -500) >= LUNG_FRACTION else SOFT


def _facts(geometry: Geometry, acquisition: Acquisition, shown: int) -> Iterator[tuple[str, str]]:
    spacing = geometry.pixel_spacing_mm
    yield "Slices", f"{geometry.slices} (shown: {shown + 1})"
    yield "Matrix", f"{geometry.rows} \N{MULTIPLICATION SIGN} {geometry.columns}"
    yield "Pixel", f"{spacing[0]:.3f} \N{MULTIPLICATION SIGN} {spacing[1]:.3f} mm"
    if geometry.slice_spacing_mm is not None:
        yield "Slice spacing", f"{geometry.slice_spacing_mm:.2f} mm"
    if acquisition.slice_thickness_mm is not None:
        yield "Slice thickness", f"{acquisition.slice_thickness_mm:g} mm"
    words = (acquisition.manufacturer, acquisition.manufacturer_model_name)
    if any(words):
        yield "Scanner", " ".join(word for word in words if word)
    if acquisition.kvp is not None:
        yield "Tube voltage", f"{acquisition.kvp:g} kV"
    if acquisition.convolution_kernel:
        yield "Kernel", acquisition.convolution_kernel


def _cards(plan: Plan) -> Iterator[tuple[str, str, str]]:
    calibration = plan.calibration
    evidence = calibration.evidence
    if calibration.full_noise_hu is not None:
        error = ""
        if evidence is not None:
            hu = evidence.uncertainty * calibration.full_noise_hu
            error = f" \N{PLUS-MINUS SIGN} {hu:.1f}"
        yield "Noise of the scan", f"{calibration.full_noise_hu:.1f}{error}", "HU"
    by = {"noise": "from the noise", "exposure": "from the exposure", "setting": "as set"}
    yield (
        "Photons N\N{SUBSCRIPT ZERO}",
        _scientific(calibration.photons),
        by[calibration.calibrated_by],
    )
    source = {
        "noise": "measured",
        "header": "by the header",
        "default": "assumed",
        "setting": "as set",
    }
    how = source[calibration.kernel_by]
    if calibration.header_f50_per_mm is not None and calibration.kernel_by == "noise":
        how += f" (header: {calibration.header_f50_per_mm:.2f})"
    yield "Kernel, half height", f"{calibration.kernel_f50_per_mm:.2f}", f"per mm, {how}"


def _scientific(value: float) -> str:
    """2.5e+05 as people write it."""
    digits, power = f"{value:.2e}".split("e")
    superscripts = str.maketrans(
        "0123456789",
        "\N{SUPERSCRIPT ZERO}\N{SUPERSCRIPT ONE}\N{SUPERSCRIPT TWO}\N{SUPERSCRIPT THREE}"
        "\N{SUPERSCRIPT FOUR}\N{SUPERSCRIPT FIVE}\N{SUPERSCRIPT SIX}\N{SUPERSCRIPT SEVEN}"
        "\N{SUPERSCRIPT EIGHT}\N{SUPERSCRIPT NINE}",
    )
    return f"{digits} \N{MULTIPLICATION SIGN} 10{str(int(power)).translate(superscripts)}"


def _charts(calibration: Calibration) -> Iterator[CurveChart]:
    model, evidence = calibration.model, calibration.evidence
    if evidence is not None:
        frequency = evidence.frequency_per_mm
        yield CurveChart(
            "noise_power",
            "Noise power of the scan",
            "Radial noise power spectrum of flat soft tissue, and of full-dose noise simulated "
            "with all that was found. They should lie on each other.",
            "spatial frequency (1/mm)",
            "NPS (HU\N{SUPERSCRIPT TWO} mm\N{SUPERSCRIPT TWO})",
            (
                Curve("scan", frequency, evidence.measured_nps),
                Curve("simulated", frequency, evidence.simulated_nps),
            ),
        )
    nyquist = 0.5 / model.fan.channel_width_mm
    k = np.linspace(0, nyquist, 200)
    yield CurveChart(
        "kernel",
        "Kernel",
        "Factor on the ramp filter with which noise is reconstructed.",
        "spatial frequency (1/mm)",
        "A(k)",
        (Curve("used", k, apodisation(model.kernel, k, nyquist_per_mm=nyquist)),),
        reference=0.5,
    )
    if evidence is not None and evidence.places is not None:
        places = evidence.places
        yield CurveChart(
            "by_radius",
            "Noise by place",
            "Measured over simulated standard deviation of the scan's noise, by distance from the "
            "isocentre. One is right.",
            "distance from the isocentre (mm)",
            "measured / simulated",
            (Curve("ratio", places.radius_mm, places.ring),),
            reference=1.0,
        )


def _tables(
    plan: Plan, exposures: Sequence[Exposure], acquisition: Acquisition
) -> Iterator[PageTable]:
    stated = acquisition.exposure_mas
    rows = []
    for exposure in exposures:
        dose = exposure.dose_fraction
        mas = f"{dose * float(np.mean(stated)):.0f}" if stated else "\N{EM DASH}"
        full = exposure.full_noise_hu
        expected = "\N{EM DASH}" if full is None else f"{full / np.sqrt(dose):.1f}"
        got = "\N{EM DASH}" if exposure.low_noise_hu is None else f"{exposure.low_noise_hu:.1f}"
        rows.append((f"{100 * dose:.3g} %", mas, expected, got))
    if plan.settings.mode != "degradation":
        yield PageTable(
            "Doses",
            ("dose", "mAs (header)", "noise if only photons counted (HU)", "noise measured (HU)"),
            tuple(rows),
            "Electronic noise and starved rays raise the noise above the first figure.",
        )
    evidence = plan.calibration.evidence
    if evidence is not None and evidence.places is not None:
        places = evidence.places
        yield PageTable(
            "Noise of the scan by place",
            ("distance from isocentre (mm)", "patches", "measured / simulated", "spread"),
            tuple(
                (f"{radius:.0f}", f"{count:.0f}", f"{ratio:.3f}", f"{spread:.3f}")
                for radius, count, ratio, spread in zip(
                    places.radius_mm,
                    places.ring_patches,
                    places.ring,
                    places.ring_spread,
                    strict=True,
                )
                if count > 0
            ),
            f"Measured in {evidence.flat_patches} flat patches; spread is the standard deviation "
            "between pairs of slices.",
        )
