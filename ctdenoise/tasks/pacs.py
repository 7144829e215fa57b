"""`pacs`: whether a peer is there, what it has, and moving instances to and fro."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Sequence
from pathlib import Path

from ctdenoise.config.peer_address import find_peer
from ctdenoise.config.peers import DimsePeer, PacsSettings, Peer
from ctdenoise.core.progress import SILENT, Progress
from ctdenoise.errors import InputError, UsageError
from ctdenoise.io.dicom_directory import is_directory_file
from ctdenoise.io.dicom_file import looks_like_dicom
from ctdenoise.pacs import client, moving, retrieving, sender
from ctdenoise.pacs.client import Echo
from ctdenoise.pacs.matches import LEVELS, Level, Match, Wanted, asked_for
from ctdenoise.pacs.moving import Moved
from ctdenoise.pacs.retrieving import GetReport
from ctdenoise.pacs.retry import BackOff
from ctdenoise.pacs.sender import SendReport, Sent

__all__ = [
    "Echo",
    "GetReport",
    "Level",
    "Match",
    "Moved",
    "SendReport",
    "Wanted",
    "as_csv",
    "as_json",
    "columns",
    "echo",
    "find",
    "get",
    "move",
    "named_peer",
    "send",
]


def named_peer(text: str, settings: PacsSettings, *, calling: str | None = None) -> Peer:
    """The peer that somebody means.

    Args:
        text: A name in the settings, or an address.
        settings: Peers that have names.
        calling: Our own AE title, instead of the one in the settings.

    Raises:
        UsageError: If it is neither, or is given an AE title and speaks DICOMweb.
        SettingsError: If something in the address is not allowed.
    """
    peer = find_peer(text, settings)
    if calling is None:
        return peer
    if not isinstance(peer, DimsePeer):
        raise UsageError("DICOMweb knows no AE titles.", fix="Leave --calling out.")
    return peer.replaced(calling_ae_title=calling)


def echo(peer: Peer) -> Echo:
    """Ask a peer whether it is there, once.

    Args:
        peer: Whom.

    Raises:
        PeerError: If it does not answer well.
    """
    return client.echo(peer)


def find(
    peer: Peer,
    level: Level,
    wanted: Wanted,
    settings: PacsSettings,
    *,
    most: int,
    patient: bool = False,
) -> tuple[Match, ...]:
    """What a peer has of what is wanted.

    Args:
        peer: Whom to ask.
        level: What to look for.
        wanted: What must fit.
        settings: What is tried again.
        most: How many matches at most.
        patient: Whether to ask for what names the patient, too.

    Raises:
        UsageError: If too little is said.
        PeerError: If the peer does not answer well.
    """
    back_off = BackOff(settings.retry)
    return back_off.until_it_works(
        lambda: client.find(peer, level, wanted, most=most, patient=patient)
    )


def columns(level: Level, *, patient: bool) -> tuple[str, ...]:
    """Attributes of the matches of a level, in the order in which they are shown.

    Args:
        level: What was looked for.
        patient: Whether what names the patient is shown, too.
    """
    every = [
        name
        for outer in LEVELS[: LEVELS.index(level) + 1]
        for name in asked_for(outer, patient=patient)
    ]
    return tuple(dict.fromkeys(every))


def as_json(matches: Sequence[Match], level: Level, *, patient: bool) -> str:
    """Matches as a JSON list of objects.

    Args:
        matches: What was found.
        level: What was looked for.
        patient: Whether what names the patient is shown, too.
    """
    names = columns(level, patient=patient)
    rows = [{name: match.attributes.get(name, "") for name in names} for match in matches]
    return json.dumps(rows, indent=1, ensure_ascii=False)


def as_csv(matches: Sequence[Match], level: Level, *, patient: bool) -> str:
    """Matches as CSV, a line of names first.

    Args:
        matches: What was found.
        level: What was looked for.
        patient: Whether what names the patient is shown, too.
    """
    names = columns(level, patient=patient)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([match.attributes.get(name, "") for name in names] for match in matches)
    return text.getvalue().rstrip("\n")


def get(
    peer: Peer, wanted: Wanted, out: Path, settings: PacsSettings, *, progress: Progress = SILENT
) -> GetReport:
    """Get a study, a series or an instance into a folder.

    Args:
        peer: From whom.
        wanted: UIDs of it.
        out: Folder to make; new or empty.
        settings: What is tried again.
        progress: Told about every instance.

    Raises:
        CTDenoiseError: As `retrieving.retrieve`.
    """
    return retrieving.retrieve(peer, wanted, out, retry=settings.retry, progress=progress)


def move(peer: Peer, wanted: Wanted, destination: str, *, progress: Progress = SILENT) -> Moved:
    """Have a peer send something to another one, once.

    Args:
        peer: Who has it.
        wanted: UIDs of it.
        destination: AE title of who is to get it.
        progress: Told about every instance.

    Raises:
        UsageError: If the peer speaks DICOMweb, or nothing is named.
        PeerError: If the peer does not do it.
    """
    if not isinstance(peer, DimsePeer):
        raise UsageError("DICOMweb knows no move.", fix="Use `pacs get` and `pacs send`.")
    if not wanted.study_instance_uid:
        raise UsageError("no study is named.", fix="Give its UID, as `pacs find` shows it.")
    matches = client.find(peer, "image", wanted, most=client.MATCHES_MOST)
    with progress.stage("Moving", len(matches)) as advance:
        done = 0

        def tell(state: Moved) -> None:
            nonlocal done
            now = state.completed + state.failed + state.warned
            advance(max(now - done, 0))
            done = max(now, done)

        moved = moving.move(peer, wanted, destination, on_progress=tell)
        tell(moved)
    return moved


def send(
    studies: Sequence[Path], peer: Peer, settings: PacsSettings, *, progress: Progress = SILENT
) -> SendReport:
    """Send DICOM files, and all DICOM files below folders, to a peer.

    Args:
        studies: Files and folders. What is no DICOM in a folder stays where it is.
        peer: Where to.
        settings: What is tried again.
        progress: Told about every instance.

    Raises:
        InputError: If there is nothing to send, or a file cannot be sent.
        PeerError: If something could not be delivered.
    """
    files = _files(studies)
    with progress.stage("Sending", len(files)) as advance:

        def tell(sent: Sent) -> None:
            del sent
            advance()

        return sender.send(files, peer, retry=settings.retry, on_sent=tell)


def _files(studies: Sequence[Path]) -> list[Path]:
    found: list[Path] = []
    for study in studies:
        if study.is_dir():
            below = (Path(p) / name for p, _, names in os.walk(study) for name in names)
            found += sorted(path for path in below if _is_instance(path))
        elif study.exists():
            found.append(study)
        else:
            raise InputError("there is no such file or folder.", where=study)
    if not found:
        raise InputError("there is no DICOM file in it.", where=studies[0] if studies else None)
    return found


def _is_instance(path: Path) -> bool:
    try:
        return path.is_file() and looks_like_dicom(path) and not is_directory_file(path)
    except OSError:
        return True  # what cannot be read is told when it is to be sent
