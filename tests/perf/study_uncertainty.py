"""Whether uncertainty maps are right where the truth is known.

    python -m tests.perf.study_uncertainty FOLDERS --model NAME_OR_FILE ... [--slices 8]
        [--doses 0.1 0.5] [--set KEY=VALUE ...] [--plot FILE.png]

with folders of pairs that `simulate` made of phantoms without noise, so that the full dose is the
truth. Each model denoises slices of each low dose and states the error of every pixel of the body
as `infer --uncertainty` does, from these slices alone. The pixels are sorted by the stated standard
deviation and cut into ten equal parts. Printed are, for each part, the root mean square of the
errors met over that of the stated ones; how many of the parts are right within 20 %; and what the
map is worth: by how much the mean logarithm of the likelihood of the errors, as normal errors with
the stated standard deviations, is above that with one standard deviation for all pixels, the best
in hindsight. A network that states its own error is shown with what it states, too.

Nothing is asserted.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ctdenoise.config.inference import InferSettings
from ctdenoise.config.load import find_settings_file, load_settings
from ctdenoise.core.acquisition import Acquisition
from ctdenoise.core.arrays import BoolArray, DoubleArray, HuArray
from ctdenoise.core.body import body_mask
from ctdenoise.core.geometry import Geometry
from ctdenoise.core.volume import CTVolume
from ctdenoise.inference.denoiser import Denoiser
from ctdenoise.inference.load import load_denoiser
from ctdenoise.inference.method import Block, Sample, plan_blocks
from ctdenoise.inference.uncertainty import settle_uncertainty
from ctdenoise.io.pair_images import PADDING_HU
from ctdenoise.io.pairs import find_pairs

PARTS = 10


@dataclass(frozen=True)
class Case:
    """Slices of a low dose: name, image, truth, body."""

    name: str
    volume: CTVolume
    truth: HuArray
    body: BoolArray


@dataclass(frozen=True)
class Reliability:
    """Root mean squares of the ten parts, HU, and what the map is worth."""

    stated: DoubleArray
    met: DoubleArray
    gain: float

    @property
    def right(self) -> int:
        """Parts that are right within 20 %."""
        return int(np.count_nonzero(np.abs(self.met / self.stated - 1) <= 0.2))


def cases(folders: Sequence[Path], doses: Sequence[float], slices: int) -> Iterator[Case]:
    """The low doses of all pairs."""
    for files in find_pairs(folders):
        arrays = files.open()
        places = np.linspace(1, files.shape[0] - 2, min(slices, files.shape[0])).round().astype(int)
        full = np.asarray(arrays.full)[places].astype(np.float32)
        padding = full == PADDING_HU
        geometry = Geometry.axial(
            full.shape, pixel_spacing_mm=files.pixel_spacing_mm[0], slice_spacing_mm=3.0
        )
        body = body_mask(full, padding)
        for stored, file in zip(arrays.low, files.low, strict=True):
            dose = file.exposure.dose_fraction
            if dose in doses:
                low = np.asarray(stored)[places].astype(np.float32)
                volume = CTVolume(low, geometry, Acquisition(), padding=padding)
                yield Case(f"{files.folder.name} {dose:g}", volume, full, body)


def reliability(stated: HuArray, error: HuArray) -> Reliability:
    """Of some pixels."""
    variance, squares = np.square(stated, dtype=np.float64), np.square(error, dtype=np.float64)
    parts = np.array_split(np.argsort(variance, kind="stable"), PARTS)
    constant = squares.mean()
    gain = np.mean(np.log(constant / variance) + 1 - squares / variance) / 2
    return Reliability(
        np.sqrt([variance[part].mean() for part in parts]),
        np.sqrt([squares[part].mean() for part in parts]),
        float(gain),
    )


def judged(
    denoiser: Denoiser, case: Case, texture_hu: float
) -> Iterator[tuple[str, Reliability, str]]:
    """Each map of a case: what it is, how right it is, and how it was found."""
    volume, states = case.volume, denoiser.states_error
    sample = Sample.of(volume)
    denoising = denoiser.settle(sample, volume, error=states)
    uncertainty = settle_uncertainty(
        denoising, sample, context=denoiser.context, texture_hu=texture_hu
    )
    stated, own, error = [], [], []
    plans = plan_blocks(volume.shape[0], size=denoising.block_slices, context=denoiser.context)
    for plan in plans:
        block = Block(volume.select(plan.outer), plan.outer.start, plan.inner)
        denoised = denoising.denoise(block)
        places = slice(block.places.start, block.places.stop)
        body = case.body[places]
        stated.append(uncertainty.of(block.wanted, denoised, block.places)[body])
        error.append((denoised.volume.hu - case.truth[places])[body])
        if denoised.estimates.error_hu is not None:
            own.append(denoised.estimates.error_hu[body])
    met = np.concatenate(error)
    found = " ".join(f"{key}={value}" for key, value in uncertainty.record.items())
    yield "map", reliability(np.concatenate(stated), met), found
    if own:
        yield "network's own", reliability(np.concatenate(own), met), ""


def plot(curves: Sequence[tuple[str, Reliability]], file: Path) -> None:
    """Errors met over errors stated."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 4.6), dpi=90, layout="constrained")
    axes = figure.add_subplot()
    span = np.array(
        [min(c.stated.min() for _, c in curves), max(c.stated.max() for _, c in curves)]
    )
    axes.fill_between(span, 0.8 * span, 1.2 * span, color="0.88", label="within 20 %")
    axes.plot(span, span, color="0.5", linewidth=0.8)
    for name, curve in curves:
        axes.plot(curve.stated, curve.met, marker="o", markersize=3, linewidth=0.9, label=name)
    axes.set(xscale="log", yscale="log", xlabel="stated, HU", ylabel="met, HU")
    axes.legend(fontsize=6)
    figure.savefig(file, metadata={"Software": None})


def main() -> None:
    """Denoise, measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--model", nargs="+", required=True)
    parser.add_argument("--slices", type=int, default=8)
    parser.add_argument("--doses", nargs="+", type=float, default=[0.1, 0.5])
    parser.add_argument("--set", nargs="*", default=[], dest="overrides")
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    settings = load_settings(
        InferSettings, find_settings_file("infer", "default"), options.overrides
    )
    curves = []
    print("| model | pair, dose | map | met over stated, by tenths | right | HU | gain |")
    print("|---|---|---|---|---|---|---|")
    for model in options.model:
        denoiser = load_denoiser(model, settings)
        name = Path(model).parent.name if Path(model).suffix else Path(model).name
        for case in cases(options.folders, options.doses, options.slices):
            for kind, curve, found in judged(denoiser, case, settings.objects.texture_hu):
                ratios = " ".join(f"{ratio:.2f}" for ratio in curve.met / curve.stated)
                span = f"{curve.stated[0]:.1f} to {curve.stated[-1]:.1f}"
                print(
                    f"| {name} | {case.name} | {kind} | {ratios} | {curve.right} | {span} "
                    f"| {curve.gain:.3f} |",
                    flush=True,
                )
                if found:
                    print(f"<!-- {found} -->", flush=True)
                    curves.append((f"{name}, {case.name}", curve))
    if options.plot is not None:
        plot(curves, options.plot)


if __name__ == "__main__":
    main()
