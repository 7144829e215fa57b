"""The test images of a comparison, and what every network makes of each."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from ctdenoise.config.comparison import CompareSettings
from ctdenoise.core.arrays import BoolArray, HuArray
from ctdenoise.core.body import body_mask
from ctdenoise.core.progress import Advance
from ctdenoise.core.volume import CTVolume
from ctdenoise.errors import SettingsError
from ctdenoise.inference.denoiser import Denoiser
from ctdenoise.io.pair_manifest import MANIFEST_FILE, read_manifest
from ctdenoise.io.pairs import PairFiles, read_pair
from ctdenoise.metrics.comparison import Figures, figures_of
from ctdenoise.metrics.evaluation import evaluate
from ctdenoise.metrics.noise_texture import (
    FlatAreas,
    TextureFigures,
    Truth,
    flat_areas,
    noise_power,
)
from ctdenoise.metrics.nps import PowerSums
from ctdenoise.report.compared import JudgedImage, Picture
from ctdenoise.simulation.recorded import from_exact


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """A low dose of a pair and the slices of it that are measured.

    Args:
        files: The pair.
        index: Which of its low doses.
        image: What the report says about it.
    """

    files: PairFiles
    index: int
    image: JudgedImage

    @property
    def slices(self) -> list[int]:
        """Numbers of the slices, from 0."""
        return [number - 1 for number in self.image.slices]


def judged_images(pairs: Sequence[PairFiles], settings: CompareSettings) -> tuple[Judged, ...]:
    """Every low dose of every pair, with the slices that are measured.

    Args:
        pairs: As found by `find_pairs`.
        settings: Which slices.

    Raises:
        SettingsError: If a pair has no slice of some number.
    """
    tests = []
    for place, files in enumerate(pairs, start=1):
        name = f"pair {place}"
        slices = tuple(number + 1 for number in _numbers(files.shape[0], name, settings))
        manifest = read_manifest(files.folder / MANIFEST_FILE)
        for index, (file, exposure) in enumerate(manifest.low):
            image = JudgedImage(
                name,
                files.patient_key or name,
                exposure.dose_fraction,
                "exact" if from_exact(file.history) else "scan",
                slices,
            )
            tests.append(Judged(files, index, image))
    return tuple(tests)


def shown_images(tests: Sequence[Judged], count: int) -> tuple[Judged, ...]:
    """The test images that the page shows: of every kind of truth in turn, low doses first.

    Args:
        tests: All of them.
        count: How many at most.
    """
    kinds: dict[Truth, list[Judged]] = {}
    for test in sorted(tests, key=lambda test: test.image.dose_fraction):
        kinds.setdefault(test.image.truth, []).append(test)
    turns = max((len(some) for some in kinds.values()), default=0)
    order = [some[turn] for turn in range(turns) for some in kinds.values() if turn < len(some)]
    return tuple(order[:count])


def _numbers(slices: int, name: str, settings: CompareSettings) -> tuple[int, ...]:
    wanted = settings.slices
    if wanted is None:
        return tuple(range(slices))
    if isinstance(wanted, int):
        count = min(wanted, slices)
        return tuple((2 * place + 1) * slices // (2 * count) for place in range(count))
    beyond = [number for number in wanted if number > slices]
    if beyond:
        raise SettingsError(
            f"{name} has {slices} slices, so there is no slice {beyond[0]}.",
            where="slices",
            fix="Give numbers that every pair has, or how many slices at even distances.",
        )
    return tuple(sorted({number - 1 for number in wanted}))


class SliceClock:
    """A progress that keeps the time of each slice and hands on that it is done.

    What is done before the first slice is shared out among all of them.

    Args:
        advance: Told about every slice.
    """

    def __init__(self, advance: Advance) -> None:
        self._advance = advance
        self._last = _now()
        self.times: list[tuple[float, float]] = []

    @contextmanager
    def stage(self, what: str, total: int, *, done: int = 0) -> Iterator[Advance]:
        """Open a stage; the time before it belongs to all of its slices."""
        del what, done
        before = [one / max(1, total) for one in self._since()]

        def tell(count: int = 1, *, note: str = "") -> None:
            del note
            passed = self._since()
            self.times += [(passed[0] / count + before[0], passed[1] / count + before[1])] * count
            self._advance(count)

        yield tell

    def _since(self) -> tuple[float, float]:
        """What has passed since the last call."""
        now, last = _now(), self._last
        self._last = now
        return now[0] - last[0], now[1] - last[1]


def _now() -> tuple[float, float]:
    """By the clock on the wall, and by the processors that this process has used."""
    return time.perf_counter(), time.process_time()


class MeasuredImage:
    """A test image in memory, with what all methods on it have in common.

    Args:
        test: Which one.
        settings: How to measure.
    """

    def __init__(self, test: Judged, settings: CompareSettings) -> None:
        pair = read_pair(test.files, test.index, slices=test.slices)
        self.full: CTVolume = pair.full
        self.low: CTVolume = pair.low
        self.image = test.image
        self.body: BoolArray = body_mask(pair.full.hu, pair.full.padding)
        self._settings = settings.evaluation()
        self._areas: FlatAreas = flat_areas(
            self.full, self.body, side=settings.noise_patch, truth=self.image.truth
        )
        standard = self.full if self.image.truth == "scan" else self.low
        self._standard: tuple[PowerSums, ...] = noise_power(standard, self.full, self._areas)

    def figures(self, volume: CTVolume) -> Figures:
        """The figures of a method.

        Args:
            volume: What it made of the low dose.
        """
        evaluation = evaluate(self.full, volume, self._settings, body=self.body)
        power = noise_power(volume, self.full, self._areas)
        truth, side = self.image.truth, self._areas.side
        return figures_of(evaluation, TextureFigures(power, self._standard, truth, side))

    def denoised(
        self, denoiser: Denoiser, advance: Advance
    ) -> tuple[CTVolume, list[tuple[float, float]]]:
        """What a network makes of the low dose, and the time of each slice; see `SliceClock`.

        Args:
            denoiser: The network.
            advance: Told about every slice.
        """
        clock = SliceClock(advance)
        return denoiser(self.low, progress=clock), clock.times

    def slice_of(self, volume: CTVolume) -> HuArray:
        """A copy of the slice that is shown: the middle one of those with a body.

        Args:
            volume: What a method made of the low dose.
        """
        image: HuArray = volume.hu[self.shown_slice].copy()
        return image

    @property
    def shown_slice(self) -> int:
        """Which of the slices is shown."""
        with_body = [place for place, body in enumerate(self.body) if body.any()]
        return with_body[len(with_body) // 2] if with_body else len(self.body) // 2

    def picture(self, shown: Sequence[HuArray]) -> Picture:
        """The slice that is shown, as every row has it.

        Args:
            shown: The slice of each row.
        """
        place = self.shown_slice
        padding = self.full.padding
        return Picture(
            self.image,
            self.image.slices[place],
            self.slice_of(self.full),
            tuple(shown),
            self.body[place].copy(),
            None if padding is None else padding[place].copy(),
            self.full.geometry,
        )
