"""How near networks that are told the noise come to the first of them, and for how many operations.

    python -m tests.perf.study_compact MODEL MODEL ... --test FOLDERS [--slices 3] [--crop 320]

with models that `train` made and folders of pairs that `simulate` made. Printed are

* weights, operations for a slice of 512 x 512 pixels, and processor seconds for it in torch, on one
  thread, in float32;
* the root mean squared difference to the full dose (of a phantom: the truth) in the body, HU, at
  each dose, and by how many dB each network is better than the first: the ratio of these, so the
  difference of the PSNR in any window. Networks are told the noise that the low dose has beyond
  the full one, as in `study_conditioning`;
* whether what is left differs between the four phases of a 2 x 2 grid of pixels, which would be
  seen as a pattern: their mean, HU, and the ratio of the largest of their standard deviations to
  the smallest. The low dose itself says how much is chance.

Nothing is asserted.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path

import numpy as np
import torch

from ctdenoise.core.arrays import FloatArray
from ctdenoise.io.pairs import find_pairs
from ctdenoise.networks.catalogue import SLICE, facts_of
from ctdenoise.networks.checkpoint import load_checkpoint
from ctdenoise.networks.prediction import DenoisingNetwork
from ctdenoise.training.batches import ToNetworkScale
from tests.perf.study_conditioning import Case, Errors, Slice, show, slices_of

Differences = dict[Case, list[FloatArray]]
"""Image less full dose in HU, of each slice; not a number outside the body."""


@torch.no_grad()
def differences(
    network: DenoisingNetwork | None, cases: dict[Case, list[Slice]], scale: ToNetworkScale
) -> Differences:
    """What a network leaves; of the low doses themselves without one."""
    found: Differences = {}
    for case, slices in cases.items():
        for each in slices:
            hu = each.low.astype(np.float32)
            if network is not None:
                seen = scale.scaled(each.low[None])
                told = scale.noise(each.noise["beyond full"][None])
                hu = scale.hu_range.to_hu(network(torch.cat((seen, told), 1)).image[0, 0]).numpy()
            found.setdefault(case, []).append(np.where(each.body, hu - each.full, np.nan))
    return found


def errors_of(left: Differences) -> Errors:
    """Root mean squares."""
    return {case: float(np.sqrt(np.nanmean(np.square(each)))) for case, each in left.items()}


def phases_of(left: Differences) -> tuple[float, float]:
    """The mean farthest from that of all, HU, and the largest over the smallest deviation."""
    images = np.concatenate([np.stack(each) for each in left.values()])
    grid = [images[:, y::2, x::2] for y in (0, 1) for x in (0, 1)]
    means = np.array([np.nanmean(each, dtype=np.float64) for each in grid])
    deviations = np.array([np.nanstd(each, dtype=np.float64) for each in grid])
    return float(np.abs(means - means.mean()).max()), float(deviations.max() / deviations.min())


@torch.no_grad()
def seconds_for(network: DenoisingNetwork) -> float:
    """Processor seconds for a slice, in the form for prediction; the least of three."""
    seen = torch.rand(1, network.constraints.channels, SLICE, SLICE)
    taken = []
    for _ in range(3):
        started = time.process_time()
        network(seen)
        taken.append(time.process_time() - started)
    return min(taken)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--test", nargs="+", type=Path, required=True)
    parser.add_argument("--slices", type=int, default=3)
    parser.add_argument("--crop", type=int, default=320)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    cases: dict[Case, list[Slice]] = {}
    for files in find_pairs(asked.test):
        cases |= slices_of(files, asked.slices, asked.crop)
    left: dict[str, Differences] = {}
    print("| network | weights | operations, 10^9 | s |")
    for number, path in enumerate(asked.models, start=1):
        checkpoint = load_checkpoint(path)
        network = checkpoint.build().eval().folded()
        scale = ToNetworkScale(checkpoint.hu_range, torch.device("cpu"))
        left.setdefault("low dose", differences(None, cases, scale))
        name, facts = f"{number} {checkpoint.network.name}", facts_of(checkpoint.network)
        size = f"{facts.parameters:,} | {facts.operations / 1e9:.1f}"
        print(f"| {name} | {size} | {seconds_for(network):.2f} |", flush=True)
        left[name] = differences(network, cases, scale)
    report(left)


def report(left: dict[str, Differences]) -> None:
    """Tables of what each network leaves, compared with the first; the low dose is before it."""
    errors = {name: errors_of(each) for name, each in left.items()}
    names = list(left)
    doses = " | ".join(f"{dose:g}" for dose in sorted({dose for _, dose in errors[names[0]]}))
    print(f"\nRMSE in the body, HU\n| pair | network | {doses} |")
    for name in names:
        show(name, errors[name])
    print(f"\nbetter than {names[1]} by dB\n| pair | network | {doses} |")
    for name in names[2:]:
        gain = {
            case: 20 * math.log10(first / errors[name][case])
            for case, first in errors[names[1]].items()
        }
        show(name, gain, form="+.2f")
    print("\n| network | farthest mean of a phase, HU | ratio of their deviations |")
    for name in names:
        mean, ratio = phases_of(left[name])
        print(f"| {name} | {mean:.3f} | {ratio:.4f} |")


if __name__ == "__main__":
    main()
