"""What fraction of the dose of a scan an aim in mAs or in HU of noise means."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ctdenoise.config.dose import DoseAim
from ctdenoise.errors import SimulationError, listed

NoiseAt = Callable[[float], float | None]
"""Noise level, HU, of a twin at a dose fraction; None where it cannot be measured."""

LOWEST_DOSE = 1e-4
"""Below this no twin is looked for: there are no photons left."""

_ROUNDS = 8
_CLOSE_ENOUGH = 0.005
_GOOD_ENOUGH = 0.03
"""Relative error of a noise level that is accepted after the last round; one measurement of it is
good to about 1 %."""
_LARGEST_STEP = 3.0  # of ln(x)
_APART = 0.2  # in ln(x): closer steps tell more of the noise of the measurement than of the slope
_FIRST_GUESS = 3.0  # of x, for an image without noise


@dataclass(frozen=True)
class SourceNoise:
    """The noise of a scan, and what a twin of it adds.

    Args:
        level_hu: Noise level of the scan; None where it cannot be measured.
        at: Simulates a twin on a sample of the scan and measures its noise level.
        is_counted: Whether a twin adds only what the scan lacks, nothing at a dose of 1.
    """

    level_hu: float | None
    at: NoiseAt
    is_counted: bool


def dose_fractions(
    aims: Sequence[DoseAim], *, mas: float | None, noise: SourceNoise
) -> tuple[float, ...]:
    """The dose of each twin over the dose of the scan, in (0, 1].

    Args:
        aims: The doses asked for.
        mas: Mean exposure of the scan; None where it is not known.
        noise: Of the scan.

    Raises:
        SimulationError: With every aim that this scan cannot be brought to.
    """
    problems: list[str] = []
    fractions: list[float] = []
    for aim in aims:
        try:
            fractions.append(_fraction(aim, mas, noise))
        except _OutOfReachError as problem:
            problems.append(f"{aim.text.strip()}: {problem}")
    if not problems and len(set(fractions)) < len(fractions):
        problems.append("two of the doses asked for are the same fraction of the dose of this scan")
    if problems:
        raise SimulationError(
            f"No twin can be made at every dose that was asked for:\n{listed(problems)}",
            fix="Give the dose as a fraction of the dose of the scan, such as 0.25.",
        )
    return tuple(fractions)


class _OutOfReachError(Exception):
    """Why a dose cannot be had from a scan."""


def _fraction(aim: DoseAim, mas: float | None, noise: SourceNoise) -> float:
    if aim.unit == "fraction":
        return aim.value
    return _of_exposure(aim.value, mas) if aim.unit == "mas" else _of_noise(aim.value, noise)


def _of_exposure(wanted: float, mas: float | None) -> float:
    if mas is None:
        raise _OutOfReachError("the header does not give the exposure of the scan; set `mas`")
    if wanted > mas * (1 + 1e-6):
        raise _OutOfReachError(f"the scan was made with {mas:.4g} mAs, which cannot be raised")
    return min(1.0, _rounded(wanted / mas))


def _of_noise(wanted_hu: float, noise: SourceNoise) -> float:
    """The fraction at which the noise level is the one wanted.

    The variance that a twin adds goes as x = 1/a - 1 where the scan's own noise counts, else as
    x = 1/a; electronic noise and few counts bend the law, so the simulator itself is asked.
    """
    if noise.level_hu is None:
        raise _OutOfReachError("the noise of the scan cannot be measured")
    own, least = noise.level_hu, 0.0 if noise.is_counted else 1.0
    if wanted_hu <= own:
        raise _OutOfReachError(f"the scan itself has a noise of {own:.3g} HU")
    x = 1 / max((own / wanted_hu) ** 2, LOWEST_DOSE) - 1 + least if own > 0 else _FIRST_GUESS
    best, best_level, best_error = 1.0, own, float("inf")
    steps: list[tuple[float, float]] = []
    for _ in range(_ROUNDS):
        dose = _rounded(1 / (x + 1 - least))
        level = noise.at(dose)
        if level is None or level <= own:
            break
        error = abs(level / wanted_hu - 1)
        if error < best_error:
            best, best_level, best_error = dose, level, error
        if error < _CLOSE_ENOUGH:
            break
        steps.append((float(np.log(x)), float(np.log(level**2 - own**2))))
        step = (np.log(wanted_hu**2 - own**2) - steps[-1][1]) / _slope(steps)
        x *= float(np.exp(np.clip(step, -_LARGEST_STEP, _LARGEST_STEP)))
        x = float(np.clip(x, max(least, LOWEST_DOSE), 1 / LOWEST_DOSE))
    if best_error > _GOOD_ENOUGH:
        found = f"; a dose of {best:g} gave {best_level:.3g} HU" if best_level > own else ""
        raise _OutOfReachError(f"no dose was found that gives this noise{found}")
    return best


def _slope(steps: Sequence[tuple[float, float]]) -> float:
    """How ln(variance) goes with ln(x), from the last two steps that lie apart; else 1."""
    x, variance = steps[-1]
    for other_x, other_variance in steps[-2::-1]:
        if abs(x - other_x) > _APART:
            return float(np.clip((variance - other_variance) / (x - other_x), 0.5, 2.5))
    return 1.0


def _rounded(dose: float) -> float:
    """Four significant digits, which name folders and say no more than is known."""
    return float(f"{dose:.4g}")
