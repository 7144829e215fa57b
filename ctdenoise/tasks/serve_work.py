"""The work on one study of the server, in a process that may be lost at any moment.

Everything that is made lies in the folder of its job. A series appears there whole, then the record
of it; what has no record is taken away and made again. Work done again gives the same bytes, since
the series are dated by their job.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from ctdenoise.config.inference import InferSettings
from ctdenoise.core.kept_warnings import kept_warnings
from ctdenoise.core.moment import dated, moment_of
from ctdenoise.core.provenance import JsonValue, digest
from ctdenoise.core.workers import is_worker
from ctdenoise.errors import CTDenoiseError, InputError, UnfitResultError, UsageError
from ctdenoise.inference.denoiser import Denoiser
from ctdenoise.inference.load import load_denoiser
from ctdenoise.io.checksum import sha256_of
from ctdenoise.io.dicom_identity import stack_key
from ctdenoise.io.manifest import manifest_problems, read_manifest
from ctdenoise.io.staging import staged_file
from ctdenoise.io.study import find_series
from ctdenoise.jobs.performing import failure_of, one_line
from ctdenoise.networks.checkpoint import MODEL_FILE
from ctdenoise.networks.released import meant
from ctdenoise.tasks import infer
from ctdenoise.tasks.serve_outcomes import REASON_MOST, ServedSeries, StudyWork
from ctdenoise.tasks.serve_plan import Order, SeriesPlan, plan_study
from ctdenoise.tasks.serve_thumbnails import write_thumbnails


class SeriesFailedError(CTDenoiseError):
    """Some series of a study failed, which another try may mend."""


def process(work: StudyWork) -> dict[str, JsonValue]:
    """Do what the rules say with every series of a study.

    Args:
        work: Which study, and how.

    Returns:
        The outcome of every series under "series" and what was warned of under "warnings", as plain
        JSON.

    Raises:
        StudyError: If there is no image among the files.
        SeriesFailedError: If a series failed and there will be another try.
        OutputError: If the disk is full.
    """
    warnings: list[str] = []
    # In the server's own process others speak meanwhile, and its log takes what is said.
    heard = kept_warnings(warnings) if is_worker() else nullcontext()
    with heard, dated(moment_of(work.made_at)), _sources(work) as folder:
        plans = plan_study(find_series(folder), work.rules, work.entrances)
        outcomes = [_settled(plan, work) for plan in plans]
    failed = [one for one in outcomes if one.status == "failed"]
    if failed and not work.is_last_try:
        raise SeriesFailedError(_told(failed))
    return {"series": [one.as_json() for one in outcomes], "warnings": warnings}


def check_models(orders: tuple[Order, ...]) -> None:
    """Load every model that rules name, in the process that will use them.

    Args:
        orders: What the rules ask for.

    Raises:
        CheckpointError: If one is no checkpoint.
        UsageError: If a GPU is asked for and there is none.
        MissingExtraError: If a filter needs a package that is not installed.
    """
    for order in orders:
        try:
            denoiser_of(order)
        except CTDenoiseError as error:
            raise type(error)(f"{order.model}: {error.what}", fix=error.fix) from error


def _told(outcomes: list[ServedSeries]) -> str:
    return "; ".join(f"series {one.number}: {one.reason}" for one in outcomes)


@contextmanager
def _sources(work: StudyWork) -> Iterator[Path]:
    """A folder that holds the files of the job and no others, whatever arrives meanwhile."""
    scratch = Path(work.scratch)
    shutil.rmtree(scratch, ignore_errors=True)
    folder = scratch / "source"
    folder.mkdir(parents=True)
    try:
        for file in map(Path, work.files):
            try:
                os.link(file, folder / file.name)
            except FileNotFoundError as error:
                raise InputError("a file of the study is no longer in the inbox.") from error
            except OSError:  # another file system, or one without links
                shutil.copyfile(file, folder / file.name)
        yield folder
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _settled(plan: SeriesPlan, work: StudyWork) -> ServedSeries:
    """What becomes of one series."""
    outcome = ServedSeries(
        number=plan.series.number,
        what=plan.series.what,
        slices=plan.series.slices,
        status="skipped" if plan.verdict == "skip" else "refused",
        reason=_short(plan.reason),
        rule="" if plan.rule is None else plan.rule.name,
        description=plan.facts.series_description if work.keep_descriptions else "",
    )
    if plan.verdict != "make":
        return outcome
    try:
        return _made(plan, work.orders[outcome.rule], work, replace(outcome, status="done"))
    except (UnfitResultError, InputError, UsageError) as error:
        return replace(outcome, status="refused", reason=_short(one_line(error.what)))
    except (CTDenoiseError, MemoryError, OSError):
        raise  # it concerns the whole study: the disk is full, memory ran out
    except Exception as error:  # noqa: BLE001 - one series must not take the others with it
        return replace(outcome, status="failed", reason=_short(failure_of(error).words))


def _made(plan: SeriesPlan, order: Order, work: StudyWork, outcome: ServedSeries) -> ServedSeries:
    settings = order.settings
    try:
        denoiser = denoiser_of(order)
    except CTDenoiseError as error:  # it was there when the server started
        raise SeriesFailedError(f"the model cannot be loaded: {one_line(error.what)}") from error
    settings = settings.with_recommended(denoiser.recommended)
    recipe = recipe_of(plan, denoiser, settings)
    outcome = replace(
        outcome,
        model=denoiser.name,
        model_digest=denoiser.digest,
        recipe=recipe,
        send_to=order.send_to,
    )
    results, name = Path(work.results), f"{plan.series.number:03d}"
    before = work.made_before.get(recipe)
    if before is not None and _is_whole(results / before):
        return replace(outcome, status="kept", folder=before, reason="it was made before")
    place = results / work.job / name
    record = place.with_suffix(".json")
    finished = _finished(record, recipe)
    if finished is not None and _is_whole(place):
        return replace(finished, send_to=order.send_to)
    record.unlink(missing_ok=True)
    shutil.rmtree(place, ignore_errors=True)
    report = infer.run(plan.series, model=denoiser, settings=settings, out=place)
    outcome = replace(
        outcome,
        folder=f"{work.job}/{name}",
        sha256=_digest_of_files(place),
        seconds=round(report.seconds, 3),
        noise_before_hu=report.noise_before_hu,
        noise_after_hu=report.noise_after_hu,
    )
    if work.thumbnails is not None:
        folder = Path(work.thumbnails) / work.job
        write_thumbnails(plan.series, place / infer.DICOM_FOLDER, folder, plan.series.number)
        outcome = replace(outcome, thumbnail=plan.series.number)
    with staged_file(record) as stage:
        stage.write_text(json.dumps(outcome.as_json()), encoding="utf-8")
    return outcome


def recipe_of(plan: SeriesPlan, denoiser: Denoiser, settings: InferSettings) -> str:
    """A digest of the slices of a series and of what is done to them: the same, and it is kept.

    Args:
        plan: The series.
        denoiser: What denoises.
        settings: Of `infer`.
    """
    source = plan.series.source
    slices = [source.series_instance_uid, stack_key(source)]
    return digest([slices, denoiser.name, denoiser.digest, settings.as_json()], length=32)


def denoiser_of(order: Order) -> Denoiser:
    """The denoiser that a rule asks for.

    Args:
        order: What the rule asks for.

    Raises:
        CTDenoiseError: If it cannot be loaded, or is not the one that the rule means.
    """
    denoiser = loaded(order.model, order.settings.model_dump_json())
    if order.digest is None:
        return denoiser
    found = denoiser.digest
    if len(order.digest) > len(found):
        release, path = meant(order.model), Path(order.model)
        file = path / MODEL_FILE if path.is_dir() else path
        file = file if release is None else release.path
        found = sha256_of(file) if file.is_file() else found
    if found != order.digest:
        raise UsageError(
            f"the model is not the one that the rule means: its digest is {found}, not "
            f"{order.digest}."
        )
    return denoiser


@lru_cache(maxsize=4)
def loaded(model: str, settings: str) -> Denoiser:
    """A denoiser, loaded once in a process for all of its studies.

    Args:
        model: As `infer --model`.
        settings: Of `infer`, as JSON.
    """
    return load_denoiser(model, InferSettings.model_validate_json(settings))


def _digest_of_files(folder: Path) -> str:
    """One digest for all DICOM files of a result."""
    files = [one.sha256 for series in read_manifest(folder).series for one in series.instances]
    return digest(list(files), length=64)


def _is_whole(folder: Path) -> bool:
    """Whether a result is all there and as it was written; nobody else may have changed it."""
    try:
        return not manifest_problems(folder)
    except (InputError, OSError):
        return False


def _finished(record: Path, recipe: str) -> ServedSeries | None:
    """The outcome of a series that an earlier try of this job finished."""
    try:
        found = ServedSeries.from_json(json.loads(record.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return found if found.recipe == recipe else None


def _short(reason: str) -> str:
    most = REASON_MOST
    return reason if len(reason) <= most else reason[: most - 1] + "\N{HORIZONTAL ELLIPSIS}"
