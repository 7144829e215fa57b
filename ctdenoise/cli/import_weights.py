"""`ctdenoise import`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ctdenoise.cli.options import Out

if TYPE_CHECKING:
    from ctdenoise.tasks.import_weights import ImportReport


def import_weights(
    weights: Path,
    /,
    *,
    out: Out,
    scale: Literal["ssinyu", "ldct-benchmark", "ldct-benchmark-minmax"] | None = None,
    hu_low: float | None = None,
    hu_high: float | None = None,
    final_relu: bool | None = None,
    entry: str | None = None,
) -> None:
    """Turn public weights of RED-CNN into a checkpoint.

    Args:
        weights: A torch file (.pt, .pth, .ckpt) or safetensors with a state dict in it.
        out: The checkpoint to make, ending in .safetensors; must not exist.
        scale: The program that the weights were trained with: its scale and its last layer.
        hu_low: HU that were 0 for the network, where no --scale fits.
        hu_high: HU that were 1 for the network, where no --scale fits.
        final_relu: Whether the network ends with a ReLU, where no --scale says it.
        entry: Which network, where the file holds several, such as `generator`.
    """
    from ctdenoise.tasks import import_weights as task

    report = task.run(
        weights,
        out=out,
        scale=scale,
        hu_low=hu_low,
        hu_high=hu_high,
        final_relu=final_relu,
        entry=entry,
    )
    _show(report)


def _show(report: ImportReport) -> None:
    from ctdenoise.cli.console import show_facts

    network = report.network
    ending = "and a last ReLU" if network.final_relu else "without a last ReLU"
    low, high = report.hu_range.low, report.hu_range.high
    show_facts(
        f"Imported {report.parameters:,} weights of RED-CNN",
        (
            ("network", f"redcnn of {network.channels} channels {ending}"),
            ("names of", report.layout),
            ("entry", report.entry),
            ("left aside", f"{report.left} tensors beside the network" if report.left else ""),
            ("scale", f"{low:g} HU is 0, {high:g} HU is 1"),
            ("scale of", report.scale_source),
            ("digest", report.digest),
            ("written to", str(report.out)),
        ),
    )
