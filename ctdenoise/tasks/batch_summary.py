"""The table of all studies of a batch, read from its ledger some at a time."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from ctdenoise.core.provenance import JsonValue
from ctdenoise.io.staging import staged_file
from ctdenoise.jobs.job import Job
from ctdenoise.jobs.ledger import Ledger
from ctdenoise.jobs.states import State

TABLE_STEM = "studies"
"""Name of the tables: `.json` and `.csv`."""

_TOLD_MOST = 1000
"""Failures that a report holds; the tables have all."""

Status = Literal["made", "partly", "refused", "failed", "waiting"]

_STATUS: dict[State, Status] = {
    "done": "made",
    "refused": "refused",
    "dead-letter": "failed",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One study.

    Args:
        number: Its place in the list when it was first named.
        name: What the list calls it.
        folder: Its folder below `studies/`; empty where there is none.
        status: "made", "partly" where some of its series could not be made, "refused" for what is
            wrong with its files, "failed" after all tries, or "waiting".
        reason: Why it was not made, or not whole.
        tries: How often it was begun.
        series: Series that were made.
        slices: Slices in them.
        seconds: How long it took.
        figures: Such as noise, HU.
    """

    number: int
    name: str
    folder: str
    status: Status
    reason: str
    tries: int
    series: int = 0
    slices: int = 0
    seconds: float = 0.0
    figures: Mapping[str, JsonValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tables:
    """What the tables show.

    Args:
        failed: Studies that were not made, or not whole; the first of them.
        failures: How many there are.
    """

    failed: tuple[Row, ...]
    failures: int


def write_tables(out: Path, ledger: Ledger) -> Tables:
    """Write studies.json and studies.csv, in the order of the list.

    Args:
        out: The output folder of the batch.
        ledger: Its ledger.
    """
    failed: list[Row] = []
    failures = 0
    figures = dict.fromkeys(key for row in rows_of(ledger) for key in row.figures)
    columns = [name for name in Row.__dataclass_fields__ if name != "figures"]
    with ExitStack() as opened:
        places = [
            opened.enter_context(staged_file(out / f"{TABLE_STEM}.{suffix}"))
            for suffix in ("json", "csv")
        ]
        as_json = opened.enter_context(places[0].open("w", encoding="utf-8"))
        as_csv = opened.enter_context(places[1].open("w", encoding="utf-8", newline=""))
        writer = csv.DictWriter(as_csv, [*columns, *figures])
        writer.writeheader()
        as_json.write("[")
        for place, row in enumerate(rows_of(ledger)):
            line = asdict(row)
            as_json.write(f"{',' if place else ''}\n {json.dumps(line)}")
            own = line.pop("figures")
            writer.writerow({**line, **own})
            if row.status != "made":
                failures += 1
                failed += [row] if len(failed) < _TOLD_MOST else []
        as_json.write("\n]\n")
    return Tables(tuple(failed), failures)


def rows_of(ledger: Ledger) -> Iterator[Row]:
    """Every study, in the order of the list; only some are held at a time.

    Args:
        ledger: Of the batch.
    """
    for job in ledger.every_job():
        yield _row(job)


def _row(job: Job) -> Row:
    status = _STATUS.get(job.state, "waiting")
    result = job.result if status == "made" else {}
    lost = str(result.get("failed") or "")
    figures = result.get("figures")
    return Row(
        number=_number(job.payload.get("number")),
        name=str(job.payload.get("name", "")),
        folder=str(job.payload["folder"]) if status == "made" else "",
        status="partly" if lost else status,
        reason=lost or ("" if status == "made" else job.reason),
        tries=job.tries,
        series=_number(result.get("series")),
        slices=_number(result.get("slices")),
        seconds=float(str(result.get("seconds") or 0.0)),
        figures=dict(figures) if isinstance(figures, Mapping) else {},
    )


def _number(value: JsonValue) -> int:
    return value if isinstance(value, int) else 0
