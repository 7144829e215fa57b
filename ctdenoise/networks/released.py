"""Released models: weights and cards that are found by name, inside the package or beside it.

A released model is two files of one folder: `NAME.safetensors`, a checkpoint, and `NAME.json`, its
card (`config.model_card`). Those that come with the program lie in `networks/weights`; the folders
that the environment variable CTDENOISE_MODELS names come before them. Nothing here needs torch, so
that a name can be looked up, and a hash compared, without it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

from ctdenoise.config.controls import NOTHING_RECOMMENDED, Recommended
from ctdenoise.config.load import checked
from ctdenoise.config.model_card import ModelCard
from ctdenoise.errors import CheckpointError, SettingsError, UsageError
from ctdenoise.io.checksum import sha256_of

PREFIX = "released:"
"""Before a name, it says that a released model is meant, whatever lies in the working folder."""

ENVIRONMENT = "CTDENOISE_MODELS"
"""Names folders with released models, parted as in PATH; they are looked into first."""

WEIGHTS_SUFFIX = ".safetensors"
CARD_SUFFIX = ".json"

_AGAIN = (
    "Install ctdenoise again. If it is a model of your own, copy both files again, or make them "
    "again with `ctdenoise models add`."
)


@dataclass(frozen=True, slots=True)
class ReleasedModel:
    """A model that is known by its name.

    Args:
        name: What it is called.
        card: What is known of it.
        path: Its file of weights.
    """

    name: str
    card: ModelCard
    path: Path

    def verified(self) -> Path:
        """The file of weights, its hash having been compared with that of the card.

        Raises:
            CheckpointError: If the file is not there, or is not the one that the card describes.
        """
        try:
            found = sha256_of(self.path)
        except OSError as error:
            raise CheckpointError(
                f"the weights of the released model `{self.name}` cannot be read.",
                where=self.path,
                fix=_AGAIN,
            ) from error
        if found != self.card.sha256:
            raise CheckpointError(
                f"the weights of the released model `{self.name}` are damaged or not those of its "
                f"card: their SHA-256 starts with {found[:12]}, not {self.card.sha256[:12]}.",
                where=self.path,
                fix=_AGAIN,
            )
        return self.path


def packaged_folder() -> Path:
    """Where the released models lie that come with the program."""
    return Path(str(files("ctdenoise.networks"))) / "weights"


def model_folders() -> tuple[Path, ...]:
    """Where released models are looked for, in this order."""
    named = [part for part in os.environ.get(ENVIRONMENT, "").split(os.pathsep) if part.strip()]
    return (*map(Path, named), packaged_folder())


def released_models(folders: Sequence[Path] | None = None) -> tuple[ReleasedModel, ...]:
    """Every released model, by name; of two with one name, the one that is found first.

    Args:
        folders: Where to look; None for where `model_folders` says.

    Raises:
        CheckpointError: If a folder that was named is none, or a card cannot be read.
    """
    found: dict[str, ReleasedModel] = {}
    for folder in model_folders() if folders is None else folders:
        if not folder.is_dir() and folder != packaged_folder():
            raise CheckpointError(
                "there is no such folder of released models.",
                where=folder,
                fix=f"Look at the environment variable {ENVIRONMENT}, or leave it out.",
            )
        for file in sorted(folder.glob(f"*{CARD_SUFFIX}")):
            model = _model_of(file)
            found.setdefault(model.name, model)
    return tuple(found[name] for name in sorted(found))


def released(name: str, folders: Sequence[Path] | None = None) -> ReleasedModel:
    """The released model of a name.

    Args:
        name: What it is called.
        folders: Where to look; None for where `model_folders` says.

    Raises:
        CheckpointError: If there is none of that name, or a card cannot be read.
    """
    known = {model.name: model for model in released_models(folders)}
    if name in known:
        return known[name]
    names = ", ".join(known) or "none were found"
    raise CheckpointError(
        f"there is no released model `{name}`.",
        fix=f"Released models: {names}. Or give a checkpoint or the folder of a training run.",
    )


def meant(model: str | Path) -> ReleasedModel | None:
    """The released model that is meant; None where it is a path or another name.

    `released:fast` is the released model in any case. `fast` is, too, unless a model lies in the
    working folder under that name: nobody can tell then which of them is meant.

    Args:
        model: As it was given.

    Raises:
        CheckpointError: If there is no released model of a name with `released:` before it, or a
            card cannot be read.
        UsageError: If a name is that of a released model and of a path alike.
    """
    text = str(model)
    if text.startswith(PREFIX):
        return released(text.removeprefix(PREFIX))
    found = next((each for each in released_models() if each.name == text), None)
    if found is not None and _holds_model(Path(text)):
        raise UsageError(
            f"`{text}` is a released model, and a model of that name lies in this folder, too.",
            where=Path(text).absolute(),
            fix=f"Give {PREFIX}{text} for the released one, or the whole path for the other.",
        )
    return found


def recommended(model: str | Path) -> Recommended:
    """What a model recommends in its card; all of its change for what is not released.

    Args:
        model: A name or a path.

    Raises:
        CheckpointError: As `meant`.
        UsageError: As `meant`.
    """
    found = meant(model)
    return NOTHING_RECOMMENDED if found is None else found.card.recommended


def portable(model: str | Path) -> str:
    """A model as other processes find it as well, whatever folder they work in.

    Args:
        model: A name or a path.

    Raises:
        CheckpointError: As `meant`.
        UsageError: As `meant`.
    """
    found = meant(model)
    if found is not None:
        return f"{PREFIX}{found.name}"
    path = Path(model)
    return str(path.resolve()) if path.exists() else str(model)


def _holds_model(path: Path) -> bool:
    return path.is_file() or (path / "model.safetensors").is_file()


def _model_of(file: Path) -> ReleasedModel:
    try:
        card = _card_of(file, file.stat().st_mtime_ns)
    except OSError as error:
        raise CheckpointError(
            "the card of a released model cannot be read.", where=file, fix=_AGAIN
        ) from error
    if card.name != file.stem:
        raise CheckpointError(
            f"this is the card of `{card.name}`, not of `{file.stem}`.", where=file, fix=_AGAIN
        )
    return ReleasedModel(card.name, card, file.with_suffix(WEIGHTS_SUFFIX))


@lru_cache(maxsize=32)
def _card_of(file: Path, changed_ns: int) -> ModelCard:
    del changed_ns  # a card that changed is another one
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(
            "the card of a released model is no JSON.", where=file, fix=_AGAIN
        ) from error
    if not isinstance(values, dict):
        raise CheckpointError("the card of a released model is no mapping.", where=file, fix=_AGAIN)
    try:
        return checked(ModelCard, values, where=file)
    except SettingsError as error:
        raise CheckpointError(
            f"the card of a released model is wrong: {error.what}", where=file, fix=_AGAIN
        ) from error
