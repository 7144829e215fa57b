"""The audit trail says who sent something from where, and who was turned away."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ctdenoise.config.receiver import AllowedSender, InboxSettings, ReceiverSettings
from ctdenoise.errors import OutputError
from ctdenoise.jobs.audit import AUDIT_FILE, Audit
from ctdenoise.pacs.inbox import Inbox, study_key
from ctdenoise.pacs.receiver import Receiver
from ctdenoise.pacs.receiver_counts import ReceptionCounts
from ctdenoise.pacs.visits import Visit
from ctdenoise.tasks.serve_visits import Visits
from tests.security.marked import ROOT_UID, leaks, marked_series
from tests.security.pdu_sessions import correct_session, say


@dataclass
class Shares:
    """As much of what the server shares as is needed here."""

    audit: Audit
    alarm: Shares | None = None
    stopped_by: list[BaseException] = field(default_factory=list)

    def stop(self, failure: BaseException) -> None:
        self.stopped_by.append(failure)


@pytest.fixture
def shares(tmp_path: Path) -> Iterator[Shares]:
    with Audit.open(tmp_path) as audit:
        found = Shares(audit)
        found.alarm = found
        yield found


def lines(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / AUDIT_FILE).read_text().splitlines()]


def test_who_sends_and_who_is_turned_away_is_recorded(tmp_path: Path, shares: Shares) -> None:
    inbox = Inbox(tmp_path / "inbox", InboxSettings(free_mb=0, durable=False))
    visits = Visits(shares)  # type: ignore[arg-type]
    settings = ReceiverSettings(port=0, senders=(AllowedSender(ae_title="FUZZER"),))
    with Receiver(inbox, settings, on_kept=lambda _: None, watcher=visits) as receiver:
        session = correct_session(receiver.port, marked_series(slices=1)[0])
        for _ in range(20):
            say(receiver.port, [session[0].replace(b"FUZZER", b"NOBODY")])
    visits.close()
    association, first, rest = lines(tmp_path)
    assert association["event"] == "association"
    assert association["who"] == "FUZZER@127.0.0.1"
    assert (association["instances"], association["refused"]) == (1, 0)
    assert association["studies"] == [study_key(f"{ROOT_UID}.1")]
    assert (first["event"], first["connections"]) == ("denied", {"127.0.0.1: calling-ae": 1})
    assert rest["connections"] == {"127.0.0.1: calling-ae": 19}
    assert leaks((tmp_path / AUDIT_FILE).read_bytes(), "the trail") == []


def test_many_addresses_make_one_short_line(tmp_path: Path, shares: Shares) -> None:
    visits = Visits(shares)  # type: ignore[arg-type]
    for number in range(10_000):
        visits.turned_away(f"10.0.{number // 250}.{number % 250}", "address")
    visits.close()
    assert len(lines(tmp_path)) == 2
    assert (tmp_path / AUDIT_FILE).stat().st_size < 4000


def test_a_trail_that_cannot_be_written_for_long_stops_the_server(
    tmp_path: Path, shares: Shares, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object, **facts: object) -> None:
        raise OutputError("the disk is full")

    monkeypatch.setattr(Audit, "record_all", full)
    visits = Visits(shares)  # type: ignore[arg-type]
    visit = Visit("FUZZER", "10.0.0.1", ReceptionCounts(lambda _: None))
    for _ in range(1000):
        visits.visited(visit)
    assert not shares.stopped_by
    visits.visited(visit)
    assert isinstance(shares.stopped_by[0], OutputError)
