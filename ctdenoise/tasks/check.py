"""`check`: judge derived series against what they were derived from."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ctdenoise.core.progress import SILENT, Progress
from ctdenoise.io.dicom_judge import Expected, judge_series
from ctdenoise.io.dicom_judge_objections import Maker, Objection
from ctdenoise.io.dicom_judge_rules import RULES
from ctdenoise.io.dicom_judge_study import derived_series, source_of
from ctdenoise.io.study import find_series


@dataclass(frozen=True, slots=True)
class CheckedSeries:
    """What is wrong with one derived series.

    Args:
        description: Its SeriesDescription.
        maker: Who wrote it: "ours" are held to more than the standard asks.
        files: How many files it has.
        source_slices: Slices of its source; None where no source was given.
        objections: Everything that is wrong, errors first.
    """

    description: str
    maker: Maker
    files: int
    source_slices: int | None
    objections: tuple[Objection, ...]

    @property
    def is_legal(self) -> bool:
        """Whether there is no error; there may be warnings."""
        return all(one.severity != "error" for one in self.objections)


def run(
    derived: Path,
    *,
    source: Path | None = None,
    pixels: bool = True,
    progress: Progress = SILENT,
) -> tuple[CheckedSeries, ...]:
    """Judge every CT series in a folder.

    Args:
        derived: A folder with derived series, or one file.
        source: The study or series that they were derived from; without it only what shows in the
            derived files themselves is judged.
        pixels: Whether pixels are read and compared as well.
        progress: Told about every series.

    Raises:
        StudyError: If there is no CT series in one of the folders.
        UsageError: If it is not clear which series they were derived from.
    """
    found = () if source is None else find_series(source)
    sources = frozenset(one.path.resolve() for series in found for one in series.source.instances)
    if source is not None and derived.resolve() == source.resolve():
        sources = frozenset()
    checked = []
    series = derived_series(derived, besides=sources)
    with progress.stage("Checking", len(series)) as advance:
        for one in series:
            origin = None if source is None else source_of(one, found, where=source)
            slices = [] if origin is None else [(i.path, i.frame or 0) for i in origin.instances]
            expected = Expected(one.maker, pixels=pixels)
            objections = judge_series(one.paths, slices, expected)
            count = None if origin is None else len(slices)
            checked.append(
                CheckedSeries(one.description, one.maker, len(one.paths), count, objections)
            )
            advance()
    return tuple(checked)


def not_judged(derived: Path) -> tuple[str, ...]:
    """What lies in the folder and has no rules here: "segmentation: 1 file".

    Args:
        derived: The folder that was judged.
    """
    counts = Counter[str]()
    for series in find_series(derived):
        if series.kind == "dicom" and series.what != "CT":
            counts[series.what] += len({one.path for one in series.source.instances})
    return tuple(f"{what}: {n} file{'' if n == 1 else 's'}" for what, n in sorted(counts.items()))


def as_json(checked: Sequence[CheckedSeries], others: Sequence[str] = ()) -> str:
    """What was found, for other programs.

    Args:
        checked: Every series.
        others: What was not judged.
    """
    return json.dumps(
        {
            "legal": all(one.is_legal for one in checked),
            "not_judged": list(others),
            "series": [
                {
                    "description": one.description,
                    "maker": one.maker,
                    "files": one.files,
                    "source_slices": one.source_slices,
                    "legal": one.is_legal,
                    "findings": [
                        {
                            "rule": objection.rule,
                            "severity": objection.severity,
                            "section": RULES[objection.rule].section,
                            "file": objection.path.name,
                            "files": objection.files,
                            "text": objection.text,
                        }
                        for objection in one.objections
                    ],
                }
                for one in checked
            ],
        },
        indent=2,
    )
