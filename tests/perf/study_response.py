"""What denoisers do to lesions that are put into a scan: error against contrast and detectability.

    python -m tests.perf.study_response SCAN --model NAME_OR_FILE[,KEY=VALUE...] ...
        [--truth SCAN] [--slices 10] [--f50 0.4] [--plot FILE.png]

SCAN is a series (a folder, or a file), and so is the truth without noise, if it is known. A model
is the name of a filter or a checkpoint, with settings of `infer` after commas, such as
`bilateral,filters.bilateral.tolerance=5`. For each the root mean square error in the body is
printed if the truth is known, the noise that is left in soft tissue, the contrast recovery of some
lesions, d' of a channelised Hotelling observer for faint lesions over that in the scan,
and the false structure. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from ctdenoise.config.inference import InferSettings
from ctdenoise.config.limits import DENOISER_LIMITS
from ctdenoise.config.load import find_settings_file, load_settings
from ctdenoise.config.response import ResponseSettings
from ctdenoise.core.body import body_mask
from ctdenoise.core.noise_level import noise_level_hu
from ctdenoise.core.volume import CTVolume
from ctdenoise.inference.denoiser import Denoiser
from ctdenoise.inference.load import load_denoiser
from ctdenoise.io.read import read_volume
from ctdenoise.metrics.limits import judged
from ctdenoise.metrics.measured import Measured
from ctdenoise.report.response_words import words_about_response
from ctdenoise.tasks.response import measure_response

LESIONS = ("10 HU, 10 mm", "15 HU, 7 mm", "-20 HU, 7 mm", "40 HU, 5 mm", "200 HU, 5 mm")
"""Whose contrast recovery is printed."""

DETECTED = ("15 HU, 7 mm", "40 HU, 5 mm")
"""Whose detectability is."""


def model(text: str) -> Denoiser:
    """A denoiser with settings after commas."""
    name, *overrides = text.split(",")
    settings = load_settings(InferSettings, find_settings_file("infer", "default"), overrides)
    return load_denoiser(name, settings)


def errors(
    denoiser: Denoiser, scan: CTVolume, truth: CTVolume | None, places: list[int]
) -> tuple[float | None, float | None]:
    """Root mean square error in the body, and the noise in soft tissue, of some slices, HU."""
    after = denoiser(scan.select(places))
    noise = noise_level_hu(after.hu, after.padding, after.geometry.pixel_spacing_mm)
    if truth is None:
        return None, noise
    true = truth.select(places)
    body = body_mask(true.hu, true.padding)
    return float(np.sqrt(np.square(after.hu - true.hu, dtype=np.float64)[body].mean())), noise


def row(name: str, found: Measured, error: float | None, noise: float | None) -> str:
    """One line of the table."""
    known = {one.key: one for one in found.metrics}
    cells = [name, "" if error is None else f"{error:.1f}", "" if noise is None else f"{noise:.1f}"]
    for lesion in LESIONS:
        one = known.get(f"contrast_recovery[{lesion}]")
        cells.append("" if one is None else f"{one.value:.2f} [{one.interval_text}]")
    for lesion in DETECTED:
        ratio = known.get(f"dprime_ratio[inserted, {lesion}]")
        cells.append("" if ratio is None else f"{ratio.value:.2f} [{ratio.interval_text}]")
    false = known["false_structure"]
    cells.append(f"{false.reduction.split()[0]} in {false.mask.split()[0]} cm2")
    return "| " + " | ".join(cells) + " |"


def plot(path: Path, tables: dict[str, Measured]) -> None:
    """Contrast recovery by contrast and size, a table for each model."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    columns = min(4, len(tables))
    rows = -(-len(tables) // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(3.1 * columns, 3.4 * rows), squeeze=False, layout="constrained"
    )
    for axis in axes.flat[len(tables) :]:
        axis.axis("off")
    for axis, (name, found) in zip(axes.flat, tables.items(), strict=False):
        table = found.heat_maps[0]
        axis.imshow(table.values, vmin=0.4, vmax=1.6, cmap="RdBu", aspect="auto")
        axis.set_xticks(range(len(table.column_names)), table.column_names, fontsize=7)
        axis.set_yticks(range(len(table.row_names)), table.row_names, fontsize=7)
        axis.set_title(name, fontsize=9)
        for y, x in np.ndindex(table.values.shape):
            value = table.values[y, x]
            colour = "white" if value < 0.6 else "black"
            axis.text(x, y, f"{value:.2f}", ha="center", va="center", fontsize=6.5, color=colour)
    figure.savefig(path, dpi=130)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("scan", type=Path)
    parser.add_argument("--truth", type=Path)
    parser.add_argument("--model", nargs="+", required=True)
    parser.add_argument("--name", nargs="+")
    parser.add_argument("--slices", type=int, default=10)
    parser.add_argument("--f50", type=float)
    parser.add_argument("--plot", type=Path)
    given = parser.parse_args()
    scan = read_volume(given.scan)
    truth = None if given.truth is None else read_volume(given.truth)
    settings = ResponseSettings(slices=given.slices, f50_per_mm=given.f50)
    head = ["", "RMSE", "noise", *LESIONS, *(f"d' ratio, {one}" for one in DETECTED), "false"]
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    tables = {}
    for name, text in zip(given.name or given.model, given.model, strict=True):
        denoiser = model(text)
        started = time.process_time()
        found = measure_response(denoiser, scan, settings)
        spent = time.process_time() - started
        measured = dict(found.conditions)["response"]
        places = [number - 1 for number in measured["slices"]]
        tables[name] = found
        print(row(name, found, *errors(denoiser, scan, truth, places)), flush=True)
        for sentence in words_about_response(judged(found.metrics, DENOISER_LIMITS)):
            print(f"    {sentence}")
        print(f"    {spent:.0f} s of processor time; {measured}", flush=True)
    if given.plot is not None:
        plot(given.plot, tables)


if __name__ == "__main__":
    main()
