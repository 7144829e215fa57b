"""How much each ray of a turn counts when only some of the views were measured."""

from __future__ import annotations

import numpy as np

from ctdenoise.config.artefacts import ArtefactSettings
from ctdenoise.core.arrays import BoolArray, DoubleArray
from ctdenoise.simulation.scanner import Fan

EDGE_DEGREES = 10.0
"""At both ends of a limited angle the weight of a view falls to zero over this much of the turn (or
a quarter of the angle): a step would be a streak of its own."""


def ray_weights(fan: Fan, settings: ArtefactSettings) -> DoubleArray:
    """Factor on each ray in filtered back-projection, 1 for a whole turn, [view, channel].

    Sparse views count for the angle between them. A limited angle counts each line once: twice
    where the ray in the opposite direction was not measured.

    Args:
        fan: The rays of the whole turn.
        settings: `keep_every_view`, or `angle_degrees` and `first_angle_degrees`.
    """
    if settings.angle_degrees < 360:
        return limited_weights(
            fan,
            first_radians=np.radians(settings.first_angle_degrees),
            span_radians=np.radians(settings.angle_degrees),
        )
    each = sparse_weights(np.arange(fan.views) % settings.keep_every_view == 0)
    return np.repeat(each[:, None], fan.channels, axis=1)


def sparse_weights(is_measured: BoolArray) -> DoubleArray:
    """Half the way to the measured view before and after, in views; zero if not measured, [view].

    Args:
        is_measured: Which of the views of a turn were, [view].
    """
    at = np.flatnonzero(is_measured)
    after = np.diff(at, append=at[0] + len(is_measured))
    weights = np.zeros(len(is_measured))
    weights[at] = (after + np.roll(after, 1)) / 2
    return weights


def limited_weights(fan: Fan, *, first_radians: float, span_radians: float) -> DoubleArray:
    """Weights of the rays of an arc, [view, channel].

    With c the weight of a view, which falls smoothly to zero at both ends of the arc, a ray counts
    2 c(beta) / (c(beta) + c(beta')), where beta' = beta + pi + 2 gamma is the view that holds the
    same line in the opposite direction: F. Noo, M. Defrise, R. Clackdoyle, H. Kudo, Phys. Med.
    Biol. 47 (2002) 2525. From half a turn and the fan's opening upwards no line is missing.

    Args:
        fan: The rays of the whole turn.
        first_radians: Source angle at which the arc starts.
        span_radians: Its length.
    """
    edge = min(np.radians(EDGE_DEGREES), span_radians / 4)

    def view_weight(angle: DoubleArray) -> DoubleArray:
        into = np.mod(angle - first_radians, 2 * np.pi)
        room = np.clip(np.minimum(into, span_radians - into) / edge, 0, 1)
        return np.asarray(np.sin(np.pi / 2 * room) ** 2)

    here = view_weight(np.broadcast_to(fan.view_angles[:, None], (fan.views, fan.channels)))
    opposite = view_weight(fan.view_angles[:, None] + np.pi + 2 * fan.fan_angles[None, :])
    total = here + opposite
    return np.where(here > 0, 2 * here / np.where(total > 0, total, 1.0), 0.0)
