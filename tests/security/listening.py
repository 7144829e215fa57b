"""Hearing everything that a program says: streams, loggers at DEBUG, warnings; its workers too."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.conftest import ROOT
from tests.security.marked import Leak, leaks

LOUD = Path(__file__).parent / "loud"


@dataclass
class Heard:
    """What was said while somebody listened.

    Args:
        folder: Where every process keeps its log.
    """

    folder: Path
    texts: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, text: str) -> None:
        """Keep what a stream said."""
        self.texts[name] = self.texts.get(name, "") + text

    def leaks(self, *allowed: str) -> list[Leak]:
        """Markers in anything that was said; `allowed` is what the user himself wrote."""
        found = [leak for name, text in self.texts.items() for leak in said(name, text, allowed)]
        for path in sorted(self.folder.glob("*.log")):
            found += said(path.name, path.read_text(encoding="utf-8", errors="replace"), allowed)
        return found


def said(name: str, text: str, allowed: tuple[str, ...]) -> list[Leak]:
    """Markers in a text; the words of a path may be broken over lines, so lines are joined too."""
    return leaks(text.encode(), name, allowed=allowed)


def loud_environment(folder: Path) -> dict[str, str]:
    """Environment of a process that is to be heard, and of all that it starts."""
    return {"CTDENOISE_TESTS_LOUD": str(folder), "PYTHONPATH": f"{LOUD}{os.pathsep}{ROOT}"}


@contextmanager
def listening(folder: Path) -> Iterator[Heard]:
    """Keep all that this process and those that it starts say to loggers."""
    folder.mkdir(parents=True, exist_ok=True)
    before = {name: os.environ.get(name) for name in loud_environment(folder)}
    os.environ.update(loud_environment(folder))
    root = logging.getLogger()
    level = root.level
    handler = logging.FileHandler(folder / "here.log", encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(name)s %(levelname)s %(message)s %(args)s"))
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    heard = Heard(folder)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("default")  # said, not raised
            logging.captureWarnings(True)
            yield heard
    finally:
        logging.captureWarnings(False)
        root.removeHandler(handler)
        root.setLevel(level)
        handler.close()
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
