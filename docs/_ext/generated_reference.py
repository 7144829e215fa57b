"""Reference pages that are made from the code: settings classes and the command line's own help.

Directives::

    {settings} ctdenoise.config.dose:SimulateSettings     every key, its type, default and sentence
    {command-help} simulate                               what `ctdenoise simulate --help` prints
    {dicom-attributes} ctdenoise.io.dicom_attributes:RULES    what becomes of each attribute
"""

from __future__ import annotations

import io
import json
import types
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from docutils import nodes
from docutils.parsers.rst import Directive
from pydantic.fields import FieldInfo
from pydicom.tag import Tag
from rich.console import Console
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from ctdenoise.config.base import Settings
from ctdenoise.io.dicom_attributes import Fate, Rule

HELP_WIDTH = 82
UNION = (Union, types.UnionType)
PLAIN = {
    float: "number",
    int: "whole number",
    bool: "true or false",
    str: "text",
    Path: "path",
    types.NoneType: "null",
}
"""Types in words; one that is not here stops the build instead of showing itself."""


class CommandHelp(Directive):
    """The help of one command, or of the program where no command is named."""

    optional_arguments = 2  # a command, and one of its own commands

    def run(self) -> list[nodes.Node]:
        """A literal block with the help."""
        block = nodes.literal_block(text=help_text(self.arguments))
        block["language"] = "text"
        return [block]


class SettingsReference(SphinxDirective):
    """A settings class and the groups in it, one table each."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Parsed Markdown."""
        module, _, name = self.arguments[0].partition(":")
        kind = getattr(import_module(module), name)
        self.env.note_dependency(import_module(module).__file__ or "")
        text = "\n\n".join(table_of(group, key) for key, group in groups_of(kind))
        return self.parse_text_to_nodes(text)


class DicomAttributes(SphinxDirective):
    """A table by which a derived header is built, in one part for each fate."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Parsed Markdown."""
        module, _, name = self.arguments[0].partition(":")
        rules = getattr(import_module(module), name)
        self.env.note_dependency(import_module(module).__file__ or "")
        fates = dict.fromkeys(rule.fate for rule in rules)
        parts = [attributes_text(fate, [r for r in rules if r.fate is fate]) for fate in fates]
        return self.parse_text_to_nodes("\n\n".join(parts))


def attributes_text(fate: Fate, rules: Sequence[Rule]) -> str:
    """All attributes of one fate as Markdown, with tag and reason."""
    rows = [f"| {rule.keyword} | {tag_text(rule.keyword)} | {rule.reason} |" for rule in rules]
    title = f"**{fate.name.replace('_', ' ').capitalize()}**"
    return "\n".join([title, "", "| attribute | tag | why |", "|---|---|---|", *rows])


def tag_text(keyword: str) -> str:
    """The tag of an attribute as the standard writes it."""
    tag = Tag(keyword)
    return f"({tag.group:04X},{tag.element:04X})"


def help_text(command: list[str]) -> str:
    """What `--help` prints, in a window of HELP_WIDTH columns."""
    from ctdenoise.cli.app import app

    target = io.StringIO()
    app.help_print(command, console=Console(file=target, width=HELP_WIDTH, color_system=None))
    return "\n".join(line.rstrip() for line in target.getvalue().splitlines())


def groups_of(kind: type[Settings]) -> list[tuple[str, type[Settings]]]:
    """The class and every settings class inside it, once each, with the key it stands under."""
    found: dict[type[Settings], str] = {kind: ""}
    waiting = [kind]
    while waiting:
        current = waiting.pop(0)
        for name, field in current.model_fields.items():
            for inner in settings_in(field.annotation):
                if inner not in found:
                    mark = "[]" if is_list(field.annotation) else ""
                    mark = ".NAME" if get_origin(field.annotation) is dict else mark
                    found[inner] = f"{found[current]}{field.alias or name}{mark}."
                    waiting.append(inner)
    return [(key, group) for group, key in found.items()]


def kind_of(group: type[Settings]) -> str:
    """The name that chooses a class among others; empty where names are for users to give."""
    named = group.model_fields.get("name")
    return named.default if named is not None and isinstance(named.default, str) else ""


