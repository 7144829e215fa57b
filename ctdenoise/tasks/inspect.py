"""`ctdenoise inspect`: what lies in a folder, and what of it can be read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ctdenoise.config.dose import SimulateSettings
from ctdenoise.core.progress import SILENT, Progress
from ctdenoise.errors import CTDenoiseError
from ctdenoise.io.read import open_series
from ctdenoise.io.study import FoundSeries, find_series
from ctdenoise.simulation.calibration import Calibration, calibrate, sample_indices
from ctdenoise.simulation.checks import check_sample
from ctdenoise.simulation.model import ScanModel


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


def run(path: Path) -> tuple[FoundSeries, ...]:
    """Every series below a folder or in a file, readable or not, from headers alone.

    Args:
        path: A folder, a DICOM file or a NIfTI file.

    Raises:
        StudyError: If there is no DICOM or NIfTI at all.
    """
    return find_series(path)


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
