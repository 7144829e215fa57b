"""One network that is told the noise, against networks of a single dose.

    python -m tests.perf.study_conditioning --train FOLDERS --test FOLDERS [--config NAME]
        [--set KEY=VALUE ...] [--single 0.1 0.25 0.5] [--slices 3] [--crop 320]

with folders of pairs that `simulate` made, tests at several doses. The settings are those of a
network that is told the noise (`redcnn_conditioned`). Networks of a single dose are trained with
the same ones and the same number of steps, each at its own dose; the one that is told once with as
many steps as one of them, and once with as many as all of them together, since it replaces them
all. All see noise drawn for every patch, and patches of the same places.

Printed is the difference to the full dose (of a phantom: the truth) in the body at each dose of the
test pairs, and by how many dB the longer trained network is better than each of the others: the
ratio of the root mean squared errors, so the difference of the PSNR in any window. It is told

* `measured`: the noise map measured from the pixels, as when a network is put to work;
* `beyond full`: that less what is measured in the full dose in the same way, since a full dose that
  is a scan shows its noise and a network that removes it is punished;
* `true`: what was added, averaged over some millimetres.

Nothing is asserted.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ctdenoise.config.load import find_settings_file, load_settings
from ctdenoise.config.training import TrainSettings
from ctdenoise.core.arrays import BoolArray, FloatArray
from ctdenoise.core.body import body_mask
from ctdenoise.core.intensity import HuRange
from ctdenoise.io.pair_images import PADDING_HU, StoredArray
from ctdenoise.io.pairs import PairFiles, find_pairs
from ctdenoise.metrics.noise_map import difference_map, measured_noise
from ctdenoise.networks.prediction import DenoisingNetwork
from ctdenoise.training.batches import ToNetworkScale
from ctdenoise.training.job import prepare_job
from ctdenoise.training.loop import train
from ctdenoise.training.state import Progressed

Case = tuple[str, float]
"""Name of a pair, and the dose of its twin."""

Errors = dict[Case, float]
"""Root mean squared difference in the body, HU."""


@dataclass(frozen=True)
class Slice:
    """The middle of a slice: low and full dose, HU; the body; noise maps by name, HU."""

    low: StoredArray
    full: StoredArray
    body: BoolArray
    noise: dict[str, FloatArray]


def slices_of(files: PairFiles, count: int, crop: int) -> dict[Case, list[Slice]]:
    """Slices spread over a pair, by dose."""
    arrays, spacing = files.open(), files.pixel_spacing_mm
    chosen = np.linspace(2, files.shape[0] - 3, count).round().astype(int)
    full = np.asarray(arrays.full)
    padding = full == PADDING_HU
    own = measured_noise(full, padding, spacing)
    corner = tuple(max(0, (size - crop) // 2) for size in full.shape[1:])
    cut = tuple(slice(start, start + crop) for start in corner)
    found: dict[Case, list[Slice]] = {}
    for stored, file in zip(arrays.low, files.low, strict=True):
        low = np.asarray(stored)
        measured = measured_noise(low, padding, spacing)
        added = difference_map(low, full, padding, spacing)
        for index in chosen:
            body = body_mask(full[index].astype(np.float32), padding[index])[cut]
            maps = [each.at(index, corner, body.shape) for each in (measured, own, added)]
            beyond = np.sqrt(np.maximum(maps[0] ** 2 - maps[1] ** 2, 0))
            noise = {"measured": maps[0], "beyond full": beyond, "true": maps[2]}
            some = Slice(low[index][cut].copy(), full[index][cut].copy(), body, noise)
            found.setdefault((files.folder.name, file.exposure.dose_fraction), []).append(some)
    return found


@torch.no_grad()
def errors_of(
    network: DenoisingNetwork | None,
    cases: dict[Case, list[Slice]],
    scale: ToNetworkScale,
    *,
    told: str = "beyond full",
) -> Errors:
    """Errors of a network; of the low doses themselves without one."""
    errors: Errors = {}
    for case, slices in cases.items():
        squares = []
        for each in slices:
            hu = each.low.astype(np.float32)
            if network is not None:
                seen = scale.scaled(each.low[None])
                if network.constraints.noise_input:
                    seen = torch.cat((seen, scale.noise(each.noise[told][None])), 1)
                hu = scale.hu_range.to_hu(network(seen).image[0, 0]).numpy()
            squares.append(np.square(hu - each.full)[each.body])
        errors[case] = float(np.sqrt(np.concatenate(squares).mean(dtype=np.float64)))
    return errors


def trained(pairs: Sequence[PairFiles], settings: TrainSettings, seed: int) -> DenoisingNetwork:
    """The network after its last step, by the loop that `ctdenoise train` runs."""
    job = prepare_job(pairs, settings, seed=seed)
    with tempfile.TemporaryDirectory() as folder:
        outcome = train(job, Progressed(), out=Path(folder))
    speed = outcome.patches_per_second
    print(f"({settings.steps} steps, {speed:.0f} patches/s)", flush=True)
    return job.judged.eval()


def single(settings: TrainSettings, dose: float, *, steps: int) -> TrainSettings:
    """The same training at one dose, of a network that is not told."""
    values = settings.as_json()
    values["network"]["noise_input"] = False
    values["loss"]["relative_to_noise"] = False
    values["noise"] |= {"lowest_dose": dose, "highest_dose": dose}
    return TrainSettings.model_validate({**values, "steps": steps})


def show(name: str, errors: Errors, *, form: str = ".2f") -> None:
    """A row for each pair."""
    for pair in dict.fromkeys(pair for pair, _ in errors):
        values = [format(error, form) for (of, _), error in sorted(errors.items()) if of == pair]
        print(f"| {pair} | {name} | {' | '.join(values)} |", flush=True)


def main() -> None:
    """Train, measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--train", nargs="+", type=Path, required=True)
    parser.add_argument("--test", nargs="+", type=Path, required=True)
    parser.add_argument("--config", default="redcnn_conditioned")
    parser.add_argument("--set", nargs="*", default=[], dest="overrides")
    parser.add_argument("--single", nargs="*", type=float, default=[0.1, 0.25, 0.5])
    parser.add_argument("--slices", type=int, default=3)
    parser.add_argument("--crop", type=int, default=320)
    parser.add_argument("--seed", type=int, default=5)
    asked = parser.parse_args()
    settings = load_settings(
        TrainSettings, find_settings_file("train", asked.config), asked.overrides
    )
    torch.set_num_threads(settings.threads or 1)
    scale = ToNetworkScale(
        HuRange(settings.hu_range.low, settings.hu_range.high), torch.device("cpu")
    )
    cases: dict[Case, list[Slice]] = {}
    for files in find_pairs(asked.test):
        cases |= slices_of(files, asked.slices, asked.crop)
    pairs, steps = find_pairs(asked.train), settings.steps
    doses = " | ".join(f"{dose:g}" for dose in sorted({dose for _, dose in cases}))
    print(f"RMSE in the body, HU\n| pair | network | {doses} |")
    found = {"low dose": errors_of(None, cases, scale)}
    show("low dose", found["low dose"])
    runs = {f"only {dose:g}": single(settings, dose, steps=steps) for dose in asked.single}
    runs["told"] = settings
    longest = f"told, {max(1, len(runs) - 1)} x steps"
    runs[longest] = settings.replaced(steps=steps * max(1, len(runs) - 1))
    for name, its_settings in runs.items():
        network = trained(pairs, its_settings, asked.seed)
        found[name] = errors_of(network, cases, scale)
        show(name, found[name])
    for told in ("measured", "true"):
        found[f"{longest}: {told}"] = errors_of(network, cases, scale, told=told)
        show(f"{longest}: {told}", found[f"{longest}: {told}"])
    print(f"\n{longest}: beyond full, better by dB than\n| pair | network | {doses} |")
    best = found.pop(longest)
    for name, errors in found.items():
        gain = {case: 20 * math.log10(errors[case] / best[case]) for case in cases}
        show(name, gain, form="+.2f")


if __name__ == "__main__":
    main()
