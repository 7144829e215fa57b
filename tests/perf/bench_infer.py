"""Seconds per slice of denoisers, in one run: same weights, same slices, medians.

Run it with `make bench-infer`, which fetches the programs that we compare with into an environment
of their own, or `python tests/perf/bench_infer.py`, without them. Every program computes a slice in
turn, round after round, so that a busy machine slows all of them alike; the median of the rounds is
shown. The floor is the time that the multiplications of a direct convolution take at the speed that
large matrix products reach on this machine: what needs less has saved multiplications. The error is
that against plain PyTorch with the same weights, in HU, over all slices.

Weights are random, of the size that training gives them, unless `--model` names a RED-CNN; they do
not change the times. Slices are an ellipse of water with lungs and grainy noise.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ctdenoise.config.inference import InferSettings
from ctdenoise.config.networks import CompactSettings, NetworkSettings, RedCnnSettings
from ctdenoise.core.acquisition import Acquisition
from ctdenoise.core.arrays import HuArray
from ctdenoise.core.geometry import Geometry
from ctdenoise.core.intensity import HuRange
from ctdenoise.core.processors import usable_processors
from ctdenoise.core.volume import CTVolume
from ctdenoise.inference.denoiser import MethodDenoiser
from ctdenoise.inference.engine import Engine
from ctdenoise.inference.load import load_denoiser
from ctdenoise.inference.method import Block, Sample
from ctdenoise.inference.network_method import NetworkMethod
from ctdenoise.networks.build import build_network
from ctdenoise.networks.catalogue import facts_of
from ctdenoise.networks.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from ctdenoise.simulation.threads import limit_threads
from tests.grainy import grainy_noise
from tests.perf import infer_peers as peers

NOISE_HU = 20.0
EAGER = "PyTorch eager float32"
OURS: tuple[dict[str, str], ...] = (
    {"engine": "torch"},
    {"engine": "auto"},
    {"engine": "torch", "precision": "bf16"},
)
"""Settings of `infer` under which the network is measured; each row has the name of its engine."""


@dataclass(slots=True)
class Row:
    """A program that denoises.

    Args:
        name: What it is.
        compute: Denoises the slice of a number, HU, [y, x].
        operations: Multiplications with an addition for a slice of 512 x 512; None for filters.
        compared: Whether it must give what plain PyTorch gives.
        seconds: Of each slice, in rounds.
        processor_s: The same in processor time, all threads together.
        results: Of each slice.
    """

    name: str
    compute: Callable[[int], HuArray]
    operations: int | None = None
    compared: bool = False
    seconds: list[float] = field(default_factory=list)
    processor_s: list[float] = field(default_factory=list)
    results: dict[int, HuArray] = field(default_factory=dict)


def noisy_slices(count: int, size: int) -> CTVolume:
    """An ellipse of water with two lungs and grainy noise."""
    spacing = 400.0 / size
    axis = (np.arange(size) - (size - 1) / 2) * spacing
    x, y = axis[None], axis[:, None]
    image = np.where((x / 170) ** 2 + (y / 115) ** 2 <= 1, 40.0, -1000.0)
    image[((np.abs(x) - 80) / 55) ** 2 + (y / 80) ** 2 <= 1] = -800.0
    hu = image[None] + NOISE_HU * grainy_noise((count, size, size), 1)
    geometry = Geometry.axial(hu.shape, pixel_spacing_mm=spacing, slice_spacing_mm=1.0)
    return CTVolume(hu.astype(np.float32), geometry, Acquisition(kvp=120.0))


def lively(settings: RedCnnSettings) -> Checkpoint:
    """A RED-CNN that changes its input by some HU, as a trained one does."""
    network = build_network(settings, generator=torch.Generator().manual_seed(3))
    weights = {name: 6**0.5 * tensor for name, tensor in network.state_dict().items()}
    weights["tconv5.weight"] *= 0.05
    return Checkpoint(settings, weights, HuRange())


def fresh(settings: NetworkSettings) -> Checkpoint:
    """A network with the weights that training begins with."""
    network = build_network(settings, generator=torch.Generator().manual_seed(3))
    return Checkpoint(settings, network.state_dict(), HuRange())


def matrix_speed(dtype: torch.dtype, *, edge: int, device: str = "cpu") -> float:
    """Multiplications with an addition per second of the best of some large matrix products."""
    one = torch.rand(edge, edge, device=device).to(dtype)
    best = float("inf")
    for _ in range(20):
        start = time.perf_counter()
        product = one @ one
        if device != "cpu":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - start)
        del product
    return edge**3 / best


def by_network(
    compute: Callable[[Tensor], Tensor], volume: CTVolume, hu_range: HuRange
) -> Callable[[int], HuArray]:
    """What computes in network scale, as something that gives HU."""

    def computed(index: int) -> HuArray:
        scaled = hu_range.to_network(torch.from_numpy(volume.hu[index].copy()))[None, None]
        found: HuArray = hu_range.to_hu(compute(scaled)[0, 0].float()).numpy()
        return found

    return computed


def by_filter(compute: Callable[[HuArray], HuArray], volume: CTVolume) -> Callable[[int], HuArray]:
    """A filter of slices, as something that takes their numbers."""
    return lambda index: compute(volume.hu[index])


def by_denoiser(
    model: str | Path, settings: InferSettings, volume: CTVolume
) -> Callable[[int], HuArray]:
    """The whole way of a slice through a denoiser that has measured the noise of the volume."""
    denoising = load_denoiser(model, settings).settle(Sample.of(volume), volume)

    def computed(index: int) -> HuArray:
        block = Block(volume.select(slice(index, index + 1)), index, slice(0, 1))
        return denoising.denoise(block).volume.hu[0]

    return computed


def networks(model: Path, volume: CTVolume, threads: int) -> list[Row]:
    """RED-CNN by every program, the same weights in all of them."""
    checkpoint = load_checkpoint(model)
    network = checkpoint.build()
    operations = facts_of(checkpoint.network).operations
    shape = (volume.shape[1], volume.shape[2])
    found: list[tuple[str, peers.Compute | None]] = [
        (EAGER, peers.eager(network)),
        ("ldct-benchmark", peers.ldct_benchmark(network)),
        ("ONNX Runtime float32", peers.onnx_runtime(network, shape, threads)),
    ]
    for options in OURS:
        engine = engine_of(model, InferSettings(device="cpu", **options))
        found.append((f"ours, {engine.description}", engine.predict))
    return [
        Row(name, by_network(compute, volume, checkpoint.hu_range), operations, compared=True)
        for name, compute in found
        if compute is not None
    ]


def engine_of(model: str | Path, settings: InferSettings) -> Engine:
    """What runs a network as `infer` would run it."""
    denoiser = load_denoiser(model, settings)
    assert isinstance(denoiser, MethodDenoiser)
    assert isinstance(denoiser.method, NetworkMethod)
    return denoiser.method.engine


def denoisers(red_cnn: Path, compact: Path, volume: CTVolume) -> list[Row]:
    """What `infer` runs, noise measured once, everything else for every slice."""
    settings = InferSettings(device="cpu")
    rows = []
    for words, path in (("RED-CNN, default", red_cnn), ("compact network, default", compact)):
        operations = facts_of(load_checkpoint(path).network).operations
        rows.append(Row(f"infer, {words}", by_denoiser(path, settings, volume), operations))
    rows.append(Row("infer, NLM", by_denoiser("nlm", settings, volume)))
    return rows


def filters(volume: CTVolume, *, slow: bool) -> list[Row]:
    """Classical filters of others, told the standard deviation of white noise."""
    rows = [Row("NLM of scikit-image", by_filter(peers.scikit_image(NOISE_HU), volume))]
    package = peers.bm3d_package(NOISE_HU) if slow else None
    if package is not None:
        rows.append(Row("BM3D package", by_filter(package, volume)))
    return rows


def measure(rows: Sequence[Row], slices: int, rounds: int) -> None:
    """Every program computes a slice in turn, after one that prepares it."""
    for row in rows:
        row.results[0] = row.compute(0)
    for turn in range(rounds):
        index = turn % slices
        for row in rows:
            start, worked = time.perf_counter(), time.process_time()
            row.results[index] = row.compute(index)
            row.seconds.append(time.perf_counter() - start)
            row.processor_s.append(time.process_time() - worked)


def table(rows: Sequence[Row], operations_per_s: float, pixels: int) -> str:
    """The rows as Markdown."""
    exact = next(row for row in rows if row.name == EAGER)
    eager_s = statistics.median(exact.seconds)
    lines = [
        "| | s per slice | spread | processor s | against eager | floors | RMSE / largest, HU |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        median = statistics.median(row.seconds)
        floor = "" if row.operations is None else row.operations * pixels / 512**2
        over = "" if floor == "" else f"{median / (floor / operations_per_s):.2f}"
        lines.append(
            f"| {row.name} | {median:.3f} | {min(row.seconds):.3f} to {max(row.seconds):.3f} "
            f"| {statistics.median(row.processor_s):.3f} "
            f"| {eager_s / median:.2f}x | {over} | {_error(row, exact)} |"
        )
    return "\n".join(lines)


def _error(row: Row, exact: Row) -> str:
    if not row.compared:
        return ""
    difference = np.stack([row.results[index] - exact.results[index] for index in exact.results])
    rms = float(np.sqrt(np.square(difference, dtype=np.float64).mean()))
    return f"{rms:.4f} / {float(np.abs(difference).max()):.4f}"


def arguments(given: Sequence[str] | None) -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description="Seconds per slice of denoisers.")
    parser.add_argument("--threads", type=int, default=2, help="threads of every program")
    parser.add_argument("--rounds", type=int, default=5, help="slices that each computes")
    parser.add_argument("--slices", type=int, default=2, help="different slices")
    parser.add_argument("--size", type=int, default=512, help="edge of a slice, pixels")
    parser.add_argument("--channels", type=int, default=96, help="of a RED-CNN without --model")
    parser.add_argument("--model", type=Path, help="a RED-CNN of one slice without noise input")
    parser.add_argument("--compact", type=Path, help="a compact network")
    parser.add_argument("--no-bm3d", action="store_true", help="leave the slowest out")
    return parser.parse_args(given)


def main(given: Sequence[str] | None = None) -> str:
    """Measure, print and return the table."""
    asked = arguments(given)
    threads = min(asked.threads, usable_processors())
    torch.set_num_threads(threads)
    limit_threads(threads)
    volume = noisy_slices(asked.slices, asked.size)
    edge = 2048 if asked.size >= 256 else 256
    speed = matrix_speed(torch.float32, edge=edge)
    with tempfile.TemporaryDirectory() as folder:
        red_cnn = asked.model or save_checkpoint(
            Path(folder) / "redcnn.safetensors",
            lively(RedCnnSettings(channels=asked.channels, start_as_identity=False)),
        )
        compact = asked.compact or save_checkpoint(
            Path(folder) / "compact.safetensors", fresh(CompactSettings(noise_input=True))
        )
        rows = [
            *networks(red_cnn, volume, threads),
            *denoisers(red_cnn, compact, volume),
            *filters(volume, slow=not asked.no_bm3d),
        ]
        measure(rows, asked.slices, asked.rounds)
    found = table(rows, speed, asked.size**2)
    print(
        f"\n{asked.size} x {asked.size} pixels, {threads} threads, {asked.rounds} rounds, medians."
    )
    print(f"Peak of float32 matrix products: {2 * speed / 1e9:.0f} GFLOP/s.\n\n{found}")
    return found


if __name__ == "__main__":
    main()
