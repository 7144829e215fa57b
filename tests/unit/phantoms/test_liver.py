"""The liver of a torso: stated lesions, fine vessels, texture without seams."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from ctdenoise.config.phantom import GridSettings, PhantomSettings, TorsoSettings
from ctdenoise.phantoms.anatomy import LABELS
from ctdenoise.phantoms.build import Phantom, build_phantom
from ctdenoise.phantoms.shapes import Shape
from ctdenoise.phantoms.torso import torso_shapes

LIVER = LABELS.index("liver") + 1


def named(start: str, **changes: object) -> list[Shape]:
    shapes = torso_shapes(TorsoSettings(**changes), seed=2)
    return [shape for shape in shapes if shape.name.startswith(start)]


def liver_hu() -> float:
    return next(
        shape.hu for shape in torso_shapes(TorsoSettings(), seed=2) if shape.name == "liver"
    )


def test_lesions_have_the_contrast_and_size_that_are_stated():
    found = named(
        "liver lesion", lesions=8, lesion_contrast_hu=(-20, -20), lesion_diameter_mm=(8, 8)
    )
    assert len(found) == 8
    for lesion in found:
        assert lesion.hu == pytest.approx(liver_hu() - 20)
        rows = np.array(lesion.parts[0].rows)
        assert 2 / np.linalg.norm(rows, axis=1) == pytest.approx(8.0)


def test_stated_ranges_are_filled_and_leave_lesions_where_they_are():
    usual = named("liver lesion", lesions=30)
    stated = named(
        "liver lesion", lesions=30, lesion_contrast_hu=(-40, -5), lesion_diameter_mm=(4, 30)
    )
    assert [a.parts[0].centre_mm for a in usual] == [b.parts[0].centre_mm for b in stated]
    contrasts = np.array([lesion.hu for lesion in stated]) - liver_hu()
    diameters = np.array([2 / np.linalg.norm(lesion.parts[0].rows[0]) for lesion in stated])
    assert -40 <= contrasts.min() < -33
    assert -12 < contrasts.max() <= -5
    assert 4 <= diameters.min() < 9
    assert 25 < diameters.max() <= 30


def test_fine_vessels_lie_in_the_liver_and_change_nothing_else():
    fine = named("fine ", liver_vessels=60)
    assert len(fine) == 120
    liver = named("liver", lesions=0)
    ends = np.array([shape.parts[3].centre_mm for shape in fine])  # middles of the pieces
    inside = np.any([solid.contains(ends) for solid in liver], axis=0)
    assert inside.mean() > 0.95  # the liver is not convex: a piece may cross a notch
    with_them = torso_shapes(TorsoSettings(liver_vessels=60), seed=2)
    others = tuple(shape for shape in with_them if not shape.name.startswith("fine "))
    assert others == torso_shapes(TorsoSettings(), seed=2)


def texture_of_liver(*, seamless: bool) -> tuple[np.ndarray, np.ndarray]:
    """Texture and where the liver is, in a thin stack of a size that is not fast to transform."""

    def drawn(texture: float) -> Phantom:
        grid = GridSettings(size=97, slices=7, slice_spacing_mm=2.0)
        torso = TorsoSettings(
            level_mm=-50, texture=texture, seamless=seamless, lesions=0, liver_vessels=0
        )
        return build_phantom(PhantomSettings(phantom=torso, grid=grid, seed=2))

    textured = drawn(1.0)
    return textured.volume.hu - drawn(0.0).volume.hu, textured.labels == LIVER


@pytest.mark.parametrize("seamless", [False, True])
def test_texture_breaks_off_between_slices_only_with_seams(seamless):
    texture, liver = texture_of_liver(seamless=seamless)
    correlations = [
        np.corrcoef(texture[z][both], texture[z + 1][both])[0, 1]
        for z in range(6)
        for both in [liver[z] & liver[z + 1]]
    ]
    # Texture of 1 / f^3 above 1 / 25 mm hardly changes in 2 mm.
    if seamless:
        assert min(correlations) > 0.6
    else:
        assert min(correlations) < 0.3
        assert max(correlations) > 0.6


@pytest.mark.parametrize(
    "changes", [{"lesion_contrast_hu": (5, -5)}, {"lesion_diameter_mm": (0, 5)}], ids=str
)
def test_ranges_that_fall_are_refused(changes):
    with pytest.raises(ValidationError):
        TorsoSettings(**changes)
