"""What the simulator finds out about series, and what the commands can do with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ctdenoise.config.dose import SimulateSettings
from ctdenoise.core.progress import SILENT, Progress
from ctdenoise.errors import CTDenoiseError
from ctdenoise.io.read import SeriesReader, open_series
from ctdenoise.io.study import FoundSeries
from ctdenoise.io.write import check_writable
from ctdenoise.simulation.calibration import Calibration, calibrate, sample_indices
from ctdenoise.simulation.checks import check_sample
from ctdenoise.simulation.model import ScanModel
from ctdenoise.tasks.inspect import NOISE_SLICES, spread
from ctdenoise.tasks.inspect_report import Use


@dataclass(frozen=True, eq=False)
class CalibratedSeries:
    """What the noise of one series tells.

    Args:
        number: Its number in the list of series.
        calibration: What was found; None where the series cannot be calibrated.
        problem: Why not.
    """

    number: int
    calibration: Calibration | None
    problem: str = ""


def calibrate_series(
    found: tuple[FoundSeries, ...],
    settings: SimulateSettings | None = None,
    *,
    progress: Progress = SILENT,
) -> tuple[CalibratedSeries, ...]:
    """Noise level, kernel and photons of every readable series, from a few of its slices.

    Args:
        found: Series of a folder.
        settings: What is not to be found but given.
        progress: Told about every series.
    """
    settings = settings or SimulateSettings()
    readable = [series for series in found if series.readable]
    results = []
    with progress.stage("Calibrating", len(readable)) as advance:
        for series in readable:
            try:
                results.append(CalibratedSeries(series.number, _calibrated(series, settings)))
            except CTDenoiseError as error:
                results.append(CalibratedSeries(series.number, None, str(error)))
            advance()
    return tuple(results)


def _calibrated(series: FoundSeries, settings: SimulateSettings) -> Calibration:
    with open_series(series) as reader:
        geometry, acquisition = reader.geometry, reader.acquisition
        sample = reader.read(sample_indices(geometry))
    check_sample(sample, ScanModel.of(geometry, acquisition, settings))
    return calibrate(sample, settings, geometry=geometry, acquisition=acquisition)


def possible_uses(series: FoundSeries) -> tuple[Use, ...]:
    """What the commands can do with a series, each with the reason why not.

    Args:
        series: A found series.
    """
    names = ("denoise to DICOM", "denoise to NIfTI", "simulate")
    if not series.readable:
        return tuple(Use(name, possible=False, reason="it cannot be read") for name in names)
    try:
        with open_series(series) as reader:
            checks = (
                lambda: check_writable(reader, "dicom"),
                lambda: check_writable(reader, "nifti"),
                lambda: _check_simulated(reader),
            )
            return tuple(_use(name, check) for name, check in zip(names, checks, strict=True))
    except CTDenoiseError as error:
        return tuple(Use(name, possible=False, reason=error.what) for name in names)


def _use(name: str, check: Callable[[], None]) -> Use:
    try:
        check()
    except CTDenoiseError as error:
        return Use(name, possible=False, reason=error.what)
    return Use(name, possible=True)


def _check_simulated(reader: SeriesReader) -> None:
    sample = reader.read(spread(reader.geometry.slices, NOISE_SLICES))
    check_sample(sample, ScanModel.of(reader.geometry, reader.acquisition, SimulateSettings()))
