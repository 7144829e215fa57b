"""Passwords and tokens: settings say where they are, never what they are."""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path
from typing import Any, Self

from pydantic import model_validator
from pydantic_core import PydanticCustomError

from ctdenoise.config.base import Settings
from ctdenoise.errors import SettingsError

UNSHOWN = "unshown"
"""Type of what is wrong with a setting whose value no message may repeat."""

_log = logging.getLogger(__name__)

_NAME = re.compile(r"[A-Z_][A-Z0-9_]{0,63}")
_MOST_BYTES = 65_536
_OTHERS = 0o077


def unshown(problem: str) -> PydanticCustomError:
    """What is wrong with a setting that may hold a secret: the message does not show the value.

    Args:
        problem: What is wrong, without the value and without braces.
    """
    return PydanticCustomError(UNSHOWN, problem)


class SecretSettings(Settings):
    """Where a password or a token is kept: in an environment variable or in a file, not here."""

    env: str | None = None
    """Name of an environment variable, in capital letters."""

    file: Path | None = None
    """A file that holds it and nothing else; the end of the line does not count."""

    @model_validator(mode="before")
    @classmethod
    def _is_not_the_secret_itself(cls, values: Any) -> Any:
        if isinstance(values, cls):
            return values
        if not isinstance(values, dict):
            raise unshown("is not written here: say `env: NAME` or `file: PATH`")
        name = values.get("env")
        if name is not None and not (isinstance(name, str) and _NAME.fullmatch(name)):
            raise unshown("`env` is the name of a variable: capital letters, digits, underscores")
        return values

    @model_validator(mode="after")
    def _is_said_once(self) -> Self:
        if (self.env is None) == (self.file is None):
            raise ValueError("give one of `env` and `file`")
        return self

    def read(self) -> str:
        """The secret.

        Raises:
            SettingsError: If it is not where the settings say, or is empty.
        """
        if self.env is not None:
            text, where = os.environ.get(self.env, ""), f"environment variable {self.env}"
        else:
            text, where = _first_bytes(self.file), str(self.file)
        text = text.rstrip("\r\n")
        if not text or not text.isprintable():
            raise SettingsError(
                "there is no password or token, or it has characters that cannot be sent.",
                where=where,
                fix="Put it there, and nothing else.",
            )
        return text


def _first_bytes(path: Path | None) -> str:
    if path is None:
        return ""
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_mode & _OTHERS:
                _log.warning("others can read the secret in %s: chmod 600 closes it to them", path)
            return file.read(_MOST_BYTES).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            "the password or token cannot be read.", where=path, fix="Check the file and its mode."
        ) from error
