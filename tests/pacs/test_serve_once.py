"""Studies through the server in one process: what is made, kept, refused, sent, and never twice."""

from __future__ import annotations

import json

import pytest

from ctdenoise.errors import PeerRefused, PeerUnavailable, UsageError
from ctdenoise.io.dicom_file import read_header
from ctdenoise.io.manifest import manifest_problems
from ctdenoise.jobs.ledger import Ledger
from ctdenoise.tasks import serve_send, serve_work
from ctdenoise.tasks.serve_folder import own_folder
from tests.pacs.sent_studies import make_study
from tests.pacs.serving import Destination, arrive, jobs, rules, serve_once, statuses, willing


@pytest.fixture
def destination(monkeypatch):
    found = Destination()
    monkeypatch.setattr(serve_send, "send", found.send)
    return found


@pytest.fixture
def ledger_of():
    """The ledger of a server that is not running, for a person who leads a job back."""
    return Ledger.open


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return make_study(tmp_path_factory.mktemp("sent"), "one", fates=("wanted", "unwanted"))


def test_a_study_is_made_and_sent_once(tmp_path, study, destination):
    state = tmp_path / "state"
    arrive(state, study.paths)
    report = serve_once(state)
    (job,) = jobs(state)
    assert (job.state, job.reason, report.counts["done"]) == ("done", "", 1)
    assert statuses(job) == ["done", "skipped"]
    assert job.result["series"][1]["reason"] == "a sharp kernel"
    wanted = study.of("wanted")[0].instances
    assert len(set(destination.uids)) == len(destination.uids) == len(wanted)
    assert manifest_problems(state / "results" / job.id / "001") == []
    assert sorted(p.name for p in (state / "thumbnails" / job.id).iterdir()) == [
        "1-after.png",
        "1-before.png",
    ]
    assert list((state / "work").iterdir()) in ([], [state / "work" / "temporary"])
    serve_once(state)
    assert len(jobs(state)) == 1
    assert len(destination.uids) == len(wanted)


def test_a_study_that_no_rule_wants_is_refused_with_that_reason(tmp_path, study, destination):
    state = tmp_path / "state"
    arrive(state, study.paths)
    head = [{"name": "head", "when": {"body_part": "HEAD"}, "do": {"model": "identity"}}]
    serve_once(state, rules=head)
    (job,) = jobs(state)
    assert (job.state, job.reason) == ("refused", "no rule wants it: 2 series, none fits")
    assert destination.uids == []


def test_a_study_is_done_although_one_of_its_series_is_refused(tmp_path, destination):
    study = make_study(tmp_path / "sent", "mixed", fates=("unfit", "wanted"))
    state = tmp_path / "state"
    arrive(state, study.paths)
    serve_once(state)
    (job,) = jobs(state)
    assert job.state == "done"
    assert statuses(job) == ["refused", "done"]
    assert "Rescale" in job.result["series"][0]["reason"]
    assert len(destination.uids) == len(study.of("wanted")[0].instances)


def test_what_cannot_be_used_is_refused_with_its_reason(tmp_path, destination):
    study = make_study(tmp_path / "sent", "unfit", fates=("unfit",))
    state = tmp_path / "state"
    arrive(state, study.paths)
    serve_once(state)
    (job,) = jobs(state)
    assert job.state == "refused"
    assert "Rescale" in job.reason
    assert study.paths[0].name not in job.reason


def test_a_result_that_fails_its_checks_is_refused_and_not_sent(tmp_path, study, destination):
    state = tmp_path / "state"
    arrive(state, study.paths)
    strict = {"drift": {"soft": {"warning": 1e-9, "error": 1e-9}}, "standard_errors": 0}
    serve_once(state, rules=rules("here", model="gaussian", checks=strict))
    (job,) = jobs(state)
    assert (job.state, destination.uids) == ("refused", [])
    assert "not fit for use" in job.reason
    assert not list((state / "results").glob("*/001"))


