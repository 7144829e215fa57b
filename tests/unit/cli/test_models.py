"""`ctdenoise models` fits a terminal, and its commands work as they are typed."""

from __future__ import annotations

import json

import pytest
from rich.console import Console

from ctdenoise.cli import console
from ctdenoise.cli.models import list_models, show_model
from ctdenoise.networks.released import ENVIRONMENT
from tests.e2e.commands import ctdenoise
from tests.released_folder import release


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A folder with two released models, which the environment names; the package has none."""
    monkeypatch.setattr("ctdenoise.networks.released.packaged_folder", lambda: tmp_path / "none")
    monkeypatch.setenv(ENVIRONMENT, str(tmp_path / "models"))
    summary = "A small network that is long on words, so that they take more than a line of 80."
    release(tmp_path / "models", strength=0.75, summary=summary)
    release(tmp_path / "models", "other", limits=["Not for heads."])
    return tmp_path / "models"


@pytest.fixture(params=[80, 120])
def width(request, monkeypatch):
    """A terminal of that many columns."""
    narrow = Console(highlight=False, width=request.param, force_terminal=True, color_system=None)
    monkeypatch.setattr(console, "STDOUT", narrow)
    return request.param


def test_the_list_fits_a_terminal(width, capsys):
    list_models(speed=False)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    assert "fast 1.0, which infer takes here unless told otherwise" in text
    assert "0.75 recommended" in text
    assert "noise 5 to 60 HU" in text
    assert text.index("fast 1.0") < text.index("other 1.0")


def test_the_speed_on_this_machine_is_measured(capsys):
    list_models(json=True)
    fast, other = json.loads(capsys.readouterr().out)
    assert (fast["name"], other["name"]) == ("fast", "other")
    assert 0 < fast["seconds_per_slice"] < 60
    assert "cpu" in fast["engine"]
    assert fast["card"]["strength"] == 0.75


def test_a_card_fits_a_terminal(width, capsys):
    show_model("other")
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= width
    assert "Not for heads." in "\n".join(lines)


def test_a_card_is_markdown_in_a_file_and_json_for_programs(capsys):
    show_model("released:other", markdown=True)
    assert capsys.readouterr().out.startswith("# other\n\nA small network for tests.\n")
    show_model("other", json=True)
    assert json.loads(capsys.readouterr().out)["limits"] == ["Not for heads."]


def test_the_commands_are_found(folder, tmp_path):
    listed = ctdenoise("models", "--no-speed", "--json")
    assert [one["name"] for one in json.loads(listed.stdout)] == ["fast", "other"]
    made = ctdenoise(
        *("models", "add", folder / "fast.safetensors", "--name", "third"),
        *("--into", tmp_path / "own", "--strength", "0.5"),
    )
    assert made.code == 0, made.stderr
    assert "its card lacks" in made.stdout
    shown = ctdenoise("models", "show", "absent")
    assert shown.code == 3
    assert "Released models: fast, " in shown.stderr
