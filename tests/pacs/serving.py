"""A server of the tests in this process: what arrives lies in its inbox, what it sends is kept."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ctdenoise.config.peers import Peer
from ctdenoise.config.serve import ServeSettings
from ctdenoise.jobs.job import Job
from ctdenoise.jobs.ledger import Ledger
from ctdenoise.pacs.inbox import Inbox
from ctdenoise.pacs.sender import SendReport, Sent
from ctdenoise.tasks import serve
from ctdenoise.tasks.serve import ServeReport
from ctdenoise.tasks.serve_shared import Alarm

WANTED = {"name": "soft", "when": {"what": "CT", "kernel": "B30f"}}
SHARP = {"name": "sharp", "when": {"kernel": "B70f"}, "skip": "a sharp kernel"}
HERE = {"kind": "dimse", "host": "127.0.0.1", "port": 11113, "ae_title": "DESTINATION"}


def rules(*send_to: str, model: str = "identity", **change: Any) -> list[dict[str, Any]]:
    """One rule that wants a soft kernel, and one that skips a sharp one."""
    action = {"model": model, "send_to": list(send_to), "change": change}
    return [{**WANTED, "do": action}, SHARP]


def settings(**changes: Any) -> ServeSettings:
    """Of a server that works in this process, without a network."""
    once_more = {"tries": 2, "first_wait_s": 0, "jitter": 0}
    values: dict[str, Any] = {
        "receiver": None,
        "rules": rules("here"),
        "peers": {"here": HERE},
        "inbox": {"free_mb": 0, "durable": False},
        "executor": {"place": {"name": "in-process"}},
        "work_again": once_more,
        "send_again": once_more,
        "http": {"enabled": False},
        "log": {"file": False},
    }
    return ServeSettings.model_validate(values | changes)


def willing(number: int) -> None:
    """Nothing is wrong with any instance."""


@dataclass
class Destination:
    """Takes the place of the sender: what was confirmed, in order, and what it is told to do.

    Args:
        before: Called before each instance with its number from 0; may raise.
    """

    before: Callable[[int], None] = willing
    delivered: list[tuple[str, str]] = field(default_factory=list)
    attempts: int = 0

    def send(
        self, files: Sequence[Path], peer: Peer, *, retry: Any, on_sent: Callable[[Sent], None]
    ) -> SendReport:
        """As `pacs.sender.send`."""
        del peer, retry
        self.attempts += 1
        for number, path in enumerate(files):
            self.before(number)
            sent = Sent(path, uid_of(path))
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            self.delivered.append((sent.sop_instance_uid, digest))
            on_sent(sent)
        return SendReport(len(files), 0, 0.0, 1)

    @property
    def uids(self) -> list[str]:
        """SOPInstanceUIDs in the order in which they came, repeated ones too."""
        return [uid for uid, _ in self.delivered]


def uid_of(path: Path) -> str:
    """SOPInstanceUID of a file."""
    from ctdenoise.io.dicom_file import read_header

    return str(read_header(path).dataset.SOPInstanceUID)


def arrive(state: Path, files: Iterable[Path], sender: str = "SCANNER") -> None:
    """Lay files into the inbox of a server that is not running."""
    state.mkdir(mode=0o700, exist_ok=True)
    inbox = Inbox(state / "inbox", settings().inbox)
    for path in files:
        inbox.keep_file(path, sender=sender)


def serve_once(state: Path, **changes: Any) -> ServeReport:
    """Let a server do what is to be done."""
    return serve.run(settings(**changes), state=state, once=True)


def jobs(state: Path) -> tuple[Job, ...]:
    """What the ledger knows, oldest first."""
    with Ledger.open(state, read_only=True) as ledger:
        return ledger.jobs(newest_first=False)


def statuses(job: Job) -> list[str]:
    """What became of each series of a job."""
    return [one["status"] for one in job.result["series"]]


def until_done(state: Path, **changes: Any) -> None:
    """Let a server with all its threads run until one study has ended, then stop it in order."""
    alarm = Alarm()
    quick = {"completeness": {"quiet_s": 0.01}, "receiver": {"port": 0}}

    def watch() -> None:
        with Ledger.open(state, read_only=True) as ledger:
            while not alarm.is_stopping and not ledger.jobs(("done", "refused", "dead-letter")):
                alarm.wait_for_stop(0.05)
        alarm.stop()

    serve.run(
        settings(**quick, **changes),
        state=state,
        alarm=alarm,
        on_ready=lambda _: alarm.thread("watch", watch),
    )
