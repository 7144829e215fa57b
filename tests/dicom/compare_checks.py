"""Which check notices which defect: three public validators and our own, as a table in Markdown.

python -m tests.dicom.compare_checks > table.md
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ctdenoise.config.dicom import DicomSettings
from ctdenoise.io.dicom_judge import Expected, judge_series
from tests.dicom.deriving import DENOISE, SIMULATE
from tests.dicom.mutations import MUTATIONS, Mutation
from tests.dicom.planting import Series
from tests.dicom.standard import violations_of
from tests.dicom.test_judge import made


def said(program: str, paths: Sequence[Path], level: str) -> set[str]:
    """Lines of a validator of one level, without what it says about a file by name."""
    run = subprocess.run(
        [program, *map(str, paths)], capture_output=True, text=True, errors="replace", check=False
    )
    return {line for line in (run.stdout + run.stderr).splitlines() if line.startswith(level)}


def by_file(paths: Sequence[Path], level: str) -> set[str]:
    """What dciodvfy says about files, each judged alone."""
    return {line for path in paths for line in said("dciodvfy", [path], level)}


def violated(paths: Sequence[Path]) -> set[str]:
    """What dicom-validator says about files; one that it cannot read violates everything."""
    found: set[str] = set()
    for path in paths:
        try:
            found |= set(violations_of(path))
        except Exception as error:  # noqa: BLE001 - pydicom raises whatever the bytes provoke
            found.add(type(error).__name__)
    return found


def verdict(new_errors: set[str], new_warnings: set[str]) -> str:
    """E for a new error, W for a new warning, - for nothing new."""
    return "E" if new_errors else "W" if new_warnings else "-"


def row(mutation: Mutation, legal: Path, folder: Path) -> str:
    """One line of the table."""
    shutil.copytree(legal, folder)
    series = Series(sorted((folder / "derived").iterdir()), sorted((folder / "source").iterdir()))
    before = {level: by_file(series.derived, level) for level in ("Error", "Warning")}
    agreed = {
        level: said("dcentvfy", [*series.derived, *series.source], level)
        for level in ("Error", "Warning")
    }
    tables = violated(series.derived)
    mutation.plant(series)
    iod = {level: by_file(series.derived, level) - lines for level, lines in before.items()}
    ent = {
        level: said("dcentvfy", [*series.derived, *series.source], level) - lines
        for level, lines in agreed.items()
    }
    slices = [(path, 0) for path in series.source]
    found = judge_series(series.derived, slices, Expected("ours", DicomSettings()))
    own = [one for one in found if one.rule == mutation.rule]
    ours = "-" if not own else "E" if any(one.severity == "error" for one in own) else "W"
    return (
        f"| {mutation.name} | {verdict(iod['Error'], iod['Warning'])} "
        f"| {verdict(ent['Error'], ent['Warning'])} "
        f"| {verdict(violated(series.derived) - tables, set())} | {ours} `{mutation.rule}` |"
    )


def main() -> None:
    """Print the table."""
    print("| defect | dciodvfy | dcentvfy | dicom-validator | ours |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made(folder / "denoised", "siemens", DENOISE)
        made(folder / "simulated", "siemens", SIMULATE)
        for number, mutation in enumerate(MUTATIONS):
            legal = folder / ("simulated" if mutation.simulated else "denoised")
            print(row(mutation, legal, folder / str(number)))


if __name__ == "__main__":
    main()
