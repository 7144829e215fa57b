"""`jobs audit`: whether the audit trail of a server is whole, and what it says."""

from __future__ import annotations

import json
from pathlib import Path

from ctdenoise.jobs.audit_check import AuditReport, checked_trail


def run(
    folder: Path, *, noted: str | None = None, study: str | None = None, lines: int = 20
) -> AuditReport:
    """Check the audit trail of a server; changes nothing.

    Args:
        folder: State folder of the server, running or not.
        noted: The digest of a last line that was noted before.
        study: StudyInstanceUID of the study to show lines of; None for all.
        lines: How many lines to show, the newest.

    Raises:
        InputError: If there is no trail.
    """
    return checked_trail(folder, noted=noted, study_uid=study, most=lines)


def as_json(report: AuditReport) -> str:
    """What was found, for other programs."""
    return json.dumps(
        {
            "whole": not report.problems,
            "problems": list(report.problems),
            "files": report.files,
            "first": report.first,
            "last": report.last,
            "head": report.head,
            "counts": dict(report.counts),
            "lines": [
                {"n": line.number, "at": line.at, "event": line.event, **line.facts}
                for line in report.shown
            ],
        },
        indent=2,
    )
