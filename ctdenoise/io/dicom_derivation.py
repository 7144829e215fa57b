"""What a volume's history means for the series it is written as: identity, words, labels."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import PurePath

from pydicom.sr.coding import Code

from ctdenoise import __version__
from ctdenoise.config.dicom import DicomSettings
from ctdenoise.core.moment import moment_of, told_moment
from ctdenoise.core.provenance import JsonValue, Step, digest
from ctdenoise.io.dicom_codes import (
    GAUSSIAN_BLUR,
    LOCAL_DENOISING,
    PIXEL_BY_PIXEL_ADDITION,
    PIXEL_BY_PIXEL_SUBTRACTION,
    SMOOTHING,
)

PRODUCT = "ctdenoise"
"""Manufacturer and model of everything that is written."""

LAST_WORDS = "not a new acquisition"
"""How every DerivationDescription of ours ends."""

LONG_STRING = 64
"""Most characters of a value of VR LO."""

SHORT_TEXT = 1024
"""Most characters of a value of VR ST."""

_CODES = {
    "denoise": SMOOTHING,
    "simulate_low_dose": PIXEL_BY_PIXEL_ADDITION,
    "subtract_from_source": PIXEL_BY_PIXEL_SUBTRACTION,
}
_SYNTHETIC_STEPS = frozenset(("simulate_low_dose", "degrade", "phantom"))
TOLD_PARAMETERS = (
    "frames",
    "power",
    "model",
    "model_digest",
    "model_version",
    "version",
    "strength",
    "texture",
    "noise_target_hu",
    "only_inside",
    "noise_level_hu",
    "noise_factor",
    "dose_fraction",
    "photons",
    "electronic_noise_quanta",
    "seed",
    "kernel",
    "name",
    "settings_digest",
)
"""Parameters that a description may name; others could hold a path."""


@dataclass(frozen=True, slots=True)
class Derivation:
    """What was done to the pixels of a series, in the words of its headers.

    Args:
        key: Digest of everything that decides pixels and attributes; part of every new UID.
        description: For DerivationDescription; ASCII, at most 1024 characters.
        code: For DerivationCodeSequence; None where no code of CID 7203 is true.
        software: For SoftwareVersions: our version, then the models; ASCII, 64 characters each.
        is_synthetic: Whether the pixels are not a faithful representation of acquired data.
        dose_fraction: Simulated dose over the dose of the source; None where nothing was simulated.
        is_denoised: Whether noise was taken away.
        is_degraded: Whether it was made worse in a way that is no scanner's.
    """

    key: str
    description: str
    code: Code | None
    software: tuple[str, ...]
    is_synthetic: bool
    dose_fraction: float | None
    is_denoised: bool
    is_degraded: bool

    @property
    def warning(self) -> str:
        """What an image made worse by intent must say about itself; empty otherwise."""
        if self.is_degraded:
            return "DEGRADED RESEARCH USE ONLY"
        if self.dose_fraction is None:
            return ""
        return f"SIMULATED {100 * self.dose_fraction:g} % RESEARCH USE ONLY"

    def series_description(self, source_description: str) -> str:
        """The name of the new series, made of the source's and ours, at most 64 characters.

        What must not be lost stands where truncation does not reach it.

        Args:
            source_description: SeriesDescription of the source; may be empty.
        """
        start = f"{self.warning} " if self.warning else ""
        end = f" [{PRODUCT}]" if self.is_denoised or not self.warning else ""
        room = LONG_STRING - len(start) - len(end)
        room -= not source_description.isascii()  # for the space that makes its bytes even
        return f"{start}{source_description.strip()[:room].rstrip()}{end}".strip()


def derivation_of(history: Sequence[Step], settings: DicomSettings | None = None) -> Derivation:
    """The derivation that a history describes.

    Args:
        history: Steps since the series was read, oldest first; may be empty.
        settings: How it is written; what differs from the defaults is part of the key.
    """
    settings = settings or DicomSettings()
    doses = [_fraction(step) for step in history if step.name == "simulate_low_dose"]
    dose_fraction = None
    for dose in doses:
        dose_fraction = dose if dose_fraction is None else dose_fraction * dose
    parts = [f"{PRODUCT} {__version__}", *(_sentence(step) for step in history)]
    parts.append(LAST_WORDS)
    models = [_told("model", step.params["model"]) for step in history if "model" in step.params]
    return Derivation(
        key=_key(history, settings),
        description=ascii_text("; ".join(parts))[:SHORT_TEXT],
        code=_code(history, settings),
        software=tuple(ascii_text(text)[:LONG_STRING] for text in (__version__, *models)),
        is_synthetic=any(step.name in _SYNTHETIC_STEPS for step in history),
        dose_fraction=dose_fraction,
        is_denoised=any(step.name == "denoise" for step in history),
        is_degraded=any(step.name == "degrade" for step in history),
    )


def _key(history: Sequence[Step], settings: DicomSettings) -> str:
    decisive: dict[str, JsonValue] = {
        "version": __version__,
        "history": [step.as_json() for step in history],
    }
    options = settings.changed_attributes()
    return digest({**decisive, "dicom": options} if options else decisive)


def _code(history: Sequence[Step], settings: DicomSettings) -> Code | None:
    code = _CODES.get(history[-1].name) if history else None
    if code is not SMOOTHING:
        return code
    if "filter" in history[-1].params:  # a classical filter learnt nothing, whatever is asked for
        return GAUSSIAN_BLUR if history[-1].params.get("model") == "gaussian" else SMOOTHING
    return LOCAL_DENOISING if settings.derivation_code == "local" else SMOOTHING


def run_moment(offset: str = "", posix_s: int | None = None) -> datetime:
    """Now, or SOURCE_DATE_EPOCH where it is set, so that a series can be made again bit for bit.

    What `core.moment.dated` tells comes before both.

    Args:
        offset: TimezoneOffsetFromUTC of the source, such as "+0100", in which all its times are
            given. Without it local time is used, and UTC for SOURCE_DATE_EPOCH.
        posix_s: What to take for now, in seconds since 1970.
    """
    now = told_moment()
    if now is None:
        now = moment_of(time.time() if posix_s is None else posix_s)
    sign, digits = offset[:1], offset[1:].strip()
    if sign not in {"+", "-"} or len(digits) != 4 or not digits.isdigit():
        return now
    shift = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return now.astimezone(timezone(shift if sign == "+" else -shift))


def ascii_text(text: str) -> str:
    """Text with everything replaced that some character set could spell differently."""
    return "".join(c if c.isascii() and c.isprintable() and c != "\\" else "?" for c in text)


def _fraction(step: Step) -> float:
    value = step.params.get("dose_fraction")
    return float(value) if isinstance(value, int | float) else 1.0


def _sentence(step: Step) -> str:
    told = [
        f"{name} {_told(name, step.params[name])}"
        for name in TOLD_PARAMETERS
        if isinstance(step.params.get(name), str | int | float)
    ]
    return f"{step.name}: {', '.join(told)}" if told else step.name


def _told(name: str, value: JsonValue) -> str:
    if name == "model":  # may be a path, and folders can be named after patients
        return PurePath(str(value)).name
    return f"{value:g}" if isinstance(value, float) else str(value)
