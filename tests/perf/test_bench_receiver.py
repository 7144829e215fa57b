"""The measurement of the receiver runs, small."""

from __future__ import annotations

import pytest

from tests.perf import bench_receiver


def test_the_receiver_is_measured(tmp_path, capsys: pytest.CaptureFixture[str]) -> None:
    small = ["--instances", "4", "--rounds", "1", "--senders", "1", "2"]
    bench_receiver.main([*small, "--receivers", "ours, durable", "--folder", str(tmp_path)])
    lines = capsys.readouterr().out.splitlines()
    assert [line[:35].split()[:3] for line in lines[1:]] == [
        ["ours,", "durable", "1"],
        ["ours,", "durable", "2"],
    ]
    assert not list(tmp_path.iterdir())
