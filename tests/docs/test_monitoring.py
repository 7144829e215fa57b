"""The guide and the alert rules name the metrics that there are, and no others."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from ctdenoise.jobs.exposition import LedgerFacts, ServiceMetrics
from tests.status_service import facts

ROOT = Path(__file__).parents[2]
RULES = ROOT / "pipelines" / "prometheus" / "alerts.yaml"
GUIDE = ROOT / "docs" / "how_to" / "monitor.md"
EXPECTED = Path(__file__).parent / "alerts_expected.yaml"


def samples() -> set[str]:
    """Names of everything that is told, but what the library adds of its own."""
    metrics = ServiceMetrics("1.2.3", destinations=("archive",))
    metrics.received("CT1", size_bytes=1)
    text = metrics.text(facts(), LedgerFacts({}, None, None, is_writable=True), now=0.0).decode()
    names = {one.name for family in text_string_to_metric_families(text) for one in family.samples}
    return {name for name in names if name.startswith("ctdenoise_") and "_created" not in name}


def rules() -> list[dict]:
    (group,) = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return group["rules"]


def test_the_guide_explains_every_metric():
    told = {re.sub("_(bucket|count|sum)$", "", name) for name in samples()}
    explained = set(re.findall(r"`(ctdenoise_[a-z_]+)`", GUIDE.read_text(encoding="utf-8")))
    assert explained == told


def test_the_guide_names_every_alert():
    named = re.findall(r"^\| (Ctdenoise\w+) \|", GUIDE.read_text(encoding="utf-8"), re.MULTILINE)
    assert named == [rule["alert"] for rule in rules()]


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_a_rule_is_about_what_is_told_and_says_what_to_do(rule):
    assert set(re.findall(r"\bctdenoise_[a-z_]+\b", rule["expr"])) <= samples()
    assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
    assert set(rule["annotations"]) == {"summary", "action"}
    assert rule["labels"]["severity"] in {"page", "ticket"}


def promtool(*words: str) -> subprocess.CompletedProcess[str]:
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("promtool is not installed (Debian package prometheus)")
    return subprocess.run([program, *words], capture_output=True, text=True, check=False)


def test_prometheus_accepts_the_rules():
    done = promtool("check", "rules", str(RULES))
    assert done.returncode == 0, done.stdout + done.stderr


def test_alerts_go_off_when_they_should():
    done = promtool("test", "rules", str(EXPECTED))
    assert done.returncode == 0, done.stdout + done.stderr
