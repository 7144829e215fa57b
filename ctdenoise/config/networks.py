"""Settings of the denoising networks, and what a checkpoint records about one."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue

from ctdenoise.config.base import Settings


class SegmentationHeadSettings(Settings):
    """A second output that labels every pixel."""

    classes: int = Field(ge=2, le=256)
    """Number of classes, background included: labels run from 0 to classes - 1."""


class RedCnnSettings(Settings):
    """RED-CNN: five convolutions, five transposed convolutions, three shortcuts, all 5x5."""

    name: Literal["redcnn"] = "redcnn"
    """The kind of network."""

    channels: int = Field(default=96, ge=1, le=1024)
    """Feature maps of every layer but the last; 96 in the paper."""

    final_relu: bool = False
    """Cut the output at the low end of the HU range, as the paper does. Off: air keeps its noise
    on both sides, so its mean stays right."""

    init: Literal["scaled", "gaussian"] = "scaled"
    """How weights are drawn at first: `gaussian` has the paper's standard deviation of 0.01;
    `scaled` follows the width of the layer (0.012 at 96 channels, 0.02 at 32), which learns
    faster in narrow networks."""

    start_as_identity: bool = True
    """Set the last layer to zero at first, so that an untrained network returns its input."""

    head: SegmentationHeadSettings | None = None
    """Segmentation head beside the image output; none by default."""


class IdentitySettings(Settings):
    """The network that returns its input: the baseline of every comparison."""

    name: Literal["identity"] = "identity"
    """The kind of network."""


NetworkSettings = Annotated[RedCnnSettings | IdentitySettings, Field(discriminator="name")]
"""Any network; told apart by `name`."""


class HuRangeSettings(Settings):
    """The Hounsfield units that are 0 and 1 for a network."""

    low: float = 0.0
    """HU that becomes 0; 0 is water. It is a scale, not a clip: air becomes -1."""

    high: float = 1000.0
    """HU that becomes 1."""


class CheckpointRecord(Settings):
    """What a checkpoint holds beside the weights."""

    network: NetworkSettings
    """The network the weights belong to."""

    hu_range: HuRangeSettings
    """The scale it was trained in."""

    versions: dict[str, str] = Field(default_factory=dict)
    """Versions of the packages that wrote the file."""

    training: dict[str, JsonValue] = Field(default_factory=dict)
    """Summary of the training, for people: steps, validation figures, digests of the data."""


def segmentation_classes(network: RedCnnSettings | IdentitySettings) -> int | None:
    """Classes that a network labels, or None if it has no segmentation head."""
    head: Any = getattr(network, "head", None)
    return None if head is None else int(head.classes)
