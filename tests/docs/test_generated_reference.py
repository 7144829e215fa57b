"""Generated pages speak words: no type of the language shows through."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from ctdenoise.config.base import Settings
from ctdenoise.config.model_card import ModelCard
from tests.docs.test_code_blocks import SETTINGS

PLACE = Path(__file__).parents[2] / "docs" / "_ext" / "generated_reference.py"


@pytest.fixture(scope="module")
def generated():
    spec = importlib.util.spec_from_file_location("generated_reference", PLACE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


KINDS = {**{command: kind for command, (kind, _) in SETTINGS.items()}, "models add": ModelCard}


@pytest.mark.parametrize("command", KINDS)
def test_every_type_of_a_setting_is_told_in_words(command, generated):
    kind = KINDS[command]
    text = "\n".join(generated.table_of(group, key) for key, group in generated.groups_of(kind))
    assert "<class" not in text
    assert "typing." not in text
    assert "pathlib" not in text
    assert "Undefined" not in text


def test_a_path_is_a_path_and_an_unknown_type_stops_the_build(generated):
    class Odd(Settings):
        """Odd."""

        file: Path | None = None
        """A file."""

    class Strange(Settings):
        """Strange."""

        number: complex = 1j
        """No word for it."""

    assert "| path or null |" in generated.table_of(Odd, "")
    with pytest.raises(KeyError):
        generated.table_of(Strange, "")
