"""Patches per second of the data path, beside what networks eat and beside MONAI, in one run.

Run it with `make bench-train`, or `python tests/perf/bench_train.py --threads 2`. All paths give
patches of 64 x 64 pixels from the same pairs, in network scale. The data path is measured in one
thread, in processor time, so other programs hardly disturb it; networks are measured in processor
time on one thread, and by the clock on several and on a GPU. The goal is a data path at least five
times as fast as the network, and on a GPU a network that computes 90 % of the time.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from monai.data import CacheDataset, DataLoader
from monai.transforms import (
    Compose,
    RandFlipd,
    RandRotate90d,
    RandSpatialCropd,
    ScaleIntensityRanged,
)

from ctdenoise.config.dose import SimulateSettings
from ctdenoise.config.training import DataSettings, PatchSettings, TrainSettings
from ctdenoise.core.intensity import HuRange
from ctdenoise.core.pair import Exposure, Pair
from ctdenoise.core.source import SourceInstance, SourceSeries
from ctdenoise.core.volume import CTVolume
from ctdenoise.io.pair_images import PADDING_HU
from ctdenoise.io.pair_writer import write_pairs
from ctdenoise.io.pairs import PairFiles, find_pairs
from ctdenoise.losses.build import build_loss
from ctdenoise.networks.build import build_network
from ctdenoise.simulation.fresh_noise import FreshNoise
from ctdenoise.simulation.model import ScanModel
from ctdenoise.simulation.recorded import RecordedScan
from ctdenoise.training.batches import PatchBatch
from ctdenoise.training.expected_noise import expected_noise
from ctdenoise.training.finiteness import Guard
from ctdenoise.training.gathering import GatherPatches
from ctdenoise.training.kept import in_memory
from ctdenoise.training.optimizers import build_optimizer
from ctdenoise.training.patches import (
    EachPatch,
    PatchBatches,
    ReadSliced,
    plain_tensors,
    slice_items,
)
from ctdenoise.training.plans import BatchPlans, PatchSource
from ctdenoise.training.prefetch import prepared_ahead, threads_for
from ctdenoise.training.step import choose_precision, training_step
from tests.perf.bench_simulator import torso

SIZE = 64
RANGE = HuRange()
KEYS = ("low", "full")
DOSES = (0.1, 0.5)
GOAL, GOAL_BUSY = 5.0, 0.9
CHANGES = {"smallest_scale": 0.8, "largest_scale": 1.25, "jitter_hu": 20.0, "jitter_gain": 0.02}
STEPS = 1_000_000
NETWORKS = {
    "redcnn, 96 channels": {"name": "redcnn"},
    "redcnn, 32 channels": {"name": "redcnn", "channels": 32},
    "unet": {"name": "unet"},
    "cnn4": {"name": "cnn4"},
}


@dataclass(frozen=True)
class Bench:
    """What is measured with."""

    pairs: tuple[PairFiles, ...]
    batch: int
    seconds: float
    device: torch.device

    def plans(
        self, sources: Sequence[PatchSource], *, fresh: bool = False, **changes: float
    ) -> BatchPlans:
        """Plans of as many steps as anybody asks for."""
        settings = PatchSettings(size=SIZE, **changes)
        doses = DOSES if fresh else None
        return BatchPlans(
            sources, settings, batch_size=self.batch, steps=STEPS, seed=0, doses=doses
        )

    def batches(self, plans: BatchPlans, *transforms: EachPatch, **options: bool) -> PatchBatches:
        """The path that training uses."""
        return PatchBatches(plans, RANGE, self.device, transforms, **options)

    def speed(self, make: Callable[[int], object]) -> float:
        """Patches that a path makes in a second of one core, by the clock on a GPU."""
        clock = time.perf_counter if self.device.type == "cuda" else time.process_time
        for step in range(2):
            make(step)
        started, done = clock(), 0
        while clock() - started < self.seconds:
            make(done)
            done += 1
        _wait(self.device)
        return done * self.batch / (clock() - started)


def make_pairs(folder: Path, *, series: int, slices: int) -> tuple[PairFiles, ...]:
    """Series of a torso with noise, and twins with more of it."""
    for number in range(series):
        clean, rng = torso(slices), np.random.default_rng(number)
        source = SourceSeries("nifti", tuple(SourceInstance(Path("x")) for _ in range(slices)))
        images = [
            CTVolume(
                clean.hu + rng.normal(0, sd_hu, clean.shape).astype(np.float32),
                clean.geometry,
                clean.acquisition,
                source,
            )
            for sd_hu in (12.0, 24.0)
        ]
        (folder / str(number)).mkdir()
        write_pairs(folder / str(number), [Pair(*images, Exposure(0.25, 1e5))])
    return find_pairs([folder])


def stored(files: PairFiles) -> PatchSource:
    """A pair as training takes it from disk."""
    arrays = files.open()
    return PatchSource(np.asarray(arrays.full), tuple(np.asarray(low) for low in arrays.low))


def with_fresh_noise(files: PairFiles, *, told: bool) -> PatchSource:
    """The full dose of a pair and noise that is drawn for each patch."""
    settings = SimulateSettings()
    model = ScanModel.of(files.geometry, files.acquisition, settings)
    scan = RecordedScan(settings, model, np.full(files.shape[0], 4e5, np.float32))
    source = stored(files)
    fresh = FreshNoise(scan, source.full, padding=PADDING_HU, first=0, doses=DOSES)
    expected = None
    if told:
        expected = expected_noise(
            source.full, source.low, files.pixel_spacing_mm, fresh, own_counts=False
        )
    return PatchSource(source.full, source.low, fresh=fresh, expected=expected)


def body_share(bench: Bench, plans: BatchPlans) -> float:
    """Share of the patches that hold as much body as is asked for by default."""
    settings = PatchSettings(size=SIZE)
    gather = GatherPatches(plans.sources, SIZE)
    patches = np.concatenate([gather(plans[step]).full for step in range(640 // bench.batch)])
    body = (patches > settings.body_above_hu).mean(axis=(1, 2))
    return float((body >= settings.least_body).mean())


def our_paths(bench: Bench) -> Iterator[tuple[str, float]]:
    """Patches per second of what training does."""
    plain = [stored(files) for files in bench.pairs]
    plans = bench.plans(plain)
    yield "plans alone (places with enough body)", bench.speed(plans.__getitem__)
    yield "stored pairs", bench.speed(bench.batches(plans).__getitem__)
    held = bench.batches(bench.plans(in_memory(plain)))
    yield "stored pairs in memory", bench.speed(held.__getitem__)
    on_device = bench.batches(plans, on_device=True)
    yield f"stored pairs on the device ({bench.device.type})", bench.speed(on_device.__getitem__)
    changed = bench.batches(bench.plans(plain, **CHANGES))
    yield "stored pairs, scale and jitter", bench.speed(changed.__getitem__)
    flipped = bench.batches(plans, EachPatch(RandFlipd(KEYS, prob=0.5, spatial_axis=0)))
    yield "stored pairs, a MONAI dictionary transform", bench.speed(flipped.__getitem__)
    for name, told in (("fresh noise", False), ("fresh noise, told", True)):
        sources = [with_fresh_noise(files, told=told) for files in bench.pairs]
        noisy = bench.batches(bench.plans(sources, fresh=True))
        yield name, bench.speed(noisy.__getitem__)


def monai_path(bench: Bench) -> float:
    """Patches per second of MONAI's CacheDataset and DataLoader with dictionary transforms."""
    transform = Compose(
        [
            ReadSliced(),
            ScaleIntensityRanged(KEYS, RANGE.low, RANGE.high, 0.0, 1.0),
            RandSpatialCropd(KEYS, roi_size=(SIZE, SIZE), random_size=False),
            RandFlipd(KEYS, prob=0.5, spatial_axis=0),
            RandFlipd(KEYS, prob=0.5, spatial_axis=1),
            RandRotate90d(KEYS, prob=0.5),
        ]
    )
    items = slice_items(bench.pairs)
    dataset = CacheDataset(items, transform, num_workers=1, progress=False, copy_cache=False)
    loader = DataLoader(dataset, batch_size=bench.batch, shuffle=True, drop_last=True)

    def endless() -> Iterator[object]:
        while True:
            for batch in loader:
                yield [batch[key].to(bench.device) for key in KEYS]

    batches = endless()
    return bench.speed(lambda _: next(batches))


