"""A sheet with every phantom that has a name.

python tests/perf/draw_phantoms.py docs/images/phantoms.png
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np

from ctdenoise.config.phantom import PhantomSettings
from ctdenoise.phantoms.build import build_phantom

mpl.use("Agg")

from matplotlib import pyplot as plt

PICTURES = (
    # Title, settings of the phantom, height, window in HU, field of view.
    ("Shepp-Logan 1974", {"name": "shepp_logan"}, 0.0, (-20, 60), None),
    (
        "Shepp-Logan 3-D, modified, z = -25",
        {"name": "shepp_logan", "dimensions": 3, "contrast": "modified"},
        -25.0,
        (-1000, 0),
        None,
    ),
    ("FORBILD head 2-D", {"name": "forbild_head_2d", "left_ear": True}, 0.0, (0, 100), None),
    ("FORBILD head", {"name": "forbild_head"}, 0.0, (0, 100), None),
    ("FORBILD thorax", {"name": "forbild_thorax"}, 0.0, (-800, 500), None),
    ("FORBILD thorax, z = 150", {"name": "forbild_thorax"}, 150.0, (-800, 500), None),
    ("FORBILD abdomen", {"name": "forbild_abdomen"}, 0.0, (-20, 100), None),
    ("ACR 464, module 1", {"name": "acr464"}, 2.5, (-200, 200), None),
    ("ACR 464, module 2", {"name": "acr464"}, 42.5, (80, 106), None),
    ("ACR 464, module 3", {"name": "acr464"}, 72.0, (-50, 50), None),
    ("ACR 464, module 4", {"name": "acr464"}, 117.5, (0, 2000), None),
    ("Catphan 504, CTP404", {"name": "catphan504"}, 0.0, (-300, 400), None),
    ("Catphan 504, CTP528", {"name": "catphan504"}, 30.0, (0, 1500), None),
    ("Catphan 504, CTP515", {"name": "catphan504"}, -30.0, (40, 66), None),
    ("Catphan 504, CTP486", {"name": "catphan504"}, -65.0, (-50, 50), None),
    ("CCT189 (MITA)", {"name": "cct189"}, 0.0, (-15, 20), None),
    (
        "Size series, 5 years",
        {"name": "size_series", "age_years": 5.0},
        0.0,
        (-300, 400),
        250.0,
    ),
    ("Size series, 350 mm", {"name": "size_series", "diameter_mm": 350.0}, 0.0, (-300, 400), None),
    ("Wire of 0.05 mm", {"name": "wire", "tilt_degrees": 2.0}, 10.0, (-100, 500), 20.0),
    ("Bead of 0.28 mm", {"name": "bead"}, 0.0, (-100, 2000), 20.0),
    ("Disc of 0.05 mm", {"name": "disc"}, 0.0, (-100, 2000), 64.0),
    ("Edge across z, 5 degrees", {"name": "z_edge", "tilt_degrees": 5.0}, 0.0, (-50, 150), None),
    ("Rods", {"name": "rods"}, 0.0, (-300, 400), None),
    (
        "Water, 300 x 200 mm",
        {"name": "water", "diameter_mm": 300, "depth_mm": 200},
        0,
        (-50, 50),
        None,
    ),
)


def picture(phantom: dict, height_mm: float, field_mm: float | None) -> np.ndarray:
    """One slice of 2 mm, HU [y, x]."""
    grid = {
        "size": 256,
        "slices": 1,
        "slice_spacing_mm": 2.0,
        "field_of_view_mm": field_mm,
        "middle_mm": height_mm,
    }
    settings = PhantomSettings.model_validate({"phantom": phantom, "grid": grid})
    return build_phantom(settings).volume.hu[0]


def main(target: Path) -> None:
    columns = 6
    rows = -(-len(PICTURES) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(2.0 * columns, 2.4 * rows))
    for axis in axes.flat:
        axis.axis("off")
    for axis, (title, phantom, height, window, field) in zip(axes.flat, PICTURES, strict=False):
        axis.imshow(picture(phantom, height, field), cmap="gray", vmin=window[0], vmax=window[1])
        axis.set_title(f"{title}\n{window[0]} to {window[1]} HU", fontsize=6.5)
    figure.tight_layout(pad=0.4, h_pad=1.2)
    figure.savefig(target, dpi=80, pil_kwargs={"optimize": True})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
