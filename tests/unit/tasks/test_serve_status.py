"""What the endpoint of the service answers, and what it keeps to itself."""

from __future__ import annotations

import http.client
import json
import shlex
import time
from collections.abc import Iterator
from http import HTTPStatus

import pytest
from pydicom.dataset import Dataset, FileMetaDataset

from ctdenoise.config.http import HttpSettings
from ctdenoise.errors import OutputError
from ctdenoise.jobs.facts import DestinationFacts, EntranceFacts
from ctdenoise.tasks.serve_status import not_ready_because
from tests.status_service import HOSTILE, Service, facts, made_series, served, service_in

TOKEN = "a-token-of-some-length"  # noqa: S105 - of these tests
PATIENT = ("Mustermann^Max", "PID-4711", "20261103")


@pytest.fixture
def service(tmp_path) -> Iterator[Service]:
    with service_in(tmp_path / "state of it") as filled:
        yield filled


def got(endpoint, path, **fields) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", endpoint.port, timeout=60)
    try:
        connection.request("GET", path, headers=fields)
        answer = connection.getresponse()
        return answer.status, answer.read().decode("utf-8", "replace")
    finally:
        connection.close()


def guarded(tmp_path, **changed) -> HttpSettings:
    file = tmp_path / "token"
    file.write_text(TOKEN)
    return HttpSettings(port=0, token_file=file, **changed)


SHOWN = {"Authorization": f"Bearer {TOKEN}"}


def test_a_living_service_says_so(service):
    with served(service) as endpoint:
        status, text = got(endpoint, "/health")
    assert status == HTTPStatus.OK
    told = json.loads(text)
    assert told["status"] == "alive"
    assert told["uptime_s"] == 93_784.0


def test_a_service_that_does_its_work_is_ready(service):
    with served(service) as endpoint:
        assert got(endpoint, "/ready") == (200, '{\n  "status": "ready",\n  "reasons": []\n}\n')


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"disk_free_bytes": 10**9}, "1.0 GB are free"),
        ({"is_dispatching": False}, "dispatcher"),
        ({"is_draining": True}, "stopping"),
        (
            {"entrances": (EntranceFacts("receiver", is_open=False, problem="Port taken."),)},
            "receiver is closed. Port taken.",
        ),
    ],
    ids=["disk", "dispatcher", "draining", "receiver"],
)
def test_a_service_that_does_not_is_not_and_says_why(service, changed, words):
    with served(service, known=lambda: facts(**changed)) as endpoint:
        status, text = got(endpoint, "/ready")
        page = got(endpoint, "/")[1]
    assert status == HTTPStatus.SERVICE_UNAVAILABLE
    assert words in json.loads(text)["reasons"][0]
    assert "Not ready" in page
    assert words in page


def test_a_ledger_that_cannot_be_written_is_told_while_it_can_be_read(service, monkeypatch):
    def refuse(key, value):
        raise OutputError("the disk is full.")

    monkeypatch.setattr(service.ledger, "note", refuse)
    with served(service) as endpoint:
        status, text = got(endpoint, "/ready")
        assert got(endpoint, "/")[0] == HTTPStatus.OK
    assert status == HTTPStatus.SERVICE_UNAVAILABLE
    assert json.loads(text)["reasons"] == ["The ledger cannot be written."]


def test_a_destination_that_fails_makes_nothing_unready():
    """It is tried again, and meanwhile studies are received and made."""
    failing = DestinationFacts("archive", "dimse", last_failure=time.time())
    with_failing = facts(destinations=(failing,))
    ledger = type("Known", (), {"is_writable": True})
    assert failing.is_failing
    assert not_ready_because(with_failing, ledger) == ()


def test_without_the_token_one_word_is_told(service, tmp_path):
    with served(service, guarded(tmp_path)) as endpoint:
        assert got(endpoint, "/health") == (200, "alive\n")
        assert got(endpoint, "/ready") == (200, "ready\n")
        for path in ("/", "/metrics", "/jobs/a", "/thumbnails/a/1-before.png"):
            assert got(endpoint, path)[0] == HTTPStatus.UNAUTHORIZED
        assert got(endpoint, "/", **SHOWN)[0] == HTTPStatus.OK


