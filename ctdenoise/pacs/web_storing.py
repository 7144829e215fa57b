"""STOW-RS: instances to a DICOMweb peer, in requests of bounded size (PS3.18 10.5)."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ctdenoise.config.peers import WebPeer
from ctdenoise.errors import PeerRefused, PeerUnavailable
from ctdenoise.io.dicom_file import quiet_pydicom
from ctdenoise.pacs.outgoing import Outgoing, file_head
from ctdenoise.pacs.refusals import Fate, Verdict, verdict
from ctdenoise.pacs.storing import Answered
from ctdenoise.pacs.web import Answer, WebConnection

_REFERENCED, _FAILED = "00081199", "00081198"
_IDENTITY, _WARNING, _FAILURE = "00081155", "00081196", "00081197"
_PIECE_BYTES = 2**20
_CONFLICT, _TOO_LARGE = 409, 413
_SILENT = Verdict(Fate.LATER, "it says nothing of this instance")


def store_by_web(instances: Sequence[Outgoing], peer: WebPeer) -> Iterator[Answered]:
    """Send instances, once, and give the answer to each as it comes.

    Args:
        instances: What to send.
        peer: Where to.

    Raises:
        PeerUnavailable: If the peer cannot be reached or is lost; what was given before counts.
        PeerRefused: If it refuses the requests altogether.
        SettingsError: If a secret or a certificate cannot be read.
    """
    with quiet_pydicom(), WebConnection(peer) as connection:
        waiting = list(reversed(list(_batches(instances, peer))))
        while waiting:
            batch = waiting.pop()
            answers = _store_batch(connection, batch)
            if answers is None:  # too much in one request
                half = len(batch) // 2
                waiting += [batch[half:], batch[:half]]
            else:
                yield from answers


def _batches(instances: Sequence[Outgoing], peer: WebPeer) -> Iterator[list[Outgoing]]:
    batch: list[Outgoing] = []
    size = 0
    for instance in instances:
        full = len(batch) >= peer.batch_instances
        if batch and (full or size + _file_bytes(instance) > peer.batch_mb * 2**20):
            yield batch
            batch, size = [], 0
        batch.append(instance)
        size += _file_bytes(instance)
    if batch:
        yield batch


def _file_bytes(instance: Outgoing) -> int:
    return instance.start + instance.data_bytes


def _store_batch(connection: WebConnection, batch: Sequence[Outgoing]) -> list[Answered] | None:
    """Send some instances in one request; None where that is too much for the peer."""
    boundary = uuid.uuid4().hex
    kind = f'multipart/related; type="application/dicom"; boundary={boundary}'
    heads = [_part_head(boundary, instance) for instance in batch]
    end = f"\r\n--{boundary}--\r\n".encode("ascii")
    length = sum(map(len, heads)) + sum(map(_file_bytes, batch)) + len(end)
    body = _body(batch, heads, end)
    with connection.post("/studies", content_type=kind, length=length, body=body) as answer:
        if answer.status == _TOO_LARGE and len(batch) > 1:
            return None
        told = _told(answer)
    return [Answered(one, _outcome(told, one.sop_instance_uid)) for one in batch]


def _part_head(boundary: str, instance: Outgoing) -> bytes:
    lines = f"\r\n--{boundary}\r\nContent-Type: application/dicom\r\n\r\n"
    return lines.encode("ascii") + file_head(instance)


def _body(batch: Sequence[Outgoing], heads: Sequence[bytes], end: bytes) -> Iterator[bytes]:
    for instance, head in zip(batch, heads, strict=True):
        yield head
        left = _file_bytes(instance)
        with instance.path.open("rb") as file:
            while left:
                piece = file.read(min(left, _PIECE_BYTES))
                if not piece:
                    raise PeerUnavailable("a file became shorter while it was sent.")
                left -= len(piece)
                yield piece
    yield end


def _told(answer: Answer) -> dict[str, Verdict] | None:
    """What an answer says of each instance; None where it says that all were stored."""
    if answer.status != _CONFLICT:
        answer.require_success()
    items = answer.json()
    items = items if isinstance(items, list) else [items]
    said = next((item for item in items if isinstance(item, dict)), {})
    stored = {
        uid: verdict(code) if code else Verdict(Fate.STORED)
        for uid, code in _codes(said, _REFERENCED, _WARNING)
    }
    failed = {uid: _failure(code) for uid, code in _codes(said, _FAILED, _FAILURE)}
    if answer.status == _CONFLICT and not failed:
        raise PeerRefused("it refuses all instances and gives no reason (HTTP 409).")
    if answer.status == 200 and not stored and not failed:
        return None
    return {**stored, **failed}


def _failure(code: int) -> Verdict:
    found = verdict(code)
    return Verdict(Fate.LATER, "a failure that it does not explain") if not code else found


def _codes(said: Mapping[str, Any], sequence: str, reason: str) -> Iterator[tuple[str, int]]:
    for item in _values(said, sequence):
        if not isinstance(item, dict):
            continue
        uid = next(iter(_values(item, _IDENTITY)), "")
        code = next(iter(_values(item, reason)), 0)
        if isinstance(uid, str):
            yield uid, code if isinstance(code, int) else 0


def _values(item: Mapping[str, Any], tag: str) -> list[Any]:
    element = item.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    return values if isinstance(values, list) else []


def _outcome(told: Mapping[str, Verdict] | None, uid: str) -> Verdict:
    return Verdict(Fate.STORED) if told is None else told.get(uid, _SILENT)
