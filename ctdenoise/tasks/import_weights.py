"""`import`: public weights of RED-CNN become a checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ctdenoise.config.networks import RedCnnSettings
from ctdenoise.core.intensity import HuRange
from ctdenoise.errors import OutputExistsError, UsageError
from ctdenoise.networks.checkpoint import save_checkpoint
from ctdenoise.networks.importers import PUBLIC_SCALES, import_weights

_SUFFIX = ".safetensors"


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What was made of a file of weights.

    Args:
        out: The checkpoint.
        network: The network that has the weights.
        hu_range: Its scale.
        scale_source: Where that scale is written; empty where it was stated by hand.
        layout: Public programs that name their layers so.
        entry: Where in the file the network stood; empty for the whole file.
        left: Tensors that stood beside it.
        parameters: Weights and biases.
        digest: Digest of the checkpoint.
    """

    out: Path
    network: RedCnnSettings
    hu_range: HuRange
    scale_source: str
    layout: str
    entry: str
    left: int
    parameters: int
    digest: str


def run(
    weights: Path,
    *,
    out: Path,
    scale: str | None = None,
    hu_low: float | None = None,
    hu_high: float | None = None,
    final_relu: bool | None = None,
    entry: str | None = None,
) -> ImportReport:
    """Write public weights of RED-CNN as a checkpoint.

    Scale and last ReLU are those of a public program, by its name in `PUBLIC_SCALES`, or are stated
    one by one.

    Args:
        weights: A torch file or safetensors.
        out: The file to make; ends in .safetensors and does not exist.
        scale: Name of a public scale.
        hu_low: HU that were 0 for the network.
        hu_high: HU that were 1 for the network.
        final_relu: Whether the network ends with a ReLU; overrules the scale.
        entry: Which network, where the file holds several.

    Raises:
        UsageError: If the scale is not clear, or `out` has another ending.
        OutputExistsError: If `out` exists.
        CheckpointError: If the file cannot be read safely or holds no RED-CNN of a known layout.
        OutputError: If the checkpoint cannot be written.
    """
    _require_free(out)
    hu_range, relu, source = _stated(scale, hu_low, hu_high, final_relu)
    imported = import_weights(weights, hu_range, final_relu=relu, entry=entry, scale=scale)
    checkpoint = imported.checkpoint
    network = checkpoint.build()
    save_checkpoint(out, checkpoint)
    return ImportReport(
        out=out,
        network=imported.network,
        hu_range=hu_range,
        scale_source=source,
        layout=imported.layout.source,
        entry=imported.entry,
        left=len(imported.left),
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        digest=checkpoint.digest,
    )


def _require_free(out: Path) -> None:
    if out.suffix != _SUFFIX:
        raise UsageError(
            "a checkpoint is a file that ends in .safetensors.",
            where=out,
            fix=f"Give --out {out.with_suffix(_SUFFIX).name or 'model.safetensors'}.",
        )
    if out.exists():
        raise OutputExistsError(
            "this file exists already.", where=out, fix="Give another --out, or remove it first."
        )


def _stated(
    scale: str | None, hu_low: float | None, hu_high: float | None, final_relu: bool | None
) -> tuple[HuRange, bool, str]:
    """Scale, last ReLU and where they are written."""
    by_hand = hu_low is not None or hu_high is not None
    if scale is not None and not by_hand:
        if scale not in PUBLIC_SCALES:
            raise UsageError(
                f"there is no public scale `{scale}`.", fix=f"There are {', '.join(PUBLIC_SCALES)}."
            )
        public = PUBLIC_SCALES[scale]
        relu = public.final_relu if final_relu is None else final_relu
        return public.hu_range, relu, public.source
    if scale is None and hu_low is not None and hu_high is not None and final_relu is not None:
        if not hu_high > hu_low:
            raise UsageError("--hu-high must be above --hu-low.", fix="Exchange them.")
        return HuRange(hu_low, hu_high), final_relu, ""
    raise UsageError(
        "the weights do not say in which scale the network sees HU, and how it ends."
        if scale is None
        else "--scale and --hu-low or --hu-high exclude each other.",
        fix=f"Give --scale ({', '.join(PUBLIC_SCALES)}), or --hu-low, --hu-high and --final-relu "
        "or --no-final-relu.",
    )
