"""Pages from templates."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Environment


def rendered(template: str, **values: object) -> str:
    """The HTML text of a page.

    Args:
        template: File name in the folder of templates.
        values: What the template names; a missing one is an error.
    """
    return _environment().get_template(template).render(values)


@cache
def _environment() -> Environment:
    """What reads the templates, once for all pages of a process."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["typographic"] = typographic
    return environment


def typographic(text: str) -> str:
    """Text with true minus signs before numbers; not for keys and commands."""
    return re.sub(r"(^|[ \[])-(?=\d)", "\\1\N{MINUS SIGN}", text)
