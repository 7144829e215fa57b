"""From a YAML file and `--set` to one checked, frozen settings tree."""

from __future__ import annotations

import difflib
import re
import types
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import ValidationError

from ctdenoise.config.base import Settings
from ctdenoise.config.overrides import COMMAND_LINE, merged, parse_override, with_overrides
from ctdenoise.config.secrets import UNSHOWN
from ctdenoise.config.yaml_text import BYTES_MOST, KeyPath, parse_document
from ctdenoise.errors import SettingsError, listed

AnySettings = TypeVar("AnySettings", bound=Settings)

_Origins = dict[tuple[str, ...], tuple[str, int | None]]

_KIND_OF_VALUE = re.compile(r"(literal|constrained|tuple|list|union|float|int|str|bool)\b")
"""What pydantic puts behind the name of a setting that may have values of several kinds."""


def ready_settings_folder() -> Path:
    """The folder of the settings files that come with the program.

    Inside an installed package it is `ctdenoise/configs`; in a source tree, `configs` beside it.
    """
    package = Path(__file__).parents[1]
    installed = package / "configs"
    return installed if installed.is_dir() else package.parent / "configs"


def find_settings_file(command: str, name_or_path: str | Path) -> Path:
    """The file a user means by a path, or by the name of a settings file that comes with us.

    Args:
        command: The command the settings are for, such as "train".
        name_or_path: A path, or a name such as "redcnn".

    Raises:
        SettingsError: If neither exists; the ready names are listed.
    """
    path = Path(name_or_path)
    if path.is_file():
        return path
    folder = ready_settings_folder()
    ready = folder / command / f"{path.name.removesuffix('.yaml')}.yaml"
    # `configs/train/redcnn.yaml` is what the docs write; it also works outside a source tree.
    if ready.is_file() and (path.parent == Path() or path.parts[-3:-1] == ("configs", command)):
        return ready
    names = sorted(file.stem for file in (folder / command).glob("*.yaml"))
    near = difflib.get_close_matches(path.stem, names, n=1)
    hint = f"Did you mean {near[0]}? " if near else ""
    raise SettingsError(
        "there is no such settings file.",
        where=path,
        fix=f"{hint}Ready for `{command}`: {', '.join(names) or 'none'}; or a YAML file's path.",
    )


def load_settings(
    kind: type[AnySettings],
    path: Path | None = None,
    overrides: Sequence[str] = (),
) -> AnySettings:
    """Settings from a file (with what it extends) and changes, checked as a whole.

    Args:
        kind: The settings class.
        path: YAML file; None for the defaults of the class.
        overrides: Changes such as "patches.size=64", applied last.

    Raises:
        SettingsError: With every problem at once: file, line, and the nearest known key.
    """
    origins: _Origins = {}
    values = {} if path is None else _read_with_parents(path, origins)
    for text in overrides:
        key, _ = parse_override(text)
        for below in [name for name in origins if name[: len(key)] == key]:
            del origins[below]  # the file's lines say nothing about what replaces them
        origins[key] = (COMMAND_LINE, None)
    values = with_overrides(values, overrides)
    return checked(kind, values, origins=origins, where=path)


