"""What came of each series of a study: the part of a job's result that people are shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

from ctdenoise.core.provenance import JsonValue


@dataclass(frozen=True, slots=True)
class SeriesOutcome:
    """One series of the study; read from what the work left, in whatever version it did so.

    Args:
        number: Its number in the study, from 1.
        what: "CT", "scout", ...
        status: "done", "kept", "skipped", "refused" or "failed".
        reason: Why nothing was made of it; empty where something was.
        rule: Name of the rule that took it; empty where none did.
        model: Name of the denoiser; empty where none was applied.
        slices: How many it has.
        seconds: How long it took from reading to written; 0 where nothing was made.
        noise_before_hu: Noise magnitude of the scan; None where it was not measured.
        noise_after_hu: Noise magnitude of the result.
        description: Its SeriesDescription. Free text of the scanner, so it is shown only on
            request.
        thumbnail: Number of its pair of pictures in `thumbnails/<job>/`; None without one.
    """

    number: int = 0
    what: str = ""
    status: str = ""
    reason: str = ""
    rule: str = ""
    model: str = ""
    slices: int = 0
    seconds: float = 0.0
    noise_before_hu: float | None = None
    noise_after_hu: float | None = None
    description: str = ""
    thumbnail: int | None = None

    @classmethod
    def from_json(cls, record: Mapping[str, JsonValue]) -> Self:
        """Read back; what is missing or of another kind keeps its default."""
        known = {one.name: one.default for one in fields(cls)}
        values: dict[str, Any] = {
            name: value
            for name, value in record.items()
            if name in known and _fits(value, known[name])
        }
        return cls(**values)


def series_outcomes(result: Mapping[str, JsonValue]) -> tuple[SeriesOutcome, ...]:
    """The series under `series` in a job's result, in their order."""
    listed = result.get("series")
    if not isinstance(listed, list):
        return ()
    return tuple(SeriesOutcome.from_json(one) for one in listed if isinstance(one, dict))


def _fits(value: JsonValue, default: object) -> bool:
    """Whether a value that was read may stand where a field has this default."""
    if isinstance(default, str):
        return isinstance(value, str)
    if value is None:
        return default is None
    return isinstance(value, int | float) and not isinstance(value, bool)
