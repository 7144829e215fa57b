"""Every code block in the README and the docs runs, or is a command that exists.

A block that cannot be checked says why in a comment above it: `<!-- not checked: reason -->`.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from ctdenoise.cli.app import FUNCTIONS, app
from ctdenoise.config.base import Settings
from ctdenoise.config.comparison import CompareSettings
from ctdenoise.config.conversion import ConvertSettings
from ctdenoise.config.dose import SimulateSettings
from ctdenoise.config.evaluation import EvaluateSettings
from ctdenoise.config.fusion import FuseSettings
from ctdenoise.config.inference import InferSettings
from ctdenoise.config.load import find_settings_file, load_settings
from ctdenoise.config.phantom import PhantomSettings
from ctdenoise.config.sampling import SampleSettings
from ctdenoise.config.serve import ServeSettings
from ctdenoise.config.training import TrainSettings

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [ROOT / "README.md"]
    + [path for path in (ROOT / "docs").rglob("*.md") if "_build" not in path.parts]
)
BLOCK = re.compile(
    r"(?:<!-- not checked: (?P<reason>[^>]+) -->\n+)?^```(?P<kind>\w+)\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
LANGUAGES = {"bash", "python", "yaml", "text"}
SETTINGS: dict[str, tuple[type[Settings], str]] = {
    "simulate": (SimulateSettings, "default"),
    "infer": (InferSettings, "default"),
    "phantom": (PhantomSettings, ""),  # the kind of phantom names the file
    "sample": (SampleSettings, "default"),  # phantom sample
    "train": (TrainSettings, "redcnn"),
    "evaluate": (EvaluateSettings, "default"),
    "compare": (CompareSettings, "default"),
    "fuse": (FuseSettings, "default"),
    "convert": (ConvertSettings, "default"),
    "serve": (ServeSettings, "default"),
}
OTHER_PROGRAMS = {"cd", "export", "git", "head", "mkdir", "python3", "source", "tar", "torchrun"}
"""Programs of other people; their commands are not run here."""


@dataclass(frozen=True)
class Block:
    """One fenced block of code."""

    page: Path
    line: int
    kind: str
    text: str
    reason: str | None

    @property
    def name(self) -> str:
        """Where it stands."""
        return f"{self.page.relative_to(ROOT).as_posix()}:{self.line}"


def blocks(kind: str) -> list[Block]:
    """All blocks of a language."""
    return [block for page in PAGES for block in blocks_of(page) if block.kind == kind]


def blocks_of(page: Path) -> list[Block]:
    """The blocks of one page."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            page,
            text.count("\n", 0, match.start("text")) + 1,
            match["kind"],
            match["text"],
            match["reason"],
        )
        for match in BLOCK.finditer(text)
    ]


def commands() -> list[tuple[str, str]]:
    """Each line of each shell block, continued lines joined, with where it stands."""
    found = []
    for block in blocks("bash"):
        if block.reason is None:
            lines = block.text.replace("\\\n", " ").splitlines()
            found += [(block.name, line) for line in lines if line and not line.startswith("#")]
    return found


def commands_of(program: str) -> list[tuple[str, str]]:
    """The lines that call one program, by its name or its path."""
    return [(place, line) for place, line in commands() if Path(line.split()[0]).name == program]


def test_every_block_names_a_language_that_is_checked():
    kinds = {block.kind for page in PAGES for block in blocks_of(page)}
    assert {"bash", "python", "yaml"} <= kinds <= LANGUAGES
    reasons = [block.reason for page in PAGES for block in blocks_of(page) if block.reason]
    assert all(len(reason.split()) > 2 for reason in reasons)


@pytest.fixture(scope="session")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small study, such as the Python examples start from."""
    folder = tmp_path_factory.mktemp("docs")
    drawing = ["phantom", "water", "--set", "grid.size=64", "--set", "grid.slices=3"]
    line = [sys.executable, "-m", "ctdenoise", *drawing, "--out", str(folder / "study")]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("block", blocks("python"), ids=lambda block: block.name)
def test_python_blocks_run(block, workplace, tmp_path):
    if block.reason is not None:
        pytest.skip(block.reason)
    (tmp_path / "study").symlink_to(workplace / "study")
    done = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning:__main__", "-c", block.text],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout


@pytest.mark.parametrize(("place", "line"), commands_of("ctdenoise"))
def test_ctdenoise_commands_are_understood(place, line):
    tokens = shlex.split(line)[1:]
    if "--help" in tokens:
        return
    command, bound, *_ = app.parse_args(tokens, exit_on_error=False, print_error=False)
    assert command.__module__ == f"ctdenoise.cli.{FUNCTIONS.get(tokens[0], tokens[0])}", place
    config = bound.arguments.get("config")
    is_made_here = config is not None and config.name in {"settings.yaml", "narrow.yaml"}
    if config is not None and not is_made_here:
        assert find_settings_file(tokens[0], config).is_file(), place


@pytest.mark.parametrize(("place", "line"), commands_of("ctdenoise"))
def test_settings_in_commands_are_accepted(place, line):
    tokens = shlex.split(line)[1:]
    changes = [value for option, value in pairwise(tokens) if option == "--set"]
    if not changes:
        return
    named = [value for option, value in pairwise(tokens) if option == "--config"]
    command = "sample" if tokens[:2] == ["phantom", "sample"] else tokens[0]
    kind, ready = SETTINGS[command]
    file = find_settings_file(command, named[0] if named else ready or tokens[1])
    assert isinstance(load_settings(kind, file, changes), kind), place


@pytest.mark.parametrize(("place", "line"), commands_of("make"))
def test_make_targets_exist(place, line):
    words = [word for word in shlex.split(line)[1:] if "=" not in word]
    done = subprocess.run(["make", "-n", *words], cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == 0, place


def test_other_programs_are_ones_we_know():
    ours = {"ctdenoise", "make", "pip", "pre-commit"}
    called = {Path(line.split()[0]).name for _, line in commands()}
    assert called - ours <= OTHER_PROGRAMS


@pytest.mark.parametrize("block", blocks("yaml"), ids=lambda block: block.name)
def test_yaml_blocks_are_yaml(block):
    assert isinstance(yaml.safe_load(block.text), dict)


def test_links_between_pages_lead_somewhere():
    broken = [
        f"{page.relative_to(ROOT).as_posix()} -> {target}"
        for page in PAGES
        for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)\s]*)?\)", page.read_text("utf-8"))
        if not (page.parent / target).exists()
    ]
    assert broken == []
