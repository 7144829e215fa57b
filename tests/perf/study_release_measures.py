"""Scores of denoisers on test pairs, by the project's own measures.

Each is run once at full strength; lower strengths are mixtures of its result and its input, as
`--strength` makes them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from operator import add
from pathlib import Path
from typing import Any

import numpy as np

from ctdenoise.config.evaluation import EvaluateSettings, window_settings
from ctdenoise.config.inference import InferSettings
from ctdenoise.core.body import body_mask
from ctdenoise.core.pair import Pair
from ctdenoise.core.provenance import Step
from ctdenoise.core.volume import CTVolume
from ctdenoise.errors import MissingExtraError
from ctdenoise.inference.denoiser import Denoiser
from ctdenoise.inference.load import load_denoiser
from ctdenoise.io.pairs import PairFiles, find_pairs, read_pair
from ctdenoise.metrics.evaluation import evaluate
from ctdenoise.metrics.fidelity import psnr, windowed
from ctdenoise.metrics.hu_accuracy import TISSUES
from ctdenoise.metrics.noise_texture import FlatAreas, Truth, flat_areas, noise_power
from ctdenoise.metrics.slice_figures import psnr_key, ssim_key
from tests.perf.study_release_pairs import TORSOS

WINDOW = window_settings("redcnn")
"""Soft tissue, -160 to 240 HU: what PSNR and SSIM mean here."""

PSNR, SSIM = psnr_key(WINDOW), ssim_key(WINDOW)

PATCH = 32
"""Side of the patches whose noise spectrum is taken, pixels."""

INPUT = "input"

Figures = dict[str, float | None]


@dataclass(frozen=True, slots=True)
class Method:
    """A denoiser of the study.

    Args:
        name: As tables call it.
        model: Name of a filter, or a checkpoint.
        strengths: How much of it; each is a row.
        told: Whether it is told the true noise: the root mean square of low dose less full dose in
            soft tissue. Otherwise noise is measured in the low dose.
        held_out: Another checkpoint for some series: one that was trained without its patient.
        doses: Where it is tried; empty for everywhere.
        measured: At which strengths all is measured, and not the PSNR alone.
    """

    name: str
    model: str
    strengths: tuple[float, ...] = (1.0,)
    told: bool = False
    held_out: Mapping[str, str] | None = None
    doses: tuple[float, ...] = ()
    measured: tuple[float, ...] = (1.0,)

    def denoiser(self, source: str, true_noise_hu: float | None) -> Denoiser:
        """It, at full strength.

        Args:
            source: Series or torso that it is for.
            true_noise_hu: What it is told, if it is.
        """
        level = true_noise_hu if self.told else None
        settings = InferSettings(strength=1.0, device="cpu", noise_level=level)
        return load_denoiser(self.model_for(source), settings)

    def model_for(self, source: str) -> str:
        """The checkpoint, or the name of the filter, for a series.

        Args:
            source: Name of the series.
        """
        return (self.held_out or {}).get(source, self.model)


class Case:
    """A twin with everything that is common to all methods.

    Args:
        files: Its folder.
        index: Which of the doses.
        slices: How many of its slices, evenly spread; None for all.
    """

    def __init__(self, files: PairFiles, index: int, slices: int | None = None) -> None:
        count = files.shape[0]
        places = np.linspace(0, count - 1, min(slices or count, count)).round()
        self.pair: Pair = read_pair(files, index, slices=[int(place) for place in places])
        self.source, _, self.kernel = files.folder.name.partition("-")
        self.dose = self.pair.exposure.dose_fraction
        self.truth: Truth = "exact" if self.source in TORSOS else "scan"
        full = self.pair.full
        self.body = body_mask(full.hu, full.padding)

    @cached_property
    def areas(self) -> FlatAreas:
        """Where the texture of noise is measured."""
        return flat_areas(self.pair.full, self.body, side=PATCH, truth=self.truth)

    @property
    def name(self) -> str:
        """Of the twin: series, kernel, dose."""
        return f"{self.source}-{self.kernel}-{self.dose:g}"

    def figures(self, image: CTVolume) -> Figures:
        """What is measured of an image against the full dose.

        Args:
            image: The low dose, or what a method made of it.
        """
        full, low = self.pair.full, self.pair.low
        settings = EvaluateSettings(windows=(WINDOW,), vif=False, threads=1)
        found = evaluate(full, image, settings, body=self.body)
        keys = [PSNR, SSIM, "rmse", "noise_reference", "noise_test", "rmse_soft"]
        keys += [f"bias_{tissue.name}" for tissue in TISSUES]
        known = {metric.key: metric.value for metric in found.metrics}
        figures: Figures = {key: known.get(key) for key in keys}
        removed = low.with_hu(low.hu - image.hu, Step("removed"))
        noise = low if self.truth == "scan" else low.with_hu(low.hu - full.hu, Step("noise"))
        left = image if self.truth == "scan" else image.with_hu(image.hu - full.hu, Step("left"))
        for name, volume in (("before", noise), ("left", left), ("removed", removed)):
            figures[f"frequency_{name}"] = self._frequency(volume)
        return figures

    def psnr(self, image: CTVolume) -> Figures:
        """The PSNR alone, as `figures` has it.

        Args:
            image: What a method made of the low dose.
        """
        full = self.pair.full
        values = []
        for number in range(full.shape[0]):
            padding = None if full.padding is None else full.padding[number]
            shown = [windowed(one.hu[number], WINDOW, padding) for one in (full, image)]
            counted = None if padding is None else ~padding
            values.append(psnr(*shown, data_range=WINDOW.width_hu, where=counted))
        return {PSNR: float(np.mean(values))}

    def _frequency(self, volume: CTVolume) -> float | None:
        """Mean frequency of the noise in flat soft tissue, 1/mm."""
        as_it_is = replace(self.areas, truth="scan")
        power = noise_power(volume, volume, as_it_is)
        return reduce(add, power).radial().mean_frequency_per_mm if power else None


def cases_of(
    pairs: Path,
    sources: Sequence[str],
    doses: Sequence[float] = (),
    kernels: Sequence[str] = (),
    slices: int | None = None,
) -> Iterator[Case]:
    """Every twin of some sources.

    Args:
        pairs: The folder of their folders.
        sources: Names of series and torsos.
        doses: Which; empty for all.
        kernels: Which; empty for all.
        slices: How many of each; None for all.
    """
    for files in find_pairs([pairs]):
        source, _, kernel = files.folder.name.partition("-")
        if source in sources and (not kernels or kernel in kernels):
            for index, low in enumerate(files.low):
                if not doses or low.exposure.dose_fraction in doses:
                    yield Case(files, index, slices)


def score(cases: Iterator[Case], methods: Sequence[Method], file: Path) -> None:
    """Measure what is not yet in a file, and write it there after each twin.

    Args:
        cases: Twins.
        methods: What is tried on them.
        file: JSON; a row for each twin, method and strength.
    """
    rows: dict[str, dict[str, Any]] = (
        json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    )
    for case in cases:
        before = dict(rows)
        key = f"{case.name}|{INPUT}"
        if key not in rows:
            rows[key] = _row(case, INPUT, 0.0, case.figures(case.pair.low))
        for method in methods:
            if not method.doses or case.dose in method.doses:
                _add(rows, case, method)
        if rows != before:
            written = file.with_suffix(".part")
            written.write_text(json.dumps(rows, indent=1), encoding="utf-8")
            written.replace(file)
            show(rows, case.name)


def _add(rows: dict[str, dict[str, Any]], case: Case, method: Method) -> None:
    true_noise_hu = rows[f"{case.name}|{INPUT}"]["rmse_soft"]
    try:
        denoiser = method.denoiser(case.source, true_noise_hu)
    except MissingExtraError:
        return
    wanted = {f"{case.name}|{method.name}|{strength:g}": strength for strength in method.strengths}
    if all(rows.get(key, {}).get("digest") == denoiser.digest for key in wanted):
        return
    low = case.pair.low
    removed = low.hu - denoiser(low).hu
    for key, strength in wanted.items():
        image = low.with_hu(low.hu - strength * removed, Step("denoise"))
        figures = case.figures(image) if strength in method.measured else case.psnr(image)
        row = _row(case, method.name, strength, figures)
        rows[key] = {**row, "digest": denoiser.digest}


def _row(case: Case, method: str, strength: float, figures: Figures) -> dict[str, Any]:
    return {
        "source": case.source,
        "kernel": case.kernel,
        "dose": case.dose,
        "truth": case.truth,
        "method": method,
        "strength": strength,
        "slices": case.pair.low.shape[0],
        **figures,
    }


def gain_db(row: Mapping[str, Any], rows: Mapping[str, Mapping[str, Any]]) -> float:
    """By how much the PSNR of a row is above that of its input, dB.

    Args:
        row: Of a method.
        rows: All rows.
    """
    key = f"{row['source']}-{row['kernel']}-{row['dose']:g}|{INPUT}"
    return float(row[PSNR] - rows[key][PSNR])


def limit_db(dose: float) -> float:
    """The most that can be gained against a full dose that keeps its noise in the twin, dB.

    With noise of variance v / dose in the twin, of which v is that of the full dose, the best
    estimate of the full dose keeps the share `dose` of the noise; its error has the variance
    v (1 - dose), that of the twin v (1 / dose - 1).

    Args:
        dose: Over that of the full dose.
    """
    return -10 * math.log10(dose)


def show(rows: Mapping[str, Mapping[str, Any]], name: str) -> None:
    """Print the rows of a twin."""
    for key, row in rows.items():
        if key.startswith(f"{name}|"):
            shown = {
                "gain": gain_db(row, rows),
                **{k: row.get(k) for k in ("rmse", "rmse_soft", "bias_soft", "noise_test")},
            }
            words = " ".join(f"{k} {v:.2f}" for k, v in shown.items() if v is not None)
            print(f"{name} {row['method']} {row['strength']:g}: {words}", flush=True)
