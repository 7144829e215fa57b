"""Weights that other programs saved, read without running what the file says.

A torch file is a pickle, and a pickle is a program. Here torch's weights-only reader executes the
few instructions that make tensors and plain containers, and nothing else; what the file claims to
be is bounded before memory is taken for it.
"""

from __future__ import annotations

import argparse
import io
import pickletools
import re
import struct
import tarfile
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from pickle import UnpicklingError
from typing import IO, Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ctdenoise.errors import CheckpointError, UsageError
from ctdenoise.networks.checkpoint import METADATA_KEY

MOST_BYTES = 2**30
"""Largest file that is read: RED-CNN has 7 MB, with its optimiser 22 MB, beside a VGG 600 MB."""

MOST_TENSORS = 10_000
"""Most tensors in a file of safetensors."""

MOST_INSTRUCTIONS = 500_000
"""Most instructions of a pickle: a tensor takes about 40, and each makes one object at most."""

SAFE_SINCE = (2, 6)
"""The first torch whose weights-only reader does not run code: CVE-2025-32434."""

_PICKLES_OF_OLD_FILES = 5
"""Magic number, version, system, content and the keys of the storages; then come raw numbers."""

_DEEPEST = 4

_FAULTS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zipfile.BadZipFile,
)
"""How readers of pickles end on a damaged file, whose content they do not check."""

_ALONE = "torch.save(network.state_dict(), 'weights.pt')"


def read_state_dicts(file: Path) -> dict[str, dict[str, Tensor]]:
    """Every mapping of names to tensors in a file, by the place where it stands.

    Numbers are not copied: the tensors of a torch file of today lie in the file until they are
    used.

    Args:
        file: A torch file (.pt, .pth, .ckpt, zipped or of the time before that) or safetensors.

    Returns:
        State dicts by their place, such as `state_dict` or `checkpoint.generator`; the outermost
        one has the place "".

    Raises:
        CheckpointError: If there is no such file, it is too large, of another kind or damaged,
            claims more than it holds, asks to run code, or is a checkpoint of ours already.
        UsageError: If the torch installed here cannot read it safely.
    """
    if not file.is_file():
        raise CheckpointError("there is no such file.", where=file, fix="Give a file of weights.")
    if file.stat().st_size > MOST_BYTES:
        raise CheckpointError(
            f"this file has {file.stat().st_size / 2**30:.1f} GiB; files of weights are read up "
            f"to {MOST_BYTES // 2**30} GiB.",
            where=file,
            fix=f"Save the weights of the network alone: {_ALONE}.",
        )
    with file.open("rb") as opened:
        start = opened.read(9)
    if start[8:9] == b"{":
        return {"": _read_safetensors(file)}
    _require_safe_torch()
    return dict(_state_dicts(_read_torch(file), (), set()))


def _read_safetensors(file: Path) -> dict[str, Tensor]:
    try:
        with safe_open(file, framework="pt", device="cpu") as opened:
            if METADATA_KEY in (opened.metadata() or {}):
                raise CheckpointError(
                    "this is a checkpoint of ctdenoise already, with a scale of its own.",
                    where=file,
                    fix="Use it as it is, with --model.",
                )
            names = list(opened.keys())
            if len(names) > MOST_TENSORS:
                raise _too_much(file, f"{len(names)} tensors")
            return {name: opened.get_tensor(name) for name in names}
    except (SafetensorError, OSError) as error:
        raise _damaged(file) from error


def _require_safe_torch() -> None:
    version = tuple(int(part) for part in re.findall(r"\d+", torch.__version__)[:2])
    if version < SAFE_SINCE:
        raise UsageError(
            f"torch {torch.__version__} may run code that hides in a file of weights "
            "(CVE-2025-32434).",
            fix="Update torch to 2.6 or newer, or convert the weights to safetensors elsewhere.",
        )


