"""Settings of the denoising networks, and what a checkpoint records about one."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self, get_args

from pydantic import Field, JsonValue, model_validator

from ctdenoise.config.base import Settings

Slices = Literal[1, 3, 5, 7, 9]
"""Neighbouring slices that form one input: an odd number, of which the middle one is denoised."""


class SegmentationHeadSettings(Settings):
    """A second output that labels every pixel, computed from what the last layer is given.

    Every network that decodes maps for the whole image can have one; `cnn4`, `denoisenet` and
    `identity` have no such maps.
    """

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

    init: Literal["scaled", "gaussian", "he"] = "scaled"
    """How weights are drawn at first: `gaussian` has the paper's standard deviation of 0.01;
    `scaled` follows the width of the layer (0.012 at 96 channels, 0.02 at 32), which learns
    faster in narrow networks; `he` (He et al., ICCV 2015) is 2.4 times that, so that the maps keep
    their size through the layers."""

    start_as_identity: bool = True
    """Set the last layer to zero at first, so that an untrained network returns its input."""

    slices: Slices = 1
    """Neighbouring slices that the network sees at once: itself and as many before as after. The
    middle one is denoised. At the ends of a scan and at gaps the last slice is repeated."""

    noise_input: bool = False
    """Tell the network how much noise to remove: one more channel with the standard deviation of
    the noise around each pixel. In training it comes from the simulation, later it is measured from
    the pixels. One network then serves every dose and kernel that it met."""

    change_in_noise: bool = False
    """State the change of the image in units of the noise that the network is told, so that the
    same values serve every dose; needs `noise_input`. Off: in network scale, as in the paper."""

    predict_sigma: bool = False
    """Also state the standard deviation of the error of every pixel; trained by the loss
    `heteroscedastic`."""

    head: SegmentationHeadSettings | None = None
    """Segmentation head beside the image output; none by default."""

    @model_validator(mode="after")
    def _there_is_a_unit(self) -> Self:
        if self.change_in_noise and not self.noise_input:
            raise ValueError("change_in_noise=true needs noise_input=true: the noise is the unit")
        return self


class IdentitySettings(Settings):
    """The network that returns its input: the baseline of every comparison."""

    name: Literal["identity"] = "identity"
    """The kind of network."""


class RedNetSettings(Settings):
    """RED-Net: convolutions and as many transposed ones, 3x3, with a shortcut every two layers."""

    name: Literal["rednet"] = "rednet"
    """The kind of network."""

    layers: int = Field(default=10, ge=4, le=64, multiple_of=2)
    """Convolutions and transposed convolutions together: 10, 20 and 30 in the paper."""

    channels: int = Field(default=64, ge=1, le=1024)
    """Feature maps of every layer but the last; 64 in the paper."""

    skips: bool = True
    """Shortcuts from every second convolution to the transposed one that mirrors it. Without them
    deep networks learn more slowly."""

    residual: bool = True
    """The network computes the change of the image, as in the paper; off: the image itself."""

    head: SegmentationHeadSettings | None = None
    """Segmentation head beside the image output; none by default."""


class Cnn4Settings(Settings):
    """Four small convolutions and a linear one: 2,737 parameters, the least that denoises."""

    name: Literal["cnn4"] = "cnn4"
    """The kind of network."""

    residual: bool = False
    """The network computes the change of the image; off, as published: the image itself."""


class DscSettings(Settings):
    """Strided encoder and decoder with direct symmetric connections that gates share out."""

    name: Literal["dsc"] = "dsc"
    """The kind of network."""

    channels: tuple[int, int, int, int, int] = (64, 64, 128, 256, 518)
    """Feature maps of the five levels."""

    gates: tuple[float, float, float, float] = (0.1, 0.2, 0.3, 0.4)
    """Share of the input of convolutions 1 to 4 that goes down; the rest of what they give, 1
    minus the share, goes across to the decoder."""

    gated: bool = True
    """Off: everything goes both ways."""

    residual: bool = True
    """The network computes the change of the image; off: the image itself."""

    head: SegmentationHeadSettings | None = None
    """Segmentation head beside the image output; none by default."""


class DenoiseNetSettings(Settings):
    """DenoiseNet: twenty convolutions, each of which adds one map to an estimate of the noise."""

    name: Literal["denoisenet"] = "denoisenet"
    """The kind of network."""

    layers: int = Field(default=20, ge=2, le=64)
    """Convolutions; 20 in the paper."""

    channels: int = Field(default=64, ge=2, le=1024)
    """Maps of every layer: all but one go on, one is added to the estimate."""


class WavResNetSettings(Settings):
    """WavResNet: residual learning in directional sub-bands of the image."""

    name: Literal["wavresnet"] = "wavresnet"
    """The kind of network."""

    channels: int = Field(default=128, ge=1, le=1024)
    """Feature maps; 128 in the paper."""

    blocks: int = Field(default=6, ge=1, le=32)
    """Residual blocks of three convolutions; 6 in the paper."""

    directions: tuple[int, ...] = Field(default=(8, 4, 2, 1), min_length=1, max_length=8)
    """Directions of each level, finest first: 15 sub-bands in the paper."""

    domain: Literal["wavelet", "image"] = "wavelet"
    """`image`: the same layers on the image itself, for comparison."""

    head: SegmentationHeadSettings | None = None
    """Segmentation head beside the image output; none by default."""


class UNetSettings(Settings):
    """The U-Net of MONAI (BasicUNet) that computes the change of the image."""

    name: Literal["unet"] = "unet"
    """The kind of network."""

    features: tuple[int, int, int, int, int, int] = (32, 32, 64, 128, 256, 32)
    """Feature maps of the five levels, and of the last layer."""

    slices: Slices = 1
    """Neighbouring slices that the network sees at once: itself and as many before as after. The
    middle one is denoised. At the ends of a scan and at gaps the last slice is repeated."""

    noise_input: bool = False
    """Tell the network how much noise to remove: one more channel with the standard deviation of
    the noise around each pixel. In training it comes from the simulation, later it is measured from
    the pixels. One network then serves every dose and kernel that it met."""

    predict_sigma: bool = False
    """Also state the standard deviation of the error of every pixel; trained by the loss
    `heteroscedastic`."""

    head: SegmentationHeadSettings | None = None
    """Segmentation head beside the image output; none by default."""


class CompactSettings(Settings):
    """The compact network: pairs of 3x3 convolutions at half the image's size, for use on a CPU."""

    name: Literal["compact"] = "compact"
    """The kind of network."""

    channels: int = Field(default=64, ge=1, le=1024)
    """Maps of every layer but the last."""

    pairs: int = Field(default=4, ge=1, le=64)
    """Pairs of convolutions, each with a sum around it. The receptive field grows by eight pixels
    with each."""

    slices: Slices = 1
    """Neighbouring slices that the network sees at once: itself and as many before as after. The
    middle one is denoised. At the ends of a scan and at gaps the last slice is repeated."""

    noise_input: bool = False
    """Tell the network how much noise to remove: one more channel with the standard deviation of
    the noise around each pixel, in whose units it also states the change. In training it comes from
    the simulation, later it is measured from the pixels. One network then serves every dose and
    kernel that it met; without it this one learns slowly."""

    predict_sigma: bool = False
    """Also state the standard deviation of the error of every pixel; trained by the loss
    `heteroscedastic`."""

    head: SegmentationHeadSettings | None = None
    """Segmentation head beside the image output; none by default."""


