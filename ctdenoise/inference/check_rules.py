"""From figures of a result to what is to be said about it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ctdenoise.config.checks import CheckSettings, LimitSettings
from ctdenoise.core.provenance import JsonValue
from ctdenoise.inference.check_figures import Figures
from ctdenoise.inference.check_finding import CheckFinding, CheckSeverity, slice_words
from ctdenoise.metrics.hu_accuracy import TISSUES
from ctdenoise.metrics.tissue_drift import BACKGROUND, DRIFT_TISSUES

TITLES = {tissue.name: tissue.title for tissue in TISSUES} | {
    "air": "air inside the body",
    BACKGROUND: "room air",
}
"""Tissues for people."""

_LEAST_CHANGE_HU = 1e-3
_NEIGHBOURS = 2  # slices on either side that say what the mean change ought to be
_OUTLIER = 6.0  # of the usual differences between slices
_DECIMALS = 4


def judged(
    figures: Figures, settings: CheckSettings
) -> tuple[list[CheckFinding], dict[str, JsonValue]]:
    """What is to be said about a result, and its figures with their limits, plain JSON.

    Args:
        figures: Of all slices.
        settings: Limits.
    """
    jumps = uneven(figures, settings)
    findings = [
        *_missing(figures),
        *_blank(figures),
        *_drift(figures, settings),
        *_noise(figures, settings),
        *_edges(figures, settings),
        *_features(figures, settings),
        *_jumps(jumps, settings),
        *_nothing(figures),
    ]
    return findings, _record(figures, settings, jumps)


def _beyond(figure: float, limits: LimitSettings) -> CheckSeverity | None:
    if figure > limits.error:
        return "error"
    return "warning" if figure > limits.warning else None


def _limit(severity: CheckSeverity, limits: LimitSettings) -> float:
    return limits.error if severity == "error" else limits.warning


def _missing(figures: Figures) -> Iterator[CheckFinding]:
    if figures.seen != figures.slices:
        yield CheckFinding(
            "error",
            "slices-missing",
            f"The scan has {figures.slices} slices and the result {figures.seen}.",
            "Run it again; if it stays so, report it.",
            figure=figures.seen,
            limit=figures.slices,
            slices=tuple(np.flatnonzero(np.isnan(figures.mean_change_hu)).tolist()),
        )


def _blank(figures: Figures) -> Iterator[CheckFinding]:
    if figures.blank:
        yield CheckFinding(
            "error",
            "blank-slice",
            f"The result holds a single value in {slice_words(figures.blank)}.",
            "Try another precision or device, or another network.",
            figure=len(figures.blank),
            limit=0,
            slices=tuple(sorted(figures.blank)),
        )


def _drift(figures: Figures, settings: CheckSettings) -> Iterator[CheckFinding]:
    for name in DRIFT_TISSUES:
        sums = figures.drift[name].sums
        proven = sums.proven(settings.standard_errors)
        limits: LimitSettings = getattr(settings.drift, name)
        severity = None if proven is None else _beyond(proven, limits)
        if severity is not None and sums.ratio is not None and sums.standard_error is not None:
            limit = _limit(severity, limits)
            yield CheckFinding(
                severity,
                "hu-drift",
                f"The mean of {TITLES[name]} moved by {-sums.ratio:+.1f} HU "
                f"(± {sums.standard_error:.1f}; at most {limit:g}).",
                "Do not measure in the result; the network may not fit this scan.",
                figure=-sums.ratio,
                limit=limit,
                unit="HU",
            )


def _noise(figures: Figures, settings: CheckSettings) -> Iterator[CheckFinding]:
    left, least = (figures.gain.left_at_least(n) for n in (0, settings.standard_errors))
    if left is not None and least is not None:
        severity = _beyond(least, settings.noise_ratio)
        if severity is not None:
            yield CheckFinding(
                severity,
                "noisier",
                f"The result has {100 * (left - 1):.0f} % more noise in soft tissue than the scan.",
                "Keep the scan as it is; the network may not fit it.",
                figure=left,
                limit=_limit(severity, settings.noise_ratio),
            )
    taken, least = (figures.gain.taken_at_least(n) for n in (0, settings.standard_errors))
    if taken is not None and least is not None and least > settings.removed_ratio:
        yield CheckFinding(
            "warning",
            "removes-more-than-noise",
            f"What was removed from soft tissue is {taken:.2f} times the noise there.",
            "Look at the residual (--residual); lower --strength.",
            figure=taken,
            limit=settings.removed_ratio,
        )


def _edges(figures: Figures, settings: CheckSettings) -> Iterator[CheckFinding]:
    proven, loss = figures.edges.proven(settings.standard_errors), figures.edges.ratio
    if proven is None or loss is None or proven <= settings.edge_loss:
        return
    blurred = loss > 0
    worst = [place for place, share in figures.worst_edges if share * loss > 0][:3]
    where = f", most in {slice_words(worst)}" if worst else ""
    yield CheckFinding(
        "warning",
        "edges-blurred" if blurred else "edges-sharpened",
        f"Edges {'lost' if blurred else 'gained'} {100 * abs(loss):.0f} % of their fine detail"
        f"{where}.",
        "Lower --strength, or take a network for this kernel."
        if blurred
        else "Edges overshoot: judge borders and densities of small things in the scan itself.",
        figure=loss,
        limit=settings.edge_loss,
        slices=tuple(sorted(worst)),
    )


def _features(figures: Figures, settings: CheckSettings) -> Iterator[CheckFinding]:
    found = [one for one in figures.features if abs(one.deviations) > settings.feature]
    if not found:
        return
    first = found[0]
    # What was removed is the scan less the result: a bright spot in it was bright in the scan.
    kind = "bright" if first.mean_hu > 0 else "dark"
    others = {one.place for one in found[1:]} - {first.place}
    beside = f", and others in {slice_words(others)}" if others else ""
    yield CheckFinding(
        "warning",
        "feature-removed",
        f"Something other than noise was removed: a {kind} spot of {abs(first.mean_hu):.0f} HU "
        f"over {first.size_mm:.0f} mm in slice {first.place + 1}, row {first.row}, column "
        f"{first.column}{beside}.",
        "Compare these places with the scan.",
        figure=abs(first.deviations),
        limit=settings.feature,
        slices=tuple(sorted({one.place for one in found})),
    )


def uneven(figures: Figures, settings: CheckSettings) -> list[tuple[int, float]]:
    """Slices whose mean change is unlike that of their neighbours, with the difference, HU.

    Args:
        figures: Of all slices.
        settings: Limits.
    """
    means = np.array([mean for mean in figures.mean_change_hu if not np.isnan(mean)])
    if means.size <= 2 * _NEIGHBOURS:
        return []
    windows = np.lib.stride_tricks.sliding_window_view(
        np.pad(means, _NEIGHBOURS, mode="reflect"), 2 * _NEIGHBOURS + 1
    )
    apart = means - np.median(windows, axis=1)
    usual = 1.4826 * float(np.median(np.abs(apart)))
    limit = max(settings.jump_hu, _OUTLIER * usual)
    return [(int(n), float(apart[n])) for n in np.flatnonzero(np.abs(apart) > limit)]


def _jumps(jumps: list[tuple[int, float]], settings: CheckSettings) -> Iterator[CheckFinding]:
    if jumps:
        places = [place for place, _ in jumps]
        largest = max((apart for _, apart in jumps), key=abs)
        yield CheckFinding(
            "warning",
            "uneven-change",
            f"The mean of {slice_words(places)} was changed otherwise than that of their "
            f"neighbours, by up to {largest:+.1f} HU.",
            "Look at these slices beside their neighbours.",
            figure=largest,
            limit=settings.jump_hu,
            unit="HU",
            slices=tuple(places),
        )


def _nothing(figures: Figures) -> Iterator[CheckFinding]:
    if figures.seen and figures.largest_change_hu < _LEAST_CHANGE_HU:
        yield CheckFinding(
            "note",
            "nothing-changed",
            "The result is the scan: nothing was changed.",
            "Give a strength above 0 and a network, if it was to be denoised.",
            figure=figures.largest_change_hu,
            limit=_LEAST_CHANGE_HU,
            unit="HU",
        )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(float(value), _DECIMALS)


def _record(
    figures: Figures, settings: CheckSettings, jumps: list[tuple[int, float]]
) -> dict[str, JsonValue]:
    drift: dict[str, JsonValue] = {}
    for name, both in figures.drift.items():
        sums = both.sums
        if sums.ratio is not None:
            limits: LimitSettings = getattr(settings.drift, name)
            drift[name] = {
                "mean_hu": _rounded(-sums.ratio),
                "standard_error_hu": _rounded(sums.standard_error),
                "warning_hu": limits.warning,
                "error_hu": limits.error,
            }
    gain = figures.gain
    return {
        "drift": drift,
        "edge_loss": {
            "share": _rounded(figures.edges.ratio),
            "standard_error": _rounded(figures.edges.standard_error),
            "warning": settings.edge_loss,
        },
        "noise_ratio": {
            "ratio": _rounded(gain.left_at_least()),
            "squares": gain.squares,
            "warning": settings.noise_ratio.warning,
            "error": settings.noise_ratio.error,
        },
        "removed_ratio": {
            "ratio": _rounded(gain.taken_at_least()),
            "warning": settings.removed_ratio,
        },
        "features": {
            "strongest": [
                {
                    "slice": one.place,
                    "row": one.row,
                    "column": one.column,
                    "size_mm": _rounded(one.size_mm),
                    "mean_hu": _rounded(one.mean_hu),
                    "deviations": _rounded(one.deviations),
                }
                for one in figures.features
            ],
            "warning": settings.feature,
        },
        "uneven_slices": {
            "slices": [place for place, _ in jumps],
            "warning_hu": settings.jump_hu,
        },
        "blank_slices": sorted(figures.blank),
        "largest_change_hu": _rounded(figures.largest_change_hu),
    }
