"""Every kind of object, from every source, in every transfer syntax, before every judge: tables.

python -m tests.dicom.judges FOLDER_OF_REAL_CT [TRANSFER_SYNTAX ...] > tables.md
"""

from __future__ import annotations

import logging
import re
import sys
import tempfile
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

from tests.dicom import archive
from tests.dicom.judge_archive import stored
from tests.dicom.judge_files import JUDGES, missing_programs, verdicts
from tests.dicom.judge_readers import READERS, cannot, missing_reader, reads
from tests.dicom.judged import (
    KINDS,
    ONE_SYNTAX,
    SOURCES,
    SYNTAXES,
    Made,
    make,
    study_of,
)
from tests.dicom.objects import labelling_model
from tests.dicom.verdicts import ALLOWED, Verdict

_Row = tuple[str, Made, Verdict]


def made_in(syntax: str, ctdata: Path, folder: Path, model: Path) -> Iterator[Made]:
    """Everything in one transfer syntax; what has but one is made with the first."""
    for source in (*SOURCES, ""):
        place = folder / (source or "phantom")
        study = study_of(source, ctdata, place / "study") if source else place / "study"
        study.mkdir(parents=True, exist_ok=True)
        for kind in KINDS if source else ("phantom",):
            if kind in ONE_SYNTAX and syntax != SYNTAXES[0]:
                continue
            yield make(kind, source, study, place / kind, model=model, syntax=syntax)


def judged(objects: list[Made], folder: Path) -> Iterator[_Row]:
    """Every judge's verdict on every object that it can judge."""
    for judge in JUDGES:
        if not missing_programs(judge):
            yield from ((judge, made, verdict) for made, verdict in verdicts(judge, objects))
    written = [made for made in objects if not made.refused]
    for reader in READERS:
        if not missing_reader(reader):
            yield from (
                (reader, made, reads(reader, made)) for made in written if not cannot(reader, made)
            )
    if not archive.missing():
        found = stored(written, folder / "archive")
        yield from (("Orthanc", made, found[made.source, made.kind]) for made in written)


def print_table(title: str, rows: dict[str, list[str]], columns: list[str]) -> None:
    """One table in Markdown."""
    print(f"\n| {title} | {' | '.join(columns)} |")
    print("|" + "---|" * (len(columns) + 1))
    for name, cells in rows.items():
        print(f"| {name} | {' | '.join(cells)} |")


def print_verdicts(rows: list[_Row]) -> None:
    """Objects judged and remarks held against them, by kind and judge."""
    judges = list(dict.fromkeys(judge for judge, _, _ in rows))
    table = {}
    for kind in (*KINDS, "phantom"):
        cells = []
        for judge in judges:
            found = [verdict for name, made, verdict in rows if (name, made.kind) == (judge, kind)]
            new = sum(len(verdict.new) for verdict in found)
            allowed = sum(len(verdict.allowed) for verdict in found)
            text = f"{new} in {len(found)}" + (f" ({allowed})" if allowed else "")
            cells.append(text if found else "")
        table[f"`{kind}`"] = cells
    print_table("kind", table, judges)


def print_made(objects: list[Made]) -> None:
    """How often each kind was made of each source, and where it was refused."""
    count: dict[str, Counter[str]] = defaultdict(Counter)
    for made in objects:
        count[made.source][made.kind] += not made.refused
    kinds = list(KINDS)
    table = {
        f"`{source}`": [str(count[source][kind] or "refused") for kind in kinds]
        for source in SOURCES
    }
    print_table("source", table, [f"`{kind}`" for kind in kinds])


def main() -> None:
    """Print the tables, and every remark that is neither the source's nor explained."""
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    ctdata, objects, rows = Path(sys.argv[1]), [], []
    with tempfile.TemporaryDirectory() as name:
        model = labelling_model(Path(name) / "model.safetensors")
        for syntax in [one for one in SYNTAXES if one in sys.argv[2:]] or SYNTAXES:
            folder = Path(name) / syntax
            made = list(made_in(syntax, ctdata, folder, model))
            rows += list(judged(made, folder))
            objects += made
            print(f"{syntax}: {len(rows)} verdicts", file=sys.stderr)
    print_made(objects)
    print_verdicts(rows)
    known = Counter(
        (judge, words)
        for judge, words in ALLOWED
        for name, _, verdict in rows
        if name == judge
        for line in verdict.allowed
        if re.search(words, line)
    )
    print_table(
        "explained",
        {
            f"`{words}`".replace("|", "\\|"): [str(known[judge, words]), why]
            for (judge, words), why in ALLOWED.items()
        },
        ["times", "why"],
    )
    for judge, made, verdict in rows:
        for line in verdict.new:
            print(f"\n{judge}, {made.source} {made.kind} {made.syntax}: {line}")


if __name__ == "__main__":
    main()