def _read_torch(file: Path) -> object:
    zipped = zipfile.is_zipfile(file)
    _require_honest(file, zipped=zipped)
    try:
        # ldct-benchmark keeps the options of the training beside the weights in a Namespace, which
        # the reader fills with plain values; it has no code of its own.
        with torch.serialization.safe_globals([argparse.Namespace]), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch, about files of others
            content: object = torch.load(file, map_location="cpu", weights_only=True, mmap=zipped)
    except UnpicklingError as error:
        asked = re.search(r"GLOBAL ([\w.]+)", str(error))
        if asked is None:
            raise _damaged(file) from error
        raise CheckpointError(
            f"this file asks to run `{asked[1]}` when it is opened, so it was not opened.",
            where=file,
            fix=f"If you trust it, save its weights alone where it was made: {_ALONE}.",
        ) from error
    except _FAULTS as error:
        raise _damaged(file) from error
    return content


def _require_honest(file: Path, *, zipped: bool) -> None:
    """Refuse a file that would take more memory than it has bytes, without reading it whole."""
    if zipped:
        _require_honest_zip(file)
        return
    if tarfile.is_tarfile(file):
        raise _damaged(file)
    with file.open("rb") as opened:
        left = MOST_INSTRUCTIONS
        for _ in range(_PICKLES_OF_OLD_FILES):
            left -= _instructions(file, opened, left)


def _require_honest_zip(file: Path) -> None:
    try:
        with zipfile.ZipFile(file) as archive:
            parts = archive.infolist()
    except _FAULTS as error:
        raise _damaged(file) from error
    names = [part.filename.rpartition("/")[2] for part in parts]
    if "constants.pkl" in names:
        raise CheckpointError(
            "this is a TorchScript program, which runs code and is never opened.",
            where=file,
            fix=f"Save the weights of the network alone: {_ALONE}.",
        )
    claimed = sum(part.file_size for part in parts)
    packed = any(part.compress_type != zipfile.ZIP_STORED for part in parts)
    if packed or claimed > file.stat().st_size:
        raise _too_much(file, f"{claimed / 2**20:.0f} MiB")
    for part, name in zip(parts, names, strict=True):
        if name == "data.pkl":
            _instructions(file, io.BytesIO(_stored(file, part)), MOST_INSTRUCTIONS)


def _stored(file: Path, part: zipfile.ZipInfo) -> bytes:
    try:
        with zipfile.ZipFile(file) as archive:
            return archive.read(part)
    except _FAULTS as error:
        raise _damaged(file) from error


def _instructions(file: Path, opened: IO[bytes], most: int) -> int:
    """How many instructions the next pickle of a file has; nothing of it is executed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Python, about escapes in damaged text
            count = sum(1 for _ in islice(pickletools.genops(opened), most + 1))
    except _FAULTS as error:
        raise _damaged(file) from error
    if count > most:
        raise _too_much(file, f"more than {MOST_INSTRUCTIONS:,} objects")
    return count


def _state_dicts(
    content: object, place: tuple[str, ...], seen: set[int]
) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Mappings with tensors in them, each once, the outermost first."""
    if not isinstance(content, Mapping) or len(place) > _DEEPEST or id(content) in seen:
        return
    seen.add(id(content))
    named: dict[str, Any] = {key: value for key, value in content.items() if isinstance(key, str)}
    tensors = {key: value.detach() for key, value in named.items() if isinstance(value, Tensor)}
    if tensors:
        yield ".".join(place), tensors
    for key, value in named.items():
        yield from _state_dicts(value, (*place, key), seen)


def _damaged(file: Path) -> CheckpointError:
    return CheckpointError(
        "this is no file of weights, or it is damaged.",
        where=file,
        fix="Give a state dict that torch.save or safetensors wrote.",
    )


def _too_much(file: Path, what: str) -> CheckpointError:
    return CheckpointError(
        f"this file of {file.stat().st_size / 2**20:.1f} MiB claims to hold {what}; it was not "
        "opened.",
        where=file,
        fix=f"Save the weights of the network alone: {_ALONE}.",
    )
