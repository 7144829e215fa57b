"""Reading an audit trail back: whether it is whole, and what it says."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ctdenoise.core.provenance import JsonValue
from ctdenoise.errors import InputError
from ctdenoise.jobs.audit import AUDIT_FILE, KEY_FILE, pseudonym
from ctdenoise.jobs.audit_files import NO_LINE, archives, sha256_of_line

_KEPT = ("n", "at", "event", "before")


@dataclass(frozen=True, slots=True)
class AuditLine:
    """One line of a trail.

    Args:
        number: Its number, from 1.
        at: When, ISO 8601 in UTC.
        event: What happened.
        facts: What is said about it.
    """

    number: int
    at: str
    event: str
    facts: Mapping[str, JsonValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AuditReport:
    """What the check of a trail found.

    Args:
        files: How many files it has.
        first: Number of the first line that is there; more than 1 where old files were put away.
        last: Number of the last line.
        head: Digest of the last line: note it elsewhere, and ask for it later.
        counts: How often each event is there.
        problems: Every place where the chain is broken, in words; empty if it is whole.
        shown: The lines that were asked for, the newest last.
    """

    files: int
    first: int
    last: int
    head: str
    counts: Mapping[str, int]
    problems: tuple[str, ...] = ()
    shown: tuple[AuditLine, ...] = ()


@dataclass(slots=True)
class _Chain:
    """What is known while the lines go by."""

    first: int = 0
    last: int = 0
    head: str = ""
    met: bool = False
    counts: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    shown: list[AuditLine] = field(default_factory=list)


def checked_trail(
    folder: Path, *, noted: str | None = None, study_uid: str | None = None, most: int = 20
) -> AuditReport:
    """Check the chain of a trail, over all its files, and read its lines.

    A line that was changed, removed, added or put elsewhere breaks the chain. That lines were
    removed at the end shows only where a digest of the head was noted elsewhere before.

    Args:
        folder: The state folder.
        noted: The digest of a head that was noted before; the trail must still hold that line.
        study_uid: Only the lines about this study; None for all.
        most: How many lines to give back, the newest.

    Raises:
        InputError: If there is no trail, or no key to find the study by.
    """
    files = _files_of(folder)
    wanted = None if study_uid is None else _pseudonym(folder, study_uid)
    chain = _Chain()
    for name, place, line in _lines_of(files):
        entry = _joined(chain, line, f"{name}, line {place}")
        chain.met = chain.met or chain.head == noted
        if entry is not None and (wanted is None or wanted in _texts_in(entry.facts)):
            chain.shown = [*chain.shown, entry][-most:] if most else []
    if noted is not None and not chain.met:
        chain.problems.append(
            f"no line has the digest {noted[:16]}... that was noted: lines were removed or changed"
        )
    return AuditReport(
        files=len(files),
        first=chain.first,
        last=chain.last,
        head=chain.head,
        counts=dict(sorted(chain.counts.items())),
        problems=tuple(chain.problems),
        shown=tuple(chain.shown),
    )


def _files_of(folder: Path) -> tuple[Path, ...]:
    newest = folder / AUDIT_FILE
    if not folder.is_dir():
        raise InputError("there is no such folder.", where=folder)
    files = (*archives(folder), *((newest,) if newest.is_file() else ()))
    if not files:
        raise InputError(
            f"this folder holds no audit trail ({AUDIT_FILE}).",
            where=folder,
            fix="Give the state folder of `ctdenoise serve`.",
        )
    return files


def _lines_of(files: tuple[Path, ...]) -> Iterator[tuple[str, int, bytes]]:
    for path in files:
        with path.open("rb") as file:
            for place, line in enumerate(file, start=1):
                yield path.name, place, line


def _joined(chain: _Chain, line: bytes, where: str) -> AuditLine | None:
    """Put a line to the chain; what does not fit becomes a problem."""
    if not line.endswith(b"\n"):
        chain.problems.append(f"{where}: half a line; the next start of the server removes it")
        return None
    line = line[:-1]
    before, chain.head = chain.head, sha256_of_line(line)
    entry, says_before = _parsed(line)
    if entry is None:
        chain.problems.append(f"{where}: it cannot be read")
        chain.last += 1
        return None
    is_first = chain.first == 0
    chain.first = chain.first or entry.number
    if is_first and entry.number == 1 and says_before != NO_LINE:
        chain.problems.append(f"{where}: it says to be the first line, and that one came before it")
    if not is_first and says_before != before:
        chain.problems.append(f"{where}: the line before it was changed, removed or put there")
    if not is_first and entry.number != chain.last + 1:
        chain.problems.append(f"{where}: number {entry.number} follows {chain.last}")
    chain.last = entry.number
    chain.counts[entry.event] += 1
    return entry


def _parsed(line: bytes) -> tuple[AuditLine | None, str]:
    try:
        values = json.loads(line)
        entry = AuditLine(
            number=int(values["n"]),
            at=str(values["at"]),
            event=str(values["event"]),
            facts={name: value for name, value in values.items() if name not in _KEPT},
        )
        return entry, str(values["before"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return None, ""


def _pseudonym(folder: Path, uid: str) -> str:
    try:
        key = (folder / KEY_FILE).read_bytes()
    except OSError as error:
        raise InputError(
            "the key of this trail cannot be read, so a study cannot be found by its UID.",
            where=folder / KEY_FILE,
        ) from error
    return pseudonym(key, uid)


def _texts_in(value: JsonValue) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield name
            yield from _texts_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts_in(inner)
