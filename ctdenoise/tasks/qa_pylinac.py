"""What pylinac finds in the scan of a phantom, beside our own figures.

Taken from it are CT numbers, for comparison, and what we do not measure: slice thickness, lengths,
how many low-contrast discs can be seen, contrast over noise. Left out are its noise power spectrum,
whose frequencies have no unit (jrkerns/pylinac issue 516), and its line-pair modulation of noise.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ctdenoise.config.qa import QaSettings
from ctdenoise.core.provenance import JsonValue
from ctdenoise.core.volume import CTVolume
from ctdenoise.errors import InputError
from ctdenoise.io.pylinac_process import pylinac_results
from ctdenoise.metrics.measured import Measured
from ctdenoise.metrics.table import Metric
from ctdenoise.tasks.qa_found import QaFound, qa_metric

_NAMES = {"Poly": {"acr464": "polyethylene", "catphan504": "polystyrene"}}
_KEPT = ("PMP", "LDPE", "Delrin", "Teflon")

_FIGURES = {
    "acr464": (
        ("pylinac_cnr", "Contrast over noise", "", ("low_contrast_module", "cnr")),
        ("pylinac_length", "Distance of the beads", "mm", ("uniformity_module", "bb_distance_mm")),
    ),
    "catphan504": (
        (
            "pylinac_thickness",
            "Slice thickness",
            "mm",
            ("ctp404", "measured_slice_thickness_mm"),
        ),
        ("pylinac_length", "Distance of the pins", "mm", ("ctp404", "avg_line_distance_mm")),
        ("pylinac_low_contrast", "Low-contrast discs seen", "discs", ("ctp515", "num_rois_seen")),
    ),
}
"""Key, title, unit, and where it is in pylinac's results."""


def with_pylinac(found: QaFound, volume: CTVolume, settings: QaSettings) -> QaFound:
    """Our own findings with those of pylinac behind them; as they are where it was not asked for.

    What pylinac cannot analyse becomes a remark: our figures stand without it.

    Args:
        found: Our own.
        volume: The scan.
        settings: Which phantom, and where pylinac is.

    Raises:
        UsageError: If there is no such Python, or it has no pylinac.
    """
    if settings.pylinac is None:
        return found
    if settings.phantom == "water" or volume.source is None or volume.source.kind != "dicom":
        remark = "pylinac was not asked: it judges DICOM scans of the ACR phantom and the Catphan."
        return QaFound(found.measured, found.shown, (*found.remarks, remark))
    files = [instance.path for instance in volume.source.instances]
    try:
        results = pylinac_results(Path(settings.pylinac), settings.phantom, files)
    except InputError as error:
        return QaFound(found.measured, found.shown, (*found.remarks, error.what))
    metrics = tuple(_metrics(results, settings.phantom))
    return QaFound(found.measured + Measured(metrics), found.shown, found.remarks)


def _metrics(results: dict[str, JsonValue], phantom: str) -> Iterator[Metric]:
    version = f"pylinac {results.get('pylinac_version', '')}".rstrip()
    for name, value in _inserts(results):
        yield qa_metric(
            f"pylinac_hu[{_name(name, phantom)}]",
            f"CT number of {_name(name, phantom)}, pylinac",
            value,
            "HU",
            mask="pylinac's disc in the insert",
            reduction=f"one slice, {version}",
            description="For comparison with our own figure.",
        )
    for key, title, unit, path in _FIGURES[phantom]:
        value = _number(_at(results, path))
        yield qa_metric(
            key,
            f"{title}, pylinac",
            value,
            unit,
            mask="as pylinac finds it",
            reduction=version,
            description=f"{title} as pylinac measures it.",
            note="" if value is not None else "not in its results",
        )


def _inserts(results: dict[str, JsonValue]) -> Iterator[tuple[str, float | None]]:
    """Names and CT numbers of the inserts: a number each (ACR), or a record (Catphan)."""
    for path in (("ct_module", "rois"), ("ctp404", "hu_rois")):
        rois = _at(results, path)
        if isinstance(rois, dict):
            for name, value in rois.items():
                yield name, _number(value.get("value") if isinstance(value, dict) else value)


def _name(name: str, phantom: str) -> str:
    """A material as we call it."""
    if name in _NAMES:
        return _NAMES[name][phantom]
    return name if name in _KEPT else name.lower()


def _at(results: JsonValue, path: tuple[str, ...]) -> JsonValue:
    for part in path:
        if not isinstance(results, dict):
            return None
        results = results.get(part)
    return results


def _number(value: JsonValue) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value)
