"""YAML as settings need it: numbers that mean what they say, and the line of every key."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from ctdenoise.errors import SettingsError

KeyPath = tuple[str | int, ...]

NODES_MOST = 100_000
"""Values that one file of settings may mean."""

BYTES_MOST = 4 * 2**20
"""Size of a file of settings."""

_NUMBER = re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$")
_LEADING_ZERO = re.compile(r"^[-+]?0\d")


class _Loader(yaml.SafeLoader):
    """SafeLoader in which 1e-4 is a number, `on` a word and 012 an error."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag.endswith((":null", ":merge"))]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(true|false|True|False)$"), list("tfTF")
)
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _NUMBER, list("-+.0123456789"))


def _number(_: _Loader, node: yaml.ScalarNode) -> int | float:
    text = node.value
    if _LEADING_ZERO.match(text):
        line = node.start_mark.line + 1
        raise SettingsError(
            f"line {line}: {text} starts with a zero, which YAML readers read differently.",
            where=node.start_mark.name,
            fix=f"Write {text.lstrip('0') or '0'}, or put it in quotes if it is a name.",
        )
    try:
        return int(text)
    except ValueError:
        return float(text)


_Loader.add_constructor("tag:yaml.org,2002:float", _number)


@dataclass(frozen=True, slots=True)
class YamlDocument:
    """A parsed mapping and where each of its keys stands.

    Args:
        values: The mapping.
        lines: Line number (from 1) of each key or list item, by its path.
    """

    values: dict[str, Any]
    lines: dict[KeyPath, int] = field(default_factory=dict)


def parse_document(text: str, *, name: str) -> YamlDocument:
    """A settings file's text as a mapping with line numbers.

    Args:
        text: The YAML text.
        name: File name for messages.

    Raises:
        SettingsError: If it is not YAML, not a mapping, holds a key twice or a misleading number.
    """
    loader = _Loader(text)
    loader.name = name
    try:
        node = loader.get_single_node()
        if node is None:
            return YamlDocument({})
        _require_bounded(node, name)
        if not isinstance(node, yaml.MappingNode):
            raise SettingsError(
                f"line {node.start_mark.line + 1}: settings are a list of `key: value` lines.",
                where=name,
            )
        lines: dict[KeyPath, int] = {}
        _note_lines(node, (), lines, name)
        values = loader.construct_document(node)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f"line {mark.line + 1}: " if mark is not None else ""
        problem = getattr(error, "problem", None) or "it cannot be parsed"
        raise SettingsError(f"{line}this is not YAML: {problem}.", where=name) from error
    except RecursionError as error:
        raise SettingsError("this is nested too deeply for settings.", where=name) from error
    finally:
        loader.dispose()
    return YamlDocument(values, lines)


def parse_scalar(text: str, *, name: str) -> Any:
    """The right-hand side of `--set key=value`: a number, a word, a list or a mapping.

    Raises:
        SettingsError: If the text is not YAML.
    """
    loader = _Loader(text)
    loader.name = name
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _require_bounded(node, name)
        return loader.construct_document(node)
    except (yaml.YAMLError, RecursionError) as error:
        raise SettingsError(f"{text!r} is not a value.", where=name) from error
    finally:
        loader.dispose()


def _require_bounded(node: yaml.Node, name: str) -> None:
    """Refuse what an alias makes endless, or far longer than its text.

    Raises:
        SettingsError: If there is more than settings ever hold once aliases are followed.
    """
    if _extent(node, {}) > NODES_MOST:
        raise SettingsError(
            f"this means more than {NODES_MOST} values once its aliases (*) are followed.",
            where=name,
            fix="Settings need no aliases: write the values out.",
        )


def _extent(node: yaml.Node, known: dict[int, float]) -> float:
    """How many values a node means; infinite if it holds itself.

    Args:
        node: Any node.
        known: Of nodes that were met, by their identity.
    """
    if id(node) in known:
        return known[id(node)]
    known[id(node)] = math.inf  # until it is known: who meets it now is inside of it
    parts: list[yaml.Node] = []
    if isinstance(node, yaml.MappingNode):
        parts = [part for pair in node.value for part in pair]
    elif isinstance(node, yaml.SequenceNode):
        parts = node.value
    known[id(node)] = 1 + sum(_extent(part, known) for part in parts)
    return known[id(node)]


def _note_lines(node: yaml.Node, path: KeyPath, lines: dict[KeyPath, int], name: str) -> None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = (*path, str(key.value))
            line = key.start_mark.line + 1
            if inner in lines:
                key_name = ".".join(map(str, inner))
                raise SettingsError(
                    f"line {line}: {key_name} is set twice (first in line {lines[inner]}).",
                    where=name,
                )
            lines[inner] = line
            _note_lines(value, inner, lines, name)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            inner_item = (*path, index)
            lines[inner_item] = value.start_mark.line + 1
            _note_lines(value, inner_item, lines, name)
