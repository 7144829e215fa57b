"""One denoiser, judged by all studies that were asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ctdenoise.config.judgement import JudgeSettings, Study
from ctdenoise.core.arrays import LabelArray
from ctdenoise.core.geometry import Geometry
from ctdenoise.core.progress import Progress
from ctdenoise.core.randomness import stream
from ctdenoise.core.volume import CTVolume
from ctdenoise.errors import InputError
from ctdenoise.inference.check_finding import CheckFinding
from ctdenoise.inference.check_range import outside_training, scan_figures, trained_on
from ctdenoise.inference.denoiser import Denoiser
from ctdenoise.inference.method import Sample
from ctdenoise.io.image_labels import LabelReader
from ctdenoise.io.read import SeriesReader, open_series
from ctdenoise.metrics.grids import require_same_grid
from ctdenoise.metrics.limits import Verdict, judged
from ctdenoise.metrics.measured import Measured
from ctdenoise.metrics.organ_change import organs_without_figures
from ctdenoise.report.judgement_view import ScanView
from ctdenoise.tasks.evaluate_masks import in_classes
from ctdenoise.tasks.infer_blocks import read_sample
from ctdenoise.tasks.judge_facts import model_facts, scan_facts
from ctdenoise.tasks.judge_sample import (
    JudgedScan,
    bodies,
    denoised_slices,
    judged_places,
)
from ctdenoise.tasks.judge_scan import judge_scan
from ctdenoise.tasks.judge_studies import OF_SCAN, Stack, on_phantoms, respond


@dataclass(frozen=True, slots=True)
class ScanQuestion:
    """The scan that denoisers are judged on, and what is known of it.

    Args:
        scan: Folder or file.
        series: Which series, where it holds several.
        truth: Folder or file of the same slices without noise, or with less; None if unknown.
        labels: A label map on its grid; None without.
        segmenter: Labels the slices, where there is no map; None without.
    """

    scan: Path
    series: str | None = None
    truth: Path | None = None
    labels: Path | None = None
    segmenter: Denoiser | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Judgement:
    """What came of one denoiser.

    Args:
        name: What it is called.
        digest: Of the model.
        facts: What was judged on what.
        flags: Where the scan lies outside of what it was trained on.
        range_known: Whether it is known what it was trained on.
        measured: Every figure.
        verdicts: Figures against their limits.
        view: Pictures of the scan; None without one.
        absent: What could not be measured, and why.
    """

    name: str
    digest: str
    facts: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
    flags: tuple[CheckFinding, ...]
    range_known: bool
    measured: Measured
    verdicts: tuple[Verdict, ...]
    view: ScanView | None
    absent: tuple[str, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether some limit is failed."""
        return any(verdict.outcome == "fail" for verdict in self.verdicts)


def judge(
    denoiser: Denoiser,
    name: str,
    studies: Sequence[Study],
    question: ScanQuestion | None,
    settings: JudgeSettings,
    *,
    seed: int,
    progress: Progress,
) -> Judgement:
    """Judge one denoiser.

    Args:
        denoiser: A network or a classical filter.
        name: What to call it.
        studies: What to do.
        question: The scan, if a study needs one.
        settings: How to measure, and the limits.
        seed: The same seed gives the same figures.
        progress: Told about every slice.
    """
    training = trained_on(denoiser)
    facts = [("Denoiser", model_facts(denoiser, training, settings.infer))]
    flags: tuple[CheckFinding, ...] = ()
    absent: tuple[str, ...] = ()
    measured, view = Measured(), None
    if question is not None:
        on_scan = _on_scan(denoiser, studies, question, settings, seed=seed, progress=progress)
        measured, view, flags = on_scan.measured, on_scan.view, on_scan.flags
        absent = on_scan.absent
        facts.append(("Scan", on_scan.facts))
    for study in studies:
        if study not in OF_SCAN:
            try:
                measured += on_phantoms(denoiser, study, settings, seed=seed, progress=progress)
            except InputError as error:  # such as an output without noise: the rest still counts
                absent = (*absent, f"{study}: {error.what}")
    known = bool(training) and not any(flag.code == "range-unknown" for flag in flags)
    verdicts = judged(measured.metrics, settings.limits)
    return Judgement(
        name, denoiser.digest, tuple(facts), flags, known, measured, verdicts, view, absent
    )


