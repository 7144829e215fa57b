"""From a name or a file to a denoiser."""

from __future__ import annotations

import logging
from pathlib import Path

from ctdenoise.config.classical import FILTERS
from ctdenoise.config.controls import NOTHING_RECOMMENDED
from ctdenoise.config.inference import InferSettings
from ctdenoise.config.networks import IdentitySettings
from ctdenoise.core.intensity import HuRange
from ctdenoise.errors import CheckpointError
from ctdenoise.inference.classical_method import ClassicalMethod
from ctdenoise.inference.denoiser import Denoiser, MethodDenoiser
from ctdenoise.inference.engine import choose_device, choose_precision, lacks_bf16
from ctdenoise.inference.engine_choice import choose_engine
from ctdenoise.inference.network_method import NetworkMethod
from ctdenoise.inference.told_noise import require_told
from ctdenoise.networks.checkpoint import Checkpoint, load_checkpoint
from ctdenoise.networks.released import PREFIX, meant, released_models

_log = logging.getLogger(__name__)

REGISTERED = ("identity", *FILTERS)
"""Names that `load_denoiser` knows beside those of released models."""


def load_denoiser(
    name_or_path: str | Path | None = None, settings: InferSettings | None = None
) -> Denoiser:
    """A denoiser ready to be called.

    Where no strength is given, a released model is used with the one that its card recommends, and
    all else with 1.

    Args:
        name_or_path: A registered name ("identity", or a classical filter such as "nlm"), the name
            of a released model ("fast"), a checkpoint file, or the output folder of a training run.
            None for what `default_model` says.
        settings: Strength, device, engine, precision, memory; defaults if None.

    Raises:
        CheckpointError: If the file is no checkpoint, or a released model is damaged.
        UsageError: If a GPU is asked for and there is none, a noise is stated for a network that is
            told none, or a name is that of a released model and of a path alike.
        MissingExtraError: If a filter needs a package that is not installed.

    Example:
        >>> denoiser = load_denoiser("identity")
        >>> denoiser.name
        'identity'
    """
    settings = settings or InferSettings()
    if name_or_path is None:
        name_or_path = default_model(settings.device)
    for name in FILTERS:
        if str(name_or_path) == name:
            settings = settings.replaced(precision="float32")
            return MethodDenoiser(ClassicalMethod(name, settings), settings)
    device = choose_device(settings.device)
    settings = settings.replaced(precision=choose_precision(settings.precision, device))
    release = meant(name_or_path)
    checkpoint = _checkpoint_of(name_or_path if release is None else release.verified())
    require_told(checkpoint.network, settings)
    if settings.precision == "bf16" and lacks_bf16(device):
        _log.warning(
            "This processor does not compute in bfloat16: precision bf16 will be far slower than "
            "float32 here. Leave it out."
        )
    engine = choose_engine(checkpoint.build(), settings)
    card = None if release is None else release.card
    method = NetworkMethod(checkpoint, engine, settings, card)
    return MethodDenoiser(
        method, settings, NOTHING_RECOMMENDED if card is None else card.recommended
    )


def default_model(device: str) -> str:
    """The released model that is taken where none is named.

    `fast` on a CPU; on a GPU `redcnn`, and `fast` where this copy came without that.

    Args:
        device: As in the settings of `infer`.

    Raises:
        CheckpointError: If this copy of the program holds no released models.
        UsageError: If a GPU is asked for and there is none.
    """
    wanted = ("redcnn", "fast") if choose_device(device).type == "cuda" else ("fast",)
    known = {each.name for each in released_models()}
    name = next((name for name in wanted if name in known), None)
    if name is None:
        raise CheckpointError(
            f"no model was named, and this copy of ctdenoise came without `{wanted[0]}`, which "
            "would be taken.",
            fix="Name one with --model: a checkpoint, the folder of a training run, or one of: "
            f"{', '.join(known_names())}.",
        )
    return f"{PREFIX}{name}"


def known_names() -> tuple[str, ...]:
    """Every name that `load_denoiser` knows without a path."""
    return (*(each.name for each in released_models()), *REGISTERED)


def _checkpoint_of(name_or_path: str | Path) -> Checkpoint:
    if str(name_or_path) == "identity":
        return Checkpoint(IdentitySettings(), {}, HuRange())
    path = Path(name_or_path)
    if not path.exists():
        raise CheckpointError(
            "there is no such model.",
            where=path,
            fix="Give a .safetensors file, the output folder of `ctdenoise train`, or one of: "
            f"{', '.join(known_names())}.",
        )
    return load_checkpoint(path)
