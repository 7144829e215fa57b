"""Processor time of drawing each kind of phantom, and of drawing samples to train on.

    python -m tests.perf.study_random_phantoms [samples]

Prints a table in Markdown. Times are of the drawing alone, on one thread, 512 x 512 x 8 voxels,
after the compiled code was loaded.
"""

from __future__ import annotations

import sys
import time
from collections import defaultdict

from ctdenoise.config.phantom import GridSettings, PhantomSettings, TorsoSettings
from ctdenoise.config.phantom_random import BlobsSettings, DeadLeavesSettings, VesselsSettings
from ctdenoise.config.sampling import SampleSettings
from ctdenoise.phantoms.build import build_phantom
from ctdenoise.phantoms.sample import draw_sample

KINDS = {
    "torso": TorsoSettings(),
    "torso, 200 ends of liver vessels": TorsoSettings(liver_vessels=200),
    "dead leaves": DeadLeavesSettings(),
    "dead leaves, two-dimensional": DeadLeavesSettings(dimensions=2),
    "blobs, textured": BlobsSettings.model_validate({"texture": {"sd_hu": 6}}),
    "vessels": VesselsSettings(),
}


def seconds(settings: PhantomSettings) -> tuple[float, int]:
    """Processor time of a phantom, and how many shapes it has."""
    start = time.process_time()
    phantom = build_phantom(settings)
    return time.process_time() - start, len(phantom.shapes)


def main() -> None:
    """Measure and print."""
    grid = GridSettings(size=512, slices=8, slice_spacing_mm=3)
    build_phantom(PhantomSettings(phantom=BlobsSettings(), grid=GridSettings(size=32, slices=1)))
    print("| phantom | shapes | seconds |\n|---|---|---|")
    for name, phantom in KINDS.items():
        runs = [seconds(PhantomSettings(phantom=phantom, grid=grid, seed=n)) for n in range(3)]
        print(f"| {name} | {runs[0][1]} | {min(taken for taken, _ in runs):.2f} |")
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    taken: dict[str, list[float]] = defaultdict(list)
    for number in range(count):
        sample = draw_sample(SampleSettings(), number)
        taken[sample.phantom.phantom.name].append(seconds(sample.phantom)[0])
    total = sum(sum(times) for times in taken.values())
    parts = ", ".join(f"{len(t)} {name} {sum(t) / len(t):.2f} s" for name, t in taken.items())
    print(f"\n{count} samples: {60 * count / total:.0f} a minute and core ({parts})")


if __name__ == "__main__":
    main()
