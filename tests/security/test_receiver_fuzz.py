"""Whatever is said to the receiver, it goes on, leaks nothing and writes nowhere but its inbox.

A few hundred sessions by default; CTDENOISE_RECEIVER_FUZZ gives another number, and
CTDENOISE_RECEIVER_FUZZ_SEED another start.
"""

from __future__ import annotations

import gc
import logging
import os
import random
import re
import resource
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ctdenoise.config.receiver import InboxSettings, ReceiverSettings
from ctdenoise.pacs.inbox import Inbox
from ctdenoise.pacs.instance_head import meta_of
from ctdenoise.pacs.receiver import Receiver
from tests.security.marked import leaks, marked_series
from tests.security.pdu_sessions import (
    Session,
    correct_session,
    say,
    spoiled,
    unrelated,
    whole_file,
)

ROUNDS = int(os.environ.get("CTDENOISE_RECEIVER_FUZZ", "500"))
SEED = int(os.environ.get("CTDENOISE_RECEIVER_FUZZ_SEED", "1"))
NAME = re.compile(r"[0-9a-f]{32}(/conflicts)?/[0-9a-f]{32}(-[0-9a-f]{16})?\.dcm")


@pytest.fixture
def inbox(tmp_path: Path) -> Inbox:
    (tmp_path / "state").mkdir()
    settings = InboxSettings(instance_mb=1, study_instances=50, studies=200, free_mb=0)
    return Inbox(tmp_path / "state" / "inbox", settings)


@pytest.fixture
def receiver(inbox: Inbox) -> Iterator[Receiver]:
    settings = ReceiverSettings(
        port=0, association_timeout_s=5, idle_timeout_s=5, pdu_timeout_s=5, pdu_bytes=65_536
    )
    with Receiver(inbox, settings, on_kept=lambda _: None) as listening:
        yield listening


@pytest.fixture
def session(receiver: Receiver) -> Session:
    return correct_session(receiver.port, marked_series(slices=1)[0])


def is_soon(condition: Callable[[], bool]) -> bool:
    """Whether a condition holds within a generous time."""
    end, waiting = time.monotonic() + 30, threading.Event()
    while not condition():
        if time.monotonic() > end:
            return False
        waiting.wait(0.01)
    return True


def descriptors() -> int:
    gc.collect()
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - only how many


def require_sound(inbox: Inbox, receiver: Receiver, tmp_path: Path) -> None:
    """Nothing is left over, and everything that was written is a whole instance in its place."""
    assert is_soon(lambda: receiver.statistics.connections == 0)
    assert not [one for one in threading.enumerate() if one.name.startswith("association")]
    assert [entry.name for entry in (tmp_path / "state").iterdir()] == ["inbox"]
    assert list((inbox.path / ".incoming").iterdir()) == []
    for path in inbox.path.rglob("*"):
        name = path.relative_to(inbox.path).as_posix()
        if path.is_file():
            assert NAME.fullmatch(name), name
            with path.open("rb") as file:
                meta_of(file)
    assert not Path("/tmp/ctdenoise-escaped").exists()  # noqa: S108 - what the fuzzer asks for


def test_spoiled_sessions_are_survived(
    inbox: Inbox,
    receiver: Receiver,
    session: Session,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    rng = random.Random(SEED)
    file = whole_file(marked_series(slices=1)[0])
    say(receiver.port, session)
    before = descriptors()
    with caplog.at_level(logging.DEBUG):
        for number in range(ROUNDS):
            words = unrelated(rng, file) if number % 5 == 4 else spoiled(session, rng)
            try:
                say(receiver.port, words)
            except TimeoutError:
                pytest.fail(f"round {number} of seed {SEED} is never answered")
    require_sound(inbox, receiver, tmp_path)
    assert descriptors() <= before
    found = receiver.statistics  # the fuzzer gets to every part
    assert min(found.associations, found.ended_associations, found.received + found.again) > 20
    assert sum(found.refused.values()) > 5
    assert found.refused_associations
    assert say(receiver.port, session).endswith(bytes(4)), "a correct session still works"
    assert leaks(caplog.text.encode(), "the log") == []


def test_a_correct_session_is_understood(session: Session, receiver: Receiver) -> None:
    answer = say(receiver.port, session)
    assert answer[0] == 2  # A-ASSOCIATE-AC
    assert answer[-10] == 6  # A-RELEASE-RP


def test_a_message_that_never_ends_fills_neither_memory_nor_disk(
    inbox: Inbox, receiver: Receiver, session: Session, tmp_path: Path
) -> None:
    request, *_ = session
    store = next(index for index, pdu in enumerate(session) if len(pdu) > 4000)
    command = session[store - 1]
    context = session[store][10]
    fragment = bytes((0, 0, 0x80, 2, context, 0)) + bytes(0x8000)
    endless = b"\x04\x00" + len(fragment).to_bytes(4, "big") + fragment
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    say(receiver.port, [request, command, session[store], *[endless] * 1500])  # 48 MB
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 120 * 1024, "what is sent stays in memory"  # the test holds it, too
    assert sum(path.stat().st_size for path in inbox.path.rglob("*") if path.is_file()) < 2**20
    require_sound(inbox, receiver, tmp_path)


@pytest.mark.parametrize("kind", [1, 2, 3, 4, 5, 6, 7, 0, 255])
def test_a_length_that_is_forged_reserves_nothing(
    receiver: Receiver, inbox: Inbox, tmp_path: Path, kind: int
) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    say(receiver.port, [bytes((kind, 0)) + b"\xff\xff\xff\xf0" + b"x" * 100])
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50 * 1024
    require_sound(inbox, receiver, tmp_path)
