"""A damaged ledger is restored or refused in words, and never emptied."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing

import pytest

from ctdenoise.errors import LedgerError
from ctdenoise.jobs import ledger_opening, ledger_schema
from ctdenoise.jobs.job import Job
from ctdenoise.jobs.ledger import Ledger

PAGE_BYTES = 4096
JOBS = 40


@pytest.fixture
def folder(tmp_path):
    """A closed ledger with jobs of many sizes, large ones included, and no copy of it."""
    with Ledger.open(tmp_path) as ledger:
        ledger._writing.execute("PRAGMA synchronous = OFF")
        for number in range(JOBS):
            payload = {"files": [f"{number}_{file}" for file in range(number**2)]}
            ledger.add(Job(id=f"job {number}", kind="serve", study="5" * 16, payload=payload))
            ledger.remember_instances(f"job {number}", {f"1.2.{number}": "0" * 64})
            ledger.remember_delivered("archive", [f"1.3.{number}"])
        ledger.note("cursor", 12)
    return tmp_path


@pytest.fixture
def copied(folder):
    """The same with a copy, made when the first job was claimed; the second was claimed after."""
    with Ledger.open(folder) as ledger:
        ledger.claim()
        ledger.backup()
        ledger.claim()
    return folder


def write(folder, at, content):
    with (folder / "ledger.sqlite").open("rb+") as file:
        file.seek(at)
        file.write(content)


def cut(folder, size):
    os.truncate(folder / "ledger.sqlite", size)


def remove_a_table(folder):
    with closing(sqlite3.connect(folder / "ledger.sqlite")) as database:
        database.execute("DROP TABLE delivered")
        database.commit()


DAMAGES = {
    "half of it cut off": lambda folder: cut(folder, 20 * PAGE_BYTES),
    "cut off in the header": lambda folder: cut(folder, 60),
    "empty": lambda folder: cut(folder, 0),
    "header of zeros": lambda folder: write(folder, 0, bytes(100)),
    "header of garbage": lambda folder: write(folder, 0, os.urandom(100)),
    "first pages of zeros": lambda folder: write(folder, 0, bytes(8 * PAGE_BYTES)),
    "a page of garbage": lambda folder: write(folder, 2 * PAGE_BYTES, os.urandom(PAGE_BYTES)),
    "another kind of file": lambda folder: write(folder, 0, b"%PDF-1.7\n" * 1000),
    "removed": lambda folder: (folder / "ledger.sqlite").unlink(),
    "a table is missing": remove_a_table,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
class TestDamage:
    def test_it_is_restored_from_its_copy_and_says_so(self, copied, damage):
        damage(copied)
        with Ledger.open(copied) as ledger:
            assert "restored from its copy of 2" in ledger.restored
            assert "What happened after that is not in it." in ledger.restored
            assert ledger.counts()["running"] == 1
            assert ledger.counts()["ready"] == JOBS - 1
            assert ledger.noted("cursor") == 12
        with Ledger.open(copied) as ledger:
            assert ledger.restored == ""

    def test_what_was_damaged_is_kept_as_it_was(self, copied, damage):
        damage(copied)
        before = (copied / "ledger.sqlite").exists() and (copied / "ledger.sqlite").read_bytes()
        with Ledger.open(copied) as ledger:
            said = ledger.restored
        (aside,) = (copied / "damaged").iterdir()
        assert str(aside) in said
        kept = (aside / "ledger.sqlite").exists() and (aside / "ledger.sqlite").read_bytes()
        assert kept == before

    def test_without_a_copy_it_is_refused_and_left_alone(self, folder, damage, request):
        damage(folder)
        if "removed" in request.node.callspec.id:
            (folder / "ledger.sqlite-wal").write_bytes(b"what a killed process left")
        before = {path.name: path.read_bytes() for path in folder.iterdir()}
        for _ in range(2):
            with pytest.raises(LedgerError, match=r"damaged .*no good copy") as raised:
                Ledger.open(folder)
            assert "Move ledger.sqlite" in raised.value.fix
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == before

    def test_who_only_looks_restores_nothing_and_is_told_who_does(self, copied, damage):
        damage(copied)
        before = {path.name for path in copied.iterdir()}
        said = said_to_a_reader(copied)
        assert "ctdenoise serve" in said or said == "nothing of it was needed"
        after = {path.name for path in copied.iterdir()}
        assert after - before <= {"ledger.sqlite-wal", "ledger.sqlite-shm"}


def said_to_a_reader(folder):
    try:
        with Ledger.open(folder, read_only=True) as ledger:
            ledger.jobs()
            ledger.delivered("archive", ["1.3.1"])
    except LedgerError as error:
        return str(error)
    return "nothing of it was needed"


class TestEveryPage:
    def test_a_page_of_zeros_anywhere_loses_no_job_silently(self, copied, tmp_path_factory):
        pages = (copied / "ledger.sqlite").stat().st_size // PAGE_BYTES
        assert pages > 20
        outcomes = set()
        for page in range(pages):
            here = tmp_path_factory.mktemp("page") / "state"
            shutil.copytree(copied, here)
            write(here, page * PAGE_BYTES, bytes(PAGE_BYTES))
            with Ledger.open(here) as ledger:
                assert len(ledger.jobs()) == JOBS
                assert len(ledger.delivered("archive", [f"1.3.{n}" for n in range(JOBS)])) == JOBS
                assert ledger.counts()["running"] == (1 if ledger.restored else 2)
                outcomes.add(bool(ledger.restored))
        assert True in outcomes


class TestCopies:
    def test_a_damaged_copy_is_passed_over_for_an_older_one(self, copied):
        with Ledger.open(copied) as ledger:
            ledger.backup()
        (copied / "backup" / "ledger.sqlite").write_bytes(b"no ledger" * 1000)
        cut(copied, 1000)
        with Ledger.open(copied) as ledger:
            assert "restored" in ledger.restored
            assert ledger.counts()["running"] == 1

    def test_there_are_three_and_the_newest_comes_first(self, folder):
        with Ledger.open(folder) as ledger:
            for number in range(5):
                ledger.note("cursor", number)
                ledger.backup()
        names = sorted(path.name for path in (folder / "backup").iterdir())
        assert names == ["ledger.1.sqlite", "ledger.2.sqlite", "ledger.sqlite"]
        noted = []
        for name in ("ledger.sqlite", "ledger.1.sqlite", "ledger.2.sqlite"):
            with closing(sqlite3.connect(folder / "backup" / name)) as copy:
                noted.append(copy.execute("SELECT value FROM note").fetchone()[0])
        assert noted == ["4", "3", "2"]

    def test_what_was_set_aside_is_never_overwritten(self, copied):
        for number in range(3):
            write(copied, 0, str(number).encode() * 100)
            Ledger.open(copied).close()
        kept = [path.read_bytes()[:1] for path in (copied / "damaged").glob("*/ledger.sqlite")]
        assert sorted(kept) == [b"0", b"1", b"2"]

    def test_a_copy_is_made_while_others_write(self, folder):
        with Ledger.open(folder) as ledger:
            ledger._writing.execute("BEGIN IMMEDIATE")
            ledger._writing.execute("DELETE FROM job")
            copy = ledger.backup()
            ledger._writing.execute("ROLLBACK")
        with closing(sqlite3.connect(copy)) as database:
            assert database.execute("SELECT count(*) FROM job").fetchone() == (JOBS,)

    def test_a_restoring_that_was_cut_short_goes_on(self, copied):
        (copied / "damaged" / "20260101T000000Z-1").mkdir(parents=True)
        (copied / "ledger.sqlite").rename(copied / "damaged" / "20260101T000000Z-1" / "x")
        (copied / ".ledger.sqlite.unfinished").write_bytes(b"half")
        with Ledger.open(copied) as ledger:
            assert "it is missing" in ledger.restored
            assert len(ledger.jobs()) == JOBS


class TestLatestMoves:
    def test_a_missing_wal_file_is_told_of(self, folder):
        left_by_a_killed_process(folder)
        (folder / "ledger.sqlite-wal").unlink()
        with Ledger.open(folder) as ledger:
            assert "latest moves of the ledger (-wal) is gone" in ledger.restored
            assert len(ledger.jobs()) == JOBS

    def test_a_copy_that_knows_more_than_is_left_takes_its_place(self, folder):
        left_by_a_killed_process(folder, copy=True)
        (folder / "ledger.sqlite-wal").unlink()
        with Ledger.open(folder) as ledger:
            assert "restored from its copy" in ledger.restored
            assert ledger.counts()["running"] == 1

    def test_a_killed_process_leaves_nothing_to_tell(self, folder):
        left_by_a_killed_process(folder)
        with Ledger.open(folder) as ledger:
            assert ledger.restored == ""
            assert ledger.counts()["running"] == 1


def left_by_a_killed_process(folder, *, copy=False):
    """Make the folder what it is when a process is killed after it claimed a job."""
    image = folder.with_name(f"{folder.name}_image")
    with Ledger.open(folder) as ledger:
        ledger.claim()
        if copy:
            ledger.backup()
        shutil.copytree(folder, image)
    shutil.rmtree(folder)
    image.rename(folder)
    (folder / "ledger.sqlite-shm").unlink()


class TestOtherDatabases:
    @pytest.mark.parametrize("options", [{}, {"read_only": True}, {"restore": False}], ids=str)
    def test_that_of_another_program_is_refused(self, tmp_path, options):
        with closing(sqlite3.connect(tmp_path / "ledger.sqlite")) as database:
            database.execute("CREATE TABLE job (id)")
            database.commit()
        before = (tmp_path / "ledger.sqlite").read_bytes()
        with pytest.raises(LedgerError, match="database of another program"):
            Ledger.open(tmp_path, **options)
        assert (tmp_path / "ledger.sqlite").read_bytes() == before

    @pytest.mark.parametrize("options", [{}, {"read_only": True}, {"restore": False}], ids=str)
    def test_that_of_a_newer_version_is_refused_though_there_is_a_copy(self, copied, options):
        with closing(sqlite3.connect(copied / "ledger.sqlite")) as database:
            database.execute("PRAGMA user_version = 99")
        with pytest.raises(LedgerError, match=r"newer ctdenoise .version 99"):
            Ledger.open(copied, **options)
        assert not (copied / "damaged").exists()

    def test_that_of_an_older_version_is_brought_up_to_date_after_a_copy(self, folder, newer):
        assert len(newer) == 2
        with pytest.raises(LedgerError, match="older ctdenoise"):
            Ledger.open(folder, read_only=True)
        with Ledger.open(folder) as ledger:
            assert len(ledger.jobs()) == JOBS
            assert ledger._reading.execute("SELECT added FROM job LIMIT 1").fetchone() == (7,)
            versions = ledger._reading.execute("SELECT version FROM migration").fetchall()
            assert versions == [(1,), (2,)]
        with closing(sqlite3.connect(folder / "backup" / "ledger.sqlite")) as copy:
            assert ledger_schema.version_of(copy) == 1

    def test_bringing_up_to_date_is_done_whole_or_not_at_all(self, folder, newer, monkeypatch):
        steps = (*newer, ("ALTER TABLE job ADD COLUMN more", "no statement"))
        monkeypatch.setattr(ledger_schema, "MIGRATIONS", steps)
        monkeypatch.setattr(ledger_schema, "VERSION", 3)
        monkeypatch.setattr(ledger_opening, "VERSION", 3)
        with pytest.raises(LedgerError):
            Ledger.open(folder)
        with closing(sqlite3.connect(folder / "ledger.sqlite")) as database:
            assert ledger_schema.version_of(database) == 1
            columns = {row[1] for row in database.execute("PRAGMA table_info(job)")}
        assert not columns & {"added", "more"}


@pytest.fixture
def newer(monkeypatch):
    """A program whose tables are of version 2."""
    step = ("ALTER TABLE job ADD COLUMN added INTEGER NOT NULL DEFAULT 7",)
    steps = (*ledger_schema.MIGRATIONS, step)
    monkeypatch.setattr(ledger_schema, "MIGRATIONS", steps)
    monkeypatch.setattr(ledger_schema, "VERSION", 2)
    monkeypatch.setattr(ledger_opening, "VERSION", 2)
    return steps
