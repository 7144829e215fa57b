"""A receiver on loopback and instances to send to it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from ctdenoise.config.receiver import InboxSettings, ReceiverSettings
from ctdenoise.io.dicom_file import end_of_meta
from ctdenoise.pacs.inbox import Inbox, Kept
from ctdenoise.pacs.receiver import Receiver
from tests.dicom.builders import as_bytes, ct_series, marked_volume, uid


@dataclass(frozen=True, slots=True)
class Receiving:
    """A running receiver.

    Args:
        receiver, inbox: As they are.
        kept: What arrived so far.
    """

    receiver: Receiver
    inbox: Inbox
    kept: list[Kept] = field(default_factory=list)

    @property
    def port(self) -> int:
        return self.receiver.port


@contextmanager
def receiving(
    folder: Path, *, inbox: InboxSettings | None = None, **settings: Any
) -> Iterator[Receiving]:
    """A receiver on a free port of this machine, closed at the end with all its threads."""
    before = set(threading.enumerate())
    place = Inbox(folder / "inbox", inbox or InboxSettings(free_mb=1, durable=False))
    kept: list[Kept] = []
    receiver = Receiver(
        place, ReceiverSettings.model_validate({"port": 0, **settings}), on_kept=kept.append
    )
    with receiver:
        yield Receiving(receiver, place, kept)
    assert not [one.name for one in set(threading.enumerate()) - before if one.is_alive()]


def one_slice(name: str = "study", index: int = 0, *, size: int = 16) -> Dataset:
    """A CT slice; the same name gives the same study and series."""

    def edit(dataset: Dataset, _: int) -> None:
        dataset.StudyInstanceUID = uid("study", name)
        dataset.SeriesInstanceUID = uid("series", name)
        dataset.SOPInstanceUID = uid("instance", name, index)

    return ct_series(marked_volume(slices=1, size=(size, size), seed=index), edit=edit)[0]


def data_set_of(dataset: Dataset, syntax: str = ExplicitVRLittleEndian) -> bytes:
    """The encoded data set, as it goes over the wire."""
    return without_meta(as_bytes(dataset, syntax))


def without_meta(file: bytes) -> bytes:
    """The data set in the bytes of a DICOM file."""
    start, _ = end_of_meta(BytesIO(file))
    return file[start:]
