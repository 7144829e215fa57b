"""What denoisers do to lesions that are put into the low doses: contrast and detectability.

Lesions of 15 and 40 HU and 5, 7 and 10 mm, in soft tissue, as `evaluate --study response` inserts
and measures them: contrast recovery from the paired response, and d' of a channelised Hotelling
observer after denoising over that before, each with an interval over slices.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ctdenoise.config.inference import InferSettings
from ctdenoise.config.response import InsertedSettings, ResponseSettings
from ctdenoise.errors import InputError
from ctdenoise.inference.load import load_denoiser
from ctdenoise.metrics.table import Metric
from ctdenoise.tasks.response import measure_response
from tests.perf.study_release_measures import INPUT, Case, Method
from tests.perf.study_release_pairs import KERNELS

CONTRASTS_HU = (15.0, 40.0)
DIAMETERS_MM = (5.0, 7.0, 10.0)

LESIONS = tuple(f"{hu:g} HU, {mm:g} mm" for hu in CONTRASTS_HU for mm in DIAMETERS_MM)


def observe(
    cases: Iterator[Case],
    methods: Sequence[Method],
    scores: Path,
    file: Path,
) -> None:
    """Measure what is not yet in a file, and write it there after each method.

    Args:
        cases: Twins.
        methods: What is tried on them, each at its strengths.
        scores: The file of the scores, where the true noise of each twin stands.
        file: JSON; a row for each twin, method and strength.
    """
    rows: dict[str, dict[str, Any]] = (
        json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    )
    known = json.loads(scores.read_text(encoding="utf-8"))
    for case in cases:
        for method in methods:
            for strength in method.strengths:
                level = known[f"{case.name}|{INPUT}"]["rmse_soft"] if method.told else None
                settings = InferSettings(strength=strength, device="cpu", noise_level=level)
                denoiser = load_denoiser(method.model_for(case.source), settings)
                key = f"{case.name}|{method.name}|{strength:g}"
                if rows.get(key, {}).get("digest") == denoiser.digest:
                    continue
                rows[key] = {
                    "source": case.source,
                    "kernel": case.kernel,
                    "dose": case.dose,
                    "method": method.name,
                    "strength": strength,
                    "digest": denoiser.digest,
                    **_figures(case, denoiser),
                }
                file.write_text(json.dumps(rows, indent=1), encoding="utf-8")
                print(key, _words(rows[key]), flush=True)


def _figures(case: Case, denoiser: Any) -> dict[str, Any]:
    low = case.pair.low
    settings = ResponseSettings(
        slices=low.shape[0],
        soft=InsertedSettings(contrasts_hu=CONTRASTS_HU, diameters_mm=DIAMETERS_MM),
        lung=None,
        f50_per_mm=KERNELS[case.kernel],
        draws=2000,
    )
    try:
        found = {metric.key: metric for metric in measure_response(denoiser, low, settings).metrics}
    except InputError as error:
        return {"skipped": error.what}
    return {
        f"{name}[{lesion}]": _value(found.get(key))
        for lesion in LESIONS
        for name, key in (
            ("recovery", f"contrast_recovery[{lesion}]"),
            ("dprime", f"dprime_ratio[inserted, {lesion}]"),
        )
    }


def _value(metric: Metric | None) -> list[float | None]:
    if metric is None or metric.value is None:
        return [None, None, None]
    if metric.interval is None:
        return [metric.value, None, None]
    return [metric.value, metric.interval.low, metric.interval.high]


def _words(row: dict[str, Any]) -> str:
    parts = []
    for lesion in ("15 HU, 7 mm", "40 HU, 7 mm"):
        for name in ("recovery", "dprime"):
            value, low, high = row.get(f"{name}[{lesion}]", [None, None, None])
            if value is not None:
                ends = "" if low is None else f" ({low:.2f} to {high:.2f})"
                parts.append(f"{name} {lesion}: {value:.2f}{ends}")
    return "; ".join(parts) or str(row.get("skipped", "nothing could be measured"))
