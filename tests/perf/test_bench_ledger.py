"""The benchmark of the ledger, on a small one."""

from __future__ import annotations

from tests.perf import bench_ledger


def test_it_measures_every_step(capsys):
    bench_ledger.main(["--jobs", "60", "--instances", "2", "--repeats", "3"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("60 jobs of 2 instances")
    steps = {line[:24].strip() for line in lines[2:]}
    assert {"add", "claim", "move", "counts", "backup", "opening with the check"} <= steps
