"""The measurement of `batch` itself works."""

from __future__ import annotations

import sys

import pytest

from tests.perf.bench_batch import main

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="worker processes need Linux")


def test_the_pace_of_a_batch_is_measured(capsys):
    pytest.importorskip("distributed")
    main(["--studies", "4", "--slices", "2", "--size", "32", "--model", "gaussian", "--tiny", "20"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == 'tiny units,where,seconds,"memory grew by, MB"'
    assert [line.split(",")[:2] for line in lines[5:]] == [
        ["processes", "1"],
        ["processes", "2"],
        ["processes", "two against one"],
        ["dask", "1"],
        ["dask", "2"],
        ["dask", "two against one"],
    ]
