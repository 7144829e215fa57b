"""What is unusual about a series that can be read, with how much it matters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["warning", "note"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is unusual about a series, though it can be read.

    Args:
        severity: "warning" for what one must know before using the numbers, "note" for what is
            fine but unusual. What makes a series unreadable is a problem and no finding.
        code: Which kind of thing it is, in words joined by hyphens; stable between versions.
        text: What was found, for people.
    """

    severity: Severity
    code: str
    text: str

    def __str__(self) -> str:
        return self.text


def warning(code: str, text: str) -> Finding:
    """What one must know before using the numbers of a series.

    Args:
        code: Which kind of thing it is.
        text: What was found.
    """
    return Finding("warning", code, text)


def note(code: str, text: str) -> Finding:
    """What is fine but unusual.

    Args:
        code: Which kind of thing it is.
        text: What was found.
    """
    return Finding("note", code, text)
