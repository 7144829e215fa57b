"""`ctdenoise jobs`."""

from __future__ import annotations

import json as json_text
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from ctdenoise.jobs.states import State

if TYPE_CHECKING:
    from ctdenoise.core.provenance import JsonValue
    from ctdenoise.jobs.audit_check import AuditReport
    from ctdenoise.jobs.job import Job
    from ctdenoise.jobs.outcome import SeriesOutcome
    from ctdenoise.tasks.jobs import FoundJob, FoundJobs

jobs = App(name="jobs", help_format="markdown")

_SHOWN = 50
"""Jobs in a table, unless another number is asked for."""

_DIGEST_SHOWN = 40
"""A longer word is a digest, and shortened."""

_Json = Annotated[bool, Parameter(name="--json", negative="")]


@jobs.command(name="list")
def list_jobs(
    folder: Path,
    /,
    *,
    state: Annotated[tuple[State, ...], Parameter(negative="")] = (),
    study: str | None = None,
    limit: int | None = None,
    json: _Json = False,
) -> None:
    """List jobs, the newest first, with the reasons of those that failed.

    Args:
        folder: State folder of `serve`, running or not, or output folder of `batch`.
        state: Only jobs in this state; may be given several times.
        study: Only jobs of the study with this digest.
        limit: Most jobs to list; by default 50 in a table, all with `--json`.
        json: Print JSON for other programs.
    """
    from ctdenoise.cli import console
    from ctdenoise.tasks import jobs as task

    most = limit if limit is not None or json else _SHOWN
    found = task.find(folder, states=state, study=study, limit=most)
    if json:
        console.print_line(task.list_as_json(found))
        return
    if found.jobs:
        _show_table(found.jobs)
    console.say(_summed_up(found))


@jobs.command(name="show")
def show_job(
    folder: Path,
    id: str,  # noqa: A002 - its name in the help
    /,
    *,
    details: Annotated[bool, Parameter(negative="")] = False,
    json: _Json = False,
) -> None:
    """Show one job: how far it is, its series, and every move with its time and reason.

    Args:
        folder: State folder of `serve`, running or not, or output folder of `batch`.
        id: The job's id, or its first characters if no other id begins so.
        details: Also show what the job was told and what came out. There may be paths in it, and a
            folder may be named after a patient.
        json: Print JSON for other programs.
    """
    from ctdenoise.cli import console
    from ctdenoise.tasks import jobs as task

    found = task.find_one(folder, id)
    if json:
        console.print_line(task.job_as_json(found, details=details))
        return
    _show(found)
    if details:
        for title, value in (("told", found.job.payload), ("result", found.job.result)):
            console.print_line(f"\n{title}\n{json_text.dumps(value, indent=2)}")


