"""What is printed for people."""

from __future__ import annotations

import pytest

from ctdenoise.cli import console
from ctdenoise.cli.app import app
from ctdenoise.cli.failure import guarded


@pytest.mark.parametrize(
    ("after", "before", "text"),
    [(60.0, 100.0, " (-40 %)"), (99.9, 100.0, " (+0 %)"), (None, 100.0, ""), (1.0, 0.0, "")],
)
def test_a_change_is_a_whole_percentage_and_nothing_is_never_minus_nothing(after, before, text):
    assert console.share(after, before) == text


@pytest.mark.parametrize(
    ("command", "words"),
    [("deidentify", "faces are not removed"), ("check", "exit code 1"), ("inspect", "exit code 3")],
)
def test_the_help_of_a_command_says_what_one_must_know_before(command, words, capsys):
    guarded(app, [command, "--help"])
    assert words in " ".join(capsys.readouterr().out.split())
    guarded(app, ["--help"])
    assert words not in " ".join(capsys.readouterr().out.split())


def test_a_stopped_command_says_so_and_ends_with_130(monkeypatch, capsys, tmp_path):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("ctdenoise.tasks.inspect.run", stop)
    assert guarded(app, ["inspect", str(tmp_path)]) == 130
    assert "Stopped" in capsys.readouterr().err
