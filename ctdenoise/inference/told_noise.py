"""What a network that is told the noise is told: measured, stated, and made stronger or weaker."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from ctdenoise.config.inference import InferSettings
from ctdenoise.config.networks import NetworkSettings, takes_noise
from ctdenoise.core.arrays import FloatArray
from ctdenoise.core.provenance import JsonValue
from ctdenoise.core.volume import CTVolume
from ctdenoise.errors import UsageError
from ctdenoise.inference.method import Sample
from ctdenoise.metrics.noise_map import NoiseMap, noise_of

_log = logging.getLogger(__name__)

_DECIMALS = 3  # of the figures in records: rounding differs in the last bits between processors


@dataclass(frozen=True, slots=True, eq=False)
class ToldNoise:
    """The noise of a volume as the network is told it.

    Args:
        map: Standard deviation of the noise around every pixel of the slices that were measured,
            HU.
        places: Where in the scan these slices are, ascending.
        measured_hu: Level that was measured in the pixels, HU.
        stated_hu: Level that the settings state instead; None where they do not.
        factor: By what the map is multiplied last.
        caution: What it was multiplied by since the scan was denoised before; see `input_caution`.
    """

    map: NoiseMap
    places: tuple[int, ...]
    measured_hu: float
    stated_hu: float | None
    factor: float
    caution: float = 1.0

    def slices(self, places: range, volume: CTVolume) -> FloatArray:
        """The map of some slices, HU, float32 [z, y, x]; between measured slices it is linear.

        Args:
            places: Where in the scan they are.
            volume: The slices.
        """
        shape = volume.shape[1:]
        return np.stack([self._slice(place, shape) for place in places])

    def _slice(self, place: int, shape: tuple[int, int]) -> FloatArray:
        at = float(np.interp(place, self.places, range(len(self.places))))
        below = int(at)
        here = self.map.at(below, (0, 0), shape)
        part = np.float32(at - below)
        if part == 0:
            return here
        beyond = self.map.at(below + 1, (0, 0), shape)
        between: FloatArray = here + part * (beyond - here)
        return between

    def params(self) -> dict[str, JsonValue]:
        """What a line of history says: it decides the pixels."""
        low, high = (float(limit) for limit in np.percentile(self.map.sd_hu, (1, 99)))
        caution = {} if self.caution == 1 else {"noise_caution": round(self.caution, _DECIMALS)}
        return {
            **caution,
            "noise_level_hu": round(self.map.level_hu, _DECIMALS),
            "noise_measured_hu": round(self.measured_hu, _DECIMALS),
            "noise_stated_hu": self.stated_hu,
            "noise_factor": self.factor,
            "noise_limits_hu": [round(low, _DECIMALS), round(high, _DECIMALS)],
        }


def require_told(network: NetworkSettings, settings: InferSettings) -> None:
    """Refuse settings that a network cannot follow.

    Args:
        network: Of the checkpoint.
        settings: Of `infer`.

    Raises:
        UsageError: If a noise is stated or changed for a network that is not told any.
    """
    if takes_noise(network) or (settings.noise_level is None and settings.noise_factor == 1.0):
        return
    raise UsageError(
        f"this network (`{network.name}`) is not told how noisy its input is, so noise_level and "
        "noise_factor change nothing.",
        fix="Leave them out, use --strength, or train with network.noise_input=true.",
    )


def told_noise(sample: Sample, settings: InferSettings) -> ToldNoise:
    """The noise of a scan, measured from its pixels, as the settings change it.

    Nothing in a header is believed: files of a low dose may carry the exposure of the full one.

    Args:
        sample: Slices of what is to be denoised.
        settings: Stated level, factor.
    """
    measured = noise_of(sample.volume)
    scale, stated = settings.noise_factor, settings.noise_level
    sd_hu = measured.sd_hu
    if stated is not None:
        if measured.level_hu > 0:
            scale *= stated / measured.level_hu
        else:
            sd_hu = np.ones_like(sd_hu)
            scale *= stated
    changed = replace(
        measured,
        sd_hu=(sd_hu * np.float32(scale)).astype(np.float32),
        level_hu=(measured.level_hu if stated is None else stated) * settings.noise_factor,
    )
    return ToldNoise(changed, sample.places, measured.level_hu, stated, settings.noise_factor)


def with_caution(told: ToldNoise, caution: float) -> ToldNoise:
    """What a network is told of a scan that was denoised before; what a user stated stays.

    Args:
        told: As measured, or as stated.
        caution: Share that is told.
    """
    if told.stated_hu is not None or told.factor != 1 or caution == 1:
        return told
    told_hu = replace(
        told.map,
        sd_hu=told.map.sd_hu * np.float32(caution),
        level_hu=told.map.level_hu * caution,
    )
    return replace(told, map=told_hu, caution=caution)


def warn_beyond_training(told: ToldNoise, training: Mapping[str, JsonValue]) -> None:
    """Say so where the noise is outside of what the network met while it was trained.

    Args:
        told: Of the volume.
        training: Summary in the checkpoint.
    """
    trained_on = training.get("trained_on")
    limits = trained_on.get("told_noise_hu") if isinstance(trained_on, Mapping) else None
    if not isinstance(limits, list) or len(limits) != 2:
        return
    low, high = (float(limit) for limit in limits if isinstance(limit, int | float))
    if not low <= told.map.level_hu <= high:
        _log.warning(
            "The noise of this scan is %.1f HU; the network was trained on %.1f to %.1f HU. Judge "
            "the result with care.",
            told.map.level_hu,
            low,
            high,
        )
