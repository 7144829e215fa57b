"""Programs that only say what they were called with, in place of those that a job calls."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from ctdenoise.cli.app import app

FOLDER = Path(__file__).parents[2] / "pipelines"

SAY = """#!/usr/bin/env bash
line={name}$(printf '\\x1f%s' "$@")
printf '%s\\n' "$line" >>"$SAID" # at once, as others may write as well
for word in "$@"; do
    if [[ $word == *.yaml && -f $word ]]; then cp "$word" "$SAID.yaml"; fi
done
{then}
"""
"""Words apart by a character that none of them has. Settings are kept, as jobs remove theirs."""


@dataclass
class Stage:
    """A place where jobs run with programs of ours.

    Args:
        folder: Empty; programs and what they said are put here.
        programs: What each program does besides; a line of bash.
    """

    folder: Path
    programs: dict[str, str] = field(default_factory=lambda: {"ctdenoise": ""})

    @property
    def said(self) -> Path:
        """Where programs write what they were called with."""
        return self.folder / "said"

    def run(self, job: str, *words: str | Path, **variables: str) -> subprocess.CompletedProcess:
        """Run a job to its end."""
        places = self.folder / "programs"
        places.mkdir(exist_ok=True)
        for name, then in self.programs.items():
            program = places / name
            program.write_text(SAY.format(name=name, then=then), encoding="utf-8")
            program.chmod(0o755)
        return subprocess.run(
            ["bash", FOLDER / job, *map(str, words)],
            env={
                "PATH": f"{places}:/usr/bin:/bin",
                "HOME": str(self.folder),
                "PIPELINES": str(FOLDER),
                "SAID": str(self.said),
                **variables,
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            stdin=subprocess.DEVNULL,
        )

    def calls(self, program: str = "ctdenoise") -> list[list[str]]:
        """The words of every call of a program, its own name left out."""
        if not self.said.exists():
            return []
        lines = [line.split("\x1f") for line in self.said.read_text("utf-8").splitlines()]
        return [words[1:] for words in lines if words[0] == program]


def understood(words: list[str]) -> dict[str, object]:
    """The arguments that the real command line makes of a call.

    Raises:
        Exception: If it does not accept them.
    """
    _, bound, *_ = app.parse_args(words, exit_on_error=False, print_error=False)
    return dict(bound.arguments)
