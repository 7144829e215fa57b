"""Parts of a network that keep the weights they start with."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import assert_never

from ctdenoise.config.training import FreezeName, TrainSettings
from ctdenoise.errors import SettingsError
from ctdenoise.networks.prediction import DenoisingNetwork
from ctdenoise.training.start import ENCODERS, HEADS

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Learning:
    """How much of a network learns.

    Args:
        parameters: Weights and biases in all.
        learning: Those that learn.
        frozen: What keeps its weights: "none", "encoder" or "trunk".
    """

    parameters: int
    learning: int
    frozen: FreezeName

    @property
    def text(self) -> str:
        """For people; empty where everything learns."""
        if self.frozen == "none":
            return ""
        return f"{self.learning:,} of {self.parameters:,} parameters; the {self.frozen} is frozen"


def freeze(network: DenoisingNetwork, settings: TrainSettings) -> Learning:
    """Put a network into training mode with the parts that its settings name frozen.

    What is frozen has no gradient, so neither a step nor weight decay moves it, and stays in
    prediction mode: a batch normalisation keeps its statistics and applies them. With the whole
    trunk frozen nothing is drawn either, and the image of the network is, bit for bit, that of the
    checkpoint.

    Args:
        network: With the weights it starts from; changed.
        settings: What to freeze.

    Raises:
        SettingsError: If the encoder is to be frozen and the network has no layers of its own for
            it.
    """
    what = settings.freezes
    is_frozen = _frozen_names(settings.network.name, what)
    network.train(what != "trunk")
    for name, module in network.named_modules():
        if name:
            module.train(not is_frozen(f"{name}."))
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(not is_frozen(name))
    sizes = [(parameter.numel(), parameter.requires_grad) for parameter in network.parameters()]
    found = Learning(sum(n for n, _ in sizes), sum(n for n, learns in sizes if learns), what)
    if found.text:
        _log.info("Learning %s.", found.text)
    return found


@contextmanager
def predicting(network: DenoisingNetwork) -> Iterator[None]:
    """A network in prediction mode inside the block; every part of it comes back as it was."""
    before = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, training in before:
            module.training = training


def _frozen_names(network: str, what: FreezeName) -> Callable[[str], bool]:
    """Whether something of a name is frozen."""
    match what:
        case "none":
            return lambda _: False
        case "trunk":
            return lambda name: not name.startswith(HEADS)
        case "encoder":
            if network not in ENCODERS:
                raise SettingsError(
                    f"`{network}` has no encoder whose weights are apart from its decoder's.",
                    where="init.freeze",
                    fix=f"Use init.freeze=trunk, or one of {', '.join(ENCODERS)}.",
                )
            return lambda name: name.startswith(ENCODERS[network])
        case _:
            assert_never(what)
