"""Trained networks on disk: one safetensors file with weights and a JSON record, never a pickle.

The file's metadata holds one text under `ctdenoise`: JSON with `format_version` and `record`, the
fields of `config.networks.CheckpointRecord`. One text, since safetensors writes several in random
order and equal checkpoints should be equal files. Reading runs no code from the file. Weights may
be stored as float16; they are raised to float32 when they are read, and digests are of that.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ctdenoise.config.load import checked
from ctdenoise.config.networks import CheckpointRecord, HuRangeSettings, NetworkSettings
from ctdenoise.core.intensity import HuRange
from ctdenoise.core.provenance import JsonValue, canonical_json
from ctdenoise.errors import CheckpointError, SettingsError, listed
from ctdenoise.io.runfile import installed_versions
from ctdenoise.io.staging import staged_file
from ctdenoise.networks.build import build_network
from ctdenoise.networks.prediction import DenoisingNetwork
from ctdenoise.networks.released import meant

MODEL_FILE = "model.safetensors"
"""Name of the checkpoint inside the folder of a training run."""

METADATA_KEY = "ctdenoise"
"""Where the metadata of our files holds its JSON."""

FORMAT_VERSION = 1
"""Raised when the record or the names of the weights change; older files are then migrated."""

Record = dict[str, Any]
Weights = dict[str, Tensor]
Migration = Callable[[Record, Weights], tuple[Record, Weights]]

MIGRATIONS: Mapping[int, Migration] = MappingProxyType({})
"""For each old format version, how to turn its record and weights into the next version's."""

_HEAD_CAME_LATER = ("autoencoder", "csc", "wavresnet")
"""Networks whose settings had no `head` at first."""

_DIGITS = 12


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """A trained network and everything needed to use it.

    Args:
        network: The network's settings.
        weights: Its state dict, on the CPU.
        hu_range: The scale it was trained in.
        training: Summary of the training, plain JSON, for people.
        versions: Versions of the packages that made it.
    """

    network: NetworkSettings
    weights: Mapping[str, Tensor]
    hu_range: HuRange
    training: Mapping[str, JsonValue] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """12 hexadecimal digits that change with any weight, setting or the HU range.

        The SHA-256 of what decides the output; the training summary is not part of it.
        """
        sha = hashlib.sha256()
        decisive: JsonValue = {
            "network": _deciding(self.network),
            "hu_range": [self.hu_range.low, self.hu_range.high],
        }
        sha.update(canonical_json(decisive).encode())
        for name in sorted(self.weights):
            tensor = self.weights[name].detach().cpu().contiguous()
            sha.update(f"|{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
            sha.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
        return sha.hexdigest()[:_DIGITS]

    def halved(self) -> Checkpoint:
        """The same with float32 weights rounded to float16: as they are stored in half the space.

        Raises:
            CheckpointError: If a weight is too large for float16.
        """
        weights = {
            name: tensor.half() if tensor.dtype == torch.float32 else tensor
            for name, tensor in self.weights.items()
        }
        _require_finite(weights, Path("float16"))
        return replace(self, weights=weights)

    def build(self) -> DenoisingNetwork:
        """The network with these weights, on the CPU, ready to predict.

        Raises:
            CheckpointError: If the weights do not fit the settings.
        """
        # A generator of its own: loading a file must not move torch's global random state.
        network = build_network(self.network, generator=torch.Generator())
        problems = _misfits(network.state_dict(), self.weights)
        if problems:
            raise CheckpointError(
                f"The weights do not fit the network `{self.network.name}`:\n{listed(problems)}",
                fix="Train again, or use the file with the version that wrote it.",
            )
        network.load_state_dict(dict(self.weights))
        return network.eval()


def _deciding(network: NetworkSettings) -> dict[str, JsonValue]:
    """The settings of a network; one that came later counts where it is used: old digests stay."""
    later: dict[str, JsonValue] = {"noise_input": False, "slices": 1, "change_in_noise": False}
    if network.name in _HEAD_CAME_LATER:
        later["head"] = None
    settings = network.as_json().items()
    return {key: value for key, value in settings if key not in later or value != later[key]}


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> Path:
    """Write a checkpoint; the file appears whole or not at all.

    Args:
        path: The file to make or replace; its folder must exist. Ends in .safetensors.
        checkpoint: What to write. Weights may be on any device.

    Raises:
        OutputError: If the disk is full or the place cannot be written.
        CheckpointError: If a weight is not a finite number.
    """
    _require_finite(checkpoint.weights, path)
    record = CheckpointRecord(
        network=checkpoint.network,
        hu_range=HuRangeSettings(low=checkpoint.hu_range.low, high=checkpoint.hu_range.high),
        versions=dict(checkpoint.versions) or _versions(),
        training=json.loads(canonical_json(checkpoint.training)),
    )
    described: JsonValue = {"format_version": FORMAT_VERSION, "record": record.as_json()}
    metadata = {METADATA_KEY: canonical_json(described)}
    # Copies: safetensors refuses tensors that share memory or are not contiguous.
    weights = {
        name: tensor.detach().to("cpu", copy=True).contiguous()
        for name, tensor in checkpoint.weights.items()
    }
    # Through bytes: safetensors' own writer hides the reason of a failure, such as a full disk.
    content = save(weights, metadata)
    with staged_file(path) as stage:
        stage.write_bytes(content)
    return path


def load_checkpoint(
    path: Path | str, *, migrations: Mapping[int, Migration] = MIGRATIONS
) -> Checkpoint:
    """Read a checkpoint: weights and record only, no code.

    Args:
        path: A file, or the folder of a training run that holds `model.safetensors`.
        migrations: How older format versions are brought up to date.

    Raises:
        CheckpointError: If there is no such file, it is of another kind, damaged, from a newer
            version, or holds settings that are unknown or do not fit the weights.
    """
    file = _file_of(Path(path))
    description, weights = _read(file)
    version, record = _version_and_record(description, file)
    for old in range(version, FORMAT_VERSION):
        if old not in migrations:
            raise CheckpointError(
                f"format version {old} is too old to be read.",
                where=file,
                fix="Read it with the version of ctdenoise that wrote it, or train again.",
            )
        record, weights = migrations[old](record, weights)
    try:
        settings = checked(CheckpointRecord, record, where=file)
    except SettingsError as error:
        raise CheckpointError(
            f"the settings inside this checkpoint cannot be used: {error.what}",
            where=file,
            fix="It may come from another version of ctdenoise; update, or train again.",
        ) from error
    if not settings.hu_range.high > settings.hu_range.low:
        raise _damaged(file, "its HU range is empty")
    _require_finite(weights, file)
    return Checkpoint(
        network=settings.network,
        weights=MappingProxyType({name: _raised(each) for name, each in weights.items()}),
        hu_range=HuRange(settings.hu_range.low, settings.hu_range.high),
        training=MappingProxyType(settings.training),
        versions=MappingProxyType(settings.versions),
    )


def load_model(model: str | Path) -> Checkpoint:
    """The checkpoint of a released model, of a file, or of the folder of a training run.

    Args:
        model: A name or a path; see `networks.released.meant`.

    Raises:
        CheckpointError: If there is no such model, it is damaged, or it is no checkpoint.
        UsageError: If a name is that of a released model and of a path alike.
    """
    found = meant(model)
    return load_checkpoint(model if found is None else found.verified())


def _file_of(path: Path) -> Path:
    if path.is_dir():
        file = path / MODEL_FILE
        if file.is_file():
            return file
        raise CheckpointError(
            f"this folder holds no {MODEL_FILE}.",
            where=path,
            fix="Give the output folder of a finished `ctdenoise train`, or a .safetensors file.",
        )
    if not path.is_file():
        raise CheckpointError(
            "there is no such checkpoint.",
            where=path,
            fix="Give a .safetensors file or the output folder of `ctdenoise train`.",
        )
    return path


def _read(file: Path) -> tuple[str, Weights]:
    """The text of our metadata, and the weights."""
    try:
        with safe_open(file, framework="pt", device="cpu") as opened:
            metadata = dict(opened.metadata() or {})
            weights = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - no mapping
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"this is no checkpoint of ctdenoise; it looks like {_kind_of(file)}.",
            where=file,
            fix="Give the model.safetensors that `ctdenoise train` writes.",
        ) from error
    if METADATA_KEY not in metadata:
        raise CheckpointError(
            "this is a safetensors file of another program.",
            where=file,
            fix="Give the model.safetensors that `ctdenoise train` writes.",
        )
    return metadata[METADATA_KEY], weights


