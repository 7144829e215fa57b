"""WADO-RS: instances from a DICOMweb peer, written as they arrive (PS3.18 10.4)."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

from ctdenoise.config.peers import WebPeer
from ctdenoise.errors import OutputError
from ctdenoise.io.dicom_bounds import DamagedFileError
from ctdenoise.io.dicom_file import quiet_pydicom
from ctdenoise.pacs.inbox import instance_key
from ctdenoise.pacs.incoming import NotKeptError, as_not_kept
from ctdenoise.pacs.instance_head import part10_start, uids_at
from ctdenoise.pacs.matches import Match
from ctdenoise.pacs.multipart import Parts, boundary_of
from ctdenoise.pacs.web import Answer, WebConnection

_ACCEPT = 'multipart/related; type="application/dicom"; transfer-syntax=*'
_PREAMBLE_BYTES = 128
_ONE_BY_ONE_MOST = 0.5  # share of a series that is asked for one by one, when the rest is there
_HEAD_BYTES = 4096  # lines around each part


def get_by_web(
    matches: Sequence[Match], peer: WebPeer, folder: Path, *, known: int
) -> Iterator[str]:
    """Get instances, once, and give the UID of each as soon as its file is whole.

    Args:
        matches: What to get: matches of the level "image".
        peer: From whom.
        folder: An existing folder; the file of an instance is `instance_key` of its UID.
        known: Instances of the same retrieval that are there already.

    Raises:
        PeerUnavailable: If the peer is lost or busy; what was given before is there.
        PeerRefused: If it does not do it.
        OutputError: If the disk is full.
    """
    by_series: dict[str, list[Match]] = {}
    for match in matches:
        path = f"/studies/{match.uid('study')}/series/{match.uid('series')}"
        by_series.setdefault(path, []).append(match)
    one_by_one = known > 0 and len(matches) <= _ONE_BY_ONE_MOST * (known + len(matches))
    with quiet_pydicom(), WebConnection(peer) as connection:
        for path, series in by_series.items():
            wanted = {match.uid("image") for match in series}
            paths = [f"{path}/instances/{uid}" for uid in sorted(wanted)] if one_by_one else [path]
            for one in paths:
                with connection.get(one, accept=_ACCEPT) as answer:
                    answer.require_success()
                    yield from _taken(answer, connection.name, peer, wanted, folder)


def _taken(
    answer: Answer, name: str, peer: WebPeer, wanted: set[str], folder: Path
) -> Iterator[str]:
    boundary = boundary_of(answer.content_type, name)
    # A whole series may come although only a part of it is missing, but no more than it has.
    most_parts = 2 * len(wanted) + 1000
    most_bytes = peer.most_instance_mb * 2**20
    pieces = answer.pieces(most_bytes=most_parts * (most_bytes + _HEAD_BYTES))
    for part in Parts(pieces, boundary, name=name, most=most_parts):
        uid = _written(part, wanted, folder, most_bytes)
        if uid:
            wanted.discard(uid)
            yield uid
    for _ in pieces:  # what follows the last part
        pass


def _written(part: Iterator[bytes], wanted: set[str], folder: Path, most_bytes: int) -> str:
    """Write one part; the UID of the instance, or nothing where it is not kept."""
    path = folder / f"{uuid.uuid4().hex}.part"
    try:
        with as_not_kept():
            file = path.open("xb")
        with file:
            for piece in part:
                with as_not_kept():
                    _require_room(file.tell() + len(piece), most_bytes)
                    file.write(piece)
        with as_not_kept():
            uid = _identity(path)
            if uid not in wanted:
                return ""
            path.replace(folder / f"{instance_key(uid)}.dcm")
            return uid
    except NotKeptError as error:
        if error.reason in ("full", "disk"):
            raise OutputError(
                f"{error.what} What arrived is thrown away.",
                where=folder.parent,
                fix="Free some space or choose another --out.",
            ) from error
        for _ in part:  # the next one may be better
            pass
        return ""
    finally:
        path.unlink(missing_ok=True)


def _require_room(size: int, most_bytes: int) -> None:
    if size > most_bytes:
        raise NotKeptError("too-large", "an instance is larger than any may be")


def _identity(path: Path) -> str:
    """SOPInstanceUID of a file; its preamble, which may hold anything, becomes empty."""
    with path.open("r+b") as file:
        start, syntax = part10_start(file)
        uid = uids_at(file, start, syntax).sop_instance_uid
        if not start:
            raise DamagedFileError("it has no file meta information")
        file.seek(0)
        os.write(file.fileno(), bytes(_PREAMBLE_BYTES))
    return uid
