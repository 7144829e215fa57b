"""`--study lcd`: how detectable low contrast is at each dose, before and after a denoiser."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from ctdenoise.config.lcd import LcdSettings
from ctdenoise.core.arrays import HuArray
from ctdenoise.core.progress import SILENT, Progress
from ctdenoise.core.provenance import JsonValue
from ctdenoise.core.randomness import stream
from ctdenoise.core.volume import CTVolume
from ctdenoise.inference.denoiser import Denoiser
from ctdenoise.metrics.dose_equivalence import Responses, Squares, paired_squares
from ctdenoise.metrics.measured import Measured
from ctdenoise.tasks.lcd_figures import TaskFigures, figures_of
from ctdenoise.tasks.lcd_phantom import lcd_shapes, responses_to
from ctdenoise.tasks.native_scan import NativeScan


@dataclass(frozen=True, slots=True, eq=False)
class _Dose:
    """What was seen at one dose: of each rod, before and after the denoiser."""

    plain: tuple[Responses, ...]
    denoised: tuple[Responses, ...]


def run_lcd(
    denoiser: Denoiser, settings: LcdSettings, *, seed: int = 0, progress: Progress = SILENT
) -> Measured:
    """Scan a phantom of low contrast at several doses, denoise the scans, and compare.

    Every repeat is a slice. A denoiser that looks at neighbouring slices shares noise between
    them, so for it only every so many of its slices is taken that none has seen what another has.

    Args:
        denoiser: What is judged. It sees whole slices, all repeats of a dose as one scan.
        settings: Phantom, scanner, doses, repeats and observer.
        seed: Same seed, same noise, and the same figures.
        progress: Told about slices.

    Returns:
        For each rod and dose: `dprime`, `dprime_input` and `dprime_ratio` with their intervals and
        `dose_equivalent`; curves of d' and AUC against dose.

    Raises:
        InputError: If there are too few repeats for the channels of the observer.
    """
    started = time.process_time()
    step = 2 * denoiser.context + 1
    slices = settings.repeats * step
    positions = tuple(settings.scan.slice_thickness_mm * np.arange(slices))
    scan = NativeScan(lcd_shapes(settings), settings.scan, positions_mm=positions)
    found = []
    with progress.stage("Scanning and denoising", len(settings.doses) * slices) as advance:
        for dose in settings.doses:
            volume = scan.scan(dose, seed=seed)
            denoised = denoiser(volume)
            found.append(
                _Dose(
                    responses_to(_independent(volume, step), settings),
                    responses_to(_independent(denoised, step), settings),
                )
            )
            advance(slices, note=f"{dose:.0%} dose")
    rng = stream(seed, "lcd", "draws")
    tasks = [
        TaskFigures(insert, settings.doses, *_squares(found, index, settings, rng))
        for index, insert in enumerate(settings.inserts)
    ]
    conditions: dict[str, JsonValue] = {
        "settings": settings.as_json(),
        "seed": seed,
        "slices_scanned": slices * len(settings.doses),
        "processor_s": round(time.process_time() - started, 1),
    }
    return figures_of(tasks, settings, denoiser.name) + Measured(conditions=(("lcd", conditions),))


def _squares(
    found: list[_Dose], index: int, settings: LcdSettings, rng: np.random.Generator
) -> tuple[tuple[Squares, ...], tuple[Squares, ...], tuple[Responses, ...], tuple[Responses, ...]]:
    """Of one rod at each dose, before and after the denoiser: d'^2, and what it is made from."""
    plain = tuple(one.plain[index] for one in found)
    denoised = tuple(one.denoised[index] for one in found)
    pairs = [
        paired_squares(pair, draws=settings.draws, rng=rng)
        for pair in zip(plain, denoised, strict=True)
    ]
    return tuple(one for one, _ in pairs), tuple(one for _, one in pairs), plain, denoised


def _independent(volume: CTVolume, step: int) -> HuArray:
    """Slices of which no two were denoised with the help of the same one."""
    return volume.hu[step // 2 :: step]
