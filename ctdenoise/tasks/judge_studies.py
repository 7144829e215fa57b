"""The studies that judge a denoiser beside the scan itself: what each costs, and how it is run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import assert_never

from ctdenoise.config.judgement import JudgeSettings, Study
from ctdenoise.config.response import ResponseSettings
from ctdenoise.core.arrays import LabelArray
from ctdenoise.core.progress import Progress
from ctdenoise.core.provenance import JsonValue
from ctdenoise.core.volume import CTVolume
from ctdenoise.inference.denoiser import Denoiser
from ctdenoise.io.read import SeriesReader
from ctdenoise.metrics.measured import Measured
from ctdenoise.tasks.bench import bench_slices, measure_bench
from ctdenoise.tasks.lcd import run_lcd
from ctdenoise.tasks.response import measure_response

STUDIES: tuple[Study, ...] = ("scan", "response", "bench", "lcd")
"""In the order in which they are done."""

OF_SCAN: tuple[Study, ...] = ("scan", "response")
"""Those that need a scan."""


@dataclass(frozen=True, slots=True)
class StudyCost:
    """What a study makes the denoiser do.

    Args:
        slices: How many slices are denoised.
        pixels: Of a slice.
        scans: How many of them are scanned first, which takes about as long again on a fast model.
    """

    slices: int
    pixels: int
    scans: int = 0


def study_cost(
    study: Study, settings: JudgeSettings, shape: tuple[int, int, int], context: int
) -> StudyCost:
    """What a study makes a denoiser do.

    Args:
        study: Which.
        settings: How it is done.
        shape: Of the scan.
        context: Slices on either side that the denoiser looks at.
    """
    pixels = shape[1] * shape[2]
    match study:
        case "scan":
            return StudyCost(min(shape[0], settings.scan.slices), pixels)
        case "response":
            slices = min(shape[0], settings.response.slices)
            return StudyCost(slices * (1 + _contrasts(settings.response)) + 1, pixels)
        case "bench":
            count = bench_slices(settings.bench)
            return StudyCost(count, settings.bench.scan.size**2, scans=count)
        case "lcd":
            count = len(settings.lcd.doses) * settings.lcd.repeats * (2 * context + 1)
            return StudyCost(count, settings.lcd.scan.size**2, scans=count)
        case _:
            assert_never(study)


def _contrasts(settings: ResponseSettings) -> int:
    """Passes over a slice with lesions in it: the longest list of contrasts."""
    groups = (settings.soft, settings.lung, settings.organ)
    return max((len(group.contrasts_hu) for group in groups if group is not None), default=0)


@dataclass(frozen=True, slots=True, eq=False)
class Stack:
    """Slices of a scan that lesions are put into.

    Args:
        volume: The slices, in memory or open for reading.
        places: Which slices of the scan they are, counted from 0.
        labels: Class of every voxel; None without.
        names: Name of each class.
    """

    volume: CTVolume | SeriesReader
    places: tuple[int, ...]
    labels: LabelArray | None
    names: Mapping[int, str]


def respond(
    denoiser: Denoiser, stack: Stack, settings: JudgeSettings, *, seed: int, progress: Progress
) -> Measured:
    """What becomes of lesions that are put into some slices; see `tasks.response`.

    Args:
        denoiser: Any.
        stack: The slices.
        settings: Which lesions.
        seed: Decides the places.
        progress: Told about every slice.

    Raises:
        InputError: If no slice has room for a lesion.
    """
    found = measure_response(
        denoiser,
        stack.volume,
        settings.response.replaced(seed=settings.response.seed + seed),
        labels=stack.labels,
        names=class_list(stack.names),
        progress=progress,
    )
    conditions = tuple((name, _numbered(value, stack.places)) for name, value in found.conditions)
    return Measured(found.metrics, found.curves, found.heat_maps, conditions)


def class_list(names: Mapping[int, str]) -> tuple[str, ...]:
    """Names of classes in the order of their numbers, background first.

    Args:
        names: By number; missing ones are called by it.
    """
    if not names:
        return ()
    every = range(max(names) + 1)
    return tuple(names.get(number) or f"class {number}" for number in every)


def _numbered(value: JsonValue, places: Sequence[int]) -> JsonValue:
    """Conditions whose slices are counted in the stack, with those of the scan instead."""
    if not isinstance(value, dict) or not isinstance(value.get("slices"), list | tuple):
        return value
    inside = value["slices"]
    numbers = [places[one - 1] + 1 for one in inside if isinstance(one, int)]
    return {**value, "slices": numbers}


def on_phantoms(
    denoiser: Denoiser, study: Study, settings: JudgeSettings, *, seed: int, progress: Progress
) -> Measured:
    """A study that needs no scan.

    Args:
        denoiser: Any.
        study: Which.
        settings: How it is done.
        seed: Same seed, same noise.
        progress: Told how far it is.
    """
    match study:
        case "bench":
            return measure_bench(denoiser, settings.bench, seed=seed, progress=progress)
        case "lcd":
            return run_lcd(denoiser, settings.lcd, seed=seed, progress=progress)
        case "scan" | "response":
            raise ValueError(f"the study {study} needs a scan")
        case _:
            assert_never(study)
