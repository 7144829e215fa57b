"""Settings of `train`: what is learnt from, how, and for how long."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, field_serializer, field_validator, model_validator

from ctdenoise.config.base import Settings
from ctdenoise.config.losses import LossSettings
from ctdenoise.config.networks import (
    HuRangeSettings,
    NetworkSettings,
    RedCnnSettings,
    segmentation_classes,
    slices_seen,
    states_error,
    takes_noise,
)
from ctdenoise.config.optimizers import (
    AdamSettings,
    EmaSettings,
    ExponentialScheduleSettings,
    OptimizerSettings,
    ScheduleSettings,
)
from ctdenoise.config.supervision import PairsSettings, SupervisionSettings, needs_pairs
from ctdenoise.config.validation import EarlyStoppingSettings, ValidationSettings

_INTERPOLATION_REACH = 1
"""Pixels beyond a place that its interpolation looks at."""


class PatchSettings(Settings):
    """How patches are cut out of the training slices."""

    size: int = Field(default=64, ge=8, le=1024)
    """Edge of the square patches, pixels."""

    augment: bool = True
    """Turn and mirror each patch at random (the eight symmetries of a square)."""

    body_above_hu: float = -500.0
    """Full-dose pixels above this count as body when a patch is chosen."""

    least_body: float = Field(default=0.2, ge=0, le=1)
    """A place whose patch holds a smaller share of body is drawn again, a few times; 0 takes every
    place. Air outside the patient has nothing to teach."""

    smallest_scale: float = Field(default=1.0, ge=0.5, le=1)
    """Patches appear at a scale drawn evenly in its logarithm from this to `largest_scale`, as if
    reconstructed with a larger or smaller field of view; both 1: as they are. Interpolation changes
    the texture of the noise, so this is off unless asked for."""

    largest_scale: float = Field(default=1.0, ge=1, le=2)
    """Largest scale: 1.25 makes everything appear a quarter larger."""

    jitter_hu: float = Field(default=0.0, ge=0, le=500)
    """Both doses of a patch are shifted by a number of HU drawn evenly from minus this to this."""

    jitter_gain: float = Field(default=0.0, ge=0, le=0.5)
    """The attenuation above that of air of both doses, and with it the noise, is multiplied by a
    factor drawn evenly from 1 minus this to 1 plus this."""

    @property
    def scales(self) -> bool:
        """Whether patches appear at other scales."""
        return self.smallest_scale < 1 or self.largest_scale > 1

    @property
    def window(self) -> int:
        """Edge of what is cut out for a patch, pixels: more where it has to be interpolated."""
        if not self.scales:
            return self.size
        reach = math.ceil((self.size - 1) / self.smallest_scale) + 1 + 2 * _INTERPOLATION_REACH
        # Of the same parity as the patch, so that a scale of 1 interpolates nothing.
        return reach + (reach - self.size) % 2


class PairNoiseSettings(Settings):
    """The noise of the twins of the pairs: each patch is seen with the same noise each time."""

    name: Literal["from_pair"] = "from_pair"
    """Where the noise comes from."""


class FreshNoiseSettings(Settings):
    """New noise for every patch, drawn in the image domain as the pair's simulation was calibrated.

    Validation stays on the twins of the pairs.
    """

    name: Literal["on_the_fly"] = "on_the_fly"
    """Where the noise comes from."""

    lowest_dose: float = Field(default=0.1, gt=0, lt=1)
    """Lowest dose over that of the scan."""

    highest_dose: float = Field(default=0.5, gt=0, lt=1)
    """Highest dose; those between are drawn evenly in their logarithm."""

    @model_validator(mode="after")
    def _range(self) -> Self:
        if self.lowest_dose > self.highest_dose:
            raise ValueError("lowest_dose must not be above highest_dose")
        return self


NoiseSettings = Annotated[PairNoiseSettings | FreshNoiseSettings, Field(discriminator="name")]
"""Where the noise of the low-dose patches comes from; told apart by `name`."""


class DataSettings(Settings):
    """What is read from the pairs, and how it comes to the network."""

    labels: dict[str, int] | None = None
    """Class of each label, by the label's name or number: several labels may share a class, those
    that are not named are background (0). Null: the label numbers are the classes."""

    keep_on: Literal["auto", "disk", "memory", "device"] = "auto"
    """Where the volumes are while a network trains; patches are the same for each. disk: files that
    the system maps into memory as they are used. memory: read before the first step. device: where
    the network is, which cuts stored pairs into patches there. auto: device for a GPU that has
    twice the room, disk otherwise. What does not fit is refused before it is read."""

    threads: int | None = Field(default=None, ge=0, le=64)
    """Threads that prepare the next batches while the network computes; batches are the same for
    any number. Null: none on a CPU, where they would take processors from the network; up to four
    for a GPU."""

    class_names: dict[int, str] | None = None
    """Name of a class, for figures and for what `infer` writes: `{1: liver}`. A class without one
    here has the names of its labels, as `labels` or the pairs say them; null: all have."""

    @field_validator("class_names")
    @classmethod
    def _names_tell_apart(cls, value: dict[int, str] | None) -> dict[int, str] | None:
        if value is None:
            return None
        if any(number < 1 or not name for number, name in value.items()):
            raise ValueError("classes with a name are numbered from 1, and no name is empty")
        if len(set(value.values())) < len(value):
            raise ValueError("two classes have the same name")
        return value

    @field_validator("labels", mode="before")
    @classmethod
    def _keys_as_text(cls, value: object) -> object:
        if not isinstance(value, dict):
            return value
        return {str(key): item for key, item in value.items()}

    @field_validator("labels")
    @classmethod
    def _some_class(cls, value: dict[str, int] | None) -> dict[str, int] | None:
        if value is not None and not any(value.values()):
            raise ValueError("no label is mapped to a class above 0")
        if value is not None and min(value.values()) < 0:
            raise ValueError("classes are numbered from 0 (background)")
        return value


FreezeName = Literal["none", "encoder", "trunk"]
"""What keeps the weights that it starts with."""


class InitSettings(Settings):
    """What to start from instead of fresh weights."""

    model_config = ConfigDict(serialize_by_alias=True)

    checkpoint: Path = Field(alias="from")
    """`model.safetensors` of an earlier run, or its folder. Head, stated error and noise input may
    be new, or left out; all else must be the same network, but for `widen`."""

    widen: bool = False
    """The checkpoint is of a narrower `redcnn` or `compact`, which learns in less time: its units
    are copied until there are `network.channels`. The image is the same at first."""

    parts: Literal["all", "encoder"] = "all"
    """`encoder`: only the layers before the decoder are taken, the others are drawn afresh."""

    freeze: FreezeName = "none"
    """What keeps the weights of the checkpoint while the rest learns. `trunk`: everything but
    segmentation head and stated error, so that the denoised image stays, bit for bit, that of the
    checkpoint. `encoder`: the layers before the decoder."""

    allow_seen_patients: bool = False
    """Judge on patients that the earlier run has trained on; the figures then flatter."""

    @model_validator(mode="after")
    def _nothing_fresh_is_frozen(self) -> Self:
        if self.freeze == "trunk" and self.parts == "encoder":
            raise ValueError(
                "freeze=trunk with parts=encoder would freeze a decoder that never learnt; "
                "use parts=all or freeze=encoder"
            )
        return self

    @field_serializer("checkpoint")
    def _checkpoint_as_text(self, value: Path) -> str:
        return str(value)


class TrainSettings(Settings):
    """Everything that decides a trained network, beside the pairs and the seed."""

    network: NetworkSettings = RedCnnSettings()
    """The network."""

    loss: LossSettings = LossSettings()
    """What training makes small."""

    hu_range: HuRangeSettings = HuRangeSettings()
    """Hounsfield units that are 0 and 1 for the network; kept in the checkpoint."""

    data: DataSettings = DataSettings()
    """What is read from the pairs."""

    patches: PatchSettings = PatchSettings()
    """How patches are cut."""

    noise: NoiseSettings = PairNoiseSettings()
    """Where the noise of the low-dose patches comes from."""

    supervision: SupervisionSettings = PairsSettings()
    """What the network learns from: pairs as they are, or without a full dose free of noise."""

    batch_size: int = Field(default=16, ge=1, le=65536)
    """Patches in one step, over all processes."""

    accumulate: int = Field(default=1, ge=1)
    """Pieces that the patches of a step are computed in, one after the other, where a GPU cannot
    hold them all; their gradients are added before the weights move."""

    steps: int = Field(default=20_000, ge=1)
    """Steps in all; may change when a run is resumed."""

    optimizer: OptimizerSettings = AdamSettings()
    """How weights follow the gradient."""

    schedule: ScheduleSettings = ExponentialScheduleSettings()
    """How the learning rate changes over the steps."""

    clip_norm: float | None = Field(default=None, gt=0)
    """Longest gradient vector; a longer one is shortened to this. Null: never."""

    ema: EmaSettings | None = None
    """Running mean of the weights (EMA), to be judged and kept; null: the weights themselves."""

    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Number format of the layers: bfloat16 is faster where the processor has it. auto takes it on
    a GPU and on CPUs with native bfloat16, float32 elsewhere. Weights, loss and the shortcut from
    input to output are float32 always."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to train; auto takes a GPU if there is one."""

    channels_last: bool = True
    """Keep the channels of a pixel together in memory, which convolutions like."""

    validation: ValidationSettings = ValidationSettings()
    """How the network is judged meanwhile."""

    early_stopping: EarlyStoppingSettings | None = None
    """When to stop early; null: never."""

    record_every: int = Field(default=50, ge=1)
    """Steps between two lines of metrics.csv."""

    checkpoint_every: int = Field(default=500, ge=1)
    """Steps between two saved states to resume from."""

    init: InitSettings | None = None
    """What to start from instead of fresh weights: `init.from=model`."""

    compile: bool = False
    """Let torch.compile turn the network into one program before the first step: a minute or more
    at the start, faster steps on a GPU. Needs a C++ compiler, on a GPU also Triton."""

    threads: int | None = Field(default=None, ge=1)
    """Threads of the arithmetic on a CPU. Null: one for each processor that this process may use,
    within OMP_NUM_THREADS. Where other programs are busy on the same processors, fewer are faster:
    threads wait for the slowest. Results equal each other bit for bit only with equal threads."""

    peer_timeout_s: float = Field(default=600.0, gt=0)
    """With several processes: seconds to wait for another one before it counts as lost."""

    @field_validator("optimizer", mode="before")
    @classmethod
    def _adam_unless_named(cls, value: object) -> object:
        return {"name": "adam", **value} if isinstance(value, dict) else value

    @property
    def freezes(self) -> FreezeName:
        """What keeps the weights that it starts with."""
        return "none" if self.init is None else self.init.freeze

    @model_validator(mode="after")
    def _something_learns(self) -> Self:
        if self.freezes != "trunk":
            return self
        if segmentation_classes(self.network) is None and not self.loss.needs_sigma:
            raise ValueError(
                "init.freeze=trunk leaves nothing to learn: it needs network.head.classes, or "
                "network.predict_sigma with the loss `heteroscedastic`"
            )
        if self.validation.metric in ("rmse_hu", "psnr_db"):
            raise ValueError(
                f"with init.freeze=trunk the image never changes, so {self.validation.metric} "
                "cannot choose the network to keep; set validation.metric to dice or loss"
            )
        return self

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if self.network.name == "identity":
            raise ValueError("the network `identity` has no weights to train")
        if not self.hu_range.high > self.hu_range.low:
            raise ValueError("hu_range.high must be above hu_range.low")
        if self.loss.needs_sigma and not states_error(self.network):
            raise ValueError(
                "loss.terms has `heteroscedastic`, which needs network.predict_sigma=true"
            )
        if self.loss.relative_to_noise and not takes_noise(self.network):
            raise ValueError("loss.relative_to_noise=true needs network.noise_input=true")
        if self.batch_size % self.accumulate:
            raise ValueError(
                f"batch_size={self.batch_size} is no multiple of accumulate={self.accumulate}"
            )
        return self

    @model_validator(mode="after")
    def _head_and_labels_fit(self) -> Self:
        classes = segmentation_classes(self.network)
        if self.loss.needs_labels and classes is None:
            raise ValueError(
                "a loss term compares labels, so the network needs network.head.classes"
            )
        if classes is not None and not self.loss.needs_labels:
            raise ValueError(
                "the network has a segmentation head that no loss term trains; "
                "add cross_entropy or dice to loss.terms, or remove network.head"
            )
        if self.validation.metric == "dice" and classes is None:
            raise ValueError("validation.metric=dice needs network.head.classes")
        for term in self.loss.terms:
            weights = getattr(term, "class_weights", None)
            if weights is not None and len(weights) != classes:
                raise ValueError(
                    f"class_weights of {term.name} has {len(weights)} numbers, and the network "
                    f"tells {classes} classes apart"
                )
        for key, numbers in (
            ("labels", (self.data.labels or {}).values()),
            ("class_names", self.data.class_names or {}),
        ):
            highest = max(numbers, default=0)
            if classes is not None and highest >= classes:
                raise ValueError(
                    f"data.{key} names class {highest}, but network.head.classes is {classes} "
                    f"(classes 0 to {classes - 1})"
                )
        return self

    @model_validator(mode="after")
    def _supervision_fits(self) -> Self:
        """Noisy targets are right on average, and only the squared error learns the average."""
        name = self.supervision.name
        if name == "pairs":
            return self
        if [term.name for term in self.loss.terms] != ["mse"]:
            raise ValueError(
                f"supervision.name={name} has noisy targets, whose average is right: only the "
                "loss `mse` learns the average. Make it the only one of loss.terms"
            )
        if self.validation.metric not in {"rmse_hu", "loss"}:
            raise ValueError(
                f"supervision.name={name} judges on noisy targets: validation.metric must be "
                "rmse_hu or loss"
            )
        if slices_seen(self.network) > 1 and name in {"noise2sim", "noise2void"}:
            raise ValueError(
                f"supervision.name={name} learns a slice from others, or a pixel from those around "
                "it: in neighbouring slices the network would be shown what it should guess, or "
                "noise that it shares. Set network.slices=1, or supervision.name=recorrupted"
            )
        if name == "noise2void" and self.patches.scales:
            raise ValueError(
                "supervision.name=noise2void hides single pixels, which scaled patches would mix "
                "with others: leave patches.smallest_scale and largest_scale at 1"
            )
        if not needs_pairs(self.supervision) and not isinstance(self.noise, PairNoiseSettings):
            raise ValueError(
                f"supervision.name={name} has no pairs: leave `noise` as it is, from_pair"
            )
        return self
