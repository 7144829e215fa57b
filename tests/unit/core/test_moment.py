"""What is made is dated by the moment that was told, wherever and whenever it is made."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from ctdenoise.core.moment import dated, moment_of, told_moment
from ctdenoise.io.dicom_derivation import run_moment

TOLD = datetime(2026, 3, 1, 23, 30, 5, tzinfo=timezone(timedelta(hours=2)))


def test_a_moment_holds_inside_its_block_and_comes_before_all_others(monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000")
    with dated(TOLD):
        assert told_moment() == TOLD
        assert run_moment(posix_s=5) == TOLD
        assert run_moment("-0500").strftime("%Y%m%d%H%M%S%z") == "20260301163005-0500"
    assert told_moment() is None
    assert run_moment() == datetime.fromtimestamp(1000, UTC)


def test_a_second_is_a_moment_with_an_offset(monkeypatch):
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    moment = moment_of(1_780_000_000.75)
    assert moment.timestamp() == 1_780_000_000
    assert moment.utcoffset() is not None
