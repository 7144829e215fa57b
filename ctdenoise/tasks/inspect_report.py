"""What `ctdenoise inspect` says of a series, as one value that becomes words or JSON."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import ctdenoise
from ctdenoise.io.series_facts import (
    EncodingFacts,
    GridFacts,
    ScanFacts,
    encoding_facts,
    grid_facts,
    scan_facts,
)
from ctdenoise.io.study import FoundSeries
from ctdenoise.tasks.inspect_advice import ADVICE, about_problem

JSON_SCHEMA = "ctdenoise.inspect/1"
"""Name and version of the JSON; a key may be added, none is renamed or removed within a version."""

Severity = Literal["error", "warning", "note"]

_LABELS = "whole numbers of 8 bits: a label map, not an image"


@dataclass(frozen=True, slots=True)
class Remark:
    """A problem, a warning or a note about a series.

    Args:
        severity: "error" makes it unreadable; see `Finding` for the others.
        code: Which kind of thing it is.
        text: What was found.
        advice: What one can do; empty where nothing needs to be done.
    """

    severity: Severity
    code: str
    text: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class SliceNoise:
    """Noise of one slice.

    Args:
        slice: Its number, from 1.
        position_mm: Where it lies along the normal.
        noise_hu: Standard deviation in soft tissue; None where it could not be measured.
        reason: Why not.
    """

    slice: int
    position_mm: float
    noise_hu: float | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class NoiseFacts:
    """Noise measured from the pixels.

    Args:
        noise_hu: Of all measured slices together; None where it could not be measured.
        reason: Why not.
        slices: Of each slice that was looked at.
    """

    noise_hu: float | None
    reason: str
    slices: tuple[SliceNoise, ...] = ()


@dataclass(frozen=True, slots=True)
class Use:
    """Whether a command can work on a series.

    Args:
        what: "denoise to DICOM", "denoise to NIfTI" or "simulate".
        possible: Whether it can.
        reason: Why not.
    """

    what: str
    possible: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class SeriesReport:
    """Everything that is known about a series without showing whose it is.

    Args:
        number: For `--series`.
        key: First 16 hexadecimal digits of the SHA-256 of SeriesInstanceUID; empty without one.
        kind: "dicom" or "nifti".
        what: "CT", "scout", "labels", ...
        description: As the header or the file name says.
        readable: Whether it can be read as a CT volume.
        slices, files: How many.
        remarks: Sorted by severity.
        grid, scan, encoding: What the headers say.
        noise: What the pixels say; None if they were not read.
        uses: What the commands can do; None if that was not asked for.
    """

    number: int
    key: str
    kind: str
    what: str
    description: str
    readable: bool
    slices: int
    files: int
    remarks: tuple[Remark, ...]
    grid: GridFacts | None
    scan: ScanFacts
    encoding: EncodingFacts | None
    noise: NoiseFacts | None = None
    uses: tuple[Use, ...] | None = None


def report_of(
    series: FoundSeries, *, noise: NoiseFacts | None = None, uses: tuple[Use, ...] | None = None
) -> SeriesReport:
    """What is known about a found series.

    Args:
        series: One of `find_series`.
        noise: What its pixels say, if they were read.
        uses: What the commands can do, if that was asked for.
    """
    uid = series.source.series_instance_uid
    return SeriesReport(
        number=series.number,
        key=hashlib.sha256(uid.encode()).hexdigest()[:16] if uid else "",
        kind=series.kind,
        what=series.what,
        description=series.description,
        readable=series.readable,
        slices=series.slices,
        files=len({instance.path for instance in series.source.instances}),
        remarks=_remarks(series),
        grid=grid_facts(series),
        scan=scan_facts(series),
        encoding=encoding_facts(series),
        noise=noise,
        uses=uses,
    )


def _remarks(series: FoundSeries) -> tuple[Remark, ...]:
    if series.what == "labels":
        advice = "Give it to `ctdenoise simulate --labels` to go with its image."
        return (Remark("note", "label-map", _LABELS, advice),)
    if series.what != "CT":
        return tuple(Remark("note", "not-ct", text) for text in series.problems)
    remarks = [Remark("error", "unreadable", text, about_problem(text)) for text in series.problems]
    for severity in ("warning", "note"):
        remarks += [
            Remark(finding.severity, finding.code, finding.text, ADVICE.get(finding.code, ""))
            for finding in series.notes
            if finding.severity == severity
        ]
    return tuple(remarks)


def as_json(reports: Sequence[SeriesReport]) -> str:
    """The reports as JSON: the same for the same files, without names, IDs, dates or full UIDs.

    Args:
        reports: One for each series.
    """
    record = {
        "schema": JSON_SCHEMA,
        "version": ctdenoise.__version__,
        "series": [_rounded(asdict(report)) for report in reports],
    }
    return json.dumps(record, indent=2, allow_nan=False, ensure_ascii=True)


def _rounded(value: object) -> object:
    """The same with numbers of six decimals, so that the last bits of a sum do not show."""
    match value:
        case float():
            return round(value, 6)
        case dict():
            return {key: _rounded(inner) for key, inner in value.items()}
        case list() | tuple():
            return [_rounded(inner) for inner in value]
        case _:
            return value
