"""Options of `simulate` that are short names of settings."""

from __future__ import annotations

import json
from collections.abc import Sequence

from ctdenoise.errors import UsageError

_KERNEL_KINDS = ("auto", "header", "measured", "ramp", "hann")
_GROUPS = {"--dose": "dose", "--n0": "photons", "--kernel": "kernel", "--mas": "mas"}
"""The setting that each option names."""


def settings_changes(
    *,
    dose: Sequence[str],
    n0: float | None,
    kernel: str | None,
    mas: float | None,
    overrides: Sequence[str],
) -> tuple[str, ...]:
    """What the options change in the settings, as key=value, after the overrides.

    Args:
        dose: Such as "0.25", "10%", "50mAs", "30 HU".
        n0: Photons at full dose.
        kernel: A kind of kernel, half height in 1/mm, or a maker's name.
        mas: Exposure of the scan.
        overrides: Of `--set`.

    Raises:
        UsageError: If two options state the same, or a kernel is not known.
    """
    given = {"--dose": bool(dose), "--n0": n0 is not None}
    given |= {"--kernel": kernel is not None, "--mas": mas is not None}
    _require_no_conflict([option for option, is_given in given.items() if is_given], overrides)
    changes = list(overrides)
    if dose:
        changes.append(f"dose={json.dumps([_number_or_text(text) for text in dose])}")
    if n0 is not None:
        changes.append(f"photons={n0}")
    if mas is not None:
        changes += [f"mas={mas}", "photons=auto"]
    if kernel is not None:
        changes += _kernel_changes(kernel.strip())
    return tuple(changes)


def _require_no_conflict(given: Sequence[str], overrides: Sequence[str]) -> None:
    problems = []
    if {"--n0", "--mas"} <= set(given):
        problems.append("--n0 and --mas both say how many photons the scan was made with")
    keys = [text.partition("=")[0].strip() for text in overrides]
    for option in given:
        group = _GROUPS[option]
        same = [key for key in keys if key == group or key.startswith(f"{group}.")]
        problems += [f"{option} and --set {key} state the same" for key in same]
    if "--mas" in given and "photons" in keys:
        problems.append("--mas and --set photons both say how many photons the scan was made with")
    if problems:
        raise UsageError(
            f"Options contradict each other: {'; '.join(problems)}.", fix="Give one of them."
        )


def _number_or_text(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _kernel_changes(name: str) -> list[str]:
    if name.lower() in _KERNEL_KINDS:
        return [f"kernel.name={name.lower()}"]
    f50 = _number_or_text(name)
    if isinstance(f50, str):
        f50 = _half_height(name)
    return ["kernel.name=gaussian", f"kernel.f50_per_mm={f50}"]


def _half_height(name: str) -> float:
    """Half height, 1/mm, of a kernel that a maker names."""
    from ctdenoise.core.acquisition import Acquisition
    from ctdenoise.simulation.filters import header_f50_per_mm

    # Philips' names are single letters, which mean a kernel only where the maker is known.
    for maker in (None, "Philips"):
        named = Acquisition(convolution_kernel=name, manufacturer=maker)
        f50 = header_f50_per_mm(named)
        if f50 is not None:
            return f50
    raise UsageError(
        f"--kernel: {name!r} is not a known kernel.",
        fix=f"Give one of {', '.join(_KERNEL_KINDS)}, the frequency in 1/mm at which it is one "
        "half (0.335 is soft, 0.6 and more sharp), or a maker's name such as B30f, STANDARD or "
        "FC13.",
    )
