"""The wheel holds the released models, and they are found where it is installed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from ctdenoise.networks.released import ENVIRONMENT
from tests.released_folder import release

ROOT = Path(__file__).parents[2]
WEIGHTS = "ctdenoise/networks/weights"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of this source tree, with one more released model."""
    tree = tmp_path_factory.mktemp("tree")
    for name in ("ctdenoise", "configs"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, tree / name, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE", ".gitignore"):
        shutil.copy(ROOT / name, tree / name)
    release(tree / WEIGHTS, "for_this_test", strength=0.75)
    out = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)],
        cwd=tree,
        check=True,
        capture_output=True,
    )
    return next(out.glob("*.whl"))


def test_a_wheel_holds_weights_and_cards(wheel):
    with zipfile.ZipFile(wheel) as opened:
        names = set(opened.namelist())
    assert f"{WEIGHTS}/for_this_test.safetensors" in names
    assert f"{WEIGHTS}/for_this_test.json" in names
    here = {path.relative_to(ROOT).as_posix() for path in (ROOT / WEIGHTS).iterdir()}
    assert here <= names


def test_what_is_installed_from_a_wheel_finds_its_models(wheel, tmp_path):
    with zipfile.ZipFile(wheel) as opened:
        opened.extractall(tmp_path / "installed")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "installed")}
    environment.pop(ENVIRONMENT, None)
    done = subprocess.run(
        [sys.executable, "-m", "ctdenoise", "models", "--no-speed", "--json"],
        cwd=tmp_path,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    found = {one["name"]: one for one in json.loads(done.stdout)}
    assert found["for_this_test"]["path"].startswith(str(tmp_path / "installed"))
    assert found["for_this_test"]["card"]["strength"] == 0.75
