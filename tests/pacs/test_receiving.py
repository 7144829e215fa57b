"""What arrives over the network is kept, byte for byte, and only from those who may send."""

from __future__ import annotations

import stat
from pathlib import Path

import pydicom
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from ctdenoise.errors import UsageError
from ctdenoise.io.dicom_file import quiet_pydicom
from ctdenoise.io.dicom_uids import IMPLEMENTATION_CLASS_UID
from tests.dicom.builders import as_bytes, uid
from tests.dicom.zoo_cases import CASES
from tests.pacs.raw_sender import CT, VERIFICATION, RawSender, command, fragment, pdu
from tests.pacs.receiving import data_set_of, one_slice, receiving, without_meta
from tests.pacs.senders import by_dcmtk, by_pynetdicom

SYNTAXES = (
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
    RLELossless,
    JPEGLSLossless,
    JPEG2000Lossless,
)
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
DOSE_REPORT = "1.2.840.10008.5.1.4.1.1.88.67"


@pytest.mark.parametrize("syntax", SYNTAXES, ids=[syntax.name for syntax in SYNTAXES])
def test_the_data_set_on_disk_is_the_one_that_was_sent(tmp_path: Path, syntax: UID) -> None:
    dataset = one_slice(size=64)
    sent = data_set_of(dataset, syntax)
    with receiving(tmp_path) as here, RawSender(here.port) as sender:
        assert sender.associate([(CT, [syntax])], calling="SCANNER 7") == [0]
        assert sender.store(sent, dataset.SOPInstanceUID) == 0
        assert sender.release() == 6
    (kept,) = here.kept
    assert without_meta(kept.path.read_bytes()) == sent
    meta = dcmread(kept.path).file_meta
    assert meta.TransferSyntaxUID == syntax
    assert meta.MediaStorageSOPInstanceUID == dataset.SOPInstanceUID
    assert meta.SourceApplicationEntityTitle == "SCANNER 7"
    assert meta.ImplementationClassUID == IMPLEMENTATION_CLASS_UID
    assert kept.path.read_bytes()[:128] == bytes(128)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_odd_instances_are_kept_as_they_are(tmp_path: Path, case) -> None:
    (tmp_path / "zoo").mkdir()
    case.make(tmp_path / "zoo", 64)
    with receiving(tmp_path) as here, quiet_pydicom():
        for path in sorted((tmp_path / "zoo").rglob("*"))[:2]:
            if not path.is_file() or path.read_bytes()[128:132] != b"DICM":
                continue
            data_set, dataset = without_meta(path.read_bytes()), dcmread(path)
            if "SOPInstanceUID" not in dataset:
                continue
            with RawSender(here.port) as sender:
                asked = (str(dataset.SOPClassUID), [dataset.file_meta.TransferSyntaxUID])
                assert sender.associate([asked]) == [0]
                status = sender.store(data_set, dataset.SOPInstanceUID, sop_class=asked[0])
            assert status == 0
            assert without_meta(here.kept[-1].path.read_bytes()) == data_set


@pytest.mark.parametrize("program", ["storescu", "dcmsend"])
def test_a_study_sent_by_dcmtk_arrives_whole(tmp_path: Path, program: str) -> None:
    paths = []
    for index in range(6):
        paths.append(tmp_path / f"{index}.dcm")
        paths[-1].write_bytes(as_bytes(one_slice(index=index)))
    with receiving(tmp_path) as here:
        done = by_dcmtk(program, paths, here.port)
    assert done.returncode == 0, done.stderr
    (study,) = here.inbox.studies()
    assert len(here.inbox.files(study)) == 6
    by_uid = {dcmread(path).SOPInstanceUID: dcmread(path) for path in here.inbox.files(study)}
    for path in paths:
        sent = dcmread(path)
        assert by_uid[sent.SOPInstanceUID].PixelData == sent.PixelData


def test_a_study_sent_by_pynetdicom_arrives_whole(tmp_path: Path) -> None:
    paths = []
    for index in range(4):
        paths.append(tmp_path / f"{index}.dcm")
        paths[-1].write_bytes(as_bytes(one_slice(index=index)))
    with receiving(tmp_path) as here:
        assert [told.status for told in by_pynetdicom(paths, here.port)] == [0] * 4
    assert here.receiver.statistics.received == 4
    assert here.receiver.statistics.by_sender == {"SCANNER": 4}
    assert [kept.outcome for kept in here.kept] == ["new"] * 4


