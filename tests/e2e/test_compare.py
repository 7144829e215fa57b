"""Training and comparing by the real command line, on a phantom."""

from __future__ import annotations

import json

from tests.e2e.commands import ctdenoise


def test_a_network_that_was_trained_on_the_test_is_compared_with_a_warning(model, pair, tmp_path):
    out = tmp_path / "page"
    done = ctdenoise(
        *("compare", model, model / "model.safetensors", "--on", pair, "--out", out),
        *("--names", "folder", "file", "--notes", "a run", "a file", "--set", "slices=2"),
        *("--set", "threads=1"),
    )
    assert done.code == 0, done.stderr
    assert "TRAINED ON A TEST PATIENT" in " ".join(done.stdout.split())
    record = json.loads((out / "comparison.json").read_text())
    one, other = (
        {metric["key"]: metric["value"] for metric in row["metrics"]}
        for row in record["conditions"][0]["rows"][1:]
    )
    assert one == other
    assert record["rows"][1]["training"]["steps"] == 6
    assert (out / "index.html").stat().st_size > 10_000


def test_models_are_asked_for(pair, tmp_path):
    done = ctdenoise("compare", "--on", pair, "--out", tmp_path / "page")
    assert done.code == 2
    assert "no model" in done.stderr
