"""How much of what a method takes away is taken, at which frequencies, and where."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy import optimize

from ctdenoise.config.inference import InferSettings
from ctdenoise.core.arrays import BoolArray, HuArray
from ctdenoise.core.body import body_mask
from ctdenoise.core.noise_level import noise_level_hu
from ctdenoise.core.provenance import JsonValue, Step
from ctdenoise.core.volume import CTVolume
from ctdenoise.errors import InputError
from ctdenoise.inference.method import Sample, SettledMethod
from ctdenoise.inference.region import Region
from ctdenoise.inference.texture import MeasuredPower, Shares, measured_power

_log = logging.getLogger(__name__)

PROBED_SLICES = 8
"""Slices of the sample that a method computes beforehand, where controls depend on what it does."""

_DECIMALS = 3  # of a strength that was found: what is recorded is what is applied


@dataclass(frozen=True, slots=True, eq=False)
class Controls:
    """What becomes of what a method takes away.

    Args:
        strength: Share of it that is taken: 0 leaves every voxel as it is, to the bit.
        shares: The share at each frequency, where noise is to keep its texture; None for the same
            at all.
        region: Where anything is changed; None for everywhere.
    """

    strength: float
    shares: Shares | None = None
    region: Region | None = None

    def touches(self, place: int) -> bool:
        """Whether anything may change in a slice.

        Args:
            place: Where in the scan it is.
        """
        return self.strength > 0 and (self.region is None or self.region.touches(place))

    def applied(self, before: CTVolume, removed_hu: HuArray, places: range) -> HuArray:
        """Voxels after the controls, float32 [z, y, x], HU; of no meaning at padding.

        Args:
            before: Some slices.
            removed_hu: What the method would take away from them.
            places: Where in the scan they are.
        """
        if self.strength == 0:
            return before.hu
        if self.shares is None:
            taken: HuArray = removed_hu * np.float32(self.strength)
        else:
            if before.padding is not None:
                removed_hu = np.where(before.padding, np.float32(0), removed_hu)
            taken = self.shares.taken(removed_hu, before.geometry.pixel_spacing_mm)
        if self.region is not None:
            for index, place in enumerate(places):
                weights = self.region.weights(place)
                taken[index] *= weights
                taken[index][weights == 0] = 0.0  # and not -0
        # Subtracted, not added: x - (+0) is x to the bit, even for -0.
        denoised: HuArray = np.subtract(before.hu, taken, dtype=np.float32)
        return denoised


@dataclass(frozen=True, slots=True, eq=False)
class SettledControls:
    """Controls for one scan, and how they were found.

    Args:
        controls: What becomes of what the method takes away.
        texture: Texture that is asked for; 0 where it could not be measured.
        kept_below_per_mm: Where half of the share is taken, and less below, 1/mm; 0 for nowhere.
        noise_target_hu: Noise that is asked for, HU.
        noise_before_hu: Noise of the slices on which the strength was found, HU.
        noise_after_hu: Noise that these slices have afterwards, HU.
    """

    controls: Controls
    texture: float = 0.0
    kept_below_per_mm: float = 0.0
    noise_target_hu: float | None = None
    noise_before_hu: float | None = None
    noise_after_hu: float | None = None

    @property
    def params(self) -> dict[str, JsonValue]:
        """What a line of history says: it decides the voxels."""
        params: dict[str, JsonValue] = {"strength": self.controls.strength}
        if self.noise_target_hu is not None:
            params["noise_target_hu"] = self.noise_target_hu
        shares = self.controls.shares
        if self.kept_below_per_mm:
            params["keep_below_per_mm"] = self.kept_below_per_mm
        if shares is not None and self.texture:
            params["texture"] = self.texture
            params["share_by_frequency_per_mm"] = [
                list(pair) for pair in zip(shares.frequency_per_mm, shares.share, strict=True)
            ]
        if self.controls.region is not None:
            params["only_inside"] = self.controls.region.words
        return params

    @property
    def record(self) -> dict[str, JsonValue]:
        """The same, and what was measured, for `run.json`."""
        measured: dict[str, JsonValue] = {}
        if self.noise_target_hu is not None:
            measured = {
                "sample_noise_before_hu": self.noise_before_hu,
                "sample_noise_after_hu": self.noise_after_hu,
            }
        return {**self.params, **measured}


def settle_controls(
    settings: InferSettings,
    method: SettledMethod | None,
    sample: Sample,
    *,
    context: int,
    region: Region | None = None,
) -> SettledControls:
    """Controls for one scan.

    Args:
        settings: Those for this scan: presets have been applied.
        method: What takes noise away; None where nothing is taken.
        sample: Some slices of the scan.
        context: Slices on either side that the method looks at.
        region: Where anything may be changed; None for everywhere.

    Raises:
        InputError: If a noise is asked for and there is too little soft tissue to measure it.
    """
    kept = settings.kept_below()
    if method is None or not (settings.texture or settings.noise_target):
        return _settled(
            Controls(settings.share(), _kept(None, settings.share(), kept), region), kept
        )
    probe = _Probe.of(method, sample, context)
    power = _power(probe) if settings.texture else None

    def controls(strength: float) -> Controls:
        textured = None
        if power is not None and strength:
            textured = power.shares(strength, settings.texture)
        return Controls(strength, _kept(textured, strength, kept), region)

    texture = settings.texture if power is not None else 0.0

    target = settings.noise_target
    if target is None:
        chosen = controls(settings.share())
        return _settled(chosen, kept, texture)
    strength = _strength_for(target, lambda strength: probe.noise_hu(controls(strength)))
    chosen = controls(strength)
    return replace(
        _settled(chosen, kept, texture),
        noise_target_hu=target,
        noise_before_hu=probe.noise_hu(Controls(0.0)),
        noise_after_hu=probe.noise_hu(chosen),
    )


def _kept(shares: Shares | None, strength: float, below_per_mm: float) -> Shares | None:
    """Shares that leave coarse structures as they are; None for the same share everywhere."""
    if not below_per_mm or not strength:
        return shares
    if shares is None:
        return Shares.above(strength, below_per_mm)
    return shares.keeping(below_per_mm)


def _settled(chosen: Controls, kept: float, texture: float = 0.0) -> SettledControls:
    """Controls with what was asked for, where it has anything to do."""
    if chosen.shares is None:
        return SettledControls(chosen)
    return SettledControls(chosen, texture, kept)


@dataclass(frozen=True, slots=True, eq=False)
class _Probe:
    """Slices of a scan, and what the method would take away from them.

    Args:
        before: The slices.
        removed_hu: What would be taken away, 0 at padding.
        body: Their body mask.
    """

    before: CTVolume
    removed_hu: HuArray
    body: BoolArray

    @classmethod
    def of(cls, method: SettledMethod, sample: Sample, context: int) -> _Probe:
        """Some slices of the sample, spread over it, denoised with their neighbours in it."""
        usable = sample.surrounded(context)
        wanted = min(len(usable), PROBED_SLICES)
        chosen = [usable[int((n + 0.5) * len(usable) / wanted)] for n in range(wanted)]
        removed = [method.take(sample.block(number, context)).removed_hu for number in chosen]
        before = sample.volume.select(chosen)
        removed_hu = np.concatenate(removed)
        if before.padding is not None:
            removed_hu = np.where(before.padding, np.float32(0), removed_hu)
        return cls(before, removed_hu, body_mask(before.hu, before.padding))

    def image(self, controls: Controls) -> HuArray:
        everywhere = Controls(controls.strength, controls.shares)
        return everywhere.applied(self.before, self.removed_hu, range(self.before.shape[0]))

    def noise_hu(self, controls: Controls) -> float:
        """Noise of the slices with some controls, HU.

        Raises:
            InputError: If there is too little soft tissue.
        """
        before = self.before
        spacing = before.geometry.pixel_spacing_mm
        level = noise_level_hu(self.image(controls), before.padding, spacing, body=self.body)
        if level is None:
            raise InputError(
                "there is too little soft tissue in this scan to measure its noise, so no strength "
                "can be found for a noise target.",
                fix="Use --strength.",
            )
        return level


def _power(probe: _Probe) -> MeasuredPower | None:
    """Spectra of the probed slices; None, and a warning, where they cannot be measured."""
    after = probe.before.with_hu(probe.image(Controls(1.0)), Step("denoise"))
    power = measured_power(probe.before, after, probe.body)
    if power is None:
        _log.warning(
            "There is too little soft tissue in this scan to measure the texture of its noise: the "
            "same share is taken away at every frequency."
        )
    return power


def _strength_for(target_hu: float, noise_hu: Callable[[float], float]) -> float:
    """The strength that leaves some noise; its limits, and a warning, where there is none."""
    before, least = noise_hu(0.0), noise_hu(1.0)
    if target_hu >= before:
        _log.warning(
            "The noise of this scan is %.1f HU, which is no more than the noise target of %.1f HU: "
            "nothing is taken away.",
            before,
            target_hu,
        )
        return 0.0
    if target_hu <= least:
        _log.warning(
            "The noise target of %.1f HU is out of reach: at full strength %.1f HU are left.",
            target_hu,
            least,
        )
        return 1.0
    found = optimize.brentq(lambda s: noise_hu(s) - target_hu, 0.0, 1.0, xtol=5e-4)
    return round(float(found), _DECIMALS)