def test_files_and_folders_are_for_their_owner_only(tmp_path: Path) -> None:
    with receiving(tmp_path) as here, RawSender(here.port) as sender:
        sender.associate()
        sender.store(data_set_of(one_slice()), one_slice().SOPInstanceUID)
    modes = {
        stat.S_IMODE(path.stat().st_mode) for path in (here.inbox.path, *here.inbox.path.rglob("*"))
    }
    assert modes == {0o700, 0o600}
    assert stat.S_IMODE(here.kept[0].path.stat().st_mode) == 0o600


def test_the_same_again_is_a_success_and_changes_nothing(tmp_path: Path) -> None:
    dataset = one_slice()
    with receiving(tmp_path) as here, RawSender(here.port) as sender:
        sender.associate(calling="FIRST")
        assert sender.store(data_set_of(dataset), dataset.SOPInstanceUID) == 0
        before = here.kept[0].path.read_bytes()
        with RawSender(here.port) as second:
            second.associate(calling="SECOND")
            assert second.store(data_set_of(dataset), dataset.SOPInstanceUID) == 0
    assert [kept.outcome for kept in here.kept] == ["new", "again"]
    assert here.kept[0].path.read_bytes() == before
    assert here.inbox.usage().instances == 1


def test_other_bytes_under_the_same_uid_are_kept_apart(tmp_path: Path) -> None:
    first, other = one_slice(), one_slice()
    other.ContentTime = "111111"
    with receiving(tmp_path) as here, RawSender(here.port) as sender:
        sender.associate()
        assert sender.store(data_set_of(first), first.SOPInstanceUID) == 0
        for _ in range(2):
            assert sender.store(data_set_of(other), other.SOPInstanceUID) == 0
    (study,) = here.inbox.studies()
    assert [kept.outcome for kept in here.kept] == ["new", "conflict", "conflict"]
    assert without_meta(here.inbox.files(study)[0].read_bytes()) == data_set_of(first)
    (conflict,) = here.inbox.conflicts(study)
    assert without_meta(conflict.read_bytes()) == data_set_of(other)


@pytest.mark.parametrize(
    ("change", "status"),
    [
        (lambda dataset: setattr(dataset, "SOPInstanceUID", uid("another")), 0xA900),
        (lambda dataset: delattr(dataset, "StudyInstanceUID"), 0xC000),
        (lambda dataset: delattr(dataset, "SeriesInstanceUID"), 0xC000),
        (lambda dataset: delattr(dataset, "SOPInstanceUID"), 0xC000),
        (lambda dataset: setattr(dataset, "SOPClassUID", SECONDARY_CAPTURE), 0xA900),
    ],
    ids=["another instance", "no study", "no series", "no instance", "another class"],
)
def test_what_is_not_what_it_is_said_to_be_is_refused(tmp_path: Path, change, status: int) -> None:
    dataset = one_slice()
    told = dataset.SOPInstanceUID
    file = as_bytes(dataset)
    changed = dcmread(pydicom.filebase.DicomBytesIO(file))
    change(changed)
    data_set = without_meta(as_bytes(changed))
    with receiving(tmp_path) as here, RawSender(here.port) as sender:
        sender.associate()
        assert sender.store(data_set, told) == status
        assert sender.store(data_set_of(dataset), told) == 0  # the association goes on
    assert here.inbox.usage().instances == 1
    assert not list((here.inbox.path / ".incoming").iterdir())


def with_study_uid(data_set: bytes, value: bytes) -> bytes:
    """A data set in explicit VR whose StudyInstanceUID is something else."""
    tag = b"\x20\0\x0d\0UI"
    start = data_set.index(tag) + len(tag)
    end = start + 2 + int.from_bytes(data_set[start : start + 2], "little")
    value += b"\0" * (len(value) % 2)
    return data_set[:start] + len(value).to_bytes(2, "little") + value + data_set[end:]


@pytest.mark.parametrize("bad", ["../../etc/x", "/etc/x", "1.2.3/4", "1" * 65, "1.2.", ""])
def test_a_uid_that_is_none_leads_nowhere(tmp_path: Path, bad: str) -> None:
    dataset = one_slice()
    data_set = with_study_uid(data_set_of(dataset), bad.encode())
    with receiving(tmp_path) as here, RawSender(here.port) as sender:
        sender.associate()
        assert sender.store(data_set, dataset.SOPInstanceUID) == 0xC000
        assert sender.store(data_set_of(one_slice()), bad) == 0xC000
    assert here.inbox.studies() == ()


