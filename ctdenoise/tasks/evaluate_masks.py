"""The masks that `evaluate` compares: label maps from files, or from a network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from ctdenoise.config.evaluation import MaskSettings
from ctdenoise.core.arrays import LabelArray
from ctdenoise.core.geometry import Geometry
from ctdenoise.core.progress import Progress
from ctdenoise.core.provenance import JsonValue
from ctdenoise.errors import SettingsError, UsageError
from ctdenoise.io.image_labels import LabelReader, read_labels
from ctdenoise.io.read import SeriesReader
from ctdenoise.metrics.evaluation import Organs
from ctdenoise.metrics.masks import (
    INPUT,
    REFERENCE,
    REFERENCE_AND_TRUTH,
    TRUTH,
    mask_metrics,
)
from ctdenoise.metrics.table import Evaluation, Metric


class MaskSource(Protocol):
    """Where the label map of each image comes from.

    The contract: label maps are on the grid of the image, 0 is background, and no class is above
    the last of `names` where there are names.
    """

    @property
    def names(self) -> tuple[str, ...]:
        """Name of each class, background first; empty where the label maps decide."""
        ...

    @property
    def labels(self) -> Mapping[int, int] | None:
        """Class of each label number of a truth; None if the numbers are the classes.

        Raises:
            UsageError: If that is not known.
        """
        ...

    @property
    def record(self) -> dict[str, JsonValue]:
        """Plain JSON that says where the masks come from, without names of files."""
        ...

    @property
    def words(self) -> str:
        """What the command line says of it; places stand for files."""
        ...

    def check(self, geometry: Geometry, *, tests: int) -> None:
        """Refuse what could not be compared, before anything is computed."""
        ...

    @property
    def labels_tests(self) -> bool:
        """Whether tests have masks, too; without them there are figures of organs alone."""
        ...

    def of(self, number: int, image: SeriesReader, *, progress: Progress) -> LabelArray:
        """Class of each voxel of an image, uint8 [z, y, x].

        Args:
            number: 0 is the reference, 1 the first test.
            image: The image.
            progress: Told about every slice.
        """
        ...


@dataclass(frozen=True, slots=True)
class FileMasks:
    """Label maps that lie in files: NIfTI, MetaImage or NRRD on the grid of the images.

    Args:
        reference: The mask on the reference.
        tests: The mask on each test, in their order; empty for figures of organs alone.
        settings: What the numbers mean.
    """

    reference: Path
    tests: tuple[Path, ...]
    settings: MaskSettings

    @property
    def names(self) -> tuple[str, ...]:
        """Empty: the label maps decide how many classes there are."""
        return ()

    @property
    def labels(self) -> Mapping[int, int] | None:
        """None: what the settings say holds for every file."""
        return None

    @property
    def record(self) -> dict[str, JsonValue]:
        """That they were given."""
        return {"from": "files"}

    @property
    def words(self) -> str:
        """As on the command line."""
        if not self.tests:
            return "--reference-mask MASK"
        tests = " ".join(f"MASK_{number}" for number in range(1, len(self.tests) + 1))
        return f"--reference-mask MASK --test-masks {tests}"

    def check(self, geometry: Geometry, *, tests: int) -> None:
        """Refuse files that cannot be read, on another grid, or of another number than tests."""
        if self.tests and len(self.tests) != tests:
            raise UsageError(
                f"{tests} tests need {tests} masks, and {len(self.tests)} were given.",
                where="--test-masks",
                fix="Name one mask for each test, in their order.",
            )
        for path in (self.reference, *self.tests):
            with LabelReader(path, geometry):
                pass

    @property
    def labels_tests(self) -> bool:
        """Whether masks of the tests were given."""
        return bool(self.tests)

    def of(self, number: int, image: SeriesReader, *, progress: Progress) -> LabelArray:
        """The label map of an image; see `MaskSource`."""
        del progress
        path = (self.reference, *self.tests)[number]
        return in_classes(read_labels(path, image.geometry), self.settings.labels)


@dataclass(frozen=True, slots=True)
class MaskAnswer:
    """What was found about masks.

    Args:
        evaluations: Of each test, with the figures of its masks.
        labels: Class of each voxel of the reference, then of each test; empty without masks of the
            tests.
        record: Where the masks come from and which classes there are, plain JSON.
    """

    evaluations: tuple[Evaluation, ...]
    labels: tuple[LabelArray, ...]
    record: dict[str, JsonValue]


@dataclass(frozen=True, slots=True)
class MaskQuestion:
    """What is asked about masks.

    Args:
        source: Where the mask of each image comes from.
        truth: File of the true label map of the anatomy; None without one.
        input_test: Which test, from 0, is the image that the others were made from; None if it is
            the reference, or not there.
        settings: What numbers of files mean, and what classes are called.
    """

    source: MaskSource
    truth: Path | None
    input_test: int | None
    settings: MaskSettings

    def check(self, geometry: Geometry, *, tests: int) -> None:
        """Refuse what could not be compared, before anything is computed.

        Args:
            geometry: Grid of the reference.
            tests: How many tests there are.

        Raises:
            UsageError: If there are more or fewer masks than images, or nobody says what the
                numbers of the truth mean.
            StudyError: If a file is no label map.
            GeometryError: If one lies on another grid.
        """
        self.source.check(geometry, tests=tests)
        if self.truth is not None:
            if not self.source.labels_tests:
                raise UsageError(
                    "the tests have no masks to compare with the true one.",
                    where="--truth-mask",
                    fix="Add --test-masks, or give the true mask as --reference-mask.",
                )
            self._labels_of_truth()
            with LabelReader(self.truth, geometry):
                pass

    def organs(self, reference: SeriesReader, *, progress: Progress) -> Organs:
        """Which voxels of the reference belong to which organ.

        Args:
            reference: The reference.
            progress: Told about every slice.
        """
        labels = self.source.of(0, reference, progress=progress)
        return Organs(labels, self._names([labels]))

    def answered(
        self,
        organs: Organs,
        reference: SeriesReader,
        tests: Sequence[SeriesReader],
        evaluations: Sequence[Evaluation],
        *,
        progress: Progress,
    ) -> MaskAnswer:
        """The evaluations with the figures of the masks, and the masks.

        Args:
            organs: As of `organs`.
            reference: The reference.
            tests: The tests.
            evaluations: Their other figures.
            progress: Told about every slice.
        """
        record: dict[str, JsonValue]
        if not self.source.labels_tests:
            record = {**self.source.record, "classes": list(organs.names)}
            return MaskAnswer(tuple(evaluations), (), record)
        images = enumerate(tests, start=1)
        masks = [organs.labels, *(self.source.of(n, one, progress=progress) for n, one in images)]
        truth = None
        if self.truth is not None:
            labels = read_labels(self.truth, reference.geometry)
            truth = in_classes(labels, self._labels_of_truth())
        names = self._names([*masks, *([] if truth is None else [truth])])
        done = []
        with progress.stage("Comparing masks", len(tests)) as advance:
            for number, evaluation in enumerate(evaluations):
                metrics = self._metrics(number, masks, truth, names, reference.geometry)
                done.append(replace(evaluation, metrics=(*evaluation.metrics, *metrics)))
                advance()
        record = {**self.source.record, "classes": list(names)}
        return MaskAnswer(tuple(done), tuple(masks), record)

    def _labels_of_truth(self) -> Mapping[int, int] | None:
        return self.source.labels if self.settings.labels is None else self.settings.labels

    def _metrics(
        self,
        number: int,
        masks: Sequence[LabelArray],
        truth: LabelArray | None,
        names: tuple[str, ...],
        geometry: Geometry,
    ) -> Iterator[Metric]:
        reference, *tests = masks
        mask = tests[number]
        yield from mask_metrics(reference, mask, names, geometry, against=REFERENCE)
        if self.input_test is not None and self.input_test != number:
            given = tests[self.input_test]
            yield from mask_metrics(given, mask, names, geometry, against=INPUT)
        if truth is not None:
            yield from mask_metrics(truth, mask, names, geometry, against=TRUTH)
            yield from mask_metrics(truth, reference, names, geometry, against=REFERENCE_AND_TRUTH)

    def words(self) -> str:
        """What the command line says about masks; places stand for files."""
        truth = "" if self.truth is None else " --truth-mask TRUTH"
        return f"{self.source.words}{truth}"

    def _names(self, maps: Sequence[LabelArray]) -> tuple[str, ...]:
        known = self.source.names
        found = max(int(one.max()) for one in maps)
        if known and found >= len(known):
            raise SettingsError(
                f"the truth has class {found}, and the network tells {len(known)} apart "
                f"(0 to {len(known) - 1}).",
                where="masks.labels",
                fix="Say which label of the truth belongs to which class of the network.",
            )
        called = dict(enumerate(known)) | self.settings.names
        last = max(found, len(known) - 1)
        names = ("background", *(called.get(n) or f"class {n}" for n in range(1, last + 1)))
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise SettingsError(
                f"several classes are called {', '.join(twice)}, and figures are told apart by it.",
                where="masks.names",
                fix="Give every class a name of its own; masks.labels puts labels into one class.",
            )
        return names


def in_classes(labels: LabelArray, wanted: Mapping[int, int] | None) -> LabelArray:
    """Label numbers as classes.

    Args:
        labels: Numbers, uint8 [z, y, x].
        wanted: Class of each number, 0 for those that are not named; None if they are the classes.
    """
    if wanted is None:
        return labels
    table = np.zeros(256, dtype=np.uint8)
    for number, wanted_class in wanted.items():
        table[number] = wanted_class
    return table[labels]
