"""The nightly job asks for what the real command line knows, and loses no study on the way."""

from __future__ import annotations

import fcntl
import re
import shutil
from pathlib import Path

import pytest

from tests.e2e.spoken import Stage, understood

pytestmark = pytest.mark.skipif(shutil.which("flock") is None, reason="there is no flock")

UIDS = ("1.2.840.1.111", "1.2.840.1.222", "1.2.840.1.333")
ARCHIVE = r"""
out=$(sed 's/.*--out \([^ ]*\).*/\1/' <<<"$*")
case "$1 $2" in
"pacs find") printf '[\n {\n  "StudyInstanceUID": "%s",\n  "StudyDate": "x"\n }' UIDS ;;
"pacs get") [[ "$*" != *"$NO_GET"* ]] || exit 5; mkdir -p "$out" ;;
"batch infer")
    mkdir -p "$out/studies/000001-aa" "$out/studies/000002-bb"; exit "${BATCH_CODE:-0}" ;;
"pacs send") [[ "$*" != *"$NO_SEND"* ]] || exit 5 ;;
esac
exit "${CODE:-0}"
""".replace("UIDS", " ".join(UIDS))
"""A program that does what a day with three studies would do; some of it may be refused."""

REFUSE_NOTHING = {"NO_GET": "no such word", "NO_SEND": "no such word"}
SETTINGS = {"SOURCE": "pacs", "MODEL": "nlm", "DAY": "20260131", **REFUSE_NOTHING}


@pytest.fixture
def stage(tmp_path):
    return Stage(tmp_path, {"ctdenoise": ARCHIVE})


def run(stage, **variables):
    """Run the job once; gives its code and the commands that it called."""
    stage.said.unlink(missing_ok=True)
    done = stage.run("nightly_pacs.sh", stage.folder / "night", **{**SETTINGS, **variables})
    return done.returncode, [" ".join(words[:2]) for words in stage.calls()]


def test_studies_are_found_got_denoised_and_sent_back(stage):
    code, commands = run(stage, DESTINATION="archive", PEERS="peers.yaml", BATCH="--workers 2")
    assert code == 0, (stage.folder / "night" / "log").read_text()
    assert commands == ["pacs find", *["pacs get"] * 3, "batch infer", *["pacs send"] * 2]
    calls = [understood(words) for words in stage.calls()]
    assert calls[0]["peer"] == "pacs"
    assert calls[0]["modality"] == "CT"
    assert calls[0]["date"] == "20260131"
    assert [call["study"] for call in calls[1:4]] == list(UIDS)
    assert calls[4]["options"].below.name == "studies"
    assert calls[4]["options"].workers == 2
    assert "checks.on_error=stop" in calls[4]["overrides"]
    assert {call["to"] for call in calls[5:]} == {"archive"}
    assert {call["config"] for call in (*calls[:4], *calls[5:])} == {Path("peers.yaml")}


def test_a_day_that_is_done_is_left_alone_and_its_images_are_removed(stage):
    run(stage)
    assert run(stage) == (0, [])
    left = {path.name for path in (stage.folder / "night" / "20260131").iterdir()}
    assert left == {"found", "sent", "results", "done"}
    assert list((stage.folder / "night" / "20260131" / "results").iterdir()) == []


def test_a_study_that_could_not_be_got_is_asked_for_again(stage):
    code, commands = run(stage, NO_GET=UIDS[1])
    assert code == 5
    assert commands.count("pacs send") == 2
    code, commands = run(stage)
    assert code == 0
    assert commands == ["pacs get", "batch infer"]
    assert understood(stage.calls()[0])["study"] == UIDS[1]


def test_what_could_not_be_sent_is_sent_again_and_nothing_twice(stage):
    code, _ = run(stage, NO_SEND="000002-bb")
    assert code == 5
    code, commands = run(stage)
    assert code == 0
    assert commands == ["batch infer", "pacs send"]
    assert understood(stage.calls()[1])["study"].name == "000002-bb"


def test_studies_that_cannot_be_used_are_told_of_and_not_tried_every_night(stage):
    code, commands = run(stage, BATCH_CODE="4")
    assert code == 4
    assert commands.count("pacs send") == 2
    assert run(stage) == (0, [])


@pytest.mark.parametrize("code", ["2", "130", "143"])
def test_wrong_settings_and_signals_end_the_night_at_once(stage, code):
    assert run(stage, CODE=code) == (int(code), ["pacs find"])
    assert run(stage)[0] == 0


def test_an_archive_that_is_away_is_asked_again_the_next_night(stage):
    assert run(stage, CODE="5") == (5, ["pacs find"])
    assert run(stage)[0] == 0


def test_more_studies_than_expected_are_not_cut_off_silently(stage):
    code, commands = run(stage, MOST="3")
    assert (code, commands) == (4, ["pacs find"])
    assert "larger MOST" in (stage.folder / "night" / "log").read_text()


def test_nights_that_were_missed_are_made_up_for(stage):
    code, _ = run(stage, DAY="", DAYS="4")
    assert code == 0
    days = [understood(words)["date"] for words in stage.calls() if words[1] == "find"]
    assert len(set(days)) == 4
    assert days == sorted(days)
    assert all(re.fullmatch(r"20\d{6}", day) for day in days)


def test_two_nights_never_work_at_the_same_time(stage):
    (stage.folder / "night").mkdir()
    with (stage.folder / "night" / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert run(stage) == (75, [])
    assert run(stage)[0] == 0


def test_no_uid_is_in_the_log_or_in_a_name_and_others_can_read_nothing(stage):
    run(stage, NO_GET=UIDS[1])
    night = stage.folder / "night"
    names = [path for path in night.rglob("*") if not path.name.startswith("1.2.840")]
    assert len(names) == len(list(night.rglob("*")))
    assert "1.2.840" not in (night / "log").read_text()
    assert all(path.stat().st_mode & 0o077 == 0 for path in night.rglob("*"))