def _raised(weights: Tensor) -> Tensor:
    """Weights that are stored with half the digits, as they are used: in float32."""
    return weights.float() if weights.dtype == torch.float16 else weights


def _version_and_record(description: str, file: Path) -> tuple[int, Record]:
    try:
        values = json.loads(description)
    except (ValueError, RecursionError) as error:
        raise _damaged(file, "its description is not JSON") from error
    version = values.get("format_version") if isinstance(values, dict) else None
    if not isinstance(version, int) or isinstance(version, bool) or version < 0:
        raise _damaged(file, "it names no format version")
    if version > FORMAT_VERSION:
        raise CheckpointError(
            f"this checkpoint has format version {version}; this ctdenoise reads up to "
            f"{FORMAT_VERSION}.",
            where=file,
            fix="Update ctdenoise.",
        )
    record = values.get("record")
    if not isinstance(record, dict):
        raise _damaged(file, "its record is not a mapping")
    return version, record


def _kind_of(file: Path) -> str:
    """What a file that safetensors refused seems to be, from its first bytes."""
    try:
        with file.open("rb") as opened:
            start = opened.read(512)
    except OSError:
        return "a file that cannot be read"
    signs = {
        "an empty file": not start,
        "a torch pickle (.pt, .pth), which can run code and is never opened": (
            start.startswith(b"PK\x03\x04") or start[:1] == b"\x80"
        ),
        "a safetensors file that is damaged or cut off": start[8:9] == b"{",
        "a DICOM file": start[128:132] == b"DICM",
        "a text file": b"\0" not in start and _is_text(start),
    }
    return next((kind for kind, is_so in signs.items() if is_so), "some other binary file")


def _is_text(start: bytes) -> bool:
    # The last character may be cut; "ignore" would accept anything.
    try:
        start[:-4].decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _damaged(file: Path, why: str) -> CheckpointError:
    return CheckpointError(
        f"this checkpoint is damaged: {why}.", where=file, fix="Copy it again, or train again."
    )


def _misfits(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> list[str]:
    problems = [f"{name} is missing" for name in expected if name not in found]
    problems += [f"{name} is unknown" for name in found if name not in expected]
    problems += [
        f"{name} is {tuple(found[name].shape)}, not {tuple(tensor.shape)}"
        for name, tensor in expected.items()
        if name in found and found[name].shape != tensor.shape
    ]
    return problems


def _require_finite(weights: Mapping[str, Tensor], where: Path) -> None:
    bad = [name for name, tensor in weights.items() if not bool(torch.isfinite(tensor).all())]
    if bad:
        raise CheckpointError(
            f"some weights are not finite numbers ({', '.join(bad[:3])}).",
            where=where,
            fix="The training diverged: train again with a smaller learning rate.",
        )


def _versions() -> dict[str, str]:
    names = ("ctdenoise", "torch", "monai", "numpy")
    return {name: str(version) for name, version in installed_versions(names).items()}
