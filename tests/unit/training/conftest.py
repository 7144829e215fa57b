"""Tiny pairs on disk and settings that train in a blink."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from ctdenoise.config.dose import SimulateSettings
from ctdenoise.config.training import TrainSettings
from ctdenoise.core.pair import Exposure, Pair
from ctdenoise.core.source import SourceInstance, SourceSeries
from ctdenoise.core.volume import CTVolume
from ctdenoise.io.pair_writer import write_pairs
from ctdenoise.io.pairs import PairFiles, find_pairs
from ctdenoise.simulation.low_dose import simulate_doses
from tests.builders import water_disc

MakePair = Callable[..., PairFiles]


@pytest.fixture(autouse=True)
def _one_thread():
    """Tiny networks on one thread: threads that wait for each other cost more than they bring."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def make_pair(tmp_path: Path) -> MakePair:
    """Writes a pair of a noisy water disc: keys `name`, `patient`, `slices`, `size`, `doses`..."""

    def make(
        name: str = "a",
        *,
        patient: str = "",
        slices: int = 5,
        size: int = 48,
        doses: tuple[float, ...] = (0.25,),
        labelled: bool = False,
        label_names: dict[int, str] | None = None,
        padded: bool = False,
        own_noise_hu: float = 3.0,
        seed: int = 0,
    ) -> PairFiles:
        clean = water_disc(slices=slices, size=size, radius_mm=40.0)
        instances = tuple(SourceInstance(Path("x")) for _ in range(slices))
        source = SourceSeries("nifti", instances, patient_key=patient)
        rng = np.random.default_rng([seed, *patient.encode()])  # patients differ
        padding = np.zeros(clean.shape, dtype=bool)
        padding[:, 0, :] = padded
        base = clean.hu + rng.normal(0, own_noise_hu, clean.shape).astype(np.float32)
        labels = (clean.hu > -500).astype(np.uint8)
        labels[:, : size // 2] *= 3
        pairs = []
        full = CTVolume(base, clean.geometry, clean.acquisition, source, padding=padding)
        for dose in doses:
            noise = rng.normal(0, 20 / np.sqrt(dose), clean.shape).astype(np.float32)
            low = CTVolume(base + noise, clean.geometry, clean.acquisition, source, padding=padding)
            pairs.append(
                Pair(
                    full,
                    low,
                    Exposure(dose, 1e5),
                    labels if labelled else None,
                    (label_names or {}) if labelled else {},
                )
            )
        folder = tmp_path / "pairs" / name
        folder.mkdir(parents=True)
        write_pairs(folder, pairs)
        return find_pairs([folder])[0]

    return make


@pytest.fixture
def tiny() -> TrainSettings:
    """Four channels, patches of 24: a step takes milliseconds."""
    return TrainSettings.model_validate(
        {
            "network": {"name": "redcnn", "channels": 4},
            "patches": {"size": 24},
            "batch_size": 4,
            "steps": 8,
            "optimizer": {"learning_rate": 1e-3},
            "schedule": {"name": "cosine"},
            "validation": {"every": 3, "slices": 2, "crop": 32},
            "record_every": 2,
            "checkpoint_every": 3,
            "device": "cpu",
        }
    )


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> PairFiles:
    """A pair of a noisy disc as the simulator makes it, with some padding."""
    folder = tmp_path_factory.mktemp("pairs") / "a"
    folder.mkdir()
    clean = water_disc(slices=6, size=64, radius_mm=70.0)
    padding = np.zeros(clean.shape, dtype=bool)
    padding[:, 0, :] = True
    source = SourceSeries("nifti", tuple(SourceInstance(Path("x")) for _ in range(6)))
    full = CTVolume(clean.hu, clean.geometry, clean.acquisition, source, padding=padding)
    settings = SimulateSettings.model_validate(
        {
            "dose": 0.25,
            "photons": 1e5,
            "source_noise": "none",
            "scanner": {"channels": 192, "channel_pitch_mm": 4.8, "views_per_turn": 160},
        }
    )
    write_pairs(folder, simulate_doses(full, settings, np.random.default_rng(1)))
    return find_pairs([folder])[0]