def test_metrics_say_what_the_ledger_says(service):
    service.job(1, "done")
    service.job(2, "ready")
    with served(service) as endpoint:
        status, text = got(endpoint, "/metrics")
    assert status == HTTPStatus.OK
    assert 'ctdenoise_jobs{state="done"} 1.0\n' in text
    assert 'ctdenoise_jobs{state="ready"} 1.0\n' in text
    assert "ctdenoise_ledger_writable 1.0\n" in text


def test_what_failed_is_shown_with_its_reason_and_what_to_do(service):
    id_ = service.job(1, "dead-letter", reason="the peer archive does not answer")
    command = f"ctdenoise jobs retry {shlex.quote(str(service.folder))}"
    with served(service) as endpoint:
        overview, page = got(endpoint, "/")[1], got(endpoint, f"/jobs/{id_}")[1]
    for text in (overview, page):
        assert "the peer archive does not answer" in text
        assert command.replace("'", "&#39;") in text


def test_a_result_is_shown_with_its_figures(service):
    service.job(1, "done", series=(made_series(1), made_series(2, slices=100, seconds=18.7)))
    with served(service) as endpoint:
        page = got(endpoint, "/")[1]
    for words in ("abdomen soft kernels", "redcnn-compact", "412", "1 min", "24.2", "9.9"):
        assert words in page


@pytest.mark.parametrize(
    ("arriving", "words"),
    [
        ({"arriving": 0, "arriving_instances": 0}, "nothing"),
        ({"arriving": 1, "arriving_instances": 12}, "1 study, 12 instances so far"),
        ({"arriving": 3, "arriving_instances": 4120}, "3 studies, 4,120 instances so far"),
    ],
    ids=["none", "one", "several"],
)
def test_studies_that_still_arrive_are_told_of(service, arriving, words):
    with served(service, known=lambda: facts(**arriving)) as endpoint:
        assert f"<dt>Arriving</dt><dd>{words}</dd>" in got(endpoint, "/")[1]


def test_one_state_can_be_looked_at_alone(service):
    service.job(1, "done", reason="reason of the first")
    service.job(2, "refused", reason="reason of the second")
    with served(service) as endpoint:
        page = got(endpoint, "/?state=refused")[1]
        assert got(endpoint, "/?state=lost")[0] == HTTPStatus.NOT_FOUND
    assert "reason of the second" in page
    assert "reason of the first" not in page


def test_a_table_ends_and_leads_to_more(service):
    for number in range(12):
        service.job(number, "refused", reason=f"reason-{number};")
    with served(service, HttpSettings(port=0, rows=11)) as endpoint:
        short, long = got(endpoint, "/")[1], got(endpoint, "/?state=refused")[1]
    assert short.count("reason-") == 10
    assert "/?state=refused" in short
    assert long.count("reason-") == 11
    assert "reason-11;" in long  # the newest first


def test_the_history_of_a_job_is_told(service):
    id_ = service.job(1, "ready", reason="out of memory", not_before=time.time() + 300)
    with served(service) as endpoint:
        page = got(endpoint, f"/jobs/{id_}")[1]
        assert got(endpoint, "/jobs/unknown")[0] == HTTPStatus.NOT_FOUND
    assert page.count("<tr><td") == 3  # added, begun, put back
    assert "out of memory" in page
    assert "in 4 min" in page or "in 5 min" in page


def test_everything_is_escaped(service, tmp_path):
    id_ = service.job(
        1, "refused", reason=HOSTILE, series=(made_series(1, description=HOSTILE, rule=HOSTILE),)
    )
    with served(service, guarded(tmp_path, show_descriptions=True)) as endpoint:
        pages = [got(endpoint, path, **SHOWN)[1] for path in ("/", f"/jobs/{id_}")]
    for page in pages:
        assert "<script" not in page
        assert "onerror=alert(1)>" not in page
    assert "&lt;script&gt;" in pages[1]


