"""The benchmark of inference runs, on slices and networks small enough for a test."""

from __future__ import annotations

import torch

from tests.perf import bench_infer


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
    assert float(rows[bench_infer.EAGER][5].rstrip("x ")) == 1
    for name, row in rows.items():
        if name != bench_infer.EAGER and row[7].strip() and "bf16" not in name:
            assert float(row[7].split("/")[1]) < 0.05
