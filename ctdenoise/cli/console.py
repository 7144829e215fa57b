"""What a person sees: tables on stdout, progress and warnings on stderr."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console, RenderableType
from rich.logging import RichHandler
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as RichProgress
from rich.table import Table

from ctdenoise.core.progress import Advance, Progress

if TYPE_CHECKING:
    from ctdenoise.metrics.table import Evaluation

STDOUT = Console(highlight=False, soft_wrap=False)
STDERR = Console(stderr=True, highlight=False)


TABLE_BOX = box.SIMPLE_HEAD
"""The frame of every table: a line under the heads and nothing else."""


class _Bars:
    """Progress bars on stderr, one line a stage."""

    def __init__(self, bars: RichProgress) -> None:
        self._bars = bars

    @contextmanager
    def stage(self, what: str, total: int, *, done: int = 0) -> Iterator[Advance]:
        """Show a bar until the stage ends; it stays visible, with its time, when it is done."""
        task = self._bars.add_task(what, total=total, completed=done, note="")

        def advance(count: int = 1, *, note: str = "") -> None:
            if note:
                self._bars.update(task, advance=count, note=note)
            else:
                self._bars.update(task, advance=count)

        yield advance


@contextmanager
def progress() -> Iterator[Progress]:
    """Progress for a task, and the library's warnings beside it.

    In a terminal these are bars with an estimate; in a log file, one line for each stage.
    """
    with _warnings_shown():
        if not STDERR.is_terminal:
            yield _Lines()
            return
        columns: tuple[ProgressColumn | str, ...] = (
            TextColumn("{task.description:<22}"),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[note]}"),
        )
        with RichProgress(*columns, console=STDERR, transient=False) as bars:
            yield _Bars(bars)


class _Lines:
    """Progress for a log file: a line when a stage starts and nothing more."""

    @contextmanager
    def stage(self, what: str, total: int, *, done: int = 0) -> Iterator[Advance]:
        """Say that a stage starts."""
        rest = f", {done} done before" if done else ""
        STDERR.print(f"{what}: {total}{rest}", markup=False)

        def advance(count: int = 1, *, note: str = "") -> None:
            del count, note

        yield advance


def _once() -> Callable[[logging.LogRecord], bool]:
    """A filter that lets every message through once, however often a file is opened."""
    said: set[str] = set()

    def is_new(record: logging.LogRecord) -> bool:
        text = record.getMessage()
        if text in said:
            return False
        said.add(text)
        return True

    return is_new


@contextmanager
def _warnings_shown() -> Iterator[None]:
    logger = logging.getLogger("ctdenoise")
    handler = RichHandler(
        console=STDERR, show_time=False, show_path=False, markup=False, rich_tracebacks=False
    )
    handler.setLevel(logging.WARNING)
    handler.addFilter(_once())
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


def show_facts(title: str, facts: Sequence[tuple[str, str]]) -> None:
    """Print a titled list of names and values on stdout.

    Args:
        title: A line above the list.
        facts: Name and value; rows with an empty value are left out.
    """
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts:
        if value:
            table.add_row(name, value)
    STDOUT.print(title, style="bold", markup=False)
    STDOUT.print(table)


def show_table(
    heads: Sequence[str], rows: Sequence[Sequence[str]], *, figures: Collection[str] = ()
) -> None:
    """Print rows of words on stdout.

    Args:
        heads: Name of each column.
        rows: A word for each column.
        figures: Heads of the columns that hold figures, which stand to the right.
    """
    table = Table(box=TABLE_BOX, pad_edge=False, show_edge=False)
    for head in heads:
        table.add_column(head, justify="right" if head in figures else "left")
    for row in rows:
        table.add_row(*row)
    print_wide(table)


def number(value: float | None, unit: str = "", *, digits: int = 1) -> str:
    """A figure with its unit; empty where unknown."""
    if value is None:
        return ""
    return f"{value:.{digits}f}{' ' if unit else ''}{unit}"


def share(after: float | None, before: float | None) -> str:
    """How much a figure changed, as " (-38 %)"; empty where one of them is unknown."""
    if after is None or not before:
        return ""
    return f" ({round(100 * (after / before - 1)):+d} %)"


def print_wide(table: RenderableType) -> None:
    """Print on stdout; into a pipe or file without cutting it at the width of a terminal."""
    console = STDOUT if STDOUT.is_terminal else Console(highlight=False, width=220)
    console.print(table)


def print_line(text: str) -> None:
    """Print a line on stdout as it is: brackets are no markup, long lines are not cut."""
    STDOUT.print(text, markup=False, soft_wrap=True)


def say(text: str) -> None:
    """Print a line for people on stderr, as it is: what a result is made of is no result."""
    STDERR.print(text, markup=False, soft_wrap=True)


def show_comparison(evaluations: Mapping[str, Evaluation]) -> None:
    """Print the numbers of several tests against one reference, a column for each test.

    Args:
        evaluations: The numbers by the name of the test.
    """
    table = Table(box=TABLE_BOX, pad_edge=False, show_edge=False)
    table.add_column("against the reference")
    table.add_column("unit", style="dim")
    for name in evaluations:
        table.add_column(name, justify="right")
    found = [{m.key: m for m in evaluation.metrics} for evaluation in evaluations.values()]
    every = {key: metric for metrics in reversed(found) for key, metric in metrics.items()}
    for key, metric in every.items():
        values = [metrics.get(key) for metrics in found]
        if any(value is not None and value.value is not None for value in values):
            texts = ("\N{EN DASH}" if value is None else value.text for value in values)
            table.add_row(metric.title, metric.unit, *texts)
    print_wide(table)
