"""What the checks of a result found, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from ctdenoise.core.provenance import JsonValue

CheckSeverity = Literal["error", "warning", "note"]

_ORDER: Mapping[str, int] = {"error": 0, "warning": 1, "note": 2}
_MOST_SLICES = 6


@dataclass(frozen=True, slots=True)
class CheckFinding:
    """One thing about a result that one must know, or that forbids to write it.

    Args:
        severity: "error" for what must not be used, "warning" for what must be looked at, "note"
            for what is worth knowing.
        code: Which kind of thing it is, in words joined by hyphens; stable between versions.
        text: What was found, with figures.
        advice: What to do.
        figure: What was measured; None where it is no number.
        limit: What it was compared with; None likewise.
        unit: Of both; "" for shares and ratios.
        slices: Places in the scan, counted from 0; empty where it is the whole scan.
    """

    severity: CheckSeverity
    code: str
    text: str
    advice: str
    figure: float | None = None
    limit: float | None = None
    unit: str = ""
    slices: tuple[int, ...] = ()

    def __str__(self) -> str:
        return f"{self.text} {self.advice}"

    def as_json(self) -> dict[str, JsonValue]:
        """The finding as a plain dictionary."""
        return {
            "severity": self.severity,
            "code": self.code,
            "text": self.text,
            "advice": self.advice,
            "figure": self.figure,
            "limit": self.limit,
            "unit": self.unit,
            "slices": list(self.slices),
        }


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What was found in a result, and every figure with its limit.

    Args:
        findings: The gravest first.
        figures: Plain JSON.
        slices: How many slices were looked at closely.
    """

    findings: tuple[CheckFinding, ...]
    figures: Mapping[str, JsonValue]
    slices: int

    @property
    def passed(self) -> bool:
        """Whether there is nothing but notes."""
        return all(finding.severity == "note" for finding in self.findings)

    def of(self, severity: CheckSeverity) -> tuple[CheckFinding, ...]:
        """The findings of one severity.

        Args:
            severity: Which.
        """
        return tuple(finding for finding in self.findings if finding.severity == severity)

    def as_json(self) -> dict[str, JsonValue]:
        """Everything as a plain dictionary."""
        return {
            "passed": self.passed,
            "slices_looked_at": self.slices,
            "findings": [finding.as_json() for finding in self.findings],
            "figures": dict(self.figures),
        }


def ordered(findings: Iterable[CheckFinding]) -> tuple[CheckFinding, ...]:
    """Findings, the gravest first.

    Args:
        findings: In any order; it is kept among those of one severity.
    """
    return tuple(sorted(findings, key=lambda finding: _ORDER[finding.severity]))


def slice_words(places: Iterable[int]) -> str:
    """Slices for people, counted from 1: "slices 3, 4 and 8", the tail counted.

    Args:
        places: In the scan, counted from 0.
    """
    numbers = [str(place + 1) for place in sorted(set(places))]
    if len(numbers) > _MOST_SLICES:
        rest = len(numbers) - _MOST_SLICES
        return f"slices {', '.join(numbers[:_MOST_SLICES])} and {rest} more"
    if len(numbers) == 1:
        return f"slice {numbers[0]}"
    return f"slices {', '.join(numbers[:-1])} and {numbers[-1]}"
