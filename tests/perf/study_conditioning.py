"""One network that is told the noise, against networks of a single dose; and ways to tell it.

Run it as ``python -m tests.perf.study_conditioning STEPS --train FOLDERS --test FOLDERS``, with
folders of pairs that `simulate` made, tests at several doses. Small RED-CNNs are trained with the
same seed and budget on noise drawn for each patch. The difference to the full-dose image (of a
phantom: the truth) is measured in the body at each dose of the test pairs, with the noise map
measured from the pixels, as it is when a network is put to work. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ctdenoise.config.training import TrainSettings
from ctdenoise.core.body import body_mask
from ctdenoise.core.intensity import HuRange
from ctdenoise.io.pair_images import PADDING_HU
from ctdenoise.io.pairs import PairFiles, find_pairs
from ctdenoise.metrics.noise_map import measured_noise
from ctdenoise.networks.prediction import NOISE_UNIT, DenoisingNetwork, Prediction
from ctdenoise.training.batches import ToNetworkScale
from ctdenoise.training.job import prepare_job
from ctdenoise.training.optimizers import learning_rate_at
from ctdenoise.training.step import training_step

CPU = torch.device("cpu")
SCALE = HuRange(0.0, 1000.0)
EVERY_DOSE = (0.05, 0.9)
SLICES = 3
"""Slices of each test pair."""


class PlainChannel(DenoisingNetwork):
    """The noise as a second channel and nothing else: the change is not in proportion to it."""

    def __init__(self, inner: DenoisingNetwork) -> None:
        super().__init__(inner.constraints)
        self.inner = inner

    def forward(self, scaled: Tensor) -> Prediction:
        """See `DenoisingNetwork`."""
        image, noise = scaled[:, :1], scaled[:, 1:].clamp_min(1e-5) / NOISE_UNIT
        change = (self.inner(torch.cat((image, noise * NOISE_UNIT), 1)).image - image) / noise
        return Prediction(image + change)


class DividedByNoise(DenoisingNetwork):
    """The image is divided by its noise, so that the network sees unit noise, and what it changes
    is multiplied back; the noise is still a second channel."""

    def __init__(self, inner: DenoisingNetwork) -> None:
        super().__init__(inner.constraints)
        self.inner = inner

    def forward(self, scaled: Tensor) -> Prediction:
        """See `DenoisingNetwork`."""
        image, noise = scaled[:, :1], scaled[:, 1:].clamp_min(1e-4) / NOISE_UNIT
        divided = image / noise
        seen = torch.cat((divided, noise * NOISE_UNIT), 1)
        return Prediction(image + self.inner(seen).image - divided)


@dataclass(frozen=True)
class Slice:
    """A slice to test on: low and full dose, HU, its noise map, and the body."""

    low: np.ndarray
    full: np.ndarray
    noise: np.ndarray
    body: np.ndarray


def settings_of(*, told: bool, doses: tuple[float, float], steps: int) -> TrainSettings:
    """A small RED-CNN."""
    return TrainSettings.model_validate(
        {
            "network": {"name": "redcnn", "channels": 8, "noise_input": told},
            "noise": {"name": "on_the_fly", "lowest_dose": doses[0], "highest_dose": doses[1]},
            "patches": {"size": 32, "least_body": 0.3},
            "batch_size": 4,
            "steps": steps,
            "optimizer": {"learning_rate": 2e-3},
            "schedule": {"name": "cosine", "warmup_steps": 30, "final_learning_rate": 1e-5},
            "validation": {"slices": 1, "crop": 64, "share": 0.05},
            "precision": "float32",
            "device": "cpu",
        }
    )


def trained(
    pairs: tuple[PairFiles, ...], settings: TrainSettings, scheme: str = "in proportion"
) -> DenoisingNetwork:
    """A network after its last step."""
    started = time.perf_counter()
    job = prepare_job(pairs, settings, seed=5)
    wrap = {"plain channel": PlainChannel, "divided": DividedByNoise}.get(scheme)
    network = job.network if wrap is None else wrap(job.network)
    for step in range(settings.steps):
        for group in job.optimizer.param_groups:
            group["lr"] = learning_rate_at(
                step,
                first=settings.optimizer.learning_rate,
                schedule=settings.schedule,
                steps=settings.steps,
            )
        batch = job.batches[step]
        training_step(network, job.optimizer, job.loss, batch, precision="float32", clip_norm=None)
    print(f"({scheme}, {settings.steps} steps, {time.perf_counter() - started:.0f} s)", flush=True)
    return network.eval()


def slices_of(files: PairFiles) -> dict[float, list[Slice]]:
    """Slices spread over a pair, by dose."""
    arrays, spacing = files.open(), files.pixel_spacing_mm
    chosen = np.linspace(2, files.shape[0] - 3, SLICES).round().astype(int)
    found: dict[float, list[Slice]] = {}
    for low, file in zip(arrays.low, files.low, strict=True):
        noise = measured_noise(low, low == PADDING_HU, spacing)
        for index in chosen:
            full = np.asarray(arrays.full[index])
            body = body_mask(full.astype(np.float32), full == PADDING_HU)
            some = Slice(np.array(low[index]), full, noise.at(index, (0, 0), full.shape), body)
            found.setdefault(file.exposure.dose_fraction, []).append(some)
    return found


@torch.no_grad()
def rmse_hu(network: DenoisingNetwork | None, slices: list[Slice]) -> float:
    """Root mean squared difference in the body, HU; of the low dose itself without a network."""
    scale = ToNetworkScale(SCALE, CPU)
    squares = []
    for each in slices:
        hu = each.low.astype(np.float32)
        if network is not None:
            seen = scale.scaled(each.low[None])
            if network.constraints.noise_input:
                seen = torch.cat((seen, scale.noise(each.noise[None])), 1)
            hu = SCALE.to_hu(network(seen).image[0, 0]).numpy()
        squares.append(np.square(hu - each.full)[each.body])
    return float(np.sqrt(np.concatenate(squares).mean(dtype=np.float64)))


def main() -> None:
    """Train, measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("steps", type=int)
    parser.add_argument("--train", nargs="+", type=Path, required=True)
    parser.add_argument("--test", nargs="+", type=Path, required=True)
    asked = parser.parse_args()
    pairs = find_pairs(asked.train)
    tests = {files.folder.name: slices_of(files) for files in find_pairs(asked.test)}

    def show(name: str, network: DenoisingNetwork | None) -> None:
        for test, by_dose in tests.items():
            values = [f"{rmse_hu(network, slices):.2f}" for _, slices in sorted(by_dose.items())]
            print(f"| {test} | {name} | {' | '.join(values)} |", flush=True)

    doses = {f"{dose:g}": None for by_dose in tests.values() for dose in sorted(by_dose)}
    print(f"RMSE in the body, HU\n| pair | network | {' | '.join(doses)} |")
    show("low dose", None)
    runs = [
        ("in proportion", True, EVERY_DOSE),
        ("plain channel", True, EVERY_DOSE),
        ("only 0.25", False, (0.25, 0.25)),
        ("only 0.1", False, (0.1, 0.1)),
        ("only 0.5", False, (0.5, 0.5)),
        ("divided", True, EVERY_DOSE),
        ("not told", False, EVERY_DOSE),
    ]
    for name, told, range_of_doses in runs:
        settings = settings_of(told=told, doses=range_of_doses, steps=asked.steps)
        show(name, trained(pairs, settings, name))


if __name__ == "__main__":
    main()
