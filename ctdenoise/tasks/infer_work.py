"""A study, a denoiser and their settings brought together: everything up to the first voxel.

Whatever can be refused is refused here, for a run and for a plan of one alike.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from ctdenoise.config.inference import InferSettings
from ctdenoise.core.overlap import Busy
from ctdenoise.core.source import SourceKind
from ctdenoise.inference.denoiser import Denoiser, Denoising
from ctdenoise.inference.load import load_denoiser
from ctdenoise.inference.method import Sample
from ctdenoise.inference.region import open_region
from ctdenoise.io.read import SeriesReader, open_series
from ctdenoise.io.staging import require_free_folder
from ctdenoise.io.study import FoundSeries
from ctdenoise.io.write import FileFormat, check_transfer_syntax, check_writable, written_kind
from ctdenoise.tasks.infer_blocks import read_sample
from ctdenoise.tasks.infer_objects import Wanted, check_wanted, wanted_objects


@dataclass(frozen=True, slots=True)
class InferRequest:
    """What is asked for.

    Args:
        study: Folder or file with the study, or the series itself.
        model: A registered name, a checkpoint, or the output folder of a training run; or what was
            loaded of it, with the same settings. None for the released model of the device.
        settings: Controls, device, precision, memory.
        out: Folder to make; new or empty.
        series: Which series, where there are several: its number, the end of its UID, or a part of
            its description.
        file_format: What to write; "same" as the study.
        roi: Where anything may be changed: a box of pixels or the path of a label map; see
            `open_region`. None for everywhere.
    """

    study: Path | FoundSeries
    model: str | Path | Denoiser | None
    settings: InferSettings
    out: Path
    series: str | None = None
    file_format: FileFormat = "same"
    roi: str | None = None


@dataclass(frozen=True, slots=True)
class Work:
    """One study on its way.

    Args:
        reader: The series, open for reading.
        denoiser: What denoises.
        denoising: The same, ready for this series.
        sample: Slices that were measured.
        settings: Of `infer`, every strength in figures.
        kind: What is written.
        wanted: What is written beside the images.
        busy: Seconds of each stage.
    """

    reader: SeriesReader
    denoiser: Denoiser
    denoising: Denoising
    sample: Sample
    settings: InferSettings
    kind: SourceKind
    wanted: Wanted
    busy: Busy


_NAMED = str | Path | None


@contextmanager
def prepared(request: InferRequest) -> Iterator[Work]:
    """Get ready to denoise a study; its files are closed at the end.

    Args:
        request: What is asked for.

    Raises:
        OutputExistsError: If the output folder holds something.
        CheckpointError: If the model is no checkpoint.
        UsageError: If it is not clear which series is meant, there is no GPU, or no such region.
        StudyError: If the series is no CT, cannot be read right, or cannot be derived from.
        InputError: If the controls need a noise that cannot be measured.
    """
    started = time.perf_counter()
    require_free_folder(request.out)
    busy, settings = Busy(), request.settings
    model = request.model
    denoiser = load_denoiser(model, settings) if isinstance(model, _NAMED) else model
    with ExitStack() as opened:
        reader = opened.enter_context(open_series(request.study, series=request.series))
        kind = written_kind(reader, request.file_format)
        check_transfer_syntax(settings.dicom, kind)
        check_writable(reader, request.file_format)
        wanted = wanted_objects(denoiser, settings)
        check_wanted(wanted, reader, request.file_format)
        region = None
        if request.roi is not None:
            region = opened.enter_context(open_region(request.roi, reader.geometry))
        busy.seconds["open"] = time.perf_counter() - started
        with busy.at("sample"):
            sample = read_sample(reader, denoiser.context)
        with busy.at("settle"):
            settings = settings.with_recommended(denoiser.recommended)
            denoising = denoiser.settle(
                sample, reader, labels=wanted.labels, error=wanted.states_error, region=region
            )
        yield Work(reader, denoiser, denoising, sample, settings, kind, wanted, busy)


def controls_in_words(work: Work) -> tuple[tuple[str, str], ...]:
    """The controls that are used beside the strength: what it is, and what was chosen or found.

    Args:
        work: A study on its way.
    """
    denoising, settled = work.denoising, work.denoising.settled
    words = []
    if work.settings.presets:
        words.append(("preset", denoising.preset or "none fits: strength as it is given"))
    if settled.kept_below_per_mm:
        words.append(("kept below", f"{settled.kept_below_per_mm:g} /mm"))
    if settled.texture:
        words.append(("texture", f"{settled.texture:g}"))
    if settled.noise_target_hu is not None:
        found = f"{settled.noise_before_hu:.1f} HU before, {settled.noise_after_hu:.1f} HU after"
        words.append(("noise target", f"{settled.noise_target_hu:g} HU (sample: {found})"))
    region = settled.controls.region
    if region is not None:
        words.append(("only inside", f"{region.words}, {region.slices} slices"))
    return tuple(words)