@dataclass(frozen=True, slots=True, eq=False)
class _OnScan:
    """What was found on a scan."""

    measured: Measured
    view: ScanView | None
    flags: tuple[CheckFinding, ...]
    facts: tuple[tuple[str, str], ...]
    absent: tuple[str, ...]


def _on_scan(
    denoiser: Denoiser,
    studies: Sequence[Study],
    question: ScanQuestion,
    settings: JudgeSettings,
    *,
    seed: int,
    progress: Progress,
) -> _OnScan:
    with open_series(question.scan, series=question.series) as reader:
        places = judged_places(reader.shape[0], settings.scan.slices)
        sample = read_sample(reader, denoiser.context)
        flags = outside_training(
            scan_figures(sample, reader), trained_on(denoiser), settings.infer.checks
        )
        scan, names = _judged_scan(
            denoiser, question, reader, sample, places, settings, progress=progress
        )
        del sample
        facts = scan_facts(reader, places)
        measured, view = Measured(), None
        absent: tuple[str, ...] = ()
        if "scan" in studies:
            with progress.stage("Measuring the scan", 1) as advance:
                rng = stream(seed, "judgement of a scan")
                found = judge_scan(scan, settings, rng=rng, class_names=names)
                measured, view = found.measured, found.view
                advance()
            if scan.labels is not None and (why := organs_without_figures(scan.labels, names)):
                absent = (f"organs: {why}",)
        if "response" in studies:
            stack = _stack(denoiser, question, reader, scan, names, settings)
            try:
                measured += respond(denoiser, stack, settings, seed=seed, progress=progress)
            except InputError as error:  # a scan without room for a lesion is judged otherwise
                absent = (*absent, f"contrast recovery: {error.what}")
    return _OnScan(measured, view, flags, facts, absent)


def _judged_scan(
    denoiser: Denoiser,
    question: ScanQuestion,
    reader: SeriesReader,
    sample: Sample,
    places: Sequence[int],
    settings: JudgeSettings,
    *,
    progress: Progress,
) -> tuple[JudgedScan, dict[int, str]]:
    """The slices before and after, with labels and truth where they are known; names of classes."""
    own_labels = question.labels is None and question.segmenter is None
    before, after, labels = denoised_slices(
        reader,
        denoiser,
        places,
        with_labels=own_labels and bool(denoiser.class_names),
        sample=sample,
        progress=progress,
    )
    names = dict(enumerate(denoiser.class_names))
    if question.segmenter is not None:
        labels = denoised_slices(
            reader, question.segmenter, places, with_labels=True, progress=progress
        )[2]
        names = dict(enumerate(question.segmenter.class_names))
    elif question.labels is not None:
        labels = _labels_of(question.labels, reader.geometry, places, settings)
        names = class_names(labels, settings.masks.names)
    truth = _truth(question, reader, places)
    slices = reader.shape[0]
    scan = JudgedScan(before, after, bodies(before), tuple(places), slices, labels, truth)
    return scan, names


def _stack(
    denoiser: Denoiser,
    question: ScanQuestion,
    reader: SeriesReader,
    scan: JudgedScan,
    names: dict[int, str],
    settings: JudgeSettings,
) -> Stack:
    """Slices for lesions: the whole scan, or those that were labelled if a network labels them."""
    if question.labels is None and scan.labels is not None and denoiser.context == 0:
        return Stack(scan.before, scan.places, scan.labels, names)
    every = range(reader.shape[0])
    labels = None
    if question.labels is not None:
        labels = _labels_of(question.labels, reader.geometry, every, settings)
    return Stack(reader, tuple(every), labels, {} if labels is None else names)


def _labels_of(
    path: Path, geometry: Geometry, places: Sequence[int], settings: JudgeSettings
) -> LabelArray:
    with LabelReader(path, geometry) as reader:
        slices = [reader.read(slice(place, place + 1)) for place in places]
    return in_classes(np.concatenate(slices), settings.masks.labels)


def _truth(question: ScanQuestion, reader: SeriesReader, places: Sequence[int]) -> CTVolume | None:
    if question.truth is None:
        return None
    with open_series(question.truth) as truth:
        require_same_grid(reader.geometry, truth.geometry, name="the truth")
        return truth.read(list(places))


def class_names(labels: LabelArray, names: Mapping[int, str]) -> dict[int, str]:
    """A name for every class of a label map.

    Args:
        labels: Classes, 0 is background.
        names: Those that somebody named.
    """
    every = range(int(labels.max()) + 1)
    return {n: names.get(n) or ("background" if n == 0 else f"class {n}") for n in every}
