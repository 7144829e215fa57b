"""Whole studies from folder to folder: where the time goes, how much memory, how idle a GPU is.

Run it as `python tests/perf/bench_infer_study.py --slices 300 1000`, on a GPU with `--device cuda`.
A water phantom of so many slices is denoised by the real command line with the network `--model`
(a RED-CNN with random weights unless given), and with `identity`, which is the time of the files
alone. Stages overlap, so their seconds may add up to more than the whole. Peak memory is that of
the process, interpreter and libraries included.

On a GPU the network alone is measured as well: slices per second of whole batches, and the share of
the speed that large bfloat16 matrix products reach on the same GPU. How idle the GPU is during a
study is what `nvidia-smi` says, every 200 ms from the first slice on.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from ctdenoise.config.inference import InferSettings
from ctdenoise.config.networks import RedCnnSettings
from ctdenoise.networks.catalogue import facts_of
from ctdenoise.networks.checkpoint import load_checkpoint, save_checkpoint
from tests.perf.bench_infer import engine_of, lively, matrix_speed

_SAMPLE_MS = 200
_BUSY_PERCENT = 1.0  # from the first sample with more, a study is on the GPU


@dataclass(frozen=True, slots=True)
class Study:
    """How a study was denoised.

    Args:
        seconds: From start to end of the command.
        peak_gb: Most memory of the process.
        timings_s: Seconds of each stage, from run.json.
        idle: Share of the time in which the GPU computed nothing; None without one.
    """

    seconds: float
    peak_gb: float
    timings_s: dict[str, float]
    idle: float | None


def command(*words: str) -> tuple[float, float]:
    """Run ctdenoise; seconds and peak memory in GB."""
    start = time.perf_counter()
    words = (sys.executable, "-m", "ctdenoise", *words)
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(words, stdout=out, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        told = out.read().decode()
    if process.returncode:
        raise SystemExit(told)
    return time.perf_counter() - start, usage.ru_maxrss * 1024 / 1e9


@contextmanager
def gpu_samples(file: Path, device: str) -> Iterator[None]:
    """Let `nvidia-smi` write how busy the GPU is."""
    if device != "cuda":
        yield
        return
    words = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]
    with file.open("w") as out:
        sampler = subprocess.Popen([*words, "-lms", str(_SAMPLE_MS)], stdout=out)
        try:
            yield
        finally:
            sampler.terminate()
            sampler.wait()


def idle_share(text: str) -> float | None:
    """Share of the time from the first to the last sign of work in which the GPU was idle.

    Args:
        text: A percentage in each line.
    """
    samples = [float(line) for line in text.split() if line.replace(".", "").isdigit()]
    busy = [place for place, percent in enumerate(samples) if percent >= _BUSY_PERCENT]
    if not busy:
        return None
    working = samples[busy[0] : busy[-1] + 1]
    return 1 - sum(working) / len(working) / 100


def denoised(study: Path, model: str, folder: Path, device: str) -> Study:
    """Denoise a study by the command line, and throw the result away."""
    out, samples = folder / "out", folder / "gpu.txt"
    with gpu_samples(samples, device):
        seconds, peak_gb = command(
            "infer", str(study), "--model", model, "--device", device, "--out", str(out)
        )
    record = json.loads((out / "run.json").read_text(encoding="utf-8"))
    shutil.rmtree(out)
    idle = idle_share(samples.read_text()) if device == "cuda" else None
    return Study(seconds, peak_gb, record["timings_s"], idle)


def studies(counts: Sequence[int], size: int, model: str, device: str, folder: Path) -> list[str]:
    """The table of whole studies."""
    titles = "slices, model, s, read, denoise, wait, write, outside the network, peak GB, GPU idle"
    columns = titles.split(", ")
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for count in counts:
        study = folder / "study"
        grid = ("--set", f"grid.slices={count}", "--set", f"grid.size={size}")
        command("phantom", "water", "--out", str(study), *grid)
        for name in (model, "identity"):
            found = denoised(study / "dicom", name, folder, device)
            stages = [
                f"{found.timings_s.get(stage, float('nan')):.2f}"
                for stage in ("read", "denoise", "wait", "write")
            ]
            outside = 1 - found.timings_s["denoise"] / found.timings_s["total"]
            idle = "" if found.idle is None else f"{100 * found.idle:.0f} %"
            words = "identity" if name == "identity" else "network"
            lines.append(
                f"| {count} | {words} | {found.seconds:.1f} | {' | '.join(stages)} "
                f"| {100 * outside:.1f} % | {found.peak_gb:.2f} | {idle} |"
            )
        shutil.rmtree(study)
    return lines


def network_alone(model: str, size: int) -> list[str]:
    """The table of the network alone on a GPU."""
    checkpoint = load_checkpoint(model)
    operations = facts_of(checkpoint.network).operations * size**2 / 512**2
    peak = matrix_speed(torch.bfloat16, edge=8192, device="cuda")
    lines = [
        f"Peak of bfloat16 matrix products: {2 * peak / 1e12:.0f} TFLOP/s.",
        "",
        "| precision | batch | slices/s | share of the bf16 peak |",
        "|---|---|---|---|",
    ]
    for precision in ("bf16", "float32"):
        settings = InferSettings(device="cuda", precision=precision)
        engine = engine_of(model, settings)
        for batch in (1, 8, 32):
            scaled = torch.rand(batch, engine.constraints.channels, size, size)
            for _ in range(3):
                engine.predict(scaled)
            turns = 10
            start = time.perf_counter()
            for _ in range(turns):
                engine.predict(scaled)  # its result is on the CPU: nothing is left to wait for
            rate = turns * batch / (time.perf_counter() - start)
            share = 100 * rate * operations / peak
            lines.append(f"| {precision} | {batch} | {rate:.1f} | {share:.0f} % |")
    return [*lines, ""]


def main(given: Sequence[str] | None = None) -> str:
    """Measure, print and return the tables."""
    parser = argparse.ArgumentParser(description="Whole studies from folder to folder.")
    parser.add_argument("--slices", type=int, nargs="+", default=[300], help="sizes of studies")
    parser.add_argument("--size", type=int, default=512, help="edge of a slice, pixels")
    parser.add_argument("--channels", type=int, default=96, help="of a RED-CNN without --model")
    parser.add_argument("--model", help="a checkpoint")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    asked = parser.parse_args(given)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = RedCnnSettings(channels=asked.channels, start_as_identity=False)
        model = asked.model or str(save_checkpoint(folder / "redcnn.safetensors", lively(settings)))
        lines = network_alone(model, asked.size) if asked.device == "cuda" else []
        lines += studies(asked.slices, asked.size, model, asked.device, folder)
    found = "\n".join(lines)
    print(found)
    return found


if __name__ == "__main__":
    main()
