"""`run.json`: what was run, with what, on what, beside every output."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ctdenoise.core.provenance import JsonValue, canonical_json
from ctdenoise.errors import CheckpointError

RUN_FILE = "run.json"
"""Name of the file."""

_REPORTED = (
    "ctdenoise",
    "numpy",
    "scipy",
    "scikit-image",
    "numba",
    "torch",
    "monai",
    "pydicom",
    "nibabel",
)


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one command.

    Nothing here may name a patient: inputs are described by counts and digests, never by path.

    Args:
        command: "simulate", "train", ...
        settings: The resolved settings, defaults included.
        seed: The run's seed; None where nothing was random.
        device: Where it ran: "cpu", "cuda:0 (name)".
        inputs: What went in.
        results: What came out: figures, counts.
        timings_s: Seconds of each stage.
    """

    command: str
    settings: Mapping[str, JsonValue]
    seed: int | None = None
    device: str = "cpu"
    inputs: Mapping[str, JsonValue] = field(default_factory=dict)
    results: Mapping[str, JsonValue] = field(default_factory=dict)
    timings_s: Mapping[str, float] = field(default_factory=dict)


def write_run(folder: Path, run: Run) -> Path:
    """Write `run.json` into a folder.

    Args:
        folder: An existing folder, usually a staged one.
        run: What to record.
    """
    record: dict[str, JsonValue] = {
        "command": run.command,
        "settings": run.settings,
        "seed": run.seed,
        "device": run.device,
        "inputs": run.inputs,
        "results": run.results,
        "timings_s": {name: round(seconds, 4) for name, seconds in run.timings_s.items()},
        "versions": installed_versions(_REPORTED),
        "machine": {"system": platform.system(), "processors": os.cpu_count() or 1},
        "peak_memory_mb": peak_memory_mb(),
        "finished": timestamp(),
    }
    path = folder / RUN_FILE
    path.write_text(
        json.dumps(json.loads(canonical_json(record)), indent=2, sort_keys=True) + "\n",
        encoding="utf-8",
    )
    return path


def installed_versions(names: Sequence[str]) -> dict[str, JsonValue]:
    """Versions of the packages that are installed, Python included."""
    found: dict[str, JsonValue] = {"python": platform.python_version()}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def timestamp() -> str:
    """Now in UTC, ISO 8601; SOURCE_DATE_EPOCH where it is set, for reproducible outputs."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    seconds = int(epoch) if epoch.isdigit() else int(time.time())
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def peak_memory_mb() -> float:
    """The most memory this process has held so far, in MB (resident set); 0 where unknown."""
    try:
        import resource  # absent on Windows
    except ImportError:
        return 0.0
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


def training_record(checkpoint: Path) -> dict[str, Any]:
    """`run.json` of the training that a checkpoint came from; empty where none lies beside it.

    Args:
        checkpoint: The file, or the folder of the run.

    Raises:
        CheckpointError: If it cannot be read.
    """
    file = (checkpoint if checkpoint.is_dir() else checkpoint.parent) / RUN_FILE
    if not file.is_file():
        return {}
    try:
        run = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(
            "the record of this run cannot be read as JSON.",
            where=file,
            fix="Copy the run folder again, or give its model.safetensors from another place.",
        ) from error
    return run if isinstance(run, dict) and run.get("command") == "train" else {}