@jobs.command(name="retry")
def retry_jobs(
    folder: Path,
    /,
    *ids: str,
    all_dead_letters: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Have jobs tried again that were given up or refused, or done once more.

    A job whose result could not be sent is sent again; every other is done from the start, with all
    its tries. What a destination confirmed is not sent twice. Either all of the jobs are led back
    or none.

    Args:
        folder: State folder of `serve`, running or not, or output folder of `batch`.
        ids: Ids of jobs, or their first characters.
        all_dead_letters: Every job that was given up, in place of ids.
    """
    from ctdenoise.cli import console
    from ctdenoise.tasks import jobs as task

    back = task.retry(folder, ids, all_dead_letters=all_dead_letters)
    if back:
        _show_table(back)
    count = "1 job" if len(back) == 1 else f"{len(back)} jobs"
    console.say(
        f"{count} to be tried again. A server that is running takes them on by itself, a batch "
        "when the same command is run again."
    )


@jobs.command(name="audit")
def audit_jobs(
    folder: Path,
    /,
    *,
    noted: str | None = None,
    study: str | None = None,
    lines: int = 20,
    json: _Json = False,
) -> int:
    """Check the audit trail of a server, and show its newest lines.

    A line that was changed, removed or put between shows. That lines were cut off at the end shows
    only by `--noted`: note the digest of the last line elsewhere now and then. Ends with exit code
    1 if the trail is not whole.

    Args:
        folder: State folder of `serve`, running or not.
        noted: The digest of a last line that you noted before; the trail must still hold it.
        study: Only lines about the study with this StudyInstanceUID.
        lines: How many lines to show.
        json: Print JSON for other programs.
    """
    from ctdenoise.cli import console
    from ctdenoise.tasks import jobs_audit as task

    report = task.run(folder, noted=noted, study=study, lines=lines)
    if json:
        console.print_line(task.as_json(report))
    else:
        _show_trail(report)
    return 1 if report.problems else 0


def _show_trail(report: AuditReport) -> None:
    from rich.markup import escape

    from ctdenoise.cli import console

    rows = [
        (str(line.number), line.at, line.event, escape(_facts(line.facts))) for line in report.shown
    ]
    if rows:
        console.show_table(("line", "when (UTC)", "event", "what"), rows, figures=("line",))
    for problem in report.problems:
        console.print_line(f"broken: {problem}")
    verdict = "not whole" if report.problems else "whole"
    since = "" if report.first == 1 else f" from line {report.first:,} on, older files are not here"
    count = "1 line" if report.last == report.first else f"{report.last - report.first + 1:,} lines"
    console.print_line(f"The trail is {verdict}: {count}{since}.")
    console.print_line(f"Its last line, to be noted elsewhere: {report.head}")


def _facts(facts: Mapping[str, JsonValue]) -> str:
    """What a line says, digests shortened."""
    first = [name for name in ("who", "job") if name in facts]
    names = [*first, *(name for name in facts if name not in first)]
    return "  ".join(f"{name} {_short(facts[name])}" for name in names)


def _short(value: JsonValue) -> str:
    if isinstance(value, str):
        return value if len(value) <= _DIGEST_SHOWN or " " in value else f"{value[:12]}..."
    if isinstance(value, Mapping):
        return f"{len(value)}"
    if isinstance(value, list):
        return f"{len(value)}" if len(value) > 2 else ", ".join(map(_short, value))
    return str(value)


def _show_table(found: Sequence[Job]) -> None:
    """A line for each job; the kind only where there are several, so that reasons have room."""
    from rich.markup import escape

    from ctdenoise.cli import console

    columns: dict[str, Callable[[Job], str]] = {
        "job": lambda job: escape(job.id),
        "kind": lambda job: job.kind,
        "state": lambda job: job.state,
        "tries": lambda job: str(job.tries),
        "changed": lambda job: _local(job.changed, "%Y-%m-%d %H:%M"),
        "reason": lambda job: escape(_reason(job)),
    }
    if len({job.kind for job in found}) == 1:
        del columns["kind"]
    rows = [[words_of(job) for words_of in columns.values()] for job in found]
    console.show_table(list(columns), rows, figures=("tries",))


def _reason(job: Job) -> str:
    if not job.not_before:
        return job.reason
    return f"{job.reason or 'waits'} (again at {_local(job.not_before, '%H:%M:%S')})"


def _summed_up(found: FoundJobs) -> str:
    parts = [f"{count:,} {state}" for state, count in found.counts.items() if count]
    number = sum(found.counts.values())
    jobs = "1 job" if number == 1 else f"{number:,} jobs"
    every = f"{jobs}: {', '.join(parts)}." if parts else "No jobs."
    if len(found.jobs) == found.matching:
        return every
    return f"{every}\nThe newest {len(found.jobs):,} of {found.matching:,} are listed; see --limit."


def _show(found: FoundJob) -> None:
    from rich.markup import escape

    from ctdenoise.cli import console

    job = found.job
    console.show_facts(
        f"job {job.id}",
        (
            ("kind", job.kind),
            ("study", escape(job.study)),
            ("state", job.state),
            ("reason", escape(job.reason)),
            ("tries", str(job.tries)),
            ("not before", _local(job.not_before) if job.not_before else ""),
            ("created", _local(job.created)),
        ),
    )
    console.print_line("")
    _show_series(job)
    rows = [(_local(move.at), move.after, escape(move.reason)) for move in found.history]
    console.show_table(("when", "became", "reason"), rows)


def _show_series(job: Job) -> None:
    """What came of each series of a study that a server worked on."""
    from rich.markup import escape

    from ctdenoise.cli import console
    from ctdenoise.jobs.outcome import series_outcomes

    found = series_outcomes(job.result)
    if not found:
        return
    rows = [
        (
            f"{one.number} ({escape(one.what)})" if one.what else str(one.number),
            escape(one.status),
            str(one.slices),
            escape(one.rule),
            escape(one.model),
            _noise(one),
            escape(one.reason),
        )
        for one in found
    ]
    heads = ("series", "outcome", "slices", "rule", "model", "noise, HU", "reason")
    console.show_table(heads, rows, figures=("slices", "noise, HU"))
    console.print_line("")


def _noise(one: SeriesOutcome) -> str:
    """Noise before and after, where it was measured."""
    values = [f"{hu:.1f}" for hu in (one.noise_before_hu, one.noise_after_hu) if hu is not None]
    return " to ".join(values)


def _local(seconds: float, style: str = "%Y-%m-%d %H:%M:%S") -> str:
    """A moment as the clock on the wall shows it."""
    return time.strftime(style, time.localtime(seconds))
