"""Processor seconds for a slice by the Winograd engine and by torch, for every network.

Run it with `python -m tests.perf.bench_engine`; `--network` names one, `--size` the edge of the
slice. The two engines take turns in one process, on one thread, and the least of the rounds is
shown: times of a busy machine differ, their ratio hardly. "Eager" is the network as it was trained,
without folding its transposed convolutions. The error is the largest difference of the two engines,
in HU for a range of 1000 HU, on noise; weights are random, of the size that training gives them.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ctdenoise.config.networks import (
    Cnn4Settings,
    CompactSettings,
    CscSettings,
    DenoiseNetSettings,
    NetworkSettings,
    RedCnnSettings,
    RedNetSettings,
    UNetSettings,
    WavResNetSettings,
)
from ctdenoise.inference.engine import TorchEngine
from ctdenoise.inference.vector_code import host_vector_unit
from ctdenoise.inference.winograd_engine import WinogradEngine
from ctdenoise.networks.build import build_network
from ctdenoise.networks.prediction import DenoisingNetwork

NETWORKS: tuple[NetworkSettings, ...] = (
    RedCnnSettings(),
    CompactSettings(),
    RedNetSettings(),
    DenoiseNetSettings(),
    UNetSettings(),
    CscSettings(),
    WavResNetSettings(),
    Cnn4Settings(),
)


def as_trained(settings: NetworkSettings) -> DenoisingNetwork:
    """A network in which no layer is zero."""
    generator = torch.Generator().manual_seed(0)
    network = build_network(settings, generator=generator)
    with torch.no_grad():
        for parameter in network.parameters():
            if not parameter.any():
                parameter.normal_(0.0, 0.02, generator=generator)
    return network.eval()


def seconds(compute: Callable[[], Tensor]) -> float:
    """Processor seconds of one call."""
    start = time.process_time()
    compute()
    return time.process_time() - start


def measured(settings: NetworkSettings, size: int, rounds: int) -> str:
    """A row of the table."""
    unit = host_vector_unit()
    if unit is None:
        raise SystemExit("This processor has no AVX2.")
    network = as_trained(settings)
    start = time.process_time()
    ours = WinogradEngine(network, unit)
    ready = time.process_time() - start
    plain = TorchEngine(network, torch.device("cpu"))
    shape = (1, network.constraints.channels, size, size)
    scaled = torch.rand(shape, generator=torch.Generator().manual_seed(1))
    difference = (ours.predict(scaled) - plain.predict(scaled)).abs().max()

    def eager() -> Tensor:
        with torch.inference_mode():
            return network(scaled).image

    computed = (lambda: ours.predict(scaled), lambda: plain.predict(scaled), eager)
    best = [min(times) for times in zip(*_rounds(computed, rounds), strict=True)]
    return (
        f"{settings.name:12s} {ready:6.2f} {best[0]:8.3f} {best[1]:8.3f} {best[2]:8.3f} "
        f"{best[1] / best[0]:6.1f} {best[2] / best[0]:6.1f} {1000 * float(difference):8.4f}"
    )


def _rounds(computed: Sequence[Callable[[], Tensor]], rounds: int) -> list[list[float]]:
    return [[seconds(one) for one in computed] for _ in range(rounds)]


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--network", choices=[settings.name for settings in NETWORKS])
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    print(
        f"{'network':12s} {'ready':>6} {'winograd':>8} {'torch':>8} {'eager':>8} {'torch/':>6} "
        f"{'eager/':>6} {'error HU':>8}"
    )
    for settings in NETWORKS:
        if options.network in {None, settings.name}:
            print(measured(settings, options.size, options.rounds), flush=True)


if __name__ == "__main__":
    main()
