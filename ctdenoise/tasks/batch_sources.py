"""Which studies a batch is about: named one by one, in a list, or below a folder."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ctdenoise.errors import UsageError

BatchKind = Literal["simulate", "infer", "evaluate"]


@dataclass(frozen=True, slots=True)
class BatchStudy:
    """One study of a batch.

    Args:
        paths: Its folder or file; for a comparison the reference, and then the tests.
        name: What the list calls it; empty for nothing.
    """

    paths: tuple[Path, ...]
    name: str = ""


@dataclass(frozen=True, slots=True)
class BatchSources:
    """Where studies are looked for.

    Args:
        studies: Folders or files.
        table: A text with one study in each line, or a CSV with a header; relative paths start
            where it lies.
        below: A folder of folders of studies.
        depth: How far below it they lie.
    """

    studies: Sequence[Path] = ()
    table: Path | None = None
    below: Path | None = None
    depth: int = 1


def studies_of(sources: BatchSources, *, compared: bool = False) -> Iterator[BatchStudy]:
    """The studies, one at a time and without looking into them; always in the same order.

    Args:
        sources: Where they are.
        compared: Whether each is a reference with its tests.

    Raises:
        UsageError: If nothing is named, or a list cannot be read.
    """
    if not sources.studies and sources.table is None and sources.below is None:
        raise UsageError(
            "no study is named.", fix="Name folders, a list with --studies, or --below a folder."
        )
    if compared and (sources.studies or sources.below is not None):
        raise UsageError(
            "comparing needs a reference for each test.",
            fix="Give --studies TABLE.csv with the columns reference,test, or a --model to judge.",
        )
    for path in sources.studies:
        yield BatchStudy((_absolute(path),))
    if sources.table is not None:
        yield from _in_table(sources.table, compared=compared)
    if sources.below is not None:
        if not sources.below.is_dir():
            raise UsageError("there is no such folder.", where=sources.below)
        for folder in _below(_absolute(sources.below), sources.depth):
            yield BatchStudy((folder,))


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100 - `..` goes away, links stay


def _below(folder: Path, depth: int) -> Iterator[Path]:
    with os.scandir(folder) as entries:
        names = sorted(
            entry.name for entry in entries if entry.is_dir() and not entry.name.startswith(".")
        )
    for name in names:
        if depth > 1:
            yield from _below(folder / name, depth - 1)
        else:
            yield folder / name


def _in_table(table: Path, *, compared: bool) -> Iterator[BatchStudy]:
    first = "reference" if compared else "study"
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            header = next(csv.reader([file.readline()]), [])
            columns = [word.strip().lower() for word in header]
            if columns and columns[0] == first:
                for number, row in enumerate(csv.reader(file), start=2):
                    if any(cell.strip() for cell in row):
                        yield _of_row(table, columns, row, number)
                return
            if compared:
                raise UsageError("the first line of the table must be reference,test.", where=table)
            file.seek(0)
            for line in file:
                text = line.strip()
                if text and not text.startswith("#"):
                    yield BatchStudy((_absolute(table.parent / text),))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError("the list of studies cannot be read.", where=table) from error


def _of_row(table: Path, columns: Sequence[str], row: Sequence[str], number: int) -> BatchStudy:
    """A line of a CSV: paths in the first column and those called test..., and perhaps a name."""
    cells = dict(zip(columns, (cell.strip() for cell in row), strict=False))
    unknown = [word for word in columns[1:] if word != "name" and not word.startswith("test")]
    if unknown:
        raise UsageError(
            f"the table has a column that means nothing: {', '.join(unknown)}.",
            where=table,
            fix="Columns are study,name or reference,test,test2,name.",
        )
    tests = [cells.get(word, "") for word in columns[1:] if word.startswith("test")]
    texts = [cells[columns[0]], *(test for test in tests if test)]
    if not texts[0] or (columns[0] == "reference" and len(texts) < 2):
        raise UsageError(
            f"line {number} of the table names no {columns[0]} or no test.", where=table
        )
    return BatchStudy(
        tuple(_absolute(table.parent / text) for text in texts), cells.get("name", "")
    )
