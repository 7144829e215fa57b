"""`ctdenoise serve` as people use it: a study explained, and rules that are read again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
import yaml
from pydantic import ValidationError

from ctdenoise.errors import UsageError
from tests.pacs.sent_studies import make_study
from tests.pacs.serve_process import serving, until
from tests.pacs.serving import rules, serve_once, settings


def test_a_study_is_explained_and_nothing_is_done(tmp_path):
    study = make_study(tmp_path / "sent", "told", slices=2, size=32)
    file = tmp_path / "serve.yaml"
    file.write_text(yaml.safe_dump(settings().as_json()))
    command = [sys.executable, "-m", "ctdenoise", "serve", "--config", str(file)]
    run = subprocess.run(
        [*command, "--explain", str(study.folder)],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    lines = run.stdout.splitlines()
    assert lines[0].endswith("(CT, 2 slices): denoised by identity, strength 1, sent to here")
    assert lines[1] == "  soft: fits"
    assert lines[2].endswith("(CT, 2 slices): left alone: a sharp kernel")
    assert lines[3:] == ["  soft: kernel is 'B70f', not B30f", "  sharp: fits"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["sent", "serve.yaml"]


def test_a_model_that_is_not_there_is_named_once_and_with_what_to_do(tmp_path):
    absent = str(tmp_path / "absent.ckpt")
    with pytest.raises(UsageError) as caught:
        serve_once(tmp_path / "state", rules=rules("here", model=absent))
    told = str(caught.value).splitlines()
    assert (
        told[0] == f"rules: a model of the rules cannot be used: {absent}: there is no such model."
    )
    assert len(told) == 2


def test_a_rule_that_sends_to_nobody_is_told_by_its_name():
    with pytest.raises(ValidationError, match="rule 'soft' sends to nobody, which `peers` does"):
        settings(rules=rules("nobody"))


def test_rules_are_read_again_when_the_server_is_told_to(tmp_path):
    values = settings(receiver={"port": 0}).as_json()
    tmp_path.chmod(0o700)
    with serving(tmp_path, values) as state:
        values["rules"] = [*rules("here"), {"name": "rest", "skip": "nothing else"}]
        (tmp_path / "serve.yaml").write_text(yaml.safe_dump(values))
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGHUP)
        until(lambda: "3 rules are in force" in (tmp_path / "says").read_text())
        assert "rules-changed" in (state / "audit.jsonl").read_text()
        values["rules"] = rules("here", model=str(tmp_path / "absent.ckpt"))
        (tmp_path / "serve.yaml").write_text(yaml.safe_dump(values))
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGHUP)
        until(lambda: "the rules stay as they were: a model" in (tmp_path / "says").read_text())
        assert (state / "audit.jsonl").read_text().count("rules-changed") == 1
