"""The slices of a reference and its tests, read and compared block by block.

Memory holds a few blocks, however long the studies are. Pictures are read again at the end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from ctdenoise.config.evaluation import EvaluateSettings
from ctdenoise.core.arrays import BoolArray, LabelArray
from ctdenoise.core.body import body_mask
from ctdenoise.core.overlap import read_ahead
from ctdenoise.core.progress import Progress
from ctdenoise.core.volume import CTVolume
from ctdenoise.io.read import SeriesReader, open_series
from ctdenoise.metrics.evaluation import Evaluator, Organs, in_threads
from ctdenoise.metrics.grids import require_same_grid
from ctdenoise.metrics.table import Evaluation
from ctdenoise.report.page import ShownSlice

BLOCK_SLICES = 8
"""Slices that are read at a time."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where an image is.

    Args:
        name: What to call it; names no patient.
        path: Folder or file.
        series: Which series, where there are several.
    """

    name: str
    path: Path
    series: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Block:
    """Some slices of every image."""

    places: range
    reference: CTVolume
    tests: tuple[CTVolume, ...]
    body: BoolArray


class OpenImages:
    """A reference and its tests, open for reading.

    Args:
        reference: The reference.
        tests: The tests, on the same grid.

    Raises:
        UsageError: If there are several series in a folder and none was chosen.
        StudyError: If one cannot be read right.
        GeometryError: If a test is on another grid.
    """

    def __init__(self, reference: Source, tests: Sequence[Source]) -> None:
        with ExitStack() as opened:
            self.reference: SeriesReader = opened.enter_context(_opened(reference))
            self.tests: list[SeriesReader] = []
            for test in tests:
                reader = opened.enter_context(_opened(test))
                require_same_grid(self.reference.geometry, reader.geometry, name=test.name)
                self.tests.append(reader)
            self._opened = opened.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._opened.close()

    def _blocks(self) -> Iterator[_Block]:
        slices = self.reference.shape[0]
        for start in range(0, slices, BLOCK_SLICES):
            places = range(start, min(start + BLOCK_SLICES, slices))
            part = slice(places.start, places.stop)
            reference = self.reference.read(part)
            tests = tuple(test.read(part) for test in self.tests)
            yield _Block(places, reference, tests, body_mask(reference.hu, reference.padding))

    def compared(
        self,
        settings: EvaluateSettings,
        *,
        organs: Organs | None,
        input_test: int | None,
        progress: Progress,
    ) -> tuple[Evaluation, ...]:
        """The numbers of every test.

        Args:
            settings: Which windows.
            organs: Label map of the reference; None for no figures of organs.
            input_test: Which test the others were made from; None if none is.
            progress: Told about every slice of every test.
        """
        names = () if organs is None else organs.names
        geometry = self.reference.geometry
        evaluators = [Evaluator(geometry, settings, names) for _ in self.tests]
        with (
            progress.stage("Comparing", geometry.slices * len(evaluators)) as advance,
            in_threads(settings) as each,
            read_ahead(self._blocks()) as blocks,
        ):
            for block in blocks:
                part = slice(block.places.start, block.places.stop)
                labels = None if organs is None else organs.labels[part]
                for number, evaluator in enumerate(evaluators):
                    before = None
                    if input_test is not None and input_test != number:
                        before = block.tests[input_test]
                    pairs = evaluator.pairs(
                        block.places,
                        block.reference,
                        block.tests[number],
                        block.body,
                        labels=labels,
                        before=before,
                    )
                    evaluator.add(pairs, each, advance)
        return tuple(evaluator.evaluation() for evaluator in evaluators)

    def shown(
        self, evaluations: Sequence[Evaluation], names: Sequence[str], labels: Sequence[LabelArray]
    ) -> tuple[ShownSlice, ...]:
        """The slices of the page: the middle one, and those that differ most.

        Args:
            evaluations: Of each test.
            names: Of each test.
            labels: Class of each voxel of the reference, then of each test; empty without masks.
        """
        chosen = _chosen(evaluations, names[-1], labels)
        return tuple(self._slice(index, title, labels) for index, title in chosen.items())

    def _slice(self, index: int, title: str, labels: Sequence[LabelArray]) -> ShownSlice:
        reference = self.reference.read([index])
        tests = [test.read([index]) for test in self.tests]
        masks = [one.padding[0] for one in (reference, *tests) if one.padding is not None]
        return ShownSlice(
            index,
            title,
            reference.hu[0],
            tuple(test.hu[0] for test in tests),
            body_mask(reference.hu, reference.padding)[0],
            np.logical_or.reduce(masks) if masks else None,
            tuple(one[index] for one in labels),
        )


def _opened(source: Source) -> SeriesReader:
    return open_series(source.path, series=source.series)


def _chosen(
    evaluations: Sequence[Evaluation], name: str, labels: Sequence[LabelArray]
) -> dict[int, str]:
    """Which slices to show, and why."""
    last = evaluations[-1]
    with_body = [place for place, sums in enumerate(last.body) if sums.count]
    middle = with_body[len(with_body) // 2] if with_body else len(last.body) // 2
    chosen = {middle: "Middle slice"}
    worst = last.slices.worst("rmse")
    if worst is not None:
        chosen.setdefault(worst, f"Slice with the highest RMSE of {name}")
    if labels:
        changed = np.count_nonzero(labels[0] != labels[-1], axis=(1, 2))
        most = int(changed.argmax())
        if changed[most]:
            chosen.setdefault(most, f"Slice whose masks differ most in {name}")
    return chosen
