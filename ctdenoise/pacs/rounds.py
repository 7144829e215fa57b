"""Which files of a study were handed on, written down in its folder before they are.

A round is offered, then handed on. A crash in between offers the same round again, under the same
name, so that whoever takes it can tell.
"""

from __future__ import annotations

import json
import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from ctdenoise.io.staging import PARTIAL_MARK, staged_file

_log = logging.getLogger(__name__)

_NAME = "rounds.json"
_FILE = re.compile(r"[0-9a-f]{32}\.dcm|conflicts/[0-9a-f]{32}-[0-9a-f]{16}\.dcm")

Why = Literal["quiet", "counted", "stable", "longest wait"]
"""What made a study complete: nothing came for a while; all came that a peer counted; a peer says
so; it was waited for long enough."""


@dataclass(frozen=True, slots=True)
class Offered:
    """A round that was offered and, as far as is known, not taken yet.

    Args:
        id: Its name.
        why: What made the study complete.
        files: Its files, relative to the folder of the study.
    """

    id: str
    why: Why
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rounds:
    """What is written down about one study.

    Args:
        handed_on: Files that were part of a round that was taken.
        offered: The round that is offered.
    """

    handed_on: frozenset[str] = frozenset()
    offered: Offered | None = None


def read_rounds(folder: Path) -> Rounds:
    """What is written down in the folder of a study; nothing where that is damaged.

    Then everything is handed on again, which costs work and loses nothing.

    Args:
        folder: The folder.
    """
    try:
        text = (folder / _NAME).read_text(encoding="utf-8")
    except (FileNotFoundError, UnicodeDecodeError):
        return Rounds()
    try:
        found: Any = json.loads(text)
        offered = found["offered"]
        return Rounds(
            frozenset(str(name) for name in found["handed_on"]),
            None if offered is None else _offered(offered),
        )
    except (ValueError, KeyError, TypeError) as error:
        _log.warning("what was handed on is not known any more (%s)", type(error).__name__)
        return Rounds()


def _offered(found: Any) -> Offered:
    files = tuple(str(name) for name in found["files"])
    if found["why"] not in get_args(Why) or not all(map(_FILE.fullmatch, files)):
        raise ValueError("this was not written by us")
    return Offered(str(found["id"]), found["why"], files)


def write_rounds(folder: Path, rounds: Rounds) -> None:
    """Write down what is known about a study, in one step.

    Args:
        folder: Its folder.
        rounds: What is known.

    Raises:
        OutputError: If the disk is full or cannot be written.
    """
    offered = rounds.offered
    text = json.dumps(
        {
            "handed_on": sorted(rounds.handed_on),
            "offered": None
            if offered is None
            else {"id": offered.id, "why": offered.why, "files": list(offered.files)},
        }
    )
    with staged_file(folder / _NAME) as stage:
        stage.touch(mode=0o600)
        stage.write_text(text, encoding="utf-8")


def remove_unfinished(folder: Path) -> None:
    """Remove what a process that was killed had begun to write down in the folder of a study.

    Args:
        folder: The folder; no other process may be writing in it.
    """
    for left in folder.glob(f"{PARTIAL_MARK}*-{_NAME}"):
        left.unlink(missing_ok=True)
