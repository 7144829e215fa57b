"""Patches of 64 x 64 that RED-CNN learns from in a second, by width, precision and size of patches.

    python -m tests.perf.bench_width [--channels 24 32 48 64 96] [--repeats 3]

One thread; processor seconds of a whole step (forward, backward, optimizer) on 8 patches of 64 x
64, or 4 of 96 x 96, which count as 2.25 of 64 x 64 each. The best of a few steps is printed: other
programs on the core take caches, not processor time. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import time

import torch

from ctdenoise.config.networks import CompactSettings, NetworkSettings, RedCnnSettings
from ctdenoise.config.optimizers import AdamSettings, MuonSettings
from ctdenoise.networks.build import build_network
from ctdenoise.training.optimizers import build_optimizer

PATCHES = ((64, 8), (96, 4))
NOISE = 0.02


def seconds_a_step(
    network: NetworkSettings,
    optimizer: AdamSettings | MuonSettings,
    patches: tuple[int, int],
    *,
    bfloat16: bool,
    repeats: int,
) -> float:
    """Processor seconds of the fastest step.

    Args:
        network: What learns; told the noise.
        optimizer: Moves its weights.
        patches: Edge of the patches, and how many.
        bfloat16: Whether the layers compute in bfloat16.
        repeats: Steps that are measured, after one that is not.
    """
    size, count = patches
    model = build_network(network, generator=torch.Generator().manual_seed(0))
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # stubs lack it alone
    moves = build_optimizer(optimizer, model)
    image = torch.rand(count, 1, size, size, generator=torch.Generator().manual_seed(1))
    told = torch.cat((image, torch.full_like(image, NOISE)), dim=1)
    seen = told.contiguous(memory_format=torch.channels_last)
    times = []
    for _ in range(1 + repeats):
        start = time.process_time()
        moves.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bfloat16):
            found = model(seen).image
        (found - 0.9 * image).square().mean().backward()
        moves.step()
        times.append(time.process_time() - start)
    return min(times[1:])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--channels", type=int, nargs="+", default=[24, 32, 48, 64, 96])
    parser.add_argument("--repeats", type=int, default=3)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    networks: list[NetworkSettings] = [
        RedCnnSettings(channels=channels, noise_input=True) for channels in chosen.channels
    ]
    networks.append(CompactSettings(noise_input=True))
    print("network, channels, optimizer: 64 in bfloat16, 96 in bfloat16, 64 in float32")
    for network in networks:
        for optimizer in (AdamSettings(), MuonSettings()):
            figures = []
            for patches, bfloat16 in ((PATCHES[0], True), (PATCHES[1], True), (PATCHES[0], False)):
                took = seconds_a_step(
                    network, optimizer, patches, bfloat16=bfloat16, repeats=chosen.repeats
                )
                figures.append(patches[1] * (patches[0] / 64) ** 2 / took)
            width = getattr(network, "channels", None)
            row = ", ".join(f"{figure:.1f}" for figure in figures)
            print(f"{network.name}, {width}, {optimizer.name}: {row}", flush=True)


if __name__ == "__main__":
    main()
