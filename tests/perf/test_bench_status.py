"""The benchmark of the status page, on a small ledger."""

from __future__ import annotations

from tests.perf import bench_status


def test_it_measures_every_page(capsys):
    bench_status.main(["--jobs", "50", "--files", "3", "--last", "2", "--repeats", "3"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[2:9]][:-1] == list(bench_status.PAGES)
    assert all(float(line.split()[-2]) > 0 for line in lines[2:])
