"""An adult's chest and upper abdomen, another patient for every seed."""

from __future__ import annotations

import numpy as np

from ctdenoise.config.phantom import TorsoSettings
from ctdenoise.core.randomness import stream
from ctdenoise.phantoms import belly, chest, liver, lung_vessels, skeleton, trunk
from ctdenoise.phantoms.anatomy import Anatomy, draw_anatomy
from ctdenoise.phantoms.shapes import Shape


def torso_anatomy(settings: TorsoSettings, seed: int) -> Anatomy:
    """The patient that a seed stands for.

    Args:
        settings: What is not left to chance.
        seed: The same seed, the same patient.
    """
    return draw_anatomy(settings, stream(seed, "torso", "anatomy"))


def torso_shapes(settings: TorsoSettings, seed: int) -> tuple[Shape, ...]:
    """The shapes of a torso, from the table up.

    z = 0 is the usual height of the right diaphragm. Every kind of structure draws from a random
    stream of its own, so a change of one setting leaves the rest of the patient as it is.

    Args:
        settings: What is not left to chance.
        seed: The same seed, the same patient.
    """
    anatomy = torso_anatomy(settings, seed)

    def of(what: str) -> np.random.Generator:
        return stream(seed, "torso", what)

    shapes = [
        *(trunk.table_shapes(anatomy) if settings.table else ()),
        *trunk.wall_shapes(anatomy),
        *chest.lung_shapes(anatomy),
        *lung_vessels.lung_vessel_shapes(anatomy, of("lung vessels")),
        *chest.nodule_shapes(anatomy, settings.nodules, of("nodules")),
        *chest.mediastinum_shapes(anatomy),
        *chest.heart_shapes(anatomy),
        *chest.airway_shapes(anatomy),
        *chest.great_vessel_shapes(anatomy),
        *trunk.diaphragm_shapes(anatomy),
        *belly.liver_shapes(anatomy),
        *liver.fine_vessel_shapes(anatomy, settings.liver_vessels, of("liver vessels")),
        *liver.lesion_shapes(anatomy, settings, of("lesions")),
        *belly.spleen_shapes(anatomy),
        *belly.stomach_shapes(anatomy, of("stomach")),
        *belly.kidney_shapes(anatomy),
        *belly.bowel_shapes(anatomy, of("bowel")),
        *belly.pancreas_shapes(anatomy),
        *belly.muscle_shapes(anatomy),
        *belly.belly_vessel_shapes(anatomy),
        *skeleton.spine_shapes(anatomy),
        *skeleton.sternum_shapes(anatomy),
        *skeleton.rib_shapes(anatomy),
    ]
    return tuple(shapes)
