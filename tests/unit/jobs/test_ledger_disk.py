"""A ledger on a full disk or in a closed folder says so, and keeps what it confirmed."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from ctdenoise.errors import LedgerError, OutputError
from ctdenoise.jobs.job import Job
from ctdenoise.jobs.ledger import Ledger
from ctdenoise.jobs.ledger_sqlite import told_in_words

ROOT = Path(__file__).parents[3]


def add_until_full(ledger, names):
    """Add jobs until the disk is full; those that were added."""
    added = []
    for name in names:
        try:
            ledger.add(Job(id=name, kind="serve", study="5", payload={"files": ["x" * 2000]}))
        except OutputError:
            return added
        added.append(name)
    raise AssertionError("the disk was never full")


def test_a_full_disk_loses_nothing_and_is_no_end(small_disk):
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(60_000))
    with Ledger.open(small_disk / "state") as ledger:
        added = add_until_full(ledger, (str(number) for number in range(1000)))
        assert added
        assert {job.id for job in ledger.jobs()} == set(added)
        with pytest.raises(OutputError):
            ledger.backup()
        assert list((small_disk / "state" / "backup").iterdir()) == []
        ballast.unlink()
        ledger.add(Job(id="later", kind="serve", study="5"))
        assert ledger.claim().id == added[0]
    with Ledger.open(small_disk / "state") as again:
        assert again.restored == ""
        assert {job.id for job in again.jobs()} == {*added, "later"}


def test_a_checkpoint_that_fails_makes_no_change_fail(tmp_path, monkeypatch):
    def full(*connections):
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr("ctdenoise.jobs.ledger.checkpoint", full)
    monkeypatch.setattr("ctdenoise.jobs.ledger._CHANGES_BETWEEN_CHECKPOINTS", 1)
    with Ledger.open(tmp_path) as ledger:
        assert ledger.add(Job(id="a", kind="serve", study="5"))
        assert ledger.claim().id == "a"


def test_no_room_for_a_new_ledger_is_said(small_disk):
    (small_disk / "ballast").write_bytes(bytes(240_000))
    with pytest.raises(OutputError, match="disk is full"):
        Ledger.open(small_disk / "state")
    (small_disk / "ballast").unlink()
    with Ledger.open(small_disk / "state") as ledger:
        assert ledger.restored == ""


def test_a_folder_of_somebody_else_is_said_to_be_closed(tmp_path):
    if os.name != "posix" or os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    Ledger.open(tmp_path / "state").close()
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from ctdenoise.jobs.ledger import Ledger\n"
        "os.setuid(65534)\n"
        "for options in ({}, {'read_only': True}, {'create': False}):\n"
        "    try:\n"
        "        Ledger.open(Path(sys.argv[1]), **options)\n"
        "    except Exception as error:\n"
        "        print(type(error).__name__, error)\n"
    )
    # The parent must let others through, as a folder of /var/lib does.
    for parent in (tmp_path, *tmp_path.parents[:3]):
        if parent != Path("/tmp"):  # noqa: S108 - where pytest works
            parent.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "state"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.count("LedgerError") == done.stdout.count("cannot be opened here") == 3


def test_our_own_errors_pass_as_they_are(tmp_path):
    with pytest.raises(LedgerError, match="already in words"), told_in_words(tmp_path):
        raise LedgerError("already in words")
    with pytest.raises(OutputError, match="already in words"), told_in_words(tmp_path):
        raise OutputError("already in words")
