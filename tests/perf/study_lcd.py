"""Detectability of low contrast against dose: the setting of the FDA, and what denoisers do to it.

Run it as ``python -m tests.perf.study_lcd fda [repeats]`` for the area under the ROC curve of
filtered back-projection beside that published by DIDSR/LCD_CT, or as
``python -m tests.perf.study_lcd denoisers [model ...]`` for the ready setting of `evaluate --model
--study lcd`. Models are names, checkpoints or folders of training runs; `strong-bilateral` is a
bilateral filter that is set to take far too much. Nothing is asserted.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

from ctdenoise.config.inference import InferSettings
from ctdenoise.config.judgement import JudgeSettings
from ctdenoise.config.lcd import LcdSettings
from ctdenoise.config.load import load_settings
from ctdenoise.inference.denoiser import Denoiser
from ctdenoise.inference.load import load_denoiser
from ctdenoise.metrics.cho import auc_of
from ctdenoise.metrics.measured import Measured
from ctdenoise.tasks.lcd import run_lcd
from ctdenoise.tasks.lcd_phantom import lcd_shapes
from ctdenoise.tasks.native_scan import NativeScan

ROOT = Path(__file__).parents[2]
PUBLISHED_AUC = {
    "10 mm, 3 HU": {0.1: 0.70, 0.25: 0.845, 0.4: 0.887, 0.55: 0.897, 1.0: 0.95},
    "7 mm, 5 HU": {0.1: 0.778, 0.25: 0.86, 0.4: 0.927, 0.55: 0.967, 1.0: 0.985},
}
"""Filtered back-projection in the large data set, read off the figure that comes with it."""


def fda(repeats: int) -> None:
    """Area under the ROC curve of images without a denoiser."""
    settings = load_settings(JudgeSettings, ROOT / "configs/evaluate/judge_lcd_fda.yaml").lcd
    doses = tuple(PUBLISHED_AUC["10 mm, 3 HU"])
    settings = settings.replaced(doses=doses, repeats=repeats, draws=100)
    found = run_lcd(load_denoiser("identity", InferSettings()), settings, seed=1)
    print("| rod | dose | published | found | 95 % interval |")
    print("|---|---|---|---|---|")
    for name, published in PUBLISHED_AUC.items():
        for dose, auc in published.items():
            metric = found[f"dprime_input[{name}, {100 * dose:g} %]"]
            assert metric.value is not None
            assert metric.interval is not None
            ends = (auc_of(metric.interval.low), auc_of(metric.interval.high))
            print(
                f"| {name} | {dose:.0%} | {auc:.3f} | {auc_of(metric.value):.3f} | "
                f"{ends[0]:.3f} to {ends[1]:.3f} |"
            )


def denoisers(names: list[str]) -> None:
    """Ratios of detectability, equivalent doses, and the error of the images."""
    settings = LcdSettings()
    print("| denoiser | RMSE, 25 % | rod | d'/d' 10 % | 25 % | 100 % | 25 % equals | processor s |")
    print("|---|---|---|---|---|---|---|---|")
    for name in names:
        denoiser = _denoiser(name)
        rmse = _error(denoiser, settings)
        started = time.process_time()
        found = run_lcd(denoiser, settings, seed=1)
        seconds = time.process_time() - started
        for insert in settings.inserts:
            ratios = " | ".join(
                _text(found, f"dprime_ratio[{insert.name}, {dose} %]") for dose in (10, 25, 100)
            )
            equal = _text(found, f"dose_equivalent[{insert.name}, 25 %]")
            print(f"| {name} | {rmse} | {insert.name} | {ratios} | {equal} | {seconds:.0f} |")


def _denoiser(name: str) -> Denoiser:
    if name != "strong-bilateral":
        return load_denoiser(name, InferSettings())
    settings = InferSettings.model_validate(
        {"filters": {"bilateral": {"tolerance": 8.0, "width_mm": 1.2}}}
    )
    return load_denoiser("bilateral", settings)


def _error(denoiser: Denoiser, settings: LcdSettings) -> str:
    """RMSE in the water before and after, HU, at a quarter dose."""
    scan = NativeScan(lcd_shapes(settings), settings.scan, positions_mm=tuple(3.0 * np.arange(8)))
    volume = scan.scan(0.25, seed=9)
    truth = scan.truth_image().hu
    axis = (np.arange(settings.scan.size) - (settings.scan.size - 1) / 2) * (
        settings.scan.field_of_view_mm / settings.scan.size
    )
    inside = np.hypot(axis, axis[:, None]) < 0.45 * settings.diameter_mm
    errors = [
        float(np.sqrt(np.square((each.hu - truth)[:, inside], dtype=np.float64).mean()))
        for each in (volume, denoiser(volume))
    ]
    return f"{errors[0]:.1f} to {errors[1]:.1f}"


def _text(found: Measured, key: str) -> str:
    metric = found[key]
    interval = metric.interval
    assert interval is not None
    value = "beyond" if metric.value is None else f"{metric.value:.3g}"
    return f"{value} ({interval.low:.3g} to {interval.high:.3g})"


if __name__ == "__main__":
    if sys.argv[1:2] == ["fda"]:
        fda(int(sys.argv[2]) if len(sys.argv) > 2 else 200)
    elif sys.argv[1:2] == ["denoisers"]:
        denoisers(sys.argv[2:] or ["identity", "gaussian", "nlm", "tv", "strong-bilateral"])
    else:
        sys.exit(__doc__)