def test_what_ctdenoise_derived_is_never_worked_on(tmp_path, study, destination):
    state = tmp_path / "state"
    arrive(state, study.paths)
    everything = [{"name": "all", "do": {"model": "identity"}}]
    serve_once(state, rules=everything)
    (job,) = jobs(state)
    derived = sorted((state / "results" / job.id / "001" / "dicom").iterdir())
    changed = tmp_path / "changed"
    changed.mkdir()
    for path in derived:  # an archive may write another description
        (changed / path.name).write_bytes(path.read_bytes())
    again = tmp_path / "again"
    arrive(again, derived)
    serve_once(again, rules=everything)
    (job,) = jobs(again)
    assert job.state == "refused"
    assert "derived series of ctdenoise" in job.result["series"][0]["reason"]


def test_series_that_were_made_are_kept_when_more_of_the_study_comes(tmp_path, destination):
    study = make_study(tmp_path / "sent", "late", fates=("wanted", "wanted"))
    first, second = (series.instances for series in study.series)
    state = tmp_path / "state"
    arrive(state, [one.path for one in first])
    serve_once(state)
    arrive(state, [one.path for one in (*first, *second)])
    serve_once(state)
    early, late = jobs(state)
    assert (early.state, late.state) == ("done", "done")
    assert statuses(early) == ["done"]
    assert statuses(late) == ["kept", "done"]
    assert len(set(destination.uids)) == len(destination.uids) == len(first) + len(second)


def test_a_few_slices_that_come_again_after_the_inbox_was_cleared_change_nothing(
    tmp_path, study, destination
):
    state = tmp_path / "state"
    arrive(state, study.paths)
    kept_for = {"inbox_days": 0, "results_days": 0}
    serve_once(state, retention=kept_for)
    assert [p.name for p in (state / "inbox").iterdir() if not p.name.startswith(".")] == []
    sent = list(destination.uids)
    arrive(state, study.paths[:3])
    serve_once(state, retention=kept_for)
    assert len(jobs(state)) == 1
    arrive(state, study.paths)
    serve_once(state)
    assert [job.state for job in jobs(state)] == ["done", "done"]
    assert destination.uids == sent


def test_an_instance_that_comes_again_with_other_bytes_waits_for_a_person(
    tmp_path, study, destination
):
    state = tmp_path / "state"
    forged = tmp_path / "forged.dcm"
    data = bytearray(study.paths[0].read_bytes())
    data[-1] ^= 1
    forged.write_bytes(data)
    arrive(state, [*study.paths, forged])
    serve_once(state)
    (job,) = jobs(state)
    assert job.state == "refused"
    assert job.reason.startswith("1 instance came again with other contents")
    assert destination.uids == []


def test_a_peer_that_is_down_is_tried_again_and_then_given_up(tmp_path, study, destination):
    state = tmp_path / "state"
    arrive(state, study.paths)

    def unavailable(number):
        if number == 3:
            raise PeerUnavailable("nobody answers.")

    destination.before = unavailable
    serve_once(state)
    (job,) = jobs(state)
    # Each attempt confirmed three more, so it counts as the first; then nothing was left to fail.
    assert job.state == "done"
    assert destination.attempts == 3
    assert len(set(destination.uids)) == len(destination.uids) == 8


def test_a_peer_that_confirms_nothing_is_given_up_after_its_tries(tmp_path, study, destination):
    state = tmp_path / "state"
    arrive(state, study.paths)

    def unavailable(number):
        raise PeerUnavailable("nobody answers.")

    destination.before = unavailable
    report = serve_once(state)
    (job,) = jobs(state)
    assert (job.state, job.reason) == ("dead-letter", "here: nobody answers (try 2)")
    assert (report.counts["dead-letter"], destination.attempts) == (1, 2)


def test_a_refusal_is_not_tried_again_and_a_person_can_send_it_later(
    tmp_path, study, destination, ledger_of
):
    state = tmp_path / "state"
    arrive(state, study.paths)

    def refused(number):
        raise PeerRefused("our AE title is not known.")

    destination.before = refused
    serve_once(state)
    (job,) = jobs(state)
    assert (job.state, destination.attempts) == ("dead-letter", 1)
    destination.before = willing
    with ledger_of(state) as ledger:
        assert ledger.retry(job.id).state == "made"
    serve_once(state)
    assert jobs(state)[0].state == "done"
    assert len(destination.uids) == 8


