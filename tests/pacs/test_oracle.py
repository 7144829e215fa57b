"""The judge of the fault tests sees what is lost, comes twice or is half: each planted here."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from dicomweb_client.api import DICOMwebClient
from pydicom import dcmread
from pydicom.dataset import Dataset
from requests.exceptions import HTTPError

from tests.dicom.builders import uid
from tests.pacs.bad_line import Fault, bad_line
from tests.pacs.destination import destination
from tests.pacs.oracle import examine_destination, examine_files, examine_inbox
from tests.pacs.recording import Behaviour
from tests.pacs.senders import by_pynetdicom
from tests.pacs.sent_studies import SentStudy, make_study


@pytest.fixture
def studies(tmp_path: Path) -> list[SentStudy]:
    fates = ("wanted", "unwanted")
    return [make_study(tmp_path / "sent", name, fates=fates, slices=3) for name in ("one", "two")]


def derived(study: SentStudy, folder: Path) -> list[Path]:
    """What a right service makes of a study, as files."""
    folder.mkdir(exist_ok=True)
    made = []
    for series in study.of("wanted"):
        for instance in series.instances:
            data_set = dcmread(instance.path)
            item = Dataset()
            item.ReferencedSOPInstanceUID = data_set.SOPInstanceUID
            data_set.SourceImageSequence = [item]
            data_set.SOPInstanceUID = uid("derived", instance.uid)
            data_set.file_meta.MediaStorageSOPInstanceUID = data_set.SOPInstanceUID
            data_set.SeriesInstanceUID = uid("derived series", series.uid)
            made.append(folder / f"{len(made)}-{study.name}.dcm")
            data_set.save_as(made[-1])
    return made


def edited(path: Path, **values: object) -> None:
    data_set = dcmread(path)
    for keyword, value in values.items():
        setattr(data_set, keyword, value)
    data_set.save_as(path)


def no_fault(files: list[Path], two: SentStudy) -> None:
    pass


def lost(files: list[Path], two: SentStudy) -> None:
    files.pop()


def made_twice(files: list[Path], two: SentStudy) -> None:
    other = files[0].with_name("again.dcm")
    other.write_bytes(files[0].read_bytes())
    edited(other, SOPInstanceUID=uid("another"))
    files.append(other)


def other_pixels(files: list[Path], two: SentStudy) -> None:
    edited(files[1], PixelData=bytes(64 * 64 * 2))


def two_series(files: list[Path], two: SentStudy) -> None:
    edited(files[1], SeriesInstanceUID=uid("another series"))


def of_a_refused_study(files: list[Path], two: SentStudy) -> None:
    files += derived(two, files[0].parent)


def sent_as_it_is(files: list[Path], two: SentStudy) -> None:
    files.append(two.of("wanted")[0].instances[0].path)


def short_of_pixels(files: list[Path], two: SentStudy) -> None:
    edited(files[1], PixelData=bytes(64 * 32 * 2))


@pytest.mark.parametrize(
    ("plant", "words"),
    [
        (no_fault, None),
        (lost, "0 instances were derived from slice"),
        (made_twice, "2 instances were derived from slice"),
        (other_pixels, "has other pixels"),
        (two_series, "2 derived series"),
        (of_a_refused_study, "of a study that was refused"),
        (sent_as_it_is, "made of nothing that was to be processed"),
        (short_of_pixels, "bytes of pixels"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_planted_fault_at_the_destination_is_found(tmp_path, studies, plant, words):
    one, two = studies
    files = derived(one, tmp_path / "made")
    plant(files, two)
    kept = {str(dcmread(path).SOPInstanceUID): path for path in files}
    found = examine_destination(kept, [], processed=[one], refused=[two])
    assert found.instances == len(files)
    if words is None:
        assert found.problems == ()
    else:
        assert words in " ".join(found.problems)


def test_what_comes_twice_over_the_wire_is_counted_and_compared(tmp_path, studies):
    one, _ = studies
    files = derived(one, tmp_path / "made")
    with destination(tmp_path / "destination") as place:
        by_pynetdicom(files, place.port)
        by_pynetdicom(files[:2], place.port)
        same = examine_destination(place.kept(), place.deliveries(), processed=[one])
        edited(files[0], SeriesDescription="Other")
        by_pynetdicom(files[:1], place.port)
        other = examine_destination(place.kept(), place.deliveries(), processed=[one])
    assert (same.problems, same.twice) == ((), 2)
    assert other.twice == 3
    assert "2 different contents" in " ".join(other.problems)


def test_an_archive_of_the_web_keeps_counts_and_fails_as_it_is_told(tmp_path, studies):
    one, _ = studies
    files = derived(one, tmp_path / "made")
    with destination(tmp_path / "destination", "web") as place:
        client = DICOMwebClient(f"http://127.0.0.1:{place.port}")
        client.set_http_retry_params(retry=False)
        place.behave(Behaviour(reject="busy"))
        with pytest.raises(HTTPError, match="503"):
            client.store_instances([dcmread(path) for path in files])
        place.behave(Behaviour(statuses=((1, 0xA700),)))
        answer = client.store_instances([dcmread(path) for path in files])
        assert [len(answer[key].value) for key in ("00081199", "00081198")] == [2, 1]
        client.store_instances([dcmread(path) for path in files[:2]])
        assert len(client.search_for_instances(study_instance_uid=one.uid)) == 3
        account = examine_destination(place.kept(), place.deliveries(), processed=[one])
    assert (account.problems, account.twice) == ((), 1)


@pytest.mark.parametrize("kept_before", [True, False], ids=["kept", "not kept"])
def test_a_destination_that_dies_in_the_middle_is_sent_to_again(tmp_path, studies, kept_before):
    one, _ = studies
    files = derived(one, tmp_path / "made")
    with destination(tmp_path / "destination") as place:
        place.behave(Behaviour(die_at=1, die_before_keeping=not kept_before))
        told = by_pynetdicom(files, place.port)
        place.gone()
        assert [item.status for item in told] == [0, None]
        place.start()
        by_pynetdicom(files[1:], place.port)
        found = examine_destination(place.kept(), place.deliveries(), processed=[one])
    assert (found.problems, found.twice) == ((), int(kept_before))


def test_a_destination_rejects_aborts_and_fails_as_it_is_told(tmp_path, studies):
    one, _ = studies
    files = derived(one, tmp_path / "made")
    with destination(tmp_path / "destination") as place:
        for reject in ("calling", "called", "busy"):
            place.behave(Behaviour(reject=reject))
            assert by_pynetdicom(files, place.port) == []
        place.behave(Behaviour(statuses=((1, 0xA700),)))
        assert [item.status for item in by_pynetdicom(files, place.port)] == [0, 0xA700, 0]
        place.behave(Behaviour(abort_at=1))
        assert [item.status for item in by_pynetdicom(files, place.port)] == [0, None]


@pytest.mark.parametrize("kind", ["cut", "freeze"])
def test_a_line_breaks_where_it_is_told_to(tmp_path, studies, kind):
    one, _ = studies
    files = derived(one, tmp_path / "made")
    with destination(tmp_path / "destination") as place, bad_line(place.port) as line:
        assert len(by_pynetdicom(files, line.port)) == 3
        line.break_by(Fault(kind, after=12_000))
        told: list[int | None] = []
        thread = threading.Thread(
            target=lambda: told.extend(item.status for item in by_pynetdicom(files, line.port))
        )
        thread.start()
        assert line.happened.acquire(timeout=60)
        if kind == "freeze":
            line.close()
        thread.join(60)
    assert told == [0, None]


def test_partial_names_and_halves_in_the_state_folder_are_found(tmp_path, studies):
    inbox = tmp_path / "state" / "inbox"
    for study in studies:
        for path in study.paths:
            place = inbox / study.name / f"{path.parent.name}-{path.name}"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(path.read_bytes())
    assert examine_files(tmp_path / "state") == []
    assert examine_inbox(inbox, studies) == []
    half = inbox / "one" / "series1-0001.dcm"
    half.write_bytes(half.read_bytes()[:3000])
    (inbox / "two" / "series1-0002.dcm").unlink()
    (inbox / ".x.part").write_bytes(b"")
    assert len(examine_files(tmp_path / "state")) == 2
    assert len(examine_inbox(inbox, studies)) == 2
