"""From slices of a series to what patches are cut from and learn from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

import numpy as np

from ctdenoise.config.networks import slices_seen, takes_noise
from ctdenoise.config.supervision import (
    BlindSpotSettings,
    NeighboursSettings,
    NoisyTargetSettings,
    PairsSettings,
    RecorruptedSettings,
)
from ctdenoise.config.training import PairNoiseSettings, TrainSettings
from ctdenoise.core.arrays import DoubleArray
from ctdenoise.core.neighbours import neighbour_indices
from ctdenoise.errors import PairsError, SettingsError, SimulationError, UsageError
from ctdenoise.io.pair_images import PADDING_HU, StoredArray
from ctdenoise.io.pair_manifest import MANIFEST_FILE, ImageFile, read_manifest
from ctdenoise.io.pairs import PairFiles
from ctdenoise.io.staged_scan import StagedScan
from ctdenoise.metrics.noise_map import NoiseMap, measured_noise
from ctdenoise.simulation.calibration import sample_indices
from ctdenoise.simulation.fresh_noise import FreshNoise
from ctdenoise.simulation.own_noise import MoreOwnNoise, scan_of_noise
from ctdenoise.simulation.recorded import RecordedScan, from_exact, recorded_scan
from ctdenoise.training.expected_noise import ExpectedNoise, expected_noise
from ctdenoise.training.indexing import IndexArray
from ctdenoise.training.labels import ClassTable
from ctdenoise.training.lessons import AgreeingPixels, BlindSpots, CorrectedTarget
from ctdenoise.training.neighbours import Neighbours, neighbours_of
from ctdenoise.training.plans import PatchSource
from ctdenoise.training.split import SliceRange, TrainingScan


def doses_drawn(settings: TrainSettings) -> tuple[float, float] | None:
    """Range of doses of fresh noise; None where none is drawn."""
    if isinstance(settings.supervision, RecorruptedSettings):
        return settings.supervision.lowest_dose, settings.supervision.highest_dose
    if isinstance(settings.noise, PairNoiseSettings):
        return None
    return settings.noise.lowest_dose, settings.noise.highest_dose


class Sources:
    """Makes sources of slices; what is measured about a series is measured once.

    Args:
        settings: Of the run.
        tables: Class of each label, by folder; None where labels are not used.
    """

    def __init__(
        self, settings: TrainSettings, tables: dict[str, ClassTable] | None = None
    ) -> None:
        self._settings = settings
        self.tables = tables
        self._told = takes_noise(settings.network)
        self._reach = slices_seen(settings.network) // 2
        self._noise: dict[str, RecordedScan] = {}
        self._neighbours: dict[str, Neighbours] = {}

    def of(self, part: SliceRange) -> PatchSource:
        """What patches of some slices are cut from.

        Args:
            part: The slices.

        Raises:
            UsageError: If pairs were given to learn from plain scans, or the reverse.
            PairsError: If fresh noise cannot be drawn for a pair.
            SettingsError: If the mode does not fit the scan.
            SimulationError: If the noise of a plain scan cannot be measured.
        """
        supervision = self._settings.supervision
        match supervision:
            case PairsSettings() | NoisyTargetSettings():
                return self._of_pair(_pair(part), supervision)
            case RecorruptedSettings():
                return self._recorrupted(part, supervision)
            case NeighboursSettings():
                return self._beside(part, supervision)
            case BlindSpotSettings():
                scan = _slices(part)
                lesson = BlindSpots(supervision.share, supervision.reach)
                return PatchSource(scan, (scan,), expected=self._own(part), lesson=lesson)
            case _:
                assert_never(supervision)

    def slices_beside(self, part: SliceRange) -> int:
        """Slices on each side that a slice needs to be learnt from."""
        supervision = self._settings.supervision
        if isinstance(supervision, NeighboursSettings):
            return self._neighbours_of(part, supervision).distance
        return 0

    def _around(self, part: SliceRange) -> IndexArray | None:
        """What is shown around each slice; nothing of the slices on the other side of the split."""
        if not self._reach:
            return None
        own = part.files.geometry.select(slice(part.start, part.stop))
        return neighbour_indices(own, self._reach)

    def _of_pair(
        self, part: tuple[SliceRange, PairFiles], supervision: PairsSettings | NoisyTargetSettings
    ) -> PatchSource:
        slices, files = part
        arrays = files.open()
        kept = slice(slices.start, slices.stop)
        # Plain views of the maps: indexing np.memmap itself costs microseconds more each time.
        used = self.tables is not None and arrays.labels is not None
        labels = np.asarray(arrays.labels[kept]) if used and arrays.labels is not None else None
        full = np.asarray(arrays.full[kept])
        low = tuple(np.asarray(each[kept]) for each in arrays.low)
        fresh = self._fresh(slices, files)
        corrected = isinstance(supervision, NoisyTargetSettings)
        expected = None
        if self._told or corrected:
            expected = expected_noise(
                full,
                low,
                files.pixel_spacing_mm,
                fresh,
                own_counts=corrected and not from_exact(_first_low(files).history),
                along_mm=_along_mm(slices),
            )
        lesson = None
        if isinstance(supervision, NoisyTargetSettings) and expected is not None:
            lesson = CorrectedTarget(expected, supervision.largest_factor)
        return PatchSource(
            full=full,
            low=low,
            labels=labels,
            classes=None if self.tables is None else self.tables[str(files.folder)],
            fresh=fresh,
            expected=expected if self._told else None,
            lesson=lesson,
            around=self._around(slices),
        )

    def _fresh(self, part: SliceRange, files: PairFiles) -> FreshNoise | None:
        """Fresh noise for some slices, as the simulation of their first twin was calibrated."""
        doses = doses_drawn(self._settings)
        if doses is None:
            return None
        image = _first_low(files)
        try:
            scan = recorded_scan(
                image.history, geometry=files.geometry, acquisition=files.acquisition
            )
        except SimulationError as error:
            raise PairsError(
                f"fresh noise cannot be drawn for this pair: {error.what}",
                where=files.folder,
                fix=f"{error.fix or ''} Or train with noise.name=from_pair.".strip(),
            ) from error
        stored = files.open().full[part.start : part.stop]
        return FreshNoise(scan, stored, padding=PADDING_HU, first=part.start, doses=doses)

    def _recorrupted(self, part: SliceRange, supervision: RecorruptedSettings) -> PatchSource:
        scan = _slices(part)
        fresh = MoreOwnNoise(
            self._noise_of(_plain(part)), scan, padding=PADDING_HU, first=part.start
        )
        expected = expected_noise(
            scan,
            (),
            part.files.pixel_spacing_mm,
            fresh,
            own_counts=True,
            along_mm=_along_mm(part),
        )
        return PatchSource(
            full=scan,
            low=(scan,),
            fresh=fresh,
            expected=expected if self._told else None,
            lesson=CorrectedTarget(expected, supervision.largest_factor),
            around=self._around(part),
        )

    def _noise_of(self, scan: StagedScan) -> RecordedScan:
        name = str(scan.folder)
        if name not in self._noise:
            try:
                self._noise[name] = scan_of_noise(
                    scan.sample(sample_indices(scan.geometry)),
                    geometry=scan.geometry,
                    acquisition=scan.acquisition,
                )
            except SimulationError as error:
                raise SimulationError(error.what, where=name, fix=error.fix) from error
        return self._noise[name]

    def _beside(self, part: SliceRange, supervision: NeighboursSettings) -> PatchSource:
        found = self._neighbours_of(part, supervision)
        apart = found.distance
        if part.slices <= 2 * apart:
            raise SettingsError(
                f"{part.files.folder} gives {part.slices} slices in a row, too few to have "
                f"neighbours {apart} slices away on both sides.",
                where="supervision.name",
                fix="Leave the series out, hold out more slices (validation.share) or other "
                "patients, or train with supervision.name=recorrupted.",
            )
        scan = _slices(part)
        middle = scan[apart:-apart]
        own = _measured(middle, part, _along_mm(part)[apart:-apart])
        return PatchSource(
            full=middle,
            low=(scan[: -2 * apart], scan[2 * apart :]),
            expected=ExpectedNoise(own, ()) if self._told else None,
            lesson=AgreeingPixels(
                own, window=found.window, spread=found.spread, limit=supervision.limit
            ),
        )

    def _neighbours_of(self, part: SliceRange, supervision: NeighboursSettings) -> Neighbours:
        name = str(part.files.folder)
        if name not in self._neighbours:
            self._neighbours[name] = neighbours_of(_plain(part), supervision)
        return self._neighbours[name]

    def _own(self, part: SliceRange) -> ExpectedNoise | None:
        """The noise that a scan has already, for networks that are told."""
        if not self._told:
            return None
        return ExpectedNoise(_measured(_slices(part), part, _along_mm(part)), ())


def require_fitting_kind(scans: Sequence[TrainingScan], *, pairs: bool) -> None:
    """Refuse plain scans where pairs are learnt from, and the reverse.

    Args:
        scans: What was given.
        pairs: Whether pairs are needed.

    Raises:
        UsageError: If any is of the other kind.
    """
    for files in scans:
        if isinstance(files, PairFiles) != pairs:
            raise UsageError(
                "this supervision learns from pairs, and plain scans were given."
                if pairs
                else "this supervision learns from plain scans, and pairs were given.",
                where=files.folder,
                fix="Set supervision.name to one that fits.",
            )


def _first_low(files: PairFiles) -> ImageFile:
    image, _ = read_manifest(files.folder / MANIFEST_FILE).low[0]
    return image


def _pair(part: SliceRange) -> tuple[SliceRange, PairFiles]:
    if not isinstance(part.files, PairFiles):
        require_fitting_kind([part.files], pairs=True)
        raise TypeError
    return part, part.files


def _plain(part: SliceRange) -> StagedScan:
    if not isinstance(part.files, StagedScan):
        require_fitting_kind([part.files], pairs=False)
        raise TypeError
    return part.files


def _slices(part: SliceRange) -> StoredArray:
    return np.asarray(part.files.open().full[part.start : part.stop])


def _along_mm(part: SliceRange) -> DoubleArray:
    """Place of each slice along the normal, mm."""
    return part.files.geometry.along_normal_mm()[part.start : part.stop]


def _measured(slices: StoredArray, part: SliceRange, along_mm: DoubleArray) -> NoiseMap:
    return measured_noise(slices, slices == PADDING_HU, part.files.pixel_spacing_mm, along_mm)
