"""The audit trail can only grow, shows what was changed, and names nobody."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from ctdenoise.errors import InputError, OutputError
from ctdenoise.jobs.audit import AUDIT_FILE, KEY_FILE, Audit, Entry, local_user
from ctdenoise.jobs.audit_check import checked_trail
from ctdenoise.jobs.audit_files import archives
from ctdenoise.jobs.job import Job
from ctdenoise.jobs.ledger import Ledger
from tests.conftest import ROOT
from tests.e2e.commands import ctdenoise

STUDY = "1.2.826.0.1.3680043.8.498.4711"
OTHER = "1.2.826.0.1.3680043.8.498.4712"


@pytest.fixture
def trail(tmp_path: Path) -> Path:
    """A state folder with a trail of five lines."""
    with Audit.open(tmp_path) as audit:
        audit.record("started", who=local_user(), version="1", settings="a" * 16)
        audit.record("received", who="CT1@10.0.0.5", study_uid=STUDY, files=2)
        audit.record("made", study_uid=STUDY, result="b" * 64, model="c" * 12)
        audit.record("refused", study_uid=OTHER, reason="no CT")
        audit.record("stopped", who=local_user())
    return tmp_path


def lines(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / AUDIT_FILE).read_text().splitlines()]


def test_each_line_says_what_happened_in_order_and_the_chain_is_whole(trail: Path) -> None:
    found = lines(trail)
    assert [line["n"] for line in found] == [1, 2, 3, 4, 5]
    assert [line["event"] for line in found] == [
        "started",
        "received",
        "made",
        "refused",
        "stopped",
    ]
    assert found[1]["who"] == "CT1@10.0.0.5"
    assert str(found[0]["at"]).endswith("Z")
    report = checked_trail(trail)
    assert report.problems == ()
    assert (report.first, report.last, report.counts["received"]) == (1, 5, 1)


def test_a_study_is_found_by_its_uid_and_by_nothing_that_the_trail_says(trail: Path) -> None:
    text = (trail / AUDIT_FILE).read_text()
    assert STUDY not in text
    assert OTHER not in text
    events = [line.event for line in checked_trail(trail, study_uid=STUDY).shown]
    assert events == ["received", "made"]
    with Audit.open(trail) as audit:
        assert audit.pseudonym(STUDY) == lines(trail)[1]["study"]


def test_the_same_study_has_another_digest_in_another_folder(tmp_path: Path) -> None:
    digests = set()
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        with Audit.open(tmp_path / name) as audit:
            digests.add(audit.pseudonym(STUDY))
    assert len(digests) == 2


def test_instances_are_replaced_by_digests_and_keep_their_hashes(tmp_path: Path) -> None:
    with Audit.open(tmp_path) as audit:
        audit.record("received", study_uid=STUDY, instance_uids={f"{STUDY}.1": "d" * 64})
        audit.record("deleted", instance_uids=[f"{STUDY}.1"])
        name = audit.pseudonym(f"{STUDY}.1")
    received, deleted = lines(tmp_path)
    assert received["instances"] == {name: "d" * 64}
    assert deleted["instances"] == [name]


def remove_second(text: list[bytes]) -> list[bytes]:
    return [text[0], *text[2:]]


def change_second(text: list[bytes]) -> list[bytes]:
    return [text[0], text[1].replace(b"CT1", b"CT2"), *text[2:]]


def swap(text: list[bytes]) -> list[bytes]:
    return [text[0], text[2], text[1], *text[3:]]


def add_one(text: list[bytes]) -> list[bytes]:
    return [*text[:2], text[1], *text[2:]]


def spoil(text: list[bytes]) -> list[bytes]:
    return [text[0], b"\0" * 40 + b"\n", *text[2:]]


@pytest.mark.parametrize("tamper", [remove_second, change_second, swap, add_one, spoil])
def test_what_was_changed_shows(trail: Path, tamper: Callable[[list[bytes]], list[bytes]]) -> None:
    path = trail / AUDIT_FILE
    path.write_bytes(b"".join(tamper(path.read_bytes().splitlines(keepends=True))))
    report = checked_trail(trail)
    assert report.problems
    assert any("line 2" in problem or "line 3" in problem for problem in report.problems)


def test_lines_removed_at_the_end_show_where_the_head_was_noted(trail: Path) -> None:
    noted = checked_trail(trail).head
    path = trail / AUDIT_FILE
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-2]))
    assert checked_trail(trail).problems == ()  # the chain alone cannot tell
    (problem,) = checked_trail(trail, noted=noted).problems
    assert "lines were removed or changed" in problem


def test_a_head_noted_before_more_was_added_is_still_there(trail: Path) -> None:
    noted = checked_trail(trail).head
    with Audit.open(trail) as audit:
        assert audit.head() == (5, noted)
        audit.record("started")
    assert checked_trail(trail, noted=noted).problems == ()


@pytest.mark.parametrize("torn", [b"{", b'{"n": 6, "at": "2026', b"\0" * 5000])
def test_half_a_line_is_removed_at_the_next_start_and_a_line_says_so(
    trail: Path, torn: bytes
) -> None:
    with (trail / AUDIT_FILE).open("ab") as file:
        file.write(torn)
    assert "half a line" in checked_trail(trail).problems[0]
    with Audit.open(trail) as audit:
        audit.record("started")
    assert checked_trail(trail).problems == ()
    repaired, started = lines(trail)[-2:]
    assert (repaired["n"], repaired["event"], started["n"]) == (6, "repaired", 7)
    assert f"{len(torn)} bytes" in str(repaired["what"])


def test_a_damaged_last_line_stays_to_be_seen_and_the_trail_goes_on(trail: Path) -> None:
    path = trail / AUDIT_FILE
    text = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*text[:-1], b"\xff\xfe\n"]))
    with Audit.open(trail) as audit:
        audit.record("started")
    assert lines_that_parse(path)[-1]["n"] == 6
    assert checked_trail(trail).problems == (f"{AUDIT_FILE}, line 5: it cannot be read",)


def lines_that_parse(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_bytes().splitlines() if line[:1] == b"{"]


def test_a_full_file_is_closed_and_the_chain_goes_on_in_a_new_one(tmp_path: Path) -> None:
    for _ in range(3):
        with Audit.open(tmp_path, rotate_bytes=700) as audit:
            for _ in range(4):
                audit.record("received", study_uid=STUDY)
    report = checked_trail(tmp_path)
    assert report.problems == ()
    assert report.files == len(archives(tmp_path)) + 1 > 3
    assert report.counts["rotated"] == report.files - 1
    assert report.last == 12 + report.counts["rotated"]


def test_a_crash_between_closing_a_file_and_beginning_the_next_breaks_nothing(trail: Path) -> None:
    (trail / AUDIT_FILE).rename(trail / "audit-000000000005.jsonl")
    with Audit.open(trail) as audit:
        audit.record("started")
    assert lines(trail)[0]["n"] == 6
    assert checked_trail(trail).problems == ()


def test_old_files_that_were_put_away_are_said_not_to_be_there(tmp_path: Path) -> None:
    with Audit.open(tmp_path, rotate_bytes=700) as audit:
        for _ in range(12):
            audit.record("received", study_uid=STUDY)
    archives(tmp_path)[0].unlink()
    report = checked_trail(tmp_path)
    assert report.problems == ()
    assert report.first > 1
    archives(tmp_path)[1].unlink()  # one from the middle does break the chain
    assert checked_trail(tmp_path).problems


def test_threads_and_other_processes_write_one_chain(tmp_path: Path) -> None:
    program = (
        "import sys\nfrom pathlib import Path\nfrom ctdenoise.jobs.audit import Audit\n"
        "with Audit.open(Path(sys.argv[1])) as audit:\n"
        "    for _ in range(20): audit.record('retried', who='user b')\n"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with Audit.open(tmp_path) as audit:
        other = subprocess.Popen([sys.executable, "-c", program, tmp_path], env=environment)
        threads = [
            threading.Thread(target=lambda: [audit.record("made") for _ in range(20)])
            for _ in range(3)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert other.wait(timeout=60) == 0
        audit.record("stopped")
    report = checked_trail(tmp_path)
    assert report.problems == ()
    assert report.counts == {"made": 60, "retried": 20, "stopped": 1}


def test_what_was_recorded_survives_a_kill(tmp_path: Path) -> None:
    program = (
        "import os, sys\nfrom pathlib import Path\nfrom ctdenoise.jobs.audit import Audit\n"
        "audit = Audit.open(Path(sys.argv[1]))\n"
        "for n in range(1000):\n"
        "    audit.record('made', job=str(n))\n"
        "    print(n, flush=True)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, tmp_path],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    with process.stdout as said:
        promised = int(next(line for line in said if int(line) >= 25))
        process.send_signal(signal.SIGKILL)
        promised = max([promised, *(int(line) for line in said.read().split(b"\n")[:-1] if line)])
    process.wait()
    with Audit.open(tmp_path):
        pass
    report = checked_trail(tmp_path)
    assert report.problems == ()
    assert report.counts["made"] > promised


def test_a_full_disk_leaves_whole_lines_and_one_error(small_disk: Path) -> None:
    with Audit.open(small_disk) as audit:
        (small_disk / "filler").write_bytes(bytes(200 * 1024))
        many = [Entry("received", {"reason": "x" * 900})] * 1000
        with pytest.raises(OutputError, match="audit trail cannot be written"):
            audit.record_all(many)
        (small_disk / "filler").unlink()
        audit.record("started")
    assert checked_trail(small_disk).problems == ()


def test_several_lines_are_added_together(tmp_path: Path) -> None:
    with Audit.open(tmp_path) as audit:
        audit.record_all([Entry("received", {"files": 1}), Entry("made", {"files": 2})])
    assert [line["event"] for line in lines(tmp_path)] == ["received", "made"]


def test_only_the_owner_can_read_the_trail_and_its_key(tmp_path: Path) -> None:
    for name in (AUDIT_FILE, KEY_FILE):  # as an older or careless program may have left them
        (tmp_path / name).touch(mode=0o644)
    with Audit.open(tmp_path) as audit:
        audit.record("started")
    for name in (AUDIT_FILE, KEY_FILE):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600


def test_what_a_peer_calls_itself_cannot_break_a_line_or_fill_the_disk(tmp_path: Path) -> None:
    with Audit.open(tmp_path) as audit:
        audit.record("denied", who='A\n{"n": 9}\r\x1b[2J\u2028' + "x" * 100_000)
    (line,) = (tmp_path / AUDIT_FILE).read_bytes().splitlines()
    assert len(line) < 2000
    assert line.isascii()
    assert b"\x1b" not in line
    assert checked_trail(tmp_path).problems == ()


def test_a_fact_cannot_take_the_place_of_what_every_line_says(tmp_path: Path) -> None:
    with Audit.open(tmp_path) as audit, pytest.raises(ValueError, match="before"):
        audit.record("made", before="0" * 64)


def test_a_folder_without_a_trail_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no audit trail"):
        checked_trail(tmp_path)


def test_the_command_says_that_a_trail_is_whole_and_shows_its_newest_lines(trail: Path) -> None:
    done = ctdenoise("jobs", "audit", trail)
    assert done.code == 0, done.stderr
    assert "The trail is whole: 5 lines." in done.stdout
    assert checked_trail(trail).head in done.stdout
    assert STUDY not in done.stdout
    found = json.loads(ctdenoise("jobs", "audit", trail, "--study", STUDY, "--json").stdout)
    assert found["whole"]
    assert [line["event"] for line in found["lines"]] == ["received", "made"]


def test_the_command_fails_where_a_line_was_changed(trail: Path) -> None:
    path = trail / AUDIT_FILE
    path.write_bytes(path.read_bytes().replace(b"CT1", b"CT2"))
    done = ctdenoise("jobs", "audit", trail)
    assert done.code == 1
    assert "broken: audit.jsonl, line 3" in done.stdout
    assert "not whole" in done.stdout
    assert not json.loads(ctdenoise("jobs", "audit", trail, "--json").stdout)["whole"]


def test_who_asks_for_a_job_again_is_recorded(trail: Path) -> None:
    with Ledger.open(trail) as ledger:
        ledger.add(Job("a" * 32, "serve", "b" * 32, state="receiving"))
        ledger.move("a" * 32, "refused")
    done = ctdenoise("jobs", "retry", trail, "aaaa")
    assert done.code == 0, done.stderr
    last = lines(trail)[-1]
    assert (last["event"], last["jobs"], last["who"]) == ("retried", ["a" * 32], local_user())


def test_no_trail_is_begun_where_there_was_none(tmp_path: Path) -> None:
    with Ledger.open(tmp_path) as ledger:
        ledger.add(Job("a" * 32, "batch", "b" * 32, state="receiving"))
        ledger.move("a" * 32, "refused")
    assert ctdenoise("jobs", "retry", tmp_path, "aaaa").code == 0
    assert not (tmp_path / AUDIT_FILE).exists()
