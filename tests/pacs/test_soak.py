"""A short soak; the hour is run by `tests/perf/study_soak.py`."""

from __future__ import annotations

import os

import numpy as np
import pytest

from tests.pacs.consumption import Consumption, slopes
from tests.pacs.destination import destination
from tests.pacs.service_settings import service_settings
from tests.pacs.soak import soak

MINUTES = float(os.environ.get("CTDENOISE_SOAK_MINUTES", "0.4"))
MOST_MB = 40.0  # numba and torch fill their caches with the first studies


def test_a_steady_stream_takes_no_more_threads_files_and_memory(tmp_path):
    with destination(tmp_path / "destination") as place:
        found = soak(
            tmp_path,
            service_settings(place),
            place,
            minutes=MINUTES,
            study_every_s=1.5,
            look_every_s=0.5,
        )
    assert found.problems == ()
    assert found.ended == {"done": found.studies}
    half = len(found.looks) // 2
    early, late = found.looks[half // 2 : half], found.looks[half:]
    for name, most in (("threads", 4), ("descriptors", 10), ("server_mb", MOST_MB)):
        assert median(late, name) - median(early, name) <= most


def median(looks: tuple[Consumption, ...], name: str) -> float:
    return float(np.median([getattr(look, name) for look in looks]))


def test_a_slope_is_found_with_its_error():
    chance = np.random.default_rng(1)
    minutes = np.linspace(0, 60, 121)
    memory = 200 + 30 * minutes / 60 + chance.normal(0, 2, minutes.size)
    looks = [
        Consumption(m, mb, 0, 9, 20, 2, 1, 1, 1) for m, mb in zip(minutes, memory, strict=True)
    ]
    found = slopes(looks)
    assert found["server_mb"].error == pytest.approx(2 / np.sqrt(121 * (1 / 12)), rel=0.2)
    assert abs(found["server_mb"].per_hour - 30) < 4 * found["server_mb"].error
    assert found["threads"].per_hour == pytest.approx(0, abs=1e-9)