@dataclass(frozen=True)
class Eater:
    """A network that is trained."""

    settings: TrainSettings
    step: Callable[[PatchBatch], object]


def eater(network: dict[str, object], precision: str, bench: Bench) -> Eater:
    """A network with all that a step of training needs."""
    settings = TrainSettings.model_validate(
        {"network": network, "precision": precision, "batch_size": bench.batch}
    )
    model = build_network(settings.network, generator=torch.Generator().manual_seed(0))
    model = model.to(bench.device, memory_format=torch.channels_last).train()
    optimizer, loss = build_optimizer(settings.optimizer, model), build_loss(settings.loss, RANGE)
    guard, chosen = Guard(bench.device), choose_precision(settings, bench.device)

    def step(batch: PatchBatch) -> object:
        return training_step(
            model, optimizer, loss, batch, settings=settings, precision=chosen, watch=guard
        )

    return Eater(settings, step)


def appetite(one: Eater, batch: PatchBatch, bench: Bench, *, threads: int) -> float:
    """Patches per second that a network trains on, the batch being there."""
    alone = threads == 1 and bench.device.type == "cpu"
    clock = time.process_time if alone else time.perf_counter
    one.step(batch)
    _wait(bench.device)
    started, done = clock(), 0
    while done < 3 or clock() - started < bench.seconds:
        one.step(batch)
        _wait(bench.device)
        done += 1
    return done * bench.batch / (clock() - started)


