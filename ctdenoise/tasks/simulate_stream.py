"""From a series to its twins, block by block: read ahead, simulate, write behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import numpy as np

from ctdenoise.core.arrays import HuArray, LabelArray
from ctdenoise.core.overlap import Busy, read_ahead, write_behind
from ctdenoise.core.pair import Exposure
from ctdenoise.core.progress import Progress
from ctdenoise.core.provenance import Step
from ctdenoise.core.volume import CTVolume
from ctdenoise.io.growing import Growing, GrowingFile, Journal
from ctdenoise.io.image_labels import LabelReader
from ctdenoise.io.read import SeriesReader
from ctdenoise.simulation.calibration import sample_indices
from ctdenoise.simulation.low_dose import Plan, Simulator, blocks

SAMPLE_FILE = ".sample_{}"
"""Voxels of the sample slices of a twin, float32, until its noise level is measured."""


class TwinWriter(Protocol):
    """Writes a series and its twins, block by block."""

    @property
    def parts(self) -> Sequence[Growing]:
        """What grows, for the journal."""
        ...

    def write(
        self, full: CTVolume, low: Sequence[CTVolume], labels: LabelArray | None = None
    ) -> None:
        """Append a block of slices: of the series, of each twin, and of the labels."""
        ...

    def finish(
        self,
        twins: Sequence[tuple[Exposure, tuple[Step, ...]]],
        label_names: Mapping[int, str] | None = None,
    ) -> None:
        """Write what can be written only when all slices are known."""
        ...

    def __enter__(self) -> Self:
        """The writer itself; its files are closed when the block ends."""
        ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the files."""
        ...


@dataclass(frozen=True, slots=True)
class Sources:
    """What is read.

    Args:
        series: The full-dose series.
        sample: Its slices that `sample_indices` names.
        labels: A segmentation on its grid, to go with the twins.
    """

    series: SeriesReader
    sample: CTVolume
    labels: LabelReader | None


@dataclass(frozen=True, slots=True)
class _Block:
    """Consecutive slices on their way.

    Args:
        first: Index of the first of them.
        volume: The slices.
        ahead: The slices after them that share noise with the last ones; None where none does.
        labels: Their segmentation, if there is one.
    """

    first: int
    volume: CTVolume
    ahead: CTVolume | None
    labels: LabelArray | None


class TwinStream:
    """One simulation on its way from files to files.

    Args:
        sources: What is read.
        plan: What is made of it.
        stage: The folder that is written into.
        writer: Writes the twins there.
        journal: Notes what is finished.
    """

    def __init__(
        self, sources: Sources, plan: Plan, stage: Path, writer: TwinWriter, journal: Journal
    ) -> None:
        self._sources, self._plan, self._journal = sources, plan, journal
        self._writer = writer
        self._paths = [stage / SAMPLE_FILE.format(index) for index in range(len(plan.doses))]
        self._sample = frozenset(sample_indices(sources.series.geometry))
        self.busy = Busy()
        self.resumed = 0
        """Slices that a killed run had finished."""

    def run(self, progress: Progress) -> tuple[Exposure, ...]:
        """Read, simulate and write everything that is not finished yet.

        Args:
            progress: Told about every block that is written.

        Returns:
            Dose, photons and noise of each twin.
        """
        samples = [GrowingFile(path) for path in self._paths]
        try:
            parts = [*self._writer.parts, *samples]
            self.resumed = self._journal.restore(parts)
            self._stream(self.resumed, samples, parts, progress)
        finally:
            for sample in samples:
                sample.close()
        with self.busy.at("write"):
            twins = [self._twin(index, path) for index, path in enumerate(self._paths)]
            self._writer.finish(twins)
            for path in self._paths:
                path.unlink()
            self._journal.remove()
        return tuple(exposure for exposure, _ in twins)

    def _stream(
        self,
        first: int,
        samples: Sequence[GrowingFile],
        parts: Sequence[Growing],
        progress: Progress,
    ) -> None:
        simulator = Simulator(self._plan)
        slices = self._sources.series.geometry.slices
        with progress.stage("Simulating", slices, done=first) as advance:

            def write(item: tuple[_Block, tuple[HuArray, ...]]) -> None:
                with self.busy.at("write"):
                    self._write(item[0], item[1], samples)
                    done = item[0].first + item[0].volume.shape[0]
                    self._journal.add(done, parts)
                advance(item[0].volume.shape[0])

            with (
                read_ahead(self._blocks(first, simulator.slices_ahead)) as read,
                write_behind(write) as hand_over,
            ):
                self._simulate(simulator, read, hand_over)

    def _simulate(
        self,
        simulator: Simulator,
        read: Iterator[_Block],
        hand_over: Callable[[tuple[_Block, tuple[HuArray, ...]]], None],
    ) -> None:
        for block in read:
            with self.busy.at("simulate"):
                twins = simulator.twins(block.volume, first=block.first, ahead=block.ahead)
            hand_over((block, twins))

    def _blocks(self, first: int, reach: int) -> Iterator[_Block]:
        """Everything from a slice on, in blocks that know `reach` slices after them."""
        series, labels = self._sources.series, self._sources.labels
        slices = series.geometry.slices
        for part in blocks(slices - first, self._plan.settings.slices_per_batch):
            which = slice(first + part.start, first + part.stop)
            following = range(which.stop, min(which.stop + reach, slices))
            with self.busy.at("read"):
                ahead = series.read(following) if following else None
                marks = None if labels is None else labels.read(which)
                block = _Block(which.start, series.read(which), ahead, marks)
            yield block

    def _write(
        self, block: _Block, twins: tuple[HuArray, ...], samples: Sequence[GrowingFile]
    ) -> None:
        low = [self._low(block.volume, index, hu) for index, hu in enumerate(twins)]
        self._writer.write(block.volume, low, block.labels)
        for place in range(block.volume.shape[0]):
            if block.first + place in self._sample:
                for sample, volume in zip(samples, low, strict=True):
                    sample.write(np.ascontiguousarray(volume.hu[place]).data.cast("B"))

    def _low(self, full: CTVolume, index: int, hu: HuArray) -> CTVolume:
        """A twin of some slices; a copy is the scan itself, bit for bit, padding included."""
        step = self._plan.step(index)
        return full.with_step(step) if self._plan.is_copy(index) else full.with_hu(hu, step)

    def _twin(self, index: int, path: Path) -> tuple[Exposure, tuple[Step, ...]]:
        sample = self._sources.sample
        hu = np.fromfile(path, dtype=np.float32).reshape(sample.shape)
        low = self._low(sample, index, hu)
        return self._plan.exposure(index, low), low.history
