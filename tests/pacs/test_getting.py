"""What is got is what was listed, whole, under names of our own, whatever the peer sends."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.sop_class import (
    CTImageStorage,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
)

from ctdenoise.errors import OutputExistsError, PeerRefused, PeerUnavailable
from ctdenoise.io import staging
from ctdenoise.pacs.inbox import instance_key
from ctdenoise.pacs.matches import Wanted
from ctdenoise.pacs.retrieving import retrieve
from tests.dicom.builders import ct_series, marked_volume, uid
from tests.pacs.listening import AT_ONCE, SERVER_LEAVES_SOCKETS, TellsWaits, peer_at, series
from tests.pacs.web_answers import Asked, Reply, web_server

pytestmark = SERVER_LEAVES_SOCKETS

STUDY = Wanted(study_instance_uid=uid("study"))


@pytest.fixture
def datasets() -> list[Dataset]:
    return ct_series(marked_volume(slices=5, size=(24, 24)))


@contextmanager
def archive(
    datasets: list[Dataset],
    send: Callable[[list[Dataset], evt.Event], Iterator[tuple[int, Dataset | None]]],
    *,
    extra: int = 0,
):
    """An archive that lists all of the instances and sends what a function says.

    Args:
        datasets: What it lists.
        send: Gives statuses and data sets of a C-GET from what was asked for.
        extra: How many more than that it announces.
    """
    ae = AE(ae_title="ANY")
    ae.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
    ae.add_supported_context(StudyRootQueryRetrieveInformationModelGet)
    ae.add_supported_context(CTImageStorage, scu_role=True, scp_role=True)

    def finds(event: evt.Event):
        level = event.identifier.QueryRetrieveLevel
        key = {"STUDY": "StudyInstanceUID", "SERIES": "SeriesInstanceUID"}.get(
            level, "SOPInstanceUID"
        )
        for dataset in {dataset[key].value: dataset for dataset in datasets}.values():
            found = Dataset()
            for name in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID"):
                if name in event.identifier:
                    setattr(found, name, dataset[name].value)
            found.QueryRetrieveLevel = level
            yield 0xFF00, found

    def gets(event: evt.Event):
        asked = event.identifier.SOPInstanceUID
        uids = [asked] if isinstance(asked, str) else list(asked)
        chosen = [dataset for dataset in datasets if dataset.SOPInstanceUID in uids]
        yield len(chosen) + extra
        yield from send(chosen, event)

    handlers = [(evt.EVT_C_FIND, finds), (evt.EVT_C_GET, gets)]
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    try:
        yield peer_at(server.server_address[1])
    finally:
        server.shutdown()


def sent(dataset: Dataset) -> Dataset:
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return dataset


def everything(chosen, event):
    for dataset in chosen:
        yield 0xFF00, sent(dataset)


def got(folder: Path) -> dict[str, bytes]:
    return {str(dcmread(p).SOPInstanceUID): dcmread(p).PixelData for p in folder.iterdir()}


def expected(datasets: list[Dataset]) -> dict[str, bytes]:
    return {str(dataset.SOPInstanceUID): dataset.PixelData for dataset in datasets}


def test_a_study_is_got_into_files_named_by_digests(datasets, tmp_path):
    with archive(datasets, everything) as peer:
        report = retrieve(peer, STUDY, tmp_path / "out")
    assert report.instances == 5
    assert got(tmp_path / "out") == expected(datasets)
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {f"{instance_key(one)}.dcm" for one in expected(datasets)}


def test_what_was_lost_on_the_way_is_asked_for_again_and_nothing_else(datasets, tmp_path):
    asked = []

    def breaks_off(chosen, event):
        asked.append(len(chosen))
        for dataset in chosen[:2] if len(asked) == 1 else chosen:
            yield 0xFF00, sent(dataset)
        if len(asked) == 1:
            event.assoc.abort()
            yield 0xA702, None

    clock = TellsWaits()
    with archive(datasets, breaks_off) as peer:
        report = retrieve(peer, STUDY, tmp_path / "out", retry=AT_ONCE, clock=clock)
    assert asked == [5, 3]
    assert (report.instances, report.failures, clock.waits) == (5, 1, [1.0])
    assert got(tmp_path / "out") == expected(datasets)


def test_less_than_was_listed_is_no_success_and_leaves_nothing(datasets, tmp_path):
    def forgets(chosen, event):
        for dataset in chosen[1:]:
            yield 0xFF00, sent(dataset)

    with (
        archive(datasets, forgets) as peer,
        pytest.raises(PeerUnavailable, match="1 of the instances that it lists did not come"),
    ):
        retrieve(peer, STUDY, tmp_path / "out", retry=AT_ONCE, clock=TellsWaits())
    assert list(tmp_path.iterdir()) == []


def test_what_nobody_asked_for_is_not_kept(datasets, tmp_path):
    stranger = ct_series(marked_volume(slices=1), series="77")[0]

    def adds(chosen, event):
        yield 0xFF00, sent(stranger)
        yield from everything(chosen, event)

    with archive(datasets, adds, extra=1) as peer:
        retrieve(peer, STUDY, tmp_path / "out")
    assert got(tmp_path / "out") == expected(datasets)


def test_an_instance_larger_than_allowed_ends_it_before_the_disk_is_full(datasets, tmp_path):
    datasets[1].PixelData = bytes(2_000_000)
    with archive(datasets, everything) as peer:
        small = peer.replaced(most_instance_mb=1)
        with pytest.raises(PeerRefused, match="more than 1048576 bytes"):
            retrieve(small, STUDY, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("status", "kind"), [(0xA701, PeerUnavailable), (0xA900, PeerRefused), (0xC001, PeerRefused)]
)
def test_what_the_archive_answers_is_told_apart(datasets, tmp_path, status, kind):
    def fails(chosen, event):
        yield status, None

    with archive(datasets, fails) as peer, pytest.raises(kind, match=f"0x{status:04X}"):
        retrieve(peer, STUDY, tmp_path / "out", retry=AT_ONCE, clock=TellsWaits())


def test_an_archive_that_does_not_come_to_an_end_is_left(datasets, tmp_path):
    def endless(chosen, event):
        while True:
            yield 0xFF00, sent(datasets[0])

    with (
        archive(datasets[:1], endless, extra=60_000) as peer,
        pytest.raises(PeerRefused, match="does not come to an end"),
    ):
        retrieve(peer, STUDY, tmp_path / "out")


def test_a_study_that_is_not_there_is_told(tmp_path):
    with archive([], everything) as peer, pytest.raises(PeerRefused, match="nothing that fits"):
        retrieve(peer, STUDY, tmp_path / "out")


def test_an_output_that_is_taken_is_refused_before_anybody_is_asked(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("mine")
    with pytest.raises(OutputExistsError):
        retrieve(peer_at(1), STUDY, tmp_path / "out")


def test_what_a_killed_run_got_is_gone_on_with(datasets, tmp_path):
    stage = tmp_path / f".ctdenoise-partial-999999999.{staging._machine()}-abcdef01-out"
    files = series(tmp_path / "had", slices=5, size=24)
    stage.mkdir()
    uids = [str(dataset.SOPInstanceUID) for dataset in datasets]
    (stage / f"{instance_key(uids[0])}.dcm").write_bytes(files[0].read_bytes())
    (stage / f"{instance_key(uids[1])}.dcm").write_bytes(files[1].read_bytes()[:-50])
    (stage / "something.part").write_bytes(b"x")
    asked = []

    def counts(chosen, event):
        asked.append([str(dataset.SOPInstanceUID) for dataset in chosen])
        yield from everything(chosen, event)

    with archive(datasets, counts) as peer:
        report = retrieve(peer, STUDY, tmp_path / "out")
    assert asked == [uids[1:]]
    assert (report.instances, report.kept) == (5, 1)
    assert got(tmp_path / "out") == expected(datasets)


def web_archive(files: list[Path], body: Callable[[Asked, list[bytes]], Reply]):
    """Answers of a web archive that lists some files."""
    headers = [dcmread(path, stop_before_pixels=True) for path in files]
    data = {
        str(h.SOPInstanceUID): path.read_bytes() for h, path in zip(headers, files, strict=True)
    }
    names = {"0020000D": "StudyInstanceUID", "0020000E": "SeriesInstanceUID",
             "00080018": "SOPInstanceUID", "00080016": "SOPClassUID"}  # fmt: skip

    def answer(asked: Asked) -> Reply:
        path, _, query = asked.path.partition("?")
        if query:
            items = [
                {tag: {"vr": "UI", "Value": [str(h[name].value)]} for tag, name in names.items()}
                for h in headers
            ]
            key = "00080018" if path.endswith("instances") else "0020000E"
            unique = {item[key]["Value"][0]: item for item in items}
            return Reply(200, json.dumps(list(unique.values())).encode())
        one = re.search(r"/instances/([\d.]+)$", path)
        return body(asked, [data[one[1]]] if one else list(data.values()))

    return answer


def multipart(parts: list[bytes], *, end: bytes = b"\r\n--XX--\r\n") -> Reply:
    body = b"".join(b"\r\n--XX\r\nContent-Type: application/dicom\r\n\r\n" + p for p in parts)
    return Reply(200, body + end, 'multipart/related; type="application/dicom"; boundary=XX')


def test_a_study_is_got_by_wado_and_preambles_are_emptied(tmp_path):
    files = series(tmp_path / "files")
    for path in files:
        path.write_bytes(b"MZ" + path.read_bytes()[2:])
    with web_server(web_archive(files, lambda _, parts: multipart(parts))) as (peer, _):
        report = retrieve(peer, STUDY, tmp_path / "out")
    assert report.instances == 4
    back = sorted(path.read_bytes()[128:] for path in (tmp_path / "out").iterdir())
    assert back == sorted(path.read_bytes()[128:] for path in files)
    assert {path.read_bytes()[:128] for path in (tmp_path / "out").iterdir()} == {bytes(128)}


def test_an_answer_that_breaks_off_is_completed_one_by_one(tmp_path):
    files, first = series(tmp_path / "files", slices=6), []

    def breaks_off(asked: Asked, parts: list[bytes]) -> Reply:
        first.append(asked.path)
        if len(first) > 1:
            return multipart(parts)
        whole = multipart(parts)
        cut = whole.body[: len(whole.body) * 3 // 4]
        return Reply(200, cut, whole.kind, length=len(whole.body))

    with web_server(web_archive(files, breaks_off)) as (peer, _):
        report = retrieve(peer, STUDY, tmp_path / "out", retry=AT_ONCE, clock=TellsWaits())
    assert (report.instances, report.failures) == (6, 1)
    assert len(first) == 1 + 2
    assert all("/instances/" in path for path in first[1:])


@pytest.mark.parametrize(
    "change",
    [
        lambda parts: multipart([b"no DICOM at all" for _ in parts]),
        lambda parts: multipart(parts, end=b""),
        lambda _: multipart([b"x"] * 3000),
        lambda parts: multipart([one + bytes(3_000_000) for one in parts]),
        lambda _: Reply(200, b"\r\n--XX\r\n" + b"h" * 20_000, multipart([]).kind),
        lambda _: Reply(200, b"[]"),
        lambda _: multipart([]),
    ],
    ids=["no-dicom", "no-end", "too-many", "too-large", "head", "json", "none"],
)
def test_answers_that_are_not_whole_leave_nothing_behind(tmp_path, change):
    files = series(tmp_path / "files")
    answers = web_archive(files, lambda _, parts: change(parts))
    with (
        web_server(answers, most_instance_mb=1) as (peer, _),
        pytest.raises((PeerRefused, PeerUnavailable)),
    ):
        retrieve(peer, STUDY, tmp_path / "out", retry=AT_ONCE, clock=TellsWaits())
    assert [path.name for path in tmp_path.iterdir()] == ["files"]
