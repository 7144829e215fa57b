"""The drawing of every phantom that has a name."""

from __future__ import annotations

from typing import assert_never

from ctdenoise.config.mathematical_phantoms import (
    ForbildAbdomenSettings,
    ForbildHead2dSettings,
    ForbildHeadSettings,
    ForbildThoraxSettings,
    SheppLoganSettings,
)
from ctdenoise.config.named_phantoms import (
    MathematicalPhantom,
    NamedPhantom,
    PointObject,
    TestObject,
)
from ctdenoise.config.qa_phantoms import Acr464Settings, Catphan504Settings
from ctdenoise.config.resolution_phantoms import (
    BeadSettings,
    Cct189Settings,
    DiscSettings,
    EdgeSettings,
    SizeSeriesSettings,
    WireSettings,
)
from ctdenoise.phantoms import (
    acr464,
    catphan504,
    forbild_head,
    forbild_head_2d,
    forbild_trunk,
    low_contrast,
    resolution,
    shepp_logan,
)
from ctdenoise.phantoms.drawing import Drawing


def named_drawing(phantom: NamedPhantom) -> Drawing:
    """The phantom that settings name."""
    match phantom:
        case Acr464Settings() | Catphan504Settings() | Cct189Settings() | SizeSeriesSettings():
            return _test_drawing(phantom)
        case WireSettings() | BeadSettings() | DiscSettings() | EdgeSettings():
            return _point_drawing(phantom)
        case _:
            return _mathematical_drawing(phantom)


def _mathematical_drawing(phantom: MathematicalPhantom) -> Drawing:
    match phantom:
        case SheppLoganSettings():
            return shepp_logan.shepp_logan_drawing(phantom)
        case ForbildHead2dSettings():
            return forbild_head_2d.forbild_head_2d_drawing(phantom)
        case ForbildHeadSettings():
            return forbild_head.forbild_head_drawing(phantom)
        case ForbildThoraxSettings():
            return forbild_trunk.forbild_thorax_drawing()
        case ForbildAbdomenSettings():
            return forbild_trunk.forbild_abdomen_drawing()
        case _:
            assert_never(phantom)


def _test_drawing(phantom: TestObject) -> Drawing:
    match phantom:
        case Acr464Settings():
            return acr464.acr464_drawing(phantom)
        case Catphan504Settings():
            return catphan504.catphan504_drawing(phantom)
        case Cct189Settings():
            return low_contrast.cct189_drawing(phantom)
        case SizeSeriesSettings():
            return low_contrast.size_series_drawing(phantom)
        case _:
            assert_never(phantom)


def _point_drawing(phantom: PointObject) -> Drawing:
    match phantom:
        case WireSettings():
            return resolution.wire_drawing(phantom)
        case BeadSettings():
            return resolution.bead_drawing(phantom)
        case DiscSettings():
            return resolution.disc_drawing(phantom)
        case EdgeSettings():
            return resolution.edge_drawing(phantom)
        case _:
            assert_never(phantom)
