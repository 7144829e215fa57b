"""What the docs say many studies need is what the script computes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ctdenoise.config.networks import RedCnnSettings
from ctdenoise.networks.build import build_network
from tests.perf import capacity

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "explanation" / "capacity.md"


def test_every_table_is_on_the_page_as_it_is_printed():
    page = PAGE.read_text(encoding="utf-8")
    lines = [line for line in capacity.report(capacity.Plan()) if line.startswith("|")]
    assert len(lines) > 30
    assert [line for line in lines if line not in page] == []


def test_every_source_is_a_page():
    pages = {
        one.source for one in capacity.FIGURES.values() if one.source and " " not in one.source
    }
    assert all((ROOT / "docs" / "validation" / f"{page}.md").is_file() for page in pages)


def test_figures_stand_on_the_pages_that_they_are_from():
    speed = (ROOT / "docs" / "validation" / "inference_speed.md").read_text(encoding="utf-8")
    assert "| **ours, Winograd float32 (default)** | **0.668** | 1.32 |" in speed
    assert "| **infer, compact network** | **0.086** | 0.165 |" in speed
    assert "| compact | 300 | 0.56 | 27.7 | 3.6 | 1.5 | 33.5 |" in speed
    assert "PyTorch needed 3.5 s for a slice then, 5.4 s now" in speed
    simulator = (ROOT / "docs" / "validation" / "simulator_speed.md").read_text(encoding="utf-8")
    assert "| 300 | 9.3 | 15.2 | 653 |" in simulator
    writing = (ROOT / "docs" / "validation" / "dicom_writing.md").read_text(encoding="utf-8")
    assert "| `explicit` | 3.1 | 3.2 | 158 | 1.00 |" in writing
    assert "| `jpeg-ls` | 6.5 | 6.5 | 56 | 0.35 |" in writing


def test_the_operations_of_a_slice_are_those_of_the_network():
    """Counted layer by layer on the network itself, at a size that takes a moment."""
    network, size, counted = build_network(RedCnnSettings()), 64, []

    def count(layer, given, made):
        image = given[0] if isinstance(layer, torch.nn.ConvTranspose2d) else made
        counted.append(2 * image.shape[-1] * image.shape[-2] * layer.weight.numel())

    kinds = (torch.nn.Conv2d, torch.nn.ConvTranspose2d)
    for layer in network.modules():
        if isinstance(layer, kinds):
            layer.register_forward_hook(count)
    with torch.inference_mode():
        network(torch.zeros(1, 1, size, size))
    assert sum(counted) / 1e9 == pytest.approx(capacity.gflop_of_redcnn(size), rel=1e-9)


def test_other_assumptions_give_other_numbers(capsys):
    capacity.main(["--studies", "1000", "--slices", "150", "--machines", "2", "--cores", "8"])
    half = capsys.readouterr().out
    assert "1,000 studies of 150 slices" in half
    assert "days on 2 x 8 cores" in half
    plan = capacity.Plan()
    assert capacity.Plan(slices=150).core_hours("redcnn") == pytest.approx(
        plan.core_hours("redcnn") / 2
    )
