"""The benchmark of inference runs, on slices and networks small enough for a test."""

from __future__ import annotations

import pytest
import torch

from tests.perf import bench_infer, bench_infer_study


def test_it_measures_every_program_that_is_installed_and_they_agree():
    before = torch.get_num_threads()
    try:
        found = bench_infer.main(
            ["--size", "64", "--channels", "4", "--rounds", "2", "--threads", "1", "--no-bm3d"]
        )
    finally:
        torch.set_num_threads(before)
    rows = {line.split("|")[1].strip(): line.split("|") for line in found.splitlines()[2:]}
    assert {bench_infer.EAGER, "infer, RED-CNN, default", "infer, NLM"} <= set(rows)
    assert sum(name.startswith("ours, ") for name in rows) == len(bench_infer.OURS)
    assert float(rows[bench_infer.EAGER][4].rstrip("x ")) == 1
    for name, row in rows.items():
        if name != bench_infer.EAGER and row[6].strip() and "bf16" not in name:
            assert float(row[6].split("/")[1]) < 0.05


@pytest.mark.slow
def test_whole_studies_are_measured_stage_by_stage():
    found = bench_infer_study.main(["--slices", "3", "--size", "48", "--channels", "4"])
    rows = [line.split("|") for line in found.splitlines()[2:]]
    assert [row[2].strip() for row in rows] == ["network", "identity"]
    for row in rows:
        whole, denoise = float(row[3]), float(row[5])
        assert 0 <= denoise < whole
        assert 0.05 < float(row[9]) < 8


@pytest.mark.parametrize(
    ("text", "idle"),
    [("0\n0\n100\n50\n0\n90\n0\n", 0.4), ("0\n0\n", None), ("[N/A]\n", None)],
    ids=["partly", "never", "unknown"],
)
def test_a_gpu_is_idle_between_its_first_and_last_work(text, idle):
    assert bench_infer_study.idle_share(text) == (None if idle is None else pytest.approx(idle))
