"""Work that stands for real commands in tests of `batch`: quick, and with every way to fail."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from ctdenoise.core.moment import told_moment
from ctdenoise.core.provenance import JsonValue
from ctdenoise.errors import OutputError, StudyError
from ctdenoise.tasks.batch_study import StudyResult, StudyTask, done_study


def copy_study(task: StudyTask) -> dict[str, JsonValue]:
    """Write what the study's file says, or fail as it asks for."""
    return done_study(task, _copy)


def _copy(task: StudyTask, folder: Path) -> StudyResult:
    (study,) = task.paths
    said = (study / "what.txt").read_text().split()
    tries = study.with_name(f"{study.name}.tries")
    with tries.open("a") as file:
        file.write("x")
    match said:
        case ["refuse"]:
            raise StudyError(f"what.txt of {study} says no:\n  - Doe is in {study.name}")
        case ["once", *_] if tries.stat().st_size == 1:
            raise OutputError("the disk is full")
        case ["always"]:
            raise OutputError("the disk is full")
        case ["die"]:
            os.kill(os.getpid(), signal.SIGKILL)
        case ["die-once", *_] if tries.stat().st_size == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        case ["kill-worker", *_] if tries.stat().st_size == 1:
            os.kill(os.getppid(), signal.SIGKILL)
            time.sleep(300)
        case ["wait", *_] if tries.stat().st_size == 1:
            time.sleep(300)
        case ["partly"]:
            return StudyResult(1, 5, failed="series 2: it is none")
    (folder / "said.txt").write_text(f"{' '.join(said)} {told_moment()}")
    return StudyResult(1, 5, figures={"noise_before_hu": 3.0})


def nothing(task: StudyTask) -> dict[str, JsonValue]:
    """The smallest unit there is."""
    return {}