def test_bytes_that_are_no_data_set_are_refused(tmp_path: Path) -> None:
    with receiving(tmp_path) as here, RawSender(here.port) as sender:
        sender.associate()
        for data in (b"\xff" * 4000, b"\0" * 4000, b"GIF89a", bytes(range(256)) * 16):
            assert sender.store(data, uid("x")) == 0xC000
    assert here.receiver.statistics.refused == {"not-dicom": 4}


def test_everything_that_a_study_consists_of_is_taken(tmp_path: Path) -> None:
    asked = [(name, [ExplicitVRLittleEndian]) for name in (CT, SECONDARY_CAPTURE, DOSE_REPORT)]
    asked += [("1.3.12.2.1107.5.9.1", [ImplicitVRLittleEndian])]  # of a maker
    asked += [("1.2.840.10008.5.1.4.1.2.2.1", [ImplicitVRLittleEndian])]  # C-FIND
    with receiving(tmp_path) as here, RawSender(here.port) as sender:
        assert sender.associate(asked) == [0, 0, 0, 0, 3]
    with receiving(tmp_path / "ct", objects="ct") as here, RawSender(here.port) as sender:
        assert sender.associate(asked) == [0, 3, 3, 3, 3]


def test_a_transfer_syntax_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    unknown, elsewhere = "1.2.3.4.5", "1.2.840.10008.1.2.4.204"
    with receiving(tmp_path) as here, RawSender(here.port) as sender:
        asked = [(CT, [unknown]), (CT, [elsewhere]), (CT, [unknown, ExplicitVRLittleEndian])]
        assert sender.associate(asked) == [4, 4, 0]


def test_a_data_set_of_another_class_than_its_context_is_refused(tmp_path: Path) -> None:
    dataset = one_slice()
    with receiving(tmp_path) as here, RawSender(here.port) as sender:
        sender.associate([(SECONDARY_CAPTURE, [ExplicitVRLittleEndian])])
        assert sender.store(data_set_of(dataset), dataset.SOPInstanceUID) == 0x0122


def test_an_echo_is_answered(tmp_path: Path) -> None:
    with receiving(tmp_path) as here, RawSender(here.port) as sender:
        sender.associate([(VERIFICATION, [ImplicitVRLittleEndian])])
        asked = command(0x30, sop_class=VERIFICATION, data_set=False)
        sender.send(pdu(4, fragment(asked, command=True)))
        assert sender.status() == 0


def test_a_command_in_pieces_is_understood(tmp_path: Path) -> None:
    dataset = one_slice()
    asked = command(1, sop_instance=dataset.SOPInstanceUID)
    with receiving(tmp_path) as here, RawSender(here.port) as sender:
        sender.associate()
        sender.send(
            pdu(4, fragment(asked[:50], command=True, last=False))
            + pdu(4, fragment(asked[50:], command=True) + fragment(data_set_of(dataset)))
        )
        assert sender.status() == 0
    assert len(here.kept) == 1


def test_answers_fit_into_what_the_sender_takes(tmp_path: Path) -> None:
    dataset = one_slice()
    with receiving(tmp_path) as here, RawSender(here.port) as sender:
        sender.associate(pdu_bytes=64)
        sender.send(
            pdu(4, fragment(command(1, sop_instance=dataset.SOPInstanceUID), command=True))
            + pdu(4, fragment(data_set_of(dataset)))
        )
        read = [sender.read()]
        while not read[-1][1][5] & 2:
            read.append(sender.read())
    assert len(read) > 1
    assert all(kind == 4 and len(body) <= 64 for kind, body in read)


def test_a_port_that_is_taken_is_an_error_in_words(tmp_path: Path) -> None:
    with (
        receiving(tmp_path) as here,
        pytest.raises(
            UsageError, match=r"^127.*nobody can listen here: Address already in use\.\n"
        ),
        receiving(tmp_path / "second", port=here.port),
    ):
        pass


def test_a_dataset_with_a_large_private_group_before_its_study_is_kept(tmp_path: Path) -> None:
    dataset: Dataset = one_slice()
    dataset.add_new(0x00090010, "LO", "MAKER")
    dataset.add_new(0x00091001, "OB", bytes(300_000))
    with receiving(tmp_path) as here, RawSender(here.port) as sender:
        sender.associate()
        assert sender.store(data_set_of(dataset), dataset.SOPInstanceUID) == 0
    assert without_meta(here.kept[0].path.read_bytes()) == data_set_of(dataset)