def checked(
    kind: type[AnySettings],
    values: dict[str, Any],
    *,
    origins: _Origins | None = None,
    where: Path | str | None = None,
) -> AnySettings:
    """A mapping as settings, or one error with every problem.

    Args:
        kind: The settings class.
        values: Plain mapping, as read from YAML or JSON.
        origins: File and line of each key, for messages.
        where: What the mapping was read from, for messages.

    Raises:
        SettingsError: If a key is unknown or a value is not allowed.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        details = _one_for_each_place(error.errors())
        problems = [_sentence(kind, detail, origins or {}) for detail in details]
        count = "1 setting is" if len(problems) == 1 else f"{len(problems)} settings are"
        raise SettingsError(
            f"{count} wrong:\n{listed(problems)}",
            where=where if where is not None else COMMAND_LINE,
        ) from error


def _read_with_parents(
    path: Path, origins: _Origins, *, seen: tuple[Path, ...] = ()
) -> dict[str, Any]:
    resolved = path.resolve()
    if resolved in seen:
        raise SettingsError("this file extends itself.", where=path)
    try:
        with path.open("rb") as file:
            data = file.read(BYTES_MOST + 1)
        text = data.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError("this settings file cannot be read.", where=path) from error
    if len(data) > BYTES_MOST:
        raise SettingsError("this file is too large for settings.", where=path)
    document = parse_document(text, name=str(path))
    values = dict(document.values)
    parent_name = values.pop("extends", None)
    parent: dict[str, Any] = {}
    if parent_name is not None:
        if not isinstance(parent_name, str):
            line = document.lines.get(("extends",), 1)
            raise SettingsError(f"line {line}: `extends` names one file.", where=path)
        parent_path = path.parent / parent_name
        if parent_path.suffix != ".yaml":
            parent_path = parent_path.with_name(parent_path.name + ".yaml")
        parent = _read_with_parents(parent_path, origins, seen=(*seen, resolved))
    for key, line in document.lines.items():
        origins[_names(key)] = (str(path), line)
    return merged(parent, values)


def _names(path: KeyPath) -> tuple[str, ...]:
    return tuple(str(part) for part in path)


def _sentence(kind: type[Settings], detail: Any, origins: _Origins) -> str:
    location = tuple(detail["loc"])
    key = _known_part(location, kind)
    place = _place(key, origins)
    dotted = ".".join(key) or "settings"
    if detail["type"] == "extra_forbidden":
        owner = _class_at(kind, location)
        known = sorted(owner.model_fields) if owner is not None else []
        near = difflib.get_close_matches(key[-1], known, n=1, cutoff=0.5)
        hint = f"did you mean `{near[0]}`?" if near else f"known here: {', '.join(known)}."
        return f"{place}unknown key `{dotted}`; {hint}"
    message = detail["msg"].removeprefix("Value error, ")
    got = detail.get("input") if detail["type"] != UNSHOWN else None
    shown = f" (it is {got!r})" if isinstance(got, str | int | float | bool) else ""
    return f"{place}`{dotted}`: {message}{shown}."


def _one_for_each_place(details: Iterable[Any]) -> list[dict[str, Any]]:
    """What pydantic says of each kind of value that a setting may have, as one sentence."""
    places: dict[tuple[Any, ...], dict[str, Any]] = {}
    for detail in details:
        location = tuple(detail["loc"])
        while location and _KIND_OF_VALUE.match(str(location[-1])):
            location = location[:-1]
        if location not in places:
            places[location] = {**detail, "loc": location}
            continue
        also = detail["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
        places[location]["msg"] += f" or {also}"
    return list(places.values())


def _known_part(location: tuple[Any, ...], kind: type[Settings]) -> tuple[str, ...]:
    """The location without the union tags that pydantic puts between the keys."""
    return tuple(part for part, _ in _steps(location, kind) if part is not None)


def _class_at(kind: type[Settings], location: tuple[Any, ...]) -> type[Settings] | None:
    """The settings class in which the last key of a location stands."""
    current: list[Any] = [kind]
    for _, options in _steps(location[:-1], kind):
        current = options
    return current[0] if current and isinstance(current[0], type) else None


def _steps(
    location: tuple[Any, ...], kind: type[Settings]
) -> Iterator[tuple[str | None, list[Any]]]:
    """Each part of a location (None for a union tag) and the classes that may stand below it."""
    current: list[Any] = [kind]
    is_key_of_mapping = False
    for part in location:
        named = {str(_tag(option)): option for option in current if _tag(option) is not None}
        if is_key_of_mapping:
            is_key_of_mapping = False
            yield str(part), current
        elif isinstance(part, str) and part in named and not _has_field(current, part):
            current = [named[part]]
            yield None, current
        else:
            is_key_of_mapping = _is_mapping(current, part)
            current = _options_of_field(current, part)
            yield str(part), current


def _is_mapping(options: Iterable[Any], part: Any) -> bool:
    fields = [getattr(option, "model_fields", {}).get(part) for option in options]
    return any(field is not None and get_origin(field.annotation) is dict for field in fields)


def _tag(option: Any) -> str | None:
    fields = getattr(option, "model_fields", {})
    field = fields.get("name") or fields.get("kind")
    return field.default if field is not None and isinstance(field.default, str) else None


def _has_field(options: Iterable[Any], name: str) -> bool:
    return any(name in getattr(option, "model_fields", {}) for option in options)


def _options_of_field(options: Iterable[Any], part: Any) -> list[Any]:
    found: list[Any] = []
    for option in options:
        if isinstance(part, int):
            found.append(option)
        elif part in getattr(option, "model_fields", {}):
            found.extend(_settings_in(option.model_fields[part].annotation))
    return found


def _settings_in(annotation: Any) -> list[Any]:
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        return [annotation]
    if get_origin(annotation) in (Union, types.UnionType, Annotated, tuple, list, dict):
        return [inner for argument in get_args(annotation) for inner in _settings_in(argument)]
    return []


def _place(key: tuple[str, ...], origins: _Origins) -> str:
    for length in range(len(key), 0, -1):
        if key[:length] in origins:
            file, line = origins[key[:length]]
            return f"{file}, line {line}: " if line is not None else f"{file} "
    return ""


def write_settings(folder: Path, settings: Settings) -> Path:
    """Write resolved settings as `settings.yaml`, ready to be given to `--config` again.

    Args:
        folder: An existing folder, usually a staged one.
        settings: What the run was made with, defaults included.
    """
    path = folder / "settings.yaml"
    path.write_text(settings_text(settings), encoding="utf-8")
    return path


def settings_text(settings: Settings) -> str:
    """Settings as YAML, defaults included, in the order in which they are declared."""
    return yaml.safe_dump(settings.as_json(), sort_keys=False)
