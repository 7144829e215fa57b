"""A study that cannot be read, sent or found any more stops no other, and can be mended."""

from __future__ import annotations

import pytest

from ctdenoise.errors import PeerRefused
from ctdenoise.io.manifest import manifest_problems
from ctdenoise.jobs.ledger import Ledger
from ctdenoise.pacs.arrivals import Arrivals
from ctdenoise.pacs.inbox import Inbox
from ctdenoise.tasks import serve_intake, serve_send
from tests.pacs.sent_studies import make_study
from tests.pacs.serving import Destination, arrive, jobs, serve_once, settings, willing


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
    return make_study(tmp_path_factory.mktemp("sent"), "one", fates=("wanted",))


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    return make_study(tmp_path_factory.mktemp("other"), "two", fates=("wanted",))


def refused(number: int) -> None:
    raise PeerRefused("no.")


def test_a_file_that_is_gone_before_its_study_is_a_job_refuses_that_study_until_it_comes_again(
    tmp_path, study, other, destination
):
    state = tmp_path / "state"
    arrive(state, study.paths)
    inbox = Inbox(state / "inbox", settings().inbox)
    now = [0.0]
    arrivals = Arrivals(inbox, clock=lambda: now[0])
    now[0] = 1e6
    (offered,) = arrivals.due()  # the server dies here, and somebody removes a file
    offered.files[0].unlink()
    arrive(state, other.paths)
    serve_once(state)
    first, second = sorted(jobs(state), key=lambda job: job.study != offered.study)
    assert (first.state, second.state) == ("refused", "done")
    assert "1 file of it is gone" in first.reason
    arrive(state, study.paths)
    serve_once(state)
    assert [job.state for job in jobs(state)].count("done") == 2


def test_a_file_that_the_disk_does_not_give_back_ends_no_server(
    tmp_path, study, other, destination, monkeypatch
):
    state = tmp_path / "state"
    arrive(state, [*study.paths, *other.paths])
    bad = min((state / "inbox").glob("*/*.dcm"))
    meta_of = serve_intake.meta_of

    def broken(file):
        if file.name == str(bad):
            raise OSError(5, "Input/output error")
        return meta_of(file)

    monkeypatch.setattr(serve_intake, "meta_of", broken)
    serve_once(state)
    assert sorted(job.state for job in jobs(state)) == ["done", "refused"]


def test_an_error_that_nobody_foresaw_while_sending_ends_no_server(tmp_path, study, destination):
    state = tmp_path / "state"
    arrive(state, study.paths)

    def surprising(number: int) -> None:
        raise ValueError("Marker^Someone")

    destination.before = surprising
    report = serve_once(state)
    assert report.counts["dead-letter"] == 1
    (job,) = jobs(state)
    assert "unexpected ValueError" in job.reason
    assert "Marker" not in job.reason


@pytest.mark.parametrize("harm", ["changed", "removed"])
def test_a_result_that_was_damaged_is_made_again_when_a_person_wants_it(
    tmp_path, study, destination, ledger_of, harm
):
    state = tmp_path / "state"
    arrive(state, study.paths)
    destination.before = refused
    serve_once(state)
    (job,) = jobs(state)
    place = state / "results" / job.id / "001"
    if harm == "changed":
        path = next((place / "dicom").iterdir())
        path.write_bytes(path.read_bytes() + b"\0\0")
    else:
        (place / "manifest.json").unlink()
    destination.before = willing
    with ledger_of(state) as ledger:
        ledger.retry(job.id)
    serve_once(state)
    assert jobs(state)[0].state == "dead-letter"
    assert destination.uids == []
    with ledger_of(state) as ledger:
        ledger.retry(job.id)
    serve_once(state)
    assert jobs(state)[0].state == "done"
    assert manifest_problems(place) == []
    assert len(set(destination.uids)) == len(destination.uids) == len(study.paths)
