"""What a run leaves behind for people: `metrics.csv` and TensorBoard events.

Both are written in the caller's thread and flushed line by line, so that a full disk is an error
at once and a killed run keeps every line.
"""

from __future__ import annotations

import csv
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.proto.summary_pb2 import Summary
from tensorboardX.record_writer import RecordWriter
from tensorboardX.summary import scalar

from ctdenoise.errors import OutputError
from ctdenoise.io.staging import staged_file
from ctdenoise.training.pictures import Gray, png

METRICS_FILE = "metrics.csv"
"""Name of the table."""

TIMINGS = ("patches_per_second", "seconds")
"""Columns that differ between equal runs."""

Row = Mapping[str, float | int | None]
"""One line: a value for each column that has one at this step."""


class Recorder(Protocol):
    """Somebody who is told the figures of a run.

    Rows come in ascending order of `step`; a resumed run goes on after the step that
    the recorder was made with.
    """

    def record(self, row: Row) -> None:
        """Keep one line; raises OutputError if that fails."""
        ...

    def show(self, step: int, panels: Sequence[Gray]) -> None:
        """Keep pictures, if it can; raises OutputError if that fails."""
        ...

    def close(self) -> None:
        """Nothing more will come."""
        ...


class MetricsTable:
    """`metrics.csv`: one line for each recorded step.

    Args:
        folder: Where it lies.
        columns: Its columns; the first is "step".
        after: Lines of later steps, left by a run that was killed, are cut off.

    Raises:
        OutputError: If it cannot be written.
    """

    def __init__(self, folder: Path, columns: Sequence[str], *, after: int = 0) -> None:
        self.path = folder / METRICS_FILE
        self.columns = tuple(columns)
        kept = [row for row in read_metrics(folder) if int(row["step"]) <= after]
        with staged_file(self.path) as stage, stage.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, self.columns, extrasaction="ignore", lineterminator="\n")
            writer.writeheader()
            writer.writerows(kept)

    def record(self, row: Row) -> None:
        """Append one line."""
        with (
            _told_as_output_error(self.path),
            self.path.open("a", newline="", encoding="utf-8") as file,
        ):
            writer = csv.DictWriter(file, self.columns, lineterminator="\n")
            writer.writerow({key: "" if value is None else value for key, value in row.items()})

    def show(self, step: int, panels: Sequence[Gray]) -> None:
        """A table holds no pictures."""

    def close(self) -> None:
        """Nothing to do: every line is on disk."""


class TensorBoardEvents:
    """A TensorBoard event file of the run's figures.

    Args:
        folder: Where it lies; a resumed run adds another file.
        after: The step resumed from: TensorBoard drops what earlier files say about later ones.

    Raises:
        OutputError: If it cannot be written.
    """

    def __init__(self, folder: Path, *, after: int = 0) -> None:
        self.path = folder / f"events.out.tfevents.{time.time_ns()}.ctdenoise"
        with _told_as_output_error(self.path):
            self._file = RecordWriter(str(self.path))
            self._write(Event(wall_time=time.time(), file_version="brain.Event:2"))
            start = SessionLog(status=SessionLog.START)
            self._write(Event(wall_time=time.time(), step=after + 1, session_log=start))

    def record(self, row: Row) -> None:
        """Add a scalar for each column that has a value."""
        step = int(row["step"] or 0)
        with _told_as_output_error(self.path):
            for name, value in row.items():
                if name != "step" and value is not None:
                    self._write(
                        Event(wall_time=time.time(), step=step, summary=scalar(name, value))
                    )
            self._file.flush()

    def show(self, step: int, panels: Sequence[Gray]) -> None:
        """Add each picture under its number: low dose, denoised, full dose, difference."""
        with _told_as_output_error(self.path):
            for number, picture in enumerate(panels):
                rows, columns = picture.shape
                image = Summary.Image(
                    height=rows, width=columns, colorspace=1, encoded_image_string=png(picture)
                )
                value = Summary.Value(tag=f"low_denoised_full_difference/{number}", image=image)
                self._write(Event(wall_time=time.time(), step=step, summary=Summary(value=[value])))
            self._file.flush()

    def close(self) -> None:
        """Close the file."""
        with _told_as_output_error(self.path):
            self._file.close()

    def _write(self, event: Event) -> None:
        self._file.write(event.SerializeToString())


def read_metrics(folder: Path) -> list[dict[str, str]]:
    """The lines of a run's `metrics.csv`, as text; empty if there is none.

    A last line that was cut off by a crash is left out.

    Args:
        folder: Output folder of the run.
    """
    path = folder / METRICS_FILE
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    whole = [line for line in lines if line.endswith("\n")]
    return [row for row in csv.DictReader(whole) if (row["step"] or "").isdigit()]


@contextmanager
def _told_as_output_error(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"this record of the training cannot be written ({error.strerror or error}); "
            "the last saved state is whole.",
            where=path,
            fix="Make room, then run the same command with --resume.",
        ) from error
