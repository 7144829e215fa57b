"""Settings of the phantoms that have a name, by family."""

from __future__ import annotations

from typing import Union

from ctdenoise.config.mathematical_phantoms import (
    ForbildAbdomenSettings,
    ForbildHead2dSettings,
    ForbildHeadSettings,
    ForbildThoraxSettings,
    SheppLoganSettings,
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

MathematicalPhantom = Union[
    SheppLoganSettings,
    ForbildHead2dSettings,
    ForbildHeadSettings,
    ForbildThoraxSettings,
    ForbildAbdomenSettings,
]
"""Known by their published tables."""

TestObject = Union[Acr464Settings, Catphan504Settings, Cct189Settings, SizeSeriesSettings]
"""What test phantoms and their modules are."""

PointObject = Union[WireSettings, BeadSettings, DiscSettings, EdgeSettings]
"""What point, line and edge spread are measured with."""

NamedPhantom = Union[MathematicalPhantom, TestObject, PointObject]
"""All of them."""
