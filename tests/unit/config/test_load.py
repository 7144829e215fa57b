from __future__ import annotations

from typing import Annotated, Literal

import pytest
import yaml
from pydantic import Field

from ctdenoise.config.base import Settings
from ctdenoise.config.dose import SimulateSettings
from ctdenoise.config.load import find_settings_file, load_settings, write_settings
from ctdenoise.config.overrides import parse_override
from ctdenoise.config.yaml_text import parse_document
from ctdenoise.errors import SettingsError


class Round(Settings):
    name: Literal["round"] = "round"
    radius_mm: float = Field(default=1.0, gt=0)


class Square(Settings):
    name: Literal["square"] = "square"
    side_mm: float = 2.0


Shape = Annotated[Round | Square, Field(discriminator="name")]


class Nested(Settings):
    size: int = 64
    rate: float = 1e-3


class Root(Settings):
    steps: int = 10
    patches: Nested = Nested()
    shape: Shape = Round()
    doses: tuple[float, ...] = (0.5,)
    title: str = "x"


def write(folder, text, name="a.yaml"):
    path = folder / name
    path.write_text(text)
    return path


def test_defaults_file_and_overrides_are_applied_in_that_order(tmp_path):
    path = write(tmp_path, "steps: 20\npatches:\n  size: 32\n")
    settings = load_settings(Root, path, ["patches.rate=1e-4", "doses=[0.25, 0.1]"])
    assert settings.steps == 20
    assert settings.patches == Nested(size=32, rate=1e-4)
    assert settings.doses == (0.25, 0.1)


def test_a_file_extends_another(tmp_path):
    write(tmp_path, "steps: 20\npatches:\n  size: 32\n  rate: 0.5\n", "base.yaml")
    path = write(tmp_path, "extends: base\npatches:\n  size: 48\n")
    settings = load_settings(Root, path)
    assert (settings.steps, settings.patches.size, settings.patches.rate) == (20, 48, 0.5)


def test_a_file_that_extends_itself_is_refused(tmp_path):
    write(tmp_path, "extends: b\n", "a.yaml")
    write(tmp_path, "extends: a\n", "b.yaml")
    with pytest.raises(SettingsError, match="extends itself"):
        load_settings(Root, tmp_path / "a.yaml")


def test_an_unknown_key_is_refused_with_file_line_and_suggestion(tmp_path):
    path = write(tmp_path, "steps: 20\npatches:\n  size: 32\n  raet: 0.5\n")
    with pytest.raises(SettingsError) as caught:
        load_settings(Root, path)
    message = str(caught.value)
    assert f"{path}, line 4" in message
    assert "unknown key `patches.raet`; did you mean `rate`?" in message


def test_an_unknown_key_in_a_chosen_kind_names_the_keys_of_that_kind(tmp_path):
    path = write(tmp_path, "shape:\n  name: square\n  radius_mm: 3\n")
    with pytest.raises(SettingsError) as caught:
        load_settings(Root, path)
    assert "unknown key `shape.radius_mm`" in str(caught.value)
    assert "side_mm" in str(caught.value)
    assert "line 3" in str(caught.value)


def test_every_problem_is_reported_at_once(tmp_path):
    path = write(tmp_path, "step: 1\nshape:\n  name: round\n  radius_mm: -1\npatches:\n  size: x\n")
    with pytest.raises(SettingsError) as caught:
        load_settings(Root, path)
    message = str(caught.value)
    assert "3 settings are wrong" in message
    for part in ("`step`", "line 1", "shape.radius_mm", "line 4", "patches.size", "line 6"):
        assert part in message


def test_a_wrong_override_says_that_it_came_from_the_command_line():
    with pytest.raises(SettingsError, match="--set unknown key `stesp`; did you mean `steps`"):
        load_settings(Root, None, ["stesp=3"])


@pytest.mark.parametrize("value", ["-3", "[1]", "nan"])
def test_a_setting_of_several_kinds_of_value_is_wrong_once(value):
    with pytest.raises(SettingsError) as caught:
        load_settings(SimulateSettings, None, [f"photons={value}"])
    assert "1 setting is wrong" in str(caught.value)
    assert "--set `photons`: Input should be 'auto' or " in str(caught.value)


def test_a_wrong_list_from_the_command_line_is_not_blamed_on_the_file(tmp_path):
    path = write(tmp_path, "doses: [0.5, 0.25]\n")
    with pytest.raises(SettingsError) as caught:
        load_settings(Root, path, ["doses=[0.5, x]"])
    assert "line" not in str(caught.value)
    assert "--set `doses.1`" in str(caught.value)


@pytest.mark.parametrize("text", ["steps", "=3", "a..b=3", ".a=1"])
def test_a_malformed_override_is_refused(text):
    with pytest.raises(SettingsError, match="key=value"):
        parse_override(text)


def test_another_kind_replaces_the_group_whole(tmp_path):
    path = write(tmp_path, "shape:\n  name: round\n  radius_mm: 3\n")
    settings = load_settings(Root, path, ["shape.name=square"])
    assert settings.shape == Square()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("1.5e3", 1500.0),
        ("12", 12),
        ("-3", -3),
        (".5", 0.5),
        ("on", "on"),
        ("yes", "yes"),
        ("true", True),
        ("null", None),
        ("1:30", "1:30"),
        ("0x1F", "0x1F"),
        ("2026-01-02", "2026-01-02"),
        ('"012"', "012"),
        ("0", 0),
        ("0.5", 0.5),
    ],
)
def test_scalars_mean_what_they_say(text, value):
    parsed = parse_document(f"a: {text}\n", name="x").values["a"]
    assert parsed == value
    assert type(parsed) is type(value)


def test_a_number_with_a_leading_zero_is_refused_with_its_line():
    with pytest.raises(SettingsError, match="line 2: 012 starts with a zero"):
        parse_document("a: 1\nb: 012\n", name="x")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: 1\na: 2\n", "line 2: a is set twice"),
        ("- 1\n", "line 1: settings are a list"),
        ("a: [1\n", "not YAML"),
        ("a: !!python/object:os.system x\n", "not YAML"),
    ],
)
def test_text_that_is_no_settings_file_is_refused(text, words):
    with pytest.raises(SettingsError, match=words):
        parse_document(text, name="x")


def test_an_empty_file_means_the_defaults(tmp_path):
    assert load_settings(Root, write(tmp_path, "")) == Root()


def test_settings_that_were_written_are_read_back_the_same(tmp_path):
    settings = Root(steps=3, shape=Square(side_mm=5.0), doses=(0.5, 0.25))
    path = write_settings(tmp_path, settings)
    assert load_settings(Root, path) == settings
    assert yaml.safe_load(path.read_text())["shape"] == {"name": "square", "side_mm": 5.0}


def test_a_settings_file_that_does_not_exist_lists_the_ready_ones():
    with pytest.raises(SettingsError) as caught:
        find_settings_file("train", "redcn")
    assert "Did you mean redcnn?" in str(caught.value)


def test_settings_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        Root().steps = 3