def test_a_destination_that_is_down_does_not_hold_up_another(tmp_path, study, monkeypatch):
    state = tmp_path / "state"
    arrive(state, study.paths)
    up = Destination()

    def send(files, peer, **rest):
        if peer.port == 1:
            raise PeerUnavailable("nobody answers.")
        return up.send(files, peer, **rest)

    monkeypatch.setattr(serve_send, "send", send)
    peers = {
        name: {"kind": "dimse", "host": "127.0.0.1", "port": port, "ae_title": "X"}
        for name, port in (("down", 1), ("up", 2))
    }
    serve_once(state, peers=peers, rules=rules("down", "up"))
    (job,) = jobs(state)
    assert (job.state, job.reason) == ("dead-letter", "down: nobody answers (try 2)")
    assert (len(up.uids), up.attempts) == (8, 1)


def test_a_result_that_was_changed_on_the_disk_is_not_sent(tmp_path, study, destination, ledger_of):
    state = tmp_path / "state"
    arrive(state, study.paths)

    def refused(number):
        raise PeerRefused("no.")

    destination.before = refused
    serve_once(state)
    (job,) = jobs(state)
    path = next((state / "results" / job.id / "001" / "dicom").iterdir())
    path.write_bytes(path.read_bytes() + b"\0\0")
    with ledger_of(state) as ledger:
        ledger.retry(job.id)
    destination.before = willing
    serve_once(state)
    assert jobs(state)[0].state == "dead-letter"
    assert "not as they were written" in jobs(state)[0].reason
    assert destination.uids == []


def test_work_that_fails_is_tried_again_and_gives_the_same_bytes(
    tmp_path, study, destination, monkeypatch
):
    state = tmp_path / "state"
    arrive(state, study.paths)
    calls = []

    def fails_once(*args, **kwargs):
        calls.append(1)
        if len(calls) == 1:
            raise RuntimeError("Marker^Someone")
        return infer_run(*args, **kwargs)

    infer_run = serve_work.infer.run
    monkeypatch.setattr(serve_work.infer, "run", fails_once)
    serve_once(state)
    (job,) = jobs(state)
    assert job.state == "done"
    with Ledger.open(state, read_only=True) as ledger:
        told = " ".join(move.reason for move in ledger.history(job.id))
    assert "unexpected RuntimeError" in told
    assert "Marker" not in told


def test_what_can_never_work_is_refused_before_anything_is_begun(tmp_path):
    with pytest.raises(UsageError, match="no rule"):
        serve_once(tmp_path / "state", rules=[])
    with pytest.raises(UsageError, match="model of the rules cannot be used"):
        serve_once(tmp_path / "state", rules=rules("here", model=str(tmp_path / "absent.ckpt")))
    with pytest.raises(ValueError, match="sends to nowhere"):
        serve_once(tmp_path / "state", rules=rules("nowhere"))


def test_one_server_at_a_time_has_a_state_folder(tmp_path):
    with own_folder(tmp_path / "state"), pytest.raises(UsageError, match="another server"):
        serve_once(tmp_path / "state")


def test_the_audit_trail_says_what_was_done_and_names_nobody(tmp_path, study, destination):
    state = tmp_path / "state"
    arrive(state, study.paths)
    serve_once(state)
    text = (state / "audit.jsonl").read_text()
    events = [json.loads(line)["event"] for line in text.splitlines()]
    assert events == ["started", "received", "made", "sent", "stopped"]
    for path in study.paths[:1]:
        header = read_header(path).dataset
        for name in ("PatientName", "PatientID", "AccessionNumber", "StudyInstanceUID"):
            assert str(header[name].value) not in text


def test_a_server_whose_rules_were_changed_starts_and_the_audit_trail_has_both(
    tmp_path, study, destination
):
    state = tmp_path / "state"
    arrive(state, study.paths)
    serve_once(state, rules=[{"name": "none", "skip": "nothing is wanted"}])
    serve_once(state)
    lines = [json.loads(line) for line in (state / "audit.jsonl").read_text().splitlines()]
    (changed,) = [line for line in lines if line["event"] == "rules-changed"]
    first, second = [line["rules"] for line in lines if line["event"] == "started"]
    assert (changed["rules_before"], changed["rules"]) == (first, second)
    assert first != second
