"""How far a slice reaches along z: its sensitivity profile, widths and transfer function.

The profile is the response to something thin along z: a disc or a bead that is thinner than a
slice, sampled by overlapping slices; a ramp, a wire or plate that lies in the slice at a small
angle; or the slope of an edge across z. Widths are measured against the highest value and a
background of zero, not against a fitted curve.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ctdenoise.core.arrays import BoolArray, DoubleArray
from ctdenoise.errors import InputError
from ctdenoise.metrics.edge_profile import EdgeProfile
from ctdenoise.metrics.transfer import Transfer, flat_top, frequencies, transfer_of_line

_ENDS = 0.1  # of a ramp's pixels at either end, which show its background


@dataclass(frozen=True, slots=True, eq=False)
class SliceProfile:
    """A slice sensitivity profile.

    Args:
        z_mm: Places at even distances, increasing.
        values: Response at each, over a background of zero; any unit.

    Raises:
        InputError: If there are too few places, they are not even, or nothing rises above zero.
    """

    z_mm: DoubleArray
    values: DoubleArray

    def __post_init__(self) -> None:
        steps = np.diff(self.z_mm)
        if self.z_mm.shape != self.values.shape or len(steps) < 2 or not steps.min() > 0:
            raise InputError("A slice profile needs three places that ascend, and their values.")
        if np.ptp(steps) > 0.01 * steps.mean():
            raise InputError("The places of a slice profile must lie at even distances.")
        if not np.isfinite(self.values).all() or not self.values.max() > 0:
            raise InputError("A slice profile must rise above its background.")

    @property
    def fwhm_mm(self) -> float | None:
        """Width at half of the highest value; None where it does not fall so far."""
        return self.width_mm(0.5)

    @property
    def fwtm_mm(self) -> float | None:
        """Width at a tenth of the highest value; None where it does not fall so far."""
        return self.width_mm(0.1)

    def width_mm(self, share: float) -> float | None:
        """Width at a share of the highest value, linearly interpolated between places.

        Args:
            share: Between zero and one.

        Returns:
            None where the profile does not fall below that on both sides.
        """
        top = int(np.argmax(self.values))
        level = share * self.values[top]
        ends = [
            _falls_below(self.z_mm[top:], self.values[top:], level),
            _falls_below(self.z_mm[top::-1], self.values[top::-1], level),
        ]
        if ends[0] is None or ends[1] is None:
            return None
        return ends[0] - ends[1]

    def transfer(self) -> Transfer:
        """The transfer function along z, up to Nyquist."""
        step = float(self.z_mm[1] - self.z_mm[0])
        middle = float((self.z_mm * self.values).sum() / self.values.sum())
        away = self.z_mm - middle
        windowed = self.values * flat_top(away, float(np.abs(away).max()) + step)
        frequency = frequencies(1 / (2 * step))
        values = transfer_of_line(windowed, away, frequency)
        return Transfer(frequency, values, np.empty(0), np.empty(0))


def disc_profile(
    volume: DoubleArray, disc: BoolArray, background: BoolArray, *, slice_spacing_mm: float
) -> SliceProfile:
    """The profile of a disc or bead that is thinner than a slice.

    Args:
        volume: Slices around it, HU [z, y, x].
        disc: Where it is, well inside its edge; for a bead all that it blurs to, [y, x].
        background: Beside it, as even as behind it, [y, x].
        slice_spacing_mm: Distance of the slices; a third of their thickness or less.

    Raises:
        InputError: If there is no contrast, or there are too few slices.
    """
    if not disc.any() or not background.any():
        raise InputError("A slice profile needs pixels of a disc and of its background.")
    response = volume[:, disc].mean(axis=1) - volume[:, background].mean(axis=1)
    if abs(response.min()) > response.max():
        response = -response
    return SliceProfile(_even_places(len(volume), slice_spacing_mm), response)


def ramp_profile(line: DoubleArray, *, pixel_mm: float, rise_per_mm: float) -> SliceProfile:
    """The profile of a thin ramp: a wire or a plate that rises through the slice.

    Args:
        line: Values along the ramp, HU; its ends show the background.
        pixel_mm: Distance of the pixels along it.
        rise_per_mm: How far it rises for each mm along the slice, the tangent of its angle: 0.42
            for the 23 degrees of a CatPhan.

    Raises:
        InputError: If there is no ramp.
    """
    if not rise_per_mm > 0:
        raise InputError(f"A ramp rises; {rise_per_mm} mm per mm is none.")
    ends = max(1, round(_ENDS * len(line)))
    places = np.arange(len(line))
    outer = np.concatenate([places[:ends], places[-ends:]])
    level = np.polyfit(outer, line[outer], 1)
    response = line - np.polyval(level, places)
    if abs(response.min()) > response.max():
        response = -response
    return SliceProfile(_even_places(len(line), pixel_mm * rise_per_mm), response)


def profile_of_edge(edge: EdgeProfile) -> SliceProfile:
    """The profile by the slope of an edge across z.

    Args:
        edge: Of an edge that is tilted against the slices, as by `straight_edge_profile` in the
            plane [z, x].
    """
    spread = edge.edge_spread(np.ones(len(edge.sums)))
    slope = np.gradient(spread, edge.x_mm)
    return SliceProfile(edge.x_mm, slope if spread[-1] > spread[0] else -slope)


def _even_places(count: int, step_mm: float) -> DoubleArray:
    return np.asarray(np.arange(count) * step_mm, dtype=np.float64)


def _falls_below(z_mm: DoubleArray, values: DoubleArray, level: float) -> float | None:
    below = np.flatnonzero(values < level)
    if not below.size:
        return None
    after = int(below[0])
    share = (values[after - 1] - level) / (values[after - 1] - values[after])
    return float(z_mm[after - 1] + share * (z_mm[after] - z_mm[after - 1]))
