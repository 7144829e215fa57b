"""A small study, its pairs and a small model, made once by the real command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.commands import ctdenoise


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A torso phantom as a DICOM series: 6 slices of 128 x 128."""
    out = tmp_path_factory.mktemp("e2e") / "study"
    done = ctdenoise(
        "phantom", "torso", "--out", out, "--set", "grid.size=128", "--set", "grid.slices=6"
    )
    assert done.code == 0, done.stderr
    return out


@pytest.fixture(scope="session")
def pair(study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study's low-dose twin at a quarter of the dose, to train on."""
    out = tmp_path_factory.mktemp("e2e") / "pair"
    done = ctdenoise("simulate", study, "--out", out, "--dose", "0.25")
    assert done.code == 0, done.stderr
    return out


TINY_TRAINING = (
    "--set",
    "network.channels=4",
    "--set",
    "steps=6",
    "--set",
    "batch_size=2",
)


@pytest.fixture(scope="session")
def model(pair: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model trained for a few steps: it denoises badly, but it is one."""
    out = tmp_path_factory.mktemp("e2e") / "model"
    done = ctdenoise("train", pair, "--out", out, *TINY_TRAINING)
    assert done.code == 0, done.stderr
    return out
