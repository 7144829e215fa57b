"""What is asked for where denoisers are judged: checked, loaded, and what it will cost."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ctdenoise.config.judgement import JudgeSettings, Study
from ctdenoise.core.geometry import Geometry
from ctdenoise.core.volume import CTVolume
from ctdenoise.errors import UsageError
from ctdenoise.inference.denoiser import Denoiser
from ctdenoise.inference.load import load_denoiser
from ctdenoise.io.image_labels import LabelReader
from ctdenoise.io.read import open_series
from ctdenoise.metrics.grids import require_same_grid
from ctdenoise.tasks.judge_one import ScanQuestion
from ctdenoise.tasks.judge_studies import OF_SCAN, STUDIES, study_cost

_USUAL_SIZE = 512


@dataclass(frozen=True, slots=True)
class JudgeRequest:
    """What is asked for.

    Args:
        models: Names, checkpoints, or output folders of training runs.
        studies: What to do; empty for the usual ones.
        scan: Folder or file of a scan; None without one.
        series: Which series, where the folder holds several.
        truth: Folder or file of the same slices without noise, or with less; None if unknown.
        labels: A label map of the scan; None without.
        segment_with: A model with a segmentation head that labels the scan; None without.
        names: What to call the models; the kind of each if empty.
        seed: The same seed gives the same figures.
    """

    models: tuple[str | Path, ...]
    studies: tuple[Study, ...] = ()
    scan: Path | None = None
    series: str | None = None
    truth: Path | None = None
    labels: Path | None = None
    segment_with: Path | None = None
    names: tuple[str, ...] = ()
    seed: int = 0

    @property
    def chosen(self) -> tuple[Study, ...]:
        """The studies that are done."""
        wanted = self.studies or [one for one in STUDIES if (one in OF_SCAN) == self.has_scan]
        return tuple(study for study in STUDIES if study in wanted)

    @property
    def has_scan(self) -> bool:
        """Whether there is a scan."""
        return self.scan is not None


@dataclass(frozen=True, slots=True)
class JudgePlan:
    """What is to be done, everything that can be refused having been checked.

    Args:
        request: What was asked for.
        denoisers: Ready to be called.
        names: What each is called.
        question: The scan; None where no study needs one.
        costs: What each study costs, a sentence each.
    """

    request: JudgeRequest
    denoisers: tuple[Denoiser, ...]
    names: tuple[str, ...]
    question: ScanQuestion | None
    costs: tuple[str, ...]


def planned(request: JudgeRequest, settings: JudgeSettings) -> JudgePlan:
    """Load the models, look at the scan, and find out what every study will cost.

    Args:
        request: What is asked for.
        settings: How to measure.

    Raises:
        UsageError: If a study needs a scan and there is none, or names do not match.
        CheckpointError: If a model is none.
        StudyError: If the scan, its truth or its labels cannot be read.
        GeometryError: If truth or labels are on another grid.
    """
    checked(request)
    denoisers = tuple(load_denoiser(model, settings.infer) for model in request.models)
    names = names_of(request, denoisers)
    question = scan_question(request, settings)
    shape = (_USUAL_SIZE,) * 3
    if question is not None:
        with open_series(question.scan, series=question.series) as reader:
            shape = reader.shape
            _require_grid_of(reader.geometry, question)
    seconds = [seconds_a_slice(denoiser, shape[1:]) for denoiser in denoisers]
    costs = [
        f"{name}: {one:.2f} s a slice of {shape[1]} x {shape[2]} pixels on this machine"
        for name, one in zip(names, seconds, strict=True)
    ]
    for study in request.chosen:
        each = [study_cost(study, settings, shape, one.context) for one in denoisers]
        total = sum(
            cost.slices * one * cost.pixels / (shape[1] * shape[2])
            for cost, one in zip(each, seconds, strict=True)
        )
        slices = " and ".join(dict.fromkeys(f"{cost.slices}" for cost in each))
        slices += " slice" if slices == "1" else " slices"
        scanned = " of phantoms that are scanned first" if each[0].scans else ""
        costs.append(
            f"--study {study}: {slices}{scanned}{' each' if len(each) > 1 else ''}, "
            f"about {clock(total)} of denoising"
        )
    return JudgePlan(request, denoisers, names, question, tuple(costs))


def seconds_a_slice(denoiser: Denoiser, shape: tuple[int, int]) -> float:
    """What a slice takes, by the clock: of noise, after one that does not count.

    Args:
        denoiser: What denoises.
        shape: Rows and columns.
    """
    noise = np.random.default_rng(0).normal(0, 20, (1, *shape)).astype(np.float32)
    volume = CTVolume(noise, Geometry.axial((1, *shape), pixel_spacing_mm=0.7, slice_spacing_mm=3))
    denoiser(volume)
    started = time.perf_counter()
    denoiser(volume)
    return time.perf_counter() - started


def clock(seconds: float) -> str:
    """Seconds for people: "12 s", "3 min"."""
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def checked(request: JudgeRequest) -> None:
    """Refuse what cannot be done before anything is read.

    Args:
        request: What is asked for.

    Raises:
        UsageError: With the reason.
    """
    needing = [study for study in request.studies if study in OF_SCAN]
    if needing and request.scan is None:
        raise UsageError(
            f"--study {' '.join(needing)} needs a scan, and none was named.",
            fix="Name a scan first: ctdenoise evaluate SCAN --model ...; or leave these out.",
        )
    if request.scan is None and (request.truth or request.labels or request.segment_with):
        raise UsageError(
            "a truth or labels belong to a scan, and none was named.",
            fix="Name the scan first: ctdenoise evaluate SCAN --model ...",
        )
    if request.scan is not None and not set(request.chosen) & set(OF_SCAN):
        raise UsageError(
            f"a scan was named, and --study {' '.join(request.chosen)} does not look at it.",
            fix=f"Add {' or '.join(OF_SCAN)} to --study, or leave the scan out.",
        )
    if request.truth is not None and "scan" not in request.chosen:
        raise UsageError(
            "a truth is used by --study scan alone, which was not asked for.",
            where="--truth",
            fix="Add scan to --study, or leave the truth out.",
        )
    if request.labels is not None and request.segment_with is not None:
        raise UsageError(
            "labels come from a file or from a model, not from both.",
            fix="Leave out --labels or --segment-with.",
        )


def scan_question(request: JudgeRequest, settings: JudgeSettings) -> ScanQuestion | None:
    """The scan and what is known of it; None where no study needs one.

    Args:
        request: What is asked for.
        settings: How models are put to work.

    Raises:
        UsageError: If the model that is to label has no segmentation head.
    """
    if request.scan is None or not set(request.chosen) & set(OF_SCAN):
        return None
    segmenter = None
    if request.segment_with is not None:
        segmenter = load_denoiser(request.segment_with, settings.infer)
        if not segmenter.class_names:
            raise UsageError(
                "this network has no segmentation head, so it labels no organs.",
                where=request.segment_with,
                fix="Give a label map with --labels, or a network with a segmentation head.",
            )
    return ScanQuestion(request.scan, request.series, request.truth, request.labels, segmenter)


def _require_grid_of(grid: Geometry, question: ScanQuestion) -> None:
    """Refuse a truth or labels on another grid before anything is denoised."""
    if question.truth is not None:
        with open_series(question.truth) as truth:
            require_same_grid(grid, truth.geometry, name="the truth")
    if question.labels is not None:
        with LabelReader(question.labels, grid):
            pass  # opening it is what refuses another grid


def names_of(request: JudgeRequest, denoisers: Sequence[Denoiser]) -> tuple[str, ...]:
    """What the models are called: as asked for, or by their kind, numbered where two are alike.

    Args:
        request: What is asked for.
        denoisers: The models.

    Raises:
        UsageError: If there are more or fewer names than models, or two are the same.
    """
    if not request.names:
        kinds = [denoiser.name for denoiser in denoisers]
        return tuple(
            kind if kinds.count(kind) == 1 else f"{kind} {kinds[: place + 1].count(kind)}"
            for place, kind in enumerate(kinds)
        )
    called = tuple(name.strip() for name in request.names)
    different = len({folder_name(name) for name in called})
    if len(called) != len(denoisers) or not all(called) or different != len(called):
        raise UsageError(
            f"{len(denoisers)} models need {len(denoisers)} different names, and {len(called)} "
            f"were given: {', '.join(called)}.",
            where="--names",
        )
    return called


def folder_name(name: str) -> str:
    """A name as that of a folder: small letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "model"
