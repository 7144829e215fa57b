"""Findings: what is unusual about a series that can be read."""

from __future__ import annotations

import ast
from pathlib import Path

from ctdenoise.io.finding import note, warning

IO = Path(__file__).parents[3] / "ctdenoise" / "io"


def test_a_finding_reads_as_its_text():
    assert " ".join(map(str, (note("derived", "is derived"), warning("lossy", "lost")))) == (
        "is derived lost"
    )


def test_every_finding_of_the_package_has_a_code_in_words_joined_by_hyphens():
    codes = [code for path in IO.glob("*.py") for code in codes_of(path)]
    assert len(codes) > 15
    assert [
        code for code in codes if not code.replace("-", "").isalnum() or code.lower() != code
    ] == []


def codes_of(path: Path) -> list[str]:
    """Codes of the findings that a module makes."""
    return [
        str(node.args[0].value)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in ("note", "warning")
        and isinstance(node.args[0], ast.Constant)
    ]
