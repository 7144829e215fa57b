"""A study from folder to folder: where the time goes, and how much memory it takes.

    python tests/perf/bench_infer_overlap.py --slices 100 300 1000 --size 512 --model identity
    python tests/perf/bench_infer_overlap.py --slices 300 --model model.safetensors --device cuda

Writes synthetic DICOM series into a temporary folder, and denoises each in a fresh process: as
`infer` does, and then one after the other (read all, denoise all, write all, judge). Prints for
both the wall-clock and the processor seconds, the seconds in which each stage worked, the share of
time outside the denoiser, and the most memory that the process held. With `--device cuda` also
slices per second, the share of time in which the GPU had nothing to compute (CUDA events around
every batch), and the share of its peak in bfloat16, which is measured by a product of matrices.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from ctdenoise.config.inference import InferSettings
from ctdenoise.core.geometry import Geometry
from ctdenoise.core.overlap import Busy
from ctdenoise.core.scan import ScanFacts
from ctdenoise.core.volume import CTVolume
from ctdenoise.inference.load import load_denoiser
from ctdenoise.io.dicom_judge import judge_written
from ctdenoise.io.read import read_volume
from ctdenoise.io.runfile import RUN_FILE, peak_memory_mb
from ctdenoise.io.series_writer import SeriesWriter
from ctdenoise.io.write import write_series
from ctdenoise.tasks import infer

BLOCK = 20
MATRIX = 8192
"""Edge of the matrices whose product measures the peak of a GPU."""


def write_study(folder: Path, *, slices: int, size: int) -> Path:
    """A disc of water with noise, as a DICOM series; the same few slices again and again."""
    geometry = Geometry.axial(
        (slices, size, size), pixel_spacing_mm=350 / size, slice_spacing_mm=1.0
    )
    axis = np.linspace(-1, 1, size)
    disc = np.where(np.hypot(axis[:, None], axis) < 0.8, 40.0, -1000.0)
    noise = np.random.default_rng(0).normal(0.0, 25.0, (BLOCK, size, size))
    hu = np.rint(disc + noise).astype(np.float32)
    folder.mkdir()
    whole = CTVolume(hu[:1], geometry.select([0]))
    writer = SeriesWriter(ScanFacts(geometry, whole.acquisition, None, ()), folder, content="bench")
    for first in range(0, slices, BLOCK):
        indices = list(range(first, min(first + BLOCK, slices)))
        writer.write(CTVolume(hu[: len(indices)], geometry.select(indices)))
    return folder


def settings_of(options: argparse.Namespace) -> InferSettings:
    """What is asked for on the command line."""
    return InferSettings(device=options.device, precision=options.precision)


def overlapped(study: Path, out: Path, options: argparse.Namespace) -> dict[str, float]:
    """`infer` as it is."""
    gpu = GpuTimes() if options.device.startswith("cuda") else None
    infer.run(study, model=options.model, settings=settings_of(options), out=out)
    record = json.loads((out / RUN_FILE).read_text())
    found = {**record["timings_s"], "peak_mb": record["peak_memory_mb"]}
    return found if gpu is None else {**found, **gpu.figures(found["denoise"], options)}


def one_after_the_other(study: Path, out: Path, options: argparse.Namespace) -> dict[str, float]:
    """The same work without overlap, on a whole volume."""
    busy, start = Busy(), time.perf_counter()
    with busy.at("open"):
        denoiser = load_denoiser(options.model, settings_of(options))
    with busy.at("read"):
        volume = read_volume(study)
    with busy.at("denoise"):
        denoised = denoiser(volume)
    with busy.at("write"):
        files = write_series(denoised, out)
    with busy.at("judge"):
        judge_written(files, volume.source, InferSettings().dicom)
    total = time.perf_counter() - start
    return {**busy.seconds, "total": total, "peak_mb": peak_memory_mb()}


class GpuTimes:
    """How long the GPU computes, by events around every batch."""

    def __init__(self) -> None:
        import torch

        from ctdenoise.inference.gpu_engine import GpuEngine

        self._pairs = []
        right = GpuEngine._computed

        def timed(engine, given, *, estimates):
            before, after = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            before.record()
            found = right(engine, given, estimates=estimates)
            after.record()
            self._pairs.append((before, after))
            return found

        GpuEngine._computed = timed

    def figures(self, denoise_s: float, options: argparse.Namespace) -> dict[str, float]:
        """Seconds of computing, the share of time without, and what share of the peak it was."""
        import torch
        from torch.utils.flop_counter import FlopCounterMode

        torch.cuda.synchronize()
        seconds = sum(before.elapsed_time(after) for before, after in self._pairs) / 1000
        network = load_denoiser(options.model, settings_of(options)).method.checkpoint.build()
        image = torch.zeros((1, network.constraints.channels, options.size, options.size))
        with torch.inference_mode(), FlopCounterMode(display=False) as counter:
            network.cuda()(image.cuda())
        operations = counter.get_total_flops() * options.slices[0]
        return {
            "gpu": seconds,
            "gpu_idle_share": 1 - seconds / denoise_s,
            "gpu_peak_share": operations / seconds / peak_operations(),
        }


def peak_operations() -> float:
    """Operations a second of a product of matrices in bfloat16."""
    import torch

    one = torch.ones((MATRIX, MATRIX), dtype=torch.bfloat16, device="cuda")
    for _ in range(3):
        one @ one
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(10):
        one @ one
    torch.cuda.synchronize()
    return 10 * 2 * MATRIX**3 / (time.perf_counter() - start)


WAYS = {"overlapped": overlapped, "one after the other": one_after_the_other}


def measured(way: str, study: Path, out: Path, options: argparse.Namespace) -> dict[str, float]:
    """One way in a fresh process."""
    command = [sys.executable, __file__, "--way", way, "--study", study, "--out", out]
    command += ["--model", options.model, "--device", options.device, "--size", options.size]
    command += ["--precision", options.precision, "--slices", options.slices[0]]
    done = subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slices", type=int, nargs="+", default=[100, 300])
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--model", default="identity")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--way", choices=tuple(WAYS), help=argparse.SUPPRESS)
    parser.add_argument("--study", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        start = time.process_time()
        found = WAYS[options.way](options.study, options.out, options)
        print(json.dumps({**found, "processor": time.process_time() - start}))
        return
    print(f"{options.model} on {options.device}, {options.size} x {options.size}; seconds")
    stages = ("open", "sample", "read", "denoise", "write", "measure", "judge")
    print(f"{'slices':>6} {'':19}" + "".join(f"{name:>9}" for name in (*stages, "total")))
    with tempfile.TemporaryDirectory(prefix="bench-infer-") as folder:
        for slices in options.slices:
            options.slices = [slices]
            study = write_study(Path(folder) / f"study-{slices}", slices=slices, size=options.size)
            totals = {}
            for way in WAYS:
                out = Path(folder) / f"{way.replace(' ', '-')}-{slices}"
                found = measured(way, study, out, options)
                totals[way] = found["total"]
                row = "".join(f"{found.get(name, 0.0):9.2f}" for name in (*stages, "total"))
                outside = 1 - found["denoise"] / found["total"]
                print(f"{slices:6d} {way:19}{row}")
                print(
                    f"{'':26} outside the denoiser {outside:.1%}, peak {found['peak_mb']:.0f} MB, "
                    f"processor {found['processor']:.1f} s, "
                    f"{slices / found['total']:.1f} slices/s"
                )
                if "gpu" in found:
                    print(
                        f"{'':26} GPU {found['gpu']:.2f} s, idle {found['gpu_idle_share']:.1%} of "
                        f"the denoiser's time, {found['gpu_peak_share']:.1%} of its bf16 peak"
                    )
            ratio = totals["one after the other"] / totals["overlapped"]
            print(f"{'':26} overlapped is {ratio:.2f} times as fast", flush=True)


if __name__ == "__main__":
    main()
