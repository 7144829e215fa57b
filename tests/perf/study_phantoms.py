"""How exact the named phantoms are, how fast, and what others say of them.

    python tests/perf/study_phantoms.py exact           closed form, sampling, both FORBILD heads
    python tests/perf/study_phantoms.py speed           a whole fan sinogram of each
    python tests/perf/study_phantoms.py phantominator   Shepp-Logan (needs phantominator 0.7.0)
    python tests/perf/study_phantoms.py noisy FOLDER    series for tests/perf/phantoms_by_pylinac.py

phantominator is no part of this package: install it in an environment of its own.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
from scipy import ndimage

from ctdenoise.config.load import find_settings_file, load_settings
from ctdenoise.config.mathematical_phantoms import (
    ForbildAbdomenSettings,
    ForbildHead2dSettings,
    ForbildHeadSettings,
    ForbildThoraxSettings,
    SheppLoganSettings,
)
from ctdenoise.config.phantom import GridSettings, PhantomSettings
from ctdenoise.config.qa_phantoms import Acr464Settings, Catphan504Settings
from ctdenoise.core.provenance import Step
from ctdenoise.phantoms.build import build_phantom
from ctdenoise.phantoms.named import named_drawing
from ctdenoise.phantoms.rays import fan_rays, parallel_rays
from ctdenoise.phantoms.shapes import line_integrals

PHANTOMS = (
    SheppLoganSettings(),
    SheppLoganSettings(dimensions=3),
    ForbildHead2dSettings(left_ear=True),
    ForbildHeadSettings(),
    ForbildThoraxSettings(),
    ForbildAbdomenSettings(),
    Acr464Settings(),
    Catphan504Settings(),
)


def exact() -> None:
    sys.path.insert(0, str(Path(__file__).parents[2]))
    from tests.physics.painted import sampled_integral
    from tests.physics.test_named_phantoms import added, closed_form

    rng = np.random.default_rng(0)
    angles, offsets = rng.uniform(0, np.pi, 2000), rng.uniform(-90, 90, 2000)
    ellipses = [(*rng.uniform(-40, 40, 2), *rng.uniform(2, 60, 2), *rng.uniform(-90, 90, 2))]
    ellipses += [(*rng.uniform(-40, 40, 2), *rng.uniform(2, 60, 2), *rng.uniform(-90, 90, 2))]
    rays = [array[np.arange(2000), np.arange(2000)] for array in parallel_rays(angles, offsets)]
    found = line_integrals(added(ellipses), *rays)
    theory = closed_form(ellipses, angles, offsets)
    print(f"closed form: {np.abs(found - theory).max():.1e} of {np.abs(theory).max():.0f} mm")
    for settings in PHANTOMS:
        drawing = named_drawing(settings)
        directions = rng.normal(size=(20, 3)) * (1.0, 1.0, 0.2)
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        origins = rng.uniform(-40, 40, (20, 3))
        origins[:, 2] += drawing.middle_mm
        theory = line_integrals(drawing.shapes, origins, directions)
        sampled = [
            sampled_integral(drawing.shapes, origin, direction, reach_mm=330.0, step_mm=0.01)
            for origin, direction in zip(origins, directions, strict=True)
        ]
        worst = np.abs(theory - sampled).max()
        print(f"{settings.name:16} sampling every 0.01 mm: {worst:.1e} of {theory.max():.0f} mm")
    grid = parallel_rays(np.linspace(0.01, 3.1, 60), np.linspace(-120, 120, 241))
    flat = line_integrals(named_drawing(ForbildHead2dSettings(left_ear=True)).shapes, *grid)
    deep = line_integrals(named_drawing(ForbildHeadSettings()).shapes, *grid)
    difference = np.abs(flat - deep)
    print(f"FORBILD heads: mean {difference.mean():.4f} mm, worst {difference.max():.1f} mm")


def speed() -> None:
    views, fan = np.arange(1160) / 1160 * 2 * np.pi, np.radians(np.linspace(-24.9, 24.9, 880))
    rays = fan_rays(views, fan, source_to_isocentre_mm=595.0)
    for settings in PHANTOMS:
        drawing = named_drawing(settings)
        started = time.process_time()
        line_integrals(drawing.shapes, *rays)
        seconds = time.process_time() - started
        print(f"{settings.name:16} {len(drawing.shapes):4} shapes {seconds:6.1f} s")


def phantominator() -> None:
    from phantominator import shepp_logan

    for modified in (False, True):
        contrast = "modified" if modified else "original"
        size = 201
        # Their pixels lie on the corners too; ours between them. Ours at 201 with pixels of 1 mm.
        ours = SheppLoganSettings(contrast=contrast, attenuation=1.0)
        grid = GridSettings(size=size, slices=1, field_of_view_mm=float(size))
        hu = build_phantom(PhantomSettings(phantom=ours, grid=grid)).volume.hu[0]
        theirs = shepp_logan(size, modified=modified)
        report(f"2-D {contrast}", hu / 1000 + 1, theirs[::-1])
    slices = 101
    ours = SheppLoganSettings(dimensions=3, contrast="modified", attenuation=1.0)
    grid = GridSettings(
        size=101,
        slices=slices,
        field_of_view_mm=202.0,
        slice_spacing_mm=2.0,
        slice_thickness_mm=0.01,
    )
    hu = build_phantom(PhantomSettings(phantom=ours, grid=grid)).volume.hu
    theirs = shepp_logan((101, 101, 101), modified=True, zlims=(-1, 1))
    report("3-D modified", hu / 1000 + 1, np.moveaxis(theirs, 2, 0)[:, ::-1])


def report(what: str, ours: np.ndarray, theirs: np.ndarray) -> None:
    """Voxels away from edges: theirs have no partial volume and lie wholly inside or outside."""
    size = 3
    even = ndimage.maximum_filter(theirs, size) - ndimage.minimum_filter(theirs, size) < 1e-9
    difference = np.abs(ours - theirs)[even]
    print(
        f"{what}: {even.mean():.1%} of the voxels have no edge beside them; of these "
        f"{np.mean(difference < 1e-5):.4%} agree within 1e-5, the worst to {difference.max():.1e}"
    )


def noisy(folder: Path) -> None:
    """Series with 5 HU of white noise: without any, pylinac divides by zero."""
    from ctdenoise.io.write import write_series

    for kind, roll in (("acr464", 0.0), ("catphan504", 0.0), ("catphan504", 3.0)):
        changes = [f"phantom.roll_degrees={roll}"]
        settings = load_settings(PhantomSettings, find_settings_file("phantom", kind), changes)
        volume = build_phantom(settings).volume
        noise = np.random.default_rng(0).normal(0, 5, volume.shape).astype(np.float32)
        grainy = volume.with_hu(volume.hu + noise, Step("noise", {"sd_hu": 5.0}))
        write_series(grainy, folder / f"{kind}_{roll:g}", settings=settings.dicom)


if __name__ == "__main__":
    if sys.argv[1] == "noisy":
        noisy(Path(sys.argv[2]))
    else:
        {"exact": exact, "speed": speed, "phantominator": phantominator}[sys.argv[1]]()
