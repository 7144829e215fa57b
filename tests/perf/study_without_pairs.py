"""Learning without a clean full dose, on phantoms whose truth is known.

``python -m tests.perf.study_without_pairs make FOLDER`` draws torso phantoms, gives each the noise
of a full dose, and simulates lower ones from that noisy scan alone, as a site would.
``... check FOLDER`` prints how well the factor of the corrected target is known.
``python -m tests.perf.study_without_pairs train FOLDER STEPS WAY...`` trains small RED-CNNs with
one seed and budget, each its own way, and prints root mean squared differences to the truth in the
body of phantoms that nobody trained on, from each dose. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import copy
import functools
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage

from ctdenoise.config.dose import SimulateSettings
from ctdenoise.config.phantom import PhantomSettings
from ctdenoise.config.supervision import needs_pairs
from ctdenoise.config.training import TrainSettings
from ctdenoise.core.body import body_mask
from ctdenoise.core.intensity import HuRange
from ctdenoise.core.source import SourceInstance, SourceSeries
from ctdenoise.core.volume import CTVolume
from ctdenoise.io.nifti import write_nifti
from ctdenoise.io.pair_images import StoredArray
from ctdenoise.io.pair_writer import write_pairs
from ctdenoise.io.pairs import find_pairs
from ctdenoise.io.staged_scan import stage_scans
from ctdenoise.metrics.noise_map import difference_map
from ctdenoise.networks.prediction import DenoisingNetwork
from ctdenoise.phantoms.build import build_phantom
from ctdenoise.simulation.low_dose import simulate_doses
from ctdenoise.training.batches import ToNetworkScale
from ctdenoise.training.distributed import ALONE
from ctdenoise.training.finiteness import Guard
from ctdenoise.training.job import TrainingJob, prepare_job
from ctdenoise.training.lessons import CorrectedTarget, Place, Taught
from ctdenoise.training.optimizers import build_optimizer, learning_rate_at
from ctdenoise.training.patches import PatchBatches
from ctdenoise.training.plans import BatchPlans, PatchSource
from ctdenoise.training.step import training_step
from ctdenoise.training.symmetries import turned

CPU = torch.device("cpu")
SCALE = HuRange(0.0, 1000.0)
TRAIN, TEST = (1, 2, 3, 4), (11, 12)
"""Seeds of the phantoms: every one is another patient."""

QUARTER = {"name": "on_the_fly", "lowest_dose": 0.2, "highest_dose": 0.3}
HIGH = {"name": "on_the_fly", "lowest_dose": 0.6, "highest_dose": 0.7}
DOSES = (0.25, 0.65)
"""Of the twins; the scan itself is measured, too."""


WAYS: dict[str, dict[str, object]] = {
    "naive": {"noise": QUARTER},
    "noisy_target": {"noise": QUARTER, "supervision": {"name": "noisy_target"}},
    "truth": {"noise": QUARTER},
    "exact": {"noise": QUARTER, "supervision": {"name": "noisy_target"}},
    "naive_high": {"noise": HIGH},
    "noisy_target_high": {"noise": HIGH, "supervision": {"name": "noisy_target"}},
    "truth_high": {"noise": HIGH},
    "exact_high": {"noise": HIGH, "supervision": {"name": "noisy_target"}},
    "naive_twins": {},
    "noisy_target_twins": {"supervision": {"name": "noisy_target"}},
    "white_added": {"supervision": {"name": "noisy_target"}},
    "white_naive": {},
    "recorrupted": {"supervision": {"name": "recorrupted"}},
    "noise2sim": {"supervision": {"name": "noise2sim", "furthest_mm": 3.0}},
    "noise2void": {"supervision": {"name": "noise2void", "allow_correlated_noise": True}},
    "truth_scans": {"supervision": {"name": "noise2void", "allow_correlated_noise": True}},
}
"""How each is trained. `truth...` swap the exact image in as the target; `exact...` the strength of
the own noise of the full dose, in place of what is measured; `white...` low doses whose added noise
is white, of the same strength: the wrong texture."""


class TruthLesson:
    """The exact image is the target; nobody has it outside of a study like this.

    Args:
        truth: HU, float32 [z, y, x].
    """

    def __init__(self, truth: np.ndarray) -> None:
        self.truth = truth

    def taught(self, low: StoredArray, full: StoredArray, place: Place) -> Taught:  # noqa: ARG002 - of the protocol
        """See `training.lessons.Lesson`."""
        row, column = place.corner
        exact = self.truth[place.z, row : row + place.size, column : column + place.size]
        target = np.ascontiguousarray(turned(exact, place.symmetry))
        return Taught(low, target, np.ones(low.shape, np.float32))


def make(folder: Path, *, size: int, slices: int, photons: float) -> None:
    """Draw the phantoms, and what a site would have of them."""
    for seed in (*TRAIN, *TEST):
        phantom = PhantomSettings.model_validate(
            {
                "phantom": {"name": "torso", "level_mm": -40 + 20 * (seed % 5)},
                "grid": {
                    "size": size,
                    "slices": slices,
                    "slice_spacing_mm": 1.5,
                    "slice_thickness_mm": 1.5,
                },
                "seed": seed,
            }
        )
        exact = build_phantom(phantom).volume
        instances = tuple(SourceInstance(Path("x")) for _ in range(slices))
        source = SourceSeries("nifti", instances, patient_key=f"patient{seed}")
        exact = replace(exact, source=source)
        noisy = SimulateSettings(dose=1.0, source_noise="none", photons=photons)
        full = simulate_doses(exact, noisy, np.random.default_rng(seed))[0].low
        site = CTVolume(np.rint(full.hu), full.geometry, full.acquisition, source)
        pairs = simulate_doses(site, SimulateSettings(dose=DOSES), np.random.default_rng(seed + 50))
        place = folder / ("test" if seed in TEST else "train") / f"phantom{seed}"
        (place / "pair").mkdir(parents=True)
        (place / "scan").mkdir()
        write_pairs(place / "pair", pairs)
        write_nifti(site, place / "scan" / "volume.nii")
        np.save(place / "truth.npy", exact.hu.astype(np.float32))
        exposure = pairs[0].exposure
        own = np.std((site.hu - exact.hu)[body_mask(exact.hu)])
        print(f"phantom {seed}: {own:.1f} HU of noise, measured {exposure.full_noise_hu}")


def settings_of(way: str, steps: int, channels: int, patch: int) -> TrainSettings:
    """A small RED-CNN."""
    return TrainSettings.model_validate(
        {
            "network": {"name": "redcnn", "channels": channels},
            "patches": {"size": patch, "least_body": 0.5},
            "batch_size": 8,
            "steps": steps,
            "optimizer": {"learning_rate": 2e-3},
            "schedule": {"name": "cosine", "warmup_steps": 40, "final_learning_rate": 2e-5},
            "validation": {"slices": 1, "crop": 64, "share": 0.25},
            "hu_range": {"low": SCALE.low, "high": SCALE.high},
            "precision": "float32",
            "device": "cpu",
            **WAYS[way],
        }
    )


def swapped(source: PatchSource, place: Path, kept: slice, way: str) -> PatchSource:
    """A source with what a way swaps in."""
    if way.startswith("truth"):
        return replace(source, lesson=TruthLesson(np.load(place / "truth.npy")[kept]))
    if way.startswith("exact") and isinstance(source.lesson, CorrectedTarget):
        truth = np.load(place / "truth.npy")[kept]
        (files,) = find_pairs([place / "pair"])
        nowhere = np.zeros(truth.shape, np.bool_)
        own = difference_map(source.full, truth, nowhere, files.pixel_spacing_mm)
        expected = replace(source.lesson.expected, own=own)
        return replace(source, lesson=CorrectedTarget(expected, source.lesson.largest_factor))
    if way.startswith("white"):
        added = source.low[0].astype(np.float64) - source.full
        sd = np.sqrt(ndimage.gaussian_filter(np.square(added), (0, 4, 4)))
        white = source.full + sd * np.random.default_rng(1).standard_normal(sd.shape)
        return replace(source, low=(np.rint(white).astype(np.int16),))
    return source


@functools.cache
def prepared(folder: Path, text: str) -> tuple[TrainingJob, tuple[Path, ...]]:
    """A run whose sources several ways share, and where each was made; settings are JSON."""
    settings = TrainSettings.model_validate_json(text)
    places = tuple(sorted((folder / "train").iterdir()))
    if needs_pairs(settings.supervision):
        scans = find_pairs([place / "pair" for place in places])
    else:
        scans = stage_scans([place / "scan" for place in places])
    job = prepare_job(scans, settings, seed=5)
    named = {str(files.folder): place for files, place in zip(scans, places, strict=True)}
    return job, tuple(named[str(part.files.folder)] for part in job.parts)


def batches_of(folder: Path, settings: TrainSettings, way: str) -> tuple[TrainingJob, PatchBatches]:
    """A run, and its batches with what a way swaps in."""
    measured = settings
    if needs_pairs(settings.supervision):
        measured = settings.replaced(supervision={"name": "noisy_target"})
    job, places = prepared(folder, measured.model_dump_json())
    sources = []
    for part, source, place in zip(job.parts, job.plans.sources, places, strict=True):
        lesson = source.lesson if settings.supervision.name != "pairs" else None
        kept = slice(part.start, part.stop)
        sources.append(swapped(replace(source, lesson=lesson), place, kept, way))
    plans = BatchPlans(
        sources,
        settings.patches,
        batch_size=settings.batch_size,
        steps=settings.steps,
        seed=5,
        doses=job.plans.doses,
    )
    return job, PatchBatches(plans, SCALE, CPU)


def trained(folder: Path, way: str, steps: int, channels: int, patch: int) -> DenoisingNetwork:
    """A network after its last step."""
    settings = settings_of(way, steps, channels, patch)
    job, batches = batches_of(folder, settings, way)
    network = copy.deepcopy(job.network)
    optimizer = build_optimizer(settings.optimizer, network)
    guard = Guard(CPU, ALONE)
    guard.protect(optimizer)
    started = time.process_time()
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate_at(
                step,
                first=settings.optimizer.learning_rate,
                schedule=settings.schedule,
                steps=steps,
            )
        training_step(
            network,
            optimizer,
            job.loss,
            batches[step],
            settings=settings,
            precision="float32",
            watch=guard,
        )
    print(f"({way}, {steps} steps, {time.process_time() - started:.0f} s)", flush=True)
    return network.eval()


@torch.no_grad()
def rmse_hu(network: DenoisingNetwork | None, folder: Path, dose: float) -> float:
    """Root mean squared difference to the truth in the body, HU; untouched without a network."""
    scale = ToNetworkScale(SCALE, CPU)
    squares = []
    for place in sorted((folder / "test").iterdir()):
        truth = np.load(place / "truth.npy")
        (files,) = find_pairs([place / "pair"])
        arrays = files.open()
        scan = arrays.full if dose == 1 else arrays.low[DOSES.index(dose)]
        for z in np.linspace(2, len(truth) - 3, 3).round().astype(int):
            hu = scan[z].astype(np.float32)
            if network is not None:
                hu = SCALE.to_hu(network(scale.scaled(np.array(scan[z])[None])).image[0, 0]).numpy()
            squares.append(np.square(hu - truth[z])[body_mask(truth[z])])
    return float(np.sqrt(np.concatenate(squares).mean(dtype=np.float64)))


def check(folder: Path) -> None:
    """The factor k of the corrected target, measured over true, in soft tissue and in lung."""
    settings = settings_of("noisy_target_twins", 1, 8, 32)
    job, places = prepared(folder, settings.model_dump_json())
    print("| phantom | tissue | true k | used k |")
    for part, source, place in zip(job.parts, job.plans.sources, places, strict=True):
        truth = np.load(place / "truth.npy")[part.start : part.stop]
        z, size = len(truth) // 2, truth.shape[1]
        where = Place(z, (0, 0), size, low=0, dose=np.nan, symmetry=0, seed=0)
        if not isinstance(source.lesson, CorrectedTarget):
            continue
        used = source.lesson.factor(where)
        body = body_mask(truth[z])
        own, added = source.full[z] - truth[z], source.low[0][z].astype(float) - source.full[z]
        tissues = {"soft": (truth[z] > 0) & (truth[z] < 150), "lung": truth[z] < -600}
        for name, tissue in tissues.items():
            inside = body & tissue
            if np.count_nonzero(inside) > size:
                true = np.square(own[inside]).mean() / np.square(added[inside]).mean()
                mean = np.median(used[inside])
                print(f"| {place.name} | {name} | {true:.2f} | {mean:.2f} |")


def main() -> None:
    """Make, or train, measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("make", "check", "train"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("steps", type=int, nargs="?", default=800)
    parser.add_argument("ways", nargs="*", default=list(WAYS))
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--slices", type=int, default=12)
    parser.add_argument("--photons", type=float, default=1.3e5)
    parser.add_argument("--channels", type=int, default=8)
    parser.add_argument("--patch", type=int, default=32)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if asked.what == "make":
        make(asked.folder, size=asked.size, slices=asked.slices, photons=asked.photons)
        return
    if asked.what == "check":
        check(asked.folder)
        return
    print(f"RMSE to the truth in the body, HU\n| way | {' | '.join(map(str, (*DOSES, 1)))} |")
    for way in ("untouched", *asked.ways):
        network = None
        if way != "untouched":
            network = trained(asked.folder, way, asked.steps, asked.channels, asked.patch)
        found = [f"{rmse_hu(network, asked.folder, dose):.2f}" for dose in (*DOSES, 1)]
        print(f"| {way} | {' | '.join(found)} |", flush=True)


if __name__ == "__main__":
    main()
