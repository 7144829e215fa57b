"""ctdenoise: simulate, train, denoise and judge low-dose CT.

The names below are the public Python interface. They are imported when first used, so that
``import ctdenoise`` loads neither numpy nor torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ctdenoise.core.geometry import Geometry as Geometry
    from ctdenoise.core.pair import Pair as Pair
    from ctdenoise.core.volume import CTVolume as CTVolume
    from ctdenoise.inference.load import load_denoiser as load_denoiser
    from ctdenoise.io.read import read_volume as read_volume
    from ctdenoise.io.study import find_series as find_series
    from ctdenoise.io.write import write_series as write_series
    from ctdenoise.metrics.evaluation import evaluate as evaluate
    from ctdenoise.simulation.low_dose import simulate_low_dose as simulate_low_dose
    from ctdenoise.simulation.reconstruct import reconstruct_scan as reconstruct_scan

__version__ = "0.1.0"

_HOME_OF = {
    "CTVolume": "ctdenoise.core.volume",
    "Geometry": "ctdenoise.core.geometry",
    "Pair": "ctdenoise.core.pair",
    "evaluate": "ctdenoise.metrics.evaluation",
    "find_series": "ctdenoise.io.study",
    "load_denoiser": "ctdenoise.inference.load",
    "read_volume": "ctdenoise.io.read",
    "reconstruct_scan": "ctdenoise.simulation.reconstruct",
    "simulate_low_dose": "ctdenoise.simulation.low_dose",
    "write_series": "ctdenoise.io.write",
}

__all__ = [
    "CTVolume",
    "Geometry",
    "Pair",
    "__version__",
    "evaluate",
    "find_series",
    "load_denoiser",
    "read_volume",
    "reconstruct_scan",
    "simulate_low_dose",
    "write_series",
]


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'ctdenoise' has no attribute {name!r}")
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted(__all__)