class CscSettings(Settings):
    """Multi-layer convolutional sparse coding: unrolled steps towards non-negative codes."""

    name: Literal["csc"] = "csc"
    """The kind of network."""

    channels: tuple[int, ...] = Field(default=(64, 64, 64), min_length=1, max_length=8)
    """Atoms of the dictionary of each layer."""

    kernel: Literal[3, 5, 7, 9] = 5
    """Edge of the atoms, pixels."""

    steps: int = Field(default=3, ge=1, le=32)
    """Steps of the iteration (ML-ISTA); 1 is a plain feed-forward network."""

    head: SegmentationHeadSettings | None = None
    """Segmentation head beside the image output; none by default."""


class AutoencoderSettings(Settings):
    """Autoencoders: dense on patches of 28 x 28, convolutional, or variational."""

    name: Literal["autoencoder"] = "autoencoder"
    """The kind of network."""

    kind: Literal["dense", "convolutional", "variational"] = "dense"
    """`dense`: each patch of 28 x 28 pixels by itself, through a code of `code` numbers.
    `convolutional`: strided convolutions. `variational`: the convolutional one whose code is drawn
    from a normal distribution in training."""

    code: int = Field(default=500, ge=1, le=4096)
    """Numbers in the code of a patch (`dense`), maps of the code otherwise."""

    hidden: int = Field(default=640, ge=1, le=4096)
    """Units of the hidden layers (`dense`), maps otherwise."""

    divergence: float = Field(default=1e-4, ge=0)
    """Weight in the loss of how far the drawn code is from the standard normal distribution
    (`variational`)."""

    head: SegmentationHeadSettings | None = None
    """Segmentation head beside the image output; none by default."""


NetworkSettings = Annotated[
    RedCnnSettings
    | RedNetSettings
    | Cnn4Settings
    | DscSettings
    | DenoiseNetSettings
    | WavResNetSettings
    | UNetSettings
    | CompactSettings
    | CscSettings
    | AutoencoderSettings
    | IdentitySettings,
    Field(discriminator="name"),
]
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


def segmentation_classes(network: NetworkSettings) -> int | None:
    """Classes that a network labels, or None if it has no segmentation head."""
    head: Any = getattr(network, "head", None)
    return None if head is None else int(head.classes)


def states_error(network: NetworkSettings) -> bool:
    """Whether a network has an output for the error of its image."""
    return bool(getattr(network, "predict_sigma", False))


def takes_noise(network: NetworkSettings) -> bool:
    """Whether a network is told how noisy its input is."""
    return bool(getattr(network, "noise_input", False))


def slices_seen(network: NetworkSettings) -> int:
    """Neighbouring slices that form one input of a network; 1 for a plain 2-D network."""
    return int(getattr(network, "slices", 1))


def most_slices(network: NetworkSettings) -> int:
    """Neighbouring slices that a network of this kind can be set to see at most."""
    return max(get_args(Slices)) if "slices" in type(network).model_fields else 1
