"""What was done to a volume, in plain JSON, so that a result can be replayed and described."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Union

JsonValue = Union[None, bool, int, float, str, Sequence["JsonValue"], Mapping[str, "JsonValue"]]
"""What JSON can hold."""


def _plain(value: JsonValue) -> JsonValue:
    """The value with read-only mappings and tuples replaced by what the json module knows."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def canonical_json(value: JsonValue) -> str:
    """One text for one value: keys sorted, no spaces, no NaN.

    Raises:
        ValueError: If a number is not finite.
    """
    return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(value: JsonValue, *, length: int = 16) -> str:
    """The first hexadecimal digits of the SHA-256 of a value's canonical JSON."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:length]


@dataclass(frozen=True, slots=True)
class Step:
    """One line of history.

    Args:
        name: What was done: "simulate_low_dose", "denoise", ...
        params: Everything that decided the voxels, drawn randomness included. Plain JSON.

    Raises:
        ValueError: If a parameter is not plain JSON.
    """

    name: str
    params: Mapping[str, JsonValue] = field(default_factory=dict)

    def __post_init__(self) -> None:
        copy = json.loads(canonical_json(self.params))
        object.__setattr__(self, "params", MappingProxyType(copy))

    def as_json(self) -> dict[str, JsonValue]:
        """The step as a plain dictionary."""
        return {"name": self.name, "params": _plain(self.params)}


def history_digest(history: Sequence[Step]) -> str:
    """A short name for everything that was done: equal histories, equal digests."""
    return digest([step.as_json() for step in history])