def busy_share(one: Eater, batches: PatchBatches, bench: Bench) -> float:
    """Share of the time in which the network computes while it trains on what the path makes."""
    threads = threads_for(DataSettings(), bench.device)
    spent, started = [], 0.0
    with prepared_ahead(batches, threads=threads) as ahead:
        for step in range(10_000):
            batch = ahead[step]
            if step == 1:  # the first batch had to be waited for
                _wait(bench.device)
                spent, started = [], time.perf_counter()
            with _timed(bench.device) as seconds:
                one.step(batch)
            spent.append(seconds)
            if step > 3 and time.perf_counter() - started > bench.seconds:
                break
        _wait(bench.device)
    wall = time.perf_counter() - started
    return sum(seconds() for seconds in spent) / wall


@contextmanager
def _timed(device: torch.device) -> Iterator[Callable[[], float]]:
    """Seconds that the block takes on the device, to be asked for when all is done."""
    if device.type == "cuda":
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        yield lambda: begin.elapsed_time(end) / 1e3
        end.record()
    else:
        times = [time.perf_counter()]
        yield lambda: times[1] - times[0]
        times.append(time.perf_counter())


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def precisions(network: str, device: torch.device) -> Sequence[str]:
    """Both for the reference network, and what training takes by itself for the others."""
    automatic = choose_precision(TrainSettings(), device)
    return dict.fromkeys((automatic, "float32")) if network == next(iter(NETWORKS)) else [automatic]


def report(bench: Bench, threads: Sequence[int]) -> None:
    """Measure and print."""
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"{_processor()}, {os.cpu_count()} processors, load {load}; {bench.device}")
    print(f"{len(bench.pairs)} series of {bench.pairs[0].shape}, batches of {bench.batch}")
    torch.set_num_threads(1)
    sources = [stored(files) for files in bench.pairs]
    for name, least in (("drawn up to eight times", {}), ("taken everywhere", {"least_body": 0})):
        share = body_share(bench, bench.plans(sources, **least))
        print(f"patches with enough body, {name}: {share:.0%}")
    speeds = dict(our_paths(bench))
    for name, tracked in (("with", nullcontext()), ("without", plain_tensors())):
        with tracked:
            speeds[f"MONAI CacheDataset + DataLoader, {name} metadata"] = monai_path(bench)
    for name, speed in speeds.items():
        print(f"{name:52s} {speed:10,.0f} patches/s")
    ours = [name for name in speeds if not name.startswith(("MONAI", "plans"))]
    print(f"\ntimes the appetite of the network (goal {GOAL:g}); share of the time it computes")
    batches = bench.batches(bench.plans(sources), on_device=bench.device.type == "cuda")
    for network, settings in NETWORKS.items():
        for precision in precisions(network, bench.device):
            for count in threads:
                torch.set_num_threads(count)
                one = eater(settings, precision, bench)
                eaten = appetite(one, batches[0], bench, threads=count)
                share = busy_share(one, batches, bench)
                print(f"\n{network}, {precision}, {count} threads: {eaten:,.0f} patches/s")
                for name in ours:
                    ratio = speeds[name] / eaten
                    print(f"  {name:50s} {ratio:8.1f}x {'' if ratio >= GOAL else 'below the goal'}")
                print(f"  {'computes, fed from stored pairs':50s} {share:8.1%}", end=" ")
                print("" if share >= GOAL_BUSY or bench.device.type == "cpu" else "below the goal")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return "processor unknown"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else "processor unknown"


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--threads", type=int, nargs="+", default=[1], help="of the networks")
    parser.add_argument("--batch", type=int, default=16, help="patches in a step")
    parser.add_argument("--series", type=int, default=4)
    parser.add_argument("--slices", type=int, default=16, help="of each series")
    parser.add_argument("--seconds", type=float, default=3.0, help="for each figure")
    chosen = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with tempfile.TemporaryDirectory() as folder:
        pairs = make_pairs(Path(folder), series=chosen.series, slices=chosen.slices)
        report(Bench(pairs, chosen.batch, chosen.seconds, device), chosen.threads)


if __name__ == "__main__":
    main()
