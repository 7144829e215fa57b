"""The list of networks fits a terminal, and other programs can read it."""

from __future__ import annotations

import json

from rich.console import Console

from ctdenoise.cli import console
from ctdenoise.cli.networks import networks
from ctdenoise.networks.catalogue import EVERY


def test_the_table_fits_80_columns_with_a_line_for_each_network(monkeypatch, capsys):
    narrow = Console(highlight=False, width=80, force_terminal=True, color_system=None)
    monkeypatch.setattr(console, "STDOUT", narrow)
    networks()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 + len(EVERY)
    assert max(map(len, lines)) <= 80
    for line, (settings, source) in zip(lines[2:], EVERY, strict=True):
        assert line.startswith(settings.name)
        assert line.rstrip().endswith(source.cited)


def test_json_has_every_network_with_its_whole_reference(capsys):
    networks(json=True)
    found = json.loads(capsys.readouterr().out)
    assert [one["network"]["name"] for one in found] == [settings.name for settings, _ in EVERY]
    assert found[0]["parameters"] == 1_848_865
    assert found[0]["source"] == "Chen et al., IEEE TMI 36(12):2524, 2017"
    assert all(one["source"] and one["operations"] >= 0 for one in found)


def test_json_says_which_networks_can_see_neighbouring_slices(capsys):
    networks(json=True)
    found = json.loads(capsys.readouterr().out)
    several = {one["network"]["name"] for one in found if one["most_slices"] > 1}
    assert several == {one["network"]["name"] for one in found if "slices" in one["network"]}
    assert {"redcnn", "unet"} <= several
