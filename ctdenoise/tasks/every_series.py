"""Every readable CT series of some studies: which they are, what became of each, and the table."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal, TypeVar

from ctdenoise.core.provenance import digest
from ctdenoise.errors import StudyError
from ctdenoise.io.image_files import image_parts
from ctdenoise.io.staging import staged_file
from ctdenoise.io.study import FoundSeries, find_series

SUMMARY_STEM = "series"
"""Name of the table of all series in the output folder: `.json` and `.csv`."""

REMOVE = "remove its folder to make it again"

Status = Literal["made", "kept", "failed", "skipped"]


@dataclass(frozen=True, slots=True)
class SeriesOutcome:
    """What became of one series.

    Args:
        folder: Its folder below the output folder; empty where there is none.
        study: Which of the studies given, from 1.
        number: Its number in the list of `inspect`; 0 for a study that cannot be read at all.
        what: "CT", "scout", "labels", ...
        slices: How many slices it has.
        status: "made" now, "kept" from an earlier run, "failed", or "skipped" as no CT image.
        reason: Why it failed or was skipped, its files numbered in the order of their names;
            empty otherwise.
        seconds: How long it took.
    """

    folder: str
    study: int
    number: int
    what: str
    slices: int
    status: Status
    reason: str = ""
    seconds: float = 0.0


Outcome = TypeVar("Outcome", bound=SeriesOutcome)


def listed_series(
    studies: Sequence[Path], kind: type[Outcome]
) -> Iterator[tuple[Outcome, FoundSeries | None]]:
    """Every series of every study, and the series itself where something is to be made of it.

    Args:
        studies: Folders or files.
        kind: What becomes of a series, with more fields than `SeriesOutcome` or not.
    """
    seen: set[str] = set()
    for place, study in enumerate(studies, start=1):
        try:
            found = find_series(study)
        except StudyError as error:
            yield kind("", place, 0, "unknown", 0, "failed", error.what), None
            continue
        for series in found:
            name = series_folder(series)
            facts = (place, series.number, series.what, series.slices)
            if not series.readable:
                status: Status = "failed" if series.what == "CT" else "skipped"
                reason = _without_names("; ".join(series.problems), series)
                yield kind("", *facts, status, reason), None
            elif name in seen:
                yield kind("", *facts, "skipped", "it was given before"), None
            else:
                seen.add(name)
                yield kind(name, *facts, "made"), series


def series_folder(series: FoundSeries) -> str:
    """A name that tells a series from all others and names nobody: its number, and a digest.

    Args:
        series: A readable series.
    """
    source = series.source
    key = [instance.sop_instance_uid for instance in source.instances]
    if series.kind != "dicom":
        key = [_start_digest(part) for part in image_parts(source.instances[0].path)]
    number = series.headers[0].series_number if series.headers else None
    return f"{number or 0:04d}-{digest([source.series_instance_uid, *key], length=8)}"


def failed(outcome: Outcome, reason: str, series: FoundSeries) -> Outcome:
    """The outcome of a series that should have been made and was not.

    Args:
        outcome: What was to become of it.
        reason: Of any number of lines.
        series: Whose file names are taken out of the reason.
    """
    first, *more = _without_names(reason, series).splitlines()
    reason = " ".join((first, "; ".join(line.strip().removeprefix("- ") for line in more))).strip()
    return replace(outcome, folder="", status="failed", reason=reason)


def write_summary(out: Path, outcomes: Sequence[SeriesOutcome]) -> None:
    """Write the table of all series, as JSON and as CSV.

    Args:
        out: The folder above those of the series.
        outcomes: What became of each.
    """
    rows = [asdict(outcome) for outcome in outcomes]
    with staged_file(out / f"{SUMMARY_STEM}.json") as stage:
        stage.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    with (
        staged_file(out / f"{SUMMARY_STEM}.csv") as stage,
        stage.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        for row in rows:
            lists = {k: " ".join(map(str, v)) for k, v in row.items() if isinstance(v, tuple)}
            writer.writerow({**row, **lists})


def _start_digest(path: Path) -> str:
    with path.open("rb") as file:
        return digest([file.read(1 << 20).hex(), path.stat().st_size])


def _without_names(reason: str, series: FoundSeries) -> str:
    """A reason whose files are numbered: their names may hold that of the patient."""
    names = {instance.path.name for instance in series.source.instances}
    for number, name in enumerate(sorted(names), start=1):
        listed_name = rf"(?:(?<=[:,] )|(?<=\()){re.escape(name)}(?=,|\)| and )"
        reason = re.sub(listed_name, f"file {number}", reason)
    return reason
