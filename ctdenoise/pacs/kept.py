"""One instance that was kept, and what it and its study are called."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ctdenoise.pacs.instance_head import InstanceUids

Outcome = Literal["new", "again", "conflict"]


@dataclass(frozen=True, slots=True)
class Kept:
    """One instance that is safe in the inbox.

    Args:
        study: Key of its study: a digest, which names nobody.
        path: Where it is.
        outcome: "new", or "again" if the same bytes were here before, or "conflict" if other bytes
            were here under the same SOPInstanceUID.
        uids: What it says it is.
        sender: AE title of who sent it.
        size: Bytes of its data set.
        sha256: Of its data set, as it arrived.
    """

    study: str
    path: Path
    outcome: Outcome
    uids: InstanceUids
    sender: str
    size: int
    sha256: str


def study_key(study_instance_uid: str) -> str:
    """What a study is called in the inbox and in jobs: a digest of its StudyInstanceUID."""
    return _key("study", study_instance_uid)


def instance_key(sop_instance_uid: str) -> str:
    """What an instance is called in the inbox: a digest of its SOPInstanceUID."""
    return _key("instance", sop_instance_uid)


def _key(role: str, uid: str) -> str:
    return hashlib.sha256(f"{role}\x1f{uid}".encode()).hexdigest()[:32]
