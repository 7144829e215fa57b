"""What a judge objects to, gathered: one line for each kind of defect, however many files."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from ctdenoise.io.dicom_judge_rules import RULES, Severity

Maker = Literal["ours", "others"]
"""Who wrote the series: this program, which promises more than the standard asks, or another."""


@dataclass(frozen=True, slots=True)
class Objection:
    """One rule that does not hold, in one file or many.

    Args:
        rule: Its name in `RULES`.
        severity: "error" or "warning".
        path: The first file.
        files: How many files.
        text: What is wrong, without patient data.
    """

    rule: str
    severity: Severity
    path: Path
    files: int
    text: str

    def __str__(self) -> str:
        more = f" and {self.files - 1} more" if self.files > 1 else ""
        return f"{self.text} [{self.rule}] ({self.path.name}{more})"


@dataclass(slots=True)
class Objections:
    """Collects what is found.

    Args:
        maker: Whose rules count.
    """

    maker: Maker
    _found: dict[tuple[str, str, str], Objection] = field(default_factory=dict)
    _last: dict[tuple[str, str, str], Path] = field(default_factory=dict)

    def add(self, name: str, path: Path, detail: str = "", *, inherited: bool = False) -> None:
        """Object, unless the rule does not concern who wrote the series.

        Args:
            name: A rule of `RULES`.
            path: The file that breaks it.
            detail: Which attribute, or by how much; without patient data.
            inherited: The source has the same defect at the same place: a warning only.
        """
        rule = RULES[name]
        severity = rule.ours if self.maker == "ours" else rule.others
        if severity is None:
            return
        if inherited:
            severity, detail = "warning", f"{detail} (as in the source)".strip()
        text = f"{rule.text}: {detail}" if detail else rule.text
        key = (name, severity, detail)
        old = self._found.get(key)
        if old is None:
            self._found[key] = Objection(name, severity, path, 1, text)
        elif self._last[key] != path:
            self._found[key] = replace(old, files=old.files + 1)
        self._last[key] = path

    def add_each(self, name: str, path: Path, details: Iterable[str]) -> None:
        """Object once, naming everything that breaks the rule.

        Args:
            name: A rule of `RULES`.
            path: The file.
            details: What breaks it; nothing is said if there is nothing.
        """
        named = list(dict.fromkeys(details))
        if named:
            self.add(name, path, ", ".join(named[:8]) + (", ..." if len(named) > 8 else ""))

    def sorted(self) -> tuple[Objection, ...]:
        """Everything found: errors first, then in the order of the rules."""
        order = list(RULES)
        found = self._found.values()
        return tuple(sorted(found, key=lambda one: (one.severity, order.index(one.rule))))
