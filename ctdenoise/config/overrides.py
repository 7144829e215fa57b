"""`--set key=value`: one settings key changed from the command line."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ctdenoise.config.yaml_text import parse_scalar
from ctdenoise.errors import SettingsError

COMMAND_LINE = "--set"
"""The name under which overrides appear in messages."""


def parse_override(text: str) -> tuple[tuple[str, ...], Any]:
    """A dotted key and its value.

    Args:
        text: Such as `patches.size=64` or `dose=[0.5, 0.25]`.

    Raises:
        SettingsError: If there is no `=`, or a part of the key is empty.
    """
    key, separator, value = text.partition("=")
    parts = tuple(part.strip() for part in key.split("."))
    if not separator or not all(parts):
        raise SettingsError(
            f"{text!r} is not of the form key=value.",
            where=COMMAND_LINE,
            fix="For example: --set patches.size=64",
        )
    return parts, parse_scalar(value, name=COMMAND_LINE)


def merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """A mapping over another: nested mappings are merged, everything else is replaced.

    A group that names another kind (a different `name`) replaces the group below it whole, since
    the settings of one kind mean nothing to another.
    """
    result = dict(base)
    for key, value in changes.items():
        old = result.get(key)
        same_kind = (
            isinstance(old, dict)
            and isinstance(value, dict)
            and ("name" not in value or value["name"] == old.get("name"))
        )
        result[key] = merged(old, value) if same_kind else value  # type: ignore[arg-type]  # both are dicts
    return result


def with_overrides(values: dict[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    """Settings with `key=value` changes applied in order.

    Raises:
        SettingsError: If a change is malformed.
    """
    for text in overrides:
        path, value = parse_override(text)
        for part in reversed(path):
            value = {part: value}
        values = merged(values, value)
    return values
