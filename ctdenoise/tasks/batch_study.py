"""One study of a batch, wherever it is worked on: its folder appears whole or not at all.

In the folder lie the results, `log.txt` with what was warned of, and `study.json`, which says what
was asked for and what came out. Doing the same again finds it and changes nothing.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path

from ctdenoise.core.kept_warnings import kept_warnings
from ctdenoise.core.moment import dated
from ctdenoise.core.provenance import JsonValue, digest
from ctdenoise.errors import CTDenoiseError, OutputExistsError, StudyError
from ctdenoise.io.staging import staged_file, staged_folder
from ctdenoise.jobs.performing import failure_of

RECORD_FILE = "study.json"
LOG_FILE = "log.txt"

_FILES_MOST = 100_000
"""Files of a study whose size and time are looked at; no CT study has so many."""


@dataclass(frozen=True, slots=True)
class StudyTask:
    """What is to be made of one study.

    Args:
        paths: The study; for a comparison the reference, and then the tests.
        out: Folder to make.
        failure: File that tells why it could not be made.
        request: Digest of all that decides the result beside the study.
        made: The moment that what is made is dated by.
        settings: Of the command, as JSON.
        model: What denoises; None where nothing does.
        file_format: What to write; empty for the usual.
        seed: Same seed, same noise.
    """

    paths: tuple[Path, ...]
    out: Path
    failure: Path
    request: str
    made: datetime
    settings: str
    model: str | None = None
    file_format: str = ""
    seed: int = 0


@dataclass(frozen=True, slots=True)
class StudyResult:
    """What came of one study.

    Args:
        series: Series that were made.
        slices: Slices in them.
        failed: Why some of its series could not be made; empty where all were.
        figures: Such as noise in HU.
        seconds: How long it took.
        files: Digest of names, sizes and times of its files.
    """

    series: int
    slices: int
    failed: str = ""
    figures: Mapping[str, float | None] = field(default_factory=dict)
    seconds: float = 0.0
    files: str = ""

    def as_json(self) -> dict[str, JsonValue]:
        """As plain JSON."""
        return json.loads(json.dumps(asdict(self)))  # type: ignore[no-any-return]


def files_digest(paths: Sequence[Path]) -> str:
    """A digest of which files a study has, how large they are, and when they were changed.

    Args:
        paths: Of the study.

    Raises:
        StudyError: If there is nothing at one of them.
    """
    facts: list[JsonValue] = []
    for path in paths:
        if not path.exists():
            raise StudyError("there is no such study.")
        for file in [path] if path.is_file() else _below(path):
            if not file.exists():
                continue  # a link to nothing
            stat = file.stat()
            facts.append([str(file.relative_to(path)), stat.st_size, stat.st_mtime_ns])
            if len(facts) > _FILES_MOST:
                raise StudyError(f"it has more than {_FILES_MOST} files: is it one study?")
    return digest(sorted(facts, key=str))


def _below(folder: Path) -> Iterator[Path]:
    for parent, _, names in os.walk(folder):
        for name in names:
            yield Path(parent) / name


def done_before(task_out: Path, request: str, files: str) -> StudyResult | None:
    """What an earlier run made of the same study for the same request; None if it did not.

    Args:
        task_out: The folder of the study.
        request: Digest of the request.
        files: Digest of the study's files.
    """
    try:
        record = json.loads((task_out / RECORD_FILE).read_text(encoding="utf-8"))
        if record["request"] != request or record["result"]["files"] != files:
            return None
        return StudyResult(**record["result"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def done_study(
    task: StudyTask, make: Callable[[StudyTask, Path], StudyResult]
) -> dict[str, JsonValue]:
    """Make what is asked for of a study, unless it is there.

    Args:
        task: What is asked for.
        make: Writes results into a folder that is given to it.

    Raises:
        CTDenoiseError: Whatever kept it from being made; it names no file of the study.
    """
    begun = time.perf_counter()
    files = files_digest(task.paths)
    before = done_before(task.out, task.request, files)
    if before is not None:
        return before.as_json()
    if task.out.exists():  # of another state of the study
        shutil.rmtree(task.out)
    lines: list[str] = []
    try:
        with kept_warnings(lines), dated(task.made), staged_folder(task.out) as folder:
            found = make(task, folder)
            seconds = round(time.perf_counter() - begun, 3)
            result = StudyResult(
                found.series, found.slices, found.failed, found.figures, seconds, files
            )
            (folder / LOG_FILE).write_text(_text(lines, task), encoding="utf-8")
            record = {"request": task.request, "result": result.as_json()}
            (folder / RECORD_FILE).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    except OutputExistsError:
        # Another worker, taken for lost, was faster: what it made is what we would have made.
        again = done_before(task.out, task.request, files)
        if again is None:
            raise
        return again.as_json()
    except Exception as error:
        _tell_failure(task, lines, error)
        if isinstance(error, CTDenoiseError):
            raise type(error)(_without_names(error.what, task)) from error
        raise
    task.failure.unlink(missing_ok=True)
    return result.as_json()


def _tell_failure(task: StudyTask, lines: Sequence[str], error: Exception) -> None:
    """Write why a study failed beside the results of the others."""
    words = failure_of(error).words
    text = _text([*lines, f"error: {words}"], task)
    try:
        with staged_file(task.failure) as stage:
            stage.write_text(text, encoding="utf-8")
    except OSError:
        return  # the disk is full or gone, which the failure itself says


def _text(lines: Sequence[str], task: StudyTask) -> str:
    return "".join(f"{_without_names(line, task)}\n" for line in lines)


def _without_names(text: str, task: StudyTask) -> str:
    """A message without paths of the study and names of its files, which may be a patient's."""
    for path in task.paths:
        for one in (path, path.resolve()):
            text = text.replace(str(one), "STUDY")
    names = [file.name for path in task.paths if path.is_dir() for file in _below(path)]
    for number, name in enumerate(sorted(set(names)), start=1):
        if name in text:
            text = text.replace(name, f"file {number}")
    for path in task.paths:
        if len(path.name) > 2:
            text = text.replace(path.name, "STUDY")
    return text
