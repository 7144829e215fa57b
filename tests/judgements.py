"""Small judgements for tests of pages: every kind of figure, made up."""

from __future__ import annotations

import numpy as np

from ctdenoise.config.judgement import JudgeSettings
from ctdenoise.core.body import body_mask
from ctdenoise.core.geometry import Geometry
from ctdenoise.inference.check_finding import CheckFinding
from ctdenoise.metrics.limits import judged
from ctdenoise.metrics.measured import Axis, Curve, HeatMap, Measured
from ctdenoise.metrics.table import Interval, Metric
from ctdenoise.report.judgement import JudgementPage
from ctdenoise.report.judgement_view import PlaceView, ScanView, SliceView, SpectrumView

SIZE = 96


def figure(
    key: str,
    value: float | None,
    unit: str = "",
    *,
    error: float | None = None,
    at: tuple[tuple[str, float], ...] = (),
    title: str = "",
) -> Metric:
    """A figure with an interval of plus and minus an error."""
    interval = None
    if error is not None and value is not None:
        interval = Interval(value - error, value + error, "made up")
    return Metric(
        key,
        title or key.partition("[")[0].replace("_", " ").capitalize(),
        value,
        unit,
        window="none",
        mask="all of it",
        reduction="mean",
        better="neither",
        description=f"What {key} is.",
        note="" if value is not None else "too little of it",
        interval=interval,
        at=at,
    )


def made_up(recovery: float = 0.41, *, scan: bool = True) -> Measured:
    """Every kind of figure, curve and table that studies give."""
    lesion = (("contrast_hu", 15.0), ("diameter_mm", 7.0))
    metrics = [
        figure("contrast_recovery[15 HU, 7 mm]", recovery, error=0.02, at=lesion),
        figure(
            "dprime_ratio[3 HU, 10 mm, 25 %]",
            1.02,
            error=0.03,
            at=(("contrast_hu", 3.0), ("diameter_mm", 10.0), ("dose_percent", 25.0)),
        ),
        figure("ttf50_ratio[20 HU]", 0.86, error=0.05, at=(("contrast_hu", 20.0),)),
        figure("false_structure", 0.0, "%"),
    ]
    if scan:
        metrics += [
            figure("noise[scan, input]", 20.0, "HU", title="Noise magnitude, input"),
            figure("noise[scan, output]", 8.0, "HU", title="Noise magnitude, output"),
            figure("noise_change[scan]", -60.0, "%", title="Change of the noise magnitude"),
            figure("drift[soft]", 0.2, "HU", error=0.1, title="Drift of soft tissue"),
            figure("drift[lung]", None, "HU", title="Drift of lung"),
            *(
                figure(f"organ_{what}[liver, {when}]", 60.0, "HU")
                for what in ("hu", "sd")
                for when in ("input", "output")
            ),
            figure("organ_drift[liver]", 0.3, "HU", error=0.1),
        ]
    frequency, doses = np.linspace(0.05, 0.6, 12), np.array([10.0, 25.0, 50.0, 100.0])
    spectra, dose = (Axis("Spatial frequency", "1/mm"), Axis("NPS")), Axis("Dose", "%")
    where = "scan" if scan else "water"
    curves = (
        *(
            Curve(f"nps[{where}]", name, frequency, scale * np.exp(-frequency), *spectra)
            for name, scale in (("input", 9.0), ("output", 3.0))
        ),
        Curve("ttf[25 %]", "20 HU, output", frequency, np.exp(-3 * frequency), *spectra),
        Curve(
            "dprime[3 HU, 10 mm]",
            "input",
            doses,
            np.sqrt(doses) / 4,
            dose,
            Axis("d\N{PRIME}"),
            low=np.sqrt(doses) / 5,
            high=np.sqrt(doses) / 3,
        ),
    )
    table = HeatMap(
        "contrast_recovery",
        "Contrast recovery",
        Axis("Contrast"),
        ("15 HU", "40 HU"),
        Axis("Diameter"),
        ("5 mm", "7 mm", "10 mm"),
        np.array([[0.3, recovery, 0.8], [0.6, np.nan, 1.0]]),
        ideal=1.0,
    )
    return Measured(tuple(metrics), curves, (table,), (("made up", {"seed": 3, "parts": [1, 2]}),))


def scan_view() -> ScanView:
    """A disc before and after, with two places."""
    rng = np.random.default_rng(0)
    rows, columns = np.ogrid[:SIZE, :SIZE]
    inside = (rows - 48) ** 2 + (columns - 48) ** 2 < 40**2
    anatomy = np.where(inside, 40.0, -1000.0)
    before, after = (
        (anatomy + rng.normal(0, sd, (SIZE, SIZE))).astype(np.float32) for sd in (20, 8)
    )
    view = SliceView(5, before, after, body_mask(before), anatomy.astype(np.float32))
    power = rng.uniform(1, 5, (24, 24))
    return ScanView(
        Geometry.axial((2, SIZE, SIZE), pixel_spacing_mm=(1.0, 1.0), slice_spacing_mm=3.0),
        view,
        (PlaceView(view, 40, 50, 2.5, 9.0), PlaceView(view, 60, 30, 2.1, 7.0)),
        np.full((SIZE, SIZE), 20, np.float32),
        np.full((SIZE, SIZE), 8, np.float32),
        SpectrumView(power, power / 3, (0.5, 0.5)),
        20.0,
        (5, 9),
        40,
    )


def page(name: str = "redcnn", *, scan: bool = True, recovery: float = 0.41) -> JudgementPage:
    """A whole page."""
    settings = JudgeSettings()
    measured = made_up(recovery, scan=scan)
    flag = CheckFinding("warning", "outside-training", "The pixel spacing is 0.4 mm.", "Beware.")
    return JudgementPage(
        name,
        (
            ("Denoiser", (("Kind", "redcnn"), ("Digest", "0123456789ab"))),
            ("Scan", (("Kernel", "B<40>f"), ("Slices judged", "2 of 40: 5, 9"))),
        ),
        (flag,) if scan else (),
        range_known=scan,
        measured=measured,
        verdicts=judged(measured.metrics, settings.limits),
        view=scan_view() if scan else None,
        absent=("detectability: add --study lcd",),
        settings=settings,
        command="ctdenoise evaluate SCAN --model MODEL",
        versions={"ctdenoise": "0.1"},
        made="2026-01-01T00:00:00Z",
    )
