"""Starting from the weights of an earlier run: which are taken, and whom that run has seen."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from ctdenoise.config.networks import NetworkSettings, slices_seen, takes_noise
from ctdenoise.config.training import InitSettings, TrainSettings
from ctdenoise.core.intensity import HuRange
from ctdenoise.core.randomness import draw_seed, stream
from ctdenoise.errors import CheckpointError, SettingsError, listed
from ctdenoise.networks.checkpoint import Checkpoint, load_model
from ctdenoise.networks.prediction import DenoisingNetwork
from ctdenoise.networks.widen import ENDS, can_widen, channels_of, widened
from ctdenoise.training.split import Split

_log = logging.getLogger(__name__)

HEADS = ("head.", "sigma.")
"""Parts of a network that may be new, or left out, when the rest starts from a checkpoint."""

ENCODERS: Mapping[str, tuple[str, ...]] = {
    "redcnn": ("conv",),
    "rednet": ("down.",),
    "dsc": ("down.",),
    "unet": ("trunk.conv_0.", "trunk.down_"),
    "autoencoder": ("down.", "encode.", "layers.0.", "layers.1."),
}
"""How the names of the weights before the decoder begin, by network."""

_PATIENTS = "trained_patients"
"""Where the training summary of a checkpoint holds digests of the patients it has seen."""


@dataclass(frozen=True, slots=True)
class Start:
    """Where a run starts.

    Args:
        seen: Digests of the patients that earlier runs have trained on.
        is_known: Whether that is all of them: an old checkpoint does not say.
        taken: Names of the weights that came from the checkpoint.
        fresh: Names of those that are new.
        widened_from: Channels of the checkpoint; None if the network has as many.
    """

    seen: frozenset[str] = frozenset()
    is_known: bool = True
    taken: tuple[str, ...] = ()
    fresh: tuple[str, ...] = ()
    widened_from: int | None = None


def start_from(
    settings: TrainSettings, network: DenoisingNetwork, hu_range: HuRange, *, seed: int = 0
) -> Start:
    """Bring the weights of a checkpoint into a fresh network.

    A first convolution that takes more maps than the checkpoint's (a noise level, neighbouring
    slices) keeps its weights for the image; those for what is new begin at zero, so that its maps
    are what they were before.

    Args:
        settings: What to start from.
        network: With fresh weights; changed.
        hu_range: The run's scale.
        seed: Of the run: decides how copies of units differ (`init.widen`).

    Raises:
        SettingsError: If the scale is another, the network has no encoder to take, or cannot be
            made by widening that of the checkpoint.
        CheckpointError: If the weights do not fit.
    """
    if settings.init is None:
        return Start()
    original = load_model(settings.init.checkpoint)
    _require_same_scale(original, hu_range)
    checkpoint = _widened(original, settings.network, seed) if settings.init.widen else original
    fresh, wanted = network.state_dict(), _wanted(settings.init, checkpoint, settings.network.name)
    found = {name: tensor for name, tensor in checkpoint.weights.items() if wanted(name)}
    inputs = _Inputs.of(checkpoint.network), _Inputs.of(settings.network)
    taken, problems = _fitted(fresh, found, inputs)
    _require_whole(settings.init, fresh, found, inputs)
    problems += [
        f"{name} is missing"
        for name in fresh
        if wanted(name) and name not in found and not name.startswith(HEADS)
    ]
    left = [name for name in found if name not in fresh and not name.startswith(HEADS)]
    problems += [f"{name} is no part of the network to be trained" for name in left]
    if settings.init.parts == "all":
        problems += _other_unit(checkpoint.network, settings.network)
    if problems:
        other = "widen=true" if can_widen(checkpoint.network, settings.network) else "parts=encoder"
        raise CheckpointError(
            f"these weights do not fit the network to be trained:\n{listed(problems)}",
            where=settings.init.checkpoint,
            fix=f"Use the checkpoint's own network settings under `network`, or init.{other}.",
        )
    network.load_state_dict({**fresh, **taken})
    new = tuple(name for name in fresh if name not in taken)
    unused = [name for name in checkpoint.weights if name not in taken]
    _log.info(
        "Start from checkpoint %s: %d weights taken (%s); new: %s; left out: %s.",
        original.digest,
        len(taken),
        _short(taken),
        _short(new),
        _short(unused),
    )
    seen = checkpoint.training.get(_PATIENTS)
    known = seen if isinstance(seen, list) else []
    return Start(
        frozenset(map(str, known)),
        isinstance(seen, list),
        tuple(taken),
        new,
        channels_of(original.network) if settings.init.widen else None,
    )


def patients_seen(split: Split, start: Start) -> list[str] | None:
    """Digests of all patients that the weights will have learnt from; None where unknown."""
    keys = {part.files.patient_key for part in split.train}
    if "" in keys or not start.is_known:
        return None
    return sorted({digest_of(key) for key in keys} | start.seen)


def patients_judging(split: Split) -> list[str]:
    """Digests of the patients that decide which step is kept, as far as they have a key."""
    keys = {part.files.patient_key for part in split.validation} - {""}
    return sorted(digest_of(key) for key in keys)


def require_unseen(split: Split, start: Start, settings: TrainSettings) -> None:
    """Refuse to judge on patients that the checkpoint to start from has learnt from.

    Raises:
        SettingsError: If there are some, and the settings do not allow it.
    """
    if settings.init is None:
        return
    keys = {part.files.patient_key for part in split.validation}
    leaked = sorted(key for key in keys if key and digest_of(key) in start.seen)
    if leaked and not settings.init.allow_seen_patients:
        others = {part.files.patient_key for part in split.train} - {""}
        unseen = sorted(key for key in others if digest_of(key) not in start.seen)
        raise SettingsError(
            f"the checkpoint to start from has trained on {len(leaked)} of the patients that would "
            f"judge this run ({', '.join(leaked)}): the figures would flatter.",
            where="validation.patients",
            fix=(
                f"Hold out patients it has not seen, for instance {', '.join(unseen[:6])}."
                if unseen
                else "Give pairs of patients it has not seen."
            )
            + " Or allow it with init.allow_seen_patients=true.",
        )
    if leaked or not start.is_known or "" in keys:
        _log.warning(
            "Validation may hold patients that the checkpoint to start from has trained on. Judge "
            "the result on patients that neither run has seen."
        )


def digest_of(patient_key: str) -> str:
    """12 hexadecimal digits for a patient key."""
    return hashlib.sha256(f"ctdenoise patient {patient_key}".encode()).hexdigest()[:12]


def _require_same_scale(checkpoint: Checkpoint, hu_range: HuRange) -> None:
    if checkpoint.hu_range != hu_range:
        found = checkpoint.hu_range
        raise SettingsError(
            f"the checkpoint to start from was trained for {found.low:g} to {found.high:g} HU, "
            f"not {hu_range.low:g} to {hu_range.high:g} HU.",
            where="init.from",
            fix=f"Set hu_range.low={found.low:g} and hu_range.high={found.high:g}.",
        )


def _widened(checkpoint: Checkpoint, network: NetworkSettings, seed: int) -> Checkpoint:
    """The checkpoint of a narrow network as one of a wide network."""
    channels = channels_of(network)
    if channels is None or not can_widen(checkpoint.network, network):
        raise SettingsError(
            f"{_described(checkpoint.network)} cannot be widened to {_described(network)}.",
            where="init.widen",
            fix=f"Both must be of the same kind ({' or '.join(ENDS)}), and the checkpoint's have "
            "fewer channels; else leave init.widen out.",
        )
    generator = torch.Generator().manual_seed(draw_seed(stream(seed, "widen")))
    weights = widened(checkpoint.build(), network.name, channels, generator=generator)
    wide = checkpoint.network.replaced(channels=channels)
    return replace(checkpoint, network=wide, weights=weights)


def _described(network: NetworkSettings) -> str:
    channels = channels_of(network)
    return f"`{network.name}`" + ("" if channels is None else f" of {channels} channels")


def _other_unit(old: NetworkSettings, new: NetworkSettings) -> list[str]:
    """What is wrong where weights fit, but state the change in another unit."""
    before, after = (getattr(network, "change_in_noise", False) for network in (old, new))
    return [] if before == after else [f"change_in_noise is {before}, not {after}"]


def _wanted(init: InitSettings, checkpoint: Checkpoint, name: str) -> Callable[[str], bool]:
    """Whether a weight of some name is to be taken."""
    if init.parts == "all":
        return lambda _: True
    if name not in ENCODERS or checkpoint.network.name != name:
        raise SettingsError(
            f"the encoder of `{checkpoint.network.name}` cannot start `{name}`.",
            where="init.parts",
            fix=f"Both must be the same one of {', '.join(ENCODERS)}.",
        )
    return lambda weight: weight.startswith(ENCODERS[name])


class _Inputs(NamedTuple):
    """What the channels of a network's input are.

    Args:
        slices: Neighbouring slices.
        noise: Whether their noise follows.
    """

    slices: int
    noise: bool

    @classmethod
    def of(cls, network: NetworkSettings) -> _Inputs:
        return cls(slices_seen(network), takes_noise(network))

    @property
    def channels(self) -> int:
        return self.slices + self.noise

    def within(self, other: _Inputs) -> list[int]:
        """Where these channels are in an input of as many slices or more; empty if some lack."""
        first = (other.slices - self.slices) // 2
        if first < 0 or (self.noise and not other.noise):
            return []
        places = list(range(first, first + self.slices))
        return [*places, other.slices] if self.noise else places


def _fitted(
    fresh: Mapping[str, Tensor], found: Mapping[str, Tensor], inputs: tuple[_Inputs, _Inputs]
) -> tuple[dict[str, Tensor], list[str]]:
    """The weights in the shapes of the network, and what does not fit."""
    taken, problems = {}, []
    places = inputs[0].within(inputs[1])
    for name in (name for name in fresh if name in found):
        old, new = found[name], fresh[name]
        if old.shape == new.shape:
            taken[name] = old
        elif places and _has_new_input(old, new, inputs):
            taken[name] = torch.zeros_like(new)
            phases = old.shape[1] // inputs[0].channels
            for was, place in enumerate(places):
                kept = old[:, was * phases : (was + 1) * phases]
                taken[name][:, place * phases : (place + 1) * phases] = kept
        else:
            problems.append(f"{name} is {tuple(old.shape)}, not {tuple(new.shape)}")
    return taken, problems


def _require_whole(
    init: InitSettings,
    fresh: Mapping[str, Tensor],
    found: Mapping[str, Tensor],
    inputs: tuple[_Inputs, _Inputs],
) -> None:
    """Refuse to freeze a network that is shown what its checkpoint was not shown."""
    new = [n for n in fresh if n in found and _has_new_input(found[n], fresh[n], inputs)]
    if not new or init.freeze == "none":
        return
    before, after = inputs
    what, key = ("noise input is", f"noise_input={before.noise}".lower())
    if after.slices != before.slices:
        what, key = ("neighbouring slices are", f"slices={before.slices}")
    raise SettingsError(
        f"the {what} new to this checkpoint, and a frozen {init.freeze} cannot learn to use it.",
        where="init.freeze",
        fix=f"Set network.{key} or init.freeze=none.",
    )


def _has_new_input(old: Tensor, new: Tensor, inputs: tuple[_Inputs, _Inputs]) -> bool:
    """Whether a weight is of the first convolution, which meets more channels than before.

    It may meet each of them as several phases.
    """
    if not old.ndim == new.ndim == 4:
        return False
    others_equal = (old.shape[0], *old.shape[2:]) == (new.shape[0], *new.shape[2:])
    before, after = (each.channels for each in inputs)
    phases = old.shape[1] // before
    met = (old.shape[1], new.shape[1]) == (phases * before, phases * after)
    return others_equal and met and before < after


def _short(names: Iterable[str]) -> str:
    """Names of layers, each once."""
    return ", ".join(dict.fromkeys(name.rpartition(".")[0] or name for name in names)) or "nothing"
