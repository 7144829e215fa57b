"""Phantoms drawn at random, simulated and trained on, by the real command line."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from ctdenoise.io.pairs import find_pairs, read_pair
from ctdenoise.io.read import read_volume
from tests.e2e.commands import ctdenoise
from tests.e2e.conftest import TINY_TRAINING

SMALL_SCANNER = (
    *("--set", "scanner.distances=setting", "--set", "scanner.channels=96"),
    *("--set", "scanner.channel_pitch_mm=9", "--set", "scanner.views_per_turn=96"),
)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("samples") / "cohort"
    done = ctdenoise(
        *("phantom", "sample", "--count", "3", "--out", out, "--seed", "3", "--pairs"),
        *("--workers", "1", "--set", "size=64", "--set", "slices=2"),
    )
    assert done.code == 0, done.stderr
    return out


def test_a_network_trains_on_samples_with_the_doses_that_were_drawn(cohort, tmp_path):
    with (cohort / "samples.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    doses = sorted(float(row["dose"]) for row in rows)
    pairs = [read_pair(files) for files in find_pairs([cohort])]
    assert sorted(pair.exposure.dose_fraction for pair in pairs) == pytest.approx(doses)
    assert all((pair.low.hu - pair.full.hu).std() > 1 for pair in pairs)
    done = ctdenoise("train", cohort, "--out", tmp_path / "model", *TINY_TRAINING)
    assert done.code == 0, done.stderr
    assert (tmp_path / "model" / "metrics.csv").is_file()


def test_the_settings_beside_a_sample_make_its_twin(cohort, tmp_path):
    sample = cohort / "00001"
    done = ctdenoise(
        *("simulate", sample / "study", "--config", sample / "simulate.yaml"),
        *("--out", tmp_path / "pair", *SMALL_SCANNER),
    )
    assert done.code == 0, done.stderr
    (files,) = find_pairs([tmp_path / "pair"])
    np.testing.assert_array_equal(read_pair(files).full.hu, read_volume(sample / "study").hu)


def test_all_samples_can_be_simulated_at_one_dose(cohort, tmp_path):
    studies = sorted(cohort.glob("*/study"))
    done = ctdenoise(
        *("simulate", *studies, "--all", "--config", "phantom", "--out", tmp_path / "pairs"),
        *("--dose", "0.25", "--kernel", "0.4", "--workers", "1", *SMALL_SCANNER),
    )
    assert done.code == 0, done.stderr
    pairs = find_pairs([tmp_path / "pairs"])
    assert len(pairs) == 3
    done = ctdenoise("train", tmp_path / "pairs", "--out", tmp_path / "model", *TINY_TRAINING)
    assert done.code == 0, done.stderr