@pytest.mark.parametrize("is_shown", [False, True], ids=["by default", "on request"])
def test_descriptions_are_shown_on_request_alone(service, tmp_path, is_shown):
    id_ = service.job(1, "done", series=(made_series(1, description="ABD for Mr Mustermann"),))
    with served(service, guarded(tmp_path, show_descriptions=is_shown)) as endpoint:
        assert ("Mustermann" in got(endpoint, f"/jobs/{id_}", **SHOWN)[1]) is is_shown


def arrived(service: Service, study: str) -> None:
    """A file of a named patient in the inbox."""
    folder = service.folder / "inbox" / study
    folder.mkdir(parents=True)
    dataset = Dataset()
    dataset.PatientName, dataset.PatientID, dataset.StudyDate = PATIENT
    dataset.StudyDescription = "secret"
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    dataset.save_as(folder / f"{1:032x}.dcm", enforce_file_format=False, implicit_vr=False)


@pytest.mark.parametrize("is_shown", [False, True], ids=["by default", "on request"])
def test_a_patient_is_named_on_request_alone(service, tmp_path, is_shown):
    study = f"{7:032x}"
    id_ = service.job(7, "refused", study=study)
    arrived(service, study)
    with served(service, guarded(tmp_path, show_patient=is_shown)) as endpoint:
        overview, page = got(endpoint, "/", **SHOWN)[1], got(endpoint, f"/jobs/{id_}", **SHOWN)[1]
    assert [word in page for word in PATIENT] == [is_shown] * 3
    assert not any(word in overview for word in PATIENT)
    assert "secret" not in page


@pytest.mark.parametrize("study", ["../../elsewhere", "no-key", f"{9:032x}"])
def test_a_patient_who_is_not_in_the_inbox_is_not_looked_for_elsewhere(service, tmp_path, study):
    id_ = service.job(7, "refused", study=study)
    arrived(service, f"{7:032x}")
    with served(service, guarded(tmp_path, show_patient=True)) as endpoint:
        status, page = got(endpoint, f"/jobs/{id_}", **SHOWN)
    assert status == HTTPStatus.OK
    assert not any(word in page for word in PATIENT)


def test_pictures_are_served_and_nothing_else_is(service, tmp_path):
    id_ = service.job(1, "done", series=(made_series(1),))
    service.picture(id_, 1)
    folder = service.folder / "thumbnails" / id_
    secret = tmp_path / "secret.png"
    secret.write_bytes(b"secret")
    (folder / "2-before.png").symlink_to(secret)
    (folder / "3-before.png").write_bytes(b"x" * (2 << 20))
    (folder / "4-before.png").mkdir()
    with served(service) as endpoint:
        assert f"/thumbnails/{id_}/1-after.png" in got(endpoint, "/")[1]
        assert got(endpoint, f"/thumbnails/{id_}/1-before.png")[1][1:4] == "PNG"
        for name in ("2-before", "3-before", "4-before", "5-before", "1-beside", "../1-before"):
            assert got(endpoint, f"/thumbnails/{id_}/{name}.png")[0] == HTTPStatus.NOT_FOUND
        assert got(endpoint, "/thumbnails/../ledger.sqlite")[0] == HTTPStatus.NOT_FOUND


def test_pictures_can_be_left_out(service):
    id_ = service.job(1, "done", series=(made_series(1),))
    service.picture(id_, 1)
    with served(service, HttpSettings(port=0, show_thumbnails=False)) as endpoint:
        assert "/thumbnails/" not in got(endpoint, "/")[1]
        assert got(endpoint, f"/thumbnails/{id_}/1-before.png")[0] == HTTPStatus.NOT_FOUND


def test_results_of_another_version_are_shown_as_far_as_they_go(service):
    strange = {"slices": "many", "seconds": None, "model": 5, "rule": "a rule", "new": {"a": 1}}
    id_ = service.job(1, "done", series=(strange, "no mapping"))  # type: ignore[arg-type]
    with served(service) as endpoint:
        status, page = got(endpoint, f"/jobs/{id_}")
    assert status == HTTPStatus.OK
    assert "a rule" in page
