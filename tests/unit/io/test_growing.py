"""Files that grow, and the journal that says how much of them is whole."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from ctdenoise.core.pair import Exposure
from ctdenoise.core.scan import with_steps
from ctdenoise.io.growing import JOURNAL_FILE, GrowingFile, Journal, read_journal
from ctdenoise.io.pair_writer import PairWriter
from tests.builders import water_disc


def grown(folder: Path, blocks: int) -> Journal:
    """A file of ten bytes a block, its journal beside it."""
    journal = Journal(folder / JOURNAL_FILE, {"seed": 1}, {"began": 5})
    journal.begin()
    file = GrowingFile(folder / "a", b"head")
    for block in range(blocks):
        file.write(bytes([block]) * 10)
        journal.add(block + 1, [file])
    file.write(b"unfinished")
    file.close()
    return journal


def test_the_digest_on_the_way_is_that_of_the_file(tmp_path: Path) -> None:
    grown(tmp_path, 3)
    journal = read_journal(tmp_path)
    assert journal is not None
    mark = journal.blocks[-1][1]["a"]
    assert mark.length == 34
    assert mark.sha256 == hashlib.sha256((tmp_path / "a").read_bytes()[:34]).hexdigest()
    assert (journal.identity, journal.facts) == ({"seed": 1}, {"began": 5})


@pytest.mark.parametrize(
    ("damage_at", "whole"), [(None, 4), (3, 0), (8, 0), (14, 1), (33, 2), (60, 4)]
)
def test_only_whole_blocks_are_believed(tmp_path: Path, damage_at: int | None, whole: int) -> None:
    grown(tmp_path, 4)
    expected = (tmp_path / "a").read_bytes()[: 4 + 10 * whole]
    with (tmp_path / "a").open("r+b") as file:
        if damage_at is not None:
            file.seek(damage_at)
            file.write(b"\xff")
    journal = read_journal(tmp_path)
    assert journal is not None
    file = GrowingFile(tmp_path / "a", b"head")
    assert journal.restore([file]) == whole
    file.write(b"next")
    mark = file.mark()
    file.close()
    assert (tmp_path / "a").read_bytes() == expected + b"next"
    assert mark.sha256 == hashlib.sha256(expected + b"next").hexdigest()


def test_a_line_that_was_cut_short_is_not_read(tmp_path: Path) -> None:
    grown(tmp_path, 3)
    path = tmp_path / JOURNAL_FILE
    path.write_bytes(path.read_bytes()[:-7])
    journal = read_journal(tmp_path)
    assert journal is not None
    assert [slices for slices, _ in journal.blocks] == [1, 2]


@pytest.mark.parametrize("content", [b"", b"{}\n", b"no json\n", b"\xff\xfe"])
def test_what_is_no_journal_is_none(tmp_path: Path, content: bytes) -> None:
    assert read_journal(tmp_path) is None
    (tmp_path / JOURNAL_FILE).write_bytes(content)
    assert read_journal(tmp_path) is None


@pytest.mark.parametrize("cut", [1, 3, 7])
def test_pairs_have_the_same_bytes_however_they_are_cut_into_blocks(
    tmp_path: Path, cut: int
) -> None:
    full = water_disc(slices=7, noise_hu=4.0)
    contents = []
    for size in (cut, 7):
        folder = tmp_path / str(size) / str(len(contents))
        folder.mkdir(parents=True)
        with PairWriter(folder, with_steps(full), [0.5], has_labels=True) as writer:
            for first in range(0, 7, size):
                block = full.select(slice(first, first + size))
                labels = (block.hu > -500).astype(np.uint8)
                writer.write(block, [block], labels)
            writer.finish([(Exposure(0.5, 1e5), ())], {1: "body"})
        contents.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert contents[0] == contents[1]