def table_of(group: type[Settings], key: str) -> str:
    """One settings class as Markdown."""
    sentence = " ".join((group.__doc__ or "").split("\n\n")[0].split())
    kind = kind_of(group)
    tag = f" with `name: {kind}`" if kind else ""
    by_kind = group.model_fields.get("kind")
    if not tag and by_kind is not None and isinstance(by_kind.default, str):
        tag = f" with `kind: {by_kind.default}`"
    title = f"**`{key.rstrip('.') or group.__name__}`**{tag}: {sentence}"
    rows = [
        f"| `{key}{field.alias or name}` | {type_text(field)} | {default_text(field)} "
        f"| {meaning(field)} |"
        for name, field in group.model_fields.items()
        if name != "name" or not tag
    ]
    if not rows:
        return title
    return "\n".join([title, "", "| key | type | default | meaning |", "|---|---|---|---|", *rows])


def meaning(field: FieldInfo) -> str:
    """The sentence under the field, on one line."""
    if not field.description:
        raise ValueError(f"a settings field of type {field.annotation} has no sentence under it")
    return " ".join(field.description.split()).replace("|", "\\|")


def default_text(field: FieldInfo) -> str:
    """The default as YAML would write it; groups are described in their own table."""
    if field.is_required():
        return "required"
    return yaml_like(field.get_default(call_default_factory=True, validated_data={}))


def yaml_like(value: Any) -> str:
    """A default value in a few characters."""
    named = getattr(value, "name", None) if isinstance(value, Settings) else None
    match value:
        case Settings():
            return f"`name: {named}`" if isinstance(named, str) else "see below"
        case None | True | False:
            return f"`{json.dumps(value)}`"
        case (Settings(), Settings(), *_):
            return "see below"
        case tuple():
            return f"`[{', '.join(yaml_like(item).strip('`') for item in value)}]`"
        case _:
            return f"`{value}`"


def type_text(field: FieldInfo) -> str:
    """The type in words, with its bounds."""
    bounds = [text for item in field.metadata for text in bounds_of(item)]
    kinds = dict.fromkeys(words_for(field.annotation))
    return " or ".join(kinds) + (f" ({', '.join(bounds)})" if bounds else "")


def bounds_of(constraint: Any) -> Iterator[str]:
    """Limits that pydantic checks."""
    if isinstance(constraint, FieldInfo):
        for inner in constraint.metadata:
            yield from bounds_of(inner)
        return
    names = (("gt", ">"), ("ge", "≥"), ("lt", "<"), ("le", "≤"), ("multiple_of", "multiple of"))
    for name, sign in names:
        limit = getattr(constraint, name, None)
        if limit is not None:
            yield f"{sign} {limit:g}"


def words_for(annotation: Any) -> Iterator[str]:
    """An annotation in words."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        bounds = [text for item in arguments[1:] for text in bounds_of(item)]
        inner = " or ".join(words_for(arguments[0]))
        yield f"{inner} ({', '.join(bounds)})" if bounds else inner
    elif origin in UNION:
        for argument in arguments:
            yield from words_for(argument)
    elif origin is Literal:
        yield from (f"`{value}`" for value in arguments)
    elif origin in (tuple, list):
        inner = dict.fromkeys(
            word for part in arguments if part is not ... for word in words_for(part)
        )
        yield f"list of {' or '.join(inner)}"
    elif origin is dict:
        yield "mapping"
    elif isinstance(annotation, type) and issubclass(annotation, Settings):
        kind = kind_of(annotation)
        yield f"`{kind}`" if kind else "group"
    else:
        yield PLAIN[annotation]


def is_list(annotation: Any) -> bool:
    """Whether a field holds several of something."""
    return get_origin(annotation) in (tuple, list)


def settings_in(annotation: Any) -> Iterator[type[Settings]]:
    """The settings classes inside an annotation."""
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        yield annotation
    for argument in get_args(annotation):
        yield from settings_in(argument)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directives."""
    app.add_directive("command-help", CommandHelp)
    app.add_directive("settings", SettingsReference)
    app.add_directive("dicom-attributes", DicomAttributes)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
