"""Sending files to a peer, over DIMSE or DICOMweb, whatever becomes of the connection meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ctdenoise.config.peers import Peer, RetrySettings


class Clock(Protocol):
    """Where time comes from; a test or a server that may be stopped brings its own."""

    def monotonic(self) -> float:
        """Seconds since some moment; never goes back."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait; may raise to end the work."""
        ...


@dataclass(frozen=True, slots=True)
class Sent:
    """One instance that the peer confirmed.

    Args:
        path: Its file.
        sop_instance_uid: Its identity.
        warning: What the peer did not like although it stored the instance; empty if nothing.
        decoded: Whether the peer got it decompressed, because it takes it in no other way.
    """

    path: Path
    sop_instance_uid: str
    warning: str = ""
    decoded: bool = False


@dataclass(frozen=True, slots=True)
class SendReport:
    """Everything that was asked for was sent.

    Args:
        sent: Instances that the peer confirmed.
        bytes_sent: Size of their data sets.
        seconds: Time of everything, waits included.
        tries: Connections or requests in a row that it took; 1 without a failure.
        warnings: What the peer did not like, and for how many instances.
        decoded: Instances that were sent decompressed.
    """

    sent: int
    bytes_sent: int
    seconds: float
    tries: int
    warnings: tuple[tuple[str, int], ...] = ()
    decoded: int = 0


def send(
    files: Sequence[Path],
    peer: Peer,
    *,
    retry: RetrySettings | None = None,
    on_sent: Callable[[Sent], None] | None = None,
    clock: Clock | None = None,
) -> SendReport:
    """Send DICOM files to a peer, each until it is confirmed, and tell of each at once.

    Files are read one by one, so memory does not grow with their number. What was confirmed is not
    sent again after a lost connection.

    Args:
        files: DICOM files.
        peer: Where to.
        retry: What is tried again; by default as `RetrySettings` says.
        on_sent: Called from the calling thread for each instance as soon as the peer confirmed it.
        clock: Where time comes from.

    Raises:
        InputError: If a file is no DICOM instance that can be sent; nothing was sent then.
        PeerUnavailable: If the peer could not be reached, was lost or busy to the last try. What
            was confirmed is known by on_sent.
        PeerRefused: If the peer refuses the association or some of the instances for good. The
            others were sent, and are known by on_sent.
    """
    raise NotImplementedError
