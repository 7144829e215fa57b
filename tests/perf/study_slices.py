"""What neighbouring slices are worth to a network, on phantoms whose truth is known.

    python -m tests.perf.study_slices [--spacing 1.5] [--thickness 1.5] [--steps 600]
        [--channels 12] [--slices 1 3 5] [--noise 25] [--size 192] [--seeds 1]

draws torso phantoms without noise, gives each about as much noise in the body (as the exposure
control of a scanner does, or a small patient would tell nothing), and trains small RED-CNNs with
equal steps, patches and seed that see 1, 3 or 5 slices at once. Slices thicker than their
spacing share noise, as they do in a scanner. Printed is the root mean squared difference to the
truth in the body of a phantom that nobody trained on, by the code of `infer`, what the networks of
several slices gain over that of one, in dB, and what a step costs, in processor time. Nothing is
asserted.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from ctdenoise.config.dose import SimulateSettings
from ctdenoise.config.inference import InferSettings
from ctdenoise.config.phantom import PhantomSettings
from ctdenoise.config.training import TrainSettings
from ctdenoise.core.body import body_mask
from ctdenoise.core.pair import Pair
from ctdenoise.core.source import SourceInstance, SourceSeries
from ctdenoise.core.volume import CTVolume
from ctdenoise.inference.denoiser import Denoiser
from ctdenoise.inference.load import load_denoiser
from ctdenoise.io.pair_writer import write_pairs
from ctdenoise.io.pairs import find_pairs
from ctdenoise.networks.checkpoint import Checkpoint, save_checkpoint
from ctdenoise.phantoms.build import build_phantom
from ctdenoise.simulation.low_dose import simulate_doses
from ctdenoise.training.job import TrainingJob, prepare_job
from ctdenoise.training.optimizers import learning_rate_at
from ctdenoise.training.step import training_step

TRAIN, JUDGE, TEST = (1, 2), 3, 4
"""Seeds of the phantoms: every one is another patient."""

LEVELS_MM = {1: -30, 2: 30, 3: 15, 4: 0}
"""Where their middle slices lie, from the diaphragm upwards."""

SLICES, DOSE, PHOTONS = 16, 0.25, 3e5


def drawn(seed: int, asked: argparse.Namespace) -> Pair:
    """A phantom without noise and its twin."""
    grid = {
        "size": asked.size,
        "field_of_view_mm": 400,
        "slices": SLICES,
        "slice_spacing_mm": asked.spacing,
        "slice_thickness_mm": asked.thickness,
    }
    phantom = {"name": "torso", "level_mm": LEVELS_MM[seed]}
    exact = build_phantom(
        PhantomSettings.model_validate({"phantom": phantom, "grid": grid, "seed": seed})
    ).volume
    instances = tuple(SourceInstance(Path("x")) for _ in range(SLICES))
    source = SourceSeries("nifti", instances, patient_key=str(seed))
    volume = CTVolume(exact.hu, exact.geometry, exact.acquisition, source)
    photons = PHOTONS * (_twin(volume, PHOTONS, seed)[1] / asked.noise) ** 2
    return _twin(volume, photons, seed)[0]


def _twin(volume: CTVolume, photons: float, seed: int) -> tuple[Pair, float]:
    """A phantom with its twin, and how much noise that has in the body, HU."""
    settings = SimulateSettings.model_validate(
        {"dose": DOSE, "photons": photons, "source_noise": "none"}
    )
    (pair,) = simulate_doses(volume, settings, np.random.default_rng(seed))
    return pair, error_hu(pair.low, pair.full)


def settings_of(slices: int, asked: argparse.Namespace) -> TrainSettings:
    """Those of every network of the study, but for its slices."""
    return TrainSettings.model_validate(
        {
            "network": {"name": "redcnn", "channels": asked.channels, "slices": slices},
            "noise": {
                "name": "on_the_fly",
                "lowest_dose": DOSE,
                "highest_dose": DOSE,
            },
            "patches": {"size": 40, "least_body": 0.5},
            "batch_size": 8,
            "steps": asked.steps,
            "optimizer": {"learning_rate": 2e-3},
            "schedule": {"name": "cosine", "warmup_steps": 40, "final_learning_rate": 1e-5},
            "validation": {"slices": 1, "crop": 64, "patients": [str(JUDGE)]},
            "precision": "float32",
            "device": "cpu",
            "threads": 1,
        }
    )


def trained(job: TrainingJob) -> Checkpoint:
    """The network after its last step; prints what a step costs."""
    settings, steps = job.settings, job.settings.steps
    data_s = network_s = 0.0
    for step in range(steps):
        for group in job.optimizer.param_groups:
            group["lr"] = learning_rate_at(
                step,
                first=settings.optimizer.learning_rate,
                schedule=settings.schedule,
                steps=steps,
            )
        started = time.process_time()
        batch = job.batches[step]
        ready = time.process_time()
        training_step(
            job.model,
            job.optimizer,
            job.loss,
            batch,
            settings=settings,
            precision=job.precision,
            watch=job.guard,
        )
        data_s += ready - started
        network_s += time.process_time() - ready
    print(f"  a step: {data_s / steps * 1e3:.1f} ms data, {network_s / steps * 1e3:.1f} ms network")
    return Checkpoint(settings.network, job.network.state_dict(), job.hu_range)


def error_hu(image: CTVolume, truth: CTVolume) -> float:
    """Root mean squared difference in the body, HU."""
    body = np.stack([body_mask(hu) for hu in truth.hu])
    return float(np.sqrt(np.square(image.hu - truth.hu)[body].mean(dtype=np.float64)))


def judged(checkpoint: Checkpoint, pair: Pair, folder: Path) -> float:
    """The error of a network on a twin, put to work as `infer` does it."""
    file = save_checkpoint(folder / "model.safetensors", checkpoint)
    denoiser: Denoiser = load_denoiser(file, InferSettings(device="cpu"))
    return error_hu(denoiser(pair.low), pair.full)


def main() -> None:
    """Draw, train, measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--spacing", type=float, default=1.5)
    parser.add_argument("--thickness", type=float, default=1.5)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--channels", type=int, default=12)
    parser.add_argument("--slices", nargs="+", type=int, default=[1, 3])
    parser.add_argument("--noise", type=float, default=25.0)
    parser.add_argument("--size", type=int, default=192)
    parser.add_argument("--seeds", nargs="+", type=int, default=[1])
    asked = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for seed in (*TRAIN, JUDGE):
            place = folder / str(seed)
            place.mkdir()
            write_pairs(place, [drawn(seed, asked)])
        pairs, test = find_pairs([folder]), drawn(TEST, asked)
        print(f"low dose: {error_hu(test.low, test.full):.2f} HU", flush=True)
        for seed in asked.seeds:
            first = None
            for slices in asked.slices:
                job = prepare_job(pairs, settings_of(slices, asked), seed=seed)
                found = judged(trained(job), test, folder)
                first = first or found
                gain = 20 * math.log10(first / found)
                print(f"seed {seed}, {slices} slices: {found:.2f} HU, {gain:+.2f} dB", flush=True)


if __name__ == "__main__":
    main()
